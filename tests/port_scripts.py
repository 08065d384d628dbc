"""More NumPy functions as scripts have them: each is a row of `port_kernels.KERNELS` or `REFUSED`.

What they have in common was met in other people's code: early returns of several values, checks that
raise, loops over the places of an array, lists where NumPy takes arrays, sizes worked out by NumPy,
sizes that data decide.
"""

from __future__ import annotations

import itertools
import logging

import numpy as np

from tests.port_kernels import ints, kernel, mat, refused, vec

# -- leaving loops --------------------------------------------------------------------------------


@kernel(lambda: [vec()])
def first_and_its_place(x):
    for i in range(len(x)):
        if x[i] > 0.5:
            return i, x[i]
    return -1, 0.0


@kernel(lambda: [mat()])
def found_in_two_loops(a):
    n, m = a.shape
    for i in range(n):
        for j in range(m):
            if a[i, j] > 0.4:
                return i, j
    return -1, -1


@kernel(lambda: [vec(), vec()[:3]])
def zip_ends_with_the_shortest(x, y):
    total = 0.0
    for a, b in zip(x, y, strict=False):
        if a + b > 100:
            break
        total += a * b
    return total


@kernel(lambda: [vec()])
def counted_from_one(x):
    total = 0.0
    for i, v in enumerate(x, 1):
        if v > 100:
            break
        total += i * v
    for i, v in enumerate(x, start=2):
        total += i * v
    return total, i


@kernel(lambda: [vec()])
def backwards_with_break(x):
    total = 0.0
    for i in range(len(x) - 1, -1, -2):
        if x[i] > 100:
            break
        total += x[i] * i
    return total


# -- the places of an array -----------------------------------------------------------------------


@kernel(lambda: [mat()])
def every_place(a):
    out = np.zeros_like(a)
    for i, j in np.ndindex(a.shape):
        out[i, j] = a[j, i] + i
    return out


@kernel(lambda: [mat()])
def every_place_as_one_index(a):
    out = np.zeros_like(a)
    for at in np.ndindex(*a.shape):
        if a[at] < 0:
            continue
        out[at] = a[at] * 2
    return out


@kernel(lambda: [mat()])
def every_value(a):
    total = 0.0
    for (i, j), v in np.ndenumerate(a * 2):
        total += v * i - j
    for v in a.flat:
        total += v
    return total + a.flat[3]


@kernel(lambda: [vec(), np.array([-1.0])], lambda: [vec(), np.array([1.0])])
def a_loop_that_data_did_not_enter(x, start):
    head = x[1:4]
    left = start[0]
    while left > 0:
        head -= left
        np.multiply(x, 2, x)
        for i in range(3):
            x[i] += 1
        left -= 0.4
    return head, left


@kernel(lambda: [mat(), vec(5)])
def a_helper_changes_a_row(a, x):
    first = a[0]
    shift(a[0], x)
    return first + a[1]


def shift(row, by):
    row += by


# -- checks ---------------------------------------------------------------------------------------


@kernel(lambda: [np.abs(vec())])
def checked(x):
    if x.ndim != 1:
        raise ValueError(f"one axis, not {x.ndim}")
    if np.any(x < 0):
        raise ValueError("negative")
    if x.sum() > 1e9:
        raise ValueError("large")
    assert x.max() < 1e6
    return np.sqrt(x)


@kernel(lambda: [vec(), np.array([0.0, 1.0, 2.0, 0.0, 3.0, 1.0])[: len(vec())]])
def silenced(x, y):
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = x[: len(y)] / y
    return np.where(y == 0, 0, ratio)


@kernel(lambda: [np.arange(6), np.array([0, 1, 2, 0, -3, 4])], lambda: [np.arange(6), np.arange(6) - 2])
def whole_division_by_zero(i, j):
    return i // j, i % j


# -- lists, ranges and tuples where NumPy takes arrays --------------------------------------------


