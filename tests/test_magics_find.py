"""Finding the target: whose function it is, what its inputs are, and where its source stands."""

import functools
import inspect
import linecache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmagic.errors import BadLine, BadTarget
from jaxmagic.magics import find
from jaxmagic.magics.callee import unwrapped
from jaxmagic.magics.expression import read
from jaxmagic.target import ArrayType


def layer(x, w, scale=2.0):
    return jnp.tanh(x @ w) * scale


class Model:
    def __init__(self):
        self.weight = np.ones((2, 2))
        self.settings = {"deep": np.arange(3.0)}
        self.name = "model"

    def __call__(self, x):
        return x @ self.weight

    def encode(self, x):
        return x


class Counter:
    def __init__(self):
        self.calls = 0

    def __call__(self, value):
        self.calls += 1
        return value


@pytest.fixture
def scope():
    return {
        "layer": layer,
        "jitted": jax.jit(layer),
        "partial": functools.partial(layer, scale=3.0),
        "model": Model(),
        "x": np.ones((2, 2)),
        "w": jnp.eye(2),
        "xs": [np.ones(2), np.ones(2)],
        "options": {"scale": 4.0},
        "params": {"w": jnp.ones(2), "b": 0.5},
        "a": 1.5,
        "é": 1.5,
        "ü": 2.5,
        "n": 3,
        "mode": "same",
        "count": Counter(),
        "np": np,
        "jnp": jnp,
        "jax": jax,
    }


def found(text, scope):
    return find.from_text(text, "jaxpr", scope)


# -- a call of the user's function ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "function", "args", "kwargs", "name"),
    [
        ("layer(x, w)", "layer", ("x", "w"), {}, "layer"),
        ("layer(x, w=w)", "layer", ("x",), {"w": "w"}, "layer"),
        ("jitted(x, w)", "jitted", ("x", "w"), {}, "jitted"),
        ("partial(x, w)", "partial", ("x", "w"), {}, "partial"),
        ("model(x)", "model", ("x",), {}, "model"),
        ("layer(*xs)", "layer", ("xs[0]", "xs[1]"), {}, "layer"),
        ("layer(x, w, **options)", "layer", ("x", "w"), {"scale": "options['scale']"}, "layer"),
        ("layer(x, w).block_until_ready()", "layer", ("x", "w"), {}, "layer"),
        ("jax.block_until_ready(layer(x, w))", "layer", ("x", "w"), {}, "layer"),
        ("print(layer(x, w))", "layer", ("x", "w"), {}, "layer"),
    ],
)
def test_a_call_of_the_users_function_is_that_function_with_these_inputs(
    text, function, args, kwargs, name, scope
):
    target = found(text, scope)
    assert target.function is scope[function]
    assert len(target.args) == len(args)
    for value, expected in zip(target.args, args, strict=True):
        assert value is eval(expected, scope)
    assert target.kwargs == {key: eval(expected, scope) for key, expected in kwargs.items()}
    assert target.name == name


def test_a_method_and_a_made_function_are_the_users(scope):
    assert found("model.encode(x)", scope).function == scope["model"].encode
    made = found("jax.grad(layer)(x, w)", scope)
    assert made.name == "jax.grad(layer)"
    assert unwrapped(made.function) is layer


def test_a_flax_module_is_the_function(scope):
    nnx = pytest.importorskip("flax.nnx")

    class Net(nnx.Module):
        def __init__(self, rngs):
            self.dense = nnx.Linear(2, 2, rngs=rngs)

        def __call__(self, x):
            return self.dense(x)

    net = Net(nnx.Rngs(0))
    target = found("net(x)", scope | {"net": net})
    assert target.function is net
    assert target.args[0] is scope["x"]


def test_inputs_that_do_not_fit_are_told_with_the_signature(scope):
    with pytest.raises(BadTarget) as caught:
        found("layer(x)", scope)
    assert caught.value.message == "`layer` does not take these inputs: missing a required argument: 'w'."
    assert caught.value.fix == "It is `layer(x, w, scale=2.0)`."


