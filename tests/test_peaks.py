"""What a device does at most: sizes rise until starting a call is nothing beside it."""

import pytest
from jax.errors import JaxRuntimeError

from jaxmagic.analysis.peaks import LONG, highest

SIZES = (10, 20, 40, 80)


def test_a_device_that_is_slow_is_measured_once():
    asked = []
    rate = highest(lambda size: size / LONG, lambda size: asked.append(size) or LONG * size, SIZES)
    assert asked == [10]
    assert rate == pytest.approx(1 / LONG**2)


def test_what_starting_takes_does_not_hide_a_fast_device():
    started = LONG / 2
    rate = highest(lambda size: 1000.0 * size, lambda size: started + size * LONG / 100, SIZES)
    assert rate == pytest.approx(80_000 / (1.3 * LONG))


def test_memory_ends_it_with_what_is_known():
    def seconds(size):
        if size > 20:
            raise JaxRuntimeError("RESOURCE_EXHAUSTED")
        return LONG / 2

    assert highest(float, seconds, SIZES) == pytest.approx(40 / LONG)
