"""Whether two sides computed the same: values, dtypes, structure, and every changed argument."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np

from jaxmagic.bench.inputs import Array, pieces, read
from jaxmagic.results import Agreement


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a call did: its result, and the new values of the inputs that it changed, by name."""

    result: Any
    changed: Mapping[str, Any] = field(default_factory=dict)

    def leaves(self) -> list[tuple[str, Any]]:
        """Everything to compare, with what to call it; None is a leaf too."""
        return _leaves("result", self.result) + [
            leaf for name, value in self.changed.items() for leaf in _leaves(name, value)
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How far two results are apart: the largest errors, and the first thing that is not the same.

    `relative` is the largest error over the largest value of its array.
    """

    absolute: float = 0.0
    relative: float = 0.0
    where: str = ""

    @property
    def ok(self) -> bool:
        """Whether they count as the same."""
        return not self.where


def compare(expected: Outcome, actual: Outcome) -> Difference:
    """Hold `actual` against `expected`, leaf by leaf; lists and tuples count as the same."""
    unchanged = expected.changed.keys() - actual.changed.keys()
    if unchanged:
        return Difference(where=f"`{min(unchanged)}` is changed in place by one side only")
    left, right = expected.leaves(), actual.leaves()
    if len(left) != len(right):
        return Difference(where=f"{_values(len(left))} against {_values(len(right))}")
    return worst([_compare_leaf(place, a, b) for (place, a), (_, b) in zip(left, right, strict=True)])


def worst(parts: Sequence[Difference]) -> Difference:
    """The largest errors of all, and the first place of all."""
    return Difference(
        absolute=max((part.absolute for part in parts), default=0.0),
        relative=max((part.relative for part in parts), default=0.0),
        where=next((part.where for part in parts if part.where), ""),
    )


def agreement(
    outcomes: Mapping[str, Outcome],
    references: Mapping[str, str] | None = None,
    called: Callable[[str], str] = str,
) -> Agreement:
    """How the outcomes of several contenders agree with the first one's, or with their references'."""
    first = next(iter(outcomes))
    pairs = {name: (references or {}).get(name, first) for name in outcomes}
    found = {
        f"{called(other)} against {called(name)}": compare(outcomes[other], outcomes[name])
        for name, other in pairs.items()
        if other != name and other in outcomes
    }
    total = worst(list(found.values()))
    bad = next((pair for pair, difference in found.items() if not difference.ok), None)
    return Agreement(
        ok=bad is None if found else None,
        max_abs_error=total.absolute if found else None,
        max_rel_error=total.relative if found else None,
        dtypes={name: dtypes(outcome.result) for name, outcome in outcomes.items()},
        where=f"{bad}: {found[bad].where}" if bad is not None else "",
    )


def dtypes(result: Any) -> str:
    """The dtypes of a result's leaves, each once, in words: "float64", "float32, int64"."""
    return ", ".join(dict.fromkeys(_dtype(leaf) for _, leaf in _leaves("", result)))


def _leaves(name: str, tree: Any) -> list[tuple[str, Any]]:
    flat, _ = jax.tree_util.tree_flatten_with_path(tree, is_leaf=lambda node: node is None)
    return [(name + jax.tree_util.keystr(path), _readable(leaf)) for path, leaf in flat]


def _readable(leaf: Any) -> Any:
    """Random keys as the numbers that they are made of."""
    is_key = isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return jax.random.key_data(leaf) if is_key else leaf


def _values(count: int) -> str:
    return "one value" if count == 1 else f"{count} values"


def _dtype(leaf: Any) -> str:
    return str(leaf.dtype).removeprefix("torch.") if hasattr(leaf, "dtype") else type(leaf).__name__


def _compare_leaf(place: str, expected: Any, actual: Any) -> Difference:
    if expected is None or actual is None:
        same = expected is actual
        return (
            Difference() if same else Difference(where=f"{place}: {_kind(expected)} against {_kind(actual)}")
        )
    a, b = read(expected), read(actual)
    if a.shape != b.shape:
        return Difference(where=f"{place}: shape {_shape(a)} against {_shape(b)}")
    values = _compare_values(place, a, b)
    if values.ok and not _same_dtype(expected, actual, a, b):
        return Difference(
            absolute=values.absolute, relative=values.relative, where=f"{place}: {a.dtype} against {b.dtype}"
        )
    return values


def _kind(value: Any) -> str:
    return "None" if value is None else f"a {type(value).__name__}"


def _shape(array: Array) -> str:
    return "×".join(map(str, array.shape)) or "of a scalar"


def _same_dtype(expected: Any, actual: Any, a: Array, b: Array) -> bool:
    """Equal dtypes; a Python number has only a kind."""
    python = not (hasattr(expected, "dtype") and hasattr(actual, "dtype"))
    return bool(a.dtype.kind == b.dtype.kind if python else a.dtype == b.dtype)


def _compare_values(place: str, a: Array, b: Array) -> Difference:
    if not (_is_number(a) and _is_number(b)):
        same = bool(np.array_equal(a, b))
        return Difference() if same else Difference(where=f"{place}: the values differ")
    if a.size == 0:
        return Difference()
    tolerance = _tolerance(a, b)
    scale = max(_largest(a[piece]) for piece in pieces(a))
    parts = [
        _compare_piece(a[piece], b[piece], tolerance * np.array([1, 0.1 * scale]), piece)
        for piece in pieces(a)
    ]
    absolute = max(part.absolute for part in parts)
    wrong = sum(part.wrong for part in parts)
    relative = absolute / scale if scale else (math.inf if absolute else 0.0)
    first = next((part.first for part in parts if part.first is not None), None)
    where = "" if first is None else _first_wrong(place, a, b, first, wrong)
    return Difference(absolute=absolute, relative=relative, where=where)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    """What a part of two arrays shows: the largest error, how many values differ, where the first does."""

    absolute: float
    wrong: int
    first: tuple[int, ...] | None


def _largest(a: Array) -> float:
    """The largest finite size in an array."""
    a = _widened(a)
    return float(np.max(np.abs(a), initial=0.0, where=np.isfinite(a)))


def _compare_piece(a: Array, b: Array, tolerances: Array, piece: tuple[slice, ...]) -> _Piece:
    """Hold one part against the other; `tolerances` are the relative and the absolute one."""
    a, b = _widened(a), _widened(b)
    special = ~(np.isfinite(a) & np.isfinite(b))
    apart = np.where(special, 0.0, np.abs(np.where(special, 0, a) - np.where(special, 0, b)))
    astray = special & ~((a == b) | (np.isnan(a) & np.isnan(b)))
    relative, absolute = tolerances
    wrong = astray | (apart > relative * np.abs(np.where(special, 0, a)) + absolute)
    starts = [cut.start or 0 for cut in piece] + [0] * (a.ndim - len(piece))
    return _Piece(
        absolute=math.inf if astray.any() else float(apart.max(initial=0.0)),
        wrong=int(wrong.sum()),
        first=tuple(map(int, np.argwhere(wrong)[0] + starts)) if wrong.any() else None,
    )


def _first_wrong(place: str, a: Array, b: Array, index: tuple[int, ...], wrong: int) -> str:
    at = f"[{', '.join(map(str, index))}]" if index else ""
    many = f", {wrong:,} of {a.size:,} values differ" if a.size > 1 else ""
    return f"{place}{at}: {_number(_widened(a[index]))} against {_number(_widened(b[index]))}{many}"


def _number(value: Any) -> str:
    """To seven digits, whole numbers in full."""
    whole = not isinstance(value, complex) and math.isfinite(value) and value == int(value)
    return (
        f"{int(value):,}"
        if whole and abs(value) < 1e18
        else f"{complex(value) if isinstance(value, complex) else float(value):.7g}"
    )


def _is_number(array: Array) -> bool:
    return array.dtype.kind in "biufc" or array.dtype.name in _SHORT_FLOATS


# bfloat16 and the float8s are no NumPy floats (kind "V"), but numbers.
_SHORT_FLOATS = frozenset(name for name in ("bfloat16", "float8_e4m3fn", "float8_e5m2"))


def _widened(array: Array) -> Array:
    if array.dtype.kind == "c":
        return array.astype(np.complex128)
    return array.astype(
        np.longdouble if array.dtype.kind in "iu" and array.dtype.itemsize == 8 else np.float64
    )


def _tolerance(a: Array, b: Array) -> float:
    """The square root of the coarser side's rounding error; none for integers and booleans."""
    return max(math.sqrt(_rounding(side)) if _inexact(side) else 0.0 for side in (a, b))


def _rounding(array: Array) -> float:
    return float(ml_dtypes.finfo(array.dtype).eps)  # type: ignore[no-untyped-call]  # ml_dtypes' own


def _inexact(array: Array) -> bool:
    return array.dtype.kind in "fc" or array.dtype.name in _SHORT_FLOATS
