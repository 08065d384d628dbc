"""The demo in JupyterLab: the hand moves, the picture follows, and nothing is lost."""

import csv
import json
import re
from xml.etree import ElementTree

import pytest

from jaxmagic.demo import app, sliders
from jaxmagic.demo.forecast import forecast
from jaxmagic.demo.page import page as still
from tests.browser.conftest import _known

pytestmark = pytest.mark.browser

CITY = {slider.name: slider.start for slider in sliders.SLIDERS[:-1]} | {"start": app.START}
BIRTH, DEATH, MIGRATION, CAPACITY, YEAR = range(5)


@pytest.fixture(autouse=True)
def quiet(browser):
    """As everywhere, but the page stays open from test to test."""
    browser.refused.clear()
    browser.console.clear()
    yield
    assert browser.refused == []
    assert [line for line in browser.console if not _known(line)] == []


@pytest.fixture(scope="module")
def opened(lab, browser):
    """The demo run once; each test starts from its start values."""
    page = browser.open(lab.notebook("population.ipynb", ["import jaxmagic; jaxmagic.population()"]))
    browser.run_all(page)
    page.wait_for_selector(".jm-pop-people")
    yield page
    page.close()


@pytest.fixture
def demo(opened):
    opened.get_by_role("button", name="start values").click()
    settle(opened, CITY, 2040)
    return opened


def sentence(year=2040, **change):
    """What the pure model and the static page say."""
    words = still(forecast(app.YEARS, **CITY | change), year).say
    return "".join(run.text for run in words)


def settle(page, city, year):
    expected = sentence(year, **city)
    page.wait_for_function(
        "(text) => document.querySelector('.jm-pop .jm-say').textContent === text", arg=expected
    )


def put(page, slider, value):
    """Move a slider to a value at once, as a hand that lets go there."""
    page.locator(".jm-pop input[type=range]").nth(slider).evaluate(
        "(input, value) => { input.value = value; input.dispatchEvent(new Event('input', {bubbles: true}));"
        " input.dispatchEvent(new Event('change', {bubbles: true})); }",
        value,
    )


def unforeseen(page, slider):
    """From here on its moves are asked for, if they end on no 120th of its track either."""
    page.locator(".jm-pop input[type=range]").nth(slider).evaluate("(input) => { input.step = 'any'; }")


def drawing(page, part):
    return page.locator(f".jm-pop-{part}").get_attribute("d")


def effects(page):
    return page.locator(".jm-pop-effects .jm-pop-number").all_text_contents()


def picture(page):
    return [drawing(page, part) for part in ("people", "growth", "tangent")] + [effects(page)]


@pytest.mark.parametrize(
    ("slider", "change"),
    [
        (BIRTH, {"birth": 0.01}),
        (DEATH, {"death": 0.02}),
        (MIGRATION, {"migration": -8000.0}),
        (CAPACITY, {"capacity": 3.0e6}),
    ],
)
def test_each_rate_moves_the_picture_the_sentence_and_the_effects(demo, slider, change):
    before = picture(demo)
    (value,) = change.values()
    put(demo, slider, value)
    settle(demo, change, 2040)
    assert all(old != new for old, new in zip(before, picture(demo), strict=True))


def test_the_effects_and_the_curve_are_the_model_s(demo):
    put(demo, BIRTH, 0.04)
    settle(demo, {"birth": 0.04}, 2040)
    result = forecast(app.YEARS, **CITY | {"birth": 0.04})
    shown = [float(text.replace(",", "").replace("−", "-")) for text in effects(demo)]
    percent = [values[20] for values in result.percent_effects().values()]
    assert shown == [float(f"{value:.3g}") if abs(value) >= 100 else round(value) for value in percent]
    points = re.findall(r"[ML]([\d.-]+) ([\d.-]+)", drawing(demo, "people"))
    assert len(points) == len(app.YEARS)
    heights = [-float(y) for _, y in points]
    scale = (heights[-1] - heights[0]) / (result.people[-1] - result.people[0])
    for height, people in zip(heights, result.people, strict=True):
        assert height - heights[0] == pytest.approx(scale * (people - result.people[0]), abs=0.2)


