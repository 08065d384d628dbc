"""The stages of a program as texts with links: the jaxpr at once, what is dear when it is asked for."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from jaxmagic.analysis import optimised, program, texts
from jaxmagic.analysis.explain import explained
from jaxmagic.analysis.pause import collection_paused
from jaxmagic.analysis.program import Walked
from jaxmagic.errors import CannotTrace
from jaxmagic.results import Equation, Lazy, Stage
from jaxmagic.target import Target

# JAX lowers a program that shares programs that share programs … in time 2^depth: not this many.
# A use of a shared program is itself an equation, so that only nesting makes more uses than equations.
TOO_MANY = 100_000
MANY_USES = 4

T = TypeVar("T")


def jaxpr_stage(jaxpr: Any, walked: Walked) -> tuple[Stage, tuple[Equation, ...]]:
    """The program as JAX prints it, and its equations."""
    started = time.perf_counter()
    text, segments = program.print_jaxpr(jaxpr, walked)
    seconds = time.perf_counter() - started
    told = texts.equation_texts(text, segments, walked.steps)
    equations = tuple(
        Equation(
            primitive=step.equation.primitive.name,
            text=line,
            span=step.span,
            count=step.count,
            phase=step.phase,
        )
        for step, line in zip(walked.steps, told, strict=True)
    )
    links = texts.link_jaxpr(segments, walked.steps)
    return Stage(name="jaxpr", text=text, links=links, seconds=seconds), equations


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
    first: Stage,
    lowered: Lazy[Any],
    ready: Lazy[tuple[Any, float]],
    walked: Walked,
    jaxpr: Any,
    inputs: Sequence[str],
    outputs: Sequence[str],
) -> dict[str, Lazy[Stage]]:
    """The stages; those that are dear hold what JAX lowered, for the device it was lowered for."""
    known, users = texts.ends(walked.steps), walked.users
    tell = functools.partial(
        optimised.tell, walked=walked, jaxpr=jaxpr, known=known, inputs=inputs, outputs=outputs
    )
    return {
        "jaxpr": Lazy.of(first),
        "stablehlo": Lazy(lambda: _stablehlo(lowered.get(), users)),
        "hlo": Lazy(lambda: _hlo(*ready.get(), known, tell)),
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
