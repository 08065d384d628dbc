"""Every lesson: the wrong code meets it, at its line; the right code runs."""

from __future__ import annotations

import linecache
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmagic.analysis.explain import explain, explained, find, shorten, users_part, where
from jaxmagic.analysis.lessons import BAD_CALL, LESSONS
from jaxmagic.errors import BadTarget, CannotTrace, JaxmagicError
from jaxmagic.target import Target

ALL = {lesson.kind: lesson for lesson in (*LESSONS, BAD_CALL)}
TARGET = Target(function=lambda: None, name="f")


def run(code, name="<a cell of the user's>"):
    linecache.cache[name] = (len(code), None, [line + "\n" for line in code.split("\n")], name)
    space = {"jax": jax, "jnp": jnp, "np": np, "__name__": "user"}
    exec(compile(code, name, "exec"), space)
    return space


def error_of(code):
    with pytest.raises(Exception) as caught:  # noqa: PT011 -- which error it is, is what is tested
        run(code)
    return caught.value


def test_every_kind_is_there_once():
    assert len(ALL) == len(LESSONS) + 1


@pytest.mark.parametrize("kind", [kind for kind in ALL if kind != BAD_CALL.kind])
def test_the_wrong_code_meets_its_lesson(kind):
    error = error_of(ALL[kind].wrong)
    assert find(error, where(error)).kind == kind


@pytest.mark.parametrize("kind", ALL)
def test_the_right_code_runs_and_is_what_the_fix_names(kind):
    lesson = ALL[kind]
    run(lesson.right)
    named = re.search(r"`([^`]+)`", lesson.fix)[1]
    assert named in lesson.right


@pytest.mark.parametrize("kind", [kind for kind in ALL if kind != BAD_CALL.kind])
def test_a_lesson_says_one_sentence_with_the_users_line(kind):
    told = explain(error_of(ALL[kind].wrong), TARGET)
    assert type(told) is ALL[kind].error
    assert "{" not in told.message.replace("'{y", "") or "{" in told.excerpt
    assert "\n" not in told.message
    assert "0x" not in told.message
    assert told.excerpt
    assert told.span.file == "<a cell of the user's>"
    assert told.excerpt == ALL[kind].wrong.split("\n")[told.span.line - 1]


def test_a_branch_names_the_condition_and_its_place():
    told = explain(error_of(ALL["if on a traced value"].wrong), TARGET)
    assert told.message == (
        "Python has to choose a branch by `x > 0`, but its value is not known while JAX traces."
    )
    assert (told.span.line, told.span.column, told.span.end_column) == (3, 7, 12)
    assert str(told) == (
        "Python has to choose a branch by `x > 0`, but its value is not known while JAX traces.\n"
        "  line 3: if x > 0:\n"
        "  Compute both and choose: `jnp.where(x > 0, x, -x)`; for costly branches use `jax.lax.cond`."
    )


def test_columns_count_characters():
    told = explain(error_of("@jax.jit\ndef f(größe):\n    if größe > 0:\n        return 1\nf(1.0)"), TARGET)
    assert told.excerpt[told.span.column : told.span.end_column] == "größe > 0"


def test_the_line_is_the_innermost_of_the_users():
    code = "def helper(x):\n    return np.sin(x)\ndef f(x):\n    return helper(x) + 1\njax.jit(f)(1.0)"
    told = explain(error_of(code), TARGET)
    assert (told.span.line, told.span.function) == (2, "helper")


def test_every_class_of_jax_errors_has_a_lesson():
    """The classes that others are made of are met as one of these."""
    bases = {"JAXTypeError", "JAXIndexError"}
    names = {name for name in dir(jax.errors) if isinstance(getattr(jax.errors, name), type)} - bases
    assert names <= {lesson.raised for lesson in LESSONS}


OWN = {
    "raise ValueError('rate must be positive')": ValueError,
    "1 / 0": ZeroDivisionError,
    "{}['params']": KeyError,
    "assert False, 'no'": AssertionError,
    "undefined": NameError,
    "[1, 2][7]": IndexError,
    "'a' + 1": TypeError,
    "open('/nowhere/at/all')": FileNotFoundError,
    "import json; json.loads('{')": ValueError,
    "raise TypeError('add got incompatible units')": TypeError,
}


@pytest.mark.parametrize(
    "around", ["f(1.0)", "jax.jit(f)(1.0)", "jax.grad(f)(1.0)", "jax.vmap(f)(jnp.ones(2))"]
)
@pytest.mark.parametrize("body", OWN)
def test_the_users_own_errors_stay_theirs(body, around):
    error = error_of(f"def f(x):\n    {body}\n    return x\n{around}")
    assert isinstance(error, OWN[body])
    assert explain(error, TARGET) is None


def test_an_own_error_comes_out_of_explained_as_the_same_object():
    mine = ValueError("rate must be positive")
    with pytest.raises(ValueError, match="rate must be positive") as caught, explained(TARGET):
        raise mine
    assert caught.value is mine


def test_the_users_part_of_a_traceback_starts_in_their_code():
    error = error_of("def f(x):\n    raise ValueError('no')\njax.jit(f)(1.0)")
    start = users_part(error)
    assert start.tb_frame.f_code.co_filename != __file__ or start.tb_frame.f_code.co_name == "error_of"


def test_what_no_lesson_knows_keeps_jaxs_words_shortened():
    told = explain(error_of("jnp.linalg.inv(jnp.ones((2, 3)))"), TARGET)
    assert type(told) is CannotTrace
    assert told.message == ("JAX cannot run `f`: Argument to inv must have shape [..., n, n], got (2, 3).")
    assert told.excerpt == "jnp.linalg.inv(jnp.ones((2, 3)))"


def test_jaxs_words_under_jit_where_jax_removed_its_frames():
    told = explain(error_of("@jax.jit\ndef f(x):\n    return jnp.linalg.inv(x)\nf(jnp.ones((2, 3)))"), TARGET)
    assert told.excerpt == "    return jnp.linalg.inv(x)"


def test_arguments_that_do_not_fit_are_a_bad_target():
    def call(f):
        with explained(Target(function=f, name="area")):
            f()

    with pytest.raises(
        BadTarget, match=r"The inputs do not fit `area`: .*missing 1 required positional"
    ) as caught:
        _called_from_our_side(call)
    assert caught.value.fix == "Give every input once: `f(1.0, y=2.0)`."


def _called_from_our_side(call):
    """As an analysis would: no frame of the user's between."""
    space = {"__name__": "x"}
    import jaxmagic

    file = jaxmagic.__file__.replace("__init__", "imagined")
    exec(compile("def outer(call, f): call(f)", file, "exec"), space)
    area = {}
    exec("def area(width): return width", area)
    error = None
    try:
        exec(compile("area()", file, "exec"), area)
    except TypeError as caught:
        error = caught
    error = error.with_traceback(None)
    told = explain(error, Target(function=area["area"], name="area"))
    raise told


def test_arguments_that_do_not_fit_inside_the_users_code_are_theirs():
    error = error_of("def g(x):\n    return x\ndef f(x):\n    return g()\nf(1.0)")
    assert explain(error, TARGET) is None


def test_an_explained_error_stays_as_it_is():
    told = JaxmagicError("once")
    assert explain(told, TARGET) is told


def test_messages_with_braces_and_backticks_are_only_text():
    error = error_of("jax.jit(lambda x: x)('{name} `code` <b>')")
    told = explain(error, TARGET)
    assert type(told) is CannotTrace


def test_long_words_are_cut_between_words():
    text = shorten("word " * 200)
    assert len(text) <= 302
    assert text.endswith("word …")
