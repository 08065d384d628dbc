"""Functions among the arguments: ported too, and taken for the user's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmagic.errors import CannotPort
from jaxmagic.port import port

X, Y = np.array([0.5, -1.0, 2.0]), np.array([3.0, 0.25, -0.5])


def stepped(f, t, y, h):
    return y + h * f(t + h / 2, y + h / 2 * f(t, y))


def midpoint(f, y, h, n):
    path = np.empty((n + 1, len(y)))
    path[0] = y
    for i in range(n):
        path[i + 1] = stepped(f, i * h, path[i], h)
    return path


def oscillator(t, u, k=2.0):
    x, v, w = u
    return np.array([v, -k * np.sin(x), np.exp(-t) * w])


def slope(f, x, h=1e-5):
    g = np.zeros_like(x)
    for i in range(x.size):
        e = np.zeros_like(x)
        e[i] = h
        g[i] = (f(x + e) - f(x - e)) / (2 * h)
    return g


def root(f, a, b, tol=1e-9):
    fa = f(a)
    while b - a > tol:
        c = (a + b) / 2
        fc = f(c)
        if fa * fc <= 0:
            b = c
        else:
            a, fa = c, fc
    return (a + b) / 2


def activated(x, act=np.tanh):
    return act(x).sum()


def valley(p):
    return (p[0] - 1) ** 2 + 10 * (p[1] - np.cos(p[0])) ** 2 + p[2]


@pytest.mark.parametrize(
    ("function", "args", "others"),
    [
        (midpoint, (oscillator, X, 0.01, 20), (oscillator, Y, 0.02, 20)),
        (slope, (valley, X), (valley, Y)),
        (root, (lambda x: np.cos(x) - x, 0.0, 1.0), (lambda x: np.cos(x) - x, -1.0, 2.0)),
        (activated, (X,), (Y,)),
        (activated, (X, np.arctan), (Y, np.arctan)),
        (activated, (X, lambda v: np.maximum(v, 0)), (Y, lambda v: np.maximum(v, 0))),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_function_that_is_passed_is_ported_too(function, args, others):
    made = port(function, *args)
    assert "eager" not in [note.kind for note in made.notes]
    with jax.enable_x64(True):  # noqa: FBT003
        for given in (args, (*others[:-1], others[-1])):
            given = tuple(args[i] if callable(value) else value for i, value in enumerate(given))
            np.testing.assert_allclose(made.function(*given), function(*given), rtol=1e-12)
            compiled = jax.jit(made.function, static_argnames=made.static)
            np.testing.assert_allclose(compiled(*given), function(*given), rtol=1e-12)


def test_the_source_has_the_function_and_takes_it():
    made = port(slope, valley, X)
    names: dict[str, object] = {}
    exec(made.source, names)
    with jax.enable_x64(True):  # noqa: FBT003
        got = jax.jit(names["slope"], static_argnames="f")(names["valley"], jnp.array(Y))
    np.testing.assert_allclose(got, slope(valley, Y), rtol=1e-6)


def test_the_same_lambda_made_again_is_the_same_function():
    def squared(k):
        return lambda x: np.sum(x**2)

    made = port(slope, squared(1), X)
    with jax.enable_x64(True):  # noqa: FBT003
        np.testing.assert_allclose(made.function(squared(2), Y), slope(squared(2), Y), rtol=1e-9)


def test_another_function_is_refused():
    made = port(slope, valley, X)
    with pytest.raises(CannotPort, match="made for the function that `f` was"):
        made.function(np.sum, X)
    with pytest.raises(CannotPort, match="made for the function that `f` was"):
        made.function(lambda p: p.sum(), X)


def test_a_lambda_that_holds_another_value_is_another_function():
    def scaled(k):
        return lambda x: k * x.sum()

    made = port(slope, scaled(1.5), X)
    with pytest.raises(CannotPort, match="made for the function that `f` was"):
        made.function(scaled(2.5), X)


def test_one_that_changes_its_argument_is_refused():
    def spoiling(x):
        x[0] = 0.0
        return x.sum()

    with pytest.raises(CannotPort, match="`spoiling`, which is passed as an argument"):
        port(slope, spoiling, X)


def test_a_lambda_that_needs_its_brackets_is_refused_in_words():
    for function in (lambda x: (yield x), lambda x: (y := x)):  # noqa: F841
        with pytest.raises(CannotPort, match=r"yield|:="):
            port(activated, X, function)
