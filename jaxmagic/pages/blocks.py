"""What a page is made of: text with a few roles, and blocks that each view knows how to draw.

A page says what is to be said once; how it looks in a terminal, in static HTML or live is up to
the views. Nothing here is escaped: that is done where it is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from jaxmagic.results import Lazy

Tone = Literal["plain", "muted", "good", "bad", "warn", "accent", "forward", "backward"]
Align = Literal["left", "right"]


@dataclass(frozen=True, slots=True)
class Text:
    """A run of text with one look."""

    text: str
    tone: Tone = "plain"
    strong: bool = False
    code: bool = False


Words: TypeAlias = tuple[Text, ...]


def words(*parts: str | Text) -> Words:
    """A sentence from strings and styled runs."""
    return tuple(Text(part) if isinstance(part, str) else part for part in parts)


def strong(text: str) -> Text:
    """What the eye should find."""
    return Text(text, strong=True)


def code(text: str) -> Text:
    """A piece of source."""
    return Text(text, code=True)


def spell(text: str) -> Words:
    """Words from a sentence with `code` in backticks."""
    pieces = text.split("`")
    return tuple(Text(piece, code=i % 2 == 1) for i, piece in enumerate(pieces) if piece)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prose:
    """A paragraph."""

    words: Words


@dataclass(frozen=True, slots=True, kw_only=True)
class Aside:
    """A note beside the evidence: what would surprise, or what went wrong."""

    words: Words
    tone: Tone = "warn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A bar in a table cell, as shares (0 to 1) of the column's width."""

    share: float
    low: float | None = None
    high: float | None = None
    tone: Tone = "accent"


