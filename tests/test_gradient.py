"""Derivatives by name: which inputs, which structure, which mode, and what is said of the rest."""

from __future__ import annotations

import dataclasses
import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jaxmagic
from jaxmagic import differentiate
from jaxmagic.analysis import curves
from jaxmagic.analysis.gradient import derive
from jaxmagic.errors import BadTarget, CannotDifferentiate, CannotTrace, JaxmagicError
from jaxmagic.target import ArrayType, Target


def population(start, birth, death, migration, years):
    rate = birth - death
    return start * jnp.exp(rate * years) + migration * (jnp.exp(rate * years) - 1) / rate


CITY = {"start": 1.2e6, "birth": 0.014, "death": 0.009, "migration": 4e3, "years": 10.0}


def same(found, expected):
    """The same trees, bit by bit."""
    assert jax.tree_util.tree_structure(found) == jax.tree_util.tree_structure(expected)
    pairs = zip(jax.tree_util.tree_leaves(found), jax.tree_util.tree_leaves(expected), strict=True)
    for a, b in pairs:
        np.testing.assert_array_equal(a, b)
        assert a.dtype == b.dtype


def kinds(result):
    return [note.kind for note in result.notes]


# -- by name --------------------------------------------------------------------------------------


def test_every_partial_by_name_exactly_as_jax_grad_gives_it():
    found = differentiate(population, **CITY)
    expected = jax.grad(population, argnums=(0, 1, 2, 3, 4))(*CITY.values())
    assert list(found.partials) == list(CITY)
    for name, partial in zip(CITY, expected, strict=True):
        same(found.partials[name], partial)
    same(found.value, population(**{name: jnp.float32(value) for name, value in CITY.items()}))
    assert (found.name, found.output.type, found.mode, found.order) == ("population", "f32[]", "reverse", 1)
    assert found.check.ok is True
    assert found.check.error < 1e-9
    assert found.check.how == "central differences in float64"
    assert [leaf.check.ok for leaf in found.leaves] == [True] * 5
    assert found.device == "cpu:0"


def test_wrt_chooses_and_keeps_its_order():
    found = differentiate(population, **CITY, wrt="death, birth")
    assert list(found.partials) == ["death", "birth"]
    assert [leaf.path for leaf in found.leaves] == ["birth", "death"]
    assert list(differentiate(population, **CITY, wrt=["years"]).partials) == ["years"]


def test_positional_keyword_and_variadic_inputs():
    def f(a, *rest, scale=1.0, **more):
        return a * rest[0] * scale + more["b"] * rest[1]

    found = differentiate(f, 2.0, 3.0, 5.0, b=7.0)
    assert {name: float(value) for name, value in found.partials.items()} == {
        "a": 3.0,
        "rest[0]": 2.0,
        "rest[1]": 7.0,
        "b": 5.0,
    }


PARAMS = {"dense": {"kernel": jnp.arange(6.0).reshape(2, 3) + 1, "bias": jnp.ones(3)}, "scale": 2.0}


def loss(params, x):
    layer = params["dense"]
    return jnp.sum(jnp.tanh(x @ layer["kernel"] + layer["bias"])) * params["scale"]


def test_pytrees_keep_their_structure():
    x = jnp.array([[0.1, -0.2]])
    found = differentiate(loss, PARAMS, x)
    expected = jax.grad(loss, argnums=(0, 1))(PARAMS, x)
    same(found.partials["params"], expected[0])
    same(found.partials["x"], expected[1])
    paths = ["params['dense']['bias']", "params['dense']['kernel']", "params['scale']", "x"]
    assert [leaf.path for leaf in found.leaves] == paths


@pytest.mark.parametrize("way", ["params.dense.kernel", "params['dense']['kernel']", "params/dense/kernel"])
def test_a_path_reaches_inside(way):
    x = jnp.array([[0.1, -0.2]])
    found = differentiate(loss, PARAMS, x, wrt=way)
    assert list(found.partials) == [way]
    same(found.partials[way], jax.grad(loss)(PARAMS, x)["dense"]["kernel"])


