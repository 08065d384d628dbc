"""A gradient that is stopped on purpose is no wrong one: what was stopped is held constant."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmagic import differentiate
from jaxmagic.analysis import stopped, trust

HELD = "central differences in float64, stop_gradient held constant"
stop = jax.lax.stop_gradient


def straight_through(x):
    return x + stop(jnp.round(x) - x)


def target_network(w, x):
    predicted, wanted = jnp.tanh(x @ w), stop(1.0 + 0.9 * jnp.tanh(x @ w))
    return jnp.mean((predicted - wanted) ** 2)


@jax.jit
def jitted(x):
    return x * stop(x**2)


def in_a_scan(x):
    return jax.lax.scan(lambda c, _: (jnp.sin(c) + c * stop(c), None), x, length=5)[0]


def in_a_branch(x):
    return jax.lax.cond(x > 0, lambda x: x * stop(x), lambda x: 3 * x, x)


@jax.custom_jvp
def ruled(x):
    return x * stop(x)


ruled.defjvp(lambda points, tangents: (ruled(points[0]), points[0] * tangents[0]))


@jax.custom_jvp
def ruled_as_a_whole(x):
    return jnp.log(jnp.exp(x - stop(3 * x))) + 3 * x


ruled_as_a_whole.defjvp(lambda points, tangents: (ruled_as_a_whole(points[0]), tangents[0]))

STOPPED = {
    "product": (lambda x: x * stop(x), 1.5, 1.5),
    "straight through": (straight_through, 1.3, 1.0),
    "straight through at a step": (straight_through, 1.5, 1.0),
    "nothing is left": (lambda x: stop(x**2), 2.0, 0.0),
    "under jit": (jitted, 2.0, 4.0),
    "mapped": (lambda x: jnp.sum(jax.vmap(jitted)(jnp.stack([x, 2 * x]))), 2.0, 4.0 + 2 * 16.0),
    "in a branch": (in_a_branch, 2.0, 2.0),
    "in a rule": (ruled, 2.0, 2.0),
    "beside a rule for the whole": (lambda x: ruled_as_a_whole(x) * stop(x), 2.0, 2.0),
}


@pytest.mark.parametrize("name", STOPPED)
def test_what_is_stopped_is_held_constant(name):
    f, at, expected = STOPPED[name]
    found = differentiate(f, at)
    assert float(found.partials["x"]) == expected
    assert (found.check.finding, found.check.ok, found.check.how) == ("ok", True, HELD)
    assert "wrong derivative" not in [note.kind for note in found.notes]


def test_in_every_round_of_a_loop():
    found = differentiate(in_a_scan, 0.4)
    assert (found.check.finding, found.check.how) == ("ok", HELD)


def test_a_target_network_with_every_leaf():
    found = differentiate(target_network, jnp.linspace(-0.5, 0.5, 12).reshape(3, 4), jnp.ones((2, 3)))
    assert [leaf.check.finding for leaf in found.leaves] == ["ok", "ok"]


def test_second_derivatives():
    found = differentiate(lambda x: x**2 * stop(x) + x**3, 2.0, order=2)
    assert float(found.partials["x"]) == 2 * 2.0 + 6 * 2.0
    assert (found.check.finding, found.check.how) == ("ok", HELD)


def test_where_stopping_changes_nothing_it_is_not_mentioned():
    found = differentiate(jax.nn.logsumexp, jnp.linspace(0.0, 1.0, 5))
    assert (found.check.ok, found.check.how) == (True, "central differences in float64")


def test_a_wrong_rule_beside_a_stop_is_caught():
    @jax.custom_jvp
    def sine(x):
        return jnp.sin(x)

    sine.defjvp(lambda points, tangents: (sine(points[0]), 2 * jnp.cos(points[0]) * tangents[0]))
    found = differentiate(lambda x: sine(x) * stop(x), 0.7)
    assert (found.check.finding, found.check.ok) == ("wrong", False)


def endless(x):
    def grow(state):
        total, step = state
        return total + x * stop(total), step + 1

    return jax.lax.while_loop(lambda state: state[0] < 10, grow, (x, 0))[0]


def branching(x):
    if x > 0:
        return x * stop(x)
    return -x


def helped(x):
    return branching(x) + 1.0


@pytest.mark.parametrize(
    ("f", "place", "below"), [(endless, endless, 3), (branching, branching, 2), (helped, branching, 2)]
)
def test_what_cannot_be_held_is_not_comparable_and_says_where(f, place, below):
    found = differentiate(f, 1.5)
    assert (found.check.finding, found.check.ok) == ("stopped", None)
    note = next(note for note in found.notes if note.kind == "not comparable")
    line = place.__code__.co_firstlineno + below
    assert f"`stop_gradient` in line {line} changes the derivative on purpose" in note.text
    assert note.span is not None
    assert note.span.line == line


def test_holding_gives_the_function_itself_at_the_point():
    held = stopped.held(lambda points: [jnp.sum(stop(points[0]) * points[0])], [[jnp.arange(3.0)]])
    np.testing.assert_array_equal(held([jnp.arange(3.0)])[0], 5.0)
    np.testing.assert_array_equal(held([jnp.ones(3)])[0], 3.0)


@pytest.mark.parametrize(
    ("finding", "long", "once_more"),
    [("unsure", 1e9, True), ("unsure", -1.0, False), ("wrong", -1.0, True), ("ok", 1e9, False)],
)
def test_what_took_long_is_looked_at_once_more_only_where_it_is_wrong(monkeypatch, finding, long, once_more):
    asked = []
    check = trust.Check(ok=None, error=None, tolerance=None, how="", finding=finding)
    monkeypatch.setattr(trust, "_check", lambda run, held: trust.Report(checks=(check,)))
    monkeypatch.setattr(trust, "_stops", lambda run: asked.append(run) or [])
    monkeypatch.setattr(trust, "LONG", long)
    assert trust.check("the run").checks == (check,)
    assert bool(asked) is once_more
