"""A page with a kernel behind it: one widget that shows all of it.

The widget's state holds what is ready; a dear tab is made, and the rest of a long program is sent,
when the front end asks for it by message:

    {"ask": "tab", "tab": 2}                             -> {"tab": 2, "content": {...}}
    {"ask": "rows", "tab": 0, "program": 0, "row": 1000} -> the same and {"rows": [...]}
    {"ask": "rest", "tab": 0, "program": 0}              -> the same and {"part": {...}}, the whole program
    {"ask": "text", "tab": 0, "program": 0}              -> the same and {"text": "..."}, all of it
    {"ask": "graph", "tab": 0, "program": 0, "opened": ["3", "3.1"]}  -> the same and {"graph": {...}}

User text travels as text: in HTML it is escaped by views.html, elsewhere the module sets it as
`textContent`. Numbers travel as base64 of their binary form.
"""

from __future__ import annotations

import base64
from array import array
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from typing import Any, Literal, TypeAlias, TypeVar, assert_never

import anywidget
import traitlets

from jaxmagic.pages.blocks import (
    Chart,
    Contours,
    Course,
    Graph,
    Heat,
    Page,
    Program,
    Series,
    SourceLine,
    Tab,
)
from jaxmagic.views import assets, html
from jaxmagic.views import graph as graphs
from jaxmagic.views.layered import curve
from jaxmagic.views.surface import largest
from jaxmagic.views.ties import flattened
from jaxmagic.views.visible import visible, visible_line, waits

State: TypeAlias = dict[str, Any]

# The rows of a program that travel at once; the module asks for others as they come into sight.
ROWS_AT_ONCE = 1000
# Longer lines are cut where they are shown, such as the constants of an HLO program.
MAX_COLUMNS = 2000
MAX_TABLE_ROWS = 2000

# The parts that answer questions of their own.
NUMBERED = (Program, Graph)
Part = TypeVar("Part", Program, Graph)

_PLACE = '<div class="jm-part"></div>'


class PageView(anywidget.AnyWidget):
    """The live view of a page.

    Args:
        page: what to show.
        loaded: told when a dear tab was made, after the front end has it.
    """

    _esm = assets.module(assets.CHARTS, "functions.js", "live.js")
    _css = assets.styles("uPlot.min.css", "live.css")

    head = traitlets.Unicode().tag(sync=True)
    notes = traitlets.Unicode().tag(sync=True)
    tabs: traitlets.List[State] = traitlets.List().tag(sync=True)

    def __init__(self, page: Page, loaded: Callable[[], None] = lambda: None) -> None:
        self._page = page
        self._loaded = loaded
        super().__init__(**_state(page))
        self.on_msg(self._answer)

    def show(self, page: Page) -> None:
        """Show another page in its place; the open tab stays open."""
        self._page = page
        with self.hold_sync():
            for name, value in _state(page).items():
                self.set_trait(name, value)

    def close(self) -> None:
        """Let go of the model, here and in the front end, and of its layout's."""
        self.layout.close()
        super().close()

    def _answer(self, _: Any, message: State, __: Any) -> None:
        """What the module asked for; a question that makes no sense gets no answer."""
        answers: dict[str, Callable[[State], State]] = {
            "tab": self._tab,
            "rows": self._rows,
            "rest": self._rest,
            "text": self._text,
            "graph": self._graph,
        }
        before = self._waiting()
        try:
            self.send(answers[message["ask"]](message))
        except (KeyError, IndexError, TypeError, ValueError):
            return
        if self._waiting() != before:
            self._loaded()

    def _waiting(self) -> list[bool]:
        """Which tabs are still to be made."""
        return [waits(tab) for tab in self._page.tabs]

    def _tab(self, message: State) -> State:
        try:
            content = _content(self._page.tabs[message["tab"]])
        except KeyboardInterrupt as interrupt:  # ends the making of this tab, and nothing else is under way
            content = _failed(interrupt)
        return {"tab": message["tab"], "content": content}

    def _rows(self, message: State) -> State:
        first = int(message["row"])
        return message | {"rows": _lines(self._program(message).program[first : first + ROWS_AT_ONCE])}

    def _rest(self, message: State) -> State:
        return message | {"part": _program(_whole(self._program(message)))}

    def _text(self, message: State) -> State:
        program = _whole(self._program(message))
        return message | {"text": program.whole or "\n".join(program.program)}

    def _graph(self, message: State) -> State:
        graph = self._part(message, Graph)
        return message | {"graph": _drawn(graph, graphs.paths(message["opened"]))}

    def _program(self, message: State) -> Program:
        """A program as far as it was sent: its beginning, or all of it once that was asked for."""
        program = self._part(message, Program)
        return _whole(program) if program.rest is not None and program.rest.ready else program

    def _part(self, message: State, kind: type[Part]) -> Part:
        blocks = self._page.tabs[message["tab"]].blocks.get()
        part = [each for each in blocks if isinstance(each, NUMBERED)][message["program"]]
        if not isinstance(part, kind):
            raise TypeError(message["ask"])
        return part


