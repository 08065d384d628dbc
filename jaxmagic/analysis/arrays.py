"""Which of a user's values hold arrays: the inputs of an expression, as opposed to its constants."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from jaxmagic.target import ArrayType


def is_array(value: Any) -> bool:
    """Whether a value is an array, or a type that stands for one (a whole NumPy number is a size)."""
    if isinstance(value, np.generic):
        return not isinstance(value, (np.integer, np.bool_, np.str_, np.bytes_, np.void))
    return isinstance(value, (jax.Array, np.ndarray, jax.ShapeDtypeStruct, ArrayType))


def is_input(value: Any) -> bool:
    """Whether a value should be an argument: an array, a real or complex number, a pytree of them.

    Whole numbers, truth values and text are no inputs: in an expression they are sizes, axes and
    modes, which JAX needs to know. A container counts by its arrays, or when all in it is numbers
    with a point; what else it holds stays what it is.
    """
    leaves = jax.tree_util.tree_leaves(value)
    return any(map(is_array, leaves)) or (bool(leaves) and all(type(x) in (float, complex) for x in leaves))


def random_numbers(random: np.random.Generator, dtype: Any, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Numbers for an array of which only the type is known: small whole ones, or from 0 to 1."""
    dtype = np.dtype(dtype)
    if dtype.kind in "iu":
        return random.integers(0, 10, shape).astype(dtype)
    if dtype.kind == "b":
        return random.integers(0, 2, shape).astype(dtype)
    return random.random(shape).astype(dtype)
