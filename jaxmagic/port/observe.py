"""Second pass: one NumPy run on copies, watched expression by expression.

The watched functions are the user's own code with `see(number, expression)` around each expression;
what they compute is unchanged. Out come facts, by unit and node number.
"""

from __future__ import annotations

import ast
import copy
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from jaxmagic.port.collect import Program, Unit, dotted, is_constant_module, local_names
from jaxmagic.port.flow import assigned

Key = tuple[Any, ...]
SEE, ENTER, END, TOUCH = "__see__", "__enter__", "__end__", "__touch__"
PYTHON = {
    bool: "bool",
    int: "int",
    float: "float",
    complex: "complex",
    str: "str",
    type(None): "none",
    tuple: "tuple",
    list: "list",
    dict: "dict",
    slice: "slice",
    range: "range",
}
# More kinds of values than this for one name are not told apart.
MANY_PAIRS = 64
INT64 = 2**63


@dataclass(frozen=True, slots=True)
class Form:
    """What one value is: its kind, and dtype and shape where it has them."""

    kind: str
    dtype: str = ""
    shape: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Fact:
    """What an expression's values were in the watched run."""

    forms: frozenset[Form]
    low: float | None = None
    high: float | None = None

    @property
    def is_array(self) -> bool:
        """Always an array with axes or without (never a scalar)."""
        return bool(self.forms) and all(form.kind == "array" for form in self.forms)

    @property
    def is_scalar(self) -> bool:
        """Always one number."""
        return bool(self.forms) and all(
            form.kind in ("scalar", "bool", "int", "float", "complex")
            or (form.kind == "array" and not form.shape)
            for form in self.forms
        )

    @property
    def is_python(self) -> bool:
        """Always one of Python's own values."""
        return bool(self.forms) and all(form.kind not in ("array", "scalar") for form in self.forms)

    @property
    def dtype(self) -> str | None:
        """The one dtype, where there is one."""
        found = {form.dtype for form in self.forms}
        return next(iter(found)) if len(found) == 1 and found != {""} else None

    @property
    def shape(self) -> tuple[int, ...] | None:
        """The one shape, where there is one."""
        found = {form.shape for form in self.forms}
        return next(iter(found)) if len(found) == 1 else None

    @property
    def ndim(self) -> int | None:
        """The one number of axes, where there is one."""
        found = {len(form.shape) for form in self.forms}
        return next(iter(found)) if len(found) == 1 else None

    @property
    def kind(self) -> str:
        """The dtype's kind as NumPy's letter ("f", "i", "u", "b", "c"), or "" where it varies."""
        found = {_letter(form) for form in self.forms}
        return next(iter(found)) if len(found) == 1 else ""


def _letter(form: Form) -> str:
    if form.dtype:
        return np.dtype(form.dtype).kind
    return {"bool": "b", "int": "i", "float": "f", "complex": "c"}.get(form.kind, "?")


