"""A finished fit and what follows from it: the band, the held-out counts, what the counts leave open."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jaxmagic.demo import fit
from jaxmagic.demo.census import Census
from jaxmagic.errors import JaxmagicError

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
