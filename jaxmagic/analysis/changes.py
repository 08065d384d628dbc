"""What changed between two runs of a cell: figures, and the equations as a diff.

Two programs are compared by what their equations do and by how these hang together, not by the letters
that JAX gives to variables: one equation more would rename all that follow.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from jaxmagic.analysis import stages
from jaxmagic.results import Change, Changes, Equation, Figure, Lazy, Span, Trace

# From here on the search may overlook that often repeated equations match.
LONG = 600


@dataclass(frozen=True, slots=True)
class Edition:
    """What is kept of a run: plain text and figures, nothing that holds an array.

    Args:
        figures: by what they are called.
        mark: equal for equal programs, but for the elements of captured arrays.
        captured: equal for equal captured arrays.
        given: the variables of what goes in, constants included.
        equations: each as it is printed, with its line; None of a program that is too long to be printed
            before one looks at it.
    """

    figures: tuple[tuple[str, float | None], ...]
    mark: bytes
    captured: bytes
    given: tuple[str, ...]
    equations: tuple[tuple[str, int | None], ...] | None


def edition(trace: Trace) -> Edition:
    """What to keep of a run."""
    kept = None
    if len(trace.equations) <= stages.AT_ONCE:
        kept = tuple((one.text, one.span.line if one.span else None) for one in trace.equations)
    return Edition(
        figures=tuple(_figures(trace)),
        mark=_mark(trace, kept),
        captured=trace.captured.get() if trace.captured is not None else b"",
        given=_given(trace),
        equations=kept,
    )


def against(before: Edition, trace: Trace) -> Changes:
    """What is different now."""
    now = edition(trace)
    then = dict(before.figures)
    figures = tuple(Figure(name=name, before=then.get(name), now=value) for name, value in now.figures)
    old = before.equations
    inputs = dict(zip(before.given, now.given, strict=False))
    known = old is not None and now.equations is not None
    diff = Lazy(lambda: _changes(old or (), trace.equations, inputs)) if known else None
    alike = before.mark == now.mark
    other = before.captured != now.captured
    return Changes(same=alike and not other, captured=alike and other, figures=figures, diff=diff)


def _figures(trace: Trace) -> Iterator[tuple[str, float | None]]:
    yield "equations", len(trace.equations)
    yield "flop", trace.flops
    yield "bytes", trace.bytes
    yield "transcendentals", trace.transcendentals
    hlo = trace.stages.get("hlo")
    memory = hlo.get().memory if hlo is not None and hlo.ready else None
    yield "peak", memory.peak if memory else None
    times = [line.seconds for line in trace.lines if line.seconds is not None]
    yield "seconds", sum(times) if times else None


def _mark(trace: Trace, kept: object) -> bytes:
    """Of the equations as they are printed, with the types of what goes in and comes out."""
    told = [f"{value.name}:{value.type}" for value in (*trace.inputs, *trace.outputs)]
    if kept is None and trace.printed is not None:
        told.append(trace.printed.get().hex())
    else:
        told += [equation.text for equation in trace.equations]
    return hashlib.blake2b("\n".join(told).encode("utf-8", "replace"), digest_size=16).digest()


_HEADER = re.compile(r"\{ lambda (.*?)\. let", re.DOTALL)


def _given(trace: Trace) -> tuple[str, ...]:
    ready = trace.stages["jaxpr"].ready
    header = _HEADER.search(trace.stage("jaxpr")) if ready else None
    return tuple(match[1] for match in _BINDER.finditer(f"{header[1]} ")) if header else ()


# -- equations by what they do ---------------------------------------------------------------------

_BINDER = re.compile(r"([a-z]+|_)(:[^\s=]+)(?= )")
_OPERAND = re.compile(r"(?<![\w.\"'])([a-z]+)(?![\w.:=\"'])")


@dataclass(frozen=True, slots=True)
class _Read:
    """An equation in parts.

    Args:
        key: what it does, variables left out.
        makes, reads: its variables, in order.
    """

    text: str
    key: str
    makes: tuple[str, ...]
    reads: tuple[str, ...]


def _read(text: str) -> _Read:
    left, equals, right = text.partition(" = ")
    if not equals:
        left, right = "", text
    operation, operands = _operands(right)
    makes = tuple(match[1] for match in _BINDER.finditer(f"{left} "))
    key = _BINDER.sub(r"·\2", f"{left} ") + operation + _OPERAND.sub("·", operands)
    return _Read(text, key, makes, tuple(_OPERAND.findall(operands)))


def _operands(right: str) -> tuple[str, str]:
    """The operation with its parameters, and what it is applied to: what follows the closing bracket."""
    opened = right.find("[")
    blank = right.find(" ")
    if opened < 0 or 0 <= blank < opened:
        operation, _, operands = right.partition(" ")
        return operation, f" {operands}"
    depth = 0
    for i in range(opened, len(right)):
        depth += (right[i] == "[") - (right[i] == "]")
        if not depth:
            return right[: i + 1], right[i + 1 :]
    return right, ""


# -- the diff --------------------------------------------------------------------------------------


def _changes(
    before: Sequence[tuple[str, int | None]], now: Sequence[Equation], inputs: Mapping[str, str]
) -> tuple[Change, ...]:
    old = [_read(text) for text, _ in before]
    new = [_read(equation.text) for equation in now]
    found: list[Change] = []
    names = dict(inputs)
    for tag, a, b, c, d in _opcodes([one.key for one in old], [one.key for one in new]):
        pairs = zip(range(a, b), range(c, d), strict=True) if tag == "equal" else ()
        for i, j in pairs:
            found += _pair(old[i], new[j], before[i][1], now[j].span, names)
        if tag != "equal":
            found += [_gone(old[i], before[i][1]) for i in range(a, b)]
            found += [_come("+", new[j], now[j].span) for j in range(c, d)]
    return tuple(found)


def _opcodes(old: Sequence[str], new: Sequence[str]) -> Sequence[tuple[str, int, int, int, int]]:
    return SequenceMatcher(None, old, new, autojunk=max(len(old), len(new)) > LONG).get_opcodes()


def _pair(
    old: _Read, new: _Read, line: int | None, span: Span | None, names: dict[str, str]
) -> Iterator[Change]:
    """Two equations that do the same: unchanged where they do it to the same variables.

    The inputs of inner programs are met here first: they stand for each other from then on.
    """
    same = all(names.setdefault(a, b) == b for a, b in zip(old.reads, new.reads, strict=True))
    names.update(zip(old.makes, new.makes, strict=False))
    if same:
        yield _come(" ", new, span)
    else:
        yield from (_gone(old, line), _come("+", new, span))


def _gone(one: _Read, line: int | None) -> Change:
    return Change(sign="-", text=one.text, line=line)


def _come(sign: str, one: _Read, span: Span | None) -> Change:
    return Change(
        sign="+" if sign == "+" else " ", text=one.text, line=span.line if span else None, span=span
    )
