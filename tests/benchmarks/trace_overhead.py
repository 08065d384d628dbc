"""What looking costs beside the bare JAX calls for the same texts: a ratio, both sides interleaved.

    python tests/benchmarks/trace_overhead.py [rounds]

"bare" is trace, `str(jaxpr)`, lower, `as_text()` (and, in the second table, compile and its
`as_text()`) of a function that JAX has not seen. "jaxmagic" is `look`, the page, and the same texts
with their links.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxmagic.analysis.trace import look
from jaxmagic.pages.trace import page
from jaxmagic.target import Target


def small() -> tuple[Callable[..., Any], tuple[Any, ...]]:
    def layer(x, w):
        h = jnp.tanh(x @ w)
        s = jnp.sort(h, axis=0)
        return (s**2).mean() + jnp.where(h > 0, h, 0.0).sum()

    return layer, (jnp.ones((64, 32)), jnp.ones((32, 16)))


def train_step() -> tuple[Callable[..., Any], tuple[Any, ...]]:
    import optax
    from flax import nnx

    class Net(nnx.Module):
        def __init__(self, rngs):
            self.one = nnx.Linear(16, 64, rngs=rngs)
            self.two = nnx.Linear(64, 64, rngs=rngs)
            self.three = nnx.Linear(64, 1, rngs=rngs)

        def __call__(self, x):
            return self.three(nnx.relu(self.two(nnx.relu(self.one(x)))))

    graph, params = nnx.split(Net(nnx.Rngs(0)))
    tx = optax.adam(1e-3)

    def step(params, state, x, y):
        def loss(params):
            return ((nnx.merge(graph, params)(x) - y) ** 2).mean()

        value, grads = jax.value_and_grad(loss)(params)
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state, value

    return step, (params, tx.init(params), jnp.ones((32, 16)), jnp.ones((32, 1)))


def long() -> tuple[Callable[..., Any], tuple[Any, ...]]:
    def unrolled(x):
        for i in range(500):
            x = jnp.sin(x) * 0.5 + x * i
        return x

    return unrolled, (jnp.ones(128),)


def bare(function: Callable[..., Any], args: tuple[Any, ...], *, compiled: bool) -> None:
    fresh = lambda *values: function(*values)  # noqa: E731  # a new function each time: nothing is cached
    traced = jax.jit(fresh).trace(*args)
    str(traced.jaxpr)
    lowered = traced.lower()
    lowered.as_text()
    if compiled:
        lowered.compile().as_text()


def with_jaxmagic(function: Callable[..., Any], args: tuple[Any, ...], *, compiled: bool) -> None:
    result = look(Target(function=function, args=args))
    tabs = page(result).tabs
    for tab in tabs if compiled else tabs[:2]:
        tab.blocks.get()


def timed(run: Callable[..., None], *args: Any, **kwargs: Any) -> float:
    start = time.perf_counter()
    run(*args, **kwargs)
    return time.perf_counter() - start


def main(rounds: int) -> None:
    print(f"jax {jax.__version__}, {rounds} rounds, medians\n")
    print("| program | equations | stages | bare, ms | jaxmagic, ms | ratio |")
    print("|---|---:|---|---:|---:|---:|")
    for make in (small, train_step, long):
        try:
            function, args = make()
        except ImportError as missing:
            print(f"| {make.__name__} | | {missing} | | | |")
            continue
        count = len(look(Target(function=function, args=args)).equations)
        for compiled in (False, True):
            row(make.__name__, count, function, args, rounds, compiled=compiled)


def row(name: str, count: int, function: Any, args: Any, rounds: int, *, compiled: bool) -> None:
    sides: dict[Any, list[float]] = {bare: [], with_jaxmagic: []}
    for i in range(rounds + 1):
        for run, times in list(sides.items())[:: 1 if i % 2 else -1]:
            seconds = timed(run, function, args, compiled=compiled)
            if i:
                times.append(seconds)
    a, b = (statistics.median(times) * 1e3 for times in sides.values())
    ratio = statistics.median(y / x for x, y in zip(*sides.values(), strict=True))
    stages = "jaxpr, StableHLO, XLA" if compiled else "jaxpr, StableHLO"
    print(f"| {name} | {count:,} | {stages} | {a:.1f} | {b:.1f} | {ratio:.2f} |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
