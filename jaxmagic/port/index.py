"""What an index selects."""

from __future__ import annotations

import ast
import copy
from dataclasses import dataclass, field

from jaxmagic.port.windows import Value, Window


@dataclass(slots=True, eq=False)
class Index:
    """What an index selects.

    Args:
        parts: its elements as written.
        ndim: number of axes of the array.
        new: the lowered elements, windows opened to the whole axis.
        moving: by axis: start and length of a window that keeps its length.
        windows: by element: a window that does not.
        mask: the boolean mask among the elements.
        values: the lowered elements that are not slices.
    """

    parts: list[ast.expr]
    ndim: int | None
    new: dict[int, ast.expr] = field(default_factory=dict)
    moving: dict[int, tuple[ast.expr, ast.expr]] = field(default_factory=dict)
    windows: dict[int, Window] = field(default_factory=dict)
    mask: ast.expr | None = None
    mask_ndim: int | None = None
    values: list[Value] = field(default_factory=list)
    changed: bool = False

    def axis(self, i: int) -> int:
        """Which axis of the array an element is about."""
        before = [part for part in self.parts[:i] if not _is_new(part)]
        if any(_is_dots(part) for part in before):
            after = [part for part in self.parts[i:] if not _is_new(part)]
            return (self.ndim or 0) - len(after)
        return len(before)

    def rest(self) -> list[ast.expr]:
        """The lowered elements."""
        return [self.new[i] for i in range(len(self.parts))]

    @property
    def axes(self) -> dict[int, Window]:
        """Windows by axis of the result, counted from the end."""
        found = {}
        for i, window in self.windows.items():
            tail = self.parts[i + 1 :]
            if any(_is_dots(part) for part in tail):
                raise IndexError
            unnamed = (self.ndim or 0) - len([p for p in self.parts if not _is_new(p) and not _is_dots(p)])
            unnamed = 0 if any(_is_dots(p) for p in self.parts) else unnamed
            found[-1 - unnamed - sum(isinstance(p, ast.Slice) or _is_new(p) for p in tail)] = window
        return found

    @property
    def result_ndim(self) -> int | None:
        """Axes of the result, when no element is an array."""
        if self.ndim is None or any((value.ndim or 0) > 0 for value in self.values):
            return None
        points = sum(not isinstance(p, ast.Slice) and not _is_new(p) and not _is_dots(p) for p in self.parts)
        return self.ndim - points + sum(_is_new(p) for p in self.parts)


def beside(mask: ast.expr, extra: int) -> ast.expr:
    """A mask over the first axes, with more axes after them."""
    if not extra:
        return mask
    index = ast.Tuple([ast.Constant(Ellipsis), *(ast.Constant(None) for _ in range(extra))], ast.Load())
    return ast.Subscript(copy.deepcopy(mask), index, ast.Load())


def _is_new(part: ast.expr) -> bool:
    constant = isinstance(part, ast.Constant) and part.value is None
    return constant or (isinstance(part, ast.Attribute) and part.attr == "newaxis")


def _is_dots(part: ast.expr) -> bool:
    return isinstance(part, ast.Constant) and part.value is Ellipsis


def is_full(part: ast.expr) -> bool:
    """Whether an element of an index is `:`."""
    return isinstance(part, ast.Slice) and part.lower is None and part.upper is None and part.step is None


def as_slice(parts: list[ast.expr]) -> ast.expr:
    """Elements as the index of a subscript."""
    return parts[0] if len(parts) == 1 else ast.Tuple(parts, ast.Load())
