"""What XLA did, in rows linked to the source: what runs, and what became of the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from jaxmagic.pages import units
from jaxmagic.pages.blocks import Block, Program, Prose, Range, SourceLine, Text, Tie, words
from jaxmagic.results import Fate, FateKind, Kernel, Made, Span

Ranges: TypeAlias = Callable[[Span], tuple[Range, ...]]

# A kernel without a place in the source that writes less is only counted, in bytes.
SMALL = 1024
# What counts the turns of a loop, or compares them, moves less than this, in bytes.
COUNTER = 64
# So much of an expression stands in a row, and so far apart the ends of rows are kept below each other.
WIDE, ALIGNED = 60, 32
BETWEEN = "  ·  "


def blocks(made: Made, rows: Sequence[SourceLine], ranges: Ranges) -> tuple[Block, ...]:
    """What XLA made of a program, beside its source.

    Args:
        made: what it made.
        rows: the source.
        ranges: where a span stands in the rows.
    """
    listed = [(i, one) for i, one in enumerate(made.kernels, 1) if not _is_small(one)]
    listing = Listing(rows, ranges)
    _add_fates(listing, made)
    wide = listing.width([kernel.spans for _, kernel in listed])
    starts = _aligned([_cells(*one) for one in listed])
    for (_, kernel), start in zip(listed, starts, strict=True):
        listing.add(f"{start}  ", kernel.spans, _figures(kernel), wide)
    small = len(made.kernels) - len(listed)
    if small:
        listing.add(
            f"… and {units.counted(small, 'small one')}: a loop's counters, or without a place in the source",
            (),
        )
    used = _kernels_of_rows(listed, ranges)
    source = tuple(replace(row, cells=(_brief(used.get(i, [])),), share=None) for i, row in enumerate(rows))
    said = Prose(words=words(Text(summary(made), tone="muted")))
    return said, listing.program(source, ("kernel",), "what runs")


def _is_small(kernel: Kernel) -> bool:
    """Whether a kernel is not worth a row: it has no place in the source, or counts a loop's turns."""
    if kernel.kind == "library" or kernel.writes >= SMALL:
        return False
    counts = kernel.looped and kernel.kind != "fusion" and kernel.reads + kernel.writes < COUNTER
    return counts or not kernel.spans


def summary(made: Made) -> str:
    """What runs, in one sentence."""
    kinds = Counter[str](kernel.kind for kernel in made.kernels)
    parts = [units.counted(kinds[kind], name, names) for kind, name, names in _KINDS if kinds[kind]]
    libraries = dict.fromkeys(one.what.split(" ")[0] for one in made.kernels if one.kind == "library")
    called = f" ({', '.join(libraries)})" if libraries else ""
    listed = units.listed([f"{part}{called}" if "library" in part else part for part in parts])
    return f"XLA runs {units.counted(len(made.kernels), 'kernel')}: {listed}" if parts else "XLA runs nothing"


_KINDS = (
    ("fusion", "fusion", ""),
    ("operation", "single operation", ""),
    ("library", "library call", ""),
    ("copy", "copy", "copies"),
)


def _cells(number: int, kernel: Kernel) -> list[str]:
    times = "" if not kernel.looped else f"× {units.count(kernel.turns)}" if kernel.turns else "× ?"
    return [str(number), kernel.what, times]


def _figures(kernel: Kernel) -> str:
    """The bytes in and out of one run, its arithmetic, and its pass."""
    moved = f"{units.size(kernel.reads)} → {units.size(kernel.writes)}"
    work = units.flop(kernel.flops) if kernel.flops else "" if kernel.flops == 0 else "flop unknown"
    return "  " + " · ".join(filter(None, (moved, work, _pass(kernel))))


