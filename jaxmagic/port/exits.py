"""`break`, `continue` and `return` in loops, as conditions.

What follows an exit moves into the branches that do not take it; `break` clears a flag that the
loop's condition reads; `return` in a loop also keeps its value until the loop has ended. A `for`
with a `break` becomes a `while` over its index.
"""

from __future__ import annotations

import ast
import copy

from jaxmagic.port.collect import Unit
from jaxmagic.port.desugar import Names, assign, like, load
from jaxmagic.port.flow import blocks

EXITS = (ast.Break, ast.Continue, ast.Return)


def leaves(node: ast.stmt, *, kinds: tuple[type[ast.stmt], ...] = EXITS) -> bool:
    """Whether a statement leaves the loop around it."""
    if isinstance(node, kinds):
        return True
    if isinstance(node, ast.For | ast.While):
        return ast.Return in kinds and any(isinstance(n, ast.Return) for n in ast.walk(node))
    return isinstance(node, ast.If) and any(leaves(n, kinds=kinds) for block in blocks(node) for n in block)


def always_leaves(body: list[ast.stmt]) -> bool:
    """Whether nothing after a block runs."""
    if not body:
        return False
    last = body[-1]
    if isinstance(last, ast.If):
        return always_leaves(last.body) and always_leaves(last.orelse)
    return isinstance(last, (*EXITS, ast.Raise))


