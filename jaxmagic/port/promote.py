"""Consecutive updates of one element, or of one row, are kept in a local and stored once.

`A[i, j] -= …; A[i, j] /= …` makes XLA copy the whole array between the two stores of a rolled loop.
Statements that only touch `A[i, j]` (or `A[:, j]`), and elements of `A` that are proved to be others
(from the ranges of the loops around), work on a local instead.
"""

from __future__ import annotations

import ast
import copy
from dataclasses import dataclass

from jaxmagic.port.collect import Unit
from jaxmagic.port.flow import assigned, blocks, bound, read
from jaxmagic.port.fresh import Names
from jaxmagic.port.nodes import assign, is_put, load, put, seen_as
from jaxmagic.port.observe import Fact, Facts, Form
from jaxmagic.port.ranges import Places, Ranges, elements_of, inside, is_full_slice


@dataclass(frozen=True, slots=True, eq=False)
class Element:
    """An element of an array, or a row, at the same place for as long as `names` stay as they are."""

    array: str
    index: tuple[ast.expr, ...]
    dtype: str | None
    shape: tuple[int, ...] | None = ()

    @property
    def names(self) -> frozenset[str]:
        """What the place depends on."""
        return frozenset(name for part in self.index for name in read(part))

    def is_at(self, index: list[ast.expr]) -> bool:
        """Whether an index is written the same."""
        return [ast.dump(part) for part in self.index] == [ast.dump(part) for part in index]


class Promote:
    """Finds and rewrites such runs in one unit."""

    def __init__(self, unit: Unit, facts: Facts, names: Names) -> None:
        self.unit = unit
        self.facts = facts
        self.names = names
        self.places = Places(unit, facts)

    def block(self, body: list[ast.stmt], ranges: Ranges) -> list[ast.stmt]:
        """A block with its runs rewritten, the longest first."""
        found: list[ast.stmt] = []
        left = list(body)
        while left:
            element = self._element_in(left[0])
            end = self._run(left, 0, element, ranges) if element is not None else 0
            if element is not None and end and self._pays(left[:end], element):
                left = [*self._rewritten(left[:end], element), *left[end:]]
            else:
                found.append(self._nested(left.pop(0), ranges))
        return found

    def _nested(self, node: ast.stmt, ranges: Ranges) -> ast.stmt:
        if not isinstance(node, ast.If | ast.For | ast.While):
            return node
        inner = inside(node, ranges)
        new = copy.copy(node)
        new.body = self.block(node.body, inner)
        new.orelse = self.block(node.orelse, inner)
        return new

    # -- finding a run --

    def _element_in(self, node: ast.stmt) -> Element | None:
        """The one element that a statement stores into."""
        if is_put(node):
            return self._element(node.targets[0])  # type: ignore[attr-defined]
        if not isinstance(node, ast.If | ast.For):
            return None
        inner = [self._element_in(n) for block in blocks(node) for n in block if _has_put(n)]
        first = inner[0] if inner else None
        if first is None or any(
            e is None or e.array != first.array or not first.is_at(list(e.index)) for e in inner
        ):
            return None
        return None if first.names & assigned([node]) else first

    def _element(self, target: ast.Subscript) -> Element | None:
        assert isinstance(target.value, ast.Name)
        index = elements_of(target.slice)
        fact = self.facts.of(self.unit, target.value)
        points = [part for part in index if not is_full_slice(part)]
        if not points or not all(self.places.is_simple(part) for part in points) or fact.ndim != len(index):
            return None
        if len(points) == len(index):
            return Element(target.value.id, tuple(index), fact.dtype)
        sizes = None if fact.shape is None else zip(index, fact.shape, strict=True)
        shape = None if sizes is None else tuple(size for part, size in sizes if is_full_slice(part))
        return Element(target.value.id, tuple(index), fact.dtype, shape)

    def _run(self, body: list[ast.stmt], at: int, element: Element, ranges: Ranges) -> int:
        """Where the run that starts at a statement ends."""
        end = last = at
        while end < len(body) and self._fits(body[end], element, ranges):
            end += 1
            if element.array in _put_arrays(body[end - 1]):
                last = end
        return last

    def _fits(self, node: ast.stmt, element: Element, ranges: Ranges) -> bool:
        """Whether a statement can work on the local."""
        if is_put(node):
            return self._fits_put(node, element, ranges)  # type: ignore[arg-type]
        if isinstance(node, ast.If):
            return self._reads_fit(node.test, element, ranges) and self._blocks_fit(node, element, ranges)
        if isinstance(node, ast.For):
            return (
                self._reads_fit(node.iter, element, ranges)
                and not element.names & assigned([node])
                and self._blocks_fit(node, element, inside(node, ranges))
            )
        if not isinstance(node, ast.Assign) or getattr(node, "stores", None):
            return False
        fact = self.facts.of(self.unit, node.value)
        views = isinstance(node.value, ast.Name | ast.Subscript | ast.Attribute) and not fact.is_scalar
        changes = bound(node) & (element.names | {element.array})
        return not changes and not views and self._reads_fit(node.value, element, ranges)

    def _blocks_fit(self, node: ast.If | ast.For, element: Element, ranges: Ranges) -> bool:
        return all(self._fits(inner, element, ranges) for block in blocks(node) for inner in block)

    def _fits_put(self, node: ast.Assign, element: Element, ranges: Ranges) -> bool:
        target = node.targets[0]
        assert isinstance(target, ast.Subscript)
        if not self._reads_fit(node.value, element, ranges) or not self._reads_fit(
            target.slice, element, ranges
        ):
            return False
        changed = target.value.id  # type: ignore[attr-defined]
        if changed != element.array:
            seen = self.facts.sharing(self.unit, node, changed)
            return seen is not None and element.array not in seen
        return element.is_at(elements_of(target.slice)) and self._keeps_dtype(node.value, element)

    def _keeps_dtype(self, value: ast.expr, element: Element) -> bool:
        """Whether the stored value has the array's dtype already."""
        fact = self.facts.of(self.unit, value)
        if element.shape != ():
            return fact.is_array and fact.shape == element.shape and fact.dtype == element.dtype
        if fact.forms:
            return fact.is_scalar and fact.dtype == element.dtype
        if not isinstance(value, ast.BinOp) or (
            isinstance(value.op, ast.Div) and element.dtype not in ("float64", "float32", "complex128")
        ):
            return False
        other = self.facts.of(self.unit, value.right)
        number = isinstance(value.right, ast.Constant) and type(value.right.value) in (int, float)
        python = number or (other.is_python and other.kind in ("b", "i", "f"))
        return (other.dtype == element.dtype and other.is_scalar) or (
            python and element.dtype in ("float64", "float32")
        )

    def _reads_fit(self, node: ast.expr, element: Element, ranges: Ranges) -> bool:
        """Whether every read of the array is of the element, or of elements that are proved to be others."""
        allowed: set[int] = set()
        for inner in ast.walk(node):
            if (
                isinstance(inner, ast.Attribute)
                and isinstance(inner.value, ast.Name)
                and inner.attr in ("shape", "dtype", "ndim", "size")
            ):
                allowed.add(id(inner.value))
            if (
                isinstance(inner, ast.Subscript)
                and isinstance(inner.value, ast.Name)
                and inner.value.id == element.array
            ):
                index = elements_of(inner.slice)
                if element.is_at(index) or self.places.are_apart(index, element.index, ranges):
                    allowed.add(id(inner.value))
        return all(
            id(n) in allowed for n in ast.walk(node) if isinstance(n, ast.Name) and n.id == element.array
        )

    # -- rewriting it --

    def _pays(self, run: list[ast.stmt], element: Element) -> bool:
        """Whether there is more than one store to save."""
        puts = [
            n
            for node in run
            for n in ast.walk(node)
            if isinstance(n, ast.stmt) and element.array in _own_puts(n)
        ]
        loops = any(isinstance(node, ast.For) and element.array in _put_arrays(node) for node in run)
        return len(puts) > 1 or loops

    def _rewritten(self, run: list[ast.stmt], element: Element) -> list[ast.stmt]:
        name = self.names.new(_local_name(element))
        local = _Local(element, name)
        first = run[0]
        new = [local.visit(copy.deepcopy(node)) for node in run]
        fresh = is_put(first) and name not in read(new[0].value)
        index: ast.expr = (
            element.index[0] if len(element.index) == 1 else ast.Tuple(list(element.index), ast.Load())
        )
        before = assign(name, ast.Subscript(load(element.array), copy.deepcopy(index), ast.Load()), first)
        before.origin = ast.Pass()  # type: ignore[attr-defined]
        kind = "array" if element.shape else "scalar"
        seen_as(before.value, Fact(frozenset({Form(kind, element.dtype or "", element.shape or ())})))
        after = put(element.array, copy.deepcopy(index), load(name), run[-1])
        after.origin = ast.Pass()  # type: ignore[attr-defined]
        after.targets[0].value.key = getattr(_target_of(run, element).value, "key", -1)  # type: ignore[attr-defined]
        after.value.exact = True  # type: ignore[attr-defined]
        return [*([] if fresh else [before]), *new, after]


