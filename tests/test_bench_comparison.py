"""Two races held against each other."""

import json
import math

import pytest

from jaxmagic.bench.comparison import compare
from jaxmagic.bench.statistics import quotient
from jaxmagic.errors import BadTarget
from jaxmagic.pages.compose import compose
from jaxmagic.results import Contender, Interval, Value

from .test_bench_page import result, side, text


def test_errors_of_figures_measured_apart_add_up_as_squares():
    found = quotient(Interval(low=4.0, estimate=4.4, high=4.84), Interval(low=2.0, estimate=2.2, high=2.42))
    assert found.estimate == pytest.approx(2.0)
    reach = math.sqrt(2) * math.log(1.1)
    assert (found.low, found.high) == pytest.approx((2 * math.exp(-reach), 2 * math.exp(reach)))


def test_an_open_interval_leaves_the_ratio_open():
    found = quotient(Interval(low=None, estimate=4.0, high=None), Interval(low=1.9, estimate=2.0, high=2.1))
    assert (found.low, found.estimate, found.high) == (None, 2.0, None)


def pair(**after):
    before = {"numpy": side("numpy", 0.004), "jax": side("jax", 0.002), "jax.jit": side("jax.jit", 0.001)}
    later = {"numpy": side("numpy", 0.004), "jax": side("jax", 0.004), "jax.jit": side("jax.jit", 0.0005)}
    return result(contenders=before), result(contenders=later, **after)


def test_what_changed_is_said_side_by_side():
    shown = compose(compare(*pair()))
    assert text(shown.say) == (
        "NumPy: no change (0.97–1.03 times); JAX op by op: 2.0 times slower than before (1.9–2.1); "
        "JAX under jit: 2.0 times as fast as before (1.9–2.1)."
    )
    rows = shown.tabs[0].blocks.get()[0].rows
    assert [text(cell) for cell in rows[2]] == ["JAX under jit", "1.00 ms", "500 µs", "× 2.0"]
    assert [row[3][0].tone for row in rows] == ["plain", "bad", "good"]
    assert [tab.title for tab in shown.tabs] == ["before and after", "before", "after"]


def test_other_conditions_are_named():
    found = compare(*pair(device="cuda:0", inputs=(Value(name="u", type="f32[5]"),)))
    assert found.changes == (("device", "cpu:0", "cuda:0"), ("input u", "f64[1000,1000]", "f32[5]"))
    assert [text(note.words) for note in compose(found).notes] == [
        "device: cpu:0 before, cuda:0 now.",
        "input u: f64[1000,1000] before, f32[5] now.",
    ]
    assert json.loads(json.dumps(found.to_dict()))["changes"][0] == ["device", "cpu:0", "cuda:0"]


def test_races_without_a_common_side_are_refused():
    with pytest.raises(BadTarget):
        compare(result(), result(contenders={"mine": Contender(name="mine")}))
