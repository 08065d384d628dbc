"""Where a derivative went wrong: the expression that made it nan or infinite, or that made it zero.

The program is traced flat (jit, scan and loops taken apart), run equation by equation on the user's
own numbers, and followed back from the bad result to the equation where good numbers went in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import jax
import numpy as np

from jaxmagic.analysis import program, sources
from jaxmagic.analysis.repeat import repeating
from jaxmagic.results import Span

T = TypeVar("T")

MOST_EQUATIONS = 20_000  # of a flat program; a longer one is not followed
MOST_NUMBERS = 50_000_000  # held at the same time

# Equations that pass no derivative on, and why.
FLAT = {
    "round": "rounding is flat between its steps",
    "floor": "rounding is flat between its steps",
    "ceil": "rounding is flat between its steps",
    "sign": "a sign is flat on both sides of 0",
    "argmax": "a position does not change under small changes",
    "argmin": "a position does not change under small changes",
    "stop_gradient": "it stops the gradient on purpose",
    **dict.fromkeys(
        ("eq", "ne", "lt", "le", "gt", "ge", "is_finite"), "a comparison is flat but for its jump"
    ),
    "convert_element_type": "a cast to whole numbers is flat between its steps",
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Slot:
    """A value and the event that made it (None for inputs and constants)."""

    value: Any
    maker: Event | None = None
    leaf: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Event:
    """One equation that ran."""

    primitive: str
    inputs: tuple[Slot, ...]
    span: Span | None
    backward: bool
    outputs: list[Slot] = field(default_factory=list, repr=False)

    @property
    def expression(self) -> str:
        """The user's expression, "" where unknown."""
        return " ".join(sources.expression(self.span).split()) if self.span else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A program that ran: its events in order, and its outputs."""

    events: tuple[Event, ...]
    outputs: tuple[Slot, ...]


def record(function: Callable[..., Any], points: Sequence[Any]) -> Recording | None:
    """Run a function equation by equation; None where it is too large for that.

    Raises:
        CannotRepeatError: where it cannot be traced, or an equation cannot run by itself.
    """
    with repeating(), jax.disable_jit():
        closed = jax.make_jaxpr(function)(*points)
    equations = [equation for inner in program.every_program(closed) for equation in inner.eqns]
    numbers = sum(np.prod(getattr(out.aval, "shape", ())) for eqn in equations for out in eqn.outvars)
    if len(equations) > MOST_EQUATIONS or numbers > MOST_NUMBERS:
        return None
    player = _Player()
    inputs = [Slot(value=value, leaf=i) for i, value in enumerate(jax.tree_util.tree_leaves(list(points)))]
    with np.errstate(all="ignore"):
        outputs = player.play(closed, inputs, backward=False, span=None)
    return Recording(events=tuple(player.events), outputs=tuple(outputs))


class _Player:
    """Runs programs and keeps what happened."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._places = program.Places()

    def play(self, closed: Any, inputs: Sequence[Slot], *, backward: bool, span: Span | None) -> list[Slot]:
        """Run a program on these inputs; `span` is where it was called from."""
        jaxpr = program.opened(closed)
        consts = [Slot(value=value) for value in getattr(closed, "consts", ())]
        known = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *inputs], strict=True))

        def read(atom: Any) -> Slot:
            return Slot(value=atom.val) if hasattr(atom, "val") else known[atom]

        for equation in jaxpr.eqns:
            made = self._run(
                equation, [read(atom) for atom in equation.invars], backward=backward, outer=span
            )
            known |= zip(equation.outvars, made, strict=True)
        return [read(atom) for atom in jaxpr.outvars]

    def _run(self, equation: Any, inputs: list[Slot], *, backward: bool, outer: Span | None) -> list[Slot]:
        span = self._places.span(equation.source_info.traceback) or outer
        backward = backward or "transpose(" in str(equation.source_info.name_stack)
        inner = called(equation, inputs, inputs[0].value if inputs else None)
        if inner is not None:
            return self.play(*inner, backward=backward, span=span)
        name = equation.primitive.name
        params = equation.primitive.get_bind_params(equation.params)
        with repeating():
            made = equation.primitive.bind(*[slot.value for slot in inputs], **params)
        event = Event(primitive=name, inputs=tuple(inputs), span=span, backward=backward)
        many = made if equation.primitive.multiple_results else [made]
        event.outputs.extend(Slot(value=value, maker=event) for value in many)
        self.events.append(event)
        return event.outputs


def called(equation: Any, inputs: list[T], index: Any) -> tuple[Any, list[T]] | None:
    """The program inside an equation that only calls it, and what goes in; `index` chooses a branch."""
    params = equation.params
    if equation.primitive.name == "cond":
        return params["branches"][int(np.clip(index, 0, len(params["branches"]) - 1))], inputs[1:]
    for key in ("jaxpr", "call_jaxpr", "fun_jaxpr"):
        inside = params.get(key)
        looped = equation.primitive.name in ("scan", "while")
        if inside is not None and not looped and len(program.opened(inside).invars) == len(inputs):
            return inside, inputs
    return None


