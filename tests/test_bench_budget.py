"""A race keeps to its time, whatever the contenders do, and tells meanwhile how it stands."""

import dataclasses
import re
import sqlite3
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmagic.bench import inputs
from jaxmagic.bench import race as bench
from jaxmagic.errors import CannotPort
from jaxmagic.results import Port
from jaxmagic.target import Target

from .bench_tools import Clock, labelled


def test_compiling_that_takes_long_is_cut_off_and_said_to_be(monkeypatch):
    """XLA hears no alarm, so a thread compiles."""
    go_on = threading.Event()
    compiled = jax.stages.Lowered.compile
    monkeypatch.setattr(jax.stages.Lowered, "compile", lambda self: go_on.wait(60) and compiled(self))
    try:
        result = bench.run(Target(function=lambda x: jnp.sin(x), args=(jnp.ones(3),)), budget=2.0)
    finally:
        go_on.set()
    assert re.fullmatch(
        r"cut off after 1.\d+ s, while XLA compiled it", result.contenders["jax.jit"].obstacle
    )
    assert result.contenders["jax"].typical is not None


@pytest.mark.parametrize("seconds", [0.4, 0.7, 1.1, 1.9])
@pytest.mark.parametrize("entrants", [1, 2, 3, 4])
def test_it_takes_at_most_1_2_times_its_budget(seconds, entrants):
    clock = Clock()
    labelled(clock, **{f"c{i}": clock.worker(seconds) for i in range(entrants)})
    assert clock() <= 2.4


def test_the_time_that_is_waited_for_quiet_is_the_budgets_too():
    clock = Clock()
    tools = dataclasses.replace(clock.tools(), own_work=lambda: clock.pass_(0.02) or 1.0)
    functions = {"a": clock.worker(1.1), "b": clock.worker(1.1), "c": clock.worker(1.9)}
    bench.run_labelled(functions, budget=2.0, tools=tools)
    assert clock() <= 2.4


@pytest.mark.parametrize("share", [0.3, 0.45, 0.9, 20.0])
def test_a_port_that_takes_long_takes_nothing_from_the_promise(share, monkeypatch):
    clock, ported = Clock(), []

    def slow(fn, args, kwargs, *, prove):
        ported.append((args, prove))
        if args:
            clock.pass_(share * 2.0)
        return Port(name="f", original="", source="", diff="", function=jnp.sort)

    monkeypatch.setattr("jaxmagic.bench.lineup.drive", slow)
    bench.run(Target(function=lambda x: np.sort(x), args=(np.ones(3),)), budget=2.0, tools=clock.tools())
    assert ported[0][1] is False
    assert clock() <= 2.4


def test_a_port_that_is_cut_off_is_said_to_be(monkeypatch):
    def endless(fn, args, kwargs, *, prove):
        if args:
            clock.pass_(30.0)
        raise CannotPort("`u[1:] = …` changes an array in place, which JAX arrays do not allow.")

    clock = Clock()
    monkeypatch.setattr("jaxmagic.bench.lineup.drive", endless)
    target = Target(function=lambda u: u, args=(np.ones(3),))
    result = bench.run(target, budget=2.0, tools=clock.tools())
    assert result.contenders["jax.jit"].obstacle == "the port was cut off after 1 s"
    assert result.contenders["jax.jit"].fix == "give it more time: --budget 8"


def test_a_clock_that_never_moves_ends_the_race_without_figures():
    clock = Clock()
    tools = dataclasses.replace(clock.tools(), own_work=lambda: 1.0)
    result = bench.run_labelled({"a": lambda: 1.0, "b": lambda: 1.0}, tools=tools)
    assert result.speedups == {"a": {}, "b": {}}
    assert result.agreement.ok


def test_a_call_of_30_s_is_announced_after_the_first_one_and_not_repeated():
    clock, told = Clock(), []
    slow, fast = clock.worker(30.0), clock.worker(0.001)
    result = bench.run_labelled(
        {"slow": slow, "fast": fast},
        budget=2.0,
        tools=clock.tools(cuts=False),
        watch=lambda so_far, share: told.append((clock(), so_far.contenders["slow"].first_call, share)),
    )
    assert len(slow.calls) == 1
    assert told[0] == (30.0, 30.0, 1.0)
    assert result.contenders["slow"].typical == 30.0
    assert result.contenders["slow"].interval.low is None
    assert result.speedup("fast", over="slow").estimate == pytest.approx(30_000)


