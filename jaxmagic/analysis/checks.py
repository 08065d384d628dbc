"""Derivatives held against finite differences, with the step and the tolerance that were measured.

For a function g of one number t (the user's function along a direction) and the slope that JAX
claims at t = 0, g is evaluated on a ladder of steps on both sides. Richardson's extrapolation of
central differences (L. F. Richardson 1911; C. J. F. Ridders, Advances in Engineering Software 4,
1982) gives an estimate per rung, and neighbouring rungs say how far off it is. A claim stands if it
agrees with any well-measured rung. It is called wrong only if several rungs agree with each other,
well-measured, and not with it, by more than the rounding inside g can explain.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Finding = Literal["ok", "kink", "jump", "wrong", "unsure", "not finite"]

# From harmless to grave: the finding of several components is the gravest of them.
GRAVITY: tuple[Finding, ...] = ("ok", "unsure", "kink", "jump", "not finite", "wrong")
_FIRST, _FACTOR = 0.1, 4.0  # the largest step, as a share of the input's size, and the ratio of steps
_SAFETY = 10.0  # a claim may be off by this many times the measured error
_COARSEST = 1e-7  # a move below this share of g may be lost
_LOST = 1e-5  # the same for all moves together (and where g is 0): rounded off inside, to float32
_STAIR = 1e-3  # a lower stair might be float32's
_NEAR = 1e-6  # how far apart neighbours are that tell the noise
_NEIGHBOURS = range(-4, 5)  # where the noise is told
_RUN = 5  # so many steps have to show a kink or a jump


@dataclass(frozen=True, slots=True, kw_only=True)
class Precision:
    """What the arithmetic allows.

    Args:
        eps: the relative rounding error of one operation.
        floor: relative differences up to this are rounding in the derivative itself.
        clear: a relative difference has to be larger than this to be called wrong.
        sure: what was allowed may be no more than this for a claim to be called right.
        rungs: how many steps the ladder has, and how many more it gets when in doubt.
    """

    eps: float
    floor: float
    clear: float
    sure: float
    rungs: tuple[int, int]


FLOAT64 = Precision(eps=2.3e-16, floor=1e-7, clear=1e-6, sure=4e-3, rungs=(12, 7))
FLOAT32 = Precision(eps=1.2e-7, floor=2e-3, clear=2e-2, sure=2e-2, rungs=(8, 2))


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What finite differences say of one direction.

    Args:
        finding: the gravest over the function's outputs.
        error: the worst relative difference between claim and estimate, None where unmeasured.
        tolerance: the relative difference that was allowed there.
        claim, estimate: of the component that decided.
        left, right: its one-sided slopes.
        along: which direction, in words; "" along one of the inputs' own numbers.
    """

    finding: Finding
    error: float | None = None
    tolerance: float | None = None
    claim: float = 0.0
    estimate: float = 0.0
    left: float = 0.0
    right: float = 0.0
    along: str = ""


def measure(
    g: Callable[[float], Floats],
    slope: Floats,
    precision: Precision,
    *,
    coarse: bool = False,
    blur: Callable[[], Floats] | None = None,
) -> Measured:
    """Hold the slope of g at 0 against differences.

    Args:
        g: from a step to the outputs, m numbers; a step of 1 is as large as the input itself.
        slope: the claimed derivative of each output at 0, m numbers.
        precision: of the arithmetic that g runs in.
        coarse: half as many steps, twice as far apart, for functions that are dear to call.
        blur: how far rounding inside g may move each output, m numbers, also where it moves those of
            neighbouring points alike; asked for only where a slope is to be called wrong.
    """
    stride = 2 if coarse else 1
    base, more = precision.rungs
    with np.errstate(all="ignore"):
        ladder = _Ladder.climb(g, range(0, base, stride), _FACTOR**stride)
        first = _judge(ladder, slope, precision)
        doubtful = first.finding == "ok" and ladder.climbs(slope)
        if first.finding in ("ok", "kink", "jump", "not finite") and not (blur and doubtful):
            return first
        longer = ladder.longer(g, range(base, base + more, stride))
        found = _judge(longer, slope, precision)
        doubtful = found.finding == "wrong" or (found.finding == "ok" and longer.climbs(slope))
        return _judge(longer, slope, precision, blur()) if blur and doubtful else found


