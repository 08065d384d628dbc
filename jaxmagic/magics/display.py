"""Showing results: a page, its bundles, and the shell they are published to.

Nothing here raises: where a page or a view fails, the plain text is shown and one line says so.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from jaxmagic.magics.onshow import on_show
from jaxmagic.pages.compose import PAGES, compose, compose_so_far

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from jaxmagic.pages.blocks import Page
    from jaxmagic.views.bundle import Shown

Bundle = dict[str, Any]
Clock = Callable[[], float]
PAUSE = 0.25  # seconds between two pictures of work under way


def show(result: object) -> None:
    """Show a result of jaxmagic, as its magic would; without IPython, print its text.

    Args:
        result: a `Trace`, `Gradient`, `Benchmark`, `Devices` or `Port`.

    Raises:
        TypeError: when it is none of these.
    """
    from IPython.core.getipython import get_ipython

    if type(result) not in PAGES:
        compose(result)  # says which results there are
    shell = get_ipython()
    if shell is None:
        print(text_of(result))
    else:
        Screen(shell).show(result)


def publish(shown: Callable[..., Shown]) -> None:
    """Publish what a front end can show; without IPython, print its text.

    Args:
        shown: makes what is on show, asked with `html` and `live` (see `Screen`).
    """
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    if shell is None:
        print(shown(html=False, live=False).outputs[0]["text/plain"])
        return
    screen = Screen(shell)
    Placed(screen, shown(html=screen.html, live=screen.live)).publish()


def text_of(result: object, opening: str = "") -> str:
    """A result in words, for a terminal."""
    try:
        from jaxmagic.views.bundle import Shown

        bundle = Shown(page_of(result, opening), html=False, live=False).outputs[0]
    except Exception as error:  # noqa: BLE001 # display never raises
        bundle = _plain(result, error)
    return str(bundle["text/plain"])


def page_of(result: object, opening: str = "") -> Page:
    """A result's page, with the tab of this title first."""
    page = compose(result)
    if not opening:
        return page
    tabs = sorted(
        page.tabs, key=lambda tab: tab.title.lower() != opening.lower()
    )  # the others keep their order
    return replace(page, tabs=tuple(tabs))


def _plain(result: object, error: Exception) -> Bundle:
    try:
        text = repr(result)
    except Exception:  # noqa: BLE001 # a user's object in the result may have a repr that raises
        text = f"a {type(result).__name__}"
    cut = text if len(text) <= 2000 else text[:2000] + "…"
    return {"text/plain": f"{cut}\n(This result could not be drawn: {type(error).__name__}: {error})"}


class Screen:
    """Where one shell shows results.

    Args:
        shell: its display publisher is used.
        clock: seconds, for the pace of progress.
    """

    def __init__(self, shell: InteractiveShell, clock: Clock = time.monotonic) -> None:
        self._shell = shell
        self._clock = clock
        self._silenced: tuple[int, int] | None = None

    @property
    def html(self) -> bool:
        """Whether the front end shows more than text."""
        formatter: Any = self._shell.display_formatter
        return "text/html" in formatter.active_types

    @property
    def live(self) -> bool:
        """Whether there is a kernel for widgets to talk to."""
        return self.html and getattr(self._shell, "kernel", None) is not None

    def show(self, result: object, opening: str = "") -> None:
        """Publish a result: one bundle, or twin outputs where widgets live."""
        try:
            placed = self.placed(page_of(result, opening))
        except Exception as error:  # noqa: BLE001 # display never raises
            self.publish(_plain(result, error))
        else:
            placed.publish()

    def placed(self, page: Page) -> Placed:
        """A page with a place here, not yet published."""
        from jaxmagic.views.bundle import Shown

        return Placed(self, Shown(page, html=self.html, live=self.live))

    def publish(self, bundle: Bundle, display_id: str = "", update: bool = False) -> None:
        """Publish one bundle, in the place of an earlier one when it is an update."""
        transient = {"display_id": display_id} if display_id else {}
        self._shell.display_pub.publish(data=bundle, metadata={}, transient=transient, update=update)

    def keep(self, placed: Placed) -> None:
        """Remember a live view until its cell runs again or the magics are unloaded."""
        on_show(self._shell).add(getattr(self._shell, "parent_header", None) or {}, placed)

    # -- values: `-o` ------------------------------------------------------------------------------

    def silence(self, result: object) -> None:
        """Do not show this value in the cell that runs now: its line ended with `;`."""
        self._silenced = (id(result), self._shell.execution_count)

    def display_value(self, result: object) -> None:
        """What IPython calls to show a result as a value in a notebook."""
        if self._silenced != (id(result), self._shell.execution_count):
            self.show(result)

    def print_value(self, result: object, printer: Any, cycle: bool) -> None:
        """What IPython calls to show a result as a value in a terminal."""
        inside = cycle or len(printer.stack) > 1
        silent = self._silenced == (id(result), self._shell.execution_count)
        printer.text(repr(result) if inside else "" if silent else text_of(result))

    # -- work under way ----------------------------------------------------------------------------

    @contextmanager
    def progress(self, name: str) -> Iterator[Progress]:
        """Show unfinished results in place; what was shown goes when the work fails."""
        shown: Progress = (PageProgress if self.html else LineProgress)(self, name, self._clock)
        try:
            yield shown
        except BaseException:
            shown.clear()
            raise

    @property
    def captured(self) -> bool:
        """Whether outputs are being collected (`%%capture`), where nothing can be replaced."""
        from IPython.core.displaypub import CapturingDisplayPublisher

        return isinstance(self._shell.display_pub, CapturingDisplayPublisher)


