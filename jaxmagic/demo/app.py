"""`jaxmagic.population()`: the demo, live where there is a kernel and still a picture where not."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from os import PathLike, fspath
from typing import Any, TypeAlias

import anywidget
import numpy as np
import numpy.typing as npt
import traitlets

from jaxmagic.demo import fit, fitted
from jaxmagic.demo import population as model
from jaxmagic.demo.census import Census, census, read
from jaxmagic.demo.forecast import Floats, Forecast, forecast
from jaxmagic.demo.page import page
from jaxmagic.errors import JaxmagicError
from jaxmagic.magics import display
from jaxmagic.views import assets, bundle

YEARS = np.arange(2020, 2101)
YEAR = 2040
START = 3e5
# Deaths a year for each inhabitant of the United States in 2019: 869.7 for every 100,000 (National Center
# for Health Statistics, "Deaths: Final Data for 2019").
DEATH = 0.008697

Data: TypeAlias = str | PathLike[str] | tuple[npt.ArrayLike, npt.ArrayLike]


@dataclass(frozen=True, slots=True, kw_only=True)
class Slider:
    """A slider of the demo.

    Args:
        name: what it sets.
        label: what stands before it.
        low: its smallest value.
        high: its largest value.
        step: what an arrow key moves it by, or "any".
        start: where it stands at first.
        written: how its value is written: "percent", "migration", "people" or "year".
        help: what the value means.
    """

    name: str
    label: str
    low: float
    high: float
    step: float | str
    start: float
    written: str
    help: str

    def around(self, value: float, least: float = -math.inf) -> Slider:
        """The same slider, starting from a value, wide and fine enough for it, and nowhere below `least`."""
        return replace(
            self,
            low=max(min(self.low, value), least),
            high=max(self.high, value),
            step=self.step if self._stops_at(value) else "any",
            start=value,
        )

    def _stops_at(self, value: float) -> bool:
        steps = (value - self.low) / float(self.step)
        return steps >= 0 and math.isclose(steps, round(steps), abs_tol=1e-6)


_ROWS = (
    ("birth", "birth rate", 0, 0.05, 0.0005, 0.036, "percent", "births a year, as a share of the people"),
    ("death", "death rate", 0, 0.05, 0.0005, 0.008, "percent", "deaths a year, as a share of the people"),
    ("migration", "migration", -2e4, 2e4, 250, 2e3, "migration", "who move in each year, less who leave"),
    ("capacity", "capacity", 4e5, 4e6, 1e4, 1.5e6, "people", "people that the city has room for"),
    ("year", "year", 2020, 2100, 1, YEAR, "year", "where the tangent touches the curve"),
)
SLIDERS = tuple(
    Slider(**dict(zip(Slider.__dataclass_fields__, row, strict=True)))  # type: ignore[arg-type]  # rows are mixed
    for row in _ROWS
)

# Cities to start from: a name, and what is other there than where the sliders stand at first.
PRESETS: tuple[tuple[str, dict[str, float]], ...] = (
    ("start values", {}),
    ("shrinking", {"birth": 0.009, "death": 0.0135, "migration": -1500}),
    ("nearly full", {"capacity": 4e5}),
    ("by migration", {"birth": 0.009, "death": 0.0115, "migration": 6000}),
)


def population(
    data: Data | None = None, *, year: int | None = None, held_out: int = 1, **city: float
) -> None:
    """Show the population of a city over the years, with a slider for each rate.

    Args:
        data: counts to fit: a CSV file with a year and a count in each row, or (years, counts).
        year: where the tangent touches at first: 2020 to 2100, or with `data` from its first year on.
        held_out: how many of the last counts the fit does not see, to hold its forecast against.
        city: what to start from instead of the usual: `birth`, `death` (shares of the people a year),
            `migration` (people a year), `capacity` and `start` (people). With `data` all but `death` come
            from the fit; `death` is held, as no counts can tell it from fewer births.

    Raises:
        ValueError: a year that is not among them.
        JaxmagicError: rates that no city can have (`BadCity`), no counts, or too few; the fit needs optax.
    """
    if data is None:
        usual = {slider.name: slider.start for slider in SLIDERS[:-1]} | {"start": START}
        first, when = forecast(YEARS, **usual | city), _among(YEARS, year, YEAR)
        display.publish(partial(_shown, first, when))
        return
    if fitted_too := sorted(city.keys() - {"death"}):
        raise JaxmagicError(f"The fit finds {', '.join(fitted_too)} itself.", fix="Give `death` alone.")
    result = fitted.fitted(_census(data), held_out, city.get("death", DEATH))
    when = _among(result.years, year, int(result.city.years[-1]))
    display.publish(partial(_fit_shown, result, when))


def _among(years: npt.NDArray[Any], year: int | None, usual: int) -> int:
    if year is not None and year not in years:
        raise ValueError(f"year is one of {years[0]:.0f} to {years[-1]:.0f}, not {year}")
    return usual if year is None else int(year)


def _census(data: Data) -> Census:
    return census(*data) if isinstance(data, tuple) else read(fspath(data))


def _shown(first: Forecast, year: int, *, html: bool, live: bool) -> bundle.Shown:
    still = page(first, year, inspect.getsource(model))
    return bundle.Shown(still, html=html, live=live, view=lambda _: Demo(first, year))


def _fit_shown(result: fitted.Fitted, year: int, *, html: bool, live: bool) -> bundle.Shown:
    first = forecast(result.years, **_city(result.path[-1], result.death))
    still = fitted.page(result)
    return bundle.Shown(still, html=html, live=live, view=lambda _: Demo(first, year, result))


def _city(step: fit.Step, death: float) -> dict[str, float]:
    """What a step of the fit found, as a city of the model."""
    rest = {name: step.fitted[name] for name in ("migration", "capacity", "start")}
    return fit.rates(step.fitted, death) | rest


class Demo(anywidget.AnyWidget):
    """The live demo: it draws in the browser and asks `forecast` for what a moved slider means."""

    _esm = assets.module("population.js")
    _css = assets.styles("live.css", "population.css")

    sliders: Any = traitlets.List().tag(sync=True)
    presets: Any = traitlets.List().tag(sync=True)
    years: Any = traitlets.List().tag(sync=True)
    year = traitlets.Int().tag(sync=True)
    city = traitlets.Dict().tag(sync=True)
    figures = traitlets.Bytes().tag(sync=True)
    source = traitlets.Unicode().tag(sync=True)
    panels: Any = traitlets.List().tag(sync=True)
    counts: Any = traitlets.List().tag(sync=True)
    best = traitlets.Dict().tag(sync=True)
    band = traitlets.Bytes().tag(sync=True)

    def __init__(self, first: Forecast, year: int, result: fitted.Fitted | None = None) -> None:
        self._result = result
        self._descent: Iterator[fit.Step] = iter(())
        super().__init__(
            sliders=[asdict(slider) for slider in _sliders(first, year)],
            presets=[list(preset) for preset in (_fit_presets(first) if result else PRESETS)],
            **(_fit_traits(result, first) if result else {}),
            panels=_panels(with_fit=result is not None),
            years=[int(year) for year in first.years],
            year=year,
            city=dict(first.city),
            figures=packed(first),
            source=inspect.getsource(model),
        )
        self.on_msg(self._answer)

    def close(self) -> None:
        """Let go of the model, here and in the front end, and of its layout's."""
        self.layout.close()
        super().close()

    def _answer(self, _widget: Any, question: Mapping[str, Any], _buffers: Any) -> None:
        """Compute what the hand asks for; a city that cannot be is refused with the reason."""
        if "fit" in question:
            self._descend(question)
            return
        if "ask" not in question:  # a nudge: see population.js
            return
        answer = {"answer": question["ask"], "city": question["city"]}
        try:
            result = forecast(self.years, **question["city"])
        except (ValueError, TypeError) as reason:
            self.send(answer | {"refused": str(reason)})
            return
        self.send(answer, buffers=[packed(result)])

    def _descend(self, question: Mapping[str, Any]) -> None:
        """Go some steps down and say where that leads; the browser asks for the next, or no more.

        Between two questions the kernel is free, so that it hears the stop button; Ctrl-C stops as well.
        """
        answer = {"fitted": question["fit"]}
        if self._result is None:
            return
        if question.get("go"):
            self._descent = fit.descend(self._result.known)
        try:
            step = next(self._descent)
            city = _city(step, self._result.death)
            picture = packed(forecast(self.years, **city))
        except KeyboardInterrupt:
            self._descent = iter(())
            self.send(answer | {"ended": "stopped"})
        except (StopIteration, ValueError, JaxmagicError) as reason:
            self.send(answer | {"ended": str(reason) or "done"})
        else:
            found = {"step": step.number, "of": fit.STEPS, "loss": step.loss, "city": city}
            self.send(answer | found, buffers=[picture])


