# ruff: noqa: ARG002 the handlers of one table share one signature
"""`x[index] = value` as a new `x`."""

from __future__ import annotations

import ast
import copy

import numpy as np

from jaxmagic.port.flow import read
from jaxmagic.port.index import Index, as_slice, beside, is_full
from jaxmagic.port.known import Env, Held
from jaxmagic.port.nodes import assign, at_set, is_put, is_whole, load
from jaxmagic.port.observe import NOTHING, Fact, form_of
from jaxmagic.port.statements import Statements
from jaxmagic.port.windows import Value, call

SMALLER = {"b": 0, "u": 1, "i": 1, "f": 2, "c": 3}


class Stores(Statements):
    """Lowers stores."""

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
            return self._whole(base, fact, self._without_ones(value.node, old, fact.ndim), old)
        index = self.index(target, env)
        if any(not each.is_plain for each in index.values):
            return self._put_selected(target, base, index, value, old, fact)
        if index.mask is not None:
            return self._put_mask(base, index, value, old, fact)
        if index.windows:
            return self._put_window(target, base, index, value, old)
        if not value.is_plain:
            raise self.varying(old)
        places = [part for part in index.parts if not isinstance(part, ast.Slice)]
        ndim = index.result_ndim if all(self._is_place(part) for part in places) else None
        fitted = self._without_ones(value.node, old, ndim)
        new = self._as_dtype(base, fact, fitted, old)
        if index.moving:
            return self._put_moving(target, base, index, new, old)
        return at_set(base, as_slice(index.rest()), new)

    def _whole(self, base: ast.Name, fact: Fact, value: ast.expr, old: ast.expr) -> ast.expr:
        """`x[:] = value`: the value itself where it has the shape and dtype."""
        own = self.fact(old)
        if getattr(old, "exact", False):
            return value
        if isinstance(old, ast.BinOp) and not own.forms and _is_all_of(old.left, base.id):
            own = self._augmented(old, fact)
        fits = own.shape is not None and own.shape == fact.shape and own.dtype == fact.dtype and own.is_array
        if fits:
            return value
        if own.is_array and own.shape is not None and own.shape == fact.shape:
            return call("jnp.asarray", value, ast.Attribute(base, "dtype", ast.Load()))
        # Not `.at[...].set`, of which XLA makes a `map`: turned around, that aborts the process.
        return call("jnp.full_like", base, value)

    def _is_place(self, part: ast.expr) -> bool:
        """Whether an element of an index is one whole number."""
        return self.fact(part).is_scalar or (isinstance(part, ast.Constant) and isinstance(part.value, int))

    def _without_ones(self, value: ast.expr, old: ast.expr, ndim: int | None) -> ast.expr:
        """A value without the first axes, of one element each, that its place has not: NumPy drops them."""
        own = self.fact(old).ndim
        if own is None or ndim is None or own <= ndim:
            return value
        zeros: list[ast.expr] = [ast.Constant(0)] * (own - ndim)
        return ast.Subscript(value, as_slice(zeros), ast.Load())

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

    def _put_selected(
        self, target: ast.Subscript, base: ast.Name, index: Index, value: Value, old: ast.expr, fact: Fact
    ) -> ast.expr:
        """`x[places[mask]] = value`: what does not count is out of bounds, and dropped."""
        selected = self.selected(index)
        scalar = self.fact(old).is_scalar or isinstance(old, ast.Constant) or value.ndim == 0
        if selected is None or not (scalar if value.is_plain else self._is_selected_alike(value, selected)):
            raise self.varying(target)
        rest = index.rest()
        i = next(i for i, each in enumerate(index.values) if not each.is_plain)
        if not _is_wide(self.fact(index.parts[i])):
            raise self.varying(index.parts[i])
        size = ast.Subscript(ast.Attribute(copy.copy(base), "shape", ast.Load()), ast.Constant(i), ast.Load())
        rest[i] = call("jnp.where", selected.condition(), rest[i], size)
        new = at_set(base, as_slice(rest), self._as_dtype(base, fact, value.node, old))
        assert isinstance(new, ast.Call)
        new.keywords = [ast.keyword("mode", ast.Constant("drop"))]
        return new

    def _is_selected_alike(self, value: Value, selected: Value) -> bool:
        """Whether the same elements of a value count, along its first axis."""
        if value.mask is None or selected.mask is None:
            return value.key() == selected.key()
        return ast.unparse(value.mask) == ast.unparse(beside(selected.mask, (value.ndim or 1) - 1))

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
        if not all(is_full(part) for part in index.rest()):
            return self._put_points(target, base, index, value)
        block = self.moved(copy.copy(base), index)
        shape = ast.Attribute(block, "shape", ast.Load())
        own = self.fact(old)
        selected = {len(f.shape) for f in own.forms}
        full = own.is_array and selected == {index.ndim} and self._same_extent(own, index)
        if not full and isinstance(old, ast.Constant):
            value = call("jnp.asarray", value, ast.Attribute(copy.copy(base), "dtype", ast.Load()))
        fitted = value if full else call("jnp.broadcast_to", value, shape)
        starts = [
            index.moving[a][0] if a in index.moving else ast.Constant(0) for a in range(index.ndim or 0)
        ]
        return call("lax.dynamic_update_slice", base, fitted, ast.Tuple(starts, ast.Load()))

    def _put_points(self, target: ast.Subscript, base: ast.Name, index: Index, value: ast.expr) -> ast.expr:
        """`x[3, i:i+k] = value`: at the places that the window has, one by one."""
        rest = index.rest()
        if len(index.moving) != 1:
            raise self.varying(target)
        ((axis, (start, span)),) = index.moving.items()
        simple = all(
            isinstance(p, ast.Slice) or self.fact(p).is_scalar or isinstance(p, ast.Constant)
            for p in index.parts
        )
        slices = sum(isinstance(p, ast.Slice) for p in index.parts)
        if not simple or (slices > 1 and len(rest) > slices):
            raise self.varying(target)
        own = (i for i in range(len(rest)) if index.axis(i) == axis and is_full(rest[i]))
        place = next(i for i in own if i not in index.windows)
        rest[place] = ast.BinOp(start, ast.Add(), call("jnp.arange", span))
        return at_set(base, as_slice(rest), value)

    def _same_extent(self, own: Fact, index: Index) -> bool:
        return own.shape is not None and all(size != 1 for size in own.shape)


def _is_all_of(node: ast.expr, name: str) -> bool:
    """Whether an expression is `x`, or `x[:]`."""
    if isinstance(node, ast.Subscript):
        return is_whole(node.slice) and _is_all_of(node.value, name)
    return isinstance(node, ast.Name) and node.id == name


def _is_wide(fact: Fact) -> bool:
    """Whether whole numbers can say any place of an array, and the one past its end."""
    dtypes = [np.dtype(form.dtype) for form in fact.forms if form.dtype]
    return bool(dtypes) and all(each.kind in "iu" and each.itemsize >= 4 for each in dtypes)


def _constant_kind(node: ast.expr) -> str:
    if isinstance(node, ast.UnaryOp):
        return _constant_kind(node.operand)
    if not isinstance(node, ast.Constant):
        return ""
    return {bool: "b", int: "i", float: "f", complex: "c"}.get(type(node.value), "")


def _wraps(own: Fact, fact: Fact) -> bool:
    """Whether numbers are stored where fewer bits, or no sign, hold them, one time or other."""
    pairs = ((a.dtype, b.dtype) for a in own.forms for b in fact.forms if a.dtype and b.dtype)
    return any(not np.can_cast(a, b, "safe") for a, b in pairs)
