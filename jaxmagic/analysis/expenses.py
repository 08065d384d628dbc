"""What a derivative costs beside its function: both modes compiled, timed in turn, their memory read."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmagic.analysis import program
from jaxmagic.analysis.derivatives import Function, Mode, Run, derivative, point, quiet
from jaxmagic.analysis.repeat import CannotRepeatError, repeating
from jaxmagic.results import Expense, Lazy

BUDGET = 1.0  # seconds of measuring
FEWEST, MOST = 3, 200  # rounds
MOST_PASSES = 256  # beyond, one pass is measured and multiplied


def expenses(run: Run) -> Lazy[tuple[Expense, ...]]:
    """Of the function, and of its first derivative in reverse and in forward mode, when they are asked for.

    Until then the function and its inputs are kept, and nothing that was computed.
    """
    function = Function(run.target, run.inputs, run.choice.active)
    [device, *_] = run.plain[0].devices()
    return Lazy(functools.partial(_expenses, function, run.outputs.size, device))


def _expenses(function: Function, outputs: int, device: Any) -> tuple[Expense, ...]:
    leaves = function.inputs.leaves
    points = [jnp.asarray(point(leaves[i])) for i in function.active]
    fixed = [leaves[i].value for i in function.fixed]
    passes = {"function": 1, "reverse": outputs, "forward": sum(np.size(one) for one in points)}
    with jax.default_device(device), quiet(), program.afresh():
        ways = [_way(way, function, points, fixed, many) for way, many in passes.items()]
        seconds = _timed([call for _, call in ways], points, fixed)
    return tuple(_filled(one, second) for (one, _), second in zip(ways, seconds, strict=True))


def _way(way: Any, function: Function, points: Any, fixed: Any, passes: int) -> tuple[Expense, Any]:
    """What is known without running it, and the compiled program; None where it has none."""
    one = passes > MOST_PASSES
    try:
        with repeating():
            compiled = jax.jit(_program(way, function, one=one)).lower(points, fixed).compile()
    except CannotRepeatError:  # a mode that the function does not allow, or it cannot be traced
        return Expense(way=way, seconds=None, bytes=None, passes=passes), None
    flops, size = _flops(compiled), _bytes(compiled)
    known = Expense(
        way=way, seconds=None, bytes=None if one else size, flops=flops and flops * (passes if one else 1),
        passes=passes, estimated=one,
    )  # fmt: skip
    return known, compiled


def _program(way: Mode | str, function: Function, *, one: bool) -> Callable[..., Any]:
    """The whole of it, or one pass."""

    def plain(points: Any, fixed: Any) -> Any:
        return function(points, fixed)

    def whole(points: Any, fixed: Any) -> Any:
        mode: Mode = "reverse" if way == "reverse" else "forward"
        return function(points, fixed), derivative(lambda inner: function(inner, fixed), mode)(points)

    def forward(points: Any, fixed: Any) -> Any:
        ones = [jnp.ones_like(point) for point in points]
        return jax.jvp(lambda inner: function(inner, fixed), (points,), (ones,))

    def reverse(points: Any, fixed: Any) -> Any:
        outputs, pull = jax.vjp(lambda inner: function(inner, fixed), points)
        return outputs, pull([jnp.ones_like(output) for output in outputs])

    if way == "function":
        return plain
    return {"forward": forward, "reverse": reverse}[way] if one else whole


def _flops(compiled: Any) -> float | None:
    costs = compiled.cost_analysis()
    found = (costs[0] if isinstance(costs, list) else costs or {}).get("flops")
    return float(found) if found and found > 0 else None


def _bytes(compiled: Any) -> int | None:
    memory = compiled.memory_analysis()
    if memory is None:
        return None
    parts = ("argument_size_in_bytes", "output_size_in_bytes", "temp_size_in_bytes")
    return int(sum(getattr(memory, part) for part in parts))


def _timed(calls: Sequence[Any], points: Any, fixed: Any) -> list[float | None]:
    """The lower quartile of calls made in turn, each waited for."""
    known = [call for call in calls if call is not None]
    with repeating():
        for call in known:
            jax.block_until_ready(call(points, fixed))
        found: list[list[float]] = [[] for _ in calls]
        end, rounds = time.perf_counter() + BUDGET, 0
        while rounds < FEWEST or (rounds < MOST and time.perf_counter() < end):
            rounds += 1
            for i, call in enumerate(calls):
                if call is not None:
                    start = time.perf_counter()
                    jax.block_until_ready(call(points, fixed))
                    found[i].append(time.perf_counter() - start)
    return [float(np.quantile(samples, 0.25)) if samples else None for samples in found]


def _filled(one: Expense, seconds: float | None) -> Expense:
    return replace(one, seconds=seconds and seconds * (one.passes if one.estimated else 1))