# -- any other expression -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "parameters", "body"),
    [
        ("np.tanh(x @ w)", "x, w", "np.tanh(x @ w)"),
        ("w @ x", "w, x", "w @ x"),
        ("np.sort(x, axis=n - 2)", "x", "np.sort(x, axis=n - 2)"),
        ("a * x", "a, x", "a * x"),
        ("np.pi * x", "x", "np.pi * x"),
        ("params['w'] * x", "params, x", "params['w'] * x"),
        ("model.weight @ x", "model_weight, x", "model_weight @ x"),
        ("model.settings['deep'].sum()", "model_settings", "model_settings['deep'].sum()"),
        ("layer(x, w) + 1", "x, w", "layer(x, w) + 1"),
        ("x.T @ x", "x", "x.T @ x"),
        ("np.sort(np.zeros(4))", "zeros", "np.sort(zeros)"),
        ("np.zeros(2) + np.zeros(2)", "zeros, zeros_1", "zeros + zeros_1"),
        ("np.sort(count(x))", "x", "np.sort(count(x))"),
        ("x + np.zeros(x.shape)", "x", "x + np.zeros(x.shape)"),
        ("sum([x * i for i in range(n)])", "x", "sum([x * i for i in range(n)])"),
        ("[x for x in xs][0]", "xs", "[x for x in xs][0]"),
        ("[x + w for x in x]", "w, x", "[x + w for x in x]"),
        ("jax.vmap(lambda x: x @ w)(x)", "w, x", "jax.vmap(lambda x: x @ w)(x)"),
        ("(lambda v: v * x)(a)", "x, a", "(lambda v: v * x)(a)"),
        ("(lambda x, w=w: x)(x) + 1", "w, x", "(lambda x, w=w: x)(x) + 1"),
        ("{k: v * a for k, v in params.items()}", "a, params", "{k: v * a for k, v in params.items()}"),
        ("jnp.dot(f32[8,8], x)", "a, x", "jnp.dot(a, x)"),
        ("jnp.sin(i32[])", "a", "jnp.sin(a)"),
        ("a * f32[2] + bf16[2]", "a, b, c", "a * b + c"),
        ("é * f32[2] + ü", "é, a, ü", "é * a + ü"),
        ("x, w", "x, w", "x, w"),
        ("x if n else np.zeros(2)", "x", "x if n else np.zeros(2)"),
        ("np.where(x > 0, x, 'é' == mode)", "x", "np.where(x > 0, x, 'é' == mode)"),
        ("('é', x @ np.ones(2))[1]", "x, ones", "('é', x @ ones)[1]"),
    ],
)
def test_any_other_expression_is_a_function_of_the_arrays_it_names(text, parameters, body, scope):
    target = found(text, scope)
    source = inspect.getsource(target.function)
    assert source == f"def expression({parameters}):\n    return {body}\n"
    assert target.name == text
    assert len(target.args) == len(parameters.split(", "))


def test_an_expression_computes_what_it_says(scope):
    target = found("np.tanh(x @ w) * a", scope)
    np.testing.assert_array_equal(target.function(*target.args), np.tanh(scope["x"] @ scope["w"]) * 1.5)
    assert [value is scope[name] for value, name in zip(target.args, "xwa", strict=True)] == [True] * 3


def test_types_become_inputs(scope):
    assert found("jnp.dot(f32[8,8], x)", scope).args[0] == ArrayType("f32", (8, 8))
    assert found("layer(f32[1024,1024], [i32[], key<fry>[2]])", scope).args == (
        ArrayType("f32", (1024, 1024)),
        [ArrayType("i32", ()), ArrayType("key<fry>", (2,))],
    )


