"""Where NumPy and compiled code differ for values at the edge, and the looks that a call of a port takes.

C leaves it open what 300.0 is as an unsigned byte: some processors wrap it round, others give the
nearest number that fits, and XLA has its own way. And of no elements NumPy has no largest, and raises.
"""

from __future__ import annotations

import ast
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import checkify

from jaxmagic.port.collect import Unit
from jaxmagic.port.instrument import constant

# Functions of a value and a dtype, and that of an array and the value that fills it.
OF_DTYPE, OF_ARRAY = {"jnp.asarray", "jnp.array"}, "jnp.full_like"
WHOLE = {f"jnp.{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
EXTREMES = {"jnp.max", "jnp.min"}
Place = tuple[str, int]


class Edges(ast.NodeTransformer):
    """`__cast__(place, value, dtype)` around what is given a dtype, `__some__(place, which)` in extremes."""

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self.line = unit.node.lineno

    def visit(self, node: ast.AST) -> Any:
        """A statement says on which line of the user's it is."""
        if isinstance(node, ast.stmt):
            self.line = getattr(node, "lineno", self.line)
        return super().visit(node)

    def visit_Call(self, node: ast.Call) -> ast.Call:
        """A call that gives its value a dtype, or is the extreme of the elements that count."""
        line = self.line
        self.generic_visit(node)
        name, of = ast.unparse(node.func), {word.arg: word.value for word in node.keywords}
        given = of.get("dtype") or (node.args[1] if len(node.args) == 2 else None)
        if name in OF_DTYPE and node.args and given is not None:
            node.args[0] = self._around(line, node.args[0], given)
        elif name == OF_ARRAY and len(node.args) == 2:
            node.args[1] = self._around(line, node.args[1], ast.Attribute(node.args[0], "dtype", ast.Load()))
        elif name in EXTREMES and {"where", "initial"} <= of.keys():
            place = constant((self.unit.name, line))
            for word in node.keywords:
                if word.arg == "where":
                    word.value = ast.Call(ast.Name("__some__", ast.Load()), [place, word.value], [])
        elif name in WHOLE and node.args:
            node.args[0] = self._around(line, node.args[0], node.func)
        elif isinstance(node.func, ast.Attribute) and node.func.attr == "astype" and node.args:
            node.func.value = self._around(line, node.func.value, node.args[0])
        return node

    def _around(self, line: int, value: ast.expr, dtype: ast.expr) -> ast.Call:
        place = constant((self.unit.name, line))
        return ast.Call(ast.Name("__cast__", ast.Load()), [place, value, dtype], [])


def narrows(value: Any, dtype: Any) -> bool:
    """Whether a cast makes whole numbers of real ones that are not known before the program runs."""
    real = isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jnp.floating)
    return real and np.issubdtype(np.dtype(dtype), np.integer)


def looked_at(place: Place, value: Any, dtype: Any) -> Any:  # noqa: ARG001 one signature for both looks
    """A value that is about to be cast, held to what fits."""
    if narrows(value, dtype):
        limits, cut = np.iinfo(np.dtype(dtype)), jnp.trunc(value)
        fits = (cut >= float(limits.min)) & (cut < float(limits.max) + 1.0)
        checkify.check(jnp.all(fits), "a number does not fit")
    return value


def some_looked_at(place: Place, condition: Any) -> Any:  # noqa: ARG001 one signature for both looks
    """Which elements an extreme is of, held to be any."""
    checkify.check(jnp.any(condition), "no element is left")
    return condition
