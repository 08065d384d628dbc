"""The demo around the model: its page, its sliders, its answers, and what a terminal shows."""

import inspect
import io
from contextlib import redirect_stdout
from dataclasses import replace

import numpy as np
import pytest

import jaxmagic
from jaxmagic.demo import app, fit, fitted, population, sliders
from jaxmagic.demo.census import census
from jaxmagic.demo.forecast import forecast, packed
from jaxmagic.demo.page import page, people
from jaxmagic.pages.blocks import Chart, Code, Table

CITY = {slider.name: slider.start for slider in sliders.SLIDERS[:-1]} | {"start": app.START}


def plain(words):
    return "".join(run.text for run in words)


def shown(year=2040, **change):
    return page(forecast(app.YEARS, **CITY | change), year)


def demo(year=2040, **change):
    return app.Demo(forecast(app.YEARS, **CITY | change), year)


def answers(widget, question):
    """What the widget sends back for a message of the browser."""
    sent = []
    widget.send = lambda content, buffers=None: sent.append((content, buffers))
    widget._handle_custom_msg(question, [])
    return sent


# -- the page -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "text"),
    [(1_314_000, "1.31 million"), (1_300_000, "1.30 million"), (845_123, "845,000"), (999, "999"), (0, "0")],
)
def test_people_in_words(count, text):
    assert people(count) == text


def test_the_sentence_says_the_year_the_people_and_the_growth():
    result = forecast(app.YEARS, **CITY)
    assert plain(shown().say) == "In 2040 the city has 490,000 people and grows by 10,600 a year."
    assert result.people[20] == pytest.approx(490_000, abs=500)
    assert result.growth[20] == pytest.approx(10_600, abs=50)


def test_a_city_can_shrink_or_stand_still():
    assert " and shrinks by " in plain(shown(birth=0.0, migration=-5000.0).say)
    still = plain(shown(birth=0.008, migration=0.0).say)
    assert still == "In 2040 the city has 300,000 people and stays as it is."


def test_the_tangent_touches_the_curve_with_the_slope_of_the_growth():
    chart = shown(year=2050).tabs[0].blocks.get()[0]
    assert isinstance(chart, Chart)
    curve, tangent = chart.series
    middle = tangent.x.index(2050)
    assert tangent.y[middle] == pytest.approx(curve.y[30])
    growth = forecast(app.YEARS, **CITY).growth[30]
    assert (tangent.y[-1] - tangent.y[0]) / (tangent.x[-1] - tangent.x[0]) * 1e6 == pytest.approx(
        growth, rel=1e-3
    )
    assert chart.mark_x == 2050


def test_effects_are_listed_by_name_with_their_signs():
    table = shown().tabs[0].blocks.get()[2]
    assert isinstance(table, Table)
    assert [plain(row[0]) for row in table.rows] == ["birth", "death", "migration", "capacity"]
    assert [plain(row[1])[0] for row in table.rows] == ["+", "−", "+", "+"]
    assert max(row[2].share for row in table.rows) == 1


def test_without_any_effect_the_bars_are_empty():
    table = shown(birth=0.0, death=0.0, migration=0.0).tabs[0].blocks.get()[2]
    assert [row[2].share for row in table.rows] == [0, 0, 0, 0]


def test_the_model_is_shown():
    (code,) = shown().tabs[-1].blocks.get()
    assert code == Code(text=inspect.getsource(population))


# -- the sliders ----------------------------------------------------------------------------------


def test_every_slider_stands_on_one_of_its_steps():
    for slider in sliders.SLIDERS:
        assert slider.around(slider.start).step == slider.step
        assert slider.low <= slider.start <= slider.high


def test_a_slider_makes_room_for_the_value_that_it_is_given():
    birth = sliders.SLIDERS[0]
    assert birth.around(0.08).high == 0.08
    assert birth.around(0.0213).step == "any"
    assert sliders.SLIDERS[2].around(-50_000.0).low == -50_000


