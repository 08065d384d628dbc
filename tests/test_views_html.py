"""Static HTML: what it says, what it leaves out, and that no text of a user becomes markup."""

from __future__ import annotations

import base64
import dataclasses
import math
import re
from html.parser import HTMLParser

import matplotlib
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmagic.pages.blocks import (
    Aside,
    Bar,
    Chart,
    Code,
    Column,
    Contours,
    Course,
    Heat,
    Page,
    Program,
    Prose,
    Series,
    SourceLine,
    Tab,
    Table,
    Text,
    code,
    tab,
    words,
)
from jaxmagic.results import Lazy
from jaxmagic.views import chart, html
from tests import hostile
from tests.views_pages import CHART, DIFF, HEAT, PROGRAM, RACE, everything

PLAIN = html.Medium(paint=html.classes, picture=lambda picture: "<i></i>", most=2)
VOID = {"img", "br"}
TAGS = {
    *("div", "p", "b", "code", "span", "table", "caption", "thead", "tbody", "tr", "th", "td", "pre"),
    *("details", "summary", "img", "progress"),
}
ATTRIBUTES = {
    *(
        "style",
        "class",
        "open",
        "scope",
        "src",
        "width",
        "alt",
        "title",
        "aria-hidden",
        "aria-label",
        "max",
        "value",
    )
}


