"""The memory of a compiled program: how much, when most, and which expressions it is for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from jaxmagic.pages import units
from jaxmagic.pages.blocks import Block, Chart, Program, Prose, Series, SourceLine, Text, strong, words
from jaxmagic.pages.kernels import Listing, Ranges
from jaxmagic.results import Buffer, Memory, Span

TITLE = "Memory"
# So many buffers are listed, the largest first, down to this share of the largest.
MOST, SMALL = 30, 0.001
# A picture of so many steps is a picture.
FEW_STEPS = 3
_SCALES = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "bytes"))


def blocks(memory: Memory | None, rows: Sequence[SourceLine], ranges: Ranges) -> tuple[Block, ...]:
    """What a compiled program holds, beside its source.

    Args:
        memory: what it holds; None where the backend does not say.
        rows: the source.
        ranges: where a span stands in the rows.
    """
    if memory is None:
        return (Prose(words=words("unknown: this backend does not say what a program holds")),)
    if memory.fullest is None:
        unsaid = Text(" · what the temporaries are for is unknown: this backend does not say", tone="muted")
        return (Prose(words=(*_said(memory), unsaid)),)
    return (Prose(words=_said(memory)), *_picture(memory), _listing(memory, rows, ranges))


def _said(memory: Memory) -> tuple[Text, ...]:
    parts = [f"{units.size(memory.arguments)} arguments", f"{units.size(memory.outputs)} outputs"]
    parts.append(f"{units.size(memory.temporaries)} temporaries")
    if memory.constants:
        parts.append(f"{units.size(memory.constants)} constants")
    less = f", {units.size(memory.aliased)} of the outputs in place of arguments" if memory.aliased else ""
    return words(strong(units.size(memory.peak)), f" held during a call: {units.listed(parts)}{less}")


# -- the picture -----------------------------------------------------------------------------------


def _picture(memory: Memory) -> Iterator[Chart]:
    """The bytes in use over the program's course."""
    if len(memory.course) < FEW_STEPS or memory.fullest is None:
        return
    most = max(memory.course)
    scale, unit = next(pair for pair in _SCALES if most >= pair[0] or pair[0] == 1.0)
    steps = len(memory.course)
    yield Chart(
        series=(
            Series(
                name="in use",
                x=tuple(float(step) for step in range(steps)),
                y=tuple(used / scale for used in memory.course),
            ),
        ),
        x="step of the compiled program (a loop's body once)",
        y=f"memory in use, {unit}",
        alt=f"Memory in use over the {steps} steps of the compiled program: most, {units.size(most)}, "
        f"at step {memory.fullest}.",
        mark_x=float(memory.fullest),
    )


# -- the buffers -----------------------------------------------------------------------------------


def _listing(memory: Memory, rows: Sequence[SourceLine], ranges: Ranges) -> Program:
    listing = Listing(rows, ranges)
    full = memory.fullest or 0
    used = memory.at(full)
    used_bytes = units.size(memory.course[full])
    listing.add(f"at the fullest, step {full} of {len(memory.course)}: {used_bytes} in use", ())
    _add(listing, used, ", kept for the backward pass")
    kept = _kept(memory)
    if kept:
        total = units.size(sum(buffer.bytes for buffer in kept))
        many = units.counted(len(kept), "temporary", "temporaries")
        listing.add("", ())
        listing.add(f"kept from the forward pass for the backward pass: {total} in {many}", ())
        _add(listing, kept, "")
    return listing.program(_source(rows, used, ranges), ("in use",), "memory")


def _kept(memory: Memory) -> tuple[Buffer, ...]:
    found = [buffer for buffer in memory.buffers if buffer.kept and buffer.kind == "temporary"]
    return tuple(sorted(found, key=lambda buffer: -buffer.bytes))


def _add(listing: Listing, found: Sequence[Buffer], kept: str) -> None:
    floor = SMALL * max((buffer.bytes for buffer in found), default=0)
    shown = [buffer for buffer in found if buffer.type and buffer.bytes >= floor][:MOST]
    sizes = [units.size(buffer.bytes) for buffer in shown]
    across = max(map(len, sizes), default=0)
    wide = max(map(len, (_name(buffer) for buffer in shown)), default=0)
    wide = max(wide, listing.width([_made(buffer) for buffer in shown]))
    for buffer, size in zip(shown, sizes, strict=True):
        end = f"  {buffer.type}  {buffer.kind}{_until(buffer, kept if buffer.kept else '')}"
        name = _name(buffer)
        listing.add(f"  {size:>{across}}  {name}", _made(buffer), end, wide - len(name))
    rest = [buffer for buffer in found if buffer not in shown]
    if rest:
        size = units.size(sum(buffer.bytes for buffer in rest))
        listing.add(f"  … and {units.counted(len(rest), 'smaller one')}, {size}", ())


def _name(buffer: Buffer) -> str:
    """The name of an input, or of an output before the expression that it comes from."""
    return f"{buffer.name} from " if buffer.name and _made(buffer) else buffer.name


def _made(buffer: Buffer) -> tuple[Span, ...]:
    """The expression that made a value of the program's own."""
    return (buffer.span,) if buffer.span is not None and buffer.kind != "argument" else ()


def _until(buffer: Buffer, why: str) -> str:
    if buffer.kind != "temporary" or buffer.last is None:
        return ""
    where = ", in the room of an output" if buffer.guest else ""
    return f" until line {buffer.last.line}{why}{where}"


def _source(rows: Sequence[SourceLine], used: Sequence[Buffer], ranges: Ranges) -> tuple[SourceLine, ...]:
    """The source with what each line holds at the fullest moment."""
    held: dict[int, int] = {}
    for buffer in used:
        for place in [part for span in _made(buffer) for part in ranges(span)[:1]]:
            held[place.row] = held.get(place.row, 0) + buffer.bytes
    most = max(held.values(), default=0)
    return tuple(
        replace(row, cells=(units.size(held[i]) if i in held else "",), share=_share(held.get(i), most))
        for i, row in enumerate(rows)
    )


def _share(part: int | None, most: int) -> float | None:
    return part / most if part and most else None
