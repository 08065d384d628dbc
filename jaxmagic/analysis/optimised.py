"""What XLA did with a program: its kernels, what became of the rest, its memory, and what would surprise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from jaxmagic.analysis import buffers, compiled, fates, kernels, memory, program, sources, texts, values
from jaxmagic.analysis.compiled import Compiled, Unit
from jaxmagic.analysis.memory import Origins
from jaxmagic.analysis.notes import told_bytes
from jaxmagic.analysis.program import Walked
from jaxmagic.results import Made, Memory, Note

# Below these a copy, or a temporary, is not worth a word: in bytes, and as a multiple of all that goes
# in and comes out.
SMALL_COPY, SMALL_TEMPORARY, OUTSIZED = 4096, 1_000_000, 4
# So many temporaries are spoken of, the largest first.
MANY = 4
# What XLA writes may change from one version to the next: then less is told, and nothing wrong.
UNREADABLE = (LookupError, ValueError, TypeError, AttributeError)


class Told(NamedTuple):
    """What a compiled program tells beside its text."""

    memory: Memory | None
    made: Made | None
    notes: tuple[Note, ...]


def tell(
    done: Any, walked: Walked, jaxpr: Any, known: texts.Ends, inputs: Sequence[str], outputs: Sequence[str]
) -> Told:
    """What a compiled program tells beside its text.

    Args:
        done: JAX's compiled program.
        walked: the equations it was made from.
        jaxpr: the program they stand in.
        known: where expressions end.
        inputs: the names of the inputs, in order.
        outputs: the names of the outputs, in order.
    """
    held = program.memory(done)
    try:
        text = program.print_compiled(done)
        read = compiled.read(text, lambda module: texts.frames_from(module, known))
        equal = values.values(walked, jaxpr)
        made = Made(kernels=kernels.kernels(read), fates=fates.fates(read, walked.steps, equal))
    except UNREADABLE:
        return Told(held, None, ())
    held = _filled(held, done, read, inputs, outputs)
    return Told(held, made, (*_copies(read), *(_outsized(held) if held else ())))


def _filled(
    held: Memory | None, done: Any, read: Compiled, inputs: Sequence[str], outputs: Sequence[str]
) -> Memory | None:
    """The memory with what it is used for, where XLA says so."""
    assigned = program.assignment(done)
    if held is None or assigned is None:
        return held
    try:
        return memory.fill(held, read, buffers.read(*assigned), inputs, outputs)
    except UNREADABLE:
        return held


# -- what would surprise ---------------------------------------------------------------------------


def _copies(read: Compiled) -> Iterator[Note]:
    """Copies that loops make on every turn, the largest of each expression."""
    origins = Origins(read)
    found: dict[Any, tuple[int, Unit]] = {}
    for unit in read.units():
        size = unit.instruction.type.bytes
        if unit.loops and kernels.is_copy(unit) and size >= SMALL_COPY:
            span = kernels.copied(read, unit, origins.of)
            found[span] = max(found.get(span, (0, unit)), (size, unit), key=lambda pair: pair[0])
    for span, (size, unit) in found.items():
        what = f"`{sources.expression(span)}`" if span else f"`{unit.instruction.name}`"
        verb = "is laid out anew" if _relaid(read, unit) else "is copied"
        many = f" ({unit.turns:,} times a call)" if unit.turns else ""
        yield Note(
            kind="copy in a loop",
            text=f"{what} {verb} on every turn of a loop{many}: {told_bytes(size)} each time.",
            span=span,
        )


def _relaid(read: Compiled, unit: Unit) -> bool:
    """Whether a copy changes the order of the axes in memory."""
    one = unit.instruction
    source = read.module.computations[unit.computation].get(one.operands[0]) if one.operands else None
    return source is not None and source.type.layout != one.type.layout


def _outsized(held: Memory) -> Iterator[Note]:
    """Temporaries that dwarf the inputs and outputs, one of each expression."""
    floor = max(SMALL_TEMPORARY, OUTSIZED * (held.arguments + held.outputs))
    found = {
        (buffer.span, buffer.type): buffer
        for buffer in held.buffers
        if buffer.kind == "temporary" and buffer.bytes >= floor and buffer.span is not None
    }
    for buffer in sorted(found.values(), key=lambda buffer: -buffer.bytes)[:MANY]:
        times = buffer.bytes / max(held.arguments + held.outputs, 1)
        yield Note(
            kind="large temporary",
            text=f"The program makes a temporary `{buffer.type}` here ({told_bytes(buffer.bytes)}), "
            f"{times:,.0f} times the size of all inputs and outputs.",
            span=buffer.span,
        )
