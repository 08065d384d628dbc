"""A page as HTML: small, self-contained, readable without a style sheet, JavaScript or a kernel.

The same fragments serve the live view. What differs is the `Medium`: how a class of the look becomes
an attribute, and what stands for a program, a chart or a heat map.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import zip_longest
from typing import TypeAlias, assert_never

from jaxmagic.pages import units
from jaxmagic.pages.blocks import (
    Aside,
    Bar,
    Block,
    Branch,
    Cell,
    Chart,
    Code,
    Contours,
    Course,
    Graph,
    Heat,
    Page,
    Program,
    Prose,
    Strip,
    Tab,
    Table,
    Text,
    Tone,
    Tree,
    Words,
)
from jaxmagic.views import assets, chart, graph, surface, text
from jaxmagic.views.ties import lines_of_rows
from jaxmagic.views.visible import failure, shown, visible, visible_line, visible_lines, waits

Picture: TypeAlias = Program | Chart | Course | Contours | Heat | Graph

# A static page is kept in the notebook's file: it holds so much of a thing, and says what it cut.
MAX_ROWS = 150
MAX_LINES = 160
MAX_COLUMNS = 200

_BLOCKS = "█" * 16
# The rule that leaves the twin of a live view to the live view, and hides what is left of a dead one.
_TWIN = (
    ".jp-OutputArea-child:has(.jm-twin):has(+.jp-OutputArea-child .jm-live){display:none}"
    # An output without a media type is still loading its widget; with one, its model may be missing.
    ".jp-OutputArea-child:has(.jm-twin)+.jp-OutputArea-child:has(.jupyter-widgets,.widget-subarea,"
    ".jp-OutputArea-output:not([data-mime-type]),[data-mime-type*='widget-view'])"
    ":not(:has(.jm-live)){display:none}"
)


@dataclass(frozen=True, slots=True)
class Medium:
    """What differs between a static page and a live one.

    Args:
        paint: classes of the look as an attribute of a tag, with a leading blank.
        picture: the HTML that stands for a program, a chart or a heat map.
        most: rows of a table or listing; the rest is cut, and said so.
    """

    paint: Callable[[str], str]
    picture: Callable[[Picture], str]
    most: int = MAX_ROWS


def render(page: Page, *, twin: bool = False) -> str:
    """The page as static HTML; `twin` when a live view of it stands right below."""
    style = f"<style>{_TWIN}</style>" if twin else ""
    kind = "jm jm-static jm-twin" if twin else "jm jm-static"
    medium = UNSEEN if twin and page.progress is not None else STATIC
    body = head(page, medium) + _tabs(page.tabs, medium) + fragment(page.notes, medium)
    return f'{style}<div class="{kind}"{_inlined("jm")}>{body}</div>'


def head(page: Page, medium: Medium) -> str:
    """The sentence, its conditions and how far the work is."""
    parts = [_tag("p", sentence(page.say, medium), medium.paint("jm-say"))] if page.say else []
    if page.conditions:
        parts.append(_tag("p", sentence(page.conditions, medium), medium.paint("jm-conditions")))
    if page.progress is not None:
        parts.append(_progress(page.progress, medium))
    return "".join(parts)


def fragment(blocks: Iterable[Block], medium: Medium) -> str:
    """Blocks one below the other; one that fails shows its plain text, and the rest still stands."""
    return "".join(block(each, medium) for each in blocks)


def block(each: Block, medium: Medium) -> str:
    """A block; never raises."""
    try:
        return _block(each, medium)
    except Exception as error:  # noqa: BLE001 - display never raises
        words = f"this {shown(each)} could not be drawn ({failure(error)}); here is its text"
        return _aside(words, medium) + _listing("\n".join(text.block(each)), medium)


def hint(words: str, medium: Medium) -> str:
    """What stands for a tab that was not asked for yet."""
    return _tag("p", escape(words), medium.paint("jm-hint"))


def broken(error: BaseException, medium: Medium) -> str:
    """What stands for a tab that could not be made."""
    message = getattr(error, "message", "") or failure(error)
    fix = getattr(error, "fix", "")
    return _aside(f"could not be made: {message}{f'. {fix}' if fix else ''}", medium, tone="bad")


def escape(words: str) -> str:
    """A user's words at the sink: control characters made visible, markup made text."""
    return html.escape(visible(words), quote=True)


