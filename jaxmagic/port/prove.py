"""Last pass: the port and the NumPy function are run on copies, and everything is compared.

Compared are values, dtypes, shapes, the structure of the result, and every argument that either
side changed.
"""

from __future__ import annotations

import copy
import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

# Largest relative error, by the size of a real number in bytes, that rounding explains.
TOLERANCE = {8: 1e-9, 4: 2e-4, 2: 2e-2, 16: 1e-9}
# How far the inputs of the NumPy side are nudged to see how far rounding may carry its result.
NUDGES = (2.0**-50, -(2.0**-50), 2.0**-47)
# A difference this many times what a nudge does to NumPy itself is not rounding.
PATIENCE = 64.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one call gave.

    Args:
        result: what it returned.
        after: the arguments after the call, as bound by name.
    """

    result: Any
    after: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Where two runs differ: a path such as "result[0]", and in words how."""

    where: str
    how: str
    error: float = math.inf


def copied(value: Any) -> Any:
    """A deep copy of inputs: arrays, containers of them, objects."""
    return copy.deepcopy(value)


def needs_x64(values: Any) -> bool:
    """Whether any of the inputs has 64-bit numbers; Python's own have, where no array says otherwise."""
    arrays = [leaf for leaf in jax.tree.leaves(values) if isinstance(leaf, np.ndarray | np.generic)]
    return not arrays or any(leaf.dtype.itemsize >= 8 for leaf in arrays)


def on_jax(value: Any) -> Any:
    """NumPy arrays among the leaves as JAX arrays of their own memory; the rest as it is."""
    return jax.tree.map(lambda leaf: jnp.array(leaf) if isinstance(leaf, np.ndarray) else leaf, value)


def copied_on_jax(value: Any) -> Any:
    """A deep copy of inputs with JAX arrays for NumPy's; each array is copied once."""
    arrays = [leaf for leaf in jax.tree.leaves(value) if isinstance(leaf, np.ndarray)]
    return copy.deepcopy(value, {id(array): jnp.array(array) for array in arrays})


def differences(numpy: Any, port: Any, where: str) -> Iterator[Difference]:
    """Where two values differ, containers and all."""
    if isinstance(numpy, Mapping):
        yield from _mappings(numpy, port, where)
    elif isinstance(numpy, list | tuple):
        yield from _sequences(numpy, port, where)
    elif numpy is None or isinstance(numpy, str | bytes):
        if numpy != port:
            yield Difference(where=where, how=f"is {port!r}, not {numpy!r}")
    else:
        yield from _arrays(numpy, port, where)


def _mappings(numpy: Mapping[Any, Any], port: Any, where: str) -> Iterator[Difference]:
    if not isinstance(port, Mapping) or set(numpy) != set(port):
        yield Difference(where=where, how="has other keys")
        return
    for key in numpy:
        yield from differences(numpy[key], port[key], f"{where}[{key!r}]")


def _sequences(numpy: Sequence[Any], port: Any, where: str) -> Iterator[Difference]:
    if not isinstance(port, list | tuple) or len(numpy) != len(port):
        yield Difference(where=where, how=f"is not {len(numpy)} values")
        return
    for i, (a, b) in enumerate(zip(numpy, port, strict=True)):
        yield from differences(a, b, f"{where}[{i}]")


def _arrays(numpy: Any, port: Any, where: str) -> Iterator[Difference]:
    try:
        a, b = np.asarray(numpy), np.asarray(port)
    except (TypeError, ValueError):
        yield Difference(where=where, how="cannot be compared")
        return
    if a.dtype == object or b.dtype == object:
        if isinstance(numpy, int):
            yield Difference(where=where, how=f"is {port} at its value, not {numpy}")
        elif type(numpy) is not type(port):
            yield Difference(where=where, how=f"is a {type(port).__name__}, not a {type(numpy).__name__}")
        return
    if a.shape != b.shape:
        yield Difference(where=where, how=f"has shape {b.shape}, not {a.shape}")
    elif not _same_type(numpy, a, b):
        yield Difference(where=where, how=f"is {b.dtype}, not {a.dtype}")
    else:
        yield from _values(a, b, where)


