"""The picture of a program: which arrays go where, what is folded, and where the cost is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jaxmagic import results
from jaxmagic.pages import units
from jaxmagic.pages.blocks import (
    Block,
    Box,
    Diagram,
    Graph,
    Prose,
    Range,
    Shape,
    SourceLine,
    Text,
    Tone,
    Wire,
    words,
)
from jaxmagic.results import Lazy, Node, Span

# Boxes that are shown at first: folded ones are opened, the dearest first, while there are fewer.
AT_FIRST = 40
# What is opened at first: what the user named or wrote.
OPENED = ("function", "scope", "loop", "branches")
TITLE = 28
TYPES = 3

Ranges = Callable[[Span], tuple[Range, ...]]
Path = tuple[int, ...]

SHAPES: dict[str, Shape] = {
    "input": "pin",
    "constant": "pin",
    "output": "pin",
    "equation": "box",
    "loop": "loop",
    "repeat": "loop",
}
TONES: dict[str | None, Tone] = {"backward": "backward", "recomputed": "warn"}


def blocks(
    graph: results.Graph,
    totals: tuple[float | None, float | None],
    columns: tuple[str, ...],
    source: tuple[SourceLine, ...],
    ranges: Ranges,
) -> tuple[Block, ...]:
    """The picture of a graph.

    Args:
        graph: with everything folded.
        totals: the flops and bytes of the whole program.
        columns: the titles of the listing's figures.
        source: the listing of the user's source.
        ranges: where a span stands in the listing.
    """
    drawn = _Drawing(totals, ranges)
    opened = _opened(graph)
    equations = sum(node.equations for node in graph.nodes)
    alt = f"Dataflow graph of {units.counted(equations, 'equation')}, folded into {len(graph.nodes)} boxes."
    picture = Graph(columns=columns, source=source, diagram=drawn.diagram(graph), opened=opened, alt=alt)
    return (Prose(words=words(Text(drawn.legend(), tone="muted"))), picture)


@dataclass(frozen=True, slots=True)
class _Drawing:
    """From nodes to boxes; the colour is the share of the flops, or of the bytes where there are none."""

    totals: tuple[float | None, float | None]
    ranges: Ranges

    def legend(self) -> str:
        measure = "flops" if self.totals[0] else "bytes moved"
        return f"colour: share of the {measure} · double edge: folded, opens · dashed: runs several times"

    def diagram(self, graph: results.Graph) -> Diagram:
        boxes = tuple(self.box(node) for node in graph.nodes)
        wires = tuple(Wire(start=e.start, end=e.end, label=_along(e.types)) for e in graph.edges)
        return Diagram(boxes=boxes, wires=wires)

    def box(self, node: Node) -> Box:
        inside = node.inside
        return Box(
            shape=SHAPES.get(node.kind, "fold"),
            title=_short(_titled(node), TITLE),
            detail=_short(node.type, TITLE + 4),
            told=self.told(node),
            cost=_cost(node),
            share=self.share(node),
            tone=TONES.get(node.phase, "plain"),
            source=tuple(one for span in node.spans for one in self.ranges(span)),
            inside=None if inside is None else Lazy(lambda: self.diagram(inside.get())),
        )

    def told(self, node: Node) -> str:
        parts = [node.text or node.type]
        if node.equations > 1:
            parts.append(units.counted(node.equations, "equation"))
        if node.equations:
            flops = "flop unknown" if node.flops is None else units.flop(node.flops)
            moved = "bytes unknown" if node.bytes is None else f"{units.size(node.bytes)} moved"
            parts += [flops, moved]
        return " · ".join(filter(None, parts))

    def share(self, node: Node) -> float | None:
        total, part = (self.totals[0], node.flops) if self.totals[0] else (self.totals[1], node.bytes)
        if not total or part is None:
            return None
        return min(1.0, part / total)


def _titled(node: Node) -> str:
    if node.kind in ("input", "output", "constant"):
        return node.title
    times = "" if node.turns == 1 else " × ?" if node.turns is None else f" × {units.count(node.turns)}"
    return f"{node.title}{times}"


def _cost(node: Node) -> str:
    if not node.equations:
        return ""
    if node.flops is None:
        return "flop unknown"
    return units.flop(node.flops) if node.flops else ""


def _along(types: tuple[str, ...]) -> str:
    more = len(types) - TYPES
    return ", ".join(types[:TYPES]) + (f" and {more} more" if more > 0 else "")


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


# -- what is opened at first -----------------------------------------------------------------------


def _opened(graph: results.Graph) -> frozenset[Path]:
    """Folded boxes, the dearest first, as long as few boxes are shown."""
    opened: set[Path] = set()
    shown = len(graph.nodes)
    waiting = _folded(graph, ())
    while waiting:
        path, node = waiting.pop(0)
        if node.inside is None or node.equations > AT_FIRST:
            continue
        inside = node.inside.get()
        if shown + len(inside.nodes) <= AT_FIRST:
            shown += len(inside.nodes)
            opened.add(path)
            waiting = sorted([*waiting, *_folded(inside, path)], key=_dearest)
    return frozenset(opened)


def _folded(graph: results.Graph, path: Path) -> list[tuple[Path, Node]]:
    found = [((*path, i), node) for i, node in enumerate(graph.nodes) if node.kind in OPENED]
    return sorted(found, key=_dearest)


def _dearest(entry: tuple[Path, Node]) -> tuple[float, Path]:
    path, node = entry
    return (-(node.flops or 0.0), path)
