"""Loops that drop elements as they go, `x = x[keep]`, written for arrays that keep their size.

Compiled code needs fixed sizes: the arrays stay whole, and a mask says which of their elements are
alive. `x = x[keep]; y = y[keep]` becomes `alive = alive & keep`. The result is NumPy code that means the
same: it is watched like the user's own, and then ported as any other.
"""

from __future__ import annotations

import ast
import copy
import itertools
from dataclasses import dataclass, field, replace

import numpy as np

from jaxmagic.port.collect import Program, Unit, object_of
from jaxmagic.port.exits import always_leaves
from jaxmagic.port.flow import Liveness, assigned, parts, read
from jaxmagic.port.fresh import Names
from jaxmagic.port.lane_stores import LaneStores
from jaxmagic.port.lanes import NEVER, Lane, UnfitError
from jaxmagic.port.nodes import like, load, made, store
from jaxmagic.port.observe import Facts
from jaxmagic.port.unshared import is_new, pairs_of

State = dict[str, str]


def full_width(program: Program, facts: Facts) -> Program | None:
    """The program with its shrinking loops at full width; None where it has none, or they do not fit."""
    units: dict[Unit, Unit] = {}
    for unit in program.units:
        new = _unit(unit, facts) or unit
        helpers = {text: units[helper] for text, helper in unit.helpers.items()}
        same = new is unit and all(units[helper] is helper for helper in unit.helpers.values())
        units[unit] = unit if same else replace(new, helpers=helpers)
    changed = any(a is not b for a, b in units.items())
    return replace(program, units=tuple(units.values())) if changed else None


def _unit(unit: Unit, facts: Facts) -> Unit | None:
    numpy = _numpy(unit)
    if numpy is None:
        return None
    shrinking = Shrinking(unit, facts, Names(unit).new("alive"), numpy)
    try:
        body = shrinking.block(unit.node.body)
    except UnfitError:
        return None
    if not shrinking.found:
        return None
    tree = copy.copy(unit.node)
    tree.body = body
    return replace(unit, node=_numbered(tree), added=unit.added | {shrinking.alive})


def _numpy(unit: Unit) -> str | None:
    """What the function calls NumPy."""
    for node in ast.walk(unit.node):
        if isinstance(node, ast.Name) and object_of(unit, node) is np:
            return node.id
    known = (name for name, value in unit.function.__globals__.items() if value is np)
    return next((name for name in known if name not in unit.locals), None)


def _numbered(tree: ast.FunctionDef) -> ast.FunctionDef:
    """A tree whose new nodes have numbers, and lines, too."""
    every = [node for node in ast.walk(tree) if not isinstance(node, ast.DictComp)]
    numbers = itertools.count(max(getattr(node, "key", 0) for node in every) + 1)
    for node in every:
        if not hasattr(node, "key"):
            node.key = next(numbers)  # type: ignore[attr-defined]
    return ast.fix_missing_locations(tree)


@dataclass(frozen=True, slots=True, eq=False)
class _Loop:
    """What holds where a loop is left by `break`, and where an iteration ends by `continue`."""

    left: list[State] = field(default_factory=list)
    again: list[State] = field(default_factory=list)


@dataclass(frozen=True, slots=True, eq=False)
class _Bound:
    """A name that a statement binds: to what, and how that is written now."""

    name: str
    value: ast.expr
    new: ast.expr
    lane: Lane | None

    @property
    def narrows(self) -> bool:
        """Whether fewer elements count than before."""
        return self.lane is not None and self.lane.chosen is not None

    @property
    def is_itself(self) -> bool:
        """Whether the name is that of the same array as before."""
        return not self.narrows and isinstance(self.new, ast.Name) and self.new.id == self.name


