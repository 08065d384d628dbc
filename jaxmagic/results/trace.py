"""See: what `%%jaxpr` gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from jaxmagic.results.common import Fingerprint, Lazy, Link, Note, Phase, Source, Span, Value
from jaxmagic.results.compiled import Made, Memory
from jaxmagic.results.graph import Graph

StageName = Literal["jaxpr", "stablehlo", "hlo"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Equation:
    """One equation of a jaxpr.

    Args:
        primitive: its name, such as "dot_general".
        text: the equation as JAX prints it, on one line, inner programs cut.
        span: the user's expression that made it; None where JAX does not say.
        count: how often it runs in one call; None in a loop of unknown length.
        phase: the pass of a gradient that it belongs to.
    """

    primitive: str
    text: str
    span: Span | None
    count: int | None = 1
    phase: Phase = "forward"


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Operations and bytes; None where unknown."""

    flops: float | None = 0.0
    bytes: float | None = 0.0
    transcendentals: float | None = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What one line of the user's source costs in one call; None where that is unknown.

    Args:
        turn: the cost of one turn, where the line is in a loop whose length is not known.
        phases: the cost by pass, where the program holds a gradient.
        kept: bytes that the line makes and the forward pass keeps for the backward one; None where
            there is no such pass.
    """

    file: str
    line: int
    source: str
    flops: float | None = None
    bytes: float | None = None
    transcendentals: float | None = None
    seconds: float | None = None
    turn: Work | None = None
    phases: Mapping[Phase, Work] = field(default_factory=dict)
    kept: int | None = None

    @property
    def intensity(self) -> float | None:
        """Floating-point operations a byte, before anything is fused; None where unknown."""
        return self.flops / self.bytes if self.flops is not None and self.bytes else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """The program at one stage of its compilation.

    Args:
        name: "jaxpr", "stablehlo" or "hlo" (optimised by XLA).
        text: the program, long constants cut.
        links: its pieces and where they came from.
        seconds: what making it took; the compile time for "hlo".
        memory: known once compiled.
        notes: what this stage alone can tell.
        made: what XLA did, once compiled; None where its text was not as expected.
    """

    name: StageName
    text: str
    links: tuple[Link, ...]
    seconds: float
    memory: Memory | None = None
    notes: tuple[Note, ...] = ()
    made: Made | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Peaks:
    """What a device does at most, as measured: float32 operations and bytes, a second."""

    flops: float
    bytes: float

    @property
    def balance(self) -> float:
        """The operations a byte below which memory is the limit."""
        return self.flops / self.bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A figure of the last run and of this one, by its name; None where it is not known."""

    name: str
    before: float | None
    now: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """An equation that is new (+), gone (-) or as it was, with the line and place that it came from."""

    sign: Literal["+", "-", " "]
    text: str
    line: int | None = None
    span: Span | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What is different from the last run of the same cell.

    Args:
        same: whether it is the same program, to the values of the arrays that it captured.
        captured: whether nothing but the values of captured arrays is different.
        figures: of both runs.
        diff: every equation of both runs; None where they are too many.
    """

    same: bool
    captured: bool = False
    figures: tuple[Figure, ...]
    diff: Lazy[tuple[Change, ...]] | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """The share of a call's time that an expression took, without what it calls; 0 to 1.

    Args:
        span: the expression; None for an operation without a source of the user's.
        name: the operation's name, where there is no span.
        measured: in operations of this expression alone.
        split: its part of operations that XLA made of several, by a model.
    """

    span: Span | None
    name: str = ""
    measured: float = 0.0
    split: float = 0.0

    @property
    def share(self) -> float:
        """Both together."""
        return self.measured + self.split


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Where the time of a compiled program goes, under JAX's profiler.

    Args:
        seconds: of one call, without the profiler; None where it was not run.
        withheld: why there are no shares; "" where there are.
        slowed: how many times longer a call took under the profiler.
        calls: how many were profiled.
        covered: the share of the calls' time that operations account for.
        edges: the share before a call's first operation and after its last; what is left is unknown.
        spots: by expression, the hottest first.
        inclusive: shares by line (file, number), each with all that it calls.
    """

    seconds: float | None = None
    withheld: str = ""
    slowed: float | None = None
    calls: int = 0
    covered: float = 0.0
    edges: float = 0.0
    spots: tuple[Spot, ...] = ()
    inclusive: Mapping[tuple[str, int], float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What JAX makes of a function at given inputs.

    `flops`, `bytes` and `transcendentals` are totals of one call with loops multiplied out, None
    where a part of them is unknown. Where loops of unknown length are the reason, `certain` is the
    rest. `kept` are the bytes that a forward pass keeps for its backward pass (None: there is none).
    `peaks` are measured when asked for. `captured` is a fingerprint of the arrays that the program holds
    as constants, `printed` one of all its equations. Where `counted` is given, the costs are not known
    yet, and it is the trace with them. A long program is printed when its equations or its "jaxpr" stage
    are first asked for; `opening` is how it begins.
    """

    name: str
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    equations: Sequence[Equation]
    lines: tuple[Line, ...]
    sources: tuple[Source, ...]
    flops: float | None
    bytes: float | None
    transcendentals: float | None
    trace_seconds: float
    device: str
    notes: tuple[Note, ...] = ()
    gradient: bool = False
    certain: Work | None = None
    kept: int | None = None
    peaks: Lazy[Peaks] | None = field(default=None, repr=False, compare=False)
    captured: Lazy[Fingerprint] | None = field(default=None, repr=False, compare=False)
    printed: Lazy[Fingerprint] | None = field(default=None, repr=False, compare=False)
    counted: Lazy[Trace] | None = field(default=None, repr=False, compare=False)
    stages: Mapping[str, Lazy[Stage]] = field(repr=False, compare=False)
    opening: Stage | None = field(default=None, repr=False, compare=False)
    graph: Lazy[Graph] | None = field(default=None, repr=False, compare=False)
    changes: Changes | None = None
    timing: Timing | None = None

    def stage(self, name: StageName) -> str:
        """The text of a stage: "jaxpr", "stablehlo" or "hlo" (compiles when first asked)."""
        return self.program(name).text

    def program(self, name: StageName) -> Stage:
        """A stage with its links to the source, its memory and its notes."""
        try:
            return self.stages[name].get()
        except KeyError:
            raise ValueError(f"no stage {name!r}; there are {', '.join(self.stages)}") from None
