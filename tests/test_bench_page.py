"""What the page of a race says, for results made by hand."""

import pytest

from jaxmagic.pages import units
from jaxmagic.pages.benchmark import page
from jaxmagic.pages.blocks import Bar, Chart, Code, Table
from jaxmagic.results import Agreement, Benchmark, Contender, Interval, Memory, Note, Port, Span, Value


def text(words):
    return "".join(word.text for word in words)


def bold(words):
    return [word.text for word in words if word.strong]


def side(name, typical, **more):
    low, high = typical * 0.98, typical * 1.02
    return Contender(
        name=name,
        seconds=((typical, typical * 1.01),) * 8,
        typical=typical,
        interval=Interval(low=low, estimate=typical, high=high),
        first_call=more.pop("first_call", typical * 1.1),
        **more,
    )


JIT = side(
    "jax.jit",
    0.00078,
    first_call=0.095,
    compile_seconds=(0.004, 0.02, 0.07),
    memory=Memory(arguments=8_000_000, outputs=8_000_000, temporaries=0),
)


def result(speedup=(5.9, 6.2, 6.4), over="numpy", fast="jax.jit", **more):
    low, estimate, high = speedup
    contenders = [side("numpy", 0.00481), side("jax", 0.00302), JIT]
    fields = {
        "name": "heat",
        "contenders": {each.name: each for each in contenders},
        "agreement": Agreement(
            ok=True,
            max_abs_error=2.2e-16,
            max_rel_error=1e-16,
            dtypes={"numpy": "float64", "jax": "float64", "jax.jit": "float64"},
        ),
        "device": "cpu:0",
        "budget": 2.0,
        "elapsed": 2.01,
        "speedups": {fast: {over: Interval(low=low, estimate=estimate, high=high)}},
        "break_even_calls": 23,
        "inputs": (Value(name="u", type="f64[1000,1000]", bytes=8_000_000),),
        "conditions": {"numpy threads": 2, "jax threads": 2, "busy cores of others": 0.01, "64 bits": True},
    }
    return Benchmark(**(fields | more))


def test_the_headline_says_it_in_words():
    say = page(result()).say
    assert text(say) == (
        "Under jit 6.2 times as fast as NumPy (5.9–6.4), after 94 ms of compiling; "
        "it pays off from the 23rd call."
    )
    assert bold(say) == ["6.2 times as fast", "23rd call"]


def test_the_conditions_are_one_line():
    assert text(page(result()).conditions) == (
        "float64 on every side · u f64[1000,1000] passed as an argument · cpu:0 · 2 threads each · "
        "8 batches, 2.0 s · machine quiet · ✓ results agree, largest difference 2.2e-16"
    )


def test_chaos_is_no_agreement():
    chaotic = result(notes=(Note(kind="chaotic", text="Rounding alone moves the result."),))
    said = text(page(chaotic).conditions)
    assert said.endswith("machine quiet · results differ as far as rounding carries them")


def test_a_machine_that_is_not_steady_is_not_called_quiet():
    unsteady = result(notes=(Note(kind="unsteady", text="The batches of NumPy differ."),))
    assert "· machine not steady ·" in text(page(unsteady).conditions)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (
            {"speedup": (0.47, 0.48, 0.5), "break_even_calls": None},
            "Under jit 2.1 times slower than NumPy (2.0–2.1), so the 94 ms of compiling never pay off.",
        ),
        (
            {"speedup": (0.98, 1.01, 1.03), "break_even_calls": 4000},
            "Under jit about as fast as NumPy (0.98–1.03 times), after 94 ms of compiling.",
        ),
        (
            {"speedup": (0.97, 0.98, 0.999), "break_even_calls": None},
            "Under jit about as fast as NumPy (0.97–1.00 times), after 94 ms of compiling.",
        ),
        (
            {"speedup": (1.01, 1.02, 1.03), "break_even_calls": 4000},
            "Under jit about as fast as NumPy (1.01–1.03 times), after 94 ms of compiling.",
        ),
        (
            {"speedup": (1.04, 1.06, 1.07), "break_even_calls": 400},
            "Under jit 1.06 times as fast as NumPy (1.04–1.07), after 94 ms of compiling; "
            "it pays off from the 400th call.",
        ),
        (
            {"notes": (Note(kind="too busy", text="`numpy` had 20% of a core while it ran."),)},
            "The machine was too busy to tell who is faster; a call took NumPy 4.8 ms, "
            "JAX op by op 3.0 ms and JAX under jit 780 µs.",
        ),
        (
            {"speedup": (0.5, 2.0, 20.0), "break_even_calls": 40},
            "Under jit 0.5–20.0 times as fast as NumPy, which is too unsteady to tell, "
            "after 94 ms of compiling.",
        ),
        (
            {"speedup": (0.85, 1.0, 1.15), "break_even_calls": None},
            "Under jit 0.8–1.1 times as fast as NumPy, which is too unsteady to tell, "
            "after 94 ms of compiling.",
        ),
        (
            {"speedup": (1.5, 2.0, 40.0), "break_even_calls": 40},
            "Under jit 1.5–40.0 times as fast as NumPy, too unsteady to tell closer, "
            "after 94 ms of compiling; it pays off from the 40th call.",
        ),
        (
            {"speedup": (None, 0.5, None), "break_even_calls": None},
            "Under jit 2.0 times slower than NumPy (too few calls for an interval), "
            "after 94 ms of compiling.",
        ),
        (
            {"speedup": (None, 16.0, None)},
            "Under jit 16 times as fast as NumPy (too few calls for an interval), after 94 ms of compiling.",
        ),
        (
            {"break_even_calls": 1},
            "Under jit 6.2 times as fast as NumPy (5.9–6.4), after 94 ms of compiling; "
            "it pays off from the first call.",
        ),
    ],
)
def test_slower_and_undecided_are_said_as_plainly(more, expected):
    assert text(page(result(**more)).say) == expected


