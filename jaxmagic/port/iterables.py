"""Loops over what changes in them.

A `for` over an array reads each element when its turn comes, from the array that it was given at the start;
a `range` has the bounds that it had then. A loop that changes either is written over its indices, or over
names of its own, so that the later passes need not think of it.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Generator, Iterator

from jaxmagic.port.collect import Unit
from jaxmagic.port.flow import assigned, blocks, bound, read
from jaxmagic.port.fresh import Names
from jaxmagic.port.nodes import assign, is_put, like, load, made, seen_as, store
from jaxmagic.port.observe import Fact, Facts, Form
from jaxmagic.port.views import stores


class Iterables:
    """Rewrites such loops of one unit."""

    def __init__(self, unit: Unit, facts: Facts, names: Names) -> None:
        self.unit = unit
        self.facts = facts
        self.names = names
        self.containers = facts.containers(unit)

    def block(self, body: list[ast.stmt]) -> list[ast.stmt]:
        """A block without such loops."""
        return [new for node in body for new in self.statement(node)]

    def statement(self, node: ast.stmt) -> Iterator[ast.stmt]:
        """A statement, and what has to stand before it."""
        if not isinstance(node, ast.If | ast.For | ast.While):
            yield node
            return
        new = copy.copy(node)
        for name in ("body", "orelse"):
            setattr(new, name, self.block(getattr(node, name)))
        # Lists and dicts stay Python's own: they are gone through as the user's code does.
        if isinstance(new, ast.For) and (read(new.iter) & self.changed(new)) - self.containers:
            yield from self.loop(new)
        else:
            yield new

    def changed(self, node: ast.For) -> frozenset[str]:
        """Names that the body binds, and those whose memory it was seen changing, or may change."""
        found = set(assigned(node.body))
        for inner in _statements(node.body):
            for name in stores(inner) - getattr(inner, "own", frozenset()):
                others = self.facts.sharing(self.unit, inner, name)
                found |= read(node.iter) if others is None else others
        return frozenset(found)

    def loop(self, node: ast.For) -> Iterator[ast.stmt]:
        """A loop over what its body changes."""
        called = _called(node.iter)
        if called == "range":
            yield from self._kept_bounds(node)
        elif not self.facts.ran(self.unit, node):
            yield node  # a later pass refuses it, or nothing runs it
        elif called in ("enumerate", "zip") or self.facts.of(self.unit, node.iter).is_array:
            yield from self._by_index(node, called)
        else:
            yield node

    def _kept_bounds(self, node: ast.For) -> Iterator[ast.stmt]:
        """The bounds under names that the body does not bind."""
        assert isinstance(node.iter, ast.Call)
        args = []
        for arg in node.iter.args:
            if read(arg) & assigned(node.body):
                yield made(assign(name := self.names.new("bound"), arg, node))
                arg = seen_as(load(name), self.facts.of(self.unit, arg))  # noqa: PLW2901 its name stands for it
            args.append(arg)
        node.iter = copy.copy(node.iter)
        node.iter.args = args
        yield node

    def _by_index(self, node: ast.For, called: str) -> Iterator[ast.stmt]:
        """A loop over the places of one array or of several."""
        sources = [node.iter] if not called else node.iter.args  # type: ignore[attr-defined]
        start = sources[1:] if called == "enumerate" else []
        sources = sources[:1] if called == "enumerate" else sources
        targets = [node.target]
        if called:
            whole = node.target.elts if isinstance(node.target, ast.Tuple) else []
            targets = whole[1:] if called == "enumerate" else whole
        known = all(self.facts.of(self.unit, s).is_array or _is_count(s) for s in sources)
        if len(targets) != len(sources) or not known:
            text = f"`{ast.unparse(node.iter)}` is changed in the loop that goes over it."
            raise self.unit.refuse(node, text, "Loop over `range(len(…))`, or over a copy.")
        index = self.names.new("i")
        first: list[ast.stmt] = []
        lengths: list[ast.expr] = []
        for target, source in zip(targets, sources, strict=True):
            if _is_count(source):
                first.append(made(like(ast.Assign([target], load(index)), node)))
                lengths.append(source.args[0])
                continue
            held = yield from self._held(node, source)
            first.append(made(like(ast.Assign([target], self._element(held, source, index)), node)))
            lengths.append(ast.Call(load("len"), [copy.deepcopy(held)], []))
        if called == "enumerate":
            count = ast.BinOp(start[0], ast.Add(), load(index)) if start else load(index)
            first.insert(0, made(like(ast.Assign([node.target.elts[0]], count), node)))  # type: ignore[attr-defined]
        length = lengths[0] if len(lengths) == 1 else ast.Call(load("min"), lengths, [])
        node.target, node.iter = store(index), ast.Call(load("range"), [length], [])
        node.body = [*first, *node.body]
        yield node

    def _held(self, node: ast.For, source: ast.expr) -> Generator[ast.stmt, None, ast.expr]:
        """A name for the array as it is at the start, unless its own goes on meaning it."""
        if isinstance(source, ast.Name) and source.id not in _rebound(node.body):
            return source
        if isinstance(source, ast.Attribute) and source.attr == "flat":
            if read(source) & _rebound(node.body):
                text = f"`{ast.unparse(source)}` is bound anew in the loop that goes over it."
                raise self.unit.refuse(node, text, "Use another name.")
            return source
        name = self.names.new("values")
        yield made(assign(name, source, node))
        return seen_as(load(name), self.facts.of(self.unit, source))

    def _element(self, held: ast.expr, source: ast.expr, index: str) -> ast.expr:
        element = ast.Subscript(copy.deepcopy(held), load(index), ast.Load())
        forms = self.facts.of(self.unit, source).forms
        return seen_as(element, Fact(frozenset(_inside(form) for form in forms)))


def _inside(form: Form) -> Form:
    """What the elements of an array are."""
    return Form("array" if form.shape[1:] else "scalar", form.dtype, form.shape[1:])


def _called(source: ast.expr) -> str:
    return source.func.id if isinstance(source, ast.Call) and isinstance(source.func, ast.Name) else ""


def _is_count(source: ast.expr) -> bool:
    """Whether an expression is `range(n)`."""
    return _called(source) == "range" and len(source.args) == 1  # type: ignore[attr-defined]


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        yield node
        for block in blocks(node):
            yield from _statements(block)


def _rebound(body: list[ast.stmt]) -> frozenset[str]:
    """Names that statements bind to something else, stores into them apart."""
    simple = (n for n in _statements(body) if not is_put(n))
    return frozenset(name for node in simple for name in bound(node) - stores(node))
