"""What showing the gradient of a model of ten million parameters costs, beside computing it, in Markdown.

"Computing" is `jax.value_and_grad` of the loss under jit, compiled before. "Showing" is everything from
there to what the user sees, but the check: the figures of ten million numbers (norm, range, zeros, nan, the
effect of 1 % more, the strips of colour), the page, its text and HTML, the live view and its messages.

Two ordinary models, and one whose gradient is as cheap as that many parameters allow: every number of it
is used for 64 rows only, so that reading it once more is no small thing beside computing it.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
import warnings

import jax
import jax.numpy as jnp

from jaxmagic.analysis.digests import digests
from jaxmagic.analysis.gradient import derive
from jaxmagic.pages.gradient import page
from jaxmagic.target import Target
from jaxmagic.views.bundle import Shown

ROUNDS = 7
WIDTHS = (784, 2560, 2560, 500, 10)  # of the network
WORDS, WIDTH, LAYERS, HEADS = 16_384, 256, 7, 8  # of the language model
TOKENS = (8, 128)
BAR = 0.1


# -- the models -----------------------------------------------------------------------------------


def network():
    """The parameters of a plain network; a random matrix keeps the size of what it is multiplied with."""
    keys = jax.random.split(jax.random.key(0), len(WIDTHS))
    return {
        f"layer {i}": {"kernel": dense(key, n, m), "bias": jnp.zeros(m)}
        for i, (key, n, m) in enumerate(zip(keys, WIDTHS, WIDTHS[1:], strict=False))
    }


def dense(key, n, m):
    return jax.random.normal(key, (n, m)) / n**0.5


def rows(count):
    return jax.random.normal(jax.random.key(1), (count, WIDTHS[0]))


def network_loss(params, x):
    """The mean of the outputs' squares."""
    for layer in params.values():
        x = jnp.tanh(x @ layer["kernel"] + layer["bias"])
    return jnp.mean(x**2)


def language_model():
    """The parameters of a small transformer; its table of words reads and writes."""
    keys = iter(jax.random.split(jax.random.key(0), 4 * LAYERS + 2))
    shapes = {"mix": (WIDTH, 3 * WIDTH), "out": (WIDTH, WIDTH), "up": (WIDTH, 4 * WIDTH)}
    shapes |= {"down": (4 * WIDTH, WIDTH)}
    blocks = {
        f"block {i}": {name: dense(next(keys), *shape) for name, shape in shapes.items()}
        for i in range(LAYERS)
    }
    table = 0.02 * jax.random.normal(next(keys), (WORDS, WIDTH))
    return blocks | {"words": table, "places": 0.02 * jax.random.normal(next(keys), (TOKENS[1], WIDTH))}


def language_loss(params, text):
    """How surprising each next word is."""
    x = params["words"][text] + params["places"]
    for i in range(LAYERS):
        block = params[f"block {i}"]
        x = x + attend(even(x) @ block["mix"]) @ block["out"]
        x = x + jax.nn.gelu(even(x) @ block["up"]) @ block["down"]
    told = jax.nn.log_softmax(even(x) @ params["words"].T)
    return -jnp.mean(jnp.take_along_axis(told[:, :-1], text[:, 1:, None], -1))


def attend(mixed):
    query, key, value = (part.reshape(*part.shape[:2], HEADS, -1) for part in jnp.split(mixed, 3, axis=-1))
    return jax.nn.dot_product_attention(query, key, value, is_causal=True).reshape(*mixed.shape[:2], -1)


def even(x):
    return (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + 1e-5)


def cases():
    text = jax.random.randint(jax.random.key(2), TOKENS, 0, WORDS)
    yield f"language model, {TOKENS[0]} × {TOKENS[1]} words", language_loss, language_model(), text
    yield "network, 512 rows", network_loss, network(), rows(512)
    yield "the cheapest: network, 64 rows", network_loss, network(), rows(64)


# -- the times ------------------------------------------------------------------------------------


def timed(call):
    """Seconds, and what came out."""
    start = time.perf_counter()
    found = jax.block_until_ready(call())
    return time.perf_counter() - start, found


def shown(result):
    """Every output of a result as a notebook stores it, as text."""
    made = Shown(page(result), html=True, live=True)
    try:
        return json.dumps(made.outputs)
    finally:
        made.close()


def measure(loss, params, data):
    """Seconds to compute, read and show; the bytes shown; seconds of the whole answer, and its check."""
    gradient = jax.jit(jax.value_and_grad(loss))
    jax.block_until_ready(gradient(params, data))
    whole, result = timed(
        lambda: derive(Target(function=loss, args=(params, data), name="loss"), wrt="params")
    )
    found = []
    for _ in range(ROUNDS):
        computing, (_, slopes) = timed(lambda: gradient(params, data))
        pairs = [jax.tree_util.tree_leaves(tree) for tree in (slopes, params)]
        reading, _ = timed(lambda pairs=pairs: [d and d.norm for d in digests(*pairs)])
        showing, text = timed(lambda: shown(result))
        found.append((computing, reading, showing))
    return *map(statistics.median, zip(*found, strict=True)), len(text.encode()), whole, result.check


def main():
    """Print the table."""
    warnings.simplefilter("ignore")
    print(f"float32, median of {ROUNDS} interleaved rounds\n")
    print("| model | parameters | computing | figures | page and view | together | notebook | all, checked |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    missed = False
    for name, loss, params, data in cases():
        count = sum(leaf.size for leaf in jax.tree_util.tree_leaves(params))
        computing, reading, showing, size, whole, check = measure(loss, params, data)
        share = (reading + showing) / computing
        times = " | ".join(f"{1e3 * seconds:.0f} ms" for seconds in (computing, reading, showing))
        print(
            f"| {name} | {count:,} | {times} | {100 * share:.0f} % | {size / 1e3:.0f} kB "
            f"| {whole:.1f} s, {check.finding} |",
            flush=True,
        )
        missed |= size > 100_000 or (share > BAR and not name.startswith("the cheapest"))
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
