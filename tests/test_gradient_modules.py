"""The weights of a module that is called are inputs like any other, by name."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxmagic import differentiate
from jaxmagic.analysis.gradient import derive
from jaxmagic.errors import BadTarget
from jaxmagic.target import Target


class Net(nnx.Module):
    def __init__(self, rngs):
        self.hidden = nnx.Linear(2, 3, rngs=rngs)
        self.out = nnx.Linear(3, 1, rngs=rngs)

    def __call__(self, x):
        return jnp.sum(self.out(jnp.tanh(self.hidden(x))))

    def loss(self, x, y):
        return (self(x) - y) ** 2


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Line:
    """As Equinox makes them: a pytree that is called."""

    slope: float
    start: float

    def __call__(self, x):
        return self.slope * x + self.start


X = jnp.array([[0.3, -0.7]])


def paths(found):
    return [leaf.path for leaf in found.leaves]


def test_the_weights_of_a_called_module_are_inputs():
    model = Net(nnx.Rngs(0))
    found = derive(Target(function=model, args=(X,), name="model"))
    assert paths(found) == [
        *("model.hidden.bias", "model.hidden.kernel", "model.out.bias", "model.out.kernel", "x")
    ]
    expected = jax.grad(lambda model: model(X))(model)
    np.testing.assert_array_equal(found.partials["model"].hidden.kernel[...], expected.hidden.kernel[...])
    assert found.check.ok is True


@pytest.mark.parametrize("wrt", ["model", "model.hidden", "model.hidden.kernel"])
def test_wrt_reaches_them(wrt):
    found = derive(Target(function=Net(nnx.Rngs(0)), args=(X,), name="model"), wrt=wrt)
    assert all(path.startswith(wrt) for path in paths(found))
    assert list(found.partials) == [wrt]


def test_a_method_of_a_module():
    model = Net(nnx.Rngs(0))
    found = derive(Target(function=model.loss, args=(X, 0.5), name="model.loss"), wrt="model.out.bias")
    expected = jax.grad(lambda model: model.loss(X, 0.5))(model)
    np.testing.assert_array_equal(found.leaves[0].value, expected.out.bias[...])
    assert paths(found) == ["model.out.bias"]


def test_a_pytree_that_is_called():
    found = differentiate(Line(2.0, 1.0), 3.0)
    assert paths(found) == ["Line.slope", "Line.start", "x"]
    assert [float(leaf.value) for leaf in found.leaves] == [3.0, 1.0, 2.0]


def test_a_part_that_there_is_not():
    with pytest.raises(BadTarget) as caught:
        derive(Target(function=Net(nnx.Rngs(0)), args=(X,), name="model"), wrt="model.hiden")
    assert caught.value.message == "`model` has no part `hiden`."
    assert caught.value.fix == "Its parts are `hidden`, `out`."


def test_the_model_is_as_before():
    model = Net(nnx.Rngs(0))
    before = [np.array(leaf) for leaf in jax.tree_util.tree_leaves(model)]
    derive(Target(function=model, args=(X,), name="model"))
    for old, new in zip(before, jax.tree_util.tree_leaves(model), strict=True):
        np.testing.assert_array_equal(old, new)


def test_plain_functions_methods_of_plain_objects_and_transformed_ones_have_no_weights():
    class Plain:
        factor = 3.0

        def times(self, x):
            return self.factor * x

    for f in (lambda x: 2 * x, Plain().times, jax.jit(lambda x: x)):
        assert paths(differentiate(f, 1.0)) == ["x"]
