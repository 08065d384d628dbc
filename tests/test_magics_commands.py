"""What each magic hands to its analysis, and on which device."""

from types import SimpleNamespace

import numpy as np
import pytest
from IPython.core.error import UsageError

from jaxmagic import results
from jaxmagic.analysis.trace import PATIENCE
from jaxmagic.magics.commands import COMMANDS
from tests.magics_fakes import Recorder, stage, trace

FOUND = results.Devices(
    devices=(results.Device(name="cpu:0", platform="cpu", kind="cpu", default=True),), default="cpu:0"
)


@pytest.fixture
def scene(shell, monkeypatch):
    """A shell with a function and arrays, and analyses that remember."""
    shell.run_cell(
        "import numpy as np\ndef f(x, k=2.0):\n    return np.sin(x) * k\nx = np.ones(3)\nw = np.ones(3)"
    )

    scene = SimpleNamespace(
        shell=shell,
        look=Recorder(trace()),
        derive=Recorder(trace("d")),
        run=Recorder(trace("r")),
        ports=[],
        raced=[],
    )
    monkeypatch.setattr("jaxmagic.analysis.trace.look", scene.look)
    monkeypatch.setattr("jaxmagic.analysis.gradient.derive", scene.derive)
    monkeypatch.setattr("jaxmagic.bench.race.run", scene.run)
    monkeypatch.setattr(
        "jaxmagic.bench.race.run_labelled",
        lambda functions, args, **options: scene.raced.append((functions, args, options)) or trace(),
    )
    monkeypatch.setattr("jaxmagic.port.port", lambda *a, **k: scene.ports.append((a, k)) or trace())
    return scene


def carry_out(scene, line, cell=None):
    if cell is None:
        return scene.shell.run_line_magic(*line.partition(" ")[::2])
    return scene.shell.run_cell_magic(*line.partition(" ")[::2], cell)


def test_jaxpr_passes_grad_and_makes_the_stage(scene):
    made = []

    def make(name):
        made.append(name)
        return stage(name)

    stages = {name: results.Lazy(lambda name=name: make(name)) for name in ("jaxpr", "stablehlo", "hlo")}
    scene.look.result = trace(stages=stages)
    carry_out(scene, "jaxpr --grad --stage hlo -o f(x)")
    assert scene.look.options == [{"grad": True, "time": False, "patience": PATIENCE}]
    assert made == ["hlo"]


def test_jaxpr_prints_the_whole_program_when_one_looks_at_it(scene):
    made = []
    opened = stage("jaxpr")
    whole = results.Lazy(lambda: made.append("jaxpr") or opened)
    scene.look.result = trace(stages={"jaxpr": whole}, opening=opened)
    carry_out(scene, "jaxpr f(x)")
    assert made == []


def test_jaxpr_counts_costs_at_once_where_they_are_asked_for(scene):
    scene.look.result = trace(peaks=results.Lazy(lambda: None))
    carry_out(scene, "jaxpr --costs -o f(x)")
    assert scene.look.options == [{"grad": False, "time": False, "patience": None}]


def test_jaxpr_opens_the_stage_that_was_asked_for(scene):
    carry_out(scene, "jaxpr --stage stablehlo f(x)")
    (text,) = scene.shell.published.texts
    assert text.index("StableHLO") < text.index("jaxpr")


def test_jaxgrad_passes_names_and_order(scene):
    carry_out(scene, "jaxgrad --wrt x,k --order 2 -o f(x)")
    assert scene.derive.options == [{"wrt": ("x", "k"), "order": 2, "along": None}]
    carry_out(scene, "jaxgrad --along params.t=-1..10 -o f(x)")
    assert scene.derive.options[1] == {"wrt": None, "order": 1, "along": ("params.t", -1.0, 10.0)}


def test_jaxbench_passes_the_budget_and_a_watch(scene):
    carry_out(scene, "jaxbench --budget 0.5 f(x)")
    (options,) = scene.run.options
    assert options["budget"] == 0.5
    assert callable(options["watch"])
    carry_out(scene, "jaxbench -o f(x)")
    assert scene.run.options[1] == {"budget": 2.0, "watch": None}


def test_jaxbench_lines_up_labelled_contenders(scene):
    body = "y = x + 1\nmine: f(x, 3.0)\ntheirs: np.cos(w) + x\nmade: np.sort(np.zeros(3) + y)\n"
    carry_out(scene, "jaxbench --budget 1 -o", body)
    ((functions, args, options),) = scene.raced
    assert list(functions) == ["mine", "theirs", "made"]
    assert options == {"budget": 1.0, "watch": None}
    x, w, y = (scene.shell.user_ns[name] for name in "xwy")
    assert [value is wanted for value, wanted in zip(args, (x, w), strict=False)] == [True, True]
    for function, wanted in zip(
        functions.values(), (np.sin(x) * 3.0, np.cos(w) + x, np.sort(np.zeros(3) + y)), strict=True
    ):
        np.testing.assert_array_equal(function(*args), wanted)


def test_jaxbench_runs_a_body_without_labels_as_a_cell(scene):
    carry_out(scene, "jaxbench -o", "y: int = 3\nf(x)\n")
    assert scene.run.target.args[0] is scene.shell.user_ns["x"]
    assert scene.shell.user_ns["y"] == 3


def test_two_contenders_of_one_label_are_refused(scene):
    with pytest.raises(UsageError, match="same label"):
        carry_out(scene, "jaxbench", "a: f(x)\na: f(w)\n")


