# ruff: noqa: ARG002 the handlers of one table share one signature
"""Blocks and simple statements; stores, conditions and loops have rooms of their own."""

from __future__ import annotations

import abc
import ast
import copy
from collections.abc import Mapping
from dataclasses import replace

from jaxmagic.port.closures import captured, changed_apart
from jaxmagic.port.collect import Unit, dotted
from jaxmagic.port.flow import Liveness, assigned, bound, parts, read, returns
from jaxmagic.port.fresh import Names
from jaxmagic.port.known import LOST, Decisions, Env, Held
from jaxmagic.port.nodes import is_put, like, load
from jaxmagic.port.observe import Facts
from jaxmagic.port.obstacles import CHANGES
from jaxmagic.port.subscripts import Subscripts
from jaxmagic.port.windows import Value

# What no compiled loop carries.
NOT_CARRIED = ("list", "dict", "tuple", "str", "other", "none")


class Statements(Subscripts):
    """Lowers the statements of one unit."""

    # What an inner function, which is not rewritten, must not hold.
    not_inside: tuple[type[ast.stmt], ...] = (ast.For, ast.While, ast.If, ast.AugAssign)

    def __init__(
        self,
        unit: Unit,
        facts: Facts,
        decisions: Decisions,
        calls: Mapping[Unit, dict[str, bool]],
        names: Names,
        body: list[ast.stmt],
    ) -> None:
        super().__init__(unit, facts, decisions, calls)
        self.names = names
        self.live = Liveness(body)
        self.whole = body
        self.loops: dict[str, tuple[str, int]] = {}
        self.rolled = 0
        self.mapping: set[tuple[str, int]] = set()
        self.body: list[ast.stmt] = []
        self.unchecked: list[int] = []
        # Line, name or nothing, and two dtypes between which data choose there.
        self.mixed: list[tuple[int, str, str, str]] = []
        # Inside a branch that data choose, what only a trial ran is known well enough: it is proved apart.
        self.trusting = False

    def block(self, body: list[ast.stmt], env: Env) -> list[ast.stmt]:
        """A lowered block; `env` becomes what holds after it."""
        found: list[ast.stmt] = []
        for i, node in enumerate(body):
            if isinstance(node, ast.For | ast.While) and any(
                isinstance(n, ast.Return) for n in ast.walk(node)
            ):
                raise self.unit.refuse(
                    node, "A `return` in this loop depends on data.", "Return after the loop."
                )
            if isinstance(node, ast.If) and returns(node) and not self.is_static(node.test, env):
                return found + self.returning_if(node, body[i + 1 :], env)
            found += self.statement(node, env)
            self._lose(assigned([node]), env)
        return found

    def _lose(self, changed: frozenset[str], env: Env) -> None:
        """Names whose counting elements were said in terms of what has changed."""
        for name, held in list(env.items()):
            known = held.value is not None and held.value is not LOST and name not in changed
            if known and read(held.value.condition()) & changed:  # type: ignore[union-attr] # known says so
                env[name] = Held(static=False, value=LOST)

    def refuse_masked(self, names: list[str], env: Env) -> None:
        """What leaves a function of the port is whole: a mask would be left behind."""
        for name in names:
            if name in env and env[name].value is not None:
                raise self.varying(load(name))

    def statement(self, node: ast.stmt, env: Env) -> list[ast.stmt]:
        """A lowered statement."""
        handler = getattr(self, f"_{type(node).__name__.lower()}", None)
        if handler is None:
            raise self.unit.refuse(
                node, f"`{ast.unparse(node).splitlines()[0]}` has no JAX form.", "Write it another way."
            )
        result: list[ast.stmt] = handler(node, env)
        return result

    # -- simple statements --

    def _pass(self, node: ast.Pass, env: Env) -> list[ast.stmt]:
        return [node]

    def _import(self, node: ast.stmt, env: Env) -> list[ast.stmt]:
        return []

    _importfrom = _import

    def _break(self, node: ast.Break, env: Env) -> list[ast.stmt]:
        return [node]

    def _continue(self, node: ast.Continue, env: Env) -> list[ast.stmt]:
        return [node]

    def _expr(self, node: ast.Expr, env: Env) -> list[ast.stmt]:
        if isinstance(node.value, ast.Constant):
            return [node]
        if self._is_state(node.value):
            raise self.unit.refuse(
                node,
                f"`{ast.unparse(node)}` changes what belongs to the namespace outside, or to an object.",
                "Return the value instead.",
            )
        if self.rolled and self._grows(node.value):
            raise self.unit.refuse(
                node,
                f"`{ast.unparse(node)}` makes a list longer in a loop.",
                "Fill an array of the final size.",
            )
        return [like(ast.Expr(self.plain(node.value, env)), node)]

    def _is_state(self, node: ast.expr) -> bool:
        """Whether a statement calls a method of something that the function does not own."""
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            return False
        path = dotted(node.func)
        return path is None or path[0] not in self.names.taken_locals or len(path) > 2

    def _grows(self, node: ast.expr) -> bool:
        """Whether a method changes a list or another container."""
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            return False
        forms = self.fact(node.func.value).forms
        return any(form.kind in NOT_CARRIED for form in forms) or (not forms and node.func.attr in CHANGES)

    def _assert(self, node: ast.Assert, env: Env) -> list[ast.stmt]:
        if self.is_static(node.test, env):
            return [node]
        self.unchecked.append(node.lineno)
        return []

    def _raise(self, node: ast.Raise, env: Env) -> list[ast.stmt]:
        return [node]

    def _functiondef(self, node: ast.FunctionDef, env: Env) -> list[ast.stmt]:
        env[node.name] = Held(static=False)
        if any(
            is_put(inner) or isinstance(inner, self.not_inside)
            for inner in ast.walk(node)
            if isinstance(inner, ast.stmt)
        ):
            raise self.unit.refuse(
                node, f"The inner function `{node.name}` holds more than expressions.", "Define it outside."
            )
        self._refuse_captures(node, node)
        return [node]

    def _refuse_captures(self, function: ast.FunctionDef | ast.Lambda, node: ast.stmt) -> None:
        """Refuse an inner function that reads a name which changes where the port has another function."""
        moving = sorted(captured(function) & changed_apart(self.whole, node))
        if moving:
            text = f"An inner function reads `{moving[0]}`, which changes in a loop or branch elsewhere."
            raise self.unit.refuse(node, text, f"Pass `{moving[0]}` to it as an argument.")

    def _return(self, node: ast.Return, env: Env) -> list[ast.stmt]:
        new = copy.copy(node)
        if node.value is not None:
            new.value = self.plain(node.value, env)
        return [new]

    def _assign(self, node: ast.Assign, env: Env) -> list[ast.stmt]:
        if is_put(node):
            return self.put(node, env)
        if getattr(node, "container", False):
            return self._into_container(node, env)
        if isinstance(node.value, ast.Lambda):
            self._refuse_captures(node.value, node)
        static = self.is_static(node.value, env)
        value = self.lower(node.value, env)
        new = copy.copy(node)
        new.value = value.node
        target = node.targets[0]
        if isinstance(target, ast.Name):
            env[target.id] = Held(static, None if value.is_plain else self._bound(target.id, value))
            return [*self._kept_mask(node, value, env), new] if not value.is_plain else [new]
        if not value.is_plain:
            raise self.varying(node.value)
        names, elements = parts(target), node.value.elts if isinstance(node.value, ast.Tuple) else []
        known = (
            [self.is_static(e, env) for e in elements]
            if len(elements) == len(names)
            else [static] * len(names)
        )
        for part, own in zip(names, known, strict=True):
            if isinstance(part, ast.Name):
                env[part.id] = Held(own)
        return [new]

    def _into_container(self, node: ast.Assign, env: Env) -> list[ast.stmt]:
        """`x[k] = value` of a list or a dict stays as it is, where `k` is known while JAX traces."""
        target = node.targets[0]
        assert isinstance(target, ast.Subscript)
        new_target = copy.copy(target)
        inner: ast.expr = target
        while isinstance(inner, ast.Subscript):
            if not self._is_key(inner.slice, env):
                text = f"Data decide which element `{ast.unparse(target)}` is."
                raise self.unit.refuse(node, text, "Use an array: `x[i] = value` may have any index there.")
            inner = inner.value
        new_target.slice = self.plain(target.slice, env)
        new = copy.copy(node)
        new.targets, new.value = [new_target], self.plain(node.value, env)
        for name in node.stores:  # type: ignore[attr-defined]
            env[name] = Held(static=False)
        return [new]

    def _is_key(self, node: ast.expr, env: Env) -> bool:
        """Whether an index is no number that JAX traces."""
        return self.is_static(node, env) or {form.kind for form in self.fact(node).forms} == {"str"}

    def _bound(self, name: str, value: Value) -> Value:
        return replace(value, node=load(name))

    def _kept_mask(self, node: ast.Assign, value: Value, env: Env) -> list[ast.stmt]:
        """Masks refer to names: those have to mean the same when the value is used."""
        needed = read(value.condition())
        if needed & bound(node):
            raise self.varying(node.value)
        return []

    @abc.abstractmethod
    def put(self, node: ast.Assign, env: Env) -> list[ast.stmt]:
        """`x[index] = value`."""

    @abc.abstractmethod
    def returning_if(self, node: ast.If, rest: list[ast.stmt], env: Env) -> list[ast.stmt]:
        """A condition on data that returns, and what follows it."""
