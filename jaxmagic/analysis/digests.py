"""What the many numbers of large derivatives come to: each is read once, where it lies, by every core."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from jaxmagic.results import Digest

LARGE = 100_000  # numbers; smaller arrays are quickly read wherever their figures are wanted
STRETCHES = 96  # of the strip
CELLS = 8 * STRETCHES  # that are summed apart: short sums lose less to rounding, and run side by side

_Sums: TypeAlias = tuple[jax.Array, ...]  # of each cell: squares, effects, low, high, zeros, broken


def digests(values: Sequence[Any], points: Sequence[Any]) -> list[Digest | None]:
    """Of each derivative that is large, None for the others.

    Args:
        values: derivatives, the axes of the input last.
        points: the input of each; 0 where 1 % more of it has no meaning.
    """
    sums = [
        _sums(jnp.asarray(value), jnp.asarray(point)) if np.size(value) > LARGE else None
        for value, point in zip(values, points, strict=True)
    ]
    return [one and _told(value, one) for value, one in zip(values, sums, strict=True)]


@jax.jit
def _sums(value: jax.Array, point: jax.Array) -> _Sums:
    """Of every cell, and last of what is left over."""
    kind = jnp.promote_types(value.dtype, jnp.float32)
    flats = [one.reshape(-1).astype(kind) for one in (value, jnp.broadcast_to(point, value.shape))]
    end = value.size // CELLS * CELLS
    cells = _reduced(*(flat[:end].reshape(CELLS, -1) for flat in flats))
    rest = _reduced(*(flat[end:].reshape(1, -1) for flat in flats))
    return tuple(map(jnp.concatenate, zip(cells, rest, strict=True)))


def _reduced(value: jax.Array, point: jax.Array) -> _Sums:
    """All at once along each row; no low or high where nothing is finite: inf and -inf."""
    finite = jnp.isfinite(value)
    zero, most = jnp.zeros((), value.dtype), jnp.full((), jnp.inf, value.dtype)
    columns = (
        (value * value, zero),
        (value * point, zero),
        (jnp.where(finite, value, most), most),
        (jnp.where(finite, value, -most), -most),
        ((value == 0).astype(jnp.int32), np.int32(0)),
        ((~finite).astype(jnp.int32), np.int32(0)),
    )

    def both(a: Any, b: Any) -> Any:
        low, high = jnp.minimum(a[2], b[2]), jnp.maximum(a[3], b[3])
        return a[0] + b[0], a[1] + b[1], low, high, a[4] + b[4], a[5] + b[5]

    operands, starts = zip(*columns, strict=True)
    found: _Sums = tuple(jax.lax.reduce(operands, starts, both, (1,)))
    return found


def _told(value: Any, sums: _Sums) -> Digest:
    squares, effects, lows, highs, zeros, broken = (np.asarray(column, np.float64) for column in sums)
    size, lost = np.size(value), broken.sum()
    total = squares.sum()
    low, high = float(lows.min()), float(highs.max())
    return Digest(
        effect=float(effects.sum()) / 100,
        norm=float(np.sqrt(total)) if np.isfinite(total) or lost else _norm(value, max(-low, high)),
        low=low if np.isfinite(low) else None,
        high=high if np.isfinite(high) else None,
        zeros=float(zeros.sum()) / size,
        broken=float(lost) / size,
        strip=_strip(lows, highs, broken),
    )


def _norm(value: Any, largest: float) -> float:
    """Where the squares are too large for its precision."""
    return largest * float(np.linalg.norm(np.asarray(value, np.float64).reshape(-1) / largest))


def _strip(lows: Any, highs: Any, broken: Any) -> tuple[float, ...]:
    """Of each stretch the number farthest from zero; what is left over belongs to the last one."""
    starts = np.arange(0, CELLS, CELLS // STRETCHES)
    low, high = np.minimum.reduceat(lows, starts), np.maximum.reduceat(highs, starts)
    farthest = np.where(np.abs(low) > np.abs(high), low, high)
    return tuple(np.where(np.add.reduceat(broken, starts) > 0, np.nan, farthest).tolist())
