"""Arrays that a function was not given: every way to capture one, found and kept apart."""

import functools
import operator
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmagic.bench.captures import lift, on_numpy, uses_jax
from jaxmagic.errors import BadTarget

W = np.arange(3.0)
PAIR = {"a": np.ones(3), "b": [np.full(3, 2.0)]}
SIZE = 3


def by_global(x):
    return x + W


def by_container(x):
    return x + PAIR["a"] + PAIR["b"][0]


def by_default(x, w=W):
    return x + w


def by_keyword_default(x, *, w=W):
    return x + w


def helper(x):
    return x + W


def by_helper(x):
    return helper(x)


def by_comprehension(x):
    return sum(x * w for w in [W, W])


def by_closure():
    w = np.arange(3.0)

    def inner(x):
        return x + w

    return inner


def by_closure_and_helper():
    w = np.arange(3.0)

    def add(x):
        return x + w

    def outer(x):
        return add(x)

    return outer


def decorated():
    def twice(f):
        @functools.wraps(f)
        def call(x):
            return f(x)

        return call

    return twice(by_global)


class Model:
    def __init__(self):
        self.w = np.arange(3.0)

    def __call__(self, x):
        return x + self.w

    def method(self, x):
        return x + self.w


@dataclass(frozen=True)
class Frozen:
    w: object

    def __call__(self, x):
        return x + self.w


@jax.tree_util.register_pytree_node_class
class Tree(Model):
    def tree_flatten(self):
        return (self.w,), None

    @classmethod
    def tree_unflatten(cls, _, leaves):
        made = object.__new__(cls)
        (made.w,) = leaves
        return made


MODEL = Model()


def by_attribute_of_a_global(x):
    return x + MODEL.w


def recursive(x, n=2):
    return recursive(x, n - 1) if n else x + W


def jitted_around():
    return jax.jit(by_global)


WAYS = {
    "global": (lambda: by_global, ["W"]),
    "container": (lambda: by_container, ["PAIR"]),
    "default": (lambda: by_default, ["w"]),
    "keyword default": (lambda: by_keyword_default, ["w"]),
    "helper": (lambda: by_helper, ["W"]),
    "comprehension": (lambda: by_comprehension, ["W"]),
    "closure": (by_closure, ["w"]),
    "closure of a helper": (by_closure_and_helper, ["w"]),
    "decorator": (decorated, ["W"]),
    "partial": (lambda: functools.partial(operator.add, W), ["argument 1 of add"]),
    "partial by keyword": (lambda: functools.partial(by_default, w=W), ["w", "w"]),
    "partial of a captor": (lambda: functools.partial(by_global), ["W"]),
    "callable object": (Model, ["Model.w"]),
    "frozen object": (lambda: Frozen(np.arange(3.0)), ["Frozen.w"]),
    "bound method": (lambda: Model().method, ["Model.w"]),
    "pytree": (Tree, ["Tree"]),
    "method of a pytree": (lambda: Tree().method, ["Tree"]),
    "attribute of a global": (lambda: by_attribute_of_a_global, ["MODEL.w"]),
    "recursion": (lambda: recursive, ["W"]),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_is_found_and_exchangeable(way):
    make, names = WAYS[way]
    function, x = make(), np.ones(3)
    expected = function(x)
    lifted = lift(function)
    assert list(lifted.names) == names
    np.testing.assert_array_equal(lifted.function(x), expected)

    lifted.put([jax.tree.map(lambda leaf: leaf * 0, value) for value in lifted.values])
    zeroed = lifted.function(x)
    assert not np.array_equal(zeroed, expected)
    np.testing.assert_array_equal(function(x), expected)


@pytest.mark.parametrize("way", WAYS)
def test_what_was_captured_becomes_an_argument(way):
    lifted = lift(WAYS[way][0]())

    def program(values, x):
        with lifted.holding(values, lifted.values):
            return lifted.function(x)

    jaxpr = jax.make_jaxpr(program)(lifted.values, jnp.ones(3))
    assert len(jaxpr.jaxpr.invars) == 1 + len(jax.tree.leaves(lifted.values))
    assert not [constant for constant in jaxpr.consts if np.size(constant) > 1]


def test_a_function_that_captures_nothing_stays_itself():
    def plain(x):
        return np.sort(x)[:SIZE]

    assert lift(plain).function is plain
    assert lift(np.sort).function is np.sort


def test_a_jitted_function_that_captures_is_jitted_anew():
    lifted = lift(jitted_around())
    assert lifted.names == ("W",)
    lifted.put([jnp.zeros(3)])
    np.testing.assert_array_equal(lifted.function(jnp.ones(3)), np.ones(3))


def test_the_users_namespace_stays_as_it_is():
    before = dict(globals())
    lift(by_container).put([None])
    assert dict(globals()) == before


def test_jax_is_recognised():
    assert uses_jax(lambda x: jnp.sort(x))
    assert uses_jax(lambda x: jax.lax.sort(x))
    assert uses_jax(jax.jit(by_global))
    assert not uses_jax(by_helper)
    assert not uses_jax(np.sort)
    assert uses_jax(lambda x: (lambda y: jnp.sin(y))(x))


def softmax(x):
    e = jnp.exp(x - x.max())
    return e / jnp.sum(e)


@jax.jit
def jitted(x):
    return softmax(jnp.linalg.norm(x) * x)


def test_a_jax_function_runs_on_numpy():
    x = np.float32([1, 2, 3])
    result = on_numpy(jitted)(x)
    assert type(result) is np.ndarray
    np.testing.assert_allclose(result, jitted(x), rtol=1e-6)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: jax.nn.relu(x), "NumPy has nothing like `jax.nn`"),
        (functools.partial(jax.lax.add, 1.0), "NumPy has nothing like `add` of JAX"),
    ],
)
def test_what_numpy_does_not_have_is_named(function, message):
    with pytest.raises(BadTarget) as caught:
        on_numpy(function)(np.ones(3))
    assert caught.value.message == message
