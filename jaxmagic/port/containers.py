"""Lists and dicts that a unit stores into: the caller's are copied, those of two names are told apart.

While JAX traces they are Python's own, and two names of one list go on being that. Only a branch that data
choose, or a loop that the compiler rolls, hands out new ones: there a store needs a list of one name.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from jaxmagic.port.collect import Unit
from jaxmagic.port.flow import parts
from jaxmagic.port.names import numpy_name
from jaxmagic.port.nodes import load, made, root_of, store
from jaxmagic.port.observe import Facts
from jaxmagic.port.windows import final

# Calls that give a new list or dict, and those that keep none that they are given.
NEW = ("list", "dict", "sorted")
KEEPING_NONE = (*NEW, "len", "range", "sum", "min", "max", "enumerate", "zip", "any", "all", "tuple", "print")
METHODS = ("keys", "values", "items", "get", "copy", "append", "index", "count", "update")


def stores_in(body: list[ast.stmt]) -> Iterator[ast.Assign]:
    """The stores into lists and dicts in a body."""
    for node in ast.walk(ast.Module(body, [])):
        if isinstance(node, ast.Assign) and getattr(node, "container", False):
            yield node


def mark_shared(unit: Unit, facts: Facts, parameters: list[str], body: list[ast.stmt]) -> None:
    """Note on each store whether the list or dict may have another name there.

    Raises:
        CannotPort: data may decide whose it is.
    """
    seen: dict[str, bool] = {}
    for node in stores_in(body):
        name = root_of(node.targets[0]) or ""
        if name not in seen:
            values = list(bindings(name, body)) + [None] * (name in parameters)
            new = all(value is not None and is_new(value) for value in values)
            if len(values) > 1 and not new:
                text = f"Whether `{name}` is a list or dict of its own or another name's may depend on data."
                raise unit.refuse(node, text, f"Make it one of its own: `{name} = dict(…)` or `list(…)`.")
            alone = new or values == [None]
            seen[name] = not alone or leaks(unit, facts, name, body)
        node.shared = seen[name]  # type: ignore[attr-defined]


def bindings(name: str, body: list[ast.stmt]) -> Iterator[ast.expr | None]:
    """What a name is bound to, each time; None where that is no plain assignment."""
    for node in ast.walk(ast.Module(body, [])):
        if isinstance(node, ast.Assign) and any(_is_name(target, name) for target in node.targets):
            yield node.value
        elif isinstance(node, ast.Assign | ast.For):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(_is_name(part, name) for target in targets for part in parts(target)):
                yield None


def is_new(value: ast.expr) -> bool:
    """Whether an expression makes a list or dict of its own."""
    if isinstance(value, ast.Call):
        named = isinstance(value.func, ast.Name) and value.func.id in NEW
        return named or (isinstance(value.func, ast.Attribute) and value.func.attr in ("copy", "tolist"))
    return isinstance(value, ast.List | ast.Dict | ast.ListComp | ast.DictComp | ast.BinOp)


def leaks(unit: Unit, facts: Facts, name: str, body: list[ast.stmt]) -> bool:
    """Whether a list or dict, or one inside it, may get another name."""
    above = {child: node for node in ast.walk(ast.Module(body, [])) for child in ast.iter_child_nodes(node)}
    own = (node for node in above if _is_part(facts, unit, node, name))
    return any(
        not _keeps_none(unit, facts, node, above[node]) and not _is_returned(node, above) for node in own
    )


def _is_returned(node: ast.AST, above: dict[ast.AST, ast.AST]) -> bool:
    """Whether a value leaves the function, perhaps beside others: no name is given to it here."""
    while isinstance(node, ast.Name | ast.Subscript | ast.Tuple | ast.List | ast.Dict):
        node = above[node]
    return isinstance(node, ast.Return)


def _is_part(facts: Facts, unit: Unit, node: ast.AST, name: str) -> bool:
    """Whether a node reads the list or dict, or one inside it."""
    if not isinstance(getattr(node, "ctx", None), ast.Load):
        return False
    inside = isinstance(node, ast.Subscript) and root_of(node) == name and facts.of(unit, node).is_container
    return inside or _is_name(node, name)


def _keeps_none(unit: Unit, facts: Facts, node: ast.AST, around: ast.AST) -> bool:
    """Whether the expression or statement around a list or dict gives it no name."""
    if isinstance(around, ast.For):
        return not any(
            isinstance(p, ast.Name) and p.id in facts.containers(unit) for p in parts(around.target)
        )
    if isinstance(around, ast.Subscript):
        return around.value is node
    if isinstance(around, ast.Attribute):
        return around.attr in METHODS
    if isinstance(around, ast.Call):
        called = isinstance(around.func, ast.Name) and around.func.id in KEEPING_NONE
        return called or numpy_name(unit, around.func) is not None
    return isinstance(around, ast.Return | ast.Compare | ast.BinOp | ast.comprehension)


def copied_containers(
    unit: Unit, facts: Facts, parameters: list[str], body: list[ast.stmt]
) -> list[ast.stmt]:
    """`p = dict(p)` for the caller's lists and dicts that a unit stores into: those stay as they were."""
    stored = {name for node in stores_in(body) for name in node.stores}  # type: ignore[attr-defined]
    return [_copied(unit, facts, name) for name in parameters if name in stored]


def _copied(unit: Unit, facts: Facts, name: str) -> ast.stmt:
    """One level where nothing deeper is a list or a dict, else all of them."""
    reads = [n for n in ast.walk(unit.node) if isinstance(n, ast.Subscript) and root_of(n) == name]
    kinds = {form.kind for n in ast.walk(unit.node) if _is_name(n, name) for form in facts.of(unit, n).forms}
    if len(kinds) == 1 and not any(facts.of(unit, node).is_container for node in reads):
        value = ast.Call(load(kinds.pop()), [load(name)], [])
    else:
        leaf = ast.arguments([], [ast.arg("leaf")], None, [], [], None, [])
        value = ast.Call(final("jax.tree.map"), [ast.Lambda(leaf, load("leaf")), load(name)], [])
    return made(ast.Assign([store(name)], value))


def _is_name(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name
