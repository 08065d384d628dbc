"""The cost of an expression divided among its equations, by a model of their sizes.

XLA's counts are known for the user's expressions. Where one made several equations, each gets the share
that its sizes suggest; the shares of an expression add up to what was counted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

from jaxmagic.analysis.costs import FREE, Cost
from jaxmagic.analysis.program import Step, bytes_of
from jaxmagic.results import Span

FMA = 2  # operations in a multiply-add

# They only move or relabel what is there.
_MOVES = frozenset(
    (
        "reshape",
        "broadcast_in_dim",
        "squeeze",
        "expand_dims",
        "transpose",
        "slice",
        "dynamic_slice",
        "dynamic_update_slice",
        "concatenate",
        "pad",
        "gather",
        "convert_element_type",
        "copy",
        "iota",
        "rev",
        "split",
        "bitcast_convert_type",
    )
)


def shared(steps: Sequence[Step], by_span: Mapping[Span | None, Cost]) -> list[Cost]:
    """What each step costs when its program runs once.

    Args:
        steps: the equations of a program.
        by_span: the cost of each expression in one call of the program; what is counted for a place that
            no equation has goes to the equations of its line.
    """
    members = _members(steps)
    costs = [FREE] * len(steps)
    for span, cost in by_span.items():
        places = members.get(span) or members.get(_line(span)) or []
        flops = _divided(cost.flops, places, steps, _operations)
        moved = _divided(cost.bytes, places, steps, _traffic)
        for i, flop, size in zip(places, flops, moved, strict=True):
            costs[i] = costs[i] + Cost(flop, size, 0.0)
    return costs


def _members(steps: Sequence[Step]) -> dict[Hashable, list[int]]:
    """The steps of each span, and of each line."""
    found: dict[Hashable, list[int]] = {}
    for i, step in enumerate(steps):
        found.setdefault(step.span, []).append(i)
        if step.span is not None:
            found.setdefault(_line(step.span), []).append(i)
    return found


def _line(span: Span | None) -> Hashable:
    return (span.file, span.line) if span else None


def _divided(
    total: float | None, places: Sequence[int], steps: Sequence[Step], weigh: Callable[[Step], float]
) -> list[float | None]:
    """The share of each step in one run; unknown for each that could have a part of an unknown total."""
    weights = [weigh(steps[i]) for i in places]
    if not any(weights):
        weights = [0.0 if steps[i].inner else 1.0 for i in places]
    whole = sum(weight * (steps[i].count or 1) for i, weight in zip(places, weights, strict=True))
    if total is None:
        return [None if weight else 0.0 for weight in weights]
    return [total * weight / whole if whole else 0.0 for weight in weights]


def _operations(step: Step) -> float:
    equation = step.equation
    if step.inner or equation.primitive.name in _MOVES:
        return 0.0
    sizes = [_elements(one) for one in (*equation.invars, *equation.outvars)]
    return max(sizes, default=0.0) * _depth(equation)


def _depth(equation: Any) -> float:
    """How many operations an element of a product of matrices takes; 1 for all else."""
    if equation.primitive.name == "dot_general":
        (contracted, _), (batch, _) = equation.params["dimension_numbers"]
        shape = equation.invars[0].aval.shape
        rows = _elements(equation.invars[0]) * _elements(equation.invars[1])
        depth = math.prod(shape[axis] for axis in contracted)
        batches = math.prod(shape[axis] for axis in batch)
        largest = max(_elements(one) for one in (*equation.invars, *equation.outvars))
        return float(FMA * rows / (depth * batches or 1) / (largest or 1))
    return 1.0


def _traffic(step: Step) -> float:
    if step.inner:
        return 0.0
    sizes = [bytes_of(one.aval) for one in (*step.equation.invars, *step.equation.outvars)]
    return float(sum(size or 0 for size in sizes))


def _elements(variable: Any) -> float:
    return float(math.prod(getattr(variable.aval, "shape", ())))
