"""How looking grows with the program: 10,000 to 100,000 equations, ours beside JAX's own calls.

    python tests/benchmarks/trace_growth.py [equations …]

A look as the magic takes it, all of it: the result, what is kept of it to tell what the next run changes,
the page, its text and static HTML, and the live view with all that it sends at first. The costs of a
program of more than 10,000 equations wait until they are asked for, and of more than 4,000 no more is
printed than a page shows. "JAX" are its own calls inside a look (trace, print; of small programs lower and
convert to HLO, too); "ours" is all else. Processor time, each size in processes of its own (medians of
three), so that none pays for the garbage of another. "growth" is ours per equation, against the smallest
program's: 1 is linear. "beyond tracing" is all of a look but tracing, against `str(jaxpr)`; then what was
put off: printing all of it for the live view (once one moves the mouse over it), against the same, and
counting the costs. Below: 30 levels of programs that use the next one twice, and a program that captures 16
MB.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxmagic.analysis import program, stages, trace
from jaxmagic.magics.editions import Editions
from jaxmagic.pages.trace import page
from jaxmagic.results import Trace
from jaxmagic.target import Target
from jaxmagic.views.bundle import Shown
from jaxmagic.views.live import PageView

SIZES = (12_000, 30_000, 100_000)
ROUNDS = 3


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


def looked(function: Callable[..., Any], x: Any) -> tuple[Trace, PageView]:
    """The function as the magic looks at it, up to what is sent to the front end."""
    result = trace.look(Target(function=function, args=(x,)), patience=trace.PATIENCE)
    views = []

    def view(page: Any) -> PageView:
        views.append(PageView(page))
        return views[0]

    result = Editions().compared(result, {}, cell=True)
    shown = Shown(page(result), html=True, live=True, view=view)
    json.dumps([shown.outputs, {name: getattr(views[0], name) for name in ("head", "notes", "tabs")}])
    return result, views[0]


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    start = time.process_time()
    result = function()
    return time.process_time() - start, result


def measure(equations: int) -> dict[str, float]:
    """Seconds of JAX's own calls inside a look, of all of it, of `str(jaxpr)`, and of the costs."""
    x = jnp.ones(128)
    looked(lambda x: unrolled(x, 1), x)
    tracing, others = Clock(), Clock()
    program.tracing._trace = tracing.around(program.tracing._trace)
    stages.lower = others.around(stages.lower)
    program.print_unoptimised = others.around(program.print_unoptimised)
    program.print_jaxpr = others.around(program.print_jaxpr)
    program.print_opening = others.around(program.print_opening)
    everything, (result, view) = timed(lambda: looked(lambda x: unrolled(x, equations // 4), x))
    jax_calls = tracing.inside + others.inside
    rest, _ = timed(lambda: json.dumps(view._rest({"tab": 0, "program": 0})))
    jaxpr = jax.jit(lambda x: unrolled(x, equations // 4)).trace(x).jaxpr
    bare = min(timed(lambda: str(jaxpr))[0] for _ in range(3))
    return {
        "equations": len(result.equations),
        "jax": jax_calls,
        "ours": everything - jax_calls,
        "beyond": (everything - tracing.inside) / bare,
        "rest": rest / bare,
        "counting": timed(result.counted.get)[0] if result.counted else 0.0,
    }


def shared(levels: int) -> Callable[..., Any]:
    """A function that calls one twice that calls one twice …"""
    function: Callable[..., Any] = jnp.sin
    for _ in range(levels):
        function = jax.jit(lambda x, inner=function: inner(x) + inner(x))
    return function


def one(size: int) -> dict[str, float]:
    """`measure` in a process of its own."""
    command = [sys.executable, __file__, "--one", str(size)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main(sizes: list[int]) -> None:
    print(f"jax {jax.__version__}\n")
    print(
        "| equations | JAX's own calls, s | ours, s | ours, µs an equation | growth "
        "| beyond tracing / `str(jaxpr)` | the rest / `str(jaxpr)` | counting the costs, s |"
    )
    print("|---:|---:|---:|---:|---:|---:|---:|---:|")
    first = None
    for size in sizes:
        runs = [one(size) for _ in range(ROUNDS)]
        told = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
        each = told["ours"] / told["equations"]
        first = first or each
        print(
            f"| {told['equations']:,.0f} | {told['jax']:.2f} | {told['ours']:.2f} | {each * 1e6:.1f} | "
            f"{each / first:.2f} | {told['beyond']:.2f} | {told['rest']:.2f} | {told['counting']:.1f} |",
            flush=True,
        )
    table, x = jnp.ones((2048, 2048)), jnp.ones(2048)
    print(f"\n30 levels of sharing: {timed(lambda: looked(shared(30), x))[0]:.2f} s")
    print(f"a constant of 16 MB: {timed(lambda: looked(lambda x: jnp.sin(table @ x).sum(), x))[0]:.2f} s")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(measure(int(sys.argv[2]))))
    else:
        main([int(size) for size in sys.argv[1:]] or list(SIZES))
