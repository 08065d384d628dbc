"""Whether two results are the same, and how it is said when they are not."""

import math

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from jaxmagic.bench.agreement import Outcome, agreement, compare, dtypes


def difference(expected, actual):
    return compare(Outcome(result=expected), Outcome(result=actual))


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        (np.arange(3.0), np.arange(3.0)),
        (np.float32([1, 2, 3]), jnp.array([1, 2, 3], jnp.float32)),
        (np.float32([1, 2]), jnp.array([1, 2 * (1 + 1e-6)], jnp.float32)),
        (np.array([1.0, np.nan, np.inf, -np.inf]), np.array([1.0, np.nan, np.inf, -np.inf])),
        (np.array([np.nan + 1j, 2.0]), np.array([np.nan + 1j, 2.0])),
        (np.zeros((0, 3)), np.zeros((0, 3))),
        (np.int32(7), jnp.int32(7)),
        (2.5, jnp.float32(2.5)),
        (True, jnp.bool_(1)),
        (None, None),
        ("text", "text"),
        ([np.float32(1), (np.float32(2),)], (jnp.float32(1), [jnp.float32(2)])),
        ({"b": np.int32(1), "a": np.int32(2)}, {"a": jnp.int32(2), "b": jnp.int32(1)}),
        (np.array([1.0, 1e-30]), np.array([1.0, 0.0])),  # noise beside a large value
        (np.array([1.5, 2.5], ml_dtypes.bfloat16), jnp.array([1.5, 2.5], jnp.bfloat16)),
        (np.linalg.eigh(np.eye(2, dtype=np.float32)), jnp.linalg.eigh(jnp.eye(2))),
    ],
)
def test_the_same(expected, actual):
    assert difference(expected, actual).where == ""


@pytest.mark.parametrize(
    ("expected", "actual", "where"),
    [
        (np.array([1.0, 2.0]), np.array([1.0, 3.0]), "result[1]: 2 against 3, 1 of 2 values differ"),
        (np.float64(0.5), np.float64(0.25), "result: 0.5 against 0.25"),
        (np.array([1.0, 2.0]), np.array([1.0, np.nan]), "result[1]: 2 against nan, 1 of 2 values differ"),
        (np.array([np.inf]), np.array([-np.inf]), "result[0]: inf against -inf"),
        (np.arange(3), np.arange(4), "result: shape 3 against 4"),
        (np.zeros(()), np.zeros((1, 2)), "result: shape of a scalar against 1×2"),
        (np.float64([1.0]), np.float32([1.0]), "result: float64 against float32"),
        (np.int64(3), np.int32(3), "result: int64 against int32"),
        (np.int32([123456789]), np.int32([123456788]), "result[0]: 123,456,789 against 123,456,788"),
        (np.uint64(2**63), np.uint64(2**63 + 1), "result: 9.223372e+18 against 9.223372e+18"),
        (None, np.float64(1.0), "result: None against a float64"),
        ((1.0, 2.0), 1.0, "2 values against one value"),
        ({"a": 1.0}, {"a": 2.0}, "result['a']: 1 against 2"),
        ("one", "two", "result: the values differ"),
        (np.array([1 + 1j]), np.array([1 - 1j]), "result[0]: 1+1j against 1-1j"),
    ],
)
def test_how_they_differ(expected, actual, where):
    assert difference(expected, actual).where == where


@pytest.mark.parametrize("shape", [(500_000,), (2, 250_000), (250_000, 2), (3, 100_000, 2)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_large_arrays_are_compared_in_pieces(shape, order):
    a = np.asarray(np.ones(shape), order=order)
    b = a.copy()
    last = tuple(length - 1 for length in shape)
    b[last] = 2.0
    found = compare(Outcome(result=a), Outcome(result=b))
    place = ", ".join(map(str, last))
    assert found.where == f"result[{place}]: 1 against 2, 1 of {a.size:,} values differ"
    assert found.absolute == 1.0
    assert compare(Outcome(result=a), Outcome(result=a.copy(order="C"))).ok


def test_the_largest_errors_are_kept():
    found = difference(np.array([100.0, 1.0]), np.array([100.0 + 1e-7, 1.0]))
    assert found.ok
    assert found.absolute == pytest.approx(1e-7, rel=1e-5)
    assert found.relative == pytest.approx(1e-9, rel=1e-5)
    assert difference(np.array([1.0]), np.array([np.nan])).absolute == math.inf


def test_random_keys_are_compared_by_their_numbers():
    assert difference(jax.random.key(1), jax.random.key(1)).ok
    assert not difference(jax.random.key(1), jax.random.key(2)).ok


def test_changed_inputs_count():
    numpy = Outcome(result=None, changed={"u": np.array([1.0])})
    assert compare(numpy, Outcome(result=None, changed={"u": np.array([1.0])})).ok
    assert compare(numpy, Outcome(result=None, changed={"u": np.array([2.0])})).where == "u[0]: 1 against 2"
    assert compare(numpy, Outcome(result=None)).where == "`u` is changed in place by one side only"


def test_the_agreement_of_a_race_names_the_sides():
    with jax.enable_x64(True):  # noqa: FBT003 - JAX's own signature
        outcomes = {
            "numpy": Outcome(result=np.array([1.0])),
            "jax": Outcome(result=jnp.array([1.0])),
            "jax.jit": Outcome(result=jnp.array([2.0])),
        }
    found = agreement(outcomes)
    assert found.ok is False
    assert found.where == "numpy against jax.jit: result[0]: 1 against 2"
    assert found.max_abs_error == 1.0
    assert found.dtypes == {"numpy": "float64", "jax": "float64", "jax.jit": "float64"}


def test_one_contender_agrees_with_nobody():
    assert agreement({"numpy": Outcome(result=1.0)}).ok is None


def test_dtypes_in_words():
    assert dtypes((np.float32(1), [np.float32(2), np.int64(3)], 4.0)) == "float32, int64, float"
