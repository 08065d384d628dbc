"""A race while it runs: what is known so far, and the result that it comes to."""

from __future__ import annotations

import functools
import math
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import numpy as np

from jaxmagic.analysis import devices, explain
from jaxmagic.bench import agreement, inputs, statistics
from jaxmagic.bench.agreement import Outcome
from jaxmagic.bench.conditions import Load, conditions
from jaxmagic.bench.contenders import Side
from jaxmagic.bench.instruments import Instruments, interrupts_heard, interrupts_held
from jaxmagic.bench.notes import CORES_OF, notes
from jaxmagic.bench.sampling import Record, time_calls
from jaxmagic.bench.sampling import race as take_turns
from jaxmagic.bench.stopwatch import TimeIsUp
from jaxmagic.bench.undisturbed import Chosen, chosen
from jaxmagic.errors import JaxmagicError
from jaxmagic.results import JIT, NUMPY, Agreement, Benchmark, Contender, Interval, Note, Port, Value, called
from jaxmagic.target import Target

Watch = Callable[[Benchmark, float], None]

# Seconds between two reports, and between those while a first call goes on. Shares of the budget: that
# the first calls may run over, comparing, and the last turns; that a call which began in time gets before
# it is broken off; that a side gets after another one's single call has used it all up; below which it is
# not worth to start one; that is waited for the process to become quiet. Cores that count as quiet.
CALM = 0.25
WAITED = 1.0
OVERRUN = 0.05
COMPARING = 0.1
LAST_TURNS = 0.04
BROKEN_OFF = 0.1
GRACE = 0.1
LEAST = 0.02
WAITING = 0.1
QUIET = 0.25
# A difference of so many times what rounding the inputs does is still rounding.
CHAOS = 64.0


