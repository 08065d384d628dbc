"""Forward, backward and recomputed: each line's cost by pass, what is kept, turns, branches, bounds."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest

from jaxmagic.analysis import passes, program
from jaxmagic.analysis.trace import look, trace
from jaxmagic.pages import costs as pages
from jaxmagic.results import Line, Peaks, Work
from jaxmagic.target import Target


def f32(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def by_source(result):
    return {line.source.strip(): line for line in result.lines}


def flops(line):
    return {phase: work.flops for phase, work in line.phases.items()}


def test_a_product_costs_twice_as_much_backward_and_once_more_where_it_is_recomputed():
    def f(x, w):
        @jax.checkpoint
        def block(x):
            return jnp.sin(x @ w)

        return block(x).sum()

    line = by_source(look(Target(function=f, args=(f32(8, 16), f32(16, 16))), grad=True))[
        "return jnp.sin(x @ w)"
    ]
    product = 2 * 8 * 16 * 16
    assert flops(line) == {"forward": product, "recomputed": product, "backward": 2 * product + 8 * 16}


def test_a_users_scope_with_a_transforms_name_is_no_backward_pass():
    def f(x):
        with jax.named_scope("transpose(jvp(x))"):
            y = jnp.tanh(x) * 3
        return jnp.sin(y).sum()

    line = by_source(trace(f, f32(4)))["y = jnp.tanh(x) * 3"]
    assert (line.flops, line.phases, line.kept) == (4, {}, None)


def test_without_a_gradient_nothing_is_kept():
    assert trace(jnp.sin, f32(4)).kept is None


KEPT = {
    "sine": (lambda x, w: jnp.sin(x).sum(), 128),
    "layers": (lambda x, w: (jnp.sin(jnp.sin(x @ w) @ w)).sum(), 3 * 128),
    "inner jit": (lambda x, w: jax.jit(lambda x, w: jnp.sin(x @ w))(x, w).sum(), 128),
    "scan": (lambda x, w: jax.lax.scan(lambda c, _: (jnp.sin(c), None), x, None, length=5)[0].sum(), 640),
    "remat": (lambda x, w: jax.checkpoint(lambda x: jnp.sin(jnp.sin(x @ w)))(x).sum(), 0),
    "vmap": (lambda x, w: (jax.vmap(lambda row: jnp.sin(row) @ w)(x)).sum(), 256),
}


@pytest.mark.parametrize("name", KEPT)
def test_what_the_forward_pass_keeps_is_jaxs_own_list_of_residuals(name):
    function, size = KEPT[name]
    result = look(Target(function=function, args=(f32(4, 8), f32(8, 8))), grad=True)
    assert result.kept == size


def test_what_is_kept_stands_at_the_line_that_makes_it():
    def f(x):
        y = jnp.sin(x)
        z = y * 2
        return jnp.sin(z).sum()

    lines = by_source(look(Target(function=f, args=(f32(4, 8),)), grad=True))
    kept = {source: line.kept for source, line in lines.items() if line.kept}
    assert kept == {"y = jnp.sin(x)": 128, "return jnp.sin(z).sum()": 128}


def test_phases_are_read_from_names_and_believed_where_an_equation_has_them():
    def f(x):
        return jnp.sin(x).sum()

    traced = program.trace_fresh(jax.grad(f), "f", {"x": f32(3)})
    steps = program.walk(traced.stage.jaxpr, program.Places(traced.mark)).steps
    phase_of, span = passes.reader(steps), steps[0].span
    assert phase_of("jit(f)/jvp()/sin", None, "forward") == "forward"
    assert phase_of("jit(f)/transpose(jvp())/mul", None, "forward") == "backward"
    assert phase_of("a/transpose(jvp())/rematted_computation/b", None, "forward") == "recomputed"
    assert phase_of("sin", None, "backward") == "backward"
    assert phase_of("x/rematted_computation/y", span, "forward") != "recomputed"


# -- loops of unknown length, branches -------------------------------------------------------------


def endless(x):
    y = jnp.sin(x) + 1
    return jax.lax.while_loop(lambda x: x[0] < 9, lambda x: x * y, y)


def test_a_loop_of_unknown_length_tells_one_turn_and_the_rest():
    result = trace(endless, f32(4))
    line = by_source(result)["return jax.lax.while_loop(lambda x: x[0] < 9, lambda x: x * y, y)"]
    assert (result.flops, line.flops) == (None, None)
    assert result.certain.flops == 4
    assert line.turn.flops == 4 + 1  # the product, and the test of its first element


def test_a_turn_of_a_loop_holds_the_loops_of_known_length_in_it():
    def f(x):
        return jax.lax.while_loop(
            lambda x: x[0] < 9,
            lambda x: jax.lax.scan(lambda c, _: (c * c, None), x, None, length=7)[0],
            x,
        )

    line = by_source(trace(f, f32(4)))[
        "lambda x: jax.lax.scan(lambda c, _: (c * c, None), x, None, length=7)[0],"
    ]
    assert line.turn.flops == 7 * (4 + 2)  # the counter's addition and test


def test_a_program_of_known_length_has_no_certain_part():
    assert trace(jnp.sin, f32(4)).certain is None


def test_both_branches_of_a_condition_are_told():
    def f(x):
        return jax.lax.cond(x[0] > 0, lambda: x * 2 + 1, lambda: x * 3)

    (note,) = [note for note in trace(f, f32(8)).notes if note.kind == "branches"]
    assert note.text == "One of these branches runs: 8 flop or 16 flop. The total counts the dearer one."


# -- the page --------------------------------------------------------------------------------------


def line(**changes):
    return Line(**({"file": "cell", "line": 1, "source": "y = f(x)", "flops": 0.0, "bytes": 0.0} | changes))


PEAKS = Peaks(flops=1e11, bytes=1e10)


@pytest.mark.parametrize(
    ("of", "peaks", "told"),
    [
        (line(flops=900.0, bytes=100.0), PEAKS, "memory"),
        (line(flops=1000.0, bytes=100.0), PEAKS, "arithmetic"),
        (line(flops=None, bytes=100.0), PEAKS, "unknown"),
        (line(flops=None, bytes=None, turn=Work(flops=5e3, bytes=10.0)), PEAKS, "arithmetic"),
        (line(flops=900.0, bytes=100.0), None, "unknown"),
    ],
)
def test_what_bounds_a_line(of, peaks, told):
    assert pages.bound(of, peaks) == told


def test_the_sentence_tells_the_known_part_of_an_endless_program():
    told = [part.text for part in pages.said(trace(endless, f32(4)))]
    assert told[0] == "4 flop + unknown turns"


def test_peaks_are_measured_only_when_asked_for():
    result = trace(jnp.sin, f32(4))
    assert not result.peaks.ready
    pages.said(result)
    assert not result.peaks.ready
