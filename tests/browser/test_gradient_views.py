"""Curves, level lines, trees and named matrices of %jaxgrad in a real JupyterLab."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.browser

SETUP = "%load_ext jaxmagic\nimport jax, jax.numpy as jnp"
WAVE = """%%jaxgrad --along t=0..10 wave(2.0, t=1.0)
def wave(a, t):
    return a * t ** 2"""
ORBIT = """%%jaxgrad orbit(1.0, jnp.array([0.1, 0.2]))
def orbit(mass, tilt):
    return jnp.outer(jnp.arange(3.0), tilt).sum(1) * mass"""
MODEL = """%%jaxgrad --wrt params loss(params)
params = {"dense": {"kernel": jnp.ones((20, 20)), "bias": jnp.ones(3)}, "scale": 2.0}
def loss(params):
    return params["scale"] * (params["dense"]["kernel"] ** 2).sum() + params["dense"]["bias"].sum()"""


@pytest.fixture(scope="module")
def page(open_notebook):
    page = open_notebook("gradients.ipynb", SETUP, WAVE, ORBIT, MODEL)
    page.wait_for_function("() => document.querySelectorAll('.jm-live').length === 3")
    page.set_viewport_size({"width": 1280, "height": 2600})
    return page


@pytest.fixture
def wave(page):
    live = page.locator(".jm-live").nth(0)
    live.locator(".jm-tab-button", has_text="curve").click()
    page.keyboard.press("Escape")
    live.locator(".jm-walk-buttons button").last.click()
    return live


def told(live):
    return live.locator(".jm-status:visible").first.inner_text()


def at(live, share, page, move=True):
    box = live.locator(".jm-course .u-over").first.bounding_box()
    place = box["x"] + share * box["width"], box["y"] + box["height"] / 2
    if move:
        page.mouse.move(*place)
    return place


def test_the_curve_rests_at_the_point(wave):
    assert told(wave).startswith("t = 1 · wave 2 · wave′ 4 · wave″ 4")


def test_the_tangent_follows_the_mouse(wave, page):
    at(wave, 0.5, page)
    assert told(wave).startswith("t = 5 · wave 50 · wave′ 20")
    page.mouse.move(2, 2)
    assert told(wave).startswith("t = 1 ·")


def test_the_range_is_dragged_and_comes_back(wave, page):
    at(wave, 0.8, page)
    page.mouse.down()
    at(wave, 0.3, page)
    page.mouse.up()
    at(wave, 0.31, page)
    at(wave, 0.3, page)
    assert told(wave).startswith("t = 8 · wave 128")
    wave.locator(".jm-walk-buttons button").last.click()
    at(wave, 0.5, page)
    assert told(wave).startswith("t = 5 ·")


def test_the_curve_by_keyboard(wave, page):
    page.mouse.move(2, 2)
    wave.locator(".jm-course").focus()
    page.keyboard.press("ArrowRight")
    assert told(wave).startswith("t = 1.0625")
    page.keyboard.press("End")
    assert told(wave).startswith("t = 10 · wave 200")
    page.keyboard.press("ArrowRight")
    assert told(wave).startswith("t = 10.0625")
    page.keyboard.press("Escape")
    assert told(wave).startswith("t = 1 ·")


def test_level_lines_tell_value_and_gradient(wave, page):
    wave.locator(".jm-tab-button", has_text="contours").click()
    assert told(wave) == "a = 2, t = 1: wave 2 · ∂a 1 · ∂t 4"
    field = wave.locator("canvas.jm-field")
    field.focus()
    for _ in range(18):
        page.keyboard.press("ArrowRight")
    assert told(wave) == "a = 4, t = 1: wave 4 · ∂a 1 · ∂t 8"
    before = field.evaluate("canvas => canvas.toDataURL()")
    box = field.bounding_box()
    page.mouse.move(box["x"] + 0.4 * box["width"], box["y"] + 0.4 * box["height"])
    assert field.evaluate("canvas => canvas.toDataURL()") != before


def test_a_jacobian_tells_by_name(page):
    live = page.locator(".jm-live").nth(1)
    assert live.locator(".jm-matrix-rows span").all_inner_texts() == ["orbit[0]", "orbit[1]", "orbit[2]"]
    assert live.locator(".jm-matrix-columns span").all_inner_texts() == ["mass", "tilt[0]", "tilt[1]"]
    canvas = live.locator("canvas.jm-matrix")
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 0.9 * box["height"])
    assert told(live) == "orbit[2], tilt[1]: 2"


def test_a_tree_is_opened_branch_by_branch(page):
    live = page.locator(".jm-live").nth(2)
    live.locator(".jm-tab-button", has_text="tree").click()
    kernel = live.locator("summary", has_text="kernel")
    assert kernel.is_visible()
    assert not live.locator(".jm-strip").is_visible()
    kernel.click()
    assert live.locator(".jm-strip").is_visible()
    lefts = {round(one.bounding_box()["x"]) for one in live.locator(".jm-kind", has_text="f32[").all()}
    assert len(lefts) == 1


def test_costs_are_measured_when_their_tab_is_opened(page):
    live = page.locator(".jm-live").nth(2)
    assert "reverse mode" not in live.locator(".jm-panels").inner_text()
    live.locator(".jm-tab-button", has_text="costs").click()
    live.locator("text=A gradient should cost").wait_for(timeout=30_000)
    assert "← chosen" in live.locator(".jm-panels").inner_text()
