"""Loops that store into one row of an array carry the row instead of the array.

In `for j in …: A[i, j] = …` every iteration gives a new `A`, which XLA updates in place at best. Where
all other reads of `A` are proved to be of other rows, the loop works on `A_i`, which is stored once
after it. The row may lie along any axis.
"""

from __future__ import annotations

import ast
import copy
from dataclasses import dataclass

from jaxmagic.port.collect import Unit
from jaxmagic.port.flow import Liveness, assigned, blocks, bound, read
from jaxmagic.port.fresh import Names
from jaxmagic.port.independent import independent
from jaxmagic.port.nodes import assign, is_put, load, made, put, seen_as
from jaxmagic.port.observe import Fact, Facts, Form
from jaxmagic.port.ranges import Places, Ranges, elements_of, inside

# A row pays when a loop runs over at least this share of it, in an array of at least two axes.
SHARE = 0.25


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """`array[:, place]`, with `axis` whole axes before the place.

    Args:
        fact: of the row.
        whole: of the array.
    """

    array: str
    axis: int
    place: ast.expr
    fact: Fact
    whole: Fact

    @property
    def index(self) -> ast.expr:
        """The row's index."""
        parts: list[ast.expr] = [*(ast.Slice() for _ in range(self.axis)), copy.deepcopy(self.place)]
        return parts[0] if len(parts) == 1 else ast.Tuple(parts, ast.Load())

    def holds(self, index: list[ast.expr]) -> bool:
        """Whether an index selects in the row."""
        return len(index) > self.axis and ast.dump(index[self.axis]) == ast.dump(self.place)


