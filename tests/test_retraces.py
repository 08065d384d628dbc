"""Why JAX traces a jitted function once more: planted reasons, one by one."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmagic
from jaxmagic.analysis import program, retraces
from jaxmagic.errors import BadTarget, CannotTrace
from jaxmagic.magics.display import text_of
from jaxmagic.pages.retrace import page
from jaxmagic.results import Difference, Retrace
from jaxmagic.target import ArrayType, Target

X = np.ones(8, np.float32)


@pytest.fixture
def traced():
    """A jitted function, and how often its body ran."""
    runs = []

    @functools.partial(jax.jit, static_argnums=(1,), static_argnames=("mode",))
    def f(x, n=2, *, mode="a", tree=None):
        runs.append(n)
        return x * n

    f(X)
    f(X, 3)
    f(X, tree={"a": X})
    return f, runs


def told(function, *args, **kwargs):
    found = jaxmagic.why(function, *args, **kwargs)
    return [(each.what, each.now, each.before, each.cause) for each in found.differences]


def test_a_call_that_jax_holds_a_trace_of(traced):
    f, _ = traced
    assert jaxmagic.why(f, X) == Retrace(name="f", verdict="held", traces=3)


CAUSES = {
    "shape": ((np.ones(9, np.float32),), {}, ("x", "f32[9]", "f32[8]", "shape")),
    "dtype": ((np.ones(8, np.int32),), {}, ("x", "i32[8]", "f32[8]", "dtype")),
    "static": ((X, 4), {}, ("n", "4", "3", "static value")),
    "static by name": ((X,), {"mode": "b"}, ("mode", "'b'", "not given", "structure")),
    "a key of a pytree": (
        (X,),
        {"tree": {"a": X, "b": X}},
        ("tree['b']", "f32[8]", "not given", "structure"),
    ),
    "inside a pytree": ((X,), {"tree": {"a": X[:2]}}, ("tree['a']", "f32[2]", "f32[8]", "shape")),
}


@pytest.mark.parametrize("case", CAUSES)
def test_the_argument_that_differs_is_named(traced, case):
    args, kwargs, difference = CAUSES[case]
    found = jaxmagic.why(traced[0], *args, **kwargs)
    assert told(traced[0], *args, **kwargs) == [difference]
    assert found.verdict == "anew"
    assert [note.kind for note in found.notes] == [difference[-1]]


def test_weak_types_are_told_from_strong_ones():
    f = jax.jit(lambda x: x + 1)
    f(1.0)
    assert told(f, jnp.float32(1)) == [("x", "f32[]", "weak f32[]", "weak type")]


def test_a_setting_that_counts():
    f = jax.jit(lambda x: x @ x)
    f(jnp.ones((2, 2)))
    with jax.default_matmul_precision("highest"):
        found = told(f, jnp.ones((2, 2)))
    assert found == [("jax_default_matmul_precision", "'highest'", "None", "setting")]


def test_a_function_that_was_never_called():
    assert jaxmagic.why(jax.jit(lambda x: x), X).verdict == "first"


def test_nothing_is_run_and_nothing_is_left_behind(traced):
    f, runs = traced
    settings = dict(jax.config.values)
    asked = [jaxmagic.why(f, X, 5).differences for _ in range(3)]
    assert runs == [2, 3, 2]
    assert asked[0] == asked[1] == asked[2]
    assert dict(jax.config.values) == settings
    f(X, 5)
    assert runs == [2, 3, 2, 5]
    assert jaxmagic.why(f, X, 5).traces == 4


def test_a_trace_that_says_what_was_true_once_is_called_stale():
    room = {"jax": jax, "factor": 2.0}
    exec("f = jax.jit(lambda x: x * factor)", room)
    room["f"](X)
    assert jaxmagic.why(room["f"], X).notes == ()
    room["factor"] = 3.0
    found = jaxmagic.why(room["f"], X)
    assert found.verdict == "held"
    assert [note.kind for note in found.notes] == ["stale"]
    (line,) = page(found).notes
    assert line.tone == "bad"


class Model:
    @functools.partial(jax.jit, static_argnums=0)
    def call(self, x):
        return x + 1


def test_methods_and_partials(traced):
    model = Model()
    model.call(X)
    assert jaxmagic.why(model.call, X).verdict == "held"
    ((what, _, _, cause),) = told(Model().call, X)
    assert (what, cause) == ("self", "static value")
    assert jaxmagic.why(functools.partial(traced[0], X), 3).verdict == "held"


def test_types_stand_for_arrays(traced):
    def verdict(shape):
        target = Target(function=traced[0], args=(ArrayType("f32", shape),))
        return retraces.look(target).verdict

    assert [verdict((8,)), verdict((9,))] == ["held", "anew"]


def test_the_closest_trace_is_the_one_compared_with():
    f = jax.jit(lambda x, y=None: x)
    f(X)
    f(X, X)
    f(X, X[:2])
    assert told(f, X, X[:3]) in (
        [("y", "f32[3]", "f32[8]", "shape")],
        [("y", "f32[3]", "f32[2]", "shape")],
    )


def test_what_is_not_jitted_has_no_traces():
    with pytest.raises(BadTarget, match="`<lambda>` is not jitted"):
        jaxmagic.why(lambda x: x, X)


def test_arguments_that_jax_cannot_take_are_explained(traced):
    with pytest.raises(CannotTrace, match="hashable"):
        jaxmagic.why(traced[0], X, [1])


def test_where_jax_does_not_say_it_is_unknown(monkeypatch, traced):
    assert jaxmagic.why(jnp.linalg.norm, X).verdict == "unknown"
    monkeypatch.setattr(program, "keys_of_call", lambda *_: None)
    assert jaxmagic.why(traced[0], X).verdict == "unknown"


def test_in_words():
    apart = Difference(what="x", now="f32[9]", before="f32[8]", cause="shape")
    other = Difference(what="mode", now="'b'", before="not given", cause="structure")
    result = Retrace(name="f", verdict="anew", traces=2, differences=(apart, other))
    assert text_of(result).splitlines()[:2] == [
        "f would be traced once more: `x` is f32[9] now, was f32[8] before, and 1 more difference.",
        "against the closest of 2 traces that JAX holds · nothing was run, traced or compiled",
    ]
    for verdict, words in (("held", "not be traced again"), ("first", "first time"), ("unknown", "unknown")):
        assert words in text_of(Retrace(name="f", verdict=verdict))


def test_a_held_trace_says_that_the_function_was_traced_to_check_it():
    told = text_of(Retrace(name="f", verdict="held", traces=2))
    assert "traced apart from JAX's caches" in told
    assert "nothing was run" not in told


def test_the_magic(run, shell):
    run("import jax, jax.numpy as jnp\nf = jax.jit(lambda x: x * 2)\nx = jnp.ones(3)\nf(x);")
    found = run("%jaxpr --why -o f(x)").result
    assert found.verdict == "held"


@pytest.mark.parametrize("other", ["--time", "--grad", "--costs", "--graph"])
def test_one_question_at_a_time(run, shell, capsys, other):
    run("import jax, jax.numpy as jnp\nf = jax.jit(lambda x: x * 2)\nx = jnp.ones(3)")
    shell.run_cell(f"%jaxpr --why {other} f(x)")
    assert f"`--why` and `{other}` do not go together." in "".join(capsys.readouterr())
