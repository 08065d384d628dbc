"""Third pass: every way to change an array in place becomes one form, `x[index] = value`.

Chained and tuple targets are taken apart, `out=`, methods and functions that change their argument
become stores, and stores into anything but a name go through a name for the view.
"""

from __future__ import annotations

import ast
import copy
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from jaxmagic.port.collect import Unit, dotted, local_names, object_of
from jaxmagic.port.flow import blocks, parts
from jaxmagic.port.names import numpy_name
from jaxmagic.port.nests import Nest
from jaxmagic.port.observe import Facts

# Methods that change the array they belong to: what its new value is, as NumPy source.
METHODS = {
    "sort": "numpy.sort",
    "fill": None,
    "partition": "numpy.partition",
    "byteswap": None,
}
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


def load(name: str) -> ast.Name:
    """A name that is read."""
    return ast.Name(name, ast.Load())


def store(name: str) -> ast.Name:
    """A name that is bound."""
    return ast.Name(name, ast.Store())


def like(new: Any, old: ast.AST) -> Any:
    """A new node in the place of an old one: its line, its comments, its number."""
    ast.copy_location(new, old)
    new.origin = getattr(old, "origin", old)
    new.key = getattr(old, "key", -1)
    return new


def assign(name: str, value: ast.expr, old: ast.AST) -> ast.Assign:
    """`name = value` in the place of an old statement."""
    new: ast.Assign = like(ast.Assign([store(name)], value), old)
    return new


def put(name: str, index: ast.expr, value: ast.expr, old: ast.AST) -> ast.Assign:
    """`name[index] = value` in the place of an old statement."""
    new: ast.Assign = like(ast.Assign([ast.Subscript(load(name), index, ast.Store())], value), old)
    return new


def is_put(node: ast.stmt) -> bool:
    """Whether a statement is a store into an array."""
    return isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript)


def is_whole(index: ast.expr) -> bool:
    """Whether an index is `...` or `:` or `:, :`."""
    if isinstance(index, ast.Tuple):
        return all(is_whole(part) for part in index.elts)
    if isinstance(index, ast.Slice):
        return index.lower is None and index.upper is None and index.step is None
    return isinstance(index, ast.Constant) and index.value is Ellipsis


class Names:
    """New names for a unit that nothing in it has."""

    def __init__(self, unit: Unit) -> None:
        code = unit.function.__code__
        free = {node.id for node in ast.walk(unit.node) if isinstance(node, ast.Name)}
        self.taken_locals = set(local_names(unit.function))
        self.taken = set(local_names(unit.function)) | free | set(code.co_names) | {"jnp", "lax", "jax", "np"}

    def new(self, wish: str) -> str:
        """The wish, numbered if it is taken."""
        numbered = (wish if n == 1 else f"{wish}_{n}" for n in itertools.count(1))
        name = next(name for name in numbered if name not in self.taken)
        self.taken.add(name)
        self.taken_locals.add(name)
        return name


