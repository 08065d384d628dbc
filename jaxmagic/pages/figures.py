"""The figures of a derivative: each array is read once, however often its page speaks of it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from jaxmagic.results import Gradient, Partial

LARGE = 100_000  # above, sums are made in the array's own precision: three digits of them are shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Figured(Partial):
    """A partial derivative with its figures.

    Args:
        effect: the change of the output for 1 % more of the input (of all its elements).
        norm: the root of the sum of the squares.
        low, high: the range of what is finite; None where nothing is.
        zeros, broken: the share of zeros, and of what is nan or infinite; None for no elements.
    """

    effect: float
    norm: float
    low: float | None
    high: float | None
    zeros: float | None
    broken: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FiguredGradient(Gradient):
    """A gradient whose leaves have figures."""

    leaves: tuple[Figured, ...]


def figured(result: Gradient) -> FiguredGradient:
    """The result with its figures."""
    own = {one.name: getattr(result, one.name) for one in fields(result)}
    return FiguredGradient(**(own | {"leaves": tuple(map(_of, result.leaves))}))


def _of(leaf: Partial) -> Figured:
    own = {one.name: getattr(leaf, one.name) for one in fields(leaf)}
    value = _readable(np.asarray(leaf.value))
    with np.errstate(all="ignore"):
        return Figured(**own, effect=_effect(value, leaf.point), **_size(value))


def _readable(value: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """In double precision where that is cheap, else as it is, if NumPy computes with it quickly."""
    quick = value.size > LARGE and value.dtype in (np.float32, np.float64)
    return value if quick else value.astype(np.float64)


def _effect(value: npt.NDArray[Any], point: Any) -> float:
    where = np.asarray(point).astype(value.dtype, copy=False)
    if where.shape == value.shape:
        return float(np.dot(value.reshape(-1), where.reshape(-1))) / 100
    return float(np.sum(value * where)) / 100


def _size(value: npt.NDArray[Any]) -> dict[str, Any]:
    flat = value.reshape(-1)
    squares = float(np.dot(flat, flat))
    good = flat if np.isfinite(squares) else flat[np.isfinite(flat)]
    count = flat.size
    return {
        "norm": float(np.sqrt(squares))
        if np.isfinite(squares)
        else float(np.linalg.norm(flat.astype(float))),
        "low": float(good.min()) if good.size else None,
        "high": float(good.max()) if good.size else None,
        "zeros": (count - np.count_nonzero(flat)) / count if count else None,
        "broken": (count - good.size) / count if count else None,
    }
