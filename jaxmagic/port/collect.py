"""First pass: the user's function and the helpers that it calls, as marked source.

A helper is any Python function that the source reaches by name: through globals, closures, or
methods of `self`. Everything is found by looking at the objects that names stand for, never at the
names themselves, so any alias of NumPy is NumPy.
"""

from __future__ import annotations

import ast
import builtins
import functools
import importlib
import inspect
import linecache
import pathlib
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from jaxmagic.errors import CannotPort
from jaxmagic.port.layout import mark
from jaxmagic.results import Span

MISSING = object()
Inputs = tuple[tuple[Any, ...], Mapping[str, Any]]
# Code of these packages is called, never rewritten.
FOREIGN = ("numpy", "jax", "scipy", "pandas", "torch", "builtins", "math", "functools", "itertools")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Unit:
    """One function of the user's.

    Args:
        name: what it is called in the port.
        function: the user's own object; read, never changed.
        text: its source, dedented, without decorators.
        node: that source parsed; every node knows its place in `text`.
        file, first_line, indent: where `text` stands in the user's file.
        helpers: names and dotted names in the source, by the unit that they call.
        added: names that a rewriting binds beyond those of the function.
        imported: what the function itself imports, by name.
    """

    name: str
    function: types.FunctionType
    text: str
    node: ast.FunctionDef
    file: str
    first_line: int
    indent: int = 0
    helpers: dict[str, Unit] = field(default_factory=dict)
    added: frozenset[str] = frozenset()
    imported: Mapping[str, Any] = field(default_factory=dict)

    @property
    def locals(self) -> frozenset[str]:
        """Names that the function itself binds, but for what it imports."""
        return (local_names(self.function) | self.added) - self.imported.keys()

    def value_of(self, name: str) -> Any:
        """What a free name of the function stands for now, or `MISSING`."""
        return self.imported[name] if name in self.imported else resolve(self.function, name)

    def span(self, node: ast.AST) -> Span:
        """Where a node of this unit stands in the user's file."""
        line = getattr(node, "lineno", 1)
        return Span(
            file=self.file,
            line=line + self.first_line - 1,
            column=getattr(node, "col_offset", 0) + self.indent,
            end_line=(getattr(node, "end_lineno", None) or line) + self.first_line - 1,
            end_column=(getattr(node, "end_col_offset", None) or 0) + self.indent,
            function=self.name,
        )

    def refuse(self, node: ast.AST, message: str, fix: str = "") -> CannotPort:
        """The error that names a construct of this unit, its line and what to write instead."""
        lines = self.text.splitlines()
        number = getattr(node, "lineno", 1)
        excerpt = lines[number - 1] if 0 < number <= len(lines) else ""
        return CannotPort(message, fix=fix, span=self.span(node), excerpt=excerpt)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Program:
    """The function to port, `units[-1]`, after the helpers that it needs.

    Args:
        units: callees before callers.
        bound: positional and keyword arguments that a partial or a bound method supplies.
        given: functions among the arguments, by their units; None for NumPy's own.
    """

    units: tuple[Unit, ...]
    bound_args: tuple[Any, ...] = ()
    bound_kwargs: Mapping[str, Any] = field(default_factory=dict)
    given: Mapping[Callable[..., Any], Unit | None] = field(default_factory=dict)

    @property
    def main(self) -> Unit:
        """The function that the user wants ported."""
        return self.units[-1]


def collect(fn: Callable[..., Any], inputs: Inputs = ((), {})) -> Program:
    """The source of a callable, of its helpers, and of the functions among its inputs.

    Raises:
        CannotPort: there is no Python source, or the code calls itself.
    """
    function, args, kwargs = plain_function(fn)
    finder = _Finder(args[0] if args and is_method(function, args[0]) else None)
    given = {
        value: finder.unit(value, name) if isinstance(value, types.FunctionType) else None
        for name, value in functions_in(function, (args + inputs[0], {**kwargs, **inputs[1]}))
        if value is not function
    }
    main = finder.unit(function)
    units = (*(unit for unit in finder.done.values() if unit is not main), main)
    return Program(units=units, bound_args=args, bound_kwargs=kwargs, given=given)


