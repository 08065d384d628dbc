"""The live view in a real JupyterLab: linking, tabs, charts, long programs, themes, what stays behind."""

from __future__ import annotations

import json
import os

import nbformat
import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter

from tests.browser.lab import ROOT

pytestmark = pytest.mark.browser

SHOW = """
from IPython.display import display
from jaxmagic.views import bundle
from tests.views_pages import everything

def show(page, live=True):
    shown = bundle.Shown(page, html=True, live=live)
    for output in shown.outputs:
        display(output, raw=True)
    return shown
"""
LONG = """
from jaxmagic.pages.blocks import Page, Program, Range, SourceLine, Tie, tab, words
rows = tuple(f"  v{i}:f32[] = add v{i} 1.0" for i in range(50_000))
lines = tuple(SourceLine(number=i + 1, text=f"x{i} = f({i})") for i in range(3000))
ties = tuple(Tie(source=(Range(i, 8, 99),), program=(Range(16 * i, 2, 20),)) for i in range(3000))
long = Page(say=words("long"), tabs=(
    tab("hlo", Program(columns=(), source=lines, program=rows, ties=ties, language="hlo")),))
_ = show(long)
"""
# How a long program begins; the kernel counts how often it was asked for the rest.
BEGUN = """
from dataclasses import replace
from jaxmagic.results import Lazy
whole = Program(columns=(), source=lines, program=rows, ties=ties, language="jaxpr")
asked = []
rest = Lazy(lambda: asked.append(1) or whole)
begun = replace(whole, program=rows[:1500], rest=rest, more="the rest", ties=ties[:90])
_ = show(Page(say=words("begun"), tabs=(tab("jaxpr", begun),)))
"""
# Run once, it shows how far the work is; run again, the end of it.
PROGRESS = """
from jaxmagic.pages.blocks import Page, words
ended = "begun" in globals()
begun = show(Page(say=words("racing"), progress=0.25))
if ended:
    _ = begun.update(everything())
"""


@pytest.fixture(scope="module")
def live(open_notebook):
    page = open_notebook("live.ipynb", SHOW, "_ = show(everything())")
    page.wait_for_selector(".jm-live .jm-piece")
    return page


@pytest.fixture
def first_tab(live):
    live.locator(".jm-tab-button").first.click()
    live.keyboard.press("Escape")
    live.mouse.move(2, 2)
    return live


def hits(page, side):
    """The highlighted text of the source (0) or the program (1)."""
    return page.locator(".jm-scroller").nth(side).locator(".jm-hit").all_inner_texts()


def piece(page, side, words):
    return page.locator(".jm-scroller").nth(side).locator(".jm-piece", has_text=words).first


def test_the_twin_is_hidden_while_the_live_page_stands(live):
    assert live.locator(".jm-live").count() == 1
    assert live.locator(".jm-static").count() == 1
    assert not live.locator(".jm-static").is_visible()


def test_the_innermost_expression_lights_its_equation(first_tab):
    piece(first_tab, 0, "x @ w").hover()
    assert hits(first_tab, 0) == ["x @ w"]
    assert (
        "".join(hits(first_tab, 1))
        == "c:f32[512,128] = dot_general[dimension_numbers=(([1], [0]), ([], []))] a b"
    )
    assert (
        first_tab.locator(".jm-status").first.inner_text().startswith("line 2 → c:f32[512,128] = dot_general")
    )


def test_the_outer_expression_lights_its_own(first_tab):
    piece(first_tab, 0, "jnp.tanh(").hover()
    assert "".join(hits(first_tab, 0)) == "jnp.tanh(x @ w)"
    assert "".join(hits(first_tab, 1)) == "d:f32[512,128] = tanh c"


def test_an_equation_lights_its_expression(first_tab):
    piece(first_tab, 1, "div").hover()
    assert "".join(hits(first_tab, 0)) == "(s ** 2).mean()"
    assert "".join(hits(first_tab, 1)) == "g:f32[] = reduce_sum[axes=(0, 1)] fh:f32[] = div g 65536.0:f32[]"


def test_a_line_number_lights_the_whole_line(first_tab):
    first_tab.locator(".jm-scroller").first.locator(".jm-r").nth(2).locator(".jm-gutter").first.hover()
    assert "dot_general" in "".join(hits(first_tab, 1))
    assert "tanh" in "".join(hits(first_tab, 1))


def test_leaving_puts_the_light_out_unless_it_is_pinned(first_tab):
    piece(first_tab, 0, "jnp.sort").click()
    first_tab.mouse.move(2, 2)
    assert "".join(hits(first_tab, 1)) == "e:f32[512,128] = sort[dimension=0] d"
    piece(first_tab, 0, "jnp.sort").click()
    first_tab.mouse.move(2, 2)
    assert hits(first_tab, 1) == []


