# ruff: noqa: B905, PERF401, PIE808, RET504, SIM108 written as people write NumPy
"""NumPy functions as people write them, one obstacle (or a few) each: what `test_port_kernels` ports.

`KERNELS` are functions with two different sets of inputs: the port is made on the first and has to
agree on both. `REFUSED` are functions with the words that their refusal has to contain.
"""

from __future__ import annotations

import math

import numpy as np

RNG = np.random.default_rng(0)


def vec(n=6):
    return RNG.normal(size=n)


def mat(n=5, m=None):
    return RNG.normal(size=(n, m or n))


def ints(n=6, top=5):
    return RNG.integers(0, top, size=n)


KERNELS = []
REFUSED = []


def kernel(*inputs):
    """Inputs as two zero-argument makers of argument lists, or one that gives new values each time."""

    def note(function):
        makers = inputs if len(inputs) == 2 else inputs * 2
        KERNELS.append((function, *[make() for make in makers]))
        return function

    return note


def refused(words, *args):
    def note(function):
        REFUSED.append((function, words, args))
        return function

    return note


# -- stores ---------------------------------------------------------------------------------------


@kernel(lambda: [vec()])
def store_number(x):
    y = x.copy()
    y[0] = 1
    y[-1] += 2
    return y


@kernel(lambda: [vec()])
def mutate_argument(x):
    x[1:3] *= 2


@kernel(lambda: [vec()])
def mutate_and_return(x):
    x += 1
    return x.sum()


@kernel(lambda: [vec(), vec()])
def mutate_then_rebind(x, y):
    x += y
    x = x * 2
    return x


@kernel(lambda: [vec()])
def copy_then_mutate(x):
    x = x.copy()
    x[2] = 7
    return x


@kernel(lambda: [mat()])
def rows_and_columns(a):
    a[0] = a[1]
    a[:, 2] = 0
    a[1, :] += a[:, 1]
    a[2:4, 1:3] = a[0:2, 0:2]
    return a


@kernel(lambda: [vec()])
def chained(x):
    y = np.zeros(3)
    z = np.zeros(3)
    y[0] = z[1] = x[2]
    a = b = x[0]
    return y, z, a + b


@kernel(lambda: [vec()])
def swapped(x):
    x[0], x[1] = x[1], x[0]
    return x


@kernel(lambda: [mat()])
def swapped_rows_are_views(a):
    a[0], a[1] = a[1], a[0]
    return a


@kernel(lambda: [mat()])
def swapped_rows_by_list(a):
    a[[0, 1]] = a[[1, 0]]
    return a


@kernel(lambda: [vec(), ints()])
def repeated_indices_count_once(x, i):
    x[i] += 1
    return x


@kernel(lambda: [vec(), ints()])
def add_at_counts_each(x, i):
    np.add.at(x, i, 2.0)
    return x


@kernel(lambda: [vec(), vec()])
def out_argument(x, y):
    np.multiply(x, y, out=x)
    np.add(x, 1, x)
    r = np.empty_like(x)
    np.sin(x, out=r)
    return r


@kernel(lambda: [vec()])
def in_place_methods(x):
    x.sort()
    y = np.empty(3)
    y.fill(4.0)
    return x[::-1], y


@kernel(lambda: [vec(), vec()])
def copyto(x, y):
    np.copyto(x, y)
    np.copyto(y, 0, where=y > 0)
    return x + y


@kernel(lambda: [mat()])
def flat_store(a):
    a.flat[3] = 9
    a.flat[::2] = 1
    return a


@kernel(lambda: [mat()])
def diagonal(a):
    np.fill_diagonal(a, 5.0)
    return a


@kernel(lambda: [np.arange(6)])
def store_truncates(x):
    x[0] = 2.7
    x[1:3] = np.array([1.5, -1.5])
    return x


@kernel(lambda: [vec(6).astype(np.float32), vec(6)])
def narrow_stays_narrow(x, y):
    x += y
    x[0] = y[1]
    return x


@kernel(lambda: [np.arange(4, dtype=np.uint8)])
def small_integers_wrap(x):
    x += 250
    return x * 2


