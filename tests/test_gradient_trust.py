"""Finite differences as a judge: right slopes pass, wrong ones are caught, kinks are kinks."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jaxmagic import differentiate
from jaxmagic.analysis.checks import FLOAT32, FLOAT64, measure
from tests.smooth import blur, evaluate, grow, slope, somewhere


def judge(f, at, claim, precision=FLOAT64, dtype=np.float64, hides=None):
    """The finding about a claimed slope of f at a point; `hides` says how far rounding may move f."""
    length = abs(at) or 1.0
    g = lambda t: np.array([np.float64(f(dtype(at + t * length)))])  # noqa: E731 -- a line to read
    return measure(g, np.array([claim * length]), precision, blur=hides and (lambda: np.array([hides()])))


# -- the numbers alone ----------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32))
def test_a_right_slope_of_a_smooth_function_is_never_called_wrong(seed):
    rng = np.random.default_rng(seed)
    tree, at = grow(rng), somewhere(rng)
    finding = judge(lambda x: evaluate(tree, x), at, slope(tree, at)).finding
    assert finding in ("ok", "unsure")


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32))
@example(702993)  # a slope of 6e-9 that rounding inside of the function swallows whole
@example(1005574)  # steps so small that rounding makes a corner
@example(20001168)  # swings that only one step is both small enough to see and large enough to tell
@example(3001845)  # rounding that is the same at all the points that are near enough to be tried
def test_nor_where_the_arithmetic_is_float32(seed):
    rng = np.random.default_rng(seed)
    tree, at = grow(rng), float(np.float32(somewhere(rng)))
    f = lambda x: np.float32(evaluate(tree, np.float32(x)))  # noqa: E731 -- a line to read
    hides = lambda: blur(tree, at)  # noqa: E731 -- a line to read
    assert judge(f, at, slope(tree, at), hides=hides).finding != "wrong"
    assert judge(f, at, slope(tree, at), FLOAT32, hides=hides).finding != "wrong"


def test_a_doubt_costs_no_more_than_the_steps_that_it_adds():
    seen = []

    def g(t):
        seen.append(t)
        return np.array([np.float64(np.float32(np.sin(1.0 + t)))])  # rounded: there is no telling

    measure(g, np.array([np.cos(1.0) + 1e-3]), FLOAT64)
    assert len(seen) == len(set(seen)) + 1, (
        "0 alone is asked for twice: as the centre and among its neighbours"
    )
    assert len(seen) == 2 * sum(FLOAT64.rungs) + 1 + 9


def significant(tree, at):
    """Whether the slope matters beside the function's own size."""
    return abs(slope(tree, at)) * (abs(at) or 1.0) > 1e-3 * abs(evaluate(tree, at)) + 1e-6


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0.0, 0.5, 0.99, 1.01, 1.5, 2.0, -1.0]))
def test_a_wrong_slope_never_passes(seed, factor):
    rng = np.random.default_rng(seed)
    tree, at = grow(rng), somewhere(rng)
    if significant(tree, at):
        assert judge(lambda x: evaluate(tree, x), at, factor * slope(tree, at)).finding != "ok"


KINKS = {
    "abs": (np.abs, 0.0, (-1.0, 0.0, 1.0)),
    "relu": (lambda x: np.maximum(x, 0), 0.0, (0.0, 0.5, 1.0)),
    "max of two lines": (lambda x: np.maximum(2 * x, 6 - x), 2.0, (0.5, 2.0, -1.0)),
    "tent on a parabola": (lambda x: x**2 + np.abs(x - 3), 3.0, (5.0, 6.0, 7.0)),
}


@pytest.mark.parametrize("name", KINKS)
def test_a_kink_is_a_kink_whatever_fair_slope_is_claimed(name):
    f, at, claims = KINKS[name]
    assert [judge(f, at, claim).finding for claim in claims] == ["kink"] * 3


@pytest.mark.parametrize("name", KINKS)
def test_a_slope_outside_of_both_sides_of_a_kink_is_wrong(name):
    f, at, claims = KINKS[name]
    assert judge(f, at, max(claims) + 3.0).finding == "wrong"


@pytest.mark.parametrize("at", [0.5, 1.5, -0.5])
def test_rounding_jumps_at_its_steps_and_is_flat_between(at):
    assert judge(np.round, at, 0.0).finding == "jump"
    assert judge(np.round, at + 0.2, 0.0).finding == "ok"
    assert judge(np.round, at + 0.2, 1.0).finding == "wrong"


def test_beside_a_kink_the_side_that_one_is_on_counts():
    assert judge(np.abs, 1e-7, 1.0).finding == "ok"
    assert judge(lambda x: np.abs(x - 1), 1 + 1e-4, 1.0).finding == "ok"
    assert judge(lambda x: np.abs(x - 1), 1 + 1e-4, -1.0).finding == "wrong"
    assert judge(lambda x: np.abs(x - 1), 1 + 1e-7, 1.0).finding != "wrong"


def test_ripples_far_below_the_step_are_found():
    f = lambda x: x + 1e-6 * np.sin(1e9 * x)  # noqa: E731 -- a line to read
    assert judge(f, 1.0, 1 + 1e3 * np.cos(1e9)).finding != "wrong"


def test_what_is_not_finite_is_said():
    assert judge(np.sqrt, 0.0, np.inf).finding == "not finite"
    assert judge(lambda x: x * np.nan, 1.0, 1.0).finding == "not finite"


def test_at_the_edge_of_the_domain_nothing_is_claimed():
    assert judge(lambda x: np.sqrt(x) ** 3, 0.0, 0.0).finding in ("unsure", "ok")


