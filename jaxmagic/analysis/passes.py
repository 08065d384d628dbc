"""The passes of a gradient: which operation belongs to which, and what the forward pass keeps."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jaxmagic.analysis import program
from jaxmagic.analysis.costs import PhaseOf
from jaxmagic.analysis.program import Step, Walked
from jaxmagic.results import Phase, Span


def has_passes(steps: Sequence[Step]) -> bool:
    """Whether a program holds more than a forward pass."""
    return any(step.phase != "forward" for step in steps)


def reader(steps: Sequence[Step]) -> PhaseOf:
    """From an operation's name in HLO, its place and its caller's phase to its own phase.

    Names are text, into which a user's own `named_scope("transpose(x)")` goes as it is: only a phase
    that an equation of that place has is believed.
    """
    phases: dict[Span | None, dict[Phase, None]] = {}
    for step in steps:
        phases.setdefault(step.span, {})[step.phase] = None

    def phase_of(name: str, span: Span | None, outer: Phase) -> Phase:
        told = _named(name)
        if outer == "recomputed" or told == "forward":
            told = outer
        known = phases.get(span, {told: None})
        return told if told in known else next(iter(known))

    return phase_of


@functools.lru_cache(maxsize=4096)
def _named(name: str) -> Phase:
    scopes = name.split("/")
    if "rematted_computation" in scopes:
        return "recomputed"
    return "backward" if any(scope.startswith("transpose(") for scope in scopes) else "forward"


# -- residuals -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Made:
    """The equation that made a value, where it was first made."""

    value: Any
    equation: Any


def kept(walked: Walked) -> dict[Span | None, int]:
    """Bytes that the forward pass keeps for the backward pass, by the expression that made them.

    What a forward equation made and a later pass uses; inputs and constants are there anyway. Each
    array counts once, at its full size (stacked over the turns of a loop).
    """
    steps = {id(step.equation): step for step in walked.steps}
    sizes: dict[Span | None, int] = {}
    for inner in walked.programs:
        for made, size in _residuals(inner, steps):
            span = steps[id(made.equation)].span
            sizes[span] = sizes.get(span, 0) + size
    return sizes


def _residuals(jaxpr: Any, steps: Mapping[int, Step]) -> Iterator[tuple[_Made, int]]:
    """What is made forward and used later, of one program's own equations."""
    makers = {id(value): equation for equation in jaxpr.eqns for value in equation.outvars}
    seen: set[int] = set()
    for equation in jaxpr.eqns:
        if steps[id(equation)].phase == "forward":
            continue
        for value in equation.invars:
            maker = makers.get(id(value))
            if maker is None or steps[id(maker)].phase != "forward":
                continue
            made = _origin(value, makers)
            size = program.bytes_of(value.aval)
            if made is not None and size and id(made.value) not in seen:
                seen.add(id(made.value))
                yield made, size


def _origin(value: Any, makers: Mapping[int, Any]) -> _Made | None:
    """Who made a value: inside jitted functions and loops too; None for what is only handed through."""
    equation = makers.get(id(value))
    if equation is None:
        return None
    inner = [program.opened(one) for one, _ in program.inner_programs(equation)]
    place = next(i for i, one in enumerate(equation.outvars) if one is value)
    if len(inner) != 1 or len(inner[0].outvars) != len(equation.outvars):
        return _Made(value, equation)
    out = inner[0].outvars[place]
    if any(out is one for one in inner[0].invars):
        return _handed(equation, inner[0], out, makers)
    inside = {id(one): each for each in inner[0].eqns for one in each.outvars}
    return _origin(out, inside) or _Made(value, equation)


def _handed(equation: Any, inner: Any, out: Any, makers: Mapping[int, Any]) -> _Made | None:
    """The maker of what an inner program hands through; a loop's slices are made by the loop."""
    if len(inner.invars) != len(equation.invars) or equation.primitive.name in ("scan", "while"):
        return _Made(out, equation)
    at = next(i for i, one in enumerate(inner.invars) if one is out)
    return _origin(equation.invars[at], makers)
