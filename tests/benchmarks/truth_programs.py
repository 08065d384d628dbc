"""Real programs in the public style of JAX's, Flax's, Equinox's, Optax's and diffrax's examples.

Each maker returns a function and its inputs; `unroll=True` writes the same loops out.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

Maker = Callable[..., tuple[Callable[..., Any], tuple[Any, ...]]]


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

    # By both: written out, a gradient that nobody asked for is dropped, which a loop cannot.
    return jax.grad(loss, (0, 1)), (f32(6, 32, 32), f32(16, 32))


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


def mnist_nnx(unroll):
    """Flax's MNIST tutorial: convolutions, batch norm, dropout, adamw; inputs change in place."""
    import optax
    from flax import nnx

    class CNN(nnx.Module):
        def __init__(self, rngs):
            self.conv1 = nnx.Conv(1, 8, kernel_size=(3, 3), rngs=rngs)
            self.norm = nnx.BatchNorm(8, rngs=rngs)
            self.dropout = nnx.Dropout(rate=0.025, rngs=rngs)
            self.conv2 = nnx.Conv(8, 16, kernel_size=(3, 3), rngs=rngs)
            self.linear1 = nnx.Linear(784, 64, rngs=rngs)
            self.linear2 = nnx.Linear(64, 10, rngs=rngs)
            self.pool = functools.partial(nnx.avg_pool, window_shape=(2, 2), strides=(2, 2))

        def __call__(self, x):
            x = self.pool(nnx.relu(self.norm(self.dropout(self.conv1(x)))))
            x = self.pool(nnx.relu(self.conv2(x)))
            return self.linear2(nnx.relu(self.linear1(x.reshape(x.shape[0], -1))))

    model = CNN(nnx.Rngs(0))
    graph, state = nnx.split((model, nnx.Optimizer(model, optax.adamw(5e-3, 0.9), wrt=nnx.Param)))

    def step(state, image, label):
        model, optimizer = nnx.merge(graph, state)

        def loss(model):
            logits = model(image)
            return optax.softmax_cross_entropy_with_integer_labels(logits, label).mean()

        value, grads = nnx.value_and_grad(loss)(model)
        optimizer.update(model, grads)
        return nnx.state((model, optimizer)), value

    return step, (state, f32(8, 28, 28, 1), jax.ShapeDtypeStruct((8,), jnp.int32))


def linen_transformer(unroll):
    """Flax's lm1b example in small: a decoder block with causal attention, rematerialised."""
    import optax
    from flax import linen as nn

    class Block(nn.Module):
        @nn.compact
        def __call__(self, x, mask):
            y = nn.LayerNorm()(x)
            x = x + nn.MultiHeadDotProductAttention(num_heads=4)(y, y, mask=mask)
            y = nn.LayerNorm()(x)
            return x + nn.Dense(64)(nn.gelu(nn.Dense(128)(y)))

    class Decoder(nn.Module):
        @nn.compact
        def __call__(self, tokens):
            x = nn.Embed(100, 64)(tokens)
            mask = nn.make_causal_mask(tokens)
            for _ in range(2):
                x = nn.remat(Block)()(x, mask)
            return nn.Dense(100)(x)

    net, tokens = Decoder(), jax.ShapeDtypeStruct((4, 24), jnp.int32)
    params = jax.eval_shape(net.init, jax.random.key(0), tokens)

    def loss(params, tokens):
        logits = net.apply(params, tokens[:, :-1])
        return optax.softmax_cross_entropy_with_integer_labels(logits, tokens[:, 1:]).mean()

    return jax.value_and_grad(loss), (params, tokens)


def equinox_mlp(unroll):
    """Equinox's first example: a module as a pytree, a filtered gradient."""
    import equinox as eqx

    model = eqx.nn.MLP(in_size=8, out_size=1, width_size=64, depth=3, key=jax.random.key(0))
    arrays, static = eqx.partition(model, eqx.is_array)

    def step(arrays, x, y):
        def loss(arrays):
            predicted = jax.vmap(eqx.combine(arrays, static))(x)
            return jnp.mean((predicted[:, 0] - y) ** 2)

        value, grads = jax.value_and_grad(loss)(arrays)
        return jax.tree.map(lambda p, g: p - 0.05 * g, arrays, grads), value

    return step, (arrays, f32(128, 8), f32(128))


