"""Indices out of bounds: refused or raised where NumPy raises, with the user's line."""

import traceback

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmagic.errors import CannotPort
from jaxmagic.port import port

X, K = np.arange(5.0), np.array([0, 3, 4])


def reads(x, k):
    return x[k].sum()


def stores(x, k):
    x[k] = 1.0
    return x


def a_constant(x, k):
    return x[4] + k[0]


def in_a_loop(x, k):
    for i in range(len(k)):
        x[k[i]] += i
    return x


def beside(x, k):
    total = 0.0
    for i in range(5):
        total += x[i]
    return total + k[0]


def at_last(x, k):
    return x[k[0] - k[1]] + x[k.max()]


BAD = [
    (reads, X, [0, 5, 1]),
    (reads, X, [0, -6, 1]),
    (stores, X, [0, 5, 1]),
    (a_constant, X[:3], [0, 1, 2]),
    (in_a_loop, X, [0, 9, 1]),
    (beside, X[:4], [0, 1, 2]),
    (at_last, X, [0, 9, 0]),
]


@pytest.mark.parametrize(("function", "x", "k"), BAD)
def test_a_port_called_as_it_is_raises_where_numpy_raises(function, x, k):
    made = port(function, X, K)
    with jax.enable_x64(new_val=True):
        with pytest.raises(IndexError) as caught:
            made.function(jnp.array(x), jnp.array(k))
        last = traceback.extract_tb(caught.value.__traceback__)[-1]
        assert last.name == function.__name__
        assert last.filename == __file__
        made.function(jnp.array(X), jnp.array(K))


@pytest.mark.parametrize(("function", "x", "k"), BAD)
def test_an_index_out_of_bounds_on_the_inputs_given_names_the_line(function, x, k):
    with pytest.raises(IndexError) as caught:
        port(function, np.array(x), np.array(k))
    last = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert last.filename == __file__
    assert last.line in "".join(traceback.format_exception(caught.value))
    assert "[" in last.line


def of_a_neighbour(x, k):
    y = x.copy()
    for i in range(len(x)):
        if i + k[0] < len(x):
            y[i] = x[i + k[0]]
    return y


def test_an_index_in_a_branch_that_is_not_taken_is_no_error():
    made = port(of_a_neighbour, X, np.array([1]))
    with jax.enable_x64(new_val=True):
        for shift in (0, 1, 3):
            wanted = of_a_neighbour(X, np.array([shift]))
            np.testing.assert_array_equal(made.function(jnp.array(X), jnp.array([shift])), wanted)


def test_under_jit_nothing_is_looked_at_and_a_note_says_so():
    made = port(reads, X, K)
    with jax.enable_x64(new_val=True):
        jax.jit(made.function)(jnp.array(X), jnp.array([0, 7, 1]))
    (text,) = [note.text for note in made.notes if note.kind == "bounds"]
    assert "under jit it is taken that none is" in text


def moved_by_data(x, k):
    return x[k[0] : k[0] + 2].sum()


def test_a_slice_that_numpy_cuts_is_said_and_seen():
    made = port(moved_by_data, X, K)
    (text,) = [note.text for note in made.notes if note.kind == "slices"]
    assert "x[k[0] : k[0] + 2].sum()" in text
    with jax.enable_x64(new_val=True):
        assert made.function(jnp.array(X), jnp.array([3, 0])) == 7.0
        with pytest.raises(CannotPort, match=r"leaves its array"):
            made.function(jnp.array(X), jnp.array([4, 0]))


def moved_by_a_loop(x, k):
    y = np.zeros(len(x) - 2)
    for i in range(len(x) - 2):
        y[i] = x[i : i + 3].sum() + k[0]
    return y


def test_a_slice_that_a_loop_moves_needs_no_word():
    made = port(moved_by_a_loop, np.arange(20.0), K)
    assert "slices" not in [note.kind for note in made.notes]


