"""What `%jaxbench` says: who is faster and by how much, once it is known that both compute the same."""

from __future__ import annotations

from collections.abc import Mapping

from jaxmagic.pages import units
from jaxmagic.pages.blocks import (
    Aside,
    Bar,
    Block,
    Cell,
    Chart,
    Code,
    Column,
    Page,
    Prose,
    Series,
    Tab,
    Table,
    Text,
    Words,
    spell,
    strong,
    tab,
    words,
)
from jaxmagic.results import Agreement, Benchmark, Contender, Interval, Value

NUMPY, EAGER, JIT = "numpy", "jax", "jax.jit"
_LABELS = {NUMPY: "NumPy", EAGER: "JAX, op by op", JIT: "JAX under jit"}
_IN_SENTENCES = {NUMPY: "NumPy", EAGER: "JAX op by op", JIT: "jit"}
# Within this of 1 a ratio whose interval holds 1 is called the same.
MOST_SAMPLES = 400
MOST_INPUTS = 6


def page(result: Benchmark, progress: float | None = None) -> Page:
    """The page of a `Benchmark`; while it runs, `progress` is the share that is done."""
    return Page(
        say=_say(result) if progress is None else _say_running(result),
        conditions=_conditions(result),
        tabs=_tabs(result),
        notes=_obstacles(result) + tuple(Aside(words=spell(note.text)) for note in result.notes),
        progress=progress,
    )


# -- the sentence ---------------------------------------------------------------------------------


def _say(result: Benchmark) -> Words:
    timed = [name for name, side in result.contenders.items() if side.typical is not None]
    if not timed:
        return words(
            strong("Nothing was timed"), ", because it was interrupted." if result.interrupted else "."
        )
    if result.agreement.ok is False:
        return words(strong("The results differ"), f": {result.agreement.where}.")
    if len(timed) == 1:
        return _say_alone(result, timed[0])
    if result.agreement.ok is None:
        return words("Timed, but ", strong("not compared"), f": {_why_not(result)}.")
    if not {NUMPY, EAGER, JIT} & set(timed):
        return _say_fastest(result, timed)
    return _say_jit(result, timed)


def _say_running(result: Benchmark) -> Words:
    sides = [
        f"{_label(name)} {units.seconds(s.typical, 2)}" for name, s in result.contenders.items() if s.typical
    ]
    return words("Racing ", strong(result.name), f": {units.listed(sides)} a call so far." if sides else " …")


def _why_not(result: Benchmark) -> str:
    return result.agreement.where or "it was interrupted before the results were compared"


def _say_alone(result: Benchmark, name: str) -> Words:
    side = result.contenders[name]
    others = [other for other in result.contenders.values() if other.typical is None]
    start = words(f"{_label(name)} takes ", strong(units.seconds(side.typical)), " a call")
    if not others:
        return start + words(".")
    return start + words("; ", strong(f"{units.listed(_groups(others), 'and')} could not run"), ".")


def _groups(sides: list[Contender]) -> list[str]:
    names = [side.name for side in sides]
    return ["JAX"] if set(names) == {EAGER, JIT} else [_label(name) for name in names]


def _say_jit(result: Benchmark, timed: list[str]) -> Words:
    fast = JIT if JIT in timed else EAGER
    slow = NUMPY if NUMPY in timed else EAGER
    subject = "Under jit " if fast == JIT else "JAX op by op "
    sentence = words(subject) + _times(result.speedup(fast, over=slow), _IN_SENTENCES[slow])
    return sentence + (_say_compiling(result, slow) if fast == JIT else words("."))


def _times(speedup: Interval, other: str) -> Words:
    """`6.2 times as fast as NumPy (5.9–6.4)`, or how much slower, or that there is no telling."""
    if speedup.low is not None and speedup.high is not None and speedup.low <= 1 <= speedup.high:
        return words(strong("about as fast"), f" as {other} ({_range(speedup)} times)")
    if speedup.estimate >= 1:
        return words(
            strong(f"{units.ratio(speedup.estimate)} times as fast"), f" as {other}{_bracket(speedup)}"
        )
    slower = _inverse(speedup)
    return words(strong(f"{units.ratio(slower.estimate)} times slower"), f" than {other}{_bracket(slower)}")


def _inverse(speedup: Interval) -> Interval:
    return Interval(
        low=1 / speedup.high if speedup.high else None,
        estimate=1 / speedup.estimate,
        high=1 / speedup.low if speedup.low else None,
    )


