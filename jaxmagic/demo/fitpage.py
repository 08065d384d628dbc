"""The demo with real counts in words, pictures and tables; each tab ends in the lines of JAX that made it."""

from __future__ import annotations

import math

from jaxmagic.demo import fit
from jaxmagic.demo.fitted import Fitted
from jaxmagic.demo.page import CURVE, between, lines_of_jax, people, signed
from jaxmagic.pages import units
from jaxmagic.pages.blocks import (
    Bar,
    Cell,
    Chart,
    Code,
    Column,
    Page,
    Prose,
    Series,
    Tab,
    Table,
    Words,
    strong,
    tab,
    words,
)

# Of each fitted figure: its name in words, its size in them, and the unit more that its effect is told for.
FIGURES = {
    "natural": ("births less deaths", "{:.2%} a year", "0.1 % a year", 0.001),
    "migration": ("migration", "{:,.0f} a year", "1,000 people a year", 1000.0),
    "capacity": ("capacity", "{:,.0f}", "100,000 people", 1e5),
    "start": ("people at the start", "{:,.0f}", "1,000 people", 1000.0),
}
BAND = ("the band", fit.curve, fit.sensitivity, fit.reach)
ERROR = ("the errors", fit.scatter, fit.covariance)
APART = 5  # years between two points of the still picture, which a notebook keeps
MOST_BIRTHS = 0.05  # a year for each inhabitant: more than 50 for 1,000 are rarely seen anywhere


def page(result: Fitted) -> Page:
    """The page of a fit."""
    return Page(say=say(result), conditions=conditions(result), tabs=(_fit(result), *evidence(result)))


def say(result: Fitted) -> Words:
    """What came out, in a sentence."""
    band, years = result.band, result.known.years
    people_then = strong(people(float(band.people[-1])))
    curve = f"Fitted to {len(years)} counts from {years[0]:.0f} to {years[-1]:.0f}, the curve reaches "
    wide = f" people in {result.years[-1]:.0f} ({between(band.low[-1], band.high[-1])} by its 95 % band)"
    return words(curve, people_then, wide, *_missed(result), ".")


def _missed(result: Fitted) -> Words:
    later = result.city.after(result.known.years[-1])
    if not len(later.years):
        return ()
    rows = zip(later.years, result.errors, strict=True)
    by = units.listed([f"{year:.0f} by {_percent(off)}" for year, off in rows])
    return words(" and misses the held-out count of ", strong(by))


def conditions(result: Fitted) -> Words:
    """Under which conditions it holds."""
    return words(
        f"death held at {100 * result.death:.2f} % a year · {fit.STEPS:,} steps of Adam (Optax) · "
        "the band is the curve's own: single counts scatter wider · derivatives by JAX"
    )


def evidence(result: Fitted) -> tuple[Tab, ...]:
    """All but the picture of the fit, which the live demo draws itself."""
    return (
        _held_out(result),
        _sensitivity(result),
        _told_apart(result),
        _descent(result),
        _counts(result),
        tab("the JAX", *lines_of_jax(*CURVE, BAND, ERROR)),
    )


def _fit(result: Fitted) -> Tab:
    return tab("the fit", _curve(result), _figures(result), *lines_of_jax(BAND))


def _curve(result: Fitted) -> Chart:
    band, last = result.band, result.known.years[-1]
    first, final = (people(float(band.people[i])) for i in (0, -1))
    later = result.city.after(last)
    counts = Series(
        name="counts",
        x=_tuple(result.known.years),
        y=_tuple(result.known.counts / 1e6),
        tone="forward",
        points=True,
    )
    held = Series(
        name="held out", x=_tuple(later.years), y=_tuple(later.counts / 1e6), tone="warn", points=True
    )
    x, y, low, high = (
        _tuple(row[::APART]) for row in (result.years, band.people / 1e6, band.low / 1e6, band.high / 1e6)
    )
    curve = Series(name="fit, 95 % band", x=x, y=y, low=low, high=high)
    return Chart(
        series=(curve, counts, held) if len(later.years) else (curve, counts),
        x="year",
        y="population, millions",
        alt=(
            f"The fitted curve from {first} in {result.years[0]:.0f} to {final} in {result.years[-1]:.0f}, "
            f"through {len(result.known.years)} counts."
        ),
        mark_x=float(last),
    )


def _held_out(result: Fitted) -> Tab:
    return tab(
        "held out",
        Prose(words=_held_out_in_words(result)),
        *lines_of_jax(("the misses", fit.curve, fit.misses)),
    )


def _counts(result: Fitted) -> Tab:
    city, band, seen = result.city, result.band, set(result.known.years)
    lines = ["year     counted       curve    off by"]
    for year, count in zip(city.years, city.counts, strict=True):
        people_then = float(band.people[int(year - result.years[0])])
        held = "" if year in seen else "  held out"
        off = _percent(people_then / count - 1)
        lines.append(f"{year:.0f}  {count:10,.0f}  {people_then:10,.0f}  {off:>8}{held}")
    source = city.source or "The counts are as they were given."
    return tab("counts", Prose(words=words(source)), Code(text="\n".join(lines)))


