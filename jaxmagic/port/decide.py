# ruff: noqa: ARG002 the handlers of one table share one signature
"""Fifth pass: stores, loops and conditions in their JAX forms.

A store becomes `x = x.at[…].set(…)`; a loop over traced values becomes `fori_loop` or `while_loop`
over the names that live from one iteration to the next; an `if` on traced values becomes `where`
or `cond`. Loops that are short and innermost, and those that the compiler cannot roll, stay Python
loops. Each decision is made from facts of the watched run.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from jaxmagic.errors import CannotPort
from jaxmagic.port.collect import Unit, dotted
from jaxmagic.port.desugar import Names, assign, is_put, is_whole, like, load, store
from jaxmagic.port.expressions import (
    LOST,
    Decisions,
    Env,
    Expressions,
    Held,
    Index,
    as_slice,
    beside,
    is_full,
)
from jaxmagic.port.flow import Liveness, assigned, blocks, bound, parts, read
from jaxmagic.port.hoist import Hoist, hoisted
from jaxmagic.port.observe import NOTHING, Fact, Facts, Form, form_of
from jaxmagic.port.unseen import is_certain
from jaxmagic.port.windows import Value, call

# A loop without loops in it is written out by the compiler up to this many iterations.
SHORT = 8
# A loop that cannot be rolled is written out up to this many statements.
PATIENCE = 400
# An `if` whose values have more elements than this chooses its branch instead of computing both.
CHEAP = 1024
# What no compiled loop carries.
NOT_CARRIED = ("list", "dict", "tuple", "str", "other", "none")
SMALLER = {"b": 0, "u": 1, "i": 1, "f": 2, "c": 3}


class Statements(Expressions):
    """Lowers the statements of one unit."""

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
        self.loops: dict[str, tuple[str, int]] = {}
        self.rolled = 0
        self.body: list[ast.stmt] = []

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
                return found + self._returning_if(node, body[i + 1 :], env)
            found += self.statement(node, env)
            self._lose(assigned([node]), env)
        return found

    def _lose(self, changed: frozenset[str], env: Env) -> None:
        """Names whose counting elements were said in terms of what has changed."""
        for name, held in list(env.items()):
            known = held.value is not None and held.value is not LOST and name not in changed
            if known and read(held.value.condition()) & changed:  # type: ignore[union-attr] # known says so
                env[name] = Held(static=False, value=LOST)

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
        return path is None or path[0] not in self.locals or len(path) > 2

    def _grows(self, node: ast.expr) -> bool:
        """Whether a method changes a list or another container."""
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            return False
        return any(form.kind in NOT_CARRIED for form in self.fact(node.func.value).forms)

    def _assert(self, node: ast.Assert, env: Env) -> list[ast.stmt]:
        return [node] if self.is_static(node.test, env) else []

    def _raise(self, node: ast.Raise, env: Env) -> list[ast.stmt]:
        return [node]

    def _functiondef(self, node: ast.FunctionDef, env: Env) -> list[ast.stmt]:
        env[node.name] = Held(static=False)
        if any(
            is_put(inner) or isinstance(inner, ast.For | ast.While | ast.If | ast.AugAssign)
            for inner in ast.walk(node)
            if isinstance(inner, ast.stmt)
        ):
            raise self.unit.refuse(
                node, f"The inner function `{node.name}` holds more than expressions.", "Define it outside."
            )
        return [node]

    def _return(self, node: ast.Return, env: Env) -> list[ast.stmt]:
        new = copy.copy(node)
        if node.value is not None:
            new.value = self.plain(node.value, env)
        return [new]

    def _assign(self, node: ast.Assign, env: Env) -> list[ast.stmt]:
        if is_put(node):
            return self.put(node, env)
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

    def _bound(self, name: str, value: Value) -> Value:
        return replace(value, node=load(name))

    def _kept_mask(self, node: ast.Assign, value: Value, env: Env) -> list[ast.stmt]:
        """Masks refer to names: those have to mean the same when the value is used."""
        needed = read(value.condition())
        if needed & bound(node):
            raise self.varying(node.value)
        return []

    # -- stores --

    def put(self, node: ast.Assign, env: Env) -> list[ast.stmt]:
        """`x[index] = value`."""
        target = node.targets[0]
        assert isinstance(target, ast.Subscript)
        assert isinstance(target.value, ast.Name)
        name = target.value.id
        if env.get(name, Held(static=False)).value is not None:
            raise self.varying(target.value)
        value = self.lower(node.value, env)
        seen = self.fact(target.value)
        fact = seen if seen.forms else self.facts.touched(self.unit, node, name)
        new = self.stored(target, value, node.value, env, fact)
        env[name] = Held(static=False)
        return [assign(name, new, node)]

    def stored(self, target: ast.Subscript, value: Value, old: ast.expr, env: Env, fact: Fact) -> ast.expr:
        """The array after the store, given what is known of it before."""
        base = load(target.value.id)  # type: ignore[attr-defined]
        if is_whole(target.slice):
            if not value.is_plain:
                raise self.varying(old)
            return self._whole(base, fact, value.node, old)
        index = self.index(target, env)
        if index.mask is not None:
            return self._put_mask(base, index, value, old, fact)
        if index.windows:
            return self._put_window(target, base, index, value, old)
        if not value.is_plain:
            raise self.varying(old)
        new = self._as_dtype(base, fact, value.node, old)
        if index.moving:
            return self._put_moving(target, base, index, new, old)
        return at_set(base, as_slice(index.rest()), new)

    def _whole(self, base: ast.Name, fact: Fact, value: ast.expr, old: ast.expr) -> ast.expr:
        """`x[:] = value`: the value itself where it has the shape and dtype."""
        own = self.fact(old)
        if isinstance(old, ast.BinOp) and not own.forms and _is_all_of(old.left, base.id):
            own = self._augmented(old, fact)
        fits = own.shape is not None and own.shape == fact.shape and own.dtype == fact.dtype and own.is_array
        if fits:
            return value
        if own.is_scalar and fact.forms:
            return call("jnp.full_like", base, value)
        if own.is_array and own.shape is not None and own.shape == fact.shape:
            return call("jnp.asarray", value, ast.Attribute(base, "dtype", ast.Load()))
        everything = ast.Constant(Ellipsis)
        return at_set(base, everything, self._as_dtype(base, fact, value, old))

    def _augmented(self, old: ast.BinOp, fact: Fact) -> Fact:
        """What `x + v` is where `x += v` was watched: `x`'s own dtype when `v`'s is no wider."""
        other = self.fact(old.right)
        if isinstance(old.right, ast.Constant):
            other = Fact(frozenset({form_of(old.right.value)}))
        shapes_fit = other.is_scalar or (
            other.ndim is not None and fact.ndim is not None and other.ndim <= fact.ndim
        )
        python = other.is_python or isinstance(old.right, ast.Constant)
        same = other.dtype == fact.dtype and other.dtype is not None
        kind = SMALLER.get(other.kind, 9) <= SMALLER.get(fact.kind, -1)
        divides = isinstance(old.op, ast.Div) and fact.kind not in "fc"
        return fact if shapes_fit and (same or (python and kind)) and not divides else NOTHING

    def _as_dtype(self, base: ast.Name, fact: Fact, value: ast.expr, old: ast.expr) -> ast.expr:
        """A value as the array will hold it."""
        if getattr(old, "exact", False):
            return value
        own = self.fact(old)
        if isinstance(old, ast.BinOp) and not own.forms:
            own = self.fact(old.right)
        kind = own.kind or _constant_kind(old)
        if SMALLER.get(kind, 9) <= SMALLER.get(fact.kind, -1) and not _wraps(own, fact):
            return value
        if own.dtype is not None and own.dtype == fact.dtype:
            return value
        return call("jnp.asarray", value, ast.Attribute(copy.copy(base), "dtype", ast.Load()))

    def _put_mask(self, base: ast.Name, index: Index, value: Value, old: ast.expr, fact: Fact) -> ast.expr:
        """`x[mask] = value`."""
        assert index.mask is not None
        if len(index.parts) != 1:
            raise self.varying(index.parts[0])
        own = self.fact(old)
        scalar = own.is_scalar or isinstance(old, ast.Constant) or value.ndim == 0
        extra = (fact.ndim or 0) - (index.mask_ndim or 0)
        condition = beside(index.mask, extra)
        same = value.mask is not None and ast.unparse(value.mask) == ast.unparse(condition)
        if not scalar and not same:
            raise self.unit.refuse(
                old,
                f"`{ast.unparse(old)}` has one element for each true element of a mask.",
                "Compute it for all elements and choose with `np.where`.",
            )
        return call("jnp.where", condition, self._as_dtype(base, fact, value.node, old), base)

    def _put_window(
        self, target: ast.Subscript, base: ast.Name, index: Index, value: Value, old: ast.expr
    ) -> ast.expr:
        """`x[i, :j] = value`: the whole row, changed where the window is."""
        if index.moving or any((v.ndim or 0) > 0 for v in index.values):
            raise self.varying(target)
        axes = index.axes
        own = self.fact(old)
        scalar = own.is_scalar or isinstance(old, ast.Constant)
        matches = {axis: w.key for axis, w in axes.items()} == {axis: w.key for axis, w in value.axes.items()}
        if value.mask is not None or not (matches or (value.is_plain and scalar)):
            raise self.varying(target)
        rest = index.rest()
        whole = all(is_full(part) for part in rest)
        row: ast.expr = base if whole else ast.Subscript(base, as_slice(rest), ast.Load())
        new = self._as_dtype(base, self.fact(target.value), value.node, old)
        if self._is_stored_again(base.id) and base.id not in read(value.node) and self._is_one_window(index):
            return self._put_dropped(base, index, new)
        chosen = call("jnp.where", Value(node=row, axes=axes).condition(), new, row)
        return chosen if whole else at_set(copy.copy(base), copy.deepcopy(as_slice(rest)), chosen)

    def _is_stored_again(self, name: str) -> bool:
        """Whether the innermost rolled loop stores into an array more than once."""
        puts = [n for s in self.body for n in ast.walk(s) if isinstance(n, ast.Assign) and is_put(n)]
        return sum(n.targets[0].value.id == name for n in puts) > 1  # type: ignore[attr-defined]

    def _is_one_window(self, index: Index) -> bool:
        """Whether every other part of an index is a single place."""
        return len(index.windows) == 1 and sum(isinstance(part, ast.Slice) for part in index.parts) == 1

    def _put_dropped(self, base: ast.Name, index: Index, value: ast.expr) -> ast.expr:
        """A store that reads nothing: places outside the window are out of bounds, and dropped.

        Two stores into one array that both read it make XLA copy the array in every iteration.
        """
        ((i, window),) = index.windows.items()
        places = call("jnp.arange", copy.deepcopy(window.length))
        rest = index.rest()
        rest[i] = call("jnp.where", window.mask(), places, copy.deepcopy(window.length))
        new = at_set(copy.copy(base), as_slice(rest), value)
        assert isinstance(new, ast.Call)
        new.keywords = [ast.keyword("mode", ast.Constant("drop"))]
        return new

    def _put_moving(
        self, target: ast.Subscript, base: ast.Name, index: Index, value: ast.expr, old: ast.expr
    ) -> ast.expr:
        """`x[i:i+k] = value`: a block of its size at its place."""
        rest = index.rest()
        if not all(is_full(part) for part in rest):
            if len(index.moving) != 1:
                raise self.varying(target)
            ((axis, (start, span)),) = index.moving.items()
            place = next(
                i
                for i in range(len(rest))
                if index.axis(i) == axis and is_full(rest[i]) and i not in index.windows
            )
            points = ast.BinOp(start, ast.Add(), call("jnp.arange", span))
            simple = all(
                isinstance(p, ast.Slice) or self.fact(p).is_scalar or isinstance(p, ast.Constant)
                for p in index.parts
            )
            slices = sum(isinstance(p, ast.Slice) for p in index.parts)
            if not simple or (slices > 1 and len(rest) > slices):
                raise self.varying(target)
            rest[place] = points
            return at_set(base, as_slice(rest), value)
        block = self.moved(copy.copy(base), index)
        shape = ast.Attribute(block, "shape", ast.Load())
        own = self.fact(old)
        selected = {len(f.shape) for f in own.forms}
        full = own.is_array and selected == {index.ndim} and self._same_extent(own, index)
        fitted = value if full else call("jnp.broadcast_to", value, shape)
        starts = [
            index.moving[a][0] if a in index.moving else ast.Constant(0) for a in range(index.ndim or 0)
        ]
        return call("lax.dynamic_update_slice", base, fitted, ast.Tuple(starts, ast.Load()))

    def _same_extent(self, own: Fact, index: Index) -> bool:
        return own.shape is not None and all(size != 1 for size in own.shape)

    # -- if --

    def _if(self, node: ast.If, env: Env) -> list[ast.stmt]:
        if self.is_static(node.test, env):
            return [self._static_if(node, env)]
        if exits(node):
            raise self.unit.refuse(
                node,
                "`break` and `continue` under a condition on data need a loop that JAX can roll.",
                "Write the loop as `while condition:`.",
            )
        for block in blocks(node):
            self._refuse_unseen(block)
        if self._is_cheap(node, env):
            return self._selected(node, env)
        return self._cond(node, env)

    def _static_if(self, node: ast.If, env: Env) -> ast.If:
        """A condition that is known while JAX traces stays an `if`."""
        new, other = copy.copy(node), dict(env)
        new.test = self.plain(node.test, env)
        new.body = self._branch(node.body, env)
        new.orelse = self._branch(node.orelse, other) if node.orelse else []
        for name in {*env, *other}:
            env[name] = _join(
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

    def _unseen(self, body: list[ast.stmt]) -> ast.stmt | None:
        """The first statement that never ran and whose meaning its text alone does not tell."""
        if any(self.facts.ran(self.unit, node) for node in body):
            return None
        return next((node for node in body if not is_certain(node)), None)

    def _refuse_unseen(self, body: list[ast.stmt]) -> None:
        node = self._unseen(body)
        if node is not None:
            raise self.unit.refuse(
                node,
                "This line did not run on the inputs given, so nothing is known of its arrays, "
                "and data decide whether it runs.",
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
        return head + body + self._chosen(node.orelse, ast.UnaryOp(ast.Invert(), _bracketed(test)), env, None)

    def _chosen(
        self, body: list[ast.stmt], test: ast.expr, env: Env, origin: ast.stmt | None
    ) -> list[ast.stmt]:
        found: list[ast.stmt] = []
        for node in body:
            if isinstance(node, ast.If):
                inner = ast.BinOp(
                    _bracketed(copy.deepcopy(test)), ast.BitAnd(), _bracketed(self.truth(node.test, env))
                )
                name = self.names.new("condition")
                env[name] = Held(static=False)
                found.append(like(ast.Assign([store(name)], inner), node))
                found += self._chosen(node.body, load(name), env, None)
                if node.orelse:
                    other = ast.BinOp(
                        _bracketed(copy.deepcopy(test)), ast.BitAnd(), ast.UnaryOp(ast.Invert(), load(name))
                    )
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
            known = target.id in env
            env[target.id] = Held(static=False)
            return assign(
                target.id, call("jnp.where", test, value.node, load(target.id)) if known else value.node, node
            )
        assert isinstance(target, ast.Subscript)
        assert isinstance(target.value, ast.Name)
        before = self.plain(ast.Subscript(target.value, target.slice, ast.Load()), env)
        chosen = call(
            "jnp.where",
            test,
            self._as_dtype(target.value, self.fact(target.value), value.node, node.value),
            before,
        )
        index = self.index(target, env)
        name = target.value.id
        env[name] = Held(static=False)
        return assign(name, at_set(load(name), as_slice(index.rest()), chosen), node)

    def _cond(self, node: ast.If, env: Env) -> list[ast.stmt]:
        """`names = lax.cond(condition, then, otherwise, names)`."""
        after = self.live.after[id(node)]
        names = sorted(assigned([node]) & after)
        if not names:
            return []
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
        return [*head, then, otherwise, _bind(names, result)]

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
        value: ast.expr = ast.Constant(0)
        if fact.dtype is not None:
            typed = ast.Attribute(load("jnp"), "bool_" if fact.dtype == "bool" else fact.dtype, ast.Load())
            for part in ast.walk(typed):
                part.done = True  # type: ignore[attr-defined]
            value = call("jnp.zeros", ast.parse(repr(fact.shape), mode="eval").body, typed)
        elif fact.kind == "b":
            value = ast.Constant(value=False)
        made = ast.Assign([store(name)], value)
        made.origin = ast.Pass()  # type: ignore[attr-defined]
        return [made]

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
        if not ends(lowered):
            lowered.append(ast.Return(_tuple(names)))
        return self._def(self.names.new(name), names, lowered)

    def _def(self, name: str, parameters: list[str], body: list[ast.stmt]) -> ast.FunctionDef:
        arguments = ast.arguments([], [ast.arg(p) for p in parameters], None, [], [], None, [])
        new = ast.FunctionDef(name, arguments, body, [], None, None)
        new.type_params = []  # type: ignore[attr-defined]
        new.origin = ast.Pass()  # type: ignore[attr-defined]
        return new

    def _returning_if(self, node: ast.If, rest: list[ast.stmt], env: Env) -> list[ast.stmt]:
        """`if condition: return a` and what follows, as one choice that returns."""
        for block in (node.body, node.orelse, rest):
            self._refuse_unseen(block)
        body = node.body if ends(node.body) else [*node.body, *rest]
        orelse = node.orelse if ends(node.orelse) else [*node.orelse, *rest]
        if not ends(body) or not ends(orelse):
            body = body if ends(body) else [*body, ast.Return(ast.Constant(None))]
            orelse = orelse if ends(orelse) else [*orelse, ast.Return(ast.Constant(None))]
        test = self.truth(node.test, env)
        simple = [
            b[0].value
            for b in (body, orelse)
            if len(b) == 1 and isinstance(b[0], ast.Return) and b[0].value is not None
        ]
        if len(simple) == 2 and all(self.fact(v).is_scalar or isinstance(v, ast.Constant) for v in simple):
            chosen = call("jnp.where", test, *(self.plain(v, env) for v in simple))
            return [like(ast.Return(chosen), node)]
        names = sorted(assigned([*body, *orelse]) & set(env))
        then, otherwise = (
            self._function("then", body, names, env, node),
            self._function("otherwise", orelse, names, env, node),
        )
        then.origin = node  # type: ignore[attr-defined]
        end = ast.Return(
            call("lax.cond", test, load(then.name), load(otherwise.name), *(load(name) for name in names))
        )
        end.origin = ast.Pass()  # type: ignore[attr-defined]
        return [then, otherwise, end]

    # -- loops --

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
        try:
            kept = dict(env)
            return self._rolled(node, env)
        except CannotPort:
            can_unroll = static or self.fact(node.iter).is_array
            if not can_unroll or self._weight(node) > PATIENCE:
                raise
            env.clear()
            env.update(kept)
            return self._unrolled(node, env)

    def _unseen_loop(self, node: ast.For, env: Env) -> ast.stmt:
        """A loop without iterations when it was watched: another number of them is refused."""
        if not self.is_static(node.iter, env):
            self._refuse_unseen(node.body)
        new = copy.copy(node)
        new.iter = self.plain(node.iter, env)
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
            for part in parts(node.target):
                env[part.id] = Held(static=self.is_static(node.iter, env))  # type: ignore[attr-defined]
        for _ in range(8):
            inner = dict(env)
            new.body = self.block(node.body, inner)
            joined = {name: _join(env.get(name), inner.get(name)) for name in {*env, *inner}}
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
        carry = self._carry(node)
        head = self._entry(node, carry, env)
        inner = self._inside(carry, env)
        lower, upper, index, first = self._iteration(node, env, inner)
        body = [*first, *self._inner(node.body, inner)]
        picked = node.target.id if isinstance(node.target, ast.Name) else index
        if not first:
            hoist = Hoist(
                picked,
                assigned(body) | assigned(node.body),
                lambda array: self.fact(array).ndim,
                lambda array, axis: self._reads_most(node, array, axis),
                self.names.new,
            )
            body = hoisted(body, hoist)
            head += hoist.before
        name = self.names.new(f"step_{_plain_name(node.target)}")
        self.loops[name] = (self.unit.name, node.key)  # type: ignore[attr-defined]
        step = self._step(name, [index], carry, body, node)
        for known in carry:
            env[known] = Held(static=False)
        result = call("lax.fori_loop", lower, upper, load(name), _tuple(carry))
        return [*head, step, _bind(carry, result)]

    def _reads_most(self, node: ast.For, array: ast.expr, axis: int) -> bool:
        """Whether a loop has at least half as many iterations as an axis is long."""
        shape, trips = (
            self.fact(array).shape,
            self.facts.trips.get((self.unit.name, getattr(node, "key", -1))),
        )
        return shape is not None and trips is not None and 2 * trips[0] >= shape[axis] > SHORT

    def _inner(self, body: list[ast.stmt], env: Env) -> list[ast.stmt]:
        """The body of a loop that the compiler rolls."""
        self.rolled, outer, self.body = self.rolled + 1, self.body, body
        try:
            return self.block(body, env)
        finally:
            self.rolled, self.body = self.rolled - 1, outer

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
            if env[name].value is not None:
                raise self.varying(load(name))
            found += self._typed(node, name, carried.get(name, frozenset()))
        return found

    def _typed(self, node: ast.stmt, name: str, pairs: frozenset[tuple[Form | None, Form]]) -> list[ast.stmt]:
        """A name as the type that the iterations leave it in."""
        if any(form is not None and form.kind in NOT_CARRIED for pair in pairs for form in pair):
            raise self.unit.refuse(
                node, f"`{name}` changes in the loop and is no array.", "Use an array of its final size."
            )
        differing = {
            (before, after)
            for before, after in pairs
            if before is not None
            and (before.shape != after.shape or (before.dtype != after.dtype and before.dtype))
        }
        if not differing:
            return []
        after = {pair[1] for pair in pairs}
        if len({form.shape for form in after}) > 1 or len({form.dtype for form in after}) > 1:
            raise self.varying(load(name))
        form = next(iter(after))
        if not form.dtype:
            return []
        if all(before.shape == form.shape for before, _ in differing):
            value = call("jnp.asarray", load(name), _dtype(form.dtype))
        elif all(not before.shape for before, _ in differing):
            value = call(
                "jnp.full", ast.parse(repr(form.shape), mode="eval").body, load(name), _dtype(form.dtype)
            )
        else:
            raise self.varying(load(name))
        new = ast.Assign([store(name)], value)
        new.origin = ast.Pass()  # type: ignore[attr-defined]
        return [new]

    def _step(
        self, name: str, before: list[str], carry: list[str], body: list[ast.stmt], node: ast.stmt
    ) -> ast.FunctionDef:
        """The function of one iteration."""
        held = carry[0] if len(carry) == 1 else self.names.new("carry")
        if len(carry) != 1 and carry:
            opened = ast.Assign([_tuple(carry, ast.Store())], load(held))
            opened.origin = ast.Pass()  # type: ignore[attr-defined]
            body = [opened, *body]
        if len(carry) != 1:
            self.names.taken.discard(held)
        end = ast.Return(_tuple(carry))
        end.origin = ast.Pass()  # type: ignore[attr-defined]
        new = self._def(name, [*before, held], [*body, end])
        new.origin = node  # type: ignore[attr-defined]
        return new

    def _iteration(
        self, node: ast.For, env: Env, inner: Env
    ) -> tuple[ast.expr, ast.expr, str, list[ast.stmt]]:
        """Bounds of the loop, the name of its index, and what binds the targets."""
        source = node.iter
        if isinstance(source, ast.Call) and isinstance(source.func, ast.Name) and source.func.id not in env:
            special = getattr(self, f"_over_{source.func.id}", None)
            if special is not None:
                result: tuple[ast.expr, ast.expr, str, list[ast.stmt]] = special(node, source, env, inner)
                return result
        index = self._index_name(inner)
        first, length = self._elements(node, node.target, source, load(index), env, inner)
        return ast.Constant(0), length, index, first

    def _index_name(self, inner: Env) -> str:
        index = self.names.new("i")
        inner[index] = Held(static=False)
        return index

    def _over_range(
        self, node: ast.For, source: ast.Call, env: Env, inner: Env
    ) -> tuple[ast.expr, ast.expr, str, list[ast.stmt]]:
        args = [self.plain(a, env) for a in source.args]
        lower, upper = (ast.Constant(0), args[0]) if len(args) == 1 else (args[0], args[1])
        if not isinstance(node.target, ast.Name):
            raise self.unit.refuse(node, "A range has one number at a time.")
        target = node.target.id
        inner[target] = Held(static=False)
        if len(args) < 3:
            if target in assigned(node.body) or target in self.live.after[id(node)]:
                index = self._index_name(inner)
                return lower, upper, index, [self._first(target, load(index))]
            return lower, upper, target, []
        by = source.args[2]
        if not self.is_static(by, env):
            raise self.unit.refuse(node, "The step of this range depends on data.", "Use a fixed step.")
        index = self._index_name(inner)
        backwards = (
            isinstance(by, ast.UnaryOp)
            and isinstance(by.op, ast.USub)
            and isinstance(by.operand, ast.Constant)
            and by.operand.value == 1
        )
        if all(self.is_static(a, env) for a in source.args):
            length: ast.expr = ast.Call(load("len"), [ast.Call(load("range"), copy.deepcopy(args), [])], [])
        elif backwards:
            length = ast.BinOp(copy.deepcopy(lower), ast.Sub(), upper)
        else:
            span = ast.BinOp(
                ast.BinOp(upper, ast.Sub(), copy.deepcopy(lower)),
                ast.Add(),
                ast.BinOp(copy.deepcopy(args[2]), ast.Sub(), ast.Constant(1)),
            )
            length = ast.BinOp(span, ast.FloorDiv(), copy.deepcopy(args[2]))
        moved = load(index) if backwards else ast.BinOp(copy.deepcopy(args[2]), ast.Mult(), load(index))
        value = ast.BinOp(copy.deepcopy(lower), ast.Sub() if backwards else ast.Add(), moved)
        return ast.Constant(0), length, index, [self._first(target, value)]

    def _over_enumerate(
        self, node: ast.For, source: ast.Call, env: Env, inner: Env
    ) -> tuple[ast.expr, ast.expr, str, list[ast.stmt]]:
        if (
            len(source.args) != 1
            or source.keywords
            or not isinstance(node.target, ast.Tuple)
            or not isinstance(node.target.elts[0], ast.Name)
        ):
            raise self.unit.refuse(node, "This `enumerate` has no JAX form.", "Loop over `range(len(…))`.")
        index = node.target.elts[0].id
        inner[index] = Held(static=False)
        first, length = self._elements(node, node.target.elts[1], source.args[0], load(index), env, inner)
        return ast.Constant(0), length, index, first

    def _over_zip(
        self, node: ast.For, source: ast.Call, env: Env, inner: Env
    ) -> tuple[ast.expr, ast.expr, str, list[ast.stmt]]:
        if not isinstance(node.target, ast.Tuple) or len(node.target.elts) != len(source.args):
            raise self.unit.refuse(node, "This `zip` has no JAX form.", "Loop over `range(len(…))`.")
        index = self._index_name(inner)
        first: list[ast.stmt] = []
        lengths: list[ast.expr] = []
        for target, values in zip(node.target.elts, source.args, strict=True):
            more, length = self._elements(node, target, values, load(index), env, inner)
            first += more
            lengths.append(length)
        sizes = {fact.shape[0] for fact in map(self.fact, source.args) if fact.shape}
        length = lengths[0] if len(sizes) == 1 else ast.Call(load("min"), lengths, [])
        return ast.Constant(0), length, index, first

    def _elements(
        self, node: ast.For, target: ast.expr, values: ast.expr, index: ast.expr, env: Env, inner: Env
    ) -> tuple[list[ast.stmt], ast.expr]:
        """`target = values[index]`, and how many there are."""
        if (
            isinstance(values, ast.Call)
            and isinstance(values.func, ast.Name)
            and values.func.id == "range"
            and len(values.args) == 1
        ):
            length = self.plain(values.args[0], env)
            inner[target.id] = Held(static=False)  # type: ignore[attr-defined]
            return [self._first(target.id, index)], length  # type: ignore[attr-defined]
        fact = self.fact(values)
        if not fact.is_array or not fact.ndim:
            raise self.unit.refuse(
                node,
                f"`{ast.unparse(values)}` is not an array to loop over.",
                "Loop over an array or a range.",
            )
        if isinstance(values, ast.Name) and values.id in self._rebound(node):
            raise self.unit.refuse(
                node, f"`{values.id}` is bound anew in the loop that goes over it.", "Use another name."
            )
        held = self.plain(values, env)
        for part in parts(target):
            inner[part.id] = Held(static=False)  # type: ignore[attr-defined]
        element = ast.Subscript(held, index, ast.Load())
        length = ast.Subscript(
            ast.Attribute(copy.deepcopy(held), "shape", ast.Load()), ast.Constant(0), ast.Load()
        )
        new = ast.Assign([target], element)
        new.origin = ast.Pass()  # type: ignore[attr-defined]
        return [new], length

    def _rebound(self, node: ast.For) -> frozenset[str]:
        return frozenset(
            name
            for s in node.body
            for inner in ast.walk(s)
            if isinstance(inner, ast.Assign) and not is_put(inner) and not getattr(inner, "stores", None)
            for name in bound(inner)
        )

    def _first(self, name: str, value: ast.expr) -> ast.stmt:
        new = ast.Assign([store(name)], value)
        new.origin = ast.Pass()  # type: ignore[attr-defined]
        return new

    def _while(self, node: ast.While, env: Env) -> list[ast.stmt]:
        if node.orelse:
            raise self.unit.refuse(
                node.orelse[0], "`else` of a loop has no JAX form.", "Test a flag after the loop."
            )
        key = (self.unit.name, getattr(node, "key", -1))
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
        carry = sorted(set(self._carry(node)))
        head = self._entry(node, carry, env)
        inner = self._inside(carry, env)
        test = self.truth(node.test, inner)
        going = self._step(self.names.new("going_on"), [], carry, [], node)
        going.body[-1] = self._ending(test)
        body = self._inner(node.body, inner)
        name = self.names.new("step")
        self.loops[name] = (self.unit.name, node.key)  # type: ignore[attr-defined]
        step = self._step(name, [], carry, body, node)
        step.origin = ast.Pass()  # type: ignore[attr-defined]
        for known in carry:
            env[known] = Held(static=False)
        return [
            *head,
            going,
            step,
            _bind(carry, call("lax.while_loop", load(going.name), load(name), _tuple(carry))),
        ]

    def _ending(self, value: ast.expr) -> ast.Return:
        new = ast.Return(value)
        new.origin = ast.Pass()  # type: ignore[attr-defined]
        return new


def at_set(base: ast.expr, index: ast.expr, value: ast.expr) -> ast.expr:
    """`base.at[index].set(value)`."""
    at = ast.Subscript(ast.Attribute(base, "at", ast.Load()), index, ast.Load())
    return ast.Call(ast.Attribute(at, "set", ast.Load()), [value], [])


def returns(node: ast.stmt) -> bool:
    """Whether a return stands in a statement's own branches, loops apart."""
    if isinstance(node, ast.Return):
        return True
    return isinstance(node, ast.If) and any(returns(inner) for block in blocks(node) for inner in block)


