# ruff: noqa: B905 written as people write NumPy
"""More rows for `port_kernels`: lists of arrays changed in place, arguments given back, histograms."""

from __future__ import annotations

import numpy as np

from tests.port_kernels import kernel, mat, refused, vec


def arrays():
    return [vec(3), mat(2), vec(4).astype(np.float32)]


def alike():
    return [vec(3), vec(3)]


# -- lists ----------------------------------------------------------------------------------------


@kernel(lambda: [arrays(), 0.5])
def each_is_scaled(grads, factor):
    for g in grads:
        g *= factor  # in place
    return grads


@kernel(lambda: [alike(), alike(), 0.1])
def descent(params, grads, rate):
    for p, g in zip(params, grads):
        p -= rate * g


@kernel(lambda: [[vec(3), vec(3), vec(3)], alike()])
def the_shorter_list_ends_it(params, grads):
    for p, g in zip(params, grads):
        p[1:] += g[:-1]
        p[0] = 0.0
    return sum(p.sum() for p in params)


@kernel(lambda: [alike(), alike(), alike()])
def momentum(params, grads, speeds):
    for p, g, v in zip(params, grads, speeds):
        v *= 0.9
        v += g
        p -= 0.1 * v


@kernel(lambda: [alike(), 0.5], lambda: [alike(), 100.0])
def clipped_by_the_whole_norm(grads, top):
    total = 0.0
    for g in grads:
        total += (g**2).sum()
    total = np.sqrt(total)
    if total > top:
        for g in grads:
            g *= top / total
    return total


@kernel(lambda: [alike()])
def counted_and_changed(xs):
    for i, x in enumerate(xs):
        x += i
        if x.sum() > 0:
            x[0] = 7
    return xs[0] + xs[1]


@kernel(lambda: [np.arange(4), vec(4)])
def whole_numbers_stay_whole(i, x):
    both = [i + 1, x * 2]
    for each in both:
        each += 1
    return both


@refused("handed over|same memory", alike())
def seen_under_another_name(xs):
    first = xs[0]
    for x in xs:
        x += 1
    return first


@refused("handed over|same memory", vec(3))
def twice_in_the_list(x):
    both = [x, x]
    for y in both:
        y += 1
    return x


@kernel(lambda: [alike(), 0.0], lambda: [alike(), 100.0])
def left_in_the_middle(xs, top):
    for x in xs:
        x += 1
        if x[0] > top:
            break
    return xs


# -- arguments given back -------------------------------------------------------------------------


def doubled(z):
    z *= 2
    return z


def rectified(z):
    np.maximum(z, 0, out=z)
    return z


def itself(z):
    return z


def itself_or_new(z, fresh):
    if fresh:
        return z + 1
    return z


@kernel(lambda: [vec()])
def given_back_and_changed(x):
    y = doubled(x)
    y[0] = 9
    return x


@kernel(lambda: [vec()])
def given_back_in_a_loop(x):
    y = x + 1
    for _ in range(20):
        y = doubled(y)
        y[0] = 1
    return y


@kernel(lambda: [vec()])
def given_back_unchanged(x):
    y = itself(x)
    y[1] = 3
    return x.sum()


@kernel(lambda: [vec(), mat(6)])
def a_layer_in_place(x, w):
    h = w @ x
    h = rectified(h)
    h += 1
    h = doubled(rectified(h - 2))
    return h, x


@kernel(lambda: [vec()])
def changed_twice_in_one_expression(x):
    y = doubled(x).sum()
    return y + doubled(x).sum()


@refused("is read here before", vec())
def two_values_of_one_array(x):
    return doubled(x).sum() + doubled(x).sum()


@refused("depends on data|handed over|same memory", vec(), 0)
def given_back_at_times(x, fresh):
    y = itself_or_new(x, fresh)
    y[0] = 3
    return x


@refused("handed over", vec())
def a_view_under_the_same_name(x):
    x = x[::-1]
    x *= 2
    return x.sum()


# -- histograms -----------------------------------------------------------------------------------


@kernel(lambda: [vec(40)])
def counts_are_whole(x):
    counts, edges = np.histogram(x, bins=8)
    return counts, edges, counts / counts.sum()


@kernel(lambda: [vec(40)])
def histogram_returned(x):
    return np.histogram(x, bins=np.array([-3.0, -1.0, 0.0, 2.0]))


@kernel(lambda: [vec(40), np.abs(vec(40))])
def weighted_histograms(x, w):
    heavy, _ = np.histogram(x, bins=4, weights=w)
    dense, _ = np.histogram(x, bins=4, density=True)
    return heavy, dense, np.histogram(x, 5)[0]
