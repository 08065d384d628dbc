"""The equations of a program, and of those inside it: where, how often, in which pass of a gradient."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.extend

from jaxmagic.analysis.program.places import Places, boundary_of, opened
from jaxmagic.results import Phase, Span

# Their inner programs say how two elements are combined; they are no equations of the program.
_COMBINERS = re.compile(r"reduce|scatter|select_and|argm|cum|sort")


@functools.cache
def _combines(primitive: str) -> bool:
    return _COMBINERS.match(primitive) is not None


@dataclass(frozen=True, slots=True)
class Step:
    """One equation where it stands in the whole program.

    Args:
        equation: JAX's own.
        span: the user's expression that made it.
        count: how often it runs in a call (in a branch: at most); None in a loop of unknown length.
        phase: the pass of a gradient that it belongs to.
        program: which of the walked programs it stands in.
        inner: the programs inside it, and how often each runs when the equation runs once.
    """

    equation: Any
    span: Span | None
    count: int | None
    phase: Phase
    program: Hashable = None
    inner: tuple[tuple[Hashable, int | None], ...] = ()


class _Context(NamedTuple):
    """What an inner program inherits from the equation that holds it."""

    span: Span | None
    phase: Phase


@dataclass(frozen=True, slots=True)
class Walked:
    """Every equation of a program, inner programs' too, in order.

    Args:
        steps: the equations.
        users: the names of the jitted functions that hold code of the user's (the others are a
            library's, through and through).
        programs: the programs, each once, users after what they use.
        visits: how many programs one would meet that does not remember those that are shared.
    """

    steps: list[Step]
    users: frozenset[str]
    programs: list[Any]
    visits: int


def walk(jaxpr: Any, places: Places, home: Span | None = None) -> Walked:
    """Walk a program, and the programs inside it.

    What was made outside of all that the user wrote (by the `vmap` around a function) is put at `home`.

    A program that is used several times from one place is listed once and its count is the sum over
    its uses, so that sharing (of sharing, …) costs nothing.
    """
    tour = _Tour(places)
    top = tour.visit(jaxpr, _Context(home, "forward"))
    counts: dict[Hashable, int | None] = dict.fromkeys(tour.uses, 0)
    visits = dict.fromkeys(tour.uses, 0)
    counts[top] = visits[top] = 1
    for key in reversed(tour.finished):
        for inner, times in tour.uses[key]:
            counts[inner] = plus(counts[inner], product(counts[key], times))
            visits[inner] += visits[key]
    steps = [
        Step(equation, own.span, counts[key], own.phase, key, inner)
        for equation, own, key, inner in tour.steps
    ]
    programs = {id(program): program for program in tour.programs}
    return Walked(steps, frozenset(tour.users), list(programs.values()), sum(visits.values()))


class _Tour:
    """One pass over a program."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.steps: list[tuple[Any, _Context, Hashable, tuple[tuple[Hashable, int | None], ...]]] = []
        self.uses: dict[Hashable, list[tuple[Hashable, int | None]]] = {}
        self.finished: list[Hashable] = []
        self.users: set[str] = set()
        self._users_inside: dict[Hashable, bool] = {}
        self.programs: list[Any] = []
        self._own_places: dict[int, bool] = {}

    def visit(self, jaxpr: Any, context: _Context) -> Hashable:
        jaxpr = opened(jaxpr)
        if self._knows_its_places(jaxpr):
            context = _Context(None, context.phase)
        key = (id(jaxpr), context)
        if key in self.uses:
            return key
        uses = self.uses[key] = []
        boundary = boundary_of(jaxpr)
        users_inside = boundary is None
        for equation in jaxpr.eqns:
            found = self.places.span(equation.source_info.traceback, boundary)
            users_inside = users_inside or found is not None
            own = _Context(found or context.span, _phase(equation.source_info.name_stack, context.phase))
            at = len(self.steps)
            self.steps.append((equation, own, key, ()))
            inner = tuple((self.visit(program, own), times) for program, times in inner_programs(equation))
            uses += inner
            if inner:
                self.steps[at] = (equation, own, key, inner)
            if any(self._users_inside[one] for one, _ in inner):
                self.users.add(str(equation.params.get("name", "")))
                users_inside = True
        self._users_inside[key] = users_inside
        self.programs.append(jaxpr)  # which also keeps its id from being given away
        self.finished.append(key)
        return key

    def _knows_its_places(self, jaxpr: Any) -> bool:
        """Whether a program is the user's and has no equation that needs its caller's place."""
        if id(jaxpr) not in self._own_places:
            spans = (self.places.span(equation.source_info.traceback) for equation in jaxpr.eqns)
            self._own_places[id(jaxpr)] = boundary_of(jaxpr) is None and all(spans)
        return self._own_places[id(jaxpr)]


