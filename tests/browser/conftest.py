"""One JupyterLab and one browser for all tests here; without them the tests are skipped, in CI they fail."""

from __future__ import annotations

import os

import pytest

from tests.browser.lab import MISSING, Browser, Lab, available


@pytest.fixture(scope="session")
def lab():
    if not available():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(MISSING)
    with Lab() as lab:
        yield lab


@pytest.fixture(scope="session")
def browser(lab):
    with Browser(lab) as browser:
        yield browser


@pytest.fixture(autouse=True)
def quiet(request):
    """No request leaves the machine, and the console has no errors of ours."""
    browser = request.getfixturevalue("browser")
    browser.refused.clear()
    browser.console.clear()
    yield
    for page in browser.context.pages:
        page.close()
    assert browser.refused == []
    assert [line for line in browser.console if not _known(line)] == []


# What JupyterLab itself says on a machine without a network or saved workspace.
_KNOWN = ("favicon", "/api/workspaces", "/lab/api/", "404 (Not Found)")


def _known(line: str) -> bool:
    return any(part in line for part in _KNOWN)