def exits(node: ast.stmt) -> bool:
    """Whether a `break`, `continue` or `return` leaves a statement early."""
    return any(_leaves(inner) for block in blocks(node) for inner in block)


def _leaves(node: ast.stmt) -> bool:
    if isinstance(node, ast.Return | ast.Break | ast.Continue):
        return True
    if isinstance(node, ast.For | ast.While):
        return any(isinstance(inner, ast.Return) for inner in ast.walk(node))
    return isinstance(node, ast.If) and exits(node)


def ends(body: list[ast.stmt]) -> bool:
    """Whether a block always leaves by `return` or `raise`."""
    if not body:
        return False
    last = body[-1]
    if isinstance(last, ast.If):
        return ends(last.body) and ends(last.orelse)
    return isinstance(last, ast.Return | ast.Raise)


def _join(a: Held | None, b: Held | None, *, a_ended: bool = False, b_ended: bool = False) -> Held:
    """What is known after two branches."""
    if a is None or b is None or a_ended or b_ended:
        one = a if b is None or b_ended else b
        return one if one is not None else Held(static=False)
    if a == b:
        return a
    return Held(static=a.static and b.static, value=a.value if a.value is b.value else None)


def _bind(names: list[str], value: ast.expr) -> ast.stmt:
    new = ast.Assign([_tuple(names, ast.Store())], value)
    new.origin = ast.Pass()  # type: ignore[attr-defined]
    return new