def _whole(program: Program) -> Program:
    return program.rest.get() if program.rest is not None else program


# -- the state -------------------------------------------------------------------------------------


def _state(page: Page) -> State:
    return {
        "head": html.head(page, _medium([])),
        "notes": html.fragment(page.notes, _medium([])),
        "tabs": [_tab_state(tab) for tab in page.tabs],
    }


def _tab_state(tab: Tab) -> State:
    content = None if waits(tab) else _content(tab)
    return {"title": visible(tab.title), "hint": visible(tab.hint), "content": content}


def _content(tab: Tab) -> State:
    """A tab's blocks as HTML with a place for each part that the module draws."""
    try:
        blocks = tab.blocks.get()
    except Exception as error:  # noqa: BLE001 - display never raises; its words say why
        return _failed(error)
    parts: list[State] = []
    return {"html": html.fragment(blocks, _medium(parts)), "parts": parts}


def _failed(error: BaseException) -> State:
    return {"html": html.broken(error, _medium([])), "parts": [], "failed": True}


def _medium(parts: list[State]) -> html.Medium:
    """HTML with classes; programs (numbered) and charts are collected in `parts` and leave a place."""
    programs = count()

    def picture(each: html.Picture) -> str:
        number = next(programs) if isinstance(each, NUMBERED) else None
        parts.append(_part(each) | {"program": number})
        return _PLACE

    return html.Medium(paint=html.classes, picture=picture, most=MAX_TABLE_ROWS)


def _part(each: html.Picture) -> State:
    match each:
        case Program():
            return _program(each)
        case Chart():
            return _chart(each)
        case Course():
            return _course(each)
        case Contours():
            return _contours(each)
        case Heat():
            return _heat(each)
        case Graph():
            return _graph(each)
        case _:
            assert_never(each)


# -- parts -----------------------------------------------------------------------------------------


def _program(program: Program) -> State:
    listing = [line.text for line in program.source]
    return {
        "kind": "program",
        "language": visible(program.language),
        "columns": [visible(title) for title in program.columns],
        "source": [_source_line(line) for line in program.source],
        "rows": _lines(program.program[:ROWS_AT_ONCE]),
        "total": len(program.program),
        "cut": program.cut,
        "more": program.rest is not None,
        "wide": min(max(map(len, program.program), default=0), MAX_COLUMNS),
        "sourceTies": _packed("i", flattened(((i, t.source) for i, t in enumerate(program.ties)), listing)),
        "programTies": _packed(
            "i", flattened(((i, t.program) for i, t in enumerate(program.ties)), program.program)
        ),
    }


def _source_line(line: SourceLine) -> State:
    return {
        "number": line.number,
        "text": _line(line.text),
        "cells": [visible(cell) for cell in line.cells],
        "share": line.share,
        "tone": line.tone,
    }


def _lines(rows: Sequence[str]) -> list[str]:
    return [_line(row) for row in rows]


def _line(row: str) -> str:
    line = visible_line(row)
    return line if len(line) <= MAX_COLUMNS else f"{line[:MAX_COLUMNS]}…"