class Read(HTMLParser):
    """The tags, attributes and words of a page, and that its tags are balanced."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes, self.open, self.words = [], [], [], []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def drawn(*blocks, medium=PLAIN):
    return html.fragment(blocks, medium)


def test_words():
    sentence = words("a < ", Text("b", strong=True), code("c"), Text("d", tone="good"))
    assert drawn(Prose(words=sentence)) == (
        '<p class="jm-prose">a &lt; <b class="jm-strong">b</b><code class="jm-word">c</code>'
        '<span class="jm-good">d</span></p>'
    )


def test_a_note_has_the_colour_of_its_tone():
    assert drawn(Aside(words=words("x"), tone="bad")) == '<div class="jm-aside jm-edge-bad">x</div>'


def test_a_table_with_a_bar_and_a_cut():
    table = Table(
        columns=(Column(title="by", align="left"), Column(title="")),
        rows=(
            (words("a"), Bar(share=0.25, low=0.2, high=0.3)),
            (words("b"), Bar(share=0.0)),
            (words("c"), words()),
        ),
        caption="shares",
    )
    track = '<span aria-hidden="true" class="jm-track">'
    assert drawn(table) == (
        '<div class="jm-wide"><table class="jm-table"><caption class="jm-caption">shares</caption>'
        '<thead><tr class="jm-row"><th scope="col" class="jm-th jm-left">by</th>'
        '<th scope="col" class="jm-th jm-right"></th></tr></thead><tbody>'
        f'<tr class="jm-row"><td class="jm-td jm-left">a</td><td class="jm-td jm-right">{track}'
        '<span class="jm-fill jm-accent" style="width:25.0%">████</span>'
        '<span class="jm-whisker" style="left:20.0%;width:10.0%"></span></span></td></tr>'
        f'<tr class="jm-row"><td class="jm-td jm-left">b</td><td class="jm-td jm-right">{track}'
        '<span class="jm-fill jm-accent" style="width:0.0%"></span></span></td></tr></tbody></table></div>'
        '<p class="jm-hint">… 1 more row</p>'
    )


def test_a_diff_marks_its_lines_but_not_its_heading():
    listing = Code(text="--- a\n+ b", diff=True)
    assert drawn(listing) == '<pre class="jm-code">--- a\n<span class="jm-added">+ b</span></pre>'
    assert (
        drawn(Code(text="a\nb\nc")) == '<pre class="jm-code">a\nb</pre><p class="jm-hint">… 1 more line</p>'
    )


def test_a_static_program_names_the_source_line_of_each_row():
    program = html.block(PROGRAM, html.STATIC)
    assert "   2      c:f32[512,128] = dot_general[" in program
    assert "   4      j:f32[] = add h i" in program
    assert "dimension_numbers=(([1], [0]), ([], []))] a b" in program


def test_a_long_program_is_cut_and_says_so():
    program = Program(
        columns=("flop",),
        source=tuple(SourceLine(number=i, text="x") for i in range(500)),
        program=tuple(f"row {i}" for i in range(5000)),
        ties=(),
        language="hlo",
        cut=10,
    )
    page = html.render(Page(say=words("f"), tabs=(tab("hlo", program),)))
    assert "… 4,860 more lines" in page
    assert "… 340 more lines" in page
    assert len(page) < 60_000


def test_tabs_are_folds_and_the_first_is_open():
    read = Read(html.render(everything()))
    assert read.tags.count("details") == 5
    assert [name for name, _ in read.attributes].count("open") == 1
    assert "not made yet: compiles the program" in read.words


def test_one_tab_is_no_fold():
    assert "details" not in Read(html.render(Page(say=words("f"), tabs=(tab("a", DIFF),)))).tags


def test_a_dear_tab_costs_nothing():
    made = []
    html.render(
        Page(say=words("f"), tabs=(Tab(title="a", blocks=Lazy(lambda: made.append(1)), hint="dear"),))
    )
    assert made == []


def test_a_failing_block_shows_its_text_and_the_rest_stands():
    broken = Chart(series=(Series(name="f", x=(1.0, 2.0), y=(1.0,)),), x="year", y="people", alt="A line.")
    read = Read(html.render(Page(say=words("f"), tabs=(tab("a", broken, DIFF),))))
    said = "".join(read.words)
    assert "this chart could not be drawn (ValueError" in said
    assert "ported code: this is what ran" in said


def test_an_error_of_ours_is_told_with_its_fix():
    class Ours(Exception):
        message, fix = "no such device", "there are: cpu:0"

    def fail():
        raise Ours

    page = html.render(Page(say=words("f"), tabs=(Tab(title="a", blocks=Lazy(fail)),)))
    assert "could not be made: no such device. there are: cpu:0" in page


def test_only_what_sanitizers_keep():
    read = Read(html.render(everything()))
    assert set(read.tags) <= TAGS
    assert {name for name, _ in read.attributes} <= ATTRIBUTES


def test_an_ordinary_page_is_small():
    page = Page(say=words("f"), tabs=(tab("jaxpr", PROGRAM), tab("times", RACE, DIFF, CHART)))
    assert len(html.render(page, twin=True)) < 30_000


def test_a_twin_brings_the_rule_that_hides_the_remains_of_the_widget():
    page = Page(say=words("f"))
    assert "<style>" not in html.render(page)
    assert 'class="jm jm-static jm-twin"' in html.render(page, twin=True)


def test_matplotlib_is_left_as_it_was():
    matplotlib.rcParams["font.size"] = 17.0
    before = dict(matplotlib.rcParams)
    try:
        assert html.block(CHART, html.STATIC).startswith('<img src="data:image/svg+xml;base64,')
        assert html.block(HEAT, html.STATIC).startswith('<img src="data:image/png;base64,')
        assert dict(matplotlib.rcParams) == before
    finally:
        matplotlib.rcdefaults()


def test_a_chart_of_gaps_logs_and_points_is_drawn():
    nan, inf = float("nan"), float("inf")
    series = Series(name="f", x=(1.0, 2.0, 3.0), y=(nan, inf, 3.0), points=True, tone="plain")
    chart = Chart(series=(series,), x="$x", y="$\\bad{", alt="", log_x=True, log_y=True)
    assert html.block(chart, html.STATIC).startswith("<img")
    heat = Heat(values=((nan, inf), (0.0, -1.0)), rows="", columns="", alt="")
    assert html.block(heat, html.STATIC).startswith("<img")


@pytest.mark.parametrize("payload", hostile.PAYLOADS)
def test_hostile_text_stays_text(payload):
    for page in (html.render(hostile.page(payload), twin=True).split("</style>")[1],):
        read = Read(page)
        assert set(read.tags) <= TAGS
        assert {name for name, _ in read.attributes} <= ATTRIBUTES
        assert not re.search(
            "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", page
        )


@given(st.text(st.characters() | st.sampled_from("<>&\"'`=/\x1b\u202e\ud800")))
@settings(max_examples=60, deadline=None)
def test_any_text_stays_text(nasty):
    blocks = [
        block for block in hostile.blocks(nasty) if not isinstance(block, Chart | Course | Contours | Heat)
    ]
    page = Page(say=words(nasty), tabs=(tab(nasty, *blocks), tab(nasty)), notes=(Aside(words=words(nasty)),))
    read = Read(html.render(page))
    assert set(read.tags) <= TAGS
    assert {name for name, _ in read.attributes} <= ATTRIBUTES


def samples(count, points):
    rough = tuple(1e-6 * (1 + (i * 7919 % 101) / 101) for i in range(count))
    spiked = (*rough[: count // 3], 9e-5, *rough[count // 3 + 1 :])
    return Series(name="jit", x=tuple(i / count for i in range(count)), y=spiked, points=points)


@pytest.mark.parametrize("points", [True, False])
def test_a_chart_of_very_many_points_stays_small(points):
    many = [samples(10_000, points) for _ in range(3)]
    drawn = Chart(series=tuple(many), x="batch", y="seconds", alt="samples", log_y=True)
    assert len(html.block(drawn, html.STATIC)) < 32_000
    svg = base64.b64decode(chart.chart(drawn).split(",")[1]).decode()
    assert svg.count("h0") == (3 * len(chart.thinned(many[0]).x) if points else 0)
    assert "mathdefault" not in svg
    assert ">1e−05<" in svg


def test_thinning_keeps_the_ends_the_extremes_and_the_gaps():
    many = samples(10_000, points=False)
    gap = dataclasses.replace(many, y=(*many.y[:5000], math.nan, *many.y[5001:]), low=many.y, high=many.y)
    thin = chart.thinned(gap)
    assert len(thin.x) <= chart.MOST_POINTS
    assert len(thin.x) == len(thin.y) == len(thin.low) == len(thin.high)
    known = [y for y in thin.y if not math.isnan(y)]
    assert (max(known), min(known)) == (9e-5, min(many.y))
    assert sum(map(math.isnan, thin.y)) == 1
    assert (thin.x[0], thin.x[-1]) == (many.x[0], many.x[-1])
    assert list(thin.x) == sorted(thin.x)


def test_few_points_stay_as_they_are():
    few = samples(chart.MOST_POINTS, points=True)
    assert chart.thinned(few) is few


def test_work_under_way_draws_no_picture_that_nobody_sees():
    """The live view shows it; matplotlib would take the time of the work."""
    page = dataclasses.replace(everything(), progress=0.5)
    assert "<img" not in html.render(page, twin=True)
    assert "<img" in html.render(page)
    assert "<img" in html.render(everything(), twin=True)


def test_bars_are_filled_where_a_notebook_is_not_trusted():
    """JupyterLab drops `background: currentColor` there, and keeps the longer name."""
    assert "background-color:currentColor" in html.render(everything())
    assert "background:currentColor" not in html.render(everything())
