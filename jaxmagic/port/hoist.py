"""Products of one row or column at a time, taken out of a loop as one product of matrices.

In a loop over i that changes neither operand, `A[i, :] @ x` is element i of `A @ x`, and
`data[:, i] @ data` is row i of `data.T @ data`: the whole is computed once before the loop, by the
library's matrix product.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable
from dataclasses import dataclass, field

from jaxmagic.port.flow import read
from jaxmagic.port.nodes import load, store


@dataclass(slots=True)
class Hoist(ast.NodeTransformer):
    """Rewrites the products of one loop's body.

    Args:
        index: the name of the loop's index.
        changed: names that the loop binds.
        ndim: the number of axes of an array's name, where known.
        pays: whether the loop reads most of an axis of a named array.
        name: makes a new name.
    """

    index: str
    changed: frozenset[str]
    ndim: Callable[[ast.expr], int | None]
    pays: Callable[[ast.expr, int], bool]
    name: Callable[[str], str]
    before: list[ast.stmt] = field(default_factory=list)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """Inner loops have had their turn."""
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        """`a @ b`."""
        if isinstance(node.op, ast.MatMult):
            found = self._product(node.left, node.right)
            if found is not None:
                return found
        return self.generic_visit(node)

    def _product(self, left: ast.expr, right: ast.expr) -> ast.expr | None:
        axis = self._axis(left)
        if axis is not None and self._is_fixed(right) and self.ndim(right) in (1, 2):
            whole = left.value if axis == 0 else ast.Attribute(left.value, "T", ast.Load())  # type: ignore[attr-defined]
            return self._element(ast.BinOp(whole, ast.MatMult(), right), [load(self.index)])
        axis = self._axis(right)
        if axis is not None and self._is_fixed(left) and self.ndim(left) in (1, 2):
            whole = right.value if axis == 1 else ast.Attribute(right.value, "T", ast.Load())  # type: ignore[attr-defined]
            rows: list[ast.expr] = [ast.Slice()] if self.ndim(left) == 2 else []
            return self._element(ast.BinOp(left, ast.MatMult(), whole), [*rows, load(self.index)])
        return None

    def _element(self, whole: ast.expr, index: list[ast.expr]) -> ast.expr:
        name = self.name("product")
        new = ast.Assign([store(name)], whole)
        new.origin = ast.Pass()  # type: ignore[attr-defined]
        self.before.append(new)
        return ast.Subscript(
            load(name), index[0] if len(index) == 1 else ast.Tuple(index, ast.Load()), ast.Load()
        )

    def _is_fixed(self, node: ast.expr) -> bool:
        return not read(node) & (self.changed | {self.index}) and not any(
            isinstance(n, ast.Call) for n in ast.walk(node)
        )

    def _axis(self, node: ast.expr) -> int | None:
        """Which axis of a matrix the loop's index picks in `A[i]`, `A[i, :]` or `A[:, i]`."""
        if (
            not isinstance(node, ast.Subscript)
            or not isinstance(node.value, ast.Name)
            or node.value.id in self.changed
        ):
            return None
        if self.ndim(node.value) != 2:
            return None
        parts = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
        picks = [isinstance(part, ast.Name) and part.id == self.index for part in parts]
        whole = [
            isinstance(part, ast.Slice) and part.lower is part.upper is part.step is None for part in parts
        ]
        if sum(picks) != 1 or not all(a or b for a, b in zip(picks, whole, strict=True)):
            return None
        axis = picks.index(True)
        return axis if self.pays(node.value, axis) else None


def hoisted(body: list[ast.stmt], hoist: Hoist) -> list[ast.stmt]:
    """A loop's body with its products taken out, into `hoist.before`."""
    return [hoist.visit(copy.deepcopy(node)) for node in body]
