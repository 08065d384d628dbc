"""Samples that nobody disturbed: those during which the process was never taken off a core.

On a busy machine the operating system lets others run in the middle of a call, for milliseconds at a
time, and a low quantile over samples that nearly all hold such a pause is as wrong as a mean. The
system counts how often it did so: where enough samples of every contender went without, only those
count. Nor does a sample that waited for a core (a thread of XLA's that was woken and not let run): one
in which the cores worked much less than they usually do for that contender.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress

from jaxmagic.bench.sampling import FEWEST_BATCHES, Record
from jaxmagic.bench.statistics import quantile

# Undisturbed samples that a batch needs at least: each is as good as on a quiet machine.
ENOUGH = 1
# The cores that a contender usually has: so many of its samples had fewer. It waited for one where it had
# less than this share of them; a contender that sleeps, or leaves the work to a device, tells nothing.
USUALLY = 0.9
WAITED = 0.85
AT_WORK = 0.9

Batches = tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The samples of a contender that count.

    Args:
        batches: in seconds a call; a batch that does not count is empty.
        cores: that the contender had while they were taken; None when there are none.
        left_out: the samples that do not count, if any.
    """

    batches: Batches
    cores: float | None = None
    left_out: Batches = ()


def chosen(records: Sequence[Record]) -> Mapping[str, Chosen]:
    """The samples that count, by the contenders' names; those that can choose share enough batches."""
    counts = _undisturbed(records)
    quiet = {name: _quiet(batches) for name, batches in counts.items()}
    able = [batches for batches in quiet.values() if len(batches) >= FEWEST_BATCHES]
    shared = frozenset.intersection(*able) if able else frozenset()
    if len(shared) < FEWEST_BATCHES:
        return {record.entrant.name: _all(record) for record in records}
    return {
        (name := record.entrant.name): _some(record, counts[name]) if shared <= quiet[name] else _all(record)
        for record in records
    }


Counts = list[list[bool]]


def _undisturbed(records: Sequence[Record]) -> Mapping[str, Counts]:
    """Which samples nobody disturbed; where none was taken off a core, none waited for one either."""
    busy = any(mark.disturbed for record in records for marks in record.marks for mark in marks)
    least = {record.entrant.name: _least_cores(record) if busy else 0.0 for record in records}
    return {
        (name := record.entrant.name): [
            [not mark.disturbed and mark.cores >= least[name] for mark in marks] for marks in record.marks
        ]
        for record in records
    }


def _least_cores(record: Record) -> float:
    """The cores below which a sample waited for one."""
    had = [mark.cores for marks in record.marks for mark in marks]
    usual = quantile(had, USUALLY) if had else 0.0
    return WAITED * usual if usual >= AT_WORK else 0.0


def _quiet(counts: Counts) -> frozenset[int]:
    """The batches with enough undisturbed samples."""
    return frozenset(place for place, batch in enumerate(counts) if sum(batch) >= ENOUGH)


def _all(record: Record) -> Chosen:
    return Chosen(batches=tuple(map(tuple, record.batches)), cores=record.cores)


def _some(record: Record, counts: Counts) -> Chosen:
    left_out = [
        tuple(compress(batch, map(operator.not_, these)))
        for batch, these in zip(record.batches, counts, strict=True)
    ]
    marks = [mark for some, these in zip(record.marks, counts, strict=True) for mark in compress(some, these)]
    took = math.fsum(mark.took for mark in marks)
    return Chosen(
        batches=tuple(
            tuple(compress(batch, these)) for batch, these in zip(record.batches, counts, strict=True)
        ),
        cores=round(math.fsum(mark.worked for mark in marks) / took, 3) if took > 0 else record.cores,
        left_out=tuple(left_out) if any(left_out) else (),
    )
