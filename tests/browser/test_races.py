"""A race in a real JupyterLab: in one place while it runs and afterwards, and ended by Interrupt at once."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.browser

SETUP = """%load_ext jaxmagic
import time
import numpy as np
x = np.random.default_rng(0).random(10_000)
def f(x):
    return np.sin(x) * x + 1"""
RUN = "() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }"
INTERRUPT = "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.interrupt()"
DONE = """() => { const w = window.jupyterapp.shell.currentWidget, cells = w.content.model.cells;
  return w.sessionContext.session.kernel.status === 'idle' && cells.get(1).executionCount !== null; }"""


def visible(page):
    """What a reader sees below the second cell."""
    return page.locator(".jp-Notebook .jp-CodeCell").nth(1).locator(".jp-Cell-outputArea").inner_text()


@pytest.fixture
def racing(open_notebook):
    """A notebook whose second cell is a race that has begun to show itself."""

    def racing(name, cell):
        page = open_notebook(name, SETUP, cell, run=False)
        page.evaluate(RUN)
        page.wait_for_selector(".jm-live progress", timeout=60_000)
        return page

    return racing


def test_it_grows_in_one_place(racing):
    page = racing("race.ipynb", "%jaxbench --budget 4 f(x)")
    assert page.locator(".jm-live:visible").count() == 1
    assert visible(page).count("Racing f") == 1
    page.wait_for_function(DONE, timeout=60_000)
    page.wait_for_function("() => !document.querySelector('.jm-live progress')")
    assert page.locator(".jm-live:visible").count() == 1
    said = visible(page)
    assert "Racing" not in said
    assert said.count("results agree") == 1


def test_interrupt_ends_it_with_what_was_measured(racing):
    page = racing("stopped.ipynb", "%jaxbench --budget 100 f(x)")
    page.evaluate(INTERRUPT)
    page.wait_for_function(DONE, timeout=20_000)
    page.wait_for_function("() => !document.querySelector('.jm-live progress')")
    assert visible(page).count("Interrupted: the figures are what was measured so far.") == 1
    assert "Traceback" not in visible(page)


def test_interrupt_need_not_wait_for_a_call_into_compiled_code(racing):
    lines = "quick: np.sin(x)\nlong: [np.linalg.svd(np.ones((700, 700))) for _ in range(1000)]"
    page = racing("deaf.ipynb", f"%%jaxbench --budget 200\n{lines}")
    page.evaluate(INTERRUPT)
    page.wait_for_function(DONE, timeout=20_000)
    page.wait_for_function("() => !document.querySelector('.jm-live progress')")
    assert "quick" in visible(page)
    assert "Traceback" not in visible(page)


def test_what_a_contender_prints_is_shown_for_its_first_calls(open_notebook):
    cell = "%%jaxbench --budget 1\nloud: print('hello there')\nquiet: np.sin(x)"
    page = open_notebook("loud.ipynb", SETUP, cell)
    page.wait_for_selector(".jm-live")
    assert visible(page).count("hello there\n") == 2


def test_a_sweep_shows_its_curves_while_it_runs(racing):
    page = racing("sweep.ipynb", "%jaxbench --budget 12 --sweep n=100..1e4 np.sort(np.random.rand(n))")
    page.wait_for_selector(".jm-live:has(progress) .u-over", timeout=60_000)
    page.wait_for_function(DONE, timeout=60_000)
    page.wait_for_function("() => !document.querySelector('.jm-live progress')")
    assert page.locator(".jm-live:visible").count() == 1