def test_expressions_by_keyboard(first_tab):
    first_tab.locator(".jm-scroller").first.focus()
    said = []
    for _ in range(2):
        first_tab.keyboard.press("ArrowDown")
        said.append("".join(hits(first_tab, 0)))
    assert said == ["jnp.tanh(x @ w)", "x @ w"]
    first_tab.keyboard.press("End")
    assert "".join(hits(first_tab, 1)) == "i:f32[] = reduce_sum[axes=(0, 1)] d"
    first_tab.keyboard.press("Enter")
    first_tab.mouse.move(2, 2)
    assert first_tab.locator(".jm-pinned").count() == 1
    first_tab.keyboard.press("Escape")
    assert hits(first_tab, 0) == []


def selected(page):
    return page.locator(".jm-tab-button[aria-selected=true]").all_inner_texts()


def test_tabs_by_mouse_and_keyboard(first_tab):
    first_tab.locator(".jm-tab-button", has_text="times").click()
    assert selected(first_tab) == ["times"]
    assert first_tab.locator(".jm-panel:visible").inner_text().lstrip().startswith("a call")
    walk = []
    for key in ("ArrowRight", "ArrowLeft", "ArrowLeft", "ArrowLeft", "Home", "End"):
        first_tab.keyboard.press(key)
        walk += selected(first_tab)
    assert walk == ["curve", "times", "jaxpr", "broken", "jaxpr", "broken"]


def test_a_dear_tab_is_made_when_opened_and_a_failing_one_says_so(live):
    live.locator(".jm-tab-button", has_text="XLA").click()
    live.get_by_text("compiled now").wait_for()
    live.locator(".jm-tab-button", has_text="broken").click()
    live.locator(".jm-live").get_by_text("could not be made: ValueError: no <such> stage").wait_for()


def test_a_chart_tells_the_value_under_the_mouse(live):
    live.locator(".jm-tab-button", has_text="curve").click()
    box = live.locator(".u-over").bounding_box()
    live.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20)
    live.wait_for_function("() => document.querySelector('.u-legend').innerText.includes('2040')")
    assert "1.104 (1.046 to 1.162)" in live.locator(".u-legend").inner_text()


def test_a_chart_in_the_first_tab_has_the_colours_of_the_look(open_notebook):
    first = "from tests.views_pages import CHART\nfrom jaxmagic.pages.blocks import Page, tab, words\n"
    page = open_notebook(
        "chart.ipynb", SHOW, first + "_ = show(Page(say=words('f'), tabs=(tab('a', CHART),)))"
    )
    colour = "() => getComputedStyle(document.querySelectorAll('.jm-live .u-marker')[1]).borderTopColor"
    page.wait_for_selector(".jm-live .u-marker")
    assert page.evaluate(colour) == "rgb(90, 84, 214)"


def test_a_heat_map_tells_the_value_under_the_mouse(live):
    live.locator(".jm-tab-button", has_text="curve").click()
    matrix = live.locator("canvas.jm-matrix")
    matrix.hover(position={"x": 3, "y": 3})
    assert live.locator(".jm-status:visible").last.inner_text() == "output 0, input 0: 1.0313"


def test_names_for_a_screen_reader(live):
    roles = [live.get_by_role(role).filter(visible=True).count() for role in ("tablist",)]
    assert roles[0] >= 1
    tab = live.locator(".jm-tab-button").first
    panel = live.locator(f"#{tab.get_attribute('aria-controls')}")
    assert panel.get_attribute("role") == "tabpanel"
    assert panel.get_attribute("aria-labelledby") == tab.get_attribute("id")
    assert (
        live.locator("canvas.jm-matrix").get_attribute("aria-label") == "Jacobian of 12 outputs by 16 inputs."
    )
    assert live.locator(".jm-scroller").first.get_attribute("aria-label") == "source"


CONTRAST = """(selector) => {
  const parse = (c) => c.match(/[\\d.]+/g).map(Number);
  const part = (v) => (v <= 10 ? v / 3294 : ((v / 255 + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  let worst = 99;
  for (const node of document.querySelectorAll(selector)) {
    let ground = node; let back = [0, 0, 0, 0];
    while (ground && back[3] === 0) { const c = parse(getComputedStyle(ground).backgroundColor);
      back = c.length === 4 ? c : [...c, 1]; ground = ground.parentElement; }
    const [a, b] = [light(parse(getComputedStyle(node).color)), light(back)];
    worst = Math.min(worst, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)); }
  return worst; }"""
