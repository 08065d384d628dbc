"""A cell magic's body runs as a plain cell does: the same body is run both ways and compared."""

import asyncio
import re
import sys

import numpy as np
import pytest
from IPython.core.error import UsageError

from jaxmagic.target import ArrayType
from tests.magics_fakes import Recorder, trace


@pytest.fixture
def recorder(monkeypatch):
    fake = Recorder(trace())
    monkeypatch.setattr("jaxmagic.analysis.trace.look", fake)
    return fake


BODIES = {
    "assignment": "a = 1\nb = a + 1",
    "last expression": "a = 1\na + 1",
    "semicolon": "a = 1\na + 1;",
    "semicolon and comment": "a = 1\na + 1;  # quiet\n# more",
    "print": "print('hello')\n3",
    "function": "def f(x):\n    return x * 2\nf(21)",
    "decorated": "import functools\n@functools.lru_cache\ndef f(x):\n    return x\nf(1)",
    "class": "class C:\n    x = 3\n    def m(self):\n        return self.x\nC().m()",
    "async def": "async def f():\n    return 3\nf.__name__",
    "await": "import asyncio\nx = 1\nawait asyncio.sleep(0, result=x + 1)",
    "async for": "async def g():\n    yield 1\n    yield 2\nfound = [i async for i in g()]\nfound",
    "shell": "!echo from the shell\na = !echo captured\nlist(a)",
    "line magic": "%time 1 + 1\nx = %pwd\ntype(x).__name__",
    "capture": "%config InlineBackend\nq = 1",
    "future": "from __future__ import annotations\ndef f(x: undefined): ...\nf.__annotations__",
    "getsource": "import inspect\ndef f(x):\n    # a comment\n    return x\ninspect.getsource(f)",
    "lines": "import inspect\ndef f(x):\n    return x\ninspect.getsourcelines(f)",
    "error": "a = 1\ndef f(x):\n    return x / 0\n\n\n\nb = 2\nf(3)\nc = 3",
    "error in last": "a = 1\n\n\n\n\n\n\nx = undefined_name(a)",
    "error chain": "\n\n\n\n\ntry:\n    1 / 0\nexcept Exception as e:\n    raise ValueError('other') from e",
    "bad magic": "a = 1\n%nosuchmagic",
    "syntax error": "a = 1\ndef f(:\n    pass",
    "indentation": "a = 1\n    b = 2",
    "return outside": "a = 1\nreturn 3",
    "exit code": "a = 1\nraise KeyboardInterrupt",
    "loop": "for i in range(3):\n    i",
    "strings": "x = '''\n%%jaxpr\n'''\nx",
    "unicode": "é = 'ü'\né",
    "annotated": "x: int = 3\nx",
    "global": "def f():\n    global made\n    made = 1\nf()\nmade",
    "underscore": "1 + 1\n",
    "empty last": "a = 1\n\n# the end\n",
    "help": "len?",
    "starred": "print(*(i for i in 'ab'))",
    "walrus": "(y := 3) + 1",
    "nested calls": "max(sorted([3, 1]), key=lambda v: -v)",
}
# The last piece is the first line of a plain cell, in the context of a traceback.
SAME = re.compile(
    r"0x[0-9a-f]+|Wall time.*|CPU times.*|<%jaxpr \d+>|-{10,}|<ipython-input[^>]*>|\n +1 #?(?=\n)"
)
SETTINGS = [
    *(("last_expr", name) for name in BODIES),
    *(
        (setting, name)
        for setting in ("all", "none", "last_expr_or_assign", "last")
        for name in ("assignment", "last expression", "loop", "print", "semicolon", "annotated")
    ),
]


def outcome(shell, capsys, source):
    """Everything that a user can see of a cell, less what differs from run to run."""
    result = shell.run_cell(source, store_history=True)
    output = capsys.readouterr()
    error = result.error_before_exec or result.error_in_exec
    names = {
        name: SAME.sub("", repr(value))
        for name, value in shell.user_ns.items()
        if not name.startswith(("_", "In", "Out", "exit", "quit", "get_ipython", "open"))
    }
    seen = {
        "success": result.success,
        "value": SAME.sub("", repr(result.result)),
        "error": (type(error), SAME.sub("", str(error))),
        "out": SAME.sub("", output.out),
        "err": SAME.sub("", output.err),
        "names": names,
        "Out": {number: SAME.sub("", repr(value)) for number, value in shell.user_ns["Out"].items()},
        "_": SAME.sub("", repr(shell.user_ns.get("_"))),
    }
    return seen, result


