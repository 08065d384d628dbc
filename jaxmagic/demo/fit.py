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

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from jaxmagic.demo.census import Census
from jaxmagic.demo.population import population
from jaxmagic.errors import JaxmagicError

Floats = npt.NDArray[np.float64]

NAMES = ("natural", "migration", "capacity", "start")
STEPS = 3000
AT_ONCE = 50  # descent steps between two looks
RATE = 0.05  # of Adam, at first; it falls to 0 as a cosine
TWO_SIDED = 1.96  # standard errors to either side of a band of 95 %


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


def curve(years: jax.Array, natural: jax.Array, *rest: jax.Array) -> jax.Array:
    """People after some years; `rest` is migration, capacity, start."""
    return jax.vmap(population, (0, None, None, None, None, None))(years, natural, 0.0, *rest)


def misses(figures: jax.Array, years: jax.Array, counts: jax.Array) -> jax.Array:
    """How far the curve is off each count, as a share of the count."""
    return curve(years, *figures) / counts - 1


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

    def loss(scaled: jax.Array) -> jax.Array:
        return jnp.mean(misses(figures_of(scaled, counts), years, counts) ** 2)

    def step(carry: tuple[jax.Array, object], _: None) -> tuple[tuple[jax.Array, object], None]:
        scaled, state = carry
        change, state = adam.update(jax.grad(loss)(scaled), state)
        return (optax.apply_updates(scaled, change), state), None

    some = jax.jit(lambda carry: jax.lax.scan(step, carry, length=AT_ONCE)[0])
    carry = (scaled, adam.init(scaled))
    yield _step(0, loss(scaled), figures_of(scaled, counts))
    for number in range(AT_ONCE, steps + 1, AT_ONCE):
        carry = some(carry)
        yield _step(number, loss(carry[0]), figures_of(carry[0], counts))


def _step(number: int, loss: jax.Array, figures: jax.Array) -> Step:
    return Step(number=number, loss=float(loss), fitted=dict(zip(NAMES, map(float, figures), strict=True)))


def _first(city: Census) -> jax.Array:
    """Where the descent starts: growing as from the first to the middle count, with room for half more."""
    half = len(city.years) // 2
    natural = math.log(city.counts[half] / city.counts[0]) / (city.years[half] - city.years[0])
    return jnp.array([100 * natural, 0.0, math.log(1.5), 0.0], jnp.float32)


def figures_of(scaled: jax.Array, counts: jax.Array) -> jax.Array:
    """The figures in their units from what the descent moves: numbers near 1, and no capacity below 0."""
    natural, migration, capacity, start = scaled
    most = jnp.max(counts)
    per_year = migration * counts[0] / 100
    return jnp.stack([natural / 100, per_year, most * jnp.exp(capacity), counts[0] * jnp.exp(start)])


def uncertainty(city: Census, fitted: Mapping[str, float]) -> Uncertainty:
    """The covariance of a finished fit: scatter^2 (J^T J)^-1, J the Jacobian of the misses.

    Raises:
        JaxmagicError: the counts leave some of the fitted figures open.
    """
    years, counts = _rows(city)
    figures = _vector(fitted)
    off = np.asarray(misses(figures, years, counts), np.float64)
    slopes = np.asarray(jax.jacobian(misses)(figures, years, counts), np.float64)
    scatter = math.sqrt(float(off @ off) / (len(off) - len(NAMES)))
    lengths = np.linalg.norm(slopes, axis=0)
    if not (lengths > 0).all() or np.linalg.cond(slopes / lengths) > 1e5:  # float32 sees no further
        raise JaxmagicError("The counts leave some of the fitted figures open: no error can be given.")
    inverse = np.linalg.inv((slopes / lengths).T @ (slopes / lengths))
    return Uncertainty(scatter=scatter, covariance=scatter**2 * inverse / np.outer(lengths, lengths))


def band(city: Census, fitted: Mapping[str, float], unsure: Uncertainty, years: npt.ArrayLike) -> Band:
    """The curve over calendar years and its 95 % band by the delta method; counts scatter wider."""
    since = jnp.asarray(np.asarray(years, np.float64) - city.years[0], jnp.float32)
    figures = _vector(fitted)
    people = np.asarray(curve(since, *figures), np.float64)
    slopes = np.asarray(jax.jacobian(lambda figures: curve(since, *figures))(figures), np.float64)
    reach = TWO_SIDED * np.sqrt(np.einsum("yi,ij,yj->y", slopes, unsure.covariance, slopes))
    effects = dict(zip(NAMES, slopes.T, strict=True))
    percents = {name: effect * fitted[name] / 100 for name, effect in effects.items()}
    return Band(
        people=people, low=people - reach, high=people + reach, effects=effects, percent_effects=percents
    )


def undetermined(city: Census, fitted: Mapping[str, float], death: float) -> tuple[Floats, Floats]:
    """The Gauss-Newton Hessian by birth, death, migration and capacity, each per its own size.

    Returns:
        Its eigenvalues, rising, as shares of the largest, and its eigenvectors as columns: what belongs to
        an eigenvalue of 0 is a direction that no count can see.
    """
    years, counts = _rows(city)
    natural, migration, capacity, start = _vector(fitted)
    size = jnp.array([0.01, 0.01, float(counts[0]) / 100, float(capacity)], jnp.float32)

    def off(scaled: jax.Array) -> jax.Array:
        birth, death, migration, capacity = scaled * size
        people = jax.vmap(population, (0, None, None, None, None, None))
        return people(years, birth, death, migration, capacity, start) / counts - 1

    at = jnp.stack([natural + death, jnp.float32(death), migration, capacity]) / size
    slopes = np.asarray(jax.jacobian(off)(at), np.float64)
    values, directions = np.linalg.eigh(slopes.T @ slopes)
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
