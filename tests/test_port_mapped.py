# ruff: noqa: B905 written as people write NumPy
"""Loops that become `jax.vmap`, or carry a row: where that is right, and where it must not happen."""

from __future__ import annotations

import copy

import jax
import numpy as np
import pytest

from jaxmagic.port import port

RNG = np.random.default_rng(7)


def mat(n, m):
    return RNG.normal(size=(n, m)) + 3 * np.eye(n, m)


def vec(n):
    return RNG.normal(size=n)


def reads_later_rows(a, b):
    """Each row takes in rows that only change later."""
    for i in range(b.shape[0]):
        for j in range(b.shape[1]):
            b[i, j] += a[i + 1 :, i] @ b[i + 1 :, j]
    b *= 2.0


def columns_from_a_moving_bound(a):
    n = a.shape[1]
    r = np.zeros((n, n))
    for k in range(n):
        r[k, k] = a[:, k] @ a[:, k]
        for j in range(k + 1, n):
            r[k, j] = a[:, k] @ a[:, j] / r[k, k]
            a[:, j] -= a[:, k] * r[k, j]
    return r


def triangles(c, a, s):
    """Windows that grow with the mapped index."""
    for i in range(a.shape[0]):
        c[i, : i + 1] *= s
        for k in range(a.shape[1]):
            c[i, : i + 1] += s * a[i, k] * a[: i + 1, k]


def inner_places(x):
    """Bounds that leave out both ends; the array that is read does not change."""
    y = np.zeros_like(x)
    for i in range(1, x.shape[0] - 1):
        y[i] = x[i - 1] + 2 * x[i] + x[i + 1]
    return y


def one_row_of_many(a, x):
    for j in range(a.shape[1]):
        a[2, j] = a[1, j] * x[j] + a[0, 0]


def with_a_condition(x):
    y = np.empty(x.shape[0])
    for i in range(x.shape[0]):
        t = x[i] * 2
        if t > 0:
            t = np.sqrt(t)
        y[i] = t
    return y


def whole_numbers(x):
    """What is stored is cut to whole numbers."""
    for i in range(x.shape[0]):
        x[i, 0] = x[i, 1] / 2.0


def third_axis(u, v):
    for k in range(u.shape[2]):
        u[:, :, k] = v[:, :, k] * 2 + k


def two_loops_on_rows(a):
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            t = a[i, j] + 1
            a[i, j] = t * a[i, j]


MAPPED = [
    (reads_later_rows, lambda n: (mat(n, n), mat(n, n + 2))),
    (columns_from_a_moving_bound, lambda n: (mat(n + 1, n),)),
    (triangles, lambda n: (mat(n, n), mat(n, n + 3), 0.5)),
    (inner_places, lambda n: (vec(n),)),
    (one_row_of_many, lambda n: (mat(n, n), vec(n))),
    (with_a_condition, lambda n: (np.abs(vec(n)) * RNG.choice([1.0, -1.0], n),)),
    (whole_numbers, lambda n: (RNG.integers(0, 9, (n, 3)),)),
    (third_axis, lambda n: (RNG.normal(size=(3, 4, n)), RNG.normal(size=(3, 4, n)))),
    (two_loops_on_rows, lambda n: (mat(n, n + 1),)),
]


def running_sum(x):
    for i in range(1, x.shape[0]):
        x[i] += x[i - 1]


def wraps_around(x):
    """The first iteration reads the last element, which the last one stores."""
    for i in range(x.shape[0]):
        x[i] = x[i - 1] + 1


def all_into_one(x):
    y = np.zeros(3)
    for i in range(x.shape[0]):
        y[0] = x[i]
    return y


def diagonal_places(a):
    """Another iteration's place, though the same axis is picked: a[i, i + 1] is a[i, j] with j = i + 1."""
    for i in range(a.shape[0] - 1):
        a[i, i + 1] = 1.0
        a[i + 1, 0] = a[i, i + 1] + a[i + 1, i]


def keeps_the_last(x):
    y = np.zeros_like(x)
    for i in range(x.shape[0]):
        t = x[i] * 2
        y[i] = t
    return y, t


def reads_what_was_stored(a):
    for j in range(1, a.shape[1]):
        a[:, j] = a[:, j] + a[:, j - 1]


def reads_the_whole(x):
    for i in range(x.shape[0]):
        x[i] = x.sum()


def inner_places_of_another(a):
    """Inner variables of the same name are not the same place."""
    for i in range(a.shape[0]):
        for j in range(a.shape[1] - 1):
            a[i, j] = a[i, j + 1] + a[0, j]


ROLLED = [
    (running_sum, lambda n: (vec(n),)),
    (wraps_around, lambda n: (vec(n),)),
    (all_into_one, lambda n: (vec(n),)),
    (diagonal_places, lambda n: (mat(n, n),)),
    (keeps_the_last, lambda n: (vec(n),)),
    (reads_what_was_stored, lambda n: (mat(n, n),)),
    (reads_the_whole, lambda n: (vec(n),)),
    (inner_places_of_another, lambda n: (mat(n, n),)),
]


