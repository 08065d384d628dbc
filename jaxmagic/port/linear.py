"""Sums of integer expressions in a normal form, so that `(i + K) - i` is seen to be `K`."""

from __future__ import annotations

import ast
from collections.abc import Mapping

Linear = Mapping[str, int]
ONE = ""


def linear(node: ast.expr) -> dict[str, int]:
    """An expression as term -> factor; what is no sum is a term of its own, by its text."""
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return {ONE: node.value} if node.value else {}
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return scaled(linear(node.operand), -1)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
        sign = 1 if isinstance(node.op, ast.Add) else -1
        return plus(linear(node.left), scaled(linear(node.right), sign))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        left, right = linear(node.left), linear(node.right)
        for factor, terms in ((left, right), (right, left)):
            if set(factor) <= {ONE}:
                return scaled(terms, factor.get(ONE, 0))
    return {ast.unparse(node): 1}


def plus(a: Linear, b: Linear) -> dict[str, int]:
    """The sum of two."""
    total = {term: a.get(term, 0) + b.get(term, 0) for term in {**a, **b}}
    return {term: factor for term, factor in total.items() if factor}


def scaled(a: Linear, by: int) -> dict[str, int]:
    """A multiple."""
    return {term: factor * by for term, factor in a.items() if factor * by}


def written(terms: Linear) -> ast.expr:
    """A normal form as an expression."""
    constant = terms.get(ONE, 0)
    total: ast.expr | None = None
    for term, factor in sorted(terms.items(), key=lambda item: item[1] < 0):
        if term != ONE:
            total = _added(total, ast.parse(term, mode="eval").body, factor)
    if total is None:
        return ast.Constant(constant) if constant >= 0 else ast.UnaryOp(ast.USub(), ast.Constant(-constant))
    if constant:
        op: ast.operator = ast.Add() if constant > 0 else ast.Sub()
        total = ast.BinOp(total, op, ast.Constant(abs(constant)))
    return total


def _added(total: ast.expr | None, term: ast.expr, factor: int) -> ast.expr:
    size = abs(factor)
    part = term if size == 1 else ast.BinOp(ast.Constant(size), ast.Mult(), term)
    if total is None:
        return part if factor > 0 else ast.UnaryOp(ast.USub(), part)
    return ast.BinOp(total, ast.Add() if factor > 0 else ast.Sub(), part)


def frozen(terms: Linear) -> tuple[tuple[str, int], ...]:
    """For comparing."""
    return tuple(sorted(terms.items()))
