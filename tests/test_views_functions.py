"""Trees, strips, named matrices and level lines in a terminal and in static HTML."""

from __future__ import annotations

import base64
import math
import re
import struct
import zlib

import pytest

from jaxmagic.pages.blocks import Branch, Code, Contours, Heat, Page, Strip, Text, Tree, tab, words
from jaxmagic.views import html, live, surface, text
from jaxmagic.views.assets import colours

STRIP = Strip(values=(0.5, -1.0, math.nan, 0.0), alt="400 numbers in order")
TREE = Tree(
    columns=("type", "norm", "check"),
    branches=(
        Branch(
            words=words("params"),
            cells=(words("3 arrays"), words("5.00"), words(Text("✓", tone="good"))),
            open=True,
            inside=(
                Branch(
                    words=words("bias"),
                    cells=(words("f32[2]"), words("1.41"), words("✓ 1e-9")),
                    inside=(Code(text="[1., 1.]"),),
                ),
                Branch(
                    words=words("kernel"), cells=(words("f32[20,20]"), words("4.80"), ()), inside=(STRIP,)
                ),
                Branch(words=words("scale"), cells=(words("f32[]"), words("+2"), ())),
            ),
        ),
    ),
)
NAMED = Heat(
    values=((1.0, -2.0), (0.0, 4.0)),
    rows="output",
    columns="input",
    row_names=("f[0]", "f[1]"),
    column_names=("mass", "speed"),
    alt="Jacobian.",
)
GRID = ((0.0, 1.0, 2.0), (1.0, 2.0, 3.0), (2.0, 3.0, math.nan))
LEVELS = Contours(
    name="f",
    names=("a", "b"),
    x=(0.0, 0.5, 1.0),
    y=(0.0, 10.0, 20.0),
    values=GRID,
    slopes=(GRID, GRID),
    at=(0.5, 10.0),
    alt="Level lines of f.",
)


def test_a_tree_is_an_outline_in_a_terminal():
    assert text.block(TREE) == [
        "          type        norm  check",
        "params    3 arrays    5.00  ✓",
        "  bias    f32[2]      1.41  ✓ 1e-9",
        "    [1., 1.]",
        "  kernel  f32[20,20]  4.80",
        "    █▁ ▆  400 numbers in order",
        "  scale   f32[]         +2",
    ]


def test_a_tree_is_folds_in_html_that_need_no_script():
    page = html.block(TREE, html.STATIC)
    assert page.count("<details") == page.count("</details>") == 3
    assert page.count(" open>") == 1
    assert page.index("params") < page.index("<details", page.index("<details") + 1)
    assert "scale" in page.rsplit("</details>", 2)[1]
    assert "[1., 1.]" in page


def test_the_figures_of_a_tree_stand_below_each_other_at_every_depth():
    page = html.block(TREE, html.STATIC)
    assert re.findall(r"padding-left:(\d+)px", page) == ["0", "0", "18", "18", "18"]
    assert page.count("width: 260px".replace(" ", "")) == 5


def test_a_strip_is_a_small_picture_whose_colours_say_sign_and_size():
    png = base64.b64decode(surface.strip(STRIP).split(",")[1])
    assert png.startswith(b"\x89PNG")
    assert struct.unpack(">II", png[16:24]) == (4, 1)
    size = struct.unpack(">I", png[33:37])[0]
    row = zlib.decompress(png[41 : 41 + size])
    pixels = [row[1 + 4 * i : 5 + 4 * i] for i in range(4)]
    tones = [bytes.fromhex(colours()[tone][1:]) for tone in ("accent", "backward", "bad")]
    assert pixels[:3] == [tones[0] + b"\x80", tones[1] + b"\xff", tones[2] + b"\xff"]
    assert pixels[3][3] == 0
    assert len(surface.strip(Strip(values=(0.1,) * 96, alt=""))) < 400


def test_a_matrix_has_its_names_in_a_terminal():
    assert text.block(NAMED) == [
        "Jacobian.",
        "output down, input across",
        "      mass  speed",
        "f[0]     1     −2",
        "f[1]     0      4",
    ]


def test_level_lines_are_a_table_in_a_terminal_the_larger_above():
    assert text.block(LEVELS) == [
        "Level lines of f.",
        "b down, a across",
        "    0  0.5  1",
        "20  2    3  –",
        "10  1    2  3",
        " 0  0    1  2",
    ]


@pytest.mark.parametrize("block", [NAMED, LEVELS], ids=lambda block: type(block).__name__)
def test_pictures_of_a_static_page_are_small(block):
    drawn = html.block(block, html.STATIC)
    assert drawn.startswith("<img")
    assert len(drawn) < 45_000


def test_level_lines_of_nothing_but_gaps_are_drawn_all_the_same():
    gaps = ((math.nan,) * 3,) * 3
    drawn = Contours(
        name="f",
        names=("a", "b"),
        x=LEVELS.x,
        y=LEVELS.y,
        values=gaps,
        slopes=(gaps, gaps),
        at=(0.5, 10.0),
        alt="",
    )
    assert html.block(drawn, html.STATIC).startswith("<img")
    flat = ((1.0,) * 3,) * 3
    assert surface.contours(Contours(**(fields(drawn) | {"values": flat, "slopes": (flat, flat)})))


def fields(block):
    return {name: getattr(block, name) for name in type(block).__dataclass_fields__}


def test_the_live_view_draws_level_lines_and_names_and_shows_trees_as_html():
    state = live._content(Page(say=(), tabs=(tab("a", TREE, NAMED, LEVELS),)).tabs[0])
    assert [part["kind"] for part in state["parts"]] == ["heat", "contours"]
    assert state["parts"][0]["rowNames"] == ["f[0]", "f[1]"]
    assert state["html"].count("<details") == 3
