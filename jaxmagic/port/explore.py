"""Branches that the inputs given did not take: one more NumPy run each, which is made to take it.

Only what is known of nothing else is learned from such a run: what the expressions of the branch are.
The run's values mean nothing. Where it does not get through the branch nothing is learned.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from jaxmagic.port.collect import Program
from jaxmagic.port.flow import blocks, raises
from jaxmagic.port.observe import Facts, Key, Watch, facts_of, watched_run

# How many branches are tried, and how many statements a run may have for that.
TRIALS, LONGEST = 16, 50_000


@dataclass(frozen=True, slots=True)
class Branch:
    """Statements that did not run, and how the conditions on the way there have to come out."""

    unit: str
    body: tuple[ast.stmt, ...]
    way: tuple[tuple[Key, bool], ...]


class TooLongError(Exception):
    """A run that was made to take a branch does not end where the true one did."""


@dataclass(slots=True)
class Trial(Watch):
    """A watch that makes conditions come out as wanted, the first time that each is met."""

    wanted: dict[Key, bool] = field(default_factory=dict)
    left: int = 0
    last: Key = ()

    def test(self, key: Key, value: Any) -> Any:
        """The condition of an `if`."""
        return self.wanted.pop(key) if key in self.wanted else value

    def count(self, key: Key) -> None:
        """A statement runs, if there is patience left."""
        self.left, self.last = self.left - 1, key
        if self.left < 0:
            raise TooLongError
        Watch.count(self, key)


def explore(program: Program, watch: Watch, run: Callable[[Watch], Any]) -> frozenset[Key]:
    """Let `run` take each branch that was not taken, and add what is new to `watch`: the branches taken."""
    known = sum(watch.counts.values())
    tried: set[Branch] = set()
    taken: set[Key] = set()
    while known <= LONGEST and len(tried) < TRIALS:
        target = next((t for t in _untaken(program, watch, taken) if t not in tried), None)
        if target is None:
            break
        tried.add(target)
        trial = Trial(wanted=dict(target.way), left=2 * known + 1000)
        if _gets_through(target, trial, run):
            taken |= _add(watch, trial)
    return frozenset(taken)


def ends(program: Program, facts: Facts) -> Callable[[Callable[..., Any]], Any]:
    """Runs of NumPy's code on other inputs, which end even where those send it round for ever.

    Returns:
        what calls its argument with the function, and raises `TooLongError` when that has taken many times
        the statements that it took on the inputs given.
    """

    def run(use: Callable[[Callable[..., Any]], Any]) -> Any:
        return watched_run(program, Trial(left=20 * facts.statements + 10_000), use)

    return run


def _gets_through(branch: Branch, trial: Trial, run: Callable[[Watch], Any]) -> bool:
    """Make a run take a branch; whether it ended, or raised only when the branch was behind it."""
    try:
        with np.errstate(all="ignore"):
            run(trial)
    except Exception:  # noqa: BLE001 the user's code may raise anything where it was not meant to go
        inside = {(branch.unit, getattr(n, "key", -1)) for s in branch.body for n in ast.walk(s)}
        last = (branch.unit, branch.body[-1].key)  # type: ignore[attr-defined]
        return last in trial.counts and trial.last not in inside and trial.last[0] == branch.unit
    return True


def _untaken(program: Program, watch: Watch, taken: set[Key]) -> Iterator[Branch]:
    """What did not run though a condition was met that decides it: its branches, and what follows an exit."""
    for unit in program.units:
        yield from _untaken_in(unit.name, unit.node.body, (), watch, taken)


def _untaken_in(
    unit: str, body: list[ast.stmt], way: tuple[tuple[Key, bool], ...], watch: Watch, taken: set[Key]
) -> Iterator[Branch]:
    for i, node in enumerate(body):
        key = (unit, getattr(node, "key", -1))
        ran = key in watch.counts
        if isinstance(node, ast.While) and ran and (unit, node.body[0].key) not in watch.counts:  # type: ignore[attr-defined]
            yield Branch(unit, tuple(node.body), (*way, (key, True)))
        if not isinstance(node, ast.If):
            for block in blocks(node):
                yield from _untaken_in(unit, block, way, watch, taken)
            continue
        for wanted, block in ((True, node.body), (False, node.orelse)):
            there = (*way, (key, wanted))
            if ran and block and not raises(block) and (unit, block[0].key) not in watch.counts:  # type: ignore[attr-defined]
                yield Branch(unit, tuple(block), there)
            yield from _untaken_in(unit, block, there, watch, taken)
        rest = body[i + 1 :]
        after = (unit, rest[0].key) if rest else key  # type: ignore[attr-defined]
        if ran and (after not in watch.counts or after in taken):
            way = (*way, (key, False))
            if after not in watch.counts:
                yield Branch(unit, tuple(rest), way)


def _add(watch: Watch, trial: Trial) -> set[Key]:
    """What only the trial knows; statements that only it ran."""
    new = {key for key in trial.counts if key not in watch.counts}
    _fill(watch.forms, trial.forms)
    _fill(watch.ranges, trial.ranges)
    _fill(watch.carried, trial.carried)
    _fill(watch.trips, trial.trips)
    _fill(watch.aliases, trial.aliases)
    watch.counts.update(dict.fromkeys(new, 1))
    return new


def _fill(table: dict[Key, Any], more: Mapping[Key, Any]) -> None:
    for key, value in more.items():
        table.setdefault(key, value)


def observe(program: Program, run: Callable[[Callable[..., Any]], Any]) -> tuple[Any, Facts]:
    """Let `run` call the watched main function; give back what `run` gave, and the facts."""
    watch = Watch()
    result = watched_run(program, watch, run)
    tried = explore(program, watch, lambda trial: watched_run(program, trial, run))
    return result, facts_of(watch, tried)
