"""Fifth pass: stores, loops and conditions in their JAX forms.

A store becomes `x = x.at[…].set(…)`; a loop over traced values becomes `fori_loop` or `while_loop`
over the names that live from one iteration to the next; an `if` on traced values becomes `where`
or `cond`. Loops that are short and innermost, and those that the compiler cannot roll, stay Python
loops. Each decision is made from facts of the watched run.
"""

from __future__ import annotations

from jaxmagic.port.loops import Loops


class Decide(Loops):
    """Lowers one unit: loops over branches over stores over statements over expressions."""
