"""The program as XLA compiled it: what runs, in which order, how often, and the source behind it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from jaxmagic.analysis import hlo
from jaxmagic.analysis.hlo import Instruction, Module
from jaxmagic.analysis.program import product
from jaxmagic.results import Phase, Span

SpanOf: TypeAlias = Callable[[int, str], Span | None]

# Instructions that name a value, or hold a computation, and do no work of their own.
IDLE = frozenset({
    "parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "add-dependency",
    "domain", "opt-barrier", "partition-id", "replica-id",
})  # fmt: skip
HOLDERS = frozenset({"while", "conditional", "call"})
_TURNS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')
_CALLED = re.compile(
    r"(?:to_apply|condition|body|true_computation|false_computation)=%?([^\s,}]+)"
    r"|branch_computations=\{([^}]*)\}"
)


@dataclass(frozen=True, slots=True)
class Unit:
    """One instruction that runs: a fusion, a library call, a copy, a sort.

    Args:
        instruction: the instruction itself.
        computation: the computation that it stands in.
        members: the instructions that it is made of; itself, where it is no fusion.
        turns: how often it runs in a call (in a branch: at most); None in a loop of unknown length.
        loops: the `while` instructions around it, outermost first.
    """

    instruction: Instruction
    computation: str
    members: tuple[Instruction, ...]
    turns: int | None
    loops: tuple[Instruction, ...]

    @property
    def working(self) -> tuple[Instruction, ...]:
        """Its members that are more than a name, a constant or a view."""
        return tuple(one for one in self.members if one.opcode not in IDLE)


@dataclass(frozen=True, slots=True)
class Compiled:
    """An optimised module and its way back to the source.

    Args:
        module: the module, in the order in which it runs.
        span_of: from the id of a stack frame, and an operation's name, to the user's expression.
    """

    module: Module
    span_of: SpanOf

    def span(self, one: Instruction) -> Span | None:
        """The user's expression that an instruction came from, where it says so itself."""
        return self.span_of(one.frame, one.scope) if one.frame else None

    def spans(self, unit: Unit) -> tuple[Span, ...]:
        """The user's expressions that a unit covers, each once, in the order of its members."""
        found = (self.span(one) for one in (*unit.members, unit.instruction))
        return tuple(dict.fromkeys(span for span in found if span is not None))

    def units(self) -> Iterator[Unit]:
        """All that runs, in the order in which it runs; a loop's body once, with its turns."""
        yield from self._units(self.module.entry, 1, ())

    def _units(self, name: str, turns: int | None, loops: tuple[Instruction, ...]) -> Iterator[Unit]:
        for one in self.module.computations[name].values():
            if one.opcode in HOLDERS:
                inside = one.opcode == "while"
                many = product(turns, trip_count(one)) if inside else turns
                for called in callees(one):
                    yield from self._units(called, many, (*loops, one) if inside else loops)
            elif one.opcode not in IDLE:
                yield Unit(one, name, members(self.module, one), turns, loops)


def members(module: Module, one: Instruction) -> tuple[Instruction, ...]:
    """The instructions of a fusion, those of fusions inside it included; else the instruction itself."""
    if one.opcode != "fusion":
        return (one,)
    inner = module.computations.get(one.attribute("calls"), {}).values()
    return tuple(member for part in inner for member in members(module, part))


def callees(one: Instruction) -> list[str]:
    """The computations that a loop, a condition or a call runs: of a loop, its condition, then its body."""
    found = _CALLED.findall(one.attributes)
    names = [name for single, several in found for name in (single, *several.split(",")) if name.strip()]
    return [name.strip().lstrip("%") for name in names]


def trip_count(loop: Instruction) -> int | None:
    """How often a loop turns, as XLA noted it; None where it did not."""
    found = _TURNS.search(loop.attributes)
    return int(found[1]) if found else None


def phase(scope: str) -> Phase:
    """The pass of a gradient that an operation belongs to, by the name that JAX gave it."""
    if "rematted_computation" in scope:
        return "recomputed"
    return "backward" if "transpose(" in scope else "forward"


def read(text: str, span_of: Callable[[Module], SpanOf]) -> Compiled:
    """A compiled program from its text, printed with what the backend noted."""
    module = hlo.read(text)
    return Compiled(module, span_of(module))
