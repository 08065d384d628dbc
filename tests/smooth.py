"""Random smooth expressions that know their own slope, without JAX: dual numbers (value, slope)."""

from __future__ import annotations

import math
import operator

import numpy as np

# name: function, its derivative, and how JAX writes it
UNARY = {
    "sin": (np.sin, np.cos),
    "cos": (np.cos, lambda u: -np.sin(u)),
    "tanh": (np.tanh, lambda u: 1 - np.tanh(u) ** 2),
    "arctan": (np.arctan, lambda u: 1 / (1 + u**2)),
    "square": (lambda u: u * u, lambda u: 2 * u),
    "soft": (lambda u: np.sqrt(1 + u * u), lambda u: u / np.sqrt(1 + u * u)),
    "log": (lambda u: np.log(1 + u * u), lambda u: 2 * u / (1 + u * u)),
    "bell": (lambda u: np.exp(-u * u), lambda u: -2 * u * np.exp(-u * u)),
    "inverse": (lambda u: 1 / (1 + u * u), lambda u: -2 * u / (1 + u * u) ** 2),
}
BINARY = ("add", "subtract", "multiply")


def evaluate(tree, x, lib=np):
    """The value of an expression at x, in NumPy or jax.numpy."""
    kind, *parts = tree
    if kind == "x":
        return x
    if kind == "constant":
        return parts[0]
    if kind in BINARY:
        return getattr(lib, kind)(evaluate(parts[0], x, lib), evaluate(parts[1], x, lib))
    return _unary(kind, evaluate(parts[0], x, lib), lib)


def _unary(kind, u, lib):
    forms = {
        "square": lambda: u * u,
        "soft": lambda: lib.sqrt(1 + u * u),
        "log": lambda: lib.log(1 + u * u),
        "bell": lambda: lib.exp(-u * u),
        "inverse": lambda: 1 / (1 + u * u),
    }
    return forms[kind]() if kind in forms else getattr(lib, kind)(u)


def slope(tree, x):
    """The derivative at x, by the chain rule."""
    kind, *parts = tree
    if kind in ("x", "constant"):
        return 1.0 if kind == "x" else 0.0
    if kind == "multiply":
        a, b = (evaluate(part, x) for part in parts)
        return slope(parts[0], x) * b + a * slope(parts[1], x)
    if kind in BINARY:
        sign = -1.0 if kind == "subtract" else 1.0
        return slope(parts[0], x) + sign * slope(parts[1], x)
    return UNARY[kind][1](evaluate(parts[0], x)) * slope(parts[0], x)


def grow(rng, depth=4):
    """A random expression."""
    if depth == 0 or rng.random() < 0.1:
        return (
            ("x",)
            if rng.random() < 0.7
            else ("constant", float(math.exp(rng.uniform(-3, 3)) * rng.choice([-1, 1])))
        )
    if rng.random() < 0.45:
        return (str(rng.choice(BINARY)), grow(rng, depth - 1), grow(rng, depth - 1))
    return (str(rng.choice(list(UNARY))), grow(rng, depth - 1))


def somewhere(rng):
    """A point, from small to large."""
    return float(math.exp(rng.uniform(-5, 5)) * rng.choice([-1, 1])) if rng.random() < 0.9 else 0.0


class Shaken:
    """A float32 that each operation moves by up to one step of its type; its own library for `evaluate`."""

    __array_ufunc__ = None

    def __init__(self, value, rng):
        self.value, self.rng = np.float32(value), rng

    def _made(self, value):
        moved = np.float64(np.float32(value)) * (1 + self.rng.uniform(-1.0, 1.0) * 1.2e-7)
        return Shaken(moved, self.rng)

    def __add__(self, other):
        return self._made(self.value + _of(other))

    def __sub__(self, other):
        return self._made(self.value - _of(other))

    def __mul__(self, other):
        return self._made(self.value * _of(other))

    def __rtruediv__(self, other):
        return self._made(_of(other) / self.value)

    def __neg__(self):
        return Shaken(-self.value, self.rng)

    __radd__, __rmul__ = __add__, __mul__

    def __rsub__(self, other):
        return (-self) + other


def _of(number):
    return number.value if isinstance(number, Shaken) else np.float32(number)


def _unary_of(name):
    return staticmethod(
        lambda u: (
            u._made(getattr(np, name)(u.value)) if isinstance(u, Shaken) else getattr(np, name)(np.float32(u))
        )
    )


for _name in ("sin", "cos", "tanh", "arctan", "sqrt", "log", "exp"):
    setattr(Shaken, _name, _unary_of(_name))
Shaken.add, Shaken.subtract, Shaken.multiply = (
    staticmethod(operation) for operation in (operator.add, operator.sub, operator.mul)
)


def blur(tree, x, times=4):
    """How far rounding in float32 may move an expression's value."""
    exact = evaluate(tree, np.float32(x))
    found = [_of(evaluate(tree, Shaken(x, np.random.default_rng(seed)), Shaken)) for seed in range(times)]
    return max(abs(float(one) - float(exact)) for one in found)