def test_error_and_tolerance_are_relative():
    found = judge(np.exp, 1.0, np.e)
    assert found.error < 1e-9
    assert 1e-7 <= found.tolerance < 1e-5
    assert judge(lambda x: 1e20 * np.exp(x), 1.0, 1e20 * np.e).error == pytest.approx(found.error, abs=1e-9)


# -- through JAX ----------------------------------------------------------------------------------


def custom(value, rule):
    """A function with a derivative rule of its own."""

    @jax.custom_jvp
    def f(x):
        return value(x)

    f.defjvp(lambda points, tangents: (value(points[0]), rule(points[0]) * tangents[0]))
    return f


WRONG = {
    "sign": (jnp.sin, lambda x: -jnp.cos(x)),
    "factor": (jnp.exp, lambda x: 2 * jnp.exp(x)),
    "one per cent": (jnp.tanh, lambda x: 1.01 * (1 - jnp.tanh(x) ** 2)),
    "one in ten thousand": (jnp.sin, lambda x: 1.0001 * jnp.cos(x)),
    "missing inner derivative": (lambda x: jnp.sin(3 * x), lambda x: jnp.cos(3 * x)),
    "zero": (jnp.square, jnp.zeros_like),
    "constant": (jnp.square, jnp.ones_like),
    "straight through": (jnp.round, jnp.ones_like),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("shape", [(), (3,), (50,)])
def test_a_wrong_rule_is_caught(name, shape):
    f = custom(*WRONG[name])
    x = jnp.linspace(0.6, 1.3, 50)[: int(np.prod(shape))].reshape(shape)
    found = differentiate(lambda x, y: jnp.sum(f(x)) * y, x, 2.0)
    checks = {leaf.path: leaf.check for leaf in found.leaves}
    assert (checks["x"].ok, checks["y"].ok) == (False, True)
    assert found.check.ok is False
    assert [note.kind for note in found.notes if note.kind == "wrong derivative"]


def test_a_right_rule_passes():
    f = custom(jnp.sin, jnp.cos)
    assert differentiate(lambda x: jnp.sum(f(x)), jnp.linspace(0.1, 1.3, 50)).check.ok is True


def test_a_wrong_custom_vjp_of_one_element_is_caught():
    @jax.custom_vjp
    def f(x):
        return jnp.sum(x**2)

    f.defvjp(lambda x: (f(x), x), lambda x, g: (2 * g * x.at[17].multiply(1.5),))
    assert differentiate(f, jnp.ones(100)).check.ok is False


def test_a_wrong_second_derivative_is_caught():
    slope = custom(jnp.cos, lambda x: jnp.sin(x))  # the sign is wrong
    f = custom(jnp.sin, slope)
    assert differentiate(f, 0.7).check.ok is True
    assert differentiate(f, 0.7, order=2).check.ok is False


SIDES = {
    "abs": (lambda x: jnp.abs(x), 0.0, "kink"),
    "relu": (jax.nn.relu, 0.0, "kink"),
    "max": (lambda x: jnp.maximum(x, 2 - x), 1.0, "kink"),
    "sum of many": (lambda x: jnp.sum(jnp.abs(x)), jnp.array([0.0, 1.0, 2.0]), "kink"),
    "round": (jnp.round, 0.5, "jump"),
    "floor": (jnp.floor, 2.0, "jump"),
}


@pytest.mark.parametrize("name", SIDES)
def test_kinks_and_jumps_are_named_and_not_errors(name):
    f, at, finding = SIDES[name]
    found = differentiate(f, at)
    assert (found.check.ok, found.check.finding) == (None, finding)
    assert finding in [note.kind for note in found.notes]


def test_a_kink_is_told_with_the_slopes_of_its_sides():
    found = differentiate(lambda x: 3 * jnp.maximum(x, 0), 0.0)
    assert found.notes[0].text == (
        "`x`: the function has a kink here: its slope is 0 on one side and 3 on the other, and JAX answers "
        "1.5. That is a choice, not an error."
    )


def test_a_function_that_rounds_to_float32_inside_passes():
    def f(x):
        return jnp.sum(jnp.sin(x.astype(jnp.float32)) * jnp.float32(1.5))

    assert differentiate(f, jnp.linspace(0.3, 1.0, 5)).check.ok is True


def test_a_function_that_cannot_run_in_float64_is_checked_in_float32_and_says_so():
    def f(x):
        return jax.lax.scan(lambda c, _: (jnp.sin(c) * x, None), jnp.float32(0.5), length=3)[0]

    found = differentiate(f, 1.3)
    assert found.check.ok is True
    assert found.check.how == "central differences in float32"
    assert "float32" in [note.kind for note in found.notes]


def test_lost_digits_are_said():
    found = differentiate(lambda x: (jnp.exp(x) - 1 - x) * 1e8, 1e-6)
    assert found.check.ok is not False
    assert "rounding" in [note.kind for note in found.notes]


def test_a_deep_network_with_relus_passes():
    keys = jax.random.split(jax.random.key(1), 3)
    params = [jax.random.normal(key, (16, 16)) / 4 for key in keys]

    def f(params, x):
        for w in params:
            x = jax.nn.relu(x @ w)
        return jnp.sum(x**2)

    found = differentiate(f, params, jax.random.normal(jax.random.key(2), (8, 16)))
    assert [leaf.check.ok for leaf in found.leaves] == [True] * 4


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32))
def test_random_expressions_through_jax(seed):
    rng = np.random.default_rng(seed)
    tree, at = grow(rng), somewhere(rng)
    found = differentiate(lambda x: evaluate(tree, x, jnp) + 0 * x, at)
    assert found.check.ok is not False