def functions_in(function: types.FunctionType, inputs: Inputs) -> Iterator[tuple[str, Callable[..., Any]]]:
    """The user's and NumPy's functions among the arguments, by the names of the parameters."""
    try:
        bound = inspect.signature(function).bind_partial(*inputs[0], **inputs[1])
    except TypeError:
        return
    for name, value in bound.arguments.items():
        own = isinstance(value, types.FunctionType) and not is_foreign(value)
        if own or isinstance(value, np.ufunc):
            yield name, value


def plain_function(fn: Any) -> tuple[types.FunctionType, tuple[Any, ...], dict[str, Any]]:
    """The Python function in a callable, and what partials and methods bind."""
    if isinstance(fn, functools.partial):
        inner, args, kwargs = plain_function(fn.func)
        return inner, args + fn.args, kwargs | fn.keywords
    if isinstance(fn, types.MethodType):
        inner, args, kwargs = plain_function(fn.__func__)
        return inner, (fn.__self__, *args), kwargs
    if isinstance(fn, types.FunctionType):
        wrapped = inspect.unwrap(fn)
        return (wrapped if isinstance(wrapped, types.FunctionType) else fn), (), {}
    wrapped = getattr(fn, "__wrapped__", None) or getattr(fn, "py_func", None)
    if isinstance(wrapped, types.FunctionType):
        return wrapped, (), {}
    method = inspect.getattr_static(type(fn), "__call__", None)
    if isinstance(method, types.FunctionType) and not isinstance(fn, type):
        return method, (fn,), {}
    name = getattr(fn, "__name__", type(fn).__name__)
    raise CannotPort(
        f"{name} has no Python source to port: it is built in or compiled.",
        fix="Write a Python function that calls it, or race it as it is.",
    )


def is_same(one: Any, other: Any) -> bool:
    """Whether two functions do the same: a lambda is another object each time that its line runs."""
    if not isinstance(one, types.FunctionType) or not isinstance(other, types.FunctionType) or one is other:
        return one is other
    cells = [[id(cell.cell_contents) for cell in each.__closure__ or ()] for each in (one, other)]
    return (
        one.__code__ == other.__code__
        and one.__globals__ is other.__globals__
        and (one.__defaults__, one.__kwdefaults__) == (other.__defaults__, other.__kwdefaults__)
        and cells[0] == cells[1]
    )


def is_method(function: types.FunctionType, owner: Any) -> bool:
    """Whether a function is defined in an object's class."""
    return any(value is function for base in type(owner).__mro__ for value in vars(base).values())


def _pass_self(unit: Unit, text: str) -> None:
    """`self.method(x)` as `method(self, x)`, by what `Unit.helpers` says of `self.method`."""
    for node in ast.walk(unit.node):
        if isinstance(node, ast.Call) and ".".join(dotted(node.func) or ()) == text:
            node.args.insert(0, ast.copy_location(ast.Name(text.split(".")[0], ast.Load()), node.func))
            node.args[0].key = -1  # type: ignore[attr-defined]


def resolve(function: types.FunctionType, name: str) -> Any:
    """What a free name of a function stands for: closure, then globals, then builtins."""
    try:
        if name in function.__code__.co_freevars and function.__closure__ is not None:
            return function.__closure__[function.__code__.co_freevars.index(name)].cell_contents
    except ValueError:  # an empty cell
        return MISSING
    if name in function.__globals__:
        return function.__globals__[name]
    return getattr(builtins, name, MISSING)


def dotted(node: ast.AST) -> tuple[str, ...] | None:
    """`a.b.c` as its names, or None for anything else."""
    if isinstance(node, ast.Name):
        return (node.id,)
    if isinstance(node, ast.Attribute):
        base = dotted(node.value)
        return None if base is None else (*base, node.attr)
    return None


def local_names(function: types.FunctionType) -> frozenset[str]:
    """Names that the function itself binds."""
    code = function.__code__
    return frozenset(code.co_varnames) | frozenset(code.co_cellvars)


