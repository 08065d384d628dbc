"""Rounding inside of a function: told by moving every operation, where neighbouring points tell nothing."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmagic import differentiate
from jaxmagic.analysis.rounding import shaken
from tests.smooth import Shaken, blur, evaluate


def single(x):
    """What a function that computes in single precision does with its input first."""
    return jnp.asarray(x).astype(jnp.float32)


def stairs(x):
    """In float32 1 + u takes four values only over the steps of a check: the slope between is another one."""
    u = -0.06584188791376286 * single(x)
    return jnp.tanh(single(x)) * jnp.sin(jnp.log(1 + u * u))


def test_a_right_slope_that_rounding_hides_is_not_called_wrong():
    assert differentiate(stairs, jnp.float32(0.007115095388144255)).check.finding == "unsure"


@pytest.mark.parametrize("factor", [0.0, 0.9, 1.1, -1.0])
def test_a_wrong_rule_in_single_precision_is_still_called_wrong(factor):
    @jax.custom_jvp
    def f(x):
        return jnp.sum(jnp.sin(single(x)))

    f.defjvp(lambda points, moves: (f(points[0]), factor * jnp.sum(jnp.cos(single(points[0])) * moves[0])))
    assert differentiate(f, jnp.linspace(0.1, 2.0, 20)).check.finding == "wrong"


def test_no_slope_is_not_called_right_where_only_rounding_keeps_the_function_still():
    tree = ("multiply", ("constant", 1e5), ("sin", ("x",)))
    flat = jax.custom_jvp(lambda x: 1e5 + jnp.sin(single(x)))
    flat.defjvp(lambda points, moves: (flat(points[0]), 0.0 * moves[0]))
    assert blur(tree, 1.0) > 0
    assert differentiate(flat, jnp.float32(1.0)).check.finding != "ok"


@pytest.mark.parametrize(
    ("function", "at"),
    [(jnp.cos, 0.0), (jnp.square, 0.0), (jnp.tanh, 20.0), (jnp.floor, 2.5), (jax.nn.relu, -0.3)],
)
def test_a_slope_that_is_0_is_called_right_in_single_precision(function, at):
    assert differentiate(lambda x: function(single(x)), jnp.float32(at)).check.finding == "ok"


def test_shaken_outputs_differ_by_what_rounding_may_do():
    def f(points):
        return [jnp.where(points > 0, jnp.log(1 + points), 0.0), -points]

    small = np.float32(3e-7)
    (logs, moved) = zip(*shaken(f, [small]), strict=True)
    assert max(logs) - min(logs) > 1e-7  # a third of its value
    assert set(map(float, moved)) == {-float(small)}  # nothing is rounded there


def test_nothing_is_shaken_in_double_precision_or_in_a_long_program():
    with jax.enable_x64():
        assert shaken(lambda x: [jnp.sin(x)], [np.float64(1.0)]) == []

    def long(x):
        for _ in range(2_001):
            x = jnp.sin(x)
        return [x]

    assert shaken(long, [np.float32(1.0)]) == []


def test_programs_inside_are_shaken_too():
    def f(x):
        return [jax.jit(lambda x: jax.lax.cond(x > 0, jnp.log1p, jnp.sin, x))(x + 1.0)]

    assert len({float(one[0]) for one in shaken(f, [np.float32(3e-7)])}) > 1


def test_expressions_are_shaken_alike():
    tree = ("log", ("multiply", ("constant", -0.0658), ("x",)))
    exact = float(evaluate(tree, np.float32(0.0071)))
    assert float(evaluate(tree, Shaken(0.0071, np.random.default_rng(0)), Shaken).value) != exact
    assert blur(tree, 0.0071) > 0.05 * exact
