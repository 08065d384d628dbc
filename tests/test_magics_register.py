"""Loading and unloading, help and completion, and a thousand lines of anything."""

import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from IPython.core.error import UsageError

from jaxmagic.magics.commands import COMMANDS, help_text
from jaxmagic.magics.completion import completions
from tests.magics_fakes import Recorder, trace

DEVICES = ("cpu:0", "cuda:0", "cuda:1")


@pytest.fixture(autouse=True)
def devices(monkeypatch):
    monkeypatch.setattr("jaxmagic.analysis.devices.device_names", lambda: DEVICES)


def traces(shell):
    """Every place of a shell that an extension can leave something in, with identities."""
    formatter = shell.display_formatter
    everything = [
        *formatter.formatters.values(),
        formatter.ipython_display_formatter,
        formatter.mimebundle_formatter,
    ]
    completer = shell.Completer
    return {
        "magics": {kind: dict(magics) for kind, magics in shell.magics_manager.magics.items()},
        "configurables": [id(item) for item in shell.configurables],
        "transformers": [
            id(item)
            for items in (
                shell.input_transformers_post,
                shell.input_transformer_manager.cleanup_transforms,
                shell.input_transformer_manager.line_transforms,
                shell.input_transformer_manager.token_transformers,
                shell.ast_transformers,
            )
            for item in items
        ],
        "matchers": [
            len(getattr(completer, name, ()))
            for name in ("custom_matchers", "magic_arg_matchers", "matchers")
        ],
        "hooks": {name: repr(hooks) for name, hooks in shell.strdispatchers.items()},
        "formatters": [(set(each.type_printers), set(each.deferred_printers)) for each in everything],
        "exceptions": shell.custom_exceptions,
        "events": {name: [id(call) for call in calls] for name, calls in shell.events.callbacks.items()},
        "names": set(shell.user_ns),
    }


def test_twenty_rounds_leave_nothing_behind(shell):
    shell.run_line_magic("unload_ext", "jaxmagic")
    before = traces(shell)
    for _ in range(20):
        shell.run_line_magic("load_ext", "jaxmagic")
        assert set(COMMANDS) <= set(shell.magics_manager.magics["cell"])
        shell.run_line_magic("unload_ext", "jaxmagic")
        assert traces(shell) == before
    shell.run_line_magic("load_ext", "jaxmagic")
    loaded = traces(shell)
    for _ in range(20):
        shell.run_line_magic("reload_ext", "jaxmagic")
        again = traces(shell)
        for part in ("configurables", "matchers", "formatters", "exceptions", "events", "names"):
            assert again[part] == loaded[part]
        assert len(again["transformers"]) == len(loaded["transformers"])


def test_nothing_is_left_behind_after_use(shell, fakes):
    fakes.run_line_magic("unload_ext", "jaxmagic")
    before = traces(shell)
    fakes.run_line_magic("load_ext", "jaxmagic")
    fakes.run_line_magic("jaxpr", "f(x)")
    fakes.run_cell_magic("jaxpr", "", "f(x)\n")
    shell.display_formatter.format(fakes.run_line_magic("jaxpr", "-o f(x)"))
    shell.display_formatter.formatters["text/plain"](trace())
    fakes.run_line_magic("unload_ext", "jaxmagic")
    after = traces(shell)
    # `Out` and its underscores are those of the last line of the body.
    after["names"] = {name for name in after["names"] if name in before["names"] or not name.startswith("_")}
    assert after == before


def test_unloading_gives_the_default_device_back(shell):
    import jax

    before = jax.config.jax_default_device
    shell.run_line_magic("jaxdevice", "cpu:0")
    assert str(jax.config.jax_default_device) != str(before)
    shell.run_line_magic("unload_ext", "jaxmagic")
    assert jax.config.jax_default_device == before


def test_unloading_gives_names_back(shell):
    shell.run_line_magic("unload_ext", "jaxmagic")
    with pytest.raises(UsageError, match="not found"):
        shell.run_line_magic("jaxpr", "f(x)")


def test_loading_imports_nothing_heavy():
    script = (
        "import sys; from IPython.core.interactiveshell import InteractiveShell as S; s = S.instance();"
        "s.run_line_magic('load_ext', 'jaxmagic'); s.run_line_magic('jaxpr', '--help');"
        "s.Completer.complete(line_buffer='%jaxpr --device ', cursor_pos=16);"
        "heavy = {'jax', 'jaxlib', 'matplotlib', 'anywidget', 'ipywidgets', 'numpy'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# -- help -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("magic", COMMANDS)
@pytest.mark.parametrize("line", ["%{} --help", "%{} -h", "%%{} --help", "%%{} -h\n1 / 0"])
def test_help_is_printed(run, capsys, magic, line):
    run(line.format(magic))
    assert capsys.readouterr().out == help_text(COMMANDS[magic]) + "\n"


@pytest.mark.parametrize("magic", COMMANDS)
@pytest.mark.parametrize("prefix", ["%", "%%"])
def test_a_question_mark_shows_the_same_help(shell, magic, prefix):
    info = shell.object_inspect(f"{prefix}{magic}")
    assert info["found"]
    assert info["docstring"] == help_text(COMMANDS[magic])


# -- completion -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "piece", "texts"),
    [
        (
            "%jaxpr --",
            "--",
            ["--grad", "--stage", "--time", "--why", "--graph", "--costs", "--device", "--output", "--help"],
        ),
        ("%jaxdevice --", "--", ["--reset", "--output", "--help"]),
        ("%%jaxpr --g", "--g", ["--grad", "--graph"]),
        ("t = %jaxpr --st", "--st", ["--stage"]),
        ("%jaxpr --stage ", "", ["jaxpr", "stablehlo", "hlo"]),
        ("%jaxpr --stage h", "h", ["hlo"]),
        ("%jaxpr --stage=s", "--stage=s", ["--stage=stablehlo"]),
        ("%jaxpr -g --device cu", "cu", ["cuda:0", "cuda:1"]),
        ("%jaxpr -d cuda:", "cuda:", ["cuda:0", "cuda:1"]),
        ("%jaxdevice ", "", ["cpu:0", "cuda:0", "cuda:1"]),
        ("%%jaxdevice cuda:1", "cuda:1", ["cuda:1"]),
        ("%jaxbench --budget ", "", []),
    ],
)
def test_options_choices_and_devices_are_offered(line, piece, texts):
    assert completions(line) == (piece, texts)