LOOKS = ("say", "conditions", "good", "name", "muted", "faint", "tab-button", "th", "aside", "status", "code")
WORDS = ", ".join(f".jm-live .jm-{look}" for look in LOOKS)


@pytest.mark.parametrize("theme", ["JupyterLab Dark", "JupyterLab Light"])
def test_every_word_is_readable_in_both_themes(first_tab, browser, theme):
    browser.command(first_tab, "apputils:change-theme", {"theme": theme})
    dark = str(theme == "JupyterLab Light").lower()
    first_tab.wait_for_function(f"() => document.body.dataset.jpThemeLight === '{dark}'")
    first_tab.wait_for_timeout(300)
    assert first_tab.evaluate(CONTRAST, WORDS) >= 4.5


def test_at_320_pixels(first_tab):
    narrow = "(width) => { document.querySelector('.jm-live').parentElement.style.width = width; }"
    first_tab.evaluate(narrow, "320px")
    try:
        for tab in first_tab.locator(".jm-tab-button").all():
            tab.click()
            root = "document.querySelector('.jm-live')"
            first_tab.wait_for_function(f"() => {root}.scrollWidth <= {root}.clientWidth + 1", timeout=10_000)
        first_tab.locator(".jm-tab-button").first.click()
        boxes = [first_tab.locator(".jm-scroller").nth(i).bounding_box() for i in (0, 1)]
        assert boxes[1]["y"] > boxes[0]["y"]
    finally:
        first_tab.evaluate(narrow, "")


def test_side_by_side_where_there_is_room_and_one_below_the_other_where_not(first_tab):
    narrow = "(width) => { document.querySelector('.jm-live').parentElement.style.width = width; }"
    try:
        for width, beside in (("900px", True), ("700px", False)):
            first_tab.evaluate(narrow, width)
            first_tab.wait_for_timeout(200)
            source, program = (first_tab.locator(".jm-scroller").nth(i).bounding_box() for i in (0, 1))
            assert (program["y"] == source["y"]) == beside
            assert (program["width"] >= 0.48 * 900) if beside else (program["width"] > 680)
            assert source["width"] <= 452 if beside else source["width"] > 680
    finally:
        first_tab.evaluate(narrow, "")


SHORT = """
from dataclasses import replace
from jaxmagic.pages.blocks import Page, SourceLine, tab, words
from tests.views_pages import PROGRAM
short = replace(PROGRAM, columns=(), source=(SourceLine(number=1, text="f(x)"),), ties=(),
    whole="all of it\\n" * 3)
_ = show(Page(say=words("f"), tabs=(tab("jaxpr", short),)))
"""


def test_the_source_takes_what_it_needs_and_the_whole_program_is_copied(open_notebook, browser):
    page = open_notebook("short.ipynb", SHOW, SHORT)
    page.wait_for_selector(".jm-live .jm-eq")
    source, program = (page.locator(".jm-scroller").nth(i).bounding_box() for i in (0, 1))
    assert source["width"] < 0.3 * program["width"]
    browser.context.grant_permissions(["clipboard-read", "clipboard-write"])
    button = page.get_by_role("button", name="copy the whole jaxpr text")
    page.locator(".jm-scroller").nth(1).focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('.jm-copy').textContent === 'copied'")
    assert page.evaluate("() => navigator.clipboard.readText()") == "all of it\n" * 3
    assert page.locator(".jm-status").first.inner_text() == "Copied 4 lines of jaxpr."
    page.wait_for_function("() => document.querySelector('.jm-copy').textContent === 'copy'")
    assert button.is_visible()


def test_a_long_program_is_drawn_where_it_is_looked_at(open_notebook):
    page = open_notebook("long.ipynb", SHOW, LONG)
    page.wait_for_selector(".jm-live .jm-piece")
    assert page.locator(".jm-r").count() < 300
    source = page.locator(".jm-scroller").first
    source.focus()
    before = page.evaluate("() => document.querySelector('.jp-WindowedPanel-outer').scrollTop")
    page.keyboard.press("End")
    page.get_by_text("v47984:f32[]").wait_for()
    assert "".join(hits(page, 1)).startswith("v47984")
    assert "".join(hits(page, 0)) == "f(2999)"
    assert page.locator(".jm-r").count() < 300
    assert page.evaluate("() => document.querySelector('.jp-WindowedPanel-outer').scrollTop") == before


