"""What one instruction costs, by XLA's own rules (HloCostAnalysis), and how costs add up.

An addition counts 1, a multiply-add in a product of matrices 2, a transcendental is counted apart.
Bytes are those of the operands and of the result: what would move if nothing were fused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np

from jaxmagic.analysis.hlo import Instruction, Type
from jaxmagic.analysis.lapack import textbook
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
UNKNOWN = Cost(None, None, None)


def _each(combine: Callable[[Known, Known], Known], a: Cost, b: Cost) -> Cost:
    return Cost(
        combine(a.flops, b.flops),
        combine(a.bytes, b.bytes),
        combine(a.transcendentals, b.transcendentals),
    )


def _sum(a: Known, b: Known) -> Known:
    return None if a is None or b is None else a + b


def _product(a: Known, b: Known) -> Known:
    if a == 0 or b == 0:
        return 0.0
    return None if a is None or b is None else a * b


class Meter(Protocol):
    """What a rule may ask of who reads the program, and tell it."""

    unknown: dict[str, Span | None]
    textbook: dict[str, Span | None]

    def combiner(self, name: str) -> Cost:
        """One application of a function of two elements; its values never leave the registers."""


def price(meter: Meter, one: Instruction, operands: list[Type], span: Span | None) -> Cost:
    """The cost of an instruction that calls nothing but, perhaps, a function of two elements."""
    rule = _RULES.get(one.opcode)
    if rule is not None:
        return rule(meter, one, operands, span)
    moved = float(size(one.type) + sum(map(size, operands)))
    if one.opcode in _ELEMENTWISE:
        return Cost(float(one.type.elements), moved)
    if one.opcode in _TRANSCENDENTAL:
        return Cost(0.0, moved, float(one.type.elements))
    return Cost(0.0, moved)


def size(type_: Type) -> int:
    """The bytes of a value."""
    return type_.bytes


# -- instructions ----------------------------------------------------------------------------------

GRATIS = frozenset({
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


def _barrier(_: Meter, one: Instruction, __: Operands, ___: Span | None) -> Cost:
    return Cost(0.0, float(size(one.type) + POINTER * len(one.type.arrays)))


def _moved(one: Instruction, operands: Operands) -> float:
    return float(size(one.type) + sum(map(size, operands)))


def _numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"-?\d+", text)]


def _dot(_: Meter, one: Instruction, operands: Operands, __: Span | None) -> Cost:
    width = math.prod(operands[0].shape[axis] for axis in _numbers(one.attribute("lhs_contracting_dims")))
    return Cost(float(FMA * one.type.elements * width), _moved(one, operands))


def _convolution(_: Meter, one: Instruction, operands: Operands, __: Span | None) -> Cost:
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


def _reduce(meter: Meter, one: Instruction, operands: Operands, _: Span | None) -> Cost:
    combined = meter.combiner(one.attribute("to_apply")).times(operands[0].elements - one.type.elements)
    return combined + Cost(0.0, _moved(one, operands))


def _reduce_window(meter: Meter, one: Instruction, operands: Operands, _: Span | None) -> Cost:
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


def _select_and_scatter(meter: Meter, one: Instruction, operands: Operands, _: Span | None) -> Cost:
    reach = math.prod(axis.size for axis in _window(one.attribute("window"), len(one.type.shape)))
    source = operands[1].elements
    chosen = meter.combiner(one.attribute("select")).times(source * (reach - 1))
    return chosen + meter.combiner(one.attribute("scatter")).times(source) + Cost(0.0, _moved(one, operands))


def _scatter(meter: Meter, one: Instruction, operands: Operands, _: Span | None) -> Cost:
    count = (len(operands) - 1) // 2
    updates = operands[count + 1 :]
    moved = float(3 * sum(map(size, updates)) + size(operands[count]))
    applied = meter.combiner(one.attribute("to_apply")).times(updates[0].elements)
    return applied + Cost(0.0, moved)


def _sort(_: Meter, one: Instruction, operands: Operands, __: Span | None) -> Cost:
    elements = operands[0].elements
    depth = max(elements - 1, 0).bit_length()
    return Cost(float(elements * depth), _moved(one, operands))


def _fft(_: Meter, one: Instruction, operands: Operands, __: Span | None) -> Cost:
    lengths = _numbers(one.attribute("fft_length"))
    factors = math.prod(length.bit_length() - 1 for length in lengths)
    return Cost(float(FMA * 4 * factors * operands[0].elements), _moved(one, operands))


def _triangular_solve(_: Meter, one: Instruction, operands: Operands, __: Span | None) -> Cost:
    moved = size(one.type) + size(operands[0]) / 2 + size(operands[1])
    return Cost(float(FMA * operands[0].shape[-1] * operands[1].elements), moved)


def _cholesky(_: Meter, __: Instruction, operands: Operands, ___: Span | None) -> Cost:
    return Cost(float(operands[0].shape[-1] * operands[0].elements // 3), float(size(operands[0])))


def _random(_: Meter, one: Instruction, operands: Operands, __: Span | None) -> Cost:
    made = sum(array.count for array in one.type.arrays)
    return Cost(0.0, _moved(one, operands), float(made))


def _slice(_: Meter, one: Instruction, __: Operands, ___: Span | None) -> Cost:
    return Cost(0.0, 2.0 * size(one.type))


def _dynamic_slice(_: Meter, one: Instruction, operands: Operands, __: Span | None) -> Cost:
    index = size(operands[1]) if len(operands) > 1 else 0
    return Cost(0.0, 2.0 * size(one.type) + index)


def _dynamic_update_slice(_: Meter, __: Instruction, operands: Operands, ___: Span | None) -> Cost:
    index = size(operands[2]) if len(operands) > 2 else 0
    return Cost(0.0, 2.0 * size(operands[1]) + index)


def _gather(_: Meter, one: Instruction, operands: Operands, __: Span | None) -> Cost:
    return Cost(0.0, 2.0 * size(one.type) + size(operands[1]))


def _tuple(_: Meter, one: Instruction, __: Operands, ___: Span | None) -> Cost:
    return Cost(0.0, float(POINTER * len(one.operands)))


def _transpose(_: Meter, one: Instruction, operands: Operands, __: Span | None) -> Cost:
    """Only a change of layout moves nothing: unoptimised HLO lays the result out as the operand is."""
    order = _numbers(one.attribute("dimensions"))
    source = [axis for axis in reversed(operands[0].layout) if operands[0].shape[axis] != 1]
    target = [order[axis] for axis in reversed(one.type.layout) if one.type.shape[axis] != 1]
    return FREE if source == target else Cost(0.0, _moved(one, operands))


def _custom_call(meter: Meter, one: Instruction, operands: Operands, span: Span | None) -> Cost:
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

Rule: TypeAlias = Callable[[Meter, Instruction, Operands, Span | None], Cost]
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
