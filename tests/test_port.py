"""`port`: names, layout, proof and refusals."""

from __future__ import annotations

import functools
import linecache
import traceback

import jax
import jax.numpy as jnp
import numpy
import numpy as np
import pytest
from numpy import sin as sine

import jaxmagic
from jaxmagic.errors import CannotPort
from jaxmagic.pages.compose import compose
from jaxmagic.port import port

GAIN = 2.5
WEIGHTS = np.ones((3, 3))
X = np.arange(3.0)
X64 = functools.partial(jax.enable_x64, new_val=True)


def helper(x):
    # keeps its comment
    return np.maximum(x, 0)  # relu


# fmt: off
def commented(x, n=3):
    """Say what it does."""
    y = sine(x) + \
        GAIN * numpy.linalg.norm(x)   # beside

    # above
    z = (helper(y) +
         y @ y)
    for _ in range(n):
        z = z + np.pi
    if n > 2:
        z = -z
    elif n > 1:  # never
        z = z * 2
    return z, {"sum": y.sum()}
# fmt: on


COMMENTED = '''import jax.numpy as jnp


GAIN = 2.5


def helper(x):
    # keeps its comment
    return jnp.maximum(x, 0)  # relu


def commented(x, n=3):
    """Say what it does."""
    y = jnp.sin(x) + \\
        GAIN * jnp.linalg.norm(x)   # beside

    # above
    z = (helper(y) +
         y @ y)
    for _ in range(n):
        z = z + jnp.pi
    if n > 2:
        z = -z
    elif n > 1:  # never
        z = z * 2
    return z, {"sum": y.sum()}
'''


def test_names_change_and_layout_stays():
    assert port(commented, X).source == COMMENTED


def test_the_shown_source_is_the_code_that_runs_and_stands_alone():
    made = port(commented, X)
    names = {}
    exec(made.source, names)
    with X64():
        alone, _ = names["commented"](jnp.array(X))
        ours, _ = made.function(jnp.array(X))
    np.testing.assert_array_equal(alone, ours)
    np.testing.assert_allclose(ours, commented(X)[0])


def test_the_diff_starts_from_the_users_source():
    lines = port(helper, X).diff.splitlines()
    assert "-    return np.maximum(x, 0)  # relu" in lines
    assert "+    return jnp.maximum(x, 0)  # relu" in lines


def lambdas():
    return (lambda x: np.sin(x) * 2), (lambda x: np.cos(x) + 1)


class Layer:
    def __init__(self):
        self.weights = np.ones((3, 2))

    def __call__(self, x):
        return np.tanh(x @ self.weights)

    def forward(self, x):
        return np.exp(x @ self.weights)


def closure(scale):
    def inner(x):
        return np.cumsum(x) * scale

    return inner


@pytest.mark.parametrize(
    "function",
    [
        *lambdas(),
        Layer(),
        Layer().forward,
        closure(3.0),
        functools.partial(commented, n=2),
        lambda x: x * 2 + 1,
        lambda x: jnp.sin(x),
    ],
    ids=["lambda", "second lambda", "object", "method", "closure", "partial", "no numpy", "jax"],
)
def test_every_kind_of_callable(function):
    made = port(function, X)
    with X64():
        got = made.function(jnp.array(X))
    want = function(X)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), want, got)


def test_generated_source_in_linecache():
    text = "def expression(x, w):\n    return np.tanh(x @ w)\n"
    linecache.cache["<expression 7>"] = (len(text), None, text.splitlines(keepends=True), "<expression 7>")
    names = {"np": np}
    exec(compile(text, "<expression 7>", "exec"), names)
    made = port(names["expression"], X, X)
    assert made.source == "import jax.numpy as jnp\n\n\ndef expression(x, w):\n    return jnp.tanh(x @ w)\n"


def test_without_inputs_nothing_is_claimed():
    assert [note.kind for note in port(commented).notes] == ["unproved"]


def test_nothing_of_the_users_changes():
    def scaled(x):
        return x * WEIGHTS[0]

    x, before = X.copy(), scaled.__code__
    port(scaled, x)
    assert scaled.__code__ is before
    np.testing.assert_array_equal(x, X)
    assert isinstance(WEIGHTS, np.ndarray)
    assert not jax.config.jax_enable_x64


def prints(x):
    print(x)
    return x


def draws(x):
    return x + np.random.rand(3)


def generates(x):
    yield x


def recurses(x):
    return x if x.sum() > 9 else recurses(x + 1)


def opens(x):
    return open("/nowhere").read()


def counts(x):
    global GAIN
    GAIN = 3.0
    return x


@pytest.mark.parametrize(
    ("function", "words", "line"),
    [
        (prints, "Printing", 1),
        (draws, "Random numbers", 1),
        (generates, "generator", 1),
        (recurses, "calls itself", 1),
        (opens, "Files", 1),
        (counts, "global", 1),
        (np.sin, "no Python source", None),
        (len, "no Python source", None),
    ],
)
def test_obstacles_are_named_with_line_and_fix(function, words, line):
    with pytest.raises(CannotPort, match=words) as caught:
        port(function, X)
    assert caught.value.fix
    if line is not None:
        assert caught.value.span.line == function.__code__.co_firstlineno + line


def test_the_public_name_is_the_function():
    assert jaxmagic.port(helper, X).name == "helper"
    assert jaxmagic.port(helper, X).name == "helper"


def test_page():
    page = compose(port(commented, X))
    assert "".join(word.text for word in page.say) == "commented runs on JAX and agrees with NumPy."
    assert [tab.title for tab in page.tabs] == ["Changes", "JAX source"]