def test_the_year_needs_no_kernel_and_draws_every_event(demo):
    drawn = demo.evaluate(
        """() => { const root = document.querySelector('.jm-pop'), seen = [];
          const input = root.querySelectorAll('input[type=range]')[4];
          for (let year = 2020; year <= 2100; year++) { input.value = year;
            input.dispatchEvent(new Event('input', {bubbles: true}));
            seen.push(root.querySelector('.jm-say').textContent); }
          return seen; }"""
    )
    assert drawn == [sentence(year) for year in range(2020, 2101)]


def test_the_last_event_of_a_storm_is_never_lost(demo):
    unforeseen(demo, DEATH)
    values = [0.0005 * (i % 80) for i in range(300)] + [0.0125]
    demo.evaluate(
        """async (values) => { const input = document.querySelectorAll('.jm-pop input[type=range]')[1];
          for (const [i, value] of values.entries()) { input.value = value;
            input.dispatchEvent(new Event('input', {bubbles: true}));
            if (i % 7 === 0) await new Promise((done) => setTimeout(done, 3)); } }""",
        values,
    )
    settle(demo, {"death": 0.0125}, 2040)


def test_a_question_that_gets_lost_is_asked_again(demo):
    unforeseen(demo, DEATH)
    demo.evaluate(
        """() => { const send = WebSocket.prototype.send; let lost = 0;
          WebSocket.prototype.send = function (data) {
            if (lost < 1 && new TextDecoder().decode(data).includes('"ask"')) { lost += 1; return; }
            send.call(this, data); };
          window.mend = () => { WebSocket.prototype.send = send; return lost; }; }"""
    )
    put(demo, DEATH, 0.0203)
    settle(demo, {"death": 0.0203}, 2040)
    assert demo.evaluate("() => window.mend()") == 1


def test_a_kernel_that_keeps_silent_is_told_and_what_it_missed_is_asked_again(demo):
    unforeseen(demo, DEATH)
    demo.evaluate(
        """() => { const send = WebSocket.prototype.send;
          WebSocket.prototype.send = () => {};
          window.mend = () => { WebSocket.prototype.send = send; }; }"""
    )
    put(demo, DEATH, 0.0203)
    demo.get_by_text("The kernel does not answer").wait_for()
    demo.evaluate("() => window.mend()")
    settle(demo, {"death": 0.0203}, 2040)
    assert demo.locator(".jm-pop-problem").text_content() == ""


def test_a_real_drag_follows_the_hand(demo):
    slider = demo.locator(".jm-pop input[type=range]").nth(BIRTH)
    box = slider.bounding_box()
    before = int(demo.locator(".jm-pop").get_attribute("data-drawn"))
    demo.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    demo.mouse.down()
    demo.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + box["height"] / 2, steps=20)
    demo.mouse.up()
    settle(demo, {"birth": float(slider.input_value())}, 2040)
    assert float(slider.input_value()) > 0.04
    assert int(demo.locator(".jm-pop").get_attribute("data-drawn")) >= before + 5


def test_the_keyboard_moves_every_slider(demo):
    for slider in sliders.SLIDERS:
        control = demo.get_by_label(slider.label, exact=True)
        control.focus()
        demo.keyboard.press("ArrowRight")
        assert float(control.input_value()) == pytest.approx(slider.start + slider.step)
        demo.keyboard.press("ArrowLeft")
        assert float(control.input_value()) == pytest.approx(slider.start)
    settle(demo, CITY, 2040)