def test_the_rest_of_a_long_program_comes_when_one_looks(open_notebook, browser):
    page = open_notebook(
        "begun.ipynb", SHOW, LONG.replace("_ = show(long)", ""), BEGUN, "print('asked', len(asked))"
    )
    page.wait_for_selector(".jm-live .jm-piece")
    heading = page.locator(".jm-listing-head").nth(1)
    assert heading.inner_text() == "jaxpr · the first 1,500 lines"
    assert page.get_by_text("asked 0").is_visible()
    piece(page, 0, "20)").click()
    page.get_by_text("jaxpr · 50,000 lines", exact=True).wait_for()
    assert "".join(hits(page, 1)).startswith("v320:")
    assert "".join(hits(page, 0)) == "20)"
    page.locator(".jm-scroller").first.focus()
    page.keyboard.press("End")
    page.get_by_text("v47984:f32[]").wait_for()
    assert "".join(hits(page, 0)) == "f(2999)"


def test_progress_ends_as_the_result_in_place(open_notebook):
    page = open_notebook("progress.ipynb", SHOW, PROGRESS)
    page.locator(".jm-live").get_by_text("25 %").wait_for()
    page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }")
    page.locator(".jm-live").get_by_text("33.9 Mflop").wait_for()
    assert page.locator(".jm-live progress").count() == 0
    assert page.locator(".jm-live .jm-tab-button").count() == 5


def test_a_closed_view_leaves_its_static_page(open_notebook):
    page = open_notebook("closed.ipynb", SHOW, "shown = show(everything())", "shown.close()")
    page.locator(".jm-static:visible").wait_for()
    assert page.locator(".jm-live").count() == 0


WATCH = """setInterval(() => { const text = document.body ? document.body.innerText : '';
  for (const junk of ['Loading widget', 'model not found', 'Error displaying'])
    if (text.includes(junk)) (window.junk ??= new Set()).add(junk); }, 5);"""


