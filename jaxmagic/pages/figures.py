"""The figures of a derivative: each array is read once, however often its page speaks of it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from jaxmagic.results import Digest, Gradient, Partial

STRETCHES = 96  # of a strip


@dataclass(frozen=True, slots=True, kw_only=True)
class Figured(Partial):
    """A partial derivative with its figures: see `Digest`."""

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
    own = {one.name: getattr(leaf, one.name) for one in fields(Partial)}
    with np.errstate(all="ignore"):
        digest = leaf.digest or _digest(leaf)
    return Figured(**own, **{one.name: getattr(digest, one.name) for one in fields(Digest)})


def _digest(leaf: Partial) -> Digest:
    value = np.asarray(leaf.value, np.float64)
    point = np.asarray(leaf.point).astype(np.float64) if len(leaf.by) <= 1 else 0.0
    good = value[np.isfinite(value)]
    return Digest(
        effect=float(np.sum(value * point)) / 100,
        norm=float(np.linalg.norm(value)),
        low=float(good.min()) if good.size else None,
        high=float(good.max()) if good.size else None,
        zeros=float(np.mean(value == 0)) if value.size else None,
        broken=1 - good.size / value.size if value.size else None,
        strip=_strip(value.reshape(-1)) if value.size else (),
    )


def _strip(flat: npt.NDArray[Any]) -> tuple[float, ...]:
    parts = np.array_split(flat, min(STRETCHES, flat.size))
    farthest = (float(part[np.abs(part).argmax()]) for part in parts)  # a nan counts as the farthest
    return tuple(one if np.isfinite(one) else float("nan") for one in farthest)
