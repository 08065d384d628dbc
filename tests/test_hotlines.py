"""Hot lines: the sweep over hand-built profiles, real programs, and what the page says of them."""

from __future__ import annotations

import itertools
import signal
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import jaxmagic
from jaxmagic.analysis import hotlines, profile
from jaxmagic.analysis.profile import Event, Recording
from jaxmagic.analysis.trace import look
from jaxmagic.errors import CannotTrace
from jaxmagic.magics.display import text_of
from jaxmagic.target import ArrayType, Target


def swept(*events, calls=((0, 100),), loops=frozenset()):
    recording = Recording(calls, tuple(sorted(events, key=lambda event: event.start)), len(events))
    return profile.sweep(recording, frozenset(loops))


# -- the sweep -------------------------------------------------------------------------------------


def test_each_instant_goes_to_what_ran_then():
    assert swept(Event("a", 10, 30, 30, 0), Event("b", 30, 90, 90, 0)) == {"a": 20, "b": 60}


def test_the_innermost_operation_of_a_thread_counts():
    assert swept(Event("outer", 0, 100, 100, 0), Event("inner", 20, 50, 50, 0)) == {"outer": 70, "inner": 30}


def test_threads_share_an_instant():
    assert swept(Event("a", 0, 100, 100, 0), Event("b", 50, 100, 100, 1)) == {"a": 75, "b": 25}


def test_a_kernel_that_ends_on_other_threads_runs_until_then():
    assert swept(Event("cut up", 0, 5, 80, 0)) == {"cut up": 80}


def test_what_runs_here_comes_before_what_runs_elsewhere():
    assert swept(Event("cut up", 0, 5, 80, 0), Event("b", 20, 40, 40, 0)) == {"cut up": 60, "b": 20}


def test_a_loop_gets_what_its_body_leaves():
    found = swept(Event("while", 0, 10, 100, 0), Event("body", 20, 90, 90, 0), loops={"while"})
    assert found == {"while": 30, "body": 70}


def test_calls_are_swept_one_by_one():
    late = Event("a", 90, 130, 130, 0)
    assert swept(late, Event("a", 210, 220, 220, 0), calls=((0, 100), (200, 300))) == {"a": 20}


def test_the_ends_of_a_call_are_what_no_operation_has():
    events = (Event("a", 10, 30, 60, 0), Event("b", 40, 50, 50, 1), Event("a", 210, 320, 320, 0))
    recording = Recording(((0, 100), (200, 300), (400, 450)), events, 3)
    assert profile.edges(recording) == (10 + 40) + (10 + 0) + 50


@given(
    st.lists(
        st.tuples(st.sampled_from("abcw"), st.integers(0, 99), st.integers(0, 40), st.integers(0, 40)),
        max_size=12,
    )
)
def test_no_instant_is_given_out_twice(drawn):
    events = [Event(name, at, at + on, at + on + off, 0) for name, at, on, off in drawn]
    found = swept(*events, loops={"w"})
    covered = {tick for event in events for tick in range(event.start, min(event.done, 100))}
    assert sum(found.values()) == pytest.approx(len(covered))


# -- reading ---------------------------------------------------------------------------------------


def planes(*lines, names=()):
    def event(name, start, duration, **stats):
        return SimpleNamespace(name=name, start_ns=start, duration_ns=duration, stats=list(stats.items()))

    return SimpleNamespace(
        planes=[
            SimpleNamespace(name=name, lines=[SimpleNamespace(events=[event(*a, **k) for a, k in line])])
            for line, name in itertools.zip_longest(lines, names, fillvalue="/host:CPU")
        ]
    )


def ev(*args, **stats):
    return args, stats


def test_a_profile_of_a_gpu_is_read_the_same_way():
    host = [ev(profile.CALL, 0, 1000), ev("PjitFunction(f)", 10, 20)]
    device = [
        ev("gemm", 100, 300, hlo_op="dot.1", hlo_module="jit_f"),
        ev("other program", 400, 50, hlo_op="add", hlo_module="jit_g"),
        ev("fusion", 500, 100, hlo_op="fusion.2", hlo_module="jit_f"),
    ]
    names = ("/host:CPU", "/device:GPU:0")
    found = profile.read(planes(host, device, names=names), "jit_f", host=False)
    assert found.calls == ((0, 1000),)
    assert found.events == (Event("dot.1", 100, 400, 400, 1), Event("fusion.2", 500, 600, 600, 1))
    assert found.records == 5


