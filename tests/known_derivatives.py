"""Test functions with their first and second derivatives, written from the formulas.

The 35 problems of J. J. Moré, B. S. Garbow and K. E. Hillstrom, Testing Unconstrained Optimization
Software, ACM TOMS 7 (1981), in their numbering, and Himmelblau's function. Each is a sum of squares
f = Σ rᵢ², so that ∇f = 2 Jᵀr and ∇²f = 2 (JᵀJ + Σ rᵢ ∇²rᵢ); J and Σ rᵢ ∇²rᵢ (the curvature) are here
by hand, in NumPy. In Gulf the factor m i of the printed table is left out, as in the authors' code.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A sum of squares at a point that float32 holds exactly."""

    residuals: Callable[[Any], Any]
    jacobian: Callable[[Any], Any]
    curvature: Callable[[Any, Any], Any]
    at: tuple[float, ...]

    @property
    def point(self):
        return np.asarray(self.at, np.float32).astype(np.float64)

    def function(self, x):
        residuals = self.residuals(x)
        return jnp.sum((jnp.stack(residuals) if isinstance(residuals, list) else residuals) ** 2)

    def by_hand(self):
        """The gradient and the Hessian."""
        x = self.point
        with jax.enable_x64():
            r = np.array([float(one) for one in self.residuals(jnp.asarray(x))])
        j = np.asarray(self.jacobian(x), np.float64)
        return 2 * j.T @ r, 2 * (j.T @ j + self.curvature(x, r))


def columns(*parts):
    """The columns of a Jacobian, each an array or a number for all rows."""
    return np.stack(np.broadcast_arrays(*parts), axis=1)


def second(n, entries):
    """A symmetric matrix from its entries on and above the diagonal, counted from 1: {(1, 2): …}."""
    found = np.zeros((n, n))
    for (i, j), value in entries.items():
        found[i - 1, j - 1] = found[j - 1, i - 1] = np.sum(value)
    return found


def off(found, expected):
    """The distance, as a share of the size of what is expected."""
    return np.linalg.norm(np.asarray(found, np.float64) - expected) / np.linalg.norm(expected)


def straight(x, r):
    """No curvature: linear residuals."""
    return np.zeros((len(x), len(x)))


PROBLEMS: dict[str, Problem] = {}


def problem(name, at):
    """Register the three functions that a function returns."""

    def register(make):
        residuals, jacobian, curvature = make()
        PROBLEMS[name] = Problem(residuals=residuals, jacobian=jacobian, curvature=curvature, at=tuple(at))
        return make

    return register


# -- two variables --------------------------------------------------------------------------------


@problem("1 Rosenbrock", [-1.2, 1.0])
def _():
    return (
        lambda x: [10 * (x[1] - x[0] ** 2), 1 - x[0]],
        lambda x: [[-20 * x[0], 10], [-1, 0]],
        lambda x, r: np.diag([-20 * r[0], 0]),
    )


@problem("2 Freudenstein and Roth", [0.5, -2.0])
def _():
    return (
        lambda x: [
            -13 + x[0] + ((5 - x[1]) * x[1] - 2) * x[1],
            -29 + x[0] + ((x[1] + 1) * x[1] - 14) * x[1],
        ],
        lambda x: [[1, 10 * x[1] - 3 * x[1] ** 2 - 2], [1, 3 * x[1] ** 2 + 2 * x[1] - 14]],
        lambda x, r: np.diag([0, r[0] * (10 - 6 * x[1]) + r[1] * (6 * x[1] + 2)]),
    )


@problem("3 Powell badly scaled", [0.3, 1.0])
def _():
    return (
        lambda x: [1e4 * x[0] * x[1] - 1, jnp.exp(-x[0]) + jnp.exp(-x[1]) - 1.0001],
        lambda x: [[1e4 * x[1], 1e4 * x[0]], [-np.exp(-x[0]), -np.exp(-x[1])]],
        lambda x, r: second(2, {(1, 2): 1e4 * r[0]}) + r[1] * np.diag(np.exp(-x)),
    )


@problem("4 Brown badly scaled", [1.0, 1.0])
def _():
    return (
        lambda x: [x[0] - 1e6, x[1] - 2e-6, x[0] * x[1] - 2],
        lambda x: [[1, 0], [0, 1], [x[1], x[0]]],
        lambda x, r: second(2, {(1, 2): r[2]}),
    )


