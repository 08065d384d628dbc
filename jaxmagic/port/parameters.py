"""Parameters whose arrays change: their names are held on to, and their new values returned."""

from __future__ import annotations

import ast
import copy

from jaxmagic.port.collect import Unit
from jaxmagic.port.flow import bound
from jaxmagic.port.fresh import Names
from jaxmagic.port.nodes import like, load, store
from jaxmagic.port.views import rebound, stores


def keep_parameters(unit: Unit, body: list[ast.stmt], names: Names) -> tuple[list[ast.stmt], dict[str, str]]:
    """Hold on to parameters whose arrays change and whose names then mean something else.

    Returns:
        the body, and the name that holds each changed parameter's array at the end.
    """
    parameters = [a.arg for a in _all_arguments(unit.node.args)]
    held: dict[str, str] = {}
    for name in parameters:
        changed, body, kept = _kept(unit, body, name, names)
        if changed:
            held[name] = kept
    return body, held


def _kept(unit: Unit, body: list[ast.stmt], name: str, names: Names) -> tuple[bool, list[ast.stmt], str]:
    """Whether a parameter's own array changes, the body, and the name that holds the array at the end."""
    result: list[ast.stmt] = []
    changed, kept = False, name
    original: bool | None = True
    for node in body:
        after, stored = _original(unit, node, name, original)
        changed = changed or stored
        if original and not after and changed:
            if stored and not isinstance(node, ast.Assign):
                raise unit.refuse(
                    node, f"`{name}` is changed in place and bound anew in one loop or branch.", _rename(name)
                )
            kept = names.new(f"{name}_changed")
            holding = like(ast.Assign([store(kept)], load(name)), node)
            holding.origin = ast.Pass()
            result.append(holding)
        original = after
        result.append(node)
    return changed, result, kept


def _original(unit: Unit, node: ast.stmt, name: str, original: bool | None) -> tuple[bool | None, bool]:
    """Whether a name still means the caller's array after a statement (None: depends), and that changes."""
    if not isinstance(node, ast.If | ast.For | ast.While):
        if name in stores(node) and original is None:
            raise unit.refuse(
                node, f"Whether `{name}` is the caller's array here depends on data.", _rename(name)
            )
        rebound = name in bound(node) - stores(node)
        return (False if rebound else original), bool(original) and name in stores(node)
    if not isinstance(node, ast.If):
        return _original_loop(unit, node, name, original)
    after, stored = [], False
    for block in (node.body, node.orelse):
        state = original
        for inner in block:
            state, here = _original(unit, inner, name, state)
            stored = stored or here
        after.append(state)
    return (after[0] if after[0] == after[1] else None), stored


def _original_loop(
    unit: Unit, node: ast.For | ast.While, name: str, original: bool | None
) -> tuple[bool | None, bool]:
    """A loop: its iterations start with the caller's array or with what the one before left."""
    state: bool | None = None if original and name in rebound(node) else original
    stored = False
    for inner in node.body:
        state, here = _original(unit, inner, name, state)
        stored = stored or here
    return (None if original and name in rebound(node) else original), stored


def _rename(name: str) -> str:
    return f"Use another name for the new value of `{name}`."


def _all_arguments(arguments: ast.arguments) -> list[ast.arg]:
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]


def returned_with(body: list[ast.stmt], changed: list[str], returns: bool) -> list[ast.stmt]:
    """A body whose returns give the changed arrays too."""
    if not changed:
        return body
    new = [_returning(node, changed, returns) for node in body]
    if not new or not isinstance(new[-1], ast.Return):
        origin = ast.Pass()
        end = ast.Return(_value(None, changed, returns))
        end.origin = origin  # type: ignore[attr-defined]
        new.append(end)
    return new


def _returning(node: ast.stmt, changed: list[str], returns: bool) -> ast.stmt:
    if isinstance(node, ast.Return):
        new: ast.stmt = like(ast.Return(_value(node.value, changed, returns)), node)
        return new
    if isinstance(node, ast.FunctionDef):
        return node
    new = copy.copy(node)
    for name in ("body", "orelse"):
        if getattr(node, name, None):
            setattr(new, name, [_returning(inner, changed, returns) for inner in getattr(node, name)])
    return new


def _value(value: ast.expr | None, changed: list[str], returns: bool) -> ast.expr:
    """`value, changed…`, without the value where the function returns none."""
    names: list[ast.expr] = [load(name) for name in changed]
    every = [value or ast.Constant(None), *names] if returns else names
    return every[0] if len(every) == 1 else ast.Tuple(every, ast.Load())