NOTHING = Fact(frozenset())


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything that one run showed.

    Args:
        values: by unit and expression number.
        carried: by unit and loop number: what each name held when the loop was entered, and at the end
            of an iteration.
        trips: by unit and loop number: fewest and most iterations of one entry.
        counts: by unit and statement number: how often it ran.
        aliases: by unit and statement number, and the name of what it may change in place: names that
            shared its memory.
        mutated: parameters of the main function whose arrays were changed.
    """

    values: Mapping[Key, Fact]
    carried: Mapping[Key, Mapping[str, frozenset[tuple[Form | None, Form]]]]
    trips: Mapping[Key, tuple[int, int]]
    counts: Mapping[Key, int]
    aliases: Mapping[Key, Mapping[str, frozenset[str]]]

    @property
    def is_wide(self) -> bool:
        """Whether NumPy computed with 64-bit numbers anywhere."""
        return any(
            form.dtype and np.dtype(form.dtype).itemsize >= 8
            for fact in self.values.values()
            for form in fact.forms
        )

    @property
    def statements(self) -> int:
        """How many statements ran."""
        return sum(self.counts.values())

    def of(self, unit: Unit, node: ast.AST) -> Fact:
        """The fact of an expression of a unit; empty where it never ran or is new and nothing was noted."""
        noted: Fact | None = getattr(node, "seen", None)
        return noted or self.values.get((unit.name, getattr(node, "key", -1)), NOTHING)

    def touched(self, unit: Unit, node: ast.AST, name: str) -> Fact:
        """What a name held before a statement that may change it in place."""
        return self.values.get((unit.name, getattr(node, "key", -1), name), NOTHING)

    def sharing(self, unit: Unit, node: ast.AST, name: str) -> frozenset[str] | None:
        """Names that shared the memory of one that a statement changed; None where it never ran."""
        seen = self.aliases.get((unit.name, getattr(node, "key", -1)))
        if seen is None or name in seen:
            return seen if seen is None else seen[name]
        return frozenset[str]().union(*seen.values())  # a name of the port's own: any of them

    def ran(self, unit: Unit, node: ast.AST) -> bool:
        """Whether a statement ran at all."""
        return self.counts.get((unit.name, getattr(node, "key", -1)), 0) > 0


@dataclass(slots=True)
class Watch:
    """Collects while the watched functions run."""

    forms: dict[Key, dict[Any, Form]] = field(default_factory=dict)
    ranges: dict[Key, tuple[float, float]] = field(default_factory=dict)
    entered: dict[Key, dict[str, Form]] = field(default_factory=dict)
    carried: dict[Key, dict[str, set[tuple[Form | None, Form]]]] = field(default_factory=dict)
    trips: dict[Key, list[int]] = field(default_factory=dict)
    counts: dict[Key, int] = field(default_factory=dict)
    aliases: dict[Key, dict[str, set[str]]] = field(default_factory=dict)

    def see(self, key: Key, value: Any) -> Any:
        """Note an expression's value and pass it on."""
        kind = type(value)
        seen = self.forms.setdefault(key, {})
        mark = (kind, value.dtype, value.shape) if kind is np.ndarray else kind
        if mark not in seen and len(seen) < 64:
            seen[mark] = form_of(value)
        if kind is int or kind is np.int64:
            low, high = self.ranges.get(key, (value, value))
            if value <= low or value >= high:
                self.ranges[key] = (min(low, int(value)), max(high, int(value)))
        return value

    def count(self, key: Key) -> None:
        """A statement runs."""
        self.counts[key] = self.counts.get(key, 0) + 1

    def enter(self, key: Key, names: tuple[str, ...], values: Mapping[str, Any]) -> None:
        """What the names of a loop hold when it is entered."""
        self.entered[key] = {name: form_of(values[name]) for name in names if name in values}

    def end(self, key: Key, names: tuple[str, ...], values: Mapping[str, Any]) -> None:
        """What they hold at the end of an iteration."""
        table, before = self.carried.setdefault(key, {}), self.entered[key]
        for name in names:
            if name in values:
                pairs = table.setdefault(name, set())
                if len(pairs) < MANY_PAIRS:
                    pairs.add((before.get(name), form_of(values[name])))

    def trip(self, key: Key, iterable: Any) -> Iterator[Any]:
        """Pass a loop's values on and count them."""
        n = 0
        try:
            for value in iterable:
                n += 1
                yield value
        finally:
            low, high = self.trips.get(key, (n, n))
            self.trips[key] = [min(low, n), max(high, n)]

    def touch(self, key: Key, name: str, array: Any, values: Mapping[str, Any]) -> None:
        """Note who else sees an array that is about to change in place."""
        self.forms.setdefault((*key, name), {}).setdefault(type(array), form_of(array))
        if not isinstance(array, np.ndarray):
            return
        found = self.aliases.setdefault(key, {}).setdefault(name, set())
        for other, value in values.items():
            if other != name and other not in found and shares(value, array):
                found.add(other)


def shares(value: Any, array: np.ndarray[Any, Any]) -> bool:
    """Whether a value, or an array in it, may share memory with an array."""
    if isinstance(value, np.ndarray):
        if not np.may_share_memory(value, array):
            return False
        try:
            return bool(np.shares_memory(value, array, max_work=10_000))  # type: ignore[arg-type] # NumPy allows any bound
        except np.exceptions.TooHardError:
            return True
    if isinstance(value, list | tuple):
        return any(shares(item, array) for item in value[:64])
    if isinstance(value, dict):
        return any(shares(item, array) for item in list(value.values())[:64])
    return False


def form_of(value: Any) -> Form:
    """What a value is."""
    if isinstance(value, np.ndarray):
        return Form("array", str(value.dtype), value.shape)
    if isinstance(value, np.generic):
        return Form("scalar", str(value.dtype))
    if isinstance(value, np.random.Generator | np.random.RandomState):
        return Form("random")
    return Form(PYTHON.get(type(value), "other"))