def test_the_chart_follows_the_mouse_and_takes_a_click(demo):
    chart = demo.locator(".jm-pop-chart")
    box = chart.bounding_box()
    said = demo.locator(".jm-pop .jm-say")
    chart.hover(position={"x": box["width"] - 20, "y": 60})
    assert re.match(r"In (2099|2100) ", said.text_content())
    demo.mouse.move(5, 5)
    assert said.text_content() == sentence()
    chart.click(position={"x": 46, "y": 60})
    assert said.text_content() == sentence(2020)
    assert demo.locator(".jm-pop input[type=range]").nth(YEAR).input_value() == "2020"


def test_the_keyboard_reaches_every_control_in_the_order_of_the_eye(demo):
    demo.get_by_label("birth rate", exact=True).focus()
    names = []
    for _ in range(24):
        names.append(
            demo.evaluate(
                "() => { const at = document.activeElement; if (!at.closest('.jm-live')) return '';"
                " return at.ariaLabel || at.labels?.[0]?.textContent || at.textContent; }"
            )
        )
        demo.keyboard.press("Tab")
    rows = [name for slider in sliders.SLIDERS for name in (slider.label, f"{slider.label}, as a number")]
    buttons = [*(name for name, _ in sliders.PRESETS), "keep this as A", "CSV", "SVG", "PNG"]
    assert names[: len(rows) + len(buttons)] == rows + buttons
    assert names[len(rows) + len(buttons)] == "the JAX"


def test_the_accessibility_tree_has_names_values_and_groups(demo):
    session = demo.context.new_cdp_session(demo)
    nodes = session.send("Accessibility.getFullAXTree")["nodes"]

    def of(role):
        named = [node for node in nodes if node.get("role", {}).get("value") == role and not node["ignored"]]
        return {node["name"]["value"]: node for node in named}

    found = of("slider")
    assert {slider.label for slider in sliders.SLIDERS} <= set(found)
    assert found["birth rate"]["description"]["value"] == sliders.SLIDERS[0].help
    assert {"the city", "cities to start from", "compare two cities", "save"} <= set(of("group"))
    assert {f"{slider.label}, as a number" for slider in sliders.SLIDERS} <= set(of("textbox"))
    assert any(name.startswith("Population from 2020 to 2100") for name in of("image") | of("img"))
    assert "what 1 % more of each does to the growth in 2040" in of("table")
    pressed = {p["name"]: p["value"]["value"] for p in of("button")["start values"]["properties"]}
    assert pressed["pressed"] == "true"
    assert of("status")
    assert of("alert")


def test_what_a_screen_reader_is_told(demo):
    birth = demo.get_by_label("birth rate", exact=True)
    assert birth.get_attribute("aria-valuetext") == "3.60 %"
    label = demo.locator(".jm-pop-chart").get_attribute("aria-label")
    assert label.startswith("Population from 2020 to 2100: from 300,000 to 1.")
    assert "Tangent in 2040: +10,600 people a year." in label
    put(demo, YEAR, 2050)
    assert demo.locator(".jm-pop [role=status]").text_content() == sentence(2050)


def test_the_jax_of_the_panels_and_the_model_are_there_to_read(demo):
    listing = demo.locator(".jm-code:visible")
    assert "people, speed = (jax.vmap" in listing.text_content()
    demo.get_by_role("tab", name="the model").click()
    assert "growth = jax.grad(population)" in listing.text_content()
    demo.get_by_role("tab", name="the JAX").click()


# -- moves that need no kernel --------------------------------------------------------------------


def point_at(page, slider):
    """Put the mouse on a slider and wait for its cities; the questions about single cities from then on."""
    page.evaluate(
        """() => { const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
          window.asked = 0;
          kernel.anyMessage.connect((_, { msg, direction }) => {
            const content = msg.content?.data?.content ?? {};
            if (direction === 'send' && content.ask) window.asked += 1; }); }"""
    )
    page.locator(".jm-pop-slider").nth(slider).hover()
    page.wait_for_function(
        "(name) => document.querySelector('.jm-pop').dataset.ready.split(' ').includes(name)",
        arg=sliders.SLIDERS[slider].name,
    )


