"""One JupyterLab and one browser for all tests here, gone before any other test (Playwright keeps an event
loop running); without them the tests are skipped, in CI they fail."""

from __future__ import annotations

import contextlib
import os

import pytest

from tests.browser.lab import MISSING, Browser, Lab, available


@pytest.fixture(scope="package")
def lab(tmp_path_factory):
    alone(tmp_path_factory.getbasetemp().parent)
    if not available():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(MISSING)
    with Lab() as lab:
        yield lab


def alone(shared):
    """Where tests are spread over processes, all of the browser's run in one (see tests/conftest.py)."""
    if process := os.environ.get("PYTEST_XDIST_WORKER"):
        taken = shared / "process of the browser tests"
        with contextlib.suppress(FileExistsError), taken.open("x") as mark:
            mark.write(process)
        assert taken.read_text() == process, "tests in the browser run in several processes"


@pytest.fixture(scope="package")
def browser(lab):
    with Browser(lab) as browser:
        yield browser


@pytest.fixture(scope="module")
def open_notebook(lab, browser):
    """Open a notebook of the given cells and run it; pages are closed with the module."""
    pages = []

    def open_notebook(name, *cells, run=True, kernel=True):
        if cells:
            lab.notebook(name, list(cells))
        page = browser.open(name, kernel=kernel)
        pages.append(page)
        if run:
            browser.run_all(page)
        return page

    yield open_notebook
    for page in pages:
        page.close()


@pytest.fixture(autouse=True)
def quiet(request):
    """No request leaves the machine, and the console has no errors of ours."""
    browser = request.getfixturevalue("browser")
    browser.refused.clear()
    browser.console.clear()
    yield
    assert browser.refused == []
    assert [line for line in browser.console if not _known(line)] == []


# What JupyterLab itself says on a machine without a network or saved workspace.
_KNOWN = ("favicon", "/api/workspaces", "/lab/api/", "404 (Not Found)")


def _known(line: str) -> bool:
    return any(part in line for part in _KNOWN)
