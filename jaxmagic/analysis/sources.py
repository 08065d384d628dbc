"""The user's source text: listings of the functions involved, and columns in characters."""

from __future__ import annotations

import linecache
import os
import re
import types
from collections.abc import Iterable, Iterator, Mapping

from jaxmagic.results import HERE, Source, Span

_CELL = re.compile(r"<ipython-input-(\d+)-")
_LINE = re.compile(r"<%\w+ \d+>")  # what a magic calls the expression on its line
_UNNAMED: Mapping[str, str] = {}


def span(file: str, place: tuple[int, int, int, int], function: str = "") -> Span:
    """A span from Python's or XLA's lines and byte columns; its columns count characters."""
    line, column, end_line, end_column = place
    return Span(
        file=file,
        line=line,
        column=_characters(file, line, column),
        end_line=end_line,
        end_column=_characters(file, end_line, end_column),
        function=function,
    )


def _characters(file: str, line: int, column: int) -> int:
    text = "".join(_text(file)[line - 1 : line])
    if column < 0:
        return 0
    return column if text.isascii() else len(text.encode()[:column].decode(errors="ignore"))


def _text(file: str) -> list[str]:
    """The lines of a file; none of what Python calls "<string>", which is any text that was executed."""
    return linecache.getlines(file) if file != "<string>" else []


def excerpt(place: Span | None) -> str:
    """The line at a span, "" where its source is not to be had."""
    return "".join(_text(place.file)[place.line - 1 : place.line]).rstrip("\n") if place else ""


def expression(place: Span) -> str:
    """The text of a span: the expression itself, its first line when it goes over several."""
    text = excerpt(place)
    return text[place.column : place.end_column if place.end_line == place.line else None]


def listings(
    codes: Iterable[types.CodeType], spans: Iterable[Span], labels: Mapping[str, str] = _UNNAMED
) -> tuple[Source, ...]:
    """The source of these functions and the lines of these spans, as blocks without overlap.

    Args:
        codes: the functions.
        spans: further places.
        labels: what to call the files, see `Target`.
    """
    ranges: dict[str, set[int]] = {}
    for code in codes:
        ranges.setdefault(code.co_filename, set()).update(_lines(code))
    for place in spans:
        ranges.setdefault(place.file, set()).update(range(place.line, place.end_line + 1))
    blocks = ((file, block) for file, lines in ranges.items() for block in _blocks(sorted(lines)))
    found = (_source(file, *block, label(file, labels)) for file, block in blocks)
    return tuple(source for source in found if source is not None)


def label(file: str, labels: Mapping[str, str] = _UNNAMED) -> str:
    """What a file is called: a cell "In [3]" where its number is known, a file by its name."""
    cell = _CELL.match(file)
    if file in labels or cell:
        return labels.get(file) or f"In [{cell[1] if cell else ''}]"
    if _LINE.match(file):
        return "this line"
    return "cell" if "ipykernel_" in file else os.path.basename(file) or file


def elsewhere(place: Span | None, labels: Mapping[str, str]) -> str:
    """What the file of a place is called, "" where the user sees it anyway or it has no name."""
    called = label(place.file, labels) if place else ""
    return "" if called in HERE or called.startswith("<") else called


def _lines(code: types.CodeType) -> range:
    """The lines that a function spans, those of the functions inside it included."""
    if code.co_name == "<module>":
        return range(0)
    return range(code.co_firstlineno, max(_ends(code), default=code.co_firstlineno) + 1)


def _ends(code: types.CodeType) -> Iterator[int]:
    yield from (end for _, end, _, _ in code.co_positions() if end is not None)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _ends(constant)


def _blocks(lines: list[int]) -> Iterator[tuple[int, int]]:
    start = previous = None
    for line in lines:
        if start is None or previous is None or line > previous + 1:
            if start is not None and previous is not None:
                yield start, previous
            start = line
        previous = line
    if start is not None and previous is not None:
        yield start, previous


def _source(file: str, first: int, last: int, called: str) -> Source | None:
    lines = _text(file)[first - 1 : last]
    if not lines:
        return None
    return Source(
        file=file,
        label=called,
        first_line=first,
        lines=tuple(line.rstrip("\r\n") for line in lines),
    )
