"""Indices out of bounds: NumPy raises, compiled code drops or clamps, so a call of the port looks first."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.experimental import checkify


class Bounds:
    """The look at a port's indices before it runs.

    Args:
        function: the port.
        original: NumPy's function, which is asked where an index of the port is out of bounds: the port
            may also have one in a branch that it computes and does not take.
        static: parameters that hold Python's own values.
        jitted: whether the port can be compiled; else NumPy is asked each time.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        original: Callable[..., Any],
        static: tuple[str, ...],
        *,
        jitted: bool,
    ) -> None:
        self.original = original
        self.errors = jax.jit(_errors(function, static), static_argnames=static) if jitted else None

    def look(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Let NumPy raise what it raises on inputs on which an index seems to be out of bounds.

        Raises:
            IndexError: from the line of the NumPy function.
        """
        if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves((args, kwargs))):
            return
        if self._is_out(args, kwargs):
            args, kwargs = jax.tree.map(_as_numpy, (args, kwargs))
            with np.errstate(all="ignore"):
                self.original(*args, **kwargs)

    def _is_out(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Whether it seems so; what cannot be looked at seems so too."""
        if self.errors is None:
            return True
        try:
            return self.errors(*args, **kwargs).get() is not None
        except Exception:  # noqa: BLE001 tracing may fail in any way, and NumPy then tells
            return True


def _errors(function: Callable[..., Any], static: tuple[str, ...]) -> Callable[..., checkify.Error]:
    """The port, giving what is wrong with its indices."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def errors(*args: Any, **kwargs: Any) -> checkify.Error:
        bound = signature.bind(*args, **kwargs)
        fixed = {name: value for name, value in bound.arguments.items() if name in static}

        def run(moving: dict[str, Any]) -> Any:
            bound.arguments.update(moving | fixed)
            return function(*bound.args, **bound.kwargs)

        moving = {name: value for name, value in bound.arguments.items() if name not in fixed}
        error, _ = checkify.checkify(run, errors=checkify.index_checks)(moving)
        return error

    return errors


def _as_numpy(value: Any) -> Any:
    """A copy for NumPy to change as it likes."""
    return np.array(value) if isinstance(value, jax.Array) else copy.deepcopy(value)
