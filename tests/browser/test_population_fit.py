"""The fit in JupyterLab: it moves, stops when told, ends at the best city, and can be saved."""

import csv
from pathlib import Path

import pytest

from jaxmagic.demo import app, fitted
from jaxmagic.demo.census import read

pytestmark = pytest.mark.browser

EXAMPLE = Path(__file__).parents[2] / "examples" / "new_york_city.csv"


@pytest.fixture(scope="module")
def demo(open_notebook):
    page = open_notebook("fit.ipynb", f"import jaxmagic; jaxmagic.population({str(EXAMPLE)!r})")
    page.wait_for_selector(".jm-pop-people")
    return page


@pytest.fixture(scope="module")
def best():
    result = fitted.fitted(read(EXAMPLE), 1, app.DEATH)
    return app._city(result.path[-1], result.death)


def told(page):
    return page.locator(".jm-pop-told").text_content()


def wait_until_told(page, begins):
    page.wait_for_function(
        "(text) => document.querySelector('.jm-pop-told').textContent.startsWith(text)", arg=begins
    )


def sliders(page):
    return [
        float(control.input_value()) for control in page.locator(".jm-pop-slider input[type=range]").all()[:4]
    ]


def press(page, name):
    page.get_by_role("button", name=name, exact=True).click()


def test_it_opens_at_the_fit_with_the_counts_and_the_band(demo, best):
    assert sliders(demo) == pytest.approx(list(best.values())[:4])
    assert demo.locator(".jm-pop-count").count() == 23
    assert demo.locator(".jm-pop-held").count() == 1
    assert demo.locator(".jm-pop-band").get_attribute("d")
    said = demo.locator(".jm-pop-found").text_content()
    assert said.startswith("Fitted to 23 counts from 1790 to 2010, the curve reaches 8.06 million")
    assert said.endswith("misses the held-out count of 2020 by −8.8 %.")


def test_a_stop_is_heard_and_leaves_sliders_curve_and_words_agreeing(demo, best):
    press(demo, "fit")
    wait_until_told(demo, "step 1")
    press(demo, "stop")
    assert told(demo).startswith("stopped at step ")
    assert told(demo).endswith("not the best fit")
    stood = sliders(demo)
    assert stood != pytest.approx(list(best.values())[:4], rel=1e-3)
    curve = demo.locator(".jm-pop-people").get_attribute("d")
    assert demo.locator(".jm-pop-band").get_attribute("d") == ""
    demo.wait_for_timeout(400)
    assert sliders(demo) == stood
    assert demo.locator(".jm-pop-people").get_attribute("d") == curve
    assert demo.locator(".jm-pop [role=status]").text_content() == told(demo)


def test_it_ends_at_the_best_city_with_its_loss_drawn(demo, best):
    press(demo, "fit")
    wait_until_told(demo, "fitted: step 3,000 of 3,000")
    assert sliders(demo) == pytest.approx(list(best.values())[:4], rel=1e-6)
    assert demo.locator(".jm-pop-loss path").get_attribute("d").count("L") == 60
    assert demo.locator(".jm-pop-band").get_attribute("d")
    assert demo.get_by_role("button", name="stop", exact=True).is_disabled()


def test_a_preset_leads_back_from_a_stopped_fit(demo, best):
    press(demo, "fit")
    wait_until_told(demo, "step 1")
    press(demo, "stop")
    press(demo, "the fit")
    demo.wait_for_function("() => document.querySelector('.jm-pop-band').getAttribute('d')")
    assert sliders(demo) == pytest.approx(list(best.values())[:4])


def test_the_fitted_numbers_can_be_saved(demo, best, tmp_path):
    with demo.expect_download() as download:
        press(demo, "CSV")
    download.value.save_as(tmp_path / "x.csv")
    rows = list(csv.DictReader((tmp_path / "x.csv").open()))
    assert [rows[0]["year"], rows[-1]["year"]] == ["1790", "2050"]
    assert float(rows[0]["start"]) == pytest.approx(best["start"])
