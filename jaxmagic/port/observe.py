"""Second pass: one NumPy run on copies, watched expression by expression.

The watched functions are the user's own code with `see(number, expression)` around each expression;
what they compute is unchanged. Out come facts, by unit and node number.
"""

from __future__ import annotations

import ast
import copy
import inspect
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from jaxmagic.port.collect import Program, Unit, is_same
from jaxmagic.port.instrument import END, ENTER, SEE, TOUCH, Instrument

Key = tuple[Any, ...]
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
NUMBERS = {"bool": "bool", "int": "int64", "float": "float64", "complex": "complex128"}
# Arrays whose operators mean what they mean in JAX; those of `np.matrix` or of masked arrays do not.
PLAIN = (np.ndarray, np.memmap)
# More kinds of values than this for one name are not told apart.
MANY_PAIRS = 64
INT64 = 2**63


@dataclass(frozen=True, slots=True)
class Form:
    """What one value is: its kind, and dtype and shape where it has them."""

    kind: str
    dtype: str = ""
    shape: tuple[int, ...] = ()

    @property
    def numbers(self) -> str:
        """The dtype; of Python's own number the one that NumPy gives it, and "" where there is none."""
        return self.dtype or NUMBERS.get(self.kind, "")


@dataclass(frozen=True, slots=True)
class Fact:
    """What an expression's values were in the watched run."""

    forms: frozenset[Form]
    low: float | None = None
    high: float | None = None

    @property
    def is_container(self) -> bool:
        """Always a list or a dict."""
        return bool(self.forms) and all(form.kind in ("list", "dict") for form in self.forms)

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
    return np.dtype(form.numbers).kind if form.numbers else "?"


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
        tried: statements that only ran because a condition was made to come out otherwise.
    """

    values: Mapping[Key, Fact]
    carried: Mapping[Key, Mapping[str, frozenset[tuple[Form | None, Form]]]]
    trips: Mapping[Key, tuple[int, int]]
    counts: Mapping[Key, int]
    aliases: Mapping[Key, Mapping[str, frozenset[str]]]
    tried: frozenset[Key] = frozenset()

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

    @property
    def resizes(self) -> int:
        """How often expressions came out in another shape than before, places apart."""
        shapes = ({form.shape for form in fact.forms} for fact in self.values.values())
        return sum(max(len(each) - 1, 0) for each in shapes)

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

    def containers(self, unit: Unit) -> frozenset[str]:
        """Names that were lists or dicts wherever they were read."""
        seen: dict[str, list[bool]] = {}
        for node in ast.walk(unit.node):
            if isinstance(node, ast.Name) and self.of(unit, node).forms:
                seen.setdefault(node.id, []).append(self.of(unit, node).is_container)
        return frozenset(name for name, kinds in seen.items() if all(kinds))

    def ran(self, unit: Unit, node: ast.AST, *, tried: bool = True) -> bool:
        """Whether a statement ran at all; `tried` counts what only a trial ran."""
        key = (unit.name, getattr(node, "key", -1))
        return (tried or key not in self.tried) and self.counts.get(key, 0) > 0


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

    def test(self, key: Key, value: Any) -> Any:  # noqa: ARG002 a trial decides by the place
        """The condition of an `if`."""
        return value

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
    if isinstance(value, np.ndarray) and (value.dtype.kind not in "biufc" or type(value) not in PLAIN):
        return Form("foreign", "", value.shape)
    if isinstance(value, np.ndarray):
        return Form("array", str(value.dtype), value.shape)
    if isinstance(value, np.generic):
        return Form("scalar", str(value.dtype))
    if isinstance(value, np.flatiter):
        return Form("array", str(value.base.dtype), (len(value),))
    if isinstance(value, np.random.Generator | np.random.RandomState):
        return Form("random")
    return Form(PYTHON.get(type(value), "other"))


def watched_run(program: Program, watch: Watch, run: Callable[[Callable[..., Any]], Any]) -> Any:
    """Let `run` call the watched main function; what `run` gave.

    Raises:
        CannotPort: the run changed what belongs to the namespace.
    """
    functions: dict[str, Any] = {}
    state: dict[str, tuple[Unit, Any]] = {}
    for unit in program.units:
        own = copied_state(unit)
        state |= {name: (unit, value) for name, value in own.items()}
        functions[unit.name] = _watched(unit, watch, functions, own)
    watched = {given: functions[unit.name] for given, unit in program.given.items() if unit is not None}
    result = run(taking(functions[program.main.name], watched))
    for name, (unit, value) in state.items():
        _refuse_changed(unit, name, value)
    return result


def taking(function: Callable[..., Any], own: Mapping[Callable[..., Any], Any]) -> Callable[..., Any]:
    """A function that takes others for those that it is given."""
    if not own:
        return function

    def call(*args: Any, **kwargs: Any) -> Any:
        swapped = {name: _swapped(value, own) for name, value in kwargs.items()}
        return function(*(_swapped(value, own) for value in args), **swapped)

    call.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    call.__name__ = function.__name__
    return call


def _swapped(value: Any, own: Mapping[Callable[..., Any], Any]) -> Any:
    return next((mine for given, mine in own.items() if is_same(given, value)), value)


def copied_state(unit: Unit) -> dict[str, Any]:
    """Copies of the arrays and containers outside that a unit reads: the run may change those."""
    free = {n.id for n in ast.walk(unit.node) if isinstance(n, ast.Name)} - unit.locals
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
        "__test__": watch.test,
        "__trip__": watch.trip,
    }
    names |= {f"__unit_{helper.name}__": functions[helper.name] for helper in unit.helpers.values()}
    names |= {text: functions[helper.name] for text, helper in unit.helpers.items() if "." not in text}
    exec(compile(ast.Module([in_its_file(tree, unit)], []), unit.file, "exec"), names)
    function: types.FunctionType = names[tree.name]
    function.__defaults__, function.__kwdefaults__ = unit.function.__defaults__, unit.function.__kwdefaults__
    return function


def in_its_file(tree: ast.FunctionDef, unit: Unit) -> ast.FunctionDef:
    """A unit's tree where the unit stands in the user's file, so that errors name the user's lines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt | ast.expr | ast.keyword | ast.arg | ast.alias):
            node.lineno += unit.first_line - 1
            node.col_offset += unit.indent
            node.end_lineno = (node.end_lineno or node.lineno) + unit.first_line - 1
            node.end_col_offset = (node.end_col_offset or 0) + unit.indent
    return tree


def facts_of(watch: Watch, tried: frozenset[Key]) -> Facts:
    """What was seen, as facts."""
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
        tried=tried,
    )
