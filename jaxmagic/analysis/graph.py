"""The dataflow graph of a program, folded so that it can be looked at: at most `MOST` nodes a level.

A level is one program, or a stretch of one. Only stretches without gaps are folded, so that what is
folded can never depend on itself. In this order: named scopes, repetitions (an unrolled loop), and,
where a level is still too long, source lines and then equal parts.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from jaxmagic.analysis import program, weights
from jaxmagic.analysis.costs import FREE, Cost
from jaxmagic.analysis.program import Step, Walked
from jaxmagic.analysis.repetition import repetitions
from jaxmagic.results import Edge, Graph, Lazy, Node, NodeKind, Phase, Span

MOST = 150
MOST_PINS = 30  # inputs of a level, and as many outputs
MOST_PARTS = MOST - 2 * MOST_PINS
MOST_SPANS = 12
FEWEST_TURNS = 3


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of a program's steps that stands as one node.

    Args:
        start, end: which steps; of a repetition, those of all turns.
        parts: what is inside when it is opened; of a repetition, one turn.
        turns: how many.
        like: equal for stretches that do the same.
        scope: how many named scopes are around its parts.
    """

    kind: NodeKind
    title: str
    start: int
    end: int
    like: Hashable
    parts: tuple[Stretch, ...] = ()
    turns: int = 1
    scope: int = 0


def graph(
    walked: Walked,
    jaxpr: Any,
    names: Sequence[str],
    texts: Sequence[str],
    by_span: Mapping[Span | None, Cost],
) -> Graph:
    """The dataflow graph of a walked program.

    Args:
        walked: its equations.
        jaxpr: the program.
        names: what its inputs are called.
        texts: each of the walked equations as it is printed.
        by_span: the cost of each of the user's expressions in one call.
    """
    maker = _Maker(walked, texts, weights.shared(walked.steps, by_span))
    top = program.opened(jaxpr)
    level = maker.level(maker.top(top), top, list(names))
    return level.graph(level.whole(), 1)


class _Maker:
    """What all levels of a graph have in common."""

    def __init__(self, walked: Walked, texts: Sequence[str], costs: Sequence[Cost]) -> None:
        self.users = walked.users
        self.steps: dict[Hashable, list[Step]] = {}
        self.told: dict[int, str] = {}
        self.own: dict[int, Cost] = {}
        self.programs = {id(one): one for one in walked.programs}
        for step, text, cost in zip(walked.steps, texts, costs, strict=True):
            self.steps.setdefault(step.program, []).append(step)
            self.told[id(step)], self.own[id(step)] = text, cost
        self._spent: dict[Hashable, tuple[int, Cost]] = {}

    def top(self, jaxpr: Any) -> Hashable:
        """The key under which the outermost program was walked."""
        return next((key for key in self.steps if _program_of(key) == id(jaxpr)), None)

    def level(self, key: Hashable, jaxpr: Any, names: Sequence[str]) -> _Level:
        """The steps of one program with what is known of its variables."""
        return _Level(self, self.steps.get(key, []), jaxpr, names)

    def inner(self, key: Hashable) -> Any:
        """A walked program by its key."""
        return self.programs[_program_of(key)]

    def of(self, step: Step) -> tuple[int, Cost]:
        """How many equations a step stands for, and what it costs, when its program runs once."""
        equations, cost = 1, self.own[id(step)]
        for key, times in step.inner:
            many, spent = self.once(key)
            equations += many
            cost = cost + spent.times(times)
        return equations, cost

    def once(self, key: Hashable) -> tuple[int, Cost]:
        """The same of a whole program."""
        if key not in self._spent:
            told = [self.of(step) for step in self.steps.get(key, [])]
            self._spent[key] = (sum(many for many, _ in told), _sum(cost for _, cost in told))
        return self._spent[key]


def _program_of(key: Hashable) -> int:
    assert isinstance(key, tuple)
    return int(key[0])


def _sum(costs: Iterable[Cost]) -> Cost:
    return functools.reduce(lambda a, b: a + b, costs, FREE)