@pytest.mark.parametrize("slider", [DEATH, MIGRATION, CAPACITY])
def test_a_slider_that_is_pointed_at_draws_every_event_without_the_kernel(demo, slider):
    point_at(demo, slider)
    spec = sliders.SLIDERS[slider]
    drawn = demo.evaluate(
        """([which, low, step, count]) => { const root = document.querySelector('.jm-pop');
          const input = root.querySelectorAll('input[type=range]')[which], seen = [];
          for (let i = 0; i <= count; i += 4) { input.value = low + i * step;
            input.dispatchEvent(new Event('input', {bubbles: true}));
            seen.push(root.querySelector('.jm-say').textContent); }
          return seen; }""",
        [slider, spec.low, spec.step, round((spec.high - spec.low) / spec.step)],
    )
    places = range(0, round((spec.high - spec.low) / spec.step) + 1, 4)
    assert drawn == [sentence(**{spec.name: spec.low + i * spec.step}) for i in places]
    assert demo.evaluate("() => window.asked") == 0


def test_the_other_sliders_are_computed_once_the_hand_rests(demo):
    names = {slider.name for slider in sliders.SLIDERS[:-1]}
    point_at(demo, DEATH)
    put(demo, DEATH, 0.02)
    demo.wait_for_function(
        "(most) => document.querySelector('.jm-pop').dataset.ready.split(' ').length >= most", arg=len(names)
    )
    assert set(demo.locator(".jm-pop").get_attribute("data-ready").split()) == names
    put(demo, MIGRATION, -8000.0)
    assert demo.evaluate("() => window.asked") == 0
    assert demo.locator(".jm-pop .jm-say").text_content() == sentence(death=0.02, migration=-8000.0)


def test_an_answer_that_was_overtaken_changes_nothing(demo):
    """A question is under way when its slider's cities come, and the hand has moved on by then."""
    point_at(demo, DEATH)
    demo.evaluate(
        """() => { const input = document.querySelectorAll('.jm-pop input[type=range]')[1];
          const moved = new Event('input', {bubbles: true});
          const move = (value) => { input.value = value; input.dispatchEvent(moved); };
          input.step = 'any'; move(0.01234); input.step = 0.0005; move(0.02); }"""
    )
    demo.wait_for_timeout(500)
    assert demo.locator(".jm-pop .jm-say").text_content() == sentence(death=0.02)


# -- numbers that are typed -----------------------------------------------------------------------


def type_in(page, label, text):
    field = page.get_by_label(f"{label}, as a number", exact=True)
    field.fill(text)
    field.press("Enter")
    return field


@pytest.mark.parametrize(
    ("label", "text", "change"),
    [
        ("birth rate", "1.234 %", {"birth": 0.01234}),
        ("migration", "−1,500", {"migration": -1500.0}),
        ("capacity", "8.1 million", {"capacity": 8.1e6}),
        ("capacity", "2000000", {"capacity": 2e6}),
    ],
)
def test_a_number_can_be_typed_beside_its_slider(demo, label, text, change):
    type_in(demo, label, text)
    settle(demo, change, 2040)
    (value,) = change.values()
    assert float(demo.get_by_label(label, exact=True).input_value()) == pytest.approx(value)


@pytest.mark.parametrize(
    ("label", "text", "reason"),
    [
        ("capacity", "-5", "capacity counts people: more than 0, not -5"),
        ("capacity", "100,000", "must be above the 300000 people"),
        ("birth rate", "120 %", "between 0 and 1 (100 %), not 1.2"),
        ("death rate", "-1 %", "between 0 and 1 (100 %), not -0.01"),
        ("migration", "9e9", "is more than the whole capacity"),
        ("migration", "many", "“many” is no number"),
        ("year", "1066", "year is one of 2020 to 2100"),
    ],
)
def test_a_bad_number_is_refused_with_the_reason_and_changes_nothing(demo, label, text, reason):
    before = picture(demo)
    field = type_in(demo, label, text)
    demo.wait_for_function("() => document.querySelector('.jm-pop [role=alert]').textContent")
    assert reason in demo.locator(".jm-pop [role=alert]").text_content()
    assert picture(demo) == before
    assert field.input_value() != text
    spec = next(slider for slider in sliders.SLIDERS if slider.label == label)
    slider = demo.get_by_label(label, exact=True)
    assert float(slider.input_value()) == pytest.approx(spec.start)
    assert float(slider.get_attribute("max")) == spec.high


