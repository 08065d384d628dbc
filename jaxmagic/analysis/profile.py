"""JAX's own profiler, read without TensorBoard: which operation ran at every instant of a call.

Durations of events must not be added up: a loop's event ends before its last turn, a kernel that is cut
up among threads ends in an event of its own, and operations run side by side. So every instant of a call
is given to what ran then (see `sweep`), and what no event covers stays uncovered.
"""

from __future__ import annotations

import contextlib
import heapq
import pathlib
import signal
import tempfile
import threading
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax

from jaxmagic.errors import CannotTrace

CALL = "jaxmagic call"  # the name of the events around each call
END = "end: "  # what the name of an event starts with that ends an operation elsewhere


class Event(NamedTuple):
    """An operation of a compiled program that ran.

    Args:
        name: the instruction's.
        start, end: nanoseconds between which it was on its thread.
        done: when it was over, other threads included.
        lane: its thread.
    """

    name: str
    start: float
    end: float
    done: float
    lane: int


@dataclass(frozen=True, slots=True)
class Recording:
    """What a profile says of some calls of one program.

    Args:
        calls: when each began and ended, in nanoseconds.
        events: the operations, by their start.
        records: events of every kind in the profile.
    """

    calls: tuple[tuple[float, float], ...]
    events: tuple[Event, ...]
    records: int


def record(call: Callable[[], Any], calls: int, module: str) -> Recording:
    """Profile some calls of a program.

    Args:
        call: runs it and waits for it.
        calls: how often.
        module: the name of its HLO module; other programs' events are left out.

    Raises:
        CannotTrace: when a profile is being taken already.
    """
    options = jax.profiler.ProfileOptions()
    options.python_tracer_level = 0
    options.host_tracer_level = 2
    options.enable_hlo_proto = False
    with tempfile.TemporaryDirectory(prefix="jaxmagic-") as folder:
        with _session(folder, options):
            for _ in range(calls):
                with jax.profiler.TraceAnnotation(CALL):
                    call()
        files = sorted(pathlib.Path(folder).rglob("*.xplane.pb"))
        return read(jax.profiler.ProfileData.from_file(str(files[-1])), module)


@contextlib.contextmanager
def _session(folder: str, options: Any) -> Iterator[None]:
    try:
        with _undisturbed():
            jax.profiler.start_trace(folder, profiler_options=options)
    except RuntimeError as error:
        raise CannotTrace(
            "JAX's profiler is taking a profile already, and it takes one at a time.",
            fix="Stop that one first: `jax.profiler.stop_trace()`.",
        ) from error
    try:
        yield
    finally:
        with _undisturbed():
            jax.profiler.stop_trace()


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Ctrl-C waits until the end: JAX would keep a session that is half begun or half ended for good."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting: list[tuple[int, types.FrameType | None]] = []
    before = signal.signal(signal.SIGINT, lambda *what: waiting.append(what))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if waiting and callable(before):
        before(*waiting[0])


def read(profile: Any, module: str) -> Recording:
    """A recording from JAX's `ProfileData`."""
    calls: list[tuple[float, float]] = []
    found: list[tuple[str, float, float, int, Any]] = []
    ends: dict[Any, float] = {}
    records = 0
    lanes = (line for plane in profile.planes for line in plane.lines)
    for lane, line in enumerate(lanes):
        for event in line.events:
            records += 1
            if event.name == CALL:
                calls.append((event.start_ns, event.start_ns + event.duration_ns))
                continue
            if event.name.startswith(END):
                ends[dict(event.stats).get("_c")] = event.start_ns
                continue
            stats = dict(event.stats)
            name = stats.get("hlo_op")
            if name and stats.get("hlo_module", module) == module:
                until = event.start_ns + event.duration_ns
                found.append((str(name), event.start_ns, until, lane, stats.get("_p")))
    events = [
        Event(name, start, end, max(end, ends.get(key, end) if key is not None else end), lane)
        for name, start, end, lane, key in found
    ]
    return Recording(tuple(sorted(calls)), tuple(sorted(events, key=lambda event: event.start)), records)


# -- the sweep -------------------------------------------------------------------------------------


def sweep(recording: Recording, loops: frozenset[str]) -> dict[str, float]:
    """Nanoseconds of each operation, all calls together; each instant is given out once.

    To the innermost operation on its thread (shared evenly among threads), else to the last begun of
    those that still run on other threads, else to the innermost loop around.

    Args:
        recording: what was profiled.
        loops: names of instructions that hold others: `while`, `conditional`, `call`.
    """
    spent: dict[str, float] = {}
    for start, end in recording.calls:
        inside = [event for event in recording.events if start <= event.start < end]
        for name, seconds in _swept(inside, end, loops).items():
            spent[name] = spent.get(name, 0.0) + seconds
    return spent


def _swept(events: Sequence[Event], end: float, loops: frozenset[str]) -> dict[str, float]:
    spent: dict[str, float] = {}
    now = _Now(loops)
    for at, until in _steps(events, end, now):
        owners = now.owners()
        for owner in owners:
            spent[owner] = spent.get(owner, 0.0) + (until - at) / len(owners)
    return spent


def _steps(events: Sequence[Event], end: float, now: _Now) -> Iterator[tuple[float, float]]:
    """The intervals in which nothing begins or ends, `now` being as it is inside each."""
    edges: list[tuple[float, int, int]] = []
    for i, event in enumerate(events):
        edges += ((event.start, 2, i), (event.end, 1, i), (event.done, 0, i))
    heapq.heapify(edges)
    at = events[0].start if events else end
    while edges:
        time, kind, i = heapq.heappop(edges)
        time = min(time, end)
        if time > at:
            yield at, time
            at = time
        (now.over, now.off, now.on)[kind](i, events[i])


@dataclass(slots=True)
class _Now:
    """What is under way at an instant: on threads, elsewhere, and the loops around; each by its begin."""

    loops: frozenset[str]
    running: dict[int, dict[int, Event]] = field(default_factory=dict)
    elsewhere: dict[int, Event] = field(default_factory=dict)
    around: dict[int, Event] = field(default_factory=dict)

    def on(self, i: int, event: Event) -> None:
        if event.name in self.loops:
            self.around[i] = event
        else:
            self.running.setdefault(event.lane, {})[i] = event

    def off(self, i: int, event: Event) -> None:
        if self.running.get(event.lane, {}).pop(i, None) is not None and event.done > event.end:
            self.elsewhere[i] = event

    def over(self, i: int, event: Event) -> None:
        self.running.get(event.lane, {}).pop(i, None)
        self.elsewhere.pop(i, None)
        self.around.pop(i, None)

    def owners(self) -> list[str]:
        inner = [_last(stack) for stack in self.running.values() if stack]
        if inner:
            return inner
        return [_last(stack) for stack in (self.elsewhere, self.around) if stack][:1]


def _last(stack: dict[int, Event]) -> str:
    return next(reversed(stack.values())).name
