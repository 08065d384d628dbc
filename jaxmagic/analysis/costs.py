"""What a program costs: XLA's own count for each instruction, loops multiplied out.

The program is the unoptimised HLO: what the user wrote, before XLA fuses and folds. The rules are
XLA's (`prices`), with three differences, all where XLA's figure is of no use: a loop counts its turns,
a LAPACK call counts what textbooks say, and another custom call is unknown (XLA: a turn, −1, −1).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from jaxmagic.analysis.hlo import Instruction, Module
from jaxmagic.analysis.loops import Body, trips
from jaxmagic.analysis.prices import FMA, FREE, GRATIS, UNKNOWN, Cost, Known, price
from jaxmagic.results import Phase, Span

__all__ = ["FMA", "FREE", "UNKNOWN", "Cost", "Costs", "Place", "measure", "refused", "uncounted", "unread"]

Span_: TypeAlias = Span | None
PhaseOf: TypeAlias = Callable[[str, Span_, Phase], Phase]


class Place(NamedTuple):
    """The user's expression (None: not known) and the pass of a gradient that a cost belongs to."""

    span: Span_
    phase: Phase = "forward"


@dataclass(slots=True)
class Costs:
    """The cost of a program, in total and by place.

    Args:
        total: of one call; unknown where a loop of unknown length costs anything.
        certain: of one call, without what loops of unknown length do.
        by_place: the total's parts; both branches of a condition are among them.
        a_turn: by place, one turn of each loop of unknown length.
        unknown: the targets of custom calls whose cost is not known.
        textbook: the targets of custom calls whose cost is a textbook's.
        endless: where loops of unknown length are.
        branches: where conditions are, and what each branch costs.
        refused: why JAX made no program of it that could be read; "" where it did.
    """

    total: Cost = FREE
    certain: Cost = FREE
    by_place: dict[Place, Cost] = field(default_factory=dict)
    a_turn: dict[Place, Cost] = field(default_factory=dict)
    unknown: dict[str, Span_] = field(default_factory=dict)
    textbook: dict[str, Span_] = field(default_factory=dict)
    endless: dict[Span_, None] = field(default_factory=dict)
    branches: dict[Span_, tuple[Cost, ...]] = field(default_factory=dict)
    refused: str = ""

    @property
    def by_span(self) -> dict[Span_, Cost]:
        """The total's parts by the user's expression."""
        spans: dict[Span_, Cost] = {}
        for place, cost in self.by_place.items():
            spans[place.span] = spans.get(place.span, FREE) + cost
        return spans

    def add(self, place: Place, costs: Sequence[Cost]) -> None:
        """Count costs at a place."""
        cost = _added(costs)
        _count(self.by_place, place, cost)
        self.total += cost
        self.certain += cost

    def include(self, inner: Costs, turns: int | None = 1) -> None:
        """Count a called computation's costs, so often."""
        self.include_places(inner, turns)
        self.total += inner.total.times(turns)
        self.certain += inner.certain.times(turns or 0)

    def include_places(self, inner: Costs, turns: int | None = 1) -> None:
        """Count a called computation's costs by place, and not in all."""
        for place, cost in inner.by_place.items():
            _count(self.by_place, place, cost.times(turns))
            if turns is None and place not in inner.a_turn:
                _count(self.a_turn, place, cost)
        for place, cost in inner.a_turn.items():
            _count(self.a_turn, place, cost)


def _count(costs: dict[Place, Cost], place: Place, cost: Cost) -> None:
    costs[place] = costs.get(place, FREE) + cost


def unread(why: str) -> Costs:
    """The costs of a program that was not read, and what stood in the way."""
    return Costs(total=UNKNOWN, certain=UNKNOWN, unknown={why: None})


def uncounted() -> Costs:
    """The costs of a program that nobody has counted yet."""
    return Costs(total=UNKNOWN, certain=UNKNOWN)


def refused(why: str) -> Costs:
    """The costs of a program that JAX does not lower, and JAX's reason."""
    return Costs(total=UNKNOWN, certain=UNKNOWN, refused=why)


def measure(
    module: Module,
    span_of: Callable[[int, str], Span_],
    users: Iterable[str],
    phase_of: PhaseOf = lambda _, __, ___: "forward",
) -> Costs:
    """The cost of a module.

    Args:
        module: the unoptimised program.
        span_of: from the id of a stack frame, and an operation's name, to the user's expression.
        users: the names of the user's own jitted functions. All others are a library's, and their
            cost belongs to the line that calls them.
        phase_of: from an operation's name, its place and its caller's phase to its own.
    """
    meter = _Meter(module, span_of, frozenset(users), phase_of)
    costs = meter.computation(module.entry, Place(None), inherits=False)
    costs.unknown, costs.textbook = meter.unknown, meter.textbook
    costs.endless, costs.branches = meter.endless, meter.branches
    return costs