def object_of(unit: Unit, node: ast.AST) -> Any:
    """The object that `a` or `a.b.c` stands for where `a` is a free name; else `MISSING`."""
    path = dotted(node)
    if path is None or path[0] in unit.locals:
        return MISSING
    value = unit.value_of(path[0])
    for name in path[1:]:
        if value is MISSING or not isinstance(value, types.ModuleType | type | np.ufunc):
            return MISSING
        value = getattr(value, name, MISSING)
    return value


def is_foreign(function: types.FunctionType) -> bool:
    """Whether a function belongs to a library rather than to the user."""
    home = (function.__module__ or "").split(".")[0]
    return home in FOREIGN or (home in sys.stdlib_module_names and home != "__main__")


class _Finder:
    """Walks from function to function; `done` ends up with callees before callers."""

    def __init__(self, owner: Any = None) -> None:
        self.owner = owner
        self.done: dict[types.FunctionType, Unit] = {}
        self.under_way: list[types.FunctionType] = []

    def unit(self, function: types.FunctionType, otherwise: str = "function") -> Unit:
        """A function's unit; one without a name is called `otherwise`."""
        if function in self.done:
            return self.done[function]
        self.under_way.append(function)
        unit = read(function, self._free_name(function, otherwise))
        for text, node, callee in self._callees(unit):
            if callee in self.under_way:
                raise unit.refuse(
                    node,
                    f"`{callee.__name__}` calls itself, and a recursion has no JAX form.",
                    "Write it as a loop.",
                )
            known = text in unit.helpers
            unit.helpers[text] = self.unit(callee)
            if not known and text.split(".")[0] == self._self_name(unit):
                _pass_self(unit, text)
        self.under_way.pop()
        self.done[function] = unit
        return unit

    def _self_name(self, unit: Unit) -> str | None:
        """What a method of the bound object calls the object."""
        if self.owner is None or not is_method(unit.function, self.owner):
            return None
        arguments = [*unit.node.args.posonlyargs, *unit.node.args.args]
        return arguments[0].arg if arguments else None

    def _free_name(self, function: types.FunctionType, otherwise: str) -> str:
        name = function.__name__ if function.__name__.isidentifier() else otherwise
        taken = {unit.name for unit in self.done.values()}
        numbered = (f"{name}_{n}" for n in range(2, len(taken) + 3))
        return name if name not in taken else next(n for n in numbered if n not in taken)

    def _callees(self, unit: Unit) -> Iterator[tuple[str, ast.AST, types.FunctionType]]:
        for node in ast.walk(unit.node):
            path = dotted(node)
            if path is None or not isinstance(getattr(node, "ctx", None), ast.Load):
                continue
            value = object_of(unit, node)
            if len(path) == 2 and path[0] == self._self_name(unit):
                value = inspect.getattr_static(type(self.owner), path[1], MISSING)
            if isinstance(value, functools.partial):
                continue
            inner = getattr(value, "__wrapped__", None)
            value = inner if isinstance(inner, types.FunctionType) else value
            if isinstance(value, types.FunctionType) and not is_foreign(value):
                yield ".".join(path), node, value


def read(function: types.FunctionType, name: str) -> Unit:
    """The marked source of one function."""
    file = function.__code__.co_filename
    if pathlib.Path(file).exists():  # cells and generated code live in the cache alone
        linecache.checkcache(file)
    lines = linecache.getlines(file, function.__globals__)
    node = _find(function, lines)
    if node is None:
        raise CannotPort(
            f"The source of `{function.__name__}` cannot be found.",
            fix="Define it in a cell or a file, not through exec or an interactive prompt.",
        )
    if isinstance(node, ast.Lambda):
        text, first_line, indent = _lambda_text(node, "".join(lines), name), node.lineno - 1, 0
    else:
        text, first_line, indent = _def_text(node, lines), node.lineno, node.col_offset
    tree = ast.parse(text).body[0]
    if not isinstance(tree, ast.FunctionDef):
        raise CannotPort(
            f"`{name}` is a coroutine, which has no JAX form.", fix="Write it as a plain function."
        )
    tree.name = name if tree.name != name else tree.name
    mark(tree, text)
    _mangle(tree, function)
    return Unit(
        name=name,
        function=function,
        text=text,
        node=tree,
        file=file,
        first_line=first_line,
        indent=indent,
        imported=imported_in(tree),
    )


