"""Errors of our own come to light; what the user's function meets when it is repeated does not."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest

from jaxmagic import differentiate
from jaxmagic.analysis import checks, curves, derivatives, origins, trust
from jaxmagic.analysis.repeat import CannotRepeatError, repeating

OURS = {
    "measuring": (checks, "_judge"),
    "directions": (trust, "directions"),
    "the points of the check": (trust, "_step"),
    "the derivative inside of jit": (derivatives, "_reverse"),
    "the curve's grid": (curves, "_grid"),
    "following a zero back": (origins, "_is_flat"),
}


@pytest.mark.parametrize("place", OURS)
def test_our_own_errors_come_out(place, monkeypatch):
    def slip(*_, **__):
        raise KeyError("a slip of ours")

    slip.__code__ = slip.__code__.replace(co_filename=checks.__file__)
    monkeypatch.setattr(*OURS[place], slip)
    with pytest.raises(KeyError, match="a slip of ours"):
        differentiate(lambda x: jnp.round(x), 1.3)


def picky(x):
    if not isinstance(x, float) and jnp.asarray(x).dtype == jnp.float64:
        raise ValueError("no float64 here")
    return jnp.sin(x)


def test_the_users_own_refusal_of_float64_is_met_in_float32():
    found = differentiate(picky, jnp.float32(0.5))
    assert (found.check.ok, found.check.how) == (True, "central differences in float32")


def test_a_function_that_runs_only_once_has_its_derivative_unchecked():
    calls = []

    def once(x):
        calls.append(x)
        if len(calls) > 4:
            raise RuntimeError("closed")
        return x**2

    found = differentiate(once, 3.0)
    assert float(found.partials["x"]) == 6.0
    assert (found.check.ok, found.check.finding) == (None, "")
    assert found.check.how == "not checked: RuntimeError while repeating it"
    assert found.curve is None


@pytest.mark.parametrize(
    "code",
    [
        lambda: jax.grad(lambda x: jax.lax.while_loop(lambda x: x < 9, lambda x: x * x, x))(2.0),
        lambda: jnp.ones(3) @ jnp.ones(4),
        lambda: {}["user"],
        lambda: jax.jit(lambda x: (1, 2).index(5) * x)(2.0),
    ],
)
def test_what_users_and_jax_raise_is_no_slip(code):
    with pytest.raises(CannotRepeatError) as caught, repeating():
        code()
    assert caught.value.__cause__ is not None