def _added(costs: Sequence[Cost]) -> Cost:
    return Cost(
        _all_or_none([cost.flops for cost in costs]),
        _all_or_none([cost.bytes for cost in costs]),
        _all_or_none([cost.transcendentals for cost in costs]),
    )


def _all_or_none(parts: Sequence[Known]) -> Known:
    return None if None in parts else sum(part for part in parts if part is not None)


class _Meter:
    """Reads one module; what a computation costs is remembered per place that it inherits."""

    def __init__(
        self, module: Module, span_of: Callable[[int, str], Span_], users: frozenset[str], phase_of: PhaseOf
    ) -> None:
        self.module = module
        self.span_of = span_of
        self.users = users
        self.phase_of = phase_of
        self.memo: dict[tuple[str, Place, bool], Costs] = {}
        self.combiners: dict[str, Cost] = {}
        self.unknown: dict[str, Span_] = {}
        self.textbook: dict[str, Span_] = {}
        self.endless: dict[Span_, None] = {}
        self.branches: dict[Span_, tuple[Cost, ...]] = {}

    def computation(self, name: str, outer: Place, *, inherits: bool) -> Costs:
        """The cost of a computation, called from `outer`; all of it is put there if it `inherits`."""
        key = (name, outer, inherits)
        if key not in self.memo:
            self.memo[key] = self._computation(name, outer, inherits=inherits)
        return self.memo[key]

    def _computation(self, name: str, outer: Place, *, inherits: bool) -> Costs:
        costs = Costs()
        body = self.module.computations[name]
        spent: dict[Place, list[Cost]] = {}
        wanted: dict[str, Place] = {}  # by whom a value without a place of its own is used
        for one in reversed(body.values()):
            place = self._place(one, outer, wanted, inherits=inherits)
            for operand in one.operands:
                wanted.setdefault(operand, place)
            if one.opcode in _CALLS:
                _CALLS[one.opcode](self, one, body, place, costs, inherits=inherits)
            else:
                cost = self.instruction(one, body, place.span)
                if cost is not FREE:
                    spent.setdefault(place, []).append(cost)
        for place, parts in spent.items():
            costs.add(place, parts)
        return costs

    def _place(self, one: Instruction, outer: Place, wanted: Mapping[str, Place], *, inherits: bool) -> Place:
        """Where an instruction's cost belongs: its own place, its user's, or its computation's."""
        if inherits:
            return outer
        if not one.frame:
            return wanted.get(one.name, outer)
        span = self.span_of(one.frame, one.scope) or outer.span
        return Place(span, self.phase_of(one.scope, span, outer.phase))

    def instruction(self, one: Instruction, body: Body, span: Span_) -> Cost:
        """The cost of an instruction that calls no computation."""
        if one.opcode in GRATIS:
            return FREE
        return price(self, one, [body[name].type for name in one.operands if name in body], span)

    def combiner(self, name: str) -> Cost:
        """One application of a function of two elements; its values never leave the registers."""
        if name not in self.combiners:
            total = self.computation(name, Place(None), inherits=True).total
            self.combiners[name] = Cost(total.flops, 0.0, total.transcendentals)
        return self.combiners[name]

    def call(self, name: str, one: Instruction, place: Place, *, inherits: bool) -> Costs:
        """A called computation: a library function's cost belongs to its caller."""
        function = _JITTED.findall(one.scope.rpartition("/")[2])
        library = bool(function) and function[-1] not in self.users
        return self.computation(name, place, inherits=inherits or library)


_JITTED = re.compile(r"jit\(([^()]*)\)")


# -- instructions that call computations -----------------------------------------------------------


def _call(meter: _Meter, one: Instruction, _: Body, place: Place, costs: Costs, *, inherits: bool) -> None:
    costs.include(meter.call(one.attribute("to_apply"), one, place, inherits=inherits))


def _while(
    meter: _Meter, one: Instruction, body: Body, place: Place, costs: Costs, *, inherits: bool
) -> None:
    turns = trips(meter.module, one, body)
    if turns is None:
        meter.endless[place.span] = None
    for part in ("condition", "body"):
        costs.include(meter.call(one.attribute(part), one, place, inherits=inherits), turns)


def _conditional(
    meter: _Meter, one: Instruction, _: Body, place: Place, costs: Costs, *, inherits: bool
) -> None:
    branches = [meter.call(name, one, place, inherits=inherits) for name in _branches(one)]
    for inner in branches:
        costs.include_places(inner)
    costs.total += functools.reduce(Cost.larger, (inner.total for inner in branches), FREE)
    costs.certain += functools.reduce(Cost.larger, (inner.certain for inner in branches), FREE)
    if place.phase == "forward":
        meter.branches.setdefault(place.span, tuple(inner.total for inner in branches))


def _branches(one: Instruction) -> list[str]:
    listed = one.attribute("branch_computations").strip("{}")
    if listed:
        return [name.strip().lstrip("%") for name in listed.split(",")]
    return [one.attribute("true_computation"), one.attribute("false_computation")]


_CALLS = {"call": _call, "while": _while, "conditional": _conditional}
