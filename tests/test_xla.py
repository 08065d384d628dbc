"""What XLA did with planted expressions: each claim where it holds, and where it does not."""

from __future__ import annotations

import linecache

import jax
import jax.numpy as jnp
import pytest

from jaxmagic.analysis import buffers, compiled, fates, kernels, program, sources, texts, values, wire
from jaxmagic.analysis.trace import look
from jaxmagic.target import Target

HEAD = "import jax, jax.numpy as jnp\n"


def f32(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def made(name, body, *args, grad=False):
    """The compiled stage of a function of this source."""
    text = HEAD + body
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    space = {}
    exec(compile(text, name, "exec"), space)
    return look(Target(function=space["f"], args=args), grad=grad).program("hlo")


def told(stage, kind):
    """The expressions of a fate."""
    return [sources.expression(fate.span) for fate in stage.made.fates if fate.kind == kind]


X = f32(64, 32)

# Kind, the planted program, the expressions that it befalls; then the same program with a use, or an
# input, that forbids it.
PLANTED = {
    "dead": ("removed", "def f(x):\n    y = jnp.sin(x).sum()\n    return x * 2", ["jnp.sin(x).sum()"]),
    "not dead": ("removed", "def f(x):\n    y = jnp.sin(x).sum()\n    return x * y", []),
    "dead helper": (
        "removed",
        "def g(x):\n    return jnp.cos(x) * 3\ndef f(x):\n    g(x)\n    return x + 1",
        ["jnp.cos(x) * 3"],
    ),
    "dead in a jitted function": (
        "removed",
        "@jax.jit\ndef g(x):\n    a = jnp.exp(x)\n    return a, x + 1\ndef f(x):\n    return g(x)[1]",
        ["jnp.exp(x)"],
    ),
    "half used of a jitted function": (
        "removed",
        "@jax.jit\ndef g(x):\n    a = jnp.exp(x)\n    return a, x + 1\ndef f(x):\n    return g(x)",
        [],
    ),
    "a printed value": (
        "removed",
        "def f(x):\n    y = jnp.sin(x).sum()\n    jax.debug.print('{}', y)\n    return x * 2",
        [],
    ),
    "needed, and simplified away": (
        "removed",
        "def f(x):\n    y = x * 1.0 + 0.0\n    return jnp.sin(y)",
        [],
    ),
    "folded": (
        "folded",
        "def f(x):\n    k = jnp.cos(jnp.float32(2.0)) * 5\n    return x * k",
        ["jnp.cos(jnp.float32(2.0)) * 5"],
    ),
    "not folded": (
        "folded",
        "def f(x):\n    k = jnp.cos(x[0, 0]) * 5\n    return x * k",
        [],
    ),
    "merged": (
        "merged",
        "def f(x):\n    a = jnp.tanh(x).sum(0)\n    b = jnp.tanh(x).sum(1)\n    return a, b",
        ["jnp.tanh(x)"],
    ),
    "not merged": (
        "merged",
        "def f(x):\n    a = jnp.tanh(x).sum(0)\n    b = jnp.tanh(x + 1).sum(1)\n    return a, b",
        [],
    ),
    "not merged for another parameter": (
        "merged",
        "def f(x):\n    a = jnp.cumsum(x, 0)\n    b = jnp.cumsum(x, 1)\n    return a, b",
        [],
    ),
    "one line alone": ("merged", "def f(x):\n    return jnp.tanh(x)", []),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_fate_is_told_where_it_befell_and_nowhere_else(name):
    kind, body, expected = PLANTED[name]
    stage = made(f"<planted {name}>", body, X)
    assert told(stage, kind) == expected


def test_no_fate_is_told_of_a_plain_program():
    stage = made("<plain>", "def f(x):\n    return (jnp.tanh(x) * 2).sum()", X)
    assert stage.made.fates == ()


def test_a_merged_expression_names_the_one_that_stayed():
    stage = made("<merged>", PLANTED["merged"][1], X)
    (fate,) = [fate for fate in stage.made.fates if fate.kind == "merged"]
    assert {fate.span.line, fate.other.line} == {3, 4}


MODULE = """HloModule m, is_scheduled=true

one {
  p = f32[8]{0} parameter(0)
  e = f32[8]{0} exponential(p), metadata={op_name="jit(f)/exp"}
  ROOT n = f32[8]{0} negate(e)
}

two {
  p.1 = f32[8]{0} parameter(0)
  e.1 = f32[8]{0} exponential(p.1), metadata={op_name="jit(f)/exp"}
  ROOT a.1 = f32[8]{0} add(e.1, e.1)
}

ENTRY main {
  x = f32[8]{0} parameter(0)
  y = f32[8]{0} parameter(1)
  first = f32[8]{0} fusion(x), kind=kLoop, calls=one
  second = f32[8]{0} fusion(OPERAND), kind=kLoop, calls=two
  ROOT t = (f32[8]{0}, f32[8]{0}) tuple(first, second)
}
"""


@pytest.mark.parametrize(("operand", "expected"), [("x", [("first", "second")]), ("y", [])])
def test_a_value_is_repeated_where_two_kernels_make_the_same(operand, expected):
    place = sources.span("f.py", (1, 0, 1, 3))
    read = compiled.read(
        MODULE.replace("OPERAND", operand).replace('jit(f)/exp"', 'jit(f)/exp" stack_frame_id=1'),
        lambda module: lambda frame, scope: place,
    )
    assert [fate.kernels for fate in fates.repeated(read)] == expected


# -- kernels ---------------------------------------------------------------------------------------


def test_a_fusion_covers_the_expressions_that_it_is_made_of():
    stage = made("<fused>", "def f(x):\n    y = jnp.sin(x)\n    return y * x - 3", X)
    (kernel,) = [one for one in stage.made.kernels if one.kind == "fusion"]
    covered = {sources.expression(span) for span in kernel.spans}
    assert covered == {"jnp.sin(x)", "y * x", "y * x - 3"}
    assert (kernel.reads, kernel.writes, kernel.turns) == (64 * 32 * 4, 64 * 32 * 4, 1)
    assert kernel.flops == 2 * 64 * 32  # a sine is a transcendental operation


def test_a_decomposition_is_a_call_of_lapack():
    stage = made("<lapack>", "def f(x):\n    return jnp.linalg.cholesky(x @ x.T)", X)
    assert "LAPACK spotrf" in [one.what for one in stage.made.kernels if one.kind == "library"]


def test_a_loops_kernels_turn_as_often_as_it_does():
    body = "def f(x):\n    return jax.lax.fori_loop(0, 7, lambda i, c: jnp.sin(c) @ c.T @ c, x)"
    stage = made("<loop>", body, X)
    turns = {one.turns for one in stage.made.kernels if one.looped and one.spans}
    assert turns == {7}


def test_a_loop_of_unknown_length_has_unknown_turns():
    body = "def f(x):\n    return jax.lax.while_loop(lambda c: c.sum() < 9, lambda c: jnp.sin(c) * 2, x)"
    stage = made("<endless>", body, X)
    assert {one.turns for one in stage.made.kernels if one.looped} == {None}


def test_the_passes_of_a_gradient_are_told_apart():
    stage = made("<passes>", "def f(x):\n    return (jnp.sin(x) @ x.T).sum()", X, grad=True)
    phases = {phase for one in stage.made.kernels for phase in one.phases}
    assert phases == {"forward", "backward"}


UPDATE = """HloModule m, is_scheduled=true

stack {
  all = f32[50,8]{1,0} parameter(0)
  new = f32[8]{0} parameter(1)
  i = s32[] parameter(2)
  row = f32[1,8]{1,0} bitcast(new)
  zero = s32[] constant(0)
  ROOT put = f32[50,8]{1,0} dynamic-update-slice(all, row, i, zero)
}

ENTRY main {
  a = f32[50,8]{1,0} parameter(0)
  n = f32[8]{0} parameter(1)
  k = s32[] parameter(2)
  ROOT f = f32[50,8]{1,0} fusion(a, n, k), kind=kLoop, calls=stack
}
"""


def test_an_update_in_place_moves_the_update_alone():
    read = compiled.read(UPDATE, lambda module: lambda frame, scope: None)
    (kernel,) = kernels.kernels(read)
    assert (kernel.reads, kernel.writes) == (32 + 4, 32)


# -- notes -----------------------------------------------------------------------------------------


def notes(stage, kind):
    return [(note.span.line, note.text) for note in stage.notes if note.kind == kind]


def test_a_carry_that_a_loop_copies_is_pointed_out():
    body = (
        "def f(x):\n"
        "    def step(c, i):\n"
        "        return c.at[i].set(c[::-1][i] + 1), c\n"
        "    return jax.lax.scan(step, x, jnp.arange(20))"
    )
    stage = made("<copies>", body, f32(20, 4096))
    assert any("on every turn of a loop" in text for _, text in notes(stage, "copy in a loop"))


def test_a_loop_without_copies_has_no_such_note():
    body = "def f(x):\n    return jax.lax.fori_loop(0, 9, lambda i, c: jnp.sin(c) * 2, x)"
    assert notes(made("<no copies>", body, f32(20, 4096)), "copy in a loop") == []


def test_a_temporary_that_dwarfs_the_inputs_is_pointed_out():
    body = "def f(x):\n    d = x[:, None] - x[None, :]\n    return jnp.sort(jnp.abs(d), 1)[:, :4]"
    found = notes(made("<large>", body, f32(1000)), "large temporary")
    assert [line for line, _ in found] == [3] or {line for line, _ in found} <= {3, 4}
    assert all("f32[1000,1000]" in text and "(4 MB)" in text for _, text in found)
    assert found


def test_a_temporary_of_the_inputs_size_is_no_news():
    body = "def f(x):\n    return jnp.sort(jnp.sort(x, 1), 0) @ x"
    assert notes(made("<usual>", body, f32(1000, 1000)), "large temporary") == []


# -- values ----------------------------------------------------------------------------------------


def known(function, *args):
    """The values of a function's equations, by primitive."""
    named = {f"x{i}": arg for i, arg in enumerate(args)}
    traced = program.trace_fresh(function, "f", named)
    walked = program.walk(traced.stage.jaxpr, program.Places(traced.mark))
    return walked, values.values(walked, traced.stage.jaxpr)


def test_sharing_thirty_levels_deep_is_not_followed_forever():
    def double(level):
        if level == 0:
            return jax.jit(jnp.sin)
        inner = double(level - 1)
        return jax.jit(lambda x: inner(x) + inner(x * 2))

    _, found = known(double(30), f32(4))
    assert found is None


def test_equal_loops_are_equal_and_others_are_not():
    def step(c, _):
        return c * 2, None

    def function(x):
        a, _ = jax.lax.scan(step, x, None, 3)
        b, _ = jax.lax.scan(step, x, None, 3)
        c, _ = jax.lax.scan(step, x, None, 4)
        return a, b, c

    walked, found = known(function, f32(4))
    numbers = [
        found.numbers[i] for i, step in enumerate(walked.steps) if step.equation.primitive.name == "scan"
    ]
    assert numbers[0] != numbers[2]
    assert len(set(numbers)) in (2, 3)  # two bodies, traced apart, may not be known to be one


# -- the wire format -------------------------------------------------------------------------------


def test_fields_are_read_as_they_are_written():
    message = b"\x08\x96\x01" + b"\x12\x02hi" + b"\x1d\x01\x00\x00\x00" + b"\x21" + bytes(8)
    assert list(wire.fields(message)) == [(1, 150), (2, b"hi"), (3, b"\x01\0\0\0"), (4, bytes(8))]
    assert wire.numbers(b"\x01\x96\x01") == (1, 150)


@pytest.mark.parametrize("broken", [b"\x08", b"\x12\x05hi", b"\x0b", b"\x08\x96", b"\x21\0"])
def test_what_is_no_message_is_refused(broken):
    with pytest.raises(ValueError, match=r"ends inside|wire type"):
        list(wire.fields(broken))


def test_names_of_the_texts_are_those_of_the_assignment():
    lowered = jax.jit(lambda x: jnp.sort(jnp.tanh(x), 0)).lower(f32(8, 8))
    done = lowered.compile()
    read = compiled.read(program.print_compiled(done), lambda module: texts.frames_from(module, {}))
    names = {name for body in read.module.computations.values() for name in body}
    assigned = buffers.read(*program.assignment(done))
    assert {place.instruction for place in assigned.places.values()} <= names