@problem("5 Beale", [1.0, 0.7])
def _():
    y, i = np.array([1.5, 2.25, 2.625]), np.arange(1, 4.0)
    return (
        lambda x: [yi - x[0] * (1 - x[1] ** k) for k, yi in enumerate(y, 1)],
        lambda x: columns(-(1 - x[1] ** i), x[0] * i * x[1] ** (i - 1)),
        lambda x, r: second(
            2, {(1, 2): r * i * x[1] ** (i - 1), (2, 2): r * x[0] * i * (i - 1) * x[1] ** (i - 2)}
        ),
    )


@problem("6 Jennrich and Sampson", [0.3, 0.4])
def _():
    i = np.arange(1, 11.0)
    return (
        lambda x: 2 + 2 * i - (jnp.exp(i * x[0]) + jnp.exp(i * x[1])),
        lambda x: columns(-i * np.exp(i * x[0]), -i * np.exp(i * x[1])),
        lambda x, r: np.diag([-np.sum(r * i**2 * np.exp(i * one)) for one in x]),
    )


@problem("Himmelblau", [1.0, 2.5])
def _():
    return (
        lambda x: [x[0] ** 2 + x[1] - 11, x[0] + x[1] ** 2 - 7],
        lambda x: [[2 * x[0], 1], [1, 2 * x[1]]],
        lambda x, r: np.diag(2 * r),
    )


# -- three variables ------------------------------------------------------------------------------


@problem("7 helical valley", [0.8, 0.4, 0.6])
def _():
    def jacobian(x):
        a, b, _ = x
        s, rho = a**2 + b**2, np.hypot(a, b)
        return [
            [50 / np.pi * b / s, -50 / np.pi * a / s, 10],
            [10 * a / rho, 10 * b / rho, 0],
            [0, 0, 1],
        ]

    def curvature(x, r):
        a, b, _ = x
        s = a**2 + b**2
        angle = -100 / np.pi / s**2 * second(3, {(1, 1): a * b, (1, 2): (b**2 - a**2) / 2, (2, 2): -a * b})
        radius = 10 / s**1.5 * second(3, {(1, 1): b**2, (1, 2): -a * b, (2, 2): a**2})
        return r[0] * angle + r[1] * radius

    return (
        lambda x: [
            10 * (x[2] - 10 * jnp.arctan(x[1] / x[0]) / (2 * jnp.pi)),
            10 * (jnp.sqrt(x[0] ** 2 + x[1] ** 2) - 1),
            x[2],
        ],
        jacobian,
        curvature,
    )


@problem("8 Bard", [1.0, 1.2, 0.9])
def _():
    y = np.array([0.14, 0.18, 0.22, 0.25, 0.29, 0.32, 0.35, 0.39, 0.37, 0.58, 0.73, 0.96, 1.34, 2.10, 4.39])
    u = np.arange(1, 16.0)
    v, w = 16 - u, np.minimum(u, 16 - u)
    d = lambda x: v * x[1] + w * x[2]  # noqa: E731 -- a formula
    return (
        lambda x: y - (x[0] + u / d(x)),
        lambda x: columns(-1.0, u * v / d(x) ** 2, u * w / d(x) ** 2),
        lambda x, r: second(
            3,
            {
                (2, 2): -2 * r * u * v**2 / d(x) ** 3,
                (2, 3): -2 * r * u * v * w / d(x) ** 3,
                (3, 3): -2 * r * u * w**2 / d(x) ** 3,
            },
        ),
    )


@problem("9 Gaussian", [0.4, 1.0, 0.125])
def _():
    half = [0.0009, 0.0044, 0.0175, 0.0540, 0.1295, 0.2420, 0.3521]
    y, t = np.array([*half, 0.3989, *half[::-1]]), (8 - np.arange(1, 16.0)) / 2

    def parts(x):
        z = t - x[2]
        return z, np.exp(-x[1] * z**2 / 2)

    def jacobian(x):
        z, e = parts(x)
        return columns(e, -x[0] * e * z**2 / 2, x[0] * x[1] * z * e)

    def curvature(x, r):
        z, e = parts(x)
        a, b, _ = x
        return second(
            3,
            {
                (1, 2): -r * e * z**2 / 2,
                (1, 3): r * b * z * e,
                (2, 2): r * a * e * z**4 / 4,
                (2, 3): r * a * z * e * (1 - b * z**2 / 2),
                (3, 3): r * a * b * e * (b * z**2 - 1),
            },
        )

    return lambda x: x[0] * jnp.exp(-x[1] * (t - x[2]) ** 2 / 2) - y, jacobian, curvature