def diffrax_step(unroll):
    """A neural field solved by diffrax's reversible Heun at a fixed step; the gradient goes through it."""
    import diffrax
    import equinox as eqx

    field = eqx.nn.MLP(in_size=2, out_size=2, width_size=32, depth=2, key=jax.random.key(0))
    arrays, static = eqx.partition(field, eqx.is_array)
    solver = diffrax.ReversibleHeun()

    def solve(arrays, start):
        term = diffrax.ODETerm(lambda t, y, args: eqx.combine(arrays, static)(y))
        state = solver.init(term, 0.0, 0.1, start, None)

        def step(carry, i):
            y, state = carry
            y, error, _, state, _ = solver.step(term, 0.1 * i, 0.1 * (i + 1), y, None, state, made_jump=False)
            return (y, state), jnp.abs(error).max()

        (end, _), errors = jax.lax.scan(step, (start, state), jnp.arange(10.0), unroll=unroll)
        return (end**2).sum() + errors.sum()

    return jax.grad(solve), (arrays, f32(2))


def vae(unroll):
    """JAX's variational autoencoder on MNIST: an encoder, a sample, a decoder, the ELBO."""
    sizes = {"h": (784, 128), "mu": (128, 10), "sigma": (128, 10), "g": (10, 128), "out": (128, 784)}

    def elbo(params, image, noise):
        hidden = jax.nn.relu(image @ params["h"])
        mu, sigma2 = hidden @ params["mu"], jax.nn.softplus(hidden @ params["sigma"])
        z = mu + jnp.sqrt(sigma2) * noise
        logits = jax.nn.relu(z @ params["g"]) @ params["out"]
        likelihood = -jnp.sum(jnp.logaddexp(0.0, jnp.where(image > 0.5, -1.0, 1.0) * logits))
        return likelihood + 0.5 * jnp.sum(1.0 + jnp.log(sigma2) - mu**2 - sigma2)

    params = {name: f32(*shape) for name, shape in sizes.items()}
    return jax.value_and_grad(elbo), (params, f32(32, 784), f32(32, 10))


def private_sgd(unroll):
    """JAX's differentially private SGD: a gradient for each example, clipped, noise on the sum."""

    def step(params, x, y, noise):
        def loss(params, x, y):
            hidden = jnp.tanh(x @ params["w1"] + params["b1"])
            return -(jax.nn.log_softmax(hidden @ params["w2"]) * y).sum()

        def clipped(x, y):
            grads = jax.grad(loss)(params, x, y)
            norm = jnp.sqrt(sum(jnp.vdot(g, g) for g in jax.tree.leaves(grads)))
            return jax.tree.map(lambda g: g / jnp.maximum(norm / 1.1, 1.0), grads)

        grads = jax.vmap(clipped)(x, y)
        return jax.tree.map(lambda p, g, n: p - 0.1 * (g.sum(0) + n) / x.shape[0], params, grads, noise)

    params = {"w1": f32(20, 32), "b1": f32(32), "w2": f32(32, 5)}
    return step, (params, f32(64, 20), f32(64, 5), params)


def hamiltonian(unroll):
    """Hamiltonian Monte Carlo on a logistic regression: leapfrog steps, chains by vmap."""

    def energy(theta, x, y):
        return jnp.sum(jnp.logaddexp(0.0, -y * (x @ theta))) + 0.5 * jnp.sum(theta**2)

    def chain(theta, momentum, x, y):
        slope = jax.grad(energy)

        def leap(carry, _):
            theta, momentum = carry
            theta = theta + 0.01 * momentum
            return (theta, momentum - 0.01 * slope(theta, x, y)), None

        momentum = momentum - 0.005 * slope(theta, x, y)
        (theta, momentum), _ = jax.lax.scan(leap, (theta, momentum), None, length=12, unroll=unroll)
        return theta, energy(theta, x, y) + 0.5 * jnp.vdot(momentum, momentum)

    run = jax.vmap(chain, in_axes=(0, 0, None, None))
    return run, (f32(16, 8), f32(16, 8), f32(100, 8), f32(100))


def optax_fit(unroll):
    """Optax's quick start: a linear model fitted by Adam in a scan over batches."""
    import optax

    tx = optax.adam(optax.cosine_decay_schedule(1e-2, 100))

    def fit(params, batches, targets):
        def step(carry, batch):
            params, state = carry
            x, y = batch

            def loss(params):
                return optax.l2_loss(x @ params["w"] + params["b"], y).mean()

            value, grads = jax.value_and_grad(loss)(params)
            updates, state = tx.update(grads, state)
            return (optax.apply_updates(params, updates), state), value

        return jax.lax.scan(step, (params, tx.init(params)), (batches, targets), unroll=unroll)

    return fit, ({"w": f32(32, 8), "b": f32(8)}, f32(10, 64, 32), f32(10, 64, 8))


