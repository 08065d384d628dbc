"""Loops that only add up become products of arrays, and sums.

In a loop over k, `c += s * a[i, k] * b[k, j]` adds up `s * (a[i, :] @ b[:, j])`, and `c -= a[k]` takes
away `a.sum()`, where nothing else happens in the loop, what it adds does not depend on what it has
added so far, and all is of one kind of real or complex numbers. Only the order of rounding changes.
"""

from __future__ import annotations

import ast
import copy

from jaxmagic.port.collect import Unit
from jaxmagic.port.flow import Liveness, assigned, read
from jaxmagic.port.nodes import is_put, is_whole, like, seen_as
from jaxmagic.port.observe import Fact, Facts
from jaxmagic.port.ranges import bounds_of, elements_of, is_full_slice

# Loops with fewer iterations are left as they are.
LEAST = 9


class Sums(ast.NodeTransformer):
    """Rewrites the loops of one unit, the innermost first."""

    def __init__(self, unit: Unit, facts: Facts, body: list[ast.stmt]) -> None:
        self.unit = unit
        self.facts = facts
        self.live = Liveness(body)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """Functions of the user's own hold expressions only."""
        return node

    def visit_For(self, node: ast.For) -> ast.AST | list[ast.stmt]:
        """A loop, as the sums that it makes."""
        self.generic_visit(node)
        known = bounds_of(node)
        trips = self.facts.trips.get((self.unit.name, getattr(node, "key", -1)), (0, 0))
        if known is None or trips[1] < LEAST or node.orelse:
            return node
        assert isinstance(node.target, ast.Name)
        if node.target.id in self.live.after.get(id(node), frozenset({node.target.id})):
            return node
        new = [_Sum(self.unit, self.facts, node.target.id, known, node.body).of(each) for each in node.body]
        several = len(new) != len({name for each in node.body for name in assigned([each])})
        return node if None in new or several else [each for each in new if each is not None]