def test_a_path_to_a_part_of_a_tree():
    found = differentiate(loss, PARAMS, jnp.array([[0.1, -0.2]]), wrt="params.dense")
    assert sorted(found.partials["params.dense"]) == ["bias", "kernel"]


@dataclasses.dataclass
class Rates:
    birth: float
    death: float
    label: str = "city"


def test_plain_dataclasses_are_opened():
    found = differentiate(
        lambda rates, start: start * jnp.exp(rates.birth - rates.death), Rates(0.3, 0.1), 2.0
    )
    partial = found.partials["rates"]
    assert isinstance(partial, Rates)
    assert partial.label is None
    np.testing.assert_allclose(partial.birth, 2 * np.exp(0.2), rtol=1e-6)
    np.testing.assert_allclose(partial.death, -2 * np.exp(0.2), rtol=1e-6)
    assert [leaf.path for leaf in found.leaves] == ["rates.birth", "rates.death", "start"]


def test_lists_and_numbers_inside_containers():
    found = differentiate(lambda xs, how: xs[0] * xs[1] * how["times"], [2.0, 3.0], {"times": 4})
    assert [float(x) for x in found.partials["xs"]] == [12.0, 8.0]
    assert "how" not in found.partials


def test_flax_modules():
    model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))

    def squares(model, x):
        return jnp.sum(model(x) ** 2)

    x = jnp.ones((1, 2))
    found = differentiate(squares, model, x, wrt="model")
    expected = jax.grad(squares)(model, x)
    same(found.partials["model"], expected)
    assert found.check.ok is True
    inside = differentiate(squares, model, x, wrt="model.kernel")
    np.testing.assert_array_equal(
        jax.tree_util.tree_leaves(inside.partials["model.kernel"])[0], expected.kernel[...]
    )


def test_a_flax_module_with_random_state_leaves_that_out():
    class Net(nnx.Module):
        def __init__(self, rngs):
            self.layer = nnx.Linear(2, 3, rngs=rngs)
            self.drop = nnx.Dropout(0.5, rngs=rngs, deterministic=True)

        def __call__(self, x):
            return self.drop(self.layer(x))

    found = differentiate(lambda net, x: net(x).sum(), Net(nnx.Rngs(0)), jnp.ones((1, 2)))
    assert [leaf.path for leaf in found.leaves] == ["net.layer.bias", "net.layer.kernel", "x"]
    assert "left out" in kinds(found)


# -- outputs --------------------------------------------------------------------------------------


def test_an_array_out_is_a_jacobian_by_the_cheaper_mode():
    matrix = jnp.arange(12.0).reshape(4, 3)
    tall = differentiate(lambda x: jnp.sin(matrix @ x), jnp.array([1.0, 2.0, 3.0]))
    wide = differentiate(lambda x: jnp.sin(x @ matrix), jnp.ones(4))
    assert (tall.mode, wide.mode) == ("forward", "reverse")
    assert tall.partials["x"].shape == (4, 3)
    np.testing.assert_allclose(
        tall.partials["x"], jax.jacobian(lambda x: jnp.sin(matrix @ x))(jnp.array([1.0, 2.0, 3.0])), rtol=1e-6
    )
    same(wide.partials["x"], jax.jacobian(lambda x: jnp.sin(x @ matrix))(jnp.ones(4)))
    assert (tall.check.ok, wide.check.ok) == (True, True)
    assert tall.leaves[0].rows == 1


def test_a_dict_out_is_a_dict_of_derivatives():
    def f(x, y):
        return {"sum": x + y.sum(), "scaled": x * y, "count": 3, "name": None}

    found = differentiate(f, 2.0, jnp.ones(3))
    assert sorted(found.partials["x"]) == ["count", "name", "scaled", "sum"]
    assert found.partials["x"]["count"] is None
    assert found.partials["y"]["scaled"].shape == (3, 3)
    np.testing.assert_array_equal(found.partials["x"]["scaled"], np.ones(3))
    assert {leaf.output for leaf in found.leaves} == {"f['scaled']", "f['sum']"}
    assert found.check.ok is True


