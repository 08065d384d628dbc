"""The calls in an expression that make its arrays: `np.random.rand(9)` in `np.sort(np.random.rand(9)).sum()`.

What makes arrays from none is an input, made once; what computes on arrays is what is looked at.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_SCOPED = (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.IfExp, ast.BoolOp)
# What gives the array that it was given another form: part of making it.
_METHODS = {"astype", "copy", "flatten", "ravel", "reshape", "squeeze", "transpose"}
_FUNCTIONS = {"array", "asarray", "ascontiguousarray", "asfortranarray", "copy", "device_put", "reshape"}
_SEEDS = {"PRNGKey", "fold_in", "key", "split", "wrap_key_data"}
_GENERATORS = {"Generator", "RandomState"}


def calls_run_once(root: ast.expr) -> list[ast.Call]:
    """The calls inside an expression that run exactly once when it does, outer ones first."""
    return [call for below in _below(root) for call in (below, *calls_run_once(below))]


def _below(root: ast.AST) -> Iterator[ast.Call]:
    """The nearest of them. A call that gives a function, `f(1)(x)`, makes no array."""
    if isinstance(root, _SCOPED):
        return
    for child in ast.iter_child_nodes(root):
        if not isinstance(child, ast.Call):
            yield from _below(child)
        elif child is not getattr(root, "func", None):
            yield child


def independent_calls(root: ast.expr, free: Sequence[ast.Name], inputs: set[int]) -> list[ast.Call]:
    """The outermost calls inside an expression that run exactly once and use none of its inputs."""
    outside = {id(node) for node in free}
    found: list[ast.Call] = []
    within: set[int] = set()
    for call in calls_run_once(root):
        if id(call) not in within and _independent(call, outside, inputs):
            found.append(call)
            within |= {id(node) for node in ast.walk(call)}
    return found


def _independent(call: ast.Call, outside: set[int], inputs: set[int]) -> bool:
    nodes = list(ast.walk(call))
    bound = (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.NamedExpr)
    names = (node for node in nodes if isinstance(node, ast.Name))
    return (
        not any(id(node) in inputs for node in nodes)
        and not any(isinstance(node, bound) for node in nodes)
        and all(id(node) in outside for node in names)
    )


def makers(call: ast.Call, values: Mapping[int, Any], scope: Mapping[str, Any]) -> list[ast.Call]:
    """The calls, this one or calls inside it, that make arrays from no array.

    Args:
        call: one that uses no input.
        values: what it and each call inside it gave, by `id` of their nodes.
        scope: the names that it sees.
    """
    from jaxmagic.analysis.arrays import is_input

    if not is_input(values[id(call)]):  # a size, a mode, a generator: what is in it serves that alone
        return []
    inner = [maker for below in _below(call) for maker in makers(below, values, scope)]
    inner = [maker for maker in inner if _last_name(maker.func) not in _SEEDS]
    own = not inner or _forms(call, inner) or _draws(call, scope) or _grows(call, inner, values)
    return [call] if own else inner


def made_by(call: ast.Call) -> str:
    """The name of the function that makes an array, whatever form it is then given."""
    formed = next((inner for inner in _below(call) if _forms(call, [inner])), None)
    return made_by(formed) if formed is not None else _last_name(call.func)


def _last_name(function: ast.expr) -> str:
    return ast.unparse(function).rpartition(".")[2]


def _forms(call: ast.Call, inner: Sequence[ast.Call]) -> bool:
    """Whether a call only gives one array another form: `np.arange(9.0).reshape(3, 3)`."""
    method = call.func.value if isinstance(call.func, ast.Attribute) and call.func.attr in _METHODS else None
    first = call.args[0] if call.args and _last_name(call.func) in _FUNCTIONS else None
    return len(inner) == 1 and inner[0] in (method, first)


def _draws(call: ast.Call, scope: Mapping[str, Any]) -> bool:
    """Whether a call draws random numbers, whatever arrays their law is made of."""
    *owner, _ = ast.unparse(call.func).split(".")
    return "random" in owner or (len(owner) == 1 and type(scope.get(owner[0])).__name__ in _GENERATORS)


def _grows(call: ast.Call, inner: Sequence[ast.Call], values: Mapping[int, Any]) -> bool:
    """Whether an array is made of single numbers: `np.linspace(np.float64(0), 1, 50)`."""
    import numpy as np

    return np.ndim(values[id(call)]) > 0 and all(np.ndim(values[id(maker)]) == 0 for maker in inner)