@kernel(lambda: [np.arange(6, dtype=np.int32), vec(6).astype(np.float32)])
def mixed_widths(i, x):
    return i + x, i / 2, i * 2.5, np.sin(i), i // 4, i % 4, -i // 4


@kernel(lambda: [np.arange(1, 6)])
def integer_division(i):
    return i // 2, -i // 2, i % 3, (-i) % 3, i / 2, 7 // i, i**2


@kernel(lambda: [mat()])
def whole_store(a):
    b = np.zeros_like(a)
    b[:] = a * 2
    b[...] += 1
    a[:] = 0
    return b


def _in_single_precision(x):
    y = np.empty(x.shape[0], dtype=np.float32)
    for i in range(x.shape[0]):
        y[i] = x[i] * x.sum()
    return y


@kernel(lambda: [vec(4), vec(4).astype(np.float32)])
def store_of_two_precisions(x, z):
    return _in_single_precision(x), _in_single_precision(z)


# -- views ----------------------------------------------------------------------------------------


@kernel(lambda: [mat()])
def view_writes_through(a):
    inner = a[1:-1, 1:-1]
    inner *= 2
    inner[0, 0] = 5
    return a.sum()


@kernel(lambda: [mat()])
def view_sees_base(a):
    row = a[1]
    a[1, 2] = 10
    return row.sum()


@kernel(lambda: [mat()])
def transpose_is_a_view(a):
    t = a.T
    t[0] = 1
    return a


@kernel(lambda: [vec(6)])
def reshape_is_a_view(x):
    m = x.reshape(2, 3)
    m[0, 1] = 8
    return x


@kernel(lambda: [vec(6)])
def name_is_an_alias(x):
    y = x
    y[0] = 3
    return x


@kernel(lambda: [mat()])
def view_of_a_view(a):
    b = a[1:]
    c = b[:, 1:]
    c += 1
    a[2] = 0
    return b, c


@kernel(lambda: [mat()])
def a_view_is_handed_to_a_function(a):
    out = np.zeros(a.shape)
    for i in range(a.shape[0]):
        row = a[i : i + 1]
        out[i : i + 1] = np.sort(row)
    return out


@kernel(lambda: [vec(6)])
def augmented_copy_is_no_alias(x):
    y = x.copy()
    y += 1
    z = x[[0, 1]]
    z += 1
    return x


@kernel(lambda: [vec(6)])
def loop_over_rows_changes_them(x):
    a = np.outer(x, x)
    for i in range(a.shape[0]):
        row = a[i]
        row /= np.abs(row).sum()
    return a


@kernel(lambda: [vec(12), vec(12)])
def double_buffer(a, b):
    a = a.copy()
    b = b.copy()
    for _ in range(10):
        b[1:-1] = 0.5 * (a[:-2] + a[2:])
        a, b = b, a
    return a


# -- loops ----------------------------------------------------------------------------------------


@kernel(lambda: [vec(20)])
def running_sum(x):
    total = 0
    out = np.zeros(len(x))
    for i in range(len(x)):
        total += x[i]
        out[i] = total
    return out


@kernel(lambda: [vec(20)])
def over_array(x):
    total = 0.0
    for v in x:
        total = total * 0.5 + v
    return total


@kernel(lambda: [vec(20), vec(20)])
def over_zip(x, y):
    s = 0.0
    for a, b in zip(x, y):
        s += a * b
    return s


@kernel(lambda: [vec(20)])
def over_enumerate(x):
    s = 0.0
    for i, v in enumerate(x):
        s += i * v
    return s


@kernel(lambda: [vec(20)])
def backwards(x):
    y = x.copy()
    for i in range(len(x) - 2, -1, -1):
        y[i] = y[i] + 0.5 * y[i + 1]
    return y


@kernel(lambda: [vec(21)])
def by_twos(x):
    s = 0.0
    for i in range(1, len(x), 2):
        s += x[i] - x[i - 1]
    return s