@pytest.mark.parametrize(
    ("text", "types"),
    [
        ("f(f32[8, 128])", [ArrayType("f32", (8, 128))]),
        (
            "f(bool[3], bf16[2], u8[1,2,3])",
            [ArrayType("bool", (3,)), ArrayType("bf16", (2,)), ArrayType("u8", (1, 2, 3))],
        ),
        ("f(key[])", [ArrayType("key", ())]),
        ("f('f32[8]', \"i32[]\")", []),
        ("f(x)  # f32[8]", []),
        ("xf32[8]", []),
        ("x.f32[8]", []),
        ("f32[i]", []),
    ],
)
def test_types_are_read_where_they_stand(text, types):
    assert list(read(text, "jaxpr", ()).types.values()) == types


def test_a_users_own_variable_wins_over_a_type(scope):
    mine = {8: np.ones(3)}
    target = found("layer(f32[8], key[0])", scope | {"f32": mine, "key": [7]})
    assert target.args[0] is mine[8]
    assert target.args[1] == 7


def test_calls_that_make_an_array_run_once(scope):
    target = found("np.sort(count([1.0, 2.0]))", scope)
    target.function(*target.args)
    assert scope["count"].calls == 1
    assert inspect.getsource(target.function) == "def expression(count_1):\n    return np.sort(count_1)\n"


def test_a_call_inside_a_maker_runs_once(scope):
    target = found("np.sort(np.full(3, count(2.5)) + 1)", scope)
    target.function(*target.args)
    assert scope["count"].calls == 1
    np.testing.assert_array_equal(target.args[0], np.full(3, 2.5))


@pytest.mark.parametrize(
    ("text", "names", "body"),
    [
        ("jnp.sqrt((jnp.ones(100) ** 2).sum())", "ones", "jnp.sqrt((ones ** 2).sum())"),
        ("np.sort(np.random.rand(5)).sum()", "rand", "np.sort(rand).sum()"),
        ("np.sort(-np.random.rand(5))[::2]", "rand", "np.sort(-rand)[::2]"),
        ("np.sum(np.sort(np.zeros(3)))", "zeros", "np.sum(np.sort(zeros))"),
        ("np.sort(np.random.rand(5).astype('f4'))", "rand", "np.sort(rand)"),
        ("np.linalg.norm(np.asarray(np.arange(9.0).reshape(3, 3)))", "arange", "np.linalg.norm(arange)"),
        ("np.sort(np.random.default_rng(0).random(5))", "random", "np.sort(random)"),
        ("np.sort(draw.normal(np.zeros(3)))", "normal", "np.sort(normal)"),
        ("jnp.sum(jax.random.normal(jax.random.key(0), (5,)))", "normal", "jnp.sum(normal)"),
        ("np.sort(np.linspace(np.float64(0), 1.0, 5))", "linspace", "np.sort(linspace)"),
        ("np.ones(len(np.zeros(3))) * 2", "ones", "ones * 2"),
    ],
)
def test_what_makes_an_array_is_an_input_and_what_computes_on_it_is_looked_at(scope, text, names, body):
    target = found(text, scope | {"draw": np.random.default_rng(0)})
    assert inspect.getsource(target.function) == f"def expression({names}):\n    return {body}\n"
    assert target.args[0].size in (3, 5, 9, 100)


def test_names_of_a_function_around_the_magic_are_seen(scope):
    local = {"v": np.ones(3), "x": np.zeros(2)}
    inner = find.scope_of(scope, local)
    target = found("[np.sum(v) for _ in range(2)][0] + x", inner)
    assert target.args[0] is local["v"]
    assert target.args[1] is local["x"]
    assert scope["x"].shape == (2, 2)


def test_spans_of_jax_point_into_the_users_line(scope):
    from jaxmagic.analysis.trace import look

    result = look(found("jnp.tanh(w @ w) * a", scope))
    spans = {equation.primitive: equation.span for equation in result.equations}
    line = linecache.getline(spans["tanh"].file, spans["tanh"].line)
    assert line[spans["tanh"].column : spans["tanh"].end_column] == "jnp.tanh(w @ w)"
    assert line[spans["dot_general"].column : spans["dot_general"].end_column] == "w @ w"


