"""Code that did not run while it was watched: what of it can be ported from its text alone.

Nothing is known there of dtypes, shapes or shared memory, so only statements whose meaning does not
depend on them pass.
"""

from __future__ import annotations

import ast

from jaxmagic.port.flow import blocks
from jaxmagic.port.nodes import is_put

# Values that are new arrays or numbers whatever their operands are: never views.
NEW = (ast.Constant, ast.BinOp, ast.UnaryOp, ast.Compare, ast.BoolOp)

REDUCTIONS = ("sum", "mean", "max", "min", "prod", "any", "all", "copy")


def is_certain(node: ast.stmt) -> bool:
    """Whether a desugared statement means the same for every kind of value."""
    if isinstance(node, ast.Pass | ast.Raise | ast.Assert):
        return True
    if isinstance(node, ast.Return):
        return node.value is None or _is_certain_result(node.value)
    if isinstance(node, ast.If):
        return _indices_are_certain(node.test) and all(is_certain(n) for block in blocks(node) for n in block)
    if not isinstance(node, ast.Assign) or getattr(node, "stores", None) or getattr(node, "unsure", False):
        return False
    if is_put(node):
        return _indices_are_certain(node.targets[0]) and _is_new(node.value)
    return isinstance(node.targets[0], ast.Name) and _is_new(node.value)


def _is_certain_result(value: ast.expr) -> bool:
    if isinstance(value, ast.Tuple):
        return all(_is_certain_result(part) for part in value.elts)
    return _indices_are_certain(value)


def _is_new(value: ast.expr) -> bool:
    return isinstance(value, NEW) and _indices_are_certain(value)


def _indices_are_certain(node: ast.AST) -> bool:
    """Whether every index in an expression is made of constants, and nothing unknown is called."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Subscript) and not _is_fixed(inner.slice):
            return False
        if isinstance(inner, ast.ListComp | ast.GeneratorExp | ast.Lambda):
            return False
        if isinstance(inner, ast.Call) and not _is_reduction(inner):
            return False
    return True


def _is_reduction(node: ast.Call) -> bool:
    """Whether a call is one such as `x.sum()`, which gives a new value for every array."""
    return isinstance(node.func, ast.Attribute) and node.func.attr in REDUCTIONS and not node.args


def _is_fixed(index: ast.expr) -> bool:
    return all(
        isinstance(part, ast.Constant | ast.Slice | ast.Tuple | ast.UnaryOp | ast.USub | ast.expr_context)
        for part in ast.walk(index)
    )
