"""What can be moved in the demo, how far, and the cities to start from."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from jaxmagic.demo.forecast import Forecast

YEAR = 2040


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
    ("capacity", "capacity", 4e5, 4e6, 2e4, 1.5e6, "people", "people that the city has room for"),
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


def sliders(first: Forecast, year: int) -> list[Slider]:
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


def presets_of_fit(first: Forecast) -> tuple[tuple[str, dict[str, float]], ...]:
    """What might have been of a fitted city."""
    best = dict(first.city)
    return (
        ("the fit", best),
        ("no migration", best | {"migration": 0.0}),
        ("half as much room again", best | {"capacity": 1.5 * best["capacity"]}),
    )
