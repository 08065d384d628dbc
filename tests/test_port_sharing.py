"""Names that are the same memory on one way through a function and not on another: refused, never guessed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmagic.errors import CannotPort
from jaxmagic.port import port

# A branch that did not run may hide what it binds.
REASON = r"same memory|did not run"
UP, DOWN = np.array([1.0]), np.array([-1.0])


def rebound_in_a_branch(a, k):
    w = a
    if k[0] > 0:
        w = w[::-1] * 0.5
    a *= 1.5
    return w


def bound_in_both_branches(a, k):
    b = a * 2
    if k[0] > 0:
        w = a
        b = b + 1
    else:
        w = b
    w[0] = 7
    return a, b


def chosen(a, k):
    w = a if k[0] > 0 else a[::-1] * 0.5
    a *= 1.5
    return w


def either(a, k):
    w = k[0] > 0 and a
    a *= 1.5
    return w


def rebound_in_a_while(a, k):
    w = a
    while w[0] > k[0] + 1.5:
        w = w * 0.5
    a *= 1.5
    return w


def rebound_in_a_loop(a, k, n=2):
    w = a
    for _ in range(n):
        w = w * k
    a *= 1.5
    return w


def helper(x, k):
    y = x.T
    if k[0] > 0:
        return y
    return y * 2


def from_a_helper(a, k):
    w = helper(a, k)
    a += 1
    return w


def left_behind(a, k):
    w = a * 1
    u = w
    v = w if k[0] > 0 else a * 2
    w = a + 1
    u[0] = 5
    return v, w


def left_behind_twice(a, k):
    w = a * 1
    u, v = a * 2, a * 3
    if k[0] > 0:
        u = w
        v = w
    w = a + 1
    u[0] = 5
    return v, w


@pytest.mark.parametrize("k", [UP, DOWN], ids=["up", "down"])
@pytest.mark.parametrize(
    "function",
    [
        left_behind,
        left_behind_twice,
        rebound_in_a_branch,
        bound_in_both_branches,
        chosen,
        either,
        rebound_in_a_while,
        rebound_in_a_loop,
        from_a_helper,
    ],
)
def test_memory_that_data_shares_is_refused(function, k):
    with pytest.raises(CannotPort, match=REASON):
        port(function, np.ones(3), k)


def exchanged(a, b):
    a, b = b, a
    a[1:] *= 2


def exchanged_by_a_third(a, b):
    c = a
    a = b
    b = c
    a[0] = 5
    b[1] = 7
    return a


def exchanged_in_a_loop(a, b):
    for _ in range(3):
        a[1:] = b[:-1] + 1
        a, b = b, a
    return a


def double(x, y):
    x[1:] = y[1:] * 2


def exchanged_for_a_helper(a, b):
    double(a, b)
    b, a = a, b
    double(a, b)


@pytest.mark.parametrize(
    "function", [exchanged, exchanged_by_a_third, exchanged_in_a_loop, exchanged_for_a_helper]
)
def test_the_callers_arrays_under_other_names_are_refused_also_where_they_look_the_same(function):
    for other in (np.zeros(3), np.ones(3)):
        with pytest.raises(CannotPort, match=r"handed over|caller.s array"):
            port(function, np.zeros(3), other)


def reads_what_a_loop_changes(a):
    g = lambda i: a[i] * 2  # noqa: E731 as people write it
    total = 0.0
    for i in range(1, len(a)):
        a[i] = g(i - 1)
        total += a[i]
    return total


def reads_a_number_that_a_loop_changes(a):
    c = 1.0

    def scaled(v):
        return v * c

    for i in range(len(a)):
        c = c + scaled(a[i])
    return c


@pytest.mark.parametrize("function", [reads_what_a_loop_changes, reads_a_number_that_a_loop_changes])
def test_what_an_inner_function_reads_is_what_it_is_when_called(function):
    made = port(function, np.zeros(12))
    a = np.arange(1.0, 13.0)
    wanted = function(a.copy())
    with jax.enable_x64(new_val=made.x64):
        found = made.function(jnp.array(a))
    np.testing.assert_allclose(found[0] if made.mutated else found, wanted)


def halve(x, i):
    x[i] *= 0.5
    return x[i] + 1


def called_on_one_way(a, b):
    return halve(b, 1) if a[0] > 0 else 0.0


def called_if_need_be(a, b):
    found = a[0] > 0 and halve(b, 1) > 0
    return found, b.sum()


def called_each_time(a, b):
    n = 0
    while halve(b, 1) > 1.2:
        n += 1
    return a[0] + n


def called_many_times(a, b):
    return np.array([halve(b, 1) for _ in range(3)]) + a[0]


def read_before(a, b):
    return b[1] + halve(b, 1) + a[0]


@pytest.mark.parametrize(
    "function", [called_on_one_way, called_if_need_be, called_each_time, called_many_times, read_before]
)
def test_a_helper_that_changes_its_argument_at_times_or_late_is_refused(function):
    with pytest.raises(CannotPort, match=r"at times only|is read here before"):
        port(function, np.array([1.0, 2.0]), np.array([3.0, 0.0, 5.0]))


def fresh_in_both(a, k):
    if k[0] > 0:
        w = a * 2
        w = w + 1
    else:
        w = a - 1
    a *= 1.5
    return w


def rebound_always(a, k):
    w = a
    for _ in range(2):
        w = w * k
    a *= 1.5
    return w


def rebound_before(a, k):
    w = a
    if k[0] > 0:
        w = w * 2
    w = w + 1
    a *= 1.5
    return w


def not_needed_after(a, k):
    w = a
    if k[0] > 0:
        w = w * 2
    total = w.sum()
    a *= 1.5
    return total


def normal(x):
    x = x - x.mean()
    x = x / 2
    return x  # noqa: RET504 # a parameter's name that means something else by now


def from_a_helper_that_makes_its_own(a, k):
    w = normal(a)
    a += k
    return w


@pytest.mark.parametrize("k", [UP, DOWN], ids=["up", "down"])
@pytest.mark.parametrize(
    "function",
    [fresh_in_both, rebound_always, rebound_before, not_needed_after, from_a_helper_that_makes_its_own],
)
def test_what_is_surely_apart_is_ported(function, k):
    made = port(function, np.ones(3), k)
    for other in (UP, DOWN):
        a = np.array([1.0, 2.0, 3.0])
        with jax.enable_x64(new_val=made.x64):
            result, changed = jax.jit(made.function)(a.copy(), other)
        np.testing.assert_allclose(result, function(a, other))
        np.testing.assert_allclose(changed, a)


def swept(A, b, turns=30):
    x = np.zeros_like(b)
    for _ in range(turns):
        new = np.copy(x)
        for i in range(len(b)):
            new[i] = (b[i] - A[i, :i] @ new[:i] - A[i, i + 1 :] @ x[i + 1 :]) / A[i, i]
        if np.allclose(x, new, rtol=1e-8):
            break
        x = new
    return x


def test_a_copy_made_anew_each_time_is_not_what_the_name_meant_before():
    rng = np.random.default_rng(0)
    A, b, other = rng.normal(size=(4, 4)) + 8 * np.eye(4), rng.normal(size=4), rng.normal(size=4)
    made = port(swept, A, b)
    with jax.enable_x64(new_val=made.x64):
        for given in (b, other, np.zeros(4)):
            np.testing.assert_allclose(made.function(A, given), swept(A, given), rtol=1e-12)