def imported_in(tree: ast.FunctionDef) -> dict[str, Any]:
    """What a function imports of NumPy, JAX and Python's own library, by the names that it has for them."""
    found: dict[str, Any] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                name = alias.name if alias.asname else alias.name.split(".")[0]
                found[alias.asname or name] = _module(name)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            module = _module(node.module or "")
            for alias in node.names:
                found[alias.asname or alias.name] = getattr(module, alias.name, None)
    return {name: value for name, value in found.items() if value is not None}


def _module(name: str) -> types.ModuleType | None:
    home = name.split(".")[0]
    if home not in FOREIGN and home not in sys.stdlib_module_names:
        return None
    try:
        return importlib.import_module(name)
    except ImportError:  # one that the function may never come to
        return None


def _mangle(tree: ast.FunctionDef, function: types.FunctionType) -> None:
    """`self.__x` in a class `C` means `self._C__x`, wherever the code is run."""
    owner = function.__qualname__.rpartition(".")[0].rpartition(".")[2].lstrip("_")
    for node in ast.walk(tree):
        private = isinstance(node, ast.Attribute) and node.attr.startswith("__")
        if private and not node.attr.endswith("__") and owner not in ("", "<locals>"):  # type: ignore[attr-defined]
            node.attr = f"_{owner}{node.attr}"  # type: ignore[attr-defined]


def _find(
    function: types.FunctionType, lines: list[str]
) -> ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | None:
    """The definition of a function in its file: the one that compiles to the same code."""
    try:
        tree = ast.parse("".join(lines))
    except SyntaxError:
        return None
    first = function.__code__.co_firstlineno
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    found = [node for node in ast.walk(tree) if isinstance(node, kinds) and _first_line(node) == first]
    named = [node for node in found if getattr(node, "name", "<lambda>") == function.__code__.co_name]
    if len(named) > 1:
        named = [node for node in named if _compiles_to(node, function.__code__)] or named
    return named[0] if len(named) >= 1 else None


def _first_line(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> int:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(d.lineno for d in decorators)])


def _compiles_to(node: ast.AST, code: types.CodeType) -> bool:
    """Whether a lambda stands at the columns that the code object carries."""
    body = getattr(node, "body", None)
    positions = [p for p in code.co_positions() if p[2] is not None and p[3] is not None and p[2] != p[3]]
    if not isinstance(body, ast.expr) or not positions:
        return False
    starts = [(p[0], p[2]) for p in positions]
    return all(
        (body.lineno, body.col_offset) <= start <= (body.end_lineno, body.end_col_offset)
        for start in starts
        if start[1] is not None and start[0] is not None
    )


def _def_text(node: ast.FunctionDef | ast.AsyncFunctionDef, lines: list[str]) -> str:
    """A definition's own lines, moved to the left margin."""
    indent = lines[node.lineno - 1][: node.col_offset]
    own = lines[node.lineno - 1 : node.end_lineno]
    text = "".join(line.removeprefix(indent) for line in own)
    return text if text.endswith("\n") else text + "\n"


def _lambda_text(node: ast.Lambda, source: str, name: str) -> str:
    """A lambda as a definition of two lines."""
    body = ast.get_source_segment(source, node.body) or ast.unparse(node.body)
    bare = "\n" not in body and not isinstance(node.body, ast.Yield | ast.YieldFrom | ast.NamedExpr)
    body = body if bare else f"({body})"
    return f"def {name}({ast.unparse(node.args)}):\n    return {body}\n"


def is_constant_module(unit: Unit, node: ast.AST) -> bool:
    """Whether `a` or `a.b` names a module, a type or a function rather than a value."""
    value = object_of(unit, node)
    return value is not MISSING and (isinstance(value, types.ModuleType | type) or callable(value))
