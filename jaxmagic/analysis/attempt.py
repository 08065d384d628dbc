"""Tracing a target: numbers that JAX has to know are made static, and for a gradient the loss is found."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jaxmagic.analysis import inputs, program, state
from jaxmagic.analysis.explain import explain_at
from jaxmagic.analysis.inputs import Inputs
from jaxmagic.analysis.program import Traced
from jaxmagic.analysis.state import Outcome
from jaxmagic.errors import CannotDifferentiate
from jaxmagic.target import Target


def trace(target: Target, given: Inputs, *, grad: bool) -> tuple[Inputs, Traced, float]:
    """The program, with those Python numbers static that JAX says it has to know."""
    while True:
        function = _value_and_grad(target, given) if grad else _plain(given)
        names = program.identifiers(leaf.path for leaf in given.traced)
        values = dict(zip(names, (leaf.value for leaf in given.traced), strict=True))
        started = time.perf_counter()
        try:
            traced = program.trace_fresh(function, target.name, values)
        except (jax.errors.JAXTypeError, jax.errors.JAXIndexError, TypeError) as error:
            needed = _needed(str(error), dict(zip(names, given.traced, strict=True)))
            if not needed:
                raise
            given = given.with_static(needed)
        else:
            _no_strays(target, traced)
            return given, traced, time.perf_counter() - started


def _no_strays(target: Target, traced: Traced) -> None:
    """Nothing, but for a program that uses a value kept from another trace.

    Raises:
        JaxmagicError: then, with the lesson about it.
    """
    stray = program.leaked(traced)
    if stray is not None:
        span = program.Places(traced.mark).span(stray.source_info.traceback)
        raise explain_at(jax.errors.UnexpectedTracerError("kept from another trace"), target, span)


def _plain(given: Inputs) -> Callable[..., Any]:
    return lambda *values: given.call(*values).plain


_DEPENDS = re.compile(r"depends on the values? of the arguments? ([^\n]*)")


def _needed(message: str, leaves: Mapping[str, inputs.Leaf]) -> list[str]:
    """The Python numbers that tracing stumbled over, by JAX's message; all, if it names none."""
    numbers = {name: leaf.path for name, leaf in leaves.items() if inputs.is_number(leaf.value)}
    depends = _DEPENDS.search(message)
    if "concrete" not in message.lower() and "traced array" not in message:
        return []
    named = set(re.findall(r"\w+", depends[1])) if depends else set()
    blamed = [path for name, path in numbers.items() if name in named]
    return blamed if depends else list(numbers.values())


def _value_and_grad(target: Target, given: Inputs) -> Callable[..., Any]:
    """The value of the function and its gradient by every float input.

    Raises:
        CannotDifferentiate: when no input is a float, or the result is not one number.
    """
    by = floats(given)
    if not by:
        raise CannotDifferentiate(
            f"`{target.name}` has no floating-point input to differentiate by.",
            fix="Pass floats, such as `1.0` for `1`.",
        )
    return jax.value_and_grad(_loss(target, given), argnums=by, has_aux=True)


def floats(given: Inputs) -> tuple[int, ...]:
    """The inputs that a gradient is taken by, among those that are traced."""
    return tuple(i for i, leaf in enumerate(given.traced) if _is_float(leaf.value))


def _is_float(value: Any) -> bool:
    """Whether a gradient can be taken by a value; JAX takes none by a reference."""
    kind = value.dtype if isinstance(value, jax.ShapeDtypeStruct) else jax.typeof(value).dtype
    return bool(jnp.issubdtype(kind, jnp.floating)) and not state.is_reference(value)


def _loss(target: Target, given: Inputs) -> Callable[..., Any]:
    """The function as value and the rest: of a tuple, the first part is differentiated."""

    def loss(*values: Any) -> Any:
        outcome = given.call(*values)
        result = outcome.result
        value, rest = (result[0], result[1:]) if isinstance(result, tuple) and result else (result, None)
        if jax.tree_util.all_leaves([value]) and jnp.shape(value) == ():
            return value, Outcome(rest, outcome.changes).plain
        kinds = ", ".join(program.type_of(jax.typeof(leaf)) for leaf in jax.tree_util.tree_leaves(result))
        raise CannotDifferentiate(
            f"`{target.name}` returns {kinds}, and only a single number has a gradient.",
            fix=f"Look at a number made of it, such as `{target.name}(…).sum()`.",
        )

    return loss
