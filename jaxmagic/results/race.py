"""Race: what `%jaxbench` gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from importlib import import_module
from typing import Any

from jaxmagic.results.common import Note, Source, Span, Value, plain
from jaxmagic.results.compiled import Memory
from jaxmagic.results.port import Port


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


NUMPY, EAGER, JIT, GRADIENT = "numpy", "jax", "jax.jit", "jax.grad"
_CALLED = {NUMPY: "NumPy", EAGER: "JAX op by op", JIT: "JAX under jit", GRADIENT: "jit with gradient"}


def called(name: str) -> str:
    """What one of our contenders is called; a precision or a device stands behind its name."""
    kind, space, rest = name.partition(" ")
    on = "on " if ":" in rest else ""
    return _CALLED.get(kind, kind) + space + on + rest


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

    def called(self, name: str) -> str:
        """What a contender is called, by its user where its user named it."""
        return name if self.labelled else called(name)

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
