"""NumPy functions whose arrays get shorter in a loop, as people write them: what `test_port_shrinking` ports.

`UNDER_JIT` have a port of fixed sizes; `NOT_UNDER_JIT` use what is left in a way that needs its size or
its order. Each has two sets of inputs: the port is made on the first and has to agree on both.
"""

from __future__ import annotations

import numpy as np

RNG = np.random.default_rng(3)
UNDER_JIT = []
NOT_UNDER_JIT = []


def under_jit(first, second):
    return lambda function: UNDER_JIT.append((function, first, second)) or function


def not_under_jit(first, second):
    return lambda function: NOT_UNDER_JIT.append((function, first, second)) or function


def plane(n, size=1.6):
    return RNG.uniform(-size, size, n) + 1j * RNG.uniform(-size, size, n)


@under_jit([plane(60), 12], [plane(60), 12])
def escape_times(c, most):
    z = np.zeros_like(c)
    where = np.arange(len(c))
    times = np.full(len(c), most)
    for i in range(most):
        if len(z) == 0:
            break
        z = z * z + c  # only those that are left
        gone = np.abs(z) > 2.0
        times[where[gone]] = i
        # the others go on
        left = ~gone
        z, c, where = z[left], c[left], where[left]
    return times


@under_jit([9, 7, 15, 2.0], [9, 7, 15, 1.5])
def escape_on_a_grid(nx, ny, most, limit):
    rows, columns = np.mgrid[0:nx, 0:ny]
    c = np.linspace(-2, 1, nx)[rows] + 1j * np.linspace(-1, 1, ny)[columns]
    times = np.zeros(c.shape, dtype=np.int64)
    ends = np.zeros(c.shape, dtype=np.complex128)
    rows.shape = columns.shape = c.shape = nx * ny
    z = np.zeros(c.shape, np.complex128)
    for step in range(most):
        if not z.size:
            break
        np.multiply(z, z, z)
        np.add(z, c, out=z)
        out = abs(z) > limit
        times[rows[out], columns[out]] = step + 1
        ends[rows[out], columns[out]] = z[out]
        np.logical_not(out, out)
        z = z[out]
        rows, columns = rows[out], columns[out]
        c = c[out]
    return times, ends.T


@under_jit(
    [RNG.uniform(0.0, 1.0, (20, 2)), RNG.normal(size=(20, 2)), 40],
    [RNG.uniform(0.0, 1.0, (20, 2)), RNG.normal(size=(20, 2)), 40],
)
def particles_that_leave_a_box(position, speed, steps):
    alive_for = np.zeros(steps, dtype=int)
    lost = 0
    name = np.arange(position.shape[0])
    died = np.full(position.shape[0], -1)
    for t in range(steps):
        alive_for[t] = len(name)
        position = position + 0.05 * speed
        inside = ((position >= 0) & (position <= 1)).all(axis=1)
        lost += np.count_nonzero(~inside)
        died[name[~inside]] = t
        position = position[inside]
        speed = speed[inside]
        name = name[inside]
    return alive_for, lost, died


@under_jit([RNG.uniform(0.5, 9.0, 25)], [RNG.uniform(0.5, 9.0, 25)])
def roots_by_an_active_set(a):
    root = np.empty_like(a)
    x = a.copy()
    at = np.arange(a.size)
    while x.size > 0:
        step = (x * x - a) / (2 * x)
        x -= step
        done = np.abs(step) < 1e-12
        root[at[done]] = x[done]
        go_on = ~done
        x = x[go_on]
        a = a[go_on]
        at = at[go_on]
    return root


@under_jit([plane(50), 30], [plane(50), 30])
def newton_fractal(z, most):
    basin = np.zeros(z.size, dtype=int)
    index = np.arange(z.size)
    for _ in range(most):
        z = z - (z**3 - 1) / (3 * z**2)
        near = np.zeros(len(z), dtype=bool)
        for k in range(3):
            root = np.exp(2j * np.pi * k / 3)
            close = np.abs(z - root) < 1e-6
            basin[index[close]] = k + 1
            near |= close
        if near.any():
            z = z[~near]
            index = index[~near]
        if len(z) == 0:
            break
    return basin