def calls(precision: Precision, *, coarse: bool = False) -> int:
    """How often `measure` calls its function where nothing is in doubt."""
    return 2 * len(range(0, precision.rungs[0], 2 if coarse else 1)) + 1 + len(_NEIGHBOURS)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ladder:
    """g at 0 (m), at +h and −h for every step (k × m), and its noise (m)."""

    h: Floats
    center: Floats
    above: Floats
    below: Floats
    noise: Floats
    factor: float

    @classmethod
    def climb(cls, g: Callable[[float], Floats], rungs: range, factor: float) -> _Ladder:
        h, above, below = _sides(g, rungs)
        return cls(h=h, center=_at(g, 0.0), above=above, below=below, noise=_noise(g), factor=factor)

    def climbs(self, slope: Floats) -> bool:
        """Whether an output whose slope is said to be 0 lies higher on one side, and stands still near 0."""
        moves = self.above != self.below
        return bool(np.any((slope == 0) & moves.any(axis=0) & ~moves.all(axis=0)))

    def longer(self, g: Callable[[float], Floats], rungs: range) -> _Ladder:
        h, above, below = _sides(g, rungs)
        return replace(
            self,
            h=np.concatenate([self.h, h]),
            above=np.concatenate([self.above, above]),
            below=np.concatenate([self.below, below]),
        )


def _sides(g: Callable[[float], Floats], rungs: range) -> tuple[Floats, Floats, Floats]:
    """The steps of some rungs, and g that far above and below."""
    h = np.array([_FIRST * _FACTOR**-rung for rung in rungs])
    above, below = (np.stack([_at(g, sign * step) for step in h]) for sign in (1, -1))
    return h, above, below


def _noise(g: Callable[[float], Floats]) -> Floats:
    """How far g jitters between neighbours: rounding inside of it, whatever its precision.

    From fourth differences, which a smooth function hardly has (J. J. Moré and S. M. Wild,
    Estimating Computational Noise, SIAM J. Sci. Comput. 33, 2011).
    """
    samples = np.stack([_at(g, step * _NEAR) for step in _NEIGHBOURS])
    noise: Floats = np.sqrt(np.mean(np.diff(samples, 4, axis=0) ** 2, axis=0) / 70)
    return np.nan_to_num(noise, nan=0.0, posinf=0.0)


def _at(g: Callable[[float], Floats], t: float) -> Floats:
    return np.asarray(g(t), np.float64).reshape(-1)


def _judge(ladder: _Ladder, slope: Floats, precision: Precision, blur: Floats | None = None) -> Measured:
    hides = np.zeros(len(slope)) if blur is None else blur
    found = [_judge_one(ladder, i, float(slope[i]), precision, float(hides[i])) for i in range(len(slope))]
    found = [_unless_hidden(one, float(hides[i])) for i, one in enumerate(found)]
    if not found:
        return Measured(finding="ok", error=0.0, tolerance=0.0)
    return gravest(found)


def _unless_hidden(found: Measured, blur: float) -> Measured:
    """Not wrong where even over the largest step the two slopes part by no more than rounding may move g."""
    apart = abs(found.claim - found.estimate) * _FIRST
    hidden = found.finding == "wrong" and apart <= _SAFETY * blur > 0
    return replace(found, finding="unsure") if hidden else found


def gravest(found: Sequence[Measured]) -> Measured:
    """The measurement that decides."""
    return max(found, key=lambda one: (GRAVITY.index(one.finding), one.error or 0.0))


