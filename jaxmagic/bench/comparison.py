"""A race held against an earlier one."""

from __future__ import annotations

from collections.abc import Iterator

from jaxmagic.bench.notes import CORES_OF
from jaxmagic.bench.statistics import quotient
from jaxmagic.errors import BadTarget
from jaxmagic.results import Benchmark, Comparison

# Conditions that are measured anew in each race, and so always differ.
_MEASURED = {"busy cores of others", "batches"}


def compare(before: Benchmark, after: Benchmark) -> Comparison:
    """What became of each contender that was timed in both races.

    Raises:
        BadTarget: when there is none.
    """
    speedups = {
        name: quotient(old.interval, new.interval)
        for name, old in before.contenders.items()
        if old.interval is not None
        and (new := after.contenders.get(name)) is not None
        and new.interval is not None
    }
    if not speedups:
        raise BadTarget("The two races have no contender in common.", fix="Race the same sides again.")
    return Comparison(before=before, after=after, speedups=speedups, changes=tuple(_changes(before, after)))


def _changes(before: Benchmark, after: Benchmark) -> Iterator[tuple[str, str, str]]:
    old, new = _facts(before), _facts(after)
    for name in dict.fromkeys([*old, *new]):
        if old.get(name) != new.get(name):
            yield name, old.get(name, "none"), new.get(name, "none")


def _facts(result: Benchmark) -> dict[str, str]:
    conditions = {name: str(value) for name, value in result.conditions.items() if not _is_measured(name)}
    inputs = {f"input {value.name}": value.type for value in result.inputs}
    return {"function": result.name, "device": result.device, **inputs, **conditions}


def _is_measured(name: str) -> bool:
    return name in _MEASURED or name.startswith(CORES_OF)
