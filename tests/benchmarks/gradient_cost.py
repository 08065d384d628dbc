"""What showing the gradient of a large model costs, beside computing it, in Markdown."""

from __future__ import annotations

import json
import statistics
import sys
import time
import warnings

import jax
import jax.numpy as jnp

from jaxmagic.analysis.gradient import derive
from jaxmagic.pages.gradient import page
from jaxmagic.target import Target
from jaxmagic.views.bundle import Shown

WIDTHS = (784, 2560, 2560, 500, 10)  # 9.9 million parameters
BATCH, ROUNDS = 64, 5


def model():
    """The parameters of a plain network, a batch, and its loss."""
    keys = jax.random.split(jax.random.key(0), len(WIDTHS) + 1)
    params = {
        f"layer {i}": {"kernel": jax.random.normal(key, (n, m)) / n**0.5, "bias": jnp.zeros(m)}
        for i, (key, n, m) in enumerate(zip(keys, WIDTHS, WIDTHS[1:], strict=False))
    }
    return params, jax.random.normal(keys[-1], (BATCH, WIDTHS[0]))


def loss(params, x):
    """The mean of the outputs' squares."""
    for layer in params.values():
        x = jnp.tanh(x @ layer["kernel"] + layer["bias"])
    return jnp.mean(x**2)


def timed(call):
    """Seconds, and what came out."""
    start = time.perf_counter()
    found = jax.block_until_ready(call())
    return time.perf_counter() - start, found


def main():
    """Print the table."""
    warnings.simplefilter("ignore")
    params, x = model()
    count = sum(leaf.size for leaf in jax.tree_util.tree_leaves(params))
    gradient = jax.jit(jax.value_and_grad(loss))
    jax.block_until_ready(gradient(params, x))
    target = Target(function=loss, args=(params, x), name="loss")
    whole, result = timed(lambda: derive(target, wrt="params"))
    rounds = [(timed(lambda: gradient(params, x))[0], *shown(result)) for _ in range(ROUNDS)]
    compute, show = (statistics.median(column) for column in list(zip(*rounds, strict=True))[:2])
    print(f"{count:,} parameters, batch of {BATCH}, float32, median of {ROUNDS} interleaved rounds\n")
    print("| | |\n|---|---:|")
    print(f"| computing the gradient, compiled | {compute * 1e3:.0f} ms |")
    print(f"| page, text and HTML | {show * 1e3:.0f} ms ({100 * show / compute:.0f} %) |")
    print(f"| added to the notebook | {rounds[0][2] / 1e3:.0f} kB |")
    print(f"| the whole answer, with its check | {whole:.1f} s ({whole / compute:.0f} gradients) |")
    print(f"| the check found | {result.check.finding}, {result.check.how} |")
    return 0 if show <= max(0.05, 0.1 * compute) and rounds[0][2] <= 100_000 else 1


def shown(result):
    """Seconds to make every output of a result, and their bytes as stored in a notebook."""
    seconds, bundles = timed(lambda: Shown(page(result), html=True, live=False).outputs)
    return seconds, len(json.dumps(bundles).encode())


if __name__ == "__main__":
    sys.exit(main())