def _bracket(interval: Interval) -> str:
    return f" ({_range(interval)})" if interval.low is not None else ""


def _range(interval: Interval) -> str:
    if interval.low is None or interval.high is None:
        return units.UNKNOWN
    digits = 3 if interval.high < 1.1 * interval.low else 2
    return units.ratio_range(interval.low, interval.high, digits)


def _say_compiling(result: Benchmark, slow: str) -> Words:
    side = result.contenders[JIT]
    cost = (
        f" {units.seconds(sum(side.compile_seconds), 2)} of compiling"
        if side.compile_seconds
        else " compiling"
    )
    calls = result.break_even_calls
    if slow != NUMPY:
        return words(f", after{cost}.")
    if calls is None:
        return words(f";{cost} never {'pay' if side.compile_seconds else 'pays'} off.")
    if calls == 1:
        return words(f", after{cost}; it pays off from the ", strong("first call"), ".")
    return words(f", after{cost}; it pays off from the ", strong(f"{units.ordinal(calls)} call"), ".")


def _say_fastest(result: Benchmark, timed: list[str]) -> Words:
    first, second, *_ = sorted(timed, key=lambda name: result.contenders[name].typical or 0.0)
    return words(strong(first), " is ") + _times(result.speedup(first, over=second), second) + words(".")


# -- the conditions -------------------------------------------------------------------------------


def _conditions(result: Benchmark) -> Words:
    parts = [
        _precision(result.agreement),
        _inputs(result.inputs),
        result.device,
        _threads(result.conditions),
        f"{units.counted(_batches(result), 'batch', 'batches')}, {units.seconds(result.elapsed, 2)}",
    ]
    line = words(" · ".join(part for part in parts if part))
    return line + _agreed(result.agreement)


def _precision(agreement: Agreement) -> str:
    dtypes = set(agreement.dtypes.values())
    if len(dtypes) == 1:
        return f"{dtypes.pop()} on every side" if len(agreement.dtypes) > 1 else dtypes.pop()
    return " against ".join(dict.fromkeys(agreement.dtypes.values()))


def _inputs(inputs: tuple[Value, ...]) -> str:
    shown = [f"{value.name} {value.type}" for value in inputs[:MOST_INPUTS]]
    more = [f"{len(inputs) - MOST_INPUTS} more"] if len(inputs) > MOST_INPUTS else []
    return (
        f"{units.listed(shown + more)} passed as {'an argument' if len(inputs) == 1 else 'arguments'}"
        if shown
        else ""
    )


def _threads(conditions: Mapping[str, object]) -> str:
    numpy, jax = conditions.get("numpy threads"), conditions.get("jax threads")
    if numpy is None or jax is None:
        return ""
    return f"{numpy} threads each" if numpy == jax else f"NumPy {numpy} threads, JAX {jax}"


def _batches(result: Benchmark) -> int:
    return max((len(side.seconds) for side in result.contenders.values()), default=0)


def _agreed(agreement: Agreement) -> Words:
    if agreement.ok is None:
        return ()
    if not agreement.ok:
        return (Text(" · "), Text("✗ results differ", tone="bad"))
    largest = f", largest difference {units.scientific(agreement.max_abs_error, 2)}"
    return (Text(" · "), Text("✓ results agree", tone="good"), Text(largest))


def _obstacles(result: Benchmark) -> tuple[Aside, ...]:
    return tuple(
        Aside(words=spell(text), tone="bad")
        for text in dict.fromkeys(map(_obstacle, result.contenders.values()))
        if text
    )


def _obstacle(side: Contender) -> str:
    """What stopped a side, with its source line and the fix; without its name, as sides may share it."""
    if not side.obstacle:
        return ""
    where = f" Line {side.span.line}: `{side.excerpt.strip()}`." if side.span and side.excerpt else ""
    fix = f" {side.fix[:1].upper()}{side.fix[1:].rstrip('.')}." if side.fix else ""
    owner = (
        f"{_label(side.name)}: "
        if side.typical is not None
        else "JAX: "
        if side.name in (EAGER, JIT)
        else f"{_label(side.name)}: "
    )
    return f"{owner}{side.obstacle.rstrip('.')}.{where}{fix}"


# -- the evidence ---------------------------------------------------------------------------------


