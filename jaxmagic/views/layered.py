"""A layered layout: boxes in rows, every edge downwards, long edges straight where they can be.

The usual four steps (Sugiyama): rows by longest path; long edges cut at every row they cross, one chain
for all edges of a box; the order in each row by the neighbours' mean, the order with the fewest
crossings kept; places across by Brandes and Köpf, "Fast and simple horizontal coordinate assignment"
(2001), with boxes of different widths.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

GAP_X, GAP_Y, SWEEPS = 18.0, 26.0, 8
THREAD = 6.0  # the width that a long edge takes

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Layout:
    """Where boxes are (their upper left corners) and which points the edges go through."""

    places: list[Point]
    routes: list[list[Point]]
    width: float
    height: float


def layout(sizes: Sequence[Point], edges: Sequence[tuple[int, int]]) -> Layout:
    """Places for boxes of these sizes.

    Args:
        sizes: the width and height of each box.
        edges: from an earlier box to a later one.
    """
    if not sizes:
        return Layout([], [], 0.0, 0.0)
    rows = _rows(len(sizes), edges)
    net = _Net(sizes, rows, edges)
    order = _ordered(net)
    across = _across(net, order)
    tops, heights = _downwards(sizes, rows, order)
    left = min(across[i] - net.widths[i] / 2 for i in range(len(across)))
    centres = [x - left for x in across]
    places = [(centres[i] - width / 2, tops[rows[i]]) for i, (width, _) in enumerate(sizes)]
    routes = [_route(net, edge, centres, places, sizes, tops, heights) for edge in edges]
    right = max(centre + width / 2 for centre, width in zip(centres, net.widths, strict=True))
    return Layout(places, routes, right, tops[-1] + heights[-1])


# -- rows ------------------------------------------------------------------------------------------


def _rows(boxes: int, edges: Iterable[tuple[int, int]]) -> list[int]:
    """The row of each box: below all that it needs; what needs nothing stands right above its first use."""
    before: list[list[int]] = [[] for _ in range(boxes)]
    after: list[list[int]] = [[] for _ in range(boxes)]
    for start, end in edges:
        before[end].append(start)
        after[start].append(end)
    rows = [0] * boxes
    for i in range(boxes):
        rows[i] = max((rows[j] + 1 for j in before[i]), default=0)
    for i in range(boxes - 1, -1, -1):
        if not before[i] and after[i]:
            rows[i] = min(rows[j] for j in after[i]) - 1
    return rows


class _Net:
    """Boxes and the threads of long edges as one net in which every edge goes to the next row."""

    def __init__(self, sizes: Sequence[Point], rows: Sequence[int], edges: Sequence[tuple[int, int]]) -> None:
        self.boxes = len(sizes)
        self.widths = [width for width, _ in sizes]
        self.rows = list(rows)
        self.threads: dict[tuple[int, int], int] = {}
        self.up: list[list[int]] = [[] for _ in sizes]
        self.down: list[list[int]] = [[] for _ in sizes]
        for start, end in dict.fromkeys(edges):
            last = start
            for row in range(rows[start] + 1, rows[end]):
                last = self._thread(start, row, last)
            self._tie(last, end)

    def _thread(self, start: int, row: int, above: int) -> int:
        key = (start, row)
        if key not in self.threads:
            self.threads[key] = len(self.rows)
            self.rows.append(row)
            self.widths.append(THREAD)
            self.up.append([])
            self.down.append([])
            self._tie(above, self.threads[key])
        return self.threads[key]

    def _tie(self, above: int, below: int) -> None:
        self.down[above].append(below)
        self.up[below].append(above)

    def is_thread(self, i: int) -> bool:
        return i >= self.boxes


# -- order -----------------------------------------------------------------------------------------


def _ordered(net: _Net) -> list[list[int]]:
    """The members of each row from left to right, with few crossings."""
    order: list[list[int]] = [[] for _ in range(max(net.rows) + 1)]
    for i in _by_depth(net):
        order[net.rows[i]].append(i)
    best, fewest = [list(row) for row in order], _crossings(net, order)
    for sweep in range(SWEEPS):
        if not fewest:
            break
        down = sweep % 2 == 0
        rows = range(1, len(order)) if down else range(len(order) - 2, -1, -1)
        neighbours = net.up if down else net.down
        for row in rows:
            _sort(order, row, row - 1 if down else row + 1, neighbours)
        crossings = _crossings(net, order)
        if crossings < fewest:
            best, fewest = [list(row) for row in order], crossings
    return best


def _by_depth(net: _Net) -> list[int]:
    """All members, neighbours close to each other."""
    seen: dict[int, None] = {}
    roots = sorted(range(len(net.rows)), key=lambda i: (len(net.up[i]) > 0, net.rows[i]))
    for root in roots:
        waiting = [root]
        while waiting:
            i = waiting.pop()
            if i not in seen:
                seen[i] = None
                waiting += reversed(net.down[i])
    return list(seen)


def _sort(order: list[list[int]], row: int, other: int, neighbours: Sequence[Sequence[int]]) -> None:
    """A row by the mean place of its neighbours; what has none stays near where it was."""
    place = {one: i for i, one in enumerate(order[other])}
    scale = len(order[other]) / max(len(order[row]), 1)

    def mean(entry: tuple[int, int]) -> float:
        at, one = entry
        there = [place[j] for j in neighbours[one]]
        return sum(there) / len(there) if there else at * scale

    order[row] = [one for _, one in sorted(enumerate(order[row]), key=mean)]


def _crossings(net: _Net, order: Sequence[Sequence[int]]) -> int:
    return sum(_between(net, above, below) for above, below in pairwise(order))


def _between(net: _Net, above: Sequence[int], below: Sequence[int]) -> int:
    place = {one: i for i, one in enumerate(below)}
    seen: list[int] = []
    crossings = 0
    for one in above:
        ends = sorted(place[j] for j in net.down[one])
        crossings += sum(len(seen) - bisect_left(seen, end + 1) for end in ends)
        for end in ends:
            insort(seen, end)
    return crossings


# -- places across ---------------------------------------------------------------------------------


def _across(net: _Net, order: list[list[int]]) -> list[float]:
    """The centre of each member: the mean of the two middle ones of four extreme layouts."""
    marked = _conflicts(net, order)
    found = []
    for down in (True, False):
        for left in (True, False):
            rows = order if down else order[::-1]
            rows = rows if left else [row[::-1] for row in rows]
            neighbours = net.up if down else net.down
            places = _compacted(rows, _aligned(rows, neighbours, marked), net.widths)
            found.append(places if left else [-x for x in places])
    return _balanced(found, net.widths)


def _conflicts(net: _Net, order: Sequence[Sequence[int]]) -> set[tuple[int, int]]:
    """Edges that cross a thread, which is to stay straight."""
    marked: set[tuple[int, int]] = set()
    for above, below in pairwise(order):
        place = {one: i for i, one in enumerate(above)}
        low, start = 0, 0
        for at, one in enumerate(below):
            inner = next((j for j in net.up[one] if net.is_thread(one) and net.is_thread(j)), None)
            if inner is None and at < len(below) - 1:
                continue
            high = place[inner] if inner is not None else len(above)
            for other in below[start : at + 1]:
                for j in net.up[other]:
                    if not low <= place[j] <= high and not (net.is_thread(j) and net.is_thread(other)):
                        marked.add((j, other))
            start, low = at + 1, min(high, len(above))
    return marked


def _aligned(
    rows: Sequence[Sequence[int]], neighbours: Sequence[Sequence[int]], marked: set[tuple[int, int]]
) -> dict[int, int]:
    """Columns of members that stand below each other, by the root of each."""
    roots = {one: one for row in rows for one in row}
    aligned = dict(roots)
    for above, below in pairwise(rows):
        place = {one: i for i, one in enumerate(above)}
        last = -1
        for one in below:
            there = sorted(neighbours[one], key=place.__getitem__)
            for j in dict.fromkeys((there[(len(there) - 1) // 2], there[len(there) // 2]) if there else ()):
                free = (j, one) not in marked and (one, j) not in marked
                if aligned[one] == one and free and place[j] > last:
                    aligned[j] = one
                    roots[one] = aligned[one] = roots[j]
                    last = place[j]
    return roots


def _compacted(rows: Sequence[Sequence[int]], roots: dict[int, int], widths: Sequence[float]) -> list[float]:
    """Each column as far to the left as its neighbours allow, then up to those on its right."""
    lefts: dict[int, dict[int, float]] = {root: {} for root in set(roots.values())}
    rights: dict[int, dict[int, float]] = {root: {} for root in lefts}
    for row in rows:
        for a, b in pairwise(row):
            apart = (widths[a] + widths[b]) / 2 + GAP_X
            first, second = roots[a], roots[b]
            lefts[second][first] = max(lefts[second].get(first, 0.0), apart)
            rights[first][second] = max(rights[first].get(second, 0.0), apart)
    columns = _sorted(lefts, rights)
    x: dict[int, float] = {}
    for root in columns:
        x[root] = max((x[other] + apart for other, apart in lefts[root].items()), default=0.0)
    for root in reversed(columns):
        if rights[root]:
            x[root] = max(x[root], min(x[other] - apart for other, apart in rights[root].items()))
    return [x[roots[i]] for i in range(len(widths))]


def _sorted(lefts: dict[int, dict[int, float]], rights: dict[int, dict[int, float]]) -> list[int]:
    """The columns, each after all that stand to its left."""
    missing = {root: len(found) for root, found in lefts.items()}
    ready = [root for root, many in missing.items() if not many]
    columns = []
    while ready:
        root = ready.pop()
        columns.append(root)
        for other in rights[root]:
            missing[other] -= 1
            if not missing[other]:
                ready.append(other)
    return columns


def _balanced(found: list[list[float]], widths: Sequence[float]) -> list[float]:
    """The four layouts set upon the narrowest, and the mean of the middle two for each member."""
    spans = [_span(places, widths) for places in found]
    low, high = min(spans, key=lambda span: span[1] - span[0])
    shifts = [low - span[0] if i % 2 == 0 else high - span[1] for i, span in enumerate(spans)]
    moved = [[x + shift for x in places] for places, shift in zip(found, shifts, strict=True)]
    return [sum(sorted(xs)[1:3]) / 2 for xs in zip(*moved, strict=True)]


def _span(places: Sequence[float], widths: Sequence[float]) -> Point:
    ends = [(x - width / 2, x + width / 2) for x, width in zip(places, widths, strict=True)]
    return min(low for low, _ in ends), max(high for _, high in ends)


# -- downwards, and the edges ----------------------------------------------------------------------


def _downwards(
    sizes: Sequence[Point], rows: Sequence[int], order: Sequence[Sequence[int]]
) -> tuple[list[float], list[float]]:
    """The top and height of each row."""
    heights = [0.0] * len(order)
    for row, (_, height) in zip(rows, sizes, strict=True):
        heights[row] = max(heights[row], height)
    tops, top = [], 0.0
    for height in heights:
        tops.append(top)
        top += height + GAP_Y
    return tops, heights


def _route(
    net: _Net,
    edge: tuple[int, int],
    centres: Sequence[float],
    places: Sequence[Point],
    sizes: Sequence[Point],
    tops: Sequence[float],
    heights: Sequence[float],
) -> list[Point]:
    """From the foot of a box, down through the rows between, to the head of another."""
    start, end = edge
    first, last = net.rows[start], net.rows[end]
    foot = places[start][1] + sizes[start][1]
    points = [(centres[start], foot), (centres[start], tops[first] + heights[first])]
    for row in range(first + 1, last):
        x = centres[net.threads[start, row]]
        points += [(x, tops[row]), (x, tops[row] + heights[row])]
    return [*points, (centres[end], tops[last])]


def curve(points: Sequence[Point]) -> str:
    """The points as an SVG path: straight along rows, bent between them."""
    parts = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    for (x0, y0), (x1, y1) in pairwise(points):
        if abs(x0 - x1) < 0.5:
            parts.append(f"L{x1:.1f} {y1:.1f}")
        else:
            middle = (y0 + y1) / 2
            parts.append(f"C{x0:.1f} {middle:.1f} {x1:.1f} {middle:.1f} {x1:.1f} {y1:.1f}")
    return "".join(parts)
