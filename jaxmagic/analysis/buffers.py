"""Where XLA put each value of a compiled program, and from when to when it is needed.

The assignment is XLA's own (BufferAssignmentProto in xla/service/hlo.proto): which value stands in
which allocation, at which offset. It does not say when; that is read off the module, whose text is in
the order in which it runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from jaxmagic.analysis import wire
from jaxmagic.analysis.compiled import callees
from jaxmagic.analysis.hlo import Instruction, Module
from jaxmagic.analysis.wire import Field

Index: TypeAlias = tuple[int, ...]
Kind: TypeAlias = Literal["argument", "output", "constant", "temporary"]

# -- the assignment --------------------------------------------------------------------------------

# The numbers of the fields in hlo.proto.
_MODULE_COMPUTATIONS, _COMPUTATION_INSTRUCTIONS, _INSTRUCTION_NAME, _INSTRUCTION_ID = 3, 2, 1, 35
_VALUES, _ALIASES, _ALLOCATIONS = 1, 2, 3
_VALUE_ID, _VALUE_SIZE, _VALUE_PLACE = 1, 2, 3
_PLACE_INDEX, _PLACE_INSTRUCTION = 3, 4
_ALIAS_VALUE, _ALIAS_PLACE = 1, 2
_ALLOCATION_SIZE, _THREAD_LOCAL, _IS_ARGUMENT, _ARGUMENT_NUMBER = 2, 3, 5, 6
_LIVE_OUT, _ASSIGNED, _IS_CONSTANT = 7, 9, 12
_ASSIGNED_VALUE, _ASSIGNED_OFFSET = 1, 2


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value is made: an instruction, and the index in its shape."""

    instruction: str
    index: Index


@dataclass(frozen=True, slots=True)
class Allocation:
    """A block of memory.

    Args:
        kind: what it is for.
        bytes: its size.
        argument: which parameter of the program it holds; None when it holds none.
        offsets: of each value in it, by the value's number.
    """

    kind: Kind
    bytes: int
    argument: int | None
    offsets: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Assignment:
    """XLA's assignment of values to memory; what only a thread sees is left out.

    Args:
        places: where each value is made.
        sizes: in bytes.
        same: groups of values that stand for one another, as a loop's do before and after a turn.
        allocations: the blocks.
    """

    places: Mapping[int, Place]
    sizes: Mapping[int, int]
    same: Sequence[frozenset[int]]
    allocations: Sequence[Allocation]


def read(assignment: bytes, module: bytes) -> Assignment:
    """XLA's assignment from its two serialized messages.

    Raises:
        ValueError, LookupError, TypeError: when they are not what this XLA is known to write.
    """
    names = _names(module)
    places, sizes, allocations = {}, {}, []
    aliases: list[tuple[int, Place]] = []
    for number, value in wire.fields(assignment):
        parts = _parts(value)
        if number == _VALUES:
            key = _number(parts, _VALUE_ID)
            places[key] = _place(parts[_VALUE_PLACE][0], names)
            sizes[key] = _number(parts, _VALUE_SIZE)
        elif number == _ALIASES:
            aliases.append((_number(parts, _ALIAS_VALUE), _place(parts[_ALIAS_PLACE][0], names)))
        elif number == _ALLOCATIONS and not _number(parts, _THREAD_LOCAL):
            allocations.append(_allocation(parts))
    return Assignment(places, sizes, _groups(places, aliases), allocations)


Parts: TypeAlias = dict[int, list[Field]]


def _parts(message: Field) -> Parts:
    parts: Parts = {}
    for number, value in wire.fields(_bytes(message)):
        parts.setdefault(number, []).append(value)
    return parts


def _bytes(value: Field) -> bytes:
    if isinstance(value, int):
        raise TypeError("a number where a message belongs")
    return value


def _number(parts: Parts, number: int) -> int:
    """A field's number; what is 0 is not written."""
    value = parts.get(number, [0])[0]
    if isinstance(value, bytes):
        raise TypeError("bytes where a number belongs")
    return value


def _names(module: bytes) -> dict[int, str]:
    """The names of all instructions by their numbers."""
    names = {}
    for number, computation in wire.fields(module):
        if number == _MODULE_COMPUTATIONS:
            for part, instruction in wire.fields(_bytes(computation)):
                if part == _COMPUTATION_INSTRUCTIONS:
                    told = dict(wire.fields(_bytes(instruction)))
                    name = _bytes(told[_INSTRUCTION_NAME]).decode()
                    names[int(told[_INSTRUCTION_ID])] = name
    return names


def _place(message: Field, names: Mapping[int, str]) -> Place:
    parts = _parts(message)
    index = tuple(i for packed in parts.get(_PLACE_INDEX, []) for i in wire.numbers(packed))
    return Place(names[_number(parts, _PLACE_INSTRUCTION)], index)


def _allocation(parts: Parts) -> Allocation:
    assigned = [_parts(one) for one in parts.get(_ASSIGNED, [])]
    is_argument = bool(_number(parts, _IS_ARGUMENT))
    return Allocation(
        kind=_kind(parts),
        bytes=_number(parts, _ALLOCATION_SIZE),
        argument=_number(parts, _ARGUMENT_NUMBER) if is_argument else None,
        offsets={_number(one, _ASSIGNED_VALUE): _number(one, _ASSIGNED_OFFSET) for one in assigned},
    )