@kernel(lambda: [vec(12)])
def nested(x):
    n = len(x)
    d = np.zeros((n, n))
    for i in range(n):
        for j in range(i):
            d[i, j] = abs(x[i] - x[j])
            d[j, i] = d[i, j]
    return d


@kernel(lambda: [vec(12)])
def growing_window(x):
    out = np.zeros_like(x)
    for i in range(len(x)):
        out[i] = x[: i + 1].mean()
    return out


@kernel(lambda: [vec(20)])
def moving_window(x):
    k = 3
    out = np.zeros(len(x) - k + 1)
    for i in range(len(x) - k + 1):
        out[i] = np.sum(x[i : i + k])
    return out


@kernel(lambda: [mat(12)])
def moving_block(a):
    out = np.zeros((10, 10))
    for i in range(10):
        for j in range(10):
            out[i, j] = a[i : i + 3, j : j + 3].max()
    return out


@kernel(lambda: [vec(20)])
def store_block(x):
    y = np.zeros(20)
    for i in range(9):
        y[2 * i : 2 * i + 2] = x[2 * i : 2 * i + 2][::-1]
    return y


@kernel(lambda: [vec(20)])
def with_break(x):
    s = 0.0
    for i in range(len(x)):
        if x[i] > 1.0:
            break
        s += x[i]
    return s


@kernel(lambda: [vec(20)])
def with_continue(x):
    s = 0.0
    for v in x:
        if v < 0:
            continue
        s += v
    return s


@kernel(lambda: [vec(20)])
def early_return(x):
    for i in range(len(x)):
        if x[i] > 0.5:
            return i
    return -1


@kernel(lambda: [np.abs(vec(20))])
def while_on_data(x):
    n = 0
    s = x.sum()
    while s > 1.0:
        s = s / 2
        n += 1
    return n


@kernel(lambda: [2.0], lambda: [10.0])
def newton(a):
    x = a
    while abs(x * x - a) > 1e-12 * a:
        x = 0.5 * (x + a / x)
    return x


@kernel(lambda: [vec(20)])
def while_true(x):
    i = 0
    while True:
        if i >= 19 or x[i] > 1:
            break
        i += 1
    return i


@kernel(lambda: [27], lambda: [97])
def collatz(n):
    steps = 0
    while n != 1:
        if n % 2 == 0:
            n = n // 2
        else:
            n = 3 * n + 1
        steps += 1
    return steps


@kernel(lambda: [vec(20)])
def index_after_loop(x):
    for i in range(len(x)):
        last = x[i] * 2
    return last, i


@kernel(lambda: [np.sort(vec(20)), 0.1], lambda: [np.sort(vec(20)), -0.3])
def binary_search(x, v):
    lo, hi = 0, len(x)
    while lo < hi:
        mid = (lo + hi) // 2
        if x[mid] < v:
            lo = mid + 1
        else:
            hi = mid
    return lo


@kernel(lambda: [vec(15)])
def bubble_sort(x):
    x = x.copy()
    n = len(x)
    for i in range(n):
        for j in range(0, n - i - 1):
            if x[j] > x[j + 1]:
                x[j], x[j + 1] = x[j + 1], x[j]
    return x


@kernel(lambda: [vec(10)])
def list_of_results(x):
    out = []
    for i in range(3):
        out.append(x[i] * i)
    return np.array(out)


@kernel(lambda: [vec(10)])
def comprehension(x):
    return np.array([x[i] + i for i in range(4)])


@kernel(lambda: [vec(40)])
def long_append(x):
    out = []
    for v in x:
        out.append(v * 2)
    return np.array(out)


# -- conditions -----------------------------------------------------------------------------------


@kernel(lambda: [vec()], lambda: [-np.abs(vec())])
def if_on_data(x):
    if x.sum() > 0:
        y = x * 2
    else:
        y = -x
    return y


@kernel(lambda: [vec()], lambda: [-np.abs(vec())])
def return_on_data(x):
    if x[0] > 0:
        return x.sum()
    if x[1] > 0:
        return x.max()
    return 0.0


