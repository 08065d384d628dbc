"""Programs as text, each stretch linked to the user's expression that it came from."""

from __future__ import annotations

import functools
import itertools
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from jaxmagic.analysis import hlo, sources
from jaxmagic.analysis.program import Segment, Step, is_ours, is_users
from jaxmagic.results import Link, Span

# A library function that more lines than this have in common is linked to the first of them.
MANY_CALLERS = 8


# -- jaxpr -----------------------------------------------------------------------------------------


def link_jaxpr(segments: Sequence[Segment], steps: Sequence[Step]) -> tuple[Link, ...]:
    """Links of a printed jaxpr.

    A library function's program can be shared by several lines of the user's; then the line of the
    equation around it, in the text, decides, and where none is around it, it belongs to all of them.
    """
    wanted = {id(segment.traceback) for segment in segments}
    spans: dict[int, dict[Span, None]] = {}
    for step in steps:
        key = id(step.equation.source_info.traceback)
        if key in wanted and step.span is not None:
            spans.setdefault(key, {})[step.span] = None
    open_: list[tuple[int, Span]] = []
    links: list[Link] = []
    for segment in segments:
        candidates = spans.get(id(segment.traceback))
        if not candidates:
            continue
        while open_ and open_[-1][0] >= segment.start:
            open_.pop()
        around = open_[-1][1] if open_ else None
        meant = [around] if around in candidates else list(candidates)[:MANY_CALLERS]
        open_.append((segment.start, meant[0]))
        links += [Link(row=segment.row, start=segment.start, end=segment.end, span=span) for span in meant]
    return tuple(links)


def equation_texts(text: str, segments: Sequence[Segment], steps: Sequence[Step]) -> list[str]:
    """Each equation as it is printed, on one line, inner programs cut."""
    printed = _printed(text.split("\n"), segments)
    told: dict[int, str] = {}
    texts = []
    for step in steps:
        key = id(step.equation)
        if key not in told:
            names = (id(step.equation.source_info.traceback), step.equation.primitive.name)
            waiting = printed.get(names) or deque([_bare(step)])
            told[key] = waiting.popleft() if len(waiting) > 1 else waiting[0]
        texts.append(told[key])
    return texts


_BINDS = re.compile(r"(?:[\w*]+:[^={]+ )= ([\w\-]+)|([\w\-]+)")
_INNER = re.compile(r"\{ lambda .*")


@dataclass(slots=True)
class _Printed:
    column: int
    traceback: int
    parts: list[str]

    def goes_on(self, column: int, piece: str) -> bool:
        """Whether a line is a parameter of this equation, or closes their list."""
        return column == self.column + 2 or (column == self.column and piece.startswith("]"))


def _printed(rows: Sequence[str], segments: Sequence[Segment]) -> dict[tuple[int, str], deque[str]]:
    """Equations of the text by traceback and primitive, in the order in which they start."""
    found: list[_Printed] = []
    open_: list[_Printed] = []
    for segment in segments:
        piece = rows[segment.row][segment.start : segment.end]
        while open_ and open_[-1].column > segment.start:
            open_.pop()
        binds = _BINDS.match(piece)
        if open_ and not (binds and binds[1]) and open_[-1].goes_on(segment.start, piece):
            open_[-1].parts.append(_INNER.sub("{…}", piece))
        else:
            open_.append(_Printed(segment.start, id(segment.traceback), [_INNER.sub("{…}", piece)]))
            found.append(open_[-1])
    by_key: dict[tuple[int, str], deque[str]] = {}
    for equation in found:
        text = " ".join(equation.parts)
        name = _BINDS.match(text)
        by_key.setdefault((equation.traceback, (name[1] or name[2]) if name else ""), deque()).append(text)
    return by_key


def _bare(step: Step) -> str:
    return str(step.equation.primitive.name)


# -- StableHLO -------------------------------------------------------------------------------------

