"""Copies of the user's inputs for either side; the user's own arrays are never handed out."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmagic.analysis.arrays import random_numbers
from jaxmagic.analysis.inputs import DTYPES
from jaxmagic.target import ArrayType

Array = np.ndarray[Any, Any]
Leaf = Callable[[Any], Any]
# Bytes that are copied, and compared, at a time: between two of them a race can be stopped.
PIECE = 200_000


def for_numpy(tree: Any) -> Any:
    """A deep copy in which every array is a NumPy array of its own."""
    return _map(_to_numpy, tree)


def for_jax(tree: Any) -> Any:
    """A copy in which every NumPy array and scalar is a JAX array of its own, of the same dtype.

    By `jnp.array`, which copies: `jax.device_put` may keep NumPy's own buffer, and code that
    writes to it then changes both sides. 64-bit dtypes stay only where 64 bits are enabled.
    """
    return _map(_to_jax, tree)


def as_they_are(tree: Any) -> Any:
    """A copy in which every array is of the kind that it was, but its own."""
    return _map(lambda leaf: jnp.array(leaf) if isinstance(leaf, jax.Array) else _to_numpy(leaf), tree)


def cast(tree: Any, dtype: str) -> Any:
    """The same with every floating-point array and NumPy scalar in another precision, on NumPy."""
    return _map(lambda leaf: np.asarray(leaf).astype(dtype) if _is_floating(leaf) else leaf, tree)


FLOATS = ("float16", "bfloat16", "float32", "float64")


def _is_floating(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") and bool(jnp.issubdtype(leaf.dtype, jnp.floating))


def has_state(leaf: Any) -> bool:
    """Whether a call changes it as it uses it: NumPy's random generators."""
    return isinstance(leaf, np.random.Generator | np.random.RandomState)


def materialised(tree: Any) -> Any:
    """The same with each `ArrayType` replaced by an array of random values."""
    random = np.random.default_rng(0)
    return _map(lambda leaf: _drawn(leaf, random) if isinstance(leaf, ArrayType) else leaf, tree)


def is_64_bit(tree: Any) -> bool:
    """Whether any array or NumPy scalar in it is of 64-bit numbers (or 128-bit complex ones)."""
    return any(str(getattr(leaf, "dtype", "")) in _WIDE for leaf in arrays(tree))


_WIDE = {"float64", "int64", "uint64", "complex128"}


def arrays(tree: Any) -> Iterator[Any]:
    """The leaves that are arrays, NumPy scalars included."""
    for leaf in jax.tree_util.tree_leaves(tree):
        if isinstance(leaf, np.ndarray | np.generic | jax.Array):
            yield leaf


def size(tree: Any) -> int:
    """Bytes of all arrays in it."""
    return sum(int(leaf.nbytes) for leaf in arrays(tree))


def type_of(leaf: Any) -> str:
    """An input's type as JAX prints it: "f64[1000,1000]"; a Python object's class name."""
    if not hasattr(leaf, "dtype") or not hasattr(leaf, "shape"):
        return type(leaf).__name__
    short = {name: key for key, name in DTYPES.items()}.get(str(leaf.dtype), str(leaf.dtype))
    return f"{short}[{','.join(map(str, leaf.shape))}]"


def same_bytes(before: Any, after: Any) -> bool:
    """Whether two trees of copies hold the very same bytes."""
    pairs = zip(_readable(before), _readable(after), strict=False)
    return len(_readable(before)) == len(_readable(after)) and all(_same(a, b) for a, b in pairs)


def _readable(tree: Any) -> list[Any]:
    """The arrays, and those of other libraries read as NumPy's."""
    leaves = jax.tree_util.tree_leaves(tree)
    return [*arrays(tree), *(read(leaf) for leaf in leaves if is_foreign(leaf))]


def _same(before: Any, after: Any) -> bool:
    if _is_of_objects(before) or isinstance(after, jax.Array):
        return True
    if before.shape != after.shape or before.dtype != after.dtype:
        return False
    a, b = np.asarray(before), np.asarray(after)
    return all(a[piece].tobytes() == b[piece].tobytes() for piece in pieces(a))


def pieces(array: Array) -> Iterator[tuple[slice, ...]]:
    """Where an array's parts of about `PIECE` bytes lie, cut along its longest axis."""
    if array.nbytes <= PIECE:
        yield (slice(None),) * array.ndim
        return
    axis = int(np.argmax(array.shape))
    length = array.shape[axis]
    step = max(1, PIECE * length // array.nbytes)
    for at in range(0, length, step):
        yield (*(slice(None),) * axis, slice(at, at + step))


def _copied(array: Array) -> Array:
    """A copy in the same memory order."""
    made = np.empty_like(array)
    if type(made) is not np.ndarray or _is_of_objects(array):
        return array.copy(order="K")
    for piece in pieces(array):
        made[piece] = array[piece]
    return made


def _is_of_objects(array: Any) -> bool:
    return bool(array.dtype.kind == "O")


def _map(change: Leaf, tree: Any) -> Any:
    """Change every leaf, the same leaf the same way (an array given twice stays one array)."""
    done: dict[int, Any] = {}

    def once(leaf: Any) -> Any:
        if id(leaf) not in done:
            done[id(leaf)] = change(leaf)
        return done[id(leaf)]

    return jax.tree_util.tree_map(once, tree)


def _to_numpy(leaf: Any) -> Any:
    if isinstance(leaf, np.ndarray):
        return _copied(leaf)
    if isinstance(leaf, jax.Array):
        return leaf if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else _copied(np.asarray(leaf))
    return _private(leaf)


def _to_jax(leaf: Any) -> Any:
    if isinstance(leaf, np.ndarray | np.generic | jax.Array) and not _is_of_objects(leaf):
        return jnp.array(_without_device(leaf))
    return _private(leaf)


def _without_device(leaf: Any) -> Any:
    """An array that is not tied to the device where it lives, unless it is spread over several."""
    tied = isinstance(leaf, jax.Array) and len(leaf.devices()) == 1
    return np.asarray(leaf) if tied and not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf


def _private(leaf: Any) -> Any:
    """A copy of what a call could change, such as a random generator; the thing itself otherwise."""
    if is_foreign(leaf):
        return leaf.detach().clone().requires_grad_(leaf.requires_grad) if _is_tensor(leaf) else leaf.copy()
    if has_state(leaf) or isinstance(leaf, np.ndarray | bytearray):
        return copy.deepcopy(leaf)
    return leaf


def is_foreign(leaf: Any) -> bool:
    """Whether it holds an array of another library's: PyTorch's tensors, pandas' frames and series."""
    if isinstance(leaf, np.ndarray | np.generic | jax.Array | type):
        return False
    return hasattr(leaf, "__array__") and (_is_tensor(leaf) or hasattr(leaf, "copy"))


def _is_tensor(leaf: Any) -> bool:
    return hasattr(leaf, "detach") and hasattr(leaf, "clone")


def read(leaf: Any) -> np.ndarray[Any, Any]:
    """The values of anything, on NumPy; of a tensor wherever it lives, in short floats or not."""
    if not _is_tensor(leaf):
        return np.asarray(leaf)
    here = leaf.detach().cpu()
    return np.asarray(here.float() if "bfloat16" in str(here.dtype) else here)


def _drawn(kind: ArrayType, random: np.random.Generator) -> Any:
    if kind.dtype == "key":
        return jax.random.split(jax.random.key(0), kind.shape) if kind.shape else jax.random.key(0)
    return random_numbers(random, DTYPES.get(kind.dtype, kind.dtype), kind.shape)
