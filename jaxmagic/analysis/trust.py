"""Whether a derivative can be trusted: the run repeated, step by step, in float64."""

from __future__ import annotations

import functools
import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from jaxmagic.analysis import checks, findings, program, rounding, stopped
from jaxmagic.analysis.checks import FLOAT32, FLOAT64, Floats, Measured, Precision
from jaxmagic.analysis.derivatives import LARGE, Function, Run, levels, point, quiet
from jaxmagic.analysis.leaves import role_of
from jaxmagic.analysis.repeat import CannotRepeatError, repeating
from jaxmagic.analysis.stopped import CannotHoldError
from jaxmagic.results import Check, Note, Span

Held: TypeAlias = Literal["not", "outside of rules", "everywhere"]

MOST_DIRECTIONS = 40  # directions in which a derivative is checked
SMALL = 8  # arrays up to this size are checked element by element
JOINT = 3  # random directions through all inputs at once
PATIENCE = 3.0  # seconds that a check may take, if the function is that quick
LONG = 3 * PATIENCE  # seconds after which what is unsure is not looked at once more, with stops held
WORTH_SAYING = 0.01  # a relative difference by rounding that is worth a note
MOST_OUTPUTS, PROJECTIONS = 4096, 8  # more outputs than that are checked as that many random sums


class Lab:
    """The run repeated in one precision, as a function of steps along directions.

    Args:
        run: what is checked.
        precision: float64 inside `jax.enable_x64`, else float32.
        held: whether what `stop_gradient` gives stays as it is at the user's own point.
    """

    def __init__(self, run: Run, precision: Precision, held: Held = "not") -> None:
        self.precision, self.held = precision, held
        self.function = Function(run.target, run.inputs, run.choice.active)
        self.dtype = jnp.float64 if precision is FLOAT64 else jnp.float32
        self.points = [np.asarray(point(leaf), self.dtype) for leaf in run.active]
        self.fixed = [self._cast(run.inputs.leaves[i].value) for i in self.function.fixed]
        self.compiled: dict[int, Callable[..., list[Any]]] = {}
        self.modes = run.modes

    def _cast(self, value: Any) -> Any:
        role = role_of(value)
        if role not in ("real", "complex"):
            return value
        return jnp.asarray(
            value, self.dtype if role == "real" else jnp.result_type(self.dtype, jnp.complex64)
        )

    def level(self, order: int, points: Sequence[Any]) -> list[Floats]:
        """The derivative of an order at some points (0: the function), as float64."""
        run = self._program(order)
        with repeating():
            found = run(list(points), self.fixed)
        return [np.asarray(block, np.float64) for block in found]

    def shaken(self, order: int) -> list[list[Floats]]:
        """The same with every rounding made differently, several times."""
        found = rounding.shaken(self._plain(order), [self.points, self.fixed])
        return [[np.asarray(block, np.float64) for block in one] for one in found]

    @property
    def large(self) -> bool:
        """Whether every pass over the inputs is dear."""
        return sum(p.size for p in self.points) > LARGE

    def placed(self, vectors: Sequence[Floats | None]) -> tuple[Sequence[Any], Sequence[Any]]:
        """The points and a direction, on the device where moving them at each step would be dear."""
        if not self.large:
            return self.points, vectors
        moved = [None if v is None else jnp.asarray(v, self.dtype) for v in vectors]
        return [jnp.asarray(p) for p in self.points], moved

    def _program(self, order: int) -> Callable[..., list[Any]]:
        if order not in self.compiled:
            self.compiled[order] = self._compiled(order)
        return self.compiled[order]

    def _plain(self, order: int) -> Callable[..., list[Any]]:
        def plain(points: list[Any], fixed: list[Any]) -> list[Any]:
            return levels(lambda inner: self.function(inner, fixed), self.modes[:order])[-1](points)

        return plain

    def _compiled(self, order: int) -> Callable[..., list[Any]]:
        """Under jit; as it is where Python has to see the numbers (an `if` on a value)."""
        plain = self._plain(order)
        if self.held != "not":
            own = (self.points, self.fixed)
            return jax.jit(stopped.held(plain, own, in_rules=self.held == "everywhere"))
        try:
            with repeating():
                return jax.jit(plain).lower(self.points, self.fixed).compile()
        except CannotRepeatError:  # eager is the same function
            return plain


