"""How far the check of a derivative can be trusted, as counts in Markdown.

`gradient_trust.py [FIRST]`: FIRST is the first seed, 0 when left out.
"""

from __future__ import annotations

import pathlib
import sys
import warnings
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

from jaxmagic import differentiate
from jaxmagic.analysis.checks import FLOAT32, FLOAT64, measure
from tests.smooth import blur, evaluate, grow, slope, somewhere

EXPRESSIONS, THROUGH_JAX = 3000, 100
FACTORS = (0.0, 0.5, 0.99, 1.01, 2.0, -1.0)
FINDINGS = ("ok", "wrong", "unsure", "kink", "jump")


def judge(f, at, claim, precision=FLOAT64, blurred=None):
    length = abs(at) or 1.0
    hides = blurred and (lambda: np.array([blurred()]))

    def g(t):
        return np.array([np.float64(f(at + t * length))])

    return measure(g, np.array([claim * length]), precision, blur=hides).finding


def counts(first):
    """Findings about random smooth expressions, by what was claimed."""
    found = {
        name: Counter()
        for name in (
            "right, float64",
            "right, float32 inside",
            "right, float32",
            "wrong",
            "wrong, float32 inside",
        )
    }
    for seed in range(first, first + EXPRESSIONS):
        rng = np.random.default_rng(seed)
        tree, at = grow(rng), somewhere(rng)
        claim, single = slope(tree, at), float(np.float32(at))
        rough = lambda x, tree=tree: np.float32(evaluate(tree, np.float32(x)))  # noqa: E731 -- two uses
        exact = lambda x, tree=tree: evaluate(tree, np.float64(x))  # noqa: E731 -- two uses
        hides = lambda tree=tree, x=single: blur(tree, x)  # noqa: E731 -- two uses
        found["right, float64"][judge(exact, at, claim)] += 1
        steep = slope(tree, single)
        found["right, float32 inside"][judge(rough, single, steep, FLOAT64, hides)] += 1
        found["right, float32"][judge(rough, single, steep, FLOAT32, hides)] += 1
        if abs(claim) * (abs(at) or 1.0) > 1e-3 * abs(evaluate(tree, at)) + 1e-6:
            found["wrong"].update(judge(exact, at, factor * claim) for factor in FACTORS)
            wrongly = (judge(rough, single, factor * steep, FLOAT64, hides) for factor in FACTORS)
            found["wrong, float32 inside"].update(wrongly)
    return found


# The corner or step itself, and the slope that JAX answers there.
CORNERS = {
    "relu": (lambda u: max(u, 0.0), 0.0),
    "abs": (abs, 0.0),
    "max": (lambda u: max(u, 2 * u), 1.5),
}
STEPS = {"floor": (np.floor, 0.0), "round": (lambda u: np.round(u + 0.5), 0.0)}


def cornered(first, kinds):
    """Findings at a corner or step on top of a random smooth expression, as large as that one's own slope.

    Without expressions that double precision computes as 0 although their slope is not.
    """
    found = Counter()
    for seed in range(first, first + EXPRESSIONS):
        rng = np.random.default_rng(seed)
        tree, at = grow(rng), somewhere(rng)
        corner, answer = kinds[list(kinds)[seed % len(kinds)]]
        if evaluate(tree, at) == 0 != slope(tree, at):
            continue
        size = abs(slope(tree, at)) + abs(evaluate(tree, at)) / (abs(at) or 1.0)
        height = float(np.exp(rng.uniform(-1, 1))) * (size or 1.0)
        f = lambda x, t=tree, a=at, c=corner, h=height: evaluate(t, x) + h * c(x - a)  # noqa: E731 -- a formula
        found[judge(f, at, slope(tree, at) + height * answer)] += 1
    return found


def planted(first):
    """Functions with a wrong custom rule, through `differentiate`."""
    found = Counter()
    for seed in range(first, first + THROUGH_JAX):
        rng = np.random.default_rng(seed)
        shape = [(), (5,), (40,), (3, 4)][seed % 4]
        scale, factor = float(np.exp(rng.uniform(-2, 2))), FACTORS[seed % len(FACTORS)]
        f = ruled(lambda x, s=scale: jnp.sin(s * x) + x, lambda x, s=scale: s * jnp.cos(s * x) + 1, factor)
        x = jnp.asarray(rng.uniform(-2, 2, shape), jnp.float32)
        check = differentiate(lambda x, f=f: jnp.sum(f(x)), x).check
        found[check.finding] += 1
    return found


def ruled(value, rule, factor):
    @jax.custom_jvp
    def f(x):
        return value(x)

    f.defjvp(lambda points, tangents: (value(points[0]), factor * rule(points[0]) * tangents[0]))
    return f


def row(name, counter):
    cells = " | ".join(f"{counter[finding]:,}" for finding in FINDINGS)
    return f"| {name} | {sum(counter.values()):,} | {cells} |"


def main(first=0):
    warnings.simplefilter("ignore")
    print(f"| claimed slope | cases | {' | '.join(FINDINGS)} |")
    print(f"|---|---|{'---|' * len(FINDINGS)}")
    for name, counter in counts(first).items():
        print(row(name, counter))
    print(row("fair, at a kink (relu, abs, max)", cornered(first, CORNERS)))
    print(row("fair, at a jump (floor, round)", cornered(first, STEPS)))
    print(row("wrong custom rules through JAX", planted(first)))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
