"""The graph and what changed, in a real JupyterLab: light, opening, keys, zoom; the picture that is kept."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.browser

SETUP = "%load_ext jaxmagic\nimport jax, jax.numpy as jnp"
CELL = """%%jaxpr net(f32[64,32], f32[32,32])
def net(x, w):
    h = jnp.tanh(x @ w)
    for i in range(50):
        h = jnp.sin(h) * 0.1
    return h.sum()"""
HOSTILE = """
from jaxmagic.pages.blocks import Page, tab, words, Graph
from jaxmagic.views import bundle
from IPython.display import display
from tests.hostile import PAYLOADS, blocks
pictures = [one for payload in PAYLOADS for one in blocks(payload) if isinstance(one, Graph)]
page = Page(say=words("hostile"), tabs=(tab("all", *pictures),))
for output in bundle.Shown(page, html=True, live=True).outputs:
    display(output, raw=True)
"""


def box(page, title):
    return page.locator(".jm-live:visible .jm-box", has_text=title).first


def boxes(page):
    return page.locator(".jm-live:visible .jm-box .jm-title-text").all_text_contents()


@pytest.fixture(scope="module")
def live(open_notebook):
    page = open_notebook("graph.ipynb", SETUP, CELL)
    page.wait_for_selector(".jm-live .jm-piece")
    return page


@pytest.fixture
def graph(live):
    live.locator(".jm-tab-button", has_text="Graph").click()
    live.wait_for_selector(".jm-canvas svg")
    live.keyboard.press("Escape")
    live.mouse.move(2, 2)
    return live


def hits(page):
    return page.locator(".jm-panes-graph .jm-hit").all_inner_texts()


def test_nothing_is_drawn_until_the_tab_is_opened(live):
    assert live.locator(".jm-canvas").count() == 0


def test_a_box_lights_its_expression(graph):
    box(graph, "dot_general").hover()
    assert "".join(hits(graph)) == "x @ w"
    assert graph.locator(".jm-box.jm-lit").count() == 1
    assert graph.locator(".jm-wire.jm-lit").count() == 3, "two come in, one goes out"
    assert graph.locator(".jm-status:visible").inner_text().startswith("line 3 → dot_general")


def test_an_expression_lights_its_box(graph):
    graph.locator(".jm-panes-graph .jm-piece", has_text="h.sum()").first.hover()
    assert graph.locator(".jm-box.jm-lit .jm-title-text").all_text_contents() == ["reduce_sum"]


def test_an_edge_tells_its_type(graph):
    centre = graph.locator(".jm-wire-reach").first.evaluate(
        "(path) => { const middle = path.getPointAtLength(path.getTotalLength() / 2);"
        " const at = middle.matrixTransform(path.getScreenCTM()); return [at.x, at.y]; }"
    )
    graph.mouse.move(*centre)
    assert graph.locator(".jm-status:visible").inner_text() == "x → dot_general: f32[64,32]"


def test_a_folded_box_opens_and_folds_again(graph):
    before = boxes(graph)
    assert "sin" not in before
    box(graph, "sin … mul × 50").click()
    graph.wait_for_selector(".jm-opened")
    assert {"sin", "mul"} < set(boxes(graph))
    graph.locator(".jm-opened .jm-heading").click()
    graph.wait_for_selector(".jm-opened", state="detached")
    assert boxes(graph) == before


def test_boxes_by_keyboard(graph):
    graph.locator(".jm-canvas").focus()
    graph.keyboard.press("Home")
    lit = graph.locator(".jm-box.jm-lit .jm-title-text")
    seen = [lit.text_content()]
    for _ in range(3):
        graph.keyboard.press("ArrowDown")
        seen.append(lit.text_content())
    assert seen == ["x", "dot_general", "tanh", "sin … mul × 50"]
    graph.keyboard.press("Enter")
    graph.wait_for_selector(".jm-opened")
    graph.keyboard.press("Enter")
    graph.wait_for_selector(".jm-opened", state="detached")


def test_zoom(graph):
    width = "() => document.querySelector('.jm-canvas svg').clientWidth"
    graph.locator(".jm-canvas").focus()
    before = graph.evaluate(width)
    graph.keyboard.press("+")
    assert graph.evaluate(width) == pytest.approx(before * 1.25, abs=2)
    graph.keyboard.press("-")
    assert graph.evaluate(width) == pytest.approx(before, abs=2)


def test_the_picture_is_kept_in_the_notebook(graph, browser):
    uri = graph.evaluate("() => document.querySelector('.jm-static img')?.src ?? ''")
    assert uri.startswith("data:image/svg+xml;base64,")
    assert browser.console == []


def test_running_it_again_says_what_changed(live, browser):
    cell = live.locator(".jp-CodeCell").nth(1)
    live.evaluate(
        "() => { const cell = window.jupyterapp.shell.currentWidget.content.widgets[1].model.sharedModel;"
        " cell.setSource(cell.source.replace('h.sum()', 'jnp.cos(h).sum()')); }"
    )
    browser.run_all(live)
    live.wait_for_selector(".jm-live:visible .jm-tab-button >> text=What changed")
    assert "against the last run: 1 equation more" in cell.locator(".jm-live .jm-conditions").inner_text()
    live.locator(".jm-tab-button", has_text="What changed").click()
    added = live.locator(".jm-live:visible .jm-added")
    added.first.wait_for()
    assert any("cos" in line for line in added.all_inner_texts())
    added.first.hover()
    assert (
        "".join(live.locator(".jm-scroller:visible").first.locator(".jm-hit").all_inner_texts())
        == "jnp.cos(h)"
    )


def test_hostile_names_are_words(open_notebook, browser):
    page = open_notebook("hostile-graph.ipynb", HOSTILE)
    page.wait_for_selector(".jm-canvas svg")
    assert page.evaluate("() => window.hacked") is None
    assert page.locator(".jm-canvas script, .jm-canvas img, .jm-canvas iframe").count() == 0
