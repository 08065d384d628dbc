"""What the memory of a compiled program is used for: by which expression, from when to when."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from jaxmagic.analysis import buffers, compiled
from jaxmagic.analysis.buffers import Allocation, Assignment, Life, Lives
from jaxmagic.analysis.compiled import Compiled, members, phase
from jaxmagic.analysis.hlo import Array, Instruction
from jaxmagic.results import Buffer, Memory, Phase, Span

_TUPLE, _VIEWS = "tuple", frozenset({"bitcast", "copy", "reshape", "transpose", "broadcast", "convert"})
_SHORT = {"pred": "bool", **{f"s{bits}": f"i{bits}" for bits in (2, 4, 8, 16, 32, 64)}}


def fill(
    memory: Memory, program: Compiled, assigned: Assignment, inputs: Sequence[str], outputs: Sequence[str]
) -> Memory:
    """The memory with what it is used for.

    Args:
        memory: its totals.
        program: the compiled program.
        assigned: where XLA put its values.
        inputs: the names of the program's inputs, in order.
        outputs: the names of its outputs, in order.
    """
    filler = _Filler(program, assigned, inputs, outputs)
    found = tuple(sorted(filler.buffers(), key=lambda buffer: (buffer.begin, -buffer.bytes)))
    constants = sum(block.bytes for block in assigned.allocations if block.kind == "constant")
    fixed = memory.arguments + memory.outputs - memory.aliased + constants
    steps = len(filler.lives.steps)
    return replace(
        memory,
        peak=fixed + memory.temporaries,
        constants=constants,
        buffers=found,
        course=tuple(fixed + used for used in _course(found, steps)),
    )


def _course(found: Sequence[Buffer], steps: int) -> Iterator[int]:
    """The bytes of the temporaries in use at each step."""
    change = [0] * (steps + 1)
    for buffer in found:
        if buffer.kind == "temporary" and not buffer.guest:
            change[buffer.begin] += buffer.bytes
            change[buffer.end + 1] -= buffer.bytes
    return accumulate(change[:-1])


@dataclass(frozen=True, slots=True)
class _Group:
    """Values that stand for one another, in one place of one allocation.

    Args:
        block: the allocation.
        keys: the values.
        lives: of each value.
        start, stop: the bytes of the allocation that it takes.
        begin, end: the steps between which it is needed.
    """

    block: Allocation
    keys: frozenset[int]
    lives: tuple[Life, ...]
    start: int
    stop: int
    begin: int
    end: int

    def overlaps(self, other: _Group) -> bool:
        """Whether the two take the same bytes."""
        same = self.block is other.block and self is not other
        return same and self.start < other.stop and other.start < self.stop


class _Filler:
    """Makes the buffers of one program."""

    def __init__(
        self, program: Compiled, assigned: Assignment, inputs: Sequence[str], outputs: Sequence[str]
    ) -> None:
        self.program = program
        self.assigned = assigned
        self.inputs = inputs
        self.outputs = outputs
        self.lives: Lives = buffers.lives(program.module, assigned.places)
        self.returned = {
            key: index[0] if index else 0 for index, keys in self.lives.returned.items() for key in keys
        }
        self.origins = Origins(program)
        everything = (one for body in program.module.computations.values() for one in body.values())
        self.two_passes = any(phase(one.scope) != "forward" for one in everything)

    def buffers(self) -> Iterator[Buffer]:
        """A buffer for each group of values."""
        groups = list(self._groups())
        starting: dict[int, list[_Group]] = {}
        for group in groups:
            starting.setdefault(group.begin, []).append(group)
        for group in groups:
            heirs = starting.get(group.end, [])
            handed_over = group.begin < group.end and any(group.overlaps(heir) for heir in heirs)
            yield self._buffer(group, group.end - handed_over)

    def _groups(self) -> Iterator[_Group]:
        block_of = {key: block for block in self.assigned.allocations for key in block.offsets}
        for keys in self.assigned.same:
            placed = [key for key in sorted(keys) if key in block_of and key in self.lives.of]
            if placed:
                yield self._group(block_of[placed[0]], keys, placed)

    def _group(self, block: Allocation, keys: frozenset[int], placed: Sequence[int]) -> _Group:
        lives = tuple(self.lives.of[key] for key in placed)
        start = block.offsets[placed[0]]
        return _Group(
            block=block,
            keys=keys,
            lives=lives,
            start=start,
            stop=start + max(self.assigned.sizes[key] for key in keys),
            begin=min(life.first for life in lives),
            end=max(life.last for life in lives),
        )

    def _buffer(self, group: _Group, end: int) -> Buffer:
        guest = group.block.kind == "output" and not any(key in self.returned for key in group.keys)
        kind = "temporary" if guest else group.block.kind
        whole = kind != "temporary"
        return Buffer(
            kind=kind,
            type=self._type(group.keys),
            bytes=group.stop - group.start,
            name=self._name(group),
            span=self._span(group),
            last=self._last(max(group.lives, key=lambda life: life.last)),
            begin=0 if whole else group.begin,
            end=len(self.lives.steps) - 1 if whole else end,
            kept=self._kept(group) if self.two_passes else None,
            guest=guest,
        )

    def _name(self, group: _Group) -> str:
        number = group.block.argument
        if number is not None:
            return self.inputs[number] if number < len(self.inputs) else ""
        numbers = [self.returned[key] for key in group.keys if key in self.returned]
        return self.outputs[numbers[0]] if numbers and numbers[0] < len(self.outputs) else ""

    def _type(self, keys: frozenset[int]) -> str:
        found = (self._array(key) for key in sorted(keys, key=lambda key: -self.assigned.sizes[key]))
        array = next((array for array in found if array is not None), None)
        if array is None:
            return ""
        return f"{_SHORT.get(array.element, array.element)}[{','.join(map(str, array.shape))}]"

    def _array(self, key: int) -> Array | None:
        """The type of a value; None for a list of addresses."""
        place = self.assigned.places[key]
        one = self.origins.instructions.get(place.instruction)
        if one is None or len(place.index) > 1:
            return None
        if not place.index:
            return None if one.type.is_tuple else one.type.first
        arrays = one.type.arrays
        return arrays[place.index[0]] if place.index[0] < len(arrays) else None

    def _span(self, group: _Group) -> Span | None:
        makers = [maker for life in group.lives for maker in life.makers]
        makers.sort(key=_is_plain)
        return next((span for span in map(self.origins.of, makers) if span is not None), None)

    def _last(self, life: Life) -> Span | None:
        found = (self.origins.of(reader) for reader in reversed(life.readers))
        return next((span for span in found if span is not None), None)

    def _kept(self, group: _Group) -> bool:
        """Whether the forward pass alone makes a value that the backward pass reads."""
        makers = [maker for life in group.lives for maker in life.makers if not _is_plain(maker)]
        made = {self._phase(maker) for maker in makers} - {None}
        read = {self._phase(reader) for life in group.lives for reader in life.readers}
        return group.block.kind != "constant" and made == {"forward"} and "backward" in read

    def _phase(self, one: Instruction) -> Phase | None:
        """When an instruction runs, if it says so: a fusion with a part of the backward pass runs in it."""
        scopes = [one.scope, *(member.scope for member in members(self.program.module, one))]
        phases = {phase(scope) for scope in scopes if "(" in scope}
        if not phases:
            return None
        return "forward" if phases == {"forward"} else "backward"


def _is_plain(one: Instruction) -> bool:
    """Whether an instruction only names, carries or first fills what another one makes."""
    return one.opcode in compiled.IDLE or one.opcode in ("while", "copy", "broadcast", "iota")


class Origins:
    """The user's expression behind each instruction, through those that carry no place of their own."""

    def __init__(self, program: Compiled) -> None:
        self.program = program
        self.instructions = {
            name: one for body in program.module.computations.values() for name, one in body.items()
        }
        self._homes = {name: body for body in program.module.computations.values() for name in body}
        self._loops = self._bodies()

    def of(self, one: Instruction) -> Span | None:
        """The expression that made the value of an instruction."""
        return self._of(one, frozenset())

    def _of(self, one: Instruction | None, seen: frozenset[str]) -> Span | None:
        if one is None or one.name in seen:
            return None
        seen |= {one.name}
        stored = self._stored(one)
        if stored is not None:
            span = self._of(stored, seen)
            if span is not None:
                return span
        own = self.program.span(one) or self._within(one)
        return own or self._of(self._handed(one), seen)

    def _within(self, one: Instruction) -> Span | None:
        """The place of the outermost member of a fusion that has one."""
        parts = reversed(members(self.program.module, one)) if one.opcode == "fusion" else ()
        return next((span for span in map(self.program.span, parts) if span is not None), None)

    def _handed(self, one: Instruction) -> Instruction | None:
        """What an instruction without a place hands on: its operand, or what a loop carries to it."""
        if one.opcode == "get-tuple-element":
            return self._carried(one)
        if one.opcode in _VIEWS or (one.opcode == "fusion" and len(one.operands) == 1):
            return self._homes[one.name].get(one.operands[0]) if one.operands else None
        return None

    def _carried(self, one: Instruction) -> Instruction | None:
        """What stands at this place of a tuple: of a loop's, what a turn leaves there."""
        source, part = self.instructions.get(one.operands[0]), int(one.attribute("index"))
        if source is None:
            return None
        loop = source if source.opcode == "while" else self._loops.get(self._home_of(source))
        body = loop.attribute("body") if loop is not None else ""
        if body in self.program.module.computations:
            source = self.program.module.root(body)
        operands = source.operands if source.opcode == _TUPLE else ()
        return self.instructions.get(operands[part]) if part < len(operands) else None

    def _home_of(self, one: Instruction) -> int:
        return id(self._homes[one.name])

    def _bodies(self) -> dict[int, Instruction]:
        """Each loop by the identity of its body."""
        loops = (one for one in self.instructions.values() if one.opcode == "while")
        bodies = self.program.module.computations
        return {
            id(bodies[loop.attribute("body")]): loop for loop in loops if loop.attribute("body") in bodies
        }

    def _stored(self, one: Instruction) -> Instruction | None:
        """What an update of a slice stores, as a loop stacks its results: that is what the buffer holds."""
        if one.opcode == "dynamic-update-slice":
            return self._homes[one.name].get(one.operands[1])
        if one.opcode != "fusion" or one.attribute("calls") not in self.program.module.computations:
            return None
        inside = self.program.module.root(one.attribute("calls"))
        body = self._homes[inside.name]
        while inside.opcode == "bitcast":
            inside = body[inside.operands[0]]
        if inside.opcode != "dynamic-update-slice":
            return None
        value = body[inside.operands[1]]
        while value.opcode in _VIEWS and not self.program.span(value):
            value = body[value.operands[0]]
        if value.opcode == "parameter":
            return self._homes[one.name].get(one.operands[int(value.operands[0])])
        return value