def test_what_the_host_hands_to_a_gpu_is_not_mixed_with_what_runs_there():
    host = [
        ev(profile.CALL, 0, 1000),
        ev("launch", 50, 5, hlo_op="dot.1", hlo_module="jit_f"),
        ev("launch", 60, 900, hlo_op="fusion.2", hlo_module="jit_f"),
    ]
    device = [ev("gemm", 100, 300, hlo_op="dot.1", hlo_module="jit_f")]
    names = ("/host:CPU", "/device:GPU:0")
    found = profile.read(planes(host, device, names=names), "jit_f", host=False)
    assert found.events == (Event("dot.1", 100, 400, 400, 1),)
    assert found.calls == ((0, 1000),)
    on_cpu = profile.read(planes(host, device, names=names), "jit_f", host=True)
    assert [event.name for event in on_cpu.events] == ["dot.1", "fusion.2"]
    unnamed = [ev("gemm", 100, 300, correlation_id=7), ev("CudaGraph", 400, 300)]
    assert profile.read(planes(host, unnamed, names=names), "jit_f", host=False).events == ()


def test_kernels_of_two_streams_are_read_and_their_copies_are_no_operations():
    host = [ev(profile.CALL, 0, 1000), ev("dot.1", 10, 5, hlo_op="dot.1", hlo_module="jit_f")]
    first = [ev("gemm", 100, 300, hlo_op="dot.1", hlo_module="jit_f", correlation_id=1)]
    second = [
        ev("MemcpyD2H", 150, 50, correlation_id=2),
        ev("loop", 200, 400, hlo_op="fusion.2", hlo_module="jit_f", correlation_id=3),
    ]
    names = ("/host:CPU", "/device:GPU:0", "/device:GPU:0")
    found = profile.read(planes(host, first, second, names=names), "jit_f", host=False)
    assert profile.sweep(found, frozenset()) == {"dot.1": 200.0, "fusion.2": 300.0}


def test_the_end_of_a_kernel_is_found_by_its_number():
    line = [
        ev("sort", 10, 5, hlo_op="sort", hlo_module="jit_f", _p=7),
        ev("end: sort", 90, 0, _c=7),
        ev("add", 92, 3, hlo_op="add", hlo_module="jit_f", _p=8),
    ]
    assert profile.read(planes(line), "jit_f", host=True).events == (
        Event("sort", 10, 15, 90, 0),
        Event("add", 92, 95, 95, 0),
    )


# -- real programs ---------------------------------------------------------------------------------


def slow(x):
    a = jnp.sin(x) + 1
    b = jnp.sort(a, axis=0)
    return (b * 2).sum()


