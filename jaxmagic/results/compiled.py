"""What XLA made of a program: kernels, buffers, what became of expressions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jaxmagic.results.common import Phase, Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Buffer:
    """A stretch of memory that a compiled program uses, for one value after the other.

    Args:
        kind: what it is for.
        type: the type of the value, as JAX prints it; "" where it has none of its own.
        bytes: its size.
        name: the input's or output's name, "" for the others.
        span: the user's expression that made the value; None where XLA does not say.
        last: the expression that reads it last.
        begin, end: the steps of the program that make it and need it last, both included.
        kept: whether the forward pass made it and the backward pass reads it; None where the
            program has no two passes.
        guest: whether it is a temporary in the room of an output, and so takes none of its own.
    """

    kind: Literal["argument", "output", "constant", "temporary"]
    type: str
    bytes: int
    name: str = ""
    span: Span | None = None
    last: Span | None = None
    begin: int = 0
    end: int = 0
    kept: bool | None = None
    guest: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What a compiled program holds, in bytes.

    Args:
        arguments, outputs, temporaries: what XLA sets aside for each before the program runs.
        peak: all that is held while it runs: XLA sets aside the sum of them at once.
        aliased: the part of the outputs that takes the place of arguments (donated buffers).
        constants: what the program itself holds; None where XLA does not say.
        buffers: what the memory is used for; empty where XLA does not say.
        course: the bytes in use at each step of the program, a loop's body once.
    """

    arguments: int
    outputs: int
    temporaries: int
    peak: int | None = None
    aliased: int = 0
    constants: int | None = None
    buffers: tuple[Buffer, ...] = ()
    course: tuple[int, ...] = ()

    @property
    def fullest(self) -> int | None:
        """The first step at which most is in use; None where that is not known."""
        return self.course.index(max(self.course)) if self.course else None

    def at(self, step: int) -> tuple[Buffer, ...]:
        """The buffers in use at a step, the largest first; guests take no room of their own."""
        used = [one for one in self.buffers if one.begin <= step <= one.end and not one.guest]
        return tuple(sorted(used, key=lambda buffer: -buffer.bytes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """One thing that a compiled program runs: a fusion, a single operation, a library call, a copy.

    Args:
        name: its name in the HLO text.
        kind: which of the four.
        what: what it is, in words ("loop fusion", "sort", "LAPACK spotrf").
        spans: the user's expressions in it; an expression can be in several kernels.
        phases: the passes of a gradient that its operations belong to.
        reads, writes: bytes in and out of one run; what a slice leaves alone does not count.
        flops: of one run; None where unknown.
        turns: how often it runs in a call (in a branch: at most); None in a loop of unknown length.
        looped: whether it runs in a loop.
    """

    name: str
    kind: Literal["fusion", "operation", "library", "copy"]
    what: str
    spans: tuple[Span, ...]
    phases: tuple[Phase, ...]
    reads: int
    writes: int
    flops: float | None
    turns: int | None = 1
    looped: bool = False


FateKind = Literal["removed", "folded", "merged", "repeated"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What became of an expression that is not simply in one kernel, where that is certain.

    Args:
        kind: "removed" (nothing depends on it), "folded" (worked out while compiling), "merged" (the
            same value as `other`, computed once), "repeated" (computed in several kernels).
        span: the user's expression.
        other: the expression that it was merged with.
        kernels: the names of the kernels that compute it, where it is repeated.
    """

    kind: FateKind
    span: Span
    other: Span | None = None
    kernels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What XLA made of a program: what runs, in order, and what became of the rest."""

    kernels: tuple[Kernel, ...]
    fates: tuple[Fate, ...]
