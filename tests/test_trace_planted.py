"""Planted primitives: `tan` runs forward (and once more where a checkpoint asks for it), `erf` in a rule."""

from __future__ import annotations

import functools
import itertools

import jax
import jax.numpy as jnp
import pytest
from jax.scipy.special import erf

from jaxmagic.analysis.trace import look
from jaxmagic.target import ArrayType, Target


@jax.custom_vjp
def with_vjp(x):
    return jnp.tan(x)


def _forward(x):
    y = jnp.tan(x)
    return y, y


with_vjp.defvjp(_forward, lambda y, slope: (slope * erf(y),))


@jax.custom_jvp
def with_jvp(x):
    return jnp.tan(x)


@with_jvp.defjvp
def _(primals, tangents):
    y = jnp.tan(primals[0])
    return y, tangents[0] * erf(y)


PLANTED = {"plain": jnp.tan, "custom_vjp": with_vjp, "custom_jvp": with_jvp}


def scanned(function):
    return lambda x: jax.lax.scan(lambda carry, _: (function(carry), None), x, None, length=3)[0]


def mapped(function):
    return lambda x: jax.vmap(function)(x)


AROUND = {
    "jit": lambda function: lambda x: jax.jit(lambda x: function(x))(x),
    "vmap": mapped,
    "scan": scanned,
    "remat": lambda function: lambda x: jax.checkpoint(lambda x: function(x))(x),
}
WAYS = [
    (),
    *((one,) for one in AROUND),
    *itertools.permutations(AROUND, 2),
    *itertools.permutations(AROUND, 3),
]


def phases(rule, ways):
    """The passes that the planted primitives are said to belong to."""
    function = functools.reduce(lambda inner, way: AROUND[way](inner), ways, PLANTED[rule])
    shape = (2,) * (1 + len(ways))
    target = Target(function=lambda x: function(x).sum(), args=(ArrayType("f32", shape),))
    found = look(target, grad=True)
    assert all(one.span is not None for one in found.equations)
    return {
        name: {one.phase for one in found.equations if one.primitive == name}
        for name in ("tan", "erf", "mul")
    }


@pytest.mark.parametrize("ways", WAYS, ids=lambda ways: "-".join(ways) or "bare")
@pytest.mark.parametrize("rule", PLANTED)
def test_each_planted_primitive_is_told_apart(rule, ways):
    found = phases(rule, ways)
    again = {"recomputed"} if "remat" in ways else set()
    assert found["tan"] == {"forward"} | again
    if rule == "custom_vjp":
        assert found["erf"] == {"backward"}
    if rule == "custom_jvp":
        assert found["erf"] == (again or {"forward"}), "a factor of the slope, known before the way back"
    assert "backward" in found["mul"]