def _judge_one(ladder: _Ladder, i: int, claim: float, precision: Precision, blur: float = 0.0) -> Measured:
    """One output."""
    h, center, above, below = ladder.h, ladder.center[i], ladder.above[:, i], ladder.below[:, i]
    if not (np.isfinite(claim) and np.isfinite(center)):
        return Measured(finding="not finite", claim=claim)
    usable = np.isfinite(above) & np.isfinite(below)
    h, above, below = h[usable], above[usable], below[usable]
    if len(h) < 3:
        return Measured(finding="unsure", claim=claim)
    right, left = (above - center) / h, (center - below) / h
    size = float(max(np.abs(above).max(), np.abs(below).max(), abs(center)))
    rounding = precision.eps * size
    corner = _corner(h, left, right, rounding, size)
    kinked = _at_corner(claim, *corner, left, right) if corner else None
    if kinked is not None and kinked.finding != "wrong":
        return kinked
    if np.all(above == center) and np.all(below == center):
        return _still(claim, float(h[0]), center)
    if _stands(h, above, below, center, claim):
        return Measured(finding="wrong", error=1.0, tolerance=0.0, claim=claim)
    noise = max(rounding, 3 * float(ladder.noise[i]), _quantum(h, above, below, center, claim))
    central = (above - below) / (2 * h)
    estimate, error = _richardson(h, central, noise, ladder.factor)
    least = _insignificant(left, right, center)
    scale = np.maximum(np.maximum(abs(claim), np.abs(estimate)), least)
    allowed = _SAFETY * error + precision.floor * scale
    good = (error <= 1e-3 * scale) | ((scale == 0) & (error == 0))
    good &= _informative(above, below, claim)
    found = _verdict(claim, estimate, allowed, scale, least, good, precision)
    if claim == 0 and blur > 0 and np.any(above != below):  # rounding alone can make g stand still
        good &= np.abs(above - below)[1:] > _SAFETY * blur
        found = _verdict(claim, estimate, allowed, scale, least, good, precision)
    if kinked is not None and found.finding != "ok":  # the claim may be right before rounding makes corners
        return kinked
    finer = np.arange(len(h)) > np.flatnonzero(estimate == found.estimate).max(initial=0) + 1
    aliased = found.finding == "wrong" and _closer(claim, found.estimate, central, noise / h, finer)
    return replace(found, finding="unsure") if aliased else found


def _closer(
    claim: float, estimate: float, central: Floats, blurred: Floats, finer: npt.NDArray[np.bool_]
) -> bool:
    """Whether g swings faster than the steps of the estimate can see.

    Two neighbouring steps side with the claim; or a finer one strays towards it, by more than rounding does.
    """
    from_claim, from_estimate = np.abs(central - claim), np.abs(central - estimate)
    sides = from_claim < 0.1 * from_estimate
    strays = finer & (from_estimate > 2 * blurred) & (from_claim < from_estimate)
    return bool(np.any(sides[1:] & sides[:-1]) or np.any(strays))


def _still(claim: float, reach: float, center: float) -> Measured:
    """Nothing moves: a slope of 0, or one too small to be seen in the function's own digits."""
    if claim == 0:
        return Measured(finding="ok", error=0.0, tolerance=0.0)
    seen = abs(claim) * reach > _LOST * (abs(center) if abs(center) >= _LOST else 1.0)
    return Measured(finding="wrong" if seen else "unsure", error=1.0, tolerance=0.0, claim=claim)


def _stands(h: Floats, above: Floats, below: Floats, center: float, claim: float) -> bool:
    """Whether g stands still over many steps that should move it: stairs, higher than rounding makes."""
    moves = np.abs(np.stack([above - center, below - center]))
    first = int(np.flatnonzero(moves.any(axis=0))[-1]) + 1
    stairs = moves[moves > 0].min() > _STAIR and abs(claim) * h[0] < 10 * moves.max()
    return bool(stairs and len(h) - first >= _RUN and abs(claim) * h[first] > 1e-3 * abs(center))


def _quantum(h: Floats, above: Floats, below: Floats, center: float, claim: float) -> float:
    """The smallest move, where steps that should move g do not (it rounds to float32 inside); else 0."""
    moves = np.abs(np.stack([above - center, below - center]))
    frozen = (moves == 0) & (abs(claim) * h > 1e-13 * abs(center))
    return float(moves[moves > 0].min()) if frozen.any() else 0.0


def _at_corner(
    claim: float, finding: Finding, left: float, right: float, lefts: Floats, rights: Floats
) -> Measured:
    """At a kink any slope between the two sides is a fair answer, also if the smallest steps lose a side."""
    low, high = sorted((left, right))
    margin = 1e-3 * min(high - low, 1.0 + abs(claim))
    between = (claim >= np.minimum(lefts, rights) - margin) & (claim <= np.maximum(lefts, rights) + margin)
    seen = bool(np.any(between[2:] & between[1:-1] & between[:-2]))
    fair = finding == "jump" or low - margin <= claim <= high + margin or seen
    middle = (left + right) / 2
    return Measured(
        finding=finding if fair else "wrong", claim=claim, estimate=middle, left=left, right=right
    )


