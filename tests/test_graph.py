"""The dataflow graph: what is folded, how it is laid out, and what each medium shows of it."""

from __future__ import annotations

import base64
import itertools
import re
import xml.etree.ElementTree as ElementTree

import jax
import jax.numpy as jnp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmagic.analysis import graph as folding
from jaxmagic.analysis.repetition import repetitions
from jaxmagic.analysis.trace import look
from jaxmagic.pages.blocks import Graph
from jaxmagic.pages.compose import compose
from jaxmagic.target import ArrayType, Target
from jaxmagic.views import graph as views
from jaxmagic.views import html, text
from jaxmagic.views.layered import layout
from tests.hostile import PAYLOADS, blocks

VECTOR = ArrayType("f32", (8,))


def traced(function, *args, **options):
    return look(Target(function=function, args=args or (VECTOR,)), **options)


def told(graph):
    """Each node as (kind, title, equations, turns)."""
    return [(node.kind, node.title, node.equations, node.turns) for node in graph.nodes]


def levels(graph):
    """A graph and all graphs inside it."""
    yield graph
    for node in graph.nodes:
        if node.inside is not None:
            yield from levels(node.inside.get())


def wired(graph):
    return [(graph.nodes[edge.start].title, graph.nodes[edge.end].title, edge.types) for edge in graph.edges]


# -- folding ---------------------------------------------------------------------------------------


def test_equations_and_the_arrays_between_them():
    def f(x, w):
        return jnp.tanh(x @ w)

    graph = traced(f, ArrayType("f32", (4, 2)), ArrayType("f32", (2, 3))).graph.get()
    assert told(graph) == [
        ("input", "x", 0, 1),
        ("input", "w", 0, 1),
        ("equation", "dot_general", 1, 1),
        ("equation", "tanh", 1, 1),
        ("output", "out", 0, 1),
    ]
    assert wired(graph) == [
        ("x", "dot_general", ("f32[4,2]",)),
        ("w", "dot_general", ("f32[2,3]",)),
        ("dot_general", "tanh", ("f32[4,3]",)),
        ("tanh", "out", ("f32[4,3]",)),
    ]
    assert graph.nodes[2].flops == 2 * 4 * 2 * 3
    assert (graph.nodes[2].spans[0].line, graph.nodes[2].type) == (f.__code__.co_firstlineno + 1, "f32[4,3]")


def test_an_unrolled_loop_is_one_turn_so_many_times():
    def f(x):
        for _ in range(50):
            x = jnp.sin(x) * 2.0
        return x + 1.0

    graph = traced(f).graph.get()
    assert told(graph) == [
        ("input", "x", 0, 1),
        ("repeat", "sin … mul", 100, 50),
        ("equation", "add", 1, 1),
        ("output", "out", 0, 1),
    ]
    inside = graph.nodes[1].inside.get()
    assert [node.title for node in inside.nodes] == ["x", "sin", "mul", "out"]
    assert [node.flops for node in inside.nodes] == [0, 0, 8 * 50, 0], "what is inside is told of all turns"


def test_loops_in_unrolled_loops_fold_twice():
    def f(x):
        for _ in range(20):
            x = jnp.exp(x)
            for _ in range(5):
                x = jnp.sin(x) * 2.0
        return x

    outer = traced(f).graph.get().nodes[1]
    assert (outer.title, outer.equations, outer.turns) == ("exp … mul", 220, 20)
    assert told(outer.inside.get())[1:3] == [("equation", "exp", 1, 1), ("repeat", "sin … mul", 10, 5)]


def test_named_scopes_are_folded():
    def f(x):
        with jax.named_scope("outer"):
            x = x * 2
            with jax.named_scope("inner"):
                x = jnp.sin(x) + 1
        return x

    scope = traced(f).graph.get().nodes[1]
    assert (scope.kind, scope.title, scope.equations) == ("scope", "outer", 3)
    assert told(scope.inside.get())[1:3] == [("equation", "mul", 1, 1), ("scope", "inner", 2, 1)]


