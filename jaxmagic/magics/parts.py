"""The parts of an expression that are its inputs: arrays that it names, reaches or makes."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jaxmagic.magics.expression import Expression, free_names, fresh
from jaxmagic.magics.makers import calls_run_once, independent_calls, made_by, makers
from jaxmagic.magics.reporting import KEEP, reporting

Scope = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Input:
    """A part of an expression that becomes a parameter: its value and every place of it."""

    name: str
    value: Any
    places: tuple[ast.expr, ...]


def is_chain(node: ast.AST) -> bool:
    """Whether a node is a name, or attributes and constant items of one."""
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        if isinstance(node, ast.Subscript) and not isinstance(node.slice, ast.Constant):
            return False
        node = node.value
    return isinstance(node, (ast.Name, ast.Constant))


def inputs_of(
    expression: Expression, root: ast.expr, scope: Scope, made: Mapping[int, Any]
) -> tuple[Input, ...]:
    """The arrays that an expression names or makes, in the order in which they stand."""
    from jaxmagic.analysis.arrays import is_input

    free = free_names(root)
    found = _named(expression, free, scope, is_input) + _reached(expression, root, free, scope)
    places = (place for item in found for place in item.places)
    inside = {id(node) for place in places for node in ast.walk(place) if isinstance(node, ast.expr)}
    found += _made(expression, root, free, inside, scope, made)
    return tuple(sorted(_named_apart(expression, found), key=lambda item: _start(item.places[0])))


def _start(node: ast.expr) -> tuple[int, int]:
    return node.lineno, node.col_offset


def _named(
    expression: Expression, free: Sequence[ast.Name], scope: Scope, is_input: Callable[[Any], bool]
) -> list[Input]:
    """Names whose values are inputs; a name that there is not raises its NameError here."""
    values: dict[str, Any] = {}
    places: dict[str, list[ast.expr]] = {}
    for node in free:
        values.setdefault(node.id, expression.value_of(node, scope))
        places.setdefault(node.id, []).append(node)
    return [
        Input("" if name in expression.types else name, value, tuple(places[name]))
        for name, value in values.items()
        if is_input(value)
    ]


def _reached(expression: Expression, root: ast.expr, free: Sequence[ast.Name], scope: Scope) -> list[Input]:
    """Arrays that an expression reaches through a name: `self.weight`, `config["w"]`, `module.TABLE`."""
    from jaxmagic.analysis.arrays import is_array, is_input

    outside = {id(node) for node in free if not is_input(expression.value_of(node, scope))}
    parents = {id(child): node for node in ast.walk(root) for child in ast.iter_child_nodes(node)}
    found: dict[str, Input] = {}
    for name in free:
        if id(name) not in outside:
            continue
        for node in _chain_above(name, parents):
            value = expression.value_of(node, scope)
            if is_array(value) or (is_input(value) and not inspect.ismodule(scope.get(name.id))):
                key = ast.unparse(node)
                before = found[key].places if key in found else ()
                found[key] = Input(key, value, (*before, node))
                break
    return list(found.values())


def _chain_above(name: ast.expr, parents: Mapping[int, ast.AST]) -> list[ast.expr]:
    """`a.b`, `a.b[0]`, …, as far as the steps are constant, short of a callee."""
    steps: list[ast.expr] = []
    node: ast.AST = name
    while (parent := parents.get(id(node))) is not None and getattr(parent, "value", None) is node:
        above = parents.get(id(parent))
        if not isinstance(parent, (ast.Attribute, ast.Subscript)) or not is_chain(parent):
            break
        if isinstance(above, ast.Call) and above.func is parent:
            break
        steps.append(parent)
        node = parent
    return steps


def _made(
    expression: Expression,
    root: ast.expr,
    free: Sequence[ast.Name],
    inputs: set[int],
    scope: Scope,
    made: Mapping[int, Any],
) -> list[Input]:
    """Arrays that calls inside the expression make from no array: `np.random.rand(1000)`, once."""
    found = []
    for call in independent_calls(root, free, inputs):
        values = made if id(call) in made else _values(expression, call, scope)
        found += [Input(made_by(maker), values[id(maker)], (maker,)) for maker in makers(call, values, scope)]
    return found


def _values(expression: Expression, call: ast.Call, scope: Scope) -> dict[int, Any]:
    """Run a call once; what it and each call in it gave, by `id` of their nodes."""
    calls = [call, *calls_run_once(call)]
    found: dict[int, Any] = {}

    def keep(i: int, value: Any) -> Any:
        found[id(calls[i])] = value
        return value

    expression.value_of(reporting(call, calls), {**scope, KEEP: keep})
    return found


def _named_apart(expression: Expression, inputs: Sequence[Input]) -> list[Input]:
    """A name of its own for each input; one that is a name already keeps it."""
    taken = {node.id for node in ast.walk(expression.tree) if isinstance(node, ast.Name)}
    letters = iter("abcdefghijklmnopqrstuvwxyz")
    return [
        item
        if item.name and isinstance(item.places[0], ast.Name)
        else Input(fresh(item.name or _letter(letters, taken), taken), item.value, item.places)
        for item in sorted(inputs, key=lambda item: _start(item.places[0]))
    ]


def _letter(letters: Iterator[str], taken: set[str]) -> str:
    return next((letter for letter in letters if letter not in taken), "input")