def _pass(kernel: Kernel) -> str:
    """The pass of a gradient that a kernel belongs to, where it is not the forward pass alone."""
    if not set(kernel.phases) - {"forward"}:
        return ""
    return "both passes" if len(kernel.phases) > 1 else kernel.phases[0]


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Cells under each other; a column that is empty throughout takes no room."""
    if not rows:
        return []
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(wide) for cell, wide in zip(row, widths, strict=True) if wide) for row in rows
    ]


def _kernels_of_rows(listed: Iterable[tuple[int, Kernel]], ranges: Ranges) -> dict[int, list[int]]:
    """The numbers of the kernels that each row of the source is in."""
    used: dict[int, list[int]] = {}
    for number, kernel in listed:
        for row in dict.fromkeys(part.row for span in kernel.spans for part in ranges(span)):
            used.setdefault(row, []).append(number)
    return used


def _brief(numbers: Sequence[int]) -> str:
    shown = ",".join(map(str, numbers[:3]))
    return f"{shown},…" if len(numbers) > 3 else shown


# -- what became of the rest -----------------------------------------------------------------------

_HEADINGS: dict[FateKind, str] = {
    "removed": "removed, for nothing depends on it",
    "folded": "worked out while compiling",
    "merged": "merged with an equal value",
    "repeated": "computed again in each kernel that needs it",
}


def _add_fates(listing: Listing, made: Made) -> None:
    numbers = {kernel.name: i for i, kernel in enumerate(made.kernels, 1)}
    for kind, heading in _HEADINGS.items():
        found = [fate for fate in made.fates if fate.kind == kind]
        if found:
            listing.add(heading, ())
        for fate in found:
            listing.add("  ", (fate.span,), _ending(fate, numbers, listing))
    if made.fates:
        listing.add("", ())


def _ending(fate: Fate, numbers: dict[str, int], listing: Listing) -> str:
    if fate.other is not None:
        return f"  with {listing.expression(fate.other)} on line {fate.other.line}"
    kernels = [str(numbers[name]) for name in fate.kernels if name in numbers]
    return f"  in kernels {units.listed(kernels)}" if kernels else ""


# -- rows with links -------------------------------------------------------------------------------


@dataclass(slots=True)
class Listing:
    """Rows of text that end in the user's expressions, each linked to the source.

    Args:
        source: the rows of the source.
        ranges: where a span stands in them.
    """

    source: Sequence[SourceLine]
    ranges: Ranges
    rows: list[str] = field(default_factory=list)
    _places: dict[Span, list[Range]] = field(default_factory=dict)

    def add(self, start: str, spans: Sequence[Span], end: str = "", wide: int = 0) -> None:
        """Add a row: its start, the outermost of its expressions at least `wide`, its end.

        An expression inside another one is linked to where that stands.
        """
        row, text = len(self.rows), start
        places: dict[Span, Range] = {}
        for told, span in self._told(spans):
            text += BETWEEN if places else ""
            places[span] = Range(row, len(text), len(text) + len(told))
            text += told
        for span in spans:
            around = next((one for one in places if one == span or _holds(one, span)), None)
            if around is not None:
                self._places.setdefault(span, []).append(places[around])
        self.rows.append((text.ljust(len(start) + wide) + end).rstrip())

    def width(self, groups: Iterable[Sequence[Span]]) -> int:
        """How wide the expressions of rows are to be, for their ends to stand below each other."""
        told = (BETWEEN.join(text for text, _ in self._told(spans)) for spans in groups)
        return min(max(map(len, told), default=0), ALIGNED)

    def _told(self, spans: Sequence[Span]) -> list[tuple[str, Span]]:
        """The outermost of expressions, with their text."""
        outer = (span for span in spans if not any(_holds(other, span) for other in spans))
        return [(text, span) for text, span in ((self.expression(span), span) for span in outer) if text]

    def expression(self, span: Span) -> str:
        """The expression at a span, on one line; "" where the source is not shown."""
        parts = self.ranges(span)
        if not parts:
            return ""
        text = " ".join(self.source[part.row].text[part.start : part.end].strip() for part in parts)
        return text if len(text) <= WIDE else text[: WIDE - 1] + "…"

    def program(self, source: tuple[SourceLine, ...], columns: tuple[str, ...], language: str) -> Program:
        """The rows beside the source."""
        return Program(
            columns=columns,
            source=source,
            program=tuple(self.rows),
            ties=tuple(
                Tie(source=self.ranges(span), program=tuple(places)) for span, places in self._places.items()
            ),
            language=language,
        )


def _holds(outer: Span, inner: Span) -> bool:
    """Whether one expression stands inside another."""
    if outer == inner or outer.file != inner.file:
        return False
    starts = (outer.line, outer.column) <= (inner.line, inner.column)
    return starts and (inner.end_line, inner.end_column) <= (outer.end_line, outer.end_column)
