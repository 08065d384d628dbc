"""Third pass: every way to change an array in place becomes one form, `x[index] = value`.

Chained and tuple targets are taken apart, `out=`, methods and functions that change their argument
become stores, and stores into anything but a name go through a name for the view.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator

from jaxmagic.port.ahead import Ahead
from jaxmagic.port.changes import Changes
from jaxmagic.port.collect import Unit
from jaxmagic.port.elements import Elements
from jaxmagic.port.flow import blocks, parts
from jaxmagic.port.fresh import Names
from jaxmagic.port.names import numpy_name
from jaxmagic.port.nests import Nest
from jaxmagic.port.nodes import assign, into_container, like, load, loaded, made, put, root_of, store
from jaxmagic.port.observe import Facts
from jaxmagic.port.views import all_stores

# Attributes and methods of arrays that look at the same memory.
VIEWS = (
    "T",
    "flat",
    "real",
    "imag",
    "reshape",
    "ravel",
    "transpose",
    "view",
    "squeeze",
    "swapaxes",
    "diagonal",
)
WHOLE = ast.Constant(Ellipsis)


class Desugar:
    """The desugared body of a unit."""

    def __init__(
        self,
        unit: Unit,
        facts: Facts,
        names: Names,
        mutated: dict[Unit, tuple[str, ...]],
        returns: dict[Unit, bool],
        same: dict[Unit, str | None],
    ) -> None:
        self.unit = unit
        self.facts = facts
        self.names = names
        self.mutated = mutated
        self.returns = returns
        self.same = same
        self.changes = Changes(unit, facts)
        self.containers = facts.containers(unit)

    def block(self, body: list[ast.stmt]) -> list[ast.stmt]:
        """A block, desugared."""
        return [new for node in body for new in self.statement(node)]

    def statement(self, node: ast.stmt) -> Iterator[ast.stmt]:
        """The plain statements for one."""
        node = copy.copy(node)
        for block in blocks(node):
            replaced = self.block(block)
            name = "body" if block is node.body else "orelse"  # type: ignore[attr-defined]
            setattr(node, name, replaced)
        handler = getattr(self, f"_{type(node).__name__.lower()}", None)
        if handler is None:
            yield from self._hoisted(node)
        else:
            yield from handler(node)

    # -- assignments --

    def _annassign(self, node: ast.AnnAssign) -> Iterator[ast.stmt]:
        if node.value is not None:
            yield from self._assign(like(ast.Assign([node.target], node.value), node))

    def _assign(self, node: ast.Assign) -> Iterator[ast.stmt]:
        if len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            yield from self._out_or_hoisted(node)
        elif len(node.targets) > 1:
            yield from self._chained(node)
        else:
            yield from self._single(node, node.targets[0])

    def _single(self, node: ast.Assign, target: ast.expr) -> Iterator[ast.stmt]:
        if isinstance(target, ast.Tuple | ast.List):
            yield from self._unpacked(node, target)
        elif isinstance(target, ast.Subscript):
            yield from self._put(node, target, node.value)
        elif (
            isinstance(target, ast.Attribute)
            and target.attr == "shape"
            and isinstance(target.value, ast.Name)
        ):
            reshaped = ast.Call(ast.Attribute(target.value, "reshape", ast.Load()), [node.value], [])
            yield assign(target.value.id, reshaped, node)
        else:
            raise self.unit.refuse(
                node, f"`{ast.unparse(target)} = …` changes an object in place.", "Return the new value."
            )

    def _chained(self, node: ast.Assign) -> Iterator[ast.stmt]:
        """`a = b = value`: the value once, then each target."""
        first = next((t for t in node.targets if isinstance(t, ast.Name)), None)
        value = node.value
        name = first.id if first is not None else self.names.new("value")
        if not isinstance(value, ast.Constant):
            yield from self._assign(assign(name, value, node))
        for target in node.targets:
            if target is first and not isinstance(value, ast.Constant):
                continue
            source = copy.deepcopy(value) if isinstance(value, ast.Constant) else loaded(name, value)
            yield from self._assign(like(ast.Assign([target], source), node))

    def _unpacked(self, node: ast.Assign, target: ast.Tuple | ast.List) -> Iterator[ast.stmt]:
        """`a[i], b = value`: into names first."""
        if all(isinstance(part, ast.Name) for part in parts(target)):
            yield from self._hoisted(node)
            if self._counts(node.value):  # in JAX they are real numbers
                counts = parts(target)[0].id  # type: ignore[attr-defined]
                whole = ast.Call(ast.Attribute(load(counts), "astype", ast.Load()), [load("int")], [])
                yield made(ast.Assign([store(counts)], whole))
            return
        values = (
            node.value.elts
            if isinstance(node.value, ast.Tuple) and len(node.value.elts) == len(target.elts)
            else [None] * len(target.elts)
        )
        names = [part.id if isinstance(part, ast.Name) else self.names.new("value") for part in target.elts]
        unpacked = ast.Tuple([store(name) for name in names], ast.Store())
        yield from self._hoisted(like(ast.Assign([unpacked], node.value), node))
        for part, name, value in zip(target.elts, names, values, strict=True):
            if not isinstance(part, ast.Name):
                source = loaded(name, value) if value is not None else load(name)
                yield from self._assign(like(ast.Assign([part], source), node))

    def _counts(self, value: ast.expr) -> bool:
        """Whether a value is that of a histogram without weights: whole numbers and edges."""
        if not isinstance(value, ast.Call) or len(value.args) > 3:
            return False
        known = numpy_name(self.unit, value.func) == "numpy.histogram"
        return known and not any(k.arg in (None, "weights", "density") for k in value.keywords)

    def _return(self, node: ast.Return) -> Iterator[ast.stmt]:
        if node.value is None or not self._counts(node.value):
            yield from self._hoisted(node)
            return
        names = [self.names.new("counts"), self.names.new("edges")]
        target = ast.Tuple([store(name) for name in names], ast.Store())
        yield from self._unpacked(made(ast.Assign([target], node.value)), target)
        yield like(ast.Return(ast.Tuple([load(name) for name in names], ast.Load())), node)

    def _augassign(self, node: ast.AugAssign) -> Iterator[ast.stmt]:
        """`x += v`: arrays change in place, numbers are bound anew."""
        before = copy.deepcopy(node.target)
        for inner in ast.walk(before):
            if hasattr(inner, "ctx"):
                inner.ctx = ast.Load()
        if hasattr(before, "key"):
            del before.key
        value = ast.copy_location(ast.BinOp(before, node.op, node.value), node)
        value.key = -1  # type: ignore[attr-defined]
        if isinstance(node.target, ast.Subscript):
            yield from self._put(node, node.target, value)
        elif isinstance(node.target, ast.Name):
            yield from self._augmented_name(node, node.target, value)
        else:
            raise self.unit.refuse(
                node, f"`{ast.unparse(node.target)}` is changed in place.", "Return the new value."
            )

    def _augmented_name(self, node: ast.AugAssign, target: ast.Name, value: ast.expr) -> Iterator[ast.stmt]:
        held = self.facts.touched(self.unit, node, target.id)
        kinds = {form.kind for form in held.forms}
        if "list" in kinds or ("array" in kinds and len(kinds) > 1):
            raise self.unit.refuse(
                node,
                f"`{target.id}` is changed in place here, and is not always an array.",
                f"Write `{target.id} = {target.id} … `.",
            )
        if "array" in kinds:
            yield from self._hoisted(put(target.id, copy.copy(WHOLE), value, node))
        else:
            plain = assign(target.id, value, node)
            plain.unsure = not kinds  # type: ignore[attr-defined]
            yield from self._hoisted(plain)

    def _put(self, node: ast.stmt, target: ast.Subscript, value: ast.expr) -> Iterator[ast.stmt]:
        """A store; what is stored into gets a name."""
        self._refuse_state(node, target)
        if (
            isinstance(target.value, ast.Attribute)
            and target.value.attr == "flat"
            and isinstance(target.value.value, ast.Name)
        ):
            base = target.value.value
            flat = self.names.new(f"{base.id}_flat")
            yield assign(
                flat,
                ast.Call(
                    ast.Attribute(base, "reshape", ast.Load()), [ast.UnaryOp(ast.USub(), ast.Constant(1))], []
                ),
                node,
            )
            yield from self._hoisted(put(flat, target.slice, value, node))
            return
        fact = self.facts.of(self.unit, target.value)
        root = root_of(target)
        if root is not None and (fact.is_container or (not fact.forms and root in self.containers)):
            anew = isinstance(node, ast.Assign)
            yield from self._hoisted(into_container(like(ast.Assign([target], value), node), root, anew=anew))
            return
        if fact.forms and not fact.is_array:
            raise self.unit.refuse(
                node,
                f"`{ast.unparse(target)} = …` changes a {next(iter(fact.forms)).kind} in place.",
                "Use an array, or build a new value.",
            )
        if isinstance(target.value, ast.Name):
            yield from self._hoisted(like(ast.Assign([target], value), node))
        else:
            view = self.names.new("view")
            yield assign(view, target.value, node)
            yield from self._hoisted(put(view, target.slice, value, node))

    def _refuse_state(self, node: ast.stmt, target: ast.Subscript) -> None:
        """Arrays of objects and of the namespace outlive the call: JAX cannot change them."""
        base: ast.expr = target
        while isinstance(base, ast.Subscript | ast.Attribute | ast.Call):
            if (
                isinstance(base, ast.Attribute)
                and base.attr not in VIEWS
                and not isinstance(base.value, ast.Call)
            ):
                text = f"`{ast.unparse(target)} = …` changes an array of an object in place."
                raise self.unit.refuse(node, text, "Take the array as a parameter and return its new value.")
            base = base.func if isinstance(base, ast.Call) else base.value
        if isinstance(base, ast.Name) and base.id not in self.names.taken_locals:
            text = f"`{ast.unparse(target)} = …` changes `{base.id}`, which belongs to the namespace outside."
            raise self.unit.refuse(node, text, "Take the array as a parameter and return its new value.")

    # -- loops over the places of an array --

    def _for(self, node: ast.For) -> Iterator[ast.stmt]:
        elements = Elements(self.unit, self.facts, self._watched(node), self.names.new)
        if elements.lists:
            yield from elements.rewritten(node)
            return
        name = numpy_name(self.unit, node.iter.func) if isinstance(node.iter, ast.Call) else None
        if name not in ("numpy.ndindex", "numpy.ndenumerate"):
            yield self._with_values(node)
            return
        assert isinstance(node.iter, ast.Call)
        yield from Nest(self.unit, self.facts, self.names.new, node, node.iter).loops()

    def _with_values(self, node: ast.For) -> ast.For:
        """`for k, v in p.items()` that changes `v` in place: `v` is `p[k]`."""
        call, target = node.iter, node.target
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute) or call.args:
            return node
        pair = target.elts if isinstance(target, ast.Tuple) else []
        key, value = pair if len(pair) == 2 else (None, None)
        if call.func.attr != "items" or not isinstance(key, ast.Name) or not isinstance(value, ast.Name):
            return node
        if value.id not in all_stores(node.body):
            return node
        element = ast.Subscript(copy.copy(call.func.value), load(key.id), ast.Load())
        node.body = [made(assign(value.id, element, node)), *node.body]
        return node

    def _watched(self, node: ast.For) -> ast.For:
        """A loop as the user wrote it."""
        every = (n for n in ast.walk(self.unit.node) if isinstance(n, ast.For))
        return next((n for n in every if n.key == node.key), node)  # type: ignore[attr-defined]

    # -- calls that change an array --

    def _out_or_hoisted(self, node: ast.Assign) -> Iterator[ast.stmt]:
        out = self.changes.out(node.value)
        if out is None:
            yield from self._hoisted(node)
            return
        target, value = out
        yield from self._into(node, target, value)
        yield like(ast.Assign(node.targets, copy.deepcopy(target)), node)

    def _if(self, node: ast.If) -> Iterator[ast.stmt]:
        """`if c: x.append(a) else: x.append(b)` appends once, one or the other."""
        calls = [appending(body) for body in (node.body, node.orelse)]
        if None in calls or len({ast.unparse(call.func) for call in calls if call is not None}) > 1:
            yield from self._hoisted(node)
            return
        first, other = (call for call in calls if call is not None)
        value = like(ast.IfExp(node.test, first.args[0], other.args[0]), node)
        yield from self._hoisted(like(ast.Expr(ast.Call(first.func, [value], [])), node))

    def _expr(self, node: ast.Expr) -> Iterator[ast.stmt]:
        call = node.value
        if isinstance(call, ast.Constant):
            yield node
            return
        out = self.changes.out(call)
        change = out or (self.changes.changed_by(call) if isinstance(call, ast.Call) else None)
        if change is not None:
            yield from self._into(node, *change)
        else:
            yield from self._hoisted(node)

    def _into(self, node: ast.stmt, target: ast.expr, value: ast.expr) -> Iterator[ast.stmt]:
        """`target[...] = value`."""
        if isinstance(target, ast.Subscript):
            stored = ast.Subscript(target.value, target.slice, ast.Store())
        else:
            stored = ast.Subscript(target, copy.copy(WHOLE), ast.Store())
        yield from self._put(node, stored, value)

    # -- helpers that change their arguments --

    def _hoisted(self, node: ast.stmt) -> Iterator[ast.stmt]:
        """Calls of helpers that change arguments, each in a statement of its own before this one."""
        before: list[ast.stmt] = []
        if isinstance(node, ast.For | ast.While | ast.If | ast.FunctionDef):
            hoist = Ahead(self, node, before, always=isinstance(node, ast.For | ast.If))
            if isinstance(node, ast.FunctionDef):
                hoist.visit(ast.Module(node.body, []))
            else:
                head = "iter" if isinstance(node, ast.For) else "test"
                setattr(node, head, hoist.visit(getattr(node, head)))
            yield from before
            yield node
            return
        node = Ahead(self, node, before).visit(node)
        yield from before
        if before and isinstance(node, ast.Assign) and _is_itself(node):
            return
        if not (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and getattr(node.value, "gone", False)
        ):
            yield node


def _is_itself(node: ast.Assign) -> bool:
    """Whether a statement is `x = x`."""
    target = node.targets[0]
    return isinstance(target, ast.Name) and isinstance(node.value, ast.Name) and target.id == node.value.id


def appending(body: list[ast.stmt]) -> ast.Call | None:
    """The call, where all that a block does is to append one value to a list that has a name."""
    call = body[0].value if len(body) == 1 and isinstance(body[0], ast.Expr) else None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute) or len(call.args) != 1:
        return None
    return call if call.func.attr == "append" and isinstance(call.func.value, ast.Name) else None
