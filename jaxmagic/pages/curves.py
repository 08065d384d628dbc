"""Pictures of a function: of one number with its derivatives and tangent, of two with their gradient."""

from __future__ import annotations

import math

from jaxmagic.pages import units
from jaxmagic.pages.blocks import Chart, Contours, Course, Series, Tone
from jaxmagic.results import Curve, Field

MARKS: tuple[tuple[str, Tone], ...] = (("′", "forward"), ("″", "backward"), ("‴", "warn"))


def course(curve: Curve, name: str) -> Course:
    """The function with its tangent, and its derivatives below."""
    shown = curve.shown or (curve.x[0], curve.x[-1])
    still = _within(curve, *shown)
    alt = _told(still, name)
    return Course(
        name=name, by=curve.by, x=curve.x, ys=curve.ys, shown=shown, at=curve.at, alt=alt,
        charts=(_function(still, name, alt), _derivatives(still, name)),
    )  # fmt: skip


def _within(curve: Curve, low: float, high: float) -> Curve:
    """The part to show first."""
    kept = [i for i, x in enumerate(curve.x) if low <= x <= high]
    ys = tuple(tuple(y[i] for i in kept) for y in curve.ys)
    return Curve(x=tuple(curve.x[i] for i in kept), ys=ys, at=curve.at, by=curve.by)


def _function(curve: Curve, name: str, alt: str) -> Chart:
    return Chart(
        series=(Series(name=name, x=curve.x, y=curve.ys[0]), _tangent(curve)),
        x=curve.by,
        y=name,
        alt=alt,
        mark_x=curve.at,
    )


def _derivatives(curve: Curve, name: str) -> Chart:
    return Chart(
        series=tuple(
            Series(name=f"{name}{mark}", x=curve.x, y=y, tone=tone)
            for (mark, tone), y in zip(MARKS, curve.ys[1:], strict=False)
        ),
        x=curve.by,
        y="derivatives",
        alt=f"The derivatives of {name} by {curve.by} over the same range.",
        mark_x=curve.at,
    )


def _tangent(curve: Curve) -> Series:
    """Through the point, as far as the function itself goes up and down."""
    here = curve.x.index(curve.at)
    value, slope = curve.ys[0][here], curve.ys[1][here]
    finite = [y for y in curve.ys[0] if math.isfinite(y)] or [0.0]
    margin = 0.1 * (max(finite) - min(finite))
    line = [value + slope * (x - curve.at) for x in curve.x]
    inside = tuple(y if min(finite) - margin <= y <= max(finite) + margin else math.nan for y in line)
    return Series(name="tangent", x=curve.x, y=inside, tone="warn", dashed=True)


def _told(curve: Curve, name: str) -> str:
    here = curve.x.index(curve.at)
    value, slope = units.figure(curve.ys[0][here], 4), units.figure(curve.ys[1][here], 4)
    where = f"from {units.brief(curve.x[0])} to {units.brief(curve.x[-1])}"
    return f"{name} for {curve.by} {where}; at {units.brief(curve.at)} it is {value} with slope {slope}."


def contours(field: Field, name: str) -> Contours:
    """Level lines and arrows that point uphill."""
    a, b = field.names
    finite = [v for row in field.values for v in row if math.isfinite(v)]
    ranges = " and ".join(
        f"{one} from {units.brief(ends[0])} to {units.brief(ends[-1])}"
        for one, ends in zip(field.names, (field.x, field.y), strict=True)
    )
    reach = (
        f"it is between {units.brief(min(finite))} and {units.brief(max(finite))}" if finite else "no number"
    )
    alt = f"Level lines of {name} over {ranges}, where {reach}; the arrows are its gradient, uphill."
    return Contours(
        name=name, names=(a, b), x=field.x, y=field.y, values=field.values, slopes=field.slopes,
        at=field.at, alt=alt,
    )  # fmt: skip
