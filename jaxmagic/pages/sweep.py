"""What `%jaxbench --sweep` says: from which size on jit is ahead, and by how much at each."""

from __future__ import annotations

from jaxmagic.pages import units
from jaxmagic.pages.blocks import (
    Aside,
    Cell,
    Chart,
    Column,
    Page,
    Series,
    Table,
    Text,
    Tone,
    Words,
    spell,
    strong,
    tab,
    words,
)
from jaxmagic.results import JIT, NUMPY, Contender, Interval, Point, Sweep, called

_TONES: dict[str, Tone] = {NUMPY: "muted", "jax": "forward", JIT: "accent"}


def page(result: Sweep, progress: float | None = None) -> Page:
    """The page of a `Sweep`; while it runs, `progress` is the share that is done."""
    return Page(
        say=_say(result)
        if progress is None
        else words("Racing ", strong(result.name), " at growing sizes …"),
        conditions=_conditions(result),
        tabs=(tab("curves", _chart(result)), tab("sizes", _table(result))) if result.points else (),
        notes=_notes(result),
        progress=progress,
    )


def _say(result: Sweep) -> Words:
    ratios = [times.estimate for point in result.points if (times := _speedup(point)) is not None]
    if not ratios and any(_was_busy(point) for point in result.points):
        return words("The machine was ", strong("too busy to tell"), " who is ahead at any size.")
    if not ratios:
        return words(
            strong("Nothing to compare"), ": at no size did both NumPy and jit give the same result."
        )
    if result.crossover is not None:
        start = words("jit is ahead from ", strong(f"{result.parameter} of about {_size(result.crossover)}"))
        return start + words(f", by up to {units.ratio(max(ratios))} times.")
    if min(ratios) > 1:
        range_ = units.ratio_within(min(ratios), max(ratios), max(ratios))[1]
        return words("jit is ahead ", strong("at every size"), f", {range_} times as fast as NumPy.")
    if max(ratios) <= 1:
        return words("NumPy is ahead ", strong("at every size"), " tried.")
    return words("jit is ahead at some sizes, but ", strong("not at the largest"), ".")


def _size(crossover: Interval) -> str:
    if crossover.low is None or crossover.high is None:
        return _round(crossover.estimate)
    return f"{_round(crossover.estimate)} ({_round(crossover.low)}–{_round(crossover.high)})"


def _round(size: float) -> str:
    """To two digits: a crossover is not known better."""
    return f"{float(f'{size:.1e}'):,.0f}"


def _conditions(result: Sweep) -> Words:
    if not result.points:
        return ()
    first, last = result.points[0], result.points[-1]
    span = f"{result.parameter} from {first.size:,} to {last.size:,}"
    parts = [span, last.benchmark.device, units.seconds(result.elapsed, 2)]
    line = words(" · ".join(parts))
    checked = [point for point in result.points if point.benchmark.agreement.ok is not None]
    if not checked:
        return line
    if all(point.benchmark.agreement.ok for point in checked):
        return (*line, Text(" · "), Text("✓ results agree at every size", tone="good"))
    return (*line, Text(" · "), Text("✗ results differ at some sizes", tone="bad"))


def _notes(result: Sweep) -> tuple[Aside, ...]:
    stopped = (Aside(words=words("Interrupted: larger sizes are missing.")),) if result.interrupted else ()
    own = [note.text for note in result.notes]
    different = [
        f"At {point.size:,} the results differ: {point.benchmark.agreement.where}."
        for point in result.points
        if point.benchmark.agreement.ok is False
    ]
    busy = [f"{point.size:,}" for point in result.points if _was_busy(point)]
    unsure = [f"The machine was too busy to tell who is ahead at {units.listed(busy)}."] if busy else []
    obstacles = [
        f"{called(side.name)}: {side.obstacle}"
        for point in result.points
        for side in point.benchmark.contenders.values()
        if side.obstacle
    ]
    return stopped + tuple(
        Aside(words=spell(text)) for text in dict.fromkeys(own + unsure + different + obstacles)
    )


def _chart(result: Sweep) -> Chart:
    names = list(dict.fromkeys(name for point in result.points for name in point.benchmark.contenders))
    series = tuple(made for name in names if (made := _curve(result, name)).x)
    alt = (
        f"Time of a call over {result.parameter}, both logarithmic: {units.listed([s.name for s in series])}."
    )
    mark = result.crossover.estimate if result.crossover else None
    return Chart(
        series=series,
        x=result.parameter,
        y="time of a call",
        alt=alt,
        log_x=True,
        log_y=True,
        mark_x=mark,
        seconds=True,
    )


def _curve(result: Sweep, name: str) -> Series:
    """Only sizes at which the results agree, or were not there to compare."""
    shown = [
        (float(point.size), side)
        for point in result.points
        if (side := point.benchmark.contenders.get(name)) is not None
        and side.typical is not None
        and point.benchmark.agreement.ok is not False
    ]
    return Series(
        name=called(name),
        x=tuple(size for size, _ in shown),
        y=tuple(side.typical or 0.0 for _, side in shown),
        low=tuple(_end(side, "low") for _, side in shown),
        high=tuple(_end(side, "high") for _, side in shown),
        tone=_TONES.get(name, "plain"),
        points=True,
    )


def _end(side: Contender, end: str) -> float:
    found = getattr(side.interval, end) if side.interval else None
    return float(found if found is not None else side.typical or 0.0)


def _table(result: Sweep) -> Table:
    columns = (result.parameter, "NumPy", "JAX under jit", "jit is", "results")
    return Table(
        columns=tuple(Column(title=title) for title in columns),
        rows=tuple(_row(point) for point in result.points),
    )


def _row(point: Point) -> tuple[Cell, ...]:
    sides, times, ok = point.benchmark.contenders, _speedup(point), point.benchmark.agreement.ok
    seconds = [sides[name].typical if name in sides else None for name in (NUMPY, JIT)]
    agree = {True: Text("✓", tone="good"), False: Text("✗ differ", tone="bad"), None: Text("–", tone="muted")}
    return (
        words(f"{point.size:,}"),
        *(words(units.seconds(value) if value is not None else "–") for value in seconds),
        words(_ratio(times)),
        (agree[ok],),
    )


def _ratio(times: Interval | None) -> str:
    if times is None:
        return "–"
    if times.low is None or times.high is None:
        return f"{units.ratio(times.estimate)} times as fast"
    number, range_ = units.ratio_within(times.low, times.estimate, times.high)
    return f"{number} times as fast ({range_})"


def _was_busy(point: Point) -> bool:
    return any(note.kind == "too busy" for note in point.benchmark.notes)


def _speedup(point: Point) -> Interval | None:
    if point.benchmark.agreement.ok is not True or _was_busy(point):
        return None
    return point.benchmark.speedups.get(JIT, {}).get(NUMPY)
