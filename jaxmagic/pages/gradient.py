"""What `%jaxgrad` says: the value, what it is most sensitive to, each derivative with its check."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from jaxmagic.pages import units
from jaxmagic.pages.blocks import (
    Aside,
    Bar,
    Block,
    Cell,
    Chart,
    Code,
    Column,
    Heat,
    Page,
    Prose,
    Series,
    Tab,
    Table,
    Text,
    Tone,
    Words,
    code,
    spell,
    strong,
    tab,
    words,
)
from jaxmagic.pages.figures import Figured, FiguredGradient, figured
from jaxmagic.results import Check, Curve, Gradient

MOST_ROWS = 60  # leaves in the table, the most effective first
MOST_CELLS = 48  # rows and columns of a heat map; what is larger is shown by its figures
FULL = 64  # arrays up to this many numbers are printed in full

# How a check reads in a cell, by what it found.
MARKS: dict[str, tuple[str, Tone]] = {
    "ok": ("✓", "good"),
    "wrong": ("✗", "bad"),
    "kink": ("kink", "warn"),
    "jump": ("jump", "warn"),
    "not finite": ("not finite", "bad"),
    "unsure": ("not settled", "muted"),
    "stopped": ("not comparable", "muted"),
    "": ("not checked", "muted"),
}
_GRAVE = {"wrong derivative", "not finite"}


def page(result: Gradient) -> Page:
    """The page of a `Gradient`."""
    return _page(figured(result))


def _page(result: FiguredGradient) -> Page:
    return Page(
        say=_say(result),
        conditions=_conditions(result),
        tabs=tuple(_tabs(result)),
        notes=tuple(
            Aside(words=spell(note.text), tone="bad" if note.kind in _GRAVE else "warn")
            for note in result.notes
        ),
    )


# -- the sentence ---------------------------------------------------------------------------------


def _say(result: FiguredGradient) -> Words:
    value = _numbers(result.value)
    if value is None or value.size != 1:
        return words(
            strong(result.name), f": {_what(result)} of {result.output.type}", *_by_whom(result), "."
        )
    told = (strong(result.name), f" = {units.figure(float(value.reshape(())), 4)}.")
    return words(*told, " ", *_sensitive(result))


def _what(result: FiguredGradient) -> str:
    return {1: "Jacobian", 2: "second derivatives"}.get(result.order, f"derivatives of order {result.order}")


def _by_whom(result: FiguredGradient) -> tuple[str | Text, ...]:
    names = list(result.partials)
    shown = units.listed(names[:4]) if len(names) <= 4 else f"{units.counted(len(names), 'input')}"
    return " by ", strong(shown)


def _sensitive(result: FiguredGradient) -> tuple[str | Text, ...]:
    """What moves the value most, in the words of whoever turns that knob."""
    if result.order > 1:
        return (f"Its {_what(result)}", *_by_whom(result), ".")
    if result.curve is not None:
        return _slope(result.leaves[0])
    ranked = [leaf for leaf in _ranked(result.leaves) if math.isfinite(leaf.effect)]
    if not ranked or not ranked[0].effect:
        return ("No input moves it by its own size here.",)
    best = ranked[0]
    more = "1 % more" if not best.value.ndim else "1 % more in every element"
    return "Most sensitive to ", strong(best.path), f": {more} {_moves(best.effect)}."


def _slope(leaf: Figured) -> tuple[str | Text, ...]:
    slope = f"Its slope by {leaf.path} is ", strong(units.figure(float(leaf.value), 4))
    effect = leaf.effect
    return (*slope, f": 1 % more {_moves(effect)}." if effect and math.isfinite(effect) else ".")


def _moves(effect: float) -> str:
    return f"{'adds' if effect > 0 else 'takes away'} {units.figure(abs(effect), 4)}"


def _ranked(leaves: Sequence[Figured]) -> list[Figured]:
    """The most effective first; what is not a number last."""
    effects = [abs(leaf.effect) for leaf in leaves]
    places = sorted(range(len(leaves)), key=lambda i: -effects[i] if math.isfinite(effects[i]) else math.inf)
    return [leaves[i] for i in places]


def _numbers(value: Any) -> npt.NDArray[np.float64] | None:
    try:
        return None if np.iscomplexobj(value) else np.asarray(value, np.float64)
    except (TypeError, ValueError):
        return None


# -- the conditions -------------------------------------------------------------------------------


def _conditions(result: FiguredGradient) -> Words:
    modes = {1: f"{result.mode} mode", 2: f"the first in {result.mode} mode"}
    mode = modes.get(result.order, f"order {result.order}, the first in {result.mode} mode")
    return words(*_checked(result.check), f" · {mode} · {result.device}")


def _checked(check: Check) -> tuple[str | Text, ...]:
    """The verdict on all derivatives together."""
    how = check.how.replace("central differences", "by finite differences")
    if check.ok:
        worst = units.scientific(check.error or 0.0)
        return Text("✓ checked", tone="good"), f" {how}, worst relative difference {worst}"
    if check.ok is False:
        return Text("✗ wrong", tone="bad"), f" {how}"
    if check.finding in ("kink", "jump"):
        return Text("checked", tone="warn"), f" {how}: a {check.finding} at this point"
    if check.finding == "not finite":
        return Text("not finite", tone="bad"), ": nothing to check against"
    if check.finding == "unsure":
        return Text("not settled", tone="muted"), f" {how}"
    return (Text(check.how, tone="muted"),)


def _mark(check: Check) -> Words:
    sign, tone = MARKS.get(check.finding, MARKS[""])
    error = f" {units.scientific(check.error)}" if check.ok is not None and check.error is not None else ""
    return (Text(sign + error, tone=tone),)


# -- the tabs -------------------------------------------------------------------------------------


def _tabs(result: FiguredGradient) -> list[Tab]:
    first = (
        [_by_input(result)] if result.output.type.endswith("[]") and result.order == 1 else _matrices(result)
    )
    tabs = [tab("derivatives", *first, *([] if len(result.leaves) > 1 else _pictures(result.curve, result)))]
    if len(result.leaves) > 1 and result.curve is not None:
        tabs.append(tab("curve", *_pictures(result.curve, result)))
    full = _in_full(result.leaves)
    if full:
        tabs.append(tab("values", *full))
    tabs.append(tab("checks", _check_table(result.leaves)))
    return tabs


def _by_input(result: FiguredGradient) -> Block:
    """One row for each input, the most effective first."""
    arrays = any(leaf.value.ndim for leaf in result.leaves)
    ranked = _ranked(result.leaves)
    largest = max((abs(leaf.effect) for leaf in ranked if math.isfinite(leaf.effect)), default=0.0)
    titles = ["by", f"∂ {result.name}", *(["range", "zeros"] if arrays else []), "for 1 % more", "", "check"]
    return Table(
        columns=tuple(
            Column(title=title, align="left" if title in ("by", "") else "right") for title in titles
        ),
        rows=tuple(_row(leaf, largest, arrays=arrays) for leaf in ranked[:MOST_ROWS]),
        caption=_rest(len(ranked)),
    )


def _rest(rows: int) -> str:
    return f"and {units.count(rows - MOST_ROWS)} more with smaller effects" if rows > MOST_ROWS else ""


def _row(leaf: Figured, largest: float, *, arrays: bool) -> tuple[Cell, ...]:
    effect = leaf.effect
    share = abs(effect) / largest if largest and math.isfinite(effect) else 0.0
    name = words(leaf.path) if not leaf.value.ndim else words(leaf.path, " ", Text(leaf.type, tone="muted"))
    figures = (words(_range(leaf)), words(_zeros(leaf))) if arrays else ()
    bar = Bar(share=share, tone="accent" if effect >= 0 else "backward")
    return name, words(_size(leaf)), *figures, words(units.signed(effect)), bar, _mark(leaf.check)


def _size(leaf: Figured) -> str:
    """A number by itself, an array by its norm."""
    if not leaf.value.ndim:
        return units.signed(float(leaf.value), 4)
    return f"norm {units.figure(leaf.norm)}"


def _range(leaf: Figured) -> str:
    if not leaf.value.ndim or leaf.low is None or leaf.high is None:
        return ""
    return f"{units.brief(leaf.low)} … {units.brief(leaf.high)}"


def _zeros(leaf: Figured) -> str:
    """The share of zeros, and of what is not a number."""
    if not leaf.value.ndim or leaf.zeros is None:
        return ""
    zeros = units.percent(leaf.zeros)
    return f"{zeros}, {units.percent(leaf.broken)} nan or inf" if leaf.broken else zeros


# -- Jacobians and Hessians -----------------------------------------------------------------------


def _matrices(result: FiguredGradient) -> list[Block]:
    """By name where every input is a number, else a picture of each block."""
    if result.order == 2 and all(not leaf.value.ndim for leaf in result.leaves):
        return [_cross_table(result)]
    return [block for leaf in result.leaves[:MOST_ROWS] for block in _matrix(leaf, result)]


def _cross_table(result: FiguredGradient) -> Table:
    """The Hessian of numbers: names down and across."""
    names = list(dict.fromkeys(leaf.by[0] for leaf in result.leaves))
    found = {(leaf.output, *leaf.by): leaf for leaf in result.leaves}
    outputs = list(dict.fromkeys(leaf.output for leaf in result.leaves))
    rows = tuple(
        (
            words(_of(output, row)),
            *(words(units.signed(float(found[output, row, column].value), 4)) for column in names),
        )
        for output in outputs
        for row in names
    )
    return Table(
        columns=(Column(title=f"∂² {result.name}", align="left"), *(Column(title=name) for name in names)),
        rows=rows,
    )


def _matrix(leaf: Figured, result: FiguredGradient) -> list[Block]:
    title = f"{_of(leaf.output, leaf.path)}  {leaf.type}"
    heading = Prose(words=words(strong(title), "  ", *_mark(leaf.check)))
    grid = _grid(leaf)
    if grid is None:
        return [heading, Prose(words=words(_figures(leaf)))]
    picture = Heat(
        values=tuple(tuple(float(x) for x in row) for row in grid),
        rows=leaf.output or result.name if leaf.rows else leaf.by[0],
        columns=leaf.by[-1] if leaf.by else leaf.path,
        alt=f"{title}: {_figures(leaf)}",
    )
    return [heading, picture, Prose(words=(Text(_figures(leaf), tone="muted"),))]


def _grid(leaf: Figured) -> npt.NDArray[np.float64] | None:
    """The derivative as rows and columns, if it is small enough to look at."""
    value = np.asarray(leaf.value)
    if not 1 < value.size <= MOST_CELLS**2:
        return None
    split = leaf.rows or (1 if value.ndim > 1 else 0)
    grid = value.astype(np.float64).reshape(math.prod(value.shape[:split]), -1)
    return grid if max(grid.shape) <= MOST_CELLS else None


def _figures(leaf: Figured) -> str:
    if leaf.value.size == 1:
        return units.figure(float(leaf.value.reshape(())), 6)
    return f"norm {units.figure(leaf.norm)}, {_range(leaf)}, zeros {_zeros(leaf)}"


def _of(output: str, path: str) -> str:
    return f"{output} by {path}" if output else path


# -- the picture ----------------------------------------------------------------------------------


def _pictures(curve: Curve | None, result: FiguredGradient) -> list[Block]:
    """The function with its tangent, and its derivatives below."""
    if curve is None:
        return []
    by = result.leaves[0].by[0]
    function = Chart(
        series=(Series(name=result.name, x=curve.x, y=curve.ys[0]), _tangent(curve)),
        x=by,
        y=result.name,
        alt=_told(curve, result.name, by),
        mark_x=curve.at,
    )
    marks: tuple[tuple[str, Tone], ...] = (("′", "forward"), ("″", "backward"), ("‴", "warn"))
    derivatives = Chart(
        series=tuple(
            Series(name=f"{result.name}{mark}", x=curve.x, y=y, tone=tone)
            for (mark, tone), y in zip(marks, curve.ys[1:], strict=False)
        ),
        x=by,
        y="derivatives",
        alt=f"The derivatives of {result.name} by {by} over the same range.",
        mark_x=curve.at,
    )
    return [function, derivatives]


def _tangent(curve: Curve) -> Series:
    """Through the point, as far as the function itself goes up and down."""
    here = curve.x.index(curve.at)
    value, slope = curve.ys[0][here], curve.ys[1][here]
    finite = [y for y in curve.ys[0] if math.isfinite(y)] or [0.0]
    margin = 0.1 * (max(finite) - min(finite))
    line = [value + slope * (x - curve.at) for x in curve.x]
    inside = tuple(y if min(finite) - margin <= y <= max(finite) + margin else math.nan for y in line)
    return Series(name="tangent", x=curve.x, y=inside, tone="warn", dashed=True)


def _told(curve: Curve, name: str, by: str) -> str:
    here = curve.x.index(curve.at)
    value, slope = units.figure(curve.ys[0][here], 4), units.figure(curve.ys[1][here], 4)
    where = f"from {units.brief(curve.x[0])} to {units.brief(curve.x[-1])}"
    return f"{name} for {by} {where}; at {units.brief(curve.at)} it is {value} with slope {slope}."


# -- values and checks ----------------------------------------------------------------------------


def _in_full(leaves: Sequence[Figured]) -> list[Block]:
    """Small arrays, number by number."""
    small = [leaf for leaf in leaves if leaf.value.ndim and leaf.value.size <= FULL][:MOST_ROWS]
    return [
        Code(
            text=np.array2string(np.asarray(leaf.value, np.float64), precision=5, separator=", "),
            caption=f"{_of(leaf.output, leaf.path)}  {leaf.type}",
        )
        for leaf in small
    ]


def _check_table(leaves: Sequence[Figured]) -> Table:
    titles = ("by", "found", "relative difference", "allowed", "how")
    return Table(
        columns=tuple(
            Column(title=t, align="left" if t in ("by", "found", "how") else "right") for t in titles
        ),
        rows=tuple(_check_row(leaf) for leaf in leaves[:MOST_ROWS]),
        caption=f"and {units.count(len(leaves) - MOST_ROWS)} more" if len(leaves) > MOST_ROWS else "",
    )


def _check_row(leaf: Figured) -> tuple[Cell, ...]:
    check = leaf.check
    sign, tone = MARKS.get(check.finding, MARKS[""])
    error = "" if check.error is None else units.scientific(check.error)
    allowed = "" if check.tolerance is None else units.scientific(check.tolerance)
    found = (Text(sign, tone=tone),)
    return words(code(_of(leaf.output, leaf.path))), found, words(error), words(allowed), words(check.how)
