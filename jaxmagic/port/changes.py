"""Calls that change an array in place: which array, and what its new value is."""

from __future__ import annotations

import ast
import copy
from dataclasses import dataclass

import numpy as np

from jaxmagic.port.collect import Unit, object_of
from jaxmagic.port.names import numpy_name
from jaxmagic.port.nodes import load
from jaxmagic.port.observe import Facts

# Methods that change the array they belong to: what its new value is, as NumPy source.
METHODS = {
    "sort": "numpy.sort",
    "fill": None,
    "partition": "numpy.partition",
    "byteswap": None,
}


@dataclass(frozen=True, slots=True)
class Changes:
    """The calls of one unit that change an array: each as (the array, its new value)."""

    unit: Unit
    facts: Facts

    def out(self, node: ast.expr) -> tuple[ast.expr, ast.expr] | None:
        """`np.f(a, b, out=c)` and `np.f(a, b, c)` as (c, np.f(a, b))."""
        if not isinstance(node, ast.Call):
            return None
        ufunc = object_of(self.unit, node.func)
        given = [
            k
            for k in node.keywords
            if k.arg == "out" and not (isinstance(k.value, ast.Constant) and k.value.value is None)
        ]
        plain = copy.copy(node)
        if given:
            plain.keywords = [k for k in node.keywords if k.arg != "out"]
            target = given[0].value
            target = target.elts[0] if isinstance(target, ast.Tuple) else target
        elif isinstance(ufunc, np.ufunc) and len(node.args) == ufunc.nin + 1:
            plain.args, target = node.args[:-1], node.args[-1]
        else:
            return None
        return target, self._where(plain, target)

    def _where(self, call: ast.Call, target: ast.expr) -> ast.expr:
        """`where=` of a ufunc: elsewhere the target stays."""
        where = next((k for k in call.keywords if k.arg == "where"), None)
        if where is None:
            return call
        call.keywords = [k for k in call.keywords if k is not where]
        return ast.Call(self._numpy("where"), [where.value, call, copy.deepcopy(target)], [])

    def _numpy(self, name: str) -> ast.expr:
        """`jnp.name` in a tree that is still NumPy's."""
        return ast.Attribute(load("jnp"), name, ast.Load())

    def changed_by(self, call: ast.Call) -> tuple[ast.expr, ast.expr] | None:
        """The array that a call changes and its new value."""
        name = numpy_name(self.unit, call.func)
        args = call.args
        if name == "numpy.copyto" and len(args) == 2:
            where = next((k.value for k in call.keywords if k.arg == "where"), None)
            value = (
                args[1]
                if where is None
                else ast.Call(self._numpy("where"), [where, args[1], copy.deepcopy(args[0])], [])
            )
            return args[0], value
        if name == "numpy.put" and len(args) == 3:
            return ast.Subscript(ast.Attribute(args[0], "flat", ast.Load()), args[1], ast.Load()), args[2]
        if name in ("numpy.place", "numpy.putmask") and len(args) == 3:
            return args[0], ast.Call(self._numpy("where"), [args[1], args[2], copy.deepcopy(args[0])], [])
        if name == "numpy.fill_diagonal" and len(args) == 2:
            return args[0], ast.Call(
                self._numpy("fill_diagonal"),
                [copy.deepcopy(args[0]), args[1]],
                [ast.keyword("inplace", ast.Constant(value=False))],
            )
        if name is not None and name.endswith(".at"):
            return self._ufunc_at(name, args)
        if name is None and isinstance(call.func, ast.Attribute):
            return self._method(call, call.func)
        return None

    def _ufunc_at(self, name: str, args: list[ast.expr]) -> tuple[ast.expr, ast.expr] | None:
        """`np.add.at(x, i, v)`, where repeated indices count each time."""
        methods = {
            "add": "add",
            "multiply": "multiply",
            "minimum": "min",
            "maximum": "max",
            "subtract": "subtract",
            "divide": "divide",
        }
        method = methods.get(name.split(".")[-2])
        if method is None or len(args) != 3:
            return None
        at = ast.Subscript(ast.Attribute(copy.deepcopy(args[0]), "at", ast.Load()), args[1], ast.Load())
        value: ast.expr = args[2]
        if method == "subtract":
            method, value = "add", ast.UnaryOp(ast.USub(), value)
        new = ast.Call(ast.Attribute(at, method, ast.Load()), [value], [])
        new.exact = True  # type: ignore[attr-defined] # of the array's own shape and dtype
        return args[0], new

    def _method(self, call: ast.Call, func: ast.Attribute) -> tuple[ast.expr, ast.expr] | None:
        fact = self.facts.of(self.unit, func.value)
        if func.attr not in METHODS or (fact.forms and not fact.is_array):
            return None
        if func.attr == "fill":
            return func.value, call.args[0]
        if func.attr in ("sort", "partition"):
            return func.value, ast.Call(
                self._numpy(func.attr), [copy.deepcopy(func.value), *call.args], call.keywords
            )
        return None
