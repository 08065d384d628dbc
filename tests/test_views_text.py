"""Pages in a terminal, by exact text."""

from __future__ import annotations

import unicodedata
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from jaxmagic.pages.blocks import (
    Aside,
    Bar,
    Chart,
    Code,
    Column,
    Heat,
    Page,
    Program,
    Prose,
    Range,
    Series,
    SourceLine,
    Tab,
    Table,
    Tie,
    spell,
    strong,
    tab,
    words,
)
from jaxmagic.results import Lazy
from jaxmagic.views import text
from tests.views_pages import DIFF, PROGRAM, RACE, everything


def lines(page, columns=72):
    return text.render(page, columns).split("\n")


def test_one_tab_shows_no_bar():
    page = Page(
        say=words("New arrays go to ", strong("cpu:0"), "."),
        conditions=words("2 devices"),
        tabs=(tab("devices", Prose(words=spell("as `jax.devices()` lists them"))),),
        notes=(Aside(words=words("no GPU")), Aside(words=words("and no TPU"), tone="bad")),
    )
    assert lines(page) == [
        "New arrays go to cpu:0.",
        "2 devices",
        "",
        "as `jax.devices()` lists them",
        "",
        "* no GPU",
        "! and no TPU",
    ]


def test_a_race():
    assert text.block(RACE) == [
        "                a call   interval  first call",
        "NumPy          4.81 ms  4.74–4.93      5.2 ms  ██████████████████████▏",
        "JAX, op by op  3.02 ms  2.97–3.11       41 ms  █████████████▉",
        "JAX, jit       0.78 ms  0.75–0.81       95 ms  ███▋",
    ]


def test_a_program_with_the_source_line_of_each_row():
    assert text.block(PROGRAM) == [
        "line          time    flop  source",
        "   1                        def layer(x, w):",
        "   2  █▍      22 %  33.6 M      h = jnp.tanh(x @ w)",
        "   3  ████▎   71 %       –      s = jnp.sort(h, axis=0)",
        "   4  ▎        4 %   0.3 M      return (s ** 2).mean() + h.sum()",
        "      ▏        3 %          not attributed",
        "",
        "line  jaxpr",
        "      { lambda ; a:f32[512,256] b:f32[256,128]. let",
        "   2      c:f32[512,128] = dot_general[dimension_numbers=(([1], [0]), ([], []))] a b",
        "   2      d:f32[512,128] = tanh c",
        "   3      e:f32[512,128] = sort[dimension=0] d",
        "   4      f:f32[512,128] = integer_pow[y=2] e",
        "   4      g:f32[] = reduce_sum[axes=(0, 1)] f",
        "   4      h:f32[] = div g 65536.0:f32[]",
        "   4      i:f32[] = reduce_sum[axes=(0, 1)] d",
        "   4      j:f32[] = add h i",
        "        in (j,) }",
    ]


def test_a_cut_program_says_so():
    program = Program(
        columns=(),
        source=(SourceLine(number=7, text="f(x)"),),
        program=("a",),
        ties=(),
        language="hlo",
        cut=1200,
    )
    assert text.block(program)[-1] == "      … 1,200 more lines"


def test_a_diff():
    assert text.block(DIFF) == [
        "ported code: this is what ran",
        "   def heat(u, a):",
        "  -    u[1:-1] += a * (u[2:] - u[:-2])",
        "  +    u = u.at[1:-1].add(a * (u[2:] - u[:-2]))",
        "       return u",
    ]


def chart(*series, **changes):
    return text.block(Chart(series=series, x="year", y="people", alt="A line.", **changes))


YEARS = tuple(float(year) for year in range(2020, 2041))


def test_a_chart_is_its_words_and_a_line_for_each_of_its_lines():
    hill = Series(name="hill", x=YEARS, y=tuple(100 - (t - 2030) ** 2 for t in YEARS))
    assert chart(Series(name="f", x=YEARS, y=tuple(t - 2020 for t in YEARS)), hill) == [
        "A line.",
        "f     ▁▁▁▂▂▃▃▃▄▄▅▅▅▆▆▇▇▇███  0 at 2020, 20 at 2040",
        "hill  ▁▂▃▅▆▇▇███████▇▇▆▅▃▂▁  0 at 2020, 0 at 2040; highest 100",
    ]


def test_a_chart_of_samples_tells_their_range_and_median():
    many = tuple(i / 100 for i in range(1000))
    line = Series(name="jit", x=many, y=tuple(1e-6 * (1 + i % 3) for i in range(1000)), points=True)
    (told,) = chart(line, log_y=True)[1:]
    assert told.split(maxsplit=2)[0] == "jit"
    assert told.endswith("  1e-6 to 3e-6, median 2e-6")
    assert len(told.split()[1]) == 24


def test_a_chart_of_many_lines_tells_three():
    lines = chart(*(Series(name=f"f{i}", x=YEARS, y=YEARS) for i in range(5)))
    assert [line.split()[0] for line in lines[1:]] == ["f0", "f1", "f2", "…"]
    assert lines[-1] == "… 2 more lines"


def test_a_chart_of_few_points_is_a_table_with_its_gaps():
    few = YEARS[:3]
    f, g = Series(name="f", x=few, y=(1.0, float("nan"), 3.0)), Series(name="g", x=few, y=few)
    assert chart(f, g) == ["A line.", "year  f      g", "2020  1  2,020", "2021  –  2,021", "2022  3  2,022"]


