"""Matrices and functions of two numbers as pictures for pages without a kernel, and strips of colour."""

from __future__ import annotations

import base64
import io
import math
import struct
import warnings
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from jaxmagic.pages.blocks import Contours, Heat, Strip
from jaxmagic.views.assets import colours
from jaxmagic.views.chart import GREY, SETTINGS, uri
from jaxmagic.views.visible import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_NAMES, FEW = 24, 6  # of rows or columns that stand beside a picture; so many where there are more
ARROWS = 13  # across and down
LEVELS = 12
COLOURS = 96


def heat(drawn: Heat) -> str:
    """A matrix as the data URI of a PNG: the colour says the sign, its strength the size."""
    import matplotlib.style
    from matplotlib.figure import Figure

    down, _ = _size(drawn)
    with matplotlib.style.context(["default", SETTINGS]):
        size = (wide(drawn) / 96, 3.0 if not _names(drawn) else min(max(0.24 * down + 0.8, 1.2), 6.0))
        figure = Figure(figsize=size, layout="constrained", dpi=144)
        axes = figure.add_subplot()
        axes.imshow(_shades(drawn), interpolation="nearest", aspect="auto")
        axes.set_xlabel(visible(drawn.columns))
        axes.set_ylabel(visible(drawn.rows))
        _whole_ticks(axes)
        if drawn.column_names:
            places, names = _labels(drawn.column_names)
            axes.set_xticks(places, names, rotation=90 if sum(map(len, names)) > 60 else 0)
        if drawn.row_names:
            axes.set_yticks(*_labels(drawn.row_names))
        return uri(figure, "png")


def wide(drawn: Heat) -> int:
    """The width of its picture, in pixels of a page."""
    across = _size(drawn)[1]
    return 384 if not _names(drawn) else min(max(32 * across + 150, 260), 614)


def largest(drawn: Heat) -> float:
    """The largest finite size in a matrix, 1 where there is none."""
    return max((abs(v) for row in drawn.values for v in row if math.isfinite(v)), default=0.0) or 1.0


def _size(drawn: Heat) -> tuple[int, int]:
    return len(drawn.values), len(drawn.values[0]) if drawn.values else 0


def _names(drawn: Heat) -> bool:
    return 0 < max(len(drawn.row_names), len(drawn.column_names)) <= MOST_NAMES


def _labels(names: Sequence[str]) -> tuple[list[int], list[str]]:
    """Which rows or columns are named, and how."""
    last = len(names) - 1
    places = [round(i * last / (FEW - 1)) for i in range(FEW)] if last >= MOST_NAMES else [*range(last + 1)]
    shown = [visible(names[place]) for place in places]
    return places, [name if len(name) <= 24 else f"{name[:23]}…" for name in shown]


def _shades(drawn: Heat) -> Any:
    """RGBA for each value, from nothing at 0 to a full colour at the largest."""
    import numpy as np
    from matplotlib.colors import to_rgb

    values = np.asarray(drawn.values, float)
    tones = np.where((values < 0)[..., None], to_rgb(colours()["backward"]), to_rgb(colours()["accent"]))
    strength = np.clip(np.nan_to_num(np.abs(values) / largest(drawn), posinf=1.0), 0.0, 1.0)
    return np.concatenate([tones, strength[..., None]], axis=-1)


def _whole_ticks(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.spines[:].set_visible(False)


# -- two numbers ----------------------------------------------------------------------------------


def contours(drawn: Contours) -> str:
    """Level lines and arrows uphill, as the data URI of a PNG."""
    import matplotlib.style
    from matplotlib.colors import LinearSegmentedColormap, to_rgba
    from matplotlib.figure import Figure

    values = _known(drawn.values)
    ground = LinearSegmentedColormap.from_list(
        "ground", [to_rgba(colours()["accent"], alpha) for alpha in (0.0, 0.45)]
    )
    with matplotlib.style.context(["default", SETTINGS]):
        figure = Figure(figsize=(5.0, 4.0), layout="constrained", dpi=110)
        axes = figure.add_subplot()
        if values.count():
            axes.contourf(drawn.x, drawn.y, values, levels=LEVELS, cmap=ground)
            lines = axes.contour(drawn.x, drawn.y, values, levels=LEVELS, colors=GREY, linewidths=0.8)
            axes.clabel(lines, fontsize=7.5, colors=GREY)
            _arrows(axes, drawn)
        axes.plot(*drawn.at, "o", color=colours()["warn"], markersize=6)
        axes.set_xlabel(visible(drawn.names[0]))
        axes.set_ylabel(visible(drawn.names[1]))
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        return _in_few_colours(figure)


def _in_few_colours(figure: Figure) -> str:
    """A figure as the data URI of a PNG with a palette: an eighth of the bytes."""
    from PIL import Image

    out = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a letter that the font lacks is no news to the user
        figure.savefig(out, format="raw", transparent=True)
    width, height = figure.canvas.get_width_height()
    drawn = Image.frombytes("RGBA", (width, height), out.getvalue())
    small = io.BytesIO()
    drawn.quantize(COLOURS, method=Image.Quantize.FASTOCTREE).save(small, format="png", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(small.getvalue()).decode('ascii')}"


def _known(values: Any) -> Any:
    import numpy as np

    return np.ma.masked_invalid(np.asarray(values, float))


def _arrows(axes: Axes, drawn: Contours) -> None:
    """The gradient in units of the picture, so that it stands upright on the lines; longer is steeper."""
    import numpy as np

    places = [
        np.unique(np.linspace(0, len(axis) - 1, ARROWS).round().astype(int)) for axis in (drawn.x, drawn.y)
    ]
    pick = np.ix_(places[1], places[0])
    by_x, by_y = (_known(slope)[pick] for slope in drawn.slopes)
    across, up = by_x * (drawn.x[-1] - drawn.x[0]), by_y * (drawn.y[-1] - drawn.y[0])
    length = np.hypot(across, up)
    short = np.ma.sqrt(length / (length.max() or 1.0)) / np.ma.maximum(length, 1e-300)
    x, y = np.asarray(drawn.x)[places[0]], np.asarray(drawn.y)[places[1]]
    axes.quiver(x, y, across * short, up * short, color=colours()["forward"], scale=ARROWS * 1.3, width=0.004)


# -- strips ---------------------------------------------------------------------------------------


def strip(drawn: Strip) -> str:
    """One row of pixels as the data URI of a PNG of a few hundred bytes."""
    top = max((abs(v) for v in drawn.values if math.isfinite(v)), default=0.0) or 1.0
    row = b"".join(_pixel(value / top) for value in drawn.values)
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", len(drawn.values), 1, 8, 6, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"\0" + row, 9)),
        (b"IEND", b""),
    )
    png = b"\x89PNG\r\n\x1a\n" + b"".join(map(_chunk, parts))
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


def _pixel(share: float) -> bytes:
    """As in a heat map; what is no number stands out."""
    if not math.isfinite(share):
        return _rgb("bad") + b"\xff"
    return _rgb("backward" if share < 0 else "accent") + bytes([round(255 * min(abs(share), 1.0))])


def _rgb(tone: str) -> bytes:
    return bytes.fromhex(colours()[tone].removeprefix("#"))


def _chunk(part: tuple[bytes, bytes]) -> bytes:
    kind, data = part
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
