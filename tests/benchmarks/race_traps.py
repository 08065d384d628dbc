"""What makes benchmarks lie, and what the race makes of it. Prints a Markdown table.

    python tests/benchmarks/race_traps.py [seconds]

Each row is a trap: what an ordinary timing reads, or does, and what a race of so many seconds (1) says.
"""

from __future__ import annotations

import functools
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np

from jaxmagic.bench.race import benchmark, race
from jaxmagic.errors import BadTarget
from jaxmagic.pages.benchmark import page
from jaxmagic.views.text import render

DICE = np.random.default_rng(0)
BIG = DICE.random(1_000_000).astype(np.float32)
DATA = jnp.array(BIG)
PLAIN = DICE.random(1_000_000)
CALLS = 20


def milliseconds(call, calls=CALLS):
    """The quickest of a few calls, the first one apart."""
    call()
    times = []
    for _ in range(calls):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1e3 * min(times)


def said(result):
    """The first line of a race's page."""
    return render(page(result), columns=500).strip().splitlines()[0]


def heavy(x):
    return jnp.sort(x)


def unblocked(seconds):
    jitted = jax.jit(heavy)
    x = jnp.array(BIG[:200_000])
    naive = milliseconds(lambda: jitted(x), 5)
    jax.block_until_ready(jitted(x))
    raced = 1e3 * benchmark(jitted, x, budget=4 * seconds).contenders["jax.jit"].typical
    return f"{naive:.3g} ms a call", f"{raced:.3g} ms"


class Holder:
    """An object that holds its data."""

    def __init__(self, data):
        self.data = data

    def total(self, y):
        return jnp.sum(jnp.sin(self.data)) + y


def by_global(y):
    return jnp.sum(jnp.sin(DATA)) + y


def by_default(y, data=DATA):
    return jnp.sum(jnp.sin(data)) + y


def summed(data, y):
    return jnp.sum(jnp.sin(data)) + y


CAPTURES = {
    "a global": by_global,
    "a default": by_default,
    "a partial": functools.partial(summed, DATA),
    "an object's attribute": Holder(DATA).total,
}


def captured(function, seconds):
    """Of a captured array: XLA computes with it when it compiles, so that nothing is left to time."""
    jitted = jax.jit(function)
    naive = milliseconds(lambda: jitted(1.0).block_until_ready())
    raced = 1e3 * benchmark(function, 1.0, budget=2 * seconds).contenders["jax.jit"].typical
    return f"{naive:.3g} ms a call", f"{raced:.3g} ms"


def precision(seconds):
    def numpy(x):
        return np.sin(x) * x + 1

    def on_jax(x):
        return jnp.sin(x) * x + 1

    jitted, x = jax.jit(on_jax), jnp.array(PLAIN)  # float32, without a word
    naive = milliseconds(lambda: numpy(PLAIN)) / milliseconds(lambda: jitted(x).block_until_ready())
    result = benchmark(numpy, PLAIN, budget=2 * seconds)
    times = result.speedup("jax.jit", over="numpy").estimate
    dtypes = ", ".join(sorted(set(result.agreement.dtypes.values())))
    return f"float64 against float32: {naive:.2f} times as fast", f"{dtypes} on every side: {times:.2f} times"


def aliased(seconds):
    arrays = [np.ones(1000 + n) for n in range(CALLS)]
    shared = 0
    with jax.enable_x64(new_val=True):
        for array in arrays:
            put = jax.device_put(array)
            array[:] = 2.0
            shared += bool(put[0] == 2.0)
    left = []

    def looks(x):
        left.append(x)
        return x * 1.0

    for array in arrays:
        race({"it": looks}, array, budget=0.02 * seconds)
        raced = sum(np.shares_memory(array, kept) for kept in left)
        left.clear()
    return f"`device_put` shared memory in {shared} of {CALLS}", f"{raced} of {CALLS}"


def in_place(seconds):
    def relax(u):
        u[1:-1] += 0.1 * (u[2:] + u[:-2] - 2 * u[1:-1])
        return u

    u = DICE.random(1000)
    first, before = u.copy(), u.tobytes()
    result = benchmark(relax, u, budget=3 * seconds)
    same = "byte-identical" if u.tobytes() == before else "CHANGED"
    milliseconds(lambda: relax(u))
    moved = np.abs(u - first).max()
    calls = sum(map(len, result.contenders["numpy"].seconds))
    return (
        f"the input is off by {moved:.2f} after {CALLS + 1} calls",
        f"{same} after {calls:,} samples, results agree: {result.agreement.ok}",
    )


