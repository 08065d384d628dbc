"""Code whose parts tell their values as it runs, each once."""

from __future__ import annotations

import ast
import copy
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

KEEP = "__jaxmagic_keep__"  # what a part is handed to, in the scope that the code runs in
Tree = TypeVar("Tree", bound=ast.expr)


def reporting(tree: Tree, parts: Sequence[ast.expr]) -> Tree:
    """A copy of a tree in which each part is `KEEP(its place in parts, part)`."""
    order = {id(part): i for i, part in reversed(list(enumerate(parts)))}
    places = {at: order[id(inner)] for at, inner in enumerate(ast.walk(tree)) if id(inner) in order}
    clone = copy.deepcopy(tree)
    marked = {id(inner): places[at] for at, inner in enumerate(ast.walk(clone)) if at in places}
    told: Tree = _Reporting(marked).visit(clone)
    return told


class _Reporting(ast.NodeTransformer):
    """Wraps marked nodes in a call that keeps their value; positions stay, so tracebacks do too."""

    def __init__(self, marked: Mapping[int, int]) -> None:
        self._marked = marked

    def visit(self, node: ast.AST) -> Any:
        number = self._marked.get(id(node))
        self.generic_visit(node)
        if number is None:
            return node
        function = ast.Name(id=KEEP, ctx=ast.Load())
        assert isinstance(node, ast.expr)
        call = ast.Call(func=function, args=[ast.Constant(value=number), node], keywords=[])
        return ast.fix_missing_locations(ast.copy_location(call, node))