def test_what_runs_inside_an_equation():
    @jax.jit
    def mine(x):
        return x * 3

    def f(x, n):
        x = mine(x)
        x, _ = jax.lax.scan(lambda c, _: (c * 2, None), x, None, length=7)
        x = jax.lax.cond(n > 0, jnp.sin, jnp.cos, x)
        return jax.lax.while_loop(lambda y: y.sum() > 1, lambda y: y / 2, x), jnp.where(x > 0, x, 0)

    graph = traced(f, VECTOR, ArrayType("i32", ())).graph.get()
    by_title = {node.title: node for node in graph.nodes}
    assert (by_title["mine"].kind, by_title["_where"].kind) == ("function", "library")
    assert (by_title["scan"].kind, by_title["scan"].turns, by_title["scan"].flops) == ("loop", 7, 7 * 8)
    assert (by_title["while"].turns, by_title["while"].flops) == (None, None)
    assert [node.title for node in by_title["while"].inside.get().nodes] == ["condition", "body"]
    assert [node.title for node in by_title["cond"].inside.get().nodes] == ["branch 0", "branch 1"]
    assert [node.title for node in by_title["mine"].inside.get().nodes] == ["x", "mul", "out"]


def test_forward_and_backward_are_told_apart():
    def f(x):
        return (jnp.tanh(x) ** 2).sum()

    graph = traced(f, grad=True).graph.get()
    phases = {node.phase for node in graph.nodes if node.kind == "equation"}
    assert phases == {"forward", "backward"}


def test_the_nodes_costs_add_up_to_the_programs():
    def f(x, w):
        h = jnp.tanh(x @ w)
        c, _ = jax.lax.scan(lambda c, _: (c * 0.5 + h.sum(), None), 0.0, None, length=7)
        for _ in range(9):
            h = jnp.sin(h) * 0.1
        return jnp.where(h > 0, h, 0).sum() + c

    trace = traced(f, ArrayType("f32", (64, 32)), ArrayType("f32", (32, 32)))
    nodes = trace.graph.get().nodes
    assert sum(node.flops for node in nodes) == pytest.approx(trace.flops, rel=1e-3)
    assert sum(node.bytes for node in nodes) == pytest.approx(trace.bytes, rel=1e-3)
    assert sum(node.equations for node in nodes) == len(trace.equations)


def test_many_inputs_are_grouped_by_what_they_are_part_of():
    def f(params, x):
        return x + sum(params.values())

    params = {f"w{i}": jnp.ones(8) for i in range(200)}
    graph = traced(f, params, jnp.ones(8)).graph.get()
    assert [(node.title, node.type) for node in graph.nodes if node.kind == "input"] == [
        ("params", "200 arrays"),
        ("x", "f32[8]"),
    ]


OPERATIONS = (
    lambda x: x * 2.5,
    jnp.sin,
    lambda x: x - x.mean(),
    lambda x: jnp.where(x > 0, x, 0.5),
    jax.jit(lambda x: jnp.exp(x) + 1),
    lambda x: jax.lax.scan(lambda c, _: (jnp.cos(c), None), x, None, length=3)[0],
    lambda x: jax.lax.cond(x[0] > 0, jnp.sin, lambda y: y + 1, x),
    lambda x: jax.lax.while_loop(lambda y: y[0] > 1, lambda y: y / 2, x),
    lambda x: jnp.concatenate([x[4:], x[:4]]),
)
LINES = st.lists(
    st.tuples(st.sampled_from(OPERATIONS), st.sampled_from(("", "a", "b"))), min_size=1, max_size=12
)


