"""Numbers in words, by exact text."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jaxmagic.pages import units


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: units.flop(33.9e6), "33.9 Mflop"),
        (lambda: units.flop(12), "12 flop"),
        (lambda: units.flop(0), "0 flop"),
        (lambda: units.flop(2e9), "2 Gflop"),
        (lambda: units.flop(999_960), "1 Mflop"),
        (lambda: units.flop(None), "unknown"),
        (lambda: units.size(918_000), "918 kB"),
        (lambda: units.size(1_200_000), "1.2 MB"),
        (lambda: units.size(1), "1 B"),
        (lambda: units.size(None), "unknown"),
        (lambda: units.amount(33.6e6), "33.6 M"),
        (lambda: units.amount(12), "12"),
        (lambda: units.seconds(1.84e-3), "1.84 ms"),
        (lambda: units.seconds(78e-6), "78.0 µs"),
        (lambda: units.seconds(0.9996), "1.00 s"),
        (lambda: units.seconds(0.061, digits=2), "61 ms"),
        (lambda: units.seconds(3e-9), "3.00 ns"),
        (lambda: units.seconds(210.0), "3.5 min"),
        (lambda: units.seconds(7200.0), "2 h"),
        (lambda: units.seconds(0.0), "0 s"),
        (lambda: units.seconds(None), "unknown"),
        (lambda: units.seconds_range(4.74e-3, 4.93e-3), "4.74–4.93 ms"),
        (lambda: units.seconds_range(0.9e-3, 1.25e-3), "0.90–1.25 ms"),
        (lambda: units.seconds_range(1.5, 130.0), "2–130 s"),
        (lambda: units.ratio(6.2), "6.2"),
        (lambda: units.ratio(1234.0), "1,200"),
        (lambda: units.ratio(0.154), "0.15"),
        (lambda: units.ratio_range(5.9, 6.44), "5.9–6.4"),
        (lambda: units.ratio_range(98.0, 112.0), "98–112"),
        (lambda: units.figure(1_303_212.7, digits=4), "1,303,000"),
        (lambda: units.figure(-3.21e-9), "−3.21e-9"),
        (lambda: units.figure(0.0), "0"),
        (lambda: units.figure(65536), "65,536"),
        (lambda: units.figure(0.5), "0.500"),
        (lambda: units.figure(9.999), "10.0"),
        (lambda: units.figure(2.5e12), "2.5e12"),
        (lambda: units.figure(math.nan), "nan"),
        (lambda: units.figure(-math.inf), "−∞"),
        (lambda: units.brief(0.5), "0.5"),
        (lambda: units.brief(100.0), "100"),
        (lambda: units.signed(1793.0, digits=4), "+1,793"),
        (lambda: units.signed(-0.25), "−0.25"),
        (lambda: units.signed(0.0), "0"),
        (lambda: units.scientific(2.24e-16, digits=2), "2.2e-16"),
        (lambda: units.scientific(3e-9), "3e-9"),
        (lambda: units.scientific(0.0), "0"),
        (lambda: units.count(26_624_050), "26,624,050"),
        (lambda: units.count(None), "unknown"),
        (lambda: units.counted(1, "equation"), "1 equation"),
        (lambda: units.counted(8, "equation"), "8 equations"),
        (lambda: units.counted(2, "entry", "entries"), "2 entries"),
        (lambda: units.ordinal(1), "1st"),
        (lambda: units.ordinal(12), "12th"),
        (lambda: units.ordinal(23), "23rd"),
        (lambda: units.ordinal(1001), "1,001st"),
        (lambda: units.percent(0.22), "22 %"),
        (lambda: units.percent(0.001), "< 1 %"),
        (lambda: units.percent(0.0), "0 %"),
        (lambda: units.percent(-0.0), "0 %"),
        (lambda: units.percent(-0.001), "> −1 %"),
        (lambda: units.percent(-0.3), "−30 %"),
        (lambda: units.percent(None), "unknown"),
        (lambda: units.listed(()), ""),
        (lambda: units.listed(("a",)), "a"),
        (lambda: units.listed(("a", "b", "c")), "a, b and c"),
        (lambda: units.listed(("a", "b"), last="or"), "a or b"),
    ],
)
def test_the_words(call, text):
    assert call() == text


@given(st.floats(min_value=1e-12, max_value=100.0), st.integers(min_value=2, max_value=6))
def test_a_time_reads_back_to_its_digits(value, digits):
    number, unit = units.seconds(value, digits).split(" ")
    scale = {"fs": 1e-15, "ps": 1e-12, "ns": 1e-9, "µs": 1e-6, "ms": 1e-3, "s": 1.0}[unit]
    assert float(number.replace(",", "")) * scale == pytest.approx(value, rel=0.51 * 10.0 ** (1 - digits))


@given(st.floats(allow_nan=True, allow_infinity=True) | st.integers() | st.none())
@example(1.7976931348623157e308)
@example(-5e-324)
def test_no_number_is_refused(value):
    for words in (units.figure, units.brief, units.signed, units.scientific, units.flop, units.size):
        assert words(value)
    assert units.seconds(value)
    assert units.percent(value)
