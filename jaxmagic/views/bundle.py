"""A page as what a front end is sent: text in a terminal, twin outputs in a notebook.

A widget alone reads "model not found" once the notebook is reopened, so the static page goes first and
the live one right below it. While the live one stands it hides its twin; when it is gone (a saved
notebook, an export) the twin reads and the remains of the widget are hidden.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

from jaxmagic.pages.blocks import Page
from jaxmagic.views import html as static
from jaxmagic.views import text as plain
from jaxmagic.views.visible import failure

Bundle: TypeAlias = dict[str, Any]
WIDGET = "application/vnd.jupyter.widget-view+json"


class View(Protocol):
    """A widget that shows a page."""

    model_id: Any

    def show(self, page: Page) -> None:
        """Show another page."""

    def close(self) -> None:
        """Let go of the model."""


class Shown:
    """A page on show: what to publish, and how to bring it up to date in place.

    Args:
        page: what to show.
        html: whether the front end shows HTML.
        live: whether it also runs widgets; without ipywidgets or anywidget the static page stands alone.
        columns: the width of the text; the terminal's when None.
        view: makes the live view; the usual one of a page when None.

    `changed` is called with new `outputs` when they change by what a user does in the live view.
    """

    def __init__(
        self,
        page: Page,
        *,
        html: bool,
        live: bool,
        columns: int | None = None,
        view: Callable[[Page], View] | None = None,
    ) -> None:
        self._html = html
        self._columns = columns
        self._page = page
        self.changed: Callable[[list[Bundle]], None] = lambda _: None
        self._view = _made(view or self._page_view, page) if html and live else None
        self.outputs = self._bundles(page)

    @property
    def live(self) -> bool:
        """Whether there is a widget to let go of in the end."""
        return self._view is not None

    def update(self, page: Page) -> list[Bundle]:
        """Show another page in its place: the widget by itself, the rest by the bundles returned.

        Publish them as updates of the displays that the first `outputs` went to, in the same order.
        """
        self._page = page
        if self._view is not None:
            self._view.show(page)
        self.outputs = self._bundles(page)
        return self.outputs

    def close(self) -> None:
        """Let the widget go, here and in the front end; the static twin reads from then on."""
        if self._view is not None:
            self._view.close()
            self._view = None

    def _page_view(self, page: Page) -> View:
        from jaxmagic.views.live import PageView

        return PageView(page, self._loaded)

    def _loaded(self) -> None:
        """Put a dear tab that was opened live into the static page too: a saved notebook then has it."""
        self.outputs = self._bundles(self._page)
        self.changed(self.outputs)

    def _bundles(self, page: Page) -> list[Bundle]:
        if self._view is not None:
            return _twins(page, str(self._view.model_id), self._columns)
        bundle: Bundle = {"text/plain": _text(page, self._columns)}
        return [bundle | {"text/html": _static(page, twin=False)} if self._html else bundle]


def _twins(page: Page, widget: str, columns: int | None) -> list[Bundle]:
    """A page and a live view of it (a model's id); the view's text is empty, as its twin has said it."""
    view = {"version_major": 2, "version_minor": 0, "model_id": widget}
    static_twin = {"text/plain": _text(page, columns), "text/html": _static(page, twin=True)}
    return [static_twin, {WIDGET: view, "text/plain": "", "text/html": ""}]


def _text(page: Page, columns: int | None) -> str:
    try:
        return plain.render(page, columns)
    except Exception as error:  # noqa: BLE001 - display never raises
        return f"this page could not be shown: {failure(error)}"


def _static(page: Page, *, twin: bool) -> str:
    try:
        return static.render(page, twin=twin)
    except Exception as error:  # noqa: BLE001 - display never raises
        return f"<p>this page could not be drawn: {static.escape(failure(error))}</p>"


def _made(view: Callable[[Page], View], page: Page) -> View | None:
    """The live view; None where the widget libraries are missing or refuse."""
    try:
        return view(page)
    except Exception:  # noqa: BLE001 - a notebook without widgets shows the static page
        return None
