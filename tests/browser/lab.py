"""A throw-away JupyterLab (or Notebook 7) and a Chromium that talks to nothing else.

    with Lab() as lab, Browser(lab) as browser:
        page = browser.open(lab.notebook("x.ipynb", ["1 + 1"]))
        browser.run_all(page)

Everything but the server is refused and listed in `Browser.refused`.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).parents[2]
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
MISSING = (
    "the browser tests need Chromium, JupyterLab and Playwright: "
    "`apt-get install chromium` and `pip install 'jaxmagic[test]'`"
)


def chromium() -> str | None:
    return os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


def available() -> bool:
    """Whether all that a browser test needs is here."""
    with contextlib.suppress(ImportError):
        import jupyterlab  # noqa: F401 - asked whether it is there
        import playwright  # noqa: F401 - asked whether it is there

        return chromium() is not None
    return False


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Lab:
    """A server on 127.0.0.1 without a token, with configuration of its own.

    Args:
        app: "lab" or "notebook".
        env: further environment variables of the server and its kernels.
    """

    def __init__(self, app: str = "lab", env: dict[str, str] | None = None) -> None:
        self.app = app
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="lab-root-"))
        self.state = pathlib.Path(tempfile.mkdtemp(prefix="lab-state-"))
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._env = env or {}

    def __enter__(self) -> Lab:
        self._settings()
        self._log = (self.state / "server.log").open("wb")
        self._process = subprocess.Popen(
            self._command(),
            env=self._environment(),
            cwd=self.root,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._wait()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError, ValueError):
            for session in self._get("/api/sessions"):
                self._delete(f"/api/sessions/{session['id']}")
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._log.close()
        shutil.rmtree(self.root, ignore_errors=True)
        shutil.rmtree(self.state, ignore_errors=True)

    def notebook(self, name: str, cells: list[str], trusted: bool = False) -> str:
        """Write a notebook of code cells; its name."""
        import nbformat

        written = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        written.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(written, self.root / name)
        return name

    def end_kernels(self) -> None:
        """Shut down every kernel, as a restart of the server would."""
        for session in self._get("/api/sessions"):
            self._delete(f"/api/sessions/{session['id']}")

    def _settings(self) -> None:
        folder = self.state / "settings/@jupyterlab/apputils-extension"
        folder.mkdir(parents=True)
        quiet = {"fetchNews": "false", "checkForUpdates": False}
        (folder / "notification.jupyterlab-settings").write_text(json.dumps(quiet))

    def theme(self, name: str) -> None:
        """The theme of pages opened from now on: "JupyterLab Light" or "JupyterLab Dark"."""
        folder = self.state / "settings/@jupyterlab/apputils-extension"
        (folder / "themes.jupyterlab-settings").write_text(json.dumps({"theme": name}))

    def _environment(self) -> dict[str, str]:
        folders = {
            "JUPYTER_CONFIG_DIR": "config",
            "JUPYTER_DATA_DIR": "data",
            "JUPYTER_RUNTIME_DIR": "runtime",
            "IPYTHONDIR": "ipython",
            "JUPYTERLAB_SETTINGS_DIR": "settings",
            "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
            "HOME": "",
        }
        own = {name: str(self.state / folder) for name, folder in folders.items()}
        fixed = {"JAX_PLATFORMS": "cpu", "JUPYTER_PLATFORM_DIRS": "1", "PYTHONPATH": str(ROOT)}
        return dict(os.environ) | own | fixed | self._env

    def _command(self) -> list[str]:
        return [
            str(pathlib.Path(sys.executable).parent / "jupyter"),
            self.app,
            "--no-browser",
            "--allow-root",
            "--ip=127.0.0.1",
            f"--port={self.port}",
            "--ServerApp.port_retries=0",
            "--IdentityProvider.token=",
            "--ServerApp.password=",
            f"--ServerApp.root_dir={self.root}",
            "--LabApp.expose_app_in_browser=True",
            "--JupyterNotebookApp.expose_app_in_browser=True",
            "--ServerApp.disable_check_xsrf=True",
            "--ServerApp.terminals_enabled=False",
        ]

    def _wait(self) -> None:
        begun = time.monotonic()
        while True:
            with contextlib.suppress(OSError):
                self._get("/api/status")
                return
            if self._process.poll() is not None or time.monotonic() - begun > 60:
                raise RuntimeError((self.state / "server.log").read_text()[-3000:])
            time.sleep(0.2)

    def _get(self, path: str):
        with urllib.request.urlopen(self.url + path, timeout=5) as answer:
            return json.load(answer)

    def _delete(self, path: str) -> None:
        urllib.request.urlopen(urllib.request.Request(self.url + path, method="DELETE"), timeout=10).close()


_IDLE = """() => { const w = window.jupyterapp && window.jupyterapp.shell.currentWidget;
  const kernel = w && w.sessionContext && w.sessionContext.session && w.sessionContext.session.kernel;
  return !!kernel && kernel.status === 'idle'; }"""

_DONE = """() => { const w = window.jupyterapp.shell.currentWidget; const cells = w.content.model.cells;
  for (let i = 0; i < cells.length; i++) { const c = cells.get(i);
    if (c.type === 'code' && c.sharedModel.source.trim() && c.executionCount === null) return false; }
  return w.sessionContext.session.kernel.status === 'idle'; }"""


class Browser:
    """A headless Chromium whose every request but to the server is refused."""

    def __init__(self, lab: Lab, width: int = 1280, height: int = 960) -> None:
        self._lab, self._size = lab, {"width": width, "height": height}
        self.refused: list[str] = []
        self.console: list[str] = []

    def __enter__(self) -> Browser:
        from playwright.sync_api import sync_playwright

        self._playwright = sync_playwright().start()
        self._browser = self._playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        self.context = self._browser.new_context(viewport=self._size)
        self.context.route("**/*", self._route)
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()
        self._browser.close()
        self._playwright.stop()

    def _route(self, route) -> None:
        if route.request.url.startswith((self._lab.url, "data:", "blob:", "file:")):
            route.continue_()
        else:
            self.refused.append(route.request.url)
            route.abort()

    def page(self):
        """An empty page whose errors are kept in `console`."""
        page = self.context.new_page()
        page.on("console", lambda m: self.console.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: self.console.append(str(error)))
        return page

    def open(self, name: str, kernel: bool = True):
        """The notebook in a page of its own; with `kernel`, its kernel is waited for."""
        page = self.page()
        tree = "notebooks" if self._lab.app == "notebook" else "lab/tree"
        page.goto(f"{self._lab.url}/{tree}/{name}?reset", wait_until="domcontentloaded")
        page.wait_for_selector(".jp-NotebookPanel .jp-Notebook .jp-Cell", timeout=60_000)
        page.wait_for_function("() => !!window.jupyterapp", timeout=20_000)
        if kernel:
            page.wait_for_function(_IDLE, timeout=60_000)
        return page

    def forget_missing_models(self) -> None:
        """Forget what the widget manager tells the console, and no reader, of widgets without a kernel."""
        self.console[:] = [line for line in self.console if "widget model not found" not in line]

    def command(self, page, command: str, arguments: dict | None = None) -> None:
        page.evaluate(
            "([c, a]) => window.jupyterapp.commands.execute(c, a).then(() => true)",
            [command, arguments or {}],
        )

    def run_all(self, page, timeout: int = 120_000) -> None:
        """Run every cell and wait until the kernel is idle."""
        page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }")
        page.wait_for_function(_DONE, timeout=timeout)

    def save(self, page) -> None:
        self.command(page, "docmanager:save")

    def whole(self, page, path: str, highest: int = 9000) -> None:
        """A screenshot of the whole notebook: the page is made as tall as the notebook."""
        height = page.evaluate(
            "() => (document.querySelector('.jp-NotebookPanel:not(.lm-mod-hidden) .jp-WindowedPanel-outer')"
            " || document.querySelector('.jp-Notebook')).scrollHeight"
        )
        page.set_viewport_size({"width": self._size["width"], "height": min(highest, int(height) + 160)})
        page.wait_for_timeout(600)
        page.screenshot(path=path)
        page.set_viewport_size(self._size)
