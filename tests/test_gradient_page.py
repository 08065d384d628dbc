"""What `%jaxgrad` says, word by word, from results built by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from jaxmagic.pages.blocks import Bar, Chart, Heat, Table
from jaxmagic.pages.compose import compose
from jaxmagic.results import Check, Curve, Gradient, Note, Partial, Value

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
    bars = [row[3] for row in rows]
    assert all(isinstance(bar, Bar) for bar in bars)
    assert [(round(bar.share, 2), bar.tone) for bar in bars] == [
        (1.0, "accent"),
        (0.64, "backward"),
        (0.23, "accent"),
    ]
    assert [plain(row[4]) for row in rows] == ["✓ 3e-9"] * 3


def test_arrays_show_their_shape_norm_range_and_zeros():
    weights = partial("w", [[3.0, 0.0], [0.0, -4.0]], np.ones((2, 2)))
    found = table(compose(gradient(weights, partial("b", 1.0, 2.0))))
    assert [column.title for column in found.columns] == [
        "by", "∂ population", "range", "zeros", "for 1 % more", "", "check",
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


def test_a_jacobian_is_a_heat_map():
    jacobian = partial("x", np.arange(6.0).reshape(2, 3), np.ones(3), rows=1)
    page = compose(gradient(jacobian, value=np.ones(2), output=Value(name="f", type="f32[2]")))
    heat = next(block for block in blocks(page) if isinstance(block, Heat))
    assert heat.values == ((0.0, 1.0, 2.0), (3.0, 4.0, 5.0))
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
    first, second = (block for block in blocks(page) if isinstance(block, Chart))
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