Cell: TypeAlias = Words | Bar


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table."""

    title: str
    align: Align = "right"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of words and bars."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """A listing; with `diff`, lines that start with + and - are marked."""

    text: str
    caption: str = ""
    diff: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A line of a chart (`y` has gaps where a value is NaN), with a band when low and high are given."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    tone: Tone = "accent"
    dashed: bool = False
    points: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Lines over one axis. `alt` says what it shows to who cannot see it; with `seconds`, y is a time."""

    series: tuple[Series, ...]
    x: str
    y: str
    alt: str
    log_x: bool = False
    log_y: bool = False
    mark_x: float | None = None
    seconds: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """A function of one number with its derivatives, for the mouse to walk along.

    Args:
        name, by: of the function and of the number.
        x: the grid, as far as one can drag.
        ys: the function and its derivatives on it.
        shown: the part to show first.
        at: where the tangent rests.
        charts: the same as still pictures.
    """

    name: str
    by: str
    x: tuple[float, ...]
    ys: tuple[tuple[float, ...], ...]
    shown: tuple[float, float]
    at: float
    charts: tuple[Chart, ...]
    alt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Contours:
    """A function of two numbers: its level lines and its gradient as arrows.

    Args:
        name: of the function.
        names: of the two numbers.
        x, y: the grid.
        values: `values[j][i]` is at `x[i]`, `y[j]`.
        slopes: the derivatives by x and by y on the same grid.
        at: the point that is marked.
    """

    name: str
    names: tuple[str, str]
    x: tuple[float, ...]
    y: tuple[float, ...]
    values: tuple[tuple[float, ...], ...]
    slopes: tuple[tuple[tuple[float, ...], ...], tuple[tuple[float, ...], ...]]
    at: tuple[float, float]
    alt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Heat:
    """A matrix of numbers as colours, such as a Jacobian.

    Args:
        rows, columns: what goes down and across.
        row_names, column_names: a name for each; empty for their numbers.
    """

    values: tuple[tuple[float, ...], ...]
    rows: str
    columns: str
    alt: str
    row_names: tuple[str, ...] = ()
    column_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """A long row of numbers as colours: of each stretch the one farthest from zero."""

    values: tuple[float, ...]
    alt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """A line of a tree.

    Args:
        words: its name.
        cells: a figure for each of the tree's columns.
        inside: what it holds: further branches, or an array in full or as a strip.
        open: whether it is open at first.
    """

    words: Words
    cells: tuple[Words, ...] = ()
    inside: tuple[Branch | Code | Strip, ...] = ()
    open: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """Lines that hold lines, such as the parts of a model."""

    columns: tuple[str, ...]
    branches: tuple[Branch, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceLine:
    """A line of the user's source with its figures.

    Args:
        number: its number in its file; None for a heading or a remainder row.
        text: the line, verbatim.
        cells: a figure for each of the program's columns.
        share: length of its bar, 0 to 1; None for no bar.
        tone: how the line looks; "muted" for headings and remainders.
    """

    number: int | None
    text: str
    cells: tuple[str, ...] = ()
    share: float | None = None
    tone: Tone = "plain"


class Range(NamedTuple):
    """Columns `start` to `end` of one row (a row of the source listing, or of the program)."""

    row: int
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tie:
    """One expression: where it stands in the source and in the program."""

    source: tuple[Range, ...]
    program: tuple[Range, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """Source beside the program made from it, tied expression by expression.

    Args:
        columns: titles of the figures that stand before each source line.
        source: the listing.
        program: the program's text, by lines.
        ties: hover one side, see the other; inner expressions win.
        language: "jaxpr", "stablehlo" or "hlo".
        cut: rows of the program that were left out at the end.
        whole: its whole text, to copy; "" when the rows are all of it.
        rest: the same as a whole, where the rows are how a long program begins.
        more: what is missing then, in words.
    """

    columns: tuple[str, ...]
    source: tuple[SourceLine, ...]
    program: tuple[str, ...]
    ties: tuple[Tie, ...]
    language: str
    cut: int = 0
    whole: str = ""
    rest: Lazy[Program] | None = None
    more: str = ""


Shape = Literal["pin", "box", "loop", "fold"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """One thing in a graph.

    Args:
        shape: "pin" for what goes in and comes out, "box" for one operation, "loop" for what runs several
            times, "fold" for several operations in one.
        title: short, the first line.
        detail: the second line, such as its type; "" for none.
        told: what pointing at it tells, beside its title.
        cost: a figure, "" where there is none.
        share: of the whole cost, 0 to 1; None where unknown or where it has none.
        tone: of its edge.
        source: where it stands in the listing.
        inside: what can be opened.
    """

    shape: Shape
    title: str
    detail: str = ""
    told: str = ""
    cost: str = ""
    share: float | None = None
    tone: Tone = "plain"
    source: tuple[Range, ...] = ()
    inside: Lazy[Diagram] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """From an earlier box to a later one, with what goes along it."""

    start: int
    end: int
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagram:
    """Boxes and wires."""

    boxes: tuple[Box, ...]
    wires: tuple[Wire, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """A graph of boxes that can be opened, beside the source that they came from.

    Args:
        columns, source: the listing, as in `Program`.
        diagram: the graph with everything folded.
        opened: the boxes to show opened at first, by their places from the outermost on: (3, 0).
        alt: what it shows, to who cannot see it.
    """

    columns: tuple[str, ...]
    source: tuple[SourceLine, ...]
    diagram: Diagram
    opened: frozenset[tuple[int, ...]] = frozenset()
    alt: str = ""


Block: TypeAlias = Prose | Aside | Table | Code | Chart | Course | Contours | Heat | Tree | Program | Graph


@dataclass(frozen=True, slots=True, kw_only=True)
class Tab:
    """A titled stack of blocks, made when it is first looked at.

    Args:
        title: short, as on a tab.
        blocks: ready at once, or dear (then `hint` says what making them costs and how to ask).
    """

    title: str
    blocks: Lazy[tuple[Block, ...]]
    hint: str = ""


def tab(title: str, *blocks: Block) -> Tab:
    """A tab whose blocks are there."""
    return Tab(title=title, blocks=Lazy.of(blocks))


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A result in words and blocks.

    Args:
        say: the sentence that says the result.
        conditions: one muted line: under which conditions it holds.
        tabs: the evidence; a page with one tab shows no tab bar.
        notes: what would surprise, below the evidence.
        progress: 0 to 1 while work goes on, None when done.
    """

    say: Words
    conditions: Words = ()
    tabs: tuple[Tab, ...] = ()
    notes: tuple[Aside, ...] = ()
    progress: float | None = None


Composer: TypeAlias = Callable[..., Page]
Composers: TypeAlias = Mapping[type, str]
