"""The figures of a derivative: each array is read once, however often its page speaks of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from jaxmagic.results import Gradient, Partial

LARGE = 100_000  # above, sums are made in the array's own precision: three digits of them are shown
STRETCHES = 96  # of a strip

_Stretch: TypeAlias = tuple[float, float, float | None, float | None, int, int]


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
        return Figured(**own, **_size(value, leaf.point))


def _readable(value: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """In double precision where that is cheap, else as it is, if NumPy computes with it quickly."""
    quick = value.size > LARGE and value.dtype in (np.float32, np.float64)
    return value if quick else value.astype(np.float64)


def _size(value: npt.NDArray[Any], point: Any) -> dict[str, Any]:
    """A large array stretch by stretch, so that each is still at hand for the next question about it."""
    flat, count = value.reshape(-1), value.size
    where = np.asarray(point).astype(value.dtype, copy=False)
    same = where.shape == value.shape
    many = STRETCHES if count > LARGE else 1
    parts = np.array_split(flat, many) if count else []
    points = np.array_split(where.reshape(-1), many) if same else [None] * many
    found = [_stretch(*pair) for pair in zip(parts, points if count else [], strict=True)]
    squares, effects, lows, highs, zeros, broken = zip(*found, strict=True) if found else ((),) * 6
    total = float(np.sum(squares))
    known = [(low, high) for low, high in zip(lows, highs, strict=True) if low is not None]
    return {
        "effect": float(np.sum(effects) if same else np.sum(value * where)) / 100,
        "norm": float(np.sqrt(total)) if np.isfinite(total) else float(np.linalg.norm(flat.astype(float))),
        "low": min((low for low, _ in known), default=None),
        "high": max((high for _, high in known), default=None),
        "zeros": sum(zeros) / count if count else None,
        "broken": sum(broken) / count if count else None,
        "strip": _farthest(lows, highs, broken) if many > 1 else _strip(flat) if count else (),
    }


def _strip(flat: npt.NDArray[Any]) -> tuple[float, ...]:
    """Of a small array."""
    starts = [int(part[0]) for part in np.array_split(np.arange(flat.size), min(STRETCHES, flat.size))]
    lows, highs = (reach.reduceat(flat, starts) for reach in (np.minimum, np.maximum))
    return _farthest(lows.tolist(), highs.tolist(), (~np.isfinite(lows + highs)).tolist())


def _farthest(lows: Sequence[Any], highs: Sequence[Any], broken: Sequence[Any]) -> tuple[float, ...]:
    """Of each stretch the number farthest from zero."""
    return tuple(
        float("nan") if bad or low is None else max(low, high, key=abs)
        for low, high, bad in zip(lows, highs, broken, strict=True)
    )


def _stretch(part: npt.NDArray[Any], point: npt.NDArray[Any] | None) -> _Stretch:
    """Sums of squares and of effects, the range of what is finite, the zeros and what is not finite."""
    squares = float(np.dot(part, part))
    effect = 0.0 if point is None else float(np.dot(part, point))
    good = part if np.isfinite(squares) else part[np.isfinite(part)]
    low, high = (float(good.min()), float(good.max())) if good.size else (None, None)
    zeros = int(np.count_nonzero(part == 0))  # to compare first is three times as fast
    return squares, effect, low, high, zeros, part.size - good.size