def test_what_runs_over_its_time_is_cut_off_and_says_so():
    clock = Clock()
    result = labelled(clock, quick=clock.worker(0.001), endless=clock.worker(1000.0))
    assert result.contenders["endless"].typical is None
    assert result.contenders["endless"].obstacle == "cut off after 2 s, in its first call"
    assert result.contenders["endless"].fix == "give it more time: --budget 8"
    assert clock() <= 2.4


def test_a_first_call_that_hears_nothing_is_left_behind():
    """Like a single call into compiled code."""
    go_on = threading.Event()
    functions = {"deaf": lambda: go_on.wait(60), "quick": lambda: True}
    result = bench.run_labelled(functions, budget=2.0)
    go_on.set()
    assert re.fullmatch(r"cut off after 1\.\d s, in its first call", result.contenders["deaf"].obstacle)
    assert result.contenders["quick"].typical is not None


def test_what_wants_no_other_thread_gets_none():
    connection = sqlite3.connect(":memory:")
    functions = {"db": lambda: connection.execute("select 1").fetchone()[0], "plain": lambda: 1}
    result = bench.run_labelled(functions, budget=0.5)
    assert result.contenders["db"].obstacle == ""
    assert result.contenders["db"].typical is not None


def test_a_call_that_grows_long_in_the_race_is_broken_off_and_the_others_go_on():
    clock = Clock()
    grows = clock.worker(lambda n: 0.001 if n < 300 else 30.0)
    result = labelled(clock, grows=grows, steady=clock.worker(0.001))
    assert clock() <= 2.4
    assert "took far longer than those before" in result.contenders["grows"].obstacle
    assert result.contenders["grows"].typical == pytest.approx(0.001)
    assert result.contenders["steady"].typical == pytest.approx(0.001)


def test_inputs_that_take_too_long_to_copy_are_said_to(monkeypatch):
    clock, copy = Clock(), inputs.for_numpy
    monkeypatch.setattr(inputs, "for_numpy", lambda tree: clock.pass_(5.0) or copy(tree))
    target = Target(function=lambda x: np.sort(x), args=(np.ones(3),))
    result = bench.run(target, budget=2.0, tools=clock.tools())
    assert result.contenders["numpy"].obstacle == "cut off after 2 s, while its inputs were copied"
    assert clock() <= 2.4


def test_results_that_take_too_long_to_compare_are_not_claimed_to_agree(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("jaxmagic.bench.agreement.agreement", lambda *_: clock.pass_(30.0))
    result = labelled(clock, a=clock.worker(0.001), b=clock.worker(0.001))
    assert result.agreement.ok is None
    assert result.agreement.where == "comparing the results took longer than was left"
    assert clock() <= 2.4


def test_inputs_are_copied_once_a_side(monkeypatch):
    """Of gigabytes, every copy counts."""
    copies, copy = [], inputs.for_numpy
    monkeypatch.setattr(inputs, "for_numpy", lambda tree: copies.append(1) or copy(tree))
    clock = Clock(tick=0.005)
    bench.run(Target(function=lambda x: np.sort(x), args=(np.ones(3),)), tools=clock.tools(cuts=False))
    assert len(copies) == 1


def test_the_watcher_is_told_calmly():
    clock, told = Clock(), []
    functions = {"a": clock.worker(0.001), "b": clock.worker(0.001)}
    bench.run_labelled(functions, budget=4.0, tools=clock.tools(), watch=lambda b, share: told.append(share))
    assert 8 <= len(told) <= 16
    assert told == sorted(told)
    assert 0 < told[0] < told[-1] <= 1


def test_a_watcher_that_takes_long_is_not_told_when_there_is_no_time_for_it():
    clock = Clock()
    functions = {"a": clock.worker(0.001), "b": clock.worker(0.001)}
    bench.run_labelled(functions, budget=4.0, tools=clock.tools(), watch=lambda *_: clock.pass_(0.9))
    assert clock() <= 4.1
