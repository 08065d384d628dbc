"""Work in a thread, with the real thing (a few hundredths of a second)."""

import contextvars
import threading
import time

import jax
import pytest

from jaxmagic.bench.background import doing, in_background
from jaxmagic.bench.stopwatch import TimeIsUp


def test_what_it_returns_or_raises_comes_out():
    assert in_background(lambda: threading.current_thread() is threading.main_thread()) is False
    with pytest.raises(ValueError, match="mine"):
        in_background(lambda: int("mine"))


def test_a_call_that_hears_nothing_is_left_behind():
    """Like one into compiled code: it goes on, and nobody waits for it."""
    go_on, ended = threading.Event(), threading.Event()

    def deaf():
        go_on.wait(60)
        ended.set()

    with pytest.raises(TimeIsUp):
        in_background(deaf, 0.02)
    assert not ended.is_set()
    go_on.set()


def test_a_loop_in_python_ends_when_its_time_is_up():
    ended = threading.Event()

    def endless():
        try:
            while True:
                pass
        finally:
            ended.set()

    with pytest.raises(TimeIsUp):
        in_background(endless, 0.02)
    assert ended.wait(5)


def test_it_tells_what_was_broken_off():
    go_on = threading.Event()

    def work():
        with doing("while it was tied"):
            go_on.wait(60)

    with pytest.raises(TimeIsUp) as caught:
        in_background(work, 0.02)
    go_on.set()
    assert caught.value.during == "while it was tied"


def test_what_was_done_before_is_told_again_afterwards():
    go_on = threading.Event()

    def work():
        with doing("while it was tied"):
            pass
        go_on.wait(60)

    with pytest.raises(TimeIsUp) as caught:
        in_background(work, 0.02)
    go_on.set()
    assert caught.value.during == "in its first call"


def test_an_interrupt_ends_the_loop_too(monkeypatch):
    ended = threading.Event()

    def endless():
        try:
            while True:
                pass
        finally:
            ended.set()

    def interrupted(_):
        time.sleep(0.02)
        raise KeyboardInterrupt

    monkeypatch.setattr("jaxmagic.bench.background._look_at_the_clock", interrupted)
    with pytest.raises(KeyboardInterrupt):
        in_background(endless)
    assert ended.wait(5)


def test_the_settings_of_the_caller_hold():
    """JAX's, which are kept per thread, and context variables such as NumPy's error state."""
    mine = contextvars.ContextVar("mine", default="theirs")
    mine.set("ours")
    on = True
    with jax.enable_x64(on), jax.debug_nans(on), jax.default_matmul_precision("float32"):
        seen = in_background(
            lambda: (
                jax.numpy.zeros(1).dtype,
                jax.config.jax_debug_nans,
                jax.config.jax_default_matmul_precision,
                mine.get(),
            )
        )
    assert [str(value) for value in seen] == ["float64", "True", "float32", "ours"]


def test_one_is_told_while_it_goes_on():
    told, go_on = [], threading.Event()

    def meanwhile():
        told.append(1)
        go_on.set()

    assert in_background(lambda: go_on.wait(60), meanwhile=meanwhile)
    assert told
