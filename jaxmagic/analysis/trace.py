"""See: what JAX makes of a function, stage by stage, and what each line of the source costs."""

from __future__ import annotations

import functools
import linecache
import re
import time
import types
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

from jaxmagic.analysis import (
    costs,
    devices,
    graph,
    hlo,
    hotlines,
    inputs,
    notes,
    optimised,
    passes,
    peaks,
    program,
    sources,
    state,
    texts,
)
from jaxmagic.analysis.costs import Cost, Costs
from jaxmagic.analysis.explain import explain_at, explained, shorten
from jaxmagic.analysis.inputs import Inputs
from jaxmagic.analysis.pause import collection_paused
from jaxmagic.analysis.program import Traced, Walked
from jaxmagic.analysis.state import Outcome
from jaxmagic.errors import CannotDifferentiate, CannotTrace
from jaxmagic.results import (
    Equation,
    Graph,
    Lazy,
    Line,
    Phase,
    Source,
    Span,
    Stage,
    Timing,
    Trace,
    Value,
    Work,
)
from jaxmagic.target import Target

# JAX lowers a program that shares programs that share programs … in time 2^depth: not this many.
# A use of a shared program is itself an equation, so that only nesting makes more uses than equations.
TOO_MANY = 100_000
MANY_USES = 4
# Counting the costs of more equations than this takes seconds, most of them XLA's.
PATIENCE = 10_000

T = TypeVar("T")


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
        given, traced, seconds = _trace(target, inputs.take_apart(target), grad=grad)
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
    lowered = _explained(target, functools.partial(_lower, traced.stage, walked, target.name))
    ready = _explained(target, lambda: _compile(lowered.get()))
    timing = _timing(ready, walked, jaxpr, given) if time else None
    codes = _codes(target, places)
    listing = sources.listings(codes, (), target.labels)
    jaxpr_stage, equations = _jaxpr(jaxpr, walked)
    outputs = _outputs(traced, given, grad=grad)
    paths, names = _paths(given), [one.name for one in outputs]
    stages = _stages(jaxpr_stage, lowered, ready, walked, jaxpr, paths, names)
    kept = passes.kept(walked) if passes.has_passes(walked.steps) else None
    held = Lazy(functools.partial(peaks.measure, peaks.device()))

    def told(spent: Costs, counted: Lazy[Trace] | None = None) -> Trace:
        evidence = notes.Evidence(
            jaxpr=jaxpr,
            given=given,
            steps=walked.steps,
            costs=spent,
            codes=codes,
            function=target.function,
            made_static=[leaf.path for leaf in given.static if inputs.is_number(leaf.value)],
            caught=caught,
        )
        return Trace(
            name=target.name,
            inputs=_values(paths, jaxpr.in_avals),
            outputs=outputs,
            equations=equations,
            lines=hotlines.timed(_lines(listing, spent, kept), timing),
            timing=timing,
            sources=listing,
            flops=spent.total.flops,
            bytes=spent.total.bytes,
            transcendentals=spent.total.transcendentals,
            trace_seconds=seconds,
            device=devices.current(),
            notes=notes.notes(evidence),
            gradient=grad,
            certain=_work(spent.certain) if spent.endless else None,
            kept=sum(kept.values()) if kept is not None else None,
            peaks=held,
            captured=Lazy(lambda: program.fingerprint(program.constants(jaxpr))),
            stages=stages,
            graph=_later(counted, lambda: _graph(walked, jaxpr, paths, equations, spent)),
            counted=counted,
        )

    if patience is None or len(walked.steps) <= patience:
        return told(_costs(lowered, walked))
    return told(costs.uncounted(), Lazy(lambda: told(_costs(lowered, walked))))


def _later(counted: Lazy[Trace] | None, draw: Callable[[], Graph]) -> Lazy[Graph]:
    """The graph; where the costs are not counted, that of the trace that has them."""

    def load() -> Graph:
        drawn = counted.get().graph if counted is not None else None
        return drawn.get() if drawn is not None else draw()

    return Lazy(load)


def _graph(
    walked: Walked, jaxpr: Any, names: Sequence[str], equations: Sequence[Equation], spent: Costs
) -> Graph:
    told = [equation.text for equation in equations]
    return graph.graph(walked, jaxpr, names, told, spent.by_span)


def _paths(given: Inputs) -> list[str]:
    return [leaf.path for leaf in given.traced]


# -- tracing ---------------------------------------------------------------------------------------