@dataclass(slots=True, kw_only=True)
class Course:
    """A race while it runs.

    Args:
        target: what is raced.
        budget: seconds that it may take.
        tools: clock, dice and stop-watch.
        watch: is told, now and then.
        order: the names of the contenders, the reference first.
        references: with whom each is compared, where not with the first.
        sides: those that are ready; `out` those that could not run.
        devices: that are raced against each other, where they are.
        wide: whether JAX computes with 64 bits.
        telling: seconds that telling the watcher took, at most.
        said: notes made on the way.
        labelled: whether the contenders have names of the user's own.
        nudged: what the reference does on inputs that are changed by a rounding error, up and down.
    """

    target: Target
    budget: float
    tools: Instruments
    watch: Watch | None = None
    order: tuple[str, ...] = ()
    references: Mapping[str, str] = field(default_factory=dict)
    sides: dict[str, Side] = field(default_factory=dict)
    out: dict[str, Contender] = field(default_factory=dict)
    records: dict[str, Record] = field(default_factory=dict)
    devices: tuple[str, ...] = ()
    agreement: Agreement = field(default_factory=lambda: Agreement(ok=None))
    port: Port | None = None
    labelled: bool = False
    wide: bool = False
    random: bool = False
    interrupted: bool = False
    start: float = 0.0
    reported: float = 0.0
    telling: float = 0.0
    load: Load | None = None
    facts: dict[str, Any] = field(default_factory=conditions)
    said: list[Note] = field(default_factory=list)
    nudged: Callable[[], Iterable[Outcome]] | None = None

    def run(self, line_up: Callable[[Course], None]) -> Benchmark:
        """Make the sides ready, compare them, let them take turns; Ctrl-C ends it with what there is."""
        self.start = self.reported = self.tools.now()
        self.load = self.tools.load()
        self.wide = inputs.is_64_bit((self.target.args, dict(self.target.kwargs)))
        try:
            with interrupts_heard(), _randomness_kept():
                line_up(self)
                self.compare()
                self.await_quiet()
                self.take_turns()
        except KeyboardInterrupt:
            self.interrupted = True
        with interrupts_held():
            result = self.benchmark()
            return replace(result, notes=result.notes + notes(result, self.sides))

    # -- making ready

    @property
    def left(self) -> float:
        """Seconds of the budget that are left."""
        return self.start + self.budget - self.tools.now()

    @property
    def scope(self) -> Callable[[], AbstractContextManager[Any]]:
        """What JAX runs in: 64 bits where they are needed, else as the user set it."""
        return scope_for(self.wide)

    def add(
        self,
        name: str,
        make: Callable[[], Side],
        *,
        share: float = 1.0,
        grace: float = GRACE,
        spared: float = 0.0,
    ) -> None:
        """Make a side ready; when that fails or takes too long, it is out, and it is said why.

        Args:
            name: the contender.
            make: does it.
            share: of the budget, that it may take.
            grace: of the budget, that it gets when a single call of another has used it up.
            spared: of the budget, that it leaves to those who come after it.
        """
        overrun = grace if any(side.first_call > self.budget for side in self.sides.values()) else 0.0
        left = max(self.left + (OVERRUN - spared) * self.budget, overrun * self.budget)
        seconds = min(left, share * self.budget)
        if seconds < LEAST * self.budget:
            self.out[name] = not_started(name, self.budget)
            return
        try:
            until = self.tools.now() + seconds
            self.sides[name] = self.made(make, until)
            with self.tools.cut_off(max(until - self.tools.now(), LEAST * self.budget)):
                self.again(name)
        except TimeIsUp as up:
            if name not in self.sides:
                self.out[name] = cut_off(name, seconds, self.budget, up.during)
        except Exception as error:  # noqa: BLE001 - whatever a user's function raises is its obstacle
            self.sides.pop(name, None)
            self.out[name] = obstacle(name, error, self.target)
        self.report(name)

    def made(self, make: Callable[[], Side], until: float) -> Side:
        """A side, made by a thread that can be left behind; here, where its code wants no other thread."""
        try:
            side: Side = self.tools.within(make, until - self.tools.now(), self.report_waiting)
        except Exception as error:
            if not _is_of_threads(error):
                raise
        else:
            return side
        with self.tools.cut_off(max(until - self.tools.now(), LEAST * self.budget)):
            return make()

    def again(self, name: str) -> None:
        """A second call, where there is time: what a call takes, and whether results are random."""
        side = self.sides[name]
        if Record.of(side.entrant, side.expected).turn > self.left / 4:
            return
        kept: list[Any] = []

        def keeping() -> Any:
            kept[:] = [call()]
            return kept[0]

        with side.entrant.scope():
            call = side.entrant.call or side.entrant.prepare()
            seconds = time_calls(side.entrant, [keeping], self.tools.now)
        if name == self.order[0] and side.outcome is not None:
            first = Outcome(result=side.outcome.result)
            self.random = not agreement.compare(first, Outcome(result=kept[0])).ok
        self.sides[name] = replace(side, expected=seconds)

    def compare(self) -> None:
        """Hold the first outcomes against each other, unless they are random; then let go of them."""
        found = {name: self.sides[name].outcome for name in self.order if name in self.sides}
        outcomes = {name: outcome for name, outcome in found.items() if outcome is not None}
        if self.random:
            dtypes = {name: agreement.dtypes(outcome.result) for name, outcome in outcomes.items()}
            self.agreement = Agreement(ok=None, dtypes=dtypes, where=RANDOM)
        elif outcomes:
            self.hold_against_each_other(outcomes)
        self.sides = {name: replace(side, outcome=None) for name, side in self.sides.items()}

    def hold_against_each_other(self, outcomes: Mapping[str, Outcome]) -> None:
        """Say how the outcomes agree, unless they are so large that it takes too long."""
        try:
            with self.tools.cut_off(max(self.left + COMPARING * self.budget, GRACE * self.budget)):
                names = str if self.labelled else called
                self.agreement = agreement.agreement(outcomes, self.references, names)
                self.excuse_chaos(outcomes[next(iter(outcomes))])
        except TimeIsUp:
            self.agreement = Agreement(ok=None, where="comparing the results took longer than was left")

    def excuse_chaos(self, reference: Outcome) -> None:
        """A difference that rounding the inputs makes on NumPy alone is none."""
        found = self.agreement
        if found.ok is not False or self.nudged is None or not _is_rounding(found):
            return
        if self.sides[self.order[0]].expected > self.budget / 2:  # a long call is not repeated
            return
        moved = min(agreement.compare(reference, other).relative for other in self.nudged())
        if (found.max_rel_error or 0.0) <= CHAOS * moved:
            self.agreement = replace(found, ok=True, where="")
            text = "Rounding the inputs alone moves the result on NumPy as far as the sides differ."
            self.said.append(Note(kind="chaotic", text=text))

    # -- racing

    def await_quiet(self) -> None:
        """Give what this process still does in the background a moment to end."""
        now = self.tools.now()
        until = min(now + WAITING * self.budget, self.start + self.budget)
        while (busy := self.tools.own_work()) > QUIET:
            last, now = now, self.tools.now()
            if now >= until or now <= last:
                text = (
                    f"This process itself kept {busy:.1f} cores busy before the race, "
                    "perhaps with a computation that was interrupted."
                )
                self.said.append(Note(kind="process busy", text=text))
                return

    def take_turns(self) -> None:
        """The race itself, in what is left of the budget."""
        ready = [name for name in self.order if name in self.sides]
        self.records = {
            name: Record.of(self.sides[name].entrant, self.sides[name].expected) for name in ready
        }
        until = max(self.start + self.budget, self.tools.now() + LAST_TURNS * self.budget)
        take_turns(
            list(self.records.values()),
            until=until,
            latest=until + BROKEN_OFF * self.budget,
            tools=self.tools,
            report=self.report,
        )
        prints = [f"`{name}`" for name, record in self.records.items() if record.printed.wrote]
        if prints:
            text = f"Printing is in the time of {', '.join(prints)}, but shown for the first calls only."
            self.said.append(Note(kind="prints", text=text))

    def report(self, new: str = "") -> None:
        """Tell the watcher, at a calm rate and while there is time to; at once when a long call has ended."""
        now = self.tools.now()
        long = new in self.sides and self.sides[new].first_call > CALM
        in_time = now - self.reported >= CALM and self.left >= self.telling
        if self.watch is not None and (long or in_time):
            self.reported = now
            self.watch(self.benchmark(), min(1.0, (now - self.start) / self.budget))
            self.telling = max(self.telling, self.tools.now() - now)

    def report_waiting(self) -> None:
        """Tell the watcher while a first call goes on; rarely, for telling takes the call's time."""
        if self.tools.now() - self.reported >= WAITED:
            self.report()

    # -- the result

    @property
    def chosen(self) -> Mapping[str, Chosen]:
        """The samples that count so far."""
        return chosen(list(self.records.values()))

    def benchmark(self) -> Benchmark:
        """The result so far."""
        sides = {name: self.contender(name) for name in self.order if name in self.sides or name in self.out}
        return Benchmark(
            name=self.target.name,
            contenders=sides,
            agreement=self.agreement,
            device=" against ".join(self.devices) or devices.current(),
            budget=self.budget,
            elapsed=self.tools.now() - self.start,
            speedups=_speedups(sides),
            break_even_calls=_break_even(sides),
            inputs=_values(self.target),
            conditions=self.conditions(),
            port=self.port,
            interrupted=self.interrupted,
            labelled=self.labelled,
            notes=tuple(self.said),
        )

    def conditions(self) -> dict[str, Any]:
        """Versions, threads, precision, and what others did on the machine meanwhile."""
        batches = max((len(record.batches) for record in self.records.values()), default=0)
        others = self.tools.load().others_since(self.load) if self.load else None
        had = {f"{CORES_OF}{name}": samples.cores for name, samples in self.chosen.items()}
        return self.facts | {"64 bits": self.wide, "batches": batches, "busy cores of others": others} | had

    def contender(self, name: str) -> Contender:
        """One side as it stands."""
        if name in self.out:
            return self.out[name]
        side, record = self.sides[name], self.records.get(name)
        samples = self.chosen[name] if record and record.sampled else Chosen(batches=((side.expected,),))
        batches = samples.batches
        made = Contender(
            name=name,
            seconds=batches,
            left_out=samples.left_out,
            typical=statistics.typical(batches),
            interval=statistics.spread(batches),
            first_call=side.first_call,
            compile_seconds=side.program.seconds if side.program else None,
            memory=side.program.memory if side.program else None,
            device=next((device for device in self.devices if name.endswith(f" {device}")), ""),
            transfer=side.program.transfer if side.program and self.devices else None,
        )
        if record is None or record.failure is None:
            return made
        failed = self.failed(name, record.failure)
        return replace(
            made, obstacle=failed.obstacle, fix=failed.fix, span=failed.span, excerpt=failed.excerpt
        )

    def failed(self, name: str, failure: BaseException) -> Contender:
        """A side whose last call raised, or had to be broken off."""
        if isinstance(failure, TimeIsUp):
            return Contender(name=name, obstacle=OVERLONG)
        assert isinstance(failure, Exception)
        return obstacle(name, failure, self.target)


