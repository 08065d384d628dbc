"""Charts as pictures for pages without a kernel, drawn by matplotlib.

The user's matplotlib (its settings, backend and open figures) is left as it is: a `Figure` of our own,
under default settings that hold for the drawing alone.
"""

from __future__ import annotations

import base64
import io
import math
import re
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from jaxmagic.pages import units
from jaxmagic.pages.blocks import Chart, Series
from jaxmagic.views.assets import colours
from jaxmagic.views.visible import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

GREY = "#858c96"
# So many points of a line are drawn: two for each of the steps that an eye can tell apart.
MOST_POINTS = 300
SETTINGS: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "jaxmagic",
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.5,
    "axes.edgecolor": GREY,
    "axes.labelcolor": GREY,
    "text.color": GREY,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "text.parse_math": False,
    "text.usetex": False,
    "path.simplify": False,  # it takes lines without a length, our dots, for nothing; `thinned` does more
}


def chart(drawn: Chart) -> str:
    """A chart as the data URI of an SVG with a transparent ground."""
    import matplotlib.style
    from matplotlib.figure import Figure

    with matplotlib.style.context(["default", SETTINGS]):
        figure = Figure(figsize=(6.4, 2.9), layout="constrained")
        axes = figure.add_subplot()
        for series in drawn.series:
            _series(axes, series)
        _axes(axes, drawn)
        return uri(figure, "svg")


def thinned(series: Series) -> Series:
    """The same to the eye in at most `MOST_POINTS` points: of each stretch its extremes and its gap."""
    if len(series.x) <= MOST_POINTS:
        return series
    import numpy as np

    ys = np.asarray(series.y, float)
    stretches = np.array_split(np.arange(1, len(ys) - 1), MOST_POINTS // 3 - 1)
    kept = sorted({0, len(ys) - 1, *(i for stretch in stretches for i in _telling(ys, stretch))})
    x, y, low, high = (_at(kept, all_of) for all_of in (series.x, series.y, series.low, series.high))
    return replace(series, x=x, y=y, low=low, high=high)


def _at(places: Sequence[int], numbers: Sequence[float]) -> tuple[float, ...]:
    return tuple(numbers[i] for i in places) if numbers else ()


def _telling(ys: Any, stretch: Any) -> set[int]:
    """The places of the least and the largest value of a stretch, and of a gap if it has one."""
    gaps = stretch[~(abs(ys[stretch]) < math.inf)]
    known = stretch[abs(ys[stretch]) < math.inf]
    extremes = {known[ys[known].argmin()], known[ys[known].argmax()]} if len(known) else set()
    return {int(i) for i in (*extremes, *gaps[:1])}


def _series(axes: Axes, series: Series) -> None:
    drawn = thinned(series)
    colour = colours().get(series.tone, GREY)
    across, up = (_dots(drawn.x), _dots(drawn.y)) if drawn.points else (drawn.x, drawn.y)
    axes.plot(across, up, color=colour, label=visible(drawn.name), **_stroke(drawn))
    if drawn.low and drawn.high:
        axes.fill_between(drawn.x, drawn.low, drawn.high, color=colour, alpha=0.18, linewidth=0)


def _dots(numbers: Sequence[float]) -> list[float]:
    """Points as lines without a length, whose round ends are the dots: a fifth of the size of markers."""
    return [each for number in numbers for each in (number, number, math.nan)]


def _stroke(series: Series) -> dict[str, Any]:
    if series.points:
        return {"linewidth": 3, "solid_capstyle": "round"}
    return {"linewidth": 1.6, "linestyle": (0, (4, 3)) if series.dashed else "solid"}


def _axes(axes: Axes, drawn: Chart) -> None:
    axes.set_xlabel(visible(drawn.x))
    axes.set_title(visible(drawn.y), loc="left", fontsize=9.5)
    if drawn.log_x:
        axes.set_xscale("log")
        _in_plain_figures(axes.xaxis)
    if drawn.log_y:
        axes.set_yscale("log")
        _in_plain_figures(axes.yaxis)
    if drawn.seconds:
        axes.yaxis.set_major_formatter(lambda y, _: units.seconds(y, 2))
    if drawn.mark_x is not None:
        axes.axvline(drawn.mark_x, color=colours()["warn"], linewidth=1, linestyle=(0, (2, 2)))
    axes.grid(visible=True, axis="y", color=GREY, alpha=0.25, linewidth=0.7)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(length=0)
    if len(drawn.series) > 1:
        above: dict[str, Any] = {"loc": "lower right", "bbox_to_anchor": (1, 1), "ncols": 3}
        axes.legend(frameon=False, labelcolor=GREY, handlelength=1.2, borderaxespad=0.2, **above)


def _in_plain_figures(axis: Axis) -> None:
    """Label steps of ten as text: matplotlib's own labels are formulas, which stay unparsed here."""
    from matplotlib.ticker import LogFormatter

    axis.set_major_formatter(LogFormatter())
    axis.set_minor_formatter(LogFormatter(labelOnlyBase=False, minor_thresholds=(2, 0.4)))


def uri(figure: Figure, kind: str) -> str:
    """A figure as a data URI: "svg" or "png"."""
    out = io.BytesIO()
    metadata = {"Date": None} if kind == "svg" else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a letter that the font lacks is no news to the user
        figure.savefig(out, format=kind, transparent=True, metadata=metadata)
    drawn = _slim(out.getvalue()) if kind == "svg" else out.getvalue()
    media_type = {"svg": "image/svg+xml", "png": "image/png"}[kind]
    return f"data:{media_type};base64,{base64.b64encode(drawn).decode('ascii')}"


# What matplotlib writes that no picture needs.
_IDLE = re.compile(
    rb"<metadata>.*?</metadata>|<!--.*?-->|<\?xml.*?\?>|<!DOCTYPE[^>]*>|<desc>.*?</desc>", re.DOTALL
)
_PATH = re.compile(rb"<path[^<>]*>")
_DOT = re.compile(rb"M (\S+ \S+)\s+L \1\s+")
_DIGITS = re.compile(rb"(\d+\.\d)\d+")


def _slim(svg: bytes) -> bytes:
    """The same picture in fewer bytes; coordinates (and nothing else) keep a tenth of a point."""
    rounded = _PATH.sub(lambda path: _DOT.sub(rb"M\1h0", _DIGITS.sub(rb"\1", path[0])), _IDLE.sub(b"", svg))
    return re.sub(rb"\s*\n\s*", b" ", rounded)