class Rows:
    """Finds and rewrites such loops in one unit, those apart whose iterations are independent."""

    def __init__(self, unit: Unit, facts: Facts, names: Names, body: list[ast.stmt]) -> None:
        self.unit = unit
        self.facts = facts
        self.names = names
        self.places = Places(unit, facts)
        self.live = Liveness(body)

    def block(self, body: list[ast.stmt], ranges: Ranges) -> list[ast.stmt]:
        """A block with its loops on rows rewritten, those of outer blocks first."""
        found: list[ast.stmt] = []
        at = 0
        while at < len(body):
            row, end = self._run(body, at, ranges)
            if row is not None:
                found += self._rewritten(body[at:end], row)
                at = end
            else:
                found.append(self._nested(body[at], ranges))
                at += 1
        return found

    def _nested(self, node: ast.stmt, ranges: Ranges) -> ast.stmt:
        if not isinstance(node, ast.If | ast.For | ast.While):
            return node
        if isinstance(node, ast.For) and independent(self.unit, self.facts, self.live, node, ranges):
            return node
        new = copy.copy(node)
        new.body = self.block(node.body, inside(node, ranges))
        new.orelse = self.block(node.orelse, inside(node, ranges))
        return new

    # -- finding a run --

    def _run(self, body: list[ast.stmt], at: int, ranges: Ranges) -> tuple[Row | None, int]:
        """The row that the statements from one on work on, and where they end."""
        for target in _targets(body[at]):
            for row in self._rows(target, body[at]):
                end = at
                while end < len(body) and self._fits(body[end], row, ranges):
                    end += 1
                while end > at and not any(t.value.id == row.array for t in _targets(body[end - 1])):  # type: ignore[attr-defined]
                    end -= 1
                if any(self._pays(node, row, ranges) for node in body[at:end]):
                    return row, end
        return None, at

    def _rows(self, target: ast.Subscript, node: ast.stmt) -> list[Row]:
        """The rows that a store's target may be in."""
        assert isinstance(target.value, ast.Name)
        whole = self.facts.of(self.unit, target.value)
        index = elements_of(target.slice)
        if whole.dtype is None or whole.shape is None or len(whole.shape) < 2 or len(index) < 2:
            return []
        found = []
        for axis, part in enumerate(index):
            rest = Form("array", whole.dtype, whole.shape[:axis] + whole.shape[axis + 1 :])
            if self.places.is_simple(part) and not read(part) & assigned([node]):
                found.append(Row(target.value.id, axis, part, Fact(frozenset({rest})), whole))
        return found

    def _fits(self, node: ast.stmt, row: Row, ranges: Ranges) -> bool:
        """Whether a statement can work on the row."""
        if bound(node) & read(row.place):
            return False
        if isinstance(node, ast.If):
            return self._reads_fit(node.test, row, ranges) and self._blocks_fit(node, row, ranges)
        if isinstance(node, ast.For):
            return self._reads_fit(node.iter, row, ranges) and self._blocks_fit(node, row, ranges)
        if not isinstance(node, ast.Assign) or getattr(node, "stores", None):
            return False
        if is_put(node):
            target = node.targets[0]
            assert isinstance(target, ast.Subscript)
            own = target.value.id == row.array  # type: ignore[attr-defined]
            inside_it = row.holds(elements_of(target.slice)) if own else not self._aliases(node, row)
            parts = elements_of(target.slice)
            return inside_it and all(self._reads_fit(p, row, ranges) for p in [node.value, *parts])
        return (
            row.array not in bound(node)
            and not self._is_view(node.value, row)
            and (self._reads_fit(node.value, row, ranges))
        )

    def _blocks_fit(self, node: ast.If | ast.For, row: Row, ranges: Ranges) -> bool:
        inner = inside(node, ranges)
        return all(self._fits(each, row, inner) for block in blocks(node) for each in block)

    def _aliases(self, node: ast.stmt, row: Row) -> bool:
        seen = self.facts.aliases.get((self.unit.name, getattr(node, "key", -1)))
        return seen is None or row.array in seen or any(row.array in others for others in seen.values())

    def _is_view(self, value: ast.expr, row: Row) -> bool:
        """Whether a value may be the array's own memory."""
        looks = isinstance(value, ast.Name | ast.Subscript | ast.Attribute)
        return looks and row.array in read(value) and not self.facts.of(self.unit, value).is_scalar

    def _reads_fit(self, node: ast.expr, row: Row, ranges: Ranges) -> bool:
        """Whether every read of the array is of the row, or of what is proved to be another."""
        allowed: set[int] = set()
        place: list[ast.expr] = [*(ast.Slice() for _ in range(row.axis)), row.place]
        for inner in ast.walk(node):
            if isinstance(inner, ast.Attribute) and inner.attr in ("shape", "dtype", "ndim", "size"):
                allowed.add(id(inner.value))
            if isinstance(inner, ast.Subscript):
                index = elements_of(inner.slice)[: row.axis + 1]
                if row.holds(index) or self.places.are_apart(index, place, ranges):
                    allowed.add(id(inner.value))
        return all(id(n) in allowed for n in ast.walk(node) if isinstance(n, ast.Name) and n.id == row.array)

    def _pays(self, node: ast.stmt, row: Row, ranges: Ranges) -> bool:
        """Whether a statement is a loop that goes over much of the row, iteration after iteration."""
        if not isinstance(node, ast.For) or row.array not in {t.value.id for t in _targets(node)}:  # type: ignore[attr-defined]
            return False
        most = self.facts.trips.get((self.unit.name, getattr(node, "key", -1)), (0, 0))[1]
        size = max(next(iter(row.fact.forms)).shape)
        return most >= SHARE * size and not independent(self.unit, self.facts, self.live, node, ranges)

    # -- rewriting it --

    def _rewritten(self, run: list[ast.stmt], row: Row) -> list[ast.stmt]:
        suffix = row.place.id if isinstance(row.place, ast.Name) else "row"
        name = self.names.new(f"{row.array}_{suffix}")
        to = _ToRow(row, name)
        new = [to.visit(copy.deepcopy(node)) for node in run]
        whole = seen_as(load(row.array), row.whole)
        before = made(assign(name, ast.Subscript(whole, row.index, ast.Load()), run[0]))
        after = made(put(row.array, row.index, seen_as(load(name), row.fact), run[-1]))
        seen_as(after.targets[0].value, row.whole)  # type: ignore[attr-defined]
        after.value.exact = True  # type: ignore[attr-defined]
        return [before, *new, after]


class _ToRow(ast.NodeTransformer):
    """The array's row by its name."""

    def __init__(self, row: Row, name: str) -> None:
        self.row = row
        self.name = name

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        """`A[i, j]` as `A_i[j]`, read or stored."""
        self.generic_visit(node)
        parts = elements_of(node.slice)
        own = isinstance(node.value, ast.Name) and node.value.id == self.row.array
        if not own or not self.row.holds(parts):
            return node
        rest = parts[: self.row.axis] + parts[self.row.axis + 1 :]
        base = seen_as(load(self.name), self.row.fact)
        if not rest and isinstance(node.ctx, ast.Load):
            return base
        node.value = base
        node.slice = (
            ast.Constant(Ellipsis) if not rest else rest[0] if len(rest) == 1 else ast.Tuple(rest, ast.Load())
        )
        return node


def _targets(node: ast.stmt) -> list[ast.Subscript]:
    """The targets of a statement's stores into arrays, blocks included."""
    return [n.targets[0] for n in ast.walk(node) if isinstance(n, ast.Assign) and is_put(n)]  # type: ignore[misc]