@contextmanager
def _caught() -> Iterator[list[warnings.WarningMessage]]:
    """Python's warnings, kept rather than printed."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        yield caught


def _trace(target: Target, given: Inputs, *, grad: bool) -> tuple[Inputs, Traced, float]:
    """The program, with those Python numbers static that JAX says it has to know."""
    while True:
        function = _value_and_grad(target, given) if grad else _plain(given)
        names = program.identifiers(leaf.path for leaf in given.traced)
        values = dict(zip(names, (leaf.value for leaf in given.traced), strict=True))
        started = time.perf_counter()
        try:
            traced = program.trace_fresh(function, target.name, values)
        except (jax.errors.JAXTypeError, jax.errors.JAXIndexError, TypeError) as error:
            needed = _needed(str(error), dict(zip(names, given.traced, strict=True)))
            if not needed:
                raise
            given = given.with_static(needed)
        else:
            _no_strays(target, traced)
            return given, traced, time.perf_counter() - started


def _no_strays(target: Target, traced: Traced) -> None:
    """Nothing, but for a program that uses a value kept from another trace.

    Raises:
        JaxmagicError: then, with the lesson about it.
    """
    stray = program.leaked(traced)
    if stray is not None:
        span = program.Places(traced.mark).span(stray.source_info.traceback)
        raise explain_at(jax.errors.UnexpectedTracerError("kept from another trace"), target, span)


def _plain(given: Inputs) -> Callable[..., Any]:
    return lambda *values: given.call(*values).plain


_DEPENDS = re.compile(r"depends on the values? of the arguments? ([^\n]*)")


def _needed(message: str, leaves: Mapping[str, inputs.Leaf]) -> list[str]:
    """The Python numbers that tracing stumbled over, by JAX's message; all, if it names none."""
    numbers = {name: leaf.path for name, leaf in leaves.items() if inputs.is_number(leaf.value)}
    depends = _DEPENDS.search(message)
    if "concrete" not in message.lower() and "traced array" not in message:
        return []
    named = set(re.findall(r"\w+", depends[1])) if depends else set()
    blamed = [path for name, path in numbers.items() if name in named]
    return blamed if depends else list(numbers.values())


def _value_and_grad(target: Target, given: Inputs) -> Callable[..., Any]:
    """The value of the function and its gradient by every float input.

    Raises:
        CannotDifferentiate: when no input is a float, or the result is not one number.
    """
    floats = _floats(given)
    if not floats:
        raise CannotDifferentiate(
            f"`{target.name}` has no floating-point input to differentiate by.",
            fix="Pass floats, such as `1.0` for `1`.",
        )
    return jax.value_and_grad(_loss(target, given), argnums=floats, has_aux=True)


def _floats(given: Inputs) -> tuple[int, ...]:
    return tuple(i for i, leaf in enumerate(given.traced) if _is_float(leaf.value))


def _is_float(value: Any) -> bool:
    """Whether a gradient can be taken by a value; JAX takes none by a reference."""
    kind = value.dtype if isinstance(value, jax.ShapeDtypeStruct) else jax.typeof(value).dtype
    return bool(jnp.issubdtype(kind, jnp.floating)) and not state.is_reference(value)


def _loss(target: Target, given: Inputs) -> Callable[..., Any]:
    """The function as value and the rest: of a tuple, the first part is differentiated."""

    def loss(*values: Any) -> Any:
        outcome = given.call(*values)
        result = outcome.result
        value, rest = (result[0], result[1:]) if isinstance(result, tuple) and result else (result, None)
        if jax.tree_util.all_leaves([value]) and jnp.shape(value) == ():
            return value, Outcome(rest, outcome.changes).plain
        kinds = ", ".join(program.type_of(jax.typeof(leaf)) for leaf in jax.tree_util.tree_leaves(result))
        raise CannotDifferentiate(
            f"`{target.name}` returns {kinds}, and only a single number has a gradient.",
            fix=f"Look at a number made of it, such as `{target.name}(…).sum()`.",
        )

    return loss


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
    names = [f"∂{given.traced[i].path}" for i in _floats(given)]
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
        text = linecache.getline(code.co_filename, code.co_firstlineno).rstrip()
        line, start = code.co_firstlineno, len(text) - len(text.lstrip())
        if text:
            return Span(
                file=code.co_filename,
                line=line,
                column=start,
                end_line=line,
                end_column=len(text),
                function=code.co_qualname,
            )
    return None