@problem("10 Meyer", [0.02, 4000.0, 250.0])
def _():
    y = np.array(
        [34780, 28610, 23650, 19630, 16370, 13720, 11540, 9744,
         8261, 7030, 6005, 5147, 4427, 3820, 3307, 2872.0]
    )  # fmt: skip
    t = 45 + 5 * np.arange(1, 17.0)

    def parts(x):
        q = 1 / (t + x[2])
        return q, np.exp(x[1] * q)

    def jacobian(x):
        q, e = parts(x)
        return columns(e, x[0] * q * e, -x[0] * x[1] * q**2 * e)

    def curvature(x, r):
        q, e = parts(x)
        a, b, _ = x
        return second(
            3,
            {
                (1, 2): r * q * e,
                (1, 3): -r * b * q**2 * e,
                (2, 2): r * a * q**2 * e,
                (2, 3): -r * a * q**2 * e * (1 + b * q),
                (3, 3): r * a * b * q**3 * e * (2 + b * q),
            },
        )

    return lambda x: x[0] * jnp.exp(x[1] / (t + x[2])) - y, jacobian, curvature


@problem("11 Gulf research and development", [5.0, 2.5, 0.15])
def _():
    t = np.arange(1, 100.0) / 100
    y = 25 + (-50 * np.log(t)) ** (2 / 3)

    def inner(x):
        """The exponent's negative and its derivatives."""
        a, b, c = x
        d = y - b
        log, p = np.log(d), d**c
        first = columns(-p / a**2, -c * p / d / a, p * log / a)
        entries = {
            (1, 1): 2 * p / a**3,
            (1, 2): c * p / d / a**2,
            (1, 3): -p * log / a**2,
            (2, 2): c * (c - 1) * p / d**2 / a,
            (2, 3): -(1 + c * log) * p / d / a,
            (3, 3): p * log**2 / a,
        }
        return np.exp(-p / a), first, entries

    def jacobian(x):
        e, first, _ = inner(x)
        return -e[:, None] * first

    def curvature(x, r):
        e, first, entries = inner(x)
        return first.T @ ((r * e)[:, None] * first) - second(3, {k: r * e * v for k, v in entries.items()})

    return lambda x: jnp.exp(-((y - x[1]) ** x[2]) / x[0]) - t, jacobian, curvature


@problem("12 Box three-dimensional", [0.5, 8.0, 12.0])
def _():
    t = 0.1 * np.arange(1, 11.0)
    fixed = np.exp(-t) - np.exp(-10 * t)
    return (
        lambda x: jnp.exp(-t * x[0]) - jnp.exp(-t * x[1]) - x[2] * fixed,
        lambda x: columns(-t * np.exp(-t * x[0]), t * np.exp(-t * x[1]), -fixed),
        lambda x, r: np.diag(
            [np.sum(r * t**2 * np.exp(-t * x[0])), -np.sum(r * t**2 * np.exp(-t * x[1])), 0.0]
        ),
    )


# -- four to eleven variables ---------------------------------------------------------------------


def powell(x):
    """The four residuals of Powell's singular function, their Jacobian and second derivatives."""
    a, b, c, d = x
    return [a + 10 * b, jnp.sqrt(5.0) * (c - d), (b - 2 * c) ** 2, jnp.sqrt(10.0) * (a - d) ** 2]


def powell_jacobian(x):
    a, b, c, d = x
    p, q = 2 * (b - 2 * c), 2 * np.sqrt(10) * (a - d)
    return np.array([[1, 10, 0, 0], [0, 0, np.sqrt(5), -np.sqrt(5)], [0, p, -2 * p, 0], [q, 0, 0, -q]])


def powell_curvature(x, r):
    third, fourth = np.array([0, 1, -2, 0.0]), np.array([1, 0, 0, -1.0])
    return 2 * r[2] * np.outer(third, third) + 2 * np.sqrt(10) * r[3] * np.outer(fourth, fourth)


@problem("13 Powell singular", [3.0, -1.0, 0.5, 1.0])
def _():
    return powell, powell_jacobian, powell_curvature