@kernel(lambda: [vec(30)])
def if_chain(x):
    y = np.zeros_like(x)
    for i in range(len(x)):
        if x[i] > 1:
            y[i] = 1
        elif x[i] < -1:
            y[i] = -1
        else:
            y[i] = x[i] ** 2
    return y


@kernel(lambda: [vec(30)])
def nested_if(x):
    s = 0.0
    c = 0
    for v in x:
        if v > 0:
            if v > 1 and c < 3:
                s += v
                c += 1
            else:
                s -= v
    return s, c


@kernel(lambda: [vec(30)])
def argmax_by_hand(x):
    best, at = x[0], 0
    for i in range(1, len(x)):
        if x[i] > best:
            best = x[i]
            at = i
    return best, at


@kernel(lambda: [vec(), True], lambda: [vec(), False])
def flag(x, up):
    if up:
        return x + 1
    return x - 1


@kernel(lambda: [vec(), None], lambda: [vec(), None])
def default_none(x, w=None):
    if w is None:
        w = np.ones_like(x)
    return x * w


@kernel(lambda: [vec()])
def conditional_expression(x):
    s = x.sum()
    return (s if s > 0 else -s) + max(x[0], x[1]) + min(x[2], 0.0)


@kernel(lambda: [vec()])
def chained_comparison(x):
    n = 0
    for v in x:
        if -0.5 < v < 0.5 or not v < 1:
            n += 1
    return n


# -- masks ----------------------------------------------------------------------------------------


@kernel(lambda: [vec(12)])
def mask_store(x):
    x[x < 0] = 0
    x[x > 1] *= 2
    return x


@kernel(lambda: [vec(12)])
def mask_self(x):
    m = x > 0
    x[m] = np.sqrt(x[m])
    x[~m] = x[~m] ** 2
    return x


@kernel(lambda: [vec(12)])
def mask_mean(x):
    m = x > 0
    return x[m].mean(), x[m].sum(), x[m].max(), np.sum(x[~m] ** 2), len(x[m])


@kernel(lambda: [mat()])
def mask_rows(a):
    a[a[:, 0] > 0] = 0
    return a


@kernel(lambda: [mat()])
def mask_nan(a):
    a[0, 0] = np.nan
    a[np.isnan(a)] = 0
    return a


@kernel(lambda: [vec(12)])
def where_three(x):
    return np.where(x > 0, x, 0), np.clip(x, -1, 1), np.sign(x), np.abs(x)


# -- functions ------------------------------------------------------------------------------------


def scale_in_place(a, factor):
    a *= factor


def normalise(a):
    a /= a.sum()
    return a.max()


@kernel(lambda: [np.abs(vec()) + 1])
def helpers_mutate(x):
    scale_in_place(x, 2.0)
    top = normalise(x)
    return top


@kernel(lambda: [np.abs(mat()) + 1])
def helper_on_a_view(a):
    for i in range(a.shape[0]):
        scale_in_place(a[i], 0.5)
    return normalise(a[0]) + 1


@kernel(lambda: [vec(), 3.0])
def math_functions(x, a):
    return x * math.sqrt(a) + math.pi * math.exp(-x[0])


@kernel(lambda: [np.zeros((9, 9))])
def stencil(u):
    u[0, :] = 1.0
    for _ in range(20):
        u[1:-1, 1:-1] = 0.25 * (u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:])
    return u


@kernel(lambda: [ints(12, 2).reshape(3, 4)])
def game_of_life(board):
    n = np.zeros(board.shape, dtype=int)
    for dx in (-1, 0, 1):
        for dy in (-1, 0, 1):
            if dx != 0 or dy != 0:
                n += np.roll(np.roll(board, dx, axis=0), dy, axis=1)
    return ((n == 3) | ((board == 1) & (n == 2))).astype(int)


@kernel(lambda: [RNG.normal(size=(8, 2)), RNG.normal(size=(3, 2))])
def k_means(points, centres):
    centres = centres.copy()
    for _ in range(5):
        d = ((points[:, None, :] - centres[None, :, :]) ** 2).sum(axis=2)
        label = d.argmin(axis=1)
        for k in range(len(centres)):
            mine = label == k
            if mine.any():
                centres[k] = points[mine].mean(axis=0)
    return centres, label