def without(*names):
    made = result()
    out = [Contender(name=name, obstacle="It cannot be done.", fix="Write it so.") for name in names]
    return {**made.contenders, **{each.name: each for each in out}}


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (
            {"agreement": Agreement(ok=False, where="numpy against jax.jit: result[3]: 1 against 2")},
            "The results differ, so no times are compared: numpy against jax.jit: result[3]: 1 against 2.",
        ),
        (
            {
                "agreement": Agreement(
                    ok=None, where="the results are random: two runs of the same code differ"
                )
            },
            "Timed, but not compared: the results are random: two runs of the same code differ.",
        ),
        ({"agreement": Agreement(ok=None)}, "Timed, but not compared: it was interrupted before."),
        (
            {"notes": (Note(kind="constant result", text="…"),)},
            "Timed, but not compared: the result does not depend on the inputs.",
        ),
        ({"contenders": {}, "interrupted": True}, "Nothing was timed, because it was interrupted."),
        (
            {"contenders": without("jax", "jax.jit"), "agreement": Agreement(ok=None)},
            "NumPy takes 4.81 ms a call; JAX could not run it.",
        ),
        (
            {
                "contenders": without("jax", "jax.jit")
                | {
                    name: Contender(name=name, obstacle="cut off after 2 s, …") for name in ("jax", "jax.jit")
                },
                "agreement": Agreement(ok=None),
            },
            "NumPy takes 4.81 ms a call; there was no time for JAX.",
        ),
        (
            {"contenders": without("jax.jit"), "fast": "jax"},
            "JAX op by op 6.2 times as fast as NumPy (5.9–6.4).",
        ),
        (
            {"contenders": without("numpy"), "over": "jax", "break_even_calls": None},
            "Under jit 6.2 times as fast as JAX op by op (5.9–6.4), after 94 ms of compiling.",
        ),
    ],
)
def test_no_headline_without_agreement_and_none_without_a_rival(more, expected):
    assert text(page(result(**more)).say) == expected


def test_labelled_contenders_are_ranked():
    contenders = {name: side(name, t) for name, t in [("slow", 3.0), ("mine", 1.0), ("torch", 2.0)]}
    speedups = {"mine": {"torch": Interval(low=1.9, estimate=2.0, high=2.1)}}
    say = page(result(contenders=contenders, speedups=speedups)).say
    assert text(say) == "mine is 2.0 times as fast as torch (1.9–2.1)."


def test_a_label_of_the_users_is_no_word_of_ours():
    """`jax: f(x)` says nothing of jit; nor of what its author means by it."""
    made = page(result(labelled=True, over="jax"))
    assert text(made.say) == "jax.jit is 6.2 times as fast as jax (5.9–6.4)."
    assert [text(row[0]) for row in made.tabs[0].blocks.get()[0].rows] == ["numpy", "jax", "jax.jit"]


def test_while_it_runs_it_says_so():
    shown = page(result(agreement=Agreement(ok=None)), progress=0.4)
    assert (
        text(shown.say)
        == "Racing heat: NumPy 4.8 ms, JAX op by op 3.0 ms and JAX under jit 780 µs a call so far."
    )
    assert shown.progress == 0.4
    assert text(page(result(contenders={}), progress=0.0).say) == "Racing heat …"


def test_obstacles_are_told_once_with_their_line_and_fix():
    span = Span(file="x.py", line=3, column=4, end_line=3, end_column=10)
    stopped = {
        "obstacle": "u[0] = … changes an array in place",
        "fix": "write u = u.at[0].set(…)",
        "span": span,
        "excerpt": "    u[0] = 1",
    }
    contenders = {"numpy": side("numpy", 1.0)} | {n: Contender(name=n, **stopped) for n in ("jax", "jax.jit")}
    notes = page(result(contenders=contenders, agreement=Agreement(ok=None))).notes
    assert [text(note.words) for note in notes] == [
        "JAX: u[0] = … changes an array in place. Line 3: u[0] = 1. Write u = u.at[0].set(…)."
    ]
    assert [word.text for word in notes[0].words if word.code] == ["u[0] = 1"]