@problem("14 Wood", [-3.0, -1.0, -2.0, 0.5])
def _():
    r90, r10 = np.sqrt(90), np.sqrt(10)
    return (
        lambda x: [
            10 * (x[1] - x[0] ** 2),
            1 - x[0],
            r90 * (x[3] - x[2] ** 2),
            1 - x[2],
            r10 * (x[1] + x[3] - 2),
            (x[1] - x[3]) / r10,
        ],
        lambda x: [
            [-20 * x[0], 10, 0, 0],
            [-1, 0, 0, 0],
            [0, 0, -2 * r90 * x[2], r90],
            [0, 0, -1, 0],
            [0, r10, 0, r10],
            [0, 1 / r10, 0, -1 / r10],
        ],
        lambda x, r: np.diag([-20 * r[0], 0, -2 * r90 * r[2], 0]),
    )


@problem("15 Kowalik and Osborne", [0.25, 0.39, 0.415, 0.39])
def _():
    y = np.array([0.1957, 0.1947, 0.1735, 0.1600, 0.0844, 0.0627, 0.0456, 0.0342, 0.0323, 0.0235, 0.0246])
    u = np.array([4.0, 2.0, 1.0, 0.5, 0.25, 0.167, 0.125, 0.1, 0.0833, 0.0714, 0.0625])
    over, under = (lambda x: u**2 + u * x[1]), (lambda x: u**2 + u * x[2] + x[3])

    def jacobian(x):
        a, n, d = x[0], over(x), under(x)
        return columns(-n / d, -a * u / d, a * u * n / d**2, a * n / d**2)

    def curvature(x, r):
        a, n, d = x[0], over(x), under(x)
        return second(
            4,
            {
                (1, 2): -r * u / d,
                (1, 3): r * u * n / d**2,
                (1, 4): r * n / d**2,
                (2, 3): r * a * u**2 / d**2,
                (2, 4): r * a * u / d**2,
                (3, 3): -2 * r * a * u**2 * n / d**3,
                (3, 4): -2 * r * a * u * n / d**3,
                (4, 4): -2 * r * a * n / d**3,
            },
        )

    return lambda x: y - x[0] * over(x) / under(x), jacobian, curvature


@problem("16 Brown and Dennis", [25.0, 5.0, -5.0, -1.0])
def _():
    t = np.arange(1, 21.0) / 5
    e, s, c = np.exp(t), np.sin(t), np.cos(t)

    def jacobian(x):
        a, b = x[0] + t * x[1] - e, x[2] + x[3] * s - c
        return columns(2 * a, 2 * a * t, 2 * b, 2 * b * s)

    return (
        lambda x: (x[0] + t * x[1] - e) ** 2 + (x[2] + x[3] * s - c) ** 2,
        jacobian,
        lambda x, r: second(
            4,
            {
                (1, 1): 2 * r,
                (1, 2): 2 * r * t,
                (2, 2): 2 * r * t**2,
                (3, 3): 2 * r,
                (3, 4): 2 * r * s,
                (4, 4): 2 * r * s**2,
            },
        ),
    )


@problem("17 Osborne 1", [0.5, 1.5, -1.0, 0.01, 0.02])
def _():
    y = np.array(
        [0.844, 0.908, 0.932, 0.936, 0.925, 0.908, 0.881, 0.850, 0.818, 0.784, 0.751,
         0.718, 0.685, 0.658, 0.628, 0.603, 0.580, 0.558, 0.538, 0.522, 0.506, 0.490,
         0.478, 0.467, 0.457, 0.448, 0.438, 0.431, 0.424, 0.420, 0.414, 0.411, 0.406]
    )  # fmt: skip
    t = 10 * np.arange(33.0)

    def jacobian(x):
        e4, e5 = np.exp(-t * x[3]), np.exp(-t * x[4])
        return columns(-1.0, -e4, -e5, x[1] * t * e4, x[2] * t * e5)

    def curvature(x, r):
        e4, e5 = np.exp(-t * x[3]), np.exp(-t * x[4])
        return second(
            5,
            {
                (2, 4): r * t * e4,
                (3, 5): r * t * e5,
                (4, 4): -r * x[1] * t**2 * e4,
                (5, 5): -r * x[2] * t**2 * e5,
            },
        )

    return lambda x: y - (x[0] + x[1] * jnp.exp(-t * x[3]) + x[2] * jnp.exp(-t * x[4])), jacobian, curvature


