"""The pictures of a function of one number or two: it and its derivatives over a range."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeAlias, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxmagic.analysis import program
from jaxmagic.analysis.derivatives import Function, Mode, Run, levels, point, quiet
from jaxmagic.analysis.leaves import group
from jaxmagic.analysis.repeat import CannotRepeatError, repeating
from jaxmagic.errors import BadTarget
from jaxmagic.results import Curve, Field

PATIENCE = 2.0  # seconds for a picture
POINTS, FEWER = 161, 41  # on the part shown first; where every point is its own call of the function
SIDE = 37  # points across and down for two numbers
CHUNK = 33  # points that are computed at once
MOST_BYTES = 256_000_000  # that they may hold at once

T = TypeVar("T")
Range: TypeAlias = tuple[str, float, float]  # an input and the ends
Points: TypeAlias = Callable[..., list[Any]]


def curve(run: Run, along: Range | None = None) -> Curve | None:
    """Over a range around the point, None where the function has more than one number in or out.

    Where the function is not defined the derivatives are NaN: a gap.

    Args:
        run: the function and its inputs.
        along: one of the inputs, where there are more, and its range.

    Raises:
        BadTarget: when `along` is no number among the inputs, or the function returns several.
    """
    if [np.shape(y) for y in run.plain] != [()]:
        if along:
            raise BadTarget(
                f"`{run.target.name}` returns more than one number; a picture along `{along[0]}` is of one.",
                fix=f"Picture one of them, `{run.target.name}(…)[0]`, or their sum.",
            )
        return None
    place = _place(run, along[0]) if along else run.choice.active[0]
    leaf = run.inputs.leaves[place]
    if (len(run.active) != 1 and not along) or np.shape(leaf.value):
        return None
    at = float(point(leaf))
    if not np.isfinite(at):
        return None
    drawn = _anyhow(lambda: _drawn(_levels(run, place), at, along[1:] if along else _around(at)))
    return None if drawn is None else replace(drawn, by=leaf.path)


def _anyhow(draw: Callable[[], T | None]) -> T | None:
    """In double precision if that works, else as it is."""
    with quiet(), program.afresh():
        for precision in (jax.enable_x64, contextlib.nullcontext):
            with contextlib.suppress(CannotRepeatError), precision():
                return draw()
    return None


def _place(run: Run, name: str) -> int:
    """Of the one number that a name means."""
    found = group(run.inputs, run.target, name).indices
    leaf = run.inputs.leaves[found[0]] if len(found) == 1 else None
    if leaf is None or np.shape(leaf.value) or leaf.role not in ("real", "count"):
        raise BadTarget(f"`{name}` is not one number.", fix="`--along` takes a number: `--along t=0..10`.")
    return found[0]


def _drawn(functions: Points, at: float, shown: tuple[float, float]) -> Curve | None:
    try:
        with repeating():
            whole = jax.make_jaxpr(functions)(at)
    except CannotRepeatError:  # a function that JAX cannot trace (an `if`) is called point by point
        return _one_by_one(functions, at, shown)
    if _endless(whole):
        return None
    x = _grid(at, shown, POINTS, beyond=True)
    found = _computed(functions, [x], np.argsort(np.abs(x - at), kind="stable"), _chunk(whole))
    return _curve(x, found, at, shown)


def _endless(whole: Any) -> bool:
    """Whether it might never end elsewhere."""
    names = {equation.primitive.name for inner in program.every_program(whole) for equation in inner.eqns}
    return "while" in names


def _chunk(whole: Any) -> int:
    """As many points as there is room for."""
    sizes = (
        program.bytes_of(variable.aval) or 0
        for inner in program.every_program(whole)
        for equation in inner.eqns
        for variable in equation.outvars
    )
    return int(min(max(MOST_BYTES // (max(sizes, default=0) or 1), 1), CHUNK))


def _computed(functions: Points, points: Sequence[Any], order: Any, chunk: int) -> Any:
    """Each function at each point, in this order as far as the time goes; the rest is a gap."""
    compiled = jax.jit(jax.vmap(functions))
    places = [order[i : i + chunk] for i in range(0, len(order), chunk)]
    found, end = None, time.perf_counter() + PATIENCE
    for part in places:
        some = [jnp.asarray(np.resize(axis[part], chunk)) for axis in points]
        with repeating():
            ys = np.asarray([np.asarray(y, float) for y in compiled(*some)])
        found = np.full((len(ys), len(order)), np.nan) if found is None else found
        found[:, part] = ys[:, : len(part)]
        if time.perf_counter() > end:
            break
    return found


def _curve(x: Any, ys: Sequence[Any], at: float, shown: tuple[float, float]) -> Curve:
    rows = (np.asarray(y, float).tolist() for y in ys)
    at = float(x[np.argmin(np.abs(x - at))])
    return Curve(x=tuple(x.tolist()), ys=tuple(tuple(_gaps(row)) for row in rows), at=at, shown=shown)


def _one_by_one(functions: Points, at: float, shown: tuple[float, float]) -> Curve:
    """From the point outwards, as far as the time goes; the rest is a gap."""
    x = _grid(at, shown, FEWER, beyond=False)
    with repeating():
        points = np.full((FEWER, len(functions(jnp.asarray(at)))), np.nan)
    with contextlib.suppress(TimeoutError), _for_at_most(PATIENCE):
        for i in sorted(range(FEWER), key=lambda i: abs(x[i] - at)):
            points[i] = _at(functions, x[i])
    return _curve(x, list(points.T), at, shown)


def _at(functions: Callable[[Any], list[Any]], x: float) -> list[float]:
    try:
        with repeating():
            return [float(y) for y in functions(jnp.asarray(x))]
    except CannotRepeatError:  # outside its domain: a gap
        return [np.nan]


@contextlib.contextmanager
def _for_at_most(seconds: float) -> Iterator[None]:
    """Python code inside ends in time: away from the user's point, a `while` might never.

    Raises:
        TimeoutError: at the first call that starts too late (arithmetic of arrays is calls).
    """
    before, end = sys.gettrace(), time.perf_counter() + seconds

    def watch(*_: Any) -> None:
        if time.perf_counter() > end:
            raise TimeoutError

    sys.settrace(watch)
    try:
        yield
    finally:
        sys.settrace(before)


def _levels(run: Run, place: int) -> Points:
    """The function, its derivative and the second one, of one of its numbers."""
    function = Function(run.target, run.inputs, [place])
    modes: tuple[Mode, ...] = (*run.modes, *[run.modes[-1]] * max(0, 2 - len(run.modes)))
    every = levels(function, modes)
    return lambda x: [level([x])[0] for level in every]


def _around(at: float) -> tuple[float, float]:
    """From 0 to twice the number, so that 1 % is a hundredth of the way; −2 to 2 around 0."""
    reach = abs(at) or 2.0
    return at - reach, at + reach


def _grid(at: float, shown: tuple[float, float], points: int, *, beyond: bool) -> Any:
    """Over a range, and beyond it as far again on both sides; through the point if it lies there."""
    low, high = shown
    more, step = (points - 1 if beyond else 0), (high - low) / (points - 1)
    grid = low + step * np.arange(-more, points + more)
    if grid[0] <= at <= grid[-1]:
        grid[np.argmin(np.abs(grid - at))] = at
    return grid


def _gaps(row: Sequence[float]) -> list[float]:
    return [y if np.isfinite(y) else np.nan for y in row]


# -- two numbers ----------------------------------------------------------------------------------


def field(run: Run) -> Field | None:
    """The function and its gradient around the point; None where its inputs are not two numbers."""
    shapes = [np.shape(leaf.value) for leaf in run.active]
    if [np.shape(y) for y in run.plain] != [()] or shapes not in ([(), ()], [(2,)]):
        return None
    point_of = np.concatenate([np.atleast_1d(np.asarray(point(leaf), float)) for leaf in run.active])
    if not np.isfinite(point_of).all():
        return None
    names = [leaf.path for leaf in run.active] if len(run.active) == 2 else _elements(run.active[0].path)
    return _anyhow(lambda: _spread(run, point_of, (names[0], names[1])))


def _elements(name: str) -> list[str]:
    return [f"{name}[{i}]" for i in range(2)]


def _spread(run: Run, at: Any, names: tuple[str, str]) -> Field | None:
    function = Function(run.target, run.inputs, run.choice.active)
    apart = len(run.active) == 2

    def number(a: Any, b: Any) -> Any:
        return function([a, b] if apart else [jnp.stack([a, b])])[0]

    def sloped(a: Any, b: Any) -> list[Any]:
        slopes = levels(lambda both: [number(*both)], run.modes[:1])[1]([a, b])
        return [number(a, b), *slopes]

    with repeating():
        whole = jax.make_jaxpr(sloped)(*map(float, at))
    if _endless(whole):
        return None
    axes = [_grid(one, _around(float(one)), SIDE, beyond=False) for one in at]
    across, up = (grid.reshape(-1) for grid in np.meshgrid(*axes))
    near = np.argsort(np.hypot(*(np.abs(g - one) for g, one in zip((across, up), at, strict=True))))
    found = _computed(sloped, [across, up], near, _chunk(whole)).reshape(3, SIDE, SIDE)
    values, by_x, by_y = (tuple(tuple(_gaps(row)) for row in grid.tolist()) for grid in found)
    x, y = (tuple(axis.tolist()) for axis in axes)
    return Field(names=names, at=(float(at[0]), float(at[1])), x=x, y=y, values=values, slopes=(by_x, by_y))
