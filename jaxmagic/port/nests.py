"""`for index in np.ndindex(shape)` and `for index, value in np.ndenumerate(x)` as loops in each other."""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from jaxmagic.port.collect import Unit
from jaxmagic.port.flow import blocks
from jaxmagic.port.nodes import bind, made
from jaxmagic.port.observe import Facts


@dataclass(frozen=True, slots=True)
class Nest:
    """One such loop.

    Args:
        unit, facts: what is known of the function.
        new: makes a name that nothing has.
        node: the loop.
        over: the array, or the shape.
    """

    unit: Unit
    facts: Facts
    new: Callable[[str], str]
    node: ast.For
    over: ast.Call

    def loops(self) -> Iterator[ast.stmt]:
        """The loops, outermost first, after a name for what they go over.

        Raises:
            CannotPort: the number of axes is not known, or a `break` would have to leave them all.
        """
        if any(_breaks(inner) for inner in self.node.body):
            text = "`break` leaves a loop over all the places of an array."
            raise self.unit.refuse(self.node, text, "Write a loop for each axis, or test a flag.")
        enumerates = ast.unparse(self.over.func).endswith("ndenumerate")
        lengths, head = self._lengths(self.over.args, enumerates)
        target, names, first = self._index(len(lengths), enumerates)
        if enumerates:
            at = ast.Tuple([_load(name) for name in names], ast.Load())
            element = ast.Subscript(copy.deepcopy(self._base(head)), at, ast.Load())
            first.append(made(ast.Assign([target], element)))
        yield from head
        body: list[ast.stmt] = [*first, *self.node.body]
        for name, length in zip(reversed(names), reversed(lengths), strict=True):
            body = [self._loop(name, length, body)]
        yield from body

    def _base(self, head: list[ast.stmt]) -> ast.expr:
        held = head[0].targets[0].id if head else ""  # type: ignore[attr-defined]
        return _load(held) if held else self.over.args[0]

    def _lengths(self, args: list[ast.expr], enumerates: bool) -> tuple[list[ast.expr], list[ast.stmt]]:
        """How many places each axis has, and what gives a name to an array that has none."""
        if not enumerates and len(args) != 1:
            return args, []
        head: list[ast.stmt] = []
        over = args[0].value if isinstance(args[0], ast.Starred) else args[0]
        if not enumerates and isinstance(over, ast.Tuple):
            return over.elts, []
        ndim = self.facts.of(self.unit, over if enumerates else getattr(over, "value", over)).ndim
        if ndim is None or (not enumerates and getattr(over, "attr", "") != "shape"):
            text = f"The number of axes of `{ast.unparse(over)}` is not known here."
            raise self.unit.refuse(self.node, text, "Loop over `np.ndindex(x.shape)` of an array.")
        if enumerates and not isinstance(over, ast.Name):
            name = self.new("array")
            head = [bind([name], over)]
            over = _load(name)
        shape = ast.Attribute(over, "shape", ast.Load()) if enumerates else over
        return [ast.Subscript(copy.deepcopy(shape), ast.Constant(i), ast.Load()) for i in range(ndim)], head

    def _index(self, ndim: int, enumerates: bool) -> tuple[ast.expr, list[str], list[ast.stmt]]:
        """The target of the value, names for the index of each axis, and what binds the whole index."""
        whole, value = self.node.target, self.node.target
        if enumerates:
            if not isinstance(whole, ast.Tuple) or len(whole.elts) != 2:
                raise self.unit.refuse(self.node, "An index and a value come one by one.", "Name both.")
            whole, value = whole.elts
        parts = whole.elts if isinstance(whole, ast.Tuple) else []
        if len(parts) == ndim and all(isinstance(part, ast.Name) for part in parts):
            return value, [part.id for part in parts], []  # type: ignore[attr-defined]
        names = [self.new("i") for _ in range(ndim)]
        index = ast.Tuple([_load(name) for name in names], ast.Load())
        return value, names, [made(ast.Assign([whole], index))]

    def _loop(self, name: str, length: ast.expr, body: list[ast.stmt]) -> ast.For:
        count = ast.Call(_load("range"), [length], [])
        loop = ast.For(ast.Name(name, ast.Store()), count, body, [])
        ast.copy_location(loop, self.node)
        loop.key = self.node.key  # type: ignore[attr-defined]
        loop.origin = self.node  # type: ignore[attr-defined]
        return loop


def _breaks(node: ast.stmt) -> bool:
    """Whether a `break` in a statement leaves the loop around it."""
    if isinstance(node, ast.Break):
        return True
    inner = [] if isinstance(node, ast.For | ast.While) else blocks(node)
    return any(_breaks(part) for block in inner for part in block)


def _load(name: str) -> ast.Name:
    return ast.Name(name, ast.Load())
