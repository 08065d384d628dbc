"""A page as what a front end is sent: text in a terminal, twin outputs in a notebook.

A widget alone reads "model not found" once the notebook is reopened, so the static page goes first and
the live one right below it. While the live one stands it hides its twin; when it is gone (a saved
notebook, an export) the twin reads and the remains of the widget are hidden.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from jaxmagic.pages.blocks import Page
from jaxmagic.views import html as static
from jaxmagic.views import text as plain
from jaxmagic.views.visible import failure

if TYPE_CHECKING:
    from jaxmagic.views.live import PageView

Bundle: TypeAlias = dict[str, Any]
WIDGET = "application/vnd.jupyter.widget-view+json"


class Shown:
    """A page on show: what to publish, and how to bring it up to date in place.

    Args:
        page: what to show.
        html: whether the front end shows HTML.
        live: whether it also runs widgets; without ipywidgets or anywidget the static page stands alone.
        columns: the width of the text; the terminal's when None.
    """

    def __init__(self, page: Page, *, html: bool, live: bool, columns: int | None = None) -> None:
        self._html = html
        self._columns = columns
        self._view = _view(page) if html and live else None
        self.outputs = self._bundles(page)

    def update(self, page: Page) -> list[Bundle]:
        """Show another page in its place: the widget by itself, the rest by the bundles returned.

        Publish them as updates of the displays that the first `outputs` went to, in the same order.
        """
        if self._view is not None:
            self._view.show(page)
        self.outputs = self._bundles(page)
        return self.outputs

    def close(self) -> None:
        """Let the widget go, here and in the front end; the static twin reads from then on."""
        if self._view is not None:
            self._view.close()
            self._view = None

    def _bundles(self, page: Page) -> list[Bundle]:
        if self._view is not None:
            return twins(page, str(self._view.model_id), self._columns)
        bundle: Bundle = {"text/plain": _text(page, self._columns)}
        return [bundle | {"text/html": _static(page, twin=False)} if self._html else bundle]


def outputs(page: Page, *, html: bool, live: bool) -> list[Bundle]:
    """The mimebundles of a page, in the order in which to publish them: one, or two with a widget."""
    return Shown(page, html=html, live=live).outputs


def twins(page: Page, widget: str, columns: int | None = None) -> list[Bundle]:
    """A page and a live view of it, as twin outputs; the widget's text is empty, as its twin has said it.

    Args:
        page: what to show where the view does not run.
        widget: the id of the view's model.
        columns: the width of the text; the terminal's when None.
    """
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


def _view(page: Page) -> PageView | None:
    """The live view; None where the widget libraries are missing or refuse."""
    try:
        from jaxmagic.views.live import PageView

        return PageView(page)
    except Exception:  # noqa: BLE001 - a notebook without widgets shows the static page
        return None