def _same_type(numpy: Any, a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> bool:
    """Python's own numbers have no width; NumPy's must agree to the bit."""
    python = isinstance(numpy, bool | int | float | complex) and not isinstance(numpy, np.generic)
    return bool(a.dtype.kind == b.dtype.kind if python else a.dtype == b.dtype)


def _values(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any], where: str) -> Iterator[Difference]:
    if a.dtype.kind not in "fc":
        wrong = a != b
        if wrong.any():
            at = _first(wrong)
            yield Difference(where=where, how=f"is {b[at]} at {_place(at)}, not {a[at]}")
        return
    unequal = (a != b) & ~(np.isnan(a) & np.isnan(b))
    if not unequal.any():
        return
    error = relative_error(a, b, unequal)
    real = a.dtype.itemsize // (2 if a.dtype.kind == "c" else 1)
    wrong = error > TOLERANCE.get(real, 1e-9)
    if wrong.any():
        at = tuple(int(i) for i in np.argwhere(unequal)[np.flatnonzero(wrong)[0]])
        how = f"is {b[at]} at {_place(at)}, not {a[at]}"
        yield Difference(where=where, how=how, error=float(error.max()))


def relative_error(
    a: np.ndarray[Any, Any], b: np.ndarray[Any, Any], where: np.ndarray[Any, Any]
) -> np.ndarray[Any, Any]:
    """Of the elements `where` says, each against the larger of its size and a thousandth of the array's."""
    wide = np.complex128 if a.dtype.kind == "c" else np.float64
    largest = np.abs(a).max(initial=0.0, where=np.isfinite(a))
    a, b = a[where].astype(wide), b[where].astype(wide)
    with np.errstate(all="ignore"):
        scale = np.maximum(np.where(np.isfinite(a), np.abs(a), 0), 1e-3 * float(largest))
        error = np.abs(a - b) / np.where(scale == 0, 1e-300, scale)
    return np.where(np.isfinite(a) & np.isfinite(b), error, np.inf)


def _first(wrong: np.ndarray[Any, Any]) -> tuple[int, ...]:
    return tuple(int(i) for i in np.argwhere(wrong)[0])


def _place(at: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, at))}]" if at else "its value"


def compare(numpy: Run, port: Run) -> tuple[Difference, ...]:
    """Where a port's run differs from NumPy's, mutated arguments included."""
    found = list(differences(numpy.result, port.result, "the result"))
    for name, value in numpy.after.items():
        found += differences(value, port.after.get(name), f"`{name}` after the call")
    return tuple(found)


def nudged(value: Any, by: float) -> Any:
    """Inputs with every real number moved by a relative `by`, as rounding would.

    A whole number stays: it may be a size, or a count of steps.
    """

    def move(leaf: Any) -> Any:
        if isinstance(leaf, np.ndarray) and leaf.dtype.kind in "fc":
            signs = np.where(np.arange(leaf.size).reshape(leaf.shape) % 2, 1.0, -1.0)
            eps = max(abs(by), float(np.finfo(leaf.dtype).eps)) * math.copysign(1.0, by)
            return np.asarray(leaf * (1 + eps * signs), dtype=leaf.dtype)
        if isinstance(leaf, float) and not leaf.is_integer():
            return leaf * (1 + by)
        return leaf

    return jax.tree.map(move, value)


def varied(value: Any) -> Iterator[Any]:
    """Inputs of the same kinds with other values: turned around, and with other sizes and signs."""

    def turned(leaf: Any) -> Any:
        return leaf[(slice(None, None, -1),) * leaf.ndim].copy() if isinstance(leaf, np.ndarray) else leaf

    def scaled(leaf: Any) -> Any:
        if not isinstance(leaf, np.ndarray) or leaf.dtype.kind not in "fc":
            return leaf
        factors = np.random.default_rng(0).uniform(-1.5, 1.5, leaf.shape)
        return np.asarray(leaf * factors, dtype=leaf.dtype)

    for change in (turned, scaled):
        other = jax.tree.map(change, value)
        if any(differences(jax.tree.leaves(value), jax.tree.leaves(other), "")):
            yield other


def is_chaotic(run: Callable[[Any], Run], inputs: Any, numpy: Run, found: Sequence[Difference]) -> bool:
    """Whether nudging the NumPy side's own inputs moves its results as far as the differences found.

    What most nudges do counts: one alone may carry a number over the edge of `floor`, or a branch.
    """
    if any(not math.isfinite(difference.error) for difference in found):
        return False
    worst = max(difference.error for difference in found)
    moved = []
    for by in NUDGES:
        try:
            other = run(nudged(copied(inputs), by))
        except Exception:  # noqa: BLE001 the user's function may raise anything on other inputs
            return False
        moved.append(max((d.error for d in compare(numpy, other)), default=0.0))
    return worst <= PATIENCE * statistics.median(moved) < math.inf
