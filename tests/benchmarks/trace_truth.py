"""How true %%jaxpr's figures are, on real programs: spans, costs against XLA's own analysis, and time.

    python tests/benchmarks/trace_truth.py

XLA counts a loop's body once, so flops are held against the program with its loops written out. That
is another program, though: it stacks no residuals and drops what single turns need not compute. The
second yardstick keeps the loops: XLA's analysis of each computation, times its turns (yardstick.py).
The loop in JAX's random generator, which is there for CPUs alone, is written out as JAX does it for other
devices. A gradient through a loop adds the first turn's share to zeros, which written out is not there.
Equinox and diffrax are asked for where they are installed: `pip install equinox diffrax`.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
from truth_programs import PROGRAMS, Maker
from yardstick import random_written_out, times_turns

from jaxmagic import trace
from jaxmagic.analysis import trace as tracing
from jaxmagic.results import Trace

ROUNDS = 5


def written_out(make: Maker) -> tuple[float, float]:
    """XLA's flops and bytes of a program with its loops unrolled, that of the random bits included."""
    function, args = make(unroll=True)
    with random_written_out():
        found = jax.jit(function).lower(*args).cost_analysis()
    return found.get("flops", 0.0), found.get("bytes accessed", 0.0)


def spanned(result: Trace) -> float:
    return sum(equation.span is not None for equation in result.equations) / len(result.equations)


def lined(result: Trace) -> float:
    """The share of the flops that a line of the listing carries."""
    return sum(line.flops or 0.0 for line in result.lines) / result.flops if result.flops else 1.0


def seconds(function: Callable[..., Any], args: tuple[Any, ...]) -> tuple[float, float]:
    """Processor time that the cost figures take, a thousand equations; JAX's lowering is not in it.

    And of it, what XLA takes to make HLO of StableHLO, which its own cost analysis needs too.
    """
    times: list[float] = []
    floor: list[float] = []
    whole = tracing._costs  # the one step of a look that is timed

    def timed(lowered: Any, *rest: Any) -> Any:
        lowered.get()
        started = time.process_time()
        lowered.get().compiler_ir("hlo")
        converted = time.process_time()
        try:
            return whole(lowered, *rest)
        finally:
            floor.append(converted - started)
            times.append(time.process_time() - converted)

    tracing._costs = timed
    try:
        counts = {len(trace(function, *args).equations) for _ in range(ROUNDS)}
    finally:
        tracing._costs = whole
    (equations,) = counts
    return statistics.median(times) / equations * 1e3, statistics.median(floor) / equations * 1e3


def row(make: Maker) -> tuple[float, ...]:
    function, args = make(1)
    result = trace(function, *args)
    assert result.flops is not None
    assert result.bytes is not None
    flops, moved = times_turns(function, args)
    straight, _ = written_out(make)
    return (
        len(result.equations), spanned(result), lined(result), result.flops / straight, result.flops / flops,
        result.bytes / moved, *seconds(function, args),
    )  # fmt: skip


HEAD = (
    "| program | equations | with a span | at a line "
    "| flops / unrolled | flops / XLA × turns | bytes / XLA × turns | s per 1,000 | XLA's conversion in it |"
)


def main() -> None:
    print(f"jax {jax.__version__}\n\n{HEAD}\n|---|" + "---:|" * 8)
    for make in PROGRAMS:
        try:
            told = row(make)
        except ImportError as missing:
            print(f"| {make.__name__} | {missing} | | | | | | | |")
            continue
        cells = ("{:,.0f}", "{:.1%}", "{:.1%}", "{:.4f}", "{:.4f}", "{:.4f}", "{:.3f}", "{:.3f}")
        cells = (form.format(figure) for form, figure in zip(cells, told, strict=True))
        print(f"| {make.__name__} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
