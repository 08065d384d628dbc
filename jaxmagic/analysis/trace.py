"""See: what JAX makes of a function, stage by stage, and what each line of the source costs."""

from __future__ import annotations

import functools
import linecache
import types
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import jax

from jaxmagic.analysis import (
    attempt,
    costs,
    devices,
    graph,
    hlo,
    hotlines,
    inputs,
    notes,
    passes,
    peaks,
    program,
    sources,
    stages,
    state,
    texts,
)
from jaxmagic.analysis.costs import Cost, Costs
from jaxmagic.analysis.explain import explained, shorten
from jaxmagic.analysis.inputs import Inputs
from jaxmagic.analysis.pause import collection_paused
from jaxmagic.analysis.program import Traced, Walked
from jaxmagic.analysis.state import Outcome
from jaxmagic.results import (
    Equation,
    Fingerprint,
    Graph,
    Lazy,
    Line,
    Phase,
    Source,
    Span,
    Timing,
    Trace,
    Value,
    Work,
)
from jaxmagic.target import Target

# Counting the costs of more equations than this takes seconds, most of them XLA's.
PATIENCE = 10_000


def trace(function: Callable[..., Any], /, *args: Any, time: bool = False, **kwargs: Any) -> Trace:
    """What JAX makes of `function(*args, **kwargs)`.

    Args:
        function: a function of arrays, jitted or not, or a callable object such as a Flax module.
        args: positional inputs: arrays, numbers, pytrees; `jax.ShapeDtypeStruct`s need no memory.
        time: whether to run the compiled program a few times and see where its time goes. (For an input
            of that name give a `functools.partial`.)
        kwargs: inputs by keyword.

    Raises:
        JaxmagicError: when JAX cannot trace it, with the line of the source and the way out.
    """
    return look(Target(function=function, args=args, kwargs=kwargs), time=time)


def look(target: Target, *, grad: bool = False, time: bool = False, patience: int | None = None) -> Trace:
    """What JAX makes of a target; with `grad`, of its value and gradient by every float input.

    With `time`, the compiled program is run a few times under JAX's profiler. The costs of a program of
    more equations than `patience` are counted when they are asked for (`Trace.counted`).

    Raises:
        JaxmagicError: when JAX cannot trace it, with the line of the source and the way out.
    """
    linecache.checkcache()
    with explained(target), _caught() as caught:
        given, traced, seconds = attempt.trace(target, inputs.take_apart(target), grad=grad)
        with collection_paused():
            return _read(target, given, traced, seconds, caught, grad=grad, time=time, patience=patience)


def _read(
    target: Target,
    given: Inputs,
    traced: Traced,
    seconds: float,
    caught: Sequence[warnings.WarningMessage],
    *,
    grad: bool,
    time: bool,
    patience: int | None,
) -> Trace:
    """All that a program tells; its costs when they are asked for, where that would take too long."""
    jaxpr = traced.stage.jaxpr
    places = program.Places(traced.mark)
    walked = program.walk(jaxpr, places, _home(target))
    lowered = stages.later(target, functools.partial(stages.lower, traced.stage, walked, target.name))
    ready = stages.later(target, lambda: stages.compiled_and_timed(lowered.get()))
    listed = stages.listed(jaxpr, walked)
    codes, constants = _codes(target, places), program.constants(jaxpr)
    outputs = _outputs(traced, given, grad=grad)
    paths, names = [leaf.path for leaf in given.traced], [one.name for one in outputs]
    bare = Trace(
        name=target.name,
        inputs=_values(paths, jaxpr.in_avals),
        outputs=outputs,
        equations=listed.equations,
        lines=(),
        timing=_timing(lowered, ready, walked, jaxpr, given) if time else None,
        sources=sources.listings(codes, (), target.labels),
        flops=None,
        bytes=None,
        transcendentals=None,
        trace_seconds=seconds,
        device=devices.current(),
        notes=notes.of_program(_evidence(target, given, jaxpr, constants, walked, codes, caught)),
        gradient=grad,
        peaks=Lazy(functools.partial(peaks.measure, peaks.device())),
        captured=Lazy(lambda: program.of_arrays(constants)),
        printed=Lazy(lambda: _fingerprint(jaxpr)),
        stages=stages.stages(listed.whole, lowered, ready, walked, jaxpr, paths, names),
        opening=listed.opening,
    )

    def costing(spent: Costs) -> Trace:
        return _costing(bare, spent, walked, lambda: _graph(walked, jaxpr, paths, listed.equations, spent))

    if patience is None or len(walked.steps) <= patience:
        return costing(_costs(lowered, walked))
    counted = Lazy(lambda: costing(_costs(lowered, walked)))
    return replace(costing(costs.uncounted()), counted=counted, graph=Lazy(lambda: _drawn(counted.get())))


