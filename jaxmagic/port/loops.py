"""Loops: rolled over the names that live on, or written out."""

from __future__ import annotations

import ast
import copy

from jaxmagic.errors import CannotPort
from jaxmagic.port.flow import assigned, blocks, exits, parts, read
from jaxmagic.port.hoist import Hoist, hoisted
from jaxmagic.port.known import Env, Held, either
from jaxmagic.port.nodes import bind, dtype, load, made, store, tuple_of
from jaxmagic.port.observe import Form
from jaxmagic.port.ranges import Ranges, inside
from jaxmagic.port.segments import Segments
from jaxmagic.port.statements import NOT_CARRIED
from jaxmagic.port.windows import call

# A loop without loops in it is written out by the compiler up to this many iterations.
SHORT = 8
# A loop that cannot be rolled is written out up to this many statements.
PATIENCE = 400
# What a dict gives to loop over.
OF_DICT = ("keys", "values", "items")


class Loops(Segments):
    """Lowers loops."""

    def _for(self, node: ast.For, env: Env) -> list[ast.stmt]:
        if node.orelse:
            raise self.unit.refuse(
                node.orelse[0], "`else` of a loop has no JAX form.", "Test a flag after the loop."
            )
        key = (self.unit.name, getattr(node, "key", -1))
        static = self.is_static(node.iter, env)
        if self._unseen(node.body) is not None:
            return [self._unseen_loop(node, env)]
        if static and (key in self.decisions.unroll or self._is_short(node)):
            return self._unrolled(node, env)
        outer, self.ranges = self.ranges, inside(node, self.ranges)
        try:
            return self._compiled(node, env, outer, static=static)
        finally:
            self.ranges = outer

    def _compiled(self, node: ast.For, env: Env, outer: Ranges, *, static: bool) -> list[ast.stmt]:
        """One mapped over its iterations, else one that the compiler rolls, else one written out."""
        kept = dict(env)
        try:
            mapped = self.segmented(node, env) or self.mapped(node, env, outer)
            if mapped is not None:
                return mapped
        except CannotPort:
            env.clear()
            env.update(kept)
        try:
            return self._rolled(node, env)
        except CannotPort:
            can_unroll = static or self.fact(node.iter).is_array or self._is_sequence(node.iter)
            if not can_unroll or self._weight(node) > PATIENCE:
                raise
            env.clear()
            env.update(kept)
            return self._unrolled(node, env)

    def _is_sequence(self, node: ast.expr) -> bool:
        """Whether a loop goes over Python's own sequence, whose length is known while JAX traces."""
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            over = node.func.id in ("enumerate", "zip", "reversed") and node.args
            return bool(over) and all(self._is_sequence(a) or self.fact(a).is_array for a in node.args[:2])
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in OF_DICT:
            return self._is_sequence(node.func.value)
        forms = self.fact(node).forms
        return bool(forms) and all(form.kind in ("list", "tuple", "range", "dict") for form in forms)

    def _keys(self, node: ast.For) -> frozenset[str]:
        """The names that are keys in a loop over a dict: Python's own values."""
        over, targets = node.iter, parts(node.target)
        if isinstance(over, ast.Call) and isinstance(over.func, ast.Attribute):
            method, over = over.func.attr, over.func.value
            targets = {"keys": targets, "items": targets[:1]}.get(method, [])
        kinds = {form.kind for form in self.fact(over).forms}
        return frozenset(part.id for part in targets if isinstance(part, ast.Name) and kinds == {"dict"})

    def _unseen_loop(self, node: ast.For | ast.While, env: Env) -> ast.stmt:
        """A loop without iterations when it was watched: another number of them is refused."""
        head = "iter" if isinstance(node, ast.For) else "test"
        if not self.is_static(getattr(node, head), env):
            self._refuse_unseen(node.body)
        new = copy.copy(node)
        setattr(new, head, self.plain(getattr(node, head), env))
        new.body = self._branch(node.body, dict(env))
        for name in assigned([node]):
            env[name] = Held(static=False)
        return new

    def _is_short(self, node: ast.For) -> bool:
        low, high = self.facts.trips.get((self.unit.name, node.key), (0, 0))  # type: ignore[attr-defined]
        nested = any(
            isinstance(inner, ast.For | ast.While)
            for block in blocks(node)
            for s in block
            for inner in ast.walk(s)
        )
        return low == high and (high == 1 or (high <= SHORT and not nested))

    def _weight(self, node: ast.For | ast.While) -> int:
        """How many statements the loop runs in all."""
        return sum(
            self.facts.counts.get((self.unit.name, key), 0)
            for key in {
                getattr(inner, "key", -1)
                for s in node.body
                for inner in ast.walk(s)
                if isinstance(inner, ast.stmt)
            }
        )

    def _unrolled(self, node: ast.For | ast.While, env: Env) -> list[ast.stmt]:
        """The loop as it is: the compiler sees every iteration."""
        new = copy.copy(node)
        if isinstance(node, ast.For):
            new.iter = self.plain(node.iter, env)  # type: ignore[union-attr]
            keys = self._keys(node)
            for part in parts(node.target):
                known = part.id in keys or self.is_static(node.iter, env)  # type: ignore[attr-defined]
                env[part.id] = Held(static=known)  # type: ignore[attr-defined]
        for _ in range(8):
            inner = dict(env)
            new.body = self.block(node.body, inner)
            joined = {name: either(env.get(name), inner.get(name)) for name in {*env, *inner}}
            if all(joined.get(name) == env.get(name) for name in env):
                env.update(joined)
                break
            env.update({name: joined[name] for name in env})
        if isinstance(node, ast.While):
            new.test = self.plain(node.test, env)  # type: ignore[union-attr]
        return [new]

    def _rolled(self, node: ast.For, env: Env) -> list[ast.stmt]:
        """A `fori_loop` over the names that live on."""
        if exits(node):
            raise self.unit.refuse(
                node,
                "`break`, `continue` and `return` in this loop depend on data.",
                "Write the loop as `while condition:`.",
            )
        self.refuse_shared(node)
        carry = self._carry(node)
        head = self._entry(node, carry, env)
        inner = self._inside(carry, env)
        self._note_growth(node, carry, inner)
        lower, upper, index, first = self._iteration(node, env, inner)
        body = [*first, *self.inner(node.body, inner)]
        self.refuse_masked(carry, inner)
        if not first:
            body, before = self._hoisted(
                node, body, node.target.id if isinstance(node.target, ast.Name) else index
            )
            head += before
        name = self.names.new(f"step_{_plain_name(node.target)}")
        self.loops[name] = (self.unit.name, node.key)  # type: ignore[attr-defined]
        step = self._step(name, [index], carry, body, node)
        for known in carry:
            env[known] = Held(static=False)
        result = call("lax.fori_loop", lower, upper, load(name), tuple_of(carry))
        return [*head, step, bind(carry, result)]

    def _hoisted(
        self, node: ast.For, body: list[ast.stmt], index: str
    ) -> tuple[list[ast.stmt], list[ast.stmt]]:
        """The body without what need not be done in every iteration, and that."""
        hoist = Hoist(
            index,
            assigned(body) | assigned(node.body),
            lambda array: self.fact(array).ndim,
            lambda array, axis: self._reads_most(node, array, axis),
            self.names.new,
        )
        return hoisted(body, hoist), hoist.before

    def _reads_most(self, node: ast.For, array: ast.expr, axis: int) -> bool:
        """Whether a loop has at least half as many iterations as an axis is long."""
        shape, trips = (
            self.fact(array).shape,
            self.facts.trips.get((self.unit.name, getattr(node, "key", -1))),
        )
        return shape is not None and trips is not None and 2 * trips[0] >= shape[axis] > SHORT

    def _carry(self, node: ast.For | ast.While) -> list[str]:
        """Names that an iteration changes and a later one, or what follows, needs."""
        heads = self.live.heads[id(node)]
        changed = assigned(node.body)
        if isinstance(node, ast.For):
            targets = {p.id for p in parts(node.target) if isinstance(p, ast.Name)}
            changed = (changed - targets) | (targets & self.live.after[id(node)])
        return sorted(changed & heads)

    def _inside(self, carry: list[str], env: Env) -> Env:
        inner = dict(env)
        for name in carry:
            inner[name] = Held(static=False)
        return inner

    def _entry(self, node: ast.For | ast.While, carry: list[str], env: Env) -> list[ast.stmt]:
        """First values of the carried names, in the types that they keep."""
        key = (self.unit.name, getattr(node, "key", -1))
        carried = self.facts.carried.get(key, {})
        found: list[ast.stmt] = []
        for name in carry:
            if name not in env:
                found += self._made(node, name, env)
                continue
            self.refuse_masked([name], env)
            pairs = carried.get(name, frozenset())
            found += self._typed(node, name, pairs)
            if self._may_not_run(node, env):
                self.mixed += [
                    (node.lineno, name, before.numbers, after.numbers)
                    for before, after in pairs
                    if before is not None and before.shape == after.shape
                ]
        return found

    def _note_growth(self, node: ast.For | ast.While, carry: list[str], env: Env) -> None:
        """Whole numbers of Python's own that grow by more than a fixed step from turn to turn."""
        for inner in (n for s in node.body for n in ast.walk(s) if isinstance(n, ast.BinOp)):
            sides = [(inner.left, inner.right), (inner.right, inner.left)]
            grows = isinstance(inner.op, ast.Mult) or (
                isinstance(inner.op, ast.Add | ast.Sub)
                and not any(
                    isinstance(side, ast.Constant) or read(side) & self.ranges.keys() for side, _ in sides
                )
            )
            if grows and any(isinstance(side, ast.Name) and side.id in carry for side, _ in sides):
                self.note_whole(inner, env)

    def _may_not_run(self, node: ast.For | ast.While, env: Env) -> bool:
        """Whether data, and not sizes, decide if a loop has an iteration."""
        if isinstance(node, ast.While):
            return True
        ranges = [
            n for n in ast.walk(node.iter) if isinstance(n, ast.Call) and ast.unparse(n.func) == "range"
        ]
        return not all(self.is_static(each, env) for each in ranges)

    def _typed(self, node: ast.stmt, name: str, pairs: frozenset[tuple[Form | None, Form]]) -> list[ast.stmt]:
        """A name as the type that the iterations leave it in."""
        if any(form is not None and form.kind in NOT_CARRIED for pair in pairs for form in pair):
            raise self.unit.refuse(
                node, f"`{name}` changes in the loop and is no array.", "Use an array of its final size."
            )
        differing = {before.shape for before, after in pairs if before is not None and _differ(before, after)}
        after = {pair[1] for pair in pairs}
        if differing and (len({form.shape for form in after}) > 1 or len({form.dtype for form in after}) > 1):
            raise self.varying(load(name))
        form = next(iter(after), None)
        if not differing or form is None or not form.dtype:
            return []
        if differing == {form.shape}:
            value = call("jnp.asarray", load(name), dtype(form.dtype))
        elif differing == {()}:
            shape = ast.parse(repr(form.shape), mode="eval").body
            value = call("jnp.full", shape, load(name), dtype(form.dtype))
        else:
            raise self.varying(load(name))
        return [made(ast.Assign([store(name)], value))]

    def _step(
        self, name: str, before: list[str], carry: list[str], body: list[ast.stmt], node: ast.stmt
    ) -> ast.FunctionDef:
        """The function of one iteration."""
        held = carry[0] if len(carry) == 1 else self.names.new("carry")
        if len(carry) != 1 and carry:
            body = [bind(carry, load(held)), *body]
        if len(carry) != 1:
            self.names.taken.discard(held)
        new = self.function(name, [*before, held], [*body, made(ast.Return(tuple_of(carry)))])
        new.origin = node  # type: ignore[attr-defined]
        return new

    def _while(self, node: ast.While, env: Env) -> list[ast.stmt]:
        if node.orelse:
            raise self.unit.refuse(
                node.orelse[0], "`else` of a loop has no JAX form.", "Test a flag after the loop."
            )
        key = (self.unit.name, getattr(node, "key", -1))
        if not self.is_static(node.test, env):
            self._refuse_unseen(node.body)
        elif self._unseen(node.body) is not None:
            return [self._unseen_loop(node, env)]
        if (
            self.is_static(node.test, env)
            and self._weight(node) <= PATIENCE
            and (key in self.decisions.unroll or self._stays_static(node, env))
        ):
            return self._unrolled(node, env)
        return self._rolled_while(node, env)

    def _stays_static(self, node: ast.While, env: Env) -> bool:
        """Whether the condition stays known from iteration to iteration."""
        tried = dict(env)
        try:
            self._unrolled(node, tried)
        except CannotPort:
            return False
        return self.is_static(node.test, tried)

    def _rolled_while(self, node: ast.While, env: Env) -> list[ast.stmt]:
        """A `while_loop` over the names that live on."""
        if exits(node):
            raise self.unit.refuse(
                node,
                "`break`, `continue` and `return` in this loop depend on data.",
                "Put the condition into `while`.",
            )
        with self._trusted():
            return self._while_loop(node, env)

    def _while_loop(self, node: ast.While, env: Env) -> list[ast.stmt]:
        self.refuse_shared(node)
        carry = sorted(set(self._carry(node)))
        head = self._entry(node, carry, env)
        inner = self._inside(carry, env)
        self._note_growth(node, carry, inner)
        test = self.truth(node.test, inner)
        going = self._step(self.names.new("going_on"), [], carry, [], node)
        going.body[-1] = made(ast.Return(test))
        if getattr(node, "exit", None) is not None:  # whose comments come along
            going.body[-1].origin = node.exit  # type: ignore[attr-defined]
        body = self.inner(node.body, inner)
        self.refuse_masked(carry, inner)
        name = self.names.new("step")
        self.loops[name] = (self.unit.name, node.key)  # type: ignore[attr-defined]
        step = made(self._step(name, [], carry, body, node))
        for known in carry:
            env[known] = Held(static=False)
        return [
            *head,
            going,
            step,
            bind(carry, call("lax.while_loop", load(going.name), load(name), tuple_of(carry))),
        ]


def _plain_name(target: ast.expr) -> str:
    names = [part.id for part in parts(target) if isinstance(part, ast.Name)]
    return names[-1].strip("_") or "loop"


def _differ(before: Form, after: Form) -> bool:
    return before.shape != after.shape or bool(before.dtype and before.dtype != after.dtype)
