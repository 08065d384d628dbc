"""The labelled contenders of a race: the lines `mine: f(x)` that a `%%jaxbench` cell ends with."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from jaxmagic.errors import BadTarget
from jaxmagic.magics import find
from jaxmagic.magics.cell import Body
from jaxmagic.magics.expression import Expression, fresh
from jaxmagic.magics.parts import Input, inputs_of, is_chain


@dataclass(frozen=True, slots=True, kw_only=True)
class Contenders:
    """Functions of the same inputs, by their labels, and those inputs by name."""

    functions: dict[str, Callable[..., Any]] = field(default_factory=dict)
    inputs: dict[str, Any] = field(default_factory=dict)


def labelled(nodes: Sequence[ast.stmt]) -> list[ast.AnnAssign]:
    """The statements `label: expression` that a body ends with (a type such as `x: int` is none)."""
    found: list[ast.AnnAssign] = []
    for node in reversed(nodes):
        if not isinstance(node, ast.AnnAssign) or node.value is not None or is_chain(node.annotation):
            break
        found.insert(0, node)
    return found


def line_up(nodes: Sequence[ast.AnnAssign], body: Body, magic: str, scope: dict[str, Any]) -> Contenders:
    """Make each contender a function of all the inputs that the contenders name together.

    Raises:
        BadTarget: two have the same label.
    """
    expressions = {_label(node): _expression(node, body) for node in nodes}
    if len(expressions) < len(nodes):
        raise BadTarget("Two contenders have the same label.", fix="Give each line a label of its own.")
    inputs: dict[str, Any] = {}
    parts: dict[str, list[Input]] = {}
    for label, expression in expressions.items():
        parts[label] = [_shared(item, inputs) for item in inputs_of(expression, expression.tree, scope, {})]
    functions = {
        label: find.as_function(expression, expression.tree, parts[label], magic, scope, tuple(inputs))
        for label, expression in expressions.items()
    }
    return Contenders(functions=functions, inputs=inputs)


def _label(node: ast.AnnAssign) -> str:
    return ast.unparse(node.target)


def _expression(node: ast.AnnAssign, body: Body) -> Expression:
    tree = node.annotation
    text = ast.get_source_segment(body.source, tree) or ast.unparse(tree)
    return Expression(text=text, tree=tree, file=body.file, line=tree.lineno, column=tree.col_offset)


def _shared(item: Input, inputs: dict[str, Any]) -> Input:
    """The input under the name that all contenders know it by."""
    if inputs.get(item.name, item.value) is item.value:
        inputs[item.name] = item.value
        return item
    name = fresh(item.name, set(inputs))
    inputs[name] = item.value
    return Input(name, item.value, item.places)
