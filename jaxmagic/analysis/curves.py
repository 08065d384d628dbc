"""The picture of a function of one number: it and its derivatives over a range."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmagic.analysis import program
from jaxmagic.analysis.derivatives import Function, Mode, Run, levels, point, quiet
from jaxmagic.analysis.repeat import CannotRepeatError, repeating
from jaxmagic.results import Curve

PATIENCE = 2.0  # seconds for a function that is called point by point
POINTS, FEWER = 161, 41  # on the grid; where every point is its own call of the function


def curve(run: Run) -> Curve | None:
    """Over a range around the point, None where the function has more than one number in or out.

    Where the function is not defined the derivatives are NaN: a gap.
    """
    if len(run.active) != 1 or np.shape(run.active[0].value) or [np.shape(y) for y in run.plain] != [()]:
        return None
    at = float(point(run.active[0]))
    if not np.isfinite(at):
        return None
    with quiet(), program.afresh():
        for precision in (jax.enable_x64, contextlib.nullcontext):
            with contextlib.suppress(CannotRepeatError), precision():
                return _drawn(run, at)
    return None


def _drawn(run: Run, at: float) -> Curve | None:
    functions = _functions(run)
    try:
        with repeating():
            whole = jax.make_jaxpr(functions)(at)
    except CannotRepeatError:  # a function that JAX cannot trace (an `if`) is called point by point
        return _one_by_one(functions, at)
    names = {equation.primitive.name for inner in program.every_program(whole) for equation in inner.eqns}
    if "while" in names:
        return None  # elsewhere it might never end
    x = _grid(at, POINTS)
    with repeating():
        ys = jax.jit(jax.vmap(functions))(jnp.asarray(x))
    return _curve(x, ys, at)


def _curve(x: Any, ys: Sequence[Any], at: float) -> Curve:
    rows = (np.asarray(y, float).tolist() for y in ys)
    return Curve(x=tuple(x.tolist()), ys=tuple(tuple(_gaps(row)) for row in rows), at=at)


def _one_by_one(functions: Callable[[Any], list[Any]], at: float) -> Curve:
    """From the point outwards, as far as the time goes; the rest is a gap."""
    x = _grid(at, FEWER)
    with repeating():
        points = np.full((FEWER, len(functions(jnp.asarray(at)))), np.nan)
    with contextlib.suppress(TimeoutError), _for_at_most(PATIENCE):
        for i in sorted(range(FEWER), key=lambda i: abs(i - FEWER // 2)):
            points[i] = _at(functions, x[i])
    return _curve(x, list(points.T), at)


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


def _functions(run: Run) -> Callable[[Any], list[Any]]:
    """The function, its derivative and the second one, of a plain number."""
    function = Function(run.target, run.inputs, run.choice.active)
    modes: tuple[Mode, ...] = (*run.modes, *[run.modes[-1]] * max(0, 2 - len(run.modes)))
    every = levels(function, modes)
    return lambda x: [level([x])[0] for level in every]


def _grid(at: float, points: int) -> Any:
    """From 0 to twice the number, so that 1 % is a hundredth of the way; −2 to 2 around 0."""
    reach = abs(at) or 2.0
    grid = np.linspace(at - reach, at + reach, points)
    grid[points // 2] = at
    return grid


def _gaps(row: Sequence[float]) -> list[float]:
    return [y if np.isfinite(y) else np.nan for y in row]
