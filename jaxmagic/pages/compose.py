"""From a result to its page: one row per result class."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from typing import Any

from jaxmagic import results
from jaxmagic.pages.blocks import Composer, Page

PAGES: dict[type, str] = {
    results.Trace: "jaxmagic.pages.trace",
    results.Retrace: "jaxmagic.pages.retrace",
    results.Gradient: "jaxmagic.pages.gradient",
    results.Benchmark: "jaxmagic.pages.benchmark",
    results.Comparison: "jaxmagic.pages.comparison",
    results.Sweep: "jaxmagic.pages.sweep",
    results.Devices: "jaxmagic.pages.devices",
    results.Port: "jaxmagic.pages.port",
}


# Results that grow while one waits; their pages take the share that is done.
GROWING = {results.Benchmark, results.Sweep}


def compose(result: object) -> Page:
    """The page of a result.

    Raises:
        TypeError: when `result` is not one of jaxmagic's.
    """
    return _page(result)


def compose_so_far(result: object, share: float) -> Page:
    """The page of a result that is not finished, which says nothing for good yet.

    Args:
        result: what is known so far.
        share: what is done, 0 to 1.

    Raises:
        TypeError: when `result` is not one of jaxmagic's.
    """
    return (
        _page(result, progress=share) if type(result) in GROWING else replace(_page(result), progress=share)
    )


def _page(result: object, **options: Any) -> Page:
    try:
        module = PAGES[type(result)]
    except KeyError:
        shown = ", ".join(kind.__name__ for kind in PAGES)
        raise TypeError(f"no page for a {type(result).__name__}; there are pages for {shown}") from None
    page: Composer = import_module(module).page
    return page(result, **options)
