"""What became of the user's expressions under XLA, where that is certain.

An expression is said to be gone only when two witnesses agree: the jaxpr, which says that its value is
not needed, the same for all inputs, or equal to another one; and the compiled program, in which no
instruction carries its place, and none without a place could be it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from jaxmagic.analysis.compiled import IDLE, Compiled, Unit
from jaxmagic.analysis.hlo import Instruction
from jaxmagic.analysis.program import Step
from jaxmagic.analysis.values import Values
from jaxmagic.results import Fate, Span

# Primitives that only move elements about: too cheap to speak of.
_CHEAP = frozenset({
    "broadcast_in_dim", "reshape", "transpose", "squeeze", "expand_dims", "convert_element_type", "copy",
    "copy_p", "iota", "slice", "jit", "pjit", "stop_gradient", "rev", "concatenate", "pad",
})  # fmt: skip
# Instructions that are cheap to repeat, and whose repetition says nothing.
_PLAIN = IDLE | frozenset({
    "broadcast", "iota", "convert", "copy", "transpose", "reshape", "slice", "compare", "select", "negate",
    "concatenate", "pad", "dynamic-slice", "dynamic-update-slice", "fusion", "while", "conditional", "call",
    "and", "or", "not",
})  # fmt: skip


def fates(program: Compiled, steps: Sequence[Step], known: Values | None) -> tuple[Fate, ...]:
    """What became of expressions that are not simply in one kernel.

    Args:
        program: the compiled program.
        steps: the equations of its jaxpr.
        known: what is known of their values; None where nothing is.
    """
    found: list[Fate] = []
    if known is not None:
        evidence = _Evidence(program, _expressions(steps, known))
        found += [*_outermost(evidence.removed()), *_outermost(evidence.folded())]
        found += _outermost(evidence.merged())
    found += _outermost(repeated(program))
    return tuple(sorted(found, key=lambda fate: (fate.span.file, fate.span.line, fate.span.column)))


@dataclass(slots=True)
class _Expression:
    """The equations of one expression of the user's.

    Args:
        primitives: their names.
        live: whether any of them is needed.
        fixed: whether all of them are the same for all inputs.
        last: the numbers of the value that the last of them makes.
    """

    primitives: set[str] = field(default_factory=set)
    live: bool = False
    fixed: bool = True
    last: tuple[frozenset[int], ...] = ()


Expressions: TypeAlias = Mapping[Span, _Expression]


def _expressions(steps: Sequence[Step], known: Values) -> Expressions:
    found: dict[Span, _Expression] = {}
    for i, step in enumerate(steps):
        if step.span is not None:
            one = found.setdefault(step.span, _Expression())
            one.primitives.add(step.equation.primitive.name)
            one.live = one.live or known.live[i]
            one.fixed = one.fixed and known.fixed[i]
            one.last = known.numbers[i] or one.last
    return found


class _Evidence:
    """Both witnesses side by side."""

    def __init__(self, program: Compiled, expressions: Expressions) -> None:
        self.program = program
        self.expressions = expressions
        self.starts: dict[tuple[str, int, int], set[str]] = {}
        for one in _all(program):
            span = program.span(one)
            if span is not None:
                primitive = one.scope.rpartition("/")[2]
                self.starts.setdefault(_start(span), set()).add(primitive)
        # what runs and says nothing of where it came from
        self.homeless = {one.opcode for one in _working(program) if program.span(one) is None}
        self.fixed_and_homeless = {one.opcode for one in _fixed(program) if program.span(one) is None}

    def gone(self, span: Span) -> bool:
        """Whether no instruction can be this expression's, or one of a part that starts where it does."""
        start = _start(span)
        own = self.expressions[span].primitives
        others = {name for other, one in self.expressions.items() if other != span and _start(other) == start
                  for name in one.primitives}  # fmt: skip
        return not any(
            primitive in own or primitive not in others for primitive in self.starts.get(start, ())
        )

    def removed(self) -> Iterator[Fate]:
        for span, one in self.expressions.items():
            if not one.live and not one.primitives <= _CHEAP and self.gone(span):
                yield Fate(kind="removed", span=span)

    def folded(self) -> Iterator[Fate]:
        for span, one in self.expressions.items():
            works = one.live and one.fixed and not one.primitives <= _CHEAP
            if works and self.gone(span) and not self.fixed_and_homeless - _PLAIN:
                yield Fate(kind="folded", span=span)

    def merged(self) -> Iterator[Fate]:
        first: dict[tuple[frozenset[int], ...], Span] = {}
        for span, one in self.expressions.items():
            if not one.live or one.fixed or not one.last or one.primitives <= _CHEAP:
                continue
            other = first.setdefault(one.last, span)
            if other == span:
                continue
            here, there = self.gone(span), self.gone(other)
            if here != there and not self.homeless - _PLAIN - _HOMELESS:
                lost, left = (span, other) if here else (other, span)
                yield Fate(kind="merged", span=lost, other=left)


