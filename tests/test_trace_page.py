"""What the page of a trace says, from results built by hand."""

from __future__ import annotations

import dataclasses

import pytest

from jaxmagic.pages import trace as pages
from jaxmagic.pages.blocks import Program, Prose, Range, Tie
from jaxmagic.results import (
    Equation,
    Lazy,
    Line,
    Link,
    Memory,
    Note,
    Source,
    Span,
    Stage,
    Trace,
    Value,
)
from jaxmagic.views import html, text


def span(line, column, end, end_line=None):
    return Span(
        file="cell", line=line, column=column, end_line=end_line or line, end_column=end, function="layer"
    )


TEXT = ("def layer(x, w):", "    h = jnp.tanh(x @ w)", "    return h.sum()")
PRODUCT, TANH = span(2, 17, 22), span(2, 8, 23)
JAXPR = Stage(
    name="jaxpr",
    text="{ lambda ; a b. let\n    c = dot_general a b\n    d = tanh c\n  in (d,) }",
    links=(
        Link(row=1, start=4, end=23, span=PRODUCT),
        Link(row=2, start=4, end=14, span=TANH),
    ),
    seconds=0.001,
)
HLO = Stage(
    name="hlo",
    text="HloModule layer",
    links=(),
    seconds=0.061,
    memory=Memory(arguments=1200, outputs=4, temporaries=800, peak=918_000),
)


def lines(*costs):
    return tuple(
        Line(file="cell", line=number, source=text, flops=flops, bytes=moved, transcendentals=0.0)
        for number, (text, (flops, moved)) in enumerate(zip(TEXT, costs, strict=True), 1)
    )


def made(**changes):
    result = Trace(
        name="layer",
        inputs=(
            Value(name="x", type="f32[512,256]", bytes=524288),
            Value(name="w", type="f32[256,128]", bytes=131072),
        ),
        outputs=(Value(name="", type="f32[]", bytes=4),),
        equations=tuple(Equation(primitive="add", text="", span=None) for _ in range(8)),
        lines=lines((0.0, 0.0), (33.6e6, 1e6), (0.3e6, 0.2e6)),
        sources=(Source(file="cell", label="this cell", first_line=1, lines=TEXT),),
        flops=33.9e6,
        bytes=1.2e6,
        transcendentals=65536.0,
        trace_seconds=0.0021,
        device="cpu:0",
        stages={"jaxpr": Lazy.of(JAXPR), "hlo": Lazy(lambda: HLO)},
    )
    return dataclasses.replace(result, **changes)


def plain(words):
    return "".join(word.text for word in words)


def program(result, place=0):
    (found,) = [block for block in pages.page(result).tabs[place].blocks.get() if isinstance(block, Program)]
    return found


def test_the_sentence():
    page = pages.page(made())
    assert (
        plain(page.say)
        == "layer: x f32[512,256], w f32[256,128] → f32[] · 8 equations · 33.9 Mflop · 1.2 MB moved"
    )
    assert [word.text for word in page.say if word.strong] == ["layer", "33.9 Mflop"]


def test_the_conditions():
    page = pages.page(made())
    assert (
        plain(page.conditions)
        == "traced in 2.10 ms for cpu:0 · 655 kB in, 4 B out · 65.5 k transcendental operations"
    )


def test_what_is_unknown_is_called_unknown():
    result = made(flops=None, bytes=None, lines=lines((0.0, 0.0), (None, 5.0), (1.0, None)))
    assert plain(pages.page(result).say).endswith("· flop unknown · bytes moved unknown")
    assert [row.cells for row in program(result).source] == [("", ""), ("unknown", "5 B"), ("1", "unknown")]
    assert [row.share for row in program(result).source] == [None, None, None]


def test_nothing_in_and_nothing_out():
    page = pages.page(made(inputs=(), outputs=()))
    assert plain(page.say).startswith("layer: no array inputs → nothing · ")


def test_a_gradient_says_so():
    assert plain(pages.page(made(gradient=True)).say).startswith("gradient of layer: ")


def test_many_inputs_are_told_by_their_roots():
    params = tuple(Value(name=f"params['w{i}']", type="f32[10]", bytes=40) for i in range(10))
    result = made(inputs=(*params, Value(name="x", type="f32[3]", bytes=12)))
    assert plain(pages.page(result).say).startswith("layer: params (10 arrays, 400 B), x f32[3] → ")
    roots = tuple(Value(name=f"w{i}", type="f32[10]", bytes=40) for i in range(30))
    assert plain(pages.page(made(inputs=roots)).say).startswith("layer: 30 arrays (1.2 kB) → ")


def test_the_tabs_say_which_are_dear():
    tabs = pages.page(made()).tabs
    assert [(tab.title, tab.hint) for tab in tabs] == [
        ("jaxpr", ""),
        ("XLA", "compiles the program"),
        ("Memory", "compiles the program"),
    ]


