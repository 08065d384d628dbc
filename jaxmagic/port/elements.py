"""Loops over a list of arrays that change each of them in place: `for g in grads: g *= 2`.

JAX arrays do not change, so the loop gathers the new arrays in a list, which the list's name then means.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator

from jaxmagic.port.collect import Unit
from jaxmagic.port.exits import EXITS
from jaxmagic.port.flow import blocks
from jaxmagic.port.instrument import GIVEN, changed
from jaxmagic.port.nodes import assign, bind, load, made
from jaxmagic.port.observe import Facts, Form


class Elements:
    """The lists whose arrays one loop changes.

    Args:
        new: makes a name that nothing has.
    """

    def __init__(self, unit: Unit, facts: Facts, node: ast.For, new: Callable[[str], str]) -> None:
        self.unit = unit
        self.facts = facts
        self.node = node
        self.new = new
        self.lists = {name: array for name, array in self._pairs() if self._is_changed(name, array)}

    def _pairs(self) -> Iterator[tuple[str, str]]:
        """The loop's names for arrays, each with its list's name."""
        source, target = self.node.iter, self.node.target
        called = source.func.id if isinstance(source, ast.Call) and isinstance(source.func, ast.Name) else ""
        if isinstance(source, ast.Name) and isinstance(target, ast.Name):
            yield target.id, source.id
        elif isinstance(source, ast.Call) and isinstance(target, ast.Tuple) and not source.keywords:
            names = target.elts[1:] if called == "enumerate" else target.elts if called == "zip" else []
            sources = source.args[:1] if called == "enumerate" else source.args
            for name, values in zip(names, sources, strict=False):
                if isinstance(name, ast.Name) and isinstance(values, ast.Name):
                    yield name.id, values.id

    def _is_changed(self, name: str, array: str) -> bool:
        """Whether the loop changes the arrays of a list in place, and nobody else sees it."""
        changes = [n for n in _statements(self.node.body) if name in _changed_by(n)]
        if not changes:
            return False
        kinds = {form.kind for n in ast.walk(self.node.iter) if _is(n, array) for form in self._fact(n)}
        stored = [n for s in self.node.body for n in ast.walk(s) if isinstance(n, ast.Name)]
        apart = all(n.id != array and (n.id != name or self._is_update(n, changes)) for n in stored)
        leaves = any(isinstance(n, EXITS) for s in self.node.body for n in ast.walk(s))
        seen = [self.facts.aliases.get((self.unit.name, n.key), {}).get(name) for n in changes]  # type: ignore[attr-defined]
        own = all(others is not None and others <= {array, GIVEN + array} for others in seen)
        return kinds == {"list"} and apart and own and not leaves and array in self.unit.locals

    def _fact(self, node: ast.AST) -> frozenset[Form]:
        return self.facts.of(self.unit, node).forms

    def _is_update(self, node: ast.Name, changes: list[ast.stmt]) -> bool:
        """Whether a name is read, or bound by `x += v` only."""
        return isinstance(node.ctx, ast.Load) or any(getattr(n, "target", None) is node for n in changes)

    def rewritten(self, loop: ast.For) -> Iterator[ast.stmt]:
        """The loop, desugared, which gathers what it changes."""
        gathered = {name: self.new(f"{array}_changed") for name, array in self.lists.items()}
        for target in gathered.values():
            yield bind([target], ast.List([], ast.Load()))
        loop = copy.copy(loop)
        loop.body = [_own(node, frozenset(gathered)) for node in loop.body]
        for name, target in gathered.items():
            append = ast.Attribute(load(target), "append", ast.Load())
            loop.body.append(made(ast.Expr(ast.Call(append, [load(name)], []))))
        yield loop
        for name, target in gathered.items():
            array = self.lists[name]
            length = ast.Call(load("len"), [load(target)], [])
            rest = ast.Subscript(load(array), ast.Slice(length, None, None), ast.Load())
            shorter = isinstance(self.node.iter, ast.Call) and len(self.node.iter.args) > 1
            whole = ast.BinOp(load(target), ast.Add(), rest) if shorter else load(target)
            last = assign(array, whole, loop)
            last.origin, last.key = ast.Pass(), -1  # type: ignore[attr-defined]
            last.stores = frozenset({array})  # type: ignore[attr-defined]
            yield last


def _own(node: ast.stmt, names: frozenset[str]) -> ast.stmt:
    """A statement whose stores into these names no other name sees."""
    node = copy.copy(node)
    node.own = names  # type: ignore[attr-defined]
    for name in ("body", "orelse"):
        if isinstance(getattr(node, name, None), list):
            setattr(node, name, [_own(inner, names) for inner in getattr(node, name)])
    return node


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        yield node
        for block in blocks(node):
            yield from _statements(block)


def _changed_by(node: ast.stmt) -> frozenset[str]:
    """Names whose arrays a statement itself changes: `x += v`, `x[i] = v`."""
    if not isinstance(node, ast.Assign | ast.AugAssign):
        return frozenset()
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    plain = isinstance(node, ast.Assign) and all(isinstance(target, ast.Name) for target in targets)
    stored = [] if plain else changed(node)
    return frozenset(part.id for part in stored if isinstance(part, ast.Name)) & frozenset(
        n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)
    )


def _is(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name
