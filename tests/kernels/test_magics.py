"""The magics in real kernels: a running event loop, interrupts, runs from top to bottom."""

import pytest

from tests.kernels.notebook import kernel, run_notebook

pytestmark = pytest.mark.kernel
START = """
import time, jax, jax.numpy as jnp, numpy as np
%load_ext jaxmagic
x = jnp.arange(4.0)
def f(x, k=2.0):
    return jnp.sin(x) * k
"""
STATE = (
    "(jax.config.jax_enable_x64, jax.config.jax_default_device, jax.config.jax_disable_jit,"
    "jax.config.jax_debug_nans,"
    "sorted(n for n in globals() if not n.startswith('_')), x.tolist())"
)
SLOW = "def slow(x):\n    print('now', flush=True)\n    time.sleep(30)\n    return x\n"


@pytest.fixture(scope="module")
def running():
    with kernel() as started:
        assert started.run(START).status == "ok"
        yield started


def test_a_look_is_twin_outputs(running):
    reply = running.run("%jaxpr f(x)")
    assert reply.status == "ok"
    static, live = reply.of("display_data")
    assert "text/html" in static["data"]
    assert "f" in static["data"]["text/plain"]
    assert "application/vnd.jupyter.widget-view+json" in live["data"]


def test_a_cell_that_runs_again_leaves_no_widget_of_its_last_run(running):
    count = "len(__import__('ipywidgets').widgets.widget._instances)"
    running.run("%jaxpr f(x)", cell="again")
    before = running.value(count)
    for _ in range(50):
        assert len(running.run("%jaxpr f(x)", cell="again").of("display_data")) == 2
    assert running.value(count) == before


def test_a_value_is_shown_once(running):
    reply = running.run("%jaxpr -o f(x)")
    assert [output["output_type"] for output in reply.outputs] == ["display_data", "display_data"]
    assert running.value("type(_).__name__") == "Trace"
    silent = running.run("kept = %jaxpr -o f(x);")
    assert silent.outputs == []
    assert running.run("%jaxpr -o f(x);").of("display_data") == []
    assert len(running.run("kept").of("display_data")) == 2


def test_a_cell_awaits_in_the_kernels_own_loop(running):
    source = """%%jaxpr
import asyncio
async def later():
    await asyncio.sleep(0.01)
    return x
y = await later()
f(y)"""
    reply = running.run(source)
    assert reply.status == "ok"
    assert [output["output_type"] for output in reply.outputs] == [
        "execute_result",
        "display_data",
        "display_data",
    ]
    failed = running.run("%%jaxpr\nimport asyncio\nawait asyncio.sleep(0)\nnothing_of_the_kind")
    assert failed.error == ("NameError", "name 'nothing_of_the_kind' is not defined")
    (error,) = failed.of("error")
    shown = "\n".join(error["traceback"])
    assert "nothing_of_the_kind" in shown
    assert "jaxmagic" not in shown
    assert "run_cell_magic" not in shown


@pytest.mark.parametrize(
    ("source", "ename"),
    [
        ("%jaxpr --gard f(x)", "UsageError"),
        ("%jaxpr f(missing)", "NameError"),
        ("%%jaxpr\n1 / 0", "ZeroDivisionError"),
        ("%%jaxpr\ndef f(:", "SyntaxError"),
        ("%jaxpr --device quantum f(x)", "UnknownDevice"),
        ("%jaxgrad jnp.argmax(x)", "CannotDifferentiate"),
    ],
)
def test_an_error_stops_the_cell_shows_once_and_leaves_no_trace(running, source, ename):
    before = running.value(STATE)
    reply = running.run(source)
    assert reply.status == "error"
    assert reply.error[0] == ename
    shown = reply.of("error")
    assert len(shown) == (ename != "UsageError")
    assert all(
        "site-packages/IPython" not in line and "jaxmagic/" not in line
        for e in shown
        for line in e["traceback"]
    )
    assert running.value(STATE) == before


@pytest.mark.parametrize(
    "source",
    [
        "%%jaxpr\nprint('now', flush=True)\ntime.sleep(30)",
        "%%jaxdevice cpu\nprint('now', flush=True)\ntime.sleep(30)",
        "%%jaxpr\nimport asyncio\nprint('now', flush=True)\nawait asyncio.sleep(30)",
        f"{SLOW}%jaxpr --device cpu slow(x)",
        f"{SLOW}%jaxgrad --device cpu slow(x[0])",
    ],
)
def test_an_interrupt_leaves_everything_as_before(running, source):
    running.run("def slow(x): pass\nimport asyncio")
    before = running.value(STATE)
    reply = running.run(source, interrupt_after="now")
    assert reply.status == "error"
    assert reply.error[0] in ("KeyboardInterrupt", "CancelledError")
    assert running.value(STATE) == before
    assert running.run("%jaxpr f(x)").status == "ok"


def test_an_interrupted_race_keeps_what_it_measured_in_the_place_of_its_progress(running):
    reply = running.run("%jaxbench --budget 60 np.sin(np.ones(1000))", interrupt_after=6.0)
    assert reply.status == "ok"
    static, live = reply.of("display_data")
    assert static["updates"] > 1
    assert "Interrupted" in static["data"]["text/plain"]
    assert "application/vnd.jupyter.widget-view+json" in live["data"]


def test_a_device_for_one_cell(running):
    before = running.value(STATE)
    assert running.run("%%jaxdevice cpu\nhere = jax.config.jax_default_device\ndel here").status == "ok"
    assert running.value(STATE) == before
    assert running.run("%%jaxdevice nowhere\nran = 1").error[0] == "UnknownDevice"
    assert running.value("'ran' in globals()") is False


def test_an_error_stops_a_notebook_run():
    notebook, error = run_notebook("%load_ext jaxmagic\na = 1", "%%jaxpr\nb = a / 0", "c = 1")
    assert error is not None
    assert error.ename == "ZeroDivisionError"
    assert notebook.cells[2].execution_count is None
    (shown,) = notebook.cells[1].outputs
    assert shown["ename"] == "ZeroDivisionError"


def test_a_bad_line_stops_a_notebook_run():
    notebook, error = run_notebook("%load_ext jaxmagic", "%jaxpr --order 3 x", "c = 1")
    assert error is not None
    assert error.ename == "UsageError"
    assert notebook.cells[2].execution_count is None
