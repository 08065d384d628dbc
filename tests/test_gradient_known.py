"""Gradients and Hessians against derivatives that were written down by hand.

All of them without the check by differences, which `benchmarks/gradient_known.py` makes too.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmagic import differentiate
from jaxmagic.analysis.derivatives import choose, run
from jaxmagic.analysis.leaves import read
from jaxmagic.target import Target
from tests.known_derivatives import PROBLEMS, off


def derived(problem, x, order):
    target = Target(function=problem.function, args=(x,), name="f")
    inputs = read(target)
    return run(target, inputs, choose(inputs, target, None), order).derivatives[0]


@pytest.mark.parametrize("name", PROBLEMS)
def test_to_1e_5_in_float32_and_to_1e_12_under_x64(name):
    problem = PROBLEMS[name]
    for order, expected in enumerate(problem.by_hand(), 1):
        single = derived(problem, jnp.asarray(problem.point, jnp.float32), order)
        assert off(single, expected) <= 1e-5
        with jax.enable_x64():
            double = derived(problem, jnp.asarray(problem.point), order)
        assert double.dtype == np.float64
        assert off(double, expected) <= 1e-12


@pytest.mark.parametrize("name", ["1 Rosenbrock", "5 Beale", "10 Meyer", "Himmelblau"])
def test_with_the_check(name):
    problem = PROBLEMS[name]
    for order, expected in enumerate(problem.by_hand(), 1):
        found = differentiate(problem.function, jnp.asarray(problem.point, jnp.float32), order=order)
        assert found.check.ok is True
        assert off(found.partials["x"], expected) <= 1e-5


def test_the_set_is_whole():
    numbers = [int(name.split()[0]) for name in PROBLEMS if name[0].isdigit()]
    assert sorted(numbers) == list(range(1, 36))


@pytest.mark.parametrize(
    ("order", "expected"), [(1, np.cos(2.0)), (2, -np.sin(2.0)), (3, -np.cos(2.0)), (4, np.sin(2.0))]
)
def test_higher_orders_of_a_number(order, expected):
    found = differentiate(jnp.sin, 2.0, order=order)
    assert found.check.ok is True
    assert off(found.partials["x"], expected) <= 1e-5
