"""What changed against the last run of the cell: a sentence, the figures, and the equations that differ."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from jaxmagic.pages import units
from jaxmagic.pages.blocks import (
    Block,
    Column,
    Program,
    Prose,
    Range,
    SourceLine,
    Table,
    Text,
    Tie,
    Words,
    words,
)
from jaxmagic.results import Change, Changes, Figure, Span

TITLE = "What changed"
AROUND = 3  # unchanged equations shown beside changed ones
MOST = 2000  # rows of the diff
COLUMNS = 500

_NAMES: dict[str, tuple[str, Callable[[float | None], str]]] = {
    "equations": ("equations", lambda value: units.count(None if value is None else int(value))),
    "flop": ("flop", units.flop),
    "bytes": ("bytes moved", units.size),
    "transcendentals": ("transcendental operations", units.amount),
    "peak": ("peak memory", units.size),
    "seconds": ("time", units.seconds),
}
_SAID = {"flop": "flops", "bytes": "bytes", "seconds": "time", "peak": "peak memory"}


def sentence(changes: Changes) -> str:
    """In a few words, such as "against the last run: 3 equations fewer, half the flops"."""
    if changes.same:
        return "same program as before"
    if changes.captured:
        return "same equations as before, other values in what they capture"
    told = [part for figure in changes.figures for part in _said(figure)]
    return f"against the last run: {', '.join(told) or 'other equations, the same figures'}"


def _said(figure: Figure) -> Iterator[str]:
    before, now = figure.before, figure.now
    if before is None or now is None or abs(now - before) < 0.005 * abs(before or 1):
        return
    if figure.name == "equations":
        more = int(now - before)
        yield f"{units.counted(abs(more), 'equation')} {'more' if more > 0 else 'fewer'}"
    elif figure.name in _SAID:
        yield f"{_times(before, now)} {_SAID[figure.name]}"


def _times(before: float, now: float) -> str:
    """How many times as much: "half the", "twice the", "3.1 times the", "12 % less"."""
    if not before or not now:
        return "for the first time" if not before else "no longer any"
    ratio = now / before
    if abs(ratio - 0.5) < 0.02:
        return "half the"
    if abs(ratio - 2) < 0.04:
        return "twice the"
    if ratio >= 2:
        return f"{units.brief(ratio, 3)} times the"
    share = units.percent(abs(ratio - 1))
    return f"{share} {'more' if ratio > 1 else 'less'}"


def blocks(
    changes: Changes,
    source: tuple[SourceLine, ...],
    columns: tuple[str, ...],
    ranges: Callable[[Span], tuple[Range, ...]],
) -> tuple[Block, ...]:
    """The figures and the diff.

    Args:
        changes: what changed.
        source: the listing of the source as it is now.
        columns: the titles of its figures.
        ranges: where a span stands in it.
    """
    if changes.same:
        return (
            Prose(words=words("Same program as before: every equation, and what goes in and comes out.")),
        )
    if changes.captured:
        return (Prose(words=words("Every equation is as before, but a captured array holds other values.")),)
    table = Table(
        columns=(Column(title="", align="left"), Column(title="before"), Column(title="now")),
        rows=tuple(_row(figure) for figure in changes.figures if _known(figure)),
    )
    if changes.diff is None:
        return (table, Prose(words=words("The program is too long for a diff of its equations.")))
    return (table, *_diff(changes.diff.get(), source, columns, ranges))


def _known(figure: Figure) -> bool:
    return figure.before is not None or figure.now is not None


def _row(figure: Figure) -> tuple[Words, ...]:
    name, told = _NAMES[figure.name]
    before, now = (told(value) for value in (figure.before, figure.now))
    return (words(name), words(before), words(Text(now, strong=figure.before != figure.now)))


def _diff(
    changes: Sequence[Change],
    source: tuple[SourceLine, ...],
    columns: tuple[str, ...],
    ranges: Callable[[Span], tuple[Range, ...]],
) -> Iterator[Block]:
    shown = list(_near(changes))
    if not shown:
        yield Prose(
            words=words("Each equation does what it did, but what goes in or comes out is different.")
        )
        return
    rows = tuple(_told(one) for one in shown[:MOST])
    ties = []
    for i, one in enumerate(shown[:MOST]):
        there = ranges(one.span) if one is not None and one.span is not None else ()
        if there:
            ties.append(Tie(source=there, program=(Range(i, 0, len(rows[i])),)))
    cut = len(shown) - len(rows)
    yield Program(columns=columns, source=source, program=rows, ties=tuple(ties), language="diff", cut=cut)


def _near(changes: Sequence[Change]) -> Iterator[Change | None]:
    """The changed ones with a few around them; None where some are left out."""
    changed = [i for i, one in enumerate(changes) if one.sign != " "]
    kept = sorted({j for i in changed for j in range(i - AROUND, i + AROUND + 1) if 0 <= j < len(changes)})
    last = -1
    for i in kept:
        if i != last + 1:
            yield None
        yield changes[i]
        last = i
    if kept and last != len(changes) - 1:
        yield None


def _told(one: Change | None) -> str:
    if one is None:
        return "  …"
    where = f"  (line {one.line} before)" if one.sign == "-" and one.line else ""
    text = one.text if len(one.text) <= COLUMNS else f"{one.text[: COLUMNS - 1]}…"
    return f"{one.sign} {text}{where}"
