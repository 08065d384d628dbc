"""Pieces of the port's own making, as trees."""

from __future__ import annotations

import ast
from typing import TypeVar

from jaxmagic.port.observe import Fact
from jaxmagic.port.windows import final

Made = TypeVar("Made", bound=ast.stmt)
Expression = TypeVar("Expression", bound=ast.expr)


def made(node: Made) -> Made:
    """A statement of the port's own making: no line of the user's is shown for it."""
    node.origin = ast.Pass()  # type: ignore[attr-defined]
    return node


def at_set(base: ast.expr, index: ast.expr, value: ast.expr) -> ast.expr:
    """`base.at[index].set(value)`."""
    at = ast.Subscript(ast.Attribute(base, "at", ast.Load()), index, ast.Load())
    return ast.Call(ast.Attribute(at, "set", ast.Load()), [value], [])


def bind(names: list[str], value: ast.expr) -> ast.stmt:
    """`names = value`."""
    return made(ast.Assign([tuple_of(names, ast.Store())], value))


def tuple_of(names: list[str], context: ast.expr_context | None = None) -> ast.expr:
    """`(a, b)`, or `a` alone."""
    context = context or ast.Load()
    every: list[ast.expr] = [ast.Name(name, context) for name in names]
    return every[0] if len(every) == 1 else ast.Tuple(every, context)


def dtype(name: str) -> ast.expr:
    """`jnp.float64`."""
    return final("jnp.bool_" if name == "bool" else f"jnp.{name}")


def seen_as(node: Expression, fact: Fact) -> Expression:
    """An expression of the port's own making, with what is known of its value."""
    node.seen = fact  # type: ignore[attr-defined]
    return node