def test_making_the_page_asks_for_nothing_dear():
    def refuse():
        raise AssertionError("asked")

    page = pages.page(made(stages={"jaxpr": Lazy(refuse), "stablehlo": Lazy(refuse), "hlo": Lazy(refuse)}))
    assert [tab.title for tab in page.tabs] == ["jaxpr", "StableHLO", "XLA", "Memory"]


def test_source_and_program_are_tied_both_ways():
    found = program(made())
    assert found.columns == ("flop", "bytes")
    assert [row.cells for row in found.source] == [("", ""), ("33.6 M", "1 MB"), ("300 k", "200 kB")]
    assert found.source[1].share == pytest.approx(33.6 / 33.9)
    assert found.ties == (
        Tie(source=(Range(1, 17, 22),), program=(Range(1, 4, 23),)),
        Tie(source=(Range(1, 8, 23),), program=(Range(2, 4, 14),)),
    )


def test_a_tie_over_several_lines_has_a_range_a_line():
    long = Link(row=1, start=4, end=9, span=span(2, 8, 18, end_line=3))
    result = made(stages={"jaxpr": Lazy.of(dataclasses.replace(JAXPR, links=(long,)))})
    (tie,) = program(result).ties
    assert tie.source == (Range(1, 8, 23), Range(2, 4, 18))


def test_several_sources_get_headings_and_their_rows_shift():
    other = Source(file="b.py", label="b.py", first_line=7, lines=("return 1",))
    result = made(sources=(made().sources[0], other))
    found = program(result)
    assert [row.text for row in found.source] == ["this cell", *TEXT, "b.py", "return 1"]
    assert [row.number for row in found.source] == [None, 1, 2, 3, None, 7]
    assert found.ties[0].source == (Range(2, 17, 22),)


@pytest.mark.parametrize("label", ["this cell", "this line", "cell"])
def test_one_source_that_is_the_cell_itself_gets_no_heading(label):
    here = dataclasses.replace(made().sources[0], label=label)
    assert [row.text for row in program(made(sources=(here,))).source] == [*TEXT]


def test_one_source_from_elsewhere_is_headed_by_its_name():
    there = dataclasses.replace(made().sources[0], label="In [3]")
    found = program(made(sources=(there,)))
    assert [row.text for row in found.source] == ["In [3]", *TEXT]
    assert found.ties[0].source == (Range(2, 17, 22),)


def test_costs_without_a_line_are_shown_as_such():
    found = program(made(flops=40e6))
    assert (found.source[-1].text, found.source[-1].cells) == ("elsewhere", ("6.1 M", "0 B"))


def test_links_without_a_listing_are_left_out():
    result = made(sources=(), lines=())
    assert program(result).ties == ()


def test_compiled_memory_stands_in_its_tab():
    prose, block = pages.page(made()).tabs[1].blocks.get()
    assert isinstance(prose, Prose)
    assert plain(prose.words) == (
        "compiled in 61.0 ms · 1.2 kB arguments · 4 B outputs · 800 B temporaries · peak memory 918 kB"
    )
    assert isinstance(block, Program)
    assert block.language == "hlo"


def test_a_long_program_is_cut_and_says_so():
    rows = "\n".join("x" * 2000 for _ in range(53_500))
    last = Link(row=53_499, start=0, end=5, span=TANH)
    stage = dataclasses.replace(JAXPR, text=rows, links=(last,))
    prose, block = pages.page(made(stages={"jaxpr": Lazy.of(stage)})).tabs[0].blocks.get()
    assert len(block.program) == pages.MAX_ROWS
    assert block.cut == 53_500 - pages.MAX_ROWS
    assert {len(row) for row in block.program} == {pages.MAX_COLUMNS}
    assert block.ties == ()
    assert plain(prose.words) == "the first 50,000 lines; 3,500 more are in `.stage('jaxpr')`"


def test_notes_say_where():
    note = Note(kind="unrolled loop", text="This `for` loop was unrolled.", span=TANH)
    (aside,) = pages.page(made(notes=(note,))).notes
    assert plain(aside.words) == "Line 2: This for loop was unrolled."
    assert [word.text for word in aside.words if word.code] == ["for"]


def test_a_long_program_takes_little_room_in_a_notebook():
    rows = "\n".join(f"    v{i}:f32[128] = mul a b" for i in range(53_500))
    links = tuple(Link(row=i, start=4, end=20, span=TANH) for i in range(53_500))
    stage = dataclasses.replace(JAXPR, text=rows, links=links)
    page = pages.page(made(stages={"jaxpr": Lazy.of(stage)}))
    told, drawn = text.render(page), html.render(page)
    assert "v1499:" in told
    assert "v1500:" not in told
    assert "… 52,000 more lines" in told
    assert len(told) + len(drawn) < 300_000
