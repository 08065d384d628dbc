"""The demo's model: its law, its limits, its derivatives, and what it refuses."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from jaxmagic.demo import population as model
from jaxmagic.demo.forecast import RATES, check, forecast
from jaxmagic.errors import JaxmagicError

CITY = {"birth": 0.014, "death": 0.009, "migration": 4000.0, "capacity": 2.5e6, "start": 1.2e6}
YEARS = np.arange(2020, 2101)

cities = st.fixed_dictionaries(
    {
        "birth": st.floats(0, 0.05),
        "death": st.floats(0, 0.05),
        "migration": st.floats(-10_000, 20_000),
        "capacity": st.floats(1.3e6, 5e6),
        "start": st.just(1.2e6),
    }
)


def law(people, birth, death, migration, capacity, start=None):
    return ((birth - death) * people + migration) * (1 - people / capacity)


def integrated(city, years):
    """The law, integrated by SciPy: another way to the same numbers."""
    solution = solve_ivp(
        lambda _, people: law(people, **city),
        (0, years[-1]),
        [city["start"]],
        t_eval=years,
        rtol=1e-10,
        atol=1e-4,
    )
    return solution.y[0]


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"birth": 0.05},
        {"death": 0.05},
        {"migration": -10_000.0},
        {"birth": 0.009, "migration": 0.0},  # nothing changes
        {"birth": 0.009},  # natural growth is 0
        {"birth": 0.0, "death": 0.0016, "migration": 4000.0},  # natural + migration / capacity is 0
        {"capacity": 1.21e6},
        {"start": 0.0},
    ],
)
def test_the_solution_follows_the_law(change):
    city = CITY | change
    years = np.linspace(0, 40, 41)
    with jax.enable_x64():
        people = jax.vmap(lambda t: model.population(t, **city))(years)
        growth = jax.vmap(lambda t: model.growth(t, **city))(years)
    np.testing.assert_allclose(people, integrated(city, years), rtol=1e-7)
    np.testing.assert_allclose(growth, law(np.asarray(people), **city), rtol=1e-7, atol=1e-3)


@settings(max_examples=60, deadline=None)
@given(city=cities)
def test_in_single_precision_it_stays_within_a_few_people(city):
    with jax.enable_x64():
        exact = jax.vmap(lambda t: model.population(t, **city))(np.linspace(0, 80, 81))
    result = forecast(YEARS, **city)
    np.testing.assert_allclose(result.people, exact, rtol=5e-6, atol=5)
    lived_in = np.asarray(exact) > 100  # an empty city stays empty, which the law does not say
    expected = law(np.asarray(exact), **city)
    np.testing.assert_allclose(result.growth[lived_in], expected[lived_in], rtol=1e-4, atol=2)


@settings(max_examples=60, deadline=None)
@given(city=cities)
def test_effects_are_the_derivatives_of_the_law_by_each_rate(city):
    """Held against central differences in float64 of the growth."""
    result = forecast(YEARS, **city)
    with jax.enable_x64():
        for name in RATES:
            step = 1e-4 * max(abs(city[name]), 1e-3)
            more, less = (city | {name: city[name] + sign * step} for sign in (1, -1))
            at = jnp.float64(20.0)
            difference = float(model.growth(at, **more) - model.growth(at, **less)) / (2 * step)
            scale = max(abs(city[name]), 1e-3)
            assert result.effects[name][20] * scale == pytest.approx(difference * scale, rel=2e-3, abs=2)


def test_the_start_is_exact_and_time_zero_is_differentiable():
    assert model.population(0.0, **CITY) == 1.2e6
    assert float(model.growth(0.0, **CITY)) == pytest.approx(law(1.2e6, **CITY), rel=1e-6)


def test_mean_exp_is_smooth_through_zero():
    with jax.enable_x64():
        around = jnp.array([-1.0, -0.0501, -0.05, -0.0499, -1e-9, 0.0, 1e-9, 0.0499, 0.05, 0.0501, 1.0])
        for order, derivative in enumerate((model.mean_exp, jax.grad(model.mean_exp))):
            exact = [1.0 / (order + 1) if x == 0 else None for x in np.asarray(around)]
            values = jax.vmap(derivative)(around)
            assert np.isfinite(values).all()
            assert np.abs(np.diff(np.asarray(values)[1:4])).max() < 1e-4
            assert values[5] == exact[5]


@pytest.mark.parametrize(
    ("change", "end"),
    [
        ({"birth": 1.0, "death": 0.0, "migration": 2e4}, 2.5e6),
        ({"birth": 1.0, "death": 0.0, "migration": 2.5e6}, 2.5e6),
        ({"birth": 0.0, "death": 1.0, "migration": 0.0}, 0.0),
        ({"birth": 0.0, "death": 1.0, "migration": -1e5}, 0.0),
        ({"birth": 0.0, "death": 1.0, "migration": -2.5e6}, 0.0),
    ],
)
def test_a_city_at_its_limits_is_full_or_empty_and_has_finite_derivatives(change, end):
    result = forecast(YEARS, **CITY | change)
    assert result.people.min() >= 0
    assert result.people.max() <= 2.5e6 * (1 + 2e-7)  # rounding
    assert result.people[-1] == pytest.approx(end, abs=1)
    assert result.growth[-1] == pytest.approx(0, abs=1)
    for effect in result.effects.values():
        assert np.isfinite(effect).all()


def test_people_a_year_by_the_percent():
    result = forecast(YEARS, **CITY)
    percent = result.percent_effects()
    more = forecast(YEARS, **CITY | {"birth": 0.014 * 1.01})
    assert percent["birth"][20] == pytest.approx(more.growth[20] - result.growth[20], rel=0.02)
    assert list(percent) == ["birth", "death", "migration", "capacity"]


def test_new_rates_compile_nothing():
    forecast(YEARS, **CITY)
    before = model.over_years._cache_size()
    for birth in (0.01, 0.02, 0):
        forecast(YEARS, **CITY | {"birth": birth, "start": 1_000_000})
    assert model.over_years._cache_size() == before


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"birth": 1.4}, r"birth is a share of the people a year: between 0 and 1 \(100 %\), not 1.4"),
        ({"birth": -0.1}, "birth is a share"),
        ({"death": 2.0}, "death is a share"),
        ({"capacity": -1.0}, "capacity counts people: more than 0, not -1"),
        ({"capacity": 0.0}, "capacity counts people"),
        ({"capacity": 1.0e6}, "must be above the 1.2e.06 people who already live"),
        ({"start": -5.0}, "start counts people"),
        ({"migration": 3e6}, "is more than the whole capacity"),
        ({"birth": float("nan")}, "birth must be a number, not nan"),
        ({"capacity": float("inf")}, "capacity must be a number, not inf"),
    ],
)
def test_what_no_city_can_be_is_refused_with_the_reason(change, reason):
    with pytest.raises(ValueError, match=reason):
        check(**CITY | change)
    with pytest.raises(JaxmagicError, match=reason) as refused:
        forecast(YEARS, **CITY | change)
    assert refused.value.fix


def test_the_model_that_is_shown_runs_by_itself():
    """A reader can copy the text of the file into a cell."""
    namespace = {}
    exec(compile(inspect.getsource(model), "<cell>", "exec"), namespace)
    assert namespace["population"](20.0, **CITY) == model.population(20.0, **CITY)
    assert len(inspect.getsource(model).splitlines()) < 70