def test_gaps_and_what_is_constant_in_a_sparkline():
    nan, inf = float("nan"), float("inf")
    gap = Series(name="gap", x=YEARS[:8], y=(nan, 1.0, 2.0, nan, inf, 4.0, 8.0, nan))
    flat = Series(name="flat", x=YEARS[:8], y=(5.0,) * 8)
    assert chart(gap, flat, Series(name="none", x=YEARS, y=(nan,) * 21)) == [
        "A line.",
        "gap    ▁▂  ▄█   1 at 2021, 8 at 2026",
        "flat  ▄▄▄▄▄▄▄▄  5 at 2020, 5 at 2027",
        "none            no number",
    ]


def test_a_matrix():
    heat = Heat(values=((1.0, -0.5), (0.0, 2.0)), rows="out", columns="in", alt="Jacobian.")
    assert text.block(heat) == [
        "Jacobian.",
        "out down, in across",
        "   0     1",
        "0  1  −0.5",
        "1  0     2",
    ]


def test_a_dear_tab_shows_its_hint_and_is_not_made():
    made = []
    dear = Tab(title="XLA", blocks=Lazy(lambda: made.append(1) or ()), hint="compiles the program")
    costs = Tab(title="Costs", blocks=Lazy(lambda: made.append(2) or ()), hint="measures the device")
    page = Page(say=words("f"), tabs=(dear, tab("jaxpr", Prose(words=words("a"))), costs))
    assert lines(page) == [
        "f",
        "",
        "── jaxpr " + "─" * 63,
        "a",
        "",
        "not made yet",
        "XLA    compiles the program",
        "Costs  measures the device",
    ]
    assert made == []


def test_a_page_whose_one_tab_waits_says_so():
    dear = Tab(title="XLA", blocks=Lazy(lambda: ()), hint="compiles the program")
    assert lines(Page(say=words("f"), tabs=(dear,))) == ["f", "", "not made yet", "XLA  compiles the program"]


def test_times_along_a_line_have_their_units():
    shown = Series(name="NumPy", x=(0.0, 1.0), y=(1.2e-5, 3e-3), points=True)
    long = replace(shown, x=tuple(map(float, range(9))), y=(1.2e-5,) * 8 + (3e-3,))
    few = Chart(series=(shown,), x="batch", y="seconds a call", alt="Times.", seconds=True)
    assert text.block(few) == ["Times.", "batch    NumPy", "    0  12.0 µs", "    1  3.00 ms"]
    assert text.block(replace(few, series=(long,)))[1].endswith("12.0 µs to 3.00 ms, median 12.0 µs")


def test_a_tab_without_a_hint_is_made():
    page = Page(say=words("f"), tabs=(Tab(title="a", blocks=Lazy(lambda: (Prose(words=words("here")),))),))
    assert lines(page)[-1] == "here"


def test_what_fails_is_named_and_the_rest_stands():
    def fail():
        raise ValueError("no\x1b[31m luck")

    page = Page(
        say=words("f"),
        tabs=(
            Tab(title="a", blocks=Lazy(fail)),
            tab("b", Heat(values=None, rows="", columns="", alt=""), DIFF),
        ),
    )
    shown = lines(page)
    assert "could not be made: ValueError: no␛[31m luck" in shown
    assert any(line.startswith("this heat could not be shown: TypeError") for line in shown)
    assert "ported code: this is what ran" in shown


def test_progress():
    page = Page(say=words("racing"), progress=0.5)
    assert lines(page) == ["racing", "████████████░░░░░░░░░░░░ 50 %"]


def test_wide_characters_keep_columns_aligned():
    table = Table(
        columns=(Column(title="名", align="left"), Column(title="n")),
        rows=((words("東京"), words("1")), (words("ab"), words("22"))),
    )
    assert text.block(table) == ["名     n", "東京   1", "ab    22"]


def test_a_long_sentence_is_wrapped():
    assert max(map(len, lines(Page(say=words("word " * 60)), 40))) <= 40


NASTY = st.text(
    st.characters() | st.sampled_from("\x00\x07\x08\x1b\n\r\t\x7f\x85\x9b\u200f\u202e\u2066\u2028\ud800")
)


@given(NASTY)
def test_no_control_character_reaches_a_terminal(nasty):
    page = Page(
        say=words(nasty, strong(nasty)),
        conditions=words(nasty),
        tabs=(
            tab(
                nasty,
                Prose(words=words(nasty)),
                Aside(words=words(nasty)),
                Table(
                    columns=(Column(title=nasty),), rows=((words(nasty),), (Bar(share=0.5),)), caption=nasty
                ),
                Code(text=nasty, caption=nasty),
                Chart(series=(Series(name=nasty, x=(1.0,), y=(2.0,)),), x=nasty, y=nasty, alt=nasty),
                Heat(values=((1.0,),), rows=nasty, columns=nasty, alt=nasty),
                Program(
                    columns=(nasty,),
                    source=(SourceLine(number=1, text=nasty, cells=(nasty,)),),
                    program=(nasty,),
                    ties=(Tie(source=(Range(0, 0, 1),), program=(Range(0, 0, 1),)),),
                    language=nasty,
                ),
            ),
            Tab(title=nasty, blocks=Lazy(tuple), hint=nasty),
        ),
    )
    shown = text.render(page, 80)
    assert "could not be" not in shown
    controls = {c for c in shown if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")} - {"\n"}
    assert not controls
    assert not set(shown) & set("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def test_everything_at_every_width():
    for columns in (20, 40, 80, 160):
        assert "could not be shown" not in text.render(everything(), columns)
