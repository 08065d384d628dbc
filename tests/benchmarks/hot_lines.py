"""Planted slow lines, and how much of the time is accounted for.

    python tests/benchmarks/hot_lines.py [--keep FILE] [--side N] [host …]

Ten kinds of slow operations are put as a line of their own into eight host programs. Each should come
out as the hottest line, and its share should be what removing the line and timing again says (both ways
of the program are timed by turns). With `--keep`, what was measured is kept in a file and not measured
again: the table can be made in pieces, a host a run. `--side` is that of the square arrays: a GPU needs
larger ones (4096) than a CPU to be busy for a millisecond.
"""

from __future__ import annotations

import argparse
import json
import linecache
import pathlib
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

import jax
import jax.numpy as jnp
import numpy as np

from jaxmagic.analysis.trace import look
from jaxmagic.target import Target

N = 384
# ruff: noqa: E501 -- the planted programs are one line each
# Each makes an array of the shape of `v` (N x N) from it; heavy next to the hosts' own lines.
SLOW = {
    "sort": "jnp.sort(v, axis=0)",
    "gather": "v[order][order][order][:, order][:, order][order][:, order][order]",
    "matrix product": "v @ v @ v @ v",
    "transcendental": "jnp.arctan2(jnp.sin(jnp.exp(jnp.cos(v))), jnp.tan(v + 2)) ** 1.7",
    "cumulative": "jnp.cumsum(jnp.cumsum(v, axis=0), axis=1)",
    "linear solve": "jnp.linalg.solve(v @ v.T / N + 9 * jnp.eye(N), v)",
    "scatter": "v.at[order[:, None], order[None, :]].add(v)",
    "loop": "jax.lax.fori_loop(0, 60, lambda i, c: jnp.sin(c) + 0.1 * c, v)",
    "random": "v + jax.random.normal(jax.random.key(0), v.shape) + jax.random.gamma(jax.random.key(1), 2.0, (N, 40)).sum()",
    "convolution": "jax.scipy.signal.convolve2d(v, v[:15, :15], mode='same')",
}
HOSTS = {
    "elementwise": "a = x * 2 + 1\n    v = jnp.maximum(a, 0.1)\n    {slow}\n    b = u - u.mean()\n    return b * a",
    "dense layer": "h = x[:, :32] @ w[:32, :]\n    v = jnp.tanh(h)\n    {slow}\n    y = u + h\n    return y.sum()",
    "softmax": "m = x.max(axis=1, keepdims=True)\n    v = jnp.exp(x - m)\n    {slow}\n    s = u.sum(axis=1)\n    return s / (1 + jnp.abs(s))",
    "normalise": "m = x.mean(0)\n    d = x.std(0) + 1e-3\n    v = (x - m) / d\n    {slow}\n    return u * 2 - m",
    "stencil": "l = jnp.roll(x, 1, 0)\n    r = jnp.roll(x, -1, 0)\n    v = x + 0.1 * (l + r - 2 * x)\n    {slow}\n    return u",
    "branch": "v = jnp.where(x > 0.5, x, 0.25 * x)\n    {slow}\n    k = jnp.clip(u, -1, 1)\n    return k.sum(0)",
    "helper": "v = helper(x)\n    {slow}\n    z = helper(u)\n    return z",
    "distance": "q = (x ** 2).sum(1)\n    v = x + q[:, None] / N\n    {slow}\n    return (u + q).min(axis=1)",
}
ROUNDS = 7


def helper(x):
    return jnp.abs(x) + 0.5


def made(host, slow):
    """A program with a slow line, or with a cheap one in its place."""
    source = f"def program(x, w, order):\n    {HOSTS[host].format(slow='u = ' + slow)}\n"
    file = f"<{host} {hash(source)}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    names = {"jax": jax, "jnp": jnp, "helper": helper, "N": N}
    exec(compile(source, file, "exec"), names)
    return names["program"]


def inputs():
    rng = np.random.default_rng(0)
    x, w = (rng.random((N, N), np.float32) for _ in range(2))
    return jnp.asarray(x), jnp.asarray(w), jnp.asarray(rng.permutation(N))


def share_by_removing(host, slow, args):
    """What the slow line takes of a call, by timing the program with and without it in turn."""
    runs = [jax.jit(made(host, line)).lower(*args).compile() for line in (slow, "v")]
    taken = [[], []]
    for _ in range(ROUNDS + 1):
        for samples, run in zip(taken, runs, strict=True):
            started = time.perf_counter()
            jax.block_until_ready(run(*args))
            samples.append(time.perf_counter() - started)
    with_it, without = (statistics.median(samples[1:]) for samples in taken)
    return 1 - without / with_it, with_it


def measured(host, kind, args):
    """One planted line, as plain data: what was said of it, and what removing it says."""
    told = look(Target(function=made(host, SLOW[kind]), args=args), time=True)
    row = {"host": host, "kind": kind, "withheld": told.timing.withheld}
    if told.timing.withheld:
        return row
    shares = {
        line.source.strip(): told.timing.inclusive.get((line.file, line.line), 0.0) for line in told.lines
    }
    share = next(share for source, share in shares.items() if source.startswith("u = "))
    truth, seconds = share_by_removing(host, SLOW[kind], args)
    return row | {
        "hottest": max(shares, key=shares.__getitem__),
        "share": share,
        "removing": truth,
        "seconds": seconds,
        "covered": told.timing.covered,
        "edges": told.timing.edges,
    }


def summary(rows):
    """The table of all that was measured, the misses above it."""
    timed = [row for row in rows if not row["withheld"]]
    apart = [abs(row["share"] - row["removing"]) for row in timed]
    right = [row["hottest"].startswith("u = ") for row in timed]
    long = [row for row in timed if row["seconds"] > 1e-3]
    for row, off, found in zip(timed, apart, right, strict=True):
        if not found or off > 0.15:
            print(
                f"  {row['host']}, {row['kind']}: hottest is `{row['hottest']}`, "
                f"share {row['share']:.2f}, removing {row['removing']:.2f}"
            )
    for row in rows:
        if row["withheld"]:
            print(f"  {row['host']}, {row['kind']}: withheld, {row['withheld']}")
    print(f"| planted slow lines found | {sum(right)} of {len(timed)} ({len(rows) - len(timed)} withheld) |")
    print(
        f"| share against removing the line | median {statistics.median(apart):.3f}, "
        f"90th percentile {np.quantile(apart, 0.9):.3f} |"
    )
    for what, covered in (
        ("operations", [row["covered"] for row in long]),
        ("operations and the ends of a call", [row["covered"] + row["edges"] for row in long]),
    ):
        print(
            f"| time covered by {what}, {len(long)} programs over 1 ms | median "
            f"{statistics.median(covered):.1%}, least {min(covered):.1%} |"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=pathlib.Path, help="a file of what was measured, a line each")
    parser.add_argument("hosts", nargs="*", default=list(HOSTS))
    parser.add_argument("--side", type=int, default=N, help="rows and columns of the arrays")
    asked = parser.parse_args()
    globals()["N"] = asked.side
    kept = asked.keep.read_text().splitlines() if asked.keep and asked.keep.exists() else []
    rows = [json.loads(line) for line in kept]
    done = {(row["host"], row["kind"]) for row in rows}
    args = inputs()
    for host in asked.hosts:
        for kind in (kind for kind in SLOW if (host, kind) not in done):
            rows.append(measured(host, kind, args))
            if asked.keep:
                with asked.keep.open("a") as file:
                    print(json.dumps(rows[-1]), file=file)
    summary(rows)


if __name__ == "__main__":
    main()
