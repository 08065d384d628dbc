"""What a port was made for, checked at each call (under jit, at each trace).

A port holds for inputs of the kinds that it was made on: numbers of axes and kinds of numbers. With
others it might mean something else than NumPy's code, so it refuses them.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from jaxmagic.errors import CannotPort
from jaxmagic.port.bounds import Bounds
from jaxmagic.port.collect import is_same
from jaxmagic.port.prove import on_jax

NUMBERS = {"f": "real", "i": "integer", "u": "unsigned", "c": "complex", "b": "boolean"}


def guarded(
    function: Callable[..., Any], inputs: Mapping[str, Any], bounds: Bounds | None = None
) -> Callable[..., Any]:
    """A port that refuses inputs of other kinds than those it was made on, and looks at its indices."""
    signature = inspect.signature(function)
    kinds = {name: kinds_of(value) for name, value in inputs.items()}

    @functools.wraps(function)
    def port(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        for name, value in bound.arguments.items():
            if is_function(inputs.get(name)) and not is_same(inputs[name], value):
                raise CannotPort(
                    f"This port was made for the function that `{name}` was, and is given another.",
                    fix="Port the function again with these inputs.",
                )
            if name in kinds and kinds_of(value) != kinds[name]:
                raise CannotPort(
                    f"This port was made for `{name}` as {' and '.join(kinds[name]) or 'nothing'}, "
                    f"and is given {' and '.join(kinds_of(value)) or 'nothing'}.",
                    fix="Port the function again with these inputs.",
                )
        args, kwargs = on_jax((args, kwargs))  # `array[i]` in a loop of JAX's takes no NumPy array
        if bounds is not None:
            return bounds.checked((args, kwargs))
        return function(*args, **kwargs)

    return port


def is_function(value: Any) -> bool:
    """Whether an input is a function: of Python's, or one of NumPy's on elements."""
    return isinstance(value, types.FunctionType | np.ufunc)


def kinds_of(value: Any) -> tuple[str, ...]:
    """The kinds of an input's leaves, such as "f64 of 2 axes": what ports are specialised on."""
    return tuple(_kind(leaf) for leaf in jax.tree.leaves(value))


def _kind(leaf: Any) -> str:
    if isinstance(leaf, np.ndarray | np.generic | jax.Array):
        numbers = NUMBERS.get(leaf.dtype.kind, str(leaf.dtype))
        # An axis of one element is broadcast, where one of several is not.
        single = [str(axis) for axis, size in enumerate(leaf.shape) if size == 1]
        ones = f", one element along axis {' and '.join(single)}" if single else ""
        return (
            f"an array of {numbers} numbers with {leaf.ndim} axes{ones}"
            if leaf.ndim
            else f"one {numbers} number"
        )
    if isinstance(leaf, bool | int | float | complex):
        return f"one {NUMBERS[np.asarray(leaf).dtype.kind]} number"
    return f"a {type(leaf).__name__}"