def _verdict(
    claim: float,
    estimate: Floats,
    allowed: Floats,
    scale: Floats,
    least: float,
    good: npt.NDArray[np.bool_],
    precision: Precision,
) -> Measured:
    """Right if the best rung, or one that tells another story, agrees; wrong if two rungs say so."""
    off = np.abs(claim - estimate)
    safe = np.where(scale > 0, scale, 1.0)
    best = int(np.argmin(np.where(good, allowed / safe, np.inf)))
    other_story = np.abs(estimate - estimate[best]) > allowed
    agree = (
        good
        & (off <= allowed)
        & (allowed <= precision.sure * safe)
        & (other_story | (off[best] <= allowed[best]))
    )
    if agree.any():
        chosen = best if agree[best] else int(np.argmin(np.where(agree, off / safe, np.inf)))
        return _said("ok", chosen, claim, estimate, off / safe, allowed / safe)
    sharp = allowed <= 1e-2 * np.maximum(np.abs(estimate), least) + precision.floor * scale
    clear = good & sharp & (off > 3 * allowed) & (off > precision.clear * scale)
    finding: Finding = "wrong" if np.any(clear[1:] & clear[:-1]) else "unsure"
    return _said(finding, best, claim, estimate, off / safe, allowed / safe)


def _said(
    finding: Finding, i: int, claim: float, estimate: Floats, error: Floats, allowed: Floats
) -> Measured:
    return Measured(
        finding=finding,
        error=float(error[i]),
        tolerance=float(allowed[i]),
        claim=claim,
        estimate=float(estimate[i]),
    )


def _richardson(h: Floats, central: Floats, noise: float, factor: float) -> tuple[Floats, Floats]:
    """Extrapolated estimates and their errors: how far neighbours are apart, and rounding."""
    ratios = (h[:-1] / h[1:]) ** 2
    estimate = (ratios * central[1:] - central[:-1]) / (ratios - 1)
    apart = np.abs(np.diff(estimate))
    error = np.concatenate([[np.inf], apart])
    error += np.abs(estimate - central[1:]) / factor**2 + noise / h[1:]
    # Two neighbours can agree by chance: an error falls by no more than the theory allows.
    before = np.concatenate([[0.0, 0.0], error[1:-1]]) / factor**4
    return estimate, np.maximum(error, before)


def _insignificant(left: Floats, right: Floats, center: float) -> float:
    """A slope far below what the function's own size and variation suggest."""
    variation = max(abs(left[0]), abs(right[0]))
    return float(max(1e-3 * variation, 1e-6 * abs(center) / _FIRST))


def _informative(above: Floats, below: Floats, claim: float) -> npt.NDArray[np.bool_]:
    """Where the inside of g rounds to float32, tiny steps change nothing: no evidence of a zero slope."""
    moved = above != below
    if claim == 0 or not moved.any():
        return np.ones(len(above) - 1, bool)
    both: npt.NDArray[np.bool_] = moved[1:] & moved[:-1]
    return both


def _corner(
    h: Floats, left: Floats, right: Floats, noise: float, size: float
) -> tuple[Finding, float, float] | None:
    """A kink: one-sided slopes that stay (or grow) apart as the step shrinks. A jump: g itself does."""
    apart = np.abs(right - left)
    real = apart > 100 * noise / h
    tail = slice(-_RUN, None) if real[-_RUN:].all() else _last_run(real)
    if tail is None:
        return None
    gap, steps = apart[tail], h[tail]
    slopes = np.maximum(np.abs(left[tail]), np.abs(right[tail]))
    if _steady(gap) and np.all(gap > 1e-5 * slopes):
        return "kink", float(left[tail][-1]), float(right[tail][-1])
    if _steady(gap[1:] / gap[:-1]) and gap[-1] > 1.2 * gap[-2] and not _steady(gap * steps):
        return "kink", _limit(left[tail]), _limit(right[tail])
    if _steady(gap * steps) and np.all(gap * steps > 100 * _COARSEST * size):
        return "jump", float(left[tail][-1]), float(right[tail][-1])
    return None


def _limit(slopes: Floats) -> float:
    """Where one-sided slopes go: to infinity if they still grow with every step."""
    grows = np.all(np.abs(slopes[1:]) > 1.2 * np.abs(slopes[:-1]))
    return float(np.copysign(np.inf, slopes[-1]) if grows else slopes[-1])


def _last_run(real: npt.NDArray[np.bool_]) -> slice | None:
    """The smallest steps at which the difference stands out from rounding, if there are enough."""
    places = np.flatnonzero(real)
    if len(places) < _RUN:
        return None
    end = int(places[-1]) + 1
    return slice(end - _RUN, end) if real[end - _RUN : end].all() else None


def _steady(values: Floats) -> bool:
    return bool(values.min() > 0 and values.max() < 1.3 * values.min())
