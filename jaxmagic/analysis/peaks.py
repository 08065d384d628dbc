"""What a device does at most: a product of large matrices, and a large array read and written.

Measured when asked for, once in a process. It takes about half a second on two cores.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxmagic.results import Peaks

SIDES = (1024, 2048, 4096, 8192)  # of the matrices
ELEMENTS = tuple(2**power for power in (24, 26, 28))  # of the array: 64 MB to 1 GB, larger than caches
LONG = 3e-3  # seconds of a call that starting it does not count in any more: then nothing larger is tried
ROUNDS = 5


def device() -> jax.Device:
    """The device that programs run on now."""
    return next(iter(jnp.zeros(()).devices()))


@functools.cache
def measure(on: jax.Device) -> Peaks:
    """The best of a few rounds on a device; a busy machine reads too low."""
    with jax.enable_x64(False), jax.default_device(on):  # noqa: FBT003 -- JAX's own signature
        return Peaks(
            flops=highest(lambda side: 2.0 * side**3, lambda side: _best(_product, (side, side)), SIDES),
            bytes=highest(lambda size: 8.0 * size, lambda size: _best(_copy, (size,)), ELEMENTS),
        )


def highest(work: Callable[[int], float], seconds: Callable[[int], float], sizes: Sequence[int]) -> float:
    """The highest rate of rising sizes, up to the first whose call is so long that starting it is nothing.

    A GPU multiplies matrices of 1024 by 1024 in less time than it takes to ask for it.
    """
    found = 0.0
    for size in sizes:
        try:
            took = seconds(size)
        except jax.errors.JaxRuntimeError:  # no memory for it
            break
        found = max(found, work(size) / took)
        if took >= LONG:
            break
    return found


def _product(matrix: jax.Array) -> jax.Array:
    return matrix @ matrix


def _copy(array: jax.Array) -> jax.Array:
    return array + 1.0


def _best(function: Callable[[Any], Any], shape: tuple[int, ...]) -> float:
    value = jnp.ones(shape, jnp.float32)
    compiled = jax.jit(function).lower(value).compile()
    compiled(value).block_until_ready()
    return min(_once(compiled, value) for _ in range(ROUNDS))


def _once(compiled: Callable[[Any], Any], value: Any) -> float:
    started = time.perf_counter()
    compiled(value).block_until_ready()
    return time.perf_counter() - started
