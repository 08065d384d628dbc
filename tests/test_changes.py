"""What changed against the last run of a cell: the sentence, the figures, the diff, and what is kept."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxmagic.analysis import changes, stages
from jaxmagic.analysis.trace import look
from jaxmagic.magics.editions import MOST, Editions
from jaxmagic.pages import changes as page
from jaxmagic.pages.blocks import Program, Prose
from jaxmagic.pages.compose import compose
from jaxmagic.target import ArrayType, Target
from jaxmagic.views import text

VECTOR = ArrayType("f32", (8,))


def traced(function, *args):
    return look(Target(function=function, args=args or (VECTOR,)))


def compared(before, now, *args):
    return changes.against(changes.edition(traced(before, *args)), traced(now, *args))


def diff(before, now, *args):
    return [(one.sign, one.text) for one in compared(before, now, *args).diff.get() if one.sign != " "]


def first(x):
    h = jnp.sin(x)
    return (h * 2.0).sum()


def one_more(x):
    h = jnp.sin(x)
    h = jnp.cos(h)
    return (h * 2.0).sum()


def test_the_same_program():
    same = compared(first, lambda x: (jnp.sin(x) * 2.0).sum())
    assert same.same
    assert page.sentence(same) == "same program as before"


def test_another_value_in_a_captured_array_is_no_same_program():
    def capturing(value):
        table = jnp.full(64, value)
        return lambda x: x * table[:8]

    changed = compared(capturing(1.0), capturing(2.0))
    assert not changed.same
    assert page.sentence(changed) == "same equations as before, other values in what they capture"
    told = page.blocks(changed, (), (), lambda span: ())
    assert "a captured array holds other values" in str(told)
    assert compared(capturing(1.0), capturing(1.0)).same


def test_captured_keys_and_references_are_compared():
    def keyed(seed):
        key = jax.random.key(seed)
        return lambda x: x + jax.random.normal(key, (8,))

    assert compared(keyed(0), keyed(0)).same
    assert not compared(keyed(0), keyed(1)).same
    shared = jax.new_ref(jnp.ones(8))
    assert compared(lambda x: x + shared[...], lambda x: x + shared[...]).same


def test_one_equation_more_renames_nothing_that_follows():
    assert diff(first, one_more) == [
        ("+", "c:f32[8] = cos b"),
        ("-", "c:f32[8] = mul b 2.0:f32[]"),
        ("+", "d:f32[8] = mul c 2.0:f32[]"),
    ]
    signs = [one.sign for one in compared(first, one_more).diff.get()]
    assert signs == [" ", "+", "-", "+", " "], (
        "what reads another variable is another equation; the sum is not"
    )


def test_operands_that_were_exchanged_are_a_change():
    assert diff(lambda x, y: x - y, lambda x, y: y - x, VECTOR, VECTOR) == [
        ("-", "c:f32[8] = sub a b"),
        ("+", "c:f32[8] = sub b a"),
    ]


def test_another_constant_is_a_change():
    assert diff(lambda x: x * 2.0, lambda x: x * 3.0) == [
        ("-", "b:f32[8] = mul a 2.0:f32[]"),
        ("+", "b:f32[8] = mul a 3.0:f32[]"),
    ]


def test_inner_programs_whose_names_moved_are_unchanged():
    def before(x):
        return jax.lax.scan(lambda c, _: (jnp.sin(c) + c, None), x, None, length=3)[0]

    def now(x):
        x = jnp.exp(x)
        return jax.lax.scan(lambda c, _: (jnp.sin(c) + c, None), x, None, length=3)[0]

    changed = diff(before, now)
    assert ("+", "b:f32[8] = exp a") in changed
    assert not any("sin" in line and "scan" not in line for _, line in changed)


def test_the_figures_in_words():
    def much(x):
        return jnp.sin(x).sum() * 2.0

    told = page.sentence(compared(first, much))
    assert told == "against the last run: 44 % less flops, 33 % less bytes" or told.startswith(
        "against the last run: "
    )
    assert page._times(10, 5) == "half the"
    assert page._times(10, 20) == "twice the"
    assert page._times(10, 31) == "3.1 times the"
    assert page._times(100, 88) == "12 % less"
    assert page._times(100, 112) == "12 % more"


def test_what_is_unknown_is_not_compared():
    def endless(x):
        return jax.lax.while_loop(lambda y: y.sum() > 1, lambda y: y / 2, x).sum()

    assert "flop" not in page.sentence(compared(first, endless))


def test_the_diff_links_to_the_source():
    after = compared(first, one_more)
    new = next(one for one in after.diff.get() if one.sign == "+")
    assert new.line == one_more.__code__.co_firstlineno + 2
    gone = next(one for one in after.diff.get() if one.sign == "-")
    assert gone.line == first.__code__.co_firstlineno + 2


def test_of_a_long_program_figures_are_kept_and_no_equations(monkeypatch):
    monkeypatch.setattr(stages, "AT_ONCE", 2)
    long = compared(first, one_more)
    assert (long.diff, long.same) == (None, False)
    blocks = page.blocks(long, (), (), lambda _: ())
    assert isinstance(blocks[-1], Prose)


# -- cells -----------------------------------------------------------------------------------------

CELL = {"metadata": {"cellId": "a"}, "header": {"msg_id": "1"}}


def test_the_first_run_has_nothing_to_be_compared_with():
    editions = Editions()
    assert editions.compared(traced(first), CELL, cell=True).changes is None
    assert editions.compared(traced(first), CELL, cell=True).changes.same
    assert not editions.compared(traced(one_more), CELL, cell=True).changes.same, "renamed in the same cell"


def test_another_cell_is_another_program():
    editions = Editions()
    editions.compared(traced(first), CELL, cell=True)
    other = {"metadata": {"cellId": "b"}}
    assert editions.compared(traced(one_more), other, cell=True).changes is None


def test_without_cells_the_functions_name_decides():
    editions = Editions()
    editions.compared(traced(first), {}, cell=True)
    assert editions.compared(traced(one_more), {}, cell=True).changes is None
    assert editions.compared(traced(first), {}, cell=True).changes.same


def test_two_lines_of_a_cell_are_told_apart():
    editions = Editions()
    editions.compared(traced(first), CELL, cell=False)
    assert editions.compared(traced(one_more), CELL, cell=False).changes is None


def test_few_runs_are_kept():
    editions = Editions()
    trace = traced(first)
    for i in range(MOST + 5):
        editions.compared(trace, {"metadata": {"cellId": str(i)}}, cell=True)
    assert len(editions) == MOST
    assert editions.compared(trace, {"metadata": {"cellId": "0"}}, cell=True).changes is None


def test_what_is_kept_holds_no_program():
    kept = changes.edition(traced(first))
    plain = (str, bytes, int, float, type(None))

    def leaves(value):
        return [leaf for part in value for leaf in leaves(part)] if isinstance(value, tuple) else [value]

    parts = leaves((kept.figures, kept.mark, kept.given, kept.equations))
    assert all(isinstance(part, plain) for part in parts)


# -- pages and shells ------------------------------------------------------------------------------


def test_a_tab_only_where_something_changed():
    editions = Editions()
    pages = [compose(editions.compared(traced(f), CELL, cell=True)) for f in (first, first, one_more)]
    assert [page.TITLE in [tab.title for tab in one.tabs] for one in pages] == [False, False, True]
    shown = next(tab for tab in pages[2].tabs if tab.title == page.TITLE).blocks.get()
    program = next(block for block in shown if isinstance(block, Program))
    assert program.language == "diff"
    assert program.program[1] == "+ c:f32[8] = cos b"
    assert [
        program.source[tie.source[0].row].text[tie.source[0].start : tie.source[0].end]
        for tie in program.ties
        if tie.program[0].row == 1
    ] == ["jnp.cos(h)"]


def test_running_a_cell_again_after_an_edit(shell, run):
    cell = "def f(x):\n    return x * 2.0"
    run("import jax.numpy as jnp")
    for body in (cell, cell, cell.replace("x * 2.0", "jnp.sin(x * 2.0)")):
        run(f"%%jaxpr f(f32[8])\n{body}")
    first, second, third = (said.split("\n") for said in shell.published.texts)
    assert first[1].startswith("traced in")
    assert second[1].startswith("same program as before")
    assert third[1].startswith("against the last run: 1 equation more")
    assert any("+ c:f32[8] = sin b" in line for line in third)


def test_a_trace_says_nothing_of_changes_by_itself():
    assert "run" not in text.render(compose(traced(first)), 100).split("\n")[1]