@settings(max_examples=12, deadline=None)
@given(LINES, st.integers(1, 30), st.integers(0, 7))
def test_no_level_has_more_nodes_than_can_be_drawn(lines, turns, every):
    def f(x):
        for i in range(turns):
            for operation, scope in lines:
                with jax.named_scope(scope) if scope else jax.named_scope("c"):
                    x = operation(x)
            if every and i % every == 0:
                x = x + i
        return x

    trace = traced(f)
    for level in itertools.islice(levels(trace.graph.get()), 200):
        assert len(level.nodes) <= folding.MOST
        assert all(0 <= edge.start < edge.end < len(level.nodes) for edge in level.edges)
    assert sum(node.equations for node in trace.graph.get().nodes) >= len(trace.equations)


def test_what_has_no_pattern_is_cut_into_parts(monkeypatch):
    monkeypatch.setattr(folding, "MOST_PARTS", 10)

    def f(x):
        shapes = [x[: i % 7 + 1].sum() * i for i in range(60)]
        return sum(shapes[i * 7919 % 60] * i for i in range(60))

    graph = traced(f).graph.get()
    assert all(sum(node.equations > 0 for node in level.nodes) <= 10 for level in levels(graph))
    assert sum(node.equations for node in graph.nodes) == len(traced(f).equations)


def test_a_switch_of_many_branches_is_cut():
    def f(i, x):
        return jax.lax.switch(i, [lambda x, k=k: x * k for k in range(200)], x)

    graph = traced(f, ArrayType("i32", ()), VECTOR).graph.get()
    (switch,) = [node for node in graph.nodes if node.kind == "branches"]
    inside = switch.inside.get()
    assert len(inside.nodes) == folding.MOST
    assert inside.nodes[-1].title == "51 more"


# -- repetitions -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("items", "found"),
    [
        ("abababx", [(0, 2, 3)]),
        ("xaaaay", [(1, 1, 4)]),
        ("ababx", []),
        ("aabaabaab", [(0, 3, 3)]),
        ("abcabcabcabxyxyxy", [(0, 3, 3), (11, 2, 3)]),
        ("", []),
    ],
)
def test_repetitions(items, found):
    assert repetitions(items, 3) == found


@given(st.text("abc", max_size=60))
def test_what_is_said_to_repeat_does(items):
    last = 0
    for start, period, turns in repetitions(items, 3):
        assert start >= last
        assert turns >= 3
        last = start + period * turns
        assert items[start:last] == items[start : start + period] * turns


# -- layout ----------------------------------------------------------------------------------------

SIZES = st.lists(st.tuples(st.floats(20, 200), st.floats(20, 300)), min_size=1, max_size=25)


@settings(max_examples=60, deadline=None)
@given(SIZES, st.data())
def test_boxes_stand_apart_and_edges_go_down(sizes, data):
    pairs = list(itertools.combinations(range(len(sizes)), 2))
    edges = data.draw(st.lists(st.sampled_from(pairs), max_size=40)) if pairs else []
    placed = layout(sizes, edges)
    boxes = [(x, y, x + w, y + h) for (x, y), (w, h) in zip(placed.places, sizes, strict=True)]
    for a, b in itertools.combinations(boxes, 2):
        assert a[2] <= b[0] + 1e-6 or b[2] <= a[0] + 1e-6 or a[3] <= b[1] + 1e-6 or b[3] <= a[1] + 1e-6
    for left, top, right, bottom in boxes:
        assert -1e-6 <= left <= right <= placed.width + 1e-6
        assert -1e-6 <= top <= bottom <= placed.height + 1e-6
    for (start, end), points in zip(edges, placed.routes, strict=True):
        assert [y for _, y in points] == sorted(y for _, y in points)
        assert points[0][1] == pytest.approx(boxes[start][3])
        assert points[-1][1] == pytest.approx(boxes[end][1])


def test_a_chain_is_one_straight_column():
    placed = layout([(40.0, 20.0), (80.0, 20.0), (60.0, 20.0)], [(0, 1), (1, 2)])
    assert [x + w / 2 for (x, _), w in zip(placed.places, (40, 80, 60), strict=True)] == [40.0] * 3


