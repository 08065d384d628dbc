"""`jaxmagic.population()`: the demo, live where there is a kernel and still a picture where not."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import anywidget
import numpy as np
import traitlets

from jaxmagic.demo import population as model
from jaxmagic.demo.forecast import Floats, Forecast, forecast
from jaxmagic.demo.page import page
from jaxmagic.magics import display
from jaxmagic.views import assets, bundle

YEARS = np.arange(2020, 2101)
YEAR = 2040
START = 3e5


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


def population(year: int = YEAR, **city: float) -> None:
    """Show the population of a city over the years, with a slider for each rate.

    Args:
        year: where the tangent touches at first, 2020 to 2100.
        city: what to start from instead of the usual: `birth`, `death` (shares of the people a year),
            `migration` (people a year), `capacity` and `start` (people).

    Raises:
        ValueError: rates that no city can have, with the reason.
    """
    if year not in YEARS:
        raise ValueError(f"year is one of {YEARS[0]} to {YEARS[-1]}, not {year}")
    usual = {slider.name: slider.start for slider in SLIDERS[:-1]} | {"start": START}
    first = forecast(YEARS, **usual | city)
    display.publish(partial(_shown, first, int(year)))


def _shown(first: Forecast, year: int, *, html: bool, live: bool) -> bundle.Shown:
    still = page(first, year, inspect.getsource(model))
    return bundle.Shown(still, html=html, live=live, view=lambda _: Demo(first, year))


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

    def __init__(self, first: Forecast, year: int) -> None:
        super().__init__(
            sliders=[asdict(slider) for slider in _sliders(first, year)],
            presets=[list(preset) for preset in PRESETS],
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
        if "ask" not in question:  # a nudge: see population.js
            return
        answer = {"answer": question["ask"], "city": question["city"]}
        try:
            result = forecast(self.years, **question["city"])
        except (ValueError, TypeError) as reason:
            self.send(answer | {"refused": str(reason)})
            return
        self.send(answer, buffers=[packed(result)])


def _sliders(first: Forecast, year: int) -> list[Slider]:
    """The sliders as a city sets them; the capacity cannot be moved to where its people have no room."""
    values, least = {**first.city, "year": year}, {"capacity": 1.01 * first.city["start"]}
    return [slider.around(values[slider.name], least.get(slider.name, -math.inf)) for slider in SLIDERS]


def packed(result: Forecast) -> bytes:
    """The figures as the browser reads them: float32 rows of population, growth, then the effects."""
    rows: list[Floats] = [result.people, result.growth, *result.percent_effects().values()]
    return np.stack(rows).astype("<f4").tobytes()