class Instrument(ast.NodeTransformer):
    """A unit's tree with a look at each expression."""

    def __init__(self, unit: Unit) -> None:
        self.unit = unit

    def key(self, node: ast.AST) -> ast.expr:
        """The unit and number of a node, as an expression."""
        return constant((self.unit.name, node.key))  # type: ignore[attr-defined]

    def visit(self, node: ast.AST) -> Any:
        """Statements count themselves, expressions show their value."""
        if isinstance(node, ast.FunctionDef | ast.Lambda) and node is not self.root:
            return node
        return super().visit(node)

    def run(self, tree: ast.FunctionDef) -> ast.FunctionDef:
        """The whole function."""
        self.root = tree
        tree.body = self.block(tree.body)
        tree.decorator_list = []
        return ast.fix_missing_locations(tree)

    def block(self, body: list[ast.stmt]) -> list[ast.stmt]:
        """A block that is looked at."""
        return [new for statement in body for new in self.statement(statement)]

    def statement(self, node: ast.stmt) -> list[ast.stmt]:
        """A statement that counts itself, and a look at what it may change."""
        before = [_call("__count__", self.key(node))]
        before += [
            _call(TOUCH, self.key(node), ast.Constant(_root(target)), _loaded(target), _locals())
            for target in changed(node)
        ]
        if isinstance(node, ast.For):
            return [*before, *self._for(node)]
        if isinstance(node, ast.While):
            return [*before, *self._while(node)]
        if isinstance(node, ast.If):
            node.test = self.expression(node.test)
            node.body, node.orelse = self.block(node.body), self.block(node.orelse)
            return [*before, node]
        if isinstance(node, ast.FunctionDef):
            return [*before, node]
        return [*before, self._simple(node)]

    def _simple(self, node: ast.stmt) -> ast.stmt:
        for name, value in ast.iter_fields(node):
            if isinstance(value, ast.expr):
                setattr(node, name, self.expression(value))
            elif isinstance(value, list) and name != "names":
                setattr(node, name, [self.expression(v) if isinstance(v, ast.expr) else v for v in value])
        return node

    def _for(self, node: ast.For) -> list[ast.stmt]:
        names = constant(tuple(sorted(assigned([node]))))
        iterable = self.expression(node.iter)
        node.iter = ast.Call(ast.Name("__trip__", ast.Load()), [self.key(node), iterable], [])
        node.body = [*self.block(node.body), self._look(node, names, END)]
        node.orelse = self.block(node.orelse)
        return [self._look(node, names, ENTER), node]

    def _while(self, node: ast.While) -> list[ast.stmt]:
        names = constant(tuple(sorted(assigned([node]))))
        node.test = self.expression(node.test)
        node.body = [*self.block(node.body), self._look(node, names, END)]
        return [self._look(node, names, ENTER), node]

    def _look(self, node: ast.stmt, names: ast.expr, place: str) -> ast.stmt:
        return _call(place, self.key(node), names, _locals())

    def expression(self, node: ast.expr) -> ast.expr:
        """An expression that is looked at, and its parts."""
        if isinstance(
            node,
            ast.Constant
            | ast.Lambda
            | ast.ListComp
            | ast.GeneratorExp
            | ast.DictComp
            | ast.SetComp
            | ast.JoinedStr,
        ):
            return node
        helper = self.unit.helpers.get(".".join(dotted(node) or ()))
        if helper is not None:
            return ast.Name(f"__unit_{helper.name}__", ast.Load())
        if is_constant_module(self.unit, node):
            return node
        self._parts(node)
        if isinstance(node, ast.Slice | ast.Starred | ast.Tuple) or not isinstance(
            getattr(node, "ctx", ast.Load()), ast.Load
        ):
            return node
        return ast.Call(ast.Name(SEE, ast.Load()), [self.key(node), node], [])

    def _parts(self, node: ast.AST) -> None:
        for name, value in ast.iter_fields(node):
            if isinstance(value, ast.expr) and not (
                isinstance(node, ast.Call) and name == "func" and isinstance(value, ast.Name)
            ):
                setattr(node, name, self._part(node, name, value))
            elif isinstance(value, ast.expr) and self.unit.helpers.get(".".join(dotted(value) or ())):
                setattr(node, name, self.expression(value))
            elif isinstance(value, list):
                setattr(node, name, [self.expression(v) if isinstance(v, ast.expr) else v for v in value])
                for item in value:
                    if isinstance(item, ast.keyword):
                        item.value = self.expression(item.value)

    def _part(self, node: ast.AST, name: str, value: ast.expr) -> ast.expr:
        if isinstance(node, ast.Call) and name == "func" and isinstance(value, ast.Attribute):
            if self.unit.helpers.get(".".join(dotted(value) or ())):
                return self.expression(value)
            if not is_constant_module(self.unit, value):
                value.value = self.expression(value.value)
            return value
        return self.expression(value)


def constant(value: Any) -> ast.Constant:
    """A tuple of names and numbers, which compiles to a constant though `ast`'s types forbid it."""
    return ast.Constant(value)


def _call(name: str, *args: ast.expr) -> ast.stmt:
    return ast.Expr(ast.Call(ast.Name(name, ast.Load()), list(args), []))


def _locals() -> ast.expr:
    return ast.Call(ast.Name("locals", ast.Load()), [], [])