@dataclass(slots=True)
class _Level:
    """One program: its steps, and where its variables come from and go to."""

    maker: _Maker
    steps: list[Step]
    jaxpr: Any
    names: Sequence[str]
    named: dict[Any, str] = field(init=False)
    last: dict[Any, int] = field(init=False)

    def __post_init__(self) -> None:
        inputs = zip(self.jaxpr.invars, self.names, strict=True)
        self.named = dict(inputs)
        self.last = {}
        for i, step in enumerate(self.steps):
            reads, makes = program.sources_and_sinks(step.equation)
            self.last.update(dict.fromkeys(reads, i))
            self.named.update(dict.fromkeys(makes, _title(step)))
        returned = [one for one in self.jaxpr.outvars if not hasattr(one, "val")]
        self.last.update(dict.fromkeys(returned, len(self.steps)))

    # -- folding -----------------------------------------------------------------------------------

    def whole(self) -> tuple[Stretch, ...]:
        """The whole program, folded."""
        return self.folded(0, len(self.steps), 0)

    def folded(self, start: int, end: int, scope: int) -> tuple[Stretch, ...]:
        """A stretch of the program as so few parts that they can be drawn."""
        parts = _repeated(self._scoped(start, end, scope))
        if len(parts) > MOST_PARTS:
            parts = self._by_line(parts)
        return _in_parts(parts) if len(parts) > MOST_PARTS else parts

    def _scoped(self, start: int, end: int, scope: int) -> tuple[Stretch, ...]:
        steps = range(start, end)
        runs = groupby(steps, key=lambda i: program.scopes(self.steps[i].equation)[scope : scope + 1])
        return tuple(part for name, run in runs for part in self._scope(name, list(run), scope))

    def _scope(self, name: tuple[str, ...], run: list[int], scope: int) -> Iterator[Stretch]:
        if not name or len(run) == 1:
            yield from map(self._single, run)
            return
        like = (name, tuple(_like(self.steps[i]) for i in run))
        yield Stretch("scope", name[0], run[0], run[-1] + 1, like, scope=scope + 1)

    def _single(self, i: int) -> Stretch:
        step = self.steps[i]
        return Stretch(_kind(step, self.maker.users), _title(step), i, i + 1, _like(step))

    def _by_line(self, parts: Sequence[Stretch]) -> tuple[Stretch, ...]:
        """Neighbours of one source line as one."""
        runs = groupby(parts, key=lambda part: _line(self.steps[part.start].span))
        return tuple(
            one for line, run in runs for one in _joined(f"line {line[1]}" if line else "", list(run))
        )

    # -- drawing -----------------------------------------------------------------------------------

    def graph(self, parts: Sequence[Stretch], times: int | None) -> Graph:
        """Parts as nodes, with what comes in from around them and what goes out."""
        wires = _Wires()
        pins = self._inputs(parts)
        for pin, variables in pins:
            wires.made(wires.add(pin), variables)
        for part in parts:
            here = wires.add(self._node(part, times))
            for i in range(part.start, part.end):
                reads, makes = program.sources_and_sinks(self.steps[i].equation)
                wires.read(here, reads)
                wires.made(here, makes)
        for pin, variables in self._outputs(parts):
            wires.read(wires.add(pin), variables)
        return wires.graph()

    def _inputs(self, parts: Sequence[Stretch]) -> list[tuple[Node, list[Any]]]:
        made: set[Any] = set()
        outside: dict[Any, None] = {}
        for i in (i for part in parts for i in range(part.start, part.end)):
            reads, makes = program.sources_and_sinks(self.steps[i].equation)
            outside.update(dict.fromkeys(one for one in reads if one not in made))
            made.update(makes)
        return _pins(list(outside), "input", lambda one: self.named.get(one, ""))

    def _outputs(self, parts: Sequence[Stretch]) -> list[tuple[Node, list[Any]]]:
        """What is used after these parts, or returned."""
        end = max((part.end for part in parts), default=0)
        steps = (self.steps[i] for part in parts for i in range(part.start, part.end))
        made = [one for step in steps for one in program.sources_and_sinks(step.equation)[1]]
        return _pins([one for one in made if self.last.get(one, -1) >= end], "output", lambda _: "out")

    def _node(self, part: Stretch, times: int | None) -> Node:
        steps = self.steps[part.start : part.end]
        told = [self.maker.of(step) for step in steps]
        cost = _sum(cost for _, cost in told).times(times)
        phases = {step.phase for step in steps[: 1 if part.turns > 1 else None]}
        single = steps[0] if part.end == part.start + 1 else None
        return Node(
            kind=part.kind,
            title=part.title,
            text=self.maker.told[id(single)] if single else "",
            type=self._types(part),
            spans=_spans(steps),
            equations=sum(many for many, _ in told),
            turns=_turns(single) if single else part.turns,
            flops=cost.flops,
            bytes=cost.bytes,
            phase=_only(phases),
            inside=self._inside(part, single, times),
        )

    def _types(self, part: Stretch) -> str:
        makes = [
            one
            for i in range(part.start, part.end)
            for one in program.sources_and_sinks(self.steps[i].equation)[1]
            if self.last.get(one, -1) >= part.end
        ]
        return _typed([program.type_of(one.aval) for one in makes])

    def _inside(self, part: Stretch, single: Step | None, times: int | None) -> Lazy[Graph] | None:
        if single is not None:
            return Lazy(lambda: self._programs(single, times)) if single.inner else None
        turns = program.product(times, part.turns)
        if part.parts:
            return Lazy(lambda: self.graph(_refolded(part.parts), turns))
        return Lazy(lambda: self.graph(self.folded(part.start, part.end, part.scope), turns))

    def _programs(self, step: Step, times: int | None) -> Graph:
        """The program inside an equation; a node for each where there are several."""
        graphs = [self._program(step, key, program.product(times, turns)) for key, turns in step.inner]
        if len(graphs) == 1:
            return graphs[0].get()
        titles = _parts_of(step)
        nodes = []
        for (key, turns), title, inside in zip(step.inner, titles, graphs, strict=True):
            many, spent = self.maker.once(key)
            cost = spent.times(program.product(times, turns))
            nodes.append(Node(kind="part", title=title, spans=_spans(self.maker.steps.get(key, ())),
                              equations=many, flops=cost.flops, bytes=cost.bytes, inside=inside))  # fmt: skip
        return Graph(nodes=_few(nodes), edges=())

    def _program(self, step: Step, key: Hashable, times: int | None) -> Lazy[Graph]:
        jaxpr = self.maker.inner(key)
        given = step.equation.invars[-len(jaxpr.invars) :] if jaxpr.invars else []
        same = len(given) == len(jaxpr.invars)
        names = [self.named.get(one, "") if not hasattr(one, "val") else "" for one in given]

        def make() -> Graph:
            level = self.maker.level(key, jaxpr, names if same else [""] * len(jaxpr.invars))
            return level.graph(level.whole(), times)

        return Lazy(make)