_LOCATION = re.compile(r"^#loc(\d*) = loc\((.*)\)$", re.MULTILINE)
_USE = re.compile(r" loc\((?:#loc(\d*)|\"[^\"]*\"|unknown)\)")
_FILE = re.compile(r'^"((?:[^"\\]|\\.)*)":(\d+):(\d+)(?: to (\d*):(\d+))?$')
_CALLSITE = re.compile(r"^callsite\(#loc(\d*) at #loc(\d*)\)$")
_NAMED = re.compile(r'^"(?:[^"\\]|\\.)*"\(#loc(\d*)\)$')


class _Locations:
    """The table of locations below a StableHLO text."""

    def __init__(self, text: str) -> None:
        self._table = {match[1]: match[2] for match in _LOCATION.finditer(text)}
        self._frames: dict[str, tuple[Span, ...]] = {}

    def span(self, key: str) -> Span | None:
        return innermost(self.frames(key))

    def frames(self, key: str) -> tuple[Span, ...]:
        """From the innermost frame outwards."""
        if key not in self._frames:
            self._frames[key] = ()  # what refers to itself ends here
            self._frames[key] = self._read(self._table.get(key, ""))
        return self._frames[key]

    def _read(self, text: str) -> tuple[Span, ...]:
        named = _NAMED.match(text)
        if named:
            return self.frames(named[1])
        callsite = _CALLSITE.match(text)
        if callsite:
            return self.frames(callsite[1]) + self.frames(callsite[2])
        place = _FILE.match(text)
        if not place:
            return ()
        line, column = int(place[2]), int(place[3])
        end_line, end_column = int(place[4] or line), int(place[5] or column)
        return (sources.span(place[1], (line, column, end_line, end_column)),)


def innermost(frames: Iterable[Span]) -> Span | None:
    """The user's expression among frames from the innermost outwards, up to jaxmagic's own."""
    within = itertools.takewhile(lambda frame: not is_ours(frame.file), frames)
    known = list(within)
    return next((frame for frame in known if is_users(frame.file)), known[0] if known else None)


def link_stablehlo(text: str, users: frozenset[str] = frozenset()) -> tuple[str, tuple[Link, ...]]:
    """The text without its locations, and the links that they make.

    The functions of libraries, all but `users`, carry the place of their first call; their lines are
    linked to all of their calls instead.
    """
    span_of = functools.cache(_Locations(text).span)
    rows: list[str] = []
    found: list[tuple[str, Span | None]] = []  # of each row, the function it is in, and its place
    inside = ""
    for row in text[: _table_start(text)].rstrip().split("\n"):
        if row.startswith("#loc"):
            continue
        clean, *uses = _USE.split(row)
        header = _FUNCTION.match(row) if "func.func" in row else None
        inside = header[1] if header else inside
        rows.append(clean + "".join(uses[1::2]))
        found.append((inside, span_of(uses[-2] or "") if uses and not header else None))
    callers = _callers(rows, found, users)
    return "\n".join(rows), tuple(
        Link(row=i, start=len(row) - len(row.lstrip()), end=len(row), span=span)
        for i, (row, (inside, own)) in enumerate(zip(rows, found, strict=True))
        for span in _meant(row, own, callers.get(inside))
    )


def _meant(row: str, own: Span | None, callers: list[Span] | None) -> list[Span]:
    """The places of a row: its own, or the calls of the library function that it is in."""
    if callers is not None:
        return callers if " = " in row else []
    return [own] if own is not None else []


_FUNCTION = re.compile(r" *func\.func (?:public |private )?@([^\s(]+)\(")
_CALL = re.compile(r"call @([^\s(]+)\(")


def _callers(
    rows: Sequence[str], found: Sequence[tuple[str, Span | None]], users: frozenset[str]
) -> dict[str, list[Span]]:
    """The places from which each library function is called, through other such functions too."""
    direct: dict[str, dict[Span | str, None]] = {}
    for row, (inside, span) in zip(rows, found, strict=True):
        call = _CALL.search(row) if "call @" in row else None
        if call and not _is_users(call[1], users):
            through = inside if inside != "main" and not _is_users(inside, users) else span
            direct.setdefault(call[1], {})[through or inside] = None

    def places(name: str, seen: frozenset[str]) -> Iterator[Span]:
        for caller in direct.get(name, {}):
            if isinstance(caller, Span):
                yield caller
            elif caller not in seen:
                yield from places(caller, seen | {caller})

    return {name: list(dict.fromkeys(itertools.islice(places(name, frozenset()), MANY_CALLERS)))
            for name in direct}  # fmt: skip