class _Local(ast.NodeTransformer):
    """The element as a local."""

    def __init__(self, element: Element, name: str) -> None:
        self.element = element
        self.name = name

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        """`A[i, j]`, read or stored."""
        own = isinstance(node.value, ast.Name) and node.value.id == self.element.array
        if not own or not self.element.is_at(elements_of(node.slice)):
            return self.generic_visit(node)
        new = ast.Name(self.name, node.ctx)
        if isinstance(node.ctx, ast.Load):
            new.key = getattr(node, "key", -1)  # type: ignore[attr-defined]
        return ast.copy_location(new, node)


def _own_puts(node: ast.stmt) -> frozenset[str]:
    return frozenset({node.targets[0].value.id}) if is_put(node) else frozenset()  # type: ignore[attr-defined]


def _has_put(node: ast.stmt) -> bool:
    return bool(_put_arrays(node))


def _put_arrays(node: ast.stmt) -> frozenset[str]:
    """Arrays that a statement stores into, blocks included."""
    return frozenset(name for n in ast.walk(node) if isinstance(n, ast.stmt) for name in _own_puts(n))


def _target_of(run: list[ast.stmt], element: Element) -> ast.Subscript:
    """One of the run's own targets, for its facts."""
    found = (n.targets[0] for node in run for n in ast.walk(node) if isinstance(n, ast.Assign) and is_put(n))
    return next(t for t in found if isinstance(t, ast.Subscript) and t.value.id == element.array)  # type: ignore[attr-defined]


def _local_name(element: Element) -> str:
    points = [part for part in element.index if not isinstance(part, ast.Slice)]
    names = [part.id for part in points if isinstance(part, ast.Name)]
    return f"{element.array}_{''.join(names) if len(names) == len(points) else 'here'}"
