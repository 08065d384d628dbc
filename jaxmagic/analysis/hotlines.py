"""Hot lines: what a call of the compiled program spends its time on, by expression of the source.

An operation that XLA made of one expression was measured. Where it fused several into one, its time is
split among them by a model (arithmetic, elements written), and kept apart as such.
"""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmagic.analysis import compiled, profile, program, texts
from jaxmagic.analysis.arrays import random_numbers
from jaxmagic.analysis.compiled import HOLDERS, Compiled
from jaxmagic.analysis.hlo import Instruction
from jaxmagic.analysis.kernels import ModuleMeter
from jaxmagic.analysis.prices import price
from jaxmagic.analysis.program import Step
from jaxmagic.analysis.state import is_reference
from jaxmagic.results import Line, Span, Spot, Timing

CALLS = 5  # profiled, where they make no more records than
MANY_RECORDS = 200_000
LEAST = 50e-6  # seconds of a call: below, the profiler's own work counts
MOST_SLOWED = 1.5  # times, by the profiler
PATIENCE = 0.5  # seconds of calls without the profiler
# Additions that one application takes as long as, in XLA's fused loops on an x86 core (chains of 4 and of
# 12 applications, timed against additions; JAX 0.10.2). The model needs no more than their order.
TRANSCENDENTAL = 80.0
_SLOW = {"sqrt": 15.0, "rsqrt": 15.0, "divide": 10.0, "remainder": 10.0, "erf": 115.0, "tan": 380.0}
_SLOW |= {"power": 900.0, "atan2": 1900.0}

Lines = dict[tuple[str, int], float]

_NAME = re.compile(r"HloModule ([^\s,]+)")


def measure(done: Any, values: Sequence[Any], steps: Sequence[Step]) -> Timing:
    """What the calls of a compiled program spend their time on.

    Args:
        done: JAX's compiled program.
        values: its inputs; arrays that need not exist are drawn at random, references are copied.
        steps: the equations that it was made from.

    Raises:
        CannotTrace: when a profile is being taken already.
    """
    given = [_given(value) for value in values]

    def call() -> None:
        jax.block_until_ready(done(*given))

    before = _plain(call)
    if min(before) < LEAST:
        return Timing(seconds=min(before), withheld="a call is too short for the profiler (under 50 µs)")
    text = program.print_compiled(done)
    found = _NAME.search(text)
    recording = _recorded(call, found[1] if found else "")
    seconds = statistics.median(before + _plain(call))
    slowed = statistics.median(end - start for start, end in recording.calls) / 1e9 / seconds
    if slowed >= MOST_SLOWED:
        return Timing(
            seconds=seconds,
            slowed=slowed,
            withheld=f"the profiler made the program {slowed:.1f} times slower",
        )
    ends = texts.ends(steps)
    read = compiled.read(text, lambda module: texts.frames_from(module, ends))
    callers = texts.callers_from(read.module)
    wall = sum(end - start for start, end in recording.calls)
    spent = profile.sweep(recording, _holders(read))
    parts = _Parts(
        read, _lost(read, steps), {name: nanoseconds / wall for name, nanoseconds in spent.items()}
    )
    return Timing(
        seconds=seconds,
        slowed=slowed,
        calls=len(recording.calls),
        covered=min(sum(parts.shares.values()), 1.0),
        spots=tuple(sorted(_spots(parts), key=lambda spot: -spot.share)),
        inclusive=_inclusive(parts, callers),
    )


def timed(lines: Sequence[Line], timing: Timing | None) -> tuple[Line, ...]:
    """Lines with the seconds that each takes by itself; None where no shares are known."""
    if timing is None or timing.seconds is None or timing.withheld:
        return tuple(lines)
    taken: Lines = {}
    for spot in timing.spots:
        if spot.span is not None:
            at = (spot.span.file, spot.span.line)
            taken[at] = taken.get(at, 0.0) + spot.share * timing.seconds
    return tuple(replace(line, seconds=taken.get((line.file, line.line), 0.0)) for line in lines)


# -- running it ------------------------------------------------------------------------------------


def _given(value: Any) -> Any:
    """An input to run with: nothing of the user's that a call could change."""
    if is_reference(value):
        return jax.new_ref(jnp.array(value[...]))
    if not isinstance(value, jax.ShapeDtypeStruct):
        return value
    if jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        key = jax.random.key(0)
        return jax.random.split(key, value.shape) if value.shape else key
    return jnp.asarray(random_numbers(np.random.default_rng(0), value.dtype, value.shape))


def _plain(call: Callable[[], None]) -> list[float]:
    """Seconds of a few calls without the profiler, the first left out."""
    call()
    found: list[float] = []
    while len(found) < CALLS and (not found or sum(found) < PATIENCE):
        started = time.perf_counter()
        call()
        found.append(time.perf_counter() - started)
    return found