# -- paint -----------------------------------------------------------------------------------------


@cache
def _inlined(classes: str) -> str:
    """The look of some classes as a `style` attribute."""
    rules = ";".join(assets.look()[name] for name in classes.split())
    return f' style="{html.escape(rules, quote=True)}"'


def classes(names: str) -> str:
    """The look of some classes as a `class` attribute, for pages that carry the style sheet."""
    return f' class="{names}"'


def _tag(name: str, content: str, attributes: str = "") -> str:
    return f"<{name}{attributes}>{content}</{name}>"


# -- words -----------------------------------------------------------------------------------------


def sentence(words: Words, medium: Medium) -> str:
    """Words with their looks."""
    return "".join(_run(run, medium) for run in words)


def _run(run: Text, medium: Medium) -> str:
    content = escape(run.text)
    if run.code:
        content = _tag("code", content, medium.paint("jm-word"))
    if run.strong:
        content = _tag("b", content, medium.paint("jm-strong"))
    return content if run.tone == "plain" else _tag("span", content, medium.paint(f"jm-{run.tone}"))


def _aside(words: str, medium: Medium, tone: Tone = "warn") -> str:
    return _block(Aside(words=(Text(words),), tone=tone), medium)


def _progress(share: float, medium: Medium) -> str:
    done = f"{min(max(share, 0.0), 1.0):.3f}"
    bar = f'<progress max="1" value="{done}" aria-label="progress"{medium.paint("jm-progress")}></progress>'
    return _tag("p", f"{bar} {escape(units.percent(share))}", medium.paint("jm-hint"))


# -- tabs ------------------------------------------------------------------------------------------


def _tabs(tabs: Sequence[Tab], medium: Medium) -> str:
    """One tab stands alone; of several, each is a fold and the first is open."""
    if len(tabs) == 1:
        return _body(tabs[0], medium)
    return "".join(_fold(tab, medium, open=i == 0) for i, tab in enumerate(tabs))


def _fold(tab: Tab, medium: Medium, *, open: bool) -> str:
    summary = _tag("summary", escape(tab.title), medium.paint("jm-summary"))
    attributes = medium.paint("jm-tab") + (" open" if open else "")
    return _tag("details", summary + _body(tab, medium), attributes)


def _body(tab: Tab, medium: Medium) -> str:
    if waits(tab):
        return hint(f"not made yet: {tab.hint}", medium)
    try:
        blocks = tab.blocks.get()
    except Exception as error:  # noqa: BLE001 - display never raises
        return broken(error, medium)
    return fragment(blocks, medium)


# -- blocks ----------------------------------------------------------------------------------------


def _block(each: Block, medium: Medium) -> str:
    match each:
        case Prose():
            return _tag("p", sentence(each.words, medium), medium.paint("jm-prose"))
        case Aside():
            return _tag("div", sentence(each.words, medium), medium.paint(f"jm-aside jm-edge-{each.tone}"))
        case Table():
            return _table(each, medium)
        case Code():
            return _code(each, medium)
        case Tree():
            return _tree(each, medium)
        case Program() | Chart() | Course() | Contours() | Heat() | Graph():
            return medium.picture(each)
        case _:
            assert_never(each)


def _table(table: Table, medium: Medium) -> str:
    head = "".join(
        _tag("th", escape(column.title), ' scope="col"' + medium.paint(f"jm-th jm-{column.align}"))
        for column in table.columns
    )
    caption = _tag("caption", escape(table.caption), medium.paint("jm-caption")) if table.caption else ""
    named = any(column.title for column in table.columns)
    rows = [_row(cells, table, medium) for cells in table.rows[: medium.most]]
    top = _tag("thead", _tag("tr", head, medium.paint("jm-row"))) if named else ""
    inner = _tag("table", caption + top + _tag("tbody", "".join(rows)), medium.paint("jm-table"))
    return _tag("div", inner, medium.paint("jm-wide")) + _cut(len(table.rows) - len(rows), "row", medium)


def _row(cells: Sequence[Cell], table: Table, medium: Medium) -> str:
    aligned = zip_longest(cells, table.columns[: len(cells)])
    inner = "".join(
        _tag("td", _cell(cell, medium), medium.paint(f"jm-td jm-{column.align if column else 'left'}"))
        for cell, column in aligned
    )
    return _tag("tr", inner, medium.paint("jm-row"))