def _tabs(result: Benchmark) -> tuple[Tab, ...]:
    made = (
        tab("times", _times_table(result)),
        tab("ported code", *_port(result)),
        tab("samples", *_samples(result)),
        tab("conditions", _conditions_table(result)),
    )
    return tuple(each for each in made if each.blocks.get())


def _times_table(result: Benchmark) -> Table:
    sides = result.contenders.values()
    longest = max((_top(side) for side in sides), default=0.0)
    fastest = min((side.typical for side in sides if side.typical is not None), default=None)
    return Table(
        columns=(
            Column(title="", align="left"),
            Column(title="a call"),
            Column(title="interval"),
            Column(title="first call"),
            Column(title="compiling"),
            Column(title="memory"),
            Column(title="", align="left"),
        ),
        rows=tuple(_row(side, longest, fastest) for side in sides),
    )


def _top(side: Contender) -> float:
    return max(side.typical or 0.0, (side.interval.high or 0.0) if side.interval else 0.0)


def _row(side: Contender, longest: float, fastest: float | None) -> tuple[Cell, ...]:
    label = words(_label(side.name))
    if side.typical is None:
        return (label, (Text("did not run", tone="muted"),), (), (), (), (), ())
    call = units.seconds(side.typical)
    return (
        label,
        (strong(call),) if side.typical == fastest else words(call),
        words(_interval(side.interval)),
        words(units.seconds(side.first_call, 2)),
        words(units.seconds(sum(side.compile_seconds), 2) if side.compile_seconds else "–"),
        words(units.size(side.memory.peak or _held(side)) if side.memory else "–"),
        _bar(side, longest),
    )


def _held(side: Contender) -> int | None:
    memory = side.memory
    return memory.arguments + memory.outputs + memory.temporaries if memory else None


def _interval(interval: Interval | None) -> str:
    if interval is None or interval.low is None or interval.high is None:
        return units.UNKNOWN
    return units.seconds_range(interval.low, interval.high)


def _bar(side: Contender, longest: float) -> Cell:
    if not longest or side.typical is None:
        return ()
    low, high = (side.interval.low, side.interval.high) if side.interval else (None, None)
    return Bar(
        share=side.typical / longest,
        low=None if low is None else low / longest,
        high=None if high is None else high / longest,
    )


def _port(result: Benchmark) -> tuple[Block, ...]:
    if result.port is None:
        return ()
    if not result.port.diff:
        return (Code(text=result.port.source, caption="ported code: this is what ran"),)
    notes = tuple(Prose(words=spell(note.text)) for note in result.port.notes)
    return (Code(text=result.port.diff, caption="ported code: this is what ran", diff=True), *notes)


def _samples(result: Benchmark) -> tuple[Block, ...]:
    series = tuple(_strip(side, i) for i, side in enumerate(result.contenders.values()) if _several(side))
    if not series:
        return ()
    names = units.listed([each.name for each in series])
    batches = units.counted(_batches(result), "batch", "batches")
    alt = f"Seconds a call of {names}, sample by sample over {batches}."
    return (Chart(series=series, x="batch", y="seconds a call", alt=alt, log_y=True),)


def _several(side: Contender) -> bool:
    return sum(map(len, side.seconds)) > 1


def _strip(side: Contender, place: int) -> Series:
    """Samples at their batch's place along the axis, thinned to what an eye can tell apart."""
    step = max(1, sum(map(len, side.seconds)) // MOST_SAMPLES)
    points = [
        (batch + (i + 0.5) / len(samples), sample)
        for batch, samples in enumerate(side.seconds)
        for i, sample in enumerate(samples)
    ][::step]
    return Series(
        name=_label(side.name),
        x=tuple(x for x, _ in points),
        y=tuple(y for _, y in points),
        tone=("muted", "forward", "accent", "backward", "warn")[place % 5],
        points=True,
    )


def _conditions_table(result: Benchmark) -> Table:
    facts = {"device": result.device, "budget": units.seconds(result.budget, 2), **result.conditions}
    rows = tuple((words(name), words(_fact(value))) for name, value in facts.items())
    return Table(columns=(Column(title="", align="left"), Column(title="", align="left")), rows=rows)


def _fact(value: object) -> str:
    if value is None or isinstance(value, float):
        return units.brief(value, 2)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _label(name: str) -> str:
    return _LABELS.get(name, name)