@problem("18 Biggs EXP6", [1.0, 2.0, 1.0, 1.0, 1.0, 1.0])
def _():
    t = np.arange(1, 14.0) / 10
    y = np.exp(-t) - 5 * np.exp(-10 * t) + 3 * np.exp(-4 * t)
    decays = lambda x: (np.exp(-t * x[0]), np.exp(-t * x[1]), np.exp(-t * x[4]))  # noqa: E731 -- a formula

    def jacobian(x):
        a, b, c = decays(x)
        return columns(-t * x[2] * a, t * x[3] * b, a, -b, -t * x[5] * c, c)

    def curvature(x, r):
        a, b, c = decays(x)
        return second(
            6,
            {
                (1, 1): r * t**2 * x[2] * a,
                (1, 3): -r * t * a,
                (2, 2): -r * t**2 * x[3] * b,
                (2, 4): r * t * b,
                (5, 5): r * t**2 * x[5] * c,
                (5, 6): -r * t * c,
            },
        )

    return (
        lambda x: x[2] * jnp.exp(-t * x[0]) - x[3] * jnp.exp(-t * x[1]) + x[5] * jnp.exp(-t * x[4]) - y,
        jacobian,
        curvature,
    )


@problem("19 Osborne 2", [1.3, 0.65, 0.65, 0.7, 0.6, 3.0, 5.0, 7.0, 2.0, 4.5, 5.5])
def _():
    y = np.array(
        [1.366, 1.191, 1.112, 1.013, 0.991, 0.885, 0.831, 0.847, 0.786, 0.725, 0.746, 0.679, 0.608,
         0.655, 0.616, 0.606, 0.602, 0.626, 0.651, 0.724, 0.649, 0.649, 0.694, 0.644, 0.624, 0.661,
         0.612, 0.558, 0.533, 0.495, 0.500, 0.423, 0.395, 0.375, 0.372, 0.391, 0.396, 0.405, 0.428,
         0.429, 0.523, 0.562, 0.607, 0.653, 0.672, 0.708, 0.633, 0.668, 0.645, 0.632, 0.591, 0.559,
         0.597, 0.625, 0.739, 0.710, 0.729, 0.720, 0.636, 0.581, 0.428, 0.292, 0.162, 0.098, 0.054]
    )  # fmt: skip
    t = np.arange(65.0) / 10
    bells = ((2, 6, 9), (3, 7, 10), (4, 8, 11))  # the places of height, width and centre, from 1 on

    def residuals(x):
        return (
            y
            - x[0] * jnp.exp(-t * x[4])
            - sum(x[a - 1] * jnp.exp(-((t - x[c - 1]) ** 2) * x[b - 1]) for a, b, c in bells)
        )

    def jacobian(x):
        found = np.zeros((65, 11))
        e = np.exp(-t * x[4])
        found[:, 0], found[:, 4] = -e, x[0] * t * e
        for a, b, c in bells:
            z = t - x[c - 1]
            g = np.exp(-(z**2) * x[b - 1])
            found[:, a - 1], found[:, b - 1] = -g, x[a - 1] * z**2 * g
            found[:, c - 1] = -2 * x[a - 1] * x[b - 1] * z * g
        return found

    def curvature(x, r):
        e = np.exp(-t * x[4])
        entries = {(1, 5): r * t * e, (5, 5): -r * x[0] * t**2 * e}
        for a, b, c in bells:
            height, width, z = x[a - 1], x[b - 1], t - x[c - 1]
            g = r * np.exp(-(z**2) * width)
            entries |= {
                (a, b): z**2 * g,
                (a, c): -2 * width * z * g,
                (b, b): -height * z**4 * g,
                (b, c): -2 * height * z * g * (1 - width * z**2),
                (c, c): -2 * height * width * g * (2 * width * z**2 - 1),
            }
        return second(11, entries)

    return residuals, jacobian, curvature


# -- any number of variables ----------------------------------------------------------------------


@problem("20 Watson", [0.1, -0.2, 0.3, 0.25, -0.15, 0.2])
def _():
    t, j = np.arange(1, 30.0)[:, None] / 29, np.arange(6.0)
    rise, power = j * t ** np.maximum(j - 1, 0), t**j

    def jacobian(x):
        ends = [[1, 0, 0, 0, 0, 0], [-2 * x[0], 1, 0, 0, 0, 0]]
        return np.concatenate([rise - 2 * (power @ x)[:, None] * power, ends])

    return (
        lambda x: [*(rise @ x - (power @ x) ** 2 - 1), x[0], x[1] - x[0] ** 2 - 1],
        jacobian,
        lambda x, r: -2 * power.T @ (r[:29, None] * power) + second(6, {(1, 1): -2 * r[30]}),
    )


