"""What a device does at most: a product of large matrices, and a large array read and written.

Measured when asked for, once in a process. It takes about half a second on two cores.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxmagic.results import Peaks

SIDE = 1024  # of the matrices
ELEMENTS = 16 * 1024 * 1024  # of the array: 64 MB, larger than caches
ROUNDS = 5


def device() -> jax.Device:
    """The device that programs run on now."""
    return next(iter(jnp.zeros(()).devices()))


@functools.cache
def measure(on: jax.Device) -> Peaks:
    """The best of a few rounds on a device; a busy machine reads too low."""
    with jax.enable_x64(False), jax.default_device(on):  # noqa: FBT003 -- JAX's own signature
        matrix = jnp.ones((SIDE, SIDE), jnp.float32)
        array = jnp.ones(ELEMENTS, jnp.float32)
        return Peaks(
            flops=2 * SIDE**3 / _best(lambda a: a @ a, matrix),
            bytes=2 * array.nbytes / _best(lambda a: a + 1.0, array),
        )


def _best(function: Callable[[Any], Any], value: Any) -> float:
    compiled = jax.jit(function).lower(value).compile()
    compiled(value).block_until_ready()
    return min(_once(compiled, value) for _ in range(ROUNDS))


def _once(compiled: Callable[[Any], Any], value: Any) -> float:
    started = time.perf_counter()
    compiled(value).block_until_ready()
    return time.perf_counter() - started
