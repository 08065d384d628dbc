"""Fitting the model to a city's counts: gradient descent, what it leaves open, and how sure it is.

Birth and death enter the model as their difference only, so no counts can tell them apart
(`undetermined` reads that off the Hessian): the fit finds the difference, and `rates` holds the death rate
at a published one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from jaxmagic.demo.census import Census
from jaxmagic.demo.population import Number, population
from jaxmagic.errors import JaxmagicError

Floats = npt.NDArray[np.float64]
Carry: TypeAlias = tuple[jax.Array, Any]  # what the descent moves, and the state of its optimiser

NAMES = ("natural", "migration", "capacity", "start")
STEPS = 3000
AT_FIRST, UNTIL, AT_ONCE = 5, 200, 50  # descent steps between two looks: few until so many, then more
RATE = 0.05  # of Adam, at first; it falls to 0 as a cosine


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Where the descent is.

    Args:
        number: descent steps so far, of `STEPS`.
        loss: mean squared error of the counts, each as a share of the count.
        fitted: by `NAMES`: people per inhabitant and year, people a year, people, people.
    """

    number: int
    loss: float
    fitted: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Uncertainty:
    """How far the counts pin the fit down, from the Gauss-Newton Hessian at it.

    Args:
        scatter: standard deviation of the counts around the curve, as a share of the count.
        covariance: of the fitted figures in the order of `NAMES`, in their own units, 4 by 4.
    """

    scatter: float
    covariance: Floats

    def errors(self) -> dict[str, float]:
        """The standard error of each fitted figure."""
        return dict(zip(NAMES, map(float, np.sqrt(np.diag(self.covariance))), strict=True))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Band:
    """The curve with its uncertainty; each row holds people, by year.

    Args:
        effects: by name, people more in a year for one unit more of a fitted figure.
        percent_effects: the same for 1 % more of it.
    """

    people: Floats
    low: Floats
    high: Floats
    effects: Mapping[str, Floats]
    percent_effects: Mapping[str, Floats]


# -- the mathematics: what the panels of the demo show, a few lines each -------------------------------


def each_year(years: jax.Array, *city: Number) -> jax.Array:
    """People in each year; `city` is birth, death, migration, capacity, start."""
    return jax.vmap(population, (0, None, None, None, None, None))(years, *city)


def curve(years: jax.Array, natural: jax.Array, *rest: jax.Array) -> jax.Array:
    """The same by natural growth, births less deaths; `rest` is migration, capacity, start."""
    return each_year(years, natural, 0.0, *rest)


def misses(figures: jax.Array, years: jax.Array, counts: jax.Array) -> jax.Array:
    """How far the curve is off each count, as a share of the count."""
    return curve(years, *figures) / counts - 1


def figures_of(scaled: jax.Array, counts: jax.Array) -> jax.Array:
    """Natural growth, migration, capacity, start, from numbers near 1; no capacity is below 0."""
    natural, migration, capacity, start = scaled
    capacity, start = jnp.max(counts) * jnp.exp(capacity), counts[0] * jnp.exp(start)
    return jnp.stack([natural / 100, migration * counts[0] / 100, capacity, start])


def loss(scaled: jax.Array, years: jax.Array, counts: jax.Array) -> jax.Array:
    """The mean squared miss, which the descent makes small."""
    return jnp.mean(misses(figures_of(scaled, counts), years, counts) ** 2)


def step_down(scaled: jax.Array, state: Any, adam: Any, years: jax.Array, counts: jax.Array) -> Carry:
    """One step down: what Optax's Adam makes of the gradient is added."""
    slope = jax.grad(loss)(scaled, years, counts)
    change, state = adam.update(slope, state)
    return scaled + change, state


def sensitivity(figures: jax.Array, years: jax.Array) -> Floats:
    """People more in each year for one more of each figure: one row a year, one column a figure."""
    slopes = jax.jacobian(lambda figures: curve(years, *figures))(figures)
    return np.asarray(slopes, np.float64)


def covariance(figures: jax.Array, years: jax.Array, counts: jax.Array) -> Floats:
    """Of the figures: (J^T J)^-1 times the scatter of the counts, J the Jacobian of the misses."""
    slopes = np.asarray(jax.jacobian(misses)(figures, years, counts), np.float64)
    root = np.linalg.inv(np.linalg.qr(slopes, "r")) * scatter(figures, years, counts)
    return root @ root.T


def scatter(figures: jax.Array, years: jax.Array, counts: jax.Array) -> float:
    """The standard deviation of the counts around the curve, as a share of the count."""
    off = np.asarray(misses(figures, years, counts), np.float64)
    return float(np.sqrt(off @ off / (len(off) - len(figures))))


def reach(figures: jax.Array, years: jax.Array, covariance: Floats) -> Floats:
    """Half the width of the curve's 95 % band: 1.96 standard errors (the delta method)."""
    slopes = sensitivity(figures, years)
    variance: Floats = np.einsum("yi,ij,yj->y", slopes, covariance, slopes)
    return 1.96 * np.sqrt(variance)


def hessian(rates: jax.Array, start: jax.Array, years: jax.Array, counts: jax.Array) -> Floats:
    """Of the squared misses (Gauss-Newton) by birth, death, migration, capacity, each per its own size."""
    size = jnp.array([0.01, 0.01, counts[0] / 100, rates[3]])
    by_rates = jax.jacobian(lambda rates: each_year(years, *rates, start) / counts - 1)(rates)
    slopes = np.asarray(by_rates * size, np.float64)
    return slopes.T @ slopes