def _costing(bare: Trace, spent: Costs, walked: Walked, draw: Callable[[], Graph]) -> Trace:
    """A trace with what its program costs."""
    kept = passes.kept(walked) if passes.has_passes(walked.steps) else None
    return replace(
        bare,
        lines=hotlines.timed(_lines(bare.sources, spent, kept), bare.timing),
        flops=spent.total.flops,
        bytes=spent.total.bytes,
        transcendentals=spent.total.transcendentals,
        notes=tuple(dict.fromkeys((*bare.notes, *notes.of_costs(spent)))),
        certain=_work(spent.certain) if spent.endless else None,
        kept=sum(kept.values()) if kept is not None else None,
        graph=Lazy(draw),
    )


def _evidence(
    target: Target,
    given: Inputs,
    jaxpr: Any,
    constants: Sequence[Any],
    walked: Walked,
    codes: Sequence[types.CodeType],
    caught: Sequence[warnings.WarningMessage],
) -> notes.Evidence:
    return notes.Evidence(
        jaxpr=jaxpr,
        constants=constants,
        given=given,
        steps=walked.steps,
        codes=codes,
        function=target.function,
        made_static=[leaf.path for leaf in given.static if inputs.is_number(leaf.value)],
        caught=caught,
    )


def _fingerprint(jaxpr: Any) -> Fingerprint:
    with collection_paused():
        return program.of_program(jaxpr)


def _drawn(counted: Trace) -> Graph:
    assert counted.graph is not None
    return counted.graph.get()


def _graph(
    walked: Walked, jaxpr: Any, names: Sequence[str], equations: Sequence[Equation], spent: Costs
) -> Graph:
    told = [equation.text for equation in equations]
    return graph.graph(walked, jaxpr, names, told, spent.by_span)


@contextmanager
def _caught() -> Iterator[list[warnings.WarningMessage]]:
    """Python's warnings, kept rather than printed."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        yield caught


# -- what is in it ---------------------------------------------------------------------------------


def _values(names: Sequence[str], avals: Sequence[Any]) -> tuple[Value, ...]:
    return tuple(
        Value(name=name, type=program.type_of(aval), bytes=program.bytes_of(aval))
        for name, aval in zip(names, avals, strict=True)
    )


def _outputs(traced: Traced, given: Inputs, *, grad: bool) -> tuple[Value, ...]:
    jaxpr = traced.stage.jaxpr
    tree = jax.tree_util.tree_unflatten(traced.stage.out_tree, program.outputs(jaxpr))
    if not grad:
        outcome = Outcome.of(tree)
        return (*_values(*_named(outcome.result)), *_changed(outcome.changes, given), *_written(jaxpr, given))
    (value, rest), slopes = tree
    outcome = Outcome.of(rest)
    names = [f"∂{given.traced[i].path}" for i in attempt.floats(given)]
    returned = (*_values(["value"], [value.aval]), *_values(*_named(outcome.result)))
    changed = (*_changed(outcome.changes, given), *_written(jaxpr, given))
    return (*returned, *changed, *_values(names, [slope.aval for slope in slopes]))


def _changed(changes: Mapping[str, program.Output], given: Inputs) -> tuple[Value, ...]:
    """The state that the call changed, in the order of the inputs, what is new last.

    What a jitted helper only handed through did not change.
    """
    places = {f"{leaf.path} (updated)": i for i, leaf in enumerate(given.leaves)}
    new = [name for name, output in changes.items() if not output.handed_through]
    new.sort(key=lambda name: places.get(name, len(places)))
    return _values(new, [changes[name].aval for name in new])


def _written(jaxpr: Any, given: Inputs) -> tuple[Value, ...]:
    """The references that the program writes to."""
    places = state.written(jaxpr)
    names = [f"{given.traced[i].path} (updated)" for i in places]
    return _values(names, [jaxpr.in_avals[i].inner_aval for i in places])


def _named(tree: Any) -> tuple[list[str], list[Any]]:
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return [inputs.way(path) for path, _ in leaves], [leaf.aval for _, leaf in leaves]


def _codes(target: Target, places: program.Places) -> list[types.CodeType]:
    """The user's functions: the one that is looked at, then those that it calls."""
    return [*_own(target), *(code for code in places.codes.values() if code.co_name != "<module>")]


