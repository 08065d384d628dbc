"""Each obstacle of `port_kernels`: ported, run under jit, equal on the inputs and on others."""

from __future__ import annotations

import copy
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmagic.errors import CannotPort
from jaxmagic.port import port
from jaxmagic.port.prove import Run, compare
from tests import port_kernels, port_lists, port_scripts  # noqa: F401 more rows


def run_numpy(function, args):
    own = copy.deepcopy(args)
    result = function(*own)
    return Run(result=result, after=dict(zip(inspect.signature(function).parameters, own)))  # noqa: B905 defaults


def run_port(made, args):
    """The port under jit, its results told apart from the changed arguments."""
    with jax.enable_x64(new_val=made.x64):
        given = jax.tree.map(lambda v: jnp.array(v) if isinstance(v, np.ndarray) else v, copy.deepcopy(args))
        eager = any(note.kind == "eager" for note in made.notes)
        function = made.function if eager else jax.jit(made.function, static_argnames=made.static)
        result = jax.tree.map(np.asarray, function(*given))
    after = dict(zip(inspect.signature(made.function).parameters, args))  # noqa: B905 defaults
    if made.mutated:
        result, *changed = (
            result if made.returns else (None, *([result] if len(made.mutated) == 1 else result))
        )
        after |= dict(zip(made.mutated, changed, strict=True))
    return Run(result=result, after=after)


@pytest.mark.parametrize(
    ("function", "first", "second"),
    port_kernels.KERNELS,
    ids=[row[0].__name__ for row in port_kernels.KERNELS],
)
def test_ported_and_equal_on_its_inputs_and_on_others(function, first, second):
    before = copy.deepcopy(first)
    made = port(function, *first)
    assert not compare(Run(result=before, after={}), Run(result=first, after={}))
    for args in (first, second):
        assert compare(run_numpy(function, args), run_port(made, args)) == ()


@pytest.mark.parametrize(
    ("function", "words", "args"), port_kernels.REFUSED, ids=[row[0].__name__ for row in port_kernels.REFUSED]
)
def test_refused_with_the_construct_its_line_and_what_to_write(function, words, args):
    with pytest.raises(CannotPort, match=words) as caught:
        port(function, *args)
    assert caught.value.fix
    assert caught.value.span.line >= function.__code__.co_firstlineno


@pytest.mark.parametrize(
    "name", ["nested_if", "growing_window", "helpers_mutate", "while_on_data", "stencil"]
)
def test_the_source_runs_without_jaxmagic(name):
    function, first, _ = next(row for row in port_kernels.KERNELS if row[0].__name__ == name)
    made = port(function, *first)
    names = {}
    exec(made.source, names)
    assert "jaxmagic" not in made.source
    assert compare(run_numpy(function, first), run_port(made, first)) == ()
    with jax.enable_x64(new_val=made.x64):
        given = [jnp.array(v) if isinstance(v, np.ndarray) else v for v in first]
        alone, ours = names[name](*given), made.function(*given)
    jax.tree.map(np.testing.assert_array_equal, alone, ours)
