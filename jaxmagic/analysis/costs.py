"""What a program costs: XLA's own count for each instruction, loops multiplied out.

The program is the unoptimised HLO: what the user wrote, before XLA fuses and folds. The rules are
those of XLA's HloCostAnalysis (an addition counts 1, a multiply-add in a product of matrices 2, a
transcendental is counted apart), with three differences, all where XLA's figure is of no use: a loop
counts its turns, a LAPACK call counts what textbooks say, and another custom call is unknown (XLA:
a turn, −1, −1).
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from jaxmagic.analysis.hlo import Instruction, Module, Type
from jaxmagic.analysis.lapack import textbook
from jaxmagic.analysis.loops import Body, trips
from jaxmagic.results import Span

FMA = 2
POINTER = 8

Known: TypeAlias = float | None


@dataclass(frozen=True, slots=True)
class Cost:
    """Operations and bytes; None where unknown."""

    flops: Known = 0.0
    bytes: Known = 0.0
    transcendentals: Known = 0.0

    def __add__(self, other: Cost) -> Cost:
        return _each(_sum, self, other)

    def times(self, turns: int | None) -> Cost:
        """The cost of so many turns; unknown, unless it is nothing, when their number is."""
        return _each(_product, self, Cost(turns, turns, turns))

    def larger(self, other: Cost) -> Cost:
        """The larger of each figure, as XLA counts the branches of a condition."""
        return _each(lambda a, b: None if a is None or b is None else max(a, b), self, other)


FREE = Cost()


@dataclass(slots=True)
class Costs:
    """The cost of a program, in total and by the user's expression (None: no place is known).

    Args:
        unknown: the targets of custom calls whose cost is not known.
        textbook: the targets of custom calls whose cost is a textbook's.
        endless: where loops of unknown length are.
    """

    total: Cost = FREE
    by_span: dict[Span | None, Cost] = field(default_factory=dict)
    unknown: dict[str, Span | None] = field(default_factory=dict)
    textbook: dict[str, Span | None] = field(default_factory=dict)
    endless: dict[Span | None, None] = field(default_factory=dict)

    def add(self, span: Span | None, costs: Sequence[Cost]) -> None:
        """Count costs at a place."""
        cost = _added(costs)
        self.by_span[span] = self.by_span.get(span, FREE) + cost
        self.total += cost

    def include(self, inner: Costs, total: Cost, turns: int | None = 1) -> None:
        """Count a called computation's costs by place, and `total` in all."""
        for span, cost in inner.by_span.items():
            self.by_span[span] = self.by_span.get(span, FREE) + cost.times(turns)
        self.total += total


def unread(why: str) -> Costs:
    """The costs of a program that was not read, and what stood in the way."""
    return Costs(total=Cost(None, None, None), unknown={why: None})


def measure(module: Module, span_of: Callable[[int, str], Span | None], users: Iterable[str]) -> Costs:
    """The cost of a module.

    Args:
        module: the unoptimised program.
        span_of: from the id of a stack frame, and an operation's name, to the user's expression.
        users: the names of the user's own jitted functions. All others are a library's, and their
            cost belongs to the line that calls them.
    """
    meter = _Meter(module, span_of, frozenset(users))
    costs = meter.computation(module.entry, None, inherits=False)
    costs.unknown, costs.textbook, costs.endless = meter.unknown, meter.textbook, meter.endless
    return costs


def _each(combine: Callable[[Known, Known], Known], a: Cost, b: Cost) -> Cost:
    return Cost(
        combine(a.flops, b.flops),
        combine(a.bytes, b.bytes),
        combine(a.transcendentals, b.transcendentals),
    )


def _added(costs: Sequence[Cost]) -> Cost:
    return Cost(
        _all_or_none([cost.flops for cost in costs]),
        _all_or_none([cost.bytes for cost in costs]),
        _all_or_none([cost.transcendentals for cost in costs]),
    )


def _all_or_none(parts: Sequence[Known]) -> Known:
    return None if None in parts else sum(part for part in parts if part is not None)


