"""Sums over consecutive segments of arrays, `a[p[i]:p[i + 1]].sum()` in a loop over i, by `segment_sum`.

This is how NumPy code goes over the rows of a sparse matrix. In a loop that JAX rolls every iteration
would go over all elements; `jax.ops.segment_sum` does so once. It takes it that the bounds ascend, as
those of a partition do; where they do not, the port gives NaN rather than a wrong number.
"""

from __future__ import annotations

import ast
import copy
from dataclasses import dataclass

import numpy as np

from jaxmagic.port.collect import Unit, object_of
from jaxmagic.port.flow import assigned, read
from jaxmagic.port.known import Env, Held
from jaxmagic.port.linear import linear
from jaxmagic.port.mapped import Mapped
from jaxmagic.port.names import numpy_name
from jaxmagic.port.nodes import at_set, bind, is_put, load
from jaxmagic.port.observe import Facts
from jaxmagic.port.ranges import bounds_of
from jaxmagic.port.windows import call, compare, final

ARITHMETIC = (ast.BinOp, ast.UnaryOp, ast.Constant, ast.operator, ast.USub, ast.expr_context)


@dataclass(slots=True)
class _Whole(ast.NodeTransformer):
    """An expression of segments, for all elements at once.

    Args:
        index: the loop's variable.
        known: what the iteration's own names stand for.
        changing: names that mean something else in every iteration.
        bounds: the array of bounds, once seen.
        array: one of the arrays that are cut up, once seen.
    """

    unit: Unit
    facts: Facts
    index: str
    known: dict[str, ast.expr]
    changing: frozenset[str]
    bounds: str = ""
    array: str = ""
    fits: bool = True

    def visit_Name(self, node: ast.Name) -> ast.AST:
        """A name of the iteration's own by what it stands for."""
        if node.id in self.known:
            whole: ast.AST = self.visit(copy.deepcopy(self.known[node.id]))
            return whole
        fixed = node.id != self.index and node.id not in self.changing
        self.fits = self.fits and fixed and self.facts.of(self.unit, node).is_scalar
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """A function of each element."""
        self.fits = self.fits and isinstance(object_of(self.unit, node.func), np.ufunc) and not node.keywords
        node.args = [self.visit(each) for each in node.args]
        return node

    def generic_visit(self, node: ast.AST) -> ast.AST:
        """Arithmetic, and nothing else."""
        self.fits = self.fits and isinstance(node, ARITHMETIC) and not isinstance(node, ast.MatMult)
        return ast.NodeTransformer.generic_visit(self, node)

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        """A segment by the whole array, a gather by a gather for all elements."""
        if not isinstance(node.value, ast.Name) or self.facts.of(self.unit, node.value).ndim != 1:
            self.fits = False
            return node
        bounds = self._segment(node.slice)
        if bounds is None:
            node.slice = self.visit(node.slice)
            self.fits = self.fits and self._is_gather(node)
            return node
        self.fits = self.fits and self.bounds in ("", bounds) and node.value.id not in self.changing
        self.bounds, self.array = bounds, node.value.id
        return node.value

    def _segment(self, part: ast.expr) -> str | None:
        """The `p` of `p[i]:p[i + 1]`."""
        if not isinstance(part, ast.Slice) or part.step is not None:
            return None
        ends = [part.lower, part.upper]
        names = [e.value.id for e in ends if isinstance(e, ast.Subscript) and isinstance(e.value, ast.Name)]
        if len(names) != 2 or names[0] != names[1] or names[0] in self.changing:
            return None
        places = [linear(end.slice) for end in ends]  # type: ignore[union-attr] # both are subscripts
        return names[0] if places == [{self.index: 1}, {self.index: 1, "": 1}] else None

    def _is_gather(self, node: ast.Subscript) -> bool:
        """Whether an index is an array of whole numbers, one for each element."""
        whole = isinstance(node.slice, ast.Name) and self.facts.of(self.unit, node.slice).kind in ("i", "u")
        return whole and self.facts.of(self.unit, node.slice).ndim == 1