class _Wires:
    """Nodes, and edges between those that make a variable and those that read it."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.maker: dict[Any, int] = {}
        self.edges: dict[tuple[int, int], dict[Any, None]] = {}

    def add(self, node: Node) -> int:
        self.nodes.append(node)
        return len(self.nodes) - 1

    def made(self, here: int, variables: Iterable[Any]) -> None:
        self.maker.update(dict.fromkeys(variables, here))

    def read(self, here: int, variables: Iterable[Any]) -> None:
        for one in variables:
            start = self.maker.get(one, here)
            if start != here:
                self.edges.setdefault((start, here), {})[one] = None

    def graph(self) -> Graph:
        edges = (
            Edge(start=start, end=end, types=tuple(program.type_of(one.aval) for one in variables))
            for (start, end), variables in self.edges.items()
        )
        return Graph(nodes=tuple(self.nodes), edges=tuple(edges))


# -- folding -----------------------------------------------------------------------------------------


def _repeated(parts: Sequence[Stretch]) -> tuple[Stretch, ...]:
    """What is repeated, loops in loops included, as one each."""
    while True:
        runs = repetitions([part.like for part in parts], FEWEST_TURNS)
        if not runs:
            return tuple(parts)
        folded: list[Stretch] = []
        at = 0
        for start, period, turns in runs:
            folded += parts[at:start]
            at = start + period * turns
            folded.append(_repetition(parts[start:at], period, turns))
        parts = [*folded, *parts[at:]]


def _repetition(parts: Sequence[Stretch], period: int, turns: int) -> Stretch:
    turn = tuple(parts[:period])
    title = turn[0].title if period == 1 else f"{turn[0].title} … {turn[-1].title}"
    like = (turns, tuple(part.like for part in turn))
    return Stretch("repeat", title, parts[0].start, parts[-1].end, like, turn, turns)


def _joined(title: str, run: Sequence[Stretch]) -> tuple[Stretch, ...]:
    if len(run) == 1 or not title:
        return tuple(run)
    return (Stretch("part", title, run[0].start, run[-1].end, tuple(one.like for one in run), tuple(run)),)


def _in_parts(parts: Sequence[Stretch]) -> tuple[Stretch, ...]:
    """So many neighbours in each part that there are no more than can be drawn."""
    size = -(-len(parts) // MOST_PARTS)
    cut = [parts[i : i + size] for i in range(0, len(parts), size)]
    return tuple(one for run in cut for one in _joined(f"{run[0].title} … {run[-1].title}", run))


def _refolded(parts: tuple[Stretch, ...]) -> tuple[Stretch, ...]:
    """The parts of a part, folded again: a turn can hold a loop of its own."""
    folded = _repeated(parts)
    return _in_parts(folded) if len(folded) > MOST_PARTS else folded


def _like(step: Step) -> Hashable:
    equation = step.equation
    types = tuple(program.type_of(one.aval) for one in equation.outvars)
    return (equation.primitive.name, step.span, types, step.phase, tuple(key for key, _ in step.inner))


def _line(span: Span | None) -> tuple[str, int] | None:
    return (span.file, span.line) if span else None


def _few(nodes: list[Node]) -> tuple[Node, ...]:
    """The branches of a switch, those beyond what can be drawn as one without its inside."""
    if len(nodes) <= MOST:
        return tuple(nodes)
    kept, rest = nodes[: MOST - 1], nodes[MOST - 1 :]
    equations = sum(node.equations for node in rest)
    more = Node(kind="part", title=f"{len(rest)} more", equations=equations, flops=None, bytes=None)
    return (*kept, more)


# -- words -------------------------------------------------------------------------------------------

_JITS = ("jit", "pjit", "closed_call", "core_call", "custom_jvp_call", "custom_vjp_call")
_LOOPS = ("scan", "while")


def _title(step: Step) -> str:
    name = str(step.equation.primitive.name)
    called = step.equation.params.get("name")
    return str(called) if called and name in _JITS else name


def _kind(step: Step, users: frozenset[str]) -> NodeKind:
    name = step.equation.primitive.name
    if not step.inner:
        return "equation"
    if name in _LOOPS:
        return "loop"
    if len(step.inner) > 1:
        return "branches"
    called = str(step.equation.params.get("name", ""))
    return "library" if name in ("jit", "pjit") and called not in users else "function"


def _turns(step: Step) -> int | None:
    return step.inner[0][1] if step.inner else 1


def _parts_of(step: Step) -> list[str]:
    if step.equation.primitive.name == "while":
        return ["condition", "body"]
    return [f"branch {i}" for i in range(len(step.inner))]


def _typed(types: Sequence[str]) -> str:
    return types[0] if len(types) == 1 else f"{len(types)} arrays" if types else ""


def _only(phases: set[Phase]) -> Phase | None:
    return phases.pop() if len(phases) == 1 else None


def _spans(steps: Iterable[Step]) -> tuple[Span, ...]:
    """The expressions of some steps, the first so many of them."""
    found: dict[Span, None] = {}
    for step in steps:
        if step.span is not None and len(found) < MOST_SPANS:
            found[step.span] = None
    return tuple(found)


# -- pins --------------------------------------------------------------------------------------------


def _pins(variables: list[Any], kind: NodeKind, name: Callable[[Any], str]) -> list[tuple[Node, list[Any]]]:
    """A node for each variable; where they are many, for those of one root, else for all."""
    groups = [(name(one), [one]) for one in variables]
    if len(groups) > MOST_PINS:
        groups = _grouped(variables, lambda one: name(one).split("[")[0].split(".")[0])
    if len(groups) > MOST_PINS:
        groups = [(f"{kind}s", variables)]
    return [(_pin(kind, title, found), found) for title, found in groups]


def _grouped(variables: list[Any], root: Callable[[Any], str]) -> list[tuple[str, list[Any]]]:
    groups: dict[str, list[Any]] = {}
    for one in variables:
        groups.setdefault(root(one), []).append(one)
    return list(groups.items())


def _pin(kind: NodeKind, title: str, variables: list[Any]) -> Node:
    types = [program.type_of(one.aval) for one in variables]
    return Node(kind=kind, title=title or ("in" if kind == "input" else "out"), type=_typed(types))
