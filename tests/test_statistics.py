"""Figures of a race, on numbers made by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxmagic.bench.statistics import break_even, quantile, ratio, spread, typical, unsteadiness

samples = st.lists(st.floats(1e-9, 1e3), min_size=1, max_size=40)


@given(samples, st.floats(0, 1))
def test_the_quantile_is_numpys(values, share):
    assert quantile(values, share) == pytest.approx(np.quantile(values, share), rel=1e-12)


def test_the_typical_time_is_the_low_tenth_of_all_samples():
    assert typical([[1.0, 2.0], [3.0, 4.0, 5.0]]) == pytest.approx(1.4)
    assert typical([[], []]) is None


def test_equal_batches_leave_only_what_no_batch_can_show():
    interval = spread([[2.0]] * 8)
    assert interval.estimate == 2.0
    assert interval.low == pytest.approx(2 * math.exp(-0.005))
    assert interval.high == pytest.approx(2 * math.exp(0.005))


def test_the_interval_is_yuens_for_the_logarithms():
    figures = [1.00, 1.02, 1.04, 1.06, 1.08, 1.10, 1.12, 9.0]
    logs = np.sort(np.log(figures))
    kept, winsorised = logs[1:-1], np.clip(logs, logs[1], logs[-2])
    error = winsorised.std(ddof=1) * math.sqrt(8) / 6
    reach = math.hypot(2.571 * error, 0.005)
    interval = spread([[figure] for figure in figures])
    assert interval.estimate < math.exp(kept.mean() - reach)  # and the interval reaches down to it
    assert interval.low == interval.estimate
    assert interval.high == pytest.approx(math.exp(kept.mean() + reach))


def test_one_disturbed_batch_does_not_blur_the_rest():
    calm = spread([[1.0 + 0.01 * i] for i in range(8)])
    disturbed = spread([[1.0 + 0.01 * i] for i in range(7)] + [[50.0]])
    assert disturbed.high < 1.2 * calm.high


@pytest.mark.parametrize("batches", [[[1.0]], [[1.0, 2.0], [1.0]]])
def test_too_few_batches_give_no_interval(batches):
    interval = spread(batches)
    assert (interval.low, interval.high) == (None, None)
    assert interval.estimate == 1.0


def test_three_times_the_work_reads_three():
    times = ratio([[3.0, 3.3]] * 8, [[1.0, 1.1]] * 8)
    assert times.estimate == pytest.approx(3.0)
    assert times.low < 3.0 < times.high


def test_ratios_pair_batches_and_leave_out_what_has_no_partner():
    slow = [[30.0], [], [3.0], [300.0]]
    fast = [[10.0], [5.0], [1.0], [100.0]]
    assert ratio(slow, fast).estimate == pytest.approx(3.0)
    assert ratio([[1.0], []], [[], [1.0]]) is None


def test_a_drifting_machine_does_not_widen_a_ratio():
    drift = [1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5]
    times = ratio([[2 * d] for d in drift], [[d] for d in drift])
    assert times.high / times.low == pytest.approx(math.exp(0.01))


@given(st.lists(samples, min_size=1, max_size=10))
def test_an_interval_holds_its_estimate(batches):
    interval = spread(batches)
    assert interval.low is None or interval.low <= interval.estimate <= interval.high


def test_unsteadiness_is_the_spread_of_the_batches():
    assert unsteadiness([[1.0]] * 8) == 0.0
    assert unsteadiness([[1.0], [math.e], [math.e**2]]) == pytest.approx(1.0)
    assert unsteadiness([[1.0], [2.0]]) is None


@pytest.mark.parametrize(
    ("slow", "fast", "first", "calls"),
    [
        (1.0, 2.0, 3.0, None),  # never, when it is slower
        (1.0, 1.0, 3.0, None),
        (2.0, 1.0, 1.0, 1),  # nothing to compile
        (2.0, 1.0, 10.0, 9),  # 10 + 8 = 18 = 9 × 2
        (4.0, 1.0, 100.0, 33),  # 100 + 32 = 132 = 33 × 4
    ],
)
def test_break_even_counts_compiling(slow, fast, first, calls):
    assert break_even(slow, fast, first) == calls


@given(st.floats(1e-6, 1), st.floats(0.01, 0.99), st.floats(0, 100))
def test_break_even_is_the_first_call_that_is_ahead(slow, share, extra):
    fast = slow * share
    first = fast + extra
    n = break_even(slow, fast, first)
    assert first + (n - 1) * fast <= n * slow * (1 + 1e-9)
    assert n == 1 or first + (n - 2) * fast > (n - 1) * slow * (1 - 1e-9)