def test_a_missing_name_is_the_users_nameerror(scope):
    with pytest.raises(NameError, match="'missing'"):
        found("np.tanh(missing)", scope)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("f(x", "`f(x` is not a Python expression: '(' was never closed."),
        ("f(f32[3", "`f(f32[3` is not a Python expression: '[' was never closed."),
        ("await f(x)", "`await f(x)` is not a Python expression: 'await' outside function."),
        (
            "x = 3",
            "`x = 3` is not a Python expression: invalid syntax. "
            "Maybe you meant '==' or ':=' instead of '='?",
        ),
        (")(", "`)(` is not a Python expression: unmatched ')'."),
        ("# nothing", "`# nothing` holds no expression."),
    ],
)
def test_what_is_no_expression_is_a_bad_line(text, message, scope):
    with pytest.raises(BadLine) as caught:
        found(text, scope)
    assert caught.value.message == message
    assert caught.value.fix.startswith("Write a call, such as `%jaxpr f(x)`")


@pytest.mark.parametrize("text", ["x", "params['w']", "model.weight", "3.0", "n"])
def test_a_value_is_nothing_to_look_at(text, scope):
    with pytest.raises(BadTarget, match="there is nothing to compute"):
        found(text, scope)


# -- a function alone -----------------------------------------------------------------------------


def test_a_function_alone_takes_defaults_and_annotated_types(scope):
    def typed(x: "f32[8,128]", k: int, *rest, s: float = 0.5, y: "key[]" = None, **more):  # noqa: F722, F821 # types as text
        return x

    target = found("typed", scope | {"typed": typed})
    assert target.function is typed
    assert target.args == (ArrayType("f32", (8, 128)), ArrayType("i32", ()))
    assert target.kwargs == {"s": 0.5, "y": ArrayType("key", ())}


def test_jaxtyping_annotations_are_read(scope):
    class Annotation:
        dim_str = "8 128"
        dtypes = ("float16", "float32", "bfloat16")

    class Open(Annotation):
        dim_str = "batch 128"

    def typed(x: Annotation):
        return x

    def open_ended(x: Open):
        return x

    assert found("typed", scope | {"typed": typed}).args == (ArrayType("f32", (8, 128)),)
    with pytest.raises(BadTarget, match="needs an input for `x`"):
        found("open_ended", scope | {"open_ended": open_ended})


def test_real_jaxtyping_annotations_are_read(scope):
    jaxtyping = pytest.importorskip("jaxtyping")

    def typed(
        x: jaxtyping.Float[jax.Array, "8 128"],  # noqa: F722 # jaxtyping's sizes
        i: jaxtyping.Int[jax.Array, ""],  # noqa: F722 # jaxtyping's sizes
        b: jaxtyping.Bool[jax.Array, "3"],
        h: jaxtyping.BFloat16[jax.Array, "2"],
    ):
        return x

    assert found("typed", scope | {"typed": typed}).args == (
        ArrayType("f32", (8, 128)),
        ArrayType("i32", ()),
        ArrayType("bool", (3,)),
        ArrayType("bf16", (2,)),
    )


def test_annotations_of_the_future_are_read(scope):
    names = {}
    source = """
from __future__ import annotations
def typed(x: f32[8], y: 'f32[2]', z: Shape, u: float): return x
"""

    class Shape:
        dim_str = "3"
        dtypes = ("int32",)

    names["Shape"] = Shape
    exec(source, names)
    assert found("typed", scope | names).args == (
        ArrayType("f32", (8,)),
        ArrayType("f32", (2,)),
        ArrayType("i32", (3,)),
        ArrayType("f32", ()),
    )


def test_a_function_without_inputs_says_how_to_give_them(scope):
    with pytest.raises(BadTarget) as caught:
        found("layer", scope)
    assert caught.value.message == "`layer` needs an input for `x`."
    assert "`layer(x, w, scale=2.0)`" in caught.value.fix
    assert find.from_text("layer", "jaxport", scope, bare=True).function is layer