def _costs(lowered: Lazy[Any], walked: Walked) -> Costs:
    """What the program costs; unknown where its text is not as expected (another XLA, another backend)."""
    if _explodes(walked):
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


# -- the stages ------------------------------------------------------------------------------------


def _jaxpr(jaxpr: Any, walked: Walked) -> tuple[Stage, tuple[Equation, ...]]:
    started = time.perf_counter()
    text, segments = program.print_jaxpr(jaxpr, walked)
    seconds = time.perf_counter() - started
    told = texts.equation_texts(text, segments, walked.steps)
    equations = tuple(
        Equation(
            primitive=step.equation.primitive.name,
            text=line,
            span=step.span,
            count=step.count,
            phase=step.phase,
        )
        for step, line in zip(walked.steps, told, strict=True)
    )
    links = texts.link_jaxpr(segments, walked.steps)
    return Stage(name="jaxpr", text=text, links=links, seconds=seconds), equations


def _lower(traced: Any, walked: Walked, name: str) -> Any:
    if _explodes(walked):
        raise CannotTrace(
            f"`{name}` holds programs that share programs, level upon level: JAX would write out "
            f"{walked.visits:,} programs to lower it.",
            fix="Look at one of the inner functions, or write the repetition as `jax.lax.fori_loop`.",
        )
    return traced.lower()


def _explodes(walked: Walked) -> bool:
    """Whether sharing is nested so deep that JAX, which lowers each use, would not come to an end."""
    return walked.visits > TOO_MANY and walked.visits > MANY_USES * len(walked.steps)


def _stages(
    first: Stage,
    lowered: Lazy[Any],
    ready: Lazy[tuple[Any, float]],
    walked: Walked,
    jaxpr: Any,
    inputs: Sequence[str],
    outputs: Sequence[str],
) -> dict[str, Lazy[Stage]]:
    """The stages; those that are dear hold what JAX lowered, for the device it was lowered for."""
    known, users = texts.ends(walked.steps), walked.users
    tell = functools.partial(
        optimised.tell, walked=walked, jaxpr=jaxpr, known=known, inputs=inputs, outputs=outputs
    )
    return {
        "jaxpr": Lazy.of(first),
        "stablehlo": Lazy(lambda: _stablehlo(lowered.get(), users)),
        "hlo": Lazy(lambda: _hlo(*ready.get(), known, tell)),
    }


def _stablehlo(lowered: Any, users: frozenset[str]) -> Stage:
    started = time.perf_counter()
    with collection_paused():
        text, links = texts.link_stablehlo(program.print_stablehlo(lowered), users)
    return Stage(name="stablehlo", text=text, links=links, seconds=time.perf_counter() - started)


def _explained(target: Target, make: Callable[[], T]) -> Lazy[T]:
    """What is made later; what JAX says against it comes out explained then too."""
    named = Target(function=make, name=target.name, labels=target.labels)  # no inputs are held

    def load() -> T:
        with explained(named):
            return make()

    return Lazy(load)


def _compile(lowered: Any) -> tuple[Any, float]:
    """The compiled program, and the seconds that it took."""
    started = time.perf_counter()
    done = lowered.compile()
    return done, time.perf_counter() - started


def _timing(ready: Lazy[tuple[Any, float]], walked: Walked, jaxpr: Any, given: Inputs) -> Timing:
    """Where the time goes; a program that does more than compute is not run for that."""
    effects = [step.equation.primitive.name for step in walked.steps if _reaches_out(step)]
    if effects:
        return Timing(withheld=f"running it calls back into Python (`{effects[0]}`)")
    if any(map(state.is_reference, program.constants(jaxpr))):
        return Timing(withheld="running it would change a reference that it does not take as an argument")
    values = [leaf.value for leaf in given.traced]
    return hotlines.measure(ready.get()[0], values, walked.steps)


def _reaches_out(step: Any) -> bool:
    return step.equation.primitive.name in notes.CALLBACKS


def _hlo(compiled: Any, seconds: float, known: texts.Ends, tell: Callable[[Any], optimised.Told]) -> Stage:
    with collection_paused():
        text, links = texts.link_hlo(program.print_optimised(compiled), known)
        told = tell(compiled)
    return Stage(
        name="hlo",
        text=text,
        links=links,
        seconds=seconds,
        memory=told.memory,
        notes=told.notes,
        made=told.made,
    )