class Placed:
    """A page on show in a cell: its outputs, which can be brought up to date in their places."""

    def __init__(self, screen: Screen, shown: Shown) -> None:
        self._screen = screen
        self._shown = shown
        self._last = shown.outputs
        shown.changed = self._put
        self._ids = [uuid4().hex for _ in self._last]

    def publish(self) -> None:
        """Put it on show."""
        for bundle, display_id in zip(self._last, self._ids, strict=True):
            self._screen.publish(bundle, display_id)
        if self._shown.live:
            self._screen.keep(self)

    def update(self, page: Page) -> None:
        """Show another page in its place."""
        self._put(self._shown.update(page))

    def close(self) -> None:
        """Let go of the live view; the static page stays."""
        self._shown.close()

    def clear(self) -> None:
        """Let go of the live view and empty the outputs."""
        self.close()
        empty = [dict.fromkeys(bundle, "") | {"text/plain": ""} for bundle in self._last[:1]]
        self._put(empty + self._last[1:])

    def _put(self, bundles: list[Bundle]) -> None:
        for bundle, before, display_id in zip(bundles, self._last, self._ids, strict=True):
            if bundle != before:
                self._screen.publish(bundle, display_id, update=True)
        self._last = bundles


class Progress:
    """Shows a result while it grows, a few times a second at most, and in the end what became of it."""

    def __init__(self, screen: Screen, name: str, clock: Clock) -> None:
        self._screen = screen
        self._name = name
        self._clock = clock
        self._next = clock()

    def __call__(self, result: object, share: float) -> None:
        """Take a result so far and the share that is done, 0 to 1."""
        if self._clock() < self._next or self._screen.captured:
            return
        try:
            self.draw(result, share)
        except Exception:  # noqa: BLE001 # display never raises, and the work goes on
            self._next = float("inf")
        else:
            self._next = self._clock() + PAUSE

    def draw(self, result: object, share: float) -> None:
        """Show it so far."""

    def finish(self, result: object, opening: str = "") -> None:
        """Show it for good."""
        self.clear()
        self._screen.show(result, opening)

    def clear(self) -> None:
        """Take away what was shown."""


class LineProgress(Progress):
    """A line of a terminal that is written over."""

    _width = 0

    def draw(self, result: object, share: float) -> None:  # noqa: ARG002 # a line has no room for the result
        """Write the share."""
        if sys.stderr.isatty():
            line = f"{self._name}: {share:4.0%}"
            self._width = len(line)
            print(f"\r{line}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Wipe the line."""
        if self._width:
            print(f"\r{' ' * self._width}\r", end="", file=sys.stderr, flush=True)
            self._width = 0


class PageProgress(Progress):
    """Outputs of a notebook that are replaced."""

    def __init__(self, screen: Screen, name: str, clock: Clock) -> None:
        super().__init__(screen, name, clock)
        self._placed: Placed | None = None

    def draw(self, result: object, share: float) -> None:
        """Show the page so far in its place."""
        self._put(compose_so_far(result, min(max(share, 0.0), 1.0)))

    def _put(self, page: Page) -> None:
        if self._placed is None:
            self._placed = self._screen.placed(page)
            self._placed.publish()
        else:
            self._placed.update(page)

    def finish(self, result: object, opening: str = "") -> None:
        """Put the result in the place of its picture so far."""
        if self._placed is None:
            self._screen.show(result, opening)
            return
        try:
            self._put(page_of(result, opening))
        except Exception as error:  # noqa: BLE001 # display never raises
            self.clear()
            self._screen.publish(_plain(result, error))

    def clear(self) -> None:
        """Empty the outputs."""
        if self._placed is not None:
            self._placed.clear()
            self._placed = None
