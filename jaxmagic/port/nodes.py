"""Pieces of the port's own making, as trees."""

from __future__ import annotations

import ast
from typing import Any, TypeVar

from jaxmagic.port.observe import Fact
from jaxmagic.port.windows import final

Made = TypeVar("Made", bound=ast.stmt)
Expression = TypeVar("Expression", bound=ast.expr)


def load(name: str) -> ast.Name:
    """A name that is read."""
    return ast.Name(name, ast.Load())


def store(name: str) -> ast.Name:
    """A name that is bound."""
    return ast.Name(name, ast.Store())


def like(new: Any, old: ast.AST) -> Any:
    """A new node in the place of an old one: its line, its comments, its number."""
    ast.copy_location(new, old)
    new.origin = getattr(old, "origin", old)
    new.key = getattr(old, "key", -1)
    return new


def assign(name: str, value: ast.expr, old: ast.AST) -> ast.Assign:
    """`name = value` in the place of an old statement."""
    new: ast.Assign = like(ast.Assign([store(name)], value), old)
    return new


def put(name: str, index: ast.expr, value: ast.expr, old: ast.AST) -> ast.Assign:
    """`name[index] = value` in the place of an old statement."""
    new: ast.Assign = like(ast.Assign([ast.Subscript(load(name), index, ast.Store())], value), old)
    return new


def is_put(node: ast.stmt) -> bool:
    """Whether a statement is a store into an array."""
    stores = isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript)
    return stores and not getattr(node, "container", False)


def into_container(node: ast.Assign, name: str, *, anew: bool) -> ast.Assign:
    """A store into a list or dict of that name; `anew` where the element is another object after it."""
    node.container, node.anew = True, anew  # type: ignore[attr-defined]
    node.stores = frozenset({name})  # type: ignore[attr-defined]
    return node


def is_whole(index: ast.expr) -> bool:
    """Whether an index is `...` or `:` or `:, :`."""
    if isinstance(index, ast.Tuple):
        return all(is_whole(part) for part in index.elts)
    if isinstance(index, ast.Slice):
        return index.lower is None and index.upper is None and index.step is None
    return isinstance(index, ast.Constant) and index.value is Ellipsis


def loaded(name: str, value: ast.AST) -> ast.Name:
    """A name that holds an expression's value, with the facts of that expression."""
    node = load(name)
    node.key = getattr(value, "key", -1)  # type: ignore[attr-defined]
    return node


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


def chosen(of: ast.AST, choice: ast.Call) -> ast.Call:
    """A choice by data between the last two arguments of a call: what the line of `of` gives."""
    choice.chosen = getattr(of, "lineno", 0)  # type: ignore[attr-defined]
    return choice


def seen_as(node: Expression, fact: Fact) -> Expression:
    """An expression of the port's own making, with what is known of its value."""
    node.seen = fact  # type: ignore[attr-defined]
    return node


def root_of(target: ast.expr) -> str | None:
    """The name in `x[i][j]`."""
    while isinstance(target, ast.Subscript):
        target = target.value
    return target.id if isinstance(target, ast.Name) else None
