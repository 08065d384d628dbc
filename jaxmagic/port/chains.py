"""Views of views get names: `x[1:][0]` is `view[0]` of `view = x[1:]`, so that a store finds its way back."""

from __future__ import annotations

import ast
import copy

from jaxmagic.port.collect import Unit
from jaxmagic.port.fresh import Names
from jaxmagic.port.nodes import assign, is_put, load
from jaxmagic.port.observe import Facts
from jaxmagic.port.views import all_stores, is_basic


class Chains:
    """Takes the views of views in one unit apart, where it changes anything in place."""

    def __init__(self, unit: Unit, facts: Facts, names: Names) -> None:
        self.unit = unit
        self.facts = facts
        self.names = names

    def taken_apart(self, body: list[ast.stmt]) -> list[ast.stmt]:
        """A unit's body."""
        return self.block(body) if all_stores(body) else body

    def block(self, body: list[ast.stmt]) -> list[ast.stmt]:
        """A block."""
        return [new for node in body for new in self.statement(node)]

    def statement(self, node: ast.stmt) -> list[ast.stmt]:
        """A statement after the names that it needs."""
        new = copy.copy(node)
        if isinstance(new, ast.If | ast.For | ast.While):
            new.body, new.orelse = self.block(new.body), self.block(new.orelse)
            return [new]
        if not isinstance(new, ast.Assign) or is_put(new):
            return [node]
        before: list[ast.stmt] = []
        parts = new.value.elts if isinstance(new.value, ast.Tuple) else [new.value]
        values = [self.named(part, node, before) if self._may_be_view(part) else part for part in parts]
        new.value = ast.Tuple(values, ast.Load()) if isinstance(new.value, ast.Tuple) else values[0]
        return [*before, new if before else node]

    def _may_be_view(self, value: ast.expr) -> bool:
        fact = self.facts.of(self.unit, value)
        return not fact.forms or (fact.is_array and fact.shape != ())

    def named(self, value: ast.expr, node: ast.stmt, before: list[ast.stmt]) -> ast.expr:
        """A view of a name: what it is a view of, if that is a view itself, gets one."""
        base = self._base(value)
        if base is None or isinstance(base, ast.Name) or self._base(base) is None:
            return value
        name = self.names.new("view")
        inner = self.named(base, node, before)
        before.append(assign(name, inner, node))
        held = load(name)
        held.key = getattr(base, "key", -1)  # type: ignore[attr-defined]
        new = copy.copy(value)
        if isinstance(new, ast.Call):
            new.func = copy.copy(new.func)
            new.func.value = held  # type: ignore[attr-defined]
        else:
            new.value = held  # type: ignore[attr-defined]
        return new

    def _base(self, value: ast.expr) -> ast.expr | None:
        """What an expression surely is a view of: what was reshaped has to have a name."""
        if isinstance(value, ast.Subscript):
            return value.value if is_basic(self.unit, self.facts, value) else None
        if isinstance(value, ast.Attribute):
            return value.value if value.attr == "T" else None
        if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute):
            base, method = value.func.value, value.func.attr
            if method == "transpose" and not value.args:
                return base
            if method in ("reshape", "ravel", "squeeze") and isinstance(base, ast.Name):
                return base
        return None
