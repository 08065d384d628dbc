"""Gradients and Hessians of the literature's test functions against derivatives by hand, in Markdown."""

from __future__ import annotations

import contextlib
import pathlib
import sys
import warnings
from collections import Counter

import jax
import jax.numpy as jnp

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

from jaxmagic import differentiate
from tests.known_derivatives import PROBLEMS, off

PRECISIONS = {"float32": (jnp.float32, contextlib.nullcontext), "x64": (jnp.float64, jax.enable_x64)}
ALLOWED = {"float32": 1e-5, "x64": 1e-12}
ORDERS = {1: "gradient", 2: "Hessian"}


def worst(order, precision):
    """The largest distance over the problems, where, and what the check found of each."""
    dtype, scope = PRECISIONS[precision]
    errors, found = {}, Counter()
    for name, problem in PROBLEMS.items():
        with scope():
            result = differentiate(problem.function, jnp.asarray(problem.point, dtype), order=order)
        errors[name] = off(result.partials["x"], problem.by_hand()[order - 1])
        found[result.check.finding] += 1
    name = max(errors, key=errors.get)
    return errors[name], name, found


def main():
    """Print the table."""
    warnings.simplefilter("ignore")
    print(f"{len(PROBLEMS)} functions\n")
    print("| | largest relative difference | of | the check by differences |")
    print("|---|---:|---|---|")
    good = True
    for precision in PRECISIONS:
        for order, kind in ORDERS.items():
            error, name, found = worst(order, precision)
            good &= error <= ALLOWED[precision]
            told = ", ".join(f"{finding} {count}" for finding, count in found.most_common())
            print(f"| {kind}, {precision} | {error:.1e} | {name} | {told} |", flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