def _is_users(function: str, users: frozenset[str]) -> bool:
    """Whether a function is the user's; equal names are numbered, and a loop's body has none of its own."""
    stem = re.sub(r"_\d+$", "", function)
    return function in users or stem in users or stem in ("closed_call", "None", "checkpoint", "remat")


def _table_start(text: str) -> int:
    found = text.rfind("\n}\n")
    return found + 2 if found >= 0 else len(text)


# -- HLO -------------------------------------------------------------------------------------------

_METADATA = re.compile(r", metadata=\{(?:[^}\"]|\"(?:[^\"\\]|\\.)*\")*\}")
_TABLES = re.compile(r"\n(?:FileNames|FunctionNames|FileLocations|StackFrames)\n(?:\d+ .*\n)*")


Ends = Mapping[tuple[str, int, int, str], Span]


def ends(steps: Sequence[Step]) -> dict[tuple[str, int, int, str], Span]:
    """Where an expression ends, by its start and primitive, where only one is there.

    XLA keeps one end per start: to it, `x * y` and `x * y + z` are the same place.
    """
    spans: dict[tuple[str, int, int, str], Span | None] = {}
    for step in steps:
        if step.span is not None:
            key = (step.span.file, step.span.line, step.span.column, step.equation.primitive.name)
            spans[key] = step.span if spans.get(key, step.span) == step.span else None
    return {key: span for key, span in spans.items() if span is not None}


def frames_from(module: hlo.Module, known: Ends) -> Callable[[int, str], Span | None]:
    """From the id of a stack frame and the name of an operation to the user's expression."""
    chain = _chains(module)

    @functools.cache
    def place(key: int) -> Span | None:
        return innermost(chain(key))

    @functools.cache
    def span_of(key: int, operation: str) -> Span | None:
        span = place(key)
        primitive = operation.rpartition("/")[2]
        return known.get((span.file, span.line, span.column, primitive), span) if span else None

    return span_of


def callers_from(module: hlo.Module) -> Callable[[int], tuple[tuple[str, int], ...]]:
    """From the id of a stack frame to the user's lines that led there, innermost first: file and number."""
    chain = _chains(module)

    @functools.cache
    def lines(key: int) -> tuple[tuple[str, int], ...]:
        within = itertools.takewhile(lambda frame: not is_ours(frame.file), chain(key))
        return tuple((frame.file, frame.line) for frame in within)

    return lines


def _chains(module: hlo.Module) -> Callable[[int], Iterator[Span]]:
    """From the id of a stack frame to the expressions that led there, innermost first."""
    spans: dict[int, Span] = {}

    def chain(key: int) -> Iterator[Span]:
        while key in module.frames:
            frame = module.frames[key]
            if key not in spans:
                place = (frame.line, frame.column, frame.end_line, frame.end_column)
                spans[key] = sources.span(frame.file, place, frame.function)
            yield spans[key]
            key = frame.parent

    return chain


def link_hlo(text: str, known: Ends) -> tuple[str, tuple[Link, ...]]:
    """Optimised HLO without its tables and metadata, and the links that they make."""
    span_of = frames_from(hlo.read(text), known)
    rows: list[str] = []
    links: list[Link] = []
    for row in _TABLES.sub("", text).split("\n"):
        frame, operation = hlo.FRAME.search(row), hlo.OP_NAME.search(row)
        clean = _METADATA.sub("", row)
        span = span_of(int(frame[1]), operation[1] if operation else "") if frame else None
        if span is not None:
            start = len(clean) - len(clean.lstrip())
            links.append(Link(row=len(rows), start=start, end=len(clean), span=span))
        rows.append(clean)
    return "\n".join(rows).strip("\n"), tuple(links)
