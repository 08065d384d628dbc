# ruff: noqa: ARG002 the handlers of one table share one signature
"""Expressions with their JAX meaning: conditions, builtins, moving windows and masks."""

from __future__ import annotations

import ast
import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from jaxmagic.port.collect import is_constant_module
from jaxmagic.port.known import LOST, Env, Known
from jaxmagic.port.names import numpy_name
from jaxmagic.port.nodes import chosen
from jaxmagic.port.nodes import dtype as dtype_node
from jaxmagic.port.windows import Value, Window, call, compare

OPERATORS = {ast.And: ast.BitAnd, ast.Or: ast.BitOr}


class Expressions(Known):
    """Lowers names, operators and conditions."""

    def plain(self, node: ast.expr, env: Env) -> ast.expr:
        """An expression of which every element counts."""
        value = self.lower(node, env)
        if not value.is_plain:
            raise self.varying(node)
        return value.node

    def lower(self, node: ast.expr, env: Env) -> Value:
        """An expression in JAX terms."""
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow | ast.LShift):
            self.note_whole(node, env)
        handler = getattr(self, f"_{type(node).__name__.lower()}", None)
        value = self._generic(node, env) if handler is None else handler(node, env)
        dtype = self.decisions.casts.get((self.unit.name, getattr(node, "key", -1)))
        return replace(value, node=self._cast(node, value.node, dtype)) if dtype else value

    def _cast(self, old: ast.expr, new: ast.expr, dtype: str) -> ast.expr:
        """An expression whose result has the dtype that NumPy gives it."""
        typed = dtype_node(dtype)
        if isinstance(new, ast.BinOp) and not isinstance(new.op, ast.MatMult):
            cast = copy.copy(new)
            cast.left = call("jnp.asarray", new.left, typed)
            del cast.place  # type: ignore[attr-defined]
            return cast
        if isinstance(new, ast.Call) and self._casts_arguments(old, dtype):
            cast_call = copy.copy(new)
            cast_call.args = [call("jnp.asarray", new.args[0], typed), *new.args[1:]]
            return cast_call
        if isinstance(new, ast.Call) and self._casts_owner(old, dtype):
            cast_call = copy.copy(new)
            cast_call.func = copy.copy(new.func)
            cast_call.func.value = call("jnp.asarray", new.func.value, typed)  # type: ignore[attr-defined]
            return cast_call
        return call("jnp.asarray", new, typed)

    def _casts_owner(self, old: ast.expr, dtype: str) -> bool:
        """The same for a method, such as the mean of booleans."""
        if not isinstance(old, ast.Call) or not isinstance(old.func, ast.Attribute):
            return False
        return self.fact(old.func.value).kind in ("i", "u", "b") and np.dtype(dtype).kind in "fc"

    def _casts_arguments(self, old: ast.expr, dtype: str) -> bool:
        """Whether a function of whole numbers computes with real ones in NumPy."""
        if not isinstance(old, ast.Call) or not old.args or np.dtype(dtype).kind not in "fc":
            return False
        return self.fact(old.args[0]).kind in ("i", "u", "b") and numpy_name(self.unit, old.func) is not None

    def _generic(self, node: ast.expr, env: Env) -> Value:
        """Any other expression: its parts have to be plain."""
        new = copy.copy(node)
        for name, value in ast.iter_fields(node):
            if isinstance(value, ast.expr):
                setattr(new, name, self.plain(value, env))
            elif isinstance(value, list):
                setattr(new, name, [self._item(item, env) for item in value])
        return Value(node=new, ndim=self.fact(node).ndim)

    def _item(self, item: Any, env: Env) -> Any:
        if isinstance(item, ast.expr):
            return self.plain(item, env)
        if isinstance(item, ast.keyword):
            new = copy.copy(item)
            new.value = self.plain(item.value, env)
            return new
        return item

    def _listcomp(self, node: ast.ListComp, env: Env) -> Value:
        return Value(node=copy.deepcopy(node))

    _generatorexp = _dictcomp = _setcomp = _lambda = _listcomp

    def _constant(self, node: ast.Constant, env: Env) -> Value:
        return Value(node=node, ndim=0)

    def _name(self, node: ast.Name, env: Env) -> Value:
        held = env.get(node.id)
        if held is not None and held.value is LOST:
            raise self.varying(node)
        if held is not None and held.value is not None:
            return replace(held.value, node=node)
        return Value(node=node, ndim=self.fact(node).ndim)

    def _attribute(self, node: ast.Attribute, env: Env) -> Value:
        if is_constant_module(self.unit, node) or numpy_name(self.unit, node) is not None:
            return Value(node=node)
        base = self.lower(node.value, env)
        if base.is_plain and node.attr == "flat" and self.fact(node.value).is_array:
            everything = ast.UnaryOp(ast.USub(), ast.Constant(1))
            return Value(
                node=ast.Call(ast.Attribute(base.node, "reshape", ast.Load()), [everything], []), ndim=1
            )
        if base.is_plain or node.attr in ("real", "imag", "dtype"):
            new = copy.copy(node)
            new.value = base.node
            return replace(base, node=new, ndim=self.fact(node).ndim)
        if node.attr == "size":
            return Value(node=call("jnp.sum", base.condition()), ndim=0)
        if node.attr == "T" and base.ndim == 1:
            return base
        raise self.varying(node)

    # -- conditions --

    def _boolop(self, node: ast.BoolOp, env: Env) -> Value:
        if self.is_static(node, env):
            return self._generic(node, env)
        if all(map(self._is_flag, node.values)):
            return Value(node=self._condition(node, env), ndim=0)
        total = self.plain(node.values[-1], env)
        for value in reversed(node.values[:-1]):
            test, one = self.truth(value, env), self.plain(value, env)
            ways = (total, one) if isinstance(node.op, ast.And) else (one, total)
            total = chosen(node, call("jnp.where", test, *ways))
        return Value(node=total, ndim=0)

    def _condition(self, node: ast.BoolOp, env: Env) -> ast.expr:
        """`a and b` where only its truth counts."""
        total = self.truth(node.values[0], env)
        for value in node.values[1:]:
            total = ast.BinOp(total, OPERATORS[type(node.op)](), self.truth(value, env))
        return total

    def truth(self, node: ast.expr, env: Env) -> ast.expr:
        """An expression as a condition: a boolean, or "is not zero"."""
        if isinstance(node, ast.BoolOp) and not self.is_static(node, env):
            return self._condition(node, env)
        new = self.plain(node, env)
        return new if self._is_flag(node) else compare(new, ast.NotEq(), ast.Constant(0))

    def _is_flag(self, node: ast.expr) -> bool:
        """Whether an expression is true or false and nothing else."""
        if isinstance(node, ast.BoolOp):
            return all(map(self._is_flag, node.values))
        negated = isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)
        known = negated or isinstance(node, ast.Compare) or getattr(node, "is_flag", False)
        return known or self.fact(node).kind == "b"

    def negated(self, test: ast.expr, of: ast.expr) -> ast.expr:
        """The opposite of a condition: `~` of Python's own True is a number, and true as well."""
        forms = self.fact(of).forms
        if forms and all(form.kind in ("array", "scalar") for form in forms):
            return ast.UnaryOp(ast.Invert(), test)
        return call("jnp.logical_not", test)

    def _unaryop(self, node: ast.UnaryOp, env: Env) -> Value:
        if isinstance(node.op, ast.Not) and not self.is_static(node, env):
            return Value(node=self.negated(self.truth(node.operand, env), node.operand), ndim=0)
        inner = self.lower(node.operand, env)
        new = copy.copy(node)
        new.operand = inner.node
        if (
            isinstance(node.op, ast.Invert)
            and self.fact(node.operand).is_python
            and self.fact(node.operand).kind == "b"
        ):
            raise self.unit.refuse(node, "`~` of a Python bool is a number.", "Write `not`.")
        return replace(inner, node=new)

    def _compare(self, node: ast.Compare, env: Env) -> Value:
        if self.is_static(node, env):
            return self._generic(node, env)
        if any(isinstance(op, ast.Is | ast.IsNot) for op in node.ops):
            return self._generic(node, env)
        if any(isinstance(op, ast.In | ast.NotIn) for op in node.ops):
            raise self.unit.refuse(
                node, "`in` is not known while JAX traces.", "Write `(array == value).any()`."
            )
        values = [self.lower(part, env) for part in (node.left, *node.comparators)]
        if len(node.ops) == 1:
            new = copy.copy(node)
            new.left, new.comparators = values[0].node, [values[1].node]
            if self.fact(node).is_array:
                new.left = self.as_array(node.left, new.left)
                new.comparators = [self.as_array(node.comparators[0], values[1].node)]
            return self.together(node, new, values)
        pairs = [compare(a.node, op, b.node) for a, op, b in zip(values, node.ops, values[1:], strict=False)]
        total: ast.expr = pairs[0]
        for pair in pairs[1:]:
            total = ast.BinOp(total, ast.BitAnd(), pair)
        return self.together(node, total, values)

    def _ifexp(self, node: ast.IfExp, env: Env) -> Value:
        if self.is_static(node.test, env):
            return self._generic(node, env)
        ways = (self.plain(node.body, env), self.plain(node.orelse, env))
        choice = call("jnp.where", self.truth(node.test, env), *ways)
        return Value(node=chosen(node, choice), ndim=self.fact(node).ndim)

    # -- elementwise --

    def as_array(self, old: ast.expr, new: ast.expr) -> ast.expr:
        """A list where NumPy takes it as an array."""
        forms = self.fact(old).forms
        is_list = isinstance(old, ast.List | ast.ListComp) or (
            bool(forms) and all(form.kind in ("list", "range", "tuple") for form in forms)
        )
        return call("jnp.array", new) if is_list else new

    def together(self, node: ast.expr, new: ast.expr, values: list[Value]) -> Value:
        """An elementwise result: the operands' masked elements have to be the same ones."""
        masked = [value for value in values if not value.is_plain]
        if not masked:
            return Value(node=new, ndim=self.fact(node).ndim)
        axes: dict[int, Window] = {}
        masks = {ast.unparse(v.mask) for v in masked if v.mask is not None}
        if len(masks) > 1 or (masks and any(v.axes for v in masked)):
            raise self.varying(node)
        for value in masked:
            for axis, window in value.axes.items():
                if axis in axes and axes[axis].key != window.key:
                    raise self.varying(node)
                axes[axis] = window
        if any(self._misfits(value, axes, bool(masks)) for value in values if value.is_plain):
            raise self.varying(node)
        mask = next((v.mask for v in masked if v.mask is not None), None)
        ndim = max((v.ndim or 0 for v in values), default=0)
        return Value(node=new, axes=axes, mask=mask, ndim=ndim)

    def _misfits(self, value: Value, axes: Mapping[int, Window], masked: bool) -> bool:
        """Whether an unmasked operand has elements along a masked axis."""
        fact = self.fact(value.node)
        if fact.is_scalar or isinstance(value.node, ast.Constant) or value.ndim == 0:
            return False
        if masked or not fact.forms:
            return True
        shapes = {form.shape for form in fact.forms}
        return any(len(shape) >= -axis and shape[axis] != 1 for shape in shapes for axis in axes)
