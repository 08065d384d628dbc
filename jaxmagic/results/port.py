"""NumPy code as JAX code: what `%jaxport` gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from jaxmagic.results.common import Note


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """NumPy code as JAX code.

    Args:
        name: the function's name.
        original: its source.
        source: the JAX source; what `function` was made from.
        diff: the unified diff between the two.
        function: the JAX function; takes what the original does and returns what it returns, then the
            values of the `mutated` parameters: `(result, value, …)`.
        mutated: the parameters that NumPy changed in place.
        returns: whether the original returns a value of its own; where it does not, `function` returns
            the values of `mutated` alone (one bare value, or a tuple).
        x64: whether `function` has to run under `jax.enable_x64(True)`, as it was compared.
        static: the parameters that hold Python values (sizes, flags): `static_argnames` for jit.
        notes: what was assumed.
    """

    name: str
    original: str
    source: str
    diff: str
    function: Callable[..., Any] = field(repr=False, compare=False)
    mutated: tuple[str, ...] = ()
    static: tuple[str, ...] = ()
    returns: bool = True
    x64: bool = False
    notes: tuple[Note, ...] = ()