def test_jaxport_takes_a_call_or_a_bare_function(scene):
    f, x = scene.shell.user_ns["f"], scene.shell.user_ns["x"]
    carry_out(scene, "jaxport -o f(x, k=3.0)")
    carry_out(scene, "jaxport -o f")
    carry_out(scene, "jaxport -o", "def g(a):\n    return a\n")
    assert scene.ports == [((f, x), {"k": 3.0}), ((f,), {}), ((scene.shell.user_ns["g"],), {})]


def test_jaxport_leaves_the_function_and_its_source_where_asked(scene, monkeypatch):
    made = SimpleNamespace(function=abs, source="def f_jax(x): ...")
    monkeypatch.setattr("jaxmagic.port.port", lambda *_, **__: made)
    cells = []
    monkeypatch.setattr(scene.shell, "set_next_input", cells.append)
    carry_out(scene, "jaxport -o f(x)")
    assert "f_jax" not in scene.shell.user_ns
    assert cells == []
    carry_out(scene, "jaxport -o -f f_jax --cell f(x)")
    assert scene.shell.user_ns["f_jax"] is abs
    assert cells == [made.source]


# -- devices --------------------------------------------------------------------------------------


@pytest.fixture
def devices(monkeypatch):
    """Remembers what is asked of the devices."""
    from contextlib import contextmanager

    asked = []

    @contextmanager
    def on(name):
        asked.append(("on", name))
        yield
        asked.append(("off", name))

    monkeypatch.setattr("jaxmagic.analysis.devices.on", on)
    monkeypatch.setattr("jaxmagic.analysis.devices.devices", lambda: asked.append("list") or FOUND)
    monkeypatch.setattr("jaxmagic.analysis.devices.set_default", lambda name: asked.append(("set", name)))
    monkeypatch.setattr("jaxmagic.analysis.devices.reset", lambda: asked.append("reset"))
    return asked


def quietly(asked):
    return [each for each in asked if each not in (("on", None), ("off", None))]


def test_a_device_is_set_around_the_analysis(scene, devices, monkeypatch):
    monkeypatch.setattr("jaxmagic.analysis.trace.look", lambda target, **_: devices.append("look") or trace())
    carry_out(scene, "jaxpr --device cpu:0 -o f(x)")
    assert quietly(devices) == [("on", "cpu:0"), "look", ("off", "cpu:0")]


@pytest.mark.parametrize(
    ("line", "asked"),
    [
        ("jaxdevice -o", ["list"]),
        ("jaxdevice -o cpu:0", [("set", "cpu:0"), "list"]),
        ("jaxdevice -o tpu", [("set", "tpu"), "list"]),
        ("jaxdevice -o --reset", ["reset", "list"]),
    ],
)
def test_jaxdevice_lists_sets_and_resets(scene, devices, line, asked):
    assert carry_out(scene, line) is FOUND
    assert quietly(devices) == asked


def test_jaxdevice_tells_where_an_array_lives(scene, monkeypatch):
    placed = []
    monkeypatch.setattr("jaxmagic.analysis.devices.place", lambda *args: placed.append(args) or FOUND)
    with pytest.raises(UsageError, match="holds no array"):
        carry_out(scene, "jaxdevice x")
    with pytest.raises(UsageError, match="holds no array"):
        carry_out(scene, "jaxdevice [x, w][0]")
    assert placed == [("x", scene.shell.user_ns["x"]), ("[x, w][0]", scene.shell.user_ns["x"])]


def test_a_users_variable_of_a_devices_name_wins(scene, devices, monkeypatch):
    scene.shell.user_ns["gpu"] = np.ones(2)
    monkeypatch.setattr("jaxmagic.analysis.devices.place", lambda name, value: FOUND)
    with pytest.raises(UsageError, match="`gpu` holds no array"):
        carry_out(scene, "jaxdevice gpu")
    assert quietly(devices) == []


def test_a_cell_runs_elsewhere(scene, devices, monkeypatch):
    scene.shell.user_ns["asked"] = devices
    assert carry_out(scene, "jaxdevice cpu:0", "asked.append('body')\nlen(asked)\n") is None
    assert quietly(devices) == [("on", "cpu:0"), "body", ("off", "cpu:0")]
    assert scene.shell.published.bundles == []


@pytest.mark.parametrize("line", ["jaxdevice", "jaxdevice f(x)", "jaxdevice --reset"])
def test_a_cell_elsewhere_needs_a_device(scene, line):
    with pytest.raises(UsageError, match="takes the name of a device"):
        carry_out(scene, line, "ran = 1\n")
    assert "ran" not in scene.shell.user_ns


@pytest.mark.parametrize("magic", sorted(set(COMMANDS) - {"jaxdevice"}))
def test_a_line_without_an_expression_says_what_to_write(scene, magic):
    with pytest.raises(UsageError, match=f"`%{magic}` needs something to look at.\n  Write a call"):
        carry_out(scene, magic)


def test_every_row_names_things_that_exist():
    from jaxmagic.magics.commands import imported
    from jaxmagic.pages.compose import PAGES

    for command in COMMANDS.values():
        assert callable(imported(command.action))
        assert callable(imported(command.analysis))
        assert getattr(results, command.result) in PAGES
        assert set(command.passes) <= {option.name for option in command.options}
        for line, _ in command.examples:
            assert line.lstrip("%").startswith(command.name)