def changed(node: ast.stmt) -> list[ast.expr]:
    """What a statement may change in place, as expressions of the arrays."""
    found: list[ast.expr] = []
    if isinstance(node, ast.Assign | ast.AugAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        flat = [
            t
            for target in targets
            for t in (target.elts if isinstance(target, ast.Tuple | ast.List) else [target])
        ]
        found += [t.value for t in flat if isinstance(t, ast.Subscript)]
        found += [t for t in flat if isinstance(t, ast.Name) and isinstance(node, ast.AugAssign)]
    calls = (
        [n for n in ast.walk(node) if isinstance(n, ast.Call)]
        if isinstance(node, ast.Assign | ast.Expr | ast.AugAssign | ast.Return)
        else []
    )
    for call in calls:
        found += [arg for arg in [*call.args, *(k.value for k in call.keywords)] if isinstance(arg, ast.Name)]
        if isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name):
            found.append(call.func.value)
    return [f for f in found if _root(f)]


def _root(node: ast.AST) -> str:
    while isinstance(node, ast.Subscript | ast.Attribute | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def _loaded(node: ast.expr) -> ast.expr:
    """The array that a target belongs to, as seen under `locals()`, which never raises."""
    return ast.Call(ast.Attribute(_locals(), "get", ast.Load()), [ast.Constant(_root(node))], [])


def observe(program: Program, run: Callable[[Callable[..., Any]], Any]) -> tuple[Any, Facts]:
    """Let `run` call the watched main function; give back what `run` gave, and the facts."""
    watch = Watch()
    functions: dict[str, Any] = {}
    state: dict[str, tuple[Unit, Any]] = {}
    for unit in program.units:
        own = copied_state(unit)
        state |= {name: (unit, value) for name, value in own.items()}
        functions[unit.name] = _watched(unit, watch, functions, own)
    result = run(functions[program.main.name])
    for name, (unit, value) in state.items():
        _refuse_changed(unit, name, value)
    return result, _facts(watch)


def copied_state(unit: Unit) -> dict[str, Any]:
    """Copies of the arrays and containers outside that a unit reads: the run may change those."""
    free = {n.id for n in ast.walk(unit.node) if isinstance(n, ast.Name)} - local_names(unit.function)
    values = {name: unit.value_of(name) for name in free}
    return {
        name: copy.deepcopy(v) for name, v in values.items() if isinstance(v, np.ndarray | list | dict | set)
    }


def _refuse_changed(unit: Unit, name: str, after: Any) -> None:
    """A run that changed what belongs to the namespace has an effect that no port has.

    Raises:
        CannotPort: the copy differs from the original.
    """
    before = unit.value_of(name)
    arrays = isinstance(before, np.ndarray)
    same = (
        np.array_equal(before, after, equal_nan=before.dtype.kind in "fc")
        if arrays
        else repr(before) == repr(after)
    )
    if not same:
        text = f"`{name}`, which belongs to the namespace outside, is changed in place."
        raise unit.refuse(unit.node, text, "Take it as a parameter and return its new value.")


def _watched(
    unit: Unit, watch: Watch, functions: Mapping[str, Any], own: Mapping[str, Any]
) -> Callable[..., Any]:
    """A unit's watched function, in a copy of its namespace."""
    tree = Instrument(unit).run(copy.deepcopy(unit.node))
    names: dict[str, Any] = dict(unit.function.__globals__)
    names |= {name: unit.value_of(name) for name in unit.function.__code__.co_freevars}
    names |= own
    names |= {
        SEE: watch.see,
        ENTER: watch.enter,
        END: watch.end,
        TOUCH: watch.touch,
        "__count__": watch.count,
        "__trip__": watch.trip,
    }
    names |= {f"__unit_{helper.name}__": functions[helper.name] for helper in unit.helpers.values()}
    names |= {text: functions[helper.name] for text, helper in unit.helpers.items() if "." not in text}
    exec(compile(ast.Module([tree], []), f"<watched {unit.name}>", "exec"), names)
    function: types.FunctionType = names[tree.name]
    function.__defaults__, function.__kwdefaults__ = unit.function.__defaults__, unit.function.__kwdefaults__
    return function


def _facts(watch: Watch) -> Facts:
    values = {}
    for key, seen in watch.forms.items():
        low, high = watch.ranges.get(key, (None, None))
        values[key] = Fact(frozenset(seen.values()), low, high)
    return Facts(
        values=values,
        carried={
            key: {name: frozenset(pairs) for name, pairs in table.items()}
            for key, table in watch.carried.items()
        },
        trips={key: (low, high) for key, (low, high) in watch.trips.items()},
        counts=watch.counts,
        aliases={
            key: {name: frozenset(others) for name, others in seen.items()}
            for key, seen in watch.aliases.items()
        },
    )
