"""The dataflow graph of a program, folded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from jaxmagic.results.common import Lazy, Phase, Span

NodeKind = Literal[
    "input",
    "constant",
    "output",
    "equation",
    "function",
    "library",
    "loop",
    "branches",
    "scope",
    "repeat",
    "part",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One thing in a dataflow graph: an equation, or several that are folded into one.

    Args:
        kind: what it is; "part" is a stretch of a program that is too long to be drawn at once.
        title: what to call it: a primitive, a function, an input, a scope.
        text: the equation as JAX prints it; "" where it is folded.
        type: the types of what comes out.
        spans: the user's expressions that it came from.
        equations: how many it stands for, inner programs' included.
        turns: how often the same is repeated; None in a loop of unknown length.
        flops, bytes: the cost in one call of the whole program; None where unknown. Where equations share
            an expression its cost is divided among them by their sizes.
        phase: the pass of a gradient that all of it belongs to; None where it is mixed.
        inside: what is folded.
    """

    kind: NodeKind
    title: str
    text: str = ""
    type: str = ""
    spans: tuple[Span, ...] = ()
    equations: int = 0
    turns: int | None = 1
    flops: float | None = 0.0
    bytes: float | None = 0.0
    phase: Phase | None = "forward"
    inside: Lazy[Graph] | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """Arrays that go from one node to another, by their places in the graph's nodes."""

    start: int
    end: int
    types: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """Which arrays go where in a program; every edge leads from an earlier node to a later one."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