@pytest.fixture(scope="module", autouse=True)
def _any_pace():
    """The machine that runs the tests may be busy with others."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hotlines, "MOST_SLOWED", 1e9)
        yield


@pytest.fixture(scope="module")
def timed(_any_pace):
    return look(Target(function=slow, args=(ArrayType("f32", (1500, 400)),)), time=True)


def test_the_slow_line_is_the_hottest(timed):
    line = max(timed.lines, key=lambda line: line.seconds or 0)
    assert "jnp.sort" in line.source
    assert timed.timing.withheld == ""
    spot = timed.timing.spots[0]
    assert line.source[spot.span.column : spot.span.end_column] == "jnp.sort(a, axis=0)"
    assert spot.split == 0


def test_shares_add_up_to_what_is_covered(timed):
    timing = timed.timing
    assert sum(spot.share for spot in timing.spots) == pytest.approx(timing.covered, abs=1e-6)
    assert 0 < timing.covered <= 1
    assert 0 <= timing.edges <= 1 - timing.covered + 1e-6
    assert sum(line.seconds for line in timed.lines) <= timing.seconds * 1.000001


def test_a_caller_has_the_time_of_what_it_calls():
    def inner(x):
        return jnp.sort(x, axis=0)

    def outer(x):
        y = inner(x)
        return y + 1

    found = look(
        Target(function=outer, args=(np.random.default_rng(0).random((1000, 200), np.float32),)), time=True
    )
    rows = {
        line.source.strip(): found.timing.inclusive.get((line.file, line.line), 0.0) for line in found.lines
    }
    assert rows["y = inner(x)"] >= rows["return jnp.sort(x, axis=0)"] > 0.5


def test_the_words(timed):
    told = text_of(timed, "Time")
    assert "a call" in told.splitlines()[0] + told.splitlines()[1]
    assert "jnp.sort(a, axis=0)" in told
    assert "calls under JAX's profiler" in told


def test_the_faster_half_of_the_calls_counts():
    calls = ((0, 10), (20, 90), (100, 112), (200, 290), (300, 311))
    assert hotlines._undisturbed(Recording(calls, (), 0)).calls == ((0, 10), (100, 112), (300, 311))
    assert hotlines._undisturbed(Recording(calls[:1], (), 0)).calls == calls[:1]


def test_a_short_call_has_no_shares():
    found = jaxmagic.trace(lambda x: x + 1, np.ones(3), time=True)
    assert found.timing.withheld == "a call is too short for the profiler (under 50 µs)"
    assert all(line.seconds is None for line in found.lines)
    assert "Where the time goes is not told: a call is too short" in text_of(found)


def test_a_profiler_that_slows_the_program_has_no_shares(monkeypatch):
    recording = Recording(((0.0, 9e9),), (), 0)
    monkeypatch.setattr(hotlines, "MOST_SLOWED", 1.5)
    monkeypatch.setattr(profile, "record", lambda *_, **__: recording)
    found = jaxmagic.trace(slow, np.ones((300, 300), np.float32), time=True)
    assert "times slower" in found.timing.withheld


def test_a_profile_without_the_programs_operations_has_no_shares(monkeypatch):
    monkeypatch.setattr(hotlines, "MOST_SLOWED", 1e9)
    monkeypatch.setattr(profile, "record", lambda *_, **__: Recording(((0.0, 9e6),), (), 0))
    found = jaxmagic.trace(slow, np.ones((300, 300), np.float32), time=True)
    assert found.timing.withheld == "the profile names none of its operations"
    assert found.timing.seconds > 0
    assert all(line.seconds is None for line in found.lines)


def test_a_program_that_calls_python_is_not_run():
    ran = []

    def f(x):
        jax.debug.callback(lambda v: ran.append(v), x)
        return x * 2

    found = jaxmagic.trace(f, np.ones(3), time=True)
    assert ran == []
    assert "calls back into Python" in found.timing.withheld


def test_nothing_runs_unless_it_is_asked_for(monkeypatch):
    monkeypatch.setattr(hotlines, "measure", lambda *_: pytest.fail("it ran"))
    assert jaxmagic.trace(slow, np.ones((3, 3))).timing is None


def test_a_profile_that_is_being_taken_is_the_users(tmp_path):
    x = np.ones((400, 400), np.float32)
    jax.profiler.start_trace(str(tmp_path))
    try:
        with pytest.raises(CannotTrace, match="taking a profile already"):
            jaxmagic.trace(slow, x, time=True)
    finally:
        jax.profiler.stop_trace()
    assert jaxmagic.trace(slow, x, time=True).timing.calls > 0


def test_an_interrupt_stops_the_profiler(monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        profile.record(interrupted, 1, "jit_f", host=True)
    assert profile.record(lambda: None, 1, "jit_f", host=True).events == ()


def test_an_interrupt_while_the_profiler_ends_waits(monkeypatch):
    stop = jax.profiler.stop_trace

    def interrupted():
        signal.raise_signal(signal.SIGINT)
        stop()

    monkeypatch.setattr(jax.profiler, "stop_trace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        profile.record(lambda: None, 1, "jit_f", host=True)
    monkeypatch.setattr(jax.profiler, "stop_trace", stop)
    assert profile.record(lambda: None, 1, "jit_f", host=True).events == ()


def test_expressions_behind_operations_without_a_name_are_found_by_elimination():
    def f(x):
        a = x * 2 + 1
        u = jnp.cumsum(a, axis=0)
        return (u - 1) * a

    x = np.random.default_rng(0).random((1200, 500), np.float32)
    found = look(Target(function=f, args=(x,)), time=True)
    rows = {line.source.strip(): line.seconds for line in found.lines}
    assert rows["u = jnp.cumsum(a, axis=0)"] > 0.1 * found.timing.seconds


def test_the_users_reference_keeps_its_value():
    ref = jax.new_ref(jnp.zeros((300, 300)))

    def f(x):
        ref[...] = ref[...] + jnp.sort(x, axis=0)
        return x.sum()

    found = look(Target(function=f, args=(np.ones((300, 300), np.float32),)), time=True)
    assert float(ref[...].sum()) == 0.0
    assert "reference" in found.timing.withheld


def test_a_reference_that_is_passed_is_copied():
    def f(ref, x):
        ref[...] = ref[...] + jnp.sort(x, axis=0)
        return x.sum()

    ref = jax.new_ref(jnp.zeros((300, 300)))
    found = look(Target(function=f, args=(ref, np.ones((300, 300), np.float32))), time=True)
    assert float(ref[...].sum()) == 0.0
    assert found.timing.calls > 0
