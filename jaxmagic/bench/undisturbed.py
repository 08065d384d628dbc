"""Samples that nobody disturbed: those during which the process was never taken off a core.

On a busy machine the operating system lets others run in the middle of a call, for milliseconds at a
time, and a low quantile over samples that nearly all hold such a pause is as wrong as a mean. The
system counts how often it did so: where enough samples of every contender went without, only those
count.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress

from jaxmagic.bench.sampling import FEWEST_BATCHES, Record

# Undisturbed samples that a batch needs at least: each is as good as on a quiet machine.
ENOUGH = 1

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
    quiet = {record.entrant.name: _quiet(record) for record in records}
    able = [batches for batches in quiet.values() if len(batches) >= FEWEST_BATCHES]
    shared = frozenset.intersection(*able) if able else frozenset()
    if len(shared) < FEWEST_BATCHES:
        return {record.entrant.name: _all(record) for record in records}
    return {
        record.entrant.name: _some(record) if shared <= quiet[record.entrant.name] else _all(record)
        for record in records
    }


def _quiet(record: Record) -> frozenset[int]:
    """The batches with enough undisturbed samples."""
    return frozenset(
        place
        for place, marks in enumerate(record.marks)
        if sum(not mark.disturbed for mark in marks) >= ENOUGH
    )


def _all(record: Record) -> Chosen:
    return Chosen(batches=tuple(map(tuple, record.batches)), cores=record.cores)


def _some(record: Record) -> Chosen:
    kept: list[tuple[float, ...]] = []
    left_out: list[tuple[float, ...]] = []
    took = worked = 0.0
    for batch, marks in zip(record.batches, record.marks, strict=True):
        counts = [not mark.disturbed for mark in marks]
        kept.append(tuple(compress(batch, counts)))
        left_out.append(tuple(compress(batch, map(operator.not_, counts))))
        took += sum(mark.took for mark in compress(marks, counts))
        worked += sum(mark.worked for mark in compress(marks, counts))
    return Chosen(
        batches=tuple(kept),
        cores=round(worked / took, 3) if took > 0 else record.cores,
        left_out=tuple(left_out) if any(left_out) else (),
    )
