"""Parts of arrays whose size is not known to the compiler: `x[:j]` in a loop over j, and `x[mask]`.

Such a value is kept as the whole array with a mask that says which elements count (`Value.axes` by
axis, or `Value.mask` over all). Elementwise operations work on the whole; sums, products and stores
take the mask into account. A part that moves but keeps its size is a `lax.dynamic_slice`.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Mapping
from dataclasses import dataclass, field

from jaxmagic.port.linear import Linear, frozen, linear, plus, scaled, written


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Window:
    """Which elements along one axis count: `start <= index < stop`.

    Args:
        start, stop: normal forms; None for the axis's own ends.
        length: the axis's length, as an expression.
        size: that length in the watched run.
    """

    start: Linear | None
    stop: Linear | None
    length: ast.expr
    size: int

    @property
    def key(self) -> object:
        """Equal for equal windows."""
        start = frozen(self.start or {})
        return start, None if self.stop is None else frozen(self.stop), self.size

    def mask(self) -> ast.expr:
        """The condition on each index, as an expression of one axis."""
        index = call("jnp.arange", copy.deepcopy(self.length))
        after = None if not self.start else compare(written(self.start), ast.LtE(), index)
        before = None if self.stop is None else compare(copy.deepcopy(index), ast.Lt(), written(self.stop))
        if after is not None and before is not None:
            return ast.BinOp(after, ast.BitAnd(), before)
        both = after or before
        assert both is not None
        return both


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Value:
    """A lowered expression, and which of its elements count.

    Args:
        node: the expression; of the whole array where something is masked.
        axes: windows by axis, counted from the end (-1 is the last).
        mask: the boolean mask over all axes, as an expression, and its text for comparing.
        ndim: number of axes, where known.
    """

    node: ast.expr
    axes: Mapping[int, Window] = field(default_factory=dict)
    mask: ast.expr | None = None
    ndim: int | None = None

    @property
    def is_plain(self) -> bool:
        """Whether every element counts."""
        return not self.axes and self.mask is None

    def key(self) -> object:
        """Equal for values whose same elements count."""
        windows = tuple(sorted(((axis, repr(window.key)) for axis, window in self.axes.items())))
        return windows, None if self.mask is None else ast.unparse(self.mask)

    def condition(self) -> ast.expr:
        """Which elements count, in the shape of the value or one that broadcasts to it."""
        if self.mask is not None:
            return copy.deepcopy(self.mask)
        conditions = [_spread(window.mask(), axis) for axis, window in sorted(self.axes.items())]
        total = conditions[0]
        for condition in conditions[1:]:
            total = ast.BinOp(total, ast.BitAnd(), condition)
        return total

    def filled(self, fill: ast.expr) -> ast.expr:
        """The whole array with `fill` where elements do not count."""
        return self.node if self.is_plain else call("jnp.where", self.condition(), self.node, fill)


def _spread(mask: ast.expr, axis: int) -> ast.expr:
    """A mask of one axis that broadcasts from the end."""
    if axis == -1:
        return mask
    index = ast.Tuple([ast.Slice(), *(ast.Constant(None) for _ in range(-axis - 1))], ast.Load())
    return ast.Subscript(mask, index, ast.Load())


def final(name: str) -> ast.expr:
    """A dotted name that is written as it stands."""
    root, *path = name.split(".")
    node: ast.expr = ast.Name(root, ast.Load())
    for part in path:
        node = ast.Attribute(node, part, ast.Load())
    for part_node in ast.walk(node):
        part_node.done = True  # type: ignore[attr-defined]
    return node


def call(name: str, *args: ast.expr, **keywords: ast.expr) -> ast.Call:
    """`name(args)` as an expression; the name is final."""
    return ast.Call(final(name), list(args), [ast.keyword(key, value) for key, value in keywords.items()])


def compare(left: ast.expr, op: ast.cmpop, right: ast.expr) -> ast.Compare:
    """`left op right`."""
    return ast.Compare(left, [op], [right])


def bounds(index: ast.Slice, length: ast.expr) -> tuple[Linear, Linear | None]:
    """Start and stop of a slice in normal form, a negative constant counted from the end."""
    start = _bound(index.lower, length) or {}
    return start, _bound(index.upper, length)


def _bound(node: ast.expr | None, length: ast.expr) -> Linear | None:
    if node is None:
        return None
    terms = linear(node)
    negative = set(terms) <= {""} and terms.get("", 0) < 0
    return plus(linear(length), terms) if negative else terms


def extent(start: Linear, stop: Linear | None, length: ast.expr) -> Linear:
    """How many elements a slice has, in normal form."""
    return plus(linear(length) if stop is None else stop, scaled(start, -1))
