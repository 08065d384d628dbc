"""What the analyses hand over: frozen plain data that scripts, pages and tests read alike.

Standard library only. Nothing here draws, rounds or knows a medium. Sizes are in bytes, times in
seconds, and `None` means unknown: never zero, never a guess.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from importlib import import_module
from typing import Any, Generic, Literal, NamedTuple, TypeVar

T = TypeVar("T")
StageName = Literal["jaxpr", "stablehlo", "hlo"]
Phase = Literal["forward", "backward", "recomputed"]
Fingerprint = bytes  # equal for equal arrays


class Lazy(Generic[T]):
    """A value that is dear to make: made when first asked for, once; then its maker is let go."""

    __slots__ = ("_load", "_lock", "_value")

    def __init__(self, load: Callable[[], T]) -> None:
        self._load: Callable[[], T] | None = load
        self._lock = threading.RLock()

    @classmethod
    def of(cls, value: T) -> Lazy[T]:
        """A value that is already there."""
        lazy = cls(lambda: value)
        lazy.get()
        return lazy

    @property
    def ready(self) -> bool:
        """Whether `get` costs nothing."""
        return self._load is None

    def get(self) -> T:
        """The value. An error of the maker is raised, and the next call tries again."""
        with self._lock:
            if self._load is not None:
                self._value = self._load()
                self._load = None
            return self._value


# Labels of sources that the user has before their eyes: they need no saying.
HERE = ("this cell", "this line", "cell")

# -- the user's source ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A range of the user's source. Lines count from 1, columns are characters from 0."""

    file: str
    line: int
    column: int
    end_line: int
    end_column: int
    function: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A stretch of source that a program came from, such as one function.

    Args:
        file: the file name that spans carry (a cell's is its compile name).
        label: what to call it: "In [3]", "model.py", or one of `HERE`.
        first_line: the number of `lines[0]` in the file.
        lines: the text, without line ends.
    """

    file: str
    label: str
    first_line: int
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something that would surprise the user, in one or two sentences.

    Args:
        kind: which note it is, for tests and filters ("captured constant", "unused input").
        text: the words; `code` in backticks.
        span: where, when it is about a place.
    """

    kind: str
    text: str
    span: Span | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """An input or output of a function: its name, its type as JAX prints it, its size."""

    name: str
    type: str
    bytes: int | None = None


# -- see: %%jaxpr ---------------------------------------------------------------------------------


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


class Link(NamedTuple):
    """A piece of a program's text and the source that it came from (one of very many: cheap to make).

    Args:
        row: the line of the text, from 0.
        start, end: columns in that line.
        span: the user's expression.
    """

    row: int
    start: int
    end: int
    span: Span


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
    as constants. Where `counted` is given, the costs are not known yet, and it is the trace with them.
    """

    name: str
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    equations: tuple[Equation, ...]
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
    counted: Lazy[Trace] | None = field(default=None, repr=False, compare=False)
    stages: Mapping[str, Lazy[Stage]] = field(repr=False, compare=False)
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


# -- differentiate: %jaxgrad ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A derivative held against finite differences.

    Args:
        ok: whether they agree; None where no check was possible.
        error: the worst relative difference, None where not checked.
        tolerance: what was allowed.
        how: the conditions in words ("central differences in float64").
        finding: "ok", "kink", "jump", "wrong", "unsure", "not finite", or "stopped" where a
            `stop_gradient` keeps the two from being compared; "" where not checked.
    """

    ok: bool | None
    error: float | None
    tolerance: float | None
    how: str
    finding: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Partial:
    """The derivative by one input, leaf by leaf.

    Args:
        path: the input's name, with the way into a pytree: "params['dense'].kernel".
        type: the type of the derivative, as JAX prints it.
        point: the input's value (a NumPy array or scalar), for "per 1 % more".
        value: the derivative as a NumPy array: the output's axes first, then the input's.
        check: its own finite-difference check.
        by: the paths of all inputs that it is taken by, one for each order ("birth", "death").
        output: the name of the output that it is of, "" when there is one.
        rows: how many of the axes are the output's.
        way: the path in pieces, for a tree: ("params", "dense", "kernel").
        mark: "vanishing" or "exploding" beside the other layers; "" for neither.
    """

    path: str
    type: str
    point: Any
    value: Any
    check: Check
    by: tuple[str, ...] = ()
    output: str = ""
    rows: int = 0
    way: tuple[str, ...] = ()
    mark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A function of one number and its derivatives over a range: `ys[0]` is the function.

    Args:
        by: the name of that number.
        shown: the part to show first, None for all of it.
    """

    x: tuple[float, ...]
    ys: tuple[tuple[float, ...], ...]
    at: float
    by: str = ""
    shown: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A function of two numbers on a grid with its gradient: `values[j][i]` is at `x[i]`, `y[j]`.

    Args:
        names: of the two numbers.
        at: the user's point.
        slopes: the derivatives by each of them, on the same grid.
    """

    names: tuple[str, str]
    at: tuple[float, float]
    x: tuple[float, ...]
    y: tuple[float, ...]
    values: tuple[tuple[float, ...], ...]
    slopes: tuple[tuple[tuple[float, ...], ...], tuple[tuple[float, ...], ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expense:
    """What one way to compute costs, compiled; None where unknown or not tried.

    Args:
        way: "function", "reverse" or "forward".
        seconds: a call.
        bytes: at the fullest: arguments, outputs and temporaries.
        passes: how many passes through the function it takes at once or in turn.
        estimated: whether `seconds` is one measured pass times the passes.
    """

    way: Literal["function", "reverse", "forward"]
    seconds: float | None
    bytes: int | None
    flops: float | None = None
    passes: int = 1
    estimated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Gradient:
    """The value of a function and its derivatives at a point.

    Args:
        name: the function's name.
        value: what the function returns there.
        output: its name and type.
        partials: the derivative by each input's name, in the shape that `jax.grad` or
            `jax.jacobian` would give (a pytree for a pytree).
        leaves: the same, leaf by leaf with its check, for display.
        check: the worst of the checks.
        order: 1 for the gradient or Jacobian, 2 for the Hessian, ….
        mode: "reverse" or "forward".
        curve: when the input is one number, or one was asked for.
        field: when the inputs are two numbers.
        expenses: what the function and its derivative cost in each mode, measured when asked for.
    """

    name: str
    value: Any
    output: Value
    partials: Mapping[str, Any]
    leaves: tuple[Partial, ...]
    check: Check
    order: int
    mode: Literal["reverse", "forward"]
    device: str
    notes: tuple[Note, ...] = ()
    curve: Curve | None = None
    field: Field | None = None
    expenses: Lazy[tuple[Expense, ...]] | None = None


# -- place: %jaxdevice ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One device, as `jax.devices()` lists it; memory in bytes, None where unknown."""

    name: str
    platform: str
    kind: str
    memory_used: int | None = None
    memory_total: int | None = None
    default: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where one array lives and how it is cut up over the devices."""

    name: str
    type: str
    devices: tuple[str, ...]
    sharding: str
    shards: tuple[tuple[str, str], ...] = ()
    committed: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Devices:
    """The devices, which of them new arrays go to, and what stands in the way of others."""

    devices: tuple[Device, ...]
    default: str
    placements: tuple[Placement, ...] = ()
    notes: tuple[Note, ...] = ()


# -- why a function is traced once more -----------------------------------------------------------

Verdict = Literal["held", "anew", "first", "unknown"]
Cause = Literal["shape", "dtype", "weak type", "sharding", "static value", "structure", "setting"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What tells a call from an earlier one: an argument (`params['w']`) or a setting.

    Args:
        what: its name.
        now, before: its type, static value or setting in the two calls.
        cause: in which way they differ.
    """

    what: str
    now: str
    before: str
    cause: Cause


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrace:
    """Whether JAX would trace a jitted function once more for a call, and why.

    Args:
        name: the function's.
        verdict: a trace is "held", it would be made "anew", it is the "first", or it is "unknown".
        traces: how many JAX holds of this function.
        differences: from the closest of them.
    """

    name: str
    verdict: Verdict
    traces: int = 0
    differences: tuple[Difference, ...] = ()
    notes: tuple[Note, ...] = ()


# -- port: NumPy to JAX ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """NumPy code as JAX code.

    Args:
        name: the function's name.
        original: its source.
        source: the JAX source; what `function` was made from.
        diff: the unified diff between the two.
        function: the JAX function; takes what the original does and returns what it returns, then the
            values of the `mutated` parameters: `(result, value, …)`.
        mutated: the parameters that NumPy changed in place.
        returns: whether the original returns a value of its own; where it does not, `function` returns
            the values of `mutated` alone (one bare value, or a tuple).
        x64: whether `function` has to run under `jax.enable_x64(True)`, as it was compared.
        static: the parameters that hold Python values (sizes, flags): `static_argnames` for jit.
        notes: what was assumed.
    """

    name: str
    original: str
    source: str
    diff: str
    function: Callable[..., Any] = field(repr=False, compare=False)
    mutated: tuple[str, ...] = ()
    static: tuple[str, ...] = ()
    returns: bool = True
    x64: bool = False
    notes: tuple[Note, ...] = ()


# -- race: %jaxbench ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """An estimate and the range that holds the truth (95 %); None where too few batches tell."""

    low: float | None
    estimate: float
    high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One side of a race.

    Args:
        name: "numpy", "jax", "jax.jit", or the user's label.
        seconds: every sample that counts, in seconds a call, one tuple a batch (empty where it sat one out).
        left_out: those that do not, for the system gave the core to others meanwhile.
        typical: seconds a call; None when it could not run.
        interval: `typical` with the range from the spread over the batches.
        first_call: seconds of the very first call, compilation included; None when not run.
        compile_seconds: (trace, lower, compile) where they apply.
        memory: what the compiled program holds, where it is known.
        obstacle: why it could not run, or not to the end, in words; else "".
        fix: what to write instead.
        span: where in the user's source the obstacle is.
        excerpt: the user's source line at `span`.
        device: where it ran, in a race of devices; else "".
        transfer: seconds to bring its inputs to that device from where they were; None where they were
            there, or in a race on one device.
    """

    name: str
    seconds: tuple[tuple[float, ...], ...] = ()
    left_out: tuple[tuple[float, ...], ...] = ()
    typical: float | None = None
    interval: Interval | None = None
    first_call: float | None = None
    compile_seconds: tuple[float, float, float] | None = None
    memory: Memory | None = None
    obstacle: str = ""
    fix: str = ""
    span: Span | None = None
    excerpt: str = ""
    device: str = ""
    transfer: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Whether the contenders' results are the same; `ok` is None where that was not compared.

    Args:
        max_abs_error, max_rel_error: the largest differences (the relative one to the largest
            value of its array).
        dtypes: the dtypes of each contender's results.
        where: which result differs most and how, when they are not the same; or why they were
            not compared.
    """

    ok: bool | None
    max_abs_error: float | None = None
    max_rel_error: float | None = None
    dtypes: Mapping[str, str] = field(default_factory=dict)
    where: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """A race: who ran, how long, whether they agree, under which conditions.

    Args:
        speedups: how many times as fast each contender is as each other one: `speedups[a][b]`.
        break_even_calls: from which call on jit is ahead of NumPy, compiling included; None when
            it never is (or one of them did not run).
        budget, elapsed: seconds allowed and seconds taken.
        conditions: what the figures depend on, by name, in words or numbers.
        interrupted: stopped by the user before its end.
        labelled: whether the contenders' names are the user's own, so that "numpy" is no more than a name.
    """

    name: str
    contenders: Mapping[str, Contender]
    agreement: Agreement
    device: str
    budget: float
    elapsed: float
    speedups: Mapping[str, Mapping[str, Interval]] = field(default_factory=dict)
    break_even_calls: int | None = None
    inputs: tuple[Value, ...] = ()
    conditions: Mapping[str, Any] = field(default_factory=dict)
    port: Port | None = None
    interrupted: bool = False
    labelled: bool = False
    notes: tuple[Note, ...] = ()
    sources: tuple[Source, ...] = ()

    def speedup(self, a: str, over: str) -> Interval:
        """How many times as fast `a` is as `over`, with its interval.

        Raises:
            ValueError: when one of the two is unknown or was not timed.
        """
        try:
            return self.speedups[a][over]
        except KeyError:
            timed = ", ".join(name for name, side in self.contenders.items() if side.typical is not None)
            raise ValueError(f"no speedup of {a!r} over {over!r}; timed were: {timed or 'none'}") from None

    def to_dict(self) -> dict[str, Any]:
        """All of it for `json.dumps`: numbers, strings, lists and dicts (a function is left out)."""
        return {entry.name: plain(getattr(self, entry.name)) for entry in fields(self)}

    def to_dataframe(self) -> Any:
        """One row a sample: contender, batch, seconds, whether it counts (a pandas DataFrame).

        Raises:
            ImportError: when pandas is not installed.
        """
        rows = [
            {"contender": name, "batch": batch, "seconds": sample, "counts": counts}
            for name, side in self.contenders.items()
            for counts, batches in ((True, side.seconds), (False, side.left_out))
            for batch, samples in enumerate(batches)
            for sample in samples
        ]
        try:
            pandas = import_module("pandas")
        except ImportError as error:
            raise ImportError("to_dataframe needs pandas: pip install pandas") from error
        return pandas.DataFrame(rows, columns=["contender", "batch", "seconds", "counts"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two races of the same contenders, held against each other.

    Args:
        before, after: the races.
        speedups: how many times as fast each contender became. The races did not take turns, so that
            the intervals say nothing about what changed on the machine between them.
        changes: conditions and inputs that are not the same: (what, before, after).
    """

    before: Benchmark
    after: Benchmark
    speedups: Mapping[str, Interval]
    changes: tuple[tuple[str, str, str], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """All of it for `json.dumps`."""
        return {entry.name: plain(getattr(self, entry.name)) for entry in fields(self)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A race at one size."""

    size: int
    benchmark: Benchmark


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """The same race at several sizes.

    Args:
        name: what is raced.
        parameter: what the size is called.
        points: the races, by growing size; fewer than asked for when it ended early.
        crossover: the size from which jit is ahead of NumPy at all larger ones too, between two sizes
            by a straight line in the logarithms; None when there is none within the sizes.
        elapsed: seconds taken.
        interrupted: stopped by the user before its end.
    """

    name: str
    parameter: str
    points: tuple[Point, ...]
    crossover: Interval | None
    elapsed: float
    interrupted: bool = False
    notes: tuple[Note, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """All of it for `json.dumps`."""
        return {entry.name: plain(getattr(self, entry.name)) for entry in fields(self)}


def plain(value: Any) -> Any:
    """A result as JSON knows it: numbers that are not finite become their names, functions None."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if is_dataclass(value):
        return {entry.name: plain(getattr(value, entry.name)) for entry in fields(value)}
    return None if callable(value) else str(value)
