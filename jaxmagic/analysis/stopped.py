"""Where a gradient is stopped on purpose: what `jax.lax.stop_gradient` gives, held as it is at a point.

Finite differences see through a `stop_gradient`, the derivative does not. To compare the two, the
function is replayed with the stopped values of the user's own point.
"""

from __future__ import annotations

import dis
import inspect
import types
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import jax

from jaxmagic.analysis import program, sources
from jaxmagic.analysis.origins import called
from jaxmagic.analysis.repeat import CannotRepeatError, repeating
from jaxmagic.results import Span

Hold: TypeAlias = Callable[[Any], Any]

MOST_EQUATIONS = 5_000  # of a program whose loops had to be taken apart
_RULED = ("custom_jvp_call", "custom_vjp_call")
_LOOPS = ("scan", "while")


class CannotHoldError(Exception):
    """Some stopped values are out of reach: made in a loop of unknown length, say."""


def held(function: Callable[..., Any], points: Sequence[Any], *, in_rules: bool = True) -> Callable[..., Any]:
    """The function with every `stop_gradient` held at what it gives at some points.

    Args:
        function: from arrays (in pytrees) to a flat list of arrays.
        points: where to hold.
        in_rules: whether to hold inside functions with a derivative rule of their own, too.

    Raises:
        CannotHoldError: where that cannot be done, or the function cannot be traced.
    """
    closed = _traced(function, points)
    if _loops_stop(closed):
        with jax.disable_jit():
            closed = _traced(function, points)
        _refuse_long(closed)
    kept = _kept(closed, jax.tree_util.tree_leaves(list(points)), in_rules=in_rules)

    def replay(*others: Any) -> list[Any]:
        remaining = iter(kept)
        leaves = jax.tree_util.tree_leaves(list(others))
        return _play(closed, leaves, lambda _: next(remaining), in_rules=in_rules)

    return replay


def _kept(closed: Any, inputs: Sequence[Any], *, in_rules: bool) -> list[Any]:
    """What a program stops at some inputs."""

    def keep_all(*values: Any) -> list[Any]:
        kept: list[Any] = []

        def keep(value: Any) -> Any:
            kept.append(value)
            return value

        _play(closed, values, keep, in_rules=in_rules)
        return kept

    try:
        return list(jax.jit(keep_all)(*inputs))  # compiled as a whole, not one equation after the other
    except (
        jax.errors.ConcretizationTypeError,
        jax.errors.TracerArrayConversionError,
    ):  # which branch is taken depends on the values
        return keep_all(*inputs)


def _traced(function: Callable[..., Any], points: Sequence[Any]) -> Any:
    try:
        with repeating():
            return jax.make_jaxpr(function)(*points)
    except CannotRepeatError as error:
        raise CannotHoldError from error


def _refuse_long(closed: Any) -> None:
    """A program whose loops were unrolled has to stay within bounds."""
    equations = sum(len(inner.eqns) for inner in program.every_program(closed))
    if _loops_stop(closed) or equations > MOST_EQUATIONS:
        raise CannotHoldError


def _play(closed: Any, inputs: Sequence[Any], hold: Hold, *, in_rules: bool) -> list[Any]:
    """Run a program; `hold` sees the stopped values, and the branches taken on the way to them."""
    jaxpr = program.opened(closed)
    known = dict(
        zip([*jaxpr.constvars, *jaxpr.invars], [*getattr(closed, "consts", ()), *inputs], strict=True)
    )

    def read(atom: Any) -> Any:
        return atom.val if hasattr(atom, "val") else known[atom]

    for equation in jaxpr.eqns:
        values = [read(atom) for atom in equation.invars]
        made = _run(equation, values, hold, in_rules=in_rules)
        known |= zip(equation.outvars, made, strict=True)
    return [read(atom) for atom in jaxpr.outvars]


def _run(equation: Any, values: list[Any], hold: Hold, *, in_rules: bool) -> list[Any]:
    primitive = equation.primitive
    if primitive.name == "stop_gradient":
        return [hold(values[0])]
    ruled = primitive.name in _RULED
    if ruled or _stops(equation):
        first = hold(values[0]) if primitive.name == "cond" else None
        inner = called(equation, values, first)
        if inner is None:
            raise CannotHoldError
        return _play(*inner, _through if ruled and not in_rules else hold, in_rules=in_rules)
    made = primitive.bind(*values, **primitive.get_bind_params(equation.params))
    return list(made) if primitive.multiple_results else [made]


def _through(value: Any) -> Any:
    return value


# -- where it is ----------------------------------------------------------------------------------


def places(closed: Any) -> list[Span | None]:
    """Where a program stops gradients."""
    known = program.Places()
    return [known.span(equation.source_info.traceback) for equation in _stopping(closed)]


def _stopping(jaxpr: Any) -> Iterator[Any]:
    for inner in program.every_program(jaxpr):
        yield from (equation for equation in inner.eqns if equation.primitive.name == "stop_gradient")


def _stops(equation: Any) -> bool:
    """Whether anything inside of an equation does."""
    return any(True for inner, _ in program.inner_programs(equation) for _ in _stopping(inner))


def _loops_stop(closed: Any) -> bool:
    return any(
        equation.primitive.name in _LOOPS and _stops(equation)
        for inner in program.every_program(closed)
        for equation in inner.eqns
    )


def spelt(function: Any) -> Span | None:
    """Where the user's own code writes `stop_gradient`, for what cannot be traced."""
    return next(_written(function, set()), None)


def _written(function: Any, seen: set[int]) -> Iterator[Span]:
    function = inspect.unwrap(getattr(function, "__func__", getattr(function, "func", function)))
    if not isinstance(function, types.FunctionType):
        function = vars(type(function)).get("__call__")
    if not isinstance(function, types.FunctionType) or id(function) in seen:
        return
    seen.add(id(function))
    if not program.is_users(function.__code__.co_filename):
        return
    names = _names_of(function)
    for code in _codes(function.__code__):
        yield from _spans(code, names)
    for value in names.values():
        yield from _written(value, seen)


def _names_of(function: types.FunctionType) -> dict[str, Any]:
    """What the names in a function's code stand for, as far as they are known."""
    used = {name for code in _codes(function.__code__) for name in code.co_names}
    found = {name: function.__globals__[name] for name in used if name in function.__globals__}
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    return found | {name: cell.cell_contents for name, cell in cells if _filled(cell)}


def _filled(cell: types.CellType) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


def _codes(code: types.CodeType) -> Iterable[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _spans(code: types.CodeType, names: dict[str, Any]) -> Iterator[Span]:
    for instruction in dis.get_instructions(code):
        name = instruction.argval
        stopping = name == "stop_gradient" or (
            isinstance(name, str) and names.get(name) is jax.lax.stop_gradient
        )
        at = instruction.positions
        if stopping and at is not None and at.lineno is not None:
            place = (at.lineno, at.col_offset or 0, at.end_lineno or at.lineno, at.end_col_offset or 0)
            yield sources.span(code.co_filename, place, code.co_qualname)