@problem("21 extended Rosenbrock", [-1.2, 1.0, 0.5, -0.75, 2.0, 1.5])
def _():
    def jacobian(x):
        found = np.zeros((6, 6))
        for k in range(0, 6, 2):
            found[k, k : k + 2] = -20 * x[k], 10
            found[k + 1, k] = -1
        return found

    return (
        lambda x: [one for k in range(0, 6, 2) for one in (10 * (x[k + 1] - x[k] ** 2), 1 - x[k])],
        jacobian,
        lambda x, r: np.diag([-20 * r[k] if k % 2 == 0 else 0.0 for k in range(6)]),
    )


@problem("22 extended Powell singular", [3.0, -1.0, 0.5, 1.0, 2.0, 0.25, -1.0, 0.5])
def _():
    def blocks(make, *arrays):
        found = np.zeros((8, 8))
        for k in (0, 4):
            found[k : k + 4, k : k + 4] = make(*(a[k : k + 4] for a in arrays))
        return found

    return (
        lambda x: [*powell(x[:4]), *powell(x[4:])],
        lambda x: blocks(powell_jacobian, x),
        lambda x, r: blocks(powell_curvature, x, r),
    )


@problem("23 penalty I", [1.0, 2.0, 3.0, 4.0])
def _():
    root = np.sqrt(1e-5)
    return (
        lambda x: [*(root * (x - 1)), jnp.sum(x**2) - 0.25],
        lambda x: np.vstack([root * np.eye(4), 2 * x]),
        lambda x, r: 2 * r[4] * np.eye(4),
    )


@problem("24 penalty II", [0.5, 0.25, 0.75, 0.5])
def _():
    root, i = np.sqrt(1e-5), np.arange(2, 5)
    y, weights = np.exp(i / 10) + np.exp((i - 1) / 10), 4 - np.arange(4.0)

    def jacobian(x):
        e = root / 10 * np.exp(x / 10)
        pairs = np.diag(e)[1:] + np.diag(e[:-1], -1)[1:]
        return np.vstack([[1, 0, 0, 0], pairs, np.diag(e)[1:], 2 * weights * x])

    def curvature(x, r):
        e = root / 100 * np.exp(x / 10)
        pairs, singles = r[1:4], r[4:7]
        sums = np.append(0.0, pairs + singles) + np.append(pairs, 0.0)
        return np.diag(e * sums + 2 * r[7] * weights)

    return (
        lambda x: [
            x[0] - 0.2,
            *(root * (jnp.exp(x[1:] / 10) + jnp.exp(x[:-1] / 10) - y)),
            *(root * (jnp.exp(x[1:] / 10) - np.exp(-0.1))),
            jnp.sum(weights * x**2) - 1,
        ],
        jacobian,
        curvature,
    )


@problem("25 variably dimensioned", [0.8, 0.6, 0.4, 0.2, 0.0])
def _():
    j = np.arange(1, 6.0)
    return (
        lambda x: [*(x - 1), jnp.sum(j * (x - 1)), jnp.sum(j * (x - 1)) ** 2],
        lambda x: np.vstack([np.eye(5), j, 2 * np.sum(j * (x - 1)) * j]),
        lambda x, r: 2 * r[6] * np.outer(j, j),
    )


@problem("26 trigonometric", [0.2, 0.3, 0.1, -0.4, 0.6])
def _():
    i = np.arange(1, 6.0)
    return (
        lambda x: 5 - jnp.sum(jnp.cos(x)) + i * (1 - jnp.cos(x)) - jnp.sin(x),
        lambda x: np.sin(x) + np.diag(i * np.sin(x) - np.cos(x)),
        lambda x, r: np.diag(np.sum(r) * np.cos(x) + r * (i * np.cos(x) + np.sin(x))),
    )


@problem("27 Brown almost-linear", [0.5, 0.75, 1.25, 0.5, 1.5])
def _():
    return (
        lambda x: [*(x[:-1] + jnp.sum(x) - 6), jnp.prod(x) - 1],
        lambda x: np.vstack([np.eye(5)[:-1] + 1, np.prod(x) / x]),
        lambda x, r: r[4] * np.prod(x) * (np.outer(1 / x, 1 / x) - np.diag(1 / x**2)),
    )


