"""How true %%jaxpr's figures are, on real programs: spans, costs against XLA's own analysis, and time.

    python tests/benchmarks/trace_truth.py

XLA counts a loop's body once, so flops are held against the program with its loops written out. That
is another program, though: it stacks no residuals and drops what single turns need not compute. The
second yardstick keeps the loops: XLA's analysis of each computation, times its turns (yardstick.py).
The loop in JAX's random generator (dropout in mnist_nnx) is a library's, and cannot be written out.
Equinox and diffrax are asked for where they are installed: `pip install equinox diffrax`.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
from truth_programs import PROGRAMS, Maker
from yardstick import times_turns

from jaxmagic import trace
from jaxmagic.analysis import trace as tracing
from jaxmagic.results import Trace

ROUNDS = 5


def written_out(make: Maker) -> tuple[float, float]:
    """XLA's flops and bytes of a program with its loops unrolled."""
    function, args = make(unroll=True)
    found = jax.jit(function).lower(*args).cost_analysis()
    return found.get("flops", 0.0), found.get("bytes accessed", 0.0)


def spanned(result: Trace) -> float:
    return sum(equation.span is not None for equation in result.equations) / len(result.equations)


def lined(result: Trace) -> float:
    """The share of the flops that a line of the listing carries."""
    return sum(line.flops or 0.0 for line in result.lines) / result.flops if result.flops else 1.0


def seconds(function: Callable[..., Any], args: tuple[Any, ...]) -> float:
    """Processor time that the cost figures take, a thousand equations; JAX's lowering is not in it."""
    times: list[float] = []
    whole = tracing._costs  # the one step of a look that is timed

    def timed(lowered: Any, *rest: Any) -> Any:
        lowered.get()
        started = time.process_time()
        try:
            return whole(lowered, *rest)
        finally:
            times.append(time.process_time() - started)

    tracing._costs = timed
    try:
        counts = {len(trace(function, *args).equations) for _ in range(ROUNDS)}
    finally:
        tracing._costs = whole
    return statistics.median(times) / counts.pop() * 1e3


def row(make: Maker) -> tuple[float, ...]:
    function, args = make(1)
    result = trace(function, *args)
    assert result.flops is not None
    assert result.bytes is not None
    flops, moved = times_turns(function, args)
    straight, _ = written_out(make)
    return (
        len(result.equations), spanned(result), lined(result), result.flops / straight, result.flops / flops,
        result.bytes / moved, seconds(function, args),
    )  # fmt: skip


HEAD = (
    "| program | equations | with a span | at a line "
    "| flops / unrolled | flops / XLA × turns | bytes / XLA × turns | s per 1,000 |"
)


def main() -> None:
    print(f"jax {jax.__version__}\n\n{HEAD}\n|---|" + "---:|" * 7)
    for make in PROGRAMS:
        try:
            told = row(make)
        except ImportError as missing:
            print(f"| {make.__name__} | {missing} | | | | | | |")
            continue
        cells = ("{:,.0f}", "{:.1%}", "{:.1%}", "{:.4f}", "{:.4f}", "{:.4f}", "{:.3f}")
        cells = (form.format(figure) for form, figure in zip(cells, told, strict=True))
        print(f"| {make.__name__} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
