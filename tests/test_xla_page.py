"""How a page tells what XLA did: rows whose expressions are linked to the source."""

from __future__ import annotations

from jaxmagic.pages import kernels as page
from jaxmagic.pages.blocks import Program, Range, SourceLine, Tie
from jaxmagic.results import Fate, Kernel, Made, Span

ROWS = (
    SourceLine(number=1, text="def f(x):", cells=("",)),
    SourceLine(number=2, text="    y = sin(x) * x", cells=("1 k",), share=0.5),
    SourceLine(number=3, text="    z = sin(x).sum()", cells=("2 k",)),
)


def span(line, start, end):
    return Span(file="f.py", line=line, column=start, end_line=line, end_column=end)


def ranges(place):
    known = place.file == "f.py" and place.line <= len(ROWS)
    return (Range(place.line - 1, place.column, place.end_column),) if known else ()


SINE, PRODUCT, OTHER, SUM = span(2, 8, 14), span(2, 8, 18), span(3, 8, 14), span(3, 8, 20)


def kernel(**fields):
    usual = {
        "name": "k",
        "kind": "fusion",
        "what": "loop fusion",
        "spans": (SINE, PRODUCT),
        "phases": ("forward",),
        "reads": 8192,
        "writes": 4096,
        "flops": 1024.0,
    }
    return Kernel(**usual | fields)


def shown(*kernels, fates=()):
    return page.blocks(Made(kernels=kernels, fates=fates), ROWS, ranges)[1]


def test_a_kernel_is_a_row_that_ends_in_its_outermost_expressions():
    found = shown(kernel())
    row = "1  loop fusion  sin(x) * x  8.19 kB → 4.1 kB · 1.02 kflop"
    assert isinstance(found, Program)
    assert found.program == (row,)
    place = Range(0, row.index("sin"), row.index("  8.19"))
    assert found.ties == (
        Tie(source=(Range(1, 8, 14),), program=(place,)),
        Tie(source=(Range(1, 8, 18),), program=(place,)),
    )


def test_each_source_line_says_which_kernels_it_is_in():
    found = shown(kernel(), kernel(spans=(PRODUCT, SUM)))
    assert found.columns == ("kernel",)
    assert [(row.cells, row.share) for row in found.source] == [
        (("",), None),
        (("1,2",), None),
        (("2",), None),
    ]


def test_turns_and_passes_are_said_where_there_are_any():
    found = shown(
        kernel(looped=True, turns=50, phases=("backward",)),
        kernel(looped=True, turns=None, phases=("forward", "backward")),
    )
    assert found.program == (
        "1  loop fusion  × 50  sin(x) * x  8.19 kB → 4.1 kB · 1.02 kflop · backward",
        "2  loop fusion  × ?   sin(x) * x  8.19 kB → 4.1 kB · 1.02 kflop · both passes",
    )


def test_small_kernels_without_a_place_are_counted():
    small = kernel(spans=(), kind="copy", what="copy", writes=4)
    large = kernel(spans=(), kind="copy", what="copy", writes=4096)
    found = shown(small, large)
    assert found.program[0].startswith("2  copy")
    assert found.program[1] == "… and 1 small one: a loop's counters, or without a place in the source"


def test_a_loops_counters_are_not_worth_a_row():
    counter = kernel(kind="operation", what="add", reads=8, writes=4, looped=True)
    assert len(shown(counter, kernel()).program) == 2
    scalar = kernel(kind="operation", what="add", reads=8, writes=4)
    assert shown(scalar).program[0].startswith("1  add")


def test_fates_stand_above_with_their_links():
    fates = (
        Fate(kind="removed", span=SUM),
        Fate(kind="merged", span=OTHER, other=SINE),
        Fate(kind="repeated", span=PRODUCT, kernels=("a", "b")),
    )
    found = shown(kernel(name="a"), kernel(name="b"), fates=fates)
    assert found.program[:7] == (
        "removed, for nothing depends on it",
        "  sin(x).sum()",
        "merged with an equal value",
        "  sin(x)  with sin(x) on line 2",
        "computed again in each kernel that needs it",
        "  sin(x) * x  in kernels 1 and 2",
        "",
    )
    assert found.program[7].startswith("1  loop fusion")
    assert Tie(source=(Range(2, 8, 20),), program=(Range(1, 2, 14),)) in found.ties


def test_an_expression_without_a_listing_has_no_row_text():
    elsewhere = Span(file="other.py", line=1, column=0, end_line=1, end_column=5)
    found = shown(kernel(spans=(elsewhere,)))
    assert found.program == ("1  loop fusion    8.19 kB → 4.1 kB · 1.02 kflop",)
    assert found.ties == ()


def test_the_summary_counts_kinds_and_names_libraries():
    calls = (
        kernel(kind="library", what="LAPACK spotrf"),
        kernel(kind="library", what="LAPACK strsm"),
        kernel(kind="copy", what="copy"),
    )
    assert page.summary(Made(kernels=(kernel(), *calls), fates=())) == (
        "XLA runs 4 kernels: 1 fusion, 2 library calls (LAPACK) and 1 copy"
    )
    assert page.summary(Made(kernels=(), fates=())) == "XLA runs nothing"