def _kind(parts: Parts) -> Kind:
    kinds: tuple[tuple[int, Kind], ...] = (
        (_IS_ARGUMENT, "argument"),
        (_IS_CONSTANT, "constant"),
        (_LIVE_OUT, "output"),
    )
    return next((kind for number, kind in kinds if _number(parts, number)), "temporary")


def _groups(places: Mapping[int, Place], aliases: Sequence[tuple[int, Place]]) -> list[frozenset[int]]:
    numbers = {place: key for key, place in places.items()}
    groups = {key: {key} for key in places}
    for key, place in aliases:
        ours, other = groups[key], groups[numbers[place]]
        if other is not ours:
            ours |= other
            groups.update(dict.fromkeys(other, ours))
    return [frozenset(group) for group in {id(group): group for group in groups.values()}.values()]


# -- when ------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Life:
    """From when to when a value is needed, in steps of the program, both ends included.

    Args:
        first: the step that makes it; -1 for what is there before.
        last: the last step that needs it.
        makers, readers: the instructions that make and read it.
    """

    first: int
    last: int
    makers: list[Instruction] = field(default_factory=list)
    readers: list[Instruction] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Lives:
    """The lives of all values by their numbers, the instruction at each step, and what is returned."""

    of: Mapping[int, Life]
    steps: Sequence[Instruction]
    returned: Mapping[Index, frozenset[int]]


Flow: TypeAlias = dict[Index, frozenset[int]]

# They hand values on without reading them.
_HANDS_ON = frozenset({"bitcast", "opt-barrier", "add-dependency", "domain", "copy-done", "async-done"})
_NAMES = _HANDS_ON | {"tuple", "get-tuple-element", "parameter"}


def lives(module: Module, places: Mapping[int, Place]) -> Lives:
    """When each value is made and last needed; a loop's body stands once, before its loop."""
    tour = _Tour(module, places)
    returned = tour.visit(module.entry, [])
    end = len(tour.steps) - 1
    for key in _all(returned):
        tour.lives[key].last = end
    return Lives(tour.lives, tour.steps, returned)


def _all(flow: Flow) -> set[int]:
    return {key for keys in flow.values() for key in keys}


class _Tour:
    """One run through a module in its order."""

    def __init__(self, module: Module, places: Mapping[int, Place]) -> None:
        self.module = module
        self.made: dict[str, dict[Index, int]] = {}
        for key, place in places.items():
            self.made.setdefault(place.instruction, {})[place.index] = key
        self.lives: dict[int, Life] = {}
        self.steps: list[Instruction] = []

    def visit(self, computation: str, given: Sequence[Flow]) -> Flow:
        """Run through a computation that is given these values; what it returns."""
        flows: dict[str, Flow] = {}
        returned: Flow = {}
        for one in self.module.computations[computation].values():
            operands = [flows.get(name, {}) for name in one.operands]
            flow = self._flow(one, operands, given)
            self._step(one, operands)
            flows[one.name] = flow
            returned = flow if one.root or not returned else returned
        return returned

    def _flow(self, one: Instruction, operands: list[Flow], given: Sequence[Flow]) -> Flow:
        """The values that an instruction's own value is made of."""
        flow = self._handed_on(one, operands, given)
        made = self.made.get(one.name, {})
        return flow | {index: frozenset((key,)) for index, key in made.items()}

    def _handed_on(self, one: Instruction, operands: list[Flow], given: Sequence[Flow]) -> Flow:
        if one.opcode == "parameter":
            number = int(one.operands[0])
            return dict(given[number]) if number < len(given) else {}
        if one.opcode in ("while", "conditional", "call"):
            return self._called(one, operands)
        if one.opcode == "tuple":
            return {(i, *index): keys for i, flow in enumerate(operands) for index, keys in flow.items()}
        if one.opcode == "get-tuple-element":
            part = int(one.attribute("index"))
            return {index[1:]: keys for index, keys in operands[0].items() if index[:1] == (part,)}
        return dict(operands[0]) if one.opcode in _HANDS_ON and operands else {}

    def _called(self, one: Instruction, operands: list[Flow]) -> Flow:
        names = callees(one)
        if one.opcode == "while":
            for name in names:
                self.visit(name, operands)
            return dict(operands[0])
        if one.opcode == "call":
            return self.visit(names[0], operands)
        found: Flow = {}
        for name, operand in zip(names, operands[1:], strict=False):
            for index, keys in self.visit(name, [operand]).items():
                found[index] = found.get(index, frozenset()) | keys
        return found

    def _step(self, one: Instruction, operands: Sequence[Flow]) -> None:
        step = len(self.steps)
        self.steps.append(one)
        for key in self.made.get(one.name, {}).values():
            life = self.lives.setdefault(key, Life(step, step))
            life.last = max(life.last, step)
            life.makers.append(one)
        if one.opcode in _NAMES:
            return
        for key in set().union(*map(_all, operands)):
            life = self.lives[key]
            life.last = max(life.last, step)
            if one.opcode not in ("while", "call", "conditional"):
                life.readers.append(one)