def _recorded(call: Callable[[], None], module: str) -> profile.Recording:
    """One call first, which tells how many records more of them would make."""
    pilot = profile.record(call, 1, module)
    more = min(CALLS, MANY_RECORDS // max(pilot.records, 1))
    return profile.record(call, more, module) if more > 1 else pilot


# -- from operations to expressions ----------------------------------------------------------------


def _holders(read: Compiled) -> frozenset[str]:
    """The operations that only run others."""
    return frozenset(
        name
        for body in read.module.computations.values()
        for name, one in body.items()
        if one.opcode in HOLDERS
    )


def _spots(parts: _Parts) -> Iterator[Spot]:
    """The shares by expression; what has no source of the user's by the operation's name."""
    found: dict[Any, tuple[float, float]] = {}
    for name, share in parts.shares.items():
        weights, alone = parts.expressions(name)
        for span, weight in weights.items():
            measured, split = found.get(span or name, (0.0, 0.0))
            found[span or name] = (measured + share * alone, split + share * weight * (not alone))
    for where, (measured, split) in found.items():
        named = isinstance(where, str)
        yield Spot(span=None if named else where, name=where if named else "", measured=measured, split=split)


# What XLA writes anew without its source, by the primitives that it is made of.
_REWRITTEN: Mapping[str, tuple[str, ...]] = {
    "reduce-window": ("cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp", "reduce_window"),
    "convolution": ("conv_general_dilated",),
    "dot": ("dot_general",),
    "sort": ("sort", "top_k"),
    "scatter": ("scatter",),
    "gather": ("gather",),
    "fft": ("fft",),
}


def _lost(read: Compiled, steps: Sequence[Step]) -> dict[str, tuple[Span, ...]]:
    """The expressions behind operations that name none, by elimination.

    An expression that asks for a sort, say, and that no sort of the compiled program names, is where one
    without a name came from.
    """
    named = {
        (one.opcode, read.span(one)) for body in read.module.computations.values() for one in body.values()
    }
    return {
        opcode: tuple(
            dict.fromkeys(
                step.span
                for step in steps
                if step.span is not None
                and step.equation.primitive.name.startswith(primitives)
                and (opcode, step.span) not in named
            )
        )
        for opcode, primitives in _REWRITTEN.items()
    }


def _inclusive(parts: _Parts, callers: Callable[[int], Iterable[tuple[str, int]]]) -> Lines:
    """The shares by line, each with all that it calls."""
    lines: Lines = {}
    for name, share in parts.shares.items():
        frames = parts.weights(name, lambda one: one.frame or None)
        ways = [(callers(frame), weight) for frame, weight in frames.items() if frame]
        if not ways:  # then where it stands, without its callers
            guessed = parts.expressions(name)[0].items()
            ways = [(((span.file, span.line),), weight) for span, weight in guessed if span]
        for way, weight in ways:
            for line in set(way):
                lines[line] = lines.get(line, 0.0) + share * weight
    return lines


class _Parts:
    """The operations of a compiled program, their shares of a call, and what they are made of."""

    def __init__(
        self, read: Compiled, lost: Mapping[str, Sequence[Span]], shares: Mapping[str, float]
    ) -> None:
        self.shares = shares
        self.span = read.span
        self.lost = lost
        self._units = {unit.instruction.name: unit for unit in read.units()}
        self._all = {name: one for body in read.module.computations.values() for name, one in body.items()}
        self._meter = ModuleMeter(read.module)

    def expressions(self, name: str) -> tuple[dict[Any, float], bool]:
        """The expressions that an operation's time goes to, and whether it is all of one, by its own word."""
        weights = self.weights(name, self.span)
        if weights != {None: 1.0}:
            return weights, len(weights) == 1
        guessed = [span for one in self._members(name) for span in self.lost.get(one.opcode, ())]
        return {span: 1 / len(guessed) for span in guessed} or weights, not guessed

    def weights(self, name: str, key: Callable[[Instruction], Any]) -> dict[Any, float]:
        """How an operation's time divides among expressions, by the model; the weights add up to 1.

        What XLA added to a fusion (no source) goes with the rest of it.
        """
        found: dict[Any, float] = {}
        for one in self._members(name):
            where = key(one)
            found[where] = found.get(where, 0.0) + self._work(one)
        known = {where: work for where, work in found.items() if where is not None} or {None: 1.0}
        whole = sum(known.values())
        return {where: work / whole for where, work in known.items()}

    def _members(self, name: str) -> tuple[Instruction, ...]:
        unit, alone = self._units.get(name), self._all.get(name)
        if unit is not None:
            return unit.working or (unit.instruction,)
        return (alone,) if alone is not None else ()

    def _work(self, one: Instruction) -> float:
        """What an instruction does, in additions of one element."""
        if one.opcode in _SLOW:
            return _SLOW[one.opcode] * one.type.elements
        operands = [self._all[name].type for name in one.operands if name in self._all]
        cost = price(self._meter, one, operands, None)
        return (
            (cost.flops or 0.0) + TRANSCENDENTAL * (cost.transcendentals or 0.0) + max(one.type.elements, 1)
        )