def plus(a: int | None, b: int | None) -> int | None:
    """The sum, unknown where a part is."""
    return None if a is None or b is None else a + b


def product(a: int | None, b: int | None) -> int | None:
    """The product, unknown where a factor is."""
    return None if a is None or b is None else a * b


def every_program(jaxpr: Any) -> Iterator[Any]:
    """A program and the programs inside it, each once."""
    seen: set[int] = set()
    waiting = [opened(jaxpr)]
    while waiting:
        program = waiting.pop()
        if id(program) not in seen:
            seen.add(id(program))
            yield program
            waiting += [opened(inner) for equation in program.eqns for inner, _ in inner_programs(equation)]


def inner_programs(equation: Any) -> list[tuple[Any, int | None]]:
    """The programs inside an equation, and how often each runs when the equation runs once."""
    name, params = equation.primitive.name, equation.params
    if not params or _combines(name):
        return []
    inner = list(jax.extend.core.jaxprs_in_params(params))
    times = _TIMES[name](params) if name in _TIMES else 1
    return [(jaxpr, times) for jaxpr in inner]


def _grid(params: dict[str, Any]) -> int | None:
    try:
        return int(math.prod(params["grid_mapping"].grid))
    except (AttributeError, KeyError, TypeError):
        return None


_TIMES: dict[str, Callable[[dict[str, Any]], int | None]] = {
    "scan": lambda params: params["length"],
    "while": lambda _: None,
    "pallas_call": _grid,
}


@dataclass(frozen=True, slots=True)
class Output:
    """What a program returns in one place; `handed_through` when it is an input as it came."""

    aval: Any
    handed_through: bool


def outputs(jaxpr: Any) -> list[Output]:
    """The outputs of a program."""
    pairs = zip(jaxpr.out_avals, _passages(opened(jaxpr), {}), strict=True)
    return [Output(aval, passage is not None) for aval, passage in pairs]


def _passages(jaxpr: Any, known: dict[int, list[int | None]]) -> list[int | None]:
    """For each output, the number of the input that it is, through jitted functions too."""
    if id(jaxpr) in known:
        return known[id(jaxpr)]
    same = {id(variable): i for i, variable in enumerate(jaxpr.invars)}
    for equation in jaxpr.eqns:
        if equation.primitive.name in _JITS:
            inner = _passages(opened(equation.params["jaxpr"]), known)
            for out, i in zip(equation.outvars, inner, strict=True):
                if i is not None and id(equation.invars[i]) in same:
                    same[id(out)] = same[id(equation.invars[i])]
    known[id(jaxpr)] = [same.get(id(variable)) for variable in jaxpr.outvars]
    return known[id(jaxpr)]


_JITS = ("jit", "pjit")


def _phase(name_stack: Any, outer: Phase) -> Phase:
    """The pass of a gradient, read from the stacks of names from outer to inner."""
    if outer == "recomputed" or not name_stack.stack:
        return outer
    own = _own_phase(name_stack)
    return own if own != "forward" else outer


@functools.lru_cache(maxsize=4096)
def _own_phase(name_stack: Any) -> Phase:
    scopes = [(type(part).__name__, part.name) for part in name_stack.stack]
    if ("Scope", "rematted_computation") in scopes:
        return "recomputed"
    return "backward" if ("Transform", "transpose") in scopes else "forward"


def scopes(equation: Any) -> tuple[str, ...]:
    """The named scopes that an equation was made in, from outer to inner, within its own program."""
    stack = equation.source_info.name_stack.stack
    return tuple(part.name for part in stack if type(part).__name__ == "Scope") if stack else ()


def sources_and_sinks(equation: Any) -> tuple[list[Any], list[Any]]:
    """The variables that an equation reads and those that it makes; no literals."""
    return [one for one in equation.invars if not hasattr(one, "val")], list(equation.outvars)


# -- types -----------------------------------------------------------------------------------------


def type_of(aval: Any) -> str:
    """A type as JAX prints it: `f32[8,128]`."""
    return str(aval.str_short(short_dtypes=True))


def bytes_of(aval: Any) -> int | None:
    """The size of an array of this type; None where it has none."""
    try:
        return int(math.prod(aval.shape) * aval.dtype.itemsize)
    except (AttributeError, TypeError):
        return None
