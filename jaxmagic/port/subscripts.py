"""Reading `x[…]`: points, masks, and windows that move or grow."""

from __future__ import annotations

import ast
import copy
from collections.abc import Mapping
from dataclasses import replace

from jaxmagic.port.calls import Calls
from jaxmagic.port.flow import read
from jaxmagic.port.index import Index, as_slice, beside, is_full
from jaxmagic.port.known import Env
from jaxmagic.port.linear import written
from jaxmagic.port.nodes import load
from jaxmagic.port.windows import Value, Window, bounds, call, extent


class Subscripts(Calls):
    """Lowers subscripts."""

    def _subscript(self, node: ast.Subscript, env: Env) -> Value:
        base = self.lower(node.value, env)
        index = self.index(node, env)
        new = copy.copy(node)
        if not base.is_plain:
            raise self.varying(node.value)
        new.value = base.node
        if index.mask is not None:
            return self._masked(node, base, index)
        if index.moving:
            moved = self.moved(base.node, index)
            rest = index.rest()
            if all(is_full(part) for part in rest):
                return Value(node=moved, ndim=self.fact(node).ndim, axes=index.axes)
            new.value, new.slice = moved, as_slice(rest)
        elif index.changed and all(is_full(part) for part in index.rest()):
            return Value(node=base.node, axes=index.axes, ndim=self._ndim(node, index))
        elif index.changed:
            new.slice = as_slice(index.rest())
        gathered = next((v for v in index.values if not v.is_plain), None)
        if gathered is not None:
            return self._gathered(node, new, index)
        return Value(node=new, axes=index.axes, ndim=self._ndim(node, index))

    def _ndim(self, node: ast.Subscript, index: Index) -> int | None:
        known = self.fact(node).ndim
        return known if known is not None else index.result_ndim

    def _gathered(self, node: ast.Subscript, new: ast.Subscript, index: Index) -> Value:
        """`x[columns]` where only some of the columns count."""
        selected = self.selected(index)
        if selected is None:
            raise self.varying(node)
        new.slice = as_slice(index.rest())
        return replace(selected, node=new)

    def selected(self, index: Index) -> Value | None:
        """Which of the places that an index lists count, where it lists nothing but places."""
        if len(index.values) != len(index.parts) or index.mask is not None:
            return None
        listed = [value for value in index.values if not value.is_plain]
        one = len({repr(value.key()) for value in listed}) == 1
        lists = all(value.ndim == 1 if not value.is_plain else value.ndim == 0 for value in index.values)
        whole = index.ndim == len(index.parts) or len(index.parts) == 1
        return listed[0] if one and lists and whole else None

    def _masked(self, node: ast.Subscript, base: Value, index: Index) -> Value:
        """`x[mask]`: the whole of `x`, of which the masked elements count."""
        fact = self.fact(node.value)
        if len(index.parts) != 1 or fact.ndim is None or index.mask is None or index.mask_ndim is None:
            raise self.varying(node)
        extra = fact.ndim - index.mask_ndim
        return Value(node=base.node, mask=beside(index.mask, extra), ndim=1 + extra)

    def index(self, node: ast.Subscript, env: Env) -> Index:
        """What an index selects."""
        parts = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
        fact = self.fact(node.value)
        base = self.lower(node.value, env)
        ndim = fact.ndim if fact.ndim is not None else base.ndim
        found = Index(parts=parts, ndim=ndim)
        for i, part in enumerate(parts):
            if isinstance(part, ast.Slice):
                self._slice(node, found, i, part, env)
            else:
                self._point(found, i, part, env)
        return found

    def _point(self, found: Index, i: int, part: ast.expr, env: Env) -> None:
        value = self.lower(part, env)
        fact = self.fact(part)
        if isinstance(part, ast.List) or (fact.forms and {form.kind for form in fact.forms} == {"list"}):
            value = replace(value, node=call("jnp.array", value.node), ndim=fact.ndim)
        if fact.kind == "b" and not isinstance(part, ast.Constant) and (fact.ndim or value.ndim or 0) > 0:
            if not value.is_plain:
                raise self.varying(part)
            found.mask, found.mask_ndim = value.node, fact.ndim
        found.values.append(value)
        found.new[i] = value.node
        if value.node is not part:
            found.changed = True

    def _slice(self, node: ast.Subscript, found: Index, i: int, part: ast.Slice, env: Env) -> None:
        if all(b is None or self.is_static(b, env) for b in (part.lower, part.upper, part.step)):
            found.new[i] = part
            return
        if part.step is not None or found.ndim is None:
            raise self.varying(node)
        axis = found.axis(i)
        length, size = self._length(node.value, axis)
        self._refuse_negative(node, part, env)
        start, stop = bounds(self._plain_slice(part, env), length)
        span = extent(start, stop, length)
        if self._is_fixed(span, env):
            if self._depends_on_data(written(start), env):
                self.sliced.append(node.lineno)
            found.moving[axis] = (written(start), written(span))
            found.new[i] = ast.Slice()
        else:
            if size is None:
                raise self.varying(node)
            found.new[i] = ast.Slice()
            found.windows[i] = Window(start=start, stop=stop, length=length, size=size)
            found.changed = True

    def _refuse_negative(self, node: ast.Subscript, part: ast.Slice, env: Env) -> None:
        for bound in (part.lower, part.upper):
            low = self.fact(bound).low if bound is not None else None
            if bound is not None and low is not None and low < 0 and not self.is_static(bound, env):
                text = f"`{ast.unparse(bound)}` is negative at times, and then counts from the end."
                raise self.unit.refuse(node, text, "Keep the bounds of slices at zero or more.")

    def _plain_slice(self, part: ast.Slice, env: Env) -> ast.Slice:
        lower = None if part.lower is None else self.plain(part.lower, env)
        upper = None if part.upper is None else self.plain(part.upper, env)
        return ast.Slice(lower, upper, None)

    def _depends_on_data(self, start: ast.expr, env: Env) -> bool:
        """Whether a start is made of more than sizes and the variables of loops over these."""
        return any(not self.is_static(load(name), env) and name not in self.ranges for name in read(start))

    def _is_fixed(self, span: Mapping[str, int], env: Env) -> bool:
        return all(term == "" or self.is_static(ast.parse(term, mode="eval").body, env) for term in span)

    def _length(self, base: ast.expr, axis: int) -> tuple[ast.expr, int | None]:
        """The length of an axis, as an expression and in the watched run."""
        shape = self.fact(base).shape
        size = shape[axis] if shape is not None and axis < len(shape) else None
        if isinstance(base, ast.Name):
            dims = ast.Attribute(load(base.id), "shape", ast.Load())
            return ast.Subscript(dims, ast.Constant(axis), ast.Load()), size
        return ast.Constant(size), size

    def moved(self, base: ast.expr, index: Index) -> ast.expr:
        """The block that moves, with its other axes whole."""
        moving = index.moving
        if len(moving) == 1:
            ((axis, (start, span)),) = moving.items()
            if axis == 0:
                return call("lax.dynamic_slice_in_dim", base, start, span)
            return call("lax.dynamic_slice_in_dim", base, start, span, axis=ast.Constant(axis))
        for axis, (start, span) in moving.items():
            base = call("lax.dynamic_slice_in_dim", base, start, span, axis=ast.Constant(axis))
        return base
