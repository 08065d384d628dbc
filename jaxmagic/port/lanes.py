"""Expressions of arrays that get shorter in a loop, written for arrays that keep their size.

Every such array stands for its elements where `alive` is true, a boolean array of the full size. What is
worked out for each element alone is worked out for all of them, and is such an array again; whatever
else looks at one gets the elements that are alive, `x[alive]`. Either way the new expression means,
in NumPy, exactly what the old one did.
"""

from __future__ import annotations

import ast
import copy
from dataclasses import dataclass

import numpy as np

from jaxmagic.port.changes import METHODS
from jaxmagic.port.collect import Unit, dotted, object_of
from jaxmagic.port.flow import read
from jaxmagic.port.index import is_full
from jaxmagic.port.names import numpy_name
from jaxmagic.port.nodes import load
from jaxmagic.port.observe import Facts

# Functions and methods that work out each element alone, or make an array like theirs.
EACH = ("where", "clip", "real", "imag", "angle", "nan_to_num", "round", "isclose", "copy")
LIKE = ("zeros_like", "ones_like", "empty_like", "full_like")
OF_A_SIZE = ("zeros", "ones", "empty", "full")
EACH_METHODS = ("astype", "copy", "conj", "conjugate")
# Methods that give a new value and change nothing.
PURE_METHODS = (
    *("sum", "mean", "min", "max", "any", "all", "prod", "std", "var", "argmin", "argmax", "item"),
    *("cumsum", "cumprod", "tolist", "dot", "nonzero", "argsort", "searchsorted", "take", "ptp"),
)
# Functions of NumPy's that change an argument.
CHANGING = ("copyto", "put", "place", "putmask", "fill_diagonal", "shuffle", "put_along_axis")
# Those that give each row's own value when they go along an axis other than the first.
BY_ROW = ("sum", "mean", "min", "max", "any", "all", "prod", "std", "var", "argmin", "argmax", "linalg.norm")
PURE_BUILTINS = ("len", "sum", "min", "max", "int", "float", "bool", "abs", "range", "round", "print")
DISPLAYS = (ast.Tuple, ast.List, ast.Set, ast.Dict)
LATER = (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.JoinedStr, ast.NamedExpr)


class UnfitError(Exception):
    """The program does not fit: an array is used in a way that a mask does not stand for."""


@dataclass(frozen=True, slots=True, eq=False)
class Lane:
    """An array of the full size, its first axis the elements of which only some count.

    Args:
        ndim: its number of axes.
        chosen: a mask, of the full size too: those where it is false do not count either.
    """

    ndim: int
    chosen: ast.expr | None = None

    @property
    def key(self) -> object:
        """Equal where the same elements count."""
        return self.ndim, self.chosen and ast.unparse(self.chosen)


Wide = tuple[ast.expr, Lane | None]
# A mask that told elements apart, and the names that did not follow so far.
Since = tuple[ast.expr | None, frozenset[str]]
NEVER: Since = (None, frozenset())
# Which part of a node an expression is: its field, and its place there.
Slot = tuple[str, int | None]


