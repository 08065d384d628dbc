"""`jaxmagic.population()`: the demo, live where there is a kernel and still a picture where not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import partial
from os import PathLike, fspath
from typing import Any, TypeAlias

import anywidget
import ipywidgets
import numpy as np
import numpy.typing as npt
import traitlets

from jaxmagic.demo import fit, fitpage, fitted, page
from jaxmagic.demo.census import Census, census, read
from jaxmagic.demo.forecast import Forecast, forecast, packed, packed_along
from jaxmagic.demo.sliders import PRESETS, SLIDERS, YEAR, presets_of_fit, sliders
from jaxmagic.errors import JaxmagicError
from jaxmagic.magics import display
from jaxmagic.pages.blocks import Page, Tab, Words
from jaxmagic.views import assets, bundle
from jaxmagic.views.live import PageView

YEARS = np.arange(2020, 2101)
START = 3e5
# Deaths a year for each inhabitant of the United States in 2019: 869.7 for every 100,000 (J. Xu, S. Murphy,
# K. Kochanek, E. Arias, "Deaths: Final Data for 2019", National Vital Statistics Reports 70(8), 2021).
DEATH = 0.008697
MOST_PLACES = 500  # of a slider that are computed ahead

Data: TypeAlias = str | PathLike[str] | tuple[npt.ArrayLike, npt.ArrayLike]


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
    def view(_: Page) -> bundle.View:
        return Beside(Demo(first, year), page.evidence())

    return bundle.Shown(page.page(first, year), html=html, live=live, view=view)


def _fit_shown(result: fitted.Fitted, year: int, *, html: bool, live: bool) -> bundle.Shown:
    def view(_: Page) -> bundle.View:
        first = forecast(result.years, **_city(result.path[-1], result.death))
        return Beside(Demo(first, year, result), fitpage.evidence(result))

    return bundle.Shown(fitpage.page(result), html=html, live=live, view=view)


def _city(step: fit.Step, death: float) -> dict[str, float]:
    """What a step of the fit found, as a city of the model."""
    rest = {name: step.fitted[name] for name in ("migration", "capacity", "start")}
    return fit.rates(step.fitted, death) | rest


class Beside(ipywidgets.VBox):
    """The live demo, and below it the evidence that its static page has too."""

    def __init__(self, demo: Demo, evidence: tuple[Tab, ...]) -> None:
        super().__init__(children=[demo, PageView(Page(say=(), tabs=evidence))])

    def show(self, _: Page) -> None:
        """Nothing else is ever shown in its place."""

    def close(self) -> None:
        """Let go of all its models, here and in the front end."""
        for child in self.children:
            child.close()
        self.layout.close()
        super().close()


class Demo(anywidget.AnyWidget):
    """The live demo: it draws in the browser and asks `forecast` for what a moved slider means."""

    _esm = assets.module("population_draw.js", "population_ask.js", "population.js")
    _css = assets.styles("live.css", "population.css")

    sliders: Any = traitlets.List().tag(sync=True)
    presets: Any = traitlets.List().tag(sync=True)
    years: Any = traitlets.List().tag(sync=True)
    year = traitlets.Int().tag(sync=True)
    city = traitlets.Dict().tag(sync=True)
    figures = traitlets.Bytes().tag(sync=True)
    counts: Any = traitlets.List().tag(sync=True)
    best = traitlets.Dict().tag(sync=True)
    band = traitlets.Bytes().tag(sync=True)
    found: Any = traitlets.List().tag(sync=True)
    conditions = traitlets.Unicode().tag(sync=True)

    def __init__(self, first: Forecast, year: int, result: fitted.Fitted | None = None) -> None:
        self._result = result
        self._descent: Iterator[fit.Step] = iter(())
        said = fitpage.conditions(result) if result else page.beginning(first)
        super().__init__(
            sliders=[asdict(slider) for slider in sliders(first, year)],
            presets=[list(preset) for preset in (presets_of_fit(first) if result else PRESETS)],
            **(_fit_traits(result, first) if result else {}),
            conditions="".join(run.text for run in said),
            years=[int(year) for year in first.years],
            year=year,
            city=dict(first.city),
            figures=packed(first),
        )
        self.on_msg(self._answer)

    def close(self) -> None:
        """Let go of the model, here and in the front end, and of its layout's."""
        self.layout.close()
        super().close()

    def _answer(self, _widget: Any, question: Mapping[str, Any], _buffers: Any) -> None:
        """Answer the browser; what makes no sense, such as its nudges (population_ask.js), gets no answer."""
        for asked, answer in (("ask", self._compute), ("along", self._compute_along), ("fit", self._descend)):
            if asked in question:
                answer(question)

    def _compute(self, question: Mapping[str, Any]) -> None:
        """Compute what the hand asks for; a city that cannot be is refused with the reason."""
        answer = {"answer": question["ask"], "city": question["city"]}
        try:
            result = forecast(self.years, **question["city"])
        except (ValueError, TypeError) as reason:
            self.send(answer | {"refused": str(reason)})
            return
        self.send(answer, buffers=[packed(result)])

    def _compute_along(self, question: Mapping[str, Any]) -> None:
        """Compute the city for every place of a slider, so that its moves need no kernel."""
        try:
            places = min(question["places"], MOST_PLACES)
            values = np.linspace(question["low"], question["high"], places)
            figures = packed_along(self.years, question["city"], question["along"], values)
        except (KeyError, TypeError, ValueError):
            figures = b""
        if figures:  # or else the browser asks for one city after the other
            self.send(dict(question) | {"places": places}, buffers=[figures])

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


def _fit_traits(result: fitted.Fitted, first: Forecast) -> dict[str, Any]:
    """What the browser draws of a fit: the counts (year, people, whether it was fitted) and the band."""
    known = set(result.known.years)
    rows = zip(result.city.years, result.city.counts, strict=True)
    return {
        "counts": [[float(year), float(people), year in known] for year, people in rows],
        "best": dict(first.city),
        "band": np.stack([result.band.low, result.band.high]).astype("<f4").tobytes(),
        "found": _runs(fitpage.say(result)),
    }


def _runs(words: Words) -> list[list[Any]]:
    """Words as the browser reads them: text, and whether it is strong."""
    return [[run.text, run.strong] for run in words]