@kernel(lambda: [vec(8), vec(8)])
def edit_distance(a, b):
    n, m = len(a), len(b)
    d = np.zeros((n + 1, m + 1))
    d[:, 0] = np.arange(n + 1)
    d[0, :] = np.arange(m + 1)
    for i in range(1, n + 1):
        for j in range(1, m + 1):
            cost = 0 if abs(a[i - 1] - b[j - 1]) < 0.5 else 1
            d[i, j] = min(d[i - 1, j] + 1, d[i, j - 1] + 1, d[i - 1, j - 1] + cost)
    return d[n, m]


@kernel(lambda: [mat(6) + 10 * np.eye(6), vec(6)])
def gauss_elimination(a, b):
    a = a.copy()
    b = b.copy()
    n = len(b)
    for k in range(n):
        for i in range(k + 1, n):
            f = a[i, k] / a[k, k]
            a[i, k:] -= f * a[k, k:]
            b[i] -= f * b[k]
    x = np.zeros(n)
    for i in range(n - 1, -1, -1):
        x[i] = (b[i] - a[i, i + 1 :] @ x[i + 1 :]) / a[i, i]
    return x


@kernel(lambda: [mat(6), vec(6)])
def power_iteration(a, v):
    for _ in range(50):
        v = a @ v
        v /= np.linalg.norm(v)
    return abs(v @ a @ v)


@kernel(lambda: [30], lambda: [50])
def sieve(n):
    prime = np.ones(n + 1, dtype=bool)
    prime[:2] = False
    for i in range(2, int(n**0.5) + 1):
        if prime[i]:
            prime[i * i :: i] = False
    return prime


@kernel(lambda: [20], lambda: [20])
def fibonacci(n):
    f = np.zeros(n, dtype=np.int64)
    f[0], f[1] = 0, 1
    for i in range(2, n):
        f[i] = f[i - 1] + f[i - 2]
    return f


@kernel(lambda: [np.zeros(3), np.ones(3), 0.1, 30])
def lorenz(x, y, dt, n):
    path = np.empty((n, 3))
    state = np.array([1.0, 1.0, 1.0])
    for i in range(n):
        a, b, c = state
        change = np.array([10 * (b - a), a * (28 - c) - b, a * b - 8 / 3 * c])
        state = state + 0.01 * change
        path[i] = state
    return path


@kernel(lambda: [ints(30, 6)])
def histogram_by_hand(i):
    counts = np.zeros(6, dtype=int)
    for v in i:
        counts[v] += 1
    return counts


@kernel(lambda: [vec(12)])
def nested_function(x):
    def square(v):
        return np.square(v) + 1

    twice = lambda v: 2 * v  # noqa: E731
    return square(x) + twice(x)


# -- refusals -------------------------------------------------------------------------------------


@refused("same memory", np.arange(4.0))
def hidden_alias(x):
    pair = [x, x + 1]
    y = pair[0]
    y[0] = 5
    return x


@kernel(lambda: [vec(3)])
def data_sized_store(x):
    y = np.zeros(3)
    y[: len(x[x > 0])] = x[x > 0]
    return y


@kernel(lambda: [vec()])
def changes_a_dict(x):
    d = {"a": x}
    d["b"] = x + 1
    return d["b"]


@refused("object", np.arange(3.0))
def changes_an_object(x):
    x.flags.writeable = False
    return x


@refused("`try`", np.arange(3.0))
def with_try(x):
    try:
        return x[5]
    except IndexError:
        return 0


@refused("numbers only", np.array(["a", "b"], dtype=object))
def objects(x):
    return x


@refused("hidden state", np.arange(3.0), np.random.default_rng(0))
def draws_from_a_generator(x, rng):
    return x + rng.normal(size=3)


@refused("did not run|bound anew", np.array([1.0, -2.0, 3.0]))
def branch_that_does_not_run_through(x):
    if x.sum() > 100:
        i = int(x.sum())
        x[i - 100] = 0
        x *= 2
    return x