def _sum(a: Known, b: Known) -> Known:
    return None if a is None or b is None else a + b


def _product(a: Known, b: Known) -> Known:
    if a == 0 or b == 0:
        return 0.0
    return None if a is None or b is None else a * b


class _Meter:
    """Reads one module; what a computation costs is remembered per place that it inherits."""

    def __init__(
        self, module: Module, span_of: Callable[[int, str], Span | None], users: frozenset[str]
    ) -> None:
        self.module = module
        self.span_of = span_of
        self.users = users
        self.memo: dict[tuple[str, Span | None, bool], Costs] = {}
        self.combiners: dict[str, Cost] = {}
        self.unknown: dict[str, Span | None] = {}
        self.textbook: dict[str, Span | None] = {}
        self.endless: dict[Span | None, None] = {}

    def computation(self, name: str, outer: Span | None, *, inherits: bool) -> Costs:
        """The cost of a computation, called from `outer`; all of it is put there if it `inherits`."""
        key = (name, outer, inherits)
        if key not in self.memo:
            self.memo[key] = self._computation(name, outer, inherits=inherits)
        return self.memo[key]

    def _computation(self, name: str, outer: Span | None, *, inherits: bool) -> Costs:
        costs = Costs()
        body = self.module.computations[name]
        spent: dict[Span | None, list[Cost]] = {}
        wanted: dict[str, Span | None] = {}  # by whom a value without a place of its own is used
        for one in reversed(body.values()):
            own = (
                None
                if inherits
                else self.span_of(one.frame, one.scope)
                if one.frame
                else wanted.get(one.name)
            )
            span = own or outer
            for operand in one.operands:
                wanted.setdefault(operand, span)
            if one.opcode in _CALLS:
                _CALLS[one.opcode](self, one, body, span, costs, inherits=inherits)
            else:
                cost = self.instruction(one, body, span)
                if cost is not FREE:
                    spent.setdefault(span, []).append(cost)
        for span, parts in spent.items():
            costs.add(span, parts)
        return costs

    def instruction(self, one: Instruction, body: dict[str, Instruction], span: Span | None) -> Cost:
        """The cost of an instruction that calls nothing but, perhaps, a function of two elements."""
        if one.opcode in _FREE:
            return FREE
        operands = [body[name].type for name in one.operands if name in body]
        rule = _RULES.get(one.opcode)
        if rule is not None:
            return rule(self, one, operands, span)
        moved = float(size(one.type) + sum(map(size, operands)))
        if one.opcode in _ELEMENTWISE:
            return Cost(float(one.type.elements), moved)
        if one.opcode in _TRANSCENDENTAL:
            return Cost(0.0, moved, float(one.type.elements))
        return Cost(0.0, moved)

    def combiner(self, name: str) -> Cost:
        """One application of a function of two elements; its values never leave the registers."""
        if name not in self.combiners:
            total = self.computation(name, None, inherits=True).total
            self.combiners[name] = Cost(total.flops, 0.0, total.transcendentals)
        return self.combiners[name]

    def call(self, name: str, one: Instruction, span: Span | None, *, inherits: bool) -> Costs:
        """A called computation: a library function's cost belongs to its caller."""
        function = _JITTED.findall(one.scope.rpartition("/")[2])
        library = bool(function) and function[-1] not in self.users
        return self.computation(name, span, inherits=inherits or library)


_JITTED = re.compile(r"jit\(([^()]*)\)")


def size(type_: Type) -> int:
    """The bytes of a value."""
    return type_.bytes


# -- instructions that call computations -----------------------------------------------------------


def _call(
    meter: _Meter, one: Instruction, _: Body, span: Span | None, costs: Costs, *, inherits: bool
) -> None:
    inner = meter.call(one.attribute("to_apply"), one, span, inherits=inherits)
    costs.include(inner, inner.total)


def _while(
    meter: _Meter, one: Instruction, body: Body, span: Span | None, costs: Costs, *, inherits: bool
) -> None:
    turns = trips(meter.module, one, body)
    if turns is None:
        meter.endless[span] = None
    for part in ("condition", "body"):
        inner = meter.call(one.attribute(part), one, span, inherits=inherits)
        costs.include(inner, inner.total.times(turns), turns)