def _cell(cell: Cell, medium: Medium) -> str:
    return _bar(cell, medium) if isinstance(cell, Bar) else sentence(cell, medium)


def _bar(bar: Bar, medium: Medium) -> str:
    """A filled track; without styles, block characters of the same length."""
    share = _percent(bar.share)
    blocks = _BLOCKS[: max(round(share / 100 * len(_BLOCKS)), 1 if share else 0)]
    inner = _tag("span", blocks, _with_style(medium.paint(f"jm-fill jm-{bar.tone}"), f"width:{share:.1f}%"))
    if bar.low is not None and bar.high is not None:
        low, high = _percent(bar.low), _percent(bar.high)
        place = f"left:{low:.1f}%;width:{max(high - low, 0.0):.1f}%"
        inner += _tag("span", "", _with_style(medium.paint("jm-whisker"), place))
    return _tag("span", inner, ' aria-hidden="true"' + medium.paint("jm-track"))


def _percent(share: float) -> float:
    return 0.0 if math.isnan(share) else min(max(share, 0.0), 1.0) * 100


def _with_style(attribute: str, more: str) -> str:
    """An attribute of the look with further declarations."""
    if attribute.startswith(" style="):
        return f'{attribute[:-1]};{more}"'
    return f'{attribute} style="{more}"'


def _code(code: Code, medium: Medium) -> str:
    title = _tag("p", escape(code.caption), medium.paint("jm-title")) if code.caption else ""
    return title + _listing(code.text, medium, diff=code.diff)


_MARKS = {"+": "jm-added", "-": "jm-removed"}


def _listing(listing: str, medium: Medium, *, diff: bool = False) -> str:
    lines = visible_lines(listing)
    kept = [_code_line(line, medium, diff=diff) for line in lines[: medium.most]]
    inner = _tag("pre", "\n".join(kept), medium.paint("jm-code"))
    return inner + _cut(len(lines) - len(kept), "line", medium)


def _code_line(line: str, medium: Medium, *, diff: bool) -> str:
    content = html.escape(line, quote=True)
    mark = _MARKS.get(line[:1]) if diff and not line.startswith(("+++", "---")) else None
    return _tag("span", content, medium.paint(mark)) if mark else content


def _cut(many: int, thing: str, medium: Medium) -> str:
    return hint(f"… {units.counted(many, f'more {thing}')}", medium) if many > 0 else ""


# -- trees -----------------------------------------------------------------------------------------

_STEP = 18  # pixels that a branch stands further in


def _tree(tree: Tree, medium: Medium) -> str:
    """Folds in folds, their figures below each other however deep they stand."""
    titles = [_tag("span", "", _named(0, medium)), *_figures([escape(one) for one in tree.columns], medium)]
    top = _tag("div", "".join(titles), medium.paint("jm-leaf jm-heads"))
    inner = "".join(_branch(one, 0, medium) for one in tree.branches)
    return _tag("div", top + inner, medium.paint("jm-wide"))


def _branch(branch: Branch, depth: int, medium: Medium) -> str:
    name = _tag("span", sentence(branch.words, medium), _named(depth, medium))
    line = name + "".join(_figures([sentence(cell, medium) for cell in branch.cells], medium))
    if not branch.inside:
        return _tag("div", line, medium.paint("jm-leaf"))
    inside = "".join(_inside(one, depth + 1, medium) for one in branch.inside)
    fold = _tag("summary", line, medium.paint("jm-branch"))
    return _tag("details", fold + inside, medium.paint("jm-fold") + (" open" if branch.open else ""))


def _named(depth: int, medium: Medium) -> str:
    return _with_style(medium.paint("jm-branch-name"), f"padding-left:{depth * _STEP}px")


def _figures(cells: Sequence[str], medium: Medium) -> list[str]:
    looks = ["jm-kind", *["jm-figure"] * (len(cells) - 2), "jm-kind"]
    return [_tag("span", cell, medium.paint(look)) for cell, look in zip(cells, looks, strict=False)]


def _inside(one: Branch | Code | Strip, depth: int, medium: Medium) -> str:
    if isinstance(one, Branch):
        return _branch(one, depth, medium)
    inner = _code(one, medium) if isinstance(one, Code) else _strip(one, medium)
    return _tag("div", inner, f' style="margin:2px 0 6px {depth * _STEP + 14}px"')