def test_a_hessian_of_several_by_pairs_of_names():
    found = differentiate(lambda x, y: x**2 * y**3, 2.0, 3.0, order=2)
    numbers = {a: {b: float(v) for b, v in row.items()} for a, row in found.partials.items()}
    assert numbers == {"x": {"x": 54.0, "y": 108.0}, "y": {"x": 108.0, "y": 72.0}}
    assert [leaf.by for leaf in found.leaves] == [("x", "x"), ("x", "y"), ("y", "x"), ("y", "y")]
    assert found.check.ok is True


def test_a_hessian_of_one_input_is_as_jax_hessian_gives_it():
    def f(x):
        return jnp.sum(jnp.sin(x) * x[::-1])

    x = jnp.array([0.3, 0.7, 1.1])
    found = differentiate(f, x, order=2)
    same(found.partials["x"], jax.hessian(f)(x))


# -- whole numbers and the rest -------------------------------------------------------------------


def test_a_python_int_is_cast_and_said():
    found = differentiate(population, **(CITY | {"years": 10}))
    assert float(found.partials["years"]) == pytest.approx(10512.7, rel=1e-5)
    assert [n.text for n in found.notes] == [
        "`years` was a whole number; it was cast to a float (10 became 10.0)."
    ]


@pytest.mark.parametrize(
    "f",
    [
        lambda x, n: jnp.sum(x[:n]),
        lambda x, n: jnp.sum(x) * jnp.zeros(n).shape[0],
        lambda x, n: jnp.sum(jnp.sum(x[None], axis=n - 2)),
        lambda x, n: sum((x[0] for _ in range(n)), 0.0),
    ],
    ids=["slice", "shape", "axis", "range"],
)
def test_an_int_that_has_to_stay_whole_is_left_out_and_said(f):
    found = differentiate(f, jnp.arange(1.0, 4.0), 2)
    assert list(found.partials) == ["x"]
    assert [n.text for n in found.notes] == [
        "`n` is left out: used as a whole number (a size, a count, an index)."
    ]


def test_an_exponent_of_a_negative_number_stays_whole():
    found = differentiate(lambda x, n: x**n, -2.0, 3)
    assert {name: float(value) for name, value in found.partials.items()} == {"x": 12.0}


def test_the_value_is_what_the_function_returns_for_the_int():
    assert float(differentiate(lambda x, n: x * n, 2.0, 3).value) == 6.0


def test_whole_arrays_flags_and_keys_are_left_out_and_said():
    def f(x, labels, training, key, how):
        noise = jax.random.normal(key, (2,))
        return jnp.sum(x[labels] * noise) if training else x.sum()

    found = differentiate(f, jnp.ones(3), jnp.array([0, 1]), training=True, key=jax.random.key(0), how="sum")
    assert list(found.partials) == ["x"]
    assert [n.text for n in found.notes] == [
        "`labels` is an array of whole numbers: left out.",
        "`training` is true or false: left out.",
        "`key` is a random key: left out.",
    ]
    assert found.check.ok is True


def test_whole_arrays_are_cast_when_asked_for():
    found = differentiate(lambda x, n: jnp.sum(x * n), 2.0, jnp.array([1, 2]), wrt="n")
    np.testing.assert_array_equal(found.partials["n"], [2.0, 2.0])
    assert kinds(found) == ["cast"]


def test_numpy_inputs_and_half_precision():
    found = differentiate(lambda x, y: jnp.sum(x * y), np.arange(3.0), jnp.ones(3, jnp.bfloat16))
    assert found.check.ok is True
    assert found.leaves[1].type == "bf16[3]"


# -- what cannot be -------------------------------------------------------------------------------

