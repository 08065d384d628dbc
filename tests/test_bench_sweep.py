"""A race over sizes: where the curves cross, on made-up figures and on a clock of its own."""

import dataclasses
import json
import math

import numpy as np
import pytest

from jaxmagic.bench import sweep
from jaxmagic.bench.statistics import crossing
from jaxmagic.errors import BadTarget
from jaxmagic.pages.sweep import page
from jaxmagic.results import Agreement, Benchmark, Contender, Interval, Note, Point, Sweep
from jaxmagic.target import Target

from .bench_tools import Clock
from .test_bench_page import text


def test_sizes_grow_in_equal_steps_and_include_both_ends():
    assert sweep.sizes(100, 1e6, 5) == (100, 1000, 10_000, 100_000, 1_000_000)
    assert sweep.sizes(1, 3, 9) == (1, 2, 3)


@pytest.mark.parametrize(("low", "high"), [(0, 10), (10, 10), (10, 1), (-1, 5)])
def test_sizes_that_are_none_are_refused(low, high):
    with pytest.raises(BadTarget):
        sweep.sizes(low, high)


@pytest.mark.parametrize(
    ("ratios", "at"),
    [
        ([0.25, 4.0], math.sqrt(10) * 10),  # half way in the logarithm of 10 and 100
        ([0.5, 0.5, 2.0], 1000 / math.sqrt(10)),
        ([2.0, 0.5, 2.0], 1000 / math.sqrt(10)),  # for good, not for the first time
        ([2.0, 2.0], None),
        ([0.5, 0.9], None),
        ([0.5, 2.0, 0.9], None),
        ([], None),
    ],
)
def test_where_one_side_overtakes_for_good(ratios, at):
    assert crossing([10, 100, 1000][: len(ratios)], ratios) == (at if at is None else pytest.approx(at))


def point(size, ratio, ok=True, width=1.25):
    numpy, jit = 1e-6 * size, 1e-6 * size / ratio
    sides = [Contender(name=n, typical=t, seconds=((t,),)) for n, t in (("numpy", numpy), ("jax.jit", jit))]
    speedups = {"jax.jit": {"numpy": Interval(low=ratio / width, estimate=ratio, high=ratio * width)}}
    made = Benchmark(
        name="f",
        contenders={side.name: side for side in sides},
        agreement=Agreement(ok=ok, where="" if ok else "numpy against jax.jit: result: 1 against 2"),
        device="cpu:0",
        budget=1.0,
        elapsed=1.0,
        speedups=speedups,
    )
    return Point(size=size, benchmark=made)


def made(*points, **more):
    fields = {"name": "f", "parameter": "n", "elapsed": 8.0, "crossover": sweep.crossover(points)}
    return Sweep(points=points, **(fields | more))


def test_the_crossover_has_a_range():
    found = sweep.crossover([point(100, 0.5), point(10_000, 2.0)])
    assert found.estimate == pytest.approx(1000)
    assert found.low == pytest.approx(100 * 100 ** (math.log(1.6) / math.log(4)))
    assert found.high == pytest.approx(100 * 100 ** (math.log(2.5) / math.log(4)))


def test_sizes_at_which_the_results_differ_do_not_count():
    assert sweep.crossover([point(100, 0.5), point(1000, 2.0, ok=False)]) is None


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (
            made(point(100, 0.5), point(10_000, 2.0)),
            "jit is ahead from n of about 1,000 (480–2,100), by up to 2.0 times.",
        ),
        (
            made(point(100, 2.0), point(1000, 4.0)),
            "jit is ahead at every size, 2.0–4.0 times as fast as NumPy.",
        ),
        (made(point(100, 0.5), point(1000, 0.9)), "NumPy is ahead at every size tried."),
        (made(point(100, 2.0), point(1000, 0.5)), "jit is ahead at some sizes, but not at the largest."),
        (
            made(point(100, 2.0, ok=False)),
            "Nothing to compare: at no size did both NumPy and jit give the same result.",
        ),
    ],
)
def test_the_crossover_is_said_in_words(result, said):
    assert text(page(result).say) == said