def _strip(strip: Strip, medium: Medium) -> str:
    image = f'<img src="{surface.strip(strip)}" alt=""{medium.paint("jm-strip")}>'  # it is told below
    return image + hint(strip.alt, medium)


# -- pictures of a static page ---------------------------------------------------------------------


def _picture(picture: Picture) -> str:
    match picture:
        case Program():
            return _program(picture, STATIC)
        case Chart():
            return _image(chart.chart(picture), picture.alt, 614)
        case Course():
            return "".join(map(_picture, picture.charts))
        case Contours():
            return _image(surface.contours(picture), picture.alt, 480)
        case Heat():
            return _image(surface.heat(picture), picture.alt, surface.wide(picture))
        case Graph():
            return _graph(picture)
        case _:
            assert_never(picture)


def _image(uri: str, alt: str, width: int) -> str:
    words = escape(alt)
    return f'<img src="{uri}" width="{width}" alt="{words}" title="{words}"{_inlined("jm-chart")}>'


def _graph(picture: Graph) -> str:
    """A picture as wide as it is: in a page of its own width its letters would be too small to read."""
    uri, wide = graph.image(picture)
    words = escape(picture.alt)
    drawn = f'<img src="{uri}" width="{wide:.0f}" alt="{words}" title="{words}" style="max-width:none">'
    return _tag("div", drawn, _inlined("jm-wide"))


def _program(program: Program, medium: Medium) -> str:
    """Source and program side by side; before each row of the program, the source line that made it."""
    source = _tag("div", _source(program, medium), medium.paint("jm-pane"))
    made = _tag("div", _made(program, medium), medium.paint("jm-pane"))
    return _tag("div", source + made, medium.paint("jm-panes"))


def _source(program: Program, medium: Medium) -> str:
    """The source's rows; one `pre`, since a table of them would be five times the size."""
    titles, *rows = text.listing(program)
    kept = list(zip(program.source[:MAX_LINES], rows, strict=False))
    top = _tag("span", escape("  ".join(filter(None, titles))), medium.paint("jm-muted"))
    lines = [_source_row(line.tone, pieces, medium) for line, pieces in kept]
    inner = _tag("pre", "\n".join([top, *lines]), medium.paint("jm-program"))
    return inner + _cut(len(rows) - len(kept), "line", medium)


def _source_row(tone: Tone, pieces: tuple[str, str, str, str], medium: Medium) -> str:
    number, bar, figures, line = pieces
    content = html.escape(_shortened(line), quote=True)
    drawn = (
        number,
        _tag("span", bar, medium.paint("jm-glow")) if bar.strip() else bar,
        html.escape(figures, quote=True),
        content if tone == "plain" else _tag("span", content, medium.paint(f"jm-{tone}")),
    )
    return "  ".join(filter(None, drawn))


def _made(program: Program, medium: Medium) -> str:
    """The program's rows; one `pre`, since a table of them would be ten times the size."""
    kept = program.program[: medium.most]
    numbers = [
        ",".join(str(program.source[i].number or "·") for i in rows[:2]) for rows in lines_of_rows(program)
    ]
    gutter = max([4, *map(len, numbers)])
    lines = [
        f"{number:>{gutter}}  {html.escape(_shortened(line), quote=True)}"
        for number, line in zip(numbers, kept, strict=False)
    ]
    title = f"{'line':>{gutter}}  {escape(program.language)}"
    top = _tag("span", title, medium.paint("jm-muted"))
    inner = _tag("pre", "\n".join([top, *lines]), medium.paint("jm-program"))
    if program.rest is not None:
        return inner + hint(f"… {program.more}", medium)
    return inner + _cut(len(program.program) - len(kept) + program.cut, "line", medium)


def _shortened(line: str) -> str:
    line = visible_line(line)
    return line if len(line) <= MAX_COLUMNS else f"{line[:MAX_COLUMNS]}…"


def _in_words(picture: Picture) -> str:
    return _listing("\n".join(text.block(picture)), STATIC)


STATIC = Medium(paint=_inlined, picture=_picture)
# Of work under way, behind a live view that shows its pictures: drawing them would take the work's time.
UNSEEN = Medium(paint=_inlined, picture=_in_words)
