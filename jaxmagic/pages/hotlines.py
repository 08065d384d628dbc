"""Where the time of a compiled program goes: by line, by expression, and what is left over."""

from __future__ import annotations

from collections.abc import Iterator

from jaxmagic.pages import units
from jaxmagic.pages.blocks import Bar, Block, Cell, Column, Prose, Table, Text, code, strong, words
from jaxmagic.results import Line, Span, Spot, Timing, Trace

TITLE = "Time"
MOST = 40  # rows of a table
LEAST = 0.0005  # shares below are summed up


def known(trace: Trace) -> Timing | None:
    """The timing of a trace, where its shares are known."""
    return trace.timing if trace.timing is not None and not trace.timing.withheld else None


def said(trace: Trace) -> Iterator[Text]:
    """The time of a call and its hottest line, for the sentence."""
    if trace.timing is None or trace.timing.seconds is None:
        return
    yield strong(f"{units.seconds(trace.timing.seconds)} a call")
    hottest = max(trace.lines, key=lambda line: line.seconds or 0.0, default=None)
    if known(trace) and hottest is not None and hottest.seconds:
        yield Text(f"{units.percent(hottest.seconds / trace.timing.seconds)} of it in line {hottest.line}")


def why_not(timing: Timing) -> str:
    """Why there are no shares."""
    return f"Where the time goes is not told: {timing.withheld}."


def share(trace: Trace, line: Line) -> float | None:
    """The part of a call that a line takes by itself."""
    timing = known(trace)
    if timing is None or not timing.seconds or not line.seconds:
        return None
    return min(1.0, line.seconds / timing.seconds)


def rest(trace: Trace) -> float:
    """Seconds of a call that no line of the listing accounts for."""
    timing = known(trace)
    if timing is None or timing.seconds is None:
        return 0.0
    return max(0.0, timing.seconds - sum(line.seconds or 0.0 for line in trace.lines))


def blocks(trace: Trace) -> tuple[Block, ...]:
    """The lines and the expressions by their time, hottest first."""
    timing = known(trace)
    if timing is None or timing.seconds is None:
        reason = why_not(trace.timing) if trace.timing is not None else "Nothing was timed."
        return (Prose(words=words(Text(reason, tone="warn"))),)
    return (*_about(timing), _by_line(trace, timing), _by_expression(trace, timing))


def _about(timing: Timing) -> Iterator[Prose]:
    slowed = f", which made them {timing.slowed:.2f} times slower" if (timing.slowed or 0) > 1.005 else ""
    text = (
        f"{units.counted(timing.calls, 'call')} under JAX's profiler{slowed}; operations account for "
        f"{units.percent(timing.covered)} of the time, what JAX does before the first and after the last for "
        f"{units.percent(timing.edges)}, the rest is unknown. Where XLA made one operation of several "
        "expressions, its time is split among them by a model of their arithmetic."
    )
    yield Prose(words=words(Text(text, tone="muted")))


def _by_line(trace: Trace, timing: Timing) -> Table:
    told = [
        (line, line.seconds or 0.0, timing.inclusive.get((line.file, line.line), 0.0)) for line in trace.lines
    ]
    hot = sorted(
        (row for row in told if max(row[1] / _total(timing), row[2]) >= LEAST), key=lambda row: -row[1]
    )
    rows = [
        (
            words(units.seconds(seconds)),
            words(units.percent(seconds / _total(timing))),
            Bar(share=min(1.0, seconds / _total(timing))),
            words(units.percent(with_calls)),
            words(str(line.line)),
            words(code(line.source.strip())),
        )
        for line, seconds, with_calls in hot[:MOST]
    ]
    return Table(
        columns=(
            Column(title="time"),
            Column(title="share"),
            Column(title="", align="left"),
            Column(title="with calls"),
            Column(title="line"),
            Column(title="source", align="left"),
        ),
        rows=tuple(rows),
    )


def _total(timing: Timing) -> float:
    return timing.seconds or 1.0


def _by_expression(trace: Trace, timing: Timing) -> Table:
    spots = [spot for spot in timing.spots if spot.span is not None and spot.share >= LEAST]
    rows = [_row(spot, timing, _text(trace, spot.span), _how(spot)) for spot in spots[:MOST] if spot.span]
    own = sum(spot.share for spot in timing.spots if spot.span is None)
    few = sum(spot.share for spot in timing.spots if spot.span is not None) - sum(
        s.share for s in spots[:MOST]
    )
    left = (
        ("all other expressions", few, ""),
        ("operations that XLA added", own, "no expression"),
        ("before the first operation and after the last", timing.edges, "JAX's own work"),
        ("between operations", 1.0 - timing.covered - timing.edges, "unknown"),
    )
    rest = [
        _row(Spot(span=None, measured=part), timing, words(Text(name, tone="muted")), how)
        for name, part, how in left
        if part >= LEAST
    ]
    return Table(
        columns=(
            Column(title="time"),
            Column(title="share"),
            Column(title="expression", align="left"),
            Column(title="how", align="left"),
        ),
        rows=(*rows, *rest),
    )


def _row(spot: Spot, timing: Timing, what: Cell, how: str) -> tuple[Cell, ...]:
    seconds = spot.share * _total(timing)
    return (
        words(units.seconds(seconds)),
        words(units.percent(spot.share)),
        what,
        words(Text(how, tone="muted")),
    )


def _how(spot: Spot) -> str:
    """Whether a share was measured, or how much of it is the model's."""
    if spot.split < 0.005 * spot.share:
        return "measured"
    if spot.measured < 0.005 * spot.share:
        return "split by the model"
    return f"{units.percent(spot.measured / spot.share)} measured, the rest split by the model"


def _text(trace: Trace, span: Span) -> Cell:
    """The expression as the user wrote it, with its line."""
    lines = {(line.file, line.line): line.source for line in trace.lines}
    text = lines.get((span.file, span.line), "")
    end = span.end_column if span.end_line == span.line else len(text)
    piece = text[span.column : end].strip()
    more = "…" if span.end_line > span.line else ""
    where = Text(f"line {span.line}  ", tone="muted")
    return words(where, code(f"{piece}{more}")) if piece else words(Text(f"{span.file}, line {span.line}"))
