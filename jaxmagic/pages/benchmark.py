"""What `%jaxbench` says: who is faster and by how much, once it is known that both compute the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

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
from jaxmagic.results import EAGER, GRADIENT, JIT, NUMPY, Agreement, Benchmark, Contender, Interval, Value

_IN_SENTENCES = {NUMPY: "NumPy", EAGER: "JAX op by op", JIT: "jit"}
# How the obstacle of a side begins that might have run, with more time.
_TOO_LATE = ("cut off", "not started", "a call of ", "copying the inputs takes ", "the port was cut off")
# An interval whose ends are this many times apart says nothing.
UNSTEADY = 1.3
# One whose ends are this many times apart says on which side, and no more.
WIDE = 2.0
# Ratios this near to 1 are no difference that one would act on.
NEAR = 0.05
# Cores of others above which the machine counts as busy.
BUSY = 0.2
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
    """The first sentence that applies."""
    return next(sentence for applies, sentence in _SENTENCES if applies(result))(result)


def _timed(result: Benchmark) -> list[str]:
    return [name for name, side in result.contenders.items() if side.typical is not None]


def _say_nothing(result: Benchmark) -> Words:
    why = ", because it was interrupted." if result.interrupted else "."
    return words(strong("Nothing was timed"), why)


def _say_different(result: Benchmark) -> Words:
    return words(strong("The results differ"), ", so no times are compared: ", f"{result.agreement.where}.")


def _say_uncompared(result: Benchmark) -> Words:
    why = result.agreement.where or "it was interrupted before"
    return words("Timed, but ", strong("not compared"), f": {why}.")


def _say_constant(_: Benchmark) -> Words:
    return words("Timed, but ", strong("not compared"), ": the result does not depend on the inputs.")


def _say_busy(result: Benchmark) -> Words:
    sides = [(name, result.contenders[name].typical) for name in _timed(result)]
    figures = units.listed([f"{result.called(name)} {units.seconds(typical, 2)}" for name, typical in sides])
    return words("The machine was ", strong("too busy to tell"), f" who is faster; a call took {figures}.")


def _say_alone(result: Benchmark) -> Words:
    (name,) = _timed(result)
    out = [side.name for side in result.contenders.values() if side.typical is None]
    sentence = words(
        f"{result.called(name)} takes ", strong(units.seconds(result.contenders[name].typical)), " a call"
    )
    if not out:
        return sentence + words(".")
    others = (
        "JAX"
        if not result.labelled and set(out) in ({EAGER, JIT}, {JIT, GRADIENT})
        else units.listed([result.called(other) for other in out])
    )
    late = all((result.contenders[name].obstacle or "").startswith(_TOO_LATE) for name in out)
    what = f"there was no time for {others}" if late else f"{others} could not run it"
    return sentence + words("; ", strong(what), ".")


def _say_fastest(result: Benchmark) -> Words:
    first, second, *_ = sorted(_timed(result), key=lambda name: result.contenders[name].typical or 0.0)
    times = _times(result.speedup(first, over=second), result.called(second))
    return words(strong(result.called(first)), " is ") + times + words(".")


def _say_gradient(result: Benchmark) -> Words:
    """What the gradient costs, in terms of the function alone."""
    times = result.speedup(JIT, over=GRADIENT)
    if times.low is None or times.high is None:
        number, range_ = units.ratio(times.estimate), "too few calls for an interval"
    else:
        number, range_ = units.ratio_within(times.low, times.estimate, times.high)
    cost = words("With its gradient a call takes ", strong(f"{number} times as long"))
    return cost + words(f" as the function alone under jit ({range_}).")


def _say_jit(result: Benchmark) -> Words:
    timed = _timed(result)
    fast = JIT if JIT in timed else EAGER
    slow = NUMPY if NUMPY in timed else EAGER
    times = result.speedup(fast, over=slow)
    sentence = words("Under jit " if fast == JIT else "JAX op by op ") + _times(times, _IN_SENTENCES[slow])
    return sentence + (_say_compiling(result, times, slow) if fast == JIT else words("."))


def _say_devices(result: Benchmark) -> Words:
    """How jit on each device compares with NumPy."""
    sides = [result.contenders[name] for name in _timed(result) if _is_jit_on_device(result, name)]
    parts = [
        words("Under jit " if place == 0 else "; ", f"on {side.device} ")
        + _times(result.speedup(side.name, over=NUMPY), _IN_SENTENCES[NUMPY])
        for place, side in enumerate(sides)
    ]
    return tuple(word for part in parts for word in part) + words(".")


def _is_jit_on_device(result: Benchmark, name: str) -> bool:
    return bool(result.contenders[name].device) and name.startswith(JIT)


def _has_note(kind: str) -> Callable[[Benchmark], bool]:
    return lambda result: any(note.kind == kind for note in result.notes)


# The first that applies is said.
_SENTENCES: tuple[tuple[Callable[[Benchmark], bool], Callable[[Benchmark], Words]], ...] = (
    (lambda result: not _timed(result), _say_nothing),
    (lambda result: result.agreement.ok is False, _say_different),
    (lambda result: len(_timed(result)) == 1, _say_alone),
    (lambda result: result.agreement.ok is None, _say_uncompared),
    (_has_note("constant result"), _say_constant),
    (_has_note("too busy"), _say_busy),
    (lambda result: result.labelled, _say_fastest),
    (
        lambda result: (
            NUMPY in _timed(result) and any(_is_jit_on_device(result, name) for name in _timed(result))
        ),
        _say_devices,
    ),
    (lambda result: not {EAGER, JIT} & {*_timed(result)}, _say_fastest),
    (lambda result: {JIT, GRADIENT} <= {*_timed(result)}, _say_gradient),
    (lambda _: True, _say_jit),
)


def _say_running(result: Benchmark) -> Words:
    sides = [(name, side.typical) for name, side in result.contenders.items() if side.typical is not None]
    so_far = units.listed([f"{result.called(name)} {units.seconds(typical, 2)}" for name, typical in sides])
    return words("Racing ", strong(result.name), f": {so_far} a call so far." if sides else " …")


def _times(speedup: Interval, other: str) -> Words:
    """`6.2 times as fast as NumPy (5.9–6.4)`, or how much slower, or that there is no telling."""
    if speedup.low is None or speedup.high is None:
        number, range_ = (
            units.ratio(max(speedup.estimate, 1 / speedup.estimate)),
            "too few calls for an interval",
        )
    elif is_about_one(speedup):
        return _no_telling(units.ratio_within(speedup.low, speedup.estimate, speedup.high)[1], speedup, other)
    elif speedup.high > WIDE * speedup.low:
        return _no_closer(speedup, other)
    elif speedup.estimate >= 1:
        number, range_ = units.ratio_within(speedup.low, speedup.estimate, speedup.high)
    else:
        number, range_ = units.ratio_within(1 / speedup.high, 1 / speedup.estimate, 1 / speedup.low)
    if speedup.estimate >= 1:
        return words(strong(f"{number} times as fast"), f" as {other} ({range_})")
    return words(strong(f"{number} times slower"), f" than {other} ({range_})")


def _no_closer(times: Interval, other: str) -> Words:
    """Faster or slower, but not by how much."""
    low, high = times.low or times.estimate, times.high or times.estimate
    faster = low > 1
    ends = (low, high) if faster else (1 / high, 1 / low)
    range_ = units.ratio_within(ends[0], max(times.estimate, 1 / times.estimate), ends[1])[1]
    said = (
        (f"{range_} times as fast", f" as {other}")
        if faster
        else (f"{range_} times slower", f" than {other}")
    )
    return words(strong(said[0]), f"{said[1]}, too unsteady to tell closer")


def is_about_one(times: Interval) -> bool:
    """Whether an interval holds 1, or the ratio is as near to it as makes no difference."""
    if times.low is None or times.high is None:
        return False
    return times.low <= 1 <= times.high or abs(times.estimate - 1) <= NEAR


def _no_telling(range_: str, speedup: Interval, other: str) -> Words:
    if speedup.low and speedup.high and speedup.high > UNSTEADY * speedup.low:
        return words(strong(f"{range_} times as fast"), f" as {other}, which is too unsteady to tell")
    return words(strong("about as fast"), f" as {other} ({range_} times)")


def _say_compiling(result: Benchmark, times: Interval, slow: str) -> Words:
    stages = result.contenders[JIT].compile_seconds
    cost = units.seconds(sum(stages), 2) if stages else "some time"
    calls = result.break_even_calls
    undecided = times.low is None or is_about_one(times)
    if slow != NUMPY or undecided:
        return words(f", after {cost} of compiling.")
    if calls is None:
        return words(f", so the {cost} of compiling never pay off.")
    when = "first call" if calls == 1 else f"{units.ordinal(calls)} call"
    return words(f", after {cost} of compiling; it pays off from the ", strong(when), ".")


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
    return line + _machine(result) + _agreed(result)


def _machine(result: Benchmark) -> Words:
    others = result.conditions.get("busy cores of others")
    if others is None:
        return ()
    if others >= BUSY:
        return (Text(" · "), Text("machine busy", tone="warn"))
    return words(" · machine ", "not steady" if _has_note("unsteady")(result) else "quiet")


def _precision(agreement: Agreement) -> str:
    dtypes = [dtype for dtype in dict.fromkeys(agreement.dtypes.values()) if dtype != "NoneType"]
    if len(dtypes) == 1 and len(agreement.dtypes) > 1:
        return f"{dtypes[0]} on every side"
    return " against ".join(dtypes)


def _inputs(inputs: tuple[Value, ...]) -> str:
    shown = [f"{value.name} {value.type}" for value in inputs[:MOST_INPUTS]]
    more = [f"{len(inputs) - MOST_INPUTS} more"] if len(inputs) > MOST_INPUTS else []
    return (
        f"{units.listed(shown + more)} passed as {'an argument' if len(inputs) == 1 else 'arguments'}"
        if shown
        else ""
    )


def _threads(conditions: Mapping[str, Any]) -> str:
    numpy, jax = conditions.get("numpy threads"), conditions.get("jax threads")
    if numpy is None or jax is None:
        return ""
    return f"{numpy} threads each" if numpy == jax else f"NumPy {numpy} threads, JAX {jax}"


def _batches(result: Benchmark) -> int:
    return max((len(side.seconds) for side in result.contenders.values()), default=0)


def _agreed(result: Benchmark) -> Words:
    agreement = result.agreement
    if agreement.ok is None:
        return ()
    if not agreement.ok:
        return (Text(" · "), Text("✗ results differ", tone="bad"))
    if _has_note("chaotic")(result):
        return (Text(" · "), Text("results differ as far as rounding carries them", tone="warn"))
    largest = f", largest difference {units.scientific(agreement.max_abs_error, 2)}"
    return (Text(" · "), Text("✓ results agree", tone="good"), Text(largest))


def _obstacles(result: Benchmark) -> tuple[Aside, ...]:
    stopped = [side for side in result.contenders.values() if side.obstacle]
    jax = [side.obstacle for side in stopped if side.name != NUMPY and side.typical is None]
    both = not result.labelled and len(jax) == 2 and len(set(jax)) == 1
    return tuple(
        Aside(words=spell(text), tone="bad")
        for text in dict.fromkeys(_obstacle(side, result.called(side.name), both) for side in stopped)
    )


def _obstacle(side: Contender, name: str, both: bool) -> str:
    """What stopped a side, with its source line and the fix; said of JAX when it stops both its sides."""
    owner = "JAX" if both and side.name in (EAGER, JIT, GRADIENT) else name
    where = f" Line {side.span.line}: `{side.excerpt.strip()}`." if side.span and side.excerpt else ""
    fix = f" {side.fix[:1].upper()}{side.fix[1:].rstrip('.')}." if side.fix else ""
    return f"{owner}: {side.obstacle.rstrip('.')}.{where}{fix}"


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
    moved = any(side.transfer is not None for side in sides)
    fastest = min((side.typical for side in sides if side.typical is not None), default=None)
    return Table(
        columns=(
            Column(title="", align="left"),
            Column(title="a call"),
            Column(title="interval"),
            Column(title="first call"),
            Column(title="compiling"),
            Column(title="memory"),
            *((Column(title="moving inputs"),) if moved else ()),
            Column(title="", align="left"),
        ),
        rows=tuple(_row(side, result.called(side.name), longest, fastest, moved) for side in sides),
    )


def _top(side: Contender) -> float:
    return max(side.typical or 0.0, (side.interval.high or 0.0) if side.interval else 0.0)


def _row(
    side: Contender, called: str, longest: float, fastest: float | None, moved: bool
) -> tuple[Cell, ...]:
    name = words(called)
    if side.typical is None:
        return (name, (Text("did not run", tone="muted"),), *((),) * (6 if moved else 5))
    call = units.seconds(side.typical)
    return (
        name,
        (strong(call),) if side.typical == fastest else words(call),
        words(_interval(side.interval)),
        words(units.seconds(side.first_call, 2)),
        words(units.seconds(sum(side.compile_seconds), 2) if side.compile_seconds else "–"),
        words(units.size(side.memory.peak or _held(side)) if side.memory else "–"),
        *((words("–" if side.transfer is None else units.seconds(side.transfer, 2)),) if moved else ()),
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
    series = tuple(
        _strip(side, result.called(side.name), i)
        for i, side in enumerate(result.contenders.values())
        if _several(side)
    )
    if not series:
        return ()
    names = units.listed([each.name for each in series])
    batches = units.counted(_batches(result), "batch", "batches")
    alt = f"Time of a call of {names}, sample by sample over {batches}."
    return (Chart(series=series, x="batch", y="time of a call", alt=alt, log_y=True, seconds=True),)


def _several(side: Contender) -> bool:
    return sum(map(len, side.seconds)) > 1


def _strip(side: Contender, called: str, place: int) -> Series:
    """Samples at their batch's place along the axis, thinned to what an eye can tell apart."""
    step = max(1, sum(map(len, side.seconds)) // MOST_SAMPLES)
    points = [
        (batch + (i + 0.5) / len(samples), sample)
        for batch, samples in enumerate(side.seconds)
        for i, sample in enumerate(samples)
    ][::step]
    return Series(
        name=called,
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