# -- the rest -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "place"), sliders.PRESETS[1:], ids=[name for name, _ in sliders.PRESETS[1:]]
)
def test_a_preset_sets_every_slider(demo, name, place):
    demo.get_by_role("button", name=name).click()
    settle(demo, place, 2040)
    values = [float(control.input_value()) for control in demo.locator(".jm-pop input[type=range]").all()]
    assert values == pytest.approx(
        [(CITY | place | {"year": 2040})[slider.name] for slider in sliders.SLIDERS]
    )


def saved(page, kind, path):
    with page.expect_download() as download:
        page.get_by_role("button", name=kind, exact=True).click()
    download.value.save_as(path)
    return path


def test_the_numbers_can_be_saved(demo, tmp_path):
    put(demo, DEATH, 0.01)
    settle(demo, {"death": 0.01}, 2040)
    rows = list(csv.DictReader(saved(demo, "CSV", tmp_path / "x.csv").open()))
    result = forecast(app.YEARS, **CITY | {"death": 0.01})
    assert [int(row["year"]) for row in rows] == list(app.YEARS)
    for column, values in {"people": result.people, "growth": result.growth}.items():
        assert [float(row[column]) for row in rows] == pytest.approx(list(map(float, values)))
    percent = result.percent_effects()["birth"]
    assert [float(row["effect_of_1_percent_birth"]) for row in rows] == pytest.approx(
        list(map(float, percent))
    )
    assert {(float(row["death"]), float(row["start"])) for row in rows} == {(0.01, app.START)}


def test_the_figure_can_be_saved(demo, tmp_path):
    svg = ElementTree.parse(saved(demo, "SVG", tmp_path / "x.svg")).getroot()
    texts = {node.text for node in svg.iter("{http://www.w3.org/2000/svg}text")}
    assert {"population, millions", "growth, people a year", "+10,600 a year"} <= texts
    assert "var(" not in (tmp_path / "x.svg").read_text()
    png = saved(demo, "PNG", tmp_path / "x.png").read_bytes()
    assert png.startswith(b"\x89PNG")
    assert int.from_bytes(png[16:20]) >= 600
    assert len(png) > 10_000


def test_it_fits_a_narrow_page(demo):
    size = demo.viewport_size
    demo.set_viewport_size({"width": 500, "height": 900})
    demo.wait_for_timeout(300)
    root = demo.locator(".jm-pop").bounding_box()
    for part in (".jm-pop-chart", ".jm-pop-controls", ".jm-pop-effects", ".jm-pop-files"):
        box = demo.locator(part).bounding_box()
        assert box["x"] >= root["x"] - 1
        assert box["x"] + box["width"] <= root["x"] + root["width"] + 1
    demo.set_viewport_size(size)
    demo.wait_for_timeout(300)


