"""Where nan, infinity and zeros come from: the exact expression."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmagic import differentiate
from jaxmagic.analysis import sources

X = jnp.array([0.0, 1.0])
C = jnp.array([1.0, 0.0, 2.0])


def scanned(x):
    return jax.lax.scan(lambda c, a: (jnp.sqrt(c * a), None), x[1], C)[0]


@jax.jit
def jitted(x):
    y = x * 2
    return jnp.sum(jnp.log(y))


def helper(x):
    return jnp.linalg.norm(x)


def vmapped(x):
    return jnp.sum(jax.vmap(lambda v: jnp.sqrt(v))(x))


def branch(x):
    return jax.lax.cond(x[1] > 0, lambda: jnp.sqrt(x).sum(), lambda: x.sum())


def looped(x):
    for power in (3, 2, 1):
        x = x + jnp.sqrt(x) * power
    return x.sum()


# The function, the point, the expression at fault, words of the reason, whether the value is fine.
PLANTED = {
    "where trap, sqrt": (
        lambda x: jnp.where(x > 0, jnp.sqrt(x), 0.0).sum(),
        X,
        "jnp.sqrt(x)",
        "0 × inf",
        True,
    ),
    "where trap, log": (lambda x: jnp.where(x > 0, jnp.log(x), 0.0).sum(), X, "jnp.log(x)", "0 × inf", True),
    "where trap, division": (
        lambda x: jnp.where(x == 0, 1.0, jnp.sin(x) / x).sum(),
        X,
        "jnp.sin(x) / x",
        "0 × inf",
        True,
    ),
    "sqrt": (lambda x: jnp.sqrt(x).sum(), X, "jnp.sqrt(x)", "square root is infinite at 0", True),
    "norm": (lambda x: jnp.linalg.norm(x), 0 * X, "jnp.linalg.norm(x)", "no slope at 0", True),
    "norm in a helper": (lambda x: helper(x) + x.sum(), 0 * X, "jnp.linalg.norm(x)", "no slope at 0", True),
    "log": (lambda x: jnp.log(x).sum(), X, "jnp.log(x)", "logarithm of 0", False),
    "log under jit": (jitted, X, "jnp.log(y)", "logarithm of 0", False),
    "division": (lambda x: (x / x).sum(), X, "x / x", "division by 0", False),
    "power": (lambda x: (x**0.5).sum(), X, "x**0.5", "exponents below 1", True),
    "arccos": (lambda x: jnp.arccos(x).sum(), X, "jnp.arccos(x)", "arccosine is infinite", True),
    "overflow": (lambda x: jnp.exp(x * 1000).sum(), X, "jnp.exp(x * 1000)", "overflows", False),
    "relu of sqrt": (lambda x: jax.nn.relu(jnp.sqrt(x * 0)).sum(), X, "jnp.sqrt(x * 0)", "0 × inf", True),
    "inside a scan": (scanned, X, "jnp.sqrt(c * a)", "square root is infinite at 0", True),
    "inside a vmap": (vmapped, X, "jnp.sqrt(v)", "square root is infinite at 0", True),
    "inside a branch": (branch, X, "jnp.sqrt(x)", "square root is infinite at 0", True),
    "in a Python loop": (looped, X, "jnp.sqrt(x)", "square root is infinite at 0", True),
    "negative root": (lambda x: jnp.sqrt(x - 0.5).sum(), X, "jnp.sqrt(x - 0.5)", "negative number", False),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found_at_its_expression(name):
    f, at, expression, reason, fine = PLANTED[name]
    found = differentiate(f, at)
    note = next(note for note in found.notes if note.kind == "not finite")
    assert sources.expression(note.span) == expression
    assert f"`{expression}` in line {note.span.line}:" in note.text
    assert reason in note.text
    assert note.text.startswith("The derivative of `" if fine else "`")
    assert found.check.ok is None


def test_a_bad_input_is_named():
    found = differentiate(lambda x, y: jnp.sum(x * y), jnp.ones(2), jnp.array([1.0, np.nan]))
    note = next(note for note in found.notes if note.kind == "not finite")
    assert note.text.endswith("So is its input `y`.")


FLAT = {
    "round": (lambda x: jnp.round(x).sum(), "`jnp.round(x)` in line", "rounding is flat"),
    "argmax": (lambda x: jnp.argmax(x) * 1.0, "`jnp.argmax(x)` in line", "a position does not change"),
    "comparison": (lambda x: jnp.where(x > 0.4, 1.0, 2.0).sum(), "`x > 0.4` in line", "a comparison is flat"),
    "cast": (
        lambda x: x.astype(int).astype(float).sum(),
        "`x.astype(int)` in line",
        "a cast to whole numbers",
    ),
    "stop": (lambda x: jax.lax.stop_gradient(x).sum(), "`jax.lax.stop_gradient(x)` in line", "on purpose"),
    "sign": (lambda x: jnp.sign(x).sum(), "`jnp.sign(x)` in line", "a sign is flat"),
    "relu": (lambda x: jax.nn.relu(x - 5).sum(), "flat at this point", ""),
}


@pytest.mark.parametrize("name", FLAT)
def test_a_derivative_of_zero_says_what_is_flat(name):
    f, where, why = FLAT[name]
    found = differentiate(f, jnp.array([0.3, 0.7]))
    note = next(note for note in found.notes if note.kind == "all zero")
    assert where in note.text
    assert why in note.text


def test_an_unused_input_is_told_from_a_flat_one():
    found = differentiate(lambda x, y, z: x + jnp.round(y), 1.0, 2.2, 3.0)
    kinds = {note.kind: note.text for note in found.notes}
    assert kinds["unused input"] == "The derivative by `z` is zero: `<lambda>` does not depend on it."
    assert "by `y` is zero: `jnp.round(y)` in line" in kinds["all zero"]


def test_no_note_where_all_is_well():
    def safe(x):
        return jnp.where(x > 0, jnp.sqrt(jnp.where(x > 0, x, 1.0)), 0.0).sum()

    assert differentiate(safe, jnp.array([0.5, 1.0])).notes == ()


def test_the_safe_square_root_has_a_vertical_side_at_zero():
    found = differentiate(lambda x: jnp.where(x > 0, jnp.sqrt(jnp.where(x > 0, x, 1.0)), 0.0).sum(), X)
    assert [note.kind for note in found.notes] == ["kink"]
    assert "its slope is 0 on one side and inf on the other, and JAX answers 0" in found.notes[0].text