class Desugar:
    """The desugared body of a unit."""

    def __init__(
        self,
        unit: Unit,
        facts: Facts,
        names: Names,
        mutated: dict[Unit, tuple[str, ...]],
        returns: dict[Unit, bool],
    ) -> None:
        self.unit = unit
        self.facts = facts
        self.names = names
        self.mutated = mutated
        self.returns = returns

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
            source = copy.deepcopy(value) if isinstance(value, ast.Constant) else self._loaded(name, value)
            yield from self._assign(like(ast.Assign([target], source), node))

    def _loaded(self, name: str, value: ast.expr) -> ast.Name:
        """A name that holds an expression's value, with the facts of that expression."""
        node = load(name)
        node.key = getattr(value, "key", -1)  # type: ignore[attr-defined]
        return node

    def _unpacked(self, node: ast.Assign, target: ast.Tuple | ast.List) -> Iterator[ast.stmt]:
        """`a[i], b = value`: into names first."""
        if all(isinstance(part, ast.Name) for part in parts(target)):
            yield from self._hoisted(node)
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
                source = self._loaded(name, value) if value is not None else load(name)
                yield from self._assign(like(ast.Assign([part], source), node))

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
        name = numpy_name(self.unit, node.iter.func) if isinstance(node.iter, ast.Call) else None
        if name not in ("numpy.ndindex", "numpy.ndenumerate"):
            yield node
            return
        assert isinstance(node.iter, ast.Call)
        yield from Nest(self.unit, self.facts, self.names.new, node, node.iter).loops()

    # -- calls that change an array --

    def _out_or_hoisted(self, node: ast.Assign) -> Iterator[ast.stmt]:
        out = self._out(node.value)
        if out is None:
            yield from self._hoisted(node)
            return
        target, value = out
        yield from self._into(node, target, value)
        yield like(ast.Assign(node.targets, copy.deepcopy(target)), node)

    def _expr(self, node: ast.Expr) -> Iterator[ast.stmt]:
        call = node.value
        if isinstance(call, ast.Constant):
            yield node
            return
        out = self._out(call)
        change = out or (self._changed_by(call) if isinstance(call, ast.Call) else None)
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

    def _out(self, node: ast.expr) -> tuple[ast.expr, ast.expr] | None:
        """`np.f(a, b, out=c)` and `np.f(a, b, c)` as (c, np.f(a, b))."""
        if not isinstance(node, ast.Call):
            return None
        ufunc = object_of(self.unit, node.func)
        given = [
            k
            for k in node.keywords
            if k.arg == "out" and not (isinstance(k.value, ast.Constant) and k.value.value is None)
        ]
        plain = copy.copy(node)
        if given:
            plain.keywords = [k for k in node.keywords if k.arg != "out"]
            target = given[0].value
            target = target.elts[0] if isinstance(target, ast.Tuple) else target
        elif isinstance(ufunc, np.ufunc) and len(node.args) == ufunc.nin + 1:
            plain.args, target = node.args[:-1], node.args[-1]
        else:
            return None
        return target, self._where(plain, target)

    def _where(self, call: ast.Call, target: ast.expr) -> ast.expr:
        """`where=` of a ufunc: elsewhere the target stays."""
        where = next((k for k in call.keywords if k.arg == "where"), None)
        if where is None:
            return call
        call.keywords = [k for k in call.keywords if k is not where]
        return ast.Call(self._numpy("where"), [where.value, call, copy.deepcopy(target)], [])

    def _numpy(self, name: str) -> ast.expr:
        """`jnp.name` in a tree that is still NumPy's."""
        return ast.Attribute(load("jnp"), name, ast.Load())

    def _changed_by(self, call: ast.Call) -> tuple[ast.expr, ast.expr] | None:
        """The array that a call changes and its new value."""
        name = numpy_name(self.unit, call.func)
        args = call.args
        if name == "numpy.copyto" and len(args) == 2:
            where = next((k.value for k in call.keywords if k.arg == "where"), None)
            value = (
                args[1]
                if where is None
                else ast.Call(self._numpy("where"), [where, args[1], copy.deepcopy(args[0])], [])
            )
            return args[0], value
        if name == "numpy.put" and len(args) == 3:
            return ast.Subscript(ast.Attribute(args[0], "flat", ast.Load()), args[1], ast.Load()), args[2]
        if name in ("numpy.place", "numpy.putmask") and len(args) == 3:
            return args[0], ast.Call(self._numpy("where"), [args[1], args[2], copy.deepcopy(args[0])], [])
        if name == "numpy.fill_diagonal" and len(args) == 2:
            return args[0], ast.Call(
                self._numpy("fill_diagonal"),
                [copy.deepcopy(args[0]), args[1]],
                [ast.keyword("inplace", ast.Constant(value=False))],
            )
        if name is not None and name.endswith(".at"):
            return self._ufunc_at(name, args)
        if name is None and isinstance(call.func, ast.Attribute):
            return self._method(call, call.func)
        return None

    def _ufunc_at(self, name: str, args: list[ast.expr]) -> tuple[ast.expr, ast.expr] | None:
        """`np.add.at(x, i, v)`, where repeated indices count each time."""
        methods = {
            "add": "add",
            "multiply": "multiply",
            "minimum": "min",
            "maximum": "max",
            "subtract": "subtract",
            "divide": "divide",
        }
        method = methods.get(name.split(".")[-2])
        if method is None or len(args) != 3:
            return None
        at = ast.Subscript(ast.Attribute(copy.deepcopy(args[0]), "at", ast.Load()), args[1], ast.Load())
        value: ast.expr = args[2]
        if method == "subtract":
            method, value = "add", ast.UnaryOp(ast.USub(), value)
        return args[0], ast.Call(ast.Attribute(at, method, ast.Load()), [value], [])

    def _method(self, call: ast.Call, func: ast.Attribute) -> tuple[ast.expr, ast.expr] | None:
        fact = self.facts.of(self.unit, func.value)
        if func.attr not in METHODS or (fact.forms and not fact.is_array):
            return None
        if func.attr == "fill":
            return func.value, call.args[0]
        if func.attr in ("sort", "partition"):
            return func.value, ast.Call(
                self._numpy(func.attr), [copy.deepcopy(func.value), *call.args], call.keywords
            )
        return None

    # -- helpers that change their arguments --

    def _hoisted(self, node: ast.stmt) -> Iterator[ast.stmt]:
        """Calls of helpers that change arguments, each in a statement of its own before this one."""
        before: list[ast.stmt] = []
        if isinstance(node, ast.For | ast.While | ast.If | ast.FunctionDef):
            hoist = _Hoist(self, node, before, always=isinstance(node, ast.For | ast.If))
            if isinstance(node, ast.FunctionDef):
                hoist.visit(ast.Module(node.body, []))
            else:
                head = "iter" if isinstance(node, ast.For) else "test"
                setattr(node, head, hoist.visit(getattr(node, head)))
            yield from before
            yield node
            return
        node = _Hoist(self, node, before).visit(node)
        yield from before
        if not (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and getattr(node.value, "gone", False)
        ):
            yield node


