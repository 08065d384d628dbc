"""Consecutive updates of one element are kept in a local and stored once.

`A[i, j] -= …; A[i, j] /= …` makes XLA copy the whole array between the two stores of a rolled loop.
Statements that only touch `A[i, j]`, and elements of `A` that are proved to be others (from the
ranges of the loops around), work on a local instead.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Mapping
from dataclasses import dataclass

from jaxmagic.port.collect import Unit
from jaxmagic.port.desugar import Names, assign, is_put, load, put
from jaxmagic.port.flow import assigned, blocks, bound, read
from jaxmagic.port.linear import Linear, linear, plus, scaled
from jaxmagic.port.observe import Facts

# Lower (inclusive) and upper (exclusive) bound of each loop's variable.
Ranges = Mapping[str, tuple[Linear, Linear]]


@dataclass(frozen=True, slots=True, eq=False)
class Element:
    """One element of an array, at the same place for as long as `names` stay as they are."""

    array: str
    index: tuple[ast.expr, ...]
    dtype: str | None

    @property
    def names(self) -> frozenset[str]:
        """What the place depends on."""
        return frozenset(name for part in self.index for name in read(part))

    def is_at(self, index: list[ast.expr]) -> bool:
        """Whether an index is written the same."""
        return [ast.dump(part) for part in self.index] == [ast.dump(part) for part in index]


def elements_of(index: ast.expr) -> list[ast.expr]:
    """The parts of an index."""
    return list(index.elts) if isinstance(index, ast.Tuple) else [index]


class Promote:
    """Finds and rewrites such runs in one unit."""

    def __init__(self, unit: Unit, facts: Facts, names: Names) -> None:
        self.unit = unit
        self.facts = facts
        self.names = names

    def block(self, body: list[ast.stmt], ranges: Ranges) -> list[ast.stmt]:
        """A block with its runs rewritten, the longest first."""
        found: list[ast.stmt] = []
        at = 0
        while at < len(body):
            element = self._element_in(body[at])
            end = self._run(body, at, element, ranges) if element is not None else at
            if element is not None and end > at and self._pays(body[at:end], element):
                found += self._rewritten(body[at:end], element, ranges)
                at = end
            else:
                found.append(self._nested(body[at], ranges))
                at += 1
        return found

    def _nested(self, node: ast.stmt, ranges: Ranges) -> ast.stmt:
        if not isinstance(node, ast.If | ast.For | ast.While):
            return node
        inner = {name: known for name, known in ranges.items() if name not in assigned([node])}
        if isinstance(node, ast.For):
            inner |= self._range(node)
        new = copy.copy(node)
        new.body = self.block(node.body, inner)
        new.orelse = self.block(node.orelse, inner)
        return new

    def _range(self, node: ast.For) -> dict[str, tuple[Linear, Linear]]:
        """Bounds of the loop's variable, when it goes over a range by ones."""
        source = node.iter
        plain = (
            isinstance(source, ast.Call) and isinstance(source.func, ast.Name) and source.func.id == "range"
        )
        if not plain or not isinstance(node.target, ast.Name) or node.target.id in assigned(node.body):
            return {}
        assert isinstance(source, ast.Call)
        if any(_values_read(argument) & assigned(node.body) for argument in source.args):
            return {}
        terms = [linear(argument) for argument in source.args]
        if len(terms) == 1:
            return {node.target.id: ({}, terms[0])}
        if len(terms) == 2:
            return {node.target.id: (terms[0], terms[1])}
        if terms[2] == {"": -1}:
            return {node.target.id: (plus(terms[1], {"": 1}), plus(terms[0], {"": 1}))}
        return {}

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
        simple = all(self._is_simple(part) for part in index)
        if not simple or fact.ndim != len(index):
            return None
        return Element(target.value.id, tuple(index), fact.dtype)

    def _is_simple(self, part: ast.expr) -> bool:
        """A whole number made of names and numbers, never below zero."""
        made = all(
            isinstance(n, ast.Name | ast.Constant | ast.BinOp | ast.Add | ast.Sub | ast.Mult | ast.Load)
            for n in ast.walk(part)
        )
        fact = self.facts.of(self.unit, part)
        counted = isinstance(part, ast.Constant) and type(part.value) is int
        return made and (
            counted or (fact.is_scalar and fact.kind == "i" and fact.low is not None and fact.low >= 0)
        )

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
            inner = {
                name: known for name, known in ranges.items() if name not in assigned([node])
            } | self._range(node)
            return (
                self._reads_fit(node.iter, element, ranges)
                and not element.names & assigned([node])
                and self._blocks_fit(node, element, inner)
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
        if target.value.id != element.array:  # type: ignore[attr-defined]
            return not self._aliases(node, element)
        return element.is_at(elements_of(target.slice)) and self._keeps_dtype(node.value, element)

    def _aliases(self, node: ast.stmt, element: Element) -> bool:
        seen = self.facts.aliases.get((self.unit.name, getattr(node, "key", -1)))
        return seen is None or element.array in seen

    def _keeps_dtype(self, value: ast.expr, element: Element) -> bool:
        """Whether the stored value has the array's dtype already."""
        fact = self.facts.of(self.unit, value)
        if fact.forms:
            return fact.is_scalar and fact.dtype == element.dtype
        if not isinstance(value, ast.BinOp) or (
            isinstance(value.op, ast.Div) and element.dtype not in ("float64", "float32", "complex128")
        ):
            return False
        other = self.facts.of(self.unit, value.right)
        return (other.dtype == element.dtype and other.is_scalar) or (
            isinstance(value.right, ast.Constant)
            and type(value.right.value) in (int, float)
            and element.dtype in ("float64", "float32")
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
                if element.is_at(index) or self._is_other(index, element, ranges):
                    allowed.add(id(inner.value))
        return all(
            id(n) in allowed for n in ast.walk(node) if isinstance(n, ast.Name) and n.id == element.array
        )

    def _is_other(self, index: list[ast.expr], element: Element, ranges: Ranges) -> bool:
        """Whether an index is proved not to reach the element, on one axis at least."""
        if len(index) > len(element.index):
            return False
        return any(
            self._differs(part, place, ranges) for part, place in zip(index, element.index, strict=False)
        )

    def _differs(self, part: ast.expr, place: ast.expr, ranges: Ranges) -> bool:
        here = linear(place)
        if isinstance(part, ast.Slice):
            if part.step is not None:
                return False
            above = (
                part.lower is not None
                and self._is_simple(part.lower)
                and at_least(plus(linear(part.lower), scaled(here, -1)), 1, ranges)
            )
            below = (
                part.upper is not None
                and self._is_simple(part.upper)
                and at_least(plus(here, scaled(linear(part.upper), -1)), 0, ranges)
            )
            return above or below
        if not self._is_simple(part):
            return False
        difference = plus(linear(part), scaled(here, -1))
        return at_least(difference, 1, ranges) or at_least(scaled(difference, -1), 1, ranges)

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

    def _rewritten(self, run: list[ast.stmt], element: Element, ranges: Ranges) -> list[ast.stmt]:
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
        after = put(element.array, copy.deepcopy(index), load(name), run[-1])
        after.origin = ast.Pass()  # type: ignore[attr-defined]
        after.targets[0].value.key = getattr(_target_of(run, element).value, "key", -1)  # type: ignore[attr-defined]
        after.value.exact = True  # type: ignore[attr-defined]
        return [*([] if fresh else [before]), *(self._nested(node, ranges) for node in new), after]


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


def _values_read(node: ast.expr) -> frozenset[str]:
    """Names whose values an expression reads; a store into an array leaves its shape as it is."""
    shapes = {id(n.value) for n in ast.walk(node) if isinstance(n, ast.Attribute) and n.attr == "shape"}
    return frozenset(n.id for n in ast.walk(node) if isinstance(n, ast.Name) and id(n) not in shapes)


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
    names = [part.id for part in element.index if isinstance(part, ast.Name)]
    return (
        f"{element.array}_{''.join(names)}"
        if names and len(names) == len(element.index)
        else f"{element.array}_here"
    )
