"""Does a race keep to its time, whatever the contenders do? Prints a Markdown table.

    python tests/benchmarks/race_budget.py [seconds]

Each row is a race of so many seconds (2) with contenders that do something unkind, and how many times
that it took. The bar is 1.2. The last row is the exception: a call of NumPy's own that is longer than
the budget is waited for, said to be long, and not repeated.
"""

from __future__ import annotations

import sys
import time

import jax
import jax.numpy as jnp
import numpy as np

from jaxmagic.bench.race import benchmark, race


def unrolled(steps):
    """JAX code of so many steps, written out."""

    def run(x):
        for i in range(steps):
            x = jnp.sin(x) * 1.0001 + i
        return x

    return run


def endless():
    while True:
        pass


def growing(calls=()):
    """A function that takes long from its 50th call on."""
    calls = list(calls)

    def run():
        calls.append(1)
        if len(calls) > 50:
            endless()
        time.sleep(0.002)

    return run


def increments(a):
    """Changes its input in place, so that each call gets a copy."""
    a += 1.0


def quick():
    return np.sin(1.0)


SMALL = np.random.default_rng(0).random(1000)


def long_svd(size):
    return np.linalg.svd(np.random.default_rng(0).random((size, size)))


def gigabytes(size):
    """An input of so many GB."""
    return np.ones(int(size * 1e9 / 8))


# A name, what is made beforehand, and the race of it.
CASES = {
    "JAX code of 1,500 steps, written out": (
        lambda: unrolled(1500),
        lambda f, s: benchmark(f, SMALL, budget=s),
    ),
    "JAX code of 6,000 steps, written out": (
        lambda: unrolled(6000),
        lambda f, s: benchmark(f, SMALL, budget=s),
    ),
    "a jitted contender that takes long to compile": (
        lambda: {"jitted": jax.jit(unrolled(3000)), "quick": np.sin},
        lambda both, s: race(both, SMALL, budget=s),
    ),
    "two single calls into LAPACK, of about 10 s": (
        lambda: {"one": lambda: long_svd(1800), "other": lambda: long_svd(1800)},
        lambda both, s: race(both, budget=s),
    ),
    "an endless loop": (
        lambda: {"endless": endless, "quick": quick},
        lambda both, s: race(both, budget=s),
    ),
    "a sleep of 30 s": (
        lambda: {"sleep": lambda: time.sleep(30), "quick": quick},
        lambda both, s: race(both, budget=s),
    ),
    "calls that become endless in the race": (
        lambda: {"grows": growing(), "quick": quick},
        lambda both, s: race(both, budget=s),
    ),
    "eight contenders of 0.3 s": (
        lambda: {f"c{i}": lambda: time.sleep(0.3) for i in range(8)},
        lambda all_of_them, s: race(all_of_them, budget=s),
    ),
    "an input of 1 GB": (
        lambda: gigabytes(1),
        lambda a, s: benchmark(lambda a: a[::1000].sum(), a, budget=s),
    ),
    "an input of 3 GB": (
        lambda: gigabytes(3),
        lambda a, s: benchmark(lambda a: a[::1000].sum(), a, budget=s),
    ),
    "0.4 GB changed in place": (
        lambda: gigabytes(0.4),
        lambda a, s: benchmark(increments, a, budget=s),
    ),
    "results of 0.4 GB": (
        lambda: {"one": lambda: gigabytes(0.4), "other": lambda: gigabytes(0.4)},
        lambda both, s: race(both, budget=s),
    ),
    "one call of NumPy's that is longer": (
        lambda: 1800,
        lambda size, s: benchmark(long_svd, size, budget=s),
    ),
}


def main(seconds=2.0):
    jax.jit(lambda x: x + 1)(1.0)
    print("| contenders | times the budget | what became of them |\n|---|---:|---|")
    for name, (make, run) in CASES.items():
        made = make()
        start = time.perf_counter()
        result = run(made, seconds)
        took = (time.perf_counter() - start) / seconds
        ends = "; ".join(f"{side.name}: {side.obstacle or 'timed'}" for side in result.contenders.values())
        print(f"| {name} | {took:.2f} | {ends} |", flush=True)
        del result, made
        time.sleep(2)


if __name__ == "__main__":
    main(*map(float, sys.argv[1:2]))
