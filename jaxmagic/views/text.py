"""A page in a terminal: complete, aligned, without colours or control characters."""

from __future__ import annotations

import functools
import math
import shutil
import statistics
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise, zip_longest
from typing import assert_never

from jaxmagic.pages import units
from jaxmagic.pages.blocks import (
    Align,
    Aside,
    Bar,
    Block,
    Branch,
    Cell,
    Chart,
    Code,
    Contours,
    Course,
    Graph,
    Heat,
    Page,
    Program,
    Prose,
    Series,
    Strip,
    Tab,
    Table,
    Text,
    Tree,
    Words,
)
from jaxmagic.views.graph import outline
from jaxmagic.views.ties import lines_of_rows
from jaxmagic.views.visible import failure, flat, shown, visible, visible_line, visible_lines, waits, width

# A program's rows, at most: a notebook keeps this text beside whatever else it shows.
MAX_ROWS = 1500
WIDTH, NARROWEST, WIDEST = 100, 40, 160
BAR, HEAT_BAR = 24, 6
FEW, LINES, SPARK = 5, 3, 24
SIDE = 8
_EIGHTHS = " ▏▎▍▌▋▊▉"
_HEIGHTS = "▁▂▃▄▅▆▇█"


def render(page: Page, columns: int | None = None) -> str:
    """The whole page as plain text, at most `columns` wide where its tables allow it."""
    columns = columns or min(max(shutil.get_terminal_size((WIDTH, 24)).columns, NARROWEST), WIDEST)
    return flat(_page(page, columns))


def _page(page: Page, columns: int) -> Iterator[str]:
    yield from _wrapped(page.say, columns)
    if page.conditions:
        yield from _wrapped(page.conditions, columns)
    if page.progress is not None:
        yield f"{_bar(page.progress, BAR, '░')} {units.percent(page.progress)}"
    for tab in page.tabs:
        if not waits(tab):
            yield ""
            if len(page.tabs) > 1:
                yield _rule(visible(tab.title), columns)
            yield from _tab(tab, columns)
    yield from _waiting([tab for tab in page.tabs if waits(tab)])
    if page.notes:
        yield ""
    for note in page.notes:
        yield from block(note, columns)


def _waiting(tabs: Sequence[Tab]) -> Iterator[str]:
    if tabs:
        yield from ("", "not made yet")
    yield from _aligned([[visible(tab.title), visible(tab.hint)] for tab in tabs], ["left"] * 2)


def _tab(tab: Tab, columns: int) -> Iterator[str]:
    try:
        blocks = tab.blocks.get()
    except Exception as error:  # noqa: BLE001 - display never raises; the words say what went wrong
        yield f"could not be made: {failure(error)}"
        return
    for i, each in enumerate(blocks):
        if i and not isinstance(each, Aside):
            yield ""
        yield from block(each, columns)


def block(each: Block, columns: int = WIDTH) -> list[str]:
    """The lines of a block; never raises."""
    try:
        return list(_block(each, columns))
    except Exception as error:  # noqa: BLE001 - display never raises
        return [f"this {shown(each)} could not be shown: {failure(error)}"]


def _block(each: Block, columns: int) -> Iterator[str]:
    match each:
        case Prose():
            yield from _wrapped(each.words, columns)
        case Aside():
            yield from _wrapped(each.words, columns, first="! " if each.tone == "bad" else "* ", then="  ")
        case Table():
            yield from _table(each)
        case Code():
            yield from _code(each)
        case Tree():
            yield from _tree(each)
        case Program():
            yield from _program(each)
        case Graph():
            yield from _graph(each)
        case _:
            yield from _picture(each, columns)


def _picture(each: Chart | Course | Contours | Heat, columns: int) -> Iterator[str]:
    match each:
        case Chart():
            yield from _chart(each, columns)
        case Course():
            for one in each.charts:
                yield from _chart(one, columns)
        case Contours():
            yield from _contours(each, columns)
        case Heat():
            yield from _heat(each, columns)
        case _:
            assert_never(each)