class Lanes:
    """Rewrites expressions at a place of a unit.

    Args:
        alive: the name of the mask.
        status: names that are not plain: "lane", "stale" (its elements have been told apart since), or
            "mixed" (depending on the way there).
        since: the mask that made names stale last, and those.
    """

    def __init__(self, unit: Unit, facts: Facts, alive: str) -> None:
        self.unit = unit
        self.facts = facts
        self.alive = alive
        self.status: dict[str, str] = {}
        self.since: Since = NEVER

    # -- what is asked for --

    def wide(self, node: ast.expr) -> Wide:
        """An expression, and what it is where it is no plain value."""
        if not read(node) & self.status.keys():
            return node, None
        if isinstance(node, LATER):
            raise UnfitError
        handler = getattr(self, f"_{type(node).__name__.lower()}", None)
        found: Wide = handler(node) if handler else (self._with(node, self._plain_parts(node)), None)
        return found

    def plain(self, node: ast.expr) -> ast.expr:
        """An expression as a plain value: of an array, the elements that are alive."""
        new, lane = self.wide(node)
        return new if lane is None else self._packed(new, lane)

    def truth(self, node: ast.expr) -> ast.expr:
        """A condition; whether anything is left is asked of the mask."""
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return self._with(node, {("operand", None): self.truth(node.operand)})
        if isinstance(node, ast.BoolOp):
            return self._with(node, {("values", i): self.truth(v) for i, v in enumerate(node.values)})
        compared = self._compared_with_none(node)
        if compared is not None:
            return compared
        return self._is_any_left() if self._is_count(node) else self.plain(node)

    # -- how many --

    def _compared_with_none(self, node: ast.expr) -> ast.expr | None:
        """`len(x) == 0` and the like."""
        if not isinstance(node, ast.Compare) or len(node.ops) != 1 or not self._is_count(node.left):
            return None
        limit = node.comparators[0]
        number = limit.value if isinstance(limit, ast.Constant) else None
        asked = (type(node.ops[0]), number)
        if asked in ((ast.Eq, 0), (ast.LtE, 0), (ast.Lt, 1)):
            return ast.UnaryOp(ast.Not(), self._is_any_left())
        return self._is_any_left() if asked in ((ast.NotEq, 0), (ast.Gt, 0), (ast.GtE, 1)) else None

    def _is_count(self, node: ast.expr) -> bool:
        """Whether an expression is `len(x)`, `x.size` or `x.shape[0]` of such an array."""
        if isinstance(node, ast.Call) and len(node.args) == 1 and not node.keywords:
            called = isinstance(node.func, ast.Name) and node.func.id == "len"
            return called and self._is_whole(node.args[0])
        if isinstance(node, ast.Attribute) and node.attr == "size":
            return self._is_whole(node.value) and self.facts.of(self.unit, node.value).ndim == 1
        first = isinstance(node, ast.Subscript) and ast.unparse(node.slice) == "0"
        return first and self._is_shape(node.value)  # type: ignore[attr-defined]

    def _is_shape(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Attribute) and node.attr == "shape" and self._is_whole(node.value)

    def _is_whole(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Name) and self.status.get(node.id) == "lane"

    def _is_any_left(self) -> ast.expr:
        return ast.Call(ast.Attribute(load(self.alive), "any", ast.Load()), [], [])

    # -- pieces --

    def _packed(self, node: ast.expr, lane: Lane) -> ast.expr:
        """`x[alive]`."""
        mask: ast.expr = load(self.alive)
        if lane.chosen is not None:
            mask = ast.BinOp(copy.deepcopy(lane.chosen), ast.BitAnd(), mask)
        return ast.Subscript(node, mask, ast.Load())

    def _with(self, node: ast.expr, parts: dict[Slot, ast.expr]) -> ast.expr:
        """A node with other parts."""
        new = copy.copy(node)
        for name, value in ast.iter_fields(node):
            if isinstance(value, list):
                setattr(new, name, [copy.copy(v) if isinstance(v, ast.keyword) else v for v in value])
        for (name, i), part in parts.items():
            if i is None:
                setattr(new, name, part)
            elif name == "keywords":
                new.keywords[i].value = part  # type: ignore[attr-defined]
            else:
                getattr(new, name)[i] = part
        return new

    def _parts(self, node: ast.expr) -> dict[Slot, ast.expr]:
        found: dict[Slot, ast.expr] = {}
        for name, value in ast.iter_fields(node):
            if isinstance(value, ast.expr):
                found[name, None] = value
            elif isinstance(value, list):
                for i, item in enumerate(value):
                    part = item.value if isinstance(item, ast.keyword) else item
                    if isinstance(part, ast.expr):
                        found[name, i] = part
        return found

    def _plain_parts(self, node: ast.expr) -> dict[Slot, ast.expr]:
        return {slot: self.plain(part) for slot, part in self._parts(node).items()}

    def together(self, node: ast.expr, parts: dict[Slot, ast.expr]) -> Wide:
        """What is worked out for each element alone: for all of them, where the operands go together."""
        wide = {slot: self.wide(part) for slot, part in parts.items()}
        lanes = [lane for _, lane in wide.values() if lane is not None]
        keys = {lane.key for lane in lanes}
        if len(keys) == 1 and all(
            self._spreads(parts[slot], lanes[0].ndim) for slot, (_, lane) in wide.items() if lane is None
        ):
            return self._with(node, {slot: new for slot, (new, _) in wide.items()}), lanes[0]
        packed = {s: new if lane is None else self._packed(new, lane) for s, (new, lane) in wide.items()}
        return self._with(node, packed), None

    def _spreads(self, node: ast.expr, ndim: int) -> bool:
        """Whether a plain operand has one value for all elements along the first of so many axes."""
        if isinstance(node, ast.Constant):
            return True
        fact = self.facts.of(self.unit, node)
        shapes = {form.shape for form in fact.forms}
        return bool(shapes) and (
            fact.is_scalar
            or (
                fact.is_array
                and all(len(shape) < ndim or (len(shape) == ndim and shape[0] == 1) for shape in shapes)
            )
        )

    def _ndim(self, node: ast.expr) -> int:
        ndim = self.facts.of(self.unit, node).ndim
        if not ndim:
            raise UnfitError
        return ndim

    # -- expressions --

    def _name(self, node: ast.Name) -> Wide:
        if self.status[node.id] != "lane":
            raise UnfitError
        return node, Lane(self._ndim(node))

    def _binop(self, node: ast.BinOp) -> Wide:
        parts = {("left", None): node.left, ("right", None): node.right}
        if not isinstance(node.op, ast.MatMult):
            return self.together(node, parts)  # type: ignore[arg-type]
        left, lane = self.wide(node.left)
        right, other = self.wide(node.right)
        if lane is not None and lane.ndim == 2 and other is None:  # each row by itself
            new = self._with(node, {("left", None): left, ("right", None): right})
            return new, Lane(self._ndim(node), lane.chosen)
        return self._with(node, self._plain_parts(node)), None

    def _unaryop(self, node: ast.UnaryOp) -> Wide:
        if isinstance(node.op, ast.Not):
            return self.truth(node), None
        return self.together(node, {("operand", None): node.operand})

    def _compare(self, node: ast.Compare) -> Wide:
        if len(node.ops) == 1 and not isinstance(node.ops[0], ast.In | ast.NotIn | ast.Is | ast.IsNot):
            return self.together(node, {("left", None): node.left, ("comparators", 0): node.comparators[0]})
        return self._with(node, self._plain_parts(node)), None

    def _attribute(self, node: ast.Attribute) -> Wide:
        base, lane = self.wide(node.value)
        if lane is None or node.attr in ("dtype", "ndim"):
            return self._with(node, {("value", None): base}), None
        if node.attr in ("real", "imag"):
            return self._with(node, {("value", None): base}), lane
        if node.attr == "size":
            return self._with(node, {("value", None): self._packed(base, lane)}), None
        raise UnfitError

    def _subscript(self, node: ast.Subscript) -> Wide:
        if isinstance(node.value, ast.Attribute) and node.value.attr == "shape":
            base, lane = self.wide(node.value.value)
            array = base if lane is None else self._packed(base, lane)
            later = isinstance(node.slice, ast.Constant) and node.slice.value not in (0, -1)
            shape = self._with(node.value, {("value", None): base if later else array})
            return self._with(node, {("value", None): shape, ("slice", None): self.plain(node.slice)}), None
        follows = self._follows(node)
        if follows is not None:
            return follows
        base, lane = self.wide(node.value)
        return self._of_plain(node, base) if lane is None else self._of_lane(node, base, lane)

    def _follows(self, node: ast.Subscript) -> Wide | None:
        """`y[mask]` after `x = x[mask]`: the same elements count."""
        base, (mask, stale) = node.value, self.since
        if not isinstance(base, ast.Name) or base.id not in stale or mask is None:
            return None
        return (base, Lane(self._ndim(base))) if ast.unparse(node.slice) == ast.unparse(mask) else None

    def _of_lane(self, node: ast.Subscript, base: ast.expr, lane: Lane) -> Wide:
        if self.is_along(node):
            return self._with(node, {("value", None): base}), Lane(self._ndim(node), lane.chosen)
        mask = self.mask_of(node.slice) if lane.chosen is None else None
        if mask is not None:
            return base, Lane(lane.ndim, mask)
        fact, part = self.facts.of(self.unit, node), self.facts.of(self.unit, node.slice)
        if not fact.is_scalar and not (part.is_array and part.ndim):  # it would be a view
            raise UnfitError
        packed = {("value", None): self._packed(base, lane), ("slice", None): self.plain(node.slice)}
        return self._with(node, packed), None  # type: ignore[arg-type]

    def mask_of(self, index: ast.expr) -> ast.expr | None:
        """An index that is a mask over the elements."""
        fact = self.facts.of(self.unit, index)
        if isinstance(index, ast.Tuple) or fact.kind != "b" or fact.ndim != 1:
            return None
        new, lane = self.wide(index)
        return new if lane is not None and lane.chosen is None else None

    def is_along(self, node: ast.Subscript) -> bool:
        """Whether an index leaves the first axis as it is: `x[:]`, `x[:, 2]`, `x[:, None]`."""
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        first, *rest = parts
        whole = is_full(first) or (
            isinstance(first, ast.Constant) and first.value is Ellipsis and len(rest) < self._ndim(node.value)
        )
        fixed = all(not read(part) & self.status.keys() for part in rest)
        plain = (isinstance(p, ast.Slice) or self._is_point(p) for p in rest)
        return whole and fixed and all(plain)

    def _is_point(self, part: ast.expr) -> bool:
        new = isinstance(part, ast.Attribute) and part.attr == "newaxis"
        return new or isinstance(part, ast.Constant) or self.facts.of(self.unit, part).is_scalar

    def _of_plain(self, node: ast.Subscript, base: ast.expr) -> Wide:
        """`table[x]`: an element of a table for each."""
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        wide = [(part, None) if isinstance(part, ast.Slice) else self.wide(part) for part in parts]
        lanes = [lane for _, lane in wide if lane is not None]
        one = len({lane.key for lane in lanes}) == 1 and lanes[0].ndim == 1
        if not one or not self._is_list_of_places(parts, [lane is not None for _, lane in wide]):
            return self._with(node, {("value", None): base, ("slice", None): self.plain(node.slice)}), None
        index = wide[0][0]
        if len(parts) > 1:
            index = self._with(node.slice, {("elts", i): new for i, (new, _) in enumerate(wide)})
        new = self._with(node, {("value", None): base, ("slice", None): index})
        return new, Lane(self._ndim(node), lanes[0].chosen)

    def _is_list_of_places(self, parts: list[ast.expr], lanes: list[bool]) -> bool:
        """Whether an index has a place for each element, whole axes after that apart."""
        last = max(i for i, lane in enumerate(lanes) if lane)
        return all(
            self.facts.of(self.unit, part).kind in ("i", "u")
            if lane
            else self._is_point(part) or (i > last and is_full(part))
            for i, (part, lane) in enumerate(zip(parts, lanes, strict=True))
        )

    def _call(self, node: ast.Call) -> Wide:
        path = ".".join(dotted(node.func) or ())
        name = numpy_name(self.unit, node.func)
        if path in self.unit.helpers or any(k.arg in (None, "out") for k in node.keywords):
            raise UnfitError
        if name is not None:
            return self._numpy(node, name.removeprefix("numpy."))
        if isinstance(node.func, ast.Attribute):
            return self._method(node, node.func)
        if path == "abs":
            return self.together(node, {("args", 0): node.args[0]})
        if path not in PURE_BUILTINS:
            raise UnfitError
        return self._with(node, self._plain_parts(node)), None

    def _numpy(self, node: ast.Call, name: str) -> Wide:
        ufunc = object_of(self.unit, node.func)
        arguments = {slot: part for slot, part in self._parts(node).items() if slot[0] != "func"}
        if isinstance(ufunc, np.ufunc):
            if len(node.args) != ufunc.nin or ufunc.nout != 1 or ufunc.signature:
                raise UnfitError
            return self._each(node, arguments)
        if name in EACH and (name != "where" or len(node.args) == 3):
            return self._each(node, arguments)
        if name in LIKE and self._is_whole(node.args[0]):
            if any(
                read(part) & self.status.keys() for slot, part in arguments.items() if slot != ("args", 0)
            ):
                raise UnfitError
            return node, Lane(self._ndim(node))
        if name in OF_A_SIZE and node.args and self._is_size(node.args[0]):
            return node, Lane(self._ndim(node))
        if name in BY_ROW:
            base, lane = self.wide(node.args[0])
            if lane is not None and self._is_by_row(node, node.args[1:], lane):
                return self._with(node, {("args", 0): base}), Lane(self._ndim(node), lane.chosen)
        if name.startswith("random") or name.rpartition(".")[2] in CHANGING or name.endswith(".at"):
            raise UnfitError
        return self._with(node, {slot: self.plain(part) for slot, part in arguments.items()}), None

    def _each(self, node: ast.Call, arguments: dict[Slot, ast.expr]) -> Wide:
        """A function of each element; what is said by keyword, such as a dtype, stays."""
        moving = {
            s: part for s, part in arguments.items() if s[0] == "args" or read(part) & self.status.keys()
        }
        return self.together(node, moving)

    def _is_by_row(self, node: ast.Call, rest: list[ast.expr], lane: Lane) -> bool:
        """Whether a reduction goes along one of the other axes: `x.sum(axis=1)`."""
        axes = [*rest, *(k.value for k in node.keywords)]
        named = all(k.arg == "axis" for k in node.keywords)
        try:
            axis = ast.literal_eval(axes[0]) if len(axes) == 1 and named else None
        except ValueError:
            return False
        return type(axis) is int and (0 < axis < lane.ndim or -lane.ndim < axis < 0)

    def _is_size(self, node: ast.expr) -> bool:
        """Whether a new array of this size has an element for each."""
        if isinstance(node, ast.Tuple):
            rest = all(not read(part) & self.status.keys() for part in node.elts[1:])
            return rest and self._is_count(node.elts[0])
        return self._is_count(node) or self._is_shape(node)

    def _method(self, node: ast.Call, func: ast.Attribute) -> Wide:
        arguments = {slot: part for slot, part in self._parts(node).items() if slot[0] != "func"}
        base, lane = self.wide(func.value)
        if lane is not None and func.attr in EACH_METHODS:
            if any(read(part) & self.status.keys() for part in arguments.values()):
                raise UnfitError
            return self._with(node, {("func", None): self._with(func, {("value", None): base})}), lane
        if lane is not None and func.attr in BY_ROW and self._is_by_row(node, node.args, lane):
            new = self._with(node, {("func", None): self._with(func, {("value", None): base})})
            return new, Lane(self._ndim(node), lane.chosen)
        if func.attr in METHODS or func.attr not in PURE_METHODS:
            raise UnfitError
        base = base if lane is None else self._packed(base, lane)
        parts = {slot: self.plain(part) for slot, part in arguments.items()}
        return self._with(node, {("func", None): self._with(func, {("value", None): base}), **parts}), None