def test_edges_are_uncrossed_where_they_can_be():
    sizes = [(40.0, 20.0)] * 6
    placed = layout(sizes, [(0, 5), (1, 4), (2, 3)])
    column = [round(x) for x, _ in placed.places]
    assert sorted(column[:3]) == sorted(column[3:])
    assert column[:3] == [column[5], column[4], column[3]]


# -- what is shown ---------------------------------------------------------------------------------


def loop(x):
    for _ in range(4):
        x = jnp.sin(x) * 2.0
    return x @ x


def test_nothing_is_drawn_before_it_is_looked_at():
    trace = traced(loop)
    page = compose(trace)
    words, static = text.render(page, 100), html.render(page)
    assert not trace.graph.ready
    assert "not made yet" in words
    assert "Graph      draws the program as a graph" in words
    assert "data:image/svg" not in static


def test_the_outline_in_a_terminal():
    trace = traced(loop)
    trace.graph.get()
    outline = (
        text.render(compose(trace), 100).partition("Dataflow graph")[2].partition("\n\n")[0].splitlines()
    )
    assert outline == [
        " of 9 equations, folded into 4 boxes.",
        "x                f32[8]",
        "▸ sin … mul × 4  f32[8]  32 flop  ← x",
        "dot_general      f32[]   16 flop  ← sin … mul × 4",
        "out              f32[]            ← dot_general",
    ]


def _tab(trace):
    return next(tab for tab in compose(trace).tabs if tab.title == "Graph")


def picture(trace):
    trace.graph.get()
    return next(block for block in _tab(trace).blocks.get() if isinstance(block, Graph))


def elements(uri):
    return ElementTree.fromstring(base64.b64decode(uri.partition(",")[2]))


def test_the_static_picture_is_an_svg_without_a_script():
    static = html.render(compose_drawn(traced(loop)))
    uri = re.search(r'src="(data:image/svg\+xml;base64,[^"]*)"', static)[1]
    root = elements(uri)
    kinds = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert kinds == {"svg", "style", "marker", "path", "rect", "text"}
    words = [element.text for element in root.iter() if element.tag.endswith("text")]
    assert words[:3] == ["x", "sin … mul × 4", "f32[8] · 32 flop"]


def compose_drawn(trace):
    trace.graph.get()
    return compose(trace)


def test_a_folded_box_opens_where_it_stands():
    graph = picture(traced(loop))
    folded, opened = views.drawing(graph), views.drawing(graph, frozenset({(1,)}))
    assert [one.box.title for one in opened.boxes if len(one.path) == 2] == ["x", "sin", "mul", "out"]
    outer = next(one for one in opened.boxes if one.path == (1,))
    for one in opened.boxes:
        if len(one.path) == 2:
            assert outer.x <= one.x <= one.x + one.width <= outer.x + outer.width
            assert outer.y <= one.y <= one.y + one.height <= outer.y + outer.height
    assert opened.height > folded.height


def test_a_box_is_tied_to_its_expression():
    graph = picture(traced(loop))
    product = next(box for box in graph.diagram.boxes if box.title == "dot_general")
    texts = [graph.source[one.row].text[one.start : one.end] for one in product.source]
    assert texts == ["x @ x"]


def test_few_folded_boxes_are_opened_at_first():
    @jax.jit
    def small(x):
        return jnp.sin(x) + 1

    assert picture(traced(lambda x: small(x) * 2)).opened == frozenset({(1,)})


@pytest.mark.parametrize("payload", PAYLOADS)
def test_hostile_names_stay_words(payload):
    graph = next(block for block in blocks(payload) if isinstance(block, Graph))
    root = elements(views.image(graph)[0])
    kinds = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert kinds <= {"svg", "style", "marker", "path", "rect", "text"}
    assert not any(name.startswith("on") for element in root.iter() for name in element.attrib)
