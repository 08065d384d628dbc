"""Cutting a call off, with the real thing (a few hundredths of a second)."""

import contextlib
import signal
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from jaxmagic.bench.instruments import interrupts_heard, interrupts_held
from jaxmagic.bench.stopwatch import TimeIsUp, cut_off


@pytest.fixture(autouse=True)
def _ctrl_c_is_heard():
    """Also where the tests run in the background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def spin():
    while True:
        pass


def test_a_python_loop_is_cut_off():
    with pytest.raises(TimeIsUp), cut_off(0.02):
        spin()


def test_what_is_done_in_time_is_left_alone():
    with cut_off(0.02):
        done = sum(range(10))
    time.sleep(0.05)
    assert done == 45


def test_nobodys_except_exception_eats_it():
    def stubborn():
        while True:
            with contextlib.suppress(Exception):
                spin()

    with pytest.raises(TimeIsUp), cut_off(0.02):
        stubborn()


def test_outside_the_main_thread_nothing_is_cut_off():
    outcome = []

    def inner():
        with cut_off(0.001):
            time.sleep(0.01)
            outcome.append("done")

    thread = threading.Thread(target=inner)
    thread.start()
    thread.join(5)
    assert outcome == ["done"]


def test_an_error_inside_comes_out_as_it_is():
    with pytest.raises(ValueError, match="mine"), cut_off(1.0):
        raise ValueError("mine")


def test_many_short_ones_leave_nothing_pending():
    for _ in range(200):
        try:
            with cut_off(0.0005):
                sum(range(2000))
        except TimeIsUp:
            pass
    sum(range(100_000))


def test_it_waits_for_a_destructor_to_end():
    ended = []

    class Slow:
        def __del__(self):
            until = time.perf_counter() + 0.04
            while time.perf_counter() < until:
                pass
            ended.append(1)

    def loop():
        Slow()
        spin()

    with pytest.raises(TimeIsUp), cut_off(0.02):
        loop()
    assert ended == [1]


def test_the_users_own_alarm_is_as_before():
    def mine(*_):
        pass

    before = signal.signal(signal.SIGALRM, mine)
    try:
        with pytest.raises(TimeIsUp), cut_off(0.01):
            spin()
        assert signal.getsignal(signal.SIGALRM) is mine
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    finally:
        signal.signal(signal.SIGALRM, before)


def test_an_interrupt_that_python_drops_comes_again():
    class Dropping:
        def __del__(self):
            raise KeyboardInterrupt

    def drop():
        Dropping()
        spin()

    before = sys.unraisablehook
    with pytest.raises(KeyboardInterrupt), interrupts_heard():
        drop()
    assert sys.unraisablehook is before


def test_a_sweep_hears_what_came_at_the_end_of_a_race():
    def sweep():
        with interrupts_heard():
            with interrupts_heard():
                sys.unraisablehook(SimpleNamespace(exc_type=KeyboardInterrupt))
            until = time.perf_counter() + 5
            while time.perf_counter() < until:
                pass

    with pytest.raises(KeyboardInterrupt):
        sweep()


def test_an_interrupt_waits_while_results_are_written_down():
    before = signal.getsignal(signal.SIGINT)
    with interrupts_held():
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_other_dropped_exceptions_go_where_they_went(monkeypatch):
    told = []
    monkeypatch.setattr(sys, "unraisablehook", lambda what: told.append(what.exc_type))

    class Dropping:
        def __del__(self):
            raise ValueError

    with interrupts_heard():
        Dropping()
    assert told == [ValueError]