@pytest.mark.parametrize(("interactivity", "name"), SETTINGS)
def test_a_body_runs_as_a_plain_cell_does(shell, recorder, capsys, name, interactivity, monkeypatch):
    body = BODIES[name]
    monkeypatch.setattr(shell, "ast_node_interactivity", interactivity)
    # A plain cell with a comment on its first line has the same line numbers as ours.
    plain, _ = outcome(shell, capsys, f"#\n{body}")
    shell.reset(new_session=True)
    capsys.readouterr()
    recorder.targets.clear()
    ours, _ = outcome(shell, capsys, f"%%jaxpr id(1)\n{body}")
    assert len(recorder.targets) == plain["success"]
    if name == "return outside":  # ours is found before anything has run
        assert plain["names"].pop("a") == "1"
    assert ours == plain


def test_the_traceback_is_that_of_a_plain_cell(shell, recorder, capsys):
    body = "\n" * 7 + "def f(x):\n    return x / 0\n\nf(1)"
    plain, _ = outcome(shell, capsys, f"#{body}")
    shell.reset(new_session=True)
    capsys.readouterr()
    ours, _ = outcome(shell, capsys, f"%%jaxpr{body}")
    assert "ZeroDivisionError" in plain["out"]
    assert ours["out"] == plain["out"]
    assert recorder.targets == []


# -- what is looked at ----------------------------------------------------------------------------


def looked(shell, recorder, source):
    result = shell.run_cell(source, store_history=True)
    error = result.error_before_exec or result.error_in_exec
    if error is not None:
        raise error
    return recorder.target


def test_the_expression_on_the_line_comes_first(shell, recorder):
    target = looked(
        shell, recorder, "%%jaxpr g(2.0)\ndef g(x):\n    return x\ndef h(x):\n    return x\nh(3.0)"
    )
    assert (target.function, target.args) == (shell.user_ns["g"], (2.0,))


def test_then_the_call_in_the_last_expression(shell, recorder):
    target = looked(shell, recorder, "%%jaxpr\ndef h(x, k=1):\n    return x\nh(3.0, k=2)")
    assert (target.function, target.args, target.kwargs) == (shell.user_ns["h"], (3.0,), {"k": 2})
    assert shell.user_ns["Out"] == {1: 3.0}


def test_then_the_expression_itself(shell, recorder):
    target = looked(
        shell, recorder, "%%jaxpr\nimport numpy as np\nx = np.ones(3)\nnp.tanh(\n    x  # note\n)"
    )
    np.testing.assert_array_equal(target.function(*target.args), np.tanh(np.ones(3)))


def test_then_the_last_function_with_its_defaults_and_types(shell, recorder):
    target = looked(shell, recorder, "%%jaxpr\ndef g(x: 'f32[8]', s=2.0):\n    return x\ndone = 1\n'text'")
    assert (target.function, target.args) == (shell.user_ns["g"], (ArrayType("f32", (8,)), 2.0))


def test_else_the_three_ways_are_shown(shell, recorder, capsys):
    with pytest.raises(UsageError) as caught:
        looked(shell, recorder, "%%jaxpr\nx = 1")
    assert str(caught.value).startswith("`%%jaxpr` finds nothing to look at in this cell.\n  Write the call")


def test_the_last_call_and_its_arguments_run_once(shell, recorder):
    source = """%%jaxpr
import numpy as np
ran = []
def f(*args, **kwargs):
    ran.append('f')
    return args[0]
def made(value):
    ran.append(value)
    return value
f(*(made(v) for v in (1.0, 2.0)), made(3.0), k=made(4.0))
"""
    target = looked(shell, recorder, source)
    assert shell.user_ns["ran"] == [1.0, 2.0, 3.0, 4.0, "f"]
    assert (target.args, target.kwargs) == ((1.0, 2.0, 3.0), {"k": 4.0})


