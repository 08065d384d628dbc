"""What `%jaxgrad` says, word by word, from results built by hand."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from jaxmagic.pages.blocks import Bar, Branch, Code, Contours, Course, Heat, Strip, Table, Tree
from jaxmagic.pages.compose import compose
from jaxmagic.results import Check, Curve, Expense, Field, Gradient, Lazy, Note, Partial, Value

FINE = Check(ok=True, error=3e-9, tolerance=1e-7, how="central differences in float64", finding="ok")


def partial(path, value, point, **more):
    value = np.asarray(value, np.float32)
    kind = f"f32[{','.join(map(str, value.shape))}]"
    fields = {
        "path": path,
        "type": kind,
        "point": np.asarray(point),
        "value": value,
        "check": FINE,
        "by": (path,),
    }
    return Partial(**(fields | more))


def gradient(*leaves, **more):
    fields = {
        "name": "population",
        "value": np.float32(1302542.0),
        "output": Value(name="population", type="f32[]", bytes=4),
        "partials": {leaf.by[0]: leaf.value for leaf in leaves},
        "leaves": leaves,
        "check": FINE,
        "order": 1,
        "mode": "reverse",
        "device": "cpu:0",
    }
    return Gradient(**(fields | more))


CITY = gradient(
    partial("migration", 10.25, 4000.0),
    partial("birth", 12_820_500.0, 0.014),
    partial("death", -12_820_500.0, 0.009),
)


def plain(words):
    return "".join(text.text for text in words)


def blocks(page, title="derivatives"):
    return next(tab.blocks.get() for tab in page.tabs if tab.title == title)


def table(page, title="derivatives"):
    return next(block for block in blocks(page, title) if isinstance(block, Table))


def test_the_sentence_says_the_value_and_what_moves_it_most():
    said = plain(compose(CITY).say)
    assert said == "population = 1,303,000. Most sensitive to birth: 1 % more adds 1,795."


def test_a_fall_is_told_as_one():
    said = plain(compose(gradient(partial("death", -12_820_500.0, 0.009))).say)
    assert said.endswith("Most sensitive to death: 1 % more takes away 1,154.")


def test_the_conditions_say_the_check_and_the_mode():
    said = plain(compose(CITY).conditions)
    assert said == (
        "✓ checked by finite differences in float64, worst relative difference 3e-9 · reverse mode · cpu:0"
    )


@pytest.mark.parametrize(
    ("check", "words", "tone"),
    [
        ({"ok": False, "finding": "wrong"}, "✗ wrong by finite differences in float64", "bad"),
        (
            {"ok": None, "finding": "kink"},
            "checked by finite differences in float64: a kink at this point",
            "warn",
        ),
        ({"ok": None, "finding": "unsure"}, "not settled by finite differences in float64", "muted"),
        ({"ok": None, "finding": "not finite"}, "not finite: nothing to check against", "bad"),
        ({"ok": None, "finding": "", "how": "not checked: too long"}, "not checked: too long", "muted"),
    ],
)
def test_every_verdict_has_its_words(check, words, tone):
    page = compose(dataclasses.replace(CITY, check=dataclasses.replace(FINE, **check)))
    assert plain(page.conditions).startswith(words + " · ")
    assert page.conditions[0].tone == tone


def test_the_table_is_sorted_by_effect_with_bars_by_sign():
    rows = table(compose(CITY)).rows
    assert [plain(row[0]) for row in rows] == ["birth", "death", "migration"]
    assert [plain(row[1]) for row in rows] == ["+12,820,000", "−12,820,000", "+10.25"]
    assert [plain(row[2]) for row in rows] == ["+1,790", "−1,150", "+410"]
    assert [plain(row[3]) for row in rows] == ["+0.138 %", "−0.0886 %", "+0.0315 %"]
    bars = [row[4] for row in rows]
    assert all(isinstance(bar, Bar) for bar in bars)
    assert [(round(bar.share, 2), bar.tone) for bar in bars] == [
        (1.0, "accent"),
        (0.64, "backward"),
        (0.23, "accent"),
    ]
    assert [plain(row[5]) for row in rows] == ["✓ 3e-9"] * 3


def test_what_one_more_does_has_bars_of_its_own():
    rows = table(compose(CITY), "per unit").rows
    assert [(plain(row[0]), plain(row[1]), round(row[2].share, 2)) for row in rows] == [
        ("birth", "+12,820,000", 1.0),
        ("death", "−12,820,000", 1.0),
        ("migration", "+10.25", 0.0),
    ]


def test_arrays_show_their_shape_norm_range_and_zeros():
    weights = partial("w", [[3.0, 0.0], [0.0, -4.0]], np.ones((2, 2)))
    found = table(compose(gradient(weights, partial("b", 1.0, 2.0))))
    assert [column.title for column in found.columns] == [
        "by", "∂ population", "range", "zeros", "for 1 % more", "that is", "", "check",
    ]  # fmt: skip
    row = next(row for row in found.rows if plain(row[0]).startswith("w"))
    assert [plain(cell) for cell in (row[0], row[1], row[2], row[3])] == [
        "w f32[2,2]",
        "norm 5.00",
        "−4 … 3",
        "50 %",
    ]


def test_nan_in_an_array_is_counted():
    broken = partial("w", [np.nan, 1.0, 1.0, np.inf], np.ones(4))
    row = table(compose(gradient(broken))).rows[0]
    assert plain(row[3]) == "0 %, 50 % nan or inf"


def test_small_arrays_are_there_in_full_and_large_ones_are_not():
    small, large = partial("s", np.arange(3.0), np.ones(3)), partial("l", np.zeros(1000), np.ones(1000))
    shown = blocks(compose(gradient(small, large)), "values")
    assert [block.text for block in shown] == ["[0., 1., 2.]"]


def test_a_jacobian_is_a_heat_map_with_names():
    jacobian = partial("x", np.arange(6.0).reshape(2, 3), np.ones(3), rows=1)
    page = compose(gradient(jacobian, value=np.ones(2), output=Value(name="f", type="f32[2]")))
    heat = next(block for block in blocks(page) if isinstance(block, Heat))
    assert heat.values == ((0.0, 1.0, 2.0), (3.0, 4.0, 5.0))
    assert heat.row_names == ("population[0]", "population[1]")
    assert heat.column_names == ("x[0]", "x[1]", "x[2]")
    assert plain(page.say) == "population: Jacobian of f32[2] by x."


def test_a_hessian_of_numbers_is_a_table_by_names():
    pairs = [
        partial(f"{a}, {b}", v, 1.0, by=(a, b))
        for a, b, v in [("x", "x", 0), ("x", "y", 6), ("y", "x", 6), ("y", "y", 2)]
    ]
    found = table(compose(gradient(*pairs, order=2)))
    assert [column.title for column in found.columns] == ["∂² population", "x", "y"]
    assert [[plain(cell) for cell in row] for row in found.rows] == [["x", "0", "+6"], ["y", "+6", "+2"]]


def test_a_curve_has_its_tangent_and_gaps():
    curve = Curve(x=(0.0, 1.0, 2.0), ys=((np.nan, 1.0, 4.0), (0.0, 2.0, 4.0), (2.0, 2.0, 2.0)), at=1.0)
    page = compose(gradient(partial("x", 2.0, 1.0), value=np.float32(1.0), curve=curve))
    assert plain(page.say) == "population = 1.000. Its slope by x is 2.000: 1 % more adds 0.02000."
    [course] = (block for block in blocks(page) if isinstance(block, Course))
    first, second = course.charts
    assert [series.name for series in first.series] == ["population", "tangent"]
    assert np.isnan(first.series[0].y[0])
    assert first.series[1].y[1] == 1.0
    assert [series.name for series in second.series] == ["population′", "population″"]
    assert first.alt == "population for x from 0 to 2; at 1 it is 1.000 with slope 2.000."


def test_notes_stand_below_graver_ones_in_red():
    notes = (Note(kind="cast", text="`n` was whole."), Note(kind="wrong derivative", text="`x`: wrong."))
    page = compose(dataclasses.replace(CITY, notes=notes))
    assert [(plain(note.words), note.tone) for note in page.notes] == [
        ("n was whole.", "warn"),
        ("x: wrong.", "bad"),
    ]


def test_hundreds_of_leaves_show_the_most_effective():
    leaves = [partial(f"p[{i}]", float(i), 1.0) for i in range(200)]
    found = table(compose(gradient(*leaves)))
    assert len(found.rows) == 60
    assert plain(found.rows[0][0]) == "p[199]"
    assert found.caption == "and 140 more with smaller effects"


def test_the_jacobian_of_several_outputs_by_several_inputs_is_one_matrix():
    leaves = [
        partial("a", [1.0, 2.0], 1.0, rows=1, output="y['low']"),
        partial("b", [[3.0, 4.0], [5.0, 6.0]], np.ones(2), rows=1, output="y['low']"),
        partial("a", 7.0, 1.0, output="y['high']"),
        partial("b", [8.0, 9.0], np.ones(2), output="y['high']"),
    ]
    page = compose(gradient(*leaves, value=None, output=Value(name="y", type="f32[2], f32[]")))
    heat = next(block for block in blocks(page) if isinstance(block, Heat))
    assert heat.values == ((1.0, 3.0, 4.0), (2.0, 5.0, 6.0), (7.0, 8.0, 9.0))
    assert heat.row_names == ("y['low'][0]", "y['low'][1]", "y['high']")
    assert heat.column_names == ("a", "b[0]", "b[1]")


def test_a_large_jacobian_is_shown_by_stretches():
    value = np.zeros((200, 60))
    value[199, 59], value[0, 1] = -7.0, 3.0
    leaf = partial("x", value, np.ones(60), rows=1)
    page = compose(gradient(leaf, value=np.ones(200), output=Value(name="f", type="f32[200]")))
    heat = next(block for block in blocks(page) if isinstance(block, Heat))
    assert (len(heat.values), len(heat.values[0])) == (48, 48)
    assert heat.values[-1][-1] == -7.0
    assert heat.values[0][0] == 3.0
    assert (heat.row_names[0], heat.column_names[-1]) == ("population[0 … 4]", "x[59]")
    assert heat.alt.endswith("of each stretch of rows and columns the number farthest from zero")


def test_a_higher_derivative_of_one_number_is_said():
    said = plain(compose(gradient(partial("x, x, x", -0.5, 1.0, by=("x",) * 3), order=3)).say)
    assert said == "population = 1,303,000. Its third derivative by x is −0.5000."


def test_third_derivatives_of_numbers_show_each_mixture_once_and_a_picture_in_their_own_sizes():
    names = ("x", "y")
    values = {("x", "x", "y"): 2.0}
    leaves = [
        partial(", ".join(by), values.get(tuple(sorted(by)), 0.0), 3.0 if by[0] == "x" else 5.0, by=by)
        for by in itertools.product(names, repeat=3)
    ]
    page = compose(gradient(*leaves, order=3))
    assert [[plain(cell) for cell in row] for row in table(page).rows] == [
        ["x, x", "0", "+2"],
        ["x, y", "+2", "0"],
        ["y, y", "0", "0"],
    ]
    heat = next(block for block in blocks(page) if isinstance(block, Heat))
    assert heat.values == ((0.0, 90.0), (90.0, 0.0), (0.0, 0.0))
    assert (heat.row_names, heat.column_names) == (("x, x", "x, y", "y, y"), ("x", "y"))


def test_third_derivatives_by_an_array_show_the_largest_once():
    value = np.zeros((2, 2, 2))
    value[0, 0, 1] = value[0, 1, 0] = value[1, 0, 0] = -4.0
    value[1, 1, 1] = 1.0
    leaf = partial("x, x, x", value, np.ones(2), by=("x", "x", "x"))
    page = compose(gradient(leaf, order=3))
    heat = next(block for block in blocks(page) if isinstance(block, Heat))
    assert heat.row_names == ("x[0], x[0]", "x[0], x[1]", "x[1], x[1]")
    assert heat.values == ((0.0, -4.0), (-4.0, 0.0), (0.0, 1.0))
    rows = table(page).rows
    assert [[plain(cell) for cell in row] for row in rows] == [
        ["x[0], x[0], x[1]", "−4"],
        ["x[1], x[1], x[1]", "+1"],
    ]


def model():
    return [
        partial("p.out", np.ones(3), np.ones(3), way=("p", "out")),
        partial("p.dense.kernel", np.full((10, 10), np.nan), np.ones((10, 10)), way=("p", "dense", "kernel")),
        partial("p.dense.scale", 2.0, 1.0, way=("p", "dense", "scale"), mark="vanishing"),
    ]


def test_a_pytree_is_a_tree():
    [found] = blocks(compose(gradient(*model())), "tree")
    assert isinstance(found, Tree)
    [root] = found.branches
    assert plain(root.words) == "p"
    assert plain(root.cells[0]) == "3 arrays, 104"
    assert plain(root.cells[-1]) == "vanishing"
    out, dense = root.inside
    assert [plain(part.words) for part in dense.inside] == ["kernel", "scale"]
    kernel, scale = dense.inside
    assert isinstance(out.inside[0], Code)
    assert isinstance(kernel.inside[0], Strip)
    assert [plain(cell) for cell in kernel.cells] == ["f32[10,10]", "nan", "0 %, 100 % nan", "nan", "✓ 3e-9"]
    assert plain(scale.cells[-1]) == "vanishing · ✓ 3e-9"
    assert scale.inside == ()


def test_a_wide_tree_says_what_it_leaves_out():
    leaves = [partial(f"p[{i}]", 1.0, 1.0, way=("p", str(i))) for i in range(100)]
    [found] = blocks(compose(gradient(*leaves)), "tree")
    [root] = found.branches
    assert isinstance(root, Branch)
    assert len(root.inside) == 41
    assert plain(root.inside[-1].words) == "and 60 more"


def test_two_numbers_have_contours():
    grid = ((0.0, 1.0), (2.0, np.nan))
    field = Field(
        names=("a", "b"), at=(1.0, 1.0), x=(0.0, 1.0), y=(0.0, 1.0), values=grid, slopes=(grid, grid)
    )
    [found] = blocks(compose(gradient(*CITY.leaves[:2], field=field)), "contours")
    assert isinstance(found, Contours)
    assert found.alt == (
        "Level lines of population over a from 0 to 1 and b from 0 to 1, where it is between 0 and 2; "
        "the arrows are its gradient, uphill."
    )


EXPENSES = (
    Expense(way="function", seconds=1e-3, bytes=100, flops=1000.0),
    Expense(way="reverse", seconds=2.5e-3, bytes=300, flops=3000.0),
    Expense(way="forward", seconds=10e-3, bytes=None, flops=None, passes=1000, estimated=True),
)


def test_costs_wait_until_they_are_looked_at():
    page = compose(gradient(*CITY.leaves, expenses=Lazy(lambda: EXPENSES)))
    tab = next(tab for tab in page.tabs if tab.title == "costs")
    assert tab.hint
    assert not tab.blocks.ready


def test_costs_say_the_rule_of_five_and_which_mode_is_cheaper():
    page = compose(gradient(*CITY.leaves, expenses=Lazy.of(EXPENSES)))
    found, rule, choice = blocks(page, "costs")
    assert [[plain(cell) for cell in row] for row in found.rows] == [
        ["the function", "1.00 ms", "", "100 B", "", "1 kflop"],
        ["reverse mode ← chosen", "2.50 ms", "2.5", "300 B", "1", "3 kflop"],
        ["forward mode", "about 10.0 ms", "about 10", "unknown", "1,000", "unknown"],
    ]
    assert plain(rule.words) == (
        "A gradient should cost at most 5 times its function: ✓ holds, "
        "2.5 times its time and 3.0 times its arithmetic."
    )
    assert plain(choice.words) == "Reverse mode was chosen, and is 4.0 times as fast here."


def test_many_parts_are_listed_in_the_tree_and_their_common_check_once():
    leaves = [
        partial(f"params['w{i}']", np.ones((9, 9)), np.ones((9, 9)), way=("params", f"w{i}"))
        for i in range(30)
    ]
    wrong = dataclasses.replace(FINE, ok=False, finding="wrong")
    leaves[7] = dataclasses.replace(leaves[7], check=wrong)
    page = compose(gradient(*leaves))
    [by_input] = blocks(page)
    assert (len(by_input.rows), by_input.caption) == (8, "and 22 more with smaller effects")
    [parts] = blocks(page, "tree")
    assert len(parts.branches[0].inside) == 30
    [checks] = blocks(page, "checks")
    assert [plain(row[0]) for row in checks.rows] == ["params['w0'] and 28 more, together", "params['w7']"]
