"""The same race at growing sizes, and from which size on jit is ahead."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from jaxmagic.bench import race, statistics
from jaxmagic.bench.instruments import Instruments, interrupts_heard, interrupts_held
from jaxmagic.errors import BadTarget
from jaxmagic.results import JIT, NUMPY, Benchmark, Interval, Note, Point, Sweep
from jaxmagic.target import Target

Watch = Callable[[Sweep, float], None]
STEPS = 9


def sizes(low: float, high: float, steps: int = STEPS) -> tuple[int, ...]:
    """Whole numbers in geometric steps from `low` to `high`, both included, each once.

    Raises:
        BadTarget: unless 1 <= low < high.
    """
    if not 1 <= low < high:
        raise BadTarget(f"There are no sizes from {low:g} to {high:g}.", fix="Write `--sweep n=100..1e6`.")
    growth = (high / low) ** (1 / (steps - 1))
    return tuple(dict.fromkeys(round(low * growth**step) for step in range(steps)))


def run(
    make: Callable[[int], Target],
    parameter: str,
    values: Sequence[int],
    *,
    budget: float = 10.0,
    watch: Watch | None = None,
    tools: Instruments | None = None,
) -> Sweep:
    """Race at each size; Ctrl-C, or a call that is longer than its share of the budget, ends it.

    Args:
        make: the target at a size.
        parameter: what the size is called.
        values: the sizes, growing.
        budget: seconds for all of them, in equal shares.
        watch: gets the sweep so far and the share that is done, after each size and now and then.
        tools: clock, dice and stop-watch.

    Raises:
        BadTarget: when there is no size.
    """
    if not values:
        raise BadTarget("There is no size to race at.", fix="Write `--sweep n=100..1e6`.")
    walk = _Walk(parameter=parameter, values=tuple(values), watch=watch, tools=tools or Instruments())
    return walk.run(make, budget / len(values))


@dataclass(slots=True, kw_only=True)
class _Walk:
    """A sweep while it runs."""

    parameter: str
    values: tuple[int, ...]
    watch: Watch | None
    tools: Instruments
    name: str = ""
    start: float = 0.0
    points: list[Point] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    interrupted: bool = False

    def run(self, make: Callable[[int], Target], share: float) -> Sweep:
        self.start = self.tools.now()
        try:
            with interrupts_heard():
                for size in self.values:
                    self.race(size, make(size), share)
                    if self.interrupted or self.is_too_long(share):
                        break
        except KeyboardInterrupt:
            self.interrupted = True
        with interrupts_held():
            return self.sweep()

    def race(self, size: int, target: Target, share: float) -> None:
        """One size; what the race tells on the way is told as part of the sweep."""
        self.name = target.name

        def tell(so_far: Benchmark, done: float) -> None:
            self.tell([*self.points, Point(size=size, benchmark=so_far)], done)

        found = race.run(target, budget=share, watch=tell if self.watch else None, tools=self.tools)
        self.interrupted = found.interrupted
        self.points.append(Point(size=size, benchmark=found))
        self.tell(self.points, 0.0)

    def tell(self, points: Sequence[Point], done: float) -> None:
        """Report the points, the last of them done to this share."""
        if self.watch is not None:
            self.watch(self.sweep(points), min(1.0, (len(self.points) + done) / len(self.values)))

    def is_too_long(self, share: float) -> bool:
        """Whether the next size is not worth starting."""
        last = self.points[-1]
        if last.size == self.values[-1] or not any(
            (side.typical or 0.0) > share for side in last.benchmark.contenders.values()
        ):
            return False
        text = f"Larger sizes were left out: one call at {last.size:,} takes longer than their share of time."
        self.notes.append(Note(kind="left out", text=text))
        return True

    def sweep(self, points: Sequence[Point] | None = None) -> Sweep:
        """The result so far."""
        shown = tuple(self.points if points is None else points)
        return Sweep(
            name=self.name,
            parameter=self.parameter,
            points=shown,
            crossover=crossover(shown),
            elapsed=self.tools.now() - self.start,
            interrupted=self.interrupted,
            notes=tuple(self.notes),
        )


def crossover(points: Sequence[Point]) -> Interval | None:
    """Where jit overtakes NumPy for good; the range from the ends of the ratios' intervals."""
    found = [
        (point.size, point.benchmark.speedups.get(JIT, {}).get(NUMPY)) for point in points if _counts(point)
    ]
    curve = [(size, times) for size, times in found if times is not None]
    at = [size for size, _ in curve]
    estimate = statistics.crossing(at, [times.estimate for _, times in curve])
    if estimate is None:
        return None
    return Interval(
        low=statistics.crossing(at, [times.high or times.estimate for _, times in curve]),
        estimate=estimate,
        high=statistics.crossing(at, [times.low or times.estimate for _, times in curve]),
    )


def _counts(point: Point) -> bool:
    """Whether the results agree and the ratio can be trusted."""
    found = point.benchmark
    return found.agreement.ok is True and not any(note.kind == "too busy" for note in found.notes)