def _fit_presets(first: Forecast) -> tuple[tuple[str, dict[str, float]], ...]:
    """What might have been of a fitted city."""
    best = dict(first.city)
    return (
        ("the fit", best),
        ("no migration", best | {"migration": 0.0}),
        ("half as much room again", best | {"capacity": 1.5 * best["capacity"]}),
    )


def _fit_traits(result: fitted.Fitted, first: Forecast) -> dict[str, Any]:
    """What the browser draws of a fit: the counts (year, people, whether it was fitted) and the band."""
    known = set(result.known.years)
    rows = zip(result.city.years, result.city.counts, strict=True)
    return {
        "counts": [[float(year), float(people), year in known] for year, people in rows],
        "best": dict(first.city),
        "band": np.stack([result.band.low, result.band.high]).astype("<f4").tobytes(),
    }


def _panels(*, with_fit: bool) -> list[list[str]]:
    """For each panel its title and the source of what ran for it."""
    made: tuple[tuple[str, Any], ...] = (("the curve, its growth and the effects", model.over_years),)
    if with_fit:
        made += ("the fit", fit.descent), ("its error", fit.uncertainty), ("the band", fit.band)
    return [[title, inspect.getsource(inspect.unwrap(function))] for title, function in made]


def _sliders(first: Forecast, year: int) -> list[Slider]:
    """The sliders as a city sets them; the capacity cannot be moved to where its people have no room."""
    values, least = dict(first.city), {"capacity": 1.01 * first.city["start"]}
    rates = [slider.around(values[slider.name], least.get(slider.name, -math.inf)) for slider in SLIDERS[:-1]]
    time = replace(SLIDERS[-1], low=float(first.years[0]), high=float(first.years[-1]), start=year)
    return [*(_roomy(slider) for slider in rates), time]


def _roomy(slider: Slider) -> Slider:
    """With space above a value that would stand at the very end; no rate goes over 100 %."""
    if slider.start < slider.high:
        return slider
    twice = 2 * slider.start
    return replace(slider, high=min(twice, 1.0) if slider.written == "percent" else twice)


def packed(result: Forecast) -> bytes:
    """The figures as the browser reads them: float32 rows of population, growth, then the effects."""
    rows: list[Floats] = [result.people, result.growth, *result.percent_effects().values()]
    return np.stack(rows).astype("<f4").tobytes()
