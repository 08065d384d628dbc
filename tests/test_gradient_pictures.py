"""Ranges, fields, layers and costs, from functions to results."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxmagic import differentiate
from jaxmagic.analysis import curves
from jaxmagic.errors import BadTarget


def wave(a, t):
    return a * jnp.sin(t)


# -- ranges ---------------------------------------------------------------------------------------


def test_a_number_comes_with_three_ranges_to_drag_through():
    found = differentiate(jnp.sin, 2.0).curve
    assert (found.by, found.at, found.shown) == ("x", 2.0, (0.0, 4.0))
    assert len(found.x) == 481
    assert (found.x[0], found.x[-1]) == (pytest.approx(-4.0), pytest.approx(8.0))
    for y, expected in zip(found.ys, (np.sin, np.cos, lambda x: -np.sin(x)), strict=True):
        np.testing.assert_allclose(y, expected(np.array(found.x)), atol=1e-12)


def test_along_one_of_several():
    found = differentiate(wave, 2.0, t=1.0, along=("t", 0.0, 10.0)).curve
    assert (found.by, found.at, found.shown) == ("t", 1.0, (0.0, 10.0))
    np.testing.assert_allclose(found.ys[1], 2 * np.cos(found.x), atol=1e-12)
    assert differentiate(wave, 2.0, t=1.0).curve is None


def test_along_a_number_inside_of_a_tree_and_beside_the_point():
    found = differentiate(
        lambda p: p["a"] * p["t"] ** 2, {"a": 3.0, "t": 50.0}, along=("p.t", 0.0, 1.0)
    ).curve
    assert found.by == "p['t']"
    assert found.x[0] <= found.at <= found.x[-1]


@pytest.mark.parametrize("name", ["a", "both"])
def test_along_what_is_no_number(name):
    with pytest.raises(BadTarget):
        differentiate(lambda both: both["u"] * both["v"], {"u": 1.0, "v": 2.0}, along=(name, 0.0, 1.0))


def test_along_with_several_outputs():
    with pytest.raises(BadTarget, match="more than one number"):
        differentiate(lambda t: jnp.stack([t, t]), 1.0, along=("t", 0.0, 1.0))


def test_along_where_the_function_might_never_end_says_so():
    found = differentiate(
        lambda a, t: a * jax.lax.while_loop(lambda x: x < 9, lambda x: 2 * x, t),
        1.0,
        2.0,
        along=("t", 0.0, 1.0),
    )
    assert found.curve is None
    assert "no picture" in [note.kind for note in found.notes]


def test_a_picture_that_takes_too_long_has_gaps_far_from_the_point(monkeypatch):
    monkeypatch.setattr(curves, "PATIENCE", -1.0)
    found = differentiate(jnp.sin, 2.0).curve
    y = np.array(found.ys[0])
    assert np.isfinite(y).sum() == curves.CHUNK
    assert np.isfinite(y[found.x.index(2.0)])


def test_a_function_that_needs_much_room_is_computed_in_smaller_pieces():
    whole = jax.make_jaxpr(lambda x: jnp.sum(jnp.ones((4000, 4000)) * x))(1.0)
    assert curves._chunk(whole) == 4
    assert curves._chunk(jax.make_jaxpr(jnp.sin)(1.0)) == curves.CHUNK


# -- two numbers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("apart", [True, False])
def test_two_numbers_have_a_field(apart):
    if apart:
        found = differentiate(lambda a, b: a**2 * b, 2.0, 3.0).field
    else:
        found = differentiate(lambda x: x[0] ** 2 * x[1], jnp.array([2.0, 3.0])).field
    assert found.names == (("a", "b") if apart else ("x[0]", "x[1]"))
    assert found.at == (2.0, 3.0)
    a, b = np.meshgrid(found.x, found.y)
    np.testing.assert_allclose(found.values, a**2 * b, rtol=1e-12)
    np.testing.assert_allclose(found.slopes[0], 2 * a * b, rtol=1e-12)
    np.testing.assert_allclose(found.slopes[1], a**2, rtol=1e-12)


@pytest.mark.parametrize(
    "function",
    [
        lambda a, b: jnp.stack([a, b]),
        lambda a, b: jax.lax.while_loop(lambda x: x < 9, lambda x: 2 * x, a) * b,
        lambda a, b: a if a > b else b,
    ],
)
def test_what_has_no_field(function):
    assert differentiate(function, 2.0, 1.0).field is None


# -- layers ---------------------------------------------------------------------------------------


def deep(scale, activation, depth=8):
    def network(params, x):
        for weights in params:
            x = activation(x @ weights)
        return jnp.sum(x**2)

    params = [scale * jax.random.normal(jax.random.key(i), (8, 8)) for i in range(depth)]
    return differentiate(network, params, jnp.ones((2, 8)), wrt="params")


def test_vanishing_layers_are_marked():
    found = deep(0.05, jax.nn.sigmoid)
    marks = [leaf.mark for leaf in found.leaves]
    assert marks[0] == "vanishing"
    assert marks[-1] == ""
    [note] = [note for note in found.notes if note.kind == "vanishing"]
    assert "`params[0]`" in note.text


def test_a_healthy_model_has_no_marks():
    found = deep(0.5, jnp.tanh)
    assert {leaf.mark for leaf in found.leaves} == {""}


def test_exploding_layers_are_marked():
    found = deep(4.0, lambda x: x)
    assert {leaf.mark for leaf in found.leaves} == {"exploding"}
    [note] = [note for note in found.notes if note.kind == "exploding"]
    assert "`params[0]`, `params[1]`, `params[2]` and 5 more" in note.text


# -- trees ----------------------------------------------------------------------------------------


def test_the_state_of_an_optimiser_is_a_tree_of_inputs():
    params = {"w": jnp.ones((2, 2)), "b": jnp.ones(2)}
    state = optax.adam(0.1).init(params)

    def size(params, state):
        moments = jax.tree_util.tree_leaves(state[0].mu)
        return sum(
            jnp.sum((p + m) ** 2) for p, m in zip(jax.tree_util.tree_leaves(params), moments, strict=True)
        )

    found = differentiate(size, params, state)
    ways = {leaf.way for leaf in found.leaves}
    assert ("params", "w") in ways
    assert ("state", "0", "mu", "w") in ways


def test_a_flax_module_is_a_tree():
    model = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
    found = differentiate(lambda model, x: jnp.sum(model(x) ** 2), model, jnp.ones((1, 3)), wrt="model")
    assert {leaf.way for leaf in found.leaves} == {("model", "kernel"), ("model", "bias")}


def test_an_equinox_module_is_a_tree():
    eqx = pytest.importorskip("equinox")
    model = eqx.nn.MLP(2, 1, 4, 1, key=jax.random.key(0))
    found = differentiate(lambda model, x: jnp.sum(model(x)), model, jnp.ones(2), wrt="model")
    assert ("model", "layers", "0", "weight") in {leaf.way for leaf in found.leaves}


# -- costs ----------------------------------------------------------------------------------------


def by_way(found):
    return {one.way: one for one in found.expenses.get()}


def test_costs_are_measured_when_asked_for():
    found = differentiate(
        lambda w, x: jnp.sum(jnp.tanh(x @ w)), jnp.ones((40, 40)), jnp.ones((9, 40)), wrt="w"
    )
    assert not found.expenses.ready
    costs = by_way(found)
    assert list(costs) == ["function", "reverse", "forward"]
    assert all(one.seconds > 0 for one in costs.values())
    assert (costs["reverse"].passes, costs["forward"].passes) == (1, 1600)
    assert costs["forward"].estimated
    assert costs["function"].bytes > 4 * 1600
    assert costs["reverse"].flops > costs["function"].flops


def test_a_mode_that_the_function_does_not_allow_is_unknown():
    found = differentiate(lambda x: jax.lax.while_loop(lambda y: y < 9, lambda y: 2 * y, x), 1.0)
    costs = by_way(found)
    assert costs["reverse"].seconds is None
    assert costs["forward"].seconds > 0


def test_higher_orders_have_no_costs():
    assert differentiate(jnp.sin, 1.0, order=2).expenses is None
