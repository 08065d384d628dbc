"""Inner functions and lambdas: which names they take from around them, and whether those still change."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from jaxmagic.port.flow import assigned, blocks, read


def captured(node: ast.FunctionDef | ast.Lambda) -> frozenset[str]:
    """Names that an inner function reads and that are not its own."""
    arguments = node.args
    own = {a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
    if isinstance(node, ast.FunctionDef):
        return read(ast.Module(node.body, [])) - own - assigned(node.body)
    return read(node.body) - own


def changed_apart(body: Sequence[ast.stmt], node: ast.stmt) -> frozenset[str]:
    """Names that change after a statement in a loop or branch in which it does not itself stand.

    There they become the names of another function in the port, and an inner function of outside would
    go on reading the old ones.
    """
    at = next((i for i, statement in enumerate(body) if _holds(statement, node)), -1)
    later = [s for s in body[at + 1 :] if blocks(s) and not isinstance(s, ast.FunctionDef)]
    inside = (
        [changed_apart(block, node) for block in blocks(body[at]) if any(_holds(s, node) for s in block)]
        if at >= 0 and body[at] is not node
        else []
    )
    return assigned(later).union(*inside)


def _holds(statement: ast.stmt, node: ast.stmt) -> bool:
    return any(inner is node for inner in ast.walk(statement))
