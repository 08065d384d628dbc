"""One IPython shell for the tests that need one, with what it publishes collected.

Such tests, those of the magics and those on real kernels carry the mark `ipython`: what other IPythons
could change.
"""

from __future__ import annotations

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import pytest


def pytest_collection_modifyitems(items):
    for item in items:
        of_magics = item.path.name.startswith("test_magics")
        if of_magics or "shell" in item.fixturenames or item.get_closest_marker("kernel"):
            item.add_marker("ipython")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """All tests in the browser go to one process, in their order, as they share what is open there.

    A group of pytest-xdist's would do, but version 3.8 loses its groups with pytest 9.2, silently.
    """
    from xdist.scheduler import LoadScopeScheduling

    class Together(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return "browser" if nodeid.startswith("tests/browser/") else nodeid

    return Together(config, log)


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    """Text is as wide as where no terminal tells, wherever the tests run."""
    monkeypatch.setenv("COLUMNS", "100")


class Published:
    """Everything that the shell displayed, in order; updates of a display replace it."""

    def __init__(self):
        self.bundles = []
        self.updates = 0
        self._places = {}

    def publish(self, data, metadata=None, source=None, *, transient=None, update=False, **_):
        display_id = (transient or {}).get("display_id")
        if update and display_id in self._places:
            self.bundles[self._places[display_id]] = data
            self.updates += 1
        else:
            self._places[display_id] = len(self.bundles)
            self.bundles.append(data)

    def clear(self):
        self.__init__()

    @property
    def texts(self):
        return [bundle.get("text/plain", "") for bundle in self.bundles]


@pytest.fixture(scope="session")
def _session_shell(tmp_path_factory):
    os.environ["IPYTHONDIR"] = str(tmp_path_factory.mktemp("ipython"))
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    config = Config()
    config.HistoryManager.hist_file = ":memory:"
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "NoColor"
    return InteractiveShell.instance(config=config)


@pytest.fixture
def shell(_session_shell, monkeypatch):
    """A shell with jaxmagic loaded and an empty namespace; `shell.published` collects its displays."""
    shell = _session_shell
    shell.reset(new_session=True)
    shell.showing_traceback = False
    published = Published()
    monkeypatch.setattr(shell.display_pub, "publish", published.publish)
    object.__setattr__(shell, "published", published)
    shell.run_line_magic("load_ext", "jaxmagic")
    if "jaxpr" not in shell.magics_manager.magics["line"]:
        shell.run_line_magic("reload_ext", "jaxmagic")
    yield shell
    shell.run_line_magic("unload_ext", "jaxmagic")


@pytest.fixture
def run(shell):
    """Run a cell as a user does; an error in it fails the test."""

    def run(source):
        result = shell.run_cell(source, store_history=True)
        error = result.error_before_exec or result.error_in_exec
        if error is not None:
            raise error
        return result

    return run