def different(seconds):
    contenders = {"numpy": lambda x: np.sort(x), "wrong": lambda x: np.sort(x)[::-1]}
    naive = milliseconds(lambda: np.sort(PLAIN), 3) / milliseconds(lambda: np.sort(PLAIN)[::-1], 3)
    return f"{naive:.2f} times as fast", said(race(contenders, PLAIN, budget=seconds))


def at_random(seconds):
    def draw(x):
        return x + np.random.rand(1000)

    contenders = {"one": draw, "other": draw}
    naive = milliseconds(lambda: draw(PLAIN[:1000])) / milliseconds(lambda: draw(PLAIN[:1000]))
    return f"{naive:.2f} times as fast", said(race(contenders, PLAIN[:1000], budget=seconds))


def donated(seconds):
    jitted = jax.jit(lambda x: x + 1, donate_argnums=0)
    x = jnp.array(BIG)
    try:
        milliseconds(lambda: jitted(x))
        naive = "no error"
    except (RuntimeError, ValueError) as error:
        naive = f"{type(error).__name__}, the second call finds its input deleted"
    result = benchmark(jitted, jnp.array(BIG), budget=2 * seconds)
    samples = sum(map(len, result.contenders["jax.jit"].seconds))
    return naive, f"timed in {samples:,} samples, fresh inputs each"


def generator(seconds):
    numbers = (n for n in range(5))
    naive = f"the second call gets {sum(numbers) - sum(numbers)} less"
    try:
        raced = said(benchmark(lambda g: sum(g), (n for n in range(5)), budget=seconds))
    except BadTarget as error:
        raced = f"refused: {error.message}"
    return naive, raced


def special(seconds):
    x = np.array([1.0, np.nan, np.inf, -np.inf])
    naive = f"`np.allclose` says {bool(np.allclose(x * 2, x * 2))} of a result and itself"
    same = benchmark(lambda x: x * 2, x, budget=seconds).agreement.ok
    other = race({"a": lambda x: x, "b": lambda x: np.nan_to_num(x)}, x, budget=seconds).agreement
    return naive, f"agree: {same}; NaN against a number: {other.where}"


def empty(seconds):
    result = benchmark(lambda x: np.sort(x * 2), np.empty((0,)), budget=2 * seconds)
    try:
        naive = f"differ by {np.max(np.abs(np.empty(0) - np.empty(0)))}"
    except ValueError as error:
        naive = f"`np.max(np.abs(a - b))` raises: {str(error).split(' which')[0]}"
    return naive, f"agree: {result.agreement.ok}; {said(result)}"


def raises(seconds):
    calls = []

    def breaks(x):
        calls.append(1)
        if len(calls) > 500:
            raise ValueError("the 501st is too much")
        return np.sin(x)

    result = race({"breaks": breaks, "holds": np.sin}, PLAIN[:10_000], budget=seconds)
    kept = sum(map(len, result.contenders["breaks"].seconds))
    others = sum(map(len, result.contenders["holds"].seconds))
    return (
        "the error, and no figure",
        f"{kept} samples kept, {others:,} of the other; {result.contenders['breaks'].obstacle}",
    )


TRAPS = {
    "a call that is not waited for": unblocked,
    **{
        f"an array captured through {name}": functools.partial(captured, function)
        for name, function in CAPTURES.items()
    },
    "float64 against float32": precision,
    "an aliased input": aliased,
    "a function that changes its input": in_place,
    "different results": different,
    "random results": at_random,
    "a donated buffer": donated,
    "a generator as an input": generator,
    "NaN and infinities": special,
    "empty arrays": empty,
    "a contender that raises in the middle": raises,
}


def main(seconds=1.0):
    print("| trap | an ordinary timing | the race |\n|---|---|---|")
    for name, trap in TRAPS.items():
        naive, raced = trap(seconds)
        print(f"| {name} | {naive} | {raced} |", flush=True)


if __name__ == "__main__":
    main(*map(float, sys.argv[1:2]))
