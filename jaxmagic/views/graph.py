"""A graph laid out, and drawn: as an SVG for static pages, as numbers for the live view, as an outline.

Opened boxes hold the layout of what is inside them, so that a graph in a graph is one more box.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Iterator
from dataclasses import dataclass

from jaxmagic.pages.blocks import Box, Diagram, Graph
from jaxmagic.views.layered import Point, curve, layout
from jaxmagic.views.visible import visible, width

Path = tuple[int, ...]

LINE, PAD, LETTER = 15.0, 7.0, 6.7
SMALL = 5.9  # a letter of the second line
HEADING = 24.0
NARROWEST = 44.0
# A live view that opens everything still gets an answer.
MOST_OPENED = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A box where it stands in the whole picture."""

    path: Path
    box: Box
    x: float
    y: float
    width: float
    height: float
    opened: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A wire where it runs, between two boxes by their paths."""

    start: Path
    end: Path
    label: str
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A graph laid out: outer boxes come before those inside them."""

    boxes: tuple[Drawn, ...]
    lines: tuple[Line, ...]
    width: float
    height: float


def drawing(graph: Graph, opened: frozenset[Path] | None = None) -> Drawing:
    """The graph with some boxes opened: those that are to be opened at first, when None."""
    return _drawing(graph.diagram, graph.opened if opened is None else opened, ())


def _drawing(diagram: Diagram, opened: frozenset[Path], path: Path) -> Drawing:
    inner = {
        i: _drawing(box.inside.get(), opened, (*path, i))
        for i, box in enumerate(diagram.boxes)
        if box.inside is not None and (*path, i) in opened
    }
    sizes = [_size(box, inner.get(i)) for i, box in enumerate(diagram.boxes)]
    placed = layout(sizes, [(wire.start, wire.end) for wire in diagram.wires])
    boxes: list[Drawn] = []
    lines = [
        Line(start=(*path, wire.start), end=(*path, wire.end), label=wire.label, points=tuple(points))
        for wire, points in zip(diagram.wires, placed.routes, strict=True)
    ]
    for i, (box, (x, y), (wide, high)) in enumerate(zip(diagram.boxes, placed.places, sizes, strict=True)):
        here = (*path, i)
        boxes.append(Drawn(path=here, box=box, x=x, y=y, width=wide, height=high, opened=i in inner))
        if i in inner:
            within = _moved(inner[i], x + (wide - inner[i].width) / 2, y + HEADING)
            boxes += within.boxes
            lines += within.lines
    return Drawing(boxes=tuple(boxes), lines=tuple(lines), width=placed.width, height=placed.height)


def _moved(one: Drawing, x: float, y: float) -> Drawing:
    boxes = tuple(
        Drawn(path=b.path, box=b.box, x=b.x + x, y=b.y + y, width=b.width, height=b.height, opened=b.opened)
        for b in one.boxes
    )
    lines = tuple(
        Line(start=w.start, end=w.end, label=w.label, points=tuple((a + x, b + y) for a, b in w.points))
        for w in one.lines
    )
    return Drawing(boxes=boxes, lines=lines, width=one.width, height=one.height)


def _size(box: Box, inner: Drawing | None) -> Point:
    across = max(width(box.title) * LETTER, width(second_line(box)) * SMALL) + 2 * PAD + 4
    if inner is not None:
        heading = width(box.title) * LETTER + width(box.cost) * SMALL + 5 * PAD
        return max(inner.width + 4 * PAD, heading), inner.height + HEADING + 2 * PAD
    lines = 1 if box.shape == "pin" or not second_line(box) else 2
    return max(across, NARROWEST), lines * LINE + PAD


def second_line(box: Box) -> str:
    """What stands below the title of a box."""
    return "" if box.shape == "pin" else " · ".join(filter(None, (box.detail, box.cost)))


# -- SVG -------------------------------------------------------------------------------------------

# A picture in a page that knows no theme: boxes of their own colour, wires that read on black and white.
_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#1f2328}.s{font-size:10.5px;fill:#57606a}"
    ".w{fill:none;stroke:#8b949e;stroke-width:1.1}.b{fill:#fbfbfd;stroke:#8b949e}"
    ".o{fill:none;stroke:#8b949e;stroke-dasharray:none}.l{stroke-dasharray:5 3}"
    ".pin{fill:#e7e6fb;stroke:#b9b5ee}.h{fill:#8b949e;font-weight:600}"
)
_EDGES = {"backward": "#bd58a5", "warn": "#d9881c"}
MARGIN = 6


def image(graph: Graph) -> tuple[str, float]:
    """The graph as a data URI of an SVG picture, and how wide it is."""
    drawn = drawing(graph)
    picture = svg(drawn).encode("utf-8", "replace")
    return f"data:image/svg+xml;base64,{base64.b64encode(picture).decode('ascii')}", drawn.width + 2 * MARGIN