def _conditional(
    meter: _Meter, one: Instruction, _: Body, span: Span | None, costs: Costs, *, inherits: bool
) -> None:
    branches = [meter.call(name, one, span, inherits=inherits) for name in _branches(one)]
    for inner in branches:
        costs.include(inner, FREE)
    costs.total += functools.reduce(Cost.larger, (inner.total for inner in branches), FREE)


def _branches(one: Instruction) -> list[str]:
    listed = one.attribute("branch_computations").strip("{}")
    if listed:
        return [name.strip().lstrip("%") for name in listed.split(",")]
    return [one.attribute("true_computation"), one.attribute("false_computation")]


_CALLS = {"call": _call, "while": _while, "conditional": _conditional}


# -- instructions ----------------------------------------------------------------------------------

_FREE = frozenset({
    "parameter", "constant", "get-tuple-element", "bitcast", "after-all", "add-dependency", "domain",
    "partition-id", "replica-id",
})  # fmt: skip
_TRANSCENDENTAL = frozenset({
    "exponential", "log", "logistic", "power", "sqrt", "cbrt", "rsqrt", "tanh", "sine", "cosine", "tan",
    "exponential-minus-one", "log-plus-one", "atan2", "erf",
})  # fmt: skip
_ELEMENTWISE = frozenset({
    "add", "subtract", "multiply", "divide", "remainder", "maximum", "minimum", "and", "or", "xor",
    "not", "negate", "abs", "sign", "floor", "ceil", "round-nearest-afz", "round-nearest-even",
    "compare", "select", "clamp", "convert", "reduce-precision", "is-finite", "popcnt",
    "count-leading-zeros", "shift-left", "shift-right-arithmetic", "shift-right-logical", "real",
    "imag", "complex", "bitcast-convert", "stochastic-convert",
})  # fmt: skip

Operands: TypeAlias = list[Type]


def _barrier(_: _Meter, one: Instruction, __: Operands, ___: Span | None) -> Cost:
    return Cost(0.0, float(size(one.type) + POINTER * len(one.type.arrays)))


def _moved(one: Instruction, operands: Operands) -> float:
    return float(size(one.type) + sum(map(size, operands)))


def _numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"-?\d+", text)]


def _dot(_: _Meter, one: Instruction, operands: Operands, __: Span | None) -> Cost:
    width = math.prod(operands[0].shape[axis] for axis in _numbers(one.attribute("lhs_contracting_dims")))
    return Cost(float(FMA * one.type.elements * width), _moved(one, operands))