def _held_out_in_words(result: Fitted) -> Words:
    later, band = result.city.after(result.known.years[-1]), result.band
    if not len(later.years):
        return words("No count was held out: how far the forecast is off, nobody can tell from this fit.")
    said = []
    for year, count, off in zip(later.years, later.counts, result.errors, strict=True):
        i = int(year - result.years[0])
        inside = "inside" if band.low[i] <= count <= band.high[i] else "outside"
        said.append(
            f"In {year:.0f}, which the fit never saw, {people(count)} were counted; the curve says "
            f"{people(count * (1 + off))}, {_percent(off)}. The count lies {inside} the curve's 95 % band "
            f"({between(band.low[i], band.high[i])}). "
        )
    return words("".join(said), "Shares are of the count.")


def _figures(result: Fitted) -> Table:
    errors = result.unsure.errors()
    rows = []
    for name, value in result.path[-1].fitted.items():
        title, written, _, _ = FIGURES[name]
        rows.append(_cells(title, _written(written, value), _written(written, errors[name])))
    return _table(("figure", "fitted", "standard error"), *rows)


def _sensitivity(result: Fitted) -> Tab:
    band, last = result.band, f"{result.years[-1]:.0f}"
    errors = result.unsure.errors()
    widest = max(abs(float(band.effects[name][-1]) * errors[name]) for name in fit.NAMES)
    rows: list[tuple[Cell, ...]] = []
    for name, (title, _, unit, size) in FIGURES.items():
        effect = float(band.effects[name][-1])
        one_error = effect * errors[name]
        people_more = (effect * size, float(band.percent_effects[name][-1]), one_error)
        rows.append((*_cells(title, unit, *map(signed, people_more)), _bar(one_error, widest)))
    columns = ("figure", "a unit more", f"people in {last}", "by 1 % more", "by 1 standard error", "")
    return tab(
        "sensitivity",
        Prose(words=_most_effect(result)),
        _table(columns, *rows),
        *lines_of_jax(("the sensitivity", fit.sensitivity)),
    )


def _most_effect(result: Fitted) -> Words:
    errors, band = result.unsure.errors(), result.band
    most = max(fit.NAMES, key=lambda name: abs(float(band.effects[name][-1]) * errors[name]))
    people_more = people(abs(float(band.effects[most][-1])) * errors[most])
    return words(
        f"The forecast for {result.years[-1]:.0f} hangs most on the ",
        strong(FIGURES[most][0]),
        f": one standard error of it is {people_more} people.",
    )


def _told_apart(result: Fitted) -> Tab:
    rates = fit.rates(result.path[-1].fitted, result.death)
    rows = (
        _cells(_share(share), *(f"{part:+.2f}".replace("-", units.MINUS) for part in direction))
        for share, direction in zip(result.shares, result.directions.T, strict=True)
    )
    names = ("eigenvalue, of the largest", "birth", "death", "migration", "capacity")
    return tab(
        "what counts cannot tell",
        Prose(words=_open(result, rates["birth"])),
        _table(names, *rows),
        *lines_of_jax(("the Hessian", fit.each_year, fit.hessian)),
    )


def _open(result: Fitted, birth: float) -> Words:
    said = (
        "Birth and death enter the model as their difference: with both up together the curve stays as it "
        "is, and the Hessian is 0 in that direction (first row). So no count can tell them apart, and death "
        f"is held at {100 * result.death:.2f} % a year instead of being made up"
    )
    if birth < MOST_BIRTHS:
        return words(said, f"; birth is then {100 * birth:.2f} %.")
    return words(
        said,
        f". The {100 * birth:.2f} % for birth that follow are too many to be births: people who move in "
        "in proportion to the city's size count as born in it, for the model's migration is constant.",
    )


def _descent(result: Fitted) -> Tab:
    path = result.path[:: fit.UNTIL // fit.AT_ONCE]  # as many points as the eye can tell apart
    losses = tuple(step.loss for step in path)
    off = 100 * math.sqrt(losses[-1])
    chart = Chart(
        series=(Series(name="loss", x=tuple(float(step.number) for step in path), y=losses),),
        x="step",
        y="loss: mean squared miss",
        alt=f"The loss falls from {losses[0]:.3g} to {losses[-1]:.3g} in {result.path[-1].number:,} steps.",
        log_y=True,
    )
    said = f"The loss falls from {losses[0]:.3g} to {losses[-1]:.3g}: counts off by {off:.1f} %"
    made = ("the descent", fit.figures_of, fit.loss, fit.step_down)
    return tab("descent", Prose(words=words(f"{said} (root mean square).")), chart, *lines_of_jax(made))


def _percent(share: float) -> str:
    return f"{100 * share:+.1f} %".replace("-", units.MINUS)


def _written(how: str, value: float) -> str:
    return how.format(value).replace("%", " %").replace("-", units.MINUS)


def _share(share: float) -> str:
    return "0" if abs(share) < 1e-7 else f"{share:.3g}"  # float32 sees no further


def _bar(value: float, widest: float) -> Bar:
    return Bar(share=abs(value) / (widest or 1.0), tone="backward" if value < 0 else "accent")


def _table(titles: tuple[str, ...], *rows: tuple[Cell, ...]) -> Table:
    columns = [Column(title=titles[0], align="left"), *(Column(title=title) for title in titles[1:])]
    return Table(columns=tuple(columns), rows=rows)


def _cells(*texts: str) -> tuple[Words, ...]:
    return tuple(words(text) for text in texts)


def _tuple(values: fit.Floats) -> tuple[float, ...]:
    return tuple(map(float, values))