def test_no_slider_can_be_moved_to_a_city_that_cannot_be():
    widget = demo(start=1.0e6)
    lows = {slider["name"]: slider["low"] for slider in widget.sliders}
    assert lows["capacity"] == 1.01e6
    for slider in widget.sliders[:-1]:
        for end in ("low", "high"):
            forecast(app.YEARS, **widget.city | {slider["name"]: slider[end]})


def test_every_preset_is_a_city_that_the_sliders_can_reach():
    for _, place in sliders.PRESETS:
        for name, value in place.items():
            slider = next(slider for slider in sliders.SLIDERS if slider.name == name)
            assert slider.around(value) == replace(slider, start=value)
        forecast(app.YEARS, **CITY | place)


# -- the answers ----------------------------------------------------------------------------------


def test_a_question_is_answered_with_the_figures_of_its_city():
    city = CITY | {"birth": 0.01}
    ((content, buffers),) = answers(demo(), {"ask": 7, "city": city})
    assert content == {"answer": 7, "city": city}
    rows = np.frombuffer(buffers[0], "<f4").reshape(6, len(app.YEARS))
    expected = forecast(app.YEARS, **city)
    np.testing.assert_array_equal(rows[0], expected.people)
    np.testing.assert_array_equal(rows[1], expected.growth)
    np.testing.assert_allclose(rows[2:], list(expected.percent_effects().values()))


def test_a_city_that_cannot_be_is_refused_with_the_reason():
    ((content, buffers),) = answers(demo(), {"ask": 1, "city": CITY | {"capacity": -1.0}})
    assert content["answer"] == 1
    assert content["refused"].splitlines() == [
        "capacity counts people: more than 0, not -1",
        "  Give the people that the city has room for.",
    ]
    assert buffers is None


@pytest.mark.parametrize(
    "city", [{}, {"birth": "x"}, None, CITY | {"birth": None}, CITY | {"more": 1.0}, {"birth": 0.1}]
)
def test_a_question_that_makes_no_sense_is_refused_and_raises_nothing(city):
    ((content, _),) = answers(demo(), {"ask": 1, "city": city})
    assert content["refused"]


def test_a_slider_s_whole_track_is_computed_at_once():
    question = {"along": "birth", "number": 3, "city": CITY, "low": 0.0, "high": 0.05, "places": 101}
    ((content, (figures,)),) = answers(demo(), question)
    assert content == question
    rows = np.frombuffer(figures, "<f4").reshape(101, 6, len(app.YEARS))
    one = np.frombuffer(packed(forecast(app.YEARS, **CITY | {"birth": 0.03})), "<f4").reshape(6, -1)
    np.testing.assert_array_equal(rows[60], one)


@pytest.mark.parametrize(
    "change",
    [{"low": -1.0}, {"along": "luck"}, {"places": 0}, {"places": "x"}, {"city": None}, {"high": None}],
)
def test_a_track_that_makes_no_sense_is_not_computed(change):
    question = {"along": "birth", "number": 3, "city": CITY, "low": 0.0, "high": 0.05, "places": 3} | change
    assert answers(demo(), question) == []


def test_no_more_places_are_computed_than_a_track_has():
    question = {"along": "birth", "number": 3, "city": CITY, "low": 0.0, "high": 0.05, "places": 10**9}
    ((content, _),) = answers(demo(), question)
    assert content["places"] == app.MOST_PLACES


@pytest.mark.parametrize("message", [{"nudge": 3}, {}, {"other": 1}])
def test_a_nudge_is_not_answered(message):
    assert answers(demo(), message) == []


# -- the front door -------------------------------------------------------------------------------