class Exits:
    """Rewrites the loops of one unit."""

    def __init__(self, unit: Unit, names: Names) -> None:
        self.unit = unit
        self.names = names
        self.result = ""
        self.found = ""

    def block(self, body: list[ast.stmt]) -> list[ast.stmt]:
        """A block outside every loop."""
        return [new for node in body for new in self.statement(node)]

    def statement(self, node: ast.stmt) -> list[ast.stmt]:
        """A statement outside every loop."""
        if isinstance(node, ast.For | ast.While):
            return self.loop(node)
        if isinstance(node, ast.If):
            new = copy.copy(node)
            new.body, new.orelse = self.block(node.body), self.block(node.orelse)
            return [new]
        return [node]

    def loop(self, node: ast.For | ast.While) -> list[ast.stmt]:
        """A loop without exits; after one that returns, the return."""
        new = copy.copy(node)
        if not any(leaves(inner) for inner in node.body):
            new.body = self.block(node.body)
            return [new]
        stops = any(leaves(inner, kinds=(ast.Break, ast.Return)) for inner in node.body)
        if not stops:
            new.body = self.inside(node.body, "")
            return [new]
        if node.orelse:
            raise self.unit.refuse(
                node.orelse[0],
                "`else` of a loop with `break` has no JAX form.",
                "Test a flag after the loop.",
            )
        going = self.names.new("going")
        returning = any(leaves(inner, kinds=(ast.Return,)) for inner in node.body)
        head: list[ast.stmt] = [_hidden(assign(going, ast.Constant(value=True), node))]
        if returning:
            self.result = self.result or self.names.new("result")
            self.found = self.names.new("found")
            head.append(_hidden(assign(self.found, ast.Constant(value=False), node)))
        found = self.found
        loop = self._while(node, going, self.inside(node.body, going), head)
        return [*head, loop, *(self._after(node, found) if returning else [])]

    def _after(self, node: ast.stmt, found: str) -> list[ast.stmt]:
        end = ast.Return(load(self.result))
        end.origin = ast.Pass()  # type: ignore[attr-defined]
        test = ast.If(load(found), [end], [])
        ast.copy_location(test, node)
        test.origin = ast.Pass()  # type: ignore[attr-defined]
        return [test]

    def _while(
        self, node: ast.For | ast.While, going: str, body: list[ast.stmt], head: list[ast.stmt]
    ) -> ast.While:
        if isinstance(node, ast.While):
            plain_true = isinstance(node.test, ast.Constant) and node.test.value
            test = load(going) if plain_true else ast.BoolOp(ast.And(), [load(going), node.test])
            return like(ast.While(test, body, []), node)  # type: ignore[no-any-return]
        index = self.names.new("k")
        head.append(_hidden(assign(index, ast.Constant(0), node)))
        first, length = self._element(node, index)
        step = _hidden(assign(index, ast.BinOp(load(index), ast.Add(), ast.Constant(1)), node))
        test = ast.BoolOp(ast.And(), [load(going), ast.Compare(load(index), [ast.Lt()], [length])])
        return like(ast.While(test, [*first, *body, step], []), node)  # type: ignore[no-any-return]

    def _element(self, node: ast.For, index: str) -> tuple[list[ast.stmt], ast.expr]:
        """What binds the loop's targets from an index, and how many iterations there are."""
        source = node.iter
        called = source.func.id if isinstance(source, ast.Call) and isinstance(source.func, ast.Name) else ""
        if called == "range":
            assert isinstance(source, ast.Call)
            value = (
                ast.Subscript(source, load(index), ast.Load())
                if len(source.args) == 3
                else _from(source, index)
            )
            length = (
                ast.Call(load("len"), [copy.deepcopy(source)], [])
                if len(source.args) == 3
                else _count(source)
            )
            return [_hidden(_bound(node.target, value, node))], length
        if (
            called in ("enumerate", "zip")
            and isinstance(source, ast.Call)
            and isinstance(node.target, ast.Tuple)
        ):
            values = (
                [load(index), *_elements(source.args, index)]
                if called == "enumerate"
                else _elements(source.args, index)
            )
            first: list[ast.stmt] = [
                _hidden(_bound(t, v, node)) for t, v in zip(node.target.elts, values, strict=True)
            ]
            return first, ast.Call(load("len"), [copy.deepcopy(source.args[0])], [])
        return [_hidden(_bound(node.target, _elements([source], index)[0], node))], ast.Call(
            load("len"), [copy.deepcopy(source)], []
        )

    def inside(self, body: list[ast.stmt], going: str) -> list[ast.stmt]:
        """A loop's body, without its exits."""
        done: list[ast.stmt] = []
        for i, node in enumerate(body):
            rest = body[i + 1 :]
            if isinstance(node, ast.Continue):
                return done or [ast.Pass()]
            if isinstance(node, ast.Break):
                return [*done, assign(going, ast.Constant(value=False), node)]
            if isinstance(node, ast.Return):
                return [*done, *self._returned(node, going)]
            if isinstance(node, ast.For | ast.While) and leaves(node):
                return [*done, *self.inside([*self.loop(node), *rest], going)]
            if isinstance(node, ast.If) and leaves(node):
                return [*done, self._split(node, rest, going)]
            done += self.statement(node)
        return done

    def _split(self, node: ast.If, rest: list[ast.stmt], going: str) -> ast.If:
        """What follows an `if` that may leave, in the branches that do not."""
        new = copy.copy(node)
        then = node.body if always_leaves(node.body) else [*node.body, *rest]
        other = node.orelse if always_leaves(node.orelse) else [*node.orelse, *copy.deepcopy(rest)]
        new.body, new.orelse = self.inside(then, going) or [ast.Pass()], self.inside(other, going)
        return new

    def _returned(self, node: ast.Return, going: str) -> list[ast.stmt]:
        if isinstance(node.value, ast.Tuple):
            raise self.unit.refuse(
                node,
                "A tuple is returned from inside a loop.",
                "Keep the values in variables, `break`, and return them after the loop.",
            )
        value = node.value or ast.Constant(None)
        found = self.found
        return [
            assign(self.result, value, node),
            _hidden(assign(found, ast.Constant(value=True), node)),
            _hidden(assign(going, ast.Constant(value=False), node)),
        ]


def _hidden(node: ast.Assign) -> ast.Assign:
    """A statement that brings no comments along."""
    node.origin = ast.Pass()  # type: ignore[attr-defined]
    return node


def _bound(target: ast.expr, value: ast.expr, node: ast.stmt) -> ast.Assign:
    return like(ast.Assign([target], value), node)  # type: ignore[no-any-return]


def _elements(sources: list[ast.expr], index: str) -> list[ast.expr]:
    return [ast.Subscript(copy.deepcopy(source), load(index), ast.Load()) for source in sources]


def _from(source: ast.Call, index: str) -> ast.expr:
    return (
        load(index)
        if len(source.args) == 1
        else ast.BinOp(copy.deepcopy(source.args[0]), ast.Add(), load(index))
    )


def _count(source: ast.Call) -> ast.expr:
    if len(source.args) == 1:
        return source.args[0]
    return ast.BinOp(source.args[1], ast.Sub(), source.args[0])
