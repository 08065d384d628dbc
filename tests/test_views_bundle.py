"""What is published: text in a terminal, twins in a notebook, the static page where widgets are missing."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import pytest

from jaxmagic.pages.blocks import Page, Program, Prose, Range, SourceLine, Tab, Tie, tab, words
from jaxmagic.results import Lazy
from jaxmagic.views import bundle, html, live, text
from tests.views_pages import PROGRAM, cannot, everything

WIDGET = "application/vnd.jupyter.widget-view+json"


def models():
    from ipywidgets.widgets import widget

    return dict(widget._instances)


def test_a_terminal_gets_text_alone():
    assert bundle.Shown(everything(), html=False, live=True).outputs == [
        {"text/plain": text.render(everything())}
    ]


def test_without_widgets_html_and_text():
    (only,) = bundle.Shown(everything(), html=True, live=False).outputs
    assert sorted(only) == ["text/html", "text/plain"]
    assert "<style>" not in only["text/html"]


def test_twins():
    shown = bundle.Shown(everything(), html=True, live=True)
    static, widget = shown.outputs
    assert static == {
        "text/plain": text.render(everything()),
        "text/html": html.render(everything(), twin=True),
    }
    assert sorted(widget) == [WIDGET, "text/html", "text/plain"]
    assert (widget["text/html"], widget["text/plain"]) == ("", "")
    shown.close()


def test_a_page_is_brought_up_to_date_in_place_and_nothing_is_left_of_it():
    before = models()
    shown = bundle.Shown(Page(say=words("racing"), progress=0.1), html=True, live=True)
    first = shown.outputs[1]
    second = shown.update(everything())
    assert second[1] == first
    assert second[0]["text/html"] == html.render(everything(), twin=True)
    assert "33.9 Mflop" in shown._view.head
    assert [state["title"] for state in shown._view.tabs] == ["jaxpr", "times", "curve", "XLA", "broken"]
    shown.close()
    shown.close()
    assert models() == before


@pytest.mark.parametrize("missing", ["anywidget", "ipywidgets"])
def test_a_missing_widget_library_is_no_error(missing):
    script = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "from jaxmagic.views import bundle; from jaxmagic.pages.blocks import Page, words\n"
        "print([sorted(b) for b in bundle.Shown(Page(say=words('f')), html=True, live=True).outputs])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[['text/html', 'text/plain']]", done.stderr


def test_text_and_html_import_neither_widgets_nor_matplotlib():
    script = (
        "import sys; from jaxmagic.views import bundle; from jaxmagic.pages.blocks import Page, words\n"
        "bundle.Shown(Page(say=words('f')), html=True, live=False).outputs\n"
        "print(sorted({'matplotlib', 'anywidget', 'ipywidgets', 'IPython', 'jax'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr


# -- the widget's side of the conversation ---------------------------------------------------------


@pytest.fixture
def asked(monkeypatch):
    """Ask a view something; what it sends back."""

    def ask(page, message):
        view = live.PageView(page)
        sent = []
        monkeypatch.setattr(view, "send", lambda content, buffers=None: sent.append(content))
        view._answer(view, message, [])
        view.close()
        return sent

    return ask


def test_the_state_is_json_and_holds_no_dear_tab():
    view = live.PageView(everything())
    json.dumps(view.tabs)
    assert [state["content"] is None for state in view.tabs] == [False, False, False, True, True]
    assert [part["kind"] for state in view.tabs[:3] for part in state["content"]["parts"]] == [
        "program",
        "chart",
        "heat",
    ]
    view.close()


def test_a_dear_tab_is_made_when_asked_for(asked):
    assert asked(everything(), {"ask": "tab", "tab": 3}) == [
        {"tab": 3, "content": {"html": '<p class="jm-prose">compiled now</p>', "parts": []}}
    ]


def test_a_tab_that_fails_says_so_in_place(asked):
    (answer,) = asked(everything(), {"ask": "tab", "tab": 4})
    assert "could not be made: ValueError: no &lt;such&gt; stage" in answer["content"]["html"]
    assert answer["content"]["failed"]


def test_an_interrupted_tab_can_be_asked_for_again(asked):
    calls = []

    def make():
        calls.append(1)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return (Prose(words=words("made")),)

    page = Page(say=words("f"), tabs=(Tab(title="XLA", blocks=Lazy(make), hint="compiles"),))
    (first,) = asked(page, {"ask": "tab", "tab": 0})
    assert "could not be made: KeyboardInterrupt" in first["content"]["html"]
    (second,) = asked(page, {"ask": "tab", "tab": 0})
    assert second["content"] == {"html": '<p class="jm-prose">made</p>', "parts": []}


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"ask": "x"},
        {"ask": "tab"},
        {"ask": "tab", "tab": 99},
        {"ask": "rows", "tab": 0, "program": 7, "row": 0},
        5,
    ],
)
def test_a_question_without_sense_gets_no_answer(asked, message):
    assert asked(everything(), message) == []


LONG = Program(
    columns=(),
    source=(SourceLine(number=1, text="é𝔸𝔸 x"),),
    program=tuple(f"row {i}" for i in range(2500)),
    ties=(Tie(source=(Range(0, 3, 5),), program=(Range(2400, 0, 3),)),),
    language="hlo",
)


def test_a_long_program_comes_in_pieces(asked):
    page = Page(say=words("f"), tabs=(tab("a", Prose(words=words("x")), PROGRAM, LONG),))
    view = live.PageView(page)
    part = view.tabs[0]["content"]["parts"][1]
    assert (len(part["rows"]), part["total"], part["program"]) == (1000, 2500, 1)
    assert len(json.dumps(view.tabs)) < 60_000
    view.close()
    (answer,) = asked(page, {"ask": "rows", "tab": 0, "program": 1, "row": 2000})
    assert answer["rows"] == [f"row {i}" for i in range(2000, 2500)]


def test_columns_are_counted_as_a_browser_counts_them():
    from jaxmagic.views.ties import flattened

    assert flattened([(0, (Range(0, 3, 5),))], ["é𝔸𝔸 x"]) == [0, 0, 5, 7]
    assert flattened([(1, (Range(0, 1, 99), Range(7, 0, 1)))], ["abc"]) == [1, 0, 1, 3]


def test_a_failing_picture_leaves_the_numbers_of_the_others(asked):
    bad = Program(columns=(), source=None, program=("a",), ties=(), language="hlo")
    page = Page(say=words("f"), tabs=(tab("a", bad, LONG),))
    view = live.PageView(page)
    assert [part["program"] for part in view.tabs[0]["content"]["parts"]] == [1]
    assert "this program could not be drawn" in view.tabs[0]["content"]["html"]
    view.close()
    assert len(asked(page, {"ask": "rows", "tab": 0, "program": 1, "row": 0})[0]["rows"]) == 1000


def test_dear_tabs_stay_dear_until_shown_again():
    page = Page(say=words("f"), tabs=(Tab(title="a", blocks=Lazy(cannot), hint="dear"),))
    shown = bundle.Shown(page, html=True, live=True)
    assert not page.tabs[0].blocks.ready
    shown.close()


def test_a_dear_tab_that_was_opened_is_in_the_static_page_too():
    shown = bundle.Shown(everything(), html=True, live=True)
    changes = []
    shown.changed = changes.append
    shown._view._answer(shown._view, {"ask": "tab", "tab": 0}, [])
    assert changes == []
    assert "compiled now" not in shown.outputs[0]["text/html"]
    shown._view._answer(shown._view, {"ask": "tab", "tab": 3}, [])
    ((static, widget),) = changes
    assert "compiled now" in static["text/html"]
    assert "compiled now" in static["text/plain"]
    assert widget == shown.outputs[1]
    shown._view._answer(shown._view, {"ask": "tab", "tab": 3}, [])
    assert len(changes) == 1
    shown.close()


def test_the_whole_text_of_a_program_can_be_asked_for(asked):
    whole = "\n".join(f"row {i}" for i in range(9000))
    cut = dataclasses.replace(LONG, whole=whole, cut=6500)
    page = Page(say=words("f"), tabs=(tab("a", PROGRAM, cut),))
    question = {"ask": "text", "tab": 0, "program": 1}
    assert asked(page, question) == [question | {"text": whole}]
    (answer,) = asked(page, question | {"program": 0})
    assert answer["text"] == "\n".join(PROGRAM.program)
