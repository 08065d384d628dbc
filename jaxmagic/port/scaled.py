"""A scaled matrix times a vector is their product, scaled.

`a * A @ x` makes a scaled copy of the whole matrix first; `a * (A @ x)` reads the matrix once, and
leaves the product to the library.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass

from jaxmagic.port.collect import Unit
from jaxmagic.port.observe import Facts


@dataclass(frozen=True, slots=True)
class Scaled(ast.NodeTransformer):
    """Rewrites such products of one unit, where every operand has the result's kind of real number."""

    unit: Unit
    facts: Facts

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        """`a * A @ x`."""
        self.generic_visit(node)
        if not isinstance(node.op, ast.MatMult) or self.facts.of(self.unit, node.right).ndim != 1:
            return node
        factors = _factors(node.left)
        matrices = [part for part in factors if self.facts.of(self.unit, part).ndim == 2]
        scales = [part for part in factors if self._is_number(part)]
        if len(matrices) != 1 or not scales or len(scales) + 1 != len(factors):
            return node
        if not self._are_alike(node, matrices[0], node.right):
            return node
        product = ast.copy_location(ast.BinOp(matrices[0], ast.MatMult(), node.right), node)
        total = scales[0]
        for part in [*scales[1:], product]:
            total = ast.copy_location(ast.BinOp(total, ast.Mult(), part), node)
        for new in (product, total):
            new.key = node.key  # type: ignore[attr-defined] # both are what the product was watched to be
        return total

    def _is_number(self, part: ast.expr) -> bool:
        """A scalar that a product of reals or complex numbers takes in as it is."""
        if isinstance(part, ast.Constant):
            return type(part.value) in (int, float)
        fact = self.facts.of(self.unit, part)
        return fact.is_scalar and fact.kind in ("f", "i", "c")

    def _are_alike(self, *parts: ast.expr) -> bool:
        """Whether arrays have one dtype, that of real or complex numbers."""
        facts = [self.facts.of(self.unit, part) for part in parts]
        return (
            all(fact.is_array for fact in facts)
            and len({fact.dtype for fact in facts}) == 1
            and facts[0].kind in ("f", "c")
        )


def _factors(node: ast.expr) -> list[ast.expr]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        return [*_factors(node.left), *_factors(node.right)]
    return [node]
