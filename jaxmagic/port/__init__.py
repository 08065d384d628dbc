"""NumPy code as plain JAX code, with the proof that both agree.

`port(fn, *args)` reads the source of `fn` and of its helpers, runs it once on copies of the inputs
to see what its values are, writes it as JAX in the user's own layout, and runs both to compare
them. One pass a file: collect, observe, desugar, what makes loops fast (promote, sums, scaled, rows;
independent, mapped and segments while deciding), decide, emit, layout (print), prove. Where sizes
depend on data, loops that drop elements are rewritten first (shrinking), and watched again.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from typing import Any

from jaxmagic.results import Port

__all__ = ["port"]


def port(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Port:
    """`fn`, written with NumPy, as a JAX function.

    Args:
        fn: a Python function, lambda, method, partial or callable object; it is not changed.
        *args: inputs to run it on. The port is compared with NumPy on copies of them; without
            inputs (and where `fn` takes some) only names are rewritten, and a note says that nothing
            was proved.
        **kwargs: inputs by keyword.

    Returns:
        The port. `function` takes what `fn` takes (arguments named in `static` have to be marked so
        for jit) and returns what `fn` returns; where NumPy changes arguments in place (`mutated`),
        it returns `(result, value, …)` with the changed values in the order of `mutated`.

    Raises:
        CannotPort: `fn` holds something that has no faithful JAX form, or the port's results differ.
    """
    from jaxmagic.port.drive import drive

    return drive(fn, args, kwargs)


class _Room(types.ModuleType):
    """The package, which is also the public function: `jaxmagic.port(f, x)`."""

    def __call__(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Port:
        return port(fn, *args, **kwargs)


sys.modules[__name__].__class__ = _Room