# -- words -----------------------------------------------------------------------------------------


def sentence(words: Words) -> str:
    """Words as one line of text, `code` in backticks."""
    return "".join(_run(run) for run in words)


def _run(run: Text) -> str:
    return f"`{visible(run.text)}`" if run.code else visible(run.text)


def _wrapped(words: Words, columns: int, first: str = "", then: str = "") -> list[str]:
    return textwrap.wrap(
        sentence(words),
        columns,
        initial_indent=first,
        subsequent_indent=then,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _rule(title: str, columns: int) -> str:
    return f"── {title} {'─' * max(columns - width(title) - 4, 2)}"


# -- tables ----------------------------------------------------------------------------------------


def _table(table: Table) -> Iterator[str]:
    if table.caption:
        yield visible(table.caption)
    rows = [[_cell(cell) for cell in row] for row in table.rows]
    titles = [visible(column.title) for column in table.columns]
    yield from _aligned([titles, *rows], [column.align for column in table.columns])


def _cell(cell: Cell) -> str:
    if isinstance(cell, Bar):
        return _bar(cell.share, BAR)
    return "".join(visible(run.text) for run in cell)


def _aligned(rows: Sequence[Sequence[str]], aligns: Sequence[Align]) -> list[str]:
    """Rows under their titles; a ragged row is filled with blanks."""
    columns = list(zip_longest(*rows, fillvalue=""))
    padded = [
        [_pad(text, max(map(width, column)), align) for text in column]
        for column, align in zip_longest(columns, aligns[: len(columns)], fillvalue="left")
    ]
    return ["  ".join(row).rstrip() for row in zip(*padded, strict=True) if any(map(str.strip, row))]


def _pad(text: str, columns: int, align: str) -> str:
    room = " " * (columns - width(text))
    return room + text if align == "right" else text + room


def _bar(share: float, columns: int, rest: str = "") -> str:
    """A bar in eighths of a character; something that is not nothing shows at least one."""
    share = 0.0 if math.isnan(share) else min(max(share, 0.0), 1.0)
    eighths = max(round(share * columns * 8), 1 if share > 0 else 0)
    bar = "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()
    return bar + rest * (columns - len(bar))


# -- listings --------------------------------------------------------------------------------------


def _code(code: Code) -> Iterator[str]:
    if code.caption:
        yield visible(code.caption)
    yield from (f"  {line}" for line in visible_lines(code.text))


def _program(program: Program) -> Iterator[str]:
    """The source with its figures, then the program with the source line of each row before it."""
    cut = program.cut + max(len(program.program) - MAX_ROWS, 0)
    program = replace(program, program=program.program[:MAX_ROWS], cut=cut)
    yield from _source(program)
    yield ""
    numbers = [
        ",".join(str(program.source[row].number or "·") for row in rows[:3])
        for rows in lines_of_rows(program)
    ]
    gutter = max(map(len, numbers), default=0)
    yield f"{'line':>{max(gutter, 4)}}  {visible(program.language)}"
    for number, line in zip(numbers, program.program, strict=False):
        yield f"{number:>{max(gutter, 4)}}  {visible_line(line)}"
    if program.rest is not None:
        yield f"      … {visible(program.more)}"
    elif program.cut:
        yield f"      … {units.counted(program.cut, 'more line')}"


def _source(program: Program) -> Iterator[str]:
    for pieces in listing(program):
        yield "  ".join(piece for piece in pieces if piece).rstrip()


def listing(program: Program) -> list[tuple[str, str, str, str]]:
    """The source in aligned pieces: number, bar, figures and the line itself; the first row is the titles.

    The bars and figures are empty strings where the program has none.
    """
    bars = any(line.share is not None for line in program.source)
    numbers = ["line", *("" if line.number is None else str(line.number) for line in program.source)]
    shares = ["", *(_bar(line.share or 0.0, HEAT_BAR) if bars else "" for line in program.source)]
    figures = _aligned_figures(program)
    lines = ["source", *(visible_line(line.text) for line in program.source)]
    gutter = max(map(len, numbers))
    rows = zip(numbers, shares, figures, lines, strict=True)
    return [(f"{n:>{gutter}}", f"{bar:<{HEAT_BAR}}" if bars else "", fig, line) for n, bar, fig, line in rows]


def _aligned_figures(program: Program) -> list[str]:
    """The figures of each line, the titles first, as wide as each other."""
    many = range(len(program.columns))
    cells = [program.columns, *(line.cells for line in program.source)]
    rows = [[visible(row[i]) if i < len(row) else "" for i in many] for row in cells]
    widest = [max(width(row[i]) for row in rows) for i in many]
    return ["  ".join(_pad(row[i], widest[i], "right") for i in many) for row in rows]


# -- trees -----------------------------------------------------------------------------------------


def _tree(tree: Tree) -> Iterator[str]:
    """An outline; what a line holds stands below it, indented."""
    found = [(depth, one) for branch in tree.branches for depth, one in _outline(branch, 0)]
    rows = [_branch_row(depth, one) for depth, one in found if isinstance(one, Branch)]
    titles = ["", *map(visible, tree.columns)]
    figures: list[Align] = ["right"] * (len(titles) - 3)
    aligned = _aligned([titles, *rows], ["left", "left", *figures, "left"])
    yield aligned[0]
    lines = iter(aligned[1:])
    for depth, one in found:
        if isinstance(one, Branch):
            yield next(lines)
        else:
            yield from (f"{'  ' * depth}{line}" for line in _held(one))


def _outline(branch: Branch, depth: int) -> Iterator[tuple[int, Branch | Code | Strip]]:
    yield depth, branch
    for one in branch.inside:
        if isinstance(one, Branch):
            yield from _outline(one, depth + 1)
        else:
            yield depth + 1, one


def _branch_row(depth: int, branch: Branch) -> list[str]:
    return [f"{'  ' * depth}{sentence(branch.words)}", *(sentence(cell) for cell in branch.cells)]


def _held(one: Code | Strip) -> list[str]:
    if isinstance(one, Code):
        return visible_lines(one.text)
    return [f"{sparkline(one.values)}  {visible(one.alt)}"]


# -- pictures --------------------------------------------------------------------------------------


def _chart(chart: Chart, columns: int) -> Iterator[str]:
    """What it shows in words, then a line for each of its lines; the figures themselves when they are few."""
    yield from textwrap.wrap(visible(chart.alt), columns)
    xs = chart.series[0].x if chart.series else ()
    if len(xs) <= FEW and all(series.x == xs for series in chart.series):
        yield from _points(chart)
        return
    told = [_told(series, chart) for series in chart.series[:LINES]]
    yield from _aligned(told, ["left"] * 3)
    if len(chart.series) > LINES:
        yield f"… {units.counted(len(chart.series) - LINES, 'more line')}"


def _points(chart: Chart) -> list[str]:
    titles = [visible(chart.x), *(visible(series.name or chart.y) for series in chart.series)]
    rows = [
        [_coordinate(x), *(_height_of(series.y[i], chart) for series in chart.series)]
        for i, x in enumerate(chart.series[0].x if chart.series else ())
    ]
    return _aligned([titles, *rows], ["right"] * len(titles))


def _told(series: Series, chart: Chart) -> list[str]:
    """A line's name, its course in block characters, and its ends and range."""
    name = visible(series.name or chart.y)
    finite = [y for y in series.y if math.isfinite(y)]
    if not finite:
        return [name, "", "no number"]
    told = functools.partial(_height_of, chart=chart)
    return [name, sparkline(series.y, log=chart.log_y), _range(series, finite, told)]


def _range(series: Series, finite: Sequence[float], told: Callable[[float], str]) -> str:
    low, high = min(finite), max(finite)
    if series.points:
        return f"{told(low)} to {told(high)}, median {told(statistics.median(finite))}"
    known = [(x, y) for x, y in zip(series.x, series.y, strict=False) if math.isfinite(y)]
    places = ", ".join(f"{told(y)} at {_coordinate(x)}" for x, y in (known[0], known[-1]))
    ends = (known[0][1], known[-1][1])
    beyond = [f"{word} {told(y)}" for word, y in (("lowest", low), ("highest", high)) if y not in ends]
    return "; ".join(filter(None, (places, ", ".join(beyond))))


def sparkline(values: Sequence[float], *, log: bool = False) -> str:
    """The course of a line, a blank where it has a gap, in at most `SPARK` characters."""
    log = log and all(y > 0 for y in values)
    heights = [math.log(y) if log and math.isfinite(y) else y for y in values]
    cells = min(len(heights), SPARK)
    cuts = [round(i * len(heights) / cells) for i in range(cells + 1)]
    means = [_mean(heights[a:b]) for a, b in pairwise(cuts)]
    known = [mean for mean in means if mean is not None]
    low, high = min(known, default=0.0), max(known, default=0.0)
    return "".join(" " if mean is None else _height(mean, low, high) for mean in means)


def _mean(values: Sequence[float]) -> float | None:
    finite = [value for value in values if math.isfinite(value)]
    return math.fsum(finite) / len(finite) if finite else None


def _height(value: float, low: float, high: float) -> str:
    if high == low:
        return "▄"
    return _HEIGHTS[min(int((value - low) / (high - low) * len(_HEIGHTS)), len(_HEIGHTS) - 1)]


def _height_of(y: float, chart: Chart) -> str:
    if math.isnan(y):
        return "–"
    return units.seconds(y) if chart.seconds else units.brief(y, 4)


def _coordinate(x: float) -> str:
    """A place on an axis: whole numbers (years, say) without separators."""
    return units.brief(x, 12 if x.is_integer() else 4).replace(",", "")


def _graph(each: Graph) -> Iterator[str]:
    """An outline: what is folded is marked ▸, what is opened stands indented below it."""
    yield visible(each.alt)
    rows = [[visible(part) for part in row] for row in outline(each)]
    yield from _aligned(rows[:MAX_ROWS], ["left", "left", "right", "left"])


def _heat(heat: Heat, columns: int) -> Iterator[str]:
    yield from textwrap.wrap(visible(heat.alt), columns)
    across = len(heat.values[0]) if heat.values else 0
    chosen = _spread(across, SIDE)
    yield f"{visible(heat.rows)} down, {visible(heat.columns)} across"
    titles = ["", *(_name(heat.column_names, j) for j in chosen)]
    rows = [
        [_name(heat.row_names, i), *(units.brief(heat.values[i][j], 3) for j in chosen)]
        for i in _spread(len(heat.values), SIDE)
    ]
    yield from _aligned([titles, *rows], ["right"] * len(titles))
    if across > SIDE or len(heat.values) > SIDE:
        yield f"(a few of {len(heat.values):,} × {across:,})"


def _name(names: Sequence[str], place: int) -> str:
    return visible(names[place]) if place < len(names) else str(place)


def _contours(each: Contours, columns: int) -> Iterator[str]:
    """A few of its values."""
    yield from textwrap.wrap(visible(each.alt), columns)
    across, down = _spread(len(each.x), SIDE - 1), _spread(len(each.y), SIDE - 1)
    yield f"{visible(each.names[1])} down, {visible(each.names[0])} across"
    titles = ["", *(_coordinate(each.x[i]) for i in across)]
    rows = [[_coordinate(each.y[j]), *(_level(each.values[j][i]) for i in across)] for j in reversed(down)]
    yield from _aligned([titles, *rows], ["right"] * len(titles))


def _level(value: float) -> str:
    return "–" if math.isnan(value) else units.brief(value, 4)


def _spread(total: int, most: int) -> list[int]:
    """Indices over the whole range, at most so many, both ends among them."""
    if total <= most:
        return list(range(total))
    return [round(i * (total - 1) / (most - 1)) for i in range(most)]