REFUSED = {
    "string input": (lambda s: 1.0, ("a",), {}, "No input has a derivative: `s` is not a number."),
    "flag": (lambda s: 1.0, (True,), {}, "No input has a derivative: `s` is true or false."),
    "string output": (
        lambda x: "a",
        (1.0,),
        {},
        "returns no floating-point number: its output is not a number.",
    ),
    "comparison": (
        lambda x: x > 0,
        (1.0,),
        {},
        "returns no floating-point number: its output is true or false.",
    ),
    "no output": (lambda x: None, (1.0,), {}, "returns nothing."),
    "no input": (lambda: 1.0, (), {}, "has no inputs"),
    "type": (lambda x: x.sum(), (ArrayType("f32", (3,)),), {}, "`x` is a type without values"),
    "order": (lambda x: x, (1.0,), {"order": 0}, "The order of a derivative is 1 or more, not 0."),
    "too large": (lambda x: jnp.outer(x, x), (jnp.ones(1000),), {}, "holds 1,000,000,000 numbers"),
    "numpy": (lambda x: np.sin(x), (jnp.ones(3),), {}, "NumPy cannot compute with a value that JAX traces"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_differentiated_is_one_clear_error(case):
    f, args, options, words = REFUSED[case]
    with pytest.raises((CannotDifferentiate, CannotTrace)) as caught:
        differentiate(f, *args, **options)
    assert words in caught.value.message
    assert caught.value.fix


def test_an_unknown_name_lists_those_there_are():
    with pytest.raises(BadTarget) as caught:
        differentiate(population, **CITY, wrt="brith")
    assert caught.value.message == "`population` has no input `brith`."
    assert caught.value.fix == "Its inputs are `start`, `birth`, `death`, `migration`, `years`."


def test_an_unknown_part_lists_those_there_are():
    with pytest.raises(BadTarget) as caught:
        differentiate(loss, PARAMS, jnp.ones((1, 2)), wrt="params.dense.kernle")
    assert caught.value.message == "`params.dense` has no part `kernle`."
    assert caught.value.fix == "Its parts are `bias`, `kernel`."


def test_the_users_own_error_comes_out_as_it_is():
    mine = ValueError("rate must be positive")

    def f(x):
        raise mine

    with pytest.raises(ValueError, match="rate must be positive") as caught:
        differentiate(f, 1.0)
    assert caught.value is mine


def test_an_in_place_assignment_is_told_with_its_line():
    def f(x):
        x[0] = 1.0
        return x.sum()

    with pytest.raises(JaxmagicError) as caught:
        differentiate(f, jnp.ones(3))
    assert caught.value.excerpt == "        x[0] = 1.0"


# -- as it is now, and as it was before -----------------------------------------------------------

RATE = 2.0


def test_a_changed_global_inside_a_jitted_function_is_never_stale(monkeypatch):
    @jax.jit
    def inner(x):
        return RATE * x

    def f(x):
        return inner(x) ** 2

    assert float(differentiate(f, 1.0).partials["x"]) == 8.0
    monkeypatch.setitem(globals(), "RATE", 3.0)
    found = differentiate(f, 1.0)
    assert (float(found.value), float(found.partials["x"])) == (9.0, 18.0)
    assert found.check.ok is True
    assert found.curve.ys[1][found.curve.x.index(1.0)] == pytest.approx(18.0)


def test_the_users_settings_and_arrays_are_as_before():
    x = np.arange(3.0)
    before = x.copy(), jax.config.jax_enable_x64, jax.numpy.ones(2).dtype
    differentiate(lambda x: jnp.sum(x**2), x)
    with pytest.raises(JaxmagicError):
        differentiate(lambda x: np.sin(x), jnp.ones(3))
    np.testing.assert_array_equal(x, before[0])
    assert (jax.config.jax_enable_x64, jax.numpy.ones(2).dtype) == before[1:]


def test_the_function_prints_once(capsys):
    def f(x):
        print("called")
        return x**2

    differentiate(f, 2.0)
    assert capsys.readouterr().out == "called\n"


def test_what_a_slow_function_prints_is_heard_while_it_runs(capsys):
    heard = []

    def f(x):
        print("called")
        heard.append(capsys.readouterr().out)
        return x**2

    differentiate(f, 2.0)
    assert heard[0] == "called\n"
    assert not any(heard[1:])


def test_python_branches_on_values_are_allowed():
    found = differentiate(lambda x: x**2 if x > 0 else -x, 3.0)
    assert float(found.partials["x"]) == 6.0
    assert found.check.ok is True
    assert found.curve is not None


def test_reverse_mode_is_left_where_a_loop_does_not_allow_it():
    def f(x):
        return jax.lax.while_loop(lambda x: x < 10, lambda x: x * 2, x)

    found = differentiate(f, 1.0)
    assert (found.mode, float(found.partials["x"]), found.check.ok) == ("forward", 16.0, True)
    assert kinds(found) == ["mode"]
    assert found.curve is None  # from 0 and below, this loop would never end


def test_a_loop_of_pythons_that_never_ends_elsewhere_is_a_gap_there(monkeypatch):
    def f(x):
        while x < 10:
            x = x * 2
        return x

    monkeypatch.setattr(curves, "PATIENCE", 0.5)
    found = differentiate(f, 1.0)
    assert (float(found.partials["x"]), found.check.ok) == (16.0, True)
    assert np.isnan(found.curve.ys[0][0])
    assert sys.gettrace() is None


def test_forward_mode_is_left_where_a_rule_does_not_allow_it():
    @jax.custom_vjp
    def twice(x):
        return 2 * x

    twice.defvjp(lambda x: (2 * x, None), lambda _, g: (2 * g,))
    found = differentiate(lambda x: jnp.stack([twice(x), x]), 1.0)
    assert (found.mode, found.check.ok) == ("reverse", True)
    np.testing.assert_array_equal(found.partials["x"], [2.0, 1.0])


# -- the curve ------------------------------------------------------------------------------------


def test_a_curve_where_one_number_goes_in_and_out():
    curve = differentiate(lambda x: x**3, 2.0).curve
    assert (curve.shown, curve.at) == ((0.0, 4.0), 2.0)
    assert len(curve.ys) == 3
    here = curve.x.index(2.0)
    np.testing.assert_allclose([ys[here] for ys in curve.ys], [8.0, 12.0, 12.0], rtol=1e-12)


def test_the_edge_of_the_domain_is_a_gap():
    curve = differentiate(lambda x: jnp.sqrt(x - 1.5), 2.0).curve
    outside = [np.isnan(y) for x, y in zip(curve.x, curve.ys[0], strict=True) if x < 1.5]
    assert outside
    assert all(outside)
    assert not any(np.isnan(y) for x, y in zip(curve.x, curve.ys[0], strict=True) if x >= 1.5)


def test_no_curve_where_more_goes_in_or_out():
    assert differentiate(lambda x, y: x * y, 1.0, 2.0).curve is None
    assert differentiate(lambda x: jnp.stack([x, x]), 1.0).curve is None
    assert differentiate(lambda x: x.sum(), jnp.ones(1)).curve is None


# -- large ----------------------------------------------------------------------------------------


def test_a_million_parameters_cost_a_few_directions(monkeypatch):
    calls = 0

    def f(w, b):
        jax.debug.callback(count)
        return jnp.sum(jnp.tanh(w) * b)

    def count():
        nonlocal calls
        calls += 1

    found = differentiate(f, jnp.linspace(0.0, 1.0, 1_000_000).reshape(1000, 1000), jnp.ones(1000))
    jax.effects_barrier()
    assert found.check.ok is True
    assert calls < 150


# -- the same by both doors -----------------------------------------------------------------------


def test_derive_and_differentiate_are_one():
    target = Target(function=population, kwargs=CITY, name="city")
    assert derive(target, wrt="birth").name == "city"
    assert jaxmagic.differentiate is differentiate


def test_leaves_are_plain_data():
    found = differentiate(loss, PARAMS, jnp.array([[0.1, -0.2]]))
    for leaf in found.leaves:
        assert isinstance(leaf.value, np.ndarray)
        json.dumps([leaf.path, leaf.type, leaf.value.tolist(), leaf.check.ok, leaf.check.error])


@pytest.mark.parametrize(
    "function",
    [lambda x: jnp.sum(x**2), lambda x: jnp.sum(x**2) if x[-1] > 0 else jnp.sum(x)],
    ids=["under jit", "as it is, as it chooses by a value"],
)
def test_a_large_derivative(function):
    large = jnp.linspace(0.0, 1.0, 100_001)
    found = differentiate(function, large)
    same(found.partials["x"], 2 * large)
    assert found.check.ok