@under_jit([RNG.normal(size=30), 6], [RNG.normal(size=30), 6])
def sums_of_what_is_left(x, n):
    sums = np.zeros(n)
    tops = np.zeros(n)
    for i in range(n):
        x = x * 1.1
        sums[i] = x.sum() + np.mean(x)
        tops[i] = x.max() - np.min(x)
        x = x[np.abs(x) < 2.5]
    return sums, tops


@under_jit([RNG.integers(0, 9, 30), 5], [RNG.integers(0, 9, 30), 5])
def counts_by_value(values, n):
    counts = np.zeros(10, dtype=int)
    seen = np.zeros(10, dtype=bool)
    for k in range(n):
        seen[values] = True
        counts[values] += 1  # once for each value, however often it is there
        values = values[values % (k + 2) != 0]
    return counts, seen


@under_jit([RNG.normal(size=20), 8], [RNG.normal(size=20), 8])
def dead_ones_overflow(x, n):
    total = 0.0
    weight = np.ones(len(x))
    where = np.arange(len(x))
    out = np.zeros(len(x))
    for _ in range(n):
        x = x * x * x * 3
        weight = weight / (2 - np.minimum(np.abs(x), 2))
        small = np.abs(x) < 1
        out[where[~small]] = 1.0
        x, weight, where = x[small], weight[small], where[small]
        total += (x * weight).sum()
    return total, out


def closest(x, y):
    x = x.copy()
    rounds = 0
    while len(x) and rounds < 20:
        x = x[x > y[rounds]]
        rounds += 1
    return rounds


@under_jit(
    [np.sort(RNG.normal(size=15)), np.sort(RNG.normal(size=20))],
    [np.sort(RNG.normal(size=15)), np.sort(RNG.normal(size=20)) - 1],
)
def in_a_helper(x, y):
    return closest(x, y) + 1


@under_jit([RNG.normal(size=12), 4], [RNG.normal(size=12), 4])
def nothing_leaves_at_first(x, n):
    where = np.arange(len(x))
    out = np.zeros(len(x))
    for i in range(n):
        out[where] = x
        keep = x < 100.0 - 99.0 * i
        x = x[keep]
        where = where[keep]
    return out


# -- what needs the size, or the order, of what is left ---------------------------------------------


@not_under_jit([RNG.normal(size=12), 4], [RNG.normal(size=12), 4])
def what_is_left_is_returned(x, n):
    for _ in range(n):
        x = x * 1.5
        x = x[np.abs(x) < 2]
    return x


@not_under_jit([np.arange(2, 40)], [np.arange(2, 60)])
def sieve_by_the_first(numbers):
    primes = 0
    while len(numbers):
        primes += numbers[0]
        numbers = numbers[numbers % numbers[0] != 0]
    return primes


@not_under_jit([RNG.normal(size=14), 3], [RNG.normal(size=14), 3])
def running_sums_of_what_is_left(x, n):
    total = 0.0
    for _ in range(n):
        x = np.cumsum(x) - x
        total += (x * x).sum()
        x = x[np.abs(x) < 2]
    return total


@not_under_jit([RNG.normal(size=14), 3], [RNG.normal(size=14), 3])
def sorted_in_place(x, n):
    total = 0.0
    x = x.copy()
    for k in range(n):
        x.sort()
        total += x[k]
        x = x[x > -1 + 0.1 * k]
    return total


@not_under_jit([RNG.normal(size=14), 3], [RNG.normal(size=14), 3])
def the_callers_array_changes_once(x, n):
    total = 0.0
    for _ in range(n):
        x *= 1.5
        x = x[np.abs(x) < 2]
        total += x.sum()
    return total


@not_under_jit([RNG.normal(size=14), 3], [RNG.normal(size=14), 3])
def another_name_for_what_changes(x, n):
    x = x.copy()
    first = x
    for _ in range(n):
        x *= 1.5
        x = x[np.abs(x) < 2]
    return first, len(x)


@not_under_jit([RNG.normal(size=14), RNG.normal(size=30), 3], [RNG.normal(size=14), RNG.normal(size=30), 3])
def one_of_them_stays_behind(x, y, n):
    total = 0.0
    for i in range(n):
        keep = np.abs(x) < 2.5 - 0.5 * i
        x = x[keep]
        total += (y[: len(x)] * x).sum()
        y = y[1:]
    return total