def svg(drawn: Drawing) -> str:
    """The drawing as SVG text without a script."""
    wide, high = drawn.width + 2 * MARGIN, drawn.height + 2 * MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide:.0f}" height="{high:.0f}" '
        f'viewBox="{-MARGIN} {-MARGIN} {wide:.0f} {high:.0f}"><style>{_STYLE}</style>'
        '<marker id="a" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 1L7 4L0 7z" fill="#8b949e"/></marker>'
    ]
    parts += [_svg_box(one) for one in drawn.boxes if one.opened]
    parts += [f'<path class="w" marker-end="url(#a)" d="{curve(line.points)}"/>' for line in drawn.lines]
    parts += [_svg_box(one) for one in drawn.boxes if not one.opened]
    return "".join([*parts, "</svg>"])


def _svg_box(one: Drawn) -> str:
    box = one.box
    if one.opened:
        return _frame(one, "o l" if box.shape == "loop" else "o") + _label(
            one, one.x + 8, one.y + 16, "h", "start"
        )
    kind = {"pin": "b pin", "loop": "b l"}.get(box.shape, "b")
    parts = [_frame(one, kind)]
    if box.inside is not None:
        parts.append(_frame(one, "b l" if box.shape == "loop" else "b", grow=-2.5))
    if box.share:
        parts.append(_heat(one, box.share))
    middle = one.x + one.width / 2
    lines = [box.title, *filter(None, [second_line(box)])]
    top = one.y + one.height / 2 + 4 - (len(lines) - 1) * 7
    parts.append(_text(lines[0], middle, top, "", "middle"))
    parts += [_text(line, middle, top + 14, "s", "middle") for line in lines[1:]]
    return "".join(parts)


def _label(one: Drawn, x: float, y: float, kind: str, anchor: str) -> str:
    return _text(" · ".join(filter(None, (one.box.title, one.box.cost))), x, y, kind, anchor)


def _text(words: str, x: float, y: float, kind: str, anchor: str) -> str:
    content = html.escape(_xml(visible(words)), quote=True)
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{content}</text>'


def _xml(words: str) -> str:
    """Only what XML may hold."""
    return "".join(one if one < "\ufffe" or one > "\uffff" else "\ufffd" for one in words)


def _frame(one: Drawn, kind: str, grow: float = 0.0) -> str:
    edge = _EDGES.get(one.box.tone)
    colour = f' style="stroke:{edge}"' if edge else ""
    x, y = one.x - grow, one.y - grow
    wide, high = one.width + 2 * grow, one.height + 2 * grow
    round_ = min(high / 2, 9) if one.box.shape == "pin" else 4
    return (
        f'<rect class="{kind}"{colour} x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{high:.1f}" '
        f'rx="{round_:g}"/>'
    )


def _heat(one: Drawn, share: float) -> str:
    return (
        f'<rect x="{one.x + 1:.1f}" y="{one.y + 1:.1f}" width="{one.width - 2:.1f}" '
        f'height="{one.height - 2:.1f}" rx="3" fill="#f0a63c" fill-opacity="{tint(share):.2f}"/>'
    )


def tint(share: float) -> float:
    """How strong the colour of a share is; small ones still show."""
    return 0.0 if not share else 0.06 + 0.64 * float(min(max(share, 0.0), 1.0)) ** 0.5


# -- outline ---------------------------------------------------------------------------------------


def outline(graph: Graph) -> Iterator[tuple[str, str, str, str]]:
    """A row for each box of the graph, opened ones with what is inside: title, type, cost, from where."""
    yield from _outline(graph.diagram, graph.opened, ())


def _outline(diagram: Diagram, opened: frozenset[Path], path: Path) -> Iterator[tuple[str, str, str, str]]:
    names = [box.title for box in diagram.boxes]
    before: dict[int, list[str]] = {}
    for wire in diagram.wires:
        before.setdefault(wire.end, []).append(names[wire.start])
    for i, box in enumerate(diagram.boxes):
        here = (*path, i)
        mark = "" if box.inside is None else "▾ " if here in opened else "▸ "
        came = f"← {', '.join(before[i])}" if i in before else ""
        yield "  " * len(path) + mark + box.title, box.detail, box.cost, came
        if box.inside is not None and here in opened:
            yield from _outline(box.inside.get(), opened, here)


# -- live ------------------------------------------------------------------------------------------


def listed(path: Path) -> str:
    """A path as the live view names it."""
    return ".".join(map(str, path))


def paths(names: list[str]) -> frozenset[Path]:
    """The paths that a live view names.

    Raises:
        ValueError: one of them is none.
    """
    return frozenset(tuple(int(part) for part in name.split(".")) for name in names[:MOST_OPENED])
