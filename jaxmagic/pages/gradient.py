"""What `%jaxgrad` says: the value, what it is most sensitive to, each derivative with its check."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from jaxmagic.pages import curves, expenses, units
from jaxmagic.pages.blocks import (
    Align,
    Aside,
    Bar,
    Block,
    Cell,
    Code,
    Column,
    Page,
    Tab,
    Table,
    Text,
    Words,
    spell,
    strong,
    tab,
    words,
)
from jaxmagic.pages.branches import FULL, full, tree
from jaxmagic.pages.figures import Figured, FiguredGradient, figured
from jaxmagic.pages.matrices import matrices, span, zeros
from jaxmagic.pages.verdicts import MOST_ROWS, check_table, checked, mark, of
from jaxmagic.results import Gradient

CURVE = "curve"
BESIDE_A_TREE = 8  # inputs in the table, where a tree holds them all
_GRAVE = {"wrong derivative", "not finite", "vanishing", "exploding"}


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


def _nth(order: int) -> str:
    return {2: "second", 3: "third"}.get(order, units.ordinal(order))


def _by_whom(result: FiguredGradient) -> tuple[str | Text, ...]:
    names = list(result.partials)
    shown = units.listed(names[:4]) if len(names) <= 4 else f"{units.counted(len(names), 'input')}"
    return " by ", strong(shown)


def _sensitive(result: FiguredGradient) -> tuple[str | Text, ...]:
    """What moves the value most, in the words of whoever turns that knob."""
    if result.order > 1 and len(result.leaves) == 1 and not result.leaves[0].value.ndim:
        [leaf] = result.leaves
        told = f"Its {_nth(result.order)} derivative by {leaf.by[0]} is "
        return told, strong(units.figure(float(leaf.value), 4)), "."
    if result.order > 1:
        return (f"Its {_what(result)}", *_by_whom(result), ".")
    if result.curve is not None and len(result.leaves) == 1:
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
    return words(*checked(result.check), f" · {mode} · {result.device}")


# -- the tabs -------------------------------------------------------------------------------------


def _tabs(result: FiguredGradient) -> list[Tab]:
    """What was found, its pictures, the numbers themselves, the checks, the costs."""
    one = result.order == 1 and result.output.type.endswith("[]") and "," not in result.output.type
    parts = tree(result.leaves) if one else None
    first = [_by_input(result, brief=parts is not None)] if one else matrices(result)
    alone = len(result.leaves) == 1
    tabs = [tab("derivatives", *first, *(_curve(result) if alone else ()))]
    numbers = [leaf for leaf in result.leaves if not leaf.value.ndim]
    if one and len(numbers) > 1:
        tabs.append(tab("per unit", _by_unit(numbers, result.name)))
    if parts is not None:
        tabs.append(tab("tree", parts))
    if result.curve is not None and not alone:
        tabs.append(tab(CURVE, *_curve(result)))
    if result.field is not None:
        tabs.append(tab("contours", curves.contours(result.field, result.name)))
    full = _in_full(result.leaves) if parts is None else []
    if full:
        tabs.append(tab("values", *full))
    tabs.append(tab("checks", check_table(result.leaves)))
    if result.expenses is not None:
        costs = expenses.blocks(result.expenses, result.mode)
        tabs.append(Tab(title=expenses.TITLE, blocks=costs, hint=expenses.HINT))
    return tabs


def _curve(result: FiguredGradient) -> list[Block]:
    if result.curve is None:
        return []
    by = result.curve.by or result.leaves[0].by[0]
    return [curves.course(replace(result.curve, by=by), result.name)]


def _by_input(result: FiguredGradient, *, brief: bool) -> Block:
    """One row for each input, the most effective first; `brief` where a tree holds them all."""
    most = BESIDE_A_TREE if brief else MOST_ROWS
    arrays = not brief and any(leaf.value.ndim for leaf in result.leaves)
    ranked = _ranked(result.leaves)
    largest = max((abs(leaf.effect) for leaf in ranked if math.isfinite(leaf.effect)), default=0.0)
    value = _numbers(result.value)
    whole = float(value.reshape(())) if value is not None and value.size == 1 else 0.0
    titles = [
        "by",
        f"∂ {result.name}",
        *(["range", "zeros"] if arrays else []),
        "for 1 % more",
        "that is",
        "",
    ]
    return Table(
        columns=tuple(
            Column(title=title, align="left" if title in ("by", "") else "right")
            for title in (*titles, "check")
        ),
        rows=tuple(_row(leaf, largest, whole, arrays=arrays) for leaf in ranked[:most]),
        caption=_rest(len(ranked), most),
    )


def _by_unit(leaves: Sequence[Figured], name: str) -> Table:
    """The numbers among the inputs by what one more of each does."""
    slopes = {leaf.path: float(leaf.value) for leaf in leaves}
    ranked = sorted((s for s in slopes.items() if math.isfinite(s[1])), key=lambda pair: -abs(pair[1]))
    largest = max((abs(slope) for _, slope in ranked), default=0.0) or 1.0
    titles: tuple[tuple[str, Align], ...] = (("one more of", "left"), (name, "right"), ("", "left"))
    return Table(
        columns=tuple(Column(title=title, align=align) for title, align in titles),
        rows=tuple(
            (words(path), words(units.signed(slope, 4)), _bar(slope, largest))
            for path, slope in ranked[:MOST_ROWS]
        ),
    )


def _bar(value: float, largest: float) -> Bar:
    share = abs(value) / largest if largest and math.isfinite(value) else 0.0
    return Bar(share=share, tone="accent" if value >= 0 else "backward")


def _rest(rows: int, most: int) -> str:
    return f"and {units.count(rows - most)} more with smaller effects" if rows > most else ""


def _row(leaf: Figured, largest: float, whole: float, *, arrays: bool) -> tuple[Cell, ...]:
    name = words(leaf.path) if not leaf.value.ndim else words(leaf.path, " ", Text(leaf.type, tone="muted"))
    figures = (words(span(leaf)), words(zeros(leaf))) if arrays else ()
    effect = words(units.signed(leaf.effect)), words(_elasticity(leaf.effect, whole))
    return name, words(_size(leaf)), *figures, *effect, _bar(leaf.effect, largest), mark(leaf.check)


def _elasticity(effect: float, whole: float) -> str:
    """The same in percent of the output."""
    if not whole or not math.isfinite(whole) or not math.isfinite(effect):
        return ""
    return f"{units.signed(100 * effect / abs(whole))} %"


def _size(leaf: Figured) -> str:
    """A number by itself, an array by its norm."""
    if not leaf.value.ndim:
        return units.signed(float(leaf.value), 4)
    return f"norm {units.figure(leaf.norm)}"


# -- values ----------------------------------------------------------------------------------------


def _in_full(leaves: Sequence[Figured]) -> list[Block]:
    """Small arrays, number by number."""
    small = [leaf for leaf in leaves if leaf.value.ndim and leaf.value.size <= FULL][:MOST_ROWS]
    return [Code(text=full(leaf), caption=f"{of(leaf.output, leaf.path)}  {leaf.type}") for leaf in small]
