"""Branches that the inputs given did not take: one more NumPy run each, which is made to take it.

Only what is known of nothing else is learned from such a run: what the expressions of the branch are.
The run's values mean nothing. Where it does not get through the branch nothing is learned.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxmagic.port.collect import Program
from jaxmagic.port.flow import raises
from jaxmagic.port.observe import Facts, Key, Watch, facts_of, watched_run

# How many branches are tried, and how many statements a run may have for that.
TRIALS, LONGEST = 12, 200_000


@dataclass(frozen=True, slots=True)
class Branch:
    """A condition, how it never came out, and what would have run then."""

    key: Key
    wanted: bool
    body: tuple[ast.stmt, ...]


class TooLongError(Exception):
    """A run that was made to take a branch does not end where the true one did."""


@dataclass(slots=True)
class Trial(Watch):
    """A watch that makes one condition come out as wanted, the first time that it is met."""

    target: Key = ()
    wanted: bool = True
    left: int = 0
    last: Key = ()

    def test(self, key: Key, value: Any) -> Any:
        """The condition of an `if`."""
        if key == self.target:
            self.target = ()
            return self.wanted
        return value

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
        target = next((t for t in _untaken(program, watch) if t not in tried), None)
        if target is None:
            break
        tried.add(target)
        trial = Trial(target=target.key, wanted=target.wanted, left=2 * known + 1000)
        if _gets_through(target, trial, run):
            taken |= _add(watch, trial)
    return frozenset(taken)


def _gets_through(branch: Branch, trial: Trial, run: Callable[[Watch], Any]) -> bool:
    """Make a run take a branch; whether it ended, or raised only when the branch was behind it."""
    try:
        with np.errstate(all="ignore"):
            run(trial)
    except Exception:  # noqa: BLE001 the user's code may raise anything where it was not meant to go
        inside = {(branch.key[0], getattr(n, "key", -1)) for s in branch.body for n in ast.walk(s)}
        last = (branch.key[0], branch.body[-1].key)  # type: ignore[attr-defined]
        return last in trial.counts and trial.last not in inside and trial.last[0] == branch.key[0]
    return True


def _untaken(program: Program, watch: Watch) -> Iterator[Branch]:
    """Conditions that were met, and how they never came out."""
    for unit in program.units:
        for node in ast.walk(unit.node):
            if isinstance(node, ast.If) and watch.counts.get((unit.name, node.key)):  # type: ignore[attr-defined]
                for wanted, body in ((True, node.body), (False, node.orelse)):
                    if body and not raises(body) and not watch.counts.get((unit.name, body[0].key)):  # type: ignore[attr-defined]
                        yield Branch((unit.name, node.key), wanted, tuple(body))  # type: ignore[attr-defined]


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