def mixture_of_experts(unroll):
    """Experts chosen by top-k gates, combined by their weights."""

    def layer(params, x):
        weights, chosen = jax.lax.top_k(jax.nn.softmax(x @ params["gate"]), 2)
        mask = jax.nn.one_hot(chosen, 4) * weights[..., None]
        hidden = jax.nn.silu(jnp.einsum("td,edh->teh", x, params["up"]))
        out = jnp.einsum("teh,ehd->ted", hidden, params["down"])
        return jnp.einsum("tke,ted->td", mask, out)

    def loss(params, x):
        return (layer(params, x) ** 2).mean()

    params = {"gate": f32(32, 4), "up": f32(4, 32, 64), "down": f32(4, 64, 32)}
    return jax.grad(loss), (params, f32(48, 32))


def skip_gram(unroll):
    """Word vectors: gathers forward, scatters backward."""

    def loss(vectors, centre, context, others):
        positive = jnp.einsum("bd,bd->b", vectors[centre], vectors[context])
        negative = jnp.einsum("bd,bkd->bk", vectors[centre], vectors[others])
        return -(jax.nn.log_sigmoid(positive).mean() + jax.nn.log_sigmoid(-negative).mean())

    def words(*shape):
        return jax.ShapeDtypeStruct(shape, jnp.int32)

    return jax.value_and_grad(loss), (f32(1000, 64), words(128), words(128), words(128, 5))


def message_passing(unroll):
    """A graph network in jraph's style: gather, a message a line, segment sum, residual; two rounds."""

    def loss(params, nodes, senders, receivers):
        for w, u in params:
            messages = jax.nn.relu(jnp.concatenate([nodes[senders], nodes[receivers]], -1) @ w)
            nodes = nodes + jnp.tanh(jax.ops.segment_sum(messages, receivers, nodes.shape[0]) @ u)
        return (nodes.mean(0) ** 2).sum()

    edges = jax.ShapeDtypeStruct((300,), jnp.int32)
    return jax.grad(loss), ([(f32(32, 24), f32(24, 16))] * 2, f32(80, 16), edges, edges)


def spectral_poisson(unroll):
    """A Poisson equation on a torus by FFT, and the residual of finite differences."""

    def solve(source):
        n = source.shape[0]
        k = jnp.fft.fftfreq(n, 1 / n)
        squares = k[:, None] ** 2 + k[None] ** 2
        solution = jnp.fft.ifft2(-jnp.fft.fft2(source) / jnp.where(squares == 0, 1.0, squares)).real
        laplace = sum(jnp.roll(solution, s, axis) for s in (1, -1) for axis in (0, 1)) - 4 * solution
        return solution, jnp.abs(laplace * (n / (2 * jnp.pi)) ** 2 - source).max()

    return solve, (f32(64, 64),)


def advantages(unroll):
    """Generalised advantage estimates: a scan backwards, then PPO's clipped loss."""

    def loss(logits, old, actions, rewards, values, done):
        def step(carry, row):
            advantage, ahead = carry
            reward, value, ended = row
            delta = reward + 0.99 * ahead * (1 - ended) - value
            advantage = delta + 0.99 * 0.95 * (1 - ended) * advantage
            return (advantage, value), advantage

        zeros = jnp.zeros(rewards.shape[1])
        _, gains = jax.lax.scan(step, (zeros, zeros), (rewards, values, done), reverse=True, unroll=unroll)
        chosen = (jax.nn.log_softmax(logits) * jax.nn.one_hot(actions, 6)).sum(-1)
        ratio = jnp.exp(chosen - old)
        gains = (gains - gains.mean()) / (gains.std() + 1e-8)
        return -jnp.minimum(ratio * gains, jnp.clip(ratio, 0.8, 1.2) * gains).mean()

    rows = (16, 32)
    actions = jax.ShapeDtypeStruct(rows, jnp.int32)
    return jax.grad(loss), (f32(*rows, 6), f32(*rows), actions, f32(*rows), f32(*rows), f32(*rows))


PROGRAMS: tuple[Maker, ...] = (
    mlp_step, attention, convnet, rnn, runge_kutta, n_body, k_means, black_scholes, gaussian_mixture,
    checkpointed, flax_step, mnist_nnx, linen_transformer, equinox_mlp, diffrax_step, vae, private_sgd,
    hamiltonian, optax_fit, mixture_of_experts, skip_gram, message_passing, spectral_poisson, advantages,
)  # fmt: skip
