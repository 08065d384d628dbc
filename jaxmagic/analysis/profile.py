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


def record(call: Callable[[], Any], calls: int, module: str, *, host: bool) -> Recording:
    """Profile some calls of a program.

    Args:
        call: runs it and waits for it.
        calls: how often.
        module: the name of its HLO module; other programs' events are left out.
        host: whether it runs on the CPU.

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
        return read(jax.profiler.ProfileData.from_file(str(files[-1])), module, host=host)


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


def read(profile: Any, module: str, *, host: bool) -> Recording:
    """A recording from JAX's `ProfileData`.

    Of a program that runs on a device, the host's events only say what was handed to it, and when: they
    do not count, also where the device keeps no record that names the program's operations.
    """
    found = [
        _read_line(line, lane, module, device=_is_device(plane))
        for lane, (plane, line) in enumerate(
            (plane, line) for plane in profile.planes for line in plane.lines
        )
    ]
    events = [event for one in found if one.device is not host for event in one.events]
    return Recording(
        calls=tuple(sorted(call for one in found for call in one.calls)),
        events=tuple(sorted(_ended(events, found), key=lambda event: event.start)),
        records=sum(one.records for one in found),
    )


@dataclass(slots=True)
class _Line:
    """One line of a profile (a thread, a stream of a device), read.

    Args:
        calls: as in a `Recording`.
        events: the program's operations, each with the number of the end that it waits for.
        ends: when what was numbered ended.
        records: events of every kind.
        device: whether it is a device's own.
    """

    device: bool
    calls: list[tuple[float, float]] = field(default_factory=list)
    events: list[tuple[Event, Any]] = field(default_factory=list)
    ends: dict[Any, float] = field(default_factory=dict)
    records: int = 0


def _is_device(plane: Any) -> bool:
    return str(getattr(plane, "name", "")).startswith("/device:")


def _read_line(line: Any, lane: int, module: str, *, device: bool) -> _Line:
    read = _Line(device)
    for event in line.events:
        read.records += 1
        start, end = event.start_ns, event.start_ns + event.duration_ns
        if event.name == CALL:
            read.calls.append((start, end))
            continue
        stats = dict(event.stats)
        name = stats.get("hlo_op")
        if event.name.startswith(END):
            read.ends[stats.get("_c")] = start
        elif name and stats.get("hlo_module", module) == module:
            read.events.append((Event(str(name), start, end, end, lane), stats.get("_p")))
    return read


def _ended(events: Sequence[tuple[Event, Any]], lines: Sequence[_Line]) -> Iterator[Event]:
    """The events, those that end elsewhere with the time when they did."""
    ends = {key: end for line in lines for key, end in line.ends.items()}
    for event, key in events:
        until = ends.get(key, event.end) if key is not None else event.end
        yield event._replace(done=max(event.end, until))


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


def edges(recording: Recording) -> float:
    """Nanoseconds before the first operation and after the last, all calls together: JAX's own work."""
    spent = 0.0
    for start, end in recording.calls:
        inside = [event for event in recording.events if start <= event.start < end]
        first = min((event.start for event in inside), default=end)
        last = max((min(event.done, end) for event in inside), default=end)
        spent += first - start + end - last
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
        if event.done > event.start:
            off = 1 if event.end > event.start else 3  # after it went on
            edges += ((event.start, 2, i), (event.end, off, i), (event.done, 0, i))
    heapq.heapify(edges)
    at = events[0].start if events else end
    while edges:
        time, kind, i = heapq.heappop(edges)
        time = min(time, end)
        if time > at:
            yield at, time
            at = time
        (now.over, now.off, now.on, now.off)[kind](i, events[i])


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
