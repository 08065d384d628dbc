"""How looking grows with the program: 10,000 to 100,000 equations, ours beside JAX's own calls.

    python tests/benchmarks/trace_growth.py [equations …]

"JAX" are its own calls inside a look (trace, print, lower, convert to HLO); "ours" is all else that
`look`, the page and its first tab take. Processor time, each size in a process of its own, so that none
pays for the garbage of another. The last column is ours per equation, against the smallest program's:
1 is linear.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxmagic.analysis import program, trace
from jaxmagic.pages.trace import page
from jaxmagic.target import Target

SIZES = (10_000, 30_000, 100_000)


def unrolled(x: Any, turns: int) -> Any:
    for i in range(turns):
        x = jnp.sin(x) * 0.5 + x * i
    return x


class Clock:
    """The time inside some functions, and in all."""

    def __init__(self) -> None:
        self.inside = 0.0

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, its time counted."""

        def timed(*args: Any, **kwargs: Any) -> Any:
            start = time.process_time()
            try:
                return function(*args, **kwargs)
            finally:
                self.inside += time.process_time() - start

        return timed


def measure(equations: int) -> dict[str, float]:
    """Seconds of JAX's own calls inside a look (trace, print, lower, convert), and of all of it."""
    clock = Clock()
    for module, name in (
        (program, "_trace"),
        (program, "print_jaxpr"),
        (program, "print_unoptimised"),
        (trace, "_lower"),
    ):
        setattr(module, name, clock.around(getattr(module, name)))
    trace.look(Target(function=lambda x: unrolled(x, 1), args=(jnp.ones(128),)))
    clock.inside, start = 0.0, time.process_time()
    result = trace.look(Target(function=lambda x: unrolled(x, equations // 4), args=(jnp.ones(128),)))
    page(result).tabs[0].blocks.get()
    everything = time.process_time() - start
    return {"equations": len(result.equations), "jax": clock.inside, "ours": everything - clock.inside}


def main(sizes: list[int]) -> None:
    print(f"jax {jax.__version__}\n")
    print("| equations | JAX's own calls, s | ours, s | ours, µs an equation | growth |")
    print("|---:|---:|---:|---:|---:|")
    first = None
    for size in sizes:
        command = [sys.executable, __file__, "--one", str(size)]
        told = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        each = told["ours"] / told["equations"]
        first = first or each
        print(
            f"| {told['equations']:,} | {told['jax']:.2f} | {told['ours']:.2f} | {each * 1e6:.1f} | "
            f"{each / first:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(measure(int(sys.argv[2]))))
    else:
        main([int(size) for size in sys.argv[1:]] or list(SIZES))
