"""What %%jaxpr says about a function: its program, its costs, where they come from, what surprises."""

from __future__ import annotations

import functools
import gc
import linecache
import os
import subprocess
import sys
import warnings
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmagic import trace
from jaxmagic.analysis import hlo, program, sources, texts
from jaxmagic.analysis.trace import look
from jaxmagic.errors import BadTarget, CannotDifferentiate, CannotTrace
from jaxmagic.target import ArrayType, Target


def f32(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def kinds(result):
    return [note.kind for note in result.notes]


def note(result, kind):
    (found,) = [note for note in result.notes if note.kind == kind]
    return found


def expressions(result, primitive):
    """The user's expressions that made the equations of a primitive."""
    return [sources.expression(e.span) for e in result.equations if e.primitive == primitive]


def written(name, text, **names):
    """A namespace made from source that has a place in linecache, as a cell has."""
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    space = {"jax": jax, "jnp": jnp, "np": np, "functools": functools, **names}
    exec(compile(text, name, "exec"), space)
    return space


# -- what it is ------------------------------------------------------------------------------------


def layer(x, w):
    h = jnp.tanh(x @ w)
    return (h**2).mean()


def test_a_small_program_is_told_exactly():
    result = trace(layer, f32(512, 256), f32(256, 128))
    assert [(v.name, v.type, v.bytes) for v in result.inputs] == [
        ("x", "f32[512,256]", 524288),
        ("w", "f32[256,128]", 131072),
    ]
    assert [(v.name, v.type, v.bytes) for v in result.outputs] == [("", "f32[]", 4)]
    assert [e.primitive for e in result.equations] == [
        "dot_general",
        "tanh",
        "integer_pow",
        "reduce_sum",
        "div",
    ]
    # 2·512·256·128 for the product, 65,536 for the square, 65,535 additions, one division
    assert result.flops == 33554432 + 65536 + 65535 + 1
    assert result.transcendentals == 65536
    assert result.name == "layer"
    assert result.device == "cpu:0"
    assert not result.gradient
    assert result.notes == ()
    assert result.trace_seconds > 0


def test_every_equation_has_the_expression_that_made_it():
    result = trace(layer, f32(8, 4), f32(4, 3))
    assert [sources.expression(e.span) for e in result.equations] == [
        "x @ w",
        "jnp.tanh(x @ w)",
        "h**2",
        "(h**2).mean()",
        "(h**2).mean()",
    ]
    assert {e.span.function for e in result.equations} == {"layer"}
    assert result.equations[1].text.endswith(":f32[8,3] = tanh c")


def test_costs_by_line_add_up_to_the_total():
    result = trace(layer, f32(512, 256), f32(256, 128))
    by_source = {line.source.strip(): line for line in result.lines}
    assert by_source["h = jnp.tanh(x @ w)"].flops == 33554432
    assert by_source["h = jnp.tanh(x @ w)"].transcendentals == 65536
    assert by_source["return (h**2).mean()"].flops == 65536 + 65535 + 1
    assert by_source["def layer(x, w):"].flops == 0
    assert sum(line.flops for line in result.lines) == result.flops
    assert sum(line.bytes for line in result.lines) == result.bytes


def test_the_listing_is_the_whole_function_and_its_helpers():
    space = written(
        "listing_cell",
        "def helper(a):\n    return a * 2\n\n\ndef idle():\n    return 1\n\n\ndef outer(a):\n"
        "    # first\n    return middle(a)\n\ndef middle(a):\n    return helper(a)\n",
    )
    result = trace(space["outer"], f32(3))
    lines = [line for source in result.sources for line in source.lines]
    assert [line.strip() for line in lines if line.strip()] == [
        "def helper(a):",
        "return a * 2",
        "def outer(a):",
        "# first",
        "return middle(a)",
        "def middle(a):",
        "return helper(a)",
    ]
    assert {source.file for source in result.sources} == {"listing_cell"}


def test_columns_count_characters_not_bytes():
    space = written("unicode_cell", "def f(x):\n    größe = 'äöü'; λ = jnp.sin(x); return λ * 2\n")
    result = trace(space["f"], f32(3))
    assert expressions(result, "sin") == ["jnp.sin(x)"]
    assert expressions(result, "mul") == ["λ * 2"]


def test_an_expression_over_several_lines_keeps_its_end():
    space = written(
        "long_cell", "def f(x):\n    return (\n        jnp.sin(x)\n        + jnp.cos(\n x)\n    )\n"
    )
    (add,) = [e for e in trace(space["f"], f32(3)).equations if e.primitive == "add"]
    assert (add.span.line, add.span.column, add.span.end_line, add.span.end_column) == (3, 8, 5, 3)


def test_a_function_without_source_has_no_links_and_does_not_crash(monkeypatch):
    other = ["import sys; exec(eval(sys.stdin.readline()))\n"]  # from Python 3.13 on, what `python -c` ran
    monkeypatch.setitem(linecache.cache, "<string>", (1, None, other, "<string>"))
    space = {"jnp": jnp}
    exec("def f(x):\n    return jnp.sin(x)", space)
    result = trace(space["f"], f32(3))
    assert result.sources == ()
    assert result.lines == ()
    assert result.stage("jaxpr")
    assert result.flops == 0
    assert result.transcendentals == 3


# -- stages ----------------------------------------------------------------------------------------


def linked(result, name):
    """Pairs of (piece of the text, the user's expression)."""
    stage = result.program(name)
    rows = stage.text.split("\n")
    return [(rows[link.row][link.start : link.end], sources.expression(link.span)) for link in stage.links]


def test_the_jaxpr_is_printed_as_jax_prints_it_and_linked():
    result = trace(layer, f32(8, 4), f32(4, 3))
    assert result.stage("jaxpr") == str(jax.make_jaxpr(layer)(f32(8, 4), f32(4, 3)))
    pairs = linked(result, "jaxpr")
    assert ("d:f32[8,3] = tanh c", "jnp.tanh(x @ w)") in pairs
    assert ("c:f32[8,3] = dot_general[", "x @ w") in pairs


def test_stablehlo_is_clean_and_linked():
    result = trace(layer, f32(8, 4), f32(4, 3))
    text = result.stage("stablehlo")
    assert "loc(" not in text
    assert "#loc" not in text
    assert text == jax.jit(layer).lower(f32(8, 4), f32(4, 3)).as_text().rstrip("\n")
    pairs = linked(result, "stablehlo")
    assert ("%1 = stablehlo.tanh %0 : tensor<8x3xf32>", "jnp.tanh(x @ w)") in pairs
    assert [source for piece, source in pairs if "dot_general" in piece] == ["x @ w"]


def test_a_librarys_function_is_linked_to_all_of_its_calls():
    def f(x):
        a = jnp.where(x > 0, x, 0.0)
        return jnp.where(a > 1, a, 1.0)

    result = trace(f, f32(8))
    for name, piece in (("jaxpr", "select_n "), ("stablehlo", "stablehlo.select ")):
        assert [source for text, source in linked(result, name) if piece in text] == [
            "jnp.where(x > 0, x, 0.0)",
            "jnp.where(a > 1, a, 1.0)",
        ]


def test_expressions_that_start_at_one_place_are_told_apart_in_hlo():
    result = trace(lambda x, y: jnp.sin(x) * y + x, f32(8), f32(8))
    pairs = linked(result, "hlo")
    assert {source for piece, source in pairs if " sine(" in piece} == {"jnp.sin(x)"}
    assert {source for piece, source in pairs if " multiply(" in piece} == {"jnp.sin(x) * y"}
    assert {source for piece, source in pairs if " add(" in piece} == {"jnp.sin(x) * y + x"}


def test_hlo_is_compiled_when_asked_for_and_linked():
    result = trace(layer, f32(8, 4), f32(4, 3))
    assert not result.stages["hlo"].ready
    text = result.stage("hlo")
    assert result.stages["hlo"].ready
    assert "metadata=" not in text
    assert "FileNames" not in text
    assert "HloModule" in text
    pairs = linked(result, "hlo")
    assert {source for piece, source in pairs if " tanh(" in piece} == {"jnp.tanh(x @ w)"}
    memory = result.program("hlo").memory
    assert (memory.arguments, memory.outputs) == (8 * 4 * 4 + 4 * 3 * 4, 4)
    assert memory.peak >= memory.outputs


def test_an_unknown_stage_is_refused_with_the_list():
    with pytest.raises(ValueError, match="jaxpr, stablehlo, hlo"):
        trace(layer, f32(8, 4), f32(4, 3)).stage("llvm")


def test_a_large_constant_is_cut_in_every_text():
    table = jnp.arange(4_000_000, dtype=jnp.float32) % 7
    result = trace(lambda x: x * table, f32(4_000_000))
    for name in ("jaxpr", "stablehlo", "hlo"):
        assert len(result.stage(name)) < 20_000


@pytest.mark.parametrize("enabled", [True, False])
def test_the_garbage_collector_is_paused_while_a_program_is_read_and_then_as_it_was(enabled, monkeypatch):
    seen = {}

    def watched(module, name):
        plain = getattr(module, name)

        def watching(*args):
            seen[name] = gc.isenabled()
            return plain(*args)

        monkeypatch.setattr(module, name, watching)

    for module, name in ((program, "walk"), (hlo, "read"), (texts, "link_stablehlo"), (texts, "link_hlo")):
        watched(module, name)

    def user(x):
        seen["user"] = gc.isenabled()
        return jnp.sin(x)

    was = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        result = trace(user, f32(8))
        result.stage("stablehlo")
        result.stage("hlo")
        with pytest.raises(CannotTrace):
            trace(lambda x: 1 if x > 0 else 2, f32())
        assert gc.isenabled() is enabled
        paused = {"walk": False, "read": False, "link_stablehlo": False, "link_hlo": False}
        assert seen == {"user": enabled, **paused}
    finally:
        (gc.enable if was else gc.disable)()


def test_a_result_lets_go_of_what_it_no_longer_needs():
    result = trace(lambda x: x * 2, f32(3))
    stage = result.stages["hlo"]
    stage.get()
    assert stage._load is None


def test_a_result_does_not_hold_the_users_arrays_once_its_stages_are_made():
    array = jnp.ones(1000)
    gone = weakref.ref(array)
    result = trace(lambda x: x * 2, array)
    del array
    gc.collect()
    assert gone() is None, result.name


# -- fresh -----------------------------------------------------------------------------------------

STALE = {
    "plain": "def f(x):\n    return x * SCALE\n",
    "jitted": "@jax.jit\ndef f(x):\n    return x * SCALE\n",
    "inner jit": "@jax.jit\ndef g(x):\n    return x * SCALE\ndef f(x):\n    return g(x) + 1\n",
    "scan body": "def g(c, x):\n    return c * SCALE, x\ndef f(x):\n    return jax.lax.scan(g, 1.0, x)\n",
    "vmapped jit": "@jax.jit\ndef g(x):\n    return x * SCALE\ndef f(x):\n    return jax.vmap(g)(x)\n",
    "remat": "@jax.checkpoint\ndef g(x):\n    return x * SCALE\ndef f(x):\n    return g(x)\n",
    "while body": "def g(x):\n    return x * SCALE\ndef c(x):\n    return x.sum() < 9\n"
    "def f(x):\n    return jax.lax.while_loop(c, g, x)\n",
    "branch": "def g(x):\n    return x * SCALE\ndef f(x):\n    return jax.lax.cond(x[0] > 0, g, g, x)\n",
    "jit of a jit": "@jax.jit\ndef h(x):\n    return x * SCALE\n@jax.jit\ndef g(x):\n    return h(x)\n"
    "def f(x):\n    return jax.grad(lambda x: g(x).sum())(x) * SCALE\n",
    "map": "def g(x):\n    return x * SCALE\ndef f(x):\n    return jax.lax.map(g, x)\n",
    "custom_jvp": "@jax.custom_jvp\ndef f(x):\n    return x * SCALE\n"
    "@f.defjvp\ndef _(p, t):\n    return f(*p), t[0]\n",
}


@pytest.mark.parametrize("kind", STALE)
def test_a_changed_global_is_seen(kind):
    space = written(f"stale {kind}", "SCALE = 2.0\n" + STALE[kind])
    jax.jit(space["f"])(jnp.ones(3))  # the caches hold the old program
    assert "2.0" in trace(space["f"], f32(3)).stage("jaxpr")
    space["SCALE"] = 5.0
    text = trace(space["f"], f32(3)).stage("jaxpr")
    assert "5.0" in text
    assert "2.0" not in text


def test_a_redefined_jitted_helper_is_seen():
    space = written("helper one", "@jax.jit\ndef g(x):\n    return jnp.sin(x)\ndef f(x):\n    return g(x)\n")
    assert "sin" in trace(space["f"], f32(3)).stage("jaxpr")
    exec("@jax.jit\ndef g(x):\n    return jnp.cos(x)\n", space)
    text = trace(space["f"], f32(3)).stage("jaxpr")
    assert "cos" in text
    assert "sin" not in text


def test_the_users_caches_stay_as_they_are():
    traced = []

    @jax.jit
    def f(x):
        traced.append(1)
        return x * 2

    @jax.jit
    def outer(x):
        return f(x) + 1

    f(jnp.ones(3))
    outer(jnp.ones(3))
    assert len(traced) == 1
    trace(outer, jnp.ones(3))  # traces all anew, `f` too
    before = len(traced)
    assert before > 1
    f(jnp.ones(3))
    outer(jnp.ones(3))
    assert len(traced) == before


IMPORTS = """
import jax, jax.numpy as jnp
traced = []
@jax.jit
def f(x):
    traced.append(1)
    return x * 2
f(jnp.ones(3))
import jaxmagic
jaxmagic.trace(lambda x: f(x), jnp.ones(3))
before = len(traced)
f(jnp.ones(3))
assert len(traced) == before, traced
"""


def test_the_first_look_does_not_throw_away_what_the_user_compiled():
    done = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_configuration_and_warnings_filters_are_as_before():
    filters = list(warnings.filters)
    values = dict(jax.config.values)
    trace(lambda x: x.astype("float64"), f32(3))
    assert warnings.filters == filters
    assert dict(jax.config.values) == values


# -- inputs ----------------------------------------------------------------------------------------


def test_types_stand_for_arrays():
    target = Target(function=layer, args=(ArrayType("f32", (8, 4)), ArrayType("f32", (4, 3))))
    assert look(target).flops == trace(layer, f32(8, 4), f32(4, 3)).flops


def test_a_random_key_type():
    result = look(Target(function=lambda key: jax.random.normal(key, (3,)), args=(ArrayType("key", ()),)))
    assert result.inputs[0].type == "key<fry>[]"
    assert result.outputs[0].type == "f32[3]"


def test_an_unknown_element_type_is_refused():
    with pytest.raises(BadTarget, match="f33"):
        look(Target(function=layer, args=(ArrayType("f33", (8, 4)), ArrayType("f32", (4, 3)))))


def test_pytrees_are_named_by_their_way():
    result = trace(
        lambda params, x: params["dense"]["w"] @ x + params["b"][0],
        {"dense": {"w": f32(2, 3)}, "b": [f32(2)]},
        f32(3),
    )
    assert [v.name for v in result.inputs] == ["params['b'][0]", "params['dense']['w']", "x"]


def test_keywords_keep_their_order_and_names():
    result = trace(lambda x, *, scale, bias: x * scale + bias, f32(3), scale=2.0, bias=f32(3))
    assert [(v.name, v.type) for v in result.inputs] == [
        ("x", "f32[3]"),
        ("scale", "f32[]"),
        ("bias", "f32[3]"),
    ]


def test_a_python_int_used_as_a_shape_becomes_static_and_is_told():
    result = trace(lambda x, n, k: jnp.ones((n, 2)).sum() + x + k, f32(), 3, 4)
    assert [v.name for v in result.inputs] == ["x", "k"]
    assert note(result, "static input").text.startswith("`n` = 3 ")


def test_a_loop_bound_and_a_flag_become_static():
    def f(x, n, flag):
        for _ in range(n):
            x = x * 2
        return x if flag else -x

    result = trace(f, f32(3), 3, flag=True)
    assert [e.primitive for e in result.equations] == ["mul"] * 3
    assert kinds(result) == ["static input", "static input"]


def test_strings_functions_and_none_stay_python():
    result = trace(lambda x, how, fn, nothing: fn(x) if how == "a" else x, f32(3), "a", jnp.sin, None)
    assert [e.primitive for e in result.equations] == ["sin"]
    assert [v.name for v in result.inputs] == ["x"]


def test_what_jit_declares_static_stays_static():
    f = jax.jit(lambda x, n: x * n, static_argnames="n")
    result = trace(f, f32(3), 7)
    assert [v.name for v in result.inputs] == ["x"]
    assert "7.0" in result.stage("jaxpr")


def test_a_partial_gives_its_arrays_and_keeps_its_numbers():
    def f(w, n, x):
        return jnp.stack([x * w] * n)

    result = trace(functools.partial(f, jnp.ones(3), 2), f32(3))
    assert [v.type for v in result.inputs] == ["f32[3]", "f32[3]"]
    assert result.outputs[0].type == "f32[2,3]"
    assert "captured constant" not in kinds(result)


def test_a_method_is_named_and_traced():
    class Model:
        def __init__(self):
            self.w = jnp.ones((100, 4))

        def __call__(self, x):
            return self.w @ x

        def twice(self, x):
            return self(x) * 2

    result = trace(Model().twice, f32(4))
    assert [v.name for v in result.inputs] == ["x"]
    assert kinds(result) == ["captured constant"]
    assert trace(Model(), f32(4)).name == "Model"


def test_a_pytree_module_gives_its_weights_as_inputs():
    @jax.tree_util.register_pytree_with_keys_class
    class Linear:
        def __init__(self, w):
            self.w = w

        def tree_flatten_with_keys(self):
            return [(jax.tree_util.GetAttrKey("w"), self.w)], None

        @classmethod
        def tree_unflatten(cls, _, leaves):
            return cls(*leaves)

        def __call__(self, x):
            return self.w @ x

    result = trace(Linear(jnp.ones((3, 4))), f32(4))
    assert [(v.name, v.type) for v in result.inputs] == [("Linear.w", "f32[3,4]"), ("x", "f32[4]")]


def test_transformed_callables():
    def f(x):
        return jnp.sin(x).sum()

    for wrapped in (
        jax.jit(f),
        jax.grad(f),
        jax.vmap(jnp.sin),
        jax.value_and_grad(jax.jit(f)),
        jax.checkpoint(f),
    ):
        assert trace(wrapped, f32(3)).equations
    assert [e.primitive for e in trace(jax.jit(f), f32(3)).equations] == ["sin", "reduce_sum"]


def test_no_array_inputs_and_empty_arrays():
    result = trace(lambda: jnp.arange(10).sum())
    assert result.inputs == ()
    assert result.outputs[0].type == "i32[]"
    assert trace(lambda x: x.sum(), f32(0, 3)).flops == 0


def test_odd_names_do_not_break_the_trace():
    result = trace(
        lambda tree: tree["a b\n'\"<x>"] * tree["a b\n'\"<x> "],
        {"a b\n'\"<x>": f32(2), "a b\n'\"<x> ": f32(2)},
    )
    assert len(result.inputs) == 2
    assert result.stage("hlo")


# -- loops, branches, sharing ----------------------------------------------------------------------


def test_a_scan_counts_its_length():
    def f(x):
        def step(c, row):
            return c + jnp.sin(row), None

        return jax.lax.scan(step, jnp.zeros(4), x)[0]

    result = trace(f, f32(10, 4))
    (sin,) = [e for e in result.equations if e.primitive == "sin"]
    assert sin.count == 10
    assert result.transcendentals == 40
    by_source = {line.source.strip(): line for line in result.lines}
    assert by_source["return c + jnp.sin(row), None"].flops == 40


def test_nested_scans_multiply():
    def f(x):
        def inner(c, _):
            return c * 2, None

        def outer(c, _):
            return jax.lax.scan(inner, c, None, length=5)[0], None

        return jax.lax.scan(outer, x, None, length=7)[0]

    result = trace(f, f32(3))
    assert [e.count for e in result.equations if e.primitive == "mul"] == [35]
    by_source = {line.source.strip(): line for line in result.lines}
    assert by_source["return c * 2, None"].flops == 35 * 3


def test_a_while_of_unknown_length_is_unknown():
    def f(x):
        y = jnp.sin(x)
        return jax.lax.while_loop(lambda c: c.sum() < 100, lambda c: c * 2, y)

    result = trace(f, f32(3))
    assert result.flops is None
    assert result.transcendentals == 3
    assert [e.count for e in result.equations if e.primitive == "mul"] == [None]
    assert kinds(result) == ["unknown loop"]
    by_source = {line.source.strip(): line for line in result.lines}
    assert by_source["y = jnp.sin(x)"].flops == 0
    assert by_source["return jax.lax.while_loop(lambda c: c.sum() < 100, lambda c: c * 2, y)"].flops is None


@pytest.mark.parametrize(
    ("init", "test", "step", "turns"),
    [
        (0, lambda i: i < 10, lambda i: i + 1, 10),
        (0, lambda i: i < 10, lambda i: i + 3, 4),
        (3, lambda i: i <= 10, lambda i: i + 1, 8),
        (10, lambda i: i > 0, lambda i: i - 2, 5),
        (10, lambda i: i >= 0, lambda i: i - 1, 11),
        (5, lambda i: i < 5, lambda i: i + 1, 0),
    ],
)
def test_a_counted_while_is_multiplied(init, test, step, turns):
    def f(x):
        return jax.lax.while_loop(lambda c: test(c[0]), lambda c: (step(c[0]), jnp.sin(c[1])), (init, x))[1]

    assert trace(f, f32(3)).transcendentals == 3 * turns


def test_a_counted_fori_loop_is_multiplied():
    result = trace(lambda x: jax.lax.fori_loop(2, 12, lambda i, c: jnp.sin(c) + i, x), f32(3))
    assert result.transcendentals == 30


def test_a_condition_counts_its_dearer_branch():
    def f(x):
        return jax.lax.cond(
            x[0] > 0,
            lambda x: jnp.sin(x),
            lambda x: x * 2 + 1,
            x,
        )

    result = trace(f, f32(3))
    assert result.transcendentals == 3
    by_source = {line.source.strip(): line for line in result.lines}
    assert by_source["lambda x: x * 2 + 1,"].flops == 6
    assert by_source["lambda x: jnp.sin(x),"].transcendentals == 3


def test_a_library_function_used_twice_costs_at_both_lines():
    def f(x):
        a = jnp.where(x > 0, x, 0.0)
        b = jnp.where(a > 1, a, 1.0)
        return a + b

    result = trace(f, f32(1000))
    by_source = {line.source.strip(): line for line in result.lines}
    assert by_source["a = jnp.where(x > 0, x, 0.0)"].flops == by_source["b = jnp.where(a > 1, a, 1.0)"].flops
    selects = [e.span.line for e in result.equations if e.primitive == "select_n"]
    assert len(set(selects)) == 2


def test_sharing_of_sharing_is_quick_and_counted():
    def f(x):
        return x * 2

    for _ in range(30):
        f = jax.jit(lambda x, f=f: f(f(x)))
    result = trace(lambda x: f(x), f32())
    assert [e.count for e in result.equations if e.primitive == "mul"] == [2**29, 2**29]
    assert result.flops is None  # JAX itself needs 2^depth to lower it, so nobody has asked it to
    assert result.stage("jaxpr").count("mul") == 2
    for stage in ("stablehlo", "hlo"):
        with pytest.raises(CannotTrace, match="JAX would write out 1,073,741,824 programs"):
            result.stage(stage)


def test_many_calls_of_shared_programs_are_not_refused(monkeypatch):
    monkeypatch.setattr("jaxmagic.analysis.stages.TOO_MANY", 10)

    def f(x):
        for _ in range(20):
            x = jnp.where(x > 0, x, 1.0)
        return x

    assert "stablehlo.select" in trace(f, f32(3)).stage("stablehlo")


def test_shared_programs_are_multiplied():
    def f(x):
        return x * 2

    for _ in range(8):
        f = jax.jit(lambda x, f=f: f(f(x)))
    assert trace(lambda x: f(x), f32(3)).flops == 3 * 2**8


def test_an_unrolled_loop_is_noted_at_its_line():
    def f(x):
        for i in range(20):
            x = jnp.sin(x) * i
        return x

    found = note(trace(f, f32(3)), "unrolled loop")
    assert "20 copies" in found.text
    assert "40 equations" in found.text
    assert linecache.getline(found.span.file, found.span.line).strip() == "for i in range(20):"


# -- gradients -------------------------------------------------------------------------------------


def loss(w, x, n):
    h = jnp.sin(w * x)
    return h.sum() * n


def test_the_gradient_of_a_target():
    result = look(Target(function=loss, args=(f32(3), f32(3), 2)), grad=True)
    assert result.gradient
    assert [(v.name, v.type) for v in result.outputs] == [
        ("value", "f32[]"),
        ("∂w", "f32[3]"),
        ("∂x", "f32[3]"),
    ]
    phases = {e.primitive: e.phase for e in result.equations}
    assert phases["sin"] == "forward"
    assert phases["cos"] == "forward"
    assert {e.phase for e in result.equations} == {"forward", "backward"}
    backward = [e for e in result.equations if e.phase == "backward" and e.primitive == "mul"]
    assert {sources.expression(e.span) for e in backward} >= {"w * x", "jnp.sin(w * x)"}


def test_a_gradient_needs_a_number_and_a_float():
    with pytest.raises(CannotDifferentiate, match=r"f32\[3\]"):
        look(Target(function=lambda x: x * 2, args=(f32(3),), name="f"), grad=True)
    with pytest.raises(CannotDifferentiate, match="no floating-point input"):
        look(Target(function=lambda n: n * 2, args=(3,), name="f"), grad=True)


def test_the_rest_of_a_tuple_is_handed_through():
    result = look(Target(function=lambda x: (x.sum(), {"aux": x}), args=(f32(3),), name="f"), grad=True)
    assert [v.name for v in result.outputs] == ["value", "[0]['aux']", "∂x"]


def test_recomputed_equations_are_told_apart():
    def block(x):
        return jnp.sin(jnp.tanh(x))

    def f(x):
        return jax.checkpoint(block)(x).sum()

    result = look(Target(function=f, args=(f32(3),)), grad=True)
    tanh = [e.phase for e in result.equations if e.primitive == "tanh"]
    assert sorted(tanh) == ["forward", "recomputed"]


# -- notes -----------------------------------------------------------------------------------------

TABLE = jnp.arange(1000.0)
NUMBERS = np.arange(2000.0, dtype=np.float32)


def test_captured_constants_are_named_with_their_size():
    inside = jnp.ones(500)

    @jax.jit
    def helper(x):
        return x + TABLE.sum()

    result = trace(lambda x: helper(x) * inside.sum() * (x * jnp.asarray(NUMBERS)).sum(), f32())
    found = sorted(note.text.split(" is captured")[0] for note in result.notes)
    assert found == [
        "`NUMBERS` `f32[2000]` (8 kB)",
        "`TABLE` `f32[1000]` (4 kB)",
        "`inside` `f32[500]` (2 kB)",
    ]


def test_float64_inputs_that_become_float32_are_noted():
    result = trace(lambda x: x * 2, np.ones(3))
    assert result.inputs[0].type == "f32[3]"
    assert note(result, "float64 became float32").text.startswith("`x` is float64 and becomes float32")
    with jax.enable_x64():
        assert trace(lambda x: x * 2, np.ones(3)).notes == ()


def test_warnings_of_the_trace_are_notes(recwarn):
    def f(x):
        return x.astype("float64")

    found = note(trace(f, f32(3)), "warning")
    assert "float64" in found.text
    assert len(recwarn) == 0


def test_unused_inputs_are_noted():
    result = trace(lambda x, y: x * 2, f32(3), f32(3))
    assert note(result, "unused input").text.startswith("`y` is not used")


# -- nothing crashes -------------------------------------------------------------------------------


def _shard_map(x):
    spec = jax.sharding.PartitionSpec
    mesh = jax.make_mesh((1,), ("i",), axis_types=(jax.sharding.AxisType.Auto,))
    return jax.shard_map(lambda x: jax.lax.psum(x * 2, "i"), mesh=mesh, in_specs=spec("i"), out_specs=spec())(
        x
    )


def _pallas(x):
    from jax.experimental import pallas as pl

    def kernel(x_ref, o_ref):
        o_ref[...] = x_ref[...] * 2

    return pl.pallas_call(kernel, out_shape=jax.ShapeDtypeStruct(x.shape, x.dtype), interpret=True)(x)


def _custom_vjp(x):
    @jax.custom_vjp
    def f(x):
        return jnp.sin(x)

    f.defvjp(lambda x: (f(x), x), lambda x, g: (g * jnp.cos(x),))
    return jax.grad(lambda x: f(x).sum())(x)


def _hostile_scope(x):
    with jax.named_scope("transpose(jvp(\"<b>'}{ %s\\"):
        return jnp.sin(x)


def _hostile_function(x):
    def f(x):
        return jnp.sin(x)

    f.__name__ = 'a"b}{\\ jit(x) <script>'
    return jax.jit(f)(x)


HARD = {
    "pure_callback": lambda x: jax.pure_callback(np.sin, x, x),
    "io_callback": lambda x: jax.experimental.io_callback(np.sin, x, x, ordered=True),
    "debug.print": lambda x: (jax.debug.print("x = {x}\n\"'}}{{", x=x), x * 2)[1],
    "donated": jax.jit(lambda x: x * 2, donate_argnums=0),
    "random": lambda x: jax.random.normal(jax.random.key(0), (3,)) * x,
    "custom_vjp": _custom_vjp,
    "remat": jax.grad(lambda x: jax.checkpoint(jnp.sin)(x).sum()),
    "nested jit": jax.jit(jax.jit(lambda x: jax.jit(jnp.sin)(x))),
    "shard_map": _shard_map,
    "pallas": _pallas,
    "hostile scope": _hostile_scope,
    "hostile function": _hostile_function,
    "linalg": lambda x: (
        jnp.linalg.eigh(jnp.outer(x, x))[0] + jnp.linalg.solve(jnp.outer(x, x) + jnp.eye(3), x)
    ),
    "fft": lambda x: jnp.abs(jnp.fft.fft(x)),
    "complex": lambda x: (x * 1j).real,
    "sort": lambda x: jnp.sort(x)[jnp.argsort(x)],
    "associative_scan": lambda x: jax.lax.associative_scan(jnp.add, x),
    "switch": lambda x: jax.lax.switch(x.sum().astype(int), [jnp.sin, jnp.cos, jnp.tan], x),
    "map": lambda x: jax.lax.map(jnp.sin, x),
    "int4": lambda x: x.astype(jnp.int4).astype(jnp.float32),
    "token order": lambda x: (jax.debug.print("a", ordered=True), jax.debug.print("b", ordered=True), x)[2],
    "returns nothing": lambda x: None,
    "returns its input": lambda x: x,
    "sharding": lambda x: jax.lax.with_sharding_constraint(
        x, jax.sharding.NamedSharding(jax.make_mesh((1,), ("i",)), jax.sharding.PartitionSpec())
    ),
}


@pytest.mark.parametrize("name", HARD)
def test_hard_programs_are_shown(name):
    from jaxmagic.pages.trace import page

    result = trace(HARD[name], f32(3))
    for tab in page(result).tabs:
        (*_, program) = tab.blocks.get()
        assert program is not None
    assert result.stage("hlo")


def test_hostile_scopes_do_not_change_the_phase():
    assert {e.phase for e in trace(_hostile_scope, f32(3)).equations} == {"forward"}


def test_a_callback_is_noted_and_its_cost_unknown():
    result = trace(lambda x: jax.pure_callback(np.sin, x, x), f32(3))
    assert kinds(result) == ["callback"]
    assert result.flops is None


def test_linear_algebra_costs_the_textbooks_count():
    result = trace(lambda a: jnp.linalg.cholesky(a, symmetrize_input=False), f32(30, 30))
    assert 30**3 / 3 <= result.flops < 30**3 / 2
    assert "textbook cost" in kinds(result)


DEVICES = """
import jax, jax.numpy as jnp
from jaxmagic import trace
with jax.default_device(jax.devices()[1]):
    result = trace(lambda x: x * 2, jax.ShapeDtypeStruct((3,), jnp.float32))
assert result.device == "cpu:1", result.device
assert "multiply" in result.stage("hlo")
assert trace(lambda x: x * 2, jnp.ones(3)).device == "cpu:0"
"""


def test_the_device_is_the_default_of_the_time_of_looking():
    flags = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", DEVICES], env=flags, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_flax_module_gives_its_weights_and_the_users_lines():
    nnx = pytest.importorskip("flax.nnx", reason="flax is not installed")

    class Net(nnx.Module):
        def __init__(self, rngs):
            self.one = nnx.Linear(4, 8, rngs=rngs)

        def __call__(self, x):
            return nnx.relu(self.one(x))

    result = trace(Net(nnx.Rngs(0)), f32(2, 4))
    names = {value.name for value in result.inputs}
    assert {value.type for value in result.inputs} >= {"f32[4,8]", "f32[8]", "f32[2,4]"}
    assert "x" in names
    assert any(name.startswith("Net.one") for name in names)
    assert result.flops > 2 * 2 * 4 * 8
    (product,) = [e for e in result.equations if e.primitive == "dot_general"]
    assert sources.expression(product.span) == "self.one(x)"
    assert "captured constant" not in kinds(result)


def test_a_users_own_error_stays_his():
    def f(x):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        trace(f, f32(3))


def test_a_branch_on_a_value_is_explained_at_its_line():
    def f(x):
        if x.sum() > 0:
            return x
        return -x

    with pytest.raises(CannotTrace) as caught:
        trace(f, f32(3))
    assert caught.value.excerpt.strip() == "if x.sum() > 0:"


# -- passes ----------------------------------------------------------------------------------------


@jax.custom_vjp
def planted(x):
    return jnp.sin(x)


planted.defvjp(lambda x: (jnp.sin(x), x), lambda x, slope: (slope * jnp.tan(x),))


@jax.custom_jvp
def planted_jvp(x):
    return jnp.sin(x)


@planted_jvp.defjvp
def _planted_jvp(primals, tangents):
    return planted_jvp(*primals), tangents[0] * jnp.tan(primals[0])


def through_scan(f):
    return lambda x: jax.lax.scan(lambda c, row: (c + f(row), None), 0.0, x)[0]


WAYS = {
    "plainly": lambda f: lambda x: f(x).sum(),
    "inner jit": lambda f: lambda x: jax.jit(f)(x).sum(),
    "vmap": lambda f: lambda x: jax.vmap(f)(x).sum(),
    "scan": through_scan,
    "jitted scan": lambda f: jax.jit(through_scan(f)),
    "cond": lambda f: lambda x: jax.lax.cond(x[0] > 0, f, f, x).sum(),
}


@pytest.mark.parametrize("way", WAYS)
def test_what_a_custom_vjp_plants_is_told_apart(way):
    result = look(Target(function=WAYS[way](planted), args=(f32(3),)), grad=True)
    phases = {name: {e.phase for e in result.equations if e.primitive == name} for name in ("sin", "tan")}
    assert phases == {"sin": {"forward"}, "tan": {"backward"}}


@pytest.mark.parametrize("way", WAYS)
def test_what_a_custom_jvp_plants_is_forward(way):
    result = look(Target(function=WAYS[way](planted_jvp), args=(f32(3),)), grad=True)
    phases = {name: {e.phase for e in result.equations if e.primitive == name} for name in ("sin", "tan")}
    assert phases == {"sin": {"forward"}, "tan": {"forward"}}


@pytest.mark.parametrize("way", WAYS)
def test_what_remat_computes_again_is_recomputed(way):
    def block(x):
        return jnp.tanh(jnp.sin(x))

    result = look(Target(function=WAYS[way](jax.checkpoint(block)), args=(f32(3),)), grad=True)
    phases = sorted({e.phase for e in result.equations if e.primitive == "tanh"})
    assert phases == ["forward", "recomputed"]


@pytest.mark.parametrize("way", WAYS)
def test_every_equation_of_a_gradient_has_a_place(way):
    result = look(Target(function=WAYS[way](jnp.tanh), args=(f32(3),)), grad=True)
    assert [e.text for e in result.equations if e.span is None] == []


def test_nested_library_functions_belong_to_the_users_line():
    def f(x):
        a = jnp.median(x)
        b = jnp.interp(x, x, x)
        return a + b

    result = trace(f, f32(16))
    assert {sources.expression(e.span) for e in result.equations} == {
        "jnp.median(x)",
        "jnp.interp(x, x, x)",
        "a + b",
    }
    flops = {line.source.strip(): line.flops for line in result.lines}
    assert flops["return a + b"] == 16
    assert flops["a = jnp.median(x)"] + flops["b = jnp.interp(x, x, x)"] + 16 == result.flops


def test_many_equations_are_shown():
    from jaxmagic.pages.trace import page

    def f(x):
        for _ in range(3000):
            x = x + 1
        return x

    result = trace(f, f32())
    assert len(result.equations) == 3000
    assert result.flops == 3000
    program = page(result).tabs[0].blocks.get()[-1]
    assert len(program.program) == 3002
    assert program.cut == 0


def test_hlo_that_cannot_be_read_is_an_unknown_cost(monkeypatch):
    from jaxmagic.analysis import program

    text = "ENTRY main {\n  ROOT d.1 = f32[3]{0} dot(), lhs_contracting_dims={0}\n}\n"
    monkeypatch.setattr(program, "print_unoptimised", lambda _: text)
    result = trace(layer, f32(8, 4), f32(4, 3))
    assert (result.flops, result.bytes) == (None, None)
    assert kinds(result) == ["unknown cost"]
    assert len(result.equations) == 5
