"""What XLA did, and its memory, in a real JupyterLab: compiled when looked at, linked both ways."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.browser

SETUP = "%load_ext jaxmagic\nimport jax, jax.numpy as jnp"
CELL = """%%jaxpr --grad net(f32[64,32], f32[32,32])
def net(x, w):
    unused = jnp.cos(x).sum()
    h = jnp.tanh(x @ w)
    return (jnp.sort(h, 0) * h).sum()"""


@pytest.fixture(scope="module")
def live(open_notebook):
    page = open_notebook("xla.ipynb", SETUP, CELL)
    page.wait_for_selector(".jm-live .jm-piece")
    return page


def opened(page, title, language):
    page.locator(".jm-tab-button", has_text=title).click()
    page.wait_for_function(
        "word => [...document.querySelectorAll('.jm-live')].some(one => one.innerText.includes(word))",
        arg=language,
    )
    page.keyboard.press("Escape")
    page.mouse.move(2, 2)
    return page.locator(".jm-live .jm-panes-live:visible").first


def lit(panes):
    return "".join(panes.locator(".jm-hit").all_inner_texts())


def test_nothing_is_compiled_until_the_tab_is_opened(live):
    assert "what runs" not in live.locator(".jm-live").inner_text()


def test_a_removed_expression_lights_its_row(live):
    panes = opened(live, "XLA", "what runs")
    panes.locator(".jm-piece", has_text="jnp.cos(x).sum()").first.hover()
    assert lit(panes).count("jnp.cos(x).sum()") >= 1
    assert "removed, for nothing depends on it" in panes.inner_text()


def test_the_memory_is_pictured_and_listed(live):
    panes = opened(live, "Memory", "held during a call")
    assert live.locator(".jm-live .u-over:visible").count() == 1
    assert "kept from the forward pass for the backward pass" in panes.inner_text()
    panes.locator(".jm-piece", has_text="jnp.tanh(x @ w)").first.hover()
    assert "jnp.tanh(x @ w)" in lit(panes)
