"""The demo where no kernel runs it: the sentence, the pictures, the effects and the model."""

from __future__ import annotations

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
    Table,
    Words,
    strong,
    tab,
    words,
)

TANGENT = 0.25  # how far the tangent reaches to either side, as a share of all the years


def page(forecast: Forecast, year: int, source: str) -> Page:
    """The page of a forecast, seen from one of its years.

    Args:
        forecast: what to show.
        year: where the tangent touches; one of `forecast.years`.
        source: the model's own code.
    """
    at = list(forecast.years).index(year)
    return Page(
        say=_say(forecast, at),
        conditions=_conditions(forecast),
        tabs=(
            tab("population", _people(forecast, at), _growth(forecast, at), _effects(forecast, at)),
            tab("the model", Code(text=source)),
        ),
    )


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


def _rounded(count: float) -> str:
    """Three digits, and whole people: `10,900`, `7`, `−91`."""
    return units.count(round(float(f"{count:.2e}")))


def _signed(count: float) -> str:
    return f"+{_rounded(count)}" if round(count) > 0 else _rounded(count)


def _conditions(forecast: Forecast) -> Words:
    city = forecast.city
    return words(
        f"{100 * city['birth']:.2f} % births and {100 * city['death']:.2f} % deaths a year, "
        f"migration {_signed(city['migration'])} a year, room for {people(city['capacity'])} · "
        f"{people(city['start'])} people in {forecast.years[0]:.0f} · derivatives by `jax.grad`".replace(
            "`", ""
        )
    )


def _people(forecast: Forecast, at: int) -> Chart:
    years, counts = _tuple(forecast.years), _tuple(forecast.people / 1e6)
    near = [i for i, year in enumerate(years) if abs(year - years[at]) <= TANGENT * (years[-1] - years[0])]
    slope = float(forecast.growth[at]) / 1e6
    tangent = tuple(counts[at] + slope * (years[i] - years[at]) for i in near)
    touch = f"{_signed(float(forecast.growth[at]))} a year"
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
    first, last = (f"{_signed(speeds[i])} people a year in {years[i]:.0f}" for i in (0, -1))
    return Chart(
        series=(Series(name="growth", x=years, y=speeds, tone="forward"),),
        x="year",
        y="growth, people a year",
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
        caption=f"effect of 1 % more on the growth in {forecast.years[at]:.0f}",
    )


def _effect_row(name: str, effect: float, longest: float) -> tuple[Cell, ...]:
    bar = Bar(share=abs(effect) / longest, tone="backward" if effect < 0 else "accent")
    return words(name), words(_signed(effect)), bar


def _tuple(values: Floats) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
