"""Gradients and Hessians of test functions against derivatives written down by hand.

Rosenbrock, Beale and Himmelblau from their formulas; the others are numbers 2, 3, 5, 7, 8, 12, 13 and
14 of J. J. Moré, B. S. Garbow and K. E. Hillstrom, Testing Unconstrained Optimization Software, ACM
TOMS 7 (1981), as sums of squares: f = Σ rᵢ², ∇f = 2 Jᵀr.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmagic import differentiate

T = np.arange(1, 16.0)
BARD_Y = np.array([0.14, 0.18, 0.22, 0.25, 0.29, 0.32, 0.35, 0.39, 0.37, 0.58, 0.73, 0.96, 1.34, 2.10, 4.39])
BARD_V, BARD_W = 16 - T, np.minimum(T, 16 - T)
BEALE_Y = np.array([1.5, 2.25, 2.625])
BOX_T = 0.1 * np.arange(1, 11.0)


def rosenbrock(x):
    return [10 * (x[1] - x[0] ** 2), 1 - x[0]]


def rosenbrock_j(x):
    return [[-20 * x[0], 10], [-1, 0]]


def freudenstein(x):
    a, b = x
    return [-13 + a + ((5 - b) * b - 2) * b, -29 + a + ((b + 1) * b - 14) * b]


def freudenstein_j(x):
    b = x[1]
    return [[1, 10 * b - 3 * b**2 - 2], [1, 3 * b**2 + 2 * b - 14]]


def badly_scaled(x):
    return [1e4 * x[0] * x[1] - 1, jnp.exp(-x[0]) + jnp.exp(-x[1]) - 1.0001]


def badly_scaled_j(x):
    return [[1e4 * x[1], 1e4 * x[0]], [-np.exp(-x[0]), -np.exp(-x[1])]]


def beale(x):
    return [y - x[0] * (1 - x[1] ** i) for i, y in enumerate(BEALE_Y, 1)]


def beale_j(x):
    return [[-(1 - x[1] ** i), x[0] * i * x[1] ** (i - 1)] for i in (1, 2, 3)]


def helical(x):
    return [
        10 * (x[2] - 10 * jnp.arctan(x[1] / x[0]) / (2 * jnp.pi)),
        10 * (jnp.sqrt(x[0] ** 2 + x[1] ** 2) - 1),
        x[2],
    ]


def helical_j(x):
    s, r = x[0] ** 2 + x[1] ** 2, np.hypot(x[0], x[1])
    return [[50 / np.pi * x[1] / s, -50 / np.pi * x[0] / s, 10], [10 * x[0] / r, 10 * x[1] / r, 0], [0, 0, 1]]


def bard(x):
    return [
        y - (x[0] + u / (v * x[1] + w * x[2])) for y, u, v, w in zip(BARD_Y, T, BARD_V, BARD_W, strict=True)
    ]


def bard_j(x):
    d = BARD_V * x[1] + BARD_W * x[2]
    return np.stack([-np.ones(15), T * BARD_V / d**2, T * BARD_W / d**2], axis=1)


def box(x):
    return [jnp.exp(-t * x[0]) - jnp.exp(-t * x[1]) - x[2] * (jnp.exp(-t) - jnp.exp(-10 * t)) for t in BOX_T]


def box_j(x):
    t = BOX_T
    return np.stack([-t * np.exp(-t * x[0]), t * np.exp(-t * x[1]), -(np.exp(-t) - np.exp(-10 * t))], axis=1)


def singular(x):
    return [
        x[0] + 10 * x[1],
        jnp.sqrt(5.0) * (x[2] - x[3]),
        (x[1] - 2 * x[2]) ** 2,
        jnp.sqrt(10.0) * (x[0] - x[3]) ** 2,
    ]


def singular_j(x):
    a, b = 2 * (x[1] - 2 * x[2]), 2 * np.sqrt(10) * (x[0] - x[3])
    return [[1, 10, 0, 0], [0, 0, np.sqrt(5), -np.sqrt(5)], [0, a, -2 * a, 0], [b, 0, 0, -b]]


def wood(x):
    return [
        10 * (x[1] - x[0] ** 2),
        1 - x[0],
        jnp.sqrt(90.0) * (x[3] - x[2] ** 2),
        1 - x[2],
        jnp.sqrt(10.0) * (x[1] + x[3] - 2),
        (x[1] - x[3]) / jnp.sqrt(10.0),
    ]


def wood_j(x):
    r, s = np.sqrt(90), np.sqrt(10)
    return [
        [-20 * x[0], 10, 0, 0],
        [-1, 0, 0, 0],
        [0, 0, -2 * r * x[2], r],
        [0, 0, -1, 0],
        [0, s, 0, s],
        [0, 1 / s, 0, -1 / s],
    ]


def himmelblau(x):
    return [x[0] ** 2 + x[1] - 11, x[0] + x[1] ** 2 - 7]


def himmelblau_j(x):
    return [[2 * x[0], 1], [1, 2 * x[1]]]


# Residuals, their Jacobian by hand, a point.
SUMS = {
    "Rosenbrock": (rosenbrock, rosenbrock_j, [-1.2, 1.0]),
    "Freudenstein and Roth": (freudenstein, freudenstein_j, [0.5, -2.0]),
    "Powell badly scaled": (badly_scaled, badly_scaled_j, [0.3, 1.0]),
    "Beale": (beale, beale_j, [1.0, 0.7]),
    "Himmelblau": (himmelblau, himmelblau_j, [1.0, 2.5]),
    "helical valley": (helical, helical_j, [0.8, 0.4, 0.6]),
    "Bard": (bard, bard_j, [1.0, 1.2, 0.9]),
    "Box": (box, box_j, [0.5, 8.0, 12.0]),
    "Powell singular": (singular, singular_j, [3.0, -1.0, 0.5, 1.0]),
    "Wood": (wood, wood_j, [-3.0, -1.0, -2.0, 0.5]),
}


def sum_of_squares(residuals):
    return lambda x: sum(r**2 for r in residuals(x))


def by_hand(name):
    residuals, jacobian, point = SUMS[name]
    with jax.enable_x64():
        r = np.array([float(one) for one in residuals(jnp.array(point))])
    return 2 * np.asarray(jacobian(np.array(point))).T @ r


def close(found, expected, tolerance):
    return np.linalg.norm(np.asarray(found, np.float64) - expected) <= tolerance * np.linalg.norm(expected)


@pytest.mark.parametrize("name", SUMS)
def test_gradient_in_float32_to_1e_5(name):
    residuals, _, point = SUMS[name]
    found = differentiate(sum_of_squares(residuals), jnp.array(point, jnp.float32))
    assert found.check.ok is True
    assert close(found.partials["x"], by_hand(name), 1e-5)


@pytest.mark.parametrize("name", SUMS)
def test_gradient_under_x64_to_1e_12(name):
    residuals, _, point = SUMS[name]
    with jax.enable_x64():
        found = differentiate(sum_of_squares(residuals), jnp.array(point))
    assert found.check.ok is True
    assert found.partials["x"].dtype == np.float64
    assert close(found.partials["x"], by_hand(name), 1e-12)


def hessian_rosenbrock(x):
    return [[1200 * x[0] ** 2 - 400 * x[1] + 2, -400 * x[0]], [-400 * x[0], 200]]


def hessian_himmelblau(x):
    a, b = x
    return [[12 * a**2 + 4 * b - 42, 4 * (a + b)], [4 * (a + b), 12 * b**2 + 4 * a - 26]]


def hessian_beale(x):
    a, b = x
    j = np.array(beale_j(x))
    r = np.array([float(one) for one in beale(x)])
    i = np.array([1, 2, 3])
    cross = i * b ** (i - 1.0)
    second = a * i * (i - 1) * b ** np.maximum(i - 2.0, 0)
    return 2 * j.T @ j + 2 * np.array([[0, r @ cross], [r @ cross, r @ second]])


def hessian_singular(x):
    j = np.array(singular_j(x))
    r = [(x[1] - 2 * x[2]) ** 2, np.sqrt(10) * (x[0] - x[3]) ** 2]
    third = 2 * np.outer([0, 1, -2, 0], [0, 1, -2, 0])
    fourth = 2 * np.sqrt(10) * np.outer([1, 0, 0, -1], [1, 0, 0, -1])
    return 2 * j.T @ j + 2 * (r[0] * third + r[1] * fourth)


HESSIANS = {
    "Rosenbrock": hessian_rosenbrock,
    "Himmelblau": hessian_himmelblau,
    "Beale": hessian_beale,
    "Powell singular": hessian_singular,
}


@pytest.mark.parametrize("name", HESSIANS)
def test_hessian_in_float32_and_under_x64(name):
    residuals, _, point = SUMS[name]
    expected = np.array(HESSIANS[name](np.array(point)))
    single = differentiate(sum_of_squares(residuals), jnp.array(point, jnp.float32), order=2)
    with jax.enable_x64():
        double = differentiate(sum_of_squares(residuals), jnp.array(point), order=2)
    assert (single.check.ok, double.check.ok) == (True, True)
    assert close(single.partials["x"], expected, 1e-5)
    assert close(double.partials["x"], expected, 1e-12)


@pytest.mark.parametrize(
    ("order", "expected"), [(1, np.cos(2.0)), (2, -np.sin(2.0)), (3, -np.cos(2.0)), (4, np.sin(2.0))]
)
def test_higher_orders_of_a_number(order, expected):
    found = differentiate(jnp.sin, 2.0, order=order)
    assert found.check.ok is True
    assert close(found.partials["x"], expected, 1e-5)
