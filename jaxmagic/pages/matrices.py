"""Derivatives with rows and columns: Jacobians, Hessians, third derivatives, by name."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from jaxmagic.pages import units
from jaxmagic.pages.blocks import Block, Column, Heat, Prose, Table, Text, strong, words
from jaxmagic.pages.figures import Figured, FiguredGradient
from jaxmagic.pages.verdicts import MOST_ROWS, mark, of

MOST_CELLS = 48  # rows and columns of a heat map; of what is larger, stretches of both
MOST_NUMBERS = 4_000_000  # of a matrix that is looked at; a larger one is told by its figures
MOST_ENTRIES = 12  # of a table of the largest
SIGNS = {1: "∂", 2: "∂²", 3: "∂³"}


def matrices(result: FiguredGradient) -> list[Block]:
    """By name where every input is a number or a row of them, else a picture of each block."""
    numbers = all(not leaf.value.ndim for leaf in result.leaves)
    if result.order > 1 and numbers:
        return _of_numbers(result)
    whole = _jacobian(result) if result.order == 1 else None
    if whole is not None:
        return [whole, *_verdict(result)]
    return [block for leaf in result.leaves[:MOST_ROWS] for block in _matrix(leaf, result)]


def _verdict(result: FiguredGradient) -> list[Block]:
    """The figures below a Jacobian that is shown whole."""
    return [
        Prose(words=words(strong(of(leaf.output, leaf.path)), "  ", *mark(leaf.check), f"  {figures(leaf)}"))
        for leaf in result.leaves[:MOST_ROWS]
    ]


# -- the Jacobian ---------------------------------------------------------------------------------


def _jacobian(result: FiguredGradient) -> Heat | None:
    """All outputs down and all inputs across, if each is a number or a row of numbers."""
    leaves = result.leaves
    if any(leaf.rows > 1 or leaf.value.ndim - leaf.rows > 1 or not leaf.value.size for leaf in leaves):
        return None
    found = {(leaf.output, leaf.path): leaf for leaf in leaves}
    outputs, inputs = (list(dict.fromkeys(names)) for names in zip(*found, strict=True))
    down = {name: _elements(name or result.name, found[name, inputs[0]], own=False) for name in outputs}
    across = {name: _elements(name, found[outputs[0], name], own=True) for name in inputs}
    rows, columns = _joined(down.values()), _joined(across.values())
    if not 1 < max(len(rows), len(columns)) <= MOST_CELLS:
        return None
    blocks = [
        [found[o, i].value.reshape(len(down[o]), len(across[i])).astype(np.float64) for i in inputs]
        for o in outputs
    ]
    said = f"{units.counted(len(rows), 'output')} by {units.counted(len(columns), 'input')}"
    return _heat(np.block(blocks), rows, columns, ("output", "input"), f"Jacobian of {result.name}, {said}")


def _elements(name: str, leaf: Figured, *, own: bool) -> tuple[str, ...]:
    """A name for each number of an input (its own), or of an output."""
    shape = leaf.value.shape[leaf.rows :] if own else leaf.value.shape[: leaf.rows]
    return _named(name, shape)


def _named(name: str, shape: Sequence[int]) -> tuple[str, ...]:
    """The number itself, `x`, or each element: `x[0]`, or `x[0, 0]`."""
    if not shape:
        return (name,)
    return tuple(f"{name}[{', '.join(map(str, place))}]" for place in np.ndindex(*shape))


def _joined(parts: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(itertools.chain.from_iterable(parts))


def _heat(
    grid: npt.NDArray[np.float64],
    rows: Sequence[str],
    columns: Sequence[str],
    axes: tuple[str, str],
    alt: str,
) -> Heat:
    return Heat(
        values=tuple(tuple(float(x) for x in row) for row in grid),
        rows=axes[0],
        columns=axes[1],
        row_names=tuple(rows),
        column_names=tuple(columns),
        alt=alt,
    )


# -- higher orders of numbers ---------------------------------------------------------------------


def _of_numbers(result: FiguredGradient) -> list[Block]:
    """A table, and a picture in which each input is measured by its own size."""
    names = list(dict.fromkeys(leaf.by[0] for leaf in result.leaves))
    outputs = list(dict.fromkeys(leaf.output for leaf in result.leaves))
    found = {(leaf.output, *leaf.by): leaf for leaf in result.leaves}
    downs = _downs(names, result.order)
    table = Table(
        columns=(
            Column(title=f"{_sign(result.order)} {result.name}", align="left"),
            *(Column(title=name) for name in names),
        ),
        rows=tuple(
            (
                words(of(output, ", ".join(down))),
                *(words(units.signed(float(found[output, *down, name].value), 4)) for name in names),
            )
            for output in outputs
            for down in downs
        ),
    )
    sizes = {leaf.by[0]: float(leaf.point) for leaf in result.leaves}
    if len(names) < 2 or len(outputs) > 1 or not all(sizes.values()) or len(downs) > MOST_CELLS:
        return [table]
    grid = np.array(
        [
            [
                float(found[outputs[0], *down, name].value) * math.prod(sizes[one] for one in (*down, name))
                for name in names
            ]
            for down in downs
        ]
    )
    told = f"Each times the inputs that it is by, in units of {result.name}: the effect of their own sizes."
    rows = [", ".join(down) for down in downs]
    picture = _heat(grid, rows, names, ("by", "and by"), "The same as colours.")
    return [table, Prose(words=words(Text(told, tone="muted"))), picture]


def _downs(names: Sequence[str], order: int) -> list[tuple[str, ...]]:
    """What goes down: for a Hessian each input, beyond that each mixture once."""
    if order == 2:
        return [(name,) for name in names]
    return list(itertools.combinations_with_replacement(names, order - 1))


def _sign(order: int) -> str:
    return SIGNS.get(order, f"∂^{order}")


# -- one block ------------------------------------------------------------------------------------


def _matrix(leaf: Figured, result: FiguredGradient) -> list[Block]:
    title = f"{of(leaf.output, leaf.path)}  {leaf.type}"
    heading = Prose(words=words(strong(title), "  ", *mark(leaf.check)))
    picture = _third(leaf, title) if _cubic(leaf, result.order) else _picture(leaf, result, title)
    told = Prose(words=words(Text(figures(leaf), tone="muted")))
    largest = [_largest(leaf)] if result.order > 2 and leaf.value.size > 1 else []
    return [heading, *([picture] if picture else []), told, *largest]


def _picture(leaf: Figured, result: FiguredGradient, title: str) -> Heat | None:
    """As rows and columns, or as stretches of them."""
    value = np.asarray(leaf.value)
    if not 1 < value.size <= MOST_NUMBERS:
        return None
    split = leaf.rows or (_split(leaf) if value.ndim > 1 else 0)
    down, across = value.shape[:split], value.shape[split:]
    row = leaf.output or result.name if leaf.rows else leaf.by[0] if leaf.by else leaf.path
    column = leaf.by[-1] if leaf.by else leaf.path
    grid = value.astype(np.float64).reshape(math.prod(down), -1)
    alt = f"{title}: {figures(leaf)}"
    if max(grid.shape) > MOST_CELLS:
        return _pooled(grid, (row, column), alt)
    return _heat(grid, _named(row, down), _named(column, across), (row, column), alt)


def _pooled(grid: npt.NDArray[np.float64], axes: tuple[str, str], alt: str) -> Heat:
    """A large matrix by stretches of rows and columns: of each the number farthest from zero."""
    places = [np.array_split(np.arange(size), min(size, MOST_CELLS)) for size in grid.shape]
    starts = [[int(part[0]) for part in parts] for parts in places]
    low, high = (
        reach.reduceat(reach.reduceat(grid, starts[0], axis=0), starts[1], axis=1)
        for reach in (np.minimum, np.maximum)
    )
    rows, columns = (
        [_stretch(axis, part) for part in parts] for axis, parts in zip(axes, places, strict=True)
    )
    told = f"{alt}; of each stretch of rows and columns the number farthest from zero"
    return _heat(np.where(-low > high, low, high), rows, columns, axes, told)


def _stretch(name: str, part: npt.NDArray[np.int64]) -> str:
    return f"{name}[{part[0]}]" if len(part) == 1 else f"{name}[{part[0]} … {part[-1]}]"


def _split(leaf: Figured) -> int:
    """Where the axes of the first input end, in a derivative of a number."""
    return np.ndim(leaf.point) or 1


def _cubic(leaf: Figured, order: int) -> bool:
    shape = leaf.value.shape
    return (
        order == 3 and not leaf.rows and len(shape) == 3 and len(set(shape)) == 1 and len(set(leaf.by)) == 1
    )


def _third(leaf: Figured, title: str) -> Heat | None:
    """Every pair of elements once, down; where those are too many, the norm along the last axis."""
    n, name = leaf.value.shape[0], leaf.by[0]
    value = leaf.value.astype(np.float64)
    elements = _named(name, (n,))
    pairs = list(itertools.combinations_with_replacement(range(n), 2))
    if len(pairs) <= MOST_CELLS:
        grid = np.array([value[i, j] for i, j in pairs])
        rows = [f"{elements[i]}, {elements[j]}" for i, j in pairs]
        return _heat(grid, rows, elements, ("by", "and by"), f"{title}: {figures(leaf)}")
    if n <= MOST_CELLS:
        grid, alt = np.linalg.norm(value, axis=2), f"{title}: norms along the third input; {figures(leaf)}"
        return _heat(grid, elements, elements, (name, name), alt)
    return None


def _largest(leaf: Figured) -> Table:
    """The entries farthest from zero, those that are equal by symmetry once."""
    rows = [
        (words(place), words(units.signed(value, 4)))
        for place, value in itertools.islice(_ranked(leaf), MOST_ENTRIES)
    ]
    columns = (Column(title="by", align="left"), Column(title=f"{_sign(len(leaf.by))}, largest first"))
    return Table(columns=columns, rows=tuple(rows))


def _ranked(leaf: Figured) -> Iterator[tuple[str, float]]:
    value = leaf.value.astype(np.float64)
    order = np.argsort(-np.abs(value), axis=None, kind="stable")
    same = len(set(leaf.by)) == 1 and value.ndim == len(leaf.by) and len(set(value.shape)) == 1
    seen = set()
    for flat in order[: MOST_ENTRIES * 30]:
        place = tuple(int(i) for i in np.unravel_index(flat, value.shape))
        key = tuple(sorted(place)) if same else place
        if key not in seen and value[place]:
            seen.add(key)
            shown = [f"{leaf.by[0]}[{i}]" for i in key] if same else [f"[{', '.join(map(str, place))}]"]
            yield ", ".join(shown), float(value[place])


def figures(leaf: Figured) -> str:
    """Norm, range and zeros in words."""
    if leaf.value.size == 1:
        return units.figure(float(leaf.value.reshape(())), 6)
    return f"norm {units.figure(leaf.norm)}, {span(leaf)}, zeros {zeros(leaf)}"


def span(leaf: Figured) -> str:
    """From the smallest to the largest."""
    if not leaf.value.ndim or leaf.low is None or leaf.high is None:
        return ""
    return f"{units.brief(leaf.low)} … {units.brief(leaf.high)}"


def zeros(leaf: Figured) -> str:
    """The share of zeros, and of what is not a number."""
    if not leaf.value.ndim or leaf.zeros is None:
        return ""
    share = units.percent(leaf.zeros)
    return f"{share}, {units.percent(leaf.broken)} nan or inf" if leaf.broken else share
