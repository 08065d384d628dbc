"""Hot lines: what a call of the compiled program spends its time on, by expression of the source.

An operation that XLA made of one expression was measured. Where it fused several into one, its time is
split among them by a model (arithmetic, elements written), and kept apart as such.
"""

from __future__ import annotations

import functools
import re
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxmagic.analysis import compiled, peaks, profile, program, texts
from jaxmagic.analysis.arrays import random_numbers
from jaxmagic.analysis.compiled import HOLDERS, Compiled
from jaxmagic.analysis.hlo import Instruction
from jaxmagic.analysis.kernels import ModuleMeter
from jaxmagic.analysis.owners import Owner, Owners
from jaxmagic.analysis.prices import price
from jaxmagic.analysis.program import Step
from jaxmagic.analysis.state import is_reference
from jaxmagic.results import Line, Span, Spot, Timing

CALLS = 5  # without the profiler, before it and after it
PROFILED = (3, 15)  # calls under it: at least and at most, as many as make no more records than
MANY_RECORDS = 200_000
LEAST = 50e-6  # seconds of a call: below, the profiler's own work counts
MOST_SLOWED = 1.5  # times, by the profiler
ONE_BY_ONE = {"xla_gpu_enable_command_buffer": ""}  # XLA's option: no operations are launched together
ATTEMPTS = 2  # for it may have been the machine that was slow
PATIENCE = 0.5  # seconds of calls without the profiler
# Additions that one application takes as long as, in XLA's fused loops on an x86 core (chains of 4 and of
# 12 applications, timed against additions; JAX 0.10.2). The model needs no more than their order.
TRANSCENDENTAL = 80.0
_SLOW = {"sqrt": 15.0, "rsqrt": 15.0, "divide": 10.0, "remainder": 10.0, "erf": 115.0, "tan": 380.0}
_SLOW |= {"power": 900.0, "atan2": 1900.0, "gather": 30.0}
_SLOW |= {"copy": 20.0, "transpose": 20.0}  # written to memory once more, mostly in another order

Lines = dict[tuple[str, int], float]
T = TypeVar("T")

_NAME = re.compile(r"HloModule ([^\s,]+)")


def measure(lowered: Any, done: Any, values: Sequence[Any], steps: Sequence[Step]) -> Timing:
    """What the calls of a compiled program spend their time on.

    Args:
        lowered: what JAX handed to XLA.
        done: the program that XLA compiled of it.
        values: its inputs; arrays that need not exist are drawn at random, references are copied.
        steps: the equations that it was made from.

    Raises:
        CannotTrace: when a profile is being taken already.
    """
    given = [_given(value) for value in values]
    platform = _platform(done(*given))
    before = _plain(done, given)
    if min(before) < LEAST:
        return Timing(seconds=min(before), withheld="a call is too short for the profiler (under 50 µs)")
    apart = _one_by_one(lowered) if platform == "gpu" else done
    text = program.print_compiled(apart)
    found = _NAME.search(text)
    record = functools.partial(
        profile.record, lambda: _wait(apart, given), module=found[1] if found else "", host=platform == "cpu"
    )
    for _ in range(ATTEMPTS):
        recording = _undisturbed(_recorded(record, min(before)))
        seconds = statistics.median(_faster(before + _plain(done, given), float))
        slowed = statistics.median(end - start for start, end in recording.calls) / 1e9 / seconds
        if slowed < MOST_SLOWED:
            break
    known = Timing(seconds=seconds, slowed=slowed)
    if slowed >= MOST_SLOWED:
        return replace(known, withheld=f"the profiler made the program {slowed:.1f} times slower")
    if not recording.events:
        return replace(known, withheld="the profile names none of its operations")
    return _shared_out(known, recording, text, steps)


