"""XLA's own figures for a program with loops: its analysis of each computation, times the loops' turns.

XLA counts a loop's body once. Here every computation that a loop turns is made a program of its own,
given to XLA's HloCostAnalysis, and multiplied; none of jaxmagic's rules takes part. How often a loop
turns is jaxmagic's reading, which the unrolled program (of which XLA's figure needs no help) checks.
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Callable, Iterator
from typing import Any

import jax
from jaxlib import _hlo, _jax  # type: ignore[attr-defined]  # jaxlib has no types for it

from jaxmagic.analysis import hlo, program
from jaxmagic.analysis.loops import trips

Figures = tuple[float, float]


def times_turns(function: Callable[..., Any], args: tuple[Any, ...]) -> Figures:
    """Flops and bytes of a program, each computation by XLA's analysis, loops multiplied out."""
    lowered = jax.jit(function).lower(*args)
    text = program.print_unoptimised(lowered)
    module = hlo.read(text)
    client = jax.devices()[0].client

    @functools.cache
    def once(computation: str) -> Figures:
        alone = _hlo.hlo_module_from_text(_entered(text, module.entry, computation))
        found = _jax.hlo_module_cost_analysis(client, alone)
        return found.get("flops", 0.0), found.get("bytes accessed", 0.0)

    @functools.cache
    def whole(computation: str) -> Figures:
        flops, moved = once(computation)
        body = module.computations[computation]
        for one in body.values():
            if one.opcode == "call":
                flops, moved = _plus(flops, moved, 1, once, whole, one.attribute("to_apply"))
            if one.opcode == "while":
                turns = trips(module, one, body)
                if turns is None:
                    raise ValueError("a loop whose turns are not known")
                for part in ("condition", "body"):
                    flops, moved = _plus(flops, moved, turns, once, whole, one.attribute(part))
        return flops, moved

    return whole(module.entry)


@contextlib.contextmanager
def random_written_out() -> Iterator[None]:
    """Inside, JAX's random bits are lowered for a CPU as for other devices, which is without a loop."""
    from jax._src.interpreters import mlir
    from jax._src.random import threefry2x32

    rules = mlir._platform_specific_lowerings["cpu"]
    bits = threefry2x32.threefry2x32_p
    looped = rules.pop(bits)
    try:
        yield
    finally:
        rules[bits] = looped


def _plus(flops, moved, turns, once, whole, part) -> Figures:
    """So many turns of a part, less the one that XLA has counted."""
    counted, true = once(part), whole(part)
    return flops + turns * true[0] - counted[0], moved + turns * true[1] - counted[1]


def _entered(text: str, entry: str, computation: str) -> str:
    """The module with another computation for its entry, without the tables of places."""
    text = re.sub(r"\AHloModule [^\n]*", "HloModule alone", text)
    text = re.sub(r"\n(?:FileNames|FunctionNames|FileLocations|StackFrames)\n(?:\d+ .*\n)*", "\n", text)
    text = re.sub(r", metadata=\{(?:[^}\"]|\"(?:[^\"\\]|\\.)*\")*\}", "", text)
    text = text.replace("\nENTRY ", "\n")
    if computation == entry:
        return re.sub(rf"^%?{re.escape(entry)} ", rf"ENTRY {entry} ", text, count=1, flags=re.MULTILINE)
    return re.sub(
        rf"^%?{re.escape(computation)} ", rf"ENTRY {computation} ", text, count=1, flags=re.MULTILINE
    )