def test_the_page_has_curves_and_sizes():
    shown = page(made(point(100, 0.5), point(10_000, 2.0), point(100_000, 3.0, ok=False)))
    chart, table = (tab.blocks.get()[0] for tab in shown.tabs)
    assert [series.name for series in chart.series] == ["NumPy", "JAX under jit"]
    assert chart.series[0].x == (100.0, 10_000.0)
    assert chart.log_x
    assert chart.log_y
    assert chart.mark_x == pytest.approx(1000)
    assert [text(row[0]) for row in table.rows] == ["100", "10,000", "100,000"]
    assert [text(row[4]) for row in table.rows] == ["✓", "✓", "✗ differ"]
    assert text(shown.conditions).endswith("8.0 s · ✗ results differ at some sizes")
    assert [text(note.words) for note in shown.notes] == [
        "At 100,000 the results differ: numpy against jax.jit: result: 1 against 2."
    ]


def ticking():
    return Clock(tick=0.005).tools(cuts=False)


def test_each_size_is_raced_and_told():
    told = []
    result = sweep.run(
        lambda n: Target(function=np.sort, args=(np.arange(float(n)),), name="sort"),
        "n",
        [10, 100, 1000],
        watch=lambda so_far, share: told.append((len(so_far.points), share)),
        tools=ticking(),
    )
    assert [p.size for p in result.points] == [10, 100, 1000]
    assert [p.benchmark.inputs[0].type for p in result.points] == ["f64[10]", "f64[100]", "f64[1000]"]
    assert told[-1] == (3, 1.0)
    assert [share for _, share in told] == sorted(share for _, share in told)
    assert json.loads(json.dumps(result.to_dict()))["parameter"] == "n"


def test_an_interrupt_keeps_the_sizes_that_are_done():
    def stop_at_100(x):
        if x.size == 100:
            raise KeyboardInterrupt
        return x * 2

    result = sweep.run(
        lambda n: Target(function=stop_at_100, args=(np.ones(n),)), "n", [10, 100, 1000], tools=ticking()
    )
    assert result.interrupted
    assert result.points[0].benchmark.contenders["numpy"].typical > 0
    assert [p.size for p in result.points] == [10, 100]
    assert "Interrupted: larger sizes are missing." in [text(note.words) for note in page(result).notes]


def test_it_ends_when_a_call_is_longer_than_its_share():
    clock = Clock(tick=0.005)

    def grows(x):
        clock.pass_(0.01 * x.size)
        return x * 2

    result = sweep.run(
        lambda n: Target(function=grows, args=(np.ones(n),)),
        "n",
        [1, 1000, 10_000],
        budget=3.0,
        tools=clock.tools(cuts=False),
    )
    assert [p.size for p in result.points] == [1, 1000]
    assert result.notes[0].kind == "left out"


def test_no_size_is_refused():
    with pytest.raises(BadTarget):
        sweep.run(lambda n: Target(function=np.sort), "n", [])


def test_a_machine_that_is_busy_throughout_is_blamed_and_not_the_results():
    wild = point(1000, 25.0)
    busy = dataclasses.replace(wild.benchmark, notes=(Note(kind="too busy", text="…"),))
    shown = page(made(dataclasses.replace(wild, benchmark=busy)))
    assert text(shown.say) == "The machine was too busy to tell who is ahead at any size."


def test_sizes_at_which_the_machine_was_too_busy_do_not_count():
    wild = point(1000, 25.0)
    busy = dataclasses.replace(wild.benchmark, notes=(Note(kind="too busy", text="…"),))
    points = (point(100, 0.5), dataclasses.replace(wild, benchmark=busy), point(10_000, 0.8))
    assert sweep.crossover(points) is None
    shown = page(made(*points))
    assert text(shown.say) == "NumPy is ahead at every size tried."
    assert [text(note.words) for note in shown.notes] == [
        "The machine was too busy to tell who is ahead at 1,000."
    ]