def _shared_out(known: Timing, recording: profile.Recording, text: str, steps: Sequence[Step]) -> Timing:
    """What is known of the calls, with the shares that a recording gives."""
    ends = texts.ends(steps)
    read = compiled.read(text, lambda module: texts.frames_from(module, ends))
    wall = sum(end - start for start, end in recording.calls)
    spent = profile.sweep(recording, _holders(read))
    parts = _Parts(read, Owners(read, steps), {name: taken / wall for name, taken in spent.items()})
    return replace(
        known,
        calls=len(recording.calls),
        covered=min(sum(parts.shares.values()), 1.0),
        edges=profile.edges(recording) / wall,
        spots=tuple(sorted(_spots(parts), key=lambda spot: -spot.share)),
        inclusive=_inclusive(parts, texts.callers_from(read.module)),
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


def _platform(result: Any) -> str:
    """Where a program ran: "cpu", "gpu", "tpu"."""
    arrays = [leaf for leaf in jax.tree_util.tree_leaves(result) if isinstance(leaf, jax.Array)]
    device = next(iter(arrays[0].devices())) if arrays else peaks.device()
    return str(device.platform)


def _one_by_one(lowered: Any) -> Any:
    """The compiled program as a profile can name its operations.

    On a GPU XLA launches them together, as a CUDA graph, and a profile says no more than that; so it is
    compiled once more without.
    """
    try:
        return lowered.compile(compiler_options=ONE_BY_ONE)
    except jax.errors.JaxRuntimeError:  # an XLA that does not know the option
        return lowered.compile()


def _wait(run: Callable[..., Any], given: Sequence[Any]) -> None:
    jax.block_until_ready(run(*given))


def _plain(run: Callable[..., Any], given: Sequence[Any]) -> list[float]:
    """Seconds of a few calls without the profiler, the first left out."""
    _wait(run, given)
    found: list[float] = []
    while len(found) < CALLS and (not found or sum(found) < PATIENCE):
        started = time.perf_counter()
        _wait(run, given)
        found.append(time.perf_counter() - started)
    return found


def _recorded(record: Callable[..., profile.Recording], seconds: float) -> profile.Recording:
    """One call first, which tells how many records more of them would make."""
    pilot = record(calls=1)
    least, most = PROFILED
    wanted = min(most, max(least, int(PATIENCE / seconds)))
    more = min(wanted, MANY_RECORDS // max(pilot.records, 1))
    return record(calls=more) if more > 1 else pilot


def _undisturbed(recording: profile.Recording) -> profile.Recording:
    """The faster half of the calls: in the slower ones other programs took part."""
    kept = _faster(recording.calls, lambda call: call[1] - call[0])
    return replace(recording, calls=tuple(sorted(kept)))


def _faster(times: Iterable[T], seconds: Callable[[T], float]) -> list[T]:
    """The smaller half."""
    ordered = sorted(times, key=seconds)
    return ordered[: (len(ordered) + 1) // 2]


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


def _inclusive(parts: _Parts, callers: Callable[[int], Iterable[tuple[str, int]]]) -> Lines:
    """The shares by line, each with all that it calls."""
    lines: Lines = {}
    for name, share in parts.shares.items():
        for owner, weight in parts.weights(name).items():
            if isinstance(owner, Span):  # then where it stands, without its callers
                way: Iterable[tuple[str, int]] = ((owner.file, owner.line),)
            else:
                way = callers(owner) if owner else ()
            for line in set(way):
                lines[line] = lines.get(line, 0.0) + share * weight
    return lines


class _Parts:
    """The operations of a compiled program, their shares of a call, and what they are made of."""

    def __init__(self, read: Compiled, owners: Owners, shares: Mapping[str, float]) -> None:
        self.shares = shares
        self._read = read
        self._owners = owners
        self._units = {unit.instruction.name: unit for unit in read.units()}
        self._all = {name: one for body in read.module.computations.values() for name, one in body.items()}
        self._meter = ModuleMeter(read.module)

    def expressions(self, name: str) -> tuple[dict[Span | None, float], bool]:
        """The expressions that an operation's time goes to, and whether it is all of one, by its own word."""
        found: dict[Span | None, float] = {}
        for owner, weight in self.weights(name, self._span).items():
            found[owner] = found.get(owner, 0.0) + weight
        own = any(self._owners.says(one) for one in self._members(name))
        return found, len(found) == 1 and own

    def weights(self, name: str, key: Callable[[Owner], Any] | None = None) -> dict[Any, float]:
        """How an operation's time divides, by the model; the weights add up to 1.

        By the stack frame (or the expression, where only that is known) of what each of its members works
        for, or by the `key` of that.
        """
        key = key or _frame
        found: dict[Any, float] = {}
        for one in self._members(name):
            owners = self._owners.of(one.name)
            for owner in owners:
                where = key(owner)
                found[where] = found.get(where, 0.0) + self._work(one) / len(owners)
        whole = sum(found.values())
        return {where: work / whole for where, work in found.items()} if whole else {None: 1.0}

    def _span(self, owner: Owner) -> Span | None:
        return owner if isinstance(owner, Span) else self._read.span(owner)

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


def _frame(owner: Owner) -> int | Span:
    return owner if isinstance(owner, Span) else owner.frame
