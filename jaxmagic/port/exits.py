"""`break`, `continue` and `return` in loops, as conditions.

What follows an exit moves into the branches that do not take it; `break` clears a flag that the
loop's condition reads; `return` in a loop also keeps its value until the loop has ended. A `for`
with a `break` becomes a `while` over its index.
"""

from __future__ import annotations

import ast
import copy
from collections import Counter

from jaxmagic.port.collect import Unit
from jaxmagic.port.flow import blocks, parts, read
from jaxmagic.port.fresh import Names
from jaxmagic.port.nodes import assign, like, load, made

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
        self.results: list[str] = []
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
        first = self._leading_break(node)
        body = node.body[1:] if first is not None else node.body
        stops = any(leaves(inner, kinds=(ast.Break, ast.Return)) for inner in body)
        if not stops and first is None:
            new.body = self.inside(node.body, "")
            return [new]
        if node.orelse:
            raise self.unit.refuse(
                node.orelse[0],
                "`else` of a loop with `break` has no JAX form.",
                "Test a flag after the loop.",
            )
        going, outer = self.names.new("going") if stops else "", self.found
        returning = any(leaves(inner, kinds=(ast.Return,)) for inner in body)
        head: list[ast.stmt] = [_hidden(assign(going, ast.Constant(value=True), node))] if stops else []
        if returning:
            self._name_results(node)
            endless = first is None and _is_endless(node)
            self.found = "" if endless else self.names.new("found")
            head += [_hidden(assign(self.found, ast.Constant(value=False), node))] if self.found else []
        found = self.found
        loop = self._while(node, going, self.inside(body, going), head, first)
        self.found = outer
        return [*head, loop, *(self._after(node, found) if returning else [])]

    def _leading_break(self, node: ast.For | ast.While) -> ast.If | None:
        """The `if …: break` that a loop's body begins with, where the loop's condition can say it as well."""
        first = node.body[0]
        breaks = isinstance(first, ast.If) and not first.orelse and isinstance(first.body[0], ast.Break)
        if not breaks or len(node.body) < 2:
            return None
        assert isinstance(first, ast.If)
        if isinstance(node, ast.For):
            own = next(n for n in ast.walk(self.unit.node) if getattr(n, "key", -1) == node.key)  # type: ignore[attr-defined]
            targets = frozenset(part.id for part in parts(node.target) if isinstance(part, ast.Name))
            after = Counter(_loads(self.unit.node)) - Counter(_loads(own))
            if targets & (read(first.test) | after.keys()):
                return None
        return first

    def _after(self, node: ast.stmt, found: str) -> list[ast.stmt]:
        """What a loop returns, if it did: one that nothing else ends always does."""
        values: list[ast.expr] = [load(name) for name in self.results]
        end = made(ast.Return(ast.Tuple(values, ast.Load()) if self.width(node) is not None else values[0]))
        return [made(ast.copy_location(ast.If(_flag(found), [end], []), node)) if found else end]

    def _name_results(self, node: ast.stmt) -> None:
        """A name for what the loop's `return`s give, or one for each value of a tuple."""
        while len(self.results) < (self.width(node) or 1):
            self.results.append(self.names.new("result"))

    def width(self, node: ast.stmt) -> int | None:
        """How many values the `return`s of a loop give, None where they give no tuple.

        Raises:
            CannotPort: one gives another number of values than the next.
        """
        ends = [n for n in ast.walk(node) if isinstance(n, ast.Return)]
        widths = [len(n.value.elts) if isinstance(n.value, ast.Tuple) else None for n in ends]
        for end, width in zip(ends, widths, strict=True):
            if width != widths[0] or (width is not None and (not width or has_star(end))):
                text = "What is returned from inside this loop is not always one value, or always as many."
                raise self.unit.refuse(end, text, "Keep it in variables, `break`, and return after the loop.")
        return widths[0]

    def _while(
        self,
        node: ast.For | ast.While,
        going: str,
        body: list[ast.stmt],
        head: list[ast.stmt],
        first: ast.If | None,
    ) -> ast.While:
        tests: list[ast.expr] = [_flag(going)] if going else []
        rest = [_negated(first.test)] if first is not None else []
        if isinstance(node, ast.While):
            own = [] if _is_true(node.test) else [node.test]
            return _loop([*tests, *own, *rest], body, node, first)
        index = self.names.new("k")
        head.append(_hidden(assign(index, ast.Constant(0), node)))
        values, length = self._element(node, index)
        step = _hidden(assign(index, ast.BinOp(load(index), ast.Add(), ast.Constant(1)), node))
        tests.append(ast.Compare(load(index), [ast.Lt()], [length]))
        return _loop([*tests, *rest], [*values, *body, step], node, first)

    def _element(self, node: ast.For, index: str) -> tuple[list[ast.stmt], ast.expr]:
        """What binds the loop's targets from an index, and how many iterations there are."""
        source = node.iter
        called = source.func.id if isinstance(source, ast.Call) and isinstance(source.func, ast.Name) else ""
        if called in ("enumerate", "zip") and isinstance(node.target, ast.Tuple):
            return self._elements_together(node, called, index)
        value, length = _element(source, index)
        return [_hidden(_bound(node.target, value, node))], length

    def _elements_together(self, node: ast.For, called: str, index: str) -> tuple[list[ast.stmt], ast.expr]:
        """The same for `enumerate(a, start)` and `zip(a, b)`, which ends with its shortest."""
        assert isinstance(node.iter, ast.Call)
        assert isinstance(node.target, ast.Tuple)
        start = [*node.iter.args[1:], *(k.value for k in node.iter.keywords)]
        sources = node.iter.args[:1] if called == "enumerate" else node.iter.args
        pairs = [_element(source, index) for source in sources]
        values = [value for value, _ in pairs]
        if called == "enumerate":
            first: ast.expr = ast.BinOp(start[0], ast.Add(), load(index)) if start else load(index)
            values.insert(0, first)
        lengths = [length for _, length in pairs]
        shortest = lengths[0] if len(lengths) == 1 else ast.Call(load("min"), lengths, [])
        if len(values) != len(node.target.elts):
            raise self.unit.refuse(node, f"This `{called}` gives {len(values)} values.", "Name each of them.")
        return [_hidden(_bound(t, v, node)) for t, v in zip(node.target.elts, values, strict=True)], shortest

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
        given = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value or ast.Constant(None)]
        found = self.found
        return [
            *(
                assign(name, value, node)
                for name, value in zip(self.results, given, strict=False)
                if not (isinstance(value, ast.Name) and value.id == name)
            ),
            *([_hidden(assign(found, ast.Constant(value=True), node))] if found else []),
            _hidden(assign(going, ast.Constant(value=False), node)),
        ]


