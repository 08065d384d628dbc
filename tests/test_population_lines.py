"""The lines of JAX that the panels of the demo show: run as they stand, they give the panels' numbers."""

import __future__

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxmagic.demo import app, fit, fitpage, fitted, page, sliders
from jaxmagic.demo.census import read
from jaxmagic.demo.forecast import forecast
from jaxmagic.pages.blocks import Code
from jaxmagic.views import html

EXAMPLE = Path(__file__).parent.parent / "examples" / "new_york_city.csv"
CITY = {slider.name: slider.start for slider in sliders.SLIDERS[:-1]} | {"start": app.START}


def listings(tabs):
    return [block.text for tab in tabs for block in tab.blocks.get() if isinstance(block, Code)]


def run(texts, names):
    """What is defined after the listings have run, one after the other, with nothing else around."""
    for text in texts:
        flags = __future__.annotations.compiler_flag
        exec(compile(text, "<panel>", "exec", flags=flags, dont_inherit=True), names)
    return names


@pytest.fixture(scope="module")
def result():
    return fitted.fitted(read(EXAMPLE), 1, app.DEATH)


@pytest.fixture(scope="module")
def shown(result):
    """The model as the demo shows it, then every listing of the page of a fit."""
    (model,) = listings(page.evidence()[-1:])
    tabs = [tab for tab in fitpage.page(result).tabs if tab.title != "counts"]
    return run([model, *listings(tabs)], {"np": np})


@pytest.fixture(scope="module")
def known(result):
    census, last = result.known, result.path[-1].fitted
    figures = jnp.array([last[name] for name in fit.NAMES], jnp.float32)
    years = jnp.asarray(census.years - census.years[0], jnp.float32)
    return figures, years, jnp.asarray(census.counts, jnp.float32)


def test_the_panels_of_the_demo_without_counts():
    lines, model = (listings([tab]) for tab in page.evidence())
    names = run([*model, *lines], {})
    people, growth, effects = names["over_years"](
        jnp.asarray(app.YEARS - 2020, jnp.float32), *map(np.float32, CITY.values())
    )
    expected = forecast(app.YEARS, **CITY)
    np.testing.assert_allclose(people, expected.people)
    np.testing.assert_allclose(growth, expected.growth)
    np.testing.assert_allclose(effects, list(expected.effects.values()))


def test_no_panel_shows_more_than_a_few_lines(result):
    tabs = [tab for tab in fitpage.evidence(result) if tab.title != "counts"]
    for text in listings((*tabs, *page.evidence()[:1])):
        for function in text.split("\n\n"):
            assert len([line for line in function.splitlines() if line.strip()]) <= 6, function


def test_every_tab_of_a_fit_has_its_lines(result):
    assert [tab.title for tab in fitpage.page(result).tabs if not listings([tab])] == []


def test_the_page_of_a_fit_is_small_enough_to_keep(result):
    assert len(html.render(fitpage.page(result))) < 50_000


def test_the_curve_and_its_band(result, shown, known):
    figures, _, _ = known
    years = jnp.asarray(result.years - result.years[0], jnp.float32)
    people, band = shown["curve"](years, *figures), result.band
    half = shown["reach"](figures, years, result.unsure.covariance)
    np.testing.assert_allclose(people, band.people, rtol=1e-6)
    np.testing.assert_allclose(half, (band.high - band.low) / 2, rtol=1e-5)


def test_the_errors_of_the_figures(result, shown, known):
    np.testing.assert_allclose(shown["covariance"](*known), result.unsure.covariance, rtol=1e-9)


def test_the_held_out_count(result, shown, known):
    later = result.city.after(result.known.years[-1])
    years = jnp.asarray(later.years - result.known.years[0], jnp.float32)
    off = shown["misses"](known[0], years, jnp.asarray(later.counts, jnp.float32))
    np.testing.assert_allclose(off, result.errors, rtol=1e-6)


def test_the_sensitivity(result, shown, known):
    last = jnp.asarray([result.years[-1] - result.years[0]], jnp.float32)
    (by_figure,) = shown["sensitivity"](known[0], last)
    np.testing.assert_allclose(by_figure, [effect[-1] for effect in result.band.effects.values()], rtol=1e-5)


def test_what_the_counts_leave_open(result, shown, known):
    (natural, *rest, start), *counts = known
    rates = jnp.stack([natural + result.death, jnp.float32(result.death), *rest])
    values = np.linalg.eigvalsh(shown["hessian"](rates, start, *counts))
    np.testing.assert_allclose(values / values[-1], result.shares, atol=1e-9)


def test_the_descent(result, shown, known):
    _, *counts = known
    adam = optax.adam(optax.cosine_decay_schedule(fit.RATE, fit.STEPS))
    scaled = fit._first(result.known)
    state = adam.init(scaled)
    assert float(shown["loss"](scaled, *counts)) == pytest.approx(result.path[0].loss)
    step = jax.jit(lambda scaled, state: shown["step_down"](scaled, state, adam, *counts))
    for _ in range(fit.AT_FIRST):
        scaled, state = step(scaled, state)
    assert float(shown["loss"](scaled, *counts)) == pytest.approx(result.path[1].loss, rel=1e-3)
