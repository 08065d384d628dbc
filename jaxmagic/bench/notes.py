"""What would surprise about a race, one small function a note."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jaxmagic.bench import statistics
from jaxmagic.bench.contenders import Side
from jaxmagic.results import Benchmark, Note

Maker = Callable[[Benchmark, Mapping[str, Side]], str]

# Seconds: what the call of an empty jitted function costs at least, twice over.
DISPATCH = 12e-6


def notes(result: Benchmark, sides: Mapping[str, Side]) -> tuple[Note, ...]:
    """Every note that applies."""
    said = ((kind, make(result, sides)) for kind, make in _MAKERS.items())
    return tuple(Note(kind=kind, text=text) for kind, text in said if text)


def _interrupted(result: Benchmark, sides: Mapping[str, Side]) -> str:
    return "Interrupted: the figures are what was measured so far." if result.interrupted else ""


def _random(result: Benchmark, sides: Mapping[str, Side]) -> str:
    if not result.agreement.where.startswith("the results are random"):
        return ""
    return "The results are random, so whether the sides compute the same was not checked."


def _dispatch(result: Benchmark, sides: Mapping[str, Side]) -> str:
    jit = result.contenders.get("jax.jit")
    if jit is None or jit.typical is None or jit.typical > DISPATCH:
        return ""
    return "Under jit most of the time is the cost of the call itself: a bigger input would tell more."


def _captured(result: Benchmark, sides: Mapping[str, Side]) -> str:
    names = list(dict.fromkeys(name for side in sides.values() for name in side.captured))
    if not names:
        return ""
    listed = ", ".join(f"`{name}`" for name in names)
    return (
        f"{listed} came from outside the function and went in as arguments, so that XLA cannot fold them in."
    )


def _busy(result: Benchmark, sides: Mapping[str, Side]) -> str:
    others: Any = result.conditions.get("busy cores of others")
    if others is None or others < 0.2:
        return ""
    return f"Something else kept {others:.1f} of {result.conditions['cores']} cores busy meanwhile."


def _unsteady(result: Benchmark, sides: Mapping[str, Side]) -> str:
    found = {name: statistics.unsteadiness(side.seconds) or 0.0 for name, side in result.contenders.items()}
    name = max(found, key=lambda name: found[name], default="")
    if not name or found[name] < 0.1:
        return ""
    return f"The batches of `{name}` differ by {found[name]:.0%}: the machine was not steady."


def _once(result: Benchmark, sides: Mapping[str, Side]) -> str:
    names = [name for name, side in result.contenders.items() if sum(map(len, side.seconds)) == 1]
    listed = ", ".join(f"`{name}`" for name in names)
    return f"{listed} was timed once only: a longer `--budget` gives an interval." if names else ""


_MAKERS: dict[str, Maker] = {
    "interrupted": _interrupted,
    "random results": _random,
    "dispatch-bound": _dispatch,
    "captured array": _captured,
    "machine busy": _busy,
    "unsteady": _unsteady,
    "timed once": _once,
}