class Segments(Mapped):
    """Lowers loops over segments."""

    def segmented(self, node: ast.For, env: Env) -> list[ast.stmt] | None:
        """The loop as one sum over segments; None where it is another."""
        known = bounds_of(node)
        key = (self.unit.name, getattr(node, "key", -1))
        if known is None or key in self.decisions.rolled or not self.decisions.maps:
            return None
        if linear(known[0]) or not self.is_static(node.iter, env):
            return None
        assert isinstance(node.target, ast.Name)
        *first, last = node.body
        names = self._names(first)
        after = self.live.after[id(node)]
        if names is None or (names.keys() | {node.target.id}) & after or not is_put(last):
            return None
        assert isinstance(last, ast.Assign)
        target = last.targets[0]
        assert isinstance(target, ast.Subscript)
        assert isinstance(target.value, ast.Name)
        if linear(target.slice) != {node.target.id: 1} or self.fact(target.value).ndim != 1:
            return None
        summed = self._summed(last.value)
        if summed is None or not self._is_real(last.value, target):
            return None
        whole = _Whole(self.unit, self.facts, node.target.id, names, assigned(node.body))
        terms = whole.visit(copy.deepcopy(summed))
        if not whole.fits or not whole.bounds:
            return None
        self.mapping.add(key)
        return self._sums(whole, target.value.id, self.plain(terms, env), self.plain(known[1], env), env)

    def _names(self, body: list[ast.stmt]) -> dict[str, ast.expr] | None:
        """What an iteration gives names to."""
        found: dict[str, ast.expr] = {}
        for node in body:
            if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
                return None
            if node.targets[0].id in found or node.targets[0].id in read(node.value):
                return None
            found[node.targets[0].id] = node.value
        return found

    def _summed(self, value: ast.expr) -> ast.expr | None:
        """What is added up in `a @ b`, `np.dot(a, b)`, `np.sum(a)` or `a.sum()`."""
        if isinstance(value, ast.BinOp) and isinstance(value.op, ast.MatMult):
            return ast.BinOp(value.left, ast.Mult(), value.right)
        if not isinstance(value, ast.Call) or value.keywords:
            return None
        name = numpy_name(self.unit, value.func)
        if name in ("numpy.dot", "numpy.inner") and len(value.args) == 2:
            return ast.BinOp(value.args[0], ast.Mult(), value.args[1])
        if name == "numpy.sum" and len(value.args) == 1:
            return value.args[0]
        method = isinstance(value.func, ast.Attribute) and value.func.attr == "sum" and name is None
        return value.func.value if method and not value.args else None  # type: ignore[attr-defined]

    def _is_real(self, value: ast.expr, target: ast.Subscript) -> bool:
        """Whether the sums are real numbers of the array's kind."""
        fact, whole = self.fact(value), self.fact(target.value)
        return fact.is_scalar and fact.dtype == whole.dtype and fact.kind == "f"

    def _sums(self, whole: _Whole, name: str, terms: ast.expr, length: ast.expr, env: Env) -> list[ast.stmt]:
        """`segments = …; y = y.at[:n].set(…)`."""
        segments = self.names.new("segments")
        size = ast.Attribute(load(whole.array), "size", ast.Load())
        found = call(
            "jnp.searchsorted", load(whole.bounds), call("jnp.arange", size), side=ast.Constant("right")
        )
        total = call("jax.ops.segment_sum", terms, load(segments), num_segments=copy.deepcopy(length))
        steps = call("jnp.diff", load(whole.bounds), prepend=ast.Constant(0))
        ascend = call("jnp.all", compare(steps, ast.GtE(), ast.Constant(0)))
        chosen = call("jnp.where", ascend, total, final("jnp.nan"))
        env[name] = Held(static=False)
        return [
            bind([segments], ast.BinOp(found, ast.Sub(), ast.Constant(1))),
            bind([name], at_set(load(name), ast.Slice(None, length, None), chosen)),
        ]
