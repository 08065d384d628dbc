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
