"""Functions under jit whose arrays are all arguments."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmagic.analysis import program
from jaxmagic.analysis.inputs import is_number


def jit_by_leaves(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function under jit whose arrays are traced and whose other inputs are static."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        inner, traced = split(function, (args, kwargs), is_traced)
        return jax.jit(inner)(*traced)

    return call


def split(
    function: Callable[..., Any], inputs: Any, traces: Callable[[Any], bool]
) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """A function of some leaves of `inputs` = (args, kwargs) alone, and those leaves.

    Args:
        function: called with `inputs`, the chosen leaves replaced.
        inputs: positional and keyword inputs.
        traces: which leaves are chosen; the others stay as they are.
    """
    leaves, tree = jax.tree_util.tree_flatten(inputs)
    places = [i for i, leaf in enumerate(leaves) if traces(leaf)]

    def inner(*traced: Any) -> Any:
        filled = list(leaves)
        for place, value in zip(places, traced, strict=True):
            filled[place] = value
        args, kwargs = jax.tree_util.tree_unflatten(tree, filled)
        return function(*args, **kwargs)

    return inner, tuple(leaves[place] for place in places)


def with_gradient(function: Callable[..., Any], takes: Callable[[Any], Any]) -> Callable[..., Any]:
    """A function that returns its result and the gradient of a part of it by every real input.

    Args:
        function: the function.
        takes: the scalar in its result that is differentiated.
    """

    def call(*args: Any, **kwargs: Any) -> Any:
        inner, leaves = split(function, (args, kwargs), is_real)

        def value(real: Any) -> Any:
            result = inner(*real)
            return takes(result), result

        gradient, result = jax.grad(value, has_aux=True)(leaves)
        return result, gradient

    return call


def is_real(leaf: Any) -> bool:
    """Whether a leaf can be differentiated by: floating-point arrays and numbers."""
    dtype = getattr(leaf, "dtype", None)
    return isinstance(leaf, float) if dtype is None else jnp.issubdtype(dtype, jnp.floating)


def is_traced(leaf: Any) -> bool:
    """Whether jit sees a leaf as an input: arrays, and Python's numbers that are not sizes."""
    return is_traced_array(leaf) or isinstance(leaf, float | complex)


def is_traced_array(leaf: Any) -> bool:
    """Whether a leaf is an array or a NumPy scalar that JAX knows."""
    return isinstance(leaf, jax.Array) or (
        isinstance(leaf, np.ndarray | np.generic) and leaf.dtype.kind in "biufcV"
    )


def has_numbers(inputs: Any) -> bool:
    """Whether any leaf is a Python number that `is_traced` would trace."""
    return any(is_number(leaf) and is_traced(leaf) for leaf in jax.tree_util.tree_leaves(inputs))


def is_constant(jaxpr: Any) -> bool:
    """Whether no result of a program depends on its inputs, so that there is nothing to compute."""
    opened = program.opened(jaxpr)
    known = set(opened.invars)
    for equation in opened.eqns:
        if any(_is_in(variable, known) for variable in equation.invars):
            known.update(equation.outvars)
    return not any(_is_in(variable, known) for variable in opened.outvars)


def _is_in(variable: Any, known: set[Any]) -> bool:
    """Literals are no variables, and cannot be hashed."""
    return not hasattr(variable, "val") and variable in known


def folded_bytes(jaxpr: Any) -> int:
    """Bytes of the arrays that are constants of a program, or of programs inside it."""
    seen = {id(constant): constant for inner in _programs(jaxpr) for constant in getattr(inner, "consts", ())}
    return sum(int(getattr(constant, "nbytes", 0)) for constant in seen.values())


def _programs(jaxpr: Any) -> Iterator[Any]:
    yield jaxpr
    for equation in program.opened(jaxpr).eqns:
        for value in equation.params.values():
            if hasattr(value, "consts") and (hasattr(value, "eqns") or hasattr(value, "jaxpr")):
                yield from _programs(value)


def multiplies_float32(jaxpr: Any) -> bool:
    """Whether a program multiplies float32 matrices, or convolves, in the precision that JAX chooses."""
    return any(
        equation.primitive.name in ("dot_general", "conv_general_dilated")
        and equation.params.get("precision") is None
        and all(variable.aval.dtype == jnp.float32 for variable in equation.invars)
        for inner in program.every_program(jaxpr)
        for equation in program.opened(inner).eqns
    )
