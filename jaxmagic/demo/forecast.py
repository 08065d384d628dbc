"""What the demo asks of the model: every year at once, and nothing that no city can be."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from jaxmagic.demo.population import over_years
from jaxmagic.errors import JaxmagicError

Floats = npt.NDArray[np.float32]

RATES = ("birth", "death", "migration", "capacity")


class BadCity(JaxmagicError, ValueError):
    """Numbers that no city can have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """A city's future.

    Args:
        years: calendar years; every figure below is for each of them.
        city: birth, death, migration and capacity, and start, the people in the first year.
        people: how many live there.
        growth: people a year.
        effects: by rate, what one unit more of it does to the growth.
    """

    years: Floats
    city: Mapping[str, float]
    people: Floats
    growth: Floats
    effects: Mapping[str, Floats]

    def percent_effects(self) -> dict[str, Floats]:
        """By rate, what 1 % more of it does to the growth, in people a year."""
        return {name: effect * np.float32(self.city[name] / 100) for name, effect in self.effects.items()}


def forecast(
    years: npt.ArrayLike, *, birth: float, death: float, migration: float, capacity: float, start: float
) -> Forecast:
    """The population, its growth and the effects of the rates on the growth, year by year.

    Args:
        years: calendar years in order; `start` people live in the city in the first.
        birth: births a year for each inhabitant, 0 to 1.
        death: deaths a year for each inhabitant, 0 to 1.
        migration: people a year who move in, less those who leave.
        capacity: people that the city has room for, more than `start`.
        start: people in the first year.

    Raises:
        BadCity: something that no city can be, with the reason and the fix.
    """
    city = {"birth": birth, "death": death, "migration": migration, "capacity": capacity, "start": start}
    when = np.asarray(years, np.float32)
    check(**city)
    people, growth, effects = over_years(when - when[0], *map(np.float32, city.values()))
    return Forecast(
        years=when,
        city=city,
        people=np.asarray(people),
        growth=np.asarray(growth),
        effects={name: np.asarray(effect) for name, effect in zip(RATES, effects, strict=True)},
    )


def packed(result: Forecast) -> bytes:
    """The figures as the browser reads them: float32 rows of population, growth, then the effects."""
    rows: list[Floats] = [result.people, result.growth, *result.percent_effects().values()]
    return np.stack(rows).astype("<f4").tobytes()


def packed_along(
    years: npt.ArrayLike, city: Mapping[str, float], name: str, values: Iterable[float]
) -> bytes:
    """The packed figures of a city for each of many values of one of its figures.

    One call a value (0.1 ms): one call for all of them would have to be compiled first.

    Raises:
        BadCity: a value that no city can have.
    """
    return b"".join(packed(forecast(years, **{**city, name: float(value)})) for value in values)


def check(**city: float) -> None:
    """Refuse what no city can be.

    Raises:
        BadCity: with the reason and the fix.
    """
    for name, value in city.items():
        if not math.isfinite(value):
            raise BadCity(f"{name} must be a number, not {value}", fix=f"Give a finite {name}.")
    for wrong, reason, fix in _REFUSED:
        if wrong(city):
            raise BadCity(reason.format(**city), fix=fix)


# What no city can be, in the order in which it is told.
_REFUSED: tuple[tuple[Callable[[Mapping[str, float]], bool], str, str], ...] = (
    (
        lambda city: not 0 <= city["birth"] <= 1,
        "birth is a share of the people a year: between 0 and 1 (100 %), not {birth:g}",
        "Write 14 for every 1,000 people as birth=0.014.",
    ),
    (
        lambda city: not 0 <= city["death"] <= 1,
        "death is a share of the people a year: between 0 and 1 (100 %), not {death:g}",
        "Write 14 for every 1,000 people as death=0.014.",
    ),
    (
        lambda city: city["start"] < 0,
        "start counts people: 0 or more, not {start:g}",
        "Give the people of the first year.",
    ),
    (
        lambda city: city["capacity"] <= 0,
        "capacity counts people: more than 0, not {capacity:g}",
        "Give the people that the city has room for.",
    ),
    (
        lambda city: city["capacity"] <= city["start"],
        "capacity ({capacity:g}) must be above the {start:g} people who already live in the city",
        "Raise capacity or lower start.",
    ),
    (
        lambda city: abs(city["migration"]) > city["capacity"],
        "migration is people a year: {migration:g} is more than the whole capacity ({capacity:g})",
        "Give the people who move in during one year, less those who leave.",
    ),
)