@kernel(lambda: [vec(), mat()])
def lists_as_arrays(x, a):
    weights = [1.5, 2, 3]
    rows = a[np.ix_([0, 1], [1, 2])]
    summed = np.add.reduceat(x, [0, 2])
    return (
        rows,
        summed,
        x[:3] * weights,
        np.sum(range(5)),
        np.bincount([1, 1, 2], weights),
        x[:3] == [1, 2, 3],
    )


@kernel(lambda: [[[1.0, 2.0], [3.0, 4.0]], [[5.0], [6.0]]])
def lists_as_arguments(a, b):
    return np.concatenate((a, b), axis=1), np.dot(a, b)


@kernel(lambda: [mat(), [0.1, 0.5]])
def over_a_list(a, thresholds):
    levels = np.zeros(a.shape)
    for i, threshold in enumerate(thresholds):
        levels[a > threshold] = i + 1
    return levels


@kernel(lambda: [vec(9), mat()])
def sliding_windows(x, a):
    smooth = np.lib.stride_tricks.sliding_window_view(x, 3).mean(axis=-1)
    blocks = np.lib.stride_tricks.sliding_window_view(a + 1, (2, 3))
    return smooth, blocks, blocks[::2, ::2].sum(axis=(-2, -1))


@kernel(lambda: [vec()])
def loops_in_an_inner_function(x):
    def series(v):
        total = 0.0
        for i in range(3):
            if i == 1:
                continue
            total = total + v * i
        return total

    return np.array([series(v) for v in x])


# -- sizes ----------------------------------------------------------------------------------------


@kernel(lambda: [vec()])
def sizes_by_numpy(x):
    half = int(np.ceil(len(x) / 2))
    out = np.zeros(half)
    for i in range(half):
        out[i] = x[2 * i]
    return out, np.zeros(np.prod(x.shape))


@kernel(lambda: [mat(), np.arange(mat().shape[1]) % 2])
def classes_by_mask(a, label):
    total = np.zeros((a.shape[0], a.shape[0]))
    for c in range(2):
        own = a[:, label == c]
        own = own - own.mean(axis=1, keepdims=True)
        total += own @ own.T
    return total


@kernel(lambda: [ints()])
def as_many_as_data_say(i):
    out = np.zeros((3, 12))
    for k in range(3):
        start = int(i[k])
        out[k, start : start + 2 + k] = np.linspace(0, 1, 2 + k)
    return np.unique(i), out


@kernel(lambda: [vec(), mat()])
def rows_are_no_alias(x, a):
    out = np.zeros(len(a))
    for i, row in enumerate(a):
        out[i] = np.dot(row, weights_of(row, a)) + x[0]
    return out


def weights_of(row, a):
    return np.exp(-np.sum((a - row) ** 2, axis=0))


class Bank:
    def __init__(self):
        self.__held = np.arange(3.0)

    def __total(self, x):
        return (self.__held * x).sum()

    def balance(self, x):
        return self.__total(x) + self.__total(x * 2) + self.__held[0]


@kernel(lambda: [vec(3)])
def private_names(x):
    return BANK.balance(x)


BANK = Bank()


# -- refused --------------------------------------------------------------------------------------


@kernel(lambda: [vec(), 4])
def a_loop_that_sizes_did_not_enter(x, n):
    while n < 3:
        x *= 2
        n += 1
    return x


@refused("no plain array of numbers", 4)
def records(n):
    points = np.zeros(n, dtype=[("x", float), ("y", float)])
    points["x"] = 1
    return points["x"]


@refused("belongs to logging", vec())
def logs(x):
    logging.info("here")
    return x


@refused("no plain array of numbers", np.ma.masked_array([1.0, 2.0], [True, False]))
def masked_arrays(m):
    return m * m


@kernel(lambda: [vec()])
def over_what_python_repeats(x):
    total = 0.0
    for _ in itertools.repeat(None, 40):
        total += x[0] / 2
        x[0] = total
    return total
