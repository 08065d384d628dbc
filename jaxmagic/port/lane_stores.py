"""Changes in place of arrays that get shorter in a loop, written for arrays that keep their size.

Elements that are not alive may change with the others: nobody looks at them.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterable

import numpy as np

from jaxmagic.port.collect import object_of
from jaxmagic.port.flow import read
from jaxmagic.port.lanes import NEVER, Lanes, UnfitError
from jaxmagic.port.names import numpy_name
from jaxmagic.port.unshared import is_alone, is_new


class LaneStores(Lanes):
    """Rewrites the statements of a unit that change arrays."""

    def bind(self, names: Iterable[str], kind: str = "") -> None:
        """Names that mean something new, and what."""
        for name in names:
            self.status.pop(name, None)
            if kind:
                self.status[name] = kind
            mask, stale = self.since
            self.since = NEVER if mask is None or name in read(mask) else (mask, stale - {name})

    def _change(self, node: ast.stmt, name: str) -> None:
        """An array that changes in place has to be nobody else's, there and wherever it is bound."""
        seen = self.facts.aliases.get((self.unit.name, getattr(node, "key", -1)), {})
        if self.status.get(name) != "lane" or seen.get(name) != frozenset():
            raise UnfitError
        if not is_alone(self.unit, self.facts, name):
            raise UnfitError
        self.bind([name], "lane")

    def put(self, node: ast.Assign | ast.AugAssign, target: ast.Subscript) -> ast.stmt:
        """`x[index] = value`, or `+=`."""
        new, stored = copy.copy(node), copy.copy(target)
        if isinstance(target.value, ast.Name) and target.value.id in self.status:
            self._change(node, target.value.id)
            stored.slice, new.value = self._into_lane(target, node.value)
        else:
            stored.value = self.plain(target.value)
            if stored.value is not target.value and read(target.value) & self.status.keys():
                raise UnfitError
            stored.slice, new.value = self.plain(target.slice), self.plain(node.value)
        if isinstance(new, ast.Assign):
            new.targets = [stored]
        else:
            new.target = stored
        return new

    def _into_lane(self, target: ast.Subscript, value: ast.expr) -> tuple[ast.expr, ast.expr]:
        """The index and the value of a store into an array of the full size."""
        new, lane = self.wide(value)
        if self.is_along(target):
            index = target.slice.elts if isinstance(target.slice, ast.Tuple) else [target.slice]
            points = sum(self._is_point(part) and not _is_none(part) for part in index)
            ndim = self._ndim(target.value) - points
            fits = lane.chosen is None and lane.ndim == ndim if lane else self._spreads(value, 1)
            if fits and ast.unparse(target.slice) != "...":
                return target.slice, new
            raise UnfitError
        mask = self.mask_of(target.slice)
        if mask is None or (lane is None and not self._spreads(value, 1)):
            raise UnfitError
        if lane is None:
            return mask, new
        if lane.key != (self._ndim(target.value), ast.unparse(mask)):
            raise UnfitError
        return mask, ast.Subscript(new, copy.deepcopy(mask), ast.Load())

    def _augassign_statement(self, node: ast.AugAssign) -> list[ast.stmt]:
        if isinstance(node.target, ast.Subscript):
            return [self.put(node, node.target)]
        new = copy.copy(node)
        if not isinstance(node.target, ast.Name):
            raise UnfitError
        if node.target.id not in self.status:
            new.value = self.plain(node.value)
            return [new]
        fact = self.facts.touched(self.unit, node, node.target.id)
        new.value, lane = self.wide(node.value)
        fits = (
            lane.chosen is None and lane.ndim == fact.ndim
            if lane
            else self._spreads(node.value, fact.ndim or 0)
        )
        if not fits or isinstance(node.op, ast.MatMult):
            raise UnfitError
        self._change(node, node.target.id)
        return [new]

    def _expr_statement(self, node: ast.Expr) -> list[ast.stmt]:
        call, new = node.value, copy.copy(node)
        if not isinstance(call, ast.Call):
            raise UnfitError
        name = numpy_name(self.unit, call.func) or ""
        if isinstance(object_of(self.unit, call.func), np.ufunc):
            new.value = self._ufunc_into(node, call)
        elif name.endswith(".at") and not read(call.args[0]) & self.status.keys():
            new.value = self._with(call, {("args", i): self.plain(a) for i, a in enumerate(call.args)})
        elif isinstance(call.func, ast.Attribute) and call.func.attr == "append" and not call.keywords:
            if not all(is_new(self.unit, self.facts, argument) for argument in call.args):
                raise UnfitError
            new.value = self._with(call, {("args", i): self.plain(a) for i, a in enumerate(call.args)})
        else:
            raise UnfitError
        return [new]

    def _ufunc_into(self, node: ast.Expr, call: ast.Call) -> ast.expr:
        """`np.multiply(x, x, x)` or `np.multiply(x, x, out=x)`."""
        ufunc: np.ufunc = object_of(self.unit, call.func)
        bare = copy.copy(call)
        bare.args, rest = call.args[: ufunc.nin], call.args[ufunc.nin :]
        bare.keywords = [k for k in call.keywords if k.arg != "out"]
        out = next(iter([*rest, *(k.value for k in call.keywords if k.arg == "out")]), None)
        if not isinstance(out, ast.Name):
            raise UnfitError
        new, lane = self.wide(bare)
        fits = (
            lane is not None
            and lane.chosen is None
            and lane.ndim == self.facts.touched(self.unit, node, out.id).ndim
        )
        if not fits or not isinstance(new, ast.Call):
            raise UnfitError
        self._change(node, out.id)
        if rest:
            new.args = [*new.args, out]
        else:
            new.keywords = [*new.keywords, ast.keyword("out", out)]
        return new


def _is_none(node: ast.expr) -> bool:
    new = isinstance(node, ast.Attribute) and node.attr == "newaxis"
    return new or (isinstance(node, ast.Constant) and node.value is None)
