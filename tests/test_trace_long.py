"""Long programs: no more is printed than a page shows, and all of it when one asks."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest

from jaxmagic.analysis import changes, program, stages
from jaxmagic.analysis.trace import look
from jaxmagic.pages.trace import page
from jaxmagic.results import Many
from jaxmagic.target import ArrayType, Target
from jaxmagic.views import html, text
from jaxmagic.views.live import PageView

VECTOR = ArrayType("f32", (8,))


def unrolled(x, turns=20):
    for i in range(turns):
        x = jnp.sin(x) * 0.5 + x * i
    return x


@jax.jit
def jitted(x):
    return unrolled(x)


def helpers(x):
    for i in range(9):
        x = jnp.where(x > i, jitted(x), jnp.interp(x, x, x))
    return jnp.median(x)


def looped(x):
    def turn(carry, _):
        return unrolled(carry), jax.lax.cond(carry[0] > 0, jnp.sin, jnp.cos, carry)

    return jax.lax.scan(turn, unrolled(x), None, 3)


def checkpointed(x):
    return jax.grad(lambda x: jax.checkpoint(jitted)(x).sum())(x)


PROGRAMS = {one.__name__: one for one in (unrolled, jitted, helpers, looped, checkpointed)}


@pytest.fixture
def few(monkeypatch):
    """Programs of more than a handful of equations are long."""
    monkeypatch.setattr(stages, "AT_ONCE", 10)
    monkeypatch.setattr(stages, "OPENING", 8)


def looked(function, **options):
    return look(Target(function=function, args=(VECTOR,)), **options)


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("equations", [1, 2, 7, 30, 90])
def test_an_opening_is_how_the_whole_begins(few, name, equations, monkeypatch):
    monkeypatch.setattr(stages, "OPENING", equations)
    result = looked(PROGRAMS[name])
    opening, whole = result.opening, result.program("jaxpr")
    rows = opening.text.split("\n")
    assert whole.text.split("\n")[: len(rows)] == rows
    assert opening.links == tuple(link for link in whole.links if link.row < len(rows))
    assert len(opening.links) >= min(equations, len(result.equations))


def test_a_program_is_printed_when_it_is_asked_for(few, monkeypatch):
    printed = []
    print_jaxpr = program.print_jaxpr
    monkeypatch.setattr(program, "print_jaxpr", lambda *args: printed.append(args) or print_jaxpr(*args))
    result = looked(unrolled)
    shown = page(result)
    for view in (text.render, html.render, PageView):
        view(shown)
    before = changes.edition(looked(unrolled))
    assert changes.against(before, result).same is True
    assert len(result.equations) == 80
    assert printed == []
    assert result.equations[-1].text.endswith("= add da db")
    assert result.equations[1].span.line == result.equations[5].span.line
    assert result.stage("jaxpr") == str(jax.make_jaxpr(unrolled)(jnp.ones(8)))
    assert len(printed) == 1


def test_the_magic_prints_no_more_than_it_shows(few, shell, run, monkeypatch):
    printed = []
    print_jaxpr = program.print_jaxpr
    monkeypatch.setattr(program, "print_jaxpr", lambda *args: printed.append(args) or print_jaxpr(*args))
    cell = "def f(x):\n    for i in range(20):\n        x = x * i + 0.5\n    return x"
    run("import jax.numpy as jnp")
    for body in (cell, cell, cell.replace("0.5", "1.5")):
        run(f"%%jaxpr f(f32[8])\n{body}")
    assert printed == []
    _, second, third = shell.published.texts
    assert "same program as before" in second
    assert "against the last run: other equations, the same figures" in third
    assert "the rest of 40 equations is in" in third


def test_a_short_program_is_printed_at_once():
    result = looked(unrolled)
    assert result.opening is None
    assert result.stages["jaxpr"].ready


def test_where_jax_prints_in_another_way_all_is_printed(few, monkeypatch):
    from jax._src import core

    monkeypatch.delattr(core, "pp_shared_jaxpr")
    assert looked(unrolled).opening is None


def test_what_is_cut_is_said_and_how_to_get_it(few):
    shown = page(looked(unrolled))
    for view in (text.render, html.render):
        told = view(shown)
        assert "the rest of 80 equations is in `.stage(" in told.replace("&#x27;", "'")
        assert "mul" in told
        assert "more line" not in told


def test_a_live_view_has_the_beginning_and_then_all(few):
    result = looked(unrolled)
    view = PageView(page(result))
    sent = []
    view.send = sent.append
    (part,) = view.tabs[0]["content"]["parts"]
    assert part["more"] is True
    assert part["total"] == len(result.opening.text.split("\n"))
    asked = {"tab": 0, "program": 0}
    view._answer(None, {"ask": "rows", "row": 3, **asked}, None)
    view._answer(None, {"ask": "rest", **asked}, None)
    view._answer(None, {"ask": "rows", "row": 60, **asked}, None)
    view._answer(None, {"ask": "text", **asked}, None)
    first, rest, rows, whole = sent
    lines = result.stage("jaxpr").split("\n")
    assert first["rows"] == result.opening.text.split("\n")[3:]
    assert rest["part"]["more"] is False
    assert (rest["part"]["total"], rest["part"]["rows"]) == (len(lines), lines)
    assert rest["part"]["sourceTies"] != ""
    assert rows["rows"] == lines[60:]
    assert whole["text"] == result.stage("jaxpr")


def test_the_opening_of_a_live_view_has_the_ties_of_the_whole(few):
    """Both number the expressions alike, so that what is lit stays lit when the rest comes."""
    result = looked(helpers)
    view = PageView(page(result))
    (part,) = view.tabs[0]["content"]["parts"]
    rest = view._rest({"tab": 0, "program": 0})["part"]
    assert rest["sourceTies"][: len(part["sourceTies"]) // 4 * 4 - 4] == part["sourceTies"][:-4]


# -- fingerprints ----------------------------------------------------------------------------------


def mark(function):
    return looked(function).printed.get()


OTHERS = {
    "a constant": lambda x: unrolled(x - 1.0),
    "another constant": lambda x: unrolled(x - 2.0),
    "a sign": lambda x: unrolled(x * -0.0),
    "no sign": lambda x: unrolled(x * 0.0),
    "order": lambda x: unrolled(x) - jnp.sin(x),
    "the other order": lambda x: jnp.sin(x) - unrolled(x),
    "a parameter": lambda x: jnp.roll(unrolled(x), -1),
    "another parameter": lambda x: jnp.roll(unrolled(x), -2),
    "an inner program": lambda x: jax.lax.fori_loop(0, 3, lambda _, y: jnp.sin(y), x),
    "another inner program": lambda x: jax.lax.fori_loop(0, 3, lambda _, y: jnp.cos(y), x),
    "a type": lambda x: unrolled(x.astype("bfloat16")),
    "one output": lambda x: (unrolled(x),),
    "two outputs": lambda x: (unrolled(x), x),
}


def test_different_programs_have_different_fingerprints():
    assert len({mark(function) for function in OTHERS.values()}) == len(OTHERS)


@pytest.mark.parametrize("name", [*OTHERS, *PROGRAMS])
def test_a_program_has_one_fingerprint(name):
    function = OTHERS.get(name) or PROGRAMS[name]
    assert mark(function) == mark(function)


def test_captured_values_are_told_apart_from_the_equations(few):
    def capturing(value):
        table = jnp.full(8, value)
        return lambda x: unrolled(x * table)

    before, now = looked(capturing(1.0)), looked(capturing(2.0))
    assert before.printed.get() == now.printed.get()
    told = changes.against(changes.edition(before), now)
    assert (told.same, told.captured) == (False, True)


# -- sequences that are made when asked for --------------------------------------------------------


def test_many_are_made_once_when_one_looks_into_them():
    made = []
    many = Many(3, lambda: made.append(1) or ["a", "b", "c"])
    assert (len(many), made) == (3, [])
    assert (many[0], many[-1], many[1:], list(many)) == ("a", "c", ("b", "c"), ["a", "b", "c"])
    assert many == ("a", "b", "c")
    assert many != ("a", "b")
    assert many == Many(3, lambda: ("a", "b", "c"))
    assert repr(many) == "('a', 'b', 'c')"
    assert made == [1]