def _own(target: Target) -> list[types.CodeType]:
    """The code of the function that is looked at, or of the user's that a library's is wrapped around."""
    function: Any = inputs.plain(target.function)
    while function is not None:
        own = getattr(getattr(function, "__func__", function), "__code__", None)
        if own is not None and program.is_users(own.co_filename):
            return [own]
        function = getattr(function, "__wrapped__", None)
    return []


def _home(target: Target) -> Span | None:
    """The line that the function begins at."""
    for code in _own(target):
        line = code.co_firstlineno
        start = Span(
            file=code.co_filename, line=line, column=0, end_line=line, end_column=0, function=code.co_qualname
        )
        text = sources.excerpt(start).rstrip()
        if text:
            return replace(start, column=len(text) - len(text.lstrip()), end_column=len(text))
    return None


def _costs(lowered: Lazy[Any], walked: Walked) -> Costs:
    """What the program costs; unknown where its text is not as expected (another XLA, another backend)."""
    if stages.explodes(walked):
        return costs.unread("shared programs inside shared programs")
    try:
        text = program.print_unoptimised(lowered.get())
    except Exception as error:  # noqa: BLE001 - a primitive's lowering is anybody's code; the rest is shown
        return costs.refused(shorten(str(error.__cause__ or error)))
    try:
        module = hlo.read(text)
        span_of = texts.frames_from(module, texts.ends(walked.steps))
        if passes.has_passes(walked.steps):
            return costs.measure(module, span_of, walked.users, passes.reader(walked.steps))
        return costs.measure(module, span_of, walked.users)
    except (LookupError, ValueError, TypeError):
        return costs.unread("HLO text that jaxmagic cannot read")


def _lines(
    listing: Sequence[Source], spent: Costs, kept: Mapping[Span | None, int] | None
) -> tuple[Line, ...]:
    """Every line of the listing with what it costs; a line that runs nothing costs 0."""
    by_line = _by_line(spent.by_place)
    turns = _by_line(spent.a_turn)
    held: Counter[tuple[str, int]] = Counter()
    for span, size in (kept or {}).items():
        if span is not None:
            held[span.file, span.line] += size
    return tuple(
        _line(
            (source.file, number, text),
            by_line.get((source.file, number), {}),
            turns.get((source.file, number), {}),
            None if kept is None else held[source.file, number],
        )
        for source in listing
        for number, text in enumerate(source.lines, source.first_line)
    )


ByPhase = dict[Phase, Cost]


def _by_line(places: Mapping[costs.Place, Cost]) -> dict[tuple[str, int], ByPhase]:
    by_line: dict[tuple[str, int], ByPhase] = {}
    for (span, phase), cost in places.items():
        if span is not None:
            phases = by_line.setdefault((span.file, span.line), {})
            phases[phase] = phases.get(phase, costs.FREE) + cost
    return by_line


def _line(at: tuple[str, int, str], phases: ByPhase, turn: ByPhase, kept: int | None) -> Line:
    file, number, text = at
    cost = sum(phases.values(), costs.FREE)
    return Line(
        file=file,
        line=number,
        source=text,
        flops=cost.flops,
        bytes=cost.bytes,
        transcendentals=cost.transcendentals,
        turn=_work(sum(turn.values(), costs.FREE)) if turn else None,
        phases={phase: _work(part) for phase, part in phases.items()} if kept is not None else {},
        kept=kept,
    )


def _work(cost: Cost) -> Work:
    return Work(flops=cost.flops, bytes=cost.bytes, transcendentals=cost.transcendentals)


def _timing(
    lowered: Lazy[Any], ready: Lazy[tuple[Any, float]], walked: Walked, jaxpr: Any, given: Inputs
) -> Timing:
    """Where the time goes; a program that does more than compute is not run for that."""
    effects = [step.equation.primitive.name for step in walked.steps if _reaches_out(step)]
    if effects:
        return Timing(withheld=f"running it calls back into Python (`{effects[0]}`)")
    if any(map(state.is_reference, program.constants(jaxpr))):
        return Timing(withheld="running it would change a reference that it does not take as an argument")
    values = [leaf.value for leaf in given.traced]
    return hotlines.measure(lowered.get(), ready.get()[0], values, walked.steps)


def _reaches_out(step: Any) -> bool:
    return step.equation.primitive.name in notes.CALLBACKS