OVERLONG = "its last call took far longer than those before and was broken off; its times are of those"
RANDOM = "the results are random: two runs of the same code differ"


def scope_for(wide: bool) -> Callable[[], AbstractContextManager[Any]]:
    """64 bits, or as the user set it."""
    return functools.partial(jax.enable_x64, wide) if wide else nullcontext


def _is_of_threads(error: Exception) -> bool:
    """Whether it is because of the thread that something raised: SQLite's connections, asyncio's loops."""
    return any(word in str(error) for word in ("thread", "event loop"))


def _is_rounding(found: Agreement) -> bool:
    """Whether a difference is one of size only, not of dtype, shape or structure."""
    same = len(set(found.dtypes.values())) == 1
    return same and found.max_rel_error is not None and 0 < found.max_rel_error < math.inf


def obstacle(name: str, error: Exception, target: Target) -> Contender:
    """Why a side is out, in words, with the line and the fix where they are known."""
    told = error if isinstance(error, JaxmagicError) else explain.explain(error, target)
    if told is None:
        first = (str(error).strip().splitlines() or [""])[0]
        return Contender(name=name, obstacle=f"{type(error).__name__}: {first}".rstrip(": "))
    return Contender(name=name, obstacle=told.message, fix=told.fix, span=told.span, excerpt=told.excerpt)


