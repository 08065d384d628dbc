"""Showing results: once, in place, silenced, and never raising."""

import itertools
import subprocess
import sys
from dataclasses import replace

import pytest

import jaxmagic
from jaxmagic import results
from jaxmagic.errors import BadTarget
from jaxmagic.magics.display import PAUSE, Screen, text_of
from tests.magics_fakes import Recorder, trace

WIDGET = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def recorder(monkeypatch, shell):
    fake = Recorder(trace())
    monkeypatch.setattr("jaxmagic.analysis.trace.look", fake)
    shell.user_ns |= {"f": lambda x: x}
    return fake


def devices(count=1):
    listed = tuple(
        results.Device(name=f"cpu:{i}", platform="cpu", kind="cpu", default=not i) for i in range(count)
    )
    return results.Devices(devices=listed, default="cpu:0")


# -- a magic's display ----------------------------------------------------------------------------


def test_a_magic_displays_and_returns_nothing(shell, run, recorder):
    assert run("%jaxpr f(1.0)").result is None
    (bundle,) = shell.published.bundles
    assert set(bundle) == {"text/plain", "text/html"}
    assert bundle["text/plain"] == text_of(recorder.result)


def test_a_semicolon_silences(shell, run, recorder):
    run("%jaxpr f(1.0);")
    run("%%jaxpr f(1.0);\n1 + 1")
    assert shell.published.bundles == []
    assert len(recorder.targets) == 2


def test_output_returns_the_result_and_shows_it_once(shell, run, recorder):
    assert run("%jaxpr -o f(1.0)").result is recorder.result
    assert len(shell.published.bundles) == 1
    assert shell.user_ns["_"] is recorder.result


def test_an_assigned_or_silenced_output_is_not_shown_but_later_is(shell, run, recorder):
    run("kept = %jaxpr -o f(1.0)")
    run("%jaxpr -o f(1.0);")
    run("kept = %jaxpr -o f(1.0);")
    assert shell.published.bundles == []
    run("kept")
    assert len(shell.published.bundles) == 1
    assert replace(shell.user_ns["kept"], changes=None) == recorder.result


def test_a_terminal_gets_text_and_no_widget(shell, run, recorder, monkeypatch, capsys):
    monkeypatch.setattr(shell.display_formatter, "active_types", ["text/plain"])
    shell.run_line_magic("reload_ext", "jaxmagic")
    run("%jaxpr f(1.0)")
    assert [set(bundle) for bundle in shell.published.bundles] == [{"text/plain"}]
    capsys.readouterr()
    run("%jaxpr -o f(1.0)")
    assert text_of(shell.user_ns["_"]) in capsys.readouterr().out
    run("[_]")
    assert "Trace(name='f'" in capsys.readouterr().out
    assert len(shell.published.bundles) == 1


def test_widgets_are_built_only_with_a_kernel(shell, monkeypatch):
    assert not Screen(shell).live
    monkeypatch.setattr(type(shell), "kernel", object(), raising=False)
    assert Screen(shell).live
    monkeypatch.setattr(shell.display_formatter, "active_types", ["text/plain"])
    assert not Screen(shell).live


# -- show -----------------------------------------------------------------------------------------


def test_show_is_what_a_magic_shows(shell, run, recorder):
    run("%jaxpr f(1.0)")
    jaxmagic.show(recorder.result)
    assert shell.published.bundles[0] == shell.published.bundles[1]


def test_show_takes_results_only(shell):
    with pytest.raises(TypeError, match="no page for a int"):
        jaxmagic.show(3)


