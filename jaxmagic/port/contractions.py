# ruff: noqa: ARG002 the handlers of one table share one signature
"""Products, sums and extremes of values of which not every element counts."""

from __future__ import annotations

import ast
import copy
from dataclasses import replace
from typing import Any

from jaxmagic.port.expressions import Expressions
from jaxmagic.port.flow import read
from jaxmagic.port.known import Env
from jaxmagic.port.linear import written
from jaxmagic.port.names import numpy_name
from jaxmagic.port.windows import Value, Window, call, compare, final

REDUCTIONS = ("sum", "mean", "prod", "any", "all", "std", "var", "max", "min", "amax", "amin")
EXTREMES = {"max": "min", "min": "max", "amax": "min", "amin": "max"}


class Contractions(Expressions):
    """Lowers what runs over the elements of an axis."""

    def _binop(self, node: ast.BinOp, env: Env) -> Value:
        left, right = self.lower(node.left, env), self.lower(node.right, env)
        new = copy.copy(node)
        if isinstance(node.op, ast.MatMult):
            return self.contraction(node, new, left, right)
        if isinstance(node.op, ast.Add | ast.Mult) and any(
            form.kind in ("list", "tuple", "str") for form in self.fact(node).forms
        ):
            return self._generic(node, env)
        new.left, new.right = left.node, right.node
        if self.fact(node).is_array:
            new.left, new.right = self.as_array(node.left, left.node), self.as_array(node.right, right.node)
        value = self.together(node, new, [left, right])
        return replace(value, node=self._divided(node, new)) if self._may_divide_by_zero(node, env) else value

    def _may_divide_by_zero(self, node: ast.BinOp, env: Env) -> bool:
        """Whether whole numbers are divided by some that only the data tell."""
        if not isinstance(node.op, ast.FloorDiv) or self.is_static(node.right, env):
            return False
        return self.fact(node.left).kind in ("i", "u", "b") and self.fact(node.right).kind in ("i", "u")

    def _divided(self, node: ast.BinOp, new: ast.BinOp) -> ast.expr:
        """Zero where NumPy's whole numbers are divided by zero; JAX has other numbers there."""
        return call(
            "jnp.where", compare(copy.deepcopy(new.right), ast.Eq(), ast.Constant(0)), ast.Constant(0), new
        )

    def contraction(self, node: ast.expr, new: Any, left: Value, right: Value) -> Value:
        """`left @ right`, the elements that do not count set to zero."""
        if left.is_plain and right.is_plain:
            self._operands(new, left.node, right.node)
            return Value(node=new, ndim=self.fact(node).ndim)
        if left.mask is not None or right.mask is not None:
            return self._packed_dot(node, new, left, right)
        inner = -1 if right.ndim == 1 else -2
        if left.ndim is None or right.ndim is None or max(left.ndim, right.ndim) > 2:
            raise self.varying(node)
        a, b = left.axes.get(-1), right.axes.get(inner)
        if (a is None) != (b is None) or (a is not None and b is not None and a.key != b.key):
            raise self.varying(node)
        lhs = left.node if a is None else Value(node=left.node, axes={-1: a}).filled(ast.Constant(0))
        rhs = right.node if b is None else Value(node=right.node, axes={inner: b}).filled(ast.Constant(0))
        if a is not None and self.batched and self.decisions.finite:
            lhs, rhs = self._filled_once(left.node, lhs, right.node, rhs)
        self._operands(new, lhs, rhs)
        return Value(node=new, axes=_free_axes(left, right), ndim=left.ndim + right.ndim - 2)

    def outer(self, node: ast.expr, left: Value, right: Value) -> Value:
        """`np.outer(x[k:], y[k:])`: of the rows those count that count in x, of the columns those in y."""
        if (left.ndim, right.ndim) != (1, 1) or left.mask is not None or right.mask is not None:
            raise self.varying(node)
        windows = {-2: left.axes.get(-1), -1: right.axes.get(-1)}
        axes = {axis: window for axis, window in windows.items() if window is not None}
        return Value(node=call("jnp.outer", left.node, right.node), axes=axes, ndim=2)

    def _filled_once(
        self, left: ast.expr, lhs: ast.expr, right: ast.expr, rhs: ast.expr
    ) -> tuple[ast.expr, ast.expr]:
        """Zeros on one side only, where a mapped loop would give the other one an axis more for them."""
        costs = [self._batch(lhs, left), self._batch(rhs, right)]
        if costs[0] == costs[1]:
            return lhs, rhs
        self.takes_finite = True
        return (lhs, right) if costs[0] < costs[1] else (left, rhs)

    def _batch(self, filled: ast.expr, node: ast.expr) -> tuple[int, int]:
        """How many mapped loops filling adds to an operand, and how many it has."""
        after, before = (
            frozenset[int]().union(*(self.batched.get(name, frozenset()) for name in read(part)))
            for part in (filled, node)
        )
        return len(after - before), len(before)

    def _packed_dot(self, node: ast.expr, new: Any, left: Value, right: Value) -> Value:
        if left.key() != right.key() or left.ndim != 1 or right.ndim != 1:
            raise self.varying(node)
        self._operands(new, left.filled(ast.Constant(0)), right.filled(ast.Constant(0)))
        return Value(node=new, ndim=0)

    def _operands(self, new: Any, left: ast.expr, right: ast.expr) -> None:
        if isinstance(new, ast.BinOp):
            new.left, new.right = left, right
        else:
            new.args = [left, right]

    def _reduction(self, node: ast.Call, short: str, value: Value, env: Env) -> Value:
        """A sum, mean or extreme over the elements that count."""
        rest = node.args[1:] if numpy_name(self.unit, node.func) else node.args
        freedom = [k for k in node.keywords if k.arg == "ddof" and short in ("std", "var")]
        if any(k.arg != "axis" and k not in freedom for k in node.keywords):
            raise self.varying(node)
        if rest or any(
            k.arg != "axis" or not isinstance(k.value, ast.Constant) or k.value.value is not None
            for k in node.keywords
        ):
            axis = [ast.unparse(a) for a in [*rest, *(k.value for k in node.keywords if k not in freedom)]]
            if value.ndim != 1 and not (value.mask is not None and axis == ["0"]):
                raise self.varying(node)
        keywords: dict[str, ast.expr] = {"where": value.condition()}
        if value.ndim != 1 and (rest or node.keywords):
            keywords = {"axis": ast.Constant(0), **keywords}
        if short in EXTREMES:
            keywords["initial"] = self._limit(node, value, EXTREMES[short])
        keywords |= {str(k.arg): k.value for k in freedom}
        function = short.removeprefix("a") if short in ("amax", "amin") else short
        return Value(node=call(f"jnp.{function}", value.node, **keywords), ndim=self.fact(node).ndim)

    def _limit(self, of: ast.expr, value: Value, word: str) -> ast.expr:
        """The number that changes no extreme: the least ("min") or largest of the dtype of an expression."""
        if self.fact(of).kind == "b":
            return ast.Constant(value=word == "max")
        if self.fact(of).kind in "iu":
            return ast.Attribute(
                call("jnp.iinfo", ast.Attribute(value.node, "dtype", ast.Load())), word, ast.Load()
            )
        return ast.UnaryOp(ast.USub(), final("jnp.inf")) if word == "min" else final("jnp.inf")

    def _place(self, node: ast.Call, of: ast.expr, short: str, value: Value) -> Value:
        """`np.argmax(x[k:])`: turned so that the part starts at 0, ties are told apart as in NumPy."""
        window = value.axes.get(-1)
        operands = len(node.args) - bool(numpy_name(self.unit, node.func))
        if value.ndim != 1 or window is None or operands or node.keywords:
            raise self.varying(node)
        filled = value.filled(self._limit(of, value, "min" if short == "argmax" else "max"))
        if window.start:
            filled = call("jnp.roll", filled, ast.UnaryOp(ast.USub(), written(window.start)))
        return Value(node=call(f"jnp.{short}", filled), ndim=0)

    def _flipped(self, node: ast.Call, value: Value) -> Value:
        """`np.flip(x[:k])`: the whole flipped, and moved so that it starts where it did."""
        window = value.axes.get(-1)
        if value.ndim != 1 or window is None or window.start or window.stop is None:
            raise self.varying(node)
        flipped = call("jnp.roll", call("jnp.flip", value.node), written(window.stop))
        return replace(value, node=flipped)


def _free_axes(left: Value, right: Value) -> dict[int, Window]:
    """The windows along the axes that a product of at most two axes each leaves."""
    axes = {}
    if left.ndim == 2 and -2 in left.axes:
        axes[-2 if right.ndim == 2 else -1] = left.axes[-2]
    if right.ndim == 2 and -1 in right.axes:
        axes[-1] = right.axes[-1]
    return axes
