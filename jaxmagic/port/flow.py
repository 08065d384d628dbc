"""Which names statements read and write, and which are still needed after them."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence


def read(node: ast.AST) -> frozenset[str]:
    """Names that a node reads (a store into `x[i]` reads `x`)."""
    return frozenset(n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load))


def bound(node: ast.stmt) -> frozenset[str]:
    """Names that a simple statement binds; a store into `x[i]` gives a new `x`."""
    found = set()
    for target in targets(node):
        for n in ast.walk(target):
            if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store):
                found.add(n.id)
        base = stored(target)
        if base is not None:
            found.add(base)
    if isinstance(node, ast.FunctionDef):
        found.add(node.name)
    return frozenset(found)


def targets(node: ast.stmt) -> list[ast.expr]:
    """What an assignment or a loop assigns to, tuples taken apart."""
    if isinstance(node, ast.Assign):
        whole = node.targets
    elif isinstance(node, ast.AugAssign | ast.AnnAssign | ast.For):
        whole = [node.target]
    else:
        whole = []
    return [part for target in whole for part in parts(target)]


def parts(target: ast.expr) -> list[ast.expr]:
    """A target's parts, tuples taken apart."""
    if isinstance(target, ast.Tuple | ast.List):
        return [inner for part in target.elts for inner in parts(part)]
    return [target.value] if isinstance(target, ast.Starred) else [target]


def stored(target: ast.expr) -> str | None:
    """The name of the array in `x[i]`, `x[i][j]` or `x.T[i]` as a target."""
    if not isinstance(target, ast.Subscript | ast.Attribute):
        return None
    node: ast.expr = target
    while isinstance(node, ast.Subscript | ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def blocks(node: ast.stmt) -> list[list[ast.stmt]]:
    """The blocks in a compound statement."""
    return [getattr(node, name) for name in ("body", "orelse") if getattr(node, name, None)]


def assigned(body: Iterable[ast.stmt]) -> frozenset[str]:
    """Every name that statements bind, blocks included."""
    found: set[str] = set()
    for node in body:
        found |= bound(node)
        if not isinstance(node, ast.FunctionDef):
            for block in blocks(node):
                found |= assigned(block)
    return frozenset(found)


class Liveness:
    """Names that may still be read after each statement, by the statement's identity.

    `after[id(node)]` is asked for statements of the blocks that were given; a `return` needs what it
    reads and `returned`.
    """

    def __init__(self, body: Sequence[ast.stmt], returned: frozenset[str] = frozenset()) -> None:
        self.after: dict[int, frozenset[str]] = {}
        self.heads: dict[int, frozenset[str]] = {}
        self.returned = returned
        self._exits: list[tuple[frozenset[str], frozenset[str]]] = []
        self.before = self.block(body, returned)

    def block(self, body: Sequence[ast.stmt], after: frozenset[str]) -> frozenset[str]:
        """Live before a block, given what is live after it."""
        for node in reversed(body):
            self.after[id(node)] = after
            after = self.statement(node, after)
        return after

    def statement(self, node: ast.stmt, after: frozenset[str]) -> frozenset[str]:
        """Live before a statement."""
        if isinstance(node, ast.Return):
            return read(node) | self.returned
        if isinstance(node, ast.Break):
            return self._exits[-1][0]
        if isinstance(node, ast.Continue):
            return self._exits[-1][1]
        if isinstance(node, ast.If):
            return self.block(node.body, after) | self.block(node.orelse, after) | read(node.test)
        if isinstance(node, ast.For | ast.While):
            return self._loop(node, after)
        if isinstance(node, ast.FunctionDef):
            return (after - {node.name}) | read(node)
        return (after - plainly_bound(node)) | read(node)

    def _loop(self, node: ast.For | ast.While, after: frozenset[str]) -> frozenset[str]:
        test = read(node.iter) if isinstance(node, ast.For) else read(node.test)
        again = test if isinstance(node, ast.While) else frozenset()
        target = bound(node) if isinstance(node, ast.For) else frozenset()
        out = self.block(node.orelse, after) if node.orelse else after
        head = out | again
        for _ in range(len(assigned([node])) + 2):
            self._exits.append((after, head))
            new = (self.block(node.body, head) - target) | out | again
            self._exits.pop()
            if new == head:
                break
            head = new
        self.heads[id(node)] = head
        return head | test


def plainly_bound(node: ast.stmt) -> frozenset[str]:
    """Names that get a wholly new value; a store into `x[i]` needs the old `x`."""
    return frozenset(
        t.id for t in targets(node) if isinstance(t, ast.Name) and not isinstance(node, ast.AugAssign)
    )


def returns(node: ast.stmt) -> bool:
    """Whether a return stands in a statement's own branches, loops apart."""
    if isinstance(node, ast.Return):
        return True
    return isinstance(node, ast.If) and any(returns(inner) for block in blocks(node) for inner in block)


def exits(node: ast.stmt) -> bool:
    """Whether a `break`, `continue` or `return` leaves a statement early."""
    return any(_leaves(inner) for block in blocks(node) for inner in block)


def _leaves(node: ast.stmt) -> bool:
    if isinstance(node, ast.Return | ast.Break | ast.Continue):
        return True
    if isinstance(node, ast.For | ast.While):
        return any(isinstance(inner, ast.Return) for inner in ast.walk(node))
    return isinstance(node, ast.If) and exits(node)


def raises(body: list[ast.stmt]) -> bool:
    """Whether a block does nothing but raise."""
    return bool(body) and isinstance(body[-1], ast.Raise) and not any(map(returns, body))


def ends(body: list[ast.stmt]) -> bool:
    """Whether a block always leaves by `return` or `raise`."""
    if not body:
        return False
    last = body[-1]
    if isinstance(last, ast.If):
        return ends(last.body) and ends(last.orelse)
    return isinstance(last, ast.Return | ast.Raise)
