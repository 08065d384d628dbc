"""Loops whose iterations may run in any order, so that one call of `jax.vmap` does them all.

Each iteration has to store into places of its own, which the loop's variable picks (`B[i, j]` in a loop
over j), and may read of the arrays that change only its own places, what a later iteration stores, or
what none stores: all proved from the text and the ranges of the loops, so that it holds at other sizes.
"""

from __future__ import annotations

import ast
import math
from dataclasses import dataclass

from jaxmagic.port.collect import Unit
from jaxmagic.port.flow import Liveness, assigned, blocks, read
from jaxmagic.port.linear import linear, plus, scaled
from jaxmagic.port.names import numpy_name
from jaxmagic.port.nodes import is_put
from jaxmagic.port.observe import Fact, Facts
from jaxmagic.port.ranges import (
    Places,
    Ranges,
    at_least,
    bounds_of,
    elements_of,
    inside,
)

# All iterations together may compute this many elements in one statement, and are at least so many.
MOST, LEAST = 2**22, 9
FOREIGN = ("numpy.linalg", "numpy.fft", "numpy.random")
CONTRACTIONS = ("numpy.dot", "numpy.matmul", "numpy.inner", "numpy.vdot")
SIZES = ("shape", "dtype", "ndim", "size")


@dataclass(frozen=True, slots=True, eq=False)
class Share:
    """How the iterations share out an array: `array[…, v, …]`, the variable on `axis`, is one's own.

    Args:
        index: the one element that an iteration stores; None where it stores into its whole slice.
        fact: of the whole array.
    """

    array: str
    axis: int
    index: tuple[ast.expr, ...] | None
    fact: Fact

    def is_at(self, index: list[ast.expr]) -> bool:
        """Whether an index is that of the one element."""
        return self.index is not None and [ast.dump(p) for p in index] == [ast.dump(p) for p in self.index]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Independent:
    """A loop whose iterations are independent: its variable, its bounds, and what it changes."""

    index: str
    lower: ast.expr
    upper: ast.expr
    shares: dict[str, Share]


def independent(
    unit: Unit, facts: Facts, live: Liveness, node: ast.For, ranges: Ranges
) -> Independent | None:
    """The loop as independent iterations, if they are proved to be."""
    known = bounds_of(node)
    if known is None or node.orelse or id(node) not in live.heads:
        return None
    assert isinstance(node.target, ast.Name)
    found = Independent(index=node.target.id, lower=known[0], upper=known[1], shares={})
    proof = _Proof(unit, facts, live, node, found, inside(node, ranges))
    return found if proof.holds() else None


