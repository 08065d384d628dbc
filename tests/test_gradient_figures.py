"""The figures of a derivative, small and large, whole and broken."""

from __future__ import annotations

import dataclasses
import math

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from jaxmagic import differentiate
from jaxmagic.analysis.digests import CELLS, LARGE, STRETCHES, digests
from jaxmagic.pages.compose import compose
from jaxmagic.pages.figures import figured
from tests.test_gradient_page import gradient, partial


def figures(value, point=None, dtype=np.float32):
    """As a page has them: of a small array it finds them, of a large one they come with the result."""
    value = np.asarray(value, dtype)
    point = np.asarray(value if point is None else point)
    leaf = dataclasses.replace(partial("w", 0.0, point), value=value)
    [digest] = digests([jnp.asarray(value)], [point])
    assert (digest is None) == (value.size <= LARGE)
    [found] = figured(gradient(dataclasses.replace(leaf, digest=digest))).leaves
    return found


@pytest.mark.parametrize("repeat", [1, LARGE])
def test_figures(repeat):
    found = figures(np.tile([3.0, 0.0, -4.0, 0.0], repeat), np.tile([1.0, 5.0, 2.0, 5.0], repeat))
    assert found.effect == pytest.approx(-0.05 * repeat)
    assert found.norm == pytest.approx(5.0 * math.sqrt(repeat))
    assert (found.low, found.high, found.zeros, found.broken) == (-4.0, 3.0, 0.5, 0.0)


@pytest.mark.parametrize("repeat", [1, LARGE])
def test_what_is_broken_is_counted_and_left_out_of_the_range(repeat):
    found = figures(np.tile([1.0, np.nan, np.inf, 0.0], repeat))
    assert (found.low, found.high, found.zeros, found.broken) == (0.0, 1.0, 0.25, 0.5)
    assert math.isnan(found.norm)


@pytest.mark.parametrize("repeat", [1, 2 * LARGE])
def test_nothing_finite_has_no_range(repeat):
    found = figures(np.full(repeat, np.nan))
    assert (found.low, found.high, found.zeros, found.broken) == (None, None, 0.0, 1.0)


def test_squares_that_overflow_float32():
    found = figures(np.full(2 * LARGE, 1e30))
    assert found.norm == pytest.approx(1e30 * math.sqrt(2 * LARGE))
    assert found.broken == 0.0


@pytest.mark.parametrize("size", [STRETCHES * 4, CELLS * LARGE // 200])
def test_a_strip_holds_the_farthest_of_each_stretch(size):
    value = np.ones(size)
    value[size // STRETCHES + 1], value[-1], value[0] = -3.0, np.inf, 2.0
    strip = figures(value).strip
    assert len(strip) == STRETCHES
    assert strip[:3] == (2.0, -3.0, 1.0)
    assert math.isnan(strip[-1])
    assert figures([1.0, -2.0, np.nan]).strip[:2] == (1.0, -2.0)


@pytest.mark.parametrize("more", [0, 1, CELLS - 1])
def test_what_is_left_over_of_a_large_array_counts_too(more):
    random = np.random.default_rng(more)
    value, point = random.normal(size=(2, 200 * CELLS + more)).astype(np.float32)
    value[-1] = 9.0
    found, exact = figures(value, point), value.astype(float)
    assert found.effect == pytest.approx(exact @ point / 100, abs=1e-4 * np.linalg.norm(exact))
    assert found.norm == pytest.approx(np.linalg.norm(exact), rel=1e-6)
    assert (found.high, found.low, found.zeros) == (9.0, exact.min(), 0.0)
    assert found.strip[-1] == 9.0


def test_a_large_jacobian_meets_each_input_in_every_row():
    value = np.arange(2 * LARGE, dtype=np.float32).reshape(2, LARGE)
    point = np.ones(LARGE)
    assert figures(value, point).effect == pytest.approx(value.astype(float).sum() / 100, rel=1e-5)


def test_no_elements():
    found = figures(np.zeros((0, 3)))
    assert (found.effect, found.norm, found.low, found.high, found.zeros) == (0.0, 0.0, None, None, None)


@pytest.mark.parametrize("repeat", [1, LARGE])
def test_short_floats(repeat):
    found = figures(np.tile([1.0, 2.0], repeat), dtype=ml_dtypes.bfloat16)
    assert (found.low, found.high) == (1.0, 2.0)
    assert found.norm == pytest.approx(math.sqrt(5 * repeat))


def test_the_hessian_by_arrays_of_two_shapes_has_a_page():
    found = differentiate(
        lambda w, b: jnp.sum(jnp.outer(w, b) ** 2), jnp.arange(1.0, 4.0), jnp.arange(4.0), order=2
    )
    assert compose(found).tabs[0].title == "derivatives"