def first_column(x):
    x[0] += 1
    return x.sum()


def test_inputs_of_other_kinds_are_refused():
    made = port(first_column, X)
    with pytest.raises(CannotPort, match="made for `x`"), X64():
        made.function(jnp.ones((3, 3)))
    with pytest.raises(CannotPort, match="made for `x`"), X64():
        made.function(jnp.arange(3))


def adds(x, y):
    x += y
    return x


def test_inputs_that_share_memory_are_refused_when_one_is_changed():
    x = np.arange(4.0)
    with pytest.raises(CannotPort, match="share memory"):
        port(adds, x[:-1], x[1:])
    assert list(x) == [0.0, 1.0, 2.0, 3.0]


def test_mutated_arguments_come_back_after_the_result():
    made = port(first_column, X)
    assert made.mutated == ("x",)
    with X64():
        total, changed = jax.jit(made.function)(jnp.array(X))
    assert float(total) == 4.0
    assert list(np.asarray(changed)) == [1.0, 1.0, 2.0]


def cholesky(a):
    for i in range(a.shape[0]):
        for j in range(i):
            a[i, j] -= a[i, :j] @ a[j, :j]
            a[i, j] /= a[j, j]
        a[i, i] -= a[i, :i] @ a[i, :i]
        a[i, i] = np.sqrt(a[i, i])


def test_consecutive_updates_of_one_element_are_stored_once():
    made = port(cholesky, np.eye(5) * 3 + 1)
    assert made.source.count(".at[j].set(") == made.source.count("a.at[") == 1
    assert "a_ij = a_ij / a[j, j]" in made.source


def overlapping(a):
    for i in range(1, a.shape[0]):
        a[i] += 1
        a[i] *= a[i - 1] + a[0]


def test_a_local_is_not_kept_past_a_read_that_may_be_the_same_element():
    source = port(overlapping, np.arange(6.0)).source
    assert source.count("a.at[i].set(") == 1
    assert "a[i - 1]" in source


def scatter_matrix(x):
    c = np.zeros((x.shape[1], x.shape[1]))
    for i in range(x.shape[1]):
        c[i:, i] = c[i, i:] = x[:, i] @ x[:, i:]
    return c


def test_products_of_rows_become_one_product_of_matrices():
    source = port(scatter_matrix, np.ones((12, 10))).source
    assert source.count("@") == 1
    assert "= x.T @ x" in source


def sets_global_array(x):
    WEIGHTS[0, 0] = 5
    return x


class Counter:
    def __init__(self):
        self.seen = np.zeros(3)

    def count(self, x):
        self.seen[0] += 1
        return x


@pytest.mark.parametrize("function", [sets_global_array, Counter().count], ids=["global", "object"])
def test_state_outside_is_not_changed_silently(function):
    with pytest.raises(CannotPort, match="in place"):
        port(function, X)
    assert WEIGHTS[0, 0] == 1.0


class Network:
    def __init__(self):
        self.weights = np.ones((3, 2))

    def activate(self, x):
        return np.tanh(x)

    def predict(self, x):
        return self.activate(x @ self.weights)


def test_methods_that_call_methods():
    network = Network()
    made = port(network.predict, X)
    assert "jnp.tanh" in made.source
    assert [note.kind for note in made.notes] == []
    with X64():
        np.testing.assert_allclose(jax.jit(made.function)(jnp.array(X)), network.predict(X))


def test_an_error_of_the_users_names_the_users_lines():
    def helper(v):
        return np.linalg.inv(v)

    def fails(x):
        y = x + 1

        return helper(y)

    with pytest.raises(np.linalg.LinAlgError) as caught:
        port(fails, np.ones((2, 3)))
    frames = [f for f in traceback.extract_tb(caught.value.__traceback__) if f.filename == __file__]
    assert [frame.line for frame in frames[1:]] == ["return helper(y)", "return np.linalg.inv(v)"]


def test_comprehensions_and_f_strings_keep_their_layout_where_they_can():
    def many(x):
        table = {i: v for i, v in enumerate(x)}  # noqa: C416 a dictionary's `key` is no number
        if x.ndim != 1:
            raise ValueError(f"one axis, not {x.ndim:d}")
        return np.array([np.sin(v)  # of each
                         for v in np.asarray(x)]), table[0]  # fmt: skip

    made = port(many, np.arange(3.0))
    assert "jnp.array([jnp.sin(v)" in made.source
    assert 'f"one axis, not {x.ndim:d}"' in made.source


def test_what_was_not_reached_is_said():
    def peak(x):
        best = x[0]
        for i in range(1, len(x)):
            if x[i] > best:
                best = x[i]
        return best

    made = port(peak, np.array([3.0, 2.0, 1.0]))
    assert any(note.kind == "tried" and "best = x[i]" in note.text for note in made.notes)
    with jax.enable_x64(new_val=made.x64):
        assert made.function(jnp.array([1.0, 3.0, 2.0])) == 3.0


def test_checks_that_compiled_code_leaves_out_are_said():
    def checked(x):
        if x.min() < 0:
            raise ValueError("negative")
        return np.sqrt(x)

    notes = {note.kind: note.text for note in port(checked, np.array([4.0])).notes}
    assert "if x.min() < 0:" in notes["unchecked"]


def test_the_comment_of_a_loop_stays_beside_its_step():
    def walked(x, n):
        for _ in range(n):  # one step each
            x = x + np.sin(x)  # on
        return x

    source = port(walked, np.ones(3), 20).source
    assert "def step_loop(_, x):  # one step each\n" in source
    assert source.count("#") == 2