def shifted(x):
    """The neighbours of each element, 0 beyond the ends."""
    return jnp.concatenate([jnp.zeros(1), x[:-1]]), jnp.concatenate([x[1:], jnp.zeros(1)])


@problem("28 discrete boundary value", [-0.1, -0.2, -0.15, 0.1, -0.05])
def _():
    h = 1 / 6
    t = h * np.arange(1, 6)

    def residuals(x):
        left, right = shifted(x)
        return 2 * x - left - right + h**2 * (x + t + 1) ** 3 / 2

    return (
        residuals,
        lambda x: np.diag(2 + 1.5 * h**2 * (x + t + 1) ** 2) - np.eye(5, k=1) - np.eye(5, k=-1),
        lambda x, r: np.diag(3 * h**2 * r * (x + t + 1)),
    )


@problem("29 discrete integral equation", [-0.1, -0.2, -0.15, 0.1, -0.05])
def _():
    h = 1 / 6
    t = h * np.arange(1, 6)
    kernel = h / 2 * np.where(t <= t[:, None], (1 - t[:, None]) * t, t[:, None] * (1 - t))
    return (
        lambda x: x + kernel @ (x + t + 1) ** 3,
        lambda x: np.eye(5) + 3 * kernel * (x + t + 1) ** 2,
        lambda x, r: np.diag(6 * (r @ kernel) * (x + t + 1)),
    )


@problem("30 Broyden tridiagonal", [-1.0, -0.5, 0.25, -1.5, 0.75])
def _():
    def residuals(x):
        left, right = shifted(x)
        return (3 - 2 * x) * x - left - 2 * right + 1

    return (
        residuals,
        lambda x: np.diag(3 - 4 * x) - np.eye(5, k=-1) - 2 * np.eye(5, k=1),
        lambda x, r: np.diag(-4 * r),
    )


@problem("31 Broyden banded", [-1.0, -0.5, 0.25, -1.5, 0.75, 1.0, -0.25, 0.5])
def _():
    i = np.arange(8)
    near = (i >= i[:, None] - 5) & (i <= i[:, None] + 1) & (i != i[:, None])
    band = near.astype(float)
    return (
        lambda x: x * (2 + 5 * x**2) + 1 - band @ (x * (1 + x)),
        lambda x: np.diag(2 + 15 * x**2) - band * (1 + 2 * x),
        lambda x, r: np.diag(30 * r * x - 2 * (r @ band)),
    )


@problem("32 linear, full rank", [1.0, 0.5, -0.5, 2.0])
def _():
    matrix = np.vstack([np.eye(4), np.zeros((3, 4))]) - 2 / 7
    return lambda x: matrix @ x - 1, lambda x: matrix, straight


@problem("33 linear, rank 1", [1.0, 0.5, -0.5, 2.0])
def _():
    matrix = np.outer(np.arange(1, 8.0), np.arange(1, 5.0))
    return lambda x: matrix @ x - 1, lambda x: matrix, straight


@problem("34 linear, rank 1, zero columns and rows", [1.0, 0.5, -0.5, 2.0])
def _():
    matrix = np.outer([0, 1, 2, 3, 4, 5, 0], [0, 2, 3, 0.0])
    return lambda x: matrix @ x - 1, lambda x: matrix, straight


@problem("35 Chebyquad", [0.15, 0.3, 0.45, 0.6, 0.8])
def _():
    n = 5
    i = np.arange(1, n + 1)
    integral = np.array([-1 / (k**2 - 1) if k % 2 == 0 else 0.0 for k in i])

    def residuals(x):
        u = 2 * x - 1
        values = [jnp.ones(n), u]
        for _ in range(n - 1):
            values.append(2 * u * values[-1] - values[-2])
        return jnp.stack([jnp.mean(one) for one in values[1:]]) - integral

    def slopes(x):
        """By the angle: T = cos iθ, and from their differential equation (1 − u²) T″ = u T′ − i² T."""
        u, angle = 2 * x - 1, np.arccos(2 * x - 1)
        k = i[:, None]
        first = k * np.sin(k * angle) / np.sin(angle)
        return 2 * first / n, 4 * (u * first - k**2 * np.cos(k * angle)) / (1 - u**2) / n

    return residuals, lambda x: slopes(x)[0], lambda x, r: np.diag(r @ slopes(x)[1])