def agrees(function, made, inputs):
    """A port gives what NumPy gives, changed arguments too."""
    own = copy.deepcopy(inputs)
    expected = [function(*own), *own]
    with jax.enable_x64(new_val=True):
        given = [jax.numpy.array(v) if isinstance(v, np.ndarray) else v for v in inputs]
        result = jax.jit(made.function, static_argnames=made.static)(*given)
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(result)]
    parameters = function.__code__.co_varnames[: function.__code__.co_argcount]
    changed = [own[parameters.index(name)] for name in made.mutated]
    wanted = [np.asarray(leaf) for leaf in [*jax.tree.leaves(expected[0]), *changed]]
    assert len(leaves) == len(wanted)
    for ours, theirs in zip(leaves, wanted):
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("function", "inputs"), MAPPED, ids=lambda v: getattr(v, "__name__", ""))
def test_independent_iterations_are_mapped_over(function, inputs):
    made = port(function, *inputs(12))
    assert "jax.vmap(" in made.source
    for n in (12, 10, 17):
        agrees(function, made, inputs(n))


@pytest.mark.parametrize(("function", "inputs"), ROLLED, ids=lambda v: getattr(v, "__name__", ""))
def test_iterations_that_need_one_another_are_not(function, inputs):
    made = port(function, *inputs(12))
    assert made.source.count("jax.vmap(") == 0 or function is inner_places_of_another
    for n in (12, 10, 17):
        agrees(function, made, inputs(n))


def test_what_numpy_leaves_out_may_be_nan():
    a, b = mat(12, 12), mat(12, 14)
    b[0] = np.nan
    made = port(reads_later_rows, a, b)
    agrees(reads_later_rows, made, (a, b))
    assert [note.kind for note in made.notes if note.kind == "finite"] == []


def test_that_nothing_left_out_is_nan_is_said_where_it_is_taken_for_granted():
    made = port(reads_later_rows, mat(12, 12), mat(12, 14))
    assert "finite" in [note.kind for note in made.notes]


def solves_rows(a):
    """Every row of the factors needs the rows before it, and is changed element by element."""
    for i in range(a.shape[0]):
        for j in range(i):
            a[i, j] -= a[i, :j] @ a[:j, j]
            a[i, j] /= a[j, j]
        for j in range(i, a.shape[0]):
            a[i, j] -= a[i, :i] @ a[:i, j]


def test_a_loop_on_a_row_carries_the_row():
    inputs = (mat(12, 12) + 12 * np.eye(12),)
    made = port(solves_rows, *inputs)
    assert made.source.count("a.at[") == 1
    assert "a = a.at[i].set(a_i)" in made.source
    agrees(solves_rows, made, inputs)
    agrees(solves_rows, made, (mat(15, 15) + 15 * np.eye(15),))


def reads_the_row_above_too(a):
    for i in range(a.shape[0]):
        for j in range(1, a.shape[1]):
            a[i, j] += a[i, j - 1] + a[i - 1, j]


def test_a_row_is_not_carried_past_a_read_that_may_be_of_it():
    inputs = (mat(12, 12),)
    made = port(reads_the_row_above_too, *inputs)
    assert "a.at[i, j].set(" in made.source
    agrees(reads_the_row_above_too, made, inputs)


def scaled_product(s, a, b, x):
    return s * a @ x + 2.0 * b @ x


def test_a_scaled_matrix_is_not_copied_for_a_product():
    inputs = (1.5, mat(9, 9), mat(9, 9), vec(9))
    made = port(scaled_product, *inputs)
    assert "s * (a @ x)" in made.source
    agrees(scaled_product, made, inputs)


def test_products_of_rows_are_one_product_of_matrices():
    def rows(a, b):
        c = np.zeros((a.shape[0], b.shape[1]))
        for i in range(a.shape[0]):
            for j in range(b.shape[1]):
                c[i, j] = a[i, :] @ b[:, j]
        return c

    made = port(rows, mat(12, 10), mat(10, 11))
    with jax.enable_x64(new_val=True):
        jaxpr = str(jax.make_jaxpr(made.function)(mat(12, 10), mat(10, 11)))
    assert jaxpr.count("dot_general[") == 1
    assert "while" not in jaxpr
    assert "scan" not in jaxpr
    agrees(rows, made, (mat(14, 9), mat(9, 13)))


def matrix_product(c, a, b, s):
    for i in range(c.shape[0]):
        for j in range(c.shape[1]):
            c[i, j] *= s
            for k in range(a.shape[1]):
                c[i, j] += s * a[i, k] * b[k, j]


def dot_product(a, b):
    t = 0.0
    for i in range(a.shape[0]):
        t += a[i] * b[i]
    return t


def taken_away(a):
    t = np.zeros(a.shape[1])
    for i in range(1, a.shape[0]):
        t -= a[i]
    return t


def below_the_diagonal(a, x, y):
    for i in range(a.shape[0]):
        y[i] = 0.0
        for j in range(i):
            y[i] += a[i, j] * x[j]


def two_products(c, a, b, s):
    for i in range(a.shape[0]):
        for k in range(a.shape[1]):
            c[i, : i + 1] += a[: i + 1, k] * s * b[i, k] + b[: i + 1, k] * s * a[i, k]


