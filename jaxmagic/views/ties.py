"""Which rows of a program belong to which rows of its source, and where exactly."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from jaxmagic.pages.blocks import Program, Range


def lines_of_rows(program: Program) -> list[list[int]]:
    """For each row of the program, the rows of the source that it came from, in order."""
    rows: list[set[int]] = [set() for _ in program.program]
    for tie in program.ties:
        sources = {part.row for part in tie.source if 0 <= part.row < len(program.source)}
        first = {min(sources)} if sources else set()
        for part in tie.program:
            if 0 <= part.row < len(rows):
                rows[part.row] |= first
    return [sorted(found) for found in rows]


def flattened(parts: Iterable[tuple[int, Sequence[Range]]], lines: Sequence[str]) -> list[int]:
    """Ranges as `tie, row, start, end` numbers, columns in UTF-16 units as a browser counts them."""
    numbers: list[int] = []
    for tie, ranges in parts:
        for part in ranges:
            if 0 <= part.row < len(lines):
                line = lines[part.row]
                numbers += (tie, part.row, utf16(line, part.start), utf16(line, part.end))
    return numbers


def utf16(line: str, column: int) -> int:
    """A column in characters as a column in UTF-16 units."""
    column = min(max(column, 0), len(line))
    if line.isascii():
        return column
    return column + sum(character > "\uffff" for character in line[:column])
