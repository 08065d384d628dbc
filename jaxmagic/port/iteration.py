"""What a `for` goes over: bounds, the index, and what binds the targets."""

from __future__ import annotations

import ast
import copy

from jaxmagic.port.branches import Branches
from jaxmagic.port.flow import assigned, bound, parts
from jaxmagic.port.known import Env, Held
from jaxmagic.port.nodes import is_put, load, made, store

# Bounds of a loop, the name of its index, and what binds the targets.
Head = tuple[ast.expr, ast.expr, str, list[ast.stmt]]


class Iteration(Branches):
    """Lowers the head of a `for`."""

    def _iteration(self, node: ast.For, env: Env, inner: Env) -> Head:
        """Bounds of the loop, the name of its index, and what binds the targets."""
        source = node.iter
        if isinstance(source, ast.Call) and isinstance(source.func, ast.Name) and source.func.id not in env:
            special = getattr(self, f"_over_{source.func.id}", None)
            if special is not None:
                result: Head = special(node, source, env, inner)
                return result
        index = self._index_name(inner)
        first, length = self._elements(node, node.target, source, load(index), env, inner)
        return ast.Constant(0), length, index, first

    def inner(self, body: list[ast.stmt], env: Env) -> list[ast.stmt]:
        """The body of a loop that the compiler rolls."""
        self.rolled, outer, self.body = self.rolled + 1, self.body, body
        try:
            return self.block(body, env)
        finally:
            self.rolled, self.body = self.rolled - 1, outer

    def _index_name(self, inner: Env) -> str:
        index = self.names.new("i")
        inner[index] = Held(static=False)
        return index

    def _over_range(self, node: ast.For, source: ast.Call, env: Env, inner: Env) -> Head:
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
        return self._over_steps(node, source, args, env, self._index_name(inner))

    def _over_steps(
        self, node: ast.For, source: ast.Call, args: list[ast.expr], env: Env, index: str
    ) -> Head:
        """A range with a step: the index counts, and the target is worked out from it."""
        by = source.args[2]
        if not self.is_static(by, env):
            raise self.unit.refuse(node, "The step of this range depends on data.", "Use a fixed step.")
        lower, upper, step = args
        backwards = ast.unparse(by) == "-1"
        if all(self.is_static(a, env) for a in source.args):
            length: ast.expr = ast.Call(load("len"), [ast.Call(load("range"), copy.deepcopy(args), [])], [])
        elif backwards:
            length = minus(lower, upper)
        else:
            span = ast.BinOp(minus(upper, lower), ast.Add(), minus(step, ast.Constant(1)))
            length = ast.BinOp(span, ast.FloorDiv(), copy.deepcopy(step))
        moved = load(index) if backwards else ast.BinOp(copy.deepcopy(step), ast.Mult(), load(index))
        value = ast.BinOp(copy.deepcopy(lower), ast.Sub() if backwards else ast.Add(), moved)
        return ast.Constant(0), length, index, [self._first(node.target.id, value)]  # type: ignore[attr-defined]

    def _over_enumerate(self, node: ast.For, source: ast.Call, env: Env, inner: Env) -> Head:
        target = node.target
        if not source.args or not isinstance(target, ast.Tuple) or not isinstance(target.elts[0], ast.Name):
            raise self.unit.refuse(node, "This `enumerate` has no JAX form.", "Loop over `range(len(…))`.")
        start = [*source.args[1:], *(k.value for k in source.keywords)]
        count = target.elts[0].id
        plain = not start and count not in assigned(node.body) and count not in self.live.after[id(node)]
        index = count if plain else self._index_name(inner)
        inner[count] = Held(static=False)
        first, length = self._elements(node, target.elts[1], source.args[0], load(index), env, inner)
        if not plain:
            value = ast.BinOp(self.plain(start[0], env), ast.Add(), load(index)) if start else load(index)
            first.insert(0, self._first(count, value))
        return ast.Constant(0), length, index, first

    def _over_zip(self, node: ast.For, source: ast.Call, env: Env, inner: Env) -> Head:
        if not isinstance(node.target, ast.Tuple) or len(node.target.elts) != len(source.args):
            raise self.unit.refuse(node, "This `zip` has no JAX form.", "Loop over `range(len(…))`.")
        index = self._index_name(inner)
        first: list[ast.stmt] = []
        lengths: list[ast.expr] = []
        for target, values in zip(node.target.elts, source.args, strict=True):
            more, length = self._elements(node, target, values, load(index), env, inner)
            first += more
            lengths.append(length)
        several = list({ast.unparse(length): length for length in lengths}.values())
        length = several[0] if len(several) == 1 else ast.Call(load("min"), several, [])
        return ast.Constant(0), length, index, first

    def _elements(
        self, node: ast.For, target: ast.expr, values: ast.expr, index: ast.expr, env: Env, inner: Env
    ) -> tuple[list[ast.stmt], ast.expr]:
        """`target = values[index]`, and how many there are."""
        if _is_count(values):
            length = self.plain(values.args[0], env)  # type: ignore[attr-defined]
            inner[target.id] = Held(static=False)  # type: ignore[attr-defined]
            return [self._first(target.id, index)], length  # type: ignore[attr-defined]
        self._refuse_elements(node, values)
        held = self.plain(values, env)
        for part in parts(target):
            inner[part.id] = Held(static=False)  # type: ignore[attr-defined]
        element = ast.Subscript(held, index, ast.Load())
        length = ast.Subscript(
            ast.Attribute(copy.deepcopy(held), "shape", ast.Load()), ast.Constant(0), ast.Load()
        )
        return [made(ast.Assign([target], element))], length

    def _refuse_elements(self, node: ast.For, values: ast.expr) -> None:
        """Only an array that stays the same has elements to go through."""
        fact = self.fact(values)
        if not fact.is_array or not fact.ndim:
            text = f"`{ast.unparse(values)}` is not an array to loop over."
            raise self.unit.refuse(node, text, "Loop over an array or a range.")
        if isinstance(values, ast.Name) and values.id in self._rebound(node):
            text = f"`{values.id}` is bound anew in the loop that goes over it."
            raise self.unit.refuse(node, text, "Use another name.")

    def _rebound(self, node: ast.For) -> frozenset[str]:
        return frozenset(
            name
            for s in node.body
            for inner in ast.walk(s)
            if isinstance(inner, ast.Assign) and not is_put(inner) and not getattr(inner, "stores", None)
            for name in bound(inner)
        )

    def _first(self, name: str, value: ast.expr) -> ast.stmt:
        return made(ast.Assign([store(name)], value))


def minus(left: ast.expr, right: ast.expr) -> ast.BinOp:
    """`left - right`, of copies."""
    return ast.BinOp(copy.deepcopy(left), ast.Sub(), copy.deepcopy(right))


def _is_count(values: ast.expr) -> bool:
    """Whether an expression is `range(n)`."""
    called = isinstance(values, ast.Call) and isinstance(values.func, ast.Name) and len(values.args) == 1
    return called and values.func.id == "range"  # type: ignore[attr-defined]
