"""An error of the user's own under a look shows what calling the function plainly shows."""

import re

import pytest

from jaxmagic.magics.tracebacks import without_machinery

FUNCTIONS = """
import jax, jax.numpy as jnp
def check(x):
    raise LookupError("my own check")
def plainly(x):
    y = jnp.sin(x)
    return check(y)
def through_jax(x):
    return jax.lax.scan(lambda c, _: (check(c), None), x, None, length=3)[0]
def under_jit(x):
    return jax.jit(jax.vmap(lambda x: check(x).sum()))(x)
def chained(x):
    try:
        {}["a"]
    except KeyError as error:
        raise LookupError("other") from error
class Model:
    def __call__(self, x):
        return check(x)
model = Model()
x = jnp.ones(3)
"""


def shown(shell, capsys, call, source):
    """What a cell prints, the cell's own line told as the plain call."""
    shell.reset(new_session=True)
    shell.run_cell(FUNCTIONS, store_history=True)
    capsys.readouterr()
    shell.run_cell(source, store_history=True)
    out = capsys.readouterr().out
    out = re.sub(r"(?m)^(-+> 1 ).*run_line_magic\(.*$", lambda line: line[1] + call, out)
    out = re.sub(r"(<ipython-input-\d+)-\w+>", r"\1>", out)  # IPython 7 names a cell by its text, too
    # JAX's frames between the user's own differ with what JAX was asked for; that they are hidden does not.
    return re.sub(r"skipping hidden \d+ frame", "skipping hidden frames", out)


@pytest.mark.parametrize("magic", ["jaxpr", "jaxgrad"])
@pytest.mark.parametrize("name", ["plainly", "through_jax", "under_jit", "chained", "model"])
def test_an_error_of_the_users_own_is_shown_as_in_a_plain_cell(shell, capsys, name, magic):
    call = f"{name}(x)"
    plain = shown(shell, capsys, call, call)
    assert "LookupError" in plain
    assert shown(shell, capsys, call, f"%{magic} {call}") == plain


def test_a_mistake_of_ours_shows_where_it_is(shell, capsys, monkeypatch):
    def broken(target, **_):
        from jaxmagic.pages import units

        return units.count("no number")

    monkeypatch.setattr("jaxmagic.analysis.trace.look", broken)
    shell.run_cell("%jaxpr (lambda x: x)(1.0)")
    assert "units.py" in capsys.readouterr().out


def test_no_traceback_stays_none():
    assert without_machinery(None) is None