def not_started(name: str, budget: float) -> Contender:
    """A side that came too late."""
    obstacle = f"not started, for the others' first calls had used up the {budget:.3g} s"
    return Contender(name=name, obstacle=obstacle, fix=f"give it more time: --budget {4 * budget:.3g}")


def cut_off(name: str, seconds: float, budget: float, during: str = TimeIsUp.during) -> Contender:
    """A side whose compiling or first call took too long."""
    return Contender(
        name=name,
        obstacle=f"cut off after {seconds:.2g} s, {during}",
        fix=f"give it more time: --budget {4 * budget:.3g}",
    )


def _speedups(sides: Mapping[str, Contender]) -> dict[str, dict[str, Interval]]:
    """How many times as fast each side is as each other one."""
    found: dict[str, dict[str, Interval]] = {name: {} for name, side in sides.items() if side.seconds}
    for fast in found:
        for slow in found:
            times = statistics.ratio(sides[slow].seconds, sides[fast].seconds) if fast != slow else None
            if times is not None:
                found[fast][slow] = times
    return found


def _break_even(sides: Mapping[str, Contender]) -> int | None:
    slow, fast = sides.get(NUMPY), sides.get(JIT)
    if not (slow and fast and slow.typical and fast.typical and fast.first_call):
        return None
    return statistics.break_even(slow.typical, fast.typical, fast.first_call)


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