@pytest.mark.parametrize(
    "line", ["%jaxpr ", "%jaxpr f(", "%jaxpr --grad f(x).", "%jaxpr -- --", "%time f", "jaxpr --"]
)
def test_python_is_left_to_ipython(line):
    assert completions(line) is None


@pytest.mark.parametrize(
    ("line", "texts"),
    [
        ("%jaxpr --st", ["--stage"]),
        ("%jaxpr --stage ", ["hlo", "jaxpr", "stablehlo"]),
        ("%jaxpr --device cuda:", ["cuda:0", "cuda:1"]),
        ("%jaxdevice cu", ["cuda:0", "cuda:1"]),
    ],
)
@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_the_shell_completes_exactly_these(shell, line, texts):
    from IPython.core.completer import provisionalcompleter

    with provisionalcompleter():
        found = list(shell.Completer.completions(line, len(line)))
    whole = sorted(line[: each.start] + each.text + line[each.end :] for each in found)
    begun = line[: len(line) - len(completions(line)[0])]
    assert whole == [begun + text for text in texts]


@pytest.mark.parametrize(
    "line", ["%jaxpr --grad populat", "%jaxpr f(populat", "%jaxpr populat", "%%jaxpr 2 * populat"]
)
def test_names_in_an_expression_are_completed(shell, line):
    from IPython.core.completer import provisionalcompleter

    shell.user_ns["population_of_a_city"] = 1
    with provisionalcompleter():
        found = list(shell.Completer.completions(line, len(line)))
    whole = [line[: each.start] + each.text + line[each.end :] for each in found]
    assert whole == [line.removesuffix("populat") + "population_of_a_city"]


def test_attributes_in_an_expression_are_completed(shell):
    from IPython.core.completer import provisionalcompleter

    shell.user_ns["city"] = type("City", (), {"inhabitants": 3})()
    line = "%jaxpr --grad city.inhab"
    with provisionalcompleter():
        found = list(shell.Completer.completions(line, len(line)))
    whole = {line[: each.start] + each.text + line[each.end :] for each in found}
    assert whole == {"%jaxpr --grad city.inhabitants"}


# -- a thousand lines -----------------------------------------------------------------------------

PIECES = st.sampled_from(
    [
        *(
            "--",
            "-",
            "--grad",
            "-o",
            "--device",
            "cpu",
            "--order",
            "-n",
            "3",
            "--wrt",
            "a,b",
            "=",
            "--stage=hlo",
            ";",
        ),
        *(
            "f(x)",
            "f(",
            ")",
            "x @ x",
            "'",
            '"',
            "\\",
            "f32[8]",
            "i32[]",
            "key<fry>[]",
            "lambda:",
            "await f()",
            "yield",
        ),
        *(
            "[i for i in x]",
            "{x}",
            "$x",
            "#",
            "*x",
            "x := 1",
            "\0",
            "é",
            "___0",
            "--budget",
            "1e9",
            "--help",
            "?",
            "%",
        ),
        *(
            "x",
            "f",
            "missing",
            "f(f32[2,2])",
            "f(x, x)",
            "x[0]",
            ".",
            ",",
            "--reset",
            "--output",
            "-w",
            "sum(x)",
            "\n",
        ),
    ]
)
LINES = st.one_of(
    st.lists(PIECES, max_size=7).map(" ".join), st.text("()[]{}'\"-=,.;:#@ fx1\\\t", max_size=20)
)


@pytest.fixture
def fakes(shell, monkeypatch):
    import numpy as np

    fake = Recorder(trace())
    for name in ("trace.look", "gradient.derive"):
        monkeypatch.setattr(f"jaxmagic.analysis.{name}", fake)
    monkeypatch.setattr("jaxmagic.bench.race.run", fake)
    monkeypatch.setattr("jaxmagic.port.port", lambda *args, **kwargs: trace())
    shell.user_ns |= {"f": lambda x: x, "x": np.ones((2, 2))}
    return shell


def innermost(error):
    traceback = error.__traceback__
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback.tb_frame.f_code.co_filename


@pytest.mark.parametrize("magic", COMMANDS)
@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(line=LINES)
def test_any_line_is_carried_out_or_refused(fakes, magic, line):
    from jaxmagic.errors import JaxmagicError

    try:
        fakes.run_line_magic(magic, line)
    except (UsageError, JaxmagicError):
        return
    except Exception as error:  # noqa: BLE001 # what is left is the user's, raised by the expression itself
        raised_in = innermost(error)
    else:
        return
    assert raised_in.startswith("<%")
