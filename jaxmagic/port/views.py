"""Fourth pass: arrays that share memory stay equal when one of them changes.

NumPy's basic slices, transposes and reshapes are views. After a store into an array the names that
were seen to share its memory, and are still needed, are made again from it, and a store into a view
is carried through to the array that it looks at. What cannot be made again is refused.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator, Mapping

from jaxmagic.port.collect import Unit, dotted
from jaxmagic.port.flow import Liveness, blocks, bound, read
from jaxmagic.port.fresh import Names
from jaxmagic.port.instrument import GIVEN
from jaxmagic.port.names import numpy_name
from jaxmagic.port.nodes import assign, into_container, is_put, load, put
from jaxmagic.port.observe import Fact, Facts
from jaxmagic.port.sharing import Sharing, View

# Expressions that may look at the memory of another.
LOOKS = (ast.Subscript, ast.Attribute, ast.Call)


def stores(node: ast.stmt) -> frozenset[str]:
    """Arrays that a desugared statement changes in place."""
    if is_put(node):
        target = node.targets[0].value  # type: ignore[attr-defined]
        return frozenset({target.id})
    return getattr(node, "stores", frozenset())


def all_stores(body: list[ast.stmt]) -> frozenset[str]:
    """Arrays that a block changes in place."""
    found: set[str] = set()
    for node in body:
        found |= stores(node)
        if not isinstance(node, ast.FunctionDef):
            for block in blocks(node):
                found |= all_stores(block)
    return frozenset(found)


class Views:
    """Keeps views and their bases equal in one unit."""

    def __init__(
        self,
        unit: Unit,
        facts: Facts,
        body: list[ast.stmt],
        parameters: frozenset[str],
        names: Names,
        gives: Mapping[Unit, frozenset[str]],
        same: Mapping[Unit, str | None],
    ) -> None:
        self.unit = unit
        self.facts = facts
        self.names = names
        self.parameters = parameters
        self.own = unit.locals
        self.changed: set[str] = set()
        self.gives = gives
        self.same = same
        self.given: frozenset[str] = frozenset()
        self.unknown: dict[str, ast.expr] = {}
        self.live = Liveness(body, parameters)
        self.body = self.block(body, Sharing())

    def block(self, body: list[ast.stmt], views: Sharing) -> list[ast.stmt]:
        """A block with the stores that its stores cause; `views` becomes what holds after it."""
        return [new for node in body for new in self.statement(node, views)]

    def statement(self, node: ast.stmt, views: Sharing) -> Iterator[ast.stmt]:
        """A statement and what has to follow it."""
        if isinstance(node, ast.If):
            yield self._if(node, views)
        elif isinstance(node, ast.For | ast.While):
            yield self._loop(node, views)
        else:
            yield node
            for name in stores(node) - getattr(node, "own", frozenset()):
                self._be_sure(node, name, views)
                self._note(name, views)
                if getattr(node, "anew", False):
                    self._lose(frozenset({name}), views)
                else:
                    yield from self._follow(node, name, views)
            self._bind(node, views)
            if isinstance(node, ast.Return) and node.value is not None:
                self._give(node.value, views)

    def _if(self, node: ast.If, views: Sharing) -> ast.If:
        new, other = copy.copy(node), views.copy()
        new.body = self.block(node.body, views)
        new.orelse = self.block(node.orelse, other)
        views.merge(other)
        return new

    def _loop(self, node: ast.For | ast.While, views: Sharing) -> ast.For | ast.While:
        new, entered = copy.copy(node), views.copy()
        anew = rebound(node)
        self._lose(anew, views)
        head = views.copy()
        for name in anew & entered.keys():  # in the first iteration
            head.may_be(name, {entered[name].base})
        known: dict[str, frozenset[str]] | None = None
        while head.maybe != known:
            known, inner = dict(head.maybe), head.copy()
            new.body = self.block(node.body, inner)
            for name in anew:  # in the next iterations
                head.may_be(name, inner.bases(name))
        views.merge(inner)
        views.own = inner.own
        if not _surely_runs(node):
            views.merge(entered)
        new.orelse = self.block(node.orelse, views)
        return new

    def _be_sure(self, node: ast.stmt, name: str, views: Sharing) -> None:
        """Refuse a store that another name sees or not, as data has it, or into nobody knows what."""
        if name in self.unknown:
            text = f"Which array is changed through `{ast.unparse(self.unknown[name])}` is not known."
            raise self.unit.refuse(node, text, "Index the array itself.")
        for victim, other in views.doubtful(name):
            if victim in self.live.after[id(node)]:
                raise self.unit.refuse(
                    node,
                    f"Whether `{victim}` and `{name}` are the same memory here depends on data.",
                    f"Make one of them a copy: `{other} = {other}.copy()`.",
                )

    def _note(self, name: str, views: Sharing) -> None:
        """A parameter's own array has changed, as far as names tell."""
        root = views.root(name)
        if root in self.parameters:
            self.changed.add(root)

    def _follow(self, node: ast.stmt, name: str, views: Sharing) -> Iterator[ast.stmt]:
        """Carry a store through to the base, and make the other views again."""
        seen = self.facts.sharing(self.unit, node, name)
        root, at = views.root(name), name
        while at in views:
            yield self._through(node, at, views[at])
            at = views[at].base
        own = views.chain(name)
        live = self.live.after[id(node)]
        needed = {base for other in views.family(root) if other in live for base in views.chain(other)}
        for other in views.family(root):
            if (
                other not in own
                and other in needed
                and (seen is None or other in seen or other not in self.own)
            ):
                again = assign(other, copy.deepcopy(views[other].value), node)
                yield again
        self._refuse_exchanged(node, name, root, views.own)
        known = {*views.family(root), root}
        for other in sorted((seen or frozenset()) - known - stores(node)):
            if other in self.live.after[id(node)] and name in self.facts_names(node):
                raise self.unit.refuse(
                    node,
                    f"`{other}` and `{name}` are the same memory here, so a change of one changes the other.",
                    f"Make one of them a copy: `{other} = {other}.copy()`.",
                )

    def _refuse_exchanged(self, node: ast.stmt, name: str, root: str, own: frozenset[str]) -> None:
        """Refuse a change of the caller's array that this name is not known to look at."""
        seen = self.facts.aliases.get((self.unit.name, getattr(node, "key", -1)), {}).get(name, frozenset())
        given = sorted(other.removeprefix(GIVEN) for other in seen if other.startswith(GIVEN))
        if given and (root not in given or root in own):
            raise self.unit.refuse(
                node,
                f"`{name}` is the array that was handed over as `{given[0]}`, and is changed in place.",
                f"Keep one name for each array, or make a copy: `{given[0]}.copy()`.",
            )

    def facts_names(self, node: ast.stmt) -> frozenset[str]:
        """The arrays that a statement was watched changing."""
        return stores(node)

    def _through(self, node: ast.stmt, name: str, view: View) -> ast.stmt:
        """The store into the base that a store into a view is."""
        if view.kind == "index":
            assert isinstance(view.value, ast.Subscript)
            back = put(view.base, copy.deepcopy(view.value.slice), load(name), node)
            is_part = self.facts.of(self.unit, view.value.value).is_container
            return into_container(back, view.base, anew=False) if is_part else back
        value: ast.expr = load(name)
        if view.kind == "transpose":
            value = ast.Attribute(value, "T", ast.Load())
        elif view.kind == "reshape":
            shape = ast.Attribute(load(view.base), "shape", ast.Load())
            value = ast.Call(ast.Attribute(value, "reshape", ast.Load()), [shape], [])
        through = assign(view.base, value, node)
        through.stores = frozenset({view.base})  # type: ignore[attr-defined]
        return through

    def _bind(self, node: ast.stmt, views: Sharing) -> None:
        """What a statement's new bindings look at."""
        new = bound(node) - stores(node)
        pairs = _pairs(node) if isinstance(node, ast.Assign) and not is_put(node) else []
        perhaps = {name: self.reached(value) for target, value in pairs for name in _names(target) & new}
        found = {}
        for target, value in pairs:
            view = self.view_of(value) if isinstance(target, ast.Name) else None
            if view is not None and view.base != target.id and not stores(node):  # type: ignore[attr-defined]
                found[target.id] = view  # type: ignore[attr-defined]
        self._forget(new, views)
        views.update({name: view for name, view in found.items() if not read(view.value) & new})
        for name in perhaps.keys() - views.keys():
            views.may_be(name, perhaps[name] - new)
        for target, value in pairs:
            if isinstance(target, ast.Name) and target.id not in self.own:
                self._note_unknown(target.id, value, views)

    def _note_unknown(self, name: str, value: ast.expr, views: Sharing) -> None:
        """A name of the port's own stands for what the user changes without a name: it has to be known."""
        is_copy = isinstance(value, ast.Subscript) and not is_basic(self.unit, self.facts, value)
        if name in views or views.maybe.get(name) or is_copy or not isinstance(value, LOOKS):
            self.unknown.pop(name, None)
        else:
            self.unknown[name] = value

    def _forget(self, names: frozenset[str], views: Sharing) -> None:
        views.bind(names)
        self._lose(names, views)

    def _lose(self, names: frozenset[str], views: Sharing) -> None:
        for name in [n for n, view in views.items() if n in names or read(view.value) & names]:
            del views[name]

    def reached(self, value: ast.expr) -> frozenset[str]:
        """The names whose memory an expression may be, on one of the ways through it."""
        if isinstance(value, ast.IfExp):
            return self.reached(value.body) | self.reached(value.orelse)
        if isinstance(value, ast.BoolOp | ast.Tuple | ast.List):
            parts = value.values if isinstance(value, ast.BoolOp) else value.elts
            return frozenset[str]().union(*map(self.reached, parts))
        if isinstance(value, ast.Call):
            callee = self.unit.helpers.get(".".join(dotted(value.func) or ()))
            if callee is not None and not self.facts.of(self.unit, value).is_scalar:
                handed = _handed(value, callee)
                given = self.gives[callee] & handed.keys()
                return frozenset[str]().union(*(self.reached(handed[name]) for name in given))
        view = self.view_of(value)
        return frozenset({view.base}) if view is not None else frozenset()

    def _give(self, value: ast.expr, views: Sharing) -> None:
        """What a unit returns may be the caller's own memory."""
        for name in self.reached(value):
            roots = {views.root(name), *(views.root(base) for base in views.maybe.get(name, ()))}
            self.given |= (roots & self.parameters) - views.own

    def view_of(self, value: ast.expr) -> View | None:
        """How an expression looks at a named array."""
        fact = self.facts.of(self.unit, value)
        if fact.forms and not fact.is_array:
            return None
        if isinstance(value, ast.Name):
            return View(value.id, value, "name")
        if isinstance(value, ast.Subscript) and isinstance(value.value, ast.Name):
            return View(value.value.id, value, "index") if is_basic(self.unit, self.facts, value) else None
        if isinstance(value, ast.Attribute) and value.attr == "T" and isinstance(value.value, ast.Name):
            return View(value.value.id, value, "transpose")
        return self._call_view(value)

    def _call_view(self, value: ast.expr) -> View | None:
        if not isinstance(value, ast.Call):
            return None
        callee = self.unit.helpers.get(".".join(dotted(value.func) or ()))
        if callee is not None:  # one that gives an argument back
            given = _handed(value, callee).get(self.same[callee] or "")
            return View(given.id, given, "name") if isinstance(given, ast.Name) else None
        name = numpy_name(self.unit, value.func)
        if (
            name
            in (
                "numpy.reshape",
                "numpy.ravel",
                "numpy.squeeze",
                "numpy.asarray",
                "numpy.atleast_1d",
                "numpy.ascontiguousarray",
            )
            and value.args
            and isinstance(value.args[0], ast.Name)
        ):
            return View(value.args[0].id, value, "reshape")
        if (
            name == "numpy.transpose"
            and len(value.args) == 1
            and not value.keywords
            and isinstance(value.args[0], ast.Name)
        ):
            return View(value.args[0].id, value, "transpose")
        if name is None and isinstance(value.func, ast.Attribute) and isinstance(value.func.value, ast.Name):
            base = value.func.value.id
            if value.func.attr in ("reshape", "ravel", "squeeze"):
                return View(base, value, "reshape")
            if value.func.attr == "transpose" and not value.args:
                return View(base, value, "transpose")
        return None