class _Hoist(ast.NodeTransformer):
    """Replaces calls of mutating helpers by names that hold their results."""

    def __init__(
        self, desugar: Desugar, node: ast.stmt, before: list[ast.stmt], *, always: bool = True
    ) -> None:
        self.desugar = desugar
        self.node = node
        self.before = before
        self.always = always

    def _at_times(self, node: ast.AST) -> ast.AST:
        """Part of an expression that is worked out once, never, or many times."""
        outer, self.always = self.always, False
        try:
            return self.visit(node)  # type: ignore[no-any-return]
        finally:
            self.always = outer

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        """`a if c else b`: only one of the two is called."""
        new = copy.copy(node)
        new.test = self.visit(node.test)
        new.body, new.orelse = self._at_times(node.body), self._at_times(node.orelse)  # type: ignore[assignment]
        return new

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        """`a and b`: perhaps only the first."""
        new = copy.copy(node)
        new.values = [self.visit(node.values[0]), *(self._at_times(value) for value in node.values[1:])]  # type: ignore[list-item]
        return new

    def visit(self, node: ast.AST) -> Any:
        """What is inside a lambda or a comprehension is worked out later, or many times."""
        later = isinstance(node, ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp)
        if not later or not self.always:
            return super().visit(node)
        return self._at_times(node)

    def generic_visit(self, node: ast.AST) -> ast.AST:
        """Copy on the way: the user's tree stays as it is."""
        return super().generic_visit(copy.copy(node) if not isinstance(node, list) else node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """A call: of a mutating helper or not."""
        callee = self.desugar.unit.helpers.get(".".join(dotted(node.func) or ()))
        changes = self.desugar.mutated.get(callee, ()) if callee is not None else ()
        new = self.generic_visit(node)
        assert isinstance(new, ast.Call)
        if callee is None or not changes:
            return new
        return self._stored(new, callee, changes)

    def _stored(self, call: ast.Call, callee: Unit, changes: tuple[str, ...]) -> ast.AST:
        self._be_in_order(call, callee, changes)
        names = [self._name_of(call, callee, parameter) for parameter in changes]
        gone = ast.Constant(None)
        gone.gone = True  # type: ignore[attr-defined]
        results: list[ast.expr] = [store(name) for name in names]
        whole = (
            self.node.value is not None and isinstance(self.node, ast.Expr)
            if hasattr(self.node, "value")
            else False
        )
        value: ast.expr = gone
        if self.desugar.returns[callee]:
            name = self.desugar.names.new("result")
            results.insert(0, store(name))
            value = gone if whole else self.desugar._loaded(name, call)
        target: ast.expr = results[0] if len(results) == 1 else ast.Tuple(results, ast.Store())
        changed = like(ast.Assign([target], call), self.node)
        changed.stores = frozenset(names)
        self.before.append(changed)
        return value

    def _be_in_order(self, call: ast.Call, callee: Unit, changes: tuple[str, ...]) -> None:
        """The call is put before the statement: nothing that it changes may be read before it there.

        Raises:
            CannotPort: something is; or the call is made at times only.
        """
        if not self.always:
            text = f"`{callee.name}` changes its arguments, and is called here at times only, or many times."
            raise self.desugar.unit.refuse(call, text, "Call it in a statement of its own.")
        order = [a.arg for a in [*callee.node.args.posonlyargs, *callee.node.args.args]]
        given = dict(zip(order, call.args, strict=False)) | {k.arg: k.value for k in call.keywords}
        changed = {_root(given[name]) for name in changes if name in given}
        value = getattr(self.node, "value", None)
        place = (getattr(call, "lineno", 0), getattr(call, "col_offset", 0))
        for node in ast.walk(value) if isinstance(value, ast.AST) else ():
            before = (getattr(node, "lineno", 0), getattr(node, "col_offset", 0)) < place
            if isinstance(node, ast.Name) and node.id in changed and before:
                text = f"`{node.id}` is read here before `{callee.name}` changes it."
                raise self.desugar.unit.refuse(call, text, "Write the call in a statement of its own.")

    def _name_of(self, call: ast.Call, callee: Unit, parameter: str) -> str:
        """The caller's name for a changed argument."""
        order = [a.arg for a in [*callee.node.args.posonlyargs, *callee.node.args.args]]
        by_name = next((k for k in call.keywords if k.arg == parameter), None)
        at = order.index(parameter) if parameter in order else -1
        argument = by_name.value if by_name else call.args[at] if 0 <= at < len(call.args) else None
        if isinstance(argument, ast.Name):
            return argument.id
        if argument is None:
            raise self.desugar.unit.refuse(
                call, f"The helper changes `{parameter}`, which is not passed here.", "Pass it by name."
            )
        view = self.desugar.names.new("view")
        self.before.append(assign(view, argument, self.node))
        if by_name is not None:
            by_name.value = load(view)
        else:
            call.args = [load(view) if i == at else a for i, a in enumerate(call.args)]
        return view


def _root(node: ast.AST) -> str:
    """The name of the array that an argument is, or is a part of."""
    while isinstance(node, ast.Subscript | ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""
