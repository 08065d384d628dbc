"""Indices out of bounds: NumPy raises, compiled code drops or clamps, so a call of the port looks first.

So it does at real numbers that become whole ones and do not fit, and at extremes of no elements.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import checkify

from jaxmagic.errors import CannotPort
from jaxmagic.port.prove import Run, compare

Inputs = tuple[tuple[Any, ...], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Bounds:
    """The look at a port's indices, casts and extremes before it runs.

    Args:
        function: the port.
        looking: the port with a look at each cast and extreme; itself where it has none.
        ask: NumPy's run on such inputs, which is asked for where an index of the port is out of bounds:
            the port may also have one in a branch that it computes and does not take.
        outcome: the port's result on its inputs as a run.
        static: parameters that hold Python's own values.
        jitted: whether the port can be compiled; else NumPy is asked each time.
        wide: whether it was compared with 64-bit numbers.
    """

    function: Callable[..., Any]
    looking: Callable[..., Any]
    ask: Callable[[Inputs], Run]
    outcome: Callable[[Any, Inputs], Run]
    static: tuple[str, ...]
    jitted: bool
    wide: bool

    def checked(self, inputs: Inputs) -> Any:
        """The port's result.

        Raises:
            IndexError: from the line of the NumPy function, or whatever else that raises there.
            CannotPort: NumPy cuts a slice that leaves its array, or wraps a number that does not fit.
        """
        args, kwargs = inputs
        if is_traced(inputs) or not self._is_out(inputs):
            return self.function(*args, **kwargs)
        with np.errstate(all="ignore"):
            numpy = self.ask(inputs)
        result = self.function(*args, **kwargs)
        if bool(jax.config.read("jax_enable_x64")) == self.wide:
            self._hold(numpy, self.outcome(result, inputs))
        return result

    def _is_out(self, inputs: Inputs) -> bool:
        """Whether an index or a number seems to be out of bounds; so does what cannot be looked at."""
        if not self.jitted:
            return True
        try:
            return errors_of(self.looking, self.static)(*inputs[0], **inputs[1]).get() is not None
        except Exception:  # noqa: BLE001 tracing may fail in any way, and NumPy then tells
            return True

    def _hold(self, numpy: Run, port: Run) -> None:
        found = [each for each in compare(numpy, port) if " at " in each.how or "shape" in each.how]
        if found:
            text = (
                f"On these inputs the port gives another result than NumPy: {found[0].where} {found[0].how}."
            )
            fix = "An index or a slice leaves its array, or a number its dtype: port the function with them."
            raise CannotPort(text, fix=fix)


def is_traced(inputs: Inputs) -> bool:
    """Whether the port is not called but traced, perhaps without an array among its inputs."""
    return any(isinstance(leaf, jax.core.Tracer) for leaf in [jnp.zeros(()), *jax.tree.leaves(inputs)])


@functools.lru_cache(maxsize=64)
def errors_of(function: Callable[..., Any], static: tuple[str, ...]) -> Callable[..., checkify.Error]:
    """A port that gives what is wrong with its indices and casts, compiled."""
    signature = inspect.signature(function)

    def errors(*args: Any, **kwargs: Any) -> checkify.Error:
        bound = signature.bind(*args, **kwargs)
        fixed = {name: value for name, value in bound.arguments.items() if name in static}

        def run(moving: dict[str, Any]) -> Any:
            bound.arguments.update(moving | fixed)
            return function(*bound.args, **bound.kwargs)

        moving = {name: value for name, value in bound.arguments.items() if name not in fixed}
        error, _ = checkify.checkify(run, errors=checkify.index_checks | checkify.user_checks)(moving)
        return error

    return jax.jit(functools.wraps(function)(errors), static_argnames=static)