def is_basic(unit: Unit, facts: Facts, value: ast.Subscript) -> bool:
    """Whether an index makes a view: integers, slices, None and `...` only."""
    index = value.slice.elts if isinstance(value.slice, ast.Tuple) else [value.slice]
    return all(isinstance(p, ast.Slice | ast.Constant) or not _is_fancy(facts.of(unit, p)) for p in index)


def _is_fancy(fact: Fact) -> bool:
    return any(
        form.kind in ("list", "bool") or (form.kind == "array" and form.shape != ()) or form.dtype == "bool"
        for form in fact.forms
    )


def _pairs(node: ast.Assign) -> list[tuple[ast.expr, ast.expr]]:
    target, value = node.targets[0], node.value
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
        return list(zip(target.elts, value.elts, strict=True))
    return [(target, value)]


def _names(target: ast.expr) -> frozenset[str]:
    return frozenset(node.id for node in ast.walk(target) if isinstance(node, ast.Name))


def _surely_runs(node: ast.For | ast.While) -> bool:
    """Whether a loop has an iteration for every input: `for i in range(3)`."""
    if not isinstance(node, ast.For) or not isinstance(node.iter, ast.Call):
        return False
    try:
        limits = [ast.literal_eval(part) for part in node.iter.args]
    except ValueError:
        return False
    return ast.unparse(node.iter.func) == "range" and len(range(*limits)) > 0


def _handed(call: ast.Call, callee: Unit) -> dict[str, ast.expr]:
    """What a call passes, by the names of the helper's parameters."""
    order = [a.arg for a in [*callee.node.args.posonlyargs, *callee.node.args.args]]
    by_name = {each.arg: each.value for each in call.keywords if each.arg is not None}
    return dict(zip(order, call.args, strict=False)) | by_name


def rebound(node: ast.stmt) -> frozenset[str]:
    """Names that a loop binds anew, stores into them apart."""
    found: set[str] = set(bound(node)) - stores(node)
    for block in blocks(node):
        for inner in block:
            found |= rebound(inner)
    return frozenset(found)
