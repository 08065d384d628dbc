"""A city's population over the years: the model of the demo, as anybody could have written it.

The city grows by the people who are born, die and move in, and the more slowly the fuller it is:

    people' = ((birth - death) * people + migration) * (1 - people / capacity)

Both factors are linear in `people`, so the equation separates, and `population` is its solution.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

Number = jax.Array | float


def population(
    years: Number, birth: Number, death: Number, migration: Number, capacity: Number, start: Number
) -> jax.Array:
    """How many people live in the city after some years.

    Args:
        years: since the start.
        birth: births a year for each inhabitant: 0.014 is 14 for every 1,000 people.
        death: deaths a year for each inhabitant.
        migration: people who move in each year, less those who leave.
        capacity: people that the city has room for; the rates above hold where there is room to spare.
        start: people at the beginning.
    """
    natural = birth - death
    pace = jnp.minimum((natural + migration / capacity) * years, 25.0)  # by then it is full
    added = (natural * start + migration) * years * mean_exp(pace)
    added = jnp.where(start + added < 0, -start, added)  # a city that everybody has left stays empty
    return (start + added) / (1 + added / capacity)


def mean_exp(x: Number) -> jax.Array:
    """The mean of exp between 0 and x, (exp(x) - 1) / x: smooth at 0, and so are its derivatives."""
    near = jnp.abs(x) < 0.05
    away = jnp.where(near, 1.0, x)  # keeps 0 / 0 out of the gradient as well
    series = 1 + x / 2 * (1 + x / 3 * (1 + x / 4 * (1 + x / 5)))
    return jnp.where(near, series, jnp.expm1(away) / away)


growth = jax.grad(population)  # people a year: the derivative by the first argument, the years
effects = jax.jacfwd(growth, argnums=(1, 2, 3, 4))  # of birth, death, migration, capacity on the growth


@jax.jit
def over_years(years: jax.Array, *city: Number) -> tuple[jax.Array, jax.Array, tuple[jax.Array, ...]]:
    """The population, its growth and the effects on it, in each of many years."""
    each_year = (0,) + (None,) * len(city)  # map over the years, keep the city
    people, speed = (jax.vmap(what, each_year)(years, *city) for what in (population, growth))
    return people, speed, jax.vmap(effects, each_year)(years, *city)
