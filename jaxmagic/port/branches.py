# ruff: noqa: ARG002 the handlers of one table share one signature
"""`if`: known while JAX traces, `where`, or `cond`."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from contextlib import contextmanager

from jaxmagic.port.flow import Liveness, assigned, blocks, ends, exits, raises, read
from jaxmagic.port.index import as_slice
from jaxmagic.port.known import Env, Held, either
from jaxmagic.port.nodes import (
    assign,
    at_set,
    bind,
    chosen,
    dtype,
    is_whole,
    like,
    load,
    made,
    store,
    tuple_of,
)
from jaxmagic.port.observe import Fact, form_of
from jaxmagic.port.obstacles import CHANGES
from jaxmagic.port.stores import Stores
from jaxmagic.port.unseen import is_certain
from jaxmagic.port.windows import call

UNSEEN = "This line did not run on the inputs given"


class Branches(Stores):
    """Lowers conditions."""

    def _if(self, node: ast.If, env: Env) -> list[ast.stmt]:
        if self.is_static(node.test, env):
            return [self._static_if(node, env)]
        if exits(node):
            raise self.unit.refuse(
                node,
                "`break` and `continue` under a condition on data need a loop that JAX can roll.",
                "Write the loop as `while condition:`.",
            )
        if raises(node.body) or raises(node.orelse):
            return self.block(self._not_raising(node), env)
        self._refuse_containers(node)
        for block in blocks(node):
            self._refuse_unseen(block)
        with self._trusted():
            return self._selected(node, env) if self._is_cheap(node, env) else self._cond(node, env)

    @contextmanager
    def _trusted(self) -> Iterator[None]:
        """Inside a branch that data choose."""
        outer, self.trusting = self.trusting, True
        try:
            yield
        finally:
            self.trusting = outer

    def _refuse_containers(self, node: ast.If) -> None:
        """A list may not grow or shrink where data decide whether it does: both ways are traced."""
        statements = [inner for block in blocks(node) for each in block for inner in ast.walk(each)]
        self.refuse_shared(node)
        calls = [inner for inner in statements if isinstance(inner, ast.Call)]
        for call_ in calls:
            method = call_.func
            if not isinstance(method, ast.Attribute) or method.attr not in CHANGES:
                continue
            kinds = {form.kind for form in self.fact(method.value).forms}
            if kinds <= {"list", "dict", "other"}:
                raise self.unit.refuse(
                    call_,
                    f"Data decide whether `{ast.unparse(call_)}` runs, and so how much it holds.",
                    "Use an array of full size and choose with a mask, or with `np.where`.",
                )

    def refuse_shared(self, node: ast.stmt) -> None:
        """What data choose between, and what is carried through a loop, is a new list each time."""
        for inner in ast.walk(node):
            if getattr(inner, "shared", False):
                text = (
                    f"`{ast.unparse(inner.targets[0])}` is stored into a list or dict of several names here."  # type: ignore[attr-defined]
                )
                raise self.unit.refuse(inner, text, "Copy it first, with `dict(…)` or `list(…)`.")

    def _not_raising(self, node: ast.If) -> list[ast.stmt]:
        """The branch that does not raise: compiled code raises nothing, and NumPy's did not."""
        self.unchecked.append(node.lineno)
        return node.orelse if raises(node.body) else node.body

    def _static_if(self, node: ast.If, env: Env) -> ast.If:
        """A condition that is known while JAX traces stays an `if`."""
        new, other = copy.copy(node), dict(env)
        new.test = self.plain(node.test, env)
        new.body = self._branch(node.body, env)
        new.orelse = self._branch(node.orelse, other) if node.orelse else []
        for name in {*env, *other}:
            env[name] = either(
                env.get(name), other.get(name), a_ended=ends(new.body), b_ended=ends(new.orelse)
            )
        return new

    def _branch(self, body: list[ast.stmt], env: Env) -> list[ast.stmt]:
        """A branch; one that never ran and cannot be ported says so when it is reached."""
        if self._unseen(body) is None:
            return self.block(body, env) or [ast.Pass()]
        words = f"line {body[0].lineno} of the NumPy code did not run when this was ported"
        error = ast.Call(load("NotImplementedError"), [ast.Constant(words)], [])
        for name in assigned(body):
            env[name] = Held(static=False)
        return [like(ast.Raise(error), body[0])]

    def _unseen(self, body: list[ast.stmt], *, tried: bool = False) -> ast.stmt | None:
        """The first statement that never ran and whose meaning its text alone does not tell."""
        if any(self.facts.ran(self.unit, node, tried=tried or self.trusting) for node in body):
            return None
        return next((node for node in body if not is_certain(node)), None)

    def _refuse_unseen(self, body: list[ast.stmt]) -> None:
        node = self._unseen(body, tried=True)
        if node is not None:
            raise self.unit.refuse(
                node,
                f"{UNSEEN}, so nothing is known of its arrays, and data decide whether it runs.",
                "Give inputs that reach it.",
            )

    def _is_cheap(self, node: ast.If, env: Env) -> bool:
        """Whether both branches may be computed and one chosen."""
        return all(self._is_cheap_statement(inner, env) for inner in [*node.body, *node.orelse])

    def _is_cheap_statement(self, node: ast.stmt, env: Env) -> bool:
        if isinstance(node, ast.If):
            return self._is_cheap(node, env)
        if isinstance(node, ast.Pass):
            return True
        if (
            not isinstance(node, ast.Assign)
            or getattr(node, "stores", None)
            or isinstance(node.targets[0], ast.Tuple)
        ):
            return False
        target, fact = node.targets[0], self.fact(node.value)
        if isinstance(target, ast.Name):
            small = fact.is_scalar or (isinstance(node.value, ast.Constant | ast.BinOp) and not fact.forms)
            return small and (target.id in env or target.id not in self.live.after[id(node)])
        if is_whole(target.slice):  # type: ignore[attr-defined]
            return False
        scalar = (
            fact.is_scalar
            or isinstance(node.value, ast.Constant)
            or (isinstance(node.value, ast.BinOp) and self.fact(node.value.right).is_scalar)
        )
        points = target.slice.elts if isinstance(target.slice, ast.Tuple) else [target.slice]  # type: ignore[attr-defined]
        return scalar and not any(isinstance(p, ast.Slice) for p in points)

    def _selected(self, node: ast.If, env: Env) -> list[ast.stmt]:
        """`x = jnp.where(condition, new, old)` for each statement of the branches."""
        test = self.truth(node.test, env)
        several = len(node.body) + len(node.orelse) > 1 or read(test) & assigned([node])
        head: list[ast.stmt] = []
        if several:
            name = self.names.new("condition")
            head = [like(ast.Assign([store(name)], test), node)]
            env[name] = Held(static=False)
            test = load(name)
        body = self._chosen(node.body, test, env, node if not head else None)
        return head + body + self._chosen(node.orelse, self.negated(test, node.test), env, None)

    def _chosen(
        self, body: list[ast.stmt], test: ast.expr, env: Env, origin: ast.stmt | None
    ) -> list[ast.stmt]:
        found: list[ast.stmt] = []
        for node in body:
            if isinstance(node, ast.If):
                inner = ast.BinOp(copy.deepcopy(test), ast.BitAnd(), self.truth(node.test, env))
                name = self.names.new("condition")
                env[name] = Held(static=False)
                found.append(like(ast.Assign([store(name)], inner), node))
                found += self._chosen(node.body, load(name), env, None)
                if node.orelse:
                    other = ast.BinOp(copy.deepcopy(test), ast.BitAnd(), self.negated(load(name), node.test))
                    found += self._chosen(node.orelse, other, env, None)
            elif isinstance(node, ast.Assign):
                new = self._chosen_assign(node, copy.deepcopy(test), env)
                if origin is not None:
                    like(new, origin)
                found.append(new)
        return found

    def _chosen_assign(self, node: ast.Assign, test: ast.expr, env: Env) -> ast.Assign:
        target = node.targets[0]
        value = self.lower(node.value, env)
        if not value.is_plain:
            raise self.varying(node.value)
        if isinstance(target, ast.Name):
            self.refuse_masked([target.id], env)
            known = target.id in env
            env[target.id] = Held(static=False)
            choice = chosen(node, call("jnp.where", test, value.node, load(target.id)))
            return assign(target.id, choice if known else value.node, node)
        assert isinstance(target, ast.Subscript)
        assert isinstance(target.value, ast.Name)
        before = self.plain(ast.Subscript(target.value, target.slice, ast.Load()), env)
        new = self._as_dtype(target.value, self.fact(target.value), value.node, node.value)
        choice = call("jnp.where", test, new, before)
        index = self.index(target, env)
        name = target.value.id
        env[name] = Held(static=False)
        return assign(name, at_set(load(name), as_slice(index.rest()), choice), node)

    def _cond(self, node: ast.If, env: Env) -> list[ast.stmt]:
        """`names = lax.cond(condition, then, otherwise, names)`."""
        after = self.live.after[id(node)]
        if not assigned([node]) & after:
            return []
        needed = after | Liveness(node.body, after).before | Liveness(node.orelse, after).before
        names = sorted(assigned([node]) & needed)
        head = [new for name in names if name not in env for new in self._made(node, name, env)]
        test = self.truth(node.test, env)
        then = self._function("then", node.body, names, env, node)
        otherwise = self._function("otherwise", node.orelse or [ast.Pass()], names, env, node)
        for name in names:
            env[name] = Held(static=False)
        then.origin = node  # type: ignore[attr-defined]
        result = call(
            "lax.cond", test, load(then.name), load(otherwise.name), *(load(name) for name in names)
        )
        return [*head, then, otherwise, bind(names, result)]

    def _made(self, node: ast.stmt, name: str, env: Env) -> list[ast.stmt]:
        """A first value for a name that only a branch or a loop gives one."""
        fact = self._later(node, name)
        if fact is None or fact.shape is None:
            raise self.unit.refuse(
                node,
                f"`{name}` has no value before line {node.lineno}, and after it not always the same kind.",
                f"Give `{name}` a value before.",
            )
        env[name] = Held(static=False)
        zeros = {"b": False, "f": 0.0, "c": 0j}
        value: ast.expr = ast.Constant(zeros.get(fact.kind, 0))
        if fact.dtype is not None:
            value = call("jnp.zeros", ast.parse(repr(fact.shape), mode="eval").body, dtype(fact.dtype))
        return [made(ast.Assign([store(name)], value))]

    def _later(self, node: ast.stmt, name: str) -> Fact | None:
        """What a name holds after a statement, by its last binding in it."""
        pairs = self.facts.carried.get((self.unit.name, getattr(node, "key", -1)), {}).get(name)
        if pairs:
            return Fact(frozenset(after for _, after in pairs))
        for inner in ast.walk(node):
            if (
                isinstance(inner, ast.Assign)
                and isinstance(inner.targets[0], ast.Name)
                and inner.targets[0].id == name
            ):
                fact = self.fact(inner.value)
                if isinstance(inner.value, ast.Constant):
                    fact = Fact(frozenset({form_of(inner.value.value)}))
                if fact.forms:
                    return fact
        return None

    def _function(
        self, name: str, body: list[ast.stmt], names: list[str], env: Env, node: ast.stmt
    ) -> ast.FunctionDef:
        """A branch as a function of the names that it may change."""
        inner = dict(env)
        for known in names:
            inner[known] = Held(static=False, value=env[known].value if known in env else None)
        lowered = [new for new in self.block(body, inner) if not isinstance(new, ast.Pass)]
        self.refuse_masked(names, inner)
        if not ends(lowered):
            lowered.append(ast.Return(tuple_of(names)))
        return self.function(self.names.new(name), names, lowered)

    def function(self, name: str, parameters: list[str], body: list[ast.stmt]) -> ast.FunctionDef:
        """`def name(parameters): body`."""
        arguments = ast.arguments([], [ast.arg(p) for p in parameters], None, [], [], None, [])
        new = ast.FunctionDef(name, arguments, body, [], None, None)
        new.type_params = []  # type: ignore[attr-defined]
        return made(new)

    def returning_if(self, node: ast.If, rest: list[ast.stmt], env: Env) -> list[ast.stmt]:
        """`if condition: return a` and what follows, as one choice that returns."""
        if raises(node.body) or raises(node.orelse):
            return self.block([*self._not_raising(node), *rest], env)
        for block in (node.body, node.orelse, rest):
            self._refuse_unseen(block)
        ways = [way if ends(way) else [*way, *rest] for way in (node.body, node.orelse)]
        if not all(map(ends, ways)):
            ways = [way if ends(way) else [*way, ast.Return(ast.Constant(None))] for way in ways]
        test = self.truth(node.test, env)
        results = [_result_alone(way) for way in ways]
        simple = [value for value in results if value is not None]
        if len(simple) == 2 and all(self.fact(v).is_scalar or isinstance(v, ast.Constant) for v in simple):
            choice = chosen(simple[0], call("jnp.where", test, *(self.plain(v, env) for v in simple)))
            return [like(ast.Return(choice), node)]
        names = sorted(assigned([*ways[0], *ways[1]]) & set(env))
        with self._trusted():
            then = self._function("then", ways[0], names, env, node)
            otherwise = self._function("otherwise", ways[1], names, env, node)
        then.origin = node  # type: ignore[attr-defined]
        held = (load(name) for name in names)
        end = ast.Return(call("lax.cond", test, load(then.name), load(otherwise.name), *held))
        return [then, otherwise, made(end)]


def _result_alone(way: list[ast.stmt]) -> ast.expr | None:
    """What a branch returns that does nothing else."""
    return way[0].value if len(way) == 1 and isinstance(way[0], ast.Return) else None
