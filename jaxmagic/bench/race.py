"""The race of NumPy against JAX: compare first, then time, and say under which conditions."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import numpy as np

from jaxmagic.analysis import devices, explain
from jaxmagic.bench import agreement, contenders, inputs, statistics
from jaxmagic.bench.captures import on_numpy, uses_jax
from jaxmagic.bench.conditions import Load, conditions
from jaxmagic.bench.contenders import Side
from jaxmagic.bench.instruments import Instruments, TimeIsUp
from jaxmagic.bench.notes import notes
from jaxmagic.bench.sampling import Record, time_calls
from jaxmagic.bench.sampling import race as take_turns
from jaxmagic.errors import BadTarget, JaxmagicError
from jaxmagic.results import Agreement, Benchmark, Contender, Interval, Note, Port, Value
from jaxmagic.target import Target

Watch = Callable[[Benchmark, float], None]
Porter = Callable[..., Port]

NUMPY, EAGER, JIT = "numpy", "jax", "jax.jit"
# The share of the budget that the first calls of the eager side may take, and seconds between two reports.
EAGER_SHARE = 0.25
CALM = 0.25


def benchmark(fn: Callable[..., Any], *args: Any, budget: float = 2.0, **kwargs: Any) -> Benchmark:
    """Race a NumPy (or jax.numpy) function on NumPy, on JAX eagerly and under jit.

    Args:
        fn: the function; it is called on copies of its inputs only.
        *args: its inputs: arrays, pytrees, numbers, or `ArrayType`s for random ones.
        budget: seconds that the whole may take.
        **kwargs: its inputs by keyword.

    Raises:
        JaxmagicError: when an input cannot be given twice, such as a generator.
    """
    return run(Target(function=fn, args=args, kwargs=kwargs), budget=budget)


def race(
    functions: Mapping[str, Callable[..., Any]], *args: Any, budget: float = 2.0, **kwargs: Any
) -> Benchmark:
    """Race any callables on the same inputs, each as it is.

    Args:
        functions: the contenders by their labels; the first is what the others are compared with.
        *args: inputs, copied for each call that changes them.
        budget: seconds that the whole may take.
        **kwargs: inputs by keyword.

    Raises:
        ValueError: when there is no contender.
    """
    return run_labelled(functions, args, kwargs, budget=budget)


def run(
    target: Target, *, budget: float = 2.0, watch: Watch | None = None, tools: Instruments | None = None
) -> Benchmark:
    """What `%jaxbench` does: see `benchmark`.

    Args:
        target: the function and its inputs.
        budget: seconds that the whole may take.
        watch: gets the result so far and the share of the budget used (0 to 1), now and then.
        tools: clock, dice and stop-watch.
    """
    target = _usable(target)
    course = _Course(target=target, budget=budget, watch=watch, tools=tools or Instruments())
    return course.run(_numpy_first if not _is_jax(target) else _jax_first)


def run_labelled(
    functions: Mapping[str, Callable[..., Any]],
    args: tuple[Any, ...] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    budget: float = 2.0,
    watch: Watch | None = None,
    tools: Instruments | None = None,
) -> Benchmark:
    """What `%%jaxbench` with labelled contenders does: see `race`."""
    if not functions:
        raise ValueError("a race needs at least one contender")
    first = next(iter(functions.values()))
    target = _usable(Target(function=first, args=args, kwargs=kwargs or {}, name=" against ".join(functions)))
    course = _Course(target=target, budget=budget, watch=watch, tools=tools or Instruments())
    return course.run(lambda course: _labelled(course, functions))


@dataclass(slots=True, kw_only=True)
class _Course:
    """A race while it runs."""

    target: Target
    budget: float
    watch: Watch | None
    tools: Instruments
    start: float = 0.0
    order: list[str] = field(default_factory=list)
    sides: dict[str, Side] = field(default_factory=dict)
    out: dict[str, Contender] = field(default_factory=dict)
    records: dict[str, Record] = field(default_factory=dict)
    agreement: Agreement = field(default_factory=lambda: Agreement(ok=None))
    port: Port | None = None
    wide: bool = False
    random: bool = False
    interrupted: bool = False
    finished: bool = False
    reported: float = 0.0
    load: Load = field(default_factory=Load.now)
    said: list[Note] = field(default_factory=list)

    def run(self, prepare: Callable[[_Course], None]) -> Benchmark:
        """Prepare the sides, compare them, take turns; a Ctrl-C ends it with what there is."""
        self.start = self.reported = self.tools.now()
        self.wide = inputs.is_64_bit((self.target.args, dict(self.target.kwargs)))
        try:
            with _randomness_kept(), self.precision():
                prepare(self)
                self.compare()
                self.take_turns()
        except KeyboardInterrupt:
            self.interrupted = True
        self.finished = True
        return self.benchmark()

    def precision(self) -> AbstractContextManager[Any]:
        """64 bits where an input has them; else as the user set it."""
        return jax.enable_x64(True) if self.wide else nullcontext()

    @property
    def left(self) -> float:
        """Seconds of the budget that are left."""
        return self.start + self.budget - self.tools.now()

    def add(self, name: str, make: Callable[[], Side]) -> Side | None:
        """Make a side ready; when that fails, it is out, and it is said why."""
        try:
            self.sides[name] = make()
        except Exception as error:  # noqa: BLE001 - whatever a user's function raises is its obstacle
            self.out[name] = _obstacle(name, error, self.target)
            return None
        self.report()
        return self.sides[name]

    def compare(self) -> None:
        """Hold the first outcomes against each other, unless they are random."""
        outcomes = {name: self.sides[name].outcome for name in self.order if name in self.sides}
        if self.random:
            dtypes = {name: agreement.dtypes(outcome.result) for name, outcome in outcomes.items()}
            where = "the results are random: two runs of the same code differ"
            self.agreement = Agreement(ok=None, dtypes=dtypes, where=where)
        elif outcomes:
            self.agreement = agreement.agreement(outcomes)

    def take_turns(self) -> None:
        """The race itself, in what is left of the budget."""
        self.records = {
            name: Record(entrant=side.entrant, expected=side.expected) for name, side in self.sides.items()
        }
        until = self.start + self.budget
        take_turns(list(self.records.values()), until=until, tools=self.tools, report=self.report)

    def report(self) -> None:
        """Tell the watcher, at a calm rate."""
        now = self.tools.now()
        if self.watch is not None and now - self.reported >= CALM:
            self.reported = now
            self.watch(self.benchmark(), min(1.0, (now - self.start) / self.budget))

    def benchmark(self) -> Benchmark:
        """The result so far."""
        sides = {name: self.contender(name) for name in self.order if name in self.sides or name in self.out}
        speedups = _speedups(sides)
        result = Benchmark(
            name=self.target.name,
            contenders=sides,
            agreement=self.agreement,
            device=devices.current(),
            budget=self.budget,
            elapsed=self.tools.now() - self.start,
            speedups=speedups,
            break_even_calls=_break_even(sides),
            inputs=_values(self.target),
            conditions=self.conditions(),
            port=self.port,
            interrupted=self.interrupted,
            notes=tuple(self.said),
        )
        return replace(result, notes=result.notes + notes(result, self.sides)) if self.finished else result

    def conditions(self) -> dict[str, Any]:
        """Versions, threads, precision and what others did on the machine meanwhile."""
        others = Load.now().others_since(self.load)
        batches = max((len(record.batches) for record in self.records.values()), default=0)
        return conditions() | {"64 bits": self.wide, "batches": batches, "busy cores of others": others}

    def contender(self, name: str) -> Contender:
        """One side as it stands."""
        if name in self.out:
            return self.out[name]
        side, record = self.sides[name], self.records.get(name)
        batches = tuple(map(tuple, record.batches)) if record and record.sampled else ((side.expected,),)
        made = Contender(
            name=name,
            seconds=batches,
            typical=statistics.typical(batches),
            interval=statistics.spread(batches),
            first_call=side.first_call,
            compile_seconds=side.compile_seconds,
            memory=side.memory,
        )
        if record is None or record.failure is None:
            return made
        failed = _obstacle(name, record.failure, self.target)
        return replace(
            made, obstacle=failed.obstacle, fix=failed.fix, span=failed.span, excerpt=failed.excerpt
        )


# -- who races ------------------------------------------------------------------------------------


def _numpy_first(course: _Course) -> None:
    """NumPy code: the function as it is, and its port."""
    course.order = [NUMPY, EAGER, JIT]
    target, tools = course.target, course.tools
    numpy = contenders.by_numpy(NUMPY, target, tools)
    course.sides[NUMPY] = numpy
    course.report()
    _again(course, NUMPY)
    if inputs.is_64_bit(numpy.outcome.result):
        course.wide = True
    with course.precision():
        ported = _ported(course)
        if ported is not None:
            _jax_sides(course, ported)


def _jax_first(course: _Course) -> None:
    """JAX code: the same on NumPy where that runs, as it is, and under jit."""
    course.order = [NUMPY, EAGER, JIT]
    target = course.target
    swapped = Target(
        function=on_numpy(target.function), args=target.args, kwargs=target.kwargs, name=target.name
    )
    if course.add(NUMPY, lambda: contenders.by_numpy(NUMPY, swapped, course.tools)) is not None:
        _again(course, NUMPY)
    _jax_sides(course, target)


def _labelled(course: _Course, functions: Mapping[str, Callable[..., Any]]) -> None:
    course.order = list(functions)
    for name, function in functions.items():
        target = replace(course.target, function=function, name=name)
        course.add(name, lambda name=name, target=target: contenders.as_is(name, target, course.tools))  # type: ignore[misc]  # mypy cannot infer a lambda with defaults
        if name in course.sides:
            _again(course, name)


def _ported(course: _Course) -> Target | None:
    """The port as a target; without one both JAX sides are out."""
    target = course.target
    try:
        course.port = porter()(target.function, *target.args, **target.kwargs)
    except Exception as error:  # noqa: BLE001 - whatever stops the port is the obstacle
        for name in (EAGER, JIT):
            course.out[name] = _obstacle(name, error, target)
        return None
    return replace(target, function=course.port.function)


def porter() -> Porter:
    """What ports NumPy code."""
    from jaxmagic.port import port

    return port


def _jax_sides(course: _Course, target: Target) -> None:
    course.add(JIT, lambda: contenders.by_jit(JIT, target, course.port, course.tools))
    limit = max(EAGER_SHARE * course.budget, 0.0)
    try:
        with course.tools.cut_off(limit):
            plain = replace(target, function=getattr(target.function, "__wrapped__", target.function))
            made = course.add(EAGER, lambda: contenders.eagerly(EAGER, plain, course.port, course.tools))
            if made is not None:
                _again(course, EAGER)
    except TimeIsUp:
        if EAGER not in course.sides:
            course.out[EAGER] = _cut_off(limit, course.budget)


def _cut_off(limit: float, budget: float) -> Contender:
    return Contender(
        name=EAGER,
        obstacle=f"cut off after {limit:.2g} s, in its first call",
        fix=f"give it more time: --budget {budget * 4:.3g}",
    )


def _again(course: _Course, name: str) -> None:
    """A second call, where there is time: what a call takes, and whether results are random."""
    side = course.sides[name]
    if side.first_call > course.left / 4:
        return
    call = side.entrant.prepare()
    kept: list[Any] = []

    def keeping() -> Any:
        kept.append(call())
        return kept[0]

    seconds = time_calls(side.entrant, [keeping], course.tools.now)
    outcome = replace(side.outcome, result=kept[0])
    if name == course.order[0]:
        difference = agreement.compare(replace(side.outcome, changed={}), replace(outcome, changed={}))
        course.random = not difference.ok
    course.sides[name] = replace(side, expected=seconds)


# -- figures --------------------------------------------------------------------------------------


def _speedups(sides: Mapping[str, Contender]) -> dict[str, dict[str, Interval]]:
    found: dict[str, dict[str, Interval]] = {}
    for a, fast in sides.items():
        for b, slow in sides.items():
            times = statistics.ratio(slow.seconds, fast.seconds) if a != b else None
            if times is not None:
                found.setdefault(a, {})[b] = times
    return found


def _break_even(sides: Mapping[str, Contender]) -> int | None:
    slow, fast = sides.get(NUMPY), sides.get(JIT)
    if (
        slow is None
        or fast is None
        or slow.typical is None
        or fast.typical is None
        or fast.first_call is None
    ):
        return None
    return statistics.break_even(slow.typical, fast.typical, fast.first_call)


# -- the target -----------------------------------------------------------------------------------


def _usable(target: Target) -> Target:
    """The target with arrays for its array types.

    Raises:
        BadTarget: when an input is used up by the first call.
    """
    for name, value in target.named_inputs().items():
        if isinstance(value, Iterator):
            raise BadTarget(
                f"{name} is a {type(value).__name__}: the first call uses it up, and a race calls many times",
                fix=f"pass a list: list({name})",
            )
    args, kwargs = inputs.materialised((target.args, dict(target.kwargs)))
    return replace(target, args=args, kwargs=kwargs)


def _is_jax(target: Target) -> bool:
    given = jax.tree_util.tree_leaves((target.args, dict(target.kwargs)))
    return any(isinstance(leaf, jax.Array) for leaf in given) or uses_jax(target.function)


def _values(target: Target) -> tuple[Value, ...]:
    return tuple(
        Value(name=name, type=inputs.type_of(value), bytes=inputs.size(value))
        for name, value in target.named_inputs().items()
    )


@contextmanager
def _randomness_kept() -> Iterator[None]:
    """NumPy's and Python's global random states afterwards as before."""
    numpy_state, python_state = np.random.get_state(), random.getstate()
    try:
        yield
    finally:
        np.random.set_state(numpy_state)
        random.setstate(python_state)


def _obstacle(name: str, error: Exception, target: Target) -> Contender:
    """Why a side is out, in words, with the line and the fix where they are known."""
    told = error if isinstance(error, JaxmagicError) else explain.explain(error, target)
    if told is None:
        first = (str(error).strip().splitlines() or [""])[0]
        return Contender(name=name, obstacle=f"{type(error).__name__}: {first}".rstrip(": "))
    return Contender(name=name, obstacle=told.message, fix=told.fix, span=told.span, excerpt=told.excerpt)
