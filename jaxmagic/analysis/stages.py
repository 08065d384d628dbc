"""The stages of a program as texts with links: the jaxpr at once, what is dear when it is asked for."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from jaxmagic.analysis import optimised, program, texts
from jaxmagic.analysis.explain import explained
from jaxmagic.analysis.pause import collection_paused
from jaxmagic.analysis.program import Walked
from jaxmagic.errors import CannotTrace
from jaxmagic.results import Equation, Lazy, Many, Stage
from jaxmagic.target import Target

# JAX lowers a program that shares programs that share programs … in time 2^depth: not this many.
# A use of a shared program is itself an equation, so that only nesting makes more uses than equations.
TOO_MANY = 100_000
MANY_USES = 4

# A program of more equations is printed when it is asked for, but for its first ones: as many as a page
# shows before one scrolls.
AT_ONCE = 4000
OPENING = 1500

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Listed:
    """The program as JAX prints it.

    Args:
        whole: all of it; of a long program printed when it is asked for.
        equations: its equations, likewise.
        opening: how a long program begins; None of another.
    """

    whole: Lazy[Stage]
    equations: Many[Equation]
    opening: Stage | None


def listed(jaxpr: Any, walked: Walked) -> Listed:
    """The program as JAX prints it; of a long one no more than its first rows yet."""
    printed = Lazy(lambda: _printed(functools.partial(program.print_jaxpr, jaxpr, walked)))
    whole = Lazy(lambda: _jaxpr_stage(printed.get(), walked))
    equations = Many(len(walked.steps), lambda: _equations(printed.get(), walked))
    opening = _opening(jaxpr, walked) if len(walked.steps) > AT_ONCE else None
    if opening is None:
        whole.get()
    return Listed(whole, equations, opening)


class _Printed(NamedTuple):
    text: str
    segments: list[program.Segment]
    seconds: float


def _printed(write: Callable[[], tuple[str, list[program.Segment]]]) -> _Printed:
    started = time.perf_counter()
    with collection_paused():
        text, segments = write()
    return _Printed(text, segments, time.perf_counter() - started)


def _opening(jaxpr: Any, walked: Walked) -> Stage | None:
    written = program.print_opening(jaxpr, walked, OPENING)
    return _jaxpr_stage(_printed(lambda: written), walked) if written is not None else None


def _jaxpr_stage(printed: _Printed, walked: Walked) -> Stage:
    with collection_paused():
        links = texts.link_jaxpr(printed.segments, walked.steps)
    return Stage(name="jaxpr", text=printed.text, links=links, seconds=printed.seconds)


def _equations(printed: _Printed, walked: Walked) -> list[Equation]:
    with collection_paused():
        told = texts.equation_texts(printed.text, printed.segments, walked.steps)
        return [
            Equation(
                primitive=step.equation.primitive.name,
                text=line,
                span=step.span,
                count=step.count,
                phase=step.phase,
            )
            for step, line in zip(walked.steps, told, strict=True)
        ]


def lower(traced: Any, walked: Walked, name: str) -> Any:
    """What JAX hands to XLA.

    Raises:
        CannotTrace: when JAX would not come to an end.
    """
    if explodes(walked):
        raise CannotTrace(
            f"`{name}` holds programs that share programs, level upon level: JAX would write out "
            f"{walked.visits:,} programs to lower it.",
            fix="Look at one of the inner functions, or write the repetition as `jax.lax.fori_loop`.",
        )
    return traced.lower()


def explodes(walked: Walked) -> bool:
    """Whether sharing is nested so deep that JAX, which lowers each use, would not come to an end."""
    return walked.visits > TOO_MANY and walked.visits > MANY_USES * len(walked.steps)


def stages(
    first: Lazy[Stage],
    lowered: Lazy[Any],
    ready: Lazy[tuple[Any, float]],
    walked: Walked,
    jaxpr: Any,
    inputs: Sequence[str],
    outputs: Sequence[str],
) -> dict[str, Lazy[Stage]]:
    """The stages; those that are dear hold what JAX lowered, for the device it was lowered for."""

    def optimised_stage() -> Stage:
        known = texts.ends(walked.steps)
        tell = functools.partial(
            optimised.tell, walked=walked, jaxpr=jaxpr, known=known, inputs=inputs, outputs=outputs
        )
        return _hlo(*ready.get(), known, tell)

    users = walked.users
    return {
        "jaxpr": first,
        "stablehlo": Lazy(lambda: _stablehlo(lowered.get(), users)),
        "hlo": Lazy(optimised_stage),
    }


def _stablehlo(lowered: Any, users: frozenset[str]) -> Stage:
    started = time.perf_counter()
    with collection_paused():
        text, links = texts.link_stablehlo(program.print_stablehlo(lowered), users)
    return Stage(name="stablehlo", text=text, links=links, seconds=time.perf_counter() - started)


def later(target: Target, make: Callable[[], T]) -> Lazy[T]:
    """What is made later; what JAX says against it comes out explained then too."""
    named = Target(function=make, name=target.name, labels=target.labels)  # no inputs are held

    def load() -> T:
        with explained(named):
            return make()

    return Lazy(load)


def compiled_and_timed(lowered: Any) -> tuple[Any, float]:
    """The compiled program, and the seconds that it took."""
    started = time.perf_counter()
    done = lowered.compile()
    return done, time.perf_counter() - started


def _hlo(compiled: Any, seconds: float, known: texts.Ends, tell: Callable[[Any], optimised.Told]) -> Stage:
    with collection_paused():
        text, links = texts.link_hlo(program.print_optimised(compiled), known)
        told = tell(compiled)
    return Stage(
        name="hlo",
        text=text,
        links=links,
        seconds=seconds,
        memory=told.memory,
        notes=told.notes,
        made=told.made,
    )
