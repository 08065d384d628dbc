"""Calls of helpers that change their arguments, each made ahead of the statement that it stands in.

The call becomes a statement of its own, which binds what the helper gives and the arrays that it
changed; the expression reads the names. Where that would be another order of things, it is refused.
"""

from __future__ import annotations

import ast
import copy
from typing import Any, Protocol

from jaxmagic.port.collect import Unit, dotted
from jaxmagic.port.fresh import Names
from jaxmagic.port.nodes import assign, like, load, loaded, store


class Caller(Protocol):
    """The unit that calls: its names, and which helpers change which arguments and return a value, or one."""

    unit: Unit
    names: Names
    mutated: dict[Unit, tuple[str, ...]]
    returns: dict[Unit, bool]
    same: dict[Unit, str | None]


class Ahead(ast.NodeTransformer):
    """Replaces calls of mutating helpers by names that hold their results."""

    def __init__(
        self, caller: Caller, node: ast.stmt, before: list[ast.stmt], *, always: bool = True
    ) -> None:
        self.caller = caller
        self.node = node
        self.before = before
        self.always = always

    def _at_times(self, node: ast.AST) -> ast.AST:
        """Part of an expression that is worked out once, never, or many times."""
        outer, self.always = self.always, False
        try:
            return self.visit(node)  # type: ignore[no-any-return]
        finally:
            self.always = outer

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        """`a if c else b`: only one of the two is called."""
        new = copy.copy(node)
        new.test = self.visit(node.test)
        new.body, new.orelse = self._at_times(node.body), self._at_times(node.orelse)  # type: ignore[assignment]
        return new

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        """`a and b`: perhaps only the first."""
        new = copy.copy(node)
        new.values = [self.visit(node.values[0]), *(self._at_times(value) for value in node.values[1:])]  # type: ignore[list-item]
        return new

    def visit(self, node: ast.AST) -> Any:
        """What is inside a lambda or a comprehension is worked out later, or many times."""
        later = isinstance(node, ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp)
        if not later or not self.always:
            return super().visit(node)
        return self._at_times(node)

    def generic_visit(self, node: ast.AST) -> ast.AST:
        """Copy on the way: the user's tree stays as it is."""
        return super().generic_visit(copy.copy(node) if not isinstance(node, list) else node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """A call: of a mutating helper or not."""
        callee = self.caller.unit.helpers.get(".".join(dotted(node.func) or ()))
        changes = self.caller.mutated.get(callee, ()) if callee is not None else ()
        new = self.generic_visit(node)
        assert isinstance(new, ast.Call)
        if callee is None or not changes:
            return new
        return self._stored(new, callee, changes)

    def _stored(self, call: ast.Call, callee: Unit, changes: tuple[str, ...]) -> ast.AST:
        self._be_in_order(call, callee, changes)
        names = [self._name_of(call, callee, parameter) for parameter in changes]
        gone = ast.Constant(None)
        gone.gone = True  # type: ignore[attr-defined]
        results: list[ast.expr] = [store(name) for name in names]
        whole = (
            self.node.value is not None and isinstance(self.node, ast.Expr)
            if hasattr(self.node, "value")
            else False
        )
        value: ast.expr = gone
        if self.caller.returns[callee]:
            name = self.caller.names.new("result")
            results.insert(0, store(name))
            same = self.caller.same[callee]
            held = names[changes.index(same)] if same in changes else name
            value = gone if whole else ast.copy_location(loaded(held, call), call)
        target: ast.expr = results[0] if len(results) == 1 else ast.Tuple(results, ast.Store())
        changed = like(ast.Assign([target], call), self.node)
        changed.stores = frozenset(names)
        self.before.append(changed)
        return value

    def _be_in_order(self, call: ast.Call, callee: Unit, changes: tuple[str, ...]) -> None:
        """The call is put before the statement: nothing that it changes may be read before it there.

        Raises:
            CannotPort: something is; or the call is made at times only.
        """
        if not self.always:
            text = f"`{callee.name}` changes its arguments, and is called here at times only, or many times."
            raise self.caller.unit.refuse(call, text, "Call it in a statement of its own.")
        order = [a.arg for a in [*callee.node.args.posonlyargs, *callee.node.args.args]]
        given = dict(zip(order, call.args, strict=False)) | {k.arg: k.value for k in call.keywords}
        changed = {_root(given[name]) for name in changes if name in given}
        value = getattr(self.node, "value", None)
        place = (getattr(call, "lineno", 0), getattr(call, "col_offset", 0))
        for node in ast.walk(value) if isinstance(value, ast.AST) else ():
            before = (getattr(node, "lineno", 0), getattr(node, "col_offset", 0)) < place
            if isinstance(node, ast.Name) and node.id in changed and before:
                text = f"`{node.id}` is read here before `{callee.name}` changes it."
                raise self.caller.unit.refuse(call, text, "Write the call in a statement of its own.")

    def _name_of(self, call: ast.Call, callee: Unit, parameter: str) -> str:
        """The caller's name for a changed argument."""
        order = [a.arg for a in [*callee.node.args.posonlyargs, *callee.node.args.args]]
        by_name = next((k for k in call.keywords if k.arg == parameter), None)
        at = order.index(parameter) if parameter in order else -1
        argument = by_name.value if by_name else call.args[at] if 0 <= at < len(call.args) else None
        if isinstance(argument, ast.Name):
            return argument.id
        if argument is None:
            raise self.caller.unit.refuse(
                call, f"The helper changes `{parameter}`, which is not passed here.", "Pass it by name."
            )
        view = self.caller.names.new("view")
        self.before.append(assign(view, argument, self.node))
        if by_name is not None:
            by_name.value = load(view)
        else:
            call.args = [load(view) if i == at else a for i, a in enumerate(call.args)]
        return view


def _root(node: ast.AST) -> str:
    """The name of the array that an argument is, or is a part of."""
    while isinstance(node, ast.Subscript | ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""