# -- what is not a number -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Culprit:
    """What made a result nan or infinite.

    Args:
        event: the equation where finite numbers went in; None when an input was bad itself.
        leaf: that input.
        trap: a `jnp.where` did not choose it, and 0 × inf came out nevertheless.
        backward: it was made on the way back: the function itself is fine.
        primitive: the forward operation at that place ("sqrt").
    """

    event: Event | None
    leaf: int | None
    trap: bool
    backward: bool
    primitive: str


def culprit(recording: Recording, values: int) -> Culprit | None:
    """Follow the first bad output back.

    Args:
        recording: of a function that returns its values, then its derivatives.
        values: how many outputs are values.
    """
    bad = next((slot for slot in recording.outputs if _has(slot, np.isnan)), None)
    bad = bad or next((slot for slot in recording.outputs if _has(slot, np.isinf)), None)
    if bad is None:
        return None
    forward = any(_has(slot, _not_finite) for slot in recording.outputs[:values])
    maker = _follow(bad, np.isnan) if _has(bad, np.isnan) else bad
    source = maker
    if maker.maker is not None:
        infinite = [slot for slot in maker.maker.inputs if _has(slot, np.isinf)]
        source = _follow(infinite[0], np.isinf) if infinite else maker
        if source is bad and _has(bad, np.isinf):
            source = _follow(bad, np.isinf)
    trap = not forward and maker.maker is not None and any(_masked(slot) for slot in maker.maker.inputs)
    event = source.maker
    return Culprit(
        event=event,
        leaf=source.leaf,
        trap=trap,
        backward=not forward,
        primitive=_operation(recording, event) if event else "",
    )


def _has(slot: Slot, test: Callable[[Any], Any]) -> bool:
    value = np.asarray(slot.value) if not _opaque(slot.value) else np.zeros(())
    if value.dtype.kind not in "fcV":
        return False
    return bool(np.any(test(value.astype(np.float64) if value.dtype.kind == "V" else value)))


def _opaque(value: Any) -> bool:
    return jax.numpy.issubdtype(getattr(value, "dtype", np.float32), jax.dtypes.extended)


def _not_finite(value: Any) -> Any:
    return ~np.isfinite(value)


def _follow(slot: Slot, test: Callable[[Any], Any]) -> Slot:
    """Back through bad inputs to where the badness began."""
    while slot.maker is not None:
        bad = [before for before in slot.maker.inputs if _has(before, test)]
        if not bad:
            return slot
        slot = bad[0]
    return slot


def _masked(slot: Slot) -> bool:
    """Whether zeros in it come from a `jnp.where` that did not choose."""
    seen: set[int] = set()
    waiting = [slot]
    while waiting:
        event = waiting.pop().maker
        if event is None or id(event) in seen or not event.backward:
            continue
        seen.add(id(event))
        if event.primitive == "select_n":
            return True
        waiting += [before for before in event.inputs if _has(before, lambda value: value == 0)]
    return False


# Operations with a cause of their own, the most telling first.
_KNOWN = (
    *("asin", "acos", "atanh", "acosh", "log", "log1p", "pow"),
    *("cbrt", "sqrt", "rsqrt", "exp", "div", "integer_pow"),
)


def _operation(recording: Recording, event: Event) -> str:
    """The forward operation of the expression that an equation belongs to."""
    here = [e.primitive for e in recording.events if e.span == event.span and not e.backward]
    found = [name for name in _KNOWN if name in here]
    return event.primitive if event.primitive in _KNOWN and not found else (found or [event.primitive])[0]


# -- what is zero ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Why a derivative is zero: `uses` whether the input matters at all, `events` what is flat."""

    uses: bool
    events: tuple[Event, ...]


def block(recording: Recording, leaf: int) -> Block:
    """What stands between an input and the outputs."""
    touched: set[int] = set()
    through: set[int] = set()
    flat: list[Event] = []
    for event in recording.events:
        if any(slot.leaf == leaf or id(slot) in touched for slot in event.inputs):
            touched |= {id(slot) for slot in event.outputs}
            open_path = any(slot.leaf == leaf or id(slot) in through for slot in event.inputs)
            if open_path and _is_flat(event):
                flat.append(event)
            elif open_path:
                through |= {id(slot) for slot in event.outputs}
    uses = any(id(slot) in touched or slot.leaf == leaf for slot in recording.outputs)
    passes = any(id(slot) in through or slot.leaf == leaf for slot in recording.outputs)
    return Block(uses=uses, events=() if passes else tuple(_distinct(flat)))


def _is_flat(event: Event) -> bool:
    if event.primitive == "convert_element_type":
        return not jax.numpy.issubdtype(event.outputs[0].value.dtype, jax.numpy.inexact)
    return event.primitive in FLAT


def _distinct(events: Sequence[Event]) -> Iterator[Event]:
    yield from {(event.span, FLAT[event.primitive]): event for event in events}.values()