def test_calls_inside_the_last_expression_run_once(shell, recorder):
    source = """%%jaxpr
import numpy as np
ran = []
def made(n):
    ran.append(n)
    return np.ones(n)
x = np.ones(3)
np.sort(np.add(x, made(3)))
"""
    target = looked(shell, recorder, source)
    assert shell.user_ns["ran"] == [3]
    np.testing.assert_array_equal(target.function(*target.args), 2 * np.ones(3))


def test_nothing_is_left_in_the_namespace(shell, recorder):
    before = set(shell.user_ns)
    looked(shell, recorder, "%%jaxpr\ndef f(x):\n    return x\nf(1.0)")
    assert {name for name in set(shell.user_ns) - before if not name.startswith("_")} == {"f"}
    with pytest.raises(ZeroDivisionError):
        looked(shell, recorder, "%%jaxpr\nf(1 / 0)")
    assert not any("jaxmagic" in name for name in shell.user_ns)


def test_an_awaited_call_is_looked_at_through_what_it_takes(shell, recorder):
    source = """%%jaxpr
import asyncio
def f(x):
    return x
f(await asyncio.sleep(0, result=4.0))
"""
    target = looked(shell, recorder, source)
    assert (target.function, target.args) == (shell.user_ns["f"], (4.0,))


# -- wherever it stands ---------------------------------------------------------------------------


def test_it_runs_when_called_from_code(shell, recorder):
    assert shell.run_cell_magic("jaxpr", "-o", "def f(x):\n    return x\nf(1.0)\n") is recorder.result
    assert shell.user_ns["f"](2) == 2
    with pytest.raises(ZeroDivisionError):
        shell.run_cell_magic("jaxpr", "", "1 / 0\n")


def test_it_runs_inside_other_cell_magics(shell, recorder, capsys):
    looked(shell, recorder, "%%capture kept\n%%jaxpr\nprint('out')\ndef f(x):\n    return x\nf(1.0)")
    assert shell.user_ns["kept"].stdout.startswith("out\n")
    assert len(shell.user_ns["kept"].outputs) == 2
    looked(shell, recorder, "%%time\n%%jaxpr\ndef f(x):\n    return x\nf(2.0)")
    assert recorder.target.args == (2.0,)
    assert "Wall time" in capsys.readouterr().out


def test_a_magic_of_ours_inside_a_body(shell, recorder):
    looked(shell, recorder, "%%jaxpr\ndef f(x):\n    return x\n%jaxpr f(1.0)\nf(2.0)")
    assert [target.args for target in recorder.targets] == [(1.0,), (2.0,)]


def test_an_await_is_awaited_in_a_running_loop(shell, recorder):
    """As in a kernel, whose event loop runs already."""

    async def kernel(source):
        transformed = shell.transform_cell(source)
        return await shell.run_cell_async(source, store_history=True, transformed_cell=transformed)

    source = "%%jaxpr\nimport asyncio\ndef f(x):\n    return x\nx = await asyncio.sleep(0, result=5.0)\nf(x)"
    result = asyncio.run(kernel(source))
    assert result.success
    assert recorder.target.args == (5.0,)
    failed = asyncio.run(kernel("%%jaxpr\nawait asyncio.sleep(0)\n1 / 0"))
    assert isinstance(failed.error_in_exec, ZeroDivisionError)


def test_locals_of_the_function_around_a_line_magic(shell, recorder):
    source = """
import numpy as np
def outer():
    inner = np.ones(3)
    %jaxpr np.sum([inner for _ in range(2)][0])
outer()
"""
    target = looked(shell, recorder, source)
    np.testing.assert_array_equal(target.args[0], np.ones(3))


def test_line_numbers_under_the_cells_own_name(shell, recorder):
    looked(shell, recorder, "%%jaxpr f(1.0)\n\n\ndef f(x):\n    return x")
    code = shell.user_ns["f"].__code__
    assert code.co_firstlineno == 4
    if sys.version_info and hasattr(shell.compile, "_filename_map"):
        assert shell.compile._filename_map[code.co_filename] == 1