SUMS = [
    (matrix_product, lambda n: (mat(n, n + 1), mat(n, n + 2), mat(n + 2, n + 1), 2.0)),
    (dot_product, lambda n: (vec(n), vec(n))),
    (taken_away, lambda n: (mat(n, 4),)),
    (below_the_diagonal, lambda n: (mat(n, n), vec(n), vec(n))),
    (two_products, lambda n: (mat(n, n), mat(n, n), mat(n, n), 2.0)),
]


@pytest.mark.parametrize(("function", "inputs"), SUMS, ids=lambda v: getattr(v, "__name__", ""))
def test_loops_that_only_add_up_are_products_and_sums(function, inputs):
    made = port(function, *inputs(12))
    assert "fori_loop" not in made.source
    for n in (12, 10, 17):
        agrees(function, made, inputs(n))


def depends_on_what_was_added(a):
    t = 0.0
    for i in range(a.shape[0]):
        t += a[i] * (t + 1.0)
    return t


def adds_whole_numbers_to_real_ones(a, n):
    t = np.zeros(3)
    for i in range(a.shape[0]):
        t += n[i] * a[i]
    return t


def in_single_precision(a):
    t = np.float32(0)
    for i in range(a.shape[0]):
        t += a[i]
    return t


@pytest.mark.parametrize(
    ("function", "inputs"),
    [
        (depends_on_what_was_added, (vec(12) / 9,)),
        (adds_whole_numbers_to_real_ones, (mat(12, 3), RNG.integers(0, 9, 12))),
    ],
    ids=lambda v: getattr(v, "__name__", ""),
)
def test_other_loops_stay_loops(function, inputs):
    made = port(function, *inputs)
    assert "fori_loop" in made.source
    agrees(function, made, inputs)


def test_a_sum_keeps_its_precision():
    inputs = (vec(12).astype(np.float32),)
    made = port(in_single_precision, *inputs)
    with jax.enable_x64(new_val=True):
        result = jax.jit(made.function)(jax.numpy.array(inputs[0]))
    assert result.dtype == np.float32


def sparse_product(bounds, columns, values, x):
    y = np.empty(bounds.size - 1)
    for i in range(bounds.size - 1):
        own = columns[bounds[i] : bounds[i + 1]]
        y[i] = values[bounds[i] : bounds[i + 1]] @ x[own]
    return y


def sums_of_segments(p, a, s):
    y = np.zeros(p.size + 2)
    for i in range(p.size - 1):
        y[i] = np.sum(s * np.exp(a[p[i] : p[i + 1]]) - 1.0)
    return y


def segments_of(n, most):
    return np.sort(RNG.integers(0, most, n + 1))


@pytest.mark.parametrize(
    ("function", "inputs"),
    [
        (sparse_product, lambda n: (segments_of(n, 30), RNG.integers(0, 8, 30), vec(30), vec(8))),
        (sums_of_segments, lambda n: (segments_of(n, 20), vec(20), 0.5)),
    ],
    ids=lambda v: getattr(v, "__name__", ""),
)
def test_sums_over_segments_go_over_the_elements_once(function, inputs):
    made = port(function, *inputs(12))
    assert "jax.ops.segment_sum(" in made.source
    for n in (12, 9, 20):
        agrees(function, made, inputs(n))


def test_segments_that_do_not_ascend_give_no_wrong_number():
    made = port(sums_of_segments, segments_of(12, 20), vec(20), 0.5)
    with jax.enable_x64(new_val=True):
        result = jax.jit(made.function, static_argnames=made.static)(
            np.array([0, 5, 3, 9] + [9] * 9), vec(20), 0.5
        )
    assert np.isnan(np.asarray(result)[:12]).all()


def scaled_by_their_sums(p, a):
    y = np.zeros(p.size - 1)
    for i in range(p.size - 1):
        part = a[p[i] : p[i + 1]]
        y[i] = np.sum(part * part.sum())
    return y


def test_what_is_not_elementwise_is_no_sum_over_segments():
    inputs = (segments_of(12, 20), vec(20))
    made = port(scaled_by_their_sums, *inputs)
    assert "segment_sum" not in made.source
    agrees(scaled_by_their_sums, made, inputs)


def the_first_places(x, n):
    y, z = np.ones(12), np.ones((12, 2))
    for i in range(n):
        y[i] = x[i] * 2
        z[i] = x[i]
    return y, z


def test_fewer_iterations_than_before_leave_the_rest_as_it_was():
    inputs = (vec(12), 12)
    made = port(the_first_places, *inputs)
    agrees(the_first_places, made, inputs)
    agrees(the_first_places, made, (vec(12), 5))


def adds_up_in_double_precision(a):
    t = np.zeros(1)
    for i in range(a.shape[0]):
        t += a[i]
    return t


def test_a_sum_of_single_precision_in_double_stays_a_loop():
    inputs = (vec(12).astype(np.float32),)
    made = port(adds_up_in_double_precision, *inputs)
    assert "fori_loop" in made.source
    agrees(adds_up_in_double_precision, made, inputs)
