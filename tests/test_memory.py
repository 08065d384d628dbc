"""What memory is for: XLA's own assignment against lives that are read off the program's order."""

from __future__ import annotations

import linecache
from itertools import combinations

import jax
import jax.numpy as jnp
import pytest

from jaxmagic.analysis import buffers, compiled, memory, program, sources, texts
from jaxmagic.analysis.trace import look
from jaxmagic.pages import memory as page
from jaxmagic.pages.blocks import Chart, Program, Prose, SourceLine
from jaxmagic.results import Buffer, Memory
from jaxmagic.target import Target

HEAD = "import jax, jax.numpy as jnp\n"


def f32(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def function(name, body):
    text = HEAD + body
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    space = {}
    exec(compile(text, name, "exec"), space)
    return space["f"]


def held(name, body, *args, grad=False):
    return look(Target(function=function(name, body), args=args), grad=grad).program("hlo").memory


PROGRAMS = {
    "layers": (
        "def f(x, w):\n    for _ in range(5):\n        x = jnp.tanh(x @ w)\n    return (x**2).sum()",
        2,
    ),
    "scan": (
        "def f(x, w):\n    def step(c, _):\n        c = jnp.sin(c) @ w\n        return c, jnp.exp(c).sum()\n"
        "    c, ys = jax.lax.scan(step, x, None, 30)\n    return c.sum() + ys.sum()",
        2,
    ),
    "handed over in a loop": (
        "def f(x, w):\n    def step(c, _):\n        c = jnp.sin(c) @ (w.T @ w) * 0.99\n"
        "        return c, jnp.exp(c).sum()\n    c, ys = jax.lax.scan(step, x @ w, None, 50)\n"
        "    return c.sum() + ys.sum()",
        2,
    ),
    "sort and cholesky": (
        "def f(x, w):\n    d = ((x[:, None] - w[None]) ** 2).sum(-1)\n    s = jnp.sort(d, 0)\n"
        "    return s.sum() + jnp.linalg.cholesky(d @ d.T + 99 * jnp.eye(32)).sum()",
        2,
    ),
    "a condition": (
        "def f(x, w):\n    a = lambda x: jnp.sin(x) @ w\n    b = lambda x: jnp.cos(x @ w) @ w.T\n"
        "    return jax.lax.cond(x.sum() > 0, a, b, x).sum()",
        2,
    ),
    "a loop in a loop": (
        "def f(x, w):\n    inner = lambda c, _: (jnp.sin(c @ w), None)\n"
        "    outer = lambda c, _: (jax.lax.scan(inner, c * 2, None, 4)[0], c.sum())\n"
        "    c, ys = jax.lax.scan(outer, x, None, 5)\n    return c.sum() + ys.sum()",
        2,
    ),
}


def filler(name, *, grad):
    body, many = PROGRAMS[name]
    one = function(f"<memory of {name}>", body)
    one = jax.value_and_grad(one) if grad else one
    done = jax.jit(one).lower(*[f32(32, 32)] * many).compile()
    read = compiled.read(program.print_compiled(done), lambda module: texts.frames_from(module, {}))
    return done, memory._Filler(read, buffers.read(*program.assignment(done)), ["x", "w"], [])


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("name", PROGRAMS)
def test_no_two_values_are_in_one_place_at_one_time(name, grad):
    _, made = filler(name, grad=grad)
    groups = [group for group in made._groups() if group.block.kind == "temporary"]
    assert groups
    for one, other in combinations(groups, 2):
        if one.overlaps(other):  # where one is the other's operand, it hands its place over in one step
            assert max(one.begin, other.begin) >= min(one.end, other.end), (one.keys, other.keys)


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("name", PROGRAMS)
def test_what_is_in_use_never_exceeds_what_is_set_aside_and_nearly_fills_it(name, grad):
    done, made = filler(name, grad=grad)
    told = memory.fill(program.memory(done), made.program, made.assigned, ["x", "w"], [])
    assert max(told.course) <= told.peak
    assert max(told.course) >= 0.9 * told.peak
    assert len(told.course) == len(made.lives.steps)


def test_the_peak_is_what_xla_sets_aside():
    done = jax.jit(lambda x: jnp.sort(jnp.sin(x) @ x, 0)).lower(f32(64, 64)).compile()
    stats, told = done.memory_analysis(), program.memory(done)
    parts = stats.argument_size_in_bytes + stats.output_size_in_bytes + stats.temp_size_in_bytes
    assert told.peak == parts
    assert stats.temp_size_in_bytes > 0


def test_a_donated_argument_is_not_held_twice():
    plain = jax.jit(lambda x: x + 1).lower(f32(64, 64)).compile()
    donated = jax.jit(lambda x: x + 1, donate_argnums=0).lower(f32(64, 64)).compile()
    assert program.memory(plain).aliased == 0
    assert program.memory(donated).aliased == 64 * 64 * 4
    assert program.memory(donated).peak == program.memory(plain).peak - 64 * 64 * 4


def test_a_large_temporary_is_named_by_its_expression():
    told = held(
        "<broadcast>",
        "def f(x):\n    d = x[:, None] - x[None, :]\n    return jnp.sort(jnp.abs(d), 1)[:, :4]",
        f32(1000),
    )
    largest = told.at(told.fullest)[0]
    assert (largest.kind, largest.type, largest.bytes) == ("temporary", "f32[1000,1000]", 4_000_000)
    assert largest.span.line in (3, 4)


def test_arguments_and_outputs_carry_their_names():
    told = held("<names>", "def f(x, w):\n    return jnp.sin(x) @ w", f32(8, 4), f32(4, 2))
    named = {(buffer.kind, buffer.name, buffer.type) for buffer in told.buffers if buffer.name}
    assert {("argument", "x", "f32[8,4]"), ("argument", "w", "f32[4,2]")} <= named
    (output,) = [buffer for buffer in told.buffers if buffer.kind == "output"]
    assert sources.expression(output.span) == "jnp.sin(x) @ w"


LAYERS = PROGRAMS["layers"][0]


def test_what_the_forward_pass_keeps_for_the_backward_pass_is_named():
    told = held("<kept>", LAYERS, f32(128, 64), f32(64, 64), grad=True)
    kept = [buffer for buffer in told.buffers if buffer.kept and buffer.kind == "temporary"]
    activations = [buffer for buffer in kept if buffer.type == "f32[128,64]"]
    assert len(activations) >= 4
    assert {sources.expression(buffer.span) for buffer in activations} <= {"jnp.tanh(x @ w)", "x @ w"}


def test_nothing_is_kept_where_there_is_no_backward_pass():
    told = held("<not kept>", LAYERS, f32(128, 64), f32(64, 64))
    assert {buffer.kept for buffer in told.buffers} == {None}


def test_what_the_backward_pass_does_not_read_is_not_kept():
    stopped = "jax.lax.stop_gradient(jnp.sort(jnp.tile(x, 2) * 2, 0))"
    body = f"def f(x):\n    s = {stopped}\n    return (jnp.sin(x) @ x.T).sum() * s.mean()"
    told = held("<stopped>", body, f32(64, 64), grad=True)
    forward = [
        buffer for buffer in told.buffers if buffer.type == "f32[64,128]" and buffer.kind == "temporary"
    ]
    assert forward
    assert not any(buffer.kept for buffer in forward)


def test_a_temporary_in_an_outputs_room_takes_none_of_its_own():
    body = "def f(x):\n    return jnp.sort(jnp.sin(x) @ x, 0) @ x"
    told = held("<guest>", body, f32(64, 64))
    guests = [buffer for buffer in told.buffers if buffer.guest]
    assert guests
    assert all(buffer.kind == "temporary" and not buffer.name for buffer in guests)
    assert not any(buffer.guest for step in range(len(told.course)) for buffer in told.at(step))


def test_a_linear_function_keeps_nothing():
    told = held("<linear>", "def f(x):\n    return (x * 3).sum()", f32(128, 64), grad=True)
    assert not any(buffer.kept for buffer in told.buffers if buffer.kind == "temporary")


def test_what_a_scan_stacks_is_named_by_what_it_stores():
    told = held("<stacked>", PROGRAMS["scan"][0], f32(32, 32), f32(32, 32), grad=True)
    stacked = [buffer for buffer in told.buffers if buffer.type == "f32[30,32,32]" and buffer.kept]
    assert stacked
    assert {buffer.span.line for buffer in stacked} <= {4, 5}


def test_a_checkpoint_keeps_less():
    body = PROGRAMS["scan"][0]
    plain = held("<no checkpoint>", body, f32(32, 32), f32(32, 32), grad=True)
    less = held(
        "<checkpoint>", body.replace("scan(step,", "scan(jax.checkpoint(step),"), f32(32, 32), f32(32, 32),
        grad=True,
    )  # fmt: skip

    def kept(told):
        return sum(buffer.bytes for buffer in told.buffers if buffer.kept and buffer.kind == "temporary")

    assert kept(less) < 0.7 * kept(plain)


def test_an_assignment_that_cannot_be_read_leaves_the_totals(monkeypatch):
    monkeypatch.setattr(program, "assignment", lambda _: (b"\x0b", b""))
    told = held("<unread>", LAYERS, f32(8, 8), f32(8, 8))
    assert (told.buffers, told.course, told.fullest) == ((), (), None)
    assert told.peak == told.arguments + told.outputs + told.temporaries


# -- the page --------------------------------------------------------------------------------------

ROWS = (SourceLine(number=1, text="y = x @ x"),)


def plain(words):
    return "".join(run.text for run in words)


def shown(told):
    return page.blocks(told, ROWS, lambda span: ())


def test_unknown_memory_is_said_to_be_unknown():
    (prose,) = shown(None)
    assert plain(prose.words) == "unknown: this backend does not say what a program holds"
    (prose,) = shown(Memory(arguments=8, outputs=4, temporaries=2, peak=14))
    assert plain(prose.words) == (
        "14 B held during a call: 8 B arguments, 4 B outputs and 2 B temporaries · what the temporaries "
        "are for is unknown: this backend does not say"
    )


def test_the_page_lists_what_is_in_use_at_the_fullest_moment():
    argument = Buffer(kind="argument", type="f32[2]", bytes=8, name="x", begin=0, end=3)
    early = Buffer(kind="temporary", type="f32[9]", bytes=36, begin=0, end=1)
    late = Buffer(kind="temporary", type="f32[99]", bytes=396, begin=2, end=3)
    told = Memory(
        arguments=8, outputs=0, temporaries=396, peak=404, buffers=(argument, early, late),
        course=(44, 44, 404, 404),
    )  # fmt: skip
    prose, chart, listing = shown(told)
    assert [type(block) for block in (prose, chart, listing)] == [Prose, Chart, Program]
    assert chart.mark_x == 2.0
    assert chart.series[0].y == (44.0, 44.0, 404.0, 404.0)
    assert listing.program == (
        "at the fullest, step 2 of 4: 404 B in use",
        "  396 B     f32[99]  temporary",
        "    8 B  x  f32[2]  argument",
    )