def _is_true(test: ast.expr) -> bool:
    return isinstance(test, ast.Constant) and bool(test.value)


def _is_endless(node: ast.For | ast.While) -> bool:
    """Whether nothing but a `return` ends a loop."""
    breaks = any(leaves(inner, kinds=(ast.Break,)) for inner in node.body)
    return isinstance(node, ast.While) and _is_true(node.test) and not breaks


def _loop(tests: list[ast.expr], body: list[ast.stmt], node: ast.stmt, first: ast.If | None) -> ast.While:
    """`while all of the tests: body` in the place of a loop; `first` is the exit that became a test."""
    test = tests[0] if len(tests) == 1 else ast.BoolOp(ast.And(), tests)
    new: ast.While = like(ast.While(test, body, []), node)
    new.exit = first  # type: ignore[attr-defined]
    return new


def _negated(test: ast.expr) -> ast.expr:
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return test.operand
    return ast.UnaryOp(ast.Not(), test)


def _loads(node: ast.AST) -> list[str]:
    return [n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)]


def _flag(name: str) -> ast.Name:
    """A name of the port's own that is true or false."""
    node = load(name)
    node.is_flag = True  # type: ignore[attr-defined]
    return node


def _hidden(node: ast.Assign) -> ast.Assign:
    """A statement that brings no comments along."""
    return made(node)


def _bound(target: ast.expr, value: ast.expr, node: ast.stmt) -> ast.Assign:
    return like(ast.Assign([target], value), node)  # type: ignore[no-any-return]


def _element(source: ast.expr, index: str) -> tuple[ast.expr, ast.expr]:
    """`source[index]`, and how many elements there are."""
    length = ast.Call(load("len"), [copy.deepcopy(source)], [])
    if isinstance(source, ast.Call) and _is_range(source):
        return _from(source, index), length if len(source.args) == 3 else _count(source)
    return ast.Subscript(copy.deepcopy(source), load(index), ast.Load()), length


def _is_range(source: ast.expr) -> bool:
    return isinstance(source, ast.Call) and isinstance(source.func, ast.Name) and source.func.id == "range"


def has_star(node: ast.Return) -> bool:
    """Whether a returned tuple has a `*part`."""
    return isinstance(node.value, ast.Tuple) and any(isinstance(e, ast.Starred) for e in node.value.elts)


def _from(source: ast.Call, index: str) -> ast.expr:
    """The number at an index of a range."""
    if len(source.args) == 1:
        return load(index)
    start, *step = [copy.deepcopy(source.args[0]), *copy.deepcopy(source.args[2:])]
    steps = ast.BinOp(step[0], ast.Mult(), load(index)) if step else load(index)
    return ast.BinOp(start, ast.Add(), steps)


def _count(source: ast.Call) -> ast.expr:
    if len(source.args) == 1:
        return source.args[0]
    return ast.BinOp(source.args[1], ast.Sub(), source.args[0])
