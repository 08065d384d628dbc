"""What the lines of a trace cost, in cells, words and a table: passes, what is kept, what bounds them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from jaxmagic.pages import hotlines, units
from jaxmagic.pages.blocks import Block, Cell, Column, Prose, Table, Text, code, strong, words
from jaxmagic.results import Line, Peaks, Phase, Trace, Work

TITLE = "Costs"
HINT = "measures what the device can do (`--costs`)"
HINT_UNCOUNTED = "counts them, and measures what the device can do (`--costs`)"

LATER: tuple[Phase, ...] = ("backward", "recomputed")


@dataclass(frozen=True, slots=True)
class _Column:
    title: str
    cell: Callable[[Line], str]


def passes(trace: Trace) -> bool:
    """Whether a trace holds a backward pass."""
    return trace.kept is not None


def columns(trace: Trace) -> tuple[str, ...]:
    """The titles of the figures before each source line."""
    return tuple(column.title for column in _columns(trace))


def cells(trace: Trace, line: Line | None) -> tuple[str, ...]:
    """The figures before a source line; empty where it costs nothing."""
    if line is None or _is_free(line):
        return ("",) * len(_columns(trace))
    return tuple(column.cell(line) for column in _columns(trace))


def remainder(trace: Trace, flops: float, moved: float) -> tuple[str, ...]:
    """The figures of what no line accounts for."""
    told = {"flop": units.amount(flops), "bytes": units.size(moved)}
    told |= {"time": units.seconds(hotlines.rest(trace))}
    return tuple(told.get(title, "") for title in columns(trace))


def said(trace: Trace) -> Iterator[Text]:
    """The totals, for the sentence."""
    if trace.counted is not None:
        yield Text("costs not counted yet")
        return
    if trace.certain is not None and trace.flops is None and trace.certain.flops is not None:
        yield strong(f"{units.flop(trace.certain.flops)} + unknown turns")
    else:
        yield Text("flop unknown") if trace.flops is None else strong(units.flop(trace.flops))
    if trace.bytes is not None:
        yield Text(f"{units.size(trace.bytes)} moved")
    elif trace.certain is not None and trace.certain.bytes is not None:
        yield Text(f"{units.size(trace.certain.bytes)} + unknown turns moved")
    else:
        yield Text("bytes moved unknown")


def _columns(trace: Trace) -> tuple[_Column, ...]:
    if trace.counted is not None:
        return (_TIME,) if hotlines.known(trace) is not None else ()
    spent = _BY_PASS if passes(trace) else _PLAIN
    return (_TIME, *spent) if hotlines.known(trace) is not None else spent


def _is_free(line: Line) -> bool:
    return line.flops == 0 and line.bytes == 0 and not line.kept and not line.seconds


def _flops(line: Line) -> str:
    return _a_turn(units.amount, line.turn.flops if line.turn else None, line.flops)


def _bytes(line: Line) -> str:
    return _a_turn(units.size, line.turn.bytes if line.turn else None, line.bytes)


def _a_turn(told: Callable[[float | None], str], turn: float | None, total: float | None) -> str:
    return f"{told(turn)} a turn" if turn and total is None else told(total)


def _of(*phases: Phase) -> Callable[[Line], str]:
    """The flops of some passes together."""

    def cell(line: Line) -> str:
        if line.flops is None and line.turn is not None:
            return _flops(line) if "forward" in phases else ""
        parts = [line.phases[phase].flops for phase in phases if phase in line.phases]
        return _amount(parts) if parts else ""

    return cell


def _amount(parts: Sequence[float | None]) -> str:
    return units.amount(None if None in parts else sum(part or 0.0 for part in parts))


def _kept(line: Line) -> str:
    return units.size(line.kept) if line.kept else ""


def _seconds(line: Line) -> str:
    return units.seconds(line.seconds) if line.seconds else ""


_TIME = _Column("time", _seconds)
_PLAIN = (_Column("flop", _flops), _Column("bytes", _bytes))
_BY_PASS = (
    _Column("forward", _of("forward")),
    _Column("backward", _of(*LATER)),
    _Column("bytes", _bytes),
    _Column("kept", _kept),
)


# -- the tab ---------------------------------------------------------------------------------------


def blocks(trace: Trace) -> tuple[Block, ...]:
    """Every line that costs anything, and whether memory or arithmetic bounds it."""
    if trace.counted is not None:
        trace = trace.counted.get()
    peaks = trace.peaks.get() if trace.peaks is not None else None
    spent = [line for line in trace.lines if not _is_free(line)]
    table = _table(trace, spent, peaks)
    return (*_about(trace, peaks), table)


def _about(trace: Trace, peaks: Peaks | None) -> Iterator[Prose]:
    if peaks is not None:
        yield _muted(
            f"{trace.device} was measured at {units.flop(peaks.flops)}/s (float32, a product of matrices) "
            f"and {units.size(peaks.bytes)}/s: below {units.brief(peaks.balance)} flop a byte, memory is "
            "the limit."
        )
    yield _muted(
        "Bytes are counted before XLA fuses: a line that is fused moves less, and may be bound by "
        "arithmetic after all. `kept` is what the forward pass makes and holds for the backward one."
        if passes(trace)
        else "Bytes are counted before XLA fuses: a line that is fused moves less, and may be bound by "
        "arithmetic after all."
    )


def _muted(text: str) -> Prose:
    pieces = text.split("`")
    return Prose(words=tuple(Text(piece, tone="muted", code=i % 2 == 1) for i, piece in enumerate(pieces)))


def _table(trace: Trace, lines: Sequence[Line], peaks: Peaks | None) -> Table:
    later = ("forward", "backward", "recomputed", "kept") if passes(trace) else ()
    titles = ("flop", "bytes", "flop/B", "bound by", *later)
    return Table(
        columns=(
            Column(title="line"),
            Column(title="source", align="left"),
            *(Column(title=title) for title in titles),
        ),
        rows=tuple(_row(trace, line, peaks) for line in lines),
    )


def _row(trace: Trace, line: Line, peaks: Peaks | None) -> tuple[Cell, ...]:
    told = [_flops(line), _bytes(line), _intensity(line), bound(line, peaks)]
    if passes(trace):
        told += [*(_of(phase)(line) for phase in ("forward", *LATER)), _kept(line)]
    return (words(str(line.line)), words(code(line.source.strip())), *(words(cell) for cell in told))


def _work(line: Line) -> Work | Line:
    """What is known of a line: all of it, or one turn."""
    return line.turn if line.flops is None and line.turn is not None else line


def _intensity(line: Line) -> str:
    work = _work(line)
    return units.brief(work.flops / work.bytes, 2) if work.flops is not None and work.bytes else units.UNKNOWN


def bound(line: Line, peaks: Peaks | None) -> str:
    """What limits a line: "memory" or "arithmetic"; "unknown" where a figure is."""
    work = _work(line)
    if peaks is None or work.flops is None or not work.bytes:
        return units.UNKNOWN
    return "memory" if work.flops / work.bytes < peaks.balance else "arithmetic"