def _chart(chart: Chart) -> State:
    return {
        "kind": "chart",
        "series": [_series(series) for series in chart.series],
        "x": visible(chart.x),
        "y": visible(chart.y),
        "alt": visible(chart.alt),
        "logX": chart.log_x,
        "logY": chart.log_y,
        "mark": chart.mark_x,
        "seconds": chart.seconds,
    }


def _series(series: Series) -> State:
    numbers = {name: _packed("d", getattr(series, name)) for name in ("x", "y", "low", "high")}
    looks = {"tone": series.tone, "dashed": series.dashed, "points": series.points}
    return {"name": visible(series.name)} | numbers | looks


def _course(course: Course) -> State:
    return {
        "kind": "course",
        "name": visible(course.name),
        "by": visible(course.by),
        "x": _packed("d", course.x),
        "ys": [_packed("d", y) for y in course.ys],
        "shown": list(course.shown),
        "at": course.at,
        "alt": visible(course.alt),
    }


def _contours(drawn: Contours) -> State:
    grids = {"values": drawn.values, "byX": drawn.slopes[0], "byY": drawn.slopes[1]}
    return {
        "kind": "contours",
        "name": visible(drawn.name),
        "names": [visible(name) for name in drawn.names],
        "x": _packed("d", drawn.x),
        "y": _packed("d", drawn.y),
        "at": list(drawn.at),
        "alt": visible(drawn.alt),
    } | {name: _packed("d", (v for row in grid for v in row)) for name, grid in grids.items()}


def _heat(heat: Heat) -> State:
    return {
        "kind": "heat",
        "values": _packed("d", (value for row in heat.values for value in row)),
        "across": len(heat.values[0]) if heat.values else 0,
        "down": len(heat.values),
        "largest": largest(heat),
        "rows": visible(heat.rows),
        "columns": visible(heat.columns),
        "rowNames": [visible(name) for name in heat.row_names],
        "columnNames": [visible(name) for name in heat.column_names],
        "alt": visible(heat.alt),
    }


def _graph(graph: Graph) -> State:
    return {
        "kind": "graph",
        "columns": [visible(title) for title in graph.columns],
        "source": [_source_line(line) for line in graph.source],
        "alt": visible(graph.alt),
        "opened": [graphs.listed(path) for path in sorted(graph.opened)],
        "graph": _drawn(graph, graph.opened),
    }


def _drawn(graph: Graph, opened: frozenset[graphs.Path]) -> State:
    drawn = graphs.drawing(graph, opened)
    listing = [line.text for line in graph.source]
    ties = flattened(((i, one.box.source) for i, one in enumerate(drawn.boxes)), listing)
    return {
        "boxes": [_drawn_box(one) for one in drawn.boxes],
        "lines": [_drawn_line(one) for one in drawn.lines],
        "width": drawn.width,
        "height": drawn.height,
        "ties": _packed("i", ties),
    }


def _drawn_box(one: graphs.Drawn) -> State:
    box = one.box
    place = [round(number, 1) for number in (one.x, one.y, one.width, one.height)]
    return {
        "path": graphs.listed(one.path),
        "place": place,
        "shape": box.shape,
        "title": visible(box.title),
        "second": visible(graphs.second_line(box)),
        "cost": visible(box.cost),
        "told": visible(box.told)[:MAX_COLUMNS],
        "tint": graphs.tint(box.share or 0.0),
        "tone": box.tone,
        "opens": box.inside is not None,
        "opened": one.opened,
    }


def _drawn_line(one: graphs.Line) -> State:
    ends = {"start": graphs.listed(one.start), "end": graphs.listed(one.end)}
    return ends | {"label": visible(one.label), "path": curve(one.points)}


def _packed(kind: Literal["i", "d"], numbers: Iterable[float]) -> str:
    """Numbers as base64 of 32-bit integers or 64-bit floats, in the machine's (little-endian) order."""
    return base64.b64encode(array(kind, numbers).tobytes()).decode("ascii")