def test_notes_and_a_busy_machine_are_shown():
    notes = (Note(kind="unsteady", text="The batches of `jax` differ."),)
    shown = page(result(notes=notes, conditions={"busy cores of others": 1.4}))
    assert [text(note.words) for note in shown.notes] == ["The batches of jax differ."]
    assert "machine busy" in text(shown.conditions)


def test_the_table_has_a_bar_with_its_interval_for_each_side():
    (table,) = page(result()).tabs[0].blocks.get()
    assert isinstance(table, Table)
    longest = 0.00481 * 1.02
    cells = [[text(cell) if isinstance(cell, tuple) else cell for cell in row] for row in table.rows]
    assert cells[0][:6] == ["NumPy", "4.81 ms", "4.71–4.91 ms", "5.3 ms", "–", "–"]
    assert cells[2][:6] == ["JAX under jit", "780 µs", "764–796 µs", "95 ms", "94 ms", "16 MB"]
    bar = cells[2][6]
    assert isinstance(bar, Bar)
    assert bar.share == pytest.approx(0.00078 / longest)
    assert (bar.low, bar.high) == pytest.approx((0.00078 * 0.98 / longest, 0.00078 * 1.02 / longest))
    assert [row[1][0].strong for row in table.rows] == [False, False, True]


def test_a_side_that_did_not_run_has_a_row_that_says_so():
    (table,) = page(result(contenders=without("jax"), agreement=Agreement(ok=True))).tabs[0].blocks.get()
    assert text(table.rows[1][1]) == "did not run"
    assert len(table.rows[1]) == len(table.columns)


def test_the_ported_code_is_shown_as_a_diff():
    port = Port(name="f", original="a", source="b", diff="-a\n+b", function=lambda: None)
    tabs = {each.title: each.blocks.get() for each in page(result(port=port)).tabs}
    assert list(tabs) == ["times", "ported code", "samples", "conditions"]
    assert tabs["ported code"][0] == Code(text="-a\n+b", caption="ported code: this is what ran", diff=True)
    assert "ported code" not in [each.title for each in page(result()).tabs]


def test_the_samples_are_a_strip_over_the_batches():
    (chart,) = page(result()).tabs[1].blocks.get()
    assert isinstance(chart, Chart)
    assert [series.name for series in chart.series] == ["NumPy", "JAX op by op", "JAX under jit"]
    assert chart.series[0].x[:3] == (0.25, 0.75, 1.25)
    assert chart.alt == (
        "Time of a call of NumPy, JAX op by op and JAX under jit, sample by sample over 8 batches."
    )


def test_many_samples_are_thinned():
    many = Contender(name="a", seconds=((1.0,) * 5000,) * 8, typical=1.0)
    tabs = {each.title: each.blocks.get() for each in page(result(contenders={"a": many})).tabs}
    assert len(tabs["samples"][0].series[0].x) <= 500


def test_every_condition_has_a_row():
    tabs = {each.title: each.blocks.get() for each in page(result()).tabs}
    rows = {text(name): text(value) for name, value in tabs["conditions"][0].rows}
    assert rows["device"] == "cpu:0"
    assert rows["budget"] == "2.0 s"
    assert rows["64 bits"] == "yes"
    assert rows["busy cores of others"] == "0.01"


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        ((5.9, 6.2, 6.4), ("6.2", "5.9–6.4")),
        ((2.98, 3.001, 3.02), ("3.00", "2.98–3.02")),
        ((1.02, 1.04, 1.07), ("1.04", "1.02–1.07")),
        ((2.6, 2.9, 12.3), ("2.9", "2.6–12.3")),
        ((24.1, 25.0, 25.9), ("25", "24–26")),
        ((1190.0, 1200.0, 1210.0), ("1,200", "1,190–1,210")),
        ((2.0, 2.0, 2.0), ("2.00", "2.00–2.00")),
    ],
)
def test_a_ratio_shows_the_digits_that_its_range_can_tell(interval, expected):
    assert units.ratio_within(*interval) == expected


def test_a_gradient_is_told_by_its_cost():
    made = result()
    contenders = {"numpy": made.contenders["numpy"], "jax.jit": JIT, "jax.grad": side("jax.grad", 0.0018)}
    speedups = {"jax.jit": {"jax.grad": Interval(low=2.2, estimate=2.3, high=2.5)}}
    assert text(page(result(contenders=contenders, speedups=speedups)).say) == (
        "With its gradient a call takes 2.3 times as long as the function alone under jit (2.2–2.5)."
    )
