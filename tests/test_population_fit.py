"""The fit of the demo: it finds what was planted, says what it cannot find, and how sure it is."""

import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxmagic.demo import fit
from jaxmagic.demo.census import census, read
from jaxmagic.errors import JaxmagicError

EXAMPLE = Path(__file__).parent.parent / "examples" / "new_york_city.csv"
PLANTED = {"natural": 0.025, "migration": 2000.0, "capacity": 2e6, "start": 1e5}
YEARS = np.arange(1800, 2021, 10)
SLOPES = jax.jit(jax.jacobian(fit.misses))


def counts(noise=0.0, seed=0):
    people = np.asarray(fit.curve((YEARS - YEARS[0]).astype(np.float32), *PLANTED.values()), np.float64)
    return census(YEARS, people * (1 + noise * np.random.default_rng(seed).standard_normal(len(YEARS))))


@pytest.fixture(scope="module")
def last():
    return list(fit.descend(counts()))[-1]


def test_the_descent_finds_what_was_planted(last):
    assert last.number == fit.STEPS
    assert last.fitted == pytest.approx(PLANTED, rel=0.02)


def test_whoever_takes_no_further_step_has_stopped_it():
    steps = fit.descend(counts())
    first, second = next(steps), next(steps)
    steps.close()
    assert (first.number, second.number) == (0, fit.AT_FIRST)
    assert second.loss < first.loss


def test_birth_and_death_cannot_be_told_apart(last):
    shares, directions = fit.undetermined(counts(), last.fitted, death=0.008)
    assert shares[0] < 1e-6 < shares[1]
    np.testing.assert_allclose(np.abs(directions[:, 0]), [0.5**0.5, 0.5**0.5, 0, 0], atol=1e-3)
    assert directions[0, 0] * directions[1, 0] > 0  # both up together


def test_death_is_held_and_birth_follows():
    assert fit.rates(PLANTED, death=0.008) == {"birth": 0.033, "death": 0.008}


def refitted(city):
    """The least-squares fit of counts, by Gauss-Newton from what was planted."""
    years, people = (np.float32(row) for row in (city.years - city.years[0], city.counts))
    figures = np.array(list(PLANTED.values()))
    size = figures.copy()
    for _ in range(4):
        at = np.float32(figures)
        off, slopes = np.asarray(fit.misses(at, years, people)), np.asarray(SLOPES(at, years, people))
        figures = figures - size * np.linalg.lstsq(slopes * size, off, rcond=None)[0]
    return figures


def test_the_band_is_the_spread_of_fits_to_counts_drawn_anew():
    fits = [refitted(counts(0.02, seed)) for seed in range(150)]
    seen = np.std([float(fit.curve(np.float32([230.0]), *np.float32(each))[0]) for each in fits])
    unsure = fit.Uncertainty(scatter=0.02, covariance=covariance(counts(0.02)))
    band = fit.band(counts(), PLANTED, unsure, [2030])
    reach = float((band.high - band.low)[0]) / 2
    assert reach == pytest.approx(1.96 * seen, rel=0.2)


def covariance(city):
    """At the noise that was planted, not the one that the draw happens to have."""
    unsure = fit.uncertainty(city, PLANTED)
    return unsure.covariance * (0.02 / unsure.scatter) ** 2


def test_effects_are_differences_of_the_curve():
    city = counts(0.02)
    band = fit.band(city, PLANTED, fit.uncertainty(city, PLANTED), [1900])
    for name in fit.NAMES:
        more, less = (PLANTED | {name: PLANTED[name] * share} for share in (1.01, 0.99))
        since = np.float32([100.0])
        apart = float((fit.curve(since, *more.values()) - fit.curve(since, *less.values()))[0]) / 2
        assert float(band.percent_effects[name][0]) == pytest.approx(apart, rel=0.02)


def test_new_york_is_fitted_and_its_last_decades_are_held_out():
    city = read(EXAMPLE)
    known = city.until(2000)
    last = list(fit.descend(known))[-1]
    assert last.loss < 0.02
    unsure = fit.uncertainty(known, last.fitted)
    assert 0 < unsure.errors()["capacity"] < last.fitted["capacity"]
    assert np.abs(fit.forecast_errors(city.after(2000), known, last.fitted)).max() < 0.25


def test_too_few_counts_are_refused():
    with pytest.raises(JaxmagicError, match="4 counts cannot fit 4 figures"):
        fit.descend(counts().until(1830))


def test_without_optax_one_sentence_and_the_line_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "optax", None)
    with pytest.raises(JaxmagicError, match=r"Fitting needs optax.\n  pip install optax"):
        fit.descend(counts())
