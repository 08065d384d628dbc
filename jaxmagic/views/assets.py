"""The css and js that ship with the package, put together for a widget or inlined in a page.

Widgets are loaded as single modules that can import nothing, so what a module needs (such as uPlot,
MIT, see static/uPlot.LICENSE) is put before it here.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

CHARTS = "uPlot.iife.min.js"
_RULE = re.compile(r"\.(jm[\w-]*)\s*\{([^{}]*)\}")
_VARIABLE = re.compile(r"var\((--jm-[\w-]+)\)")


@cache
def source(name: str) -> str:
    """The text of a file in `views/static`."""
    return resources.files("jaxmagic.views").joinpath("static", name).read_text(encoding="utf-8")


@cache
def module(*names: str) -> str:
    """One ES module from several scripts: libraries first, the widget's own module last."""
    return "\n".join(source(name) for name in names)


@cache
def styles(*names: str) -> str:
    """One style sheet: the look that every view shares, then these files.

    A host styles bare tags inside its outputs; within `.jm` the look goes before that.
    """
    scoped = source("look.css").replace("\n.jm-", "\n.jm .jm-")
    return "\n".join((scoped, *map(source, names)))


@cache
def look() -> dict[str, str]:
    """The declarations of each class in look.css, with fixed colours, for `style=` attributes.

    A static page knows no theme and may lose its style sheet, so its colours (`.jm-fixed`) are ones
    that read on white and on black.
    """
    rules = {name: _flat(body) for name, body in _RULE.findall(source("look.css"))}
    fixed = dict(pair.split(":", 1) for pair in rules.pop("jm-fixed").split(";"))
    return {name: _VARIABLE.sub(lambda m: fixed[m[1]], body) for name, body in rules.items()}


@cache
def colours() -> dict[str, str]:
    """The fixed colour of each tone, for pictures: `colours()["accent"]`."""
    tones = ("accent", "good", "bad", "warn", "forward", "backward")
    return {tone: look()[f"jm-{tone}"].split(":")[1] for tone in tones}


def _flat(body: str) -> str:
    """Declarations on one line: `color:red;margin:0`."""
    pairs = (part.strip().partition(":") for part in body.split(";") if part.strip())
    return ";".join(f"{name.strip()}:{value.strip()}" for name, _, value in pairs)
