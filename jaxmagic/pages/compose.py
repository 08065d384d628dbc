"""From a result to its page: one row per result class."""

from __future__ import annotations

from importlib import import_module

from jaxmagic import results
from jaxmagic.pages.blocks import Composer, Page

PAGES: dict[type, str] = {
    results.Trace: "jaxmagic.pages.trace",
    results.Gradient: "jaxmagic.pages.gradient",
    results.Benchmark: "jaxmagic.pages.benchmark",
    results.Comparison: "jaxmagic.pages.comparison",
    results.Sweep: "jaxmagic.pages.sweep",
    results.Devices: "jaxmagic.pages.devices",
    results.Port: "jaxmagic.pages.port",
}


def compose(result: object) -> Page:
    """The page of a result.

    Raises:
        TypeError: when `result` is not one of jaxmagic's.
    """
    try:
        module = PAGES[type(result)]
    except KeyError:
        shown = ", ".join(kind.__name__ for kind in PAGES)
        raise TypeError(f"no page for a {type(result).__name__}; there are pages for {shown}") from None
    page: Composer = import_module(module).page
    return page(result)