def _tuple(names: list[str], context: ast.expr_context | None = None) -> ast.expr:
    context = context or ast.Load()
    every: list[ast.expr] = [ast.Name(name, context) for name in names]
    return every[0] if len(every) == 1 else ast.Tuple(every, context)


def _bracketed(node: ast.expr) -> ast.expr:
    return node


def _plain_name(target: ast.expr) -> str:
    names = [part.id for part in parts(target) if isinstance(part, ast.Name)]
    return names[-1].strip("_") or "loop"


def _dtype(name: str) -> ast.expr:
    typed = ast.Attribute(load("jnp"), "bool_" if name == "bool" else name, ast.Load())
    for part in ast.walk(typed):
        part.done = True  # type: ignore[attr-defined]
    return typed


def _is_all_of(node: ast.expr, name: str) -> bool:
    """Whether an expression is `x`, or `x[:]`."""
    if isinstance(node, ast.Subscript):
        return is_whole(node.slice) and _is_all_of(node.value, name)
    return isinstance(node, ast.Name) and node.id == name


def _constant_kind(node: ast.expr) -> str:
    if isinstance(node, ast.UnaryOp):
        return _constant_kind(node.operand)
    if not isinstance(node, ast.Constant):
        return ""
    return {bool: "b", int: "i", float: "f", complex: "c"}.get(type(node.value), "")


def _wraps(own: Fact, fact: Fact) -> bool:
    """Whether numbers are stored where fewer bits, or no sign, hold them."""
    if own.dtype is None or fact.dtype is None:
        return False
    return not np.can_cast(own.dtype, fact.dtype, "safe")
