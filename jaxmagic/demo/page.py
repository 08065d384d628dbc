"""The demo where no kernel runs it: the sentence, the pictures, the effects and the model."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeAlias

from jaxmagic.demo import population as model
from jaxmagic.demo.forecast import Floats, Forecast
from jaxmagic.pages import units
from jaxmagic.pages.blocks import (
    Bar,
    Cell,
    Chart,
    Code,
    Column,
    Page,
    Series,
    Tab,
    Table,
    Words,
    strong,
    tab,
    words,
)

TANGENT = 0.25  # how far the tangent reaches to either side, as a share of all the years

# What made a panel: its title, then functions, or the names of what the model defines in one line.
Made: TypeAlias = tuple[Callable[..., Any] | str, ...]
CURVE: tuple[Made, ...] = (("the curve, its growth and the effects", "growth", "effects", model.over_years),)


def page(forecast: Forecast, year: int) -> Page:
    """The page of a forecast, seen from one of its years.

    Args:
        forecast: what to show.
        year: where the tangent touches; one of `forecast.years`.
    """
    at = list(forecast.years).index(year)
    return Page(
        say=_say(forecast, at),
        conditions=conditions(forecast),
        tabs=(
            tab("population", _people(forecast, at), _growth(forecast, at), _effects(forecast, at)),
            *evidence(),
        ),
    )


def evidence() -> tuple[Tab, ...]:
    """What stands below the pictures: the code of the panels, and all of the model."""
    return tab("the JAX", *lines_of_jax(*CURVE)), tab("the model", Code(text=inspect.getsource(model)))


def lines_of_jax(*panels: Made) -> tuple[Code, ...]:
    """For each panel the lines of JAX that ran for it."""
    return tuple(
        Code(text="\n\n".join(_source(part) for part in made), caption=f"the JAX of {title}")
        for title, *made in panels
    )


def _source(part: Callable[..., Any] | str) -> str:
    if callable(part):
        return inspect.getsource(inspect.unwrap(part)).rstrip()
    lines = inspect.getsource(model).splitlines()
    return next(line for line in lines if line.startswith(f"{part} ="))


def _say(forecast: Forecast, at: int) -> Words:
    speed = float(forecast.growth[at])
    start = (
        f"In {forecast.years[at]:.0f} the city has ",
        strong(people(float(forecast.people[at]))),
        " people and ",
    )
    if abs(speed) < 0.5:
        return words(*start, "stays as it is.")
    return words(
        *start, "grows by " if speed > 0 else "shrinks by ", strong(_rounded(abs(speed))), " a year."
    )


def people(count: float) -> str:
    """A number of people to three digits: `1.31 million`, `845,000`."""
    return f"{units.figure(count / 1e6)} million" if count >= 1e6 else _rounded(count)


def between(low: float, high: float) -> str:
    """Two numbers of people: `7.50 to 8.62 million`, `845,000 to 1.10 million`."""
    first, last = people(float(low)), people(float(high))
    return f"{first.removesuffix(' million')} to {last}" if low >= 1e6 else f"{first} to {last}"


def _rounded(count: float) -> str:
    """Three digits, and whole people: `10,900`, `7`, `−91`."""
    return units.count(round(float(f"{count:.2e}")))


def signed(count: float) -> str:
    """A change in the number of people: `+10,600`, `−91`, `0`."""
    return f"+{_rounded(count)}" if round(count) > 0 else _rounded(count)


def conditions(forecast: Forecast) -> Words:
    """Under which conditions it holds."""
    city = forecast.city
    return words(
        f"{100 * city['birth']:.2f} % births and {100 * city['death']:.2f} % deaths a year, "
        f"migration {signed(city['migration'])} a year, room for {people(city['capacity'])} · ",
        *beginning(forecast),
    )


def beginning(forecast: Forecast) -> Words:
    """Those of the conditions that no slider moves."""
    start = people(forecast.city["start"])
    return words(f"{start} people in {forecast.years[0]:.0f} · derivatives by jax.grad")


def _people(forecast: Forecast, at: int) -> Chart:
    years, counts = _tuple(forecast.years), _tuple(forecast.people / 1e6)
    near = [i for i, year in enumerate(years) if abs(year - years[at]) <= TANGENT * (years[-1] - years[0])]
    slope = float(forecast.growth[at]) / 1e6
    tangent = tuple(counts[at] + slope * (years[i] - years[at]) for i in near)
    touch = f"{signed(float(forecast.growth[at]))} a year"
    return Chart(
        series=(
            Series(name="population", x=years, y=counts),
            Series(name=touch, x=tuple(years[i] for i in near), y=tangent, tone="warn", dashed=True),
        ),
        x="year",
        y="population, millions",
        alt=(
            f"Population from {years[0]:.0f} to {years[-1]:.0f}: from {people(float(forecast.people[0]))} "
            f"to {people(float(forecast.people[-1]))}. Tangent in {years[at]:.0f}: {touch}."
        ),
        mark_x=years[at],
    )


def _growth(forecast: Forecast, at: int) -> Chart:
    years, speeds = _tuple(forecast.years), _tuple(forecast.growth)
    first, last = (f"{signed(speeds[i])} people a year in {years[i]:.0f}" for i in (0, -1))
    thousands = tuple(speed / 1e3 for speed in speeds)
    return Chart(
        series=(Series(name="growth", x=years, y=thousands, tone="forward"),),
        x="year",
        y="growth, thousand people a year",
        alt=f"Growth from {first} to {last}.",
        mark_x=years[at],
    )


def _effects(forecast: Forecast, at: int) -> Table:
    effects = {name: float(by_year[at]) for name, by_year in forecast.percent_effects().items()}
    longest = max(map(abs, effects.values())) or 1.0
    return Table(
        columns=(
            Column(title="by", align="left"),
            Column(title="people a year"),
            Column(title="", align="left"),
        ),
        rows=tuple(_effect_row(name, effect, longest) for name, effect in effects.items()),
        caption=f"what 1 % more of each does to the growth in {forecast.years[at]:.0f}",
    )


def _effect_row(name: str, effect: float, longest: float) -> tuple[Cell, ...]:
    bar = Bar(share=abs(effect) / longest, tone="backward" if effect < 0 else "accent")
    return words(name), words(signed(effect)), bar


def _tuple(values: Floats) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
