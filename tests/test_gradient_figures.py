"""The figures of a derivative, small and large, whole and broken."""

from __future__ import annotations

import dataclasses
import math

import ml_dtypes
import numpy as np
import pytest

from jaxmagic.pages.figures import LARGE, figured
from tests.test_gradient_page import gradient, partial


def figures(value, point=None, dtype=np.float32):
    leaf = partial("w", 0.0, value if point is None else point)
    [found] = figured(gradient(dataclasses.replace(leaf, value=np.asarray(value, dtype)))).leaves
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


def test_squares_that_overflow_float32():
    found = figures(np.full(2 * LARGE, 1e30))
    assert found.norm == pytest.approx(1e30 * math.sqrt(2 * LARGE))
    assert found.broken == 0.0


@pytest.mark.parametrize("size", [96 * 4, 96 * LARGE // 32])
def test_a_strip_holds_the_farthest_of_each_stretch(size):
    value = np.ones(size)
    value[size // 96 + 1], value[-1], value[0] = -3.0, np.inf, 2.0
    strip = figures(value).strip
    assert len(strip) == 96
    assert strip[:3] == (2.0, -3.0, 1.0)
    assert math.isnan(strip[-1])
    assert figures([1.0, -2.0, np.nan]).strip[:2] == (1.0, -2.0)


def test_no_elements():
    found = figures(np.zeros((0, 3)))
    assert (found.effect, found.norm, found.low, found.high, found.zeros) == (0.0, 0.0, None, None, None)


def test_short_floats():
    found = figures([1.0, 2.0], dtype=ml_dtypes.bfloat16)
    assert (found.low, found.high) == (1.0, 2.0)
