"""The fit in JupyterLab: it moves, stops when told, ends at the best city, and can be saved."""

import csv
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from jaxmagic.demo import app, fitted
from jaxmagic.demo.census import read

pytestmark = pytest.mark.browser

EXAMPLE = Path(__file__).parents[2] / "examples" / "new_york_city.csv"


@pytest.fixture(scope="module")
def opened(open_notebook):
    """The demo run once; each test starts from the fit."""
    page = open_notebook("fit.ipynb", f"import jaxmagic; jaxmagic.population({str(EXAMPLE)!r})")
    page.wait_for_selector(".jm-pop-people")
    return page


@pytest.fixture
def demo(opened):
    lead_back(opened)
    return opened


@pytest.fixture(scope="module")
def result():
    return fitted.fitted(read(EXAMPLE), 1, app.DEATH)


@pytest.fixture(scope="module")
def best(result):
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


def lead_back(page):
    press(page, "the fit")
    page.wait_for_function("() => document.querySelector('.jm-pop-found').textContent.startsWith('Fitted')")


def test_it_opens_at_the_fit_with_the_counts_and_the_band(opened, best):
    assert sliders(opened) == pytest.approx(list(best.values())[:4])
    assert opened.locator(".jm-pop-count").count() == 23
    assert opened.locator(".jm-pop-held").count() == 1
    assert opened.locator(".jm-pop-band").get_attribute("d")
    said = opened.locator(".jm-pop-found").text_content()
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
    assert demo.locator(".jm-pop-loss path").get_attribute("d").count("L") == 96
    assert demo.locator(".jm-pop-band").get_attribute("d")
    assert demo.get_by_role("button", name="stop", exact=True).is_disabled()


def test_a_preset_leads_back_from_a_stopped_fit(demo, best):
    press(demo, "fit")
    wait_until_told(demo, "step 1")
    press(demo, "stop")
    assert demo.locator(".jm-pop-band").get_attribute("d") == ""
    lead_back(demo)
    assert demo.locator(".jm-pop-band").get_attribute("d")
    assert sliders(demo) == pytest.approx(list(best.values())[:4])


def saved(page, kind, path):
    with page.expect_download() as download:
        press(page, kind)
    download.value.save_as(path)
    return path


def test_the_fitted_numbers_can_be_saved_with_band_and_counts(demo, best, result, tmp_path):
    rows = list(csv.DictReader(saved(demo, "CSV", tmp_path / "x.csv").open()))
    assert [rows[0]["year"], rows[-1]["year"]] == ["1790", "2050"]
    assert float(rows[0]["start"]) == pytest.approx(best["start"])
    low, high = ([float(row[name]) for row in rows] for name in ("people_low_95", "people_high_95"))
    assert low == pytest.approx(list(map(float, result.band.low)), rel=1e-6)
    assert high == pytest.approx(list(map(float, result.band.high)), rel=1e-6)
    counted = {row["year"]: (float(row["counted"]), row["count"]) for row in rows if row["counted"]}
    assert len(counted) == 24
    assert [counted["2010"], counted["2020"]] == [(8175133, "fitted"), (8804190, "held out")]


def test_the_fitted_figure_can_be_saved(demo, tmp_path):
    svg = ElementTree.parse(saved(demo, "SVG", tmp_path / "x.svg")).getroot()
    texts = {node.text for node in svg.iter("{http://www.w3.org/2000/svg}text")}
    assert {"population, millions", "capacity 8.07 million", "1800", "2000"} <= texts
    assert len(list(svg.iter("{http://www.w3.org/2000/svg}circle"))) >= 24
    assert "var(" not in (tmp_path / "x.svg").read_text()
    png = saved(demo, "PNG", tmp_path / "x.png").read_bytes()
    assert png.startswith(b"\x89PNG")
    assert len(png) > 10_000


def test_off_the_fit_it_says_how_far_and_draws_no_band(demo):
    press(demo, "no migration")
    demo.wait_for_function(
        "() => document.querySelector('.jm-pop-found').textContent.startsWith('Not the fit')"
    )
    said = demo.locator(".jm-pop-found").text_content()
    assert re.fullmatch(
        r"Not the fit: this curve misses the counts by [\d.]+ % \(root mean square\) "
        r"and the held-out count of 2020 by −[\d.]+ %\.",
        said,
    )
    assert demo.locator(".jm-pop-band").get_attribute("d") == ""


@pytest.mark.parametrize(
    ("tab", "said"),
    [
        ("held out", "In 2020, which the fit never saw, 8.80 million were counted"),
        ("sensitivity", "The forecast for 2050 hangs most on the capacity"),
        ("what counts cannot tell", "the Hessian is 0 in that direction"),
        ("descent", "The loss falls from"),
        ("counts", "2020   8,804,190"),
        ("the JAX", "def reach("),
    ],
)
def test_what_the_fit_rests_on_stands_below_it(demo, tab, said):
    demo.get_by_role("tab", name=tab, exact=True).click()
    panel = demo.locator(".jm-panel:visible")
    assert said in panel.text_content()
    if tab == "descent":
        panel.locator("canvas").wait_for()


def test_it_fits_a_page_of_320_pixels(demo):
    size = demo.viewport_size
    demo.set_viewport_size({"width": 670, "height": 900})
    demo.wait_for_timeout(400)
    root = demo.locator(".jm-pop").bounding_box()
    assert root["width"] <= 330
    for part in ("chart", "controls", "effects", "files", "slider >> nth=3", "told"):
        box = demo.locator(f".jm-pop-{part}").bounding_box()
        assert box["x"] >= root["x"] - 1
        assert box["x"] + box["width"] <= root["x"] + root["width"] + 1
    demo.set_viewport_size(size)
    demo.wait_for_timeout(400)


def test_reopened_without_a_kernel_and_exported_it_still_reads(lab, browser, tmp_path):
    name = lab.notebook("still-fit.ipynb", [f"import jaxmagic; jaxmagic.population({str(EXAMPLE)!r})"])
    page = browser.open(name)
    browser.run_all(page)
    page.wait_for_selector(".jm-pop-people")
    browser.save(page)
    page.wait_for_function("() => !window.jupyterapp.shell.currentWidget.context.model.dirty")
    page.close()
    lab.end_kernels()
    assert (lab.root / name).stat().st_size < 150_000
    page = browser.open(name, kernel=False)
    page.wait_for_selector(".jm-static p")
    reads(page)
    page.close()
    browser.forget_missing_models()
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "nbconvert",
            "--to",
            "html",
            str(lab.root / name),
            "--output-dir",
            str(tmp_path),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    page = browser.page()
    page.goto((tmp_path / "still-fit.html").as_uri(), wait_until="domcontentloaded")
    reads(page)
    page.close()
    browser.refused.clear()  # nbconvert's own page asks for its scripts
    browser.console.clear()


def reads(page):
    said = page.locator(".jm-static p").nth(0).text_content()
    assert said.startswith(
        "Fitted to 23 counts from 1790 to 2010, the curve reaches 8.06 million people in 2050"
    )
    assert page.locator(".jm-static details summary").all_text_contents()[:2] == ["the fit", "held out"]
    picture = page.locator(".jm-static img").nth(0)
    assert picture.evaluate("(image) => image.naturalWidth") > 300
