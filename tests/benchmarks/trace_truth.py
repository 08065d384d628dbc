"""How true %%jaxpr's figures are, on real programs: spans, and costs against XLA's own analysis.

    python tests/benchmarks/trace_truth.py

XLA counts a loop's body once, so a program with loops is held against its unrolled version. That is
another program (it keeps no stacked residuals), so the last columns count loops once on both sides.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxmagic import trace
from jaxmagic.analysis import costs
from jaxmagic.results import Trace


def f32(*shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def mlp_step(unroll):
    def step(params, x, y):
        def loss(params):
            h = x
            for w, b in params[:-1]:
                h = jax.nn.gelu(h @ w + b)
            w, b = params[-1]
            logits = h @ w + b
            return -jnp.mean(jnp.sum(jax.nn.log_softmax(logits) * y, axis=-1))

        value, grads = jax.value_and_grad(loss)(params)
        return value, jax.tree.map(lambda p, g: p - 0.1 * g, params, grads)

    sizes = [784, 256, 128, 10]
    params = [(f32(m, n), f32(n)) for m, n in itertools.pairwise(sizes)]
    return step, (params, f32(64, 784), f32(64, 10))


def attention(unroll):
    def block(params, x):
        q, k, v = (jnp.einsum("btd,dhk->bthk", x, params[name]) for name in "qkv")
        scores = jnp.einsum("bthk,bshk->bhts", q, k) / jnp.sqrt(q.shape[-1])
        mask = jnp.tril(jnp.ones((x.shape[1], x.shape[1]), bool))
        weights = jax.nn.softmax(jnp.where(mask, scores, -1e9))
        out = jnp.einsum("bhts,bshk,hkd->btd", weights, v, params["o"])
        mean = out.mean(-1, keepdims=True)
        return ((x + out - mean) * jax.lax.rsqrt(out.var(-1, keepdims=True) + 1e-6)).sum()

    params = {name: f32(64, 4, 16) for name in "qkv"} | {"o": f32(4, 16, 64)}
    return jax.grad(block), (params, f32(2, 32, 64))


def convnet(unroll):
    def loss(params, x):
        for kernel in params:
            x = jax.lax.conv_general_dilated(
                x, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
            x = jax.nn.relu(x)
        x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
        return (x**2).mean()

    return jax.grad(loss), ([f32(3, 3, 3, 16), f32(3, 3, 16, 32)], f32(4, 32, 32, 3))


def rnn(unroll):
    def loss(params, xs):
        def cell(h, x):
            z = jax.nn.sigmoid(x @ params["wz"] + h @ params["uz"])
            n = jnp.tanh(x @ params["wn"] + (z * h) @ params["un"])
            h = (1 - z) * h + z * n
            return h, h

        _, hs = jax.lax.scan(cell, jnp.zeros((8, 32)), xs, unroll=unroll)
        return (hs**2).mean()

    params = {"wz": f32(16, 32), "uz": f32(32, 32), "wn": f32(16, 32), "un": f32(32, 32)}
    return jax.value_and_grad(loss), (params, f32(20, 8, 16))


def runge_kutta(unroll):
    def lorenz(state):
        x, y, z = state
        return jnp.stack([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z])

    def solve(start):
        def step(state, _):
            k1 = lorenz(state)
            k2 = lorenz(state + 0.005 * k1)
            k3 = lorenz(state + 0.005 * k2)
            k4 = lorenz(state + 0.01 * k3)
            state = state + 0.01 / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
            return state, state

        return jax.lax.scan(step, start, None, length=50, unroll=unroll)[1]

    return jax.vmap(solve), (f32(100, 3),)


def n_body(unroll):
    def energy(positions, masses):
        delta = positions[:, None] - positions[None]
        distance = jnp.sqrt((delta**2).sum(-1) + 1e-3)
        return -(masses[:, None] * masses / distance).sum() / 2

    def simulate(positions, velocities, masses):
        def step(carry, _):
            positions, velocities = carry
            force = -jax.grad(energy)(positions, masses)
            velocities = velocities + 0.01 * force / masses[:, None]
            return (positions + 0.01 * velocities, velocities), None

        return jax.lax.scan(step, (positions, velocities), None, length=10, unroll=unroll)[0]

    return simulate, (f32(64, 3), f32(64, 3), f32(64))


def k_means(unroll):
    def fit(points, centres):
        def step(centres, _):
            distance = ((points[:, None] - centres[None]) ** 2).sum(-1)
            nearest = jnp.argmin(distance, axis=1)
            sums = jax.ops.segment_sum(points, nearest, centres.shape[0])
            counts = jax.ops.segment_sum(jnp.ones(points.shape[0]), nearest, centres.shape[0])
            return sums / jnp.maximum(counts, 1)[:, None], distance.min(1).sum()

        return jax.lax.scan(step, centres, None, length=5, unroll=unroll)

    return fit, (f32(500, 8), f32(10, 8))


def black_scholes(unroll):
    def price(spot, strike, time, rate, sigma):
        d1 = (jnp.log(spot / strike) + (rate + sigma**2 / 2) * time) / (sigma * jnp.sqrt(time))
        d2 = d1 - sigma * jnp.sqrt(time)
        cdf = jax.scipy.stats.norm.cdf
        return spot * cdf(d1) - strike * jnp.exp(-rate * time) * cdf(d2)

    greeks = jax.vmap(jax.value_and_grad(price, argnums=(0, 2, 3, 4)))
    return greeks, tuple(f32(1000) for _ in range(5))


def gaussian_mixture(unroll):
    def log_likelihood(params, x):
        means, log_scales, logits = params
        z = (x[:, None] - means) / jnp.exp(log_scales)
        each = -0.5 * (z**2).sum(-1) - log_scales.sum(-1) - 0.5 * x.shape[1] * jnp.log(2 * jnp.pi)
        return jax.scipy.special.logsumexp(each + jax.nn.log_softmax(logits), axis=1).sum()

    return jax.grad(log_likelihood), ((f32(5, 3), f32(5, 3), f32(5)), f32(400, 3))


def checkpointed(unroll):
    def loss(w, x):
        @jax.checkpoint
        def block(x, w):
            return jnp.tanh(x @ w) + x

        def step(x, w):
            return block(x, w), None

        return (jax.lax.scan(step, x, w, unroll=unroll)[0] ** 2).sum()

    return jax.grad(loss), (f32(6, 32, 32), f32(16, 32))


def flax_step(unroll):
    import optax
    from flax import nnx

    class Net(nnx.Module):
        def __init__(self, rngs):
            self.one, self.two = nnx.Linear(16, 64, rngs=rngs), nnx.Linear(64, 1, rngs=rngs)
            self.norm = nnx.LayerNorm(64, rngs=rngs)

        def __call__(self, x):
            return self.two(self.norm(nnx.relu(self.one(x))))

    graph, params = nnx.split(Net(nnx.Rngs(0)))
    tx = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(1e-3))

    def step(params, state, x, y):
        def loss(params):
            return ((nnx.merge(graph, params)(x) - y) ** 2).mean()

        value, grads = jax.value_and_grad(loss)(params)
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state, value

    return step, (params, tx.init(params), f32(32, 16), f32(32, 1))


PROGRAMS: tuple[Callable[[Any], tuple[Callable[..., Any], tuple[Any, ...]]], ...] = (
    mlp_step, attention, convnet, rnn, runge_kutta, n_body, k_means, black_scholes, gaussian_mixture,
    checkpointed, flax_step,
)  # fmt: skip


def xla(function: Callable[..., Any], args: tuple[Any, ...]) -> dict[str, float]:
    found = jax.jit(function).lower(*args).cost_analysis()
    return {"flops": found.get("flops", 0.0), "bytes": found.get("bytes accessed", 0.0)}


def spanned(result: Trace) -> float:
    return sum(equation.span is not None for equation in result.equations) / len(result.equations)


def lined(result: Trace) -> float:
    """The share of the flops that a line of the listing carries."""
    return sum(line.flops or 0.0 for line in result.lines) / result.flops if result.flops else 1.0


def once(function: Callable[..., Any], args: tuple[Any, ...]) -> Trace:
    """The trace with every loop counted as one turn, as XLA does."""
    counted, costs.trips = costs.trips, lambda *_: 1
    try:
        return trace(function, *args)
    finally:
        costs.trips = counted


def main() -> None:
    print(f"jax {jax.__version__}\n")
    print(
        "| program | equations | with a span | at a line | flops / XLA | bytes / XLA | once: flops | bytes |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for make in PROGRAMS:
        try:
            function, args = make(unroll=1)
        except ImportError:
            continue
        result, turn = trace(function, *args), once(function, args)
        truth, once_truth = xla(*make(unroll=True)), xla(function, args)
        print(
            f"| {make.__name__} | {len(result.equations):,} | {spanned(result):.1%} | {lined(result):.1%} | "
            f"{result.flops / truth['flops']:.4f} | {result.bytes / truth['bytes']:.4f} | "
            f"{turn.flops / once_truth['flops']:.4f} | {turn.bytes / once_truth['bytes']:.4f} |"
        )


if __name__ == "__main__":
    main()