class Shrinking(LaneStores):
    """Rewrites the statements of one unit."""

    def __init__(self, unit: Unit, facts: Facts, alive: str, numpy: str) -> None:
        super().__init__(unit, facts, alive)
        self.numpy = numpy
        self.found = False
        self.loops: list[_Loop] = []
        self.live = Liveness(unit.node.body)

    def block(self, body: list[ast.stmt]) -> list[ast.stmt]:
        """A block; the status of names becomes what it is after it."""
        return [new for node in body for new in self.statement(node)]

    def statement(self, node: ast.stmt) -> list[ast.stmt]:
        """A statement, as none, one or two."""
        if isinstance(node, ast.For | ast.While):
            return self._loop(node)
        if isinstance(node, ast.If):
            return [self._if(node)]
        if isinstance(node, ast.Break | ast.Continue):
            states = self.loops[-1].left if isinstance(node, ast.Break) else self.loops[-1].again
            states.append(dict(self.status))
            return [node]
        if not (read(node) | assigned([node])) & self.status.keys():
            return [node]
        handler = getattr(self, f"_{type(node).__name__.lower()}_statement", None)
        if handler is None:
            raise UnfitError
        result: list[ast.stmt] = handler(node)
        return result

    # -- loops and branches --

    def _loop(self, node: ast.For | ast.While) -> list[ast.stmt]:
        """A loop; before one whose arrays shrink, the mask."""
        start = self._mask_for(node)
        head = self.status
        for _ in range(8):
            self.status = dict(head)
            new, around = self._iteration(node)
            joined = _joined([head, *around.again])
            if joined == head:
                self.status = _joined([head, *around.left])
                self.since = NEVER
                return [*start, new]
            head = joined
        raise UnfitError

    def _iteration(self, node: ast.For | ast.While) -> tuple[ast.stmt, _Loop]:
        """A loop as an iteration finds the names."""
        if node.orelse:
            raise UnfitError
        new, around = copy.copy(node), _Loop()
        self.since = NEVER
        if isinstance(node, ast.While):
            new.test = self.truth(node.test)  # type: ignore[union-attr]
        else:
            if read(node.iter) & self.status.keys() and not _is_range(node.iter):
                raise UnfitError
            new.iter = self.plain(node.iter)  # type: ignore[union-attr]
            self.bind(part.id for part in parts(node.target) if isinstance(part, ast.Name))
        self.loops.append(around)
        new.body = self.block(node.body) or [made(ast.Pass())]
        self.loops.pop()
        if not always_leaves(node.body):
            around.again.append(self.status)
        return new, around

    def _mask_for(self, node: ast.For | ast.While) -> list[ast.stmt]:
        """`alive = np.ones(len(x), dtype=bool)` before a loop that drops elements of plain arrays."""
        family = self._family(node)
        if not family or all(self.status.get(name) == "lane" for name in family):
            return []
        if family & self.status.keys():
            raise UnfitError
        self._check_entry(node, family)
        self.found = True
        self.status = {**dict.fromkeys(self.status, "mixed"), **dict.fromkeys(family, "lane")}
        length = ast.Call(load("len"), [load(min(family))], [])
        ones = ast.Attribute(load(self.numpy), "ones", ast.Load())
        mask = ast.Call(ones, [length], [ast.keyword("dtype", load("bool"))])
        return [made(ast.Assign([store(self.alive)], mask))]

    def _family(self, node: ast.For | ast.While) -> frozenset[str]:
        """Names of which a loop keeps a masked part from one iteration to the next."""
        heads = self.live.heads[id(node)]
        inner = (n for s in node.body for n in ast.walk(s) if isinstance(n, ast.Assign))
        pairs = (pair for assignment in inner for pair in pairs_of(assignment))
        return frozenset(
            target.id
            for target, value in pairs
            if isinstance(target, ast.Name) and target.id in heads & read(value) and self._has_mask(value)
        )

    def _has_mask(self, value: ast.expr) -> bool:
        indices = (n.slice for n in ast.walk(value) if isinstance(n, ast.Subscript))
        facts = (self.facts.of(self.unit, index) for index in indices)
        return any(fact.kind == "b" and fact.ndim == 1 for fact in facts)

    def _check_entry(self, node: ast.stmt, family: frozenset[str]) -> None:
        """The arrays have to be equally long when the loop is entered."""
        carried = self.facts.carried.get((self.unit.name, getattr(node, "key", -1)), {})
        lengths = set()
        for name in family:
            forms = {before for before, _ in carried.get(name, frozenset())}
            if not forms or any(f is None or f.kind != "array" or not f.shape for f in forms):
                raise UnfitError
            lengths.add(frozenset(form.shape[0] for form in forms if form is not None))
        if len(lengths) != 1:
            raise UnfitError

    def _if(self, node: ast.If) -> ast.If:
        new = copy.copy(node)
        new.test = self.truth(node.test)
        before, since, ways = self.status, self.since, []
        for name in ("body", "orelse"):
            self.status, self.since = dict(before), since
            body = getattr(node, name)
            setattr(new, name, self.block(body) or ([made(ast.Pass())] if body else []))
            if not always_leaves(body):
                ways.append(self.status)
        self.status, self.since = _joined(ways) if ways else before, NEVER
        return new

    # -- names --

    def _narrow(self, names: frozenset[str], mask: ast.expr, node: ast.stmt) -> ast.stmt:
        """`alive = alive & mask`: of every other array, more elements are left over."""
        stale = frozenset(name for name, kind in self.status.items() if kind == "lane") - names
        self.status.update(dict.fromkeys(stale, "stale"))
        self.status.update(dict.fromkeys(names, "lane"))
        self.since = NEVER if read(mask) & names else (mask, stale - read(mask))
        both = ast.BinOp(load(self.alive), ast.BitAnd(), copy.deepcopy(mask))
        new: ast.stmt = like(ast.Assign([store(self.alive)], both), node)
        return new

    # -- statements --

    def _assign_statement(self, node: ast.Assign) -> list[ast.stmt]:
        target = node.targets[0]
        if len(node.targets) > 1:
            raise UnfitError
        if isinstance(target, ast.Subscript):
            return [self.put(node, target)]
        pairs = pairs_of(node)
        if not all(isinstance(part, ast.Name) for part, _ in pairs):
            return self._unpacked(node, target)
        bound = [_Bound(part.id, value, *self.wide(value)) for part, value in pairs]  # type: ignore[attr-defined]
        if any(each.narrows for each in bound) and all(
            self.status.get(each.name) == "lane" for each in bound if each.narrows
        ):
            return self._narrowed(node, bound)
        for each in bound:
            self._check_memory(each)
        values = [
            self._packed(each.new, each.lane) if each.narrows and each.lane else each.new for each in bound
        ]
        for each in bound:
            self.bind([each.name], "lane" if each.lane is not None and not each.narrows else "")
        if all(each.is_itself for each in bound):
            return []
        value = values[0]
        if isinstance(target, ast.Tuple):
            value = self._with(node.value, {("elts", i): new for i, new in enumerate(values)})
        return [like(ast.Assign(node.targets, value), node)]

    def _check_memory(self, bound: _Bound) -> None:
        """What is a copy of elements there and what is an array's own memory have to be so here."""
        if bound.lane is None or bound.narrows:
            own = isinstance(bound.value, ast.Subscript) or not read(bound.value) & self.status.keys()
            fits = own or is_new(self.unit, self.facts, bound.value)
        else:
            fits = bound.is_itself or not (
                isinstance(bound.value, ast.Subscript) and isinstance(bound.new, ast.Name)
            )
        if not fits:
            raise UnfitError

    def _narrowed(self, node: ast.Assign, bound: list[_Bound]) -> list[ast.stmt]:
        """`x = x[keep]`, or several such at once; or one `x = x[keep] + 1`."""
        masks = [each.lane.chosen for each in bound if each.lane is not None and each.lane.chosen is not None]
        if len({ast.unparse(mask) for mask in masks}) != 1 or len(masks) != len(bound):
            raise UnfitError
        first, names = bound[0], frozenset(each.name for each in bound)
        if all(isinstance(each.new, ast.Name) and each.new.id == each.name for each in bound):
            return [self._narrow(names, masks[0], node)]
        if (
            len(bound) > 1
            or not isinstance(first.new, ast.BinOp | ast.UnaryOp)
            or self.alive in read(first.new)
        ):
            raise UnfitError
        return [self._narrow(names, masks[0], node), made(ast.Assign([store(first.name)], first.new))]

    def _unpacked(self, node: ast.Assign, target: ast.expr) -> list[ast.stmt]:
        names = parts(target)
        if not all(isinstance(part, ast.Name) for part in names) or not is_new(
            self.unit, self.facts, node.value
        ):
            raise UnfitError
        new: ast.stmt = like(ast.Assign(node.targets, self.plain(node.value)), node)
        self.bind(part.id for part in names)  # type: ignore[attr-defined]
        return [new]

    def _return_statement(self, node: ast.Return) -> list[ast.stmt]:
        new = copy.copy(node)
        new.value = self.plain(node.value) if node.value is not None else None
        return [new]

    def _assert_statement(self, node: ast.Assert) -> list[ast.stmt]:
        new = copy.copy(node)
        new.test = self.truth(node.test)
        return [new]


def _joined(states: list[State]) -> State:
    """What names are where several ways meet."""
    found: State = {}
    for name in frozenset[str]().union(*states):
        kinds = {state.get(name, "") for state in states}
        one = next(iter(kinds)) if len(kinds) == 1 else "stale" if kinds == {"lane", "stale"} else "mixed"
        found[name] = one
    return found


def _is_range(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range"
