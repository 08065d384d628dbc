"""Which equations of a program make the same value, which need no input, and which nothing needs.

Read off the jaxpr, where all the user wrote still stands: JAX drops and folds some of it before XLA
sees it. Jitted functions are looked into; a loop or a condition is one operation, whose inside starts
from values of its own.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jaxmagic.analysis.program import Step, Walked, opened

# A program of more equations than this, written out, is not looked at.
MOST = 200_000
_INLINED = frozenset({
    "jit", "pjit", "closed_call", "core_call", "custom_jvp_call", "custom_vjp_call",
    "custom_vjp_call_jaxpr", "checkpoint", "remat", "remat2",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Values:
    """What is known of each equation, by its place among the steps of the walk.

    Args:
        numbers: the values that it makes: what has one number is equal. One set for each of its
            outputs, since a shared program makes one for each of its uses.
        fixed: whether all of them are the same for all inputs.
        live: whether an output, or an effect, depends on it.
    """

    numbers: Sequence[tuple[frozenset[int], ...]]
    fixed: Sequence[bool]
    live: Sequence[bool]


def values(walked: Walked, top: Any) -> Values | None:
    """The values of a walked program; None where it is empty, or too large to say.

    Args:
        walked: the walk.
        top: the whole program.
    """
    if not walked.steps or walked.visits > MOST or len(walked.steps) > MOST:
        return None
    index = _Index(walked)
    numbering, needs = _Numbering(index), _Needs(index)
    try:
        start = index.top(top)
        numbering.start(start)
        needs.need(start, (True,) * len(index.programs[start].outvars))
    except _TooMany:
        return None
    made = numbering.made
    return Values(
        numbers=[tuple(map(frozenset, made.get(i, ()))) for i in range(len(walked.steps))],
        fixed=[
            i in made and all(key in numbering.fixed for keys in made[i] for key in keys)
            for i in range(len(walked.steps))
        ],
        live=[i in needs.live for i in range(len(walked.steps))],
    )


class _TooMany(Exception):
    """More uses of shared programs than are worth following."""


class _Index:
    """The steps of each program, and the programs by their keys."""

    def __init__(self, walked: Walked) -> None:
        self.steps: dict[Hashable, list[tuple[int, Step]]] = {}
        for i, step in enumerate(walked.steps):
            self.steps.setdefault(step.program, []).append((i, step))
        self._by_id = {id(program): program for program in walked.programs}
        keys = [*self.steps, *(key for step in walked.steps for key, _ in step.inner)]
        self.programs = {key: self._by_id[key[0]] for key in keys}  # type: ignore[index]  # (id, context)

    def top(self, program: Any) -> Hashable:
        """The key of the whole program."""
        wanted = id(opened(program))
        return next(key for key in self.programs if key[0] == wanted)  # type: ignore[index]  # (id, context)

    def inlined(self, step: Step) -> Hashable | None:
        """The program that an equation runs once with its operands, as a jitted function does."""
        if step.equation.primitive.name not in _INLINED or len(step.inner) != 1:
            return None
        key = step.inner[0][0]
        program = self.programs[key]
        fits = len(program.invars) == len(step.equation.invars)
        return key if fits and len(program.outvars) == len(step.equation.outvars) else None


# -- equal values ----------------------------------------------------------------------------------


class _Numbering:
    """Numbers for values, equal for equal ones."""

    def __init__(self, index: _Index) -> None:
        self.index = index
        self.made: dict[int, list[set[int]]] = {}
        self.fixed: set[int] = set()
        self._numbers: dict[Hashable, int] = {}
        self._returned: dict[Hashable, tuple[int, ...]] = {}
        self._visits = 0

    def start(self, top: Hashable) -> None:
        inputs = range(len(self.index.programs[top].invars))
        self.program(top, tuple(self._number(("input", i), fixed=False) for i in inputs))

    def program(self, key: Hashable, given: tuple[int, ...]) -> tuple[int, ...]:
        """The numbers of what a program returns for inputs of these numbers."""
        if (key, given) not in self._returned:
            self._returned[key, given] = self._run(key, given)
        return self._returned[key, given]

    def _run(self, key: Hashable, given: tuple[int, ...]) -> tuple[int, ...]:
        self._visits += len(self.index.steps.get(key, ()))
        if self._visits > MOST:
            raise _TooMany
        program = self.index.programs[key]
        known = {id(variable): number for variable, number in zip(program.invars, given, strict=True)}
        for variable in program.constvars:
            known[id(variable)] = self._number(("constant", id(variable)), fixed=True)
        for i, step in self.index.steps.get(key, ()):
            operands = tuple(self._atom(atom, known) for atom in step.equation.invars)
            results = self._equation(i, step, operands)
            made = self.made.setdefault(i, [set() for _ in results])
            for variable, number, numbers in zip(step.equation.outvars, results, made, strict=True):
                known[id(variable)] = number
                numbers.add(number)
        return tuple(self._atom(atom, known) for atom in program.outvars)

    def _atom(self, atom: Any, known: Mapping[int, int]) -> int:
        if not hasattr(atom, "val"):
            return known[id(atom)]
        return self._number(("literal", str(atom.aval), repr(atom.val)), fixed=True)

    def _equation(self, i: int, step: Step, operands: tuple[int, ...]) -> tuple[int, ...]:
        inner = self.index.inlined(step)
        if inner is not None:
            return self.program(inner, operands)
        equation = step.equation
        alone = (i, self._visits) if equation.effects else ()
        what = (equation.primitive.name, _parameters(equation.params), operands, alone)
        fixed = not equation.effects and all(number in self.fixed for number in operands)
        for key, _ in step.inner:
            inputs = range(len(self.index.programs[key].invars))
            self.program(key, tuple(self._number((what, key, k), fixed=fixed) for k in inputs))
        return tuple(self._number((what, k), fixed=fixed) for k in range(len(equation.outvars)))

    def _number(self, what: Hashable, *, fixed: bool) -> int:
        number = self._numbers.setdefault(what, len(self._numbers))
        if fixed:
            self.fixed.add(number)
        return number


def _parameters(params: Mapping[str, Any]) -> Hashable:
    """Parameters to compare by: by value where they can be, by identity otherwise."""
    return tuple((name, type(value), _comparable(value)) for name, value in sorted(params.items()))


def _comparable(value: Any) -> Hashable:
    try:
        hash(value)
    except TypeError:
        return id(value)
    return value  # type: ignore[no-any-return]  # it was hashed just now


# -- what is needed --------------------------------------------------------------------------------


class _Needs:
    """Which equations an output or an effect depends on."""

    def __init__(self, index: _Index) -> None:
        self.index = index
        self.live: set[int] = set()
        self._asked: dict[Hashable, tuple[bool, ...]] = {}

    def need(self, key: Hashable, outputs: tuple[bool, ...]) -> tuple[bool, ...]:
        """Which inputs of a program are needed for these outputs of it."""
        if (key, outputs) not in self._asked:
            self._asked[key, outputs] = self._run(key, outputs)
        return self._asked[key, outputs]

    def _run(self, key: Hashable, outputs: tuple[bool, ...]) -> tuple[bool, ...]:
        program = self.index.programs[key]
        needed = {id(atom) for atom, wanted in zip(program.outvars, outputs, strict=True) if wanted}
        for i, step in reversed(self.index.steps.get(key, ())):
            wanted = tuple(id(variable) in needed for variable in step.equation.outvars)
            if any(wanted) or step.equation.effects:
                self.live.add(i)
                needed |= self._operands(step, wanted)
        return tuple(id(variable) in needed for variable in program.invars)

    def _operands(self, step: Step, wanted: tuple[bool, ...]) -> set[int]:
        inner = self.index.inlined(step)
        atoms = step.equation.invars
        if inner is not None:
            used = self.need(inner, wanted)
            return {id(atom) for atom, is_used in zip(atoms, used, strict=True) if is_used}
        for key, _ in step.inner:
            self.need(key, (True,) * len(self.index.programs[key].outvars))
        return set(map(id, atoms))
