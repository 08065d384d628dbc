"""The demo with real counts: the fit, its band, the held-out counts, what it rests on, and the code."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from jaxmagic.demo import fit
from jaxmagic.demo.census import Census
from jaxmagic.demo.page import people
from jaxmagic.errors import JaxmagicError
from jaxmagic.pages.blocks import Chart, Code, Column, Page, Prose, Series, Table, Words, strong, tab, words

AHEAD = 30  # years of forecast after the last count


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fitted:
    """A finished fit and what follows from it.

    Args:
        city: every count.
        known: those that were fitted; the later ones were held out.
        path: the descent; its last step is the fit.
        unsure: how far the counts pin it down.
        years: calendar years of `band`.
        band: the curve with its uncertainty.
        errors: how far off it is in each held-out year, as a share of the count.
        shares, directions: the Hessian's eigenvalues and eigenvectors, see `fit.undetermined`.
        death: the published death rate that is held.
    """

    city: Census
    known: Census
    path: tuple[fit.Step, ...]
    unsure: fit.Uncertainty
    years: fit.Floats
    band: fit.Band
    errors: fit.Floats
    shares: fit.Floats
    directions: fit.Floats
    death: float


def fitted(city: Census, held_out: int, death: float) -> Fitted:
    """Fit all but the last `held_out` counts, and look beyond them.

    Raises:
        JaxmagicError: too few counts, no share of the people, or optax is missing.
    """
    if not 0 <= held_out < len(city.years):
        raise JaxmagicError(f"held_out is 0 to {len(city.years) - 1} of the counts, not {held_out}.")
    if not 0 <= death <= 1:
        raise JaxmagicError(f"death is a share of the people a year, between 0 and 1, not {death:g}.")
    known = city.until(city.years[len(city.years) - held_out - 1])
    path = tuple(fit.descend(known))
    figures = path[-1].fitted
    unsure = fit.uncertainty(known, figures)
    years = np.arange(city.years[0], city.years[-1] + AHEAD + 1)
    shares, directions = fit.undetermined(known, figures, death)
    return Fitted(
        city=city,
        known=known,
        path=path,
        unsure=unsure,
        years=years,
        band=fit.band(known, figures, unsure, years),
        errors=fit.forecast_errors(city.after(known.years[-1]), known, figures),
        shares=shares,
        directions=directions,
        death=death,
    )


def page(result: Fitted) -> Page:
    """The page of a fit; each tab ends in the source of the functions that made it."""
    return Page(
        say=_say(result),
        conditions=words(result.city.source or "counts as given"),
        tabs=(
            tab("fit", _curve(result), _source(fit.curve, fit.band)),
            tab("descent", _losses(result), _source(fit.misses, fit.descent)),
            tab("held out", _held_out(result), _source(fit.forecast_errors)),
            tab("figures", _figures(result), _source(fit.figures_of, fit.uncertainty)),
            tab("sensitivity", _effects(result), _source(fit.band)),
            tab("birth or death", *_told_apart(result), _source(fit.undetermined)),
        ),
    )


def _say(result: Fitted) -> Words:
    last = -1
    start = (
        f"The fit gives {result.years[last]:.0f} ",
        strong(people(float(result.band.people[last]))),
        f" people, {people(float(result.band.low[last]))} to {people(float(result.band.high[last]))} "
        "by the band of the curve",
    )
    if not len(result.errors):
        return words(*start, ".")
    worst = float(np.abs(result.errors).max())
    return words(*start, "; the held-out counts are missed by up to ", strong(f"{100 * worst:.1f} %"), ".")


def _curve(result: Fitted) -> Chart:
    band = result.band
    first, final = (people(float(band.people[i])) for i in (0, -1))
    return Chart(
        series=(
            Series(
                name="fit",
                x=_tuple(result.years),
                y=_tuple(band.people / 1e6),
                low=_tuple(band.low / 1e6),
                high=_tuple(band.high / 1e6),
            ),
            Series(
                name="counts", x=_tuple(result.city.years), y=_tuple(result.city.counts / 1e6), tone="forward"
            ),
        ),
        x="year",
        y="population, millions",
        alt=f"The fitted curve from {first} in {result.years[0]:.0f} to {final} in {result.years[-1]:.0f}.",
        mark_x=float(result.known.years[-1]),
    )


def _losses(result: Fitted) -> Chart:
    losses = tuple(step.loss for step in result.path)
    return Chart(
        series=(Series(name="loss", x=tuple(float(step.number) for step in result.path), y=losses),),
        x="step",
        y="mean squared share",
        alt=f"The loss falls from {losses[0]:.3g} to {losses[-1]:.3g}.",
        log_y=True,
    )


def _held_out(result: Fitted) -> Table:
    later = result.city.after(result.known.years[-1])
    rows = zip(later.years, later.counts, result.errors, strict=True)
    return _table(
        ("year", "count", "fit", "off by"),
        *(
            (f"{year:.0f}", people(count), people(count * (1 + off)), f"{100 * off:+.1f} %")
            for year, count, off in rows
        ),
    )


def _figures(result: Fitted) -> Table:
    errors = result.unsure.errors()
    rows = ((name, f"{value:.4g}", f"{errors[name]:.2g}") for name, value in result.path[-1].fitted.items())
    return _table(("figure", "fitted", "standard error"), *rows)


def _effects(result: Fitted) -> Table:
    band = result.band
    rows = (
        (name, f"{band.effects[name][-1]:+.4g}", f"{band.percent_effects[name][-1]:+.4g}")
        for name in fit.NAMES
    )
    return _table((f"people in {result.years[-1]:.0f} by", "1 more", "1 % more"), *rows)


def _told_apart(result: Fitted) -> tuple[Prose, Table]:
    held = fit.rates(result.path[-1].fitted, result.death)
    said = (
        "Birth and death enter the model as their difference: the Hessian is 0 in the direction of both up "
        f"together. Death is held at {100 * held['death']:.2f} %, so birth is {100 * held['birth']:.2f} %."
    )
    rows = (
        (f"{abs(share):.1e}", *(f"{part:+.2f}" for part in direction))
        for share, direction in zip(result.shares, result.directions.T, strict=True)
    )
    names = ("eigenvalue, of the largest", "birth", "death", "migration", "capacity")
    return Prose(words=words(said)), _table(names, *rows)


def _table(titles: tuple[str, ...], *rows: tuple[str, ...]) -> Table:
    return Table(
        columns=tuple(Column(title=title) for title in titles),
        rows=tuple(tuple(words(cell) for cell in row) for row in rows),
    )


def _tuple(values: fit.Floats) -> tuple[float, ...]:
    return tuple(map(float, values))


def _source(*made: Callable[..., object]) -> Code:
    return Code(text="\n\n".join(inspect.getsource(each).rstrip() for each in made), caption="what made this")