class _Proof:
    """One loop's proof."""

    def __init__(
        self, unit: Unit, facts: Facts, live: Liveness, node: ast.For, found: Independent, ranges: Ranges
    ) -> None:
        self.unit = unit
        self.facts = facts
        self.live = live
        self.node = node
        self.found = found
        self.ranges = ranges
        self.places = Places(unit, facts)
        self.changing = assigned(node.body)

    def holds(self) -> bool:
        """Whether the iterations are independent, and few and small enough to be done at once."""
        return (
            at_least(linear(self.found.lower), 0, self.ranges)
            and all(self._is_plain(node) for node in self.node.body)
            and self._share_out()
            and self._carries_nothing_else()
            and all(self._may_read(node, self.ranges) for node in self.node.body)
            and self._is_small()
        )

    # -- what is stored --

    def _is_plain(self, node: ast.stmt) -> bool:
        """Whether a statement is one that this pass knows."""
        if isinstance(node, ast.For | ast.If):
            return all(self._is_plain(inner) for block in blocks(node) for inner in block)
        return (isinstance(node, ast.Assign) and not getattr(node, "stores", None)) or isinstance(
            node, ast.Pass
        )

    def _share_out(self) -> bool:
        """Find each array's axis on which the loop's variable picks the places stored."""
        targets: dict[str, list[ast.Subscript]] = {}
        for target in (n.targets[0] for n in ast.walk(self.node) if isinstance(n, ast.Assign) and is_put(n)):
            assert isinstance(target, ast.Subscript)
            targets.setdefault(target.value.id, []).append(target)  # type: ignore[attr-defined]
        for name, own in targets.items():
            share = self._share(name, own)
            if share is None:
                return False
            self.found.shares[name] = share
        return bool(targets)

    def _share(self, name: str, targets: list[ast.Subscript]) -> Share | None:
        fact = self._fact(targets)
        indices = [elements_of(target.slice) for target in targets]
        if fact is None or not all(self._is_index(part) for index in indices for part in index):
            return None
        shape = fact.shape or ()
        axes = [axis for axis in range(len(shape)) if all(self._picks(index, axis) for index in indices)]
        if not axes:
            return None
        first = indices[0]
        alike = all([ast.dump(p) for p in index] == [ast.dump(p) for p in first] for index in indices)
        points = len(first) == len(shape) and all(self.places.is_simple(part) for part in first)
        others = frozenset().union(*(read(part) for i, part in enumerate(first) if i != axes[0]))
        fixed = not others & (self.changing | {self.found.index})
        one = alike and points and fixed and all(self._keeps_dtype(t, fact) for t in self._stored(name))
        return Share(name, axes[0], tuple(first) if one else None, fact)

    def _fact(self, targets: list[ast.Subscript]) -> Fact | None:
        """What an array is; None where that varies, or an index has other parts."""
        fact = self.facts.of(self.unit, targets[0].value)
        return fact if fact.shape and fact.dtype is not None else None

    def _stored(self, name: str) -> list[ast.expr]:
        """The values that go into an array."""
        puts = [n for n in ast.walk(self.node) if isinstance(n, ast.Assign) and is_put(n)]
        return [n.value for n in puts if n.targets[0].value.id == name]  # type: ignore[attr-defined]

    def _keeps_dtype(self, value: ast.expr, fact: Fact) -> bool:
        """Whether a value is a number of the array's dtype already."""
        own = self.facts.of(self.unit, value)
        if own.forms or not isinstance(value, ast.BinOp):
            return getattr(value, "exact", False) or (own.is_scalar and own.dtype == fact.dtype)
        other = self.facts.of(self.unit, value.right)
        if isinstance(value.op, ast.Div) and fact.kind not in ("f", "c"):
            return False
        number = isinstance(value.right, ast.Constant) and type(value.right.value) in (int, float)
        python = number or (other.is_python and other.kind in ("b", "i", "f"))
        return (other.is_scalar and other.dtype == fact.dtype) or (python and fact.kind == "f")

    def _is_index(self, part: ast.expr) -> bool:
        """A point or a slice, not a mask, an array or a new axis."""
        if isinstance(part, ast.Slice):
            return part.step is None
        fact = self.facts.of(self.unit, part)
        return (isinstance(part, ast.Constant) and type(part.value) is int) or (
            fact.is_scalar and fact.kind in ("i", "u")
        )

    def _picks(self, index: list[ast.expr], axis: int) -> bool:
        """Whether the loop's variable alone is an index's part for an axis."""
        return len(index) > axis and isinstance(index[axis], ast.Name) and index[axis].id == self.found.index  # type: ignore[attr-defined]

    # -- what is read --

    def _carries_nothing_else(self) -> bool:
        """Whether only the arrays pass from one iteration to the next, or to what follows."""
        needed = self.live.heads[id(self.node)] | self.live.after[id(self.node)]
        own = self.changing - self.found.shares.keys()
        return not own & needed and self.found.index not in self.live.after[id(self.node)]

    def _may_read(self, node: ast.stmt, ranges: Ranges) -> bool:
        """Whether a statement reads of the changing arrays only what it may."""
        if isinstance(node, ast.For | ast.If):
            head = node.iter if isinstance(node, ast.For) else node.test
            inner = inside(node, ranges)
            return self._reads(head, ranges) and all(
                self._may_read(each, inner) for block in blocks(node) for each in block
            )
        if not isinstance(node, ast.Assign):
            return True
        target = node.targets[0]
        parts = elements_of(target.slice) if isinstance(target, ast.Subscript) else []
        return all(self._reads(part, ranges) for part in [node.value, *parts])

    def _reads(self, node: ast.expr, ranges: Ranges) -> bool:
        allowed: set[int] = set()
        for inner in ast.walk(node):
            if isinstance(inner, ast.Attribute) and inner.attr in SIZES:
                allowed.add(id(inner.value))
            if isinstance(inner, ast.Subscript) and isinstance(inner.value, ast.Name):
                share = self.found.shares.get(inner.value.id)
                if share is not None and self._is_apart(elements_of(inner.slice), share, ranges):
                    allowed.add(id(inner.value))
        names = [n for n in ast.walk(node) if isinstance(n, ast.Name) and n.id in self.found.shares]
        return all(id(n) in allowed for n in names) and not any(map(self._is_foreign, ast.walk(node)))

    def _is_apart(self, index: list[ast.expr], share: Share, ranges: Ranges) -> bool:
        """Whether an index reads an iteration's own place, or what no earlier one and not itself stores."""
        if self._picks(index, share.axis):
            return share.index is None or share.is_at(index) or self._misses(index, share, ranges)
        if len(index) > share.axis and self._is_later(index[share.axis], ranges):
            return True
        return self._misses(index, share, ranges)

    def _is_later(self, part: ast.expr, ranges: Ranges) -> bool:
        """Whether a part of an index picks what only later iterations store, or none."""
        here, first = {self.found.index: 1}, linear(self.found.lower)
        if not isinstance(part, ast.Slice):
            terms = linear(part)
            before = at_least(plus(first, scaled(terms, -1)), 1, ranges)
            return self.places.is_simple(part) and (
                before or at_least(plus(terms, scaled(here, -1)), 1, ranges)
            )
        if part.step is not None:
            return False
        lower, upper = part.lower, part.upper
        after = lower is not None and self.places.is_simple(lower)
        if after and at_least(plus(linear(lower), scaled(here, -1)), 1, ranges):  # type: ignore[arg-type] # after says so
            return True
        ends = upper is not None and self.places.is_simple(upper)
        return ends and at_least(plus(first, scaled(linear(upper), -1)), 0, ranges)  # type: ignore[arg-type]

    def _misses(self, index: list[ast.expr], share: Share, ranges: Ranges) -> bool:
        """Whether an index is proved to be apart from the one element on another axis."""
        if share.index is None:
            return False
        return any(
            self.places.differs(part, place, ranges)
            for axis, (part, place) in enumerate(zip(index, share.index, strict=False))
            if axis != share.axis
        )

    def _is_foreign(self, node: ast.AST) -> bool:
        """Whether an expression is better left to a loop: a solver, or a block that moves with the index."""
        if isinstance(node, ast.Call):
            return (numpy_name(self.unit, node.func) or "").startswith(FOREIGN)
        if not isinstance(node, ast.Slice) or node.lower is None or node.upper is None:
            return False
        return self.found.index in read(node.lower) and self.found.index in read(node.upper)

    # -- what it takes --

    def _is_small(self) -> bool:
        """Whether what all iterations compute at once is held easily."""
        _, high = self.facts.trips.get((self.unit.name, getattr(self.node, "key", -1)), (0, 0))
        entered = max(1, self.facts.counts.get((self.unit.name, getattr(self.node, "key", -1)), 1))
        if high < LEAST:
            return False
        for node in ast.walk(self.node):
            if isinstance(node, ast.Assign):
                times = self.facts.counts.get((self.unit.name, getattr(node, "key", -1)), 0) / entered
                if max(times, high) * self._size(node.value) > MOST:
                    return False
        return True

    def _size(self, node: ast.AST) -> int:
        """The largest value in an expression; what a product of arrays adds up is not held."""
        fact = self.facts.of(self.unit, node) if isinstance(node, ast.expr) else None
        own = max((math.prod(form.shape) for form in fact.forms), default=1) if fact is not None else 1
        if isinstance(node, ast.Subscript):
            own = max(own, self._opened(node))
        product = isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult)
        named = isinstance(node, ast.Call) and numpy_name(self.unit, node.func) in CONTRACTIONS
        if product or named or isinstance(node, ast.Name):
            return own if not isinstance(node, ast.Name) else 1
        return max([own, *(self._size(child) for child in ast.iter_child_nodes(node))])

    def _opened(self, node: ast.Subscript) -> int:
        """How much a part of an array is with its windows opened to whole axes."""
        shape = self.facts.of(self.unit, node.value).shape or ()
        points = {i for i, part in enumerate(elements_of(node.slice)) if self._is_point(part)}
        return math.prod(size for axis, size in enumerate(shape) if axis not in points)

    def _is_point(self, part: ast.expr) -> bool:
        return not isinstance(part, ast.Slice) and self._is_index(part)
