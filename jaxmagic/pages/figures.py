"""The figures of a derivative: each array is read once, however often its page speaks of it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from jaxmagic.results import Gradient, Partial

LARGE = 100_000  # above, sums are made in the array's own precision: three digits of them are shown
STRETCHES = 96  # of a strip


@dataclass(frozen=True, slots=True, kw_only=True)
class Figured(Partial):
    """A partial derivative with its figures.

    Args:
        effect: the change of the output for 1 % more of the input (of all its elements).
        norm: the root of the sum of the squares.
        low, high: the range of what is finite; None where nothing is.
        zeros, broken: the share of zeros, and of what is nan or infinite; None for no elements.
        strip: of each stretch of the array the number farthest from zero, nan where one is not finite.
    """

    effect: float
    norm: float
    low: float | None
    high: float | None
    zeros: float | None
    broken: float | None
    strip: tuple[float, ...]


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
    """Stretch by stretch, so that each is still at hand for the next question about it."""
    flat = value.reshape(-1)
    parts = np.array_split(flat, min(STRETCHES, flat.size) or 1)
    found = [_stretch(part) for part in parts if part.size]
    squares, lows, highs, zeros, broken = zip(*found, strict=True) if found else ((),) * 5
    total, count = float(np.sum(squares)), flat.size
    known = [low for low in lows if low is not None]
    return {
        "norm": float(np.sqrt(total)) if np.isfinite(total) else float(np.linalg.norm(flat.astype(float))),
        "low": min(known, default=None),
        "high": max((high for high in highs if high is not None), default=None),
        "zeros": sum(zeros) / count if count else None,
        "broken": sum(broken) / count if count else None,
        "strip": tuple(
            float("nan") if bad or low is None else max(low, high, key=abs)
            for low, high, bad in zip(lows, highs, broken, strict=True)
        ),
    }


def _stretch(part: npt.NDArray[Any]) -> tuple[float, float | None, float | None, int, int]:
    """The sum of squares, the range of what is finite, the zeros and what is not finite."""
    squares = float(np.dot(part, part))
    good = part if np.isfinite(squares) else part[np.isfinite(part)]
    low, high = (float(good.min()), float(good.max())) if good.size else (None, None)
    return squares, low, high, part.size - int(np.count_nonzero(part)), part.size - good.size