def _convolution(_: _Meter, one: Instruction, operands: Operands, __: Span | None) -> Cost:
    """Multiply-adds that touch no padding and no hole of a dilation."""
    inputs, kernel, outputs = _labels(one.attribute("dim_labels"))
    window = _window(one.attribute("window"), len(kernel) - 2)
    lhs, rhs, out = operands[0].shape, operands[1].shape, one.type.shape
    positions = math.prod(
        _positions(lhs[inputs[str(i)]], rhs[kernel[str(i)]], out[outputs[str(i)]], axis)
        for i, axis in enumerate(window)
    )
    groups = int(one.attribute("feature_group_count") or 1)
    batches = int(one.attribute("batch_group_count") or 1)
    multiplied = (lhs[inputs["f"]] // groups) * out[outputs["f"]] * (lhs[inputs["b"]] // batches) * positions
    return Cost(float(FMA * multiplied), _moved(one, operands))


def _labels(text: str) -> list[dict[str, int]]:
    parts = re.split(r"_|->", text)
    return [{letter: axis for axis, letter in enumerate(part)} for part in parts]


@dataclass(frozen=True, slots=True)
class _Axis:
    """One axis of a window."""

    size: int = 1
    stride: int = 1
    low: int = 0
    high: int = 0
    base: int = 1
    dilation: int = 1


def _window(text: str, rank: int) -> list[_Axis]:
    given = dict(part.split("=") for part in text.strip("{}").split() if "=" in part)
    sizes, strides, bases, dilations = (
        [int(number) for number in given[name].split("x")] if name in given else [1] * rank
        for name in ("size", "stride", "lhs_dilate", "rhs_dilate")
    )
    pads = [_numbers_signed(pad) for pad in given["pad"].split("x")] if "pad" in given else [(0, 0)] * rank
    return [
        _Axis(
            size=sizes[i],
            stride=strides[i],
            low=pads[i][0],
            high=pads[i][1],
            base=bases[i],
            dilation=dilations[i],
        )
        for i in range(len(sizes) if "size" in given else 0)
    ]


def _numbers_signed(pad: str) -> tuple[int, int]:
    low, high = pad.split("_")
    return int(low), int(high)


def _positions(size_in: int, size_kernel: int, size_out: int, axis: _Axis) -> int:
    """Pairs of a kernel and an output place along one axis that meet a true input element."""
    at = np.arange(size_out)[:, None] * axis.stride - axis.low + np.arange(size_kernel) * axis.dilation
    inside = (at >= 0) & (at < size_in * axis.base) & (at % axis.base == 0)
    return int(inside.sum())


def _reduce(meter: _Meter, one: Instruction, operands: Operands, _: Span | None) -> Cost:
    combined = meter.combiner(one.attribute("to_apply")).times(operands[0].elements - one.type.elements)
    return combined + Cost(0.0, _moved(one, operands))


def _reduce_window(meter: _Meter, one: Instruction, operands: Operands, _: Span | None) -> Cost:
    window = _window(one.attribute("window"), len(one.type.shape))
    reach = math.prod(axis.size for axis in window)
    applications = (reach - 1) * one.type.elements
    whole = _whole_axis(window, one.type)
    if whole is not None and not one.type.is_tuple:  # a reduction that is broadcast back
        applications = one.type.elements // max(whole, 1) + (whole - 1)
    return meter.combiner(one.attribute("to_apply")).times(applications) + Cost(0.0, _moved(one, operands))


def _whole_axis(window: list[_Axis], out: Type) -> int | None:
    """The length of the one axis that a window covers from every place, if it is such a window."""
    wide = [i for i, axis in enumerate(window) if axis.size != 1]
    padded = [i for i, axis in enumerate(window) if axis.low or axis.high]
    if len(wide) != 1 or len(padded) != 1:
        return None
    axis, length = window[wide[0]], out.shape[wide[0]]
    covers = axis.low == axis.high == length - 1 and axis.low > 0 and axis.size == 2 * axis.low + 1
    return length if covers else None


def _select_and_scatter(meter: _Meter, one: Instruction, operands: Operands, _: Span | None) -> Cost:
    reach = math.prod(axis.size for axis in _window(one.attribute("window"), len(one.type.shape)))
    source = operands[1].elements
    chosen = meter.combiner(one.attribute("select")).times(source * (reach - 1))
    return chosen + meter.combiner(one.attribute("scatter")).times(source) + Cost(0.0, _moved(one, operands))


def _scatter(meter: _Meter, one: Instruction, operands: Operands, _: Span | None) -> Cost:
    count = (len(operands) - 1) // 2
    updates = operands[count + 1 :]
    moved = float(3 * sum(map(size, updates)) + size(operands[count]))
    applied = meter.combiner(one.attribute("to_apply")).times(updates[0].elements)
    return applied + Cost(0.0, moved)


def _sort(_: _Meter, one: Instruction, operands: Operands, __: Span | None) -> Cost:
    elements = operands[0].elements
    depth = max(elements - 1, 0).bit_length()
    return Cost(float(elements * depth), _moved(one, operands))


def _fft(_: _Meter, one: Instruction, operands: Operands, __: Span | None) -> Cost:
    lengths = _numbers(one.attribute("fft_length"))
    factors = math.prod(length.bit_length() - 1 for length in lengths)
    return Cost(float(FMA * 4 * factors * operands[0].elements), _moved(one, operands))


def _triangular_solve(_: _Meter, one: Instruction, operands: Operands, __: Span | None) -> Cost:
    moved = size(one.type) + size(operands[0]) / 2 + size(operands[1])
    return Cost(float(FMA * operands[0].shape[-1] * operands[1].elements), moved)


def _cholesky(_: _Meter, __: Instruction, operands: Operands, ___: Span | None) -> Cost:
    return Cost(float(operands[0].shape[-1] * operands[0].elements // 3), float(size(operands[0])))


def _random(_: _Meter, one: Instruction, operands: Operands, __: Span | None) -> Cost:
    made = sum(array.count for array in one.type.arrays)
    return Cost(0.0, _moved(one, operands), float(made))


def _slice(_: _Meter, one: Instruction, __: Operands, ___: Span | None) -> Cost:
    return Cost(0.0, 2.0 * size(one.type))


def _dynamic_slice(_: _Meter, one: Instruction, operands: Operands, __: Span | None) -> Cost:
    index = size(operands[1]) if len(operands) > 1 else 0
    return Cost(0.0, 2.0 * size(one.type) + index)


def _dynamic_update_slice(_: _Meter, __: Instruction, operands: Operands, ___: Span | None) -> Cost:
    index = size(operands[2]) if len(operands) > 2 else 0
    return Cost(0.0, 2.0 * size(operands[1]) + index)


def _gather(_: _Meter, one: Instruction, operands: Operands, __: Span | None) -> Cost:
    return Cost(0.0, 2.0 * size(one.type) + size(operands[1]))


def _tuple(_: _Meter, one: Instruction, __: Operands, ___: Span | None) -> Cost:
    return Cost(0.0, float(POINTER * len(one.operands)))


def _transpose(_: _Meter, one: Instruction, operands: Operands, __: Span | None) -> Cost:
    """Only a change of layout moves nothing: unoptimised HLO lays the result out as the operand is."""
    order = _numbers(one.attribute("dimensions"))
    source = [axis for axis in reversed(operands[0].layout) if operands[0].shape[axis] != 1]
    target = [order[axis] for axis in reversed(one.type.layout) if one.type.shape[axis] != 1]
    return FREE if source == target else Cost(0.0, _moved(one, operands))


def _custom_call(meter: _Meter, one: Instruction, operands: Operands, span: Span | None) -> Cost:
    target = one.attribute("custom_call_target").strip('"')
    if target in _ANNOTATIONS:
        return FREE
    moved = float(one.type.bytes + sum(operand.bytes for operand in operands))
    is_complex = bool(operands) and operands[0].element in ("c64", "c128")
    known = textbook(target, [operand.shape for operand in operands], is_complex=is_complex)
    if known is None:
        meter.unknown.setdefault(target, span)
        return Cost(None, moved, None)
    meter.textbook.setdefault(target, span)
    return Cost(known, moved)


_ANNOTATIONS = frozenset({
    "Sharding", "SPMDFullToShardShape", "SPMDShardToFullShape", "annotate_device_placement",
    "xla.sdy.FuncResultSharding", "xla.sdy.GlobalToLocalShape", "xla.sdy.LocalToGlobalShape",
    "AllocateBuffer", "ShapeAssertion", "LayoutConstraint",
})  # fmt: skip

Rule: TypeAlias = Callable[[_Meter, Instruction, Operands, Span | None], Cost]
_RULES: dict[str, Rule] = {
    "dot": _dot,
    "convolution": _convolution,
    "reduce": _reduce,
    "reduce-window": _reduce_window,
    "select-and-scatter": _select_and_scatter,
    "scatter": _scatter,
    "sort": _sort,
    "fft": _fft,
    "triangular-solve": _triangular_solve,
    "cholesky": _cholesky,
    "rng": _random,
    "rng-bit-generator": _random,
    "slice": _slice,
    "dynamic-slice": _dynamic_slice,
    "dynamic-update-slice": _dynamic_update_slice,
    "gather": _gather,
    "tuple": _tuple,
    "transpose": _transpose,
    "custom-call": _custom_call,
    "opt-barrier": _barrier,
}