# -- the fit -------------------------------------------------------------------------------------------


def descend(city: Census, steps: int = STEPS) -> Iterator[Step]:
    """Fit by Adam, one `Step` at a time; whoever takes no further one has stopped it.

    Raises:
        JaxmagicError: too few counts for four figures, or optax is missing.
    """
    if len(city.years) <= len(NAMES):
        said = f"{len(city.years)} counts cannot fit {len(NAMES)} figures and their error."
        raise JaxmagicError(said, fix=f"Give {len(NAMES) + 1} counts or more.")
    return descent(city, _optax(), steps)


def descent(city: Census, optax: ModuleType, steps: int) -> Iterator[Step]:
    """The steps of `descend`, whose input has been looked at."""
    years, counts = _rows(city)
    adam = optax.adam(optax.cosine_decay_schedule(RATE, steps))
    scaled = _first(city)

    @jax.jit
    def some(carry: Carry, steps: int) -> Carry:
        def one(_: int, carry: Carry) -> Carry:
            return step_down(*carry, adam, years, counts)

        moved: Carry = jax.lax.fori_loop(0, steps, one, carry)
        return moved

    carry, number = (scaled, adam.init(scaled)), 0
    yield _step(number, loss(scaled, years, counts), figures_of(scaled, counts))
    while number < steps:
        more = min(AT_FIRST if number < UNTIL else AT_ONCE, steps - number)
        carry, number = some(carry, more), number + more
        yield _step(number, loss(carry[0], years, counts), figures_of(carry[0], counts))


def _step(number: int, loss: jax.Array, figures: jax.Array) -> Step:
    return Step(number=number, loss=float(loss), fitted=dict(zip(NAMES, map(float, figures), strict=True)))


def _first(city: Census) -> jax.Array:
    """Where the descent starts: growing as from the first to the middle count, with room for half more."""
    half = len(city.years) // 2
    natural = math.log(city.counts[half] / city.counts[0]) / (city.years[half] - city.years[0])
    return jnp.array([100 * natural, 0.0, math.log(1.5), 0.0], jnp.float32)


def uncertainty(city: Census, fitted: Mapping[str, float]) -> Uncertainty:
    """The covariance of a finished fit.

    Raises:
        JaxmagicError: the counts leave some of the fitted figures open.
    """
    known = (_vector(fitted), *_rows(city))
    slopes = np.asarray(jax.jacobian(misses)(*known), np.float64)
    lengths = np.linalg.norm(slopes, axis=0)
    if not (lengths > 0).all() or np.linalg.cond(slopes / lengths) > 1e5:  # float32 sees no further
        raise JaxmagicError("The counts leave some of the fitted figures open: no error can be given.")
    return Uncertainty(scatter=scatter(*known), covariance=covariance(*known))


def band(city: Census, fitted: Mapping[str, float], unsure: Uncertainty, years: npt.ArrayLike) -> Band:
    """The curve over calendar years with its 95 % band; counts scatter wider."""
    since = jnp.asarray(np.asarray(years, np.float64) - city.years[0], jnp.float32)
    figures = _vector(fitted)
    people = np.asarray(curve(since, *figures), np.float64)
    wide = reach(figures, since, unsure.covariance)
    effects = dict(zip(NAMES, sensitivity(figures, since).T, strict=True))
    percents = {name: effect * fitted[name] / 100 for name, effect in effects.items()}
    return Band(
        people=people, low=people - wide, high=people + wide, effects=effects, percent_effects=percents
    )


def undetermined(city: Census, fitted: Mapping[str, float], death: float) -> tuple[Floats, Floats]:
    """What the counts leave open, of birth, death, migration and capacity.

    Returns:
        The eigenvalues of `hessian`, rising, as shares of the largest, and its eigenvectors as columns: what
        belongs to an eigenvalue of 0 is a direction that no count can see.
    """
    natural, migration, capacity, start = _vector(fitted)
    at = jnp.stack([natural + death, jnp.float32(death), migration, capacity])
    values, directions = np.linalg.eigh(hessian(at, start, *_rows(city)))
    return values / values[-1], directions


def rates(fitted: Mapping[str, float], death: float) -> dict[str, float]:
    """The fitted natural growth as birth and death rates, with death held at a published rate."""
    return {"birth": fitted["natural"] + death, "death": death}


def forecast_errors(held_out: Census, city: Census, fitted: Mapping[str, float]) -> Floats:
    """How far the curve fitted to `city` is off each held-out count, as a share of the count."""
    since = jnp.asarray(held_out.years - city.years[0], jnp.float32)
    return np.asarray(misses(_vector(fitted), since, jnp.asarray(held_out.counts, jnp.float32)), np.float64)


def _rows(city: Census) -> tuple[jax.Array, jax.Array]:
    return jnp.asarray(city.years - city.years[0], jnp.float32), jnp.asarray(city.counts, jnp.float32)


def _vector(fitted: Mapping[str, float]) -> jax.Array:
    return jnp.array([fitted[name] for name in NAMES], jnp.float32)


def _optax() -> ModuleType:
    try:
        optax = import_module("optax")
    except ImportError as missing:
        raise JaxmagicError("Fitting needs optax.", fix="pip install optax") from missing
    return optax