@kernel(lambda: [np.array([1.0, -2.0, 3.0])], lambda: [np.array([100.0, -2.0, 3.0])])
def branch_never_seen(x):
    if x.sum() > 100:
        x[np.argsort(x)] = 0
    return x


@kernel(lambda: [np.array([1.0, -2.0, 3.0])], lambda: [np.array([100.0, -2.0, 3.0])])
def update_never_seen(x):
    if x.sum() > 100:
        x *= 2
    return x


# -- the place of an extreme in a part that moves, and products of such parts -------------------------


@kernel(lambda: [mat(12)])
def factors_with_pivots(A):
    order = np.arange(len(A))
    for k in range(len(A) - 1):
        p = k + np.argmax(np.abs(A[k:, k]))
        if p != k:
            A[[k, p]] = A[[p, k]]
            order[[k, p]] = order[[p, k]]
        A[k + 1 :, k] /= A[k, k]
        A[k + 1 :, k + 1 :] -= np.outer(A[k + 1 :, k], A[k, k + 1 :])
    return A, order


@kernel(lambda: [vec(12)], lambda: [np.full(12, np.inf)])
def sorted_by_selection(a):
    for i in range(len(a)):
        j = i + a[i:].argmin()
        a[i], a[j] = a[j], a[i]
    return a


@kernel(lambda: [ints(12)], lambda: [np.full(12, np.iinfo(np.int64).min)])
def places_of_whole_numbers_and_truths(a):
    out = np.zeros((3, len(a)), int)
    for i in range(1, len(a)):
        out[0, i] = np.argmax(a[:i])
        out[1, i] = a[i // 2 : i + 1].argmin()
        out[2, i] = np.argmax(a[i:] > a[0]) - np.argmin(a[:i] > a[i])
    return out


# -- imports inside -------------------------------------------------------------------------------


@kernel(lambda: [vec(), 2.0])
def imports_for_itself(x, scale):
    import math as m

    import numpy as numeric
    from numpy import tanh
    from numpy.linalg import norm as length

    for i in range(len(x)):
        x[i] += m.sqrt(scale)
    return tanh(x) / length(x) + numeric.sin(x).sum() * m.pi


# -- Python's own truths and complex numbers ----------------------------------------------------------


@kernel(lambda: [mat(5, 2), vec(2)])
def crosses_the_outline_an_odd_number_of_times(outline, q):
    inside = False
    j = len(outline) - 1
    for i in range(len(outline)):
        (x, y), (u, v) = outline[i], outline[j]
        if ((y > q[1]) != (v > q[1])) and (q[0] < (u - x) * (q[1] - y) / (v - y) + x):
            inside = not inside
        j = i
    return inside


@kernel(lambda: [vec(), vec()])
def turns_until_it_leaves(x, y):
    out = np.zeros((len(x), len(y)), int)
    for i in range(len(x)):
        for j in range(len(y)):
            z, n = complex(x[i], y[j]), 0
            while abs(z) < 2 and n < 20:
                z = z * z + complex(-0.4, 0.6)
                n += 1
            out[i, j] = n
    return out


@kernel(lambda: [mat()], lambda: [np.ones((5, 5))])
def determinant(A):
    n, d = len(A), 1.0
    for i in range(n):
        p = i + np.argmax(np.abs(A[i:, i]))
        if A[p, i] == 0:
            return 0.0
        if p != i:
            held = A[i].copy()
            A[i] = A[p]
            A[p] = held
            d = -d
        d *= A[i, i]
        for j in range(i + 1, n):
            A[j, i:] -= A[i, i:] * (A[j, i] / A[i, i])
    return d


# The first inputs leave out nothing: what does not count shows on the others only.
@kernel(lambda: [np.array([1.0, 2.0, 3.0])], lambda: [np.array([5.0, -2.0, 3.0])])
def running_sums_of_a_part(a):
    kept = a[a > 0]
    total = np.sum(np.cumsum(kept))
    for k in range(len(a)):
        total += np.cumsum(a[k:]).max() + np.cumsum(a[:k]).sum()
    return total