# XLA splits these off large reductions without a place; an expression of these is not said to be merged.
_HOMELESS = frozenset({"reduce-window", "add", "maximum", "minimum", "multiply"})


def _start(span: Span) -> tuple[str, int, int]:
    return span.file, span.line, span.column


def _all(program: Compiled) -> Iterator[Instruction]:
    for body in program.module.computations.values():
        yield from body.values()


def _working(program: Compiled) -> Iterator[Instruction]:
    for unit in program.units():
        yield from unit.working


def _fixed(program: Compiled) -> Iterator[Instruction]:
    """Instructions that run and need no input."""
    for unit in program.units():
        body = program.module.computations[unit.computation]
        known = {name for name, one in body.items() if one.opcode in ("constant", "iota")}
        if all(name in known for name in unit.instruction.operands):
            yield from unit.working


# -- repetition ------------------------------------------------------------------------------------


def repeated(program: Compiled) -> Iterator[Fate]:
    """Values that several kernels of one computation work out, each for itself."""
    for name in dict.fromkeys(unit.computation for unit in program.units()):
        units = [unit for unit in program.units() if unit.computation == name]
        numbering = _Numbering(program)
        numbering.computation(name, {unit.instruction.name: unit for unit in units})
        for number, kernels in numbering.kernels.items():
            one = numbering.made[number]
            span = program.span(one)
            if len(kernels) > 1 and span is not None and one.type.elements > 1:
                yield Fate(kind="repeated", span=span, kernels=tuple(kernels))


class _Numbering:
    """Numbers for the values of one computation, fusions looked into: equal for equal ones."""

    def __init__(self, program: Compiled) -> None:
        self.program = program
        self.kernels: dict[int, dict[str, None]] = {}
        self.made: dict[int, Instruction] = {}
        self._numbers: dict[object, int] = {}

    def computation(self, name: str, units: Mapping[str, Unit]) -> None:
        known: dict[str, int] = {}
        for one in self.program.module.computations[name].values():
            known[one.name] = self._value(one, known, one.name if one.name in units else "")

    def _value(self, one: Instruction, known: Mapping[str, int], kernel: str) -> int:
        if one.opcode == "fusion":
            return self._fusion(one, known, kernel)
        operands = tuple(known.get(name, name) for name in one.operands)
        alone = one.name if one.opcode in ("parameter", "custom-call", "while", "call", "conditional") else ""
        number = self._number((one.opcode, str(one.type), operands, _plain(one.attributes), alone))
        if kernel and one.opcode not in _PLAIN:
            self.kernels.setdefault(number, {})[kernel] = None
            self.made.setdefault(number, one)
        return number

    def _fusion(self, one: Instruction, known: Mapping[str, int], kernel: str) -> int:
        inner: dict[str, int] = {}
        last = -1
        for part in self.program.module.computations[one.attribute("calls")].values():
            if part.opcode == "parameter":
                inner[part.name] = known.get(one.operands[int(part.operands[0])], -1)
            else:
                inner[part.name] = self._value(part, inner, kernel)
            last = inner[part.name] if part.root or last < 0 else last
        return last

    def _number(self, what: object) -> int:
        return self._numbers.setdefault(what, len(self._numbers))


def _plain(attributes: str) -> str:
    """Attributes without where an instruction came from."""
    return attributes.partition(", metadata=")[0].partition(", frontend_attributes=")[0]


# -- order -----------------------------------------------------------------------------------------


def _outermost(found: Iterable[Fate]) -> list[Fate]:
    """Of expressions inside each other the outermost, each once."""
    once = list({fate.span: fate for fate in found}.values())
    return [fate for fate in once if not any(_holds(other.span, fate.span) for other in once)]


def _holds(outer: Span, inner: Span) -> bool:
    if outer == inner or outer.file != inner.file:
        return False
    starts = (outer.line, outer.column) <= (inner.line, inner.column)
    return starts and (inner.end_line, inner.end_column) <= (outer.end_line, outer.end_column)