def of_unknown_size(x, k):
    x[k[0]] = 2.0
    return np.unique(x)


def test_a_port_that_is_not_compiled_raises_too():
    made = port(of_unknown_size, X, K)
    with jax.enable_x64(new_val=True):
        made.function(jnp.array(X), jnp.array(K))
        with pytest.raises(IndexError, match="out of bounds"):
            made.function(jnp.array(X), jnp.array([9, 0, 0]))


def with_a_size(x, n):
    for i in range(n):
        x[i] = x[i] * 2
    return x


def test_sizes_stay_python_values_in_the_look():
    made = port(with_a_size, X, 4)
    assert made.static == ("n",)
    with jax.enable_x64(new_val=True):
        made.function(jnp.array(X), 5)
        with pytest.raises(IndexError, match="out of bounds"):
            made.function(jnp.array(X), 6)


def as_bytes(x):
    return (x * 255).astype(np.uint8)


def stored_as_bytes(x):
    out = np.zeros(x.shape, np.int8)
    for i in range(len(x)):
        out[i] = x[i] * 100
    return out


def truncated(x):
    total = 0
    for i in range(len(x)):
        total += int(x[i] * 1e3)
    return total


@pytest.mark.parametrize("function", [as_bytes, stored_as_bytes, truncated])
@pytest.mark.parametrize("number", [1e30, np.nan, -1e30])
def test_a_real_number_that_no_whole_one_can_hold_is_not_silently_another(function, number):
    fitting, beyond = np.array([0.5, 0.25, 0.125]), np.array([0.5, number, 0.125])
    made = port(function, fitting)
    assert "casts" in [note.kind for note in made.notes]
    with jax.enable_x64(True):  # noqa: FBT003
        assert np.array_equal(made.function(fitting), function(fitting))
        with np.errstate(all="ignore"):
            wanted, got = outcome(function, beyond), outcome(made.function, beyond)
        assert got is CannotPort or got is wanted or np.array_equal(got, wanted)


def outcome(function, x):
    """What it gives, or the class of what it raises; whether NumPy and JAX differ is the machine's affair."""
    try:
        return function(x)
    except (CannotPort, ValueError, OverflowError) as error:
        return type(error)


def test_reals_that_stay_reals_are_no_casts():
    def halved(x):
        out = np.zeros(x.shape)
        out[:] = x / 2
        return out.astype(np.float64), (x > 0).astype(int)

    assert "casts" not in [note.kind for note in port(halved, X).notes]


def largest_kept(x):
    return x[x > 0].max() - 1


def test_an_extreme_of_nothing_raises_as_in_numpy():
    function, made = largest_kept, port(largest_kept, np.array([3.0, 2.0, 1.0, 4.0]))
    assert "empty" in [note.kind for note in made.notes]
    nothing = np.array([-3.0, -2.0, -1.0, -4.0])
    with jax.enable_x64(True):  # noqa: FBT003
        with pytest.raises(ValueError, match="zero-size"):
            function(nothing)
        with pytest.raises(ValueError, match="zero-size"):
            made.function(nothing)
        np.testing.assert_allclose(made.function(X + 1), function(X + 1))


def test_what_is_said_of_an_extreme_is_kept():
    def least(x):
        return np.min(x[x > 0], initial=3.0), x[x > 0].std(ddof=1)

    made = port(least, np.array([1.0, 2.0, 4.0]))
    with jax.enable_x64(True):  # noqa: FBT003
        for x in (np.array([5.0, 7.0, -1.0]), np.array([0.5, -7.0, 2.0])):
            np.testing.assert_allclose(made.function(x), least(x))


def test_a_port_that_runs_op_by_op_says_where_it_casts():
    def sized(x):
        return x[x > 0], (x * 100).astype(np.uint8)

    made = port(sized, np.array([0.5, -0.25, 0.125]) + 0.25)
    assert {"casts", "eager"} <= {note.kind for note in made.notes}
