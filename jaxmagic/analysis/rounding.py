"""How far rounding moves a program's outputs: each operation's result is moved by as much as it may be off.

Random rounding (J. Vignes, A stochastic arithmetic for reliable scientific computation, Mathematics and
Computers in Simulation 35, 1993). It sees what neighbouring points do not: in `log(1 + u)` of a small u in
float32, 1 + u takes the same step for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmagic.analysis import program
from jaxmagic.analysis.origins import called
from jaxmagic.analysis.repeat import repeating

TIMES = 4
MOST_EQUATIONS = 2_000  # that are run one by one
FINE = 1e-8  # types whose rounding is finer than this are as good as exact

# What only moves or chooses numbers rounds nothing.
_EXACT = {
    *("abs", "argmax", "argmin", "broadcast_in_dim", "concatenate", "copy", "copy_p", "device_put"),
    *("dynamic_slice", "dynamic_update_slice", "expand_dims", "gather", "iota", "max", "min", "neg", "pad"),
    *("reduce_max", "reduce_min", "reshape", "rev", "scatter", "select_n", "sign", "slice", "squeeze"),
    *("stop_gradient", "transpose"),
}


def shaken(function: Callable[..., Any], points: Sequence[Any]) -> list[list[Any]]:
    """The outputs at some points, several times, each with every rounding made differently.

    Nothing where the program is too long, or rounds to double precision only.

    Args:
        function: from arrays (in pytrees) to a flat list of arrays.
        points: its inputs.

    Raises:
        CannotRepeatError: where it cannot be traced, or run so.
    """
    with repeating():
        closed = jax.make_jaxpr(function)(*points)
        programs = list(program.every_program(closed))
        coarse = any(_coarse(atom.aval) for one in programs for eqn in one.eqns for atom in eqn.outvars)
        if not coarse or sum(len(one.eqns) for one in programs) > MOST_EQUATIONS:
            return []
        leaves = jax.tree_util.tree_leaves(list(points))
        return [_play(closed, leaves, np.random.default_rng(seed)) for seed in range(TIMES)]


def _play(closed: Any, inputs: Sequence[Any], random: np.random.Generator) -> list[Any]:
    jaxpr = program.opened(closed)
    names = [*jaxpr.constvars, *jaxpr.invars]
    known = dict(zip(names, [*getattr(closed, "consts", ()), *inputs], strict=True))

    def read(atom: Any) -> Any:
        return atom.val if hasattr(atom, "val") else known[atom]

    for equation in jaxpr.eqns:
        made = _run(equation, [read(atom) for atom in equation.invars], random)
        known |= zip(equation.outvars, made, strict=True)
    return [read(atom) for atom in jaxpr.outvars]


def _run(equation: Any, values: list[Any], random: np.random.Generator) -> list[Any]:
    primitive = equation.primitive
    inner = called(equation, values, values[0]) if values and program.inner_programs(equation) else None
    if inner is not None:
        return _play(*inner, random)
    made = primitive.bind(*values, **primitive.get_bind_params(equation.params))
    made = list(made) if primitive.multiple_results else [made]
    return made if primitive.name in _EXACT else [_moved(one, random) for one in made]


def _coarse(kind: Any) -> bool:
    dtype = getattr(kind, "dtype", None)
    return dtype is not None and jnp.issubdtype(dtype, jnp.floating) and _step(dtype) > FINE


def _step(dtype: Any) -> float:
    return float(jax.numpy.finfo(dtype).eps)  # type: ignore[no-untyped-call]  # of JAX's own


def _moved(value: Any, random: np.random.Generator) -> Any:
    """By up to one step of its own type, either way."""
    if not _coarse(value):
        return value
    share = random.uniform(-1.0, 1.0, np.shape(value)) * _step(value.dtype)
    return (np.asarray(value, np.float64) * (1 + share)).astype(value.dtype)