def test_a_kept_city_stays_beside_the_one_that_moves_and_goes_into_the_file(demo, tmp_path):
    demo.get_by_role("button", name="keep this as A").click()
    put(demo, BIRTH, 0.02)
    settle(demo, {"birth": 0.02}, 2040)
    kept, moved = (forecast(app.YEARS, **CITY | change) for change in ({}, {"birth": 0.02}))
    apart = f"{moved.people[20] - kept.people[20]:,.0f}".replace("-", "−")[:3]
    said = demo.locator(".jm-pop-apart").text_content()
    assert said.startswith("In 2040 city B has ")
    assert f"B − A is {apart}" in said
    assert drawing(demo, "kept >> nth=0") != drawing(demo, "people")
    heights = [-float(y) for _, y in re.findall(r"[ML]([\d.-]+) ([\d.-]+)", drawing(demo, "difference"))]
    differences = moved.people - kept.people
    scale = (heights[-1] - heights[0]) / (differences[-1] - differences[0])
    assert [height - heights[0] for height in heights] == pytest.approx(
        list(map(float, scale * (differences - differences[0]))), abs=0.2
    )
    assert demo.get_by_text("difference B − A, people").count() == 1
    rows = list(csv.DictReader(saved(demo, "CSV", tmp_path / "x.csv").open()))
    differences = [float(row["people_b_minus_a"]) for row in rows]
    assert differences == pytest.approx(list(map(float, moved.people - kept.people)), abs=1)
    demo.get_by_role("button", name="drop A").click()
    assert demo.locator(".jm-pop-apart").text_content() == ""
    assert drawing(demo, "kept >> nth=0") == ""
    assert drawing(demo, "difference") == ""


def test_a_thousand_moves_leave_the_memory_where_it_was(demo):
    """After a warm-up the browser's heap grows by less than a megabyte, and the kernel's by less than 20."""
    session = demo.context.new_cdp_session(demo)

    def heap():
        session.send("HeapProfiler.collectGarbage")
        return demo.evaluate("() => performance.memory.usedJSHeapSize")

    storm(demo, 100)
    before, kernel = heap(), resident(demo)
    storm(demo, 500)
    assert heap() - before < 1_000_000
    assert resident(demo) - kernel < 20_000_000


def storm(page, moves):
    """So many moves of a slider that the kernel is asked about, and as many of one that is pointed at."""
    page.evaluate(
        """async (moves) => { const [birth, death] = document.querySelectorAll('.jm-pop input[type=range]');
          const later = (ms) => new Promise((done) => setTimeout(done, ms));
          death.step = 'any';
          for (const input of [death, birth]) {
            if (input === birth) { input.dispatchEvent(new Event('focus')); await later(500); }
            for (let i = 0; i < moves; i++) { input.value = 0.0005 * (i % 80);
              input.dispatchEvent(new Event('input', {bubbles: true}));
              await later(5); } } }""",
        moves,
    )
    put(page, DEATH, 0.0125)
    put(page, BIRTH, 0.0125)
    settle(page, {"birth": 0.0125, "death": 0.0125}, 2040)


def resident(page):
    """Bytes of memory that the notebook's kernel holds."""
    return page.evaluate(
        """async () => { const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
          const asked = kernel.requestExecute({ code: "", store_history: false, user_expressions: {
            held: "int(open('/proc/self/statm').read().split()[1]) * 4096" } });
          const answer = await asked.done;
          return Number(answer.content.user_expressions.held.data['text/plain']); }"""
    )


def test_reopened_without_a_kernel_it_is_a_picture(lab, browser):
    name = lab.notebook("still.ipynb", ["import jaxmagic; jaxmagic.population(birth=0.03, year=2060)"])
    page = browser.open(name)
    browser.run_all(page)
    page.wait_for_selector(".jm-pop-people")
    assert page.locator(".jm-pop .jm-say").text_content() == sentence(2060, birth=0.03)
    assert page.locator(".jm-static").is_hidden()
    browser.save(page)
    page.wait_for_function("() => !window.jupyterapp.shell.currentWidget.context.model.dirty")
    page.close()
    saved = json.loads((lab.root / name).read_text())
    assert len(json.dumps(saved)) < 150_000
    lab.end_kernels()
    page = browser.open(name, kernel=False)
    page.wait_for_selector(".jm-static p")
    assert page.locator(".jm-static p").nth(0).text_content() == sentence(2060, birth=0.03)
    assert page.locator(".jm-static img").count() == 2
    assert page.locator(".jm-static img").nth(0).evaluate("(image) => image.naturalWidth") > 300
    page.close()
    browser.forget_missing_models()
