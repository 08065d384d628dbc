"""What a trace says: the sentence, the conditions, and the program beside its source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from jaxmagic.pages import changes, costs, graph, hotlines, kernels, memory, units
from jaxmagic.pages.blocks import (
    Aside,
    Block,
    Page,
    Program,
    Prose,
    Range,
    SourceLine,
    Tab,
    Text,
    Tie,
    Words,
    spell,
    strong,
    words,
)
from jaxmagic.results import HERE, Graph, Lazy, Line, Memory, Note, Span, Stage, StageName, Trace, Value

# A page holds so much of a program; the whole text is in the result's `stage(…)`. A live view fetches
# rows as they come into sight, the other views have limits of their own.
MAX_ROWS = 50_000
MAX_COLUMNS = 500
# More inputs or outputs than this are told by their roots, then by their number.
MAX_VALUES = 6

TABS: dict[StageName, tuple[str, str]] = {
    "jaxpr": ("jaxpr", ""),
    "stablehlo": ("StableHLO", "what JAX hands to XLA"),
    "hlo": ("XLA", "compiles the program"),
}
GRAPH = "Graph"
# A longer program is compared with that of the last run when one looks at it.
FEW_EQUATIONS = 600


def page(trace: Trace) -> Page:
    """The page of a trace."""
    return Page(
        say=_say(trace),
        conditions=_conditions(trace),
        tabs=(
            *(_tab(trace, name) for name in TABS if name in trace.stages),
            *_held(trace),
            *_changed(trace),
            *_times(trace),
            *_costs(trace),
            *_pictures(trace),
        ),
        notes=(*_withheld(trace), *(_aside(note) for note in trace.notes)),
    )


def _withheld(trace: Trace) -> Iterator[Aside]:
    if trace.timing is not None and trace.timing.withheld:
        yield Aside(words=words(hotlines.why_not(trace.timing)))


# -- the sentence ----------------------------------------------------------------------------------


def _say(trace: Trace) -> Words:
    of = "gradient of " if trace.gradient else ""
    told = f": {_values(trace.inputs) or 'no array inputs'} → {_values(trace.outputs) or 'nothing'}"
    facts = [Text(units.counted(len(trace.equations), "equation")), *costs.said(trace)]
    facts += hotlines.said(trace)
    rest = (part for fact in facts for part in (Text(" · "), fact))
    return words(of, strong(trace.name), told, *rest)


def _values(values: Sequence[Value]) -> str:
    told = [_value(value) for value in values]
    if len(told) > MAX_VALUES:
        told = [_group(*group, members) for group, members in _by_root(values).items()]
    if len(told) > MAX_VALUES:
        return f"{units.counted(len(values), 'array')} ({units.size(_total(values))})"
    return ", ".join(told)


def _value(value: Value) -> str:
    return f"{value.name} {value.type}".strip()


def _by_root(values: Sequence[Value]) -> dict[tuple[str, str], list[Value]]:
    """The values by what they are part of, and what happened to them ("updated")."""
    groups: dict[tuple[str, str], list[Value]] = {}
    for value in values:
        name, _, what = value.name.partition(" (")
        root = name.split("[")[0].split(".")[0]
        groups.setdefault((root, what.rstrip(")")), []).append(value)
    return groups


def _group(root: str, what: str, members: Sequence[Value]) -> str:
    if len(members) == 1:
        return _value(members[0])
    counted = f"{units.counted(len(members), 'array')} {what}".strip()
    return f"{root} ({counted}, {units.size(_total(members))})".strip()


def _total(values: Sequence[Value]) -> int | None:
    sizes = [value.bytes for value in values]
    known = [size for size in sizes if size is not None]
    return sum(known) if len(known) == len(sizes) else None


def _conditions(trace: Trace) -> Words:
    parts = [f"traced in {units.seconds(trace.trace_seconds)} for {trace.device}"]
    parts.append(f"{units.size(_total(trace.inputs))} in, {units.size(_total(trace.outputs))} out")
    if trace.transcendentals:
        parts.append(f"{units.amount(trace.transcendentals)} transcendental operations")
    said = words(Text(changes.sentence(trace.changes), tone="accent"), " · ") if trace.changes else ()
    return words(*said, " · ".join(parts))


def _aside(note: Note) -> Aside:
    where = f"Line {note.span.line}: " if note.span else ""
    return Aside(words=words(where, *spell(note.text)))


# -- the tabs --------------------------------------------------------------------------------------


def _tab(trace: Trace, name: StageName) -> Tab:
    title, hint = TABS[name]
    stage = trace.stages[name]
    if name == "jaxpr" and trace.opening is not None and not stage.ready:
        beginning = trace.opening
        return Tab(title=title, blocks=Lazy(lambda: (_beginning(trace, beginning),)))
    blocks: Lazy[tuple[Block, ...]] = Lazy(lambda: _blocks(trace, stage.get()))
    return Tab(title=title, blocks=blocks, hint="" if stage.ready else hint)


def _beginning(trace: Trace, opening: Stage) -> Program:
    """How a long program begins; the rest is printed when one looks for it."""
    return replace(
        _program(trace, opening),
        whole="",
        rest=Lazy(lambda: _program(trace, trace.program("jaxpr"))),
        more=f"the rest of {units.counted(len(trace.equations), 'equation')} is in `.stage('jaxpr')`",
    )


def _changed(trace: Trace) -> Iterator[Tab]:
    """What is different from the last run of the cell; nothing where nothing is."""
    if trace.changes is not None and not trace.changes.same:
        hint = "compares the equations" if len(trace.equations) > FEW_EQUATIONS else ""
        yield Tab(title=changes.TITLE, blocks=Lazy(lambda: _difference(trace)), hint=hint)


def _difference(trace: Trace) -> tuple[Block, ...]:
    assert trace.changes is not None
    listing = _listing(trace)
    return changes.blocks(trace.changes, listing.rows, costs.columns(trace), listing.ranges)


def _pictures(trace: Trace) -> Iterator[Tab]:
    """The dataflow graph, drawn when it is looked at."""
    if trace.graph is not None:
        drawn = trace.graph
        hint = "" if drawn.ready else "draws the program as a graph (`--graph`)"
        yield Tab(title=GRAPH, blocks=Lazy(lambda: _picture(trace, drawn.get())), hint=hint)


def _costs(trace: Trace) -> Iterator[Tab]:
    """What each line costs and what bounds it, measured when it is looked at."""
    if trace.peaks is not None:
        hint = costs.HINT if trace.counted is None else costs.HINT_UNCOUNTED
        hint = "" if trace.peaks.ready else hint
        yield Tab(title=costs.TITLE, blocks=Lazy(lambda: costs.blocks(trace)), hint=hint)


def _times(trace: Trace) -> Iterator[Tab]:
    """Where the time goes, where it was asked for."""
    if trace.timing is not None:
        yield Tab(title=hotlines.TITLE, blocks=Lazy.of(hotlines.blocks(trace)))


def _picture(trace: Trace, drawn: Graph) -> tuple[Block, ...]:
    listing = _listing(trace)
    totals = (trace.flops, trace.bytes)
    return graph.blocks(drawn, totals, costs.columns(trace), listing.rows, listing.ranges)


def _blocks(trace: Trace, stage: Stage) -> tuple[Block, ...]:
    program = _program(trace, stage)
    prose = [Prose(words=words(Text(line, tone="muted"))) for line in _about(stage, program)]
    noted = tuple(_aside(note) for note in stage.notes)
    if stage.made is None:
        return (*prose, program, *noted)
    listing = _listing(trace)
    return (*prose, *kernels.blocks(stage.made, listing.rows, listing.ranges), *noted, program)


def _held(trace: Trace) -> Iterator[Tab]:
    """What the compiled program holds in memory."""
    stage = trace.stages.get("hlo")
    if stage is not None:
        listing = _listing(trace)
        made: Lazy[tuple[Block, ...]] = Lazy(
            lambda: memory.blocks(stage.get().memory, listing.rows, listing.ranges)
        )
        yield Tab(title=memory.TITLE, blocks=made, hint="" if stage.ready else TABS["hlo"][1])


def _about(stage: Stage, program: Program) -> Iterator[str]:
    if stage.memory is not None:
        yield f"compiled in {units.seconds(stage.seconds)} · {_memory(stage.memory)}"
    if program.cut:
        shown, cut = units.count(len(program.program)), units.count(program.cut)
        yield f"the first {shown} lines; {cut} more are in `.stage({stage.name!r})`"


def _memory(held: Memory) -> str:
    parts = [f"{units.size(held.arguments)} arguments", f"{units.size(held.outputs)} outputs"]
    parts.append(f"{units.size(held.temporaries)} temporaries")
    if held.peak is not None:
        parts.append(f"peak memory {units.size(held.peak)}")
    return " · ".join(parts)


@dataclass(frozen=True, slots=True)
class _Listing:
    """The source as rows, and the row of each line."""

    rows: tuple[SourceLine, ...]
    places: dict[tuple[str, int], int]

    def ranges(self, span: Span) -> tuple[Range, ...]:
        """Where a span stands in the listing: one range a row."""
        found = []
        for line in range(span.line, span.end_line + 1):
            row = self.places.get((span.file, line))
            if row is None:
                continue
            text = self.rows[row].text
            start = span.column if line == span.line else len(text) - len(text.lstrip())
            end = span.end_column if line == span.end_line else len(text.rstrip())
            found.append(Range(row, start, end))
        return tuple(found)


def _listing(trace: Trace) -> _Listing:
    lines = {(line.file, line.line): line for line in trace.lines}
    rows: list[SourceLine] = []
    places = {}
    for source in trace.sources:
        if len(trace.sources) > 1 or source.label not in HERE:
            rows.append(SourceLine(number=None, text=source.label, tone="muted"))
        for number, text in enumerate(source.lines, source.first_line):
            places[source.file, number] = len(rows)
            rows.append(_row(trace, lines.get((source.file, number)), number, text))
    return _Listing((*rows, *_elsewhere(trace)), places)


def _elsewhere(trace: Trace) -> Iterator[SourceLine]:
    """What no line of the listing accounts for: library code that was looked at by itself, say."""
    flops = _rest(trace.flops, [line.flops for line in trace.lines])
    moved = _rest(trace.bytes, [line.bytes for line in trace.lines])
    if _counts(flops, trace.flops) or _counts(moved, trace.bytes) or _counts(*_untimed(trace)):
        cells = costs.remainder(trace, flops, moved)
        yield SourceLine(number=None, text="elsewhere", cells=cells, tone="muted")


def _untimed(trace: Trace) -> tuple[float, float | None]:
    return hotlines.rest(trace), trace.timing.seconds if trace.timing else None


def _counts(part: float, total: float | None) -> bool:
    """Whether a part is worth a row of its own."""
    return bool(total) and part >= 0.005 * (total or 0.0)


def _rest(total: float | None, parts: Sequence[float | None]) -> float:
    """The part of a total that its parts leave over; branches that exclude each other exceed it."""
    if total is None or any(part is None for part in parts):
        return 0.0
    return max(0.0, total - sum(part or 0.0 for part in parts))


def _row(trace: Trace, line: Line | None, number: int, text: str) -> SourceLine:
    share = _share(trace, line) if line is not None else None
    return SourceLine(number=number, text=text, cells=costs.cells(trace, line), share=share)


def _share(trace: Trace, line: Line) -> float | None:
    if hotlines.known(trace) is not None:
        return hotlines.share(trace, line)
    if line.flops is None or not trace.flops or line.flops == line.bytes == 0:
        return None
    return min(1.0, line.flops / trace.flops)


def _program(trace: Trace, stage: Stage) -> Program:
    listing = _listing(trace)
    rows = stage.text.split("\n")
    shown = tuple(_short(row) for row in rows[:MAX_ROWS])
    return Program(
        columns=costs.columns(trace),
        source=listing.rows,
        program=shown,
        ties=tuple(_ties(stage, listing, len(shown))),
        language=stage.name,
        cut=len(rows) - len(shown),
        whole=stage.text,
    )


def _short(row: str) -> str:
    return row if len(row) <= MAX_COLUMNS else row[: MAX_COLUMNS - 1] + "…"


def _ties(stage: Stage, listing: _Listing, rows: int) -> Iterator[Tie]:
    by_span: dict[Span, list[Range]] = {}
    for link in stage.links:
        if link.row < rows:
            by_span.setdefault(link.span, []).append(Range(link.row, link.start, min(link.end, MAX_COLUMNS)))
    for span, ranges in by_span.items():
        source = listing.ranges(span)
        if source:
            yield Tie(source=source, program=tuple(ranges))
