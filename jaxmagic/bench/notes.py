"""What would surprise about a race, one small function a note."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import jax

from jaxmagic.bench import statistics
from jaxmagic.bench.contenders import Program, Side
from jaxmagic.results import Benchmark, Contender, Note

Sides = Mapping[str, Side]

# Begins the names of the conditions that say how many cores a side had while it ran. Where others are
# busy, and a side had less than so much of a core or its batches differ by more than that, no low
# quantile helps: ratios of 1.5 came out as 25.
CORES_OF = "cores of "
STARVED = 0.75
SHAKEN = 0.25

# Above these a note is due: the share of the call that is dispatch, cores of others, the spread of
# the batches, the share of the samples that does not count, bytes folded in, and the share of a call that
# moving the inputs would add.
DISPATCH = 0.4
BUSY = 0.2
UNSTEADY = 0.1
MANY_LEFT_OUT = 0.02
FOLDED = 1_000_000
TRANSFER = 0.2


def notes(result: Benchmark, sides: Sides) -> tuple[Note, ...]:
    """Every note that applies."""
    said = [(kind, make(result)) for kind, make in _OF_RESULT.items()]
    said += [("captured array", _captured(sides)), ("moves inputs", _moves(result, sides))]
    said += [(kind, make(it)) for it in _programs(result, sides) for kind, make in _OF_PROGRAM.items()]
    return tuple(Note(kind=kind, text=text) for kind, text in said if text)


def _programs(result: Benchmark, sides: Sides) -> Iterator[_Compiled]:
    for name, side in sides.items():
        typical = result.contenders[name].typical
        if side.program is not None and typical is not None:
            yield _Compiled(name=_name(result, name), program=side.program, typical=typical)


# -- about the race -------------------------------------------------------------------------------


def _interrupted(result: Benchmark) -> str:
    return "Interrupted: the figures are what was measured so far." if result.interrupted else ""


def _busy(result: Benchmark) -> str:
    others, cores = result.conditions["busy cores of others"], result.conditions["cores"]
    if others is None or others < BUSY:
        return ""
    return f"Other processes kept {others:.1f} of {cores} cores busy meanwhile."


def _disturbed(result: Benchmark) -> str:
    parts = [
        f"{_count(side.left_out):,} of {_count(side.left_out + side.seconds):,} of {_name(result, name)}"
        for name, side in result.contenders.items()
        if _left_out(side) >= MANY_LEFT_OUT
    ]
    if not parts:
        return ""
    return f"Samples during which the system gave the core to others do not count: {_listed(parts)}."


def _left_out(side: Contender) -> float:
    """The share of a side's samples that does not count."""
    return _count(side.left_out) / max(_count(side.left_out + side.seconds), 1)


def _count(batches: Sequence[Sequence[float]]) -> int:
    return sum(map(len, batches))


def _name(result: Benchmark, name: str) -> str:
    """What a side is called in a sentence: a user's own name as code."""
    return f"`{name}`" if result.labelled else result.called(name)


def _too_busy(result: Benchmark) -> str:
    """Why the ratio of the sides cannot be trusted, from what was measured."""
    if not (_busy(result) and result.device.startswith("cpu")):
        return ""
    had = [(result.conditions.get(CORES_OF + name), name) for name in result.contenders]
    least, starved = min(((cores, name) for cores, name in had if cores is not None), default=(1.0, ""))
    if least < STARVED:
        return (
            f"{_name(result, starved)} had {100 * least:.0f} % of a core while it ran: others took the rest."
        )
    name, differ = _least_steady(result)
    return (
        f"The batches of {_name(result, name)} differ by {100 * differ:.0f} % meanwhile."
        if differ >= SHAKEN
        else ""
    )


def _unsteady(result: Benchmark) -> str:
    name, differ = _least_steady(result)
    if differ < UNSTEADY or _too_busy(result):
        return ""
    return f"The batches of {_name(result, name)} differ by {100 * differ:.0f} %: the machine was not steady."