class _Sum:
    """What one statement adds up in a loop over a range."""

    def __init__(
        self, unit: Unit, facts: Facts, index: str, bounds: tuple[ast.expr, ast.expr], body: list[ast.stmt]
    ) -> None:
        self.unit = unit
        self.facts = facts
        self.index = index
        self.bounds = bounds
        self.changing = assigned(body)

    def of(self, node: ast.stmt) -> ast.stmt | None:
        """The statement that adds all at once; None where this one does something else."""
        if not isinstance(node, ast.Assign) or getattr(node, "stores", None):
            return None
        target, value = node.targets[0], node.value
        if not isinstance(value, ast.BinOp) or not isinstance(value.op, ast.Add | ast.Sub):
            return None
        if not isinstance(target, ast.Name) and not is_put(node):
            return None
        if ast.unparse(value.left) not in _written(target) or read(value.right) & self.changing:
            return None
        place = read(target.slice) if isinstance(target, ast.Subscript) else frozenset()
        if place & (self.changing | {self.index}) or not self._is_alike(value, self._before(node, target)):
            return None
        total = self._total(value.right)
        if total is None:
            return None
        new: ast.Assign = like(ast.Assign([copy.copy(target)], copy.copy(value)), node)
        assert isinstance(new.value, ast.BinOp)
        new.value.right = total
        return new

    def _before(self, node: ast.Assign, target: ast.expr) -> Fact:
        """What is added to."""
        assert isinstance(node.value, ast.BinOp)
        seen = self.facts.of(self.unit, node.value.left)
        if seen.forms:
            return seen
        whole = target.value if isinstance(target, ast.Subscript) else target
        known = self.facts.of(self.unit, whole)
        return known if known.forms else self.facts.touched(self.unit, node, ast.unparse(whole))

    def _is_alike(self, value: ast.BinOp, before: Fact) -> bool:
        """Whether what is added has the dtype of what it is added to."""
        kinds = {self.facts.of(self.unit, value.right).dtype} | {
            self.facts.of(self.unit, part).dtype for part in ast.walk(value.right) if self._is_varying(part)
        }
        if len(kinds) != 1 or self.facts.of(self.unit, value.right).kind not in ("f", "c"):
            return False
        number = ("bool", "int", "float")
        fits = [form.dtype in kinds or (not form.dtype and form.kind in number) for form in before.forms]
        return bool(fits) and all(fits)

    def _is_varying(self, node: ast.AST) -> bool:
        return isinstance(node, ast.Subscript) and self.index in read(node)

    def _total(self, term: ast.expr) -> ast.expr | None:
        """The sum over the loop of an expression: a sum of products, each with its own."""
        if isinstance(term, ast.BinOp) and isinstance(term.op, ast.Add | ast.Sub):
            left, right = self._total(term.left), self._total(term.right)
            if left is None or right is None:
                return None
            return self._like(ast.BinOp(left, term.op, right), term)
        factors = _factors(term)
        moving = [part for part in factors if self.index in read(part)]
        fixed = [part for part in factors if self.index not in read(part)]
        if not 0 < len(moving) < 3 or not all(map(self._is_number, fixed)):
            return None
        opened = [self._opened(part) for part in moving]
        if any(part is None for part in opened):
            return None
        total = self._product(moving, opened)  # type: ignore[arg-type] # none is None
        for part in reversed(fixed):
            total = None if total is None else self._like(ast.BinOp(part, ast.Mult(), total), term)
        return total

    def _like(self, new: ast.expr, old: ast.expr) -> ast.expr:
        """A new expression whose value is of the kind that an old one's was."""
        return seen_as(ast.copy_location(new, old), self.facts.of(self.unit, old))

    def _is_number(self, part: ast.expr) -> bool:
        if isinstance(part, ast.Constant):
            return type(part.value) in (int, float)
        return self.facts.of(self.unit, part).is_scalar

    def _opened(self, part: ast.expr) -> tuple[ast.expr, int, int] | None:
        """`a[i, k]` as `a[i, :]`, the axis of the result that k was, and how many others there are."""
        if not isinstance(part, ast.Subscript) or not isinstance(part.value, ast.Name):
            return None
        fact = self.facts.of(self.unit, part.value)
        index = elements_of(part.slice)
        at = [i for i, each in enumerate(index) if isinstance(each, ast.Name) and each.id == self.index]
        rest = [each for i, each in enumerate(index) if i not in at]
        if len(at) != 1 or fact.ndim is None or len(index) > fact.ndim or part.value.id in self.changing:
            return None
        if any(self.index in read(each) or not self._is_index(each) for each in rest):
            return None
        new = copy.copy(part)
        parts = [*index[: at[0]], self._slice(part.value.id, at[0]), *index[at[0] + 1 :]]
        new.slice = parts[0] if len(parts) == 1 else ast.Tuple(parts, ast.Load())
        del new.key  # type: ignore[attr-defined] # its value is another
        slices = sum(isinstance(each, ast.Slice) for each in index[: at[0]])
        points = sum(not isinstance(each, ast.Slice) for each in index)
        return part.value if all(map(is_full_slice, parts)) else new, slices, fact.ndim - points

    def _is_index(self, part: ast.expr) -> bool:
        if isinstance(part, ast.Slice):
            return part.step is None
        fact = self.facts.of(self.unit, part)
        return (isinstance(part, ast.Constant) and type(part.value) is int) or (
            fact.is_scalar and fact.kind in ("i", "u")
        )

    def _slice(self, array: str, axis: int) -> ast.Slice:
        """The loop's range along an axis."""
        lower, upper = (copy.deepcopy(end) for end in self.bounds)
        whole = ast.unparse(upper) == f"{array}.shape[{axis}]"
        starts = isinstance(lower, ast.Constant) and lower.value == 0
        return ast.Slice(None if starts else lower, None if whole else upper, None)

    def _product(self, old: list[ast.expr], opened: list[tuple[ast.expr, int, int]]) -> ast.expr | None:
        """The product of two, or the sum of one, along the axis that was opened."""
        if len(opened) == 1:
            (part, axis, others) = opened[0]
            words = [ast.keyword("axis", ast.Constant(axis))] if others else []
            method = ast.Attribute(part, "sum", ast.Load())
            return self._like(ast.Call(method, [], words), old[0])
        first, second = opened
        if first[2] + second[2] > 1:
            return None
        if first[2] == 1:
            first, second, old = second, first, old[::-1]
        vector, (matrix, axis, others) = first[0], second
        left, right = (matrix, vector) if others and axis == 1 else (vector, matrix)
        return self._like(ast.BinOp(left, ast.MatMult(), right), old[1])


def _written(target: ast.expr) -> tuple[str, ...]:
    """How a target is written where it is read: `x[...]` is `x`."""
    whole = isinstance(target, ast.Subscript) and is_whole(target.slice)
    return (ast.unparse(target), *([ast.unparse(target.value)] if whole else []))  # type: ignore[attr-defined]


def _factors(node: ast.expr) -> list[ast.expr]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        return [*_factors(node.left), *_factors(node.right)]
    return [node]
