"""Texts that a user's names, keys and messages may hold, and pages that carry one in every field."""

from __future__ import annotations

from jaxmagic.pages.blocks import (
    Aside,
    Bar,
    Box,
    Branch,
    Chart,
    Code,
    Column,
    Contours,
    Course,
    Diagram,
    Graph,
    Heat,
    Page,
    Program,
    Prose,
    Range,
    Series,
    SourceLine,
    Strip,
    Tab,
    Table,
    Text,
    Tie,
    Tree,
    Wire,
    tab,
    words,
)
from jaxmagic.results import Lazy

# Each would set `window.hacked` if it ran.
PAYLOADS = (
    "<script>window.hacked=1</script>",
    "</script><script>window.hacked=1</script>",
    "<img src=x onerror=window.hacked=1>",
    "<svg onload=window.hacked=1>",
    "<svg><script>window.hacked=1</script></svg>",
    "<svg><animate onbegin=window.hacked=1 attributeName=x dur=1s>",
    "<iframe srcdoc='<script>parent.hacked=1</script>'></iframe>",
    "<iframe src=javascript:parent.hacked=1></iframe>",
    "<details open ontoggle=window.hacked=1>",
    "<input autofocus onfocus=window.hacked=1>",
    "<body onload=window.hacked=1>",
    "<math><mtext></mtext><img src=x onerror=window.hacked=1></math>",
    "<style>@import 'javascript:window.hacked=1'</style><img src=x onerror=window.hacked=1>",
    '" onmouseover="window.hacked=1" x="',
    "' onfocus='window.hacked=1' autofocus tabindex=0 x='",
    '"><img src=x onerror=window.hacked=1>',
    "'><img src=x onerror=window.hacked=1>",
    "--><img src=x onerror=window.hacked=1>",
    "]]><img src=x onerror=window.hacked=1>",
    "</pre></code></td></table><img src=x onerror=window.hacked=1>",
    "</textarea></title></noscript><img src=x onerror=window.hacked=1>",
    "&lt;img src=x onerror=window.hacked=1&gt;",
    "javascript:window.hacked=1",
    "${window.hacked=1}{{constructor.constructor('window.hacked=1')()}}",
    "\x1b]8;;javascript:window.hacked=1\x07\x1b[31m\u202e<img src=x onerror=hacked=1>\n\r\u2028\ud800\x00",
)


def blocks(nasty: str) -> tuple:
    """Every kind of block, the text in every field that takes one."""
    run = words(nasty, Text(nasty, strong=True, code=True, tone="good"))
    line = SourceLine(number=1, text=nasty, cells=(nasty,), share=0.5)
    return (
        Prose(words=run),
        Aside(words=run, tone="bad"),
        Table(
            columns=(Column(title=nasty), Column(title=nasty)), rows=((run, Bar(share=0.5)),), caption=nasty
        ),
        Code(text=f"+{nasty}\n-{nasty}", caption=nasty, diff=True),
        Program(
            columns=(nasty,),
            source=(line, SourceLine(number=None, text=nasty, tone="muted")),
            program=(nasty, nasty),
            ties=(Tie(source=(Range(0, 0, 4),), program=(Range(0, 0, 9), Range(1, 2, 5))),),
            language=nasty,
        ),
        Chart(
            series=(
                Series(name=nasty, x=(1.0, 2.0), y=(1.0, 2.0)),
                Series(name=nasty, x=(1.0, 2.0), y=(2.0, 2.0)),
            ),
            x=nasty,
            y=nasty,
            alt=nasty,
        ),
        Heat(values=((1.0, -1.0),), rows=nasty, columns=nasty, alt=nasty),
        Heat(
            values=((1.0, -1.0),),
            rows=nasty,
            columns=nasty,
            alt=nasty,
            row_names=(nasty,),
            column_names=(nasty, nasty),
        ),
        _course(nasty),
        _contours(nasty),
        _tree(nasty),
        Graph(
            columns=(nasty,),
            source=(line,),
            diagram=_diagram(nasty, Lazy(lambda: _diagram(nasty))),
            opened=frozenset({(1,)}),
            alt=nasty,
        ),
    )


def _course(nasty: str) -> Course:
    x, y = (0.0, 1.0, 2.0), (0.0, 1.0, 4.0)
    still = Chart(series=(Series(name=nasty, x=x, y=y),), x=nasty, y=nasty, alt=nasty)
    return Course(name=nasty, by=nasty, x=x, ys=(y, x), shown=(0.0, 2.0), at=1.0, charts=(still,), alt=nasty)


def _contours(nasty: str) -> Contours:
    grid = ((0.0, 1.0), (1.0, 2.0))
    axis = (0.0, 1.0)
    return Contours(
        name=nasty, names=(nasty, nasty), x=axis, y=axis, values=grid, slopes=(grid, grid), at=axis, alt=nasty
    )


def _tree(nasty: str) -> Tree:
    held = (Code(text=nasty), Strip(values=(1.0, -1.0), alt=nasty))
    leaf = Branch(words=words(nasty), cells=(words(nasty), words(nasty)), inside=held)
    return Tree(columns=(nasty, nasty), branches=(Branch(words=words(nasty), inside=(leaf,), open=True),))


def _diagram(nasty: str, inside: Lazy[Diagram] | None = None) -> Diagram:
    box = {"title": nasty, "detail": nasty, "told": nasty, "cost": nasty, "source": (Range(0, 0, 4),)}
    shut = Lazy(lambda: _diagram(nasty)) if inside else None
    return Diagram(
        boxes=(
            Box(shape="pin", **box),
            Box(shape="fold", inside=inside, **box),
            Box(shape="loop", inside=shut, share=0.5, **box),
        ),
        wires=(Wire(start=0, end=1, label=nasty), Wire(start=0, end=2, label=nasty)),
    )


def page(nasty: str) -> Page:
    """A page with the text wherever a page has text: also in a dear tab and in one that fails."""

    def fail():
        raise ValueError(nasty)

    return Page(
        say=words(nasty),
        conditions=words(nasty),
        tabs=(
            tab(nasty, *blocks(nasty)),
            Tab(title=nasty, blocks=Lazy(lambda: blocks(nasty)), hint=nasty),
            Tab(title=nasty, blocks=Lazy(fail), hint=nasty),
            Tab(title=nasty, blocks=Lazy(fail)),
        ),
        notes=(Aside(words=words(nasty)),),
    )