def _least_steady(result: Benchmark) -> tuple[str, float]:
    """The side whose batches differ most, and by how much."""
    found = {name: statistics.unsteadiness(side.seconds) or 0.0 for name, side in result.contenders.items()}
    name = max(found, key=lambda name: found[name], default="")
    return name, found.get(name, 0.0)


def _once(result: Benchmark) -> str:
    names = [
        _name(result, name) for name, side in result.contenders.items() if sum(map(len, side.seconds)) == 1
    ]
    if not names:
        return ""
    were = "was" if len(names) == 1 else "were"
    return f"{_listed(names)} {were} timed once only: a longer `--budget` gives an interval."


def _threads(result: Benchmark) -> str:
    numpy, jax_threads = result.conditions["numpy threads"], result.conditions["jax threads"]
    if numpy == jax_threads or not result.device.startswith("cpu"):
        return ""
    return f"NumPy's linear algebra has {numpy} threads and JAX {jax_threads}."


def _precision(result: Benchmark) -> str:
    if not result.conditions["64 bits"] or jax.config.read("jax_enable_x64"):
        return ""
    return (
        "All sides computed with 64 bits, as NumPy does. In your session JAX computes with 32 "
        "unless `jax_enable_x64` is set."
    )


def _captured(sides: Sides) -> str:
    # A port's own functions call the same arrays otherwise: what the user's code calls them counts.
    named = [sides["numpy"]] if "numpy" in sides and sides["numpy"].captured else sides.values()
    names = list(dict.fromkeys(f"`{name}`" for side in named for name in side.captured))
    if not names:
        return ""
    went = "was passed as an argument" if len(names) == 1 else "were passed as arguments"
    return f"{_listed(names)} came from outside the function and {went}, so that XLA cannot fold it in."


def _moves(result: Benchmark, sides: Sides) -> str:
    names = [_name(result, name) for name, side in sides.items() if side.moves]
    if not names:
        return ""
    take = "takes" if len(names) == 1 else "take"
    return f"{_listed(names)} {take} NumPy arrays to JAX in each call: give JAX arrays to leave that out."


def _listed(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)


# -- about a compiled program ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Compiled:
    """A contender's program, and what a call of it takes."""

    name: str
    program: Program
    typical: float


def _constant(it: _Compiled) -> str:
    if not it.program.constant:
        return ""
    return "The result does not depend on the inputs, so XLA has nothing to compute in a call."


def _folded(it: _Compiled) -> str:
    if it.program.folded < FOLDED:
        return ""
    megabytes = f"{it.program.folded / 1e6:.3g} MB"
    return f"{it.name} holds {megabytes} of constants, with which XLA may have computed ahead of time."


def _dispatch(it: _Compiled) -> str:
    floor = it.program.floor
    if floor is None or floor < DISPATCH * it.typical:
        return ""
    both = f"{floor * 1e6:.2g} µs here, and this one {it.typical * 1e6:.2g} µs"
    return f"Calling any compiled function takes {both}: larger inputs would tell more."


def _products(it: _Compiled) -> str:
    if not it.program.products:
        return ""
    return (
        f"{it.program.device} multiplies float32 matrices as {it.program.products} unless it is told "
        '`jax.default_matmul_precision("highest")`: that is faster, and off by more than rounding.'
    )


def _transfer(it: _Compiled) -> str:
    seconds = it.program.transfer
    if seconds is None or seconds < TRANSFER * it.typical:
        return ""
    moving = f"Moving the inputs to {it.program.device} takes {seconds * 1e3:.3g} ms"
    both = f"{(seconds + it.typical) * 1e3:.3g} ms"
    return f"{moving}, which is not in these times: moved each time, a call of {it.name} takes {both}."


_OF_RESULT: dict[str, Callable[[Benchmark], str]] = {
    "interrupted": _interrupted,
    "machine busy": _busy,
    "disturbed samples": _disturbed,
    "too busy": _too_busy,
    "unsteady": _unsteady,
    "timed once": _once,
    "threads": _threads,
    "precision": _precision,
}
_OF_PROGRAM: dict[str, Callable[[_Compiled], str]] = {
    "constant result": _constant,
    "folded constants": _folded,
    "dispatch-bound": _dispatch,
    "transfer": _transfer,
    "short products": _products,
}
