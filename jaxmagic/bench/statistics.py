"""From samples to figures: low quantiles, and intervals from the spread over time batches.

A low quantile because what disturbs a timing only ever adds to it (a tenth: on a busy machine 40 known
ratios were read within 0.6 %, by the quarter within 1.8 %). The interval comes from the
batches because samples taken one after another share their disturbances: a bootstrap over them
is far too narrow. And what all batches of one run share (where its memory happens to lie) no spread
can show: intervals are never narrower than `UNSEEN`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from jaxmagic.results import Interval

Batches = Sequence[Sequence[float]]

# The share of samples below the figure, and the fewest batches whose spread says anything.
LOW = 0.1
FEWEST = 3
# Relative: what one side against itself was off by in whole runs, beyond what their batches showed.
UNSEEN = 0.005

# Student's t for a two-sided 95 % interval, by degrees of freedom (the last one for more).
_T = (math.inf, 12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160)


def quantile(samples: Sequence[float], share: float) -> float:
    """The linearly interpolated quantile of a non-empty sample (NumPy's default)."""
    ordered = sorted(samples)
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def typical(batches: Batches) -> float | None:
    """The low quantile of all samples; None without any."""
    pooled = [sample for batch in batches for sample in batch]
    return quantile(pooled, LOW) if pooled else None


def spread(batches: Batches) -> Interval | None:
    """`typical` with the interval that the batches' own low quantiles give."""
    estimate = typical(batches)
    if estimate is None:
        return None
    return _around(estimate, [quantile(batch, LOW) for batch in batches if batch])


def ratio(over: Batches, under: Batches) -> Interval | None:
    """How many times longer `over` takes than `under`; batches are paired by their place."""
    pairs = [(a, b) for a, b in zip(over, under, strict=False) if a and b]
    above, below = typical([a for a, _ in pairs]), typical([b for _, b in pairs])
    if above is None or not below:
        return None
    lows = [(quantile(a, LOW), quantile(b, LOW)) for a, b in pairs]
    return _around(above / below, [a / b for a, b in lows if b])


def unsteadiness(batches: Batches) -> float | None:
    """The relative standard deviation of the batches' low quantiles; None for too few."""
    figures = [math.log(low) for batch in batches if batch and (low := quantile(batch, LOW)) > 0]
    return _deviation(figures) if len(figures) >= FEWEST else None


def break_even(slow: float, fast: float, first: float) -> int | None:
    """From which call on the fast side is ahead although its first call took longer.

    Args:
        slow: seconds a call of the side that needs no compiling.
        fast: seconds a call of the side that does.
        first: seconds of the fast side's first call, compiling included.

    Returns:
        The smallest n with first + (n - 1) fast <= n slow; None when there is none.
    """
    if fast >= slow:
        return None
    return max(1, math.ceil((first - fast) / (slow - fast)))


def quotient(above: Interval, below: Interval) -> Interval:
    """The ratio of two figures that were measured apart; their relative errors add up as squares do."""
    estimate = above.estimate / below.estimate
    if above.low is None or above.high is None or below.low is None or below.high is None:
        return Interval(low=None, estimate=estimate, high=None)
    down = math.hypot(math.log(above.estimate / above.low), math.log(below.high / below.estimate))
    up = math.hypot(math.log(above.high / above.estimate), math.log(below.estimate / below.low))
    return Interval(low=estimate * math.exp(-down), estimate=estimate, high=estimate * math.exp(up))


def crossing(sizes: Sequence[float], ratios: Sequence[float]) -> float | None:
    """The size from which on all ratios are above 1, on straight lines in the logarithms.

    Args:
        sizes: growing.
        ratios: one at each size.

    Returns:
        None when the last ratio is not above 1, or when all are.
    """
    ahead = len(ratios)
    while ahead > 0 and ratios[ahead - 1] > 1:
        ahead -= 1
    if not 0 < ahead < len(ratios):
        return None
    below, above = math.log(ratios[ahead - 1]), math.log(ratios[ahead])
    start, end = math.log(sizes[ahead - 1]), math.log(sizes[ahead])
    return math.exp(start + (end - start) * -below / (above - below))


def _around(estimate: float, figures: Sequence[float]) -> Interval:
    """A 95 % interval for positive figures, symmetric in the logarithm; open-ended if unknown.

    Yuen's interval for a trimmed mean: with five or more figures the lowest and the highest count as
    their neighbours do, so that one disturbed batch does not blur the rest.
    """
    logs = sorted(math.log(figure) for figure in figures if figure > 0)
    if len(logs) < FEWEST or estimate <= 0:
        return Interval(low=None, estimate=estimate, high=None)
    trimmed = logs[1:-1] if len(logs) >= FEWEST + 2 else logs
    kept = len(trimmed)
    winsorised = [min(max(log, trimmed[0]), trimmed[-1]) for log in logs]
    error = _deviation(winsorised) * math.sqrt(len(logs)) / kept
    reach = math.hypot(_T[min(kept - 1, len(_T) - 1)] * error, UNSEEN)
    low, high = math.exp(_mean(trimmed) - reach), math.exp(_mean(trimmed) + reach)
    return Interval(low=min(low, estimate), estimate=estimate, high=max(high, estimate))


def _mean(figures: Sequence[float]) -> float:
    return math.fsum(figures) / len(figures)


def _deviation(figures: Sequence[float]) -> float:
    """The standard deviation of two or more figures."""
    centre = _mean(figures)
    return math.sqrt(math.fsum((figure - centre) ** 2 for figure in figures) / (len(figures) - 1))
