"""What looking costs beside the bare JAX calls for the same facts: a ratio, both sides in turn.

    python tests/benchmarks/trace_overhead.py [rounds]

Both sides start from a function that JAX has not seen. Processor time, for other programs on the
machine make the time on the clock useless. "jaxmagic" is `look`, the page, and its tabs with their
links, up to the one named; costs are always in it, for the page's first line tells them. "bare" are
the calls of JAX's own that give the same:

- jaxpr, costs: trace, `str(jaxpr)`, lower, `cost_analysis()`;
- jaxpr, costs, StableHLO: and `as_text()`;
- jaxpr, costs, StableHLO, XLA: and compile and its `as_text()`;
- the last two "without costs" leave `cost_analysis()` out on the bare side only. Then the ratio shows
  what knowing the costs costs, most of it XLA's conversion of StableHLO to HLO, in C++.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Variant:
    """Which facts are asked for; `tabs` are jaxmagic's, `costs` whether the bare side has them too."""

    name: str
    tabs: int
    costs: bool = True


VARIANTS = (
    Variant("jaxpr, costs", 1),
    Variant("jaxpr, costs, StableHLO", 2),
    Variant("jaxpr, costs, StableHLO, XLA", 3),
    Variant("jaxpr, StableHLO, bare without costs", 2, costs=False),
    Variant("jaxpr, StableHLO, XLA, bare without costs", 3, costs=False),
)


def bare(function: Callable[..., Any], args: tuple[Any, ...], variant: Variant) -> None:
    fresh = lambda *values: function(*values)  # noqa: E731  # a new function each time: nothing is cached
    traced = jax.jit(fresh).trace(*args)
    str(traced.jaxpr)
    lowered = traced.lower()
    if variant.costs:
        lowered.cost_analysis()
    if variant.tabs > 1:
        lowered.as_text()
    if variant.tabs > 2:
        lowered.compile().as_text()


def with_jaxmagic(function: Callable[..., Any], args: tuple[Any, ...], variant: Variant) -> None:
    result = look(Target(function=function, args=args))
    for tab in page(result).tabs[: variant.tabs]:
        tab.blocks.get()


def timed(run: Callable[..., None], *args: Any) -> float:
    start = time.process_time()
    run(*args)
    return time.process_time() - start


def main(rounds: int) -> None:
    print(f"jax {jax.__version__}, {rounds} rounds, medians\n")
    print("| program | equations | what is shown | bare, ms | jaxmagic, ms | ratio |")
    print("|---|---:|---|---:|---:|---:|")
    for make in (small, train_step, long):
        try:
            function, args = make()
        except ImportError as missing:
            print(f"| {make.__name__} | | {missing} | | | |")
            continue
        count = len(look(Target(function=function, args=args)).equations)
        for variant in VARIANTS:
            row(make.__name__, count, function, args, variant, rounds)


def row(name: str, count: int, function: Any, args: Any, variant: Variant, rounds: int) -> None:
    sides: dict[Any, list[float]] = {bare: [], with_jaxmagic: []}
    for i in range(rounds + 1):
        for run, times in list(sides.items())[:: 1 if i % 2 else -1]:
            seconds = timed(run, function, args, variant)
            if i:
                times.append(seconds)
    a, b = (statistics.median(times) * 1e3 for times in sides.values())
    ratio = statistics.median(y / x for x, y in zip(*sides.values(), strict=True))
    print(f"| {name} | {count:,} | {variant.name} | {a:.1f} | {b:.1f} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