def test_show_prints_without_a_shell():
    script = (
        "from jaxmagic import show, results; import sys;"
        "show(results.Devices(devices=(), default='cpu:0'));"
        "assert 'jax' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "cpu:0" in done.stdout


@pytest.mark.parametrize("broken", ["jaxmagic.pages.trace.page", "jaxmagic.views.bundle.Shown"])
def test_what_cannot_be_drawn_is_shown_as_text_with_one_line_that_says_so(
    shell, run, recorder, monkeypatch, broken
):
    def fail(*_, **__):
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(broken, fail)
    run("%jaxpr f(1.0)")
    (bundle,) = shell.published.bundles
    text, line = bundle["text/plain"].rsplit("\n", 1)
    assert text.startswith("Trace(name='f'")
    assert line == "(This result could not be drawn: ZeroDivisionError: oh)"
    monkeypatch.setattr(results.Trace, "__repr__", fail)
    assert text_of(recorder.result).startswith("a Trace\n")


# -- what stays behind ----------------------------------------------------------------------------


@pytest.fixture
def rerun(shell, run, recorder, monkeypatch):
    """Run a cell as a kernel does that a front end told which cell it is."""
    monkeypatch.setattr(type(shell), "kernel", object(), raising=False)
    count = itertools.count()

    def rerun(cell, source="%jaxpr f(1.0)"):
        parent = {"header": {"msg_id": f"run-{next(count)}"}, "metadata": {"cellId": cell} if cell else {}}
        monkeypatch.setattr(type(shell), "parent_header", parent, raising=False)
        return run(source)

    return rerun


def widgets():
    from ipywidgets.widgets import widget

    return set(widget._instances)


@pytest.mark.parametrize(
    "source",
    ["%jaxpr f(1.0)", "%jaxpr -o f(1.0)", "%%jaxpr f(1.0)\n1", "import jaxmagic; jaxmagic.show(kept)"],
)
def test_a_cell_that_runs_again_leaves_no_widget_of_its_last_run(shell, rerun, recorder, source):
    shell.user_ns["kept"] = recorder.result
    rerun("a", source)
    before = len(widgets())
    for _ in range(50):
        rerun("a", source)
    assert len(widgets()) == before
    assert len(shell.published.bundles) == 2 * 51


def test_what_one_run_shows_stays_together_and_other_cells_stay_as_they_are(shell, rerun):
    start = widgets()
    rerun("a", "%jaxpr f(1.0)\n%jaxpr f(2.0)")
    rerun("b")
    three = widgets() - start
    rerun("b")
    assert len(widgets() - start) == len(three)
    assert len(three - widgets()) == len(three) / 3
    rerun("a")
    assert len(widgets() - start) == len(three) * 2 / 3


def test_without_the_cells_name_what_is_shown_stays(rerun):
    start = widgets()
    rerun("")
    once = len(widgets() - start)
    rerun("")
    assert len(widgets() - start) == 2 * once


def test_unloading_closes_all_that_is_live(shell, rerun):
    start = widgets()
    rerun("a")
    rerun("")
    assert widgets() > start
    shell.run_line_magic("unload_ext", "jaxmagic")
    assert widgets() == start


def test_the_demo_run_again_leaves_no_widget(shell, rerun):
    rerun("a", "import jaxmagic; jaxmagic.population()")
    before = len(widgets())
    rerun("a", "jaxmagic.population()")
    rerun("a", "jaxmagic.population()")
    assert len(widgets()) == before


def test_progress_of_a_cell_that_runs_again_is_closed_too(shell, rerun, monkeypatch):
    def slow(target, *, budget, watch):
        watch(devices(1), 0.5)
        return devices(1)

    monkeypatch.setattr("jaxmagic.bench.race.run", slow)
    rerun("a", "%jaxbench f(1.0)")
    before = len(widgets())
    rerun("a", "%jaxbench f(1.0)")
    assert len(widgets()) == before


# -- work under way -------------------------------------------------------------------------------


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_progress_is_one_output_that_ends_as_the_result(shell, clock):
    with Screen(shell, clock).progress("%jaxbench") as progress:
        progress(devices(1), 0.0)
        progress(devices(1), 0.1)  # too soon after the last
        clock.now += PAUSE
        progress(devices(2), 0.5)
        progress.finish(devices(3))
    (bundle,) = shell.published.bundles
    assert shell.published.updates == 2
    assert "3 devices" in bundle["text/plain"]
    assert bundle["text/plain"] == text_of(devices(3))


def test_a_quick_result_has_no_progress(shell, clock):
    with Screen(shell, clock).progress("%jaxbench") as progress:
        progress.finish(devices(1))
    assert shell.published.texts == [text_of(devices(1))]


def test_progress_that_cannot_be_drawn_stops_and_the_work_goes_on(shell, clock, monkeypatch):
    monkeypatch.setattr("jaxmagic.pages.devices.page", lambda result: 1 / 0)
    with Screen(shell, clock).progress("%jaxbench") as progress:
        progress(devices(1), 0.0)
        clock.now += 10 * PAUSE
        progress(devices(1), 0.5)
        progress.finish(devices(1))
    (text,) = shell.published.texts
    assert text.endswith("(This result could not be drawn: ZeroDivisionError: division by zero)")


@pytest.mark.parametrize("error", [BadTarget("no"), KeyboardInterrupt()])
def test_progress_of_failed_work_is_emptied(shell, clock, error):
    def work():
        with Screen(shell, clock).progress("%jaxbench") as progress:
            progress(devices(1), 0.0)
            raise error

    with pytest.raises(type(error)):
        work()
    assert shell.published.bundles == [{"text/plain": "", "text/html": ""}]


def test_progress_in_a_terminal_is_a_line_that_is_wiped(shell, clock, monkeypatch, capsys):
    monkeypatch.setattr(shell.display_formatter, "active_types", ["text/plain"])
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with Screen(shell, clock).progress("%jaxbench") as progress:
        progress(devices(1), 0.5)
        progress.finish(devices(1))
    assert capsys.readouterr().err == f"\r%jaxbench:  50%\r{' ' * 15}\r"
    assert shell.published.texts == [text_of(devices(1))]


def test_captured_outputs_hold_no_progress(shell, run, monkeypatch):
    from jaxmagic.bench import race

    def slow(target, *, budget, watch):
        watch(devices(1), 0.5)
        return devices(1)

    monkeypatch.setattr(race, "run", slow)
    shell.user_ns |= {"f": lambda x: x}
    run("%%capture kept\n%jaxbench f(1.0)")
    assert len(shell.user_ns["kept"].outputs) == 1