def test_without_a_notebook_it_prints_text():
    out = io.StringIO()
    with redirect_stdout(out):
        assert jaxmagic.population() is None
    text = out.getvalue()
    assert text.startswith("In 2040 the city has 490,000 people and grows by 10,600 a year.")
    assert "jax.grad(population)" in text


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"year": 1999}, "year is one of 2020 to 2100, not 1999"),
        ({"birth": 2.0}, "birth is a share"),
        ({"capacity": 1.0}, "must be above"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_shown(given, reason, capsys):
    with pytest.raises(ValueError, match=reason):
        jaxmagic.population(**given)
    assert capsys.readouterr().out == ""


def test_twin_outputs_where_there_are_widgets_and_one_where_not():
    first = forecast(app.YEARS, **CITY)
    still, live = app._shown(first, 2040, html=True, live=True).outputs
    assert set(still) == {"text/plain", "text/html"}
    assert "application/vnd.jupyter.widget-view+json" in live
    assert live["text/plain"] == live["text/html"] == ""
    (alone,) = app._shown(first, 2040, html=True, live=False).outputs
    assert "490,000" in alone["text/html"]
    (text,) = app._shown(first, 2040, html=False, live=False).outputs
    assert set(text) == {"text/plain"}


# -- the fit --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def result():
    years = np.arange(1900, 2021, 10)
    grown = forecast(years, birth=0.05, death=app.DEATH, migration=500.0, capacity=2e6, start=1e5)
    return fitted.fitted(census(years, grown.people), 1, app.DEATH)


@pytest.fixture
def fitting(result):
    first = forecast(result.years, **app._city(result.path[-1], result.death))
    return app.Demo(first, 2020, result)


def test_the_fit_goes_one_stretch_for_each_question_and_says_when_it_is_done(fitting, result):
    first = answers(fitting, {"fit": 1, "go": True})[0][0]
    assert (first["fitted"], first["step"], first["of"]) == (1, 0, fit.STEPS)
    content, (figures,) = answers(fitting, {"fit": 1})[0]
    assert content["step"] == fit.AT_FIRST
    assert content["loss"] < first["loss"]
    assert figures == packed(forecast(result.years, **content["city"]))
    while "ended" not in content:
        last, content = content, answers(fitting, {"fit": 1})[0][0]
    assert content == {"fitted": 1, "ended": "done"}
    assert last["city"] == fitting.best


def test_an_interrupt_ends_the_fit_and_nothing_else(fitting, monkeypatch):
    def interrupted(city):
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(fit, "descend", interrupted)
    assert answers(fitting, {"fit": 2, "go": True})[0][0] == {"fitted": 2, "ended": "stopped"}
    assert answers(fitting, {"ask": 1, "city": dict(fitting.city)})[0][0]["answer"] == 1


def test_a_demo_without_counts_fits_nothing():
    assert answers(demo(), {"fit": 1, "go": True}) == []


def test_the_sliders_of_a_fit_have_room_and_its_years(fitting, result):
    by_name = {slider["name"]: slider for slider in fitting.sliders}
    assert (by_name["year"]["low"], by_name["year"]["high"]) == (result.years[0], result.years[-1])
    for slider in fitting.sliders[:-1]:
        assert slider["low"] < slider["start"] < slider["high"]
    assert by_name["birth"]["high"] <= 1


def test_counts_print_a_page_with_the_fit_and_what_it_rests_on(result, capsys):
    jaxmagic.population((result.city.years, result.city.counts), held_out=2)
    text = " ".join(capsys.readouterr().out.split())
    assert text.startswith("Fitted to 11 counts from 1900 to 2000, the curve reaches ")
    assert "death is held at 0.87 % a year instead of being made up" in text
    assert "In 2010, which the fit never saw, " in text
    assert "The forecast for 2050 hangs most on the " in text


def test_what_the_fit_finds_cannot_be_given():
    with pytest.raises(jaxmagic.JaxmagicError, match=r"finds birth, capacity itself.\n  Give `death` alone"):
        jaxmagic.population(([1, 2], [3, 4]), capacity=3.0, birth=0.1)