@dataclass(frozen=True, slots=True, kw_only=True)
class Direction:
    """Where to step.

    Args:
        about: the leaves that it is about.
        vectors: one for each leaf, None for no step.
        length: when it is along one number: how far a step of 1 goes.
    """

    about: tuple[int, ...]
    vectors: tuple[Floats | None, ...]
    length: float | None = None

    def per_unit(self, measured: Measured) -> Measured:
        """Slopes as the user knows them, along one number."""
        if self.length is None:
            return replace(measured, along="a random direction")
        slopes = {
            name: getattr(measured, name) / self.length for name in ("claim", "estimate", "left", "right")
        }
        return replace(measured, **slopes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What the check found: one check per leaf, what to say, and the laboratory where it was made."""

    checks: tuple[Check, ...]
    notes: tuple[Note, ...] = ()


def check(run: Run) -> Report:
    """In float64 if the function can, else in float32; with stopped values held where that matters."""
    with quiet(), program.afresh():
        start = time.perf_counter()
        report = _check(run, "not")
        took = time.perf_counter() - start
        found = {check.finding for check in report.checks}
        if found <= {"ok"} or (found <= {"ok", "unsure"} and took > LONG):
            return report
        stops = _stops(run)
        return _with_stops(run, report, stops) if stops else report


def _check(run: Run, held: Held) -> Report:
    try:
        with jax.enable_x64():
            return _examine(run, Lab(run, FLOAT64, held))
    except CannotRepeatError:  # in float64; float32 is what it was written for
        return _check_in_float32(run, held)


def _check_in_float32(run: Run, held: Held) -> Report:
    note = Note(
        kind="float32", text="The function does not run in float64, so the check is in float32 and coarser."
    )
    try:
        report = _examine(run, Lab(run, FLOAT32, held))
    except CannotRepeatError as error:
        how = f"not checked: {type(error.__cause__).__name__} while repeating it"
        unchecked = Check(ok=None, error=None, tolerance=None, how=how)
        return Report(checks=(unchecked,) * len(run.active))
    return replace(report, notes=(note, *report.notes))


# -- gradients that are stopped on purpose --------------------------------------------------------


def _stops(run: Run) -> list[Span | None]:
    """Where the derivative's own program stops gradients; by its source where it cannot be traced."""
    function = Function(run.target, run.inputs, run.choice.active)
    try:
        with repeating():
            closed = jax.make_jaxpr(function)([point(leaf) for leaf in run.active])
    except CannotRepeatError:  # what cannot be traced (an `if` on a value) can still be read
        written = stopped.spelt(run.target.function)
        return [written] if written else []
    return stopped.places(closed)


def _with_stops(run: Run, report: Report, stops: Sequence[Span | None]) -> Report:
    """Held outside of functions with a rule of their own, whose rule may be for the whole; else in them."""
    ways: tuple[Held, ...] = ("outside of rules", "everywhere")
    try:
        held = [_check(run, ways[0])]
        if any(check.finding == "wrong" for check in held[0].checks):
            held.append(_check(run, ways[1]))
    except CannotHoldError:
        return _not_comparable(run, report, stops)
    return max(held, key=lambda one: sum(check.ok is True for check in one.checks))


def _not_comparable(run: Run, report: Report, stops: Sequence[Span | None]) -> Report:
    lost = [check.finding == "wrong" for check in report.checks]
    if not any(lost):
        return report
    span = next((place for place in stops if place), None)
    line = f" in line {span.line}" if span else ""
    stop = Check(
        ok=None, error=None, tolerance=None, how=f"not comparable: stop_gradient{line}", finding="stopped"
    )
    paths = [f"`{leaf.path}`" for leaf, gone in zip(run.active, lost, strict=True) if gone]
    text = (
        f"{findings.listed(paths)}: `stop_gradient`{line} changes the derivative on purpose, and here its "
        "value cannot be held constant, so finite differences are not comparable: not checked."
    )
    kept = [note for note in report.notes if note.kind != "wrong derivative"]
    return Report(
        checks=tuple(stop if gone else own for own, gone in zip(report.checks, lost, strict=True)),
        notes=(Note(kind="not comparable", text=text, span=span), *kept),
    )


# -- measuring ------------------------------------------------------------------------------------


def _examine(run: Run, lab: Lab) -> Report:
    found: list[list[Measured]] = [[] for _ in run.active]
    claims: list[Floats] = []
    for level in range(1, len(run.modes) + 1):
        claims = lab.level(level, lab.points)
        for direction, measured in _measure_level(lab, level, claims):
            for leaf in direction.about:
                found[leaf].append(measured)
    how = f"central differences in {'float64' if lab.precision is FLOAT64 else 'float32'}"
    how += "" if lab.held == "not" else ", stop_gradient held constant"
    listed = tuple(findings.summary(measured, how) for measured in found)
    return Report(
        checks=listed,
        notes=(*findings.notes(run, found), *_rounding_note(run, lab, claims)),
    )


def _measure_level(lab: Lab, order: int, claims: list[Floats]) -> Iterator[tuple[Direction, Measured]]:
    """Differences of the derivative before it against the derivative of this order."""
    lab.level(order - 1, lab.points)  # compiles
    seconds, outputs = _timed(lambda: lab.level(order - 1, lab.points))
    rows = Rows.of(outputs, claims, len(lab.points))
    plan = directions(lab.points, rows)
    coarse = seconds * len(plan) * checks.calls(lab.precision) > PATIENCE
    affordable = int(PATIENCE / (seconds * checks.calls(lab.precision, coarse=coarse) + 1e-9))
    if affordable < len(lab.points):
        plan = _jointly(lab.points, rows)
    for direction in itertools.islice(plan, max(affordable, 1 if seconds < PATIENCE else 0)):
        points, vectors = lab.placed(direction.vectors)
        step = _fused if lab.large else _step

        def along(t: float, points: Any = points, vectors: Any = vectors, step: Any = step) -> Floats:
            return rows.project(lab.level(order - 1, step(points, t, vectors)))

        measured = checks.measure(
            along,
            rows.slope(direction.vectors),
            lab.precision,
            coarse=coarse,
            blur=functools.partial(_blur, lab, order - 1, rows),
        )
        yield direction, direction.per_unit(measured)


def _blur(lab: Lab, order: int, rows: Rows) -> Floats:
    """How far rounding may move each of the outputs; 0 where there is no telling."""
    outputs = rows.project(lab.level(order, lab.points))
    try:
        found = [rows.project(one) for one in lab.shaken(order)]
    except CannotRepeatError:
        found = []
    blur: Floats = np.max([np.abs(one - outputs) for one in found] or [np.zeros_like(outputs)], axis=0)
    return blur


def _timed(call: Callable[[], list[Floats]]) -> tuple[float, list[Floats]]:
    start = time.perf_counter()
    found = call()
    return time.perf_counter() - start, found


def _step(points: Sequence[Any], t: float, vectors: Sequence[Any]) -> list[Any]:
    return [p if v is None else p + (t * v).astype(p.dtype) for p, v in zip(points, vectors, strict=True)]


_fused = jax.jit(_step)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """The outputs of one level as one vector, and its claimed derivative as blocks.

    Args:
        blocks: [output][input], each with the output's axes first.
        shuffle: random sums over the outputs, where there are too many to look at each.
    """

    blocks: list[list[Floats]]
    shapes: list[tuple[int, ...]]
    shuffle: Floats | None = field(repr=False)

    @classmethod
    def of(cls, outputs: list[Floats], claims: list[Floats], inputs: int) -> Rows:
        """From a level and the next one."""
        size = sum(block.size for block in outputs)
        rng = np.random.default_rng(1)
        shuffle = _uneven(rng, (PROJECTIONS, size)) if size > MOST_OUTPUTS else None
        blocks = [claims[i : i + inputs] for i in range(0, len(claims), inputs)]
        return cls(blocks=blocks, shapes=[block.shape for block in outputs], shuffle=shuffle)

    def project(self, outputs: Sequence[Floats]) -> Floats:
        """All outputs as one vector, or their random sums."""
        flat = np.concatenate([block.reshape(-1) for block in outputs])
        return flat if self.shuffle is None else self.shuffle @ flat

    def slope(self, vectors: Sequence[Floats | None]) -> Floats:
        """The claimed derivative along a direction."""
        return self.project(
            [self._along(row, shape, vectors) for row, shape in zip(self.blocks, self.shapes, strict=True)]
        )

    def _along(
        self, row: Sequence[Floats], shape: tuple[int, ...], vectors: Sequence[Floats | None]
    ) -> Floats:
        with np.errstate(all="ignore"):  # of nan and infinite derivatives
            parts = [
                block.reshape(math.prod(shape), -1) @ vector.reshape(-1)
                for block, vector in zip(row, vectors, strict=True)
                if vector is not None
            ]
            total: Floats = np.sum(parts, axis=0)
        return total


@dataclass(frozen=True, slots=True)
class Plan:
    """Directions, each made when its turn comes: those through large inputs are dear."""

    makers: Sequence[Callable[[], Direction]]

    def __len__(self) -> int:
        return len(self.makers)

    def __iter__(self) -> Iterator[Direction]:
        return (make() for make in self.makers)


def _jointly(points: Sequence[Floats], rows: Rows) -> Plan:
    return Plan([functools.partial(_joint, points, rows, seed) for seed in range(JOINT)])


def directions(points: Sequence[Floats], rows: Rows) -> Plan:
    """Element by element where there are few, random mixtures per leaf or of all where there are many."""
    total = sum(p.size for p in points)
    if total > LARGE or len(points) > MOST_DIRECTIONS:
        return _jointly(points, rows)
    each = [_through(points, leaf) for leaf in range(len(points))]
    if sum(map(len, each)) > MOST_DIRECTIONS:
        each = [found[-1:] for found in each]
    return Plan([functools.partial(_itself, direction) for found in each for direction in found])


def _itself(direction: Direction) -> Direction:
    return direction


def _through(points: Sequence[Floats], leaf: int) -> list[Direction]:
    """The directions about one leaf; the last is a good one when there may be only one."""
    p = points[leaf]
    rng = np.random.default_rng(leaf)
    if p.size > SMALL:
        found = [_mixed(points, leaf, rng) for _ in range(2)]
    else:
        found = [_single(points, leaf, i) for i in range(p.size)]
        found += [_mixed(points, leaf, rng)] if p.size > 1 else []
    return found


def _mixed(points: Sequence[Floats], leaf: int, rng: np.random.Generator) -> Direction:
    vector = _uneven(rng, points[leaf].shape) * _scale(points[leaf])
    return Direction(about=(leaf,), vectors=_only(len(points), leaf, vector))


def _single(points: Sequence[Floats], leaf: int, i: int) -> Direction:
    vector = _unit(points[leaf], i)
    return Direction(about=(leaf,), vectors=_only(len(points), leaf, vector), length=float(vector.sum()))


def _only(count: int, leaf: int, vector: Floats) -> tuple[Floats | None, ...]:
    return tuple(vector if i == leaf else None for i in range(count))


def _unit(p: Floats, i: int) -> Floats:
    vector = np.zeros(p.size)
    vector[i] = abs(p.reshape(-1)[i]) or _scale(p)
    return vector.reshape(p.shape)


def _joint(points: Sequence[Floats], rows: Rows, seed: int) -> Direction:
    """Through all leaves at once, balanced so that no leaf's part drowns in another's."""
    rng = np.random.default_rng(seed)
    vectors = [_uneven(rng, p.shape) * _scale(p) for p in points]
    effects = [np.abs(rows.slope(_only(len(points), i, v))).max() for i, v in enumerate(vectors)]
    least = min((e for e in effects if e > 0 and np.isfinite(e)), default=1.0)
    weights = [np.clip(least / e, 1e-3, 1.0) if e > 0 else 1.0 for e in effects]
    balanced = tuple(v * w for v, w in zip(vectors, weights, strict=True))
    return Direction(about=tuple(range(len(points))), vectors=balanced)


def _uneven(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Random signs and sizes, so that no two elements can stand in for each other."""
    mixture: Floats = rng.uniform(-1.0, 1.0, shape)
    mixture += np.copysign(0.5, mixture)
    return mixture


def _scale(p: Floats) -> float:
    """The typical size of an input: its root mean square, 1 where it is zero."""
    with np.errstate(all="ignore"):
        size = float(np.sqrt(np.mean(np.square(p)))) if p.size else 1.0
    return size if np.isfinite(size) and size > 0 else 1.0


# -- what was found -------------------------------------------------------------------------------


def _rounding_note(run: Run, lab: Lab, exact: list[Floats]) -> list[Note]:
    """Where float32 and float64 tell different derivatives of the same function, rounding did it."""
    if lab.precision is not FLOAT64 or not _same_values(run, lab):
        return []
    pairs = zip(run.derivatives, exact, strict=True)
    worst = max((_distance(np.asarray(a, np.float64), b) for a, b in pairs), default=0.0)
    if worst < WORTH_SAYING:
        return []
    text = (
        f"Rounding in the precision used makes this derivative differ by up to {worst:.2g} of its size from "
        "the one in float64. Try `jax.enable_x64()`, or avoid differences of nearly equal numbers."
    )
    return [Note(kind="rounding", text=text)]


def _same_values(run: Run, lab: Lab) -> bool:
    """Whether both precisions compute the same function: random draws differ between them."""
    pairs = zip(run.plain, lab.level(0, lab.points), strict=True)
    close = all(np.allclose(np.asarray(a, np.float64), b, rtol=1e-3, atol=1e-6) for a, b in pairs)
    return close or not _draws(lab)


def _draws(lab: Lab) -> bool:
    """Whether the function draws random numbers, as far as JAX can tell."""
    try:
        with repeating():
            whole = jax.make_jaxpr(lab.function)(lab.points)
    except CannotRepeatError:  # what cannot be traced cannot be looked at
        return True
    names = {equation.primitive.name for inner in program.every_program(whole) for equation in inner.eqns}
    return any(name.startswith(("random_", "threefry", "rng_")) for name in names)


def _distance(a: Floats, b: Floats) -> float:
    """How far apart two derivatives are, as a share of the larger one; 0 where either is not finite."""
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return 0.0
    size = max(float(np.linalg.norm(b)), float(np.linalg.norm(a)))
    return float(np.linalg.norm(a - b)) / size if size > 1e-12 else 0.0