def test_a_stage_that_was_opened_is_in_the_saved_notebook(open_notebook, browser, lab):
    look = "%load_ext jaxmagic\nimport jax.numpy as jnp\n%jaxpr jnp.sin(jnp.ones(3)) + 1"
    page = open_notebook("opened.ipynb", look)
    page.wait_for_selector(".jm-live .jm-piece")
    page.locator(".jm-tab-button", has_text="XLA").click()
    page.locator(".jm-live").get_by_text("HloModule").first.wait_for()
    page.wait_for_function("() => document.querySelector('.jm-static').innerHTML.includes('HloModule')")
    assert not page.locator(".jm-static").is_visible()
    assert page.locator(".jm-live:visible").count() == 1
    browser.save(page)
    page.close()
    lab.end_kernels()
    opened = lab.root / "opened.ipynb"
    notebook = json.loads(opened.read_text(encoding="utf-8"))
    notebook["cells"][0]["source"] += "\n# another hand"
    opened.with_name("untrusted.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    for name in ("opened", "untrusted"):
        page = browser.page()
        page.add_init_script(WATCH)
        page.goto(f"{lab.url}/lab/tree/{name}.ipynb?reset", wait_until="domcontentloaded")
        page.locator(".jm-static:visible").wait_for()
        page.wait_for_timeout(3000)
        page.locator("summary", has_text="XLA").click()
        assert "HloModule" in page.locator(".jm-static").inner_text()
        assert page.evaluate("() => [...(window.junk || [])]") == []
        page.close()
    browser.forget_missing_models()


@pytest.fixture(scope="module")
def saved(open_notebook, browser, lab):
    """A notebook that was run and saved; its kernel is gone."""
    page = open_notebook("saved.ipynb", SHOW, "_ = show(everything())", "_ = show(everything(), live=False)")
    page.wait_for_selector(".jm-live .jm-piece")
    browser.save(page)
    page.close()
    lab.end_kernels()
    return lab.root / "saved.ipynb"


def reads_well(page):
    """The static pages are visible, and no word about missing models is."""
    page.locator(".jm-static").first.wait_for()
    page.wait_for_timeout(1500)
    assert page.locator(".jm-static:visible").count() == 2
    assert page.locator(".jm-static").first.locator("summary").all_inner_texts() == [
        "jaxpr",
        "times",
        "curve",
        "XLA",
        "broken",
    ]
    shown = page.evaluate("() => document.querySelector('.jp-Notebook').innerText")
    assert "dot_general[dimension_numbers" in shown
    for junk in ("model not found", "Error displaying widget", "Loading widget", "PageView"):
        assert junk not in shown


def test_reopened_without_a_kernel_by_its_author(saved, open_notebook, browser):
    reads_well(open_notebook(saved.name, run=False))
    browser.forget_missing_models()


def test_reopened_by_somebody_who_does_not_trust_it(saved, open_notebook, browser):
    strange = saved.with_name("strange.ipynb")
    notebook = json.loads(saved.read_text(encoding="utf-8"))
    notebook["cells"][2]["source"] += "\n# another hand"
    strange.write_text(json.dumps(notebook), encoding="utf-8")
    reads_well(open_notebook(strange.name, run=False))
    browser.forget_missing_models()


@pytest.fixture(scope="module")
def with_state(saved):
    """The same notebook run by nbclient, which stores the state of its widgets."""
    notebook = nbformat.read(saved, as_version=4)
    NotebookClient(notebook, store_widget_state=True, kernel_name="python3").execute(
        env=dict(os.environ, PYTHONPATH=str(ROOT))
    )
    assert "widgets" in notebook.metadata
    nbformat.write(notebook, saved.with_name("state.ipynb"))
    return saved.with_name("state.ipynb")


@pytest.mark.parametrize("notebook", ["saved", "with_state"])
def test_exported_by_nbconvert_and_read_offline(notebook, request, browser, tmp_path):
    body, _ = HTMLExporter(template_name="lab").from_filename(str(request.getfixturevalue(notebook)))
    exported = tmp_path / "exported.html"
    exported.write_text(body, encoding="utf-8")
    page = browser.page()
    page.goto(exported.as_uri(), wait_until="domcontentloaded")
    page.locator(".jm-static").first.wait_for()
    assert page.locator(".jm-static:visible").count() == 2
    shown = page.evaluate("() => document.body.innerText")
    assert "dot_general[dimension_numbers" in shown
    assert "model not found" not in shown
    page.set_viewport_size({"width": 320, "height": 800})
    wide = (
        "() => [...document.querySelectorAll('.jm-static')].every((n) => n.scrollWidth <= n.clientWidth + 1)"
    )
    assert page.evaluate(wide)
    page.close()
    # nbconvert's own template asks for MathJax and RequireJS; nothing of ours asks for anything.
    foreign = ("mathjax", "require", "html-manager")
    assert all(any(part in url.lower() for part in foreign) for url in browser.refused), browser.refused
    browser.refused.clear()
    browser.console.clear()


# JupyterLab shows at most 50 outputs of a cell.
HOSTILE = """
from tests import hostile
for payload in hostile.PAYLOADS[{}::5]:
    _ = show(hostile.page(payload))
"""
POKE = """async () => {
  const rest = () => new Promise((done) => setTimeout(done, 30));
  for (const view of document.querySelectorAll('.jm-live'))
    for (const tab of view.querySelectorAll('.jm-tab-button')) { tab.click(); await rest();
      for (const node of view.querySelectorAll('.jm-piece, .jm-aside, img, td'))
        for (const kind of ['mouseover', 'mousemove', 'mouseenter', 'focus', 'click'])
          node.dispatchEvent(new MouseEvent(kind, { bubbles: kind !== 'mouseenter' })); }
  document.querySelectorAll('details').forEach((fold) => (fold.open = true));
}"""


def test_nothing_that_a_user_names_executes(open_notebook, browser, lab, tmp_path):
    page = open_notebook("hostile.ipynb", SHOW, *(HOSTILE.format(i) for i in range(5)))
    page.wait_for_function("() => document.querySelectorAll('.jm-live').length === 25", timeout=60_000)
    page.evaluate(POKE)
    page.wait_for_function("() => !document.querySelector('.jm-busy')", timeout=60_000)
    page.evaluate(POKE)
    page.wait_for_timeout(500)
    assert page.evaluate("() => window.hacked") is None
    foreign = ", ".join(
        f".jm {each}"
        for each in ("script", "iframe", "svg:not(.jm-drawing)", "style", "[onerror]", "[onload]")
    )
    assert page.locator(foreign).count() == 0
    drawn = 25 * 2 * (1 + 2)  # a chart, and a function above its derivatives, in two tabs of each
    assert page.locator(".jm-live .jm-plot .uplot").count() == drawn
    browser.save(page)
    page.close()
    body, _ = HTMLExporter(template_name="lab").from_filename(str(lab.root / "hostile.ipynb"))
    exported = tmp_path / "hostile.html"
    exported.write_text(body, encoding="utf-8")
    page = browser.page()
    page.goto(exported.as_uri(), wait_until="domcontentloaded")
    page.evaluate(POKE)
    page.wait_for_timeout(300)
    assert page.evaluate("() => window.hacked") is None
    page.close()
    browser.refused[:] = [
        url for url in browser.refused if "mathjax" not in url and "require" not in url.lower()
    ]
    browser.console.clear()
