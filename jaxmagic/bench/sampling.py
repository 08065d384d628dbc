"""The race itself: contenders take turns in random order, in short blocks, batch by batch.

Blocks and not single calls, because a switch after every call empties the caches of both sides;
random order, because what runs after what matters; batches, because their spread is the only
honest measure of what the machine does meanwhile.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext, redirect_stdout
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any

from jaxmagic.bench.instruments import Instruments, Sink, garbage_held
from jaxmagic.bench.stopwatch import TimeIsUp

BATCHES = 8
FEWEST_BATCHES = 3
SHORTEST_BLOCK = 0.020
LONGEST_BLOCK = 0.100
SHORTEST_SAMPLE = 0.0002
# Samples a block holds at least, where a call is short enough.
SAMPLES_A_BLOCK = 8
# The share of a block, from its start, that is not counted: the caches are still the other's.
WARMING = 0.05
# Inputs copied ahead for one sample of a function that spoils its inputs, at most.
COPIES_BYTES = 64e6
# Seconds that a block gets at least before it is broken off.
LEAST = 0.001
# A sample that had to be broken off after so many times what was expected of it tells of its calls.
OVERLONG = 10.0
# Calls in one sample at most, and where the last sample took no time at all by the clock.
MOST_CALLS = 1_000_000
TIMELESS_CALLS = 1_000

Call = Callable[[], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrant:
    """A contender, ready to be called.

    Args:
        name: as in the result.
        prepare: gives a call on inputs of its own; never timed.
        finish: waits until a result is really there; None when it is there on return.
        call: a call that is prepared already; None where a call spoils its inputs.
        spoils: whether a call changes or uses up its inputs, so that each needs fresh ones.
        copying: seconds that it took to prepare one.
        input_bytes: what one set of inputs takes.
        scope: what preparing and calling it happen in.
    """

    name: str
    prepare: Callable[[], Call]
    finish: Callable[[Any], Any] | None = None
    call: Call | None = None
    spoils: bool = False
    copying: float = 0.0
    input_bytes: int = 0
    scope: Callable[[], AbstractContextManager[Any]] = nullcontext


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """How a sample was taken.

    Args:
        took: seconds, all its calls together.
        worked: seconds that cores worked meanwhile.
        disturbed: whether the process was taken off a core meanwhile.
    """

    took: float
    worked: float
    disturbed: bool

    @property
    def cores(self) -> float:
        """Cores that worked, on average."""
        return self.worked / self.took if self.took > 0 else 0.0


@dataclass(slots=True, kw_only=True)
class Record:
    """What is known of an entrant so far.

    Args:
        entrant: who.
        expected: seconds that its next call will take.
        spent: seconds that its blocks took, in all.
        worked: seconds that cores worked in them.
        batches: its samples, in seconds a call.
        marks: how they were taken, one for each.
        failure: what it raised in its last block; TimeIsUp where a call had to be broken off.
        printed: takes what it prints meanwhile.
        call: on inputs that all its calls share, unless it spoils them.
        copying: seconds that preparing its next call will take.
        sample: when its last sample began, and the seconds that it should have taken.
    """

    entrant: Entrant
    expected: float
    spent: float = 0.0
    worked: float = 0.0
    batches: list[list[float]] = field(default_factory=list)
    marks: list[list[Mark]] = field(default_factory=list)
    failure: Exception | TimeIsUp | None = None
    printed: Sink = field(default_factory=Sink)
    call: Call | None = None
    copying: float = 0.0
    sample: tuple[float, float] = (0.0, 0.0)

    @classmethod
    def of(cls, entrant: Entrant, expected: float) -> Record:
        """Of an entrant that is ready."""
        copying = entrant.copying if entrant.spoils else 0.0
        return cls(entrant=entrant, expected=expected, call=entrant.call, copying=copying)

    @property
    def turn(self) -> float:
        """Seconds that preparing and making its next call will take."""
        return self.expected + self.copying

    @property
    def cores(self) -> float | None:
        """Cores that it had, on average; None when it never ran."""
        return round(self.worked / self.spent, 3) if self.spent > 0 else None

    @property
    def sampled(self) -> bool:
        """Whether there is any sample."""
        return any(self.batches)


def time_calls(entrant: Entrant, calls: Iterable[Call], now: Callable[[], float]) -> float:
    """Seconds for all `calls`, each waited for."""
    finish = entrant.finish
    if finish is None:
        start = now()
        for call in calls:
            call()
        return now() - start
    start = now()
    for call in calls:
        finish(call())
    return now() - start


def race(
    records: Sequence[Record],
    *,
    until: float,
    tools: Instruments,
    latest: float = math.inf,
    report: Callable[[], None] = lambda: None,
) -> None:
    """Fill the records with samples, one list a batch, until the clock shows `until`.

    An entrant that raises is out, with its failure; what takes longer than is left is not
    started, and what still runs when the clock shows `latest` is broken off. `report` is called after
    every round.
    """
    start = tools.now()
    batches = _batches(until - start, len(records))
    for batch in range(batches):
        for record in records:
            record.batches.append([])
            record.marks.append([])
        _batch(
            records,
            _Slot(start=start, until=until, latest=latest, share=(batch + 1) / batches),
            tools,
            report,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Slot:
    """Where a batch lies: it ends when `share` of the time from start to until has passed."""

    start: float
    until: float
    latest: float
    share: float

    @property
    def end(self) -> float:
        return self.start + self.share * (self.until - self.start)


def _batches(seconds: float, entrants: int) -> int:
    """As many batches as leave every entrant its shortest block in each."""
    return max(FEWEST_BATCHES, min(BATCHES, int(seconds / (SHORTEST_BLOCK * max(entrants, 1)))))


def _batch(records: Sequence[Record], slot: _Slot, tools: Instruments, report: Callable[[], None]) -> None:
    """Rounds of blocks in random order, at least one, until its time is over (or the clock stands still)."""
    while True:
        began = tools.now()
        order = [record for record in records if record.failure is None]
        tools.shuffle(order)
        length = _block_length(slot.end - began, len(order))
        sample = _sample_length(order, length)
        ran = [
            _block(record, slot, length, sample, tools)
            for record in order
            if _may_run(record, order, slot, length, tools)
        ]
        report()
        now = tools.now()
        if not any(ran) or now <= began or now + (now - began) > slot.end:
            return


def _sample_length(order: Sequence[Record], block: float) -> float:
    """Samples of all sides last equally long, as long as the slowest side's call where that is short.

    A longer sample averages over more of the noise, and its low quantile lies nearer to its mean:
    with one call a sample, three times the work read 3.012.
    """
    slowest = max((record.expected for record in order), default=0.0)
    return max(SHORTEST_SAMPLE, min(slowest, block / SAMPLES_A_BLOCK))


def _block_length(seconds: float, entrants: int) -> float:
    return min(LONGEST_BLOCK, max(SHORTEST_BLOCK, seconds / max(entrants, 1)))


def _may_run(record: Record, field: Sequence[Record], slot: _Slot, length: float, tools: Instruments) -> bool:
    """Whether a block still fits; a slow entrant gets its turns as its share of the time grows."""
    if tools.now() + record.turn > slot.until:
        return False
    if record.turn <= length:
        return True
    others = [other for other in field if other is not record]
    share = _share(others, slot.until - slot.start)
    return record.spent + record.turn <= slot.share * share


def _share(others: Sequence[Record], seconds: float) -> float:
    """What is left for one entrant when each of the others has what it needs, an equal part at most."""
    equal = seconds / (len(others) + 1)
    needs = (min(equal, BATCHES * max(other.turn, SHORTEST_BLOCK)) for other in others)
    return seconds - math.fsum(needs)


def _block(record: Record, slot: _Slot, length: float, sample: float, tools: Instruments) -> bool:
    """Sample one entrant for about `length` seconds; whether that worked."""
    start, worked = tools.now(), tools.worked()
    try:
        with (
            tools.cut_off(max(slot.latest - start, LEAST)),
            garbage_held(),
            redirect_stdout(record.printed),
            record.entrant.scope(),
        ):
            _fill(record, start + length, sample, tools)
    except TimeIsUp as up:
        record.failure = up if _is_overlong(record, tools.now()) else None
    except Exception as failure:  # noqa: BLE001 - whatever a user's function raises ends its race only
        record.failure = failure
    record.spent += tools.now() - start
    record.worked += tools.worked() - worked
    return record.failure is None


def _is_overlong(record: Record, now: float) -> bool:
    """Whether it was a call that took too long, and not a slow machine."""
    began, due = record.sample
    return now - began > OVERLONG * due


def _fill(record: Record, end: float, sample: float, tools: Instruments) -> None:
    """Samples until another one would not fit; those at the start, while the caches fill, are dropped."""
    start = tools.now()
    warm_at = start if record.expected > 4 * WARMING * (end - start) else start + WARMING * (end - start)
    while True:
        began = tools.now()
        repeats = _repeats(record, sample)
        record.sample = (began, repeats * record.turn)
        mark = _sample(record, _calls(record, repeats), tools)
        record.expected = mark.took / repeats
        if began >= warm_at:
            record.batches[-1].append(record.expected)
            record.marks[-1].append(mark)
        ended = tools.now()
        if record.entrant.spoils:
            record.copying = max(0.0, ended - began - mark.took) / repeats
        if ended <= began or (ended + (ended - began) > end and record.batches[-1]):
            return


def _sample(record: Record, calls: Iterable[Call], tools: Instruments) -> Mark:
    """Time some calls, and see what the machine did meanwhile."""
    worked, interruptions = tools.worked(), tools.interruptions()
    took = time_calls(record.entrant, calls, tools.now)
    return Mark(took=took, disturbed=tools.interruptions() > interruptions, worked=tools.worked() - worked)


def _calls(record: Record, repeats: int) -> Iterable[Call]:
    """Each on fresh inputs where a call spoils them, else all on the same."""
    if record.entrant.spoils:
        return [record.entrant.prepare() for _ in range(repeats)]
    if record.call is None:
        record.call = record.entrant.prepare()
    return repeat(record.call, repeats)


def _repeats(record: Record, sample: float) -> int:
    """Calls in one sample, and not more copies of the inputs than fit."""
    wanted = round(sample / record.expected) if record.expected > 0 else TIMELESS_CALLS
    room = COPIES_BYTES // max(record.entrant.input_bytes, 1) if record.entrant.spoils else MOST_CALLS
    return int(max(1, min(wanted, room, MOST_CALLS)))
