# ruff: noqa: ARG002 the handlers of one table share one signature
"""Fifth pass: stores, loops and conditions in their JAX forms.

A store becomes `x = x.at[…].set(…)`; a loop over traced values becomes `fori_loop` or `while_loop`
over the names that live from one iteration to the next; an `if` on traced values becomes `where`
or `cond`. Loops that are short and innermost, and those that the compiler cannot roll, stay Python
loops. Each decision is made from facts of the watched run.
"""

from __future__ import annotations

import ast
import copy

from jaxmagic.port.index import Index
from jaxmagic.port.known import Env
from jaxmagic.port.loops import Loops


class Decide(Loops):
    """Lowers one unit: loops over branches over stores over statements over expressions."""


class Eager(Loops):
    """Lowers one unit for running operation by operation: every value is known when it is reached.

    What changes in place becomes a new array as under jit; loops, conditions and masks stay as they are,
    so that sizes may depend on data.
    """

    not_inside = (ast.AugAssign,)

    def is_static(self, node: ast.expr, env: Env) -> bool:
        """Everything is."""
        return True

    def _refuse_captures(self, function: ast.FunctionDef | ast.Lambda, node: ast.stmt) -> None:
        """Loops and branches stay where they are, and so do names."""

    def _point(self, found: Index, i: int, part: ast.expr, env: Env) -> None:
        super()._point(found, i, part, env)
        found.mask = found.mask_ndim = None

    def _for(self, node: ast.For, env: Env) -> list[ast.stmt]:
        return self._kept(node, env)

    def _while(self, node: ast.While, env: Env) -> list[ast.stmt]:
        return self._kept(node, env)

    def _kept(self, node: ast.For | ast.While, env: Env) -> list[ast.stmt]:
        seen = copy.copy(node)
        if self._unseen(node.body) is not None:
            seen.body = self._branch(node.body, dict(env))
            return [seen]
        return self._unrolled(node, env)
