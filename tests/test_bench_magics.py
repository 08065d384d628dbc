"""`%jaxbench` as one types it: what it shows while it runs, its options, what it keeps."""

import gc
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from IPython.core.error import UsageError

import jaxmagic
from jaxmagic.magics.display import Screen, text_of
from jaxmagic.results import Comparison, Sweep

from .test_bench_page import result


@pytest.fixture
def seen(shell, monkeypatch):
    """Every text that was ever on show, replaced or not."""
    texts, publish = [], shell.display_pub.publish

    def publishing(data, *args, **options):
        texts.append(data.get("text/plain", ""))
        publish(data, *args, **options)

    monkeypatch.setattr(shell.display_pub, "publish", publishing)
    return texts


def test_progress_claims_nothing_and_ends_as_the_result(shell, seen):
    with Screen(shell, iter(range(9)).__next__).progress("%jaxbench") as progress:
        progress(result(), 0.25)
        progress(result(), 0.75)
        progress.finish(result())
    assert ["Racing heat" in text for text in seen] == [True, True, False]
    assert ["times as fast" in text for text in seen] == [False, False, True]
    assert shell.published.texts == [text_of(result())]


def held(shell, run, line):
    """How many of the arrays that contenders were given or made are still there after a race."""
    refs = []

    def kept(value):
        refs.append(weakref.ref(value))
        return value

    shell.user_ns |= {"x": np.arange(3000.0), "noted": lambda x: kept(np.sort(kept(x)))}
    shell.user_ns |= {"on_jax": lambda x: kept(jnp.sort(jnp.asarray(kept(x))))}
    run(line)
    gc.collect()
    assert len(refs) >= 4
    return sum(ref() is not None for ref in refs)


@pytest.mark.parametrize("option", ["", "-o "])
def test_nothing_of_the_contenders_is_held_after_a_race(shell, run, option):
    line = f"%%jaxbench {option}--budget 0.5\na: noted(x)\nb: on_jax(x)"
    assert held(shell, run, line) == 0
    assert (type(shell.user_ns.get("_")).__name__ == "Benchmark") is bool(option)


def test_nothing_is_held_after_a_race_that_was_interrupted_or_failed(shell, run):
    def stop(x):
        raise KeyboardInterrupt

    shell.user_ns["stop"] = stop
    assert held(shell, run, "%%jaxbench -o --budget 0.5\na: noted(x)\nb: on_jax(x)\nc: stop(x)") == 0
    shell.user_ns["fail"] = lambda x: 1 / 0
    assert held(shell, run, "%%jaxbench -o --budget 0.5\na: noted(x)\nb: on_jax(x)\nc: fail(x)") == 0


def test_no_jax_array_is_left_by_a_race_of_a_port(shell, run):
    shell.user_ns |= {"np": np, "x": np.arange(777.0)}
    run("r = %jaxbench -o --budget 0.5 np.sort(x * 2)[::-1]")
    gc.collect()
    assert [array.shape for array in jax.live_arrays() if array.shape == (777,)] == []


@pytest.fixture
def scene(shell, monkeypatch):
    """Races that remember what they were handed, and are over at once."""
    found, calls = result(), []

    def fake(kind, value):
        return lambda *args, **options: calls.append((kind, args, options)) or value

    sweep = Sweep(name="f", parameter="n", points=(), crossover=None, elapsed=1.0)
    for kind, value in (("run", found), ("run_labelled", found), ("run_precisions", found)):
        monkeypatch.setattr(f"jaxmagic.bench.race.{kind}", fake(kind, value))
    monkeypatch.setattr("jaxmagic.bench.sweep.run", fake("sweep", sweep))
    shell.user_ns |= {"np": np, "x": np.ones(3), "f": lambda x: x}
    return calls


def test_grad_and_dtype_choose_their_races(run, scene):
    run("%jaxbench --grad -o f(x);")
    run("%jaxbench --dtype float32,float64 -b 5 -o f(x);")
    (_, _, grad), (kind, (_, dtypes), options) = scene
    assert grad == {"budget": 2.0, "watch": None, "grad": True}
    assert (kind, dtypes, options) == (
        "run_precisions",
        ("float32", "float64"),
        {"budget": 5.0, "watch": None},
    )


def test_a_sweep_makes_its_target_at_each_size(shell, run, scene):
    run("%jaxbench --sweep n=10..1e3 np.sort(np.zeros(n))")
    ((kind, (make, name, sizes), options),) = scene
    assert (kind, name, sizes[0], sizes[-1], len(sizes)) == ("sweep", "n", 10, 1000, 9)
    assert options["budget"] == 10.0
    assert callable(options["watch"])
    assert [value.shape for value in make(17).args] == [(17,)]
    assert "n" not in shell.user_ns


def test_a_result_is_kept_and_compared(shell, run, scene):
    run("%jaxbench -r before f(x)")
    assert type(shell.user_ns["before"]).__name__ == "Benchmark"
    compared = run("%jaxbench --compare before -r after -o f(x)").result
    assert (type(compared).__name__, compared.before) == ("Comparison", shell.user_ns["before"])
    assert shell.user_ns["after"] is compared.after
    assert "no change" in shell.published.texts[-1]


def test_a_race_is_compared_with_the_last_one(shell, run, scene):
    with pytest.raises(UsageError, match="There was no race before this one"):
        run("%jaxbench --compare f(x)")
    first = run("%jaxbench -o f(x)").result
    run("%jaxbench --sweep n=10..1e3 np.sort(np.zeros(n));")
    assert run("%jaxbench --compare -o -- x @ x").result.before is first
    assert run("%jaxbench --compare --budget 3 -o f(x)").result.before is first


def test_one_device_is_where_it_runs_and_several_race(run, scene, monkeypatch):
    monkeypatch.setattr("jaxmagic.bench.race.run_devices", lambda *args, **_: scene.append(args) or result())
    run("%jaxbench --device cpu f(x);")
    run("%jaxbench --device cpu,cpu:0 f(x);")
    assert scene[0][0] == "run"
    assert scene[1][1] == ("cpu", "cpu:0")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("%jaxbench --compare x f(x)", "`x` is no race"),
        ("%jaxbench --compare nothing f(x)", "`nothing` is no race"),
        ("%jaxbench --grad --dtype float32 f(x)", "`--grad` and `--dtype` do not go together"),
        ("%jaxbench --grad --device cpu,gpu f(x)", "`--grad` and `--device` with several do not go"),
        ("%%jaxbench --grad\na: f(x)", "`--grad` and labelled contenders do not go together"),
        ("%%jaxbench --sweep n=1..9\nf(x)", "`--sweep` needs an expression on its line"),
        (
            "%jaxbench --sweep n=9..1 f(x)",
            r"a name and growing sizes from 1 on \(n=100\.\.1e6\)",
        ),
        ("%jaxbench --sweep 9 f(x)", "`--sweep` takes a name and growing sizes"),
        ("%jaxbench -r 1a f(x)", "`-r` takes a Python name"),
    ],
)
def test_what_does_not_go_is_refused_before_it_runs(run, scene, line, message):
    with pytest.raises(UsageError, match=message):
        run(line)
    assert scene == []


def test_all_results_are_public():
    assert [jaxmagic.Sweep, jaxmagic.Comparison] == [Sweep, Comparison]
