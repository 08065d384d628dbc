"""A unit's own code with a look at each expression, for the watched run."""

from __future__ import annotations

import ast
from typing import Any

from jaxmagic.port.collect import Unit, dotted, is_constant_module
from jaxmagic.port.flow import assigned

# What the caller handed over stays in sight under this name, whatever becomes of the parameter's own.
GIVEN = "__given__"
SEE, ENTER, END, TOUCH = "__see__", "__enter__", "__end__", "__touch__"


class Instrument(ast.NodeTransformer):
    """A unit's tree with a look at each expression."""

    def __init__(self, unit: Unit) -> None:
        self.unit = unit

    def key(self, node: ast.AST) -> ast.expr:
        """The unit and number of a node, as an expression."""
        return constant((self.unit.name, node.key))  # type: ignore[attr-defined]

    def visit(self, node: ast.AST) -> Any:
        """Statements count themselves, expressions show their value."""
        if isinstance(node, ast.FunctionDef | ast.Lambda) and node is not self.root:
            return node
        return super().visit(node)

    def run(self, tree: ast.FunctionDef) -> ast.FunctionDef:
        """The whole function."""
        self.root = tree
        arguments = tree.args
        parameters = [a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
        given: list[ast.stmt] = [
            ast.Assign([ast.Name(GIVEN + name, ast.Store())], ast.Name(name, ast.Load()))
            for name in parameters
        ]
        tree.body = [*given, *self.block(tree.body)]
        tree.decorator_list = []
        return ast.fix_missing_locations(tree)

    def block(self, body: list[ast.stmt]) -> list[ast.stmt]:
        """A block that is looked at."""
        return [new for statement in body for new in self.statement(statement)]

    def statement(self, node: ast.stmt) -> list[ast.stmt]:
        """A statement that counts itself, and a look at what it may change."""
        before = [_call("__count__", self.key(node))]
        before += [
            _call(TOUCH, self.key(node), ast.Constant(_root(target)), _loaded(target), _locals())
            for target in changed(node)
        ]
        if isinstance(node, ast.For):
            return [*before, *self._for(node)]
        if isinstance(node, ast.While):
            return [*before, *self._while(node)]
        if isinstance(node, ast.If):
            node.test = self._test(node, node.test)
            node.body, node.orelse = self.block(node.body), self.block(node.orelse)
            return [*before, node]
        if isinstance(node, ast.FunctionDef):
            return [*before, node]
        return [*before, self._simple(node)]

    def _simple(self, node: ast.stmt) -> ast.stmt:
        for name, value in ast.iter_fields(node):
            if isinstance(value, ast.expr):
                setattr(node, name, self.expression(value))
            elif isinstance(value, list) and name != "names":
                setattr(node, name, [self.expression(v) if isinstance(v, ast.expr) else v for v in value])
        return node

    def _for(self, node: ast.For) -> list[ast.stmt]:
        names = constant(tuple(sorted(assigned([node]))))
        iterable = self.expression(node.iter)
        node.iter = ast.Call(ast.Name("__trip__", ast.Load()), [self.key(node), iterable], [])
        node.body = [*self.block(node.body), self._look(node, names, END)]
        node.orelse = self.block(node.orelse)
        return [self._look(node, names, ENTER), node]

    def _while(self, node: ast.While) -> list[ast.stmt]:
        names = constant(tuple(sorted(assigned([node]))))
        node.test = self._test(node, node.test)
        node.body = [*self.block(node.body), self._look(node, names, END)]
        return [self._look(node, names, ENTER), node]

    def _test(self, node: ast.stmt, test: ast.expr) -> ast.expr:
        """A condition that a trial may turn."""
        return ast.Call(ast.Name("__test__", ast.Load()), [self.key(node), self.expression(test)], [])

    def _look(self, node: ast.stmt, names: ast.expr, place: str) -> ast.stmt:
        return _call(place, self.key(node), names, _locals())

    def expression(self, node: ast.expr) -> ast.expr:
        """An expression that is looked at, and its parts."""
        if isinstance(
            node,
            ast.Constant
            | ast.Lambda
            | ast.ListComp
            | ast.GeneratorExp
            | ast.DictComp
            | ast.SetComp
            | ast.JoinedStr,
        ):
            looked_at: ast.expr = _Methods(self.unit).visit(node)
            return looked_at
        helper = self.unit.helpers.get(".".join(dotted(node) or ()))
        if helper is not None:
            return ast.Name(f"__unit_{helper.name}__", ast.Load())
        if is_constant_module(self.unit, node):
            return node
        self._parts(node)
        if isinstance(node, ast.Slice | ast.Starred | ast.Tuple) or not isinstance(
            getattr(node, "ctx", ast.Load()), ast.Load
        ):
            return node
        return ast.Call(ast.Name(SEE, ast.Load()), [self.key(node), node], [])

    def _parts(self, node: ast.AST) -> None:
        for name, value in ast.iter_fields(node):
            if isinstance(value, ast.expr) and not (
                isinstance(node, ast.Call) and name == "func" and isinstance(value, ast.Name)
            ):
                setattr(node, name, self._part(node, name, value))
            elif isinstance(value, ast.expr) and self.unit.helpers.get(".".join(dotted(value) or ())):
                setattr(node, name, self.expression(value))
            elif isinstance(value, list):
                setattr(node, name, [self.expression(v) if isinstance(v, ast.expr) else v for v in value])
                for item in value:
                    if isinstance(item, ast.keyword):
                        item.value = self.expression(item.value)

    def _part(self, node: ast.AST, name: str, value: ast.expr) -> ast.expr:
        if isinstance(node, ast.Call) and name == "func" and isinstance(value, ast.Attribute):
            if self.unit.helpers.get(".".join(dotted(value) or ())):
                return self.expression(value)
            if not is_constant_module(self.unit, value):
                value.value = self.expression(value.value)
            return value
        return self.expression(value)


class _Methods(ast.NodeTransformer):
    """Methods that are helpers, under the names of their watched functions, where nothing is looked at."""

    def __init__(self, unit: Unit) -> None:
        self.unit = unit

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        """`self.method`."""
        helper = self.unit.helpers.get(".".join(dotted(node) or ()))
        return self.generic_visit(node) if helper is None else ast.Name(f"__unit_{helper.name}__", ast.Load())


def constant(value: Any) -> ast.Constant:
    """A tuple of names and numbers, which compiles to a constant though `ast`'s types forbid it."""
    return ast.Constant(value)


def _call(name: str, *args: ast.expr) -> ast.stmt:
    return ast.Expr(ast.Call(ast.Name(name, ast.Load()), list(args), []))


def _locals() -> ast.expr:
    return ast.Call(ast.Name("locals", ast.Load()), [], [])


def changed(node: ast.stmt) -> list[ast.expr]:
    """What a statement may change in place, as expressions of the arrays."""
    found: list[ast.expr] = []
    if isinstance(node, ast.Assign | ast.AugAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        flat = [
            t
            for target in targets
            for t in (target.elts if isinstance(target, ast.Tuple | ast.List) else [target])
        ]
        found += [t.value for t in flat if isinstance(t, ast.Subscript)]
        found += [t for t in flat if isinstance(t, ast.Name) and isinstance(node, ast.AugAssign)]
    calls = (
        [n for n in ast.walk(node) if isinstance(n, ast.Call)]
        if isinstance(node, ast.Assign | ast.Expr | ast.AugAssign | ast.Return)
        else []
    )
    for call in calls:
        looks = (ast.Name, ast.Subscript, ast.Attribute)
        found += [arg for arg in [*call.args, *(k.value for k in call.keywords)] if isinstance(arg, looks)]
        if isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name):
            found.append(call.func.value)
    return [f for f in found if _root(f)]


def _root(node: ast.AST) -> str:
    while isinstance(node, ast.Subscript | ast.Attribute | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def _loaded(node: ast.expr) -> ast.expr:
    """The array that a target belongs to, as seen under `locals()`, which never raises."""
    return ast.Call(ast.Attribute(_locals(), "get", ast.Load()), [ast.Constant(_root(node))], [])
