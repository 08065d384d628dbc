"""What values the variables of loops take, and which places of an array that keeps apart."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jaxmagic.port.collect import Unit
from jaxmagic.port.flow import assigned
from jaxmagic.port.linear import Linear, linear, plus, scaled
from jaxmagic.port.observe import Facts

# Lower (inclusive) and upper (exclusive) bound of each loop's variable.
Ranges = Mapping[str, tuple[Linear, Linear]]


def bounds_of(node: ast.For) -> tuple[ast.expr, ast.expr] | None:
    """First value and end of a loop over `range` by ones, when its variable stays as it is."""
    source = node.iter
    plain = isinstance(source, ast.Call) and isinstance(source.func, ast.Name) and source.func.id == "range"
    if not plain or not isinstance(node.target, ast.Name) or node.target.id in assigned(node.body):
        return None
    assert isinstance(source, ast.Call)
    if len(source.args) > 2 or any(values_read(end) & assigned(node.body) for end in source.args):
        return None
    return (ast.Constant(0), source.args[0]) if len(source.args) == 1 else (source.args[0], source.args[1])


def range_of(node: ast.For) -> dict[str, tuple[Linear, Linear]]:
    """Bounds of a loop's variable, when it goes over a range by ones, up or down."""
    known = bounds_of(node)
    if known is not None:
        assert isinstance(node.target, ast.Name)
        return {node.target.id: (linear(known[0]), linear(known[1]))}
    source = node.iter
    down = isinstance(source, ast.Call) and len(source.args) == 3 and linear(source.args[2]) == {"": -1}
    if not down or not isinstance(node.target, ast.Name) or node.target.id in assigned(node.body):
        return {}
    assert isinstance(source, ast.Call)
    if ast.unparse(source.func) != "range" or values_read(source) & assigned(node.body):
        return {}
    first, last = linear(source.args[0]), linear(source.args[1])
    return {node.target.id: (plus(last, {"": 1}), plus(first, {"": 1}))}


def inside(node: ast.stmt, ranges: Ranges) -> dict[str, tuple[Linear, Linear]]:
    """What is known in the body of a compound statement."""
    known = {name: both for name, both in ranges.items() if name not in assigned([node])}
    return known | range_of(node) if isinstance(node, ast.For) else known


def at_least(terms: Linear, least: int, ranges: Ranges, depth: int = 4) -> bool:
    """Whether a sum is proved to be at least a number, from the ranges of the loops' variables."""
    if set(terms) <= {""}:
        return terms.get("", 0) >= least
    if depth == 0:
        return False
    for name, factor in terms.items():
        if name in ranges:
            lower, upper = ranges[name]
            end = lower if factor > 0 else plus(upper, {"": -1})
            rest = plus({k: v for k, v in terms.items() if k != name}, scaled(end, factor))
            if at_least(rest, least, ranges, depth - 1):
                return True
    return False


def values_read(node: ast.expr) -> frozenset[str]:
    """Names whose values an expression reads; a store into an array leaves its shape as it is."""
    shapes = {id(n.value) for n in ast.walk(node) if isinstance(n, ast.Attribute) and n.attr == "shape"}
    return frozenset(n.id for n in ast.walk(node) if isinstance(n, ast.Name) and id(n) not in shapes)


def elements_of(index: ast.expr) -> list[ast.expr]:
    """The parts of an index."""
    return list(index.elts) if isinstance(index, ast.Tuple) else [index]


def is_full_slice(part: ast.expr) -> bool:
    """Whether a part of an index is `:`."""
    return isinstance(part, ast.Slice) and part.lower is part.upper is part.step is None


@dataclass(frozen=True, slots=True)
class Places:
    """Tells the places of one unit's arrays apart."""

    unit: Unit
    facts: Facts

    def is_simple(self, part: ast.expr) -> bool:
        """A whole number made of names and numbers, never below zero."""
        made = all(
            isinstance(n, ast.Name | ast.Constant | ast.BinOp | ast.Add | ast.Sub | ast.Mult | ast.Load)
            for n in ast.walk(part)
        )
        fact = self.facts.of(self.unit, part)
        counted = isinstance(part, ast.Constant) and type(part.value) is int and part.value >= 0
        return made and (
            counted or (fact.is_scalar and fact.kind == "i" and fact.low is not None and fact.low >= 0)
        )

    def are_apart(self, index: Sequence[ast.expr], place: Sequence[ast.expr], ranges: Ranges) -> bool:
        """Whether an index is proved not to reach a place, on one axis at least."""
        if len(index) > len(place):
            return False
        return any(self.differs(part, own, ranges) for part, own in zip(index, place, strict=False))

    def differs(self, part: ast.expr, place: ast.expr, ranges: Ranges) -> bool:
        """Whether a part of an index is proved to select nothing of where another one, a point, is."""
        if isinstance(place, ast.Slice):
            return False
        here = linear(place)
        if isinstance(part, ast.Slice):
            return self._starts_after(part, here, ranges) or self._ends_before(part, here, ranges)
        if not self.is_simple(part):
            return False
        difference = plus(linear(part), scaled(here, -1))
        return at_least(difference, 1, ranges) or at_least(scaled(difference, -1), 1, ranges)

    def _starts_after(self, part: ast.Slice, here: Linear, ranges: Ranges) -> bool:
        if part.step is not None or part.lower is None or not self.is_simple(part.lower):
            return False
        return at_least(plus(linear(part.lower), scaled(here, -1)), 1, ranges)

    def _ends_before(self, part: ast.Slice, here: Linear, ranges: Ranges) -> bool:
        if part.step is not None or part.upper is None or not self.is_simple(part.upper):
            return False
        return at_least(plus(here, scaled(linear(part.upper), -1)), 0, ranges)
