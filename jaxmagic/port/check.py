"""A trial: the port is traced with a look at each expression, whose dtype has to be NumPy's."""

from __future__ import annotations

import ast
import copy
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from jaxmagic.port.collect import Program, Unit
from jaxmagic.port.edges import Edges, Place, looked_at, narrows, some_looked_at
from jaxmagic.port.emit import Module, Rename, namespace
from jaxmagic.port.instrument import constant
from jaxmagic.port.observe import NUMBERS, Facts
from jaxmagic.port.prove import copied_on_jax

FILE = "<trial>"
Inputs = tuple[tuple[Any, ...], dict[str, Any]]
Trees = Mapping[Unit, ast.FunctionDef]
Looks = dict[str, Callable[..., Any]]


@dataclass(slots=True)
class Misfit:
    """What a trial showed.

    Args:
        casts: expressions whose dtype is not NumPy's, and NumPy's, by unit and number.
        error: what tracing raised.
        mixed: unit, line, nothing, and the dtypes of the two values that data choose between there.
        shapes: unit and line where data choose between values of different shapes.
        whole: unit and line where real numbers become whole ones.
        some: unit and line with an extreme of the elements that are left.
        functions: names of the port's functions that were running when it raised, outermost first.
    """

    casts: dict[tuple[str, int], str] = field(default_factory=dict)
    mixed: set[tuple[str, int, str, str, str]] = field(default_factory=set)
    shapes: set[tuple[str, int]] = field(default_factory=set)
    whole: set[Place] = field(default_factory=set)
    some: set[Place] = field(default_factory=set)
    error: Exception | None = None
    functions: tuple[str, ...] = ()


class _Look(ast.NodeTransformer):
    """`look(number, expression)` around each expression that was watched, and a look at each choice."""

    def __init__(self, unit: Unit, facts: Facts) -> None:
        self.unit = unit
        self.facts = facts

    def visit(self, node: ast.AST) -> Any:
        """Inside out."""
        new = self.generic_visit(node)
        if hasattr(new, "chosen"):
            place = constant((self.unit.name, new.chosen))
            return ast.Call(ast.Name("__choose__", ast.Load()), [place, new.func, *new.args], [])  # type: ignore[attr-defined]
        if not isinstance(new, ast.BinOp | ast.Call | ast.UnaryOp | ast.Subscript) or not isinstance(
            getattr(new, "ctx", ast.Load()), ast.Load
        ):
            return new
        fact = self.facts.of(self.unit, new)
        if (
            not hasattr(new, "key")
            or fact.dtype is None
            or any(form.kind not in ("array", "scalar") for form in fact.forms)
        ):
            return new
        key = constant((self.unit.name, new.key))  # type: ignore[union-attr]
        return ast.Call(ast.Name("__look__", ast.Load()), [key, new, ast.Constant(fact.dtype)], [])


def misfits(
    program: Program,
    lowered: Any,
    facts: Facts,
    module: Module,
    bind: Callable[..., Any],
    inputs: Inputs,
    static: tuple[str, ...],
) -> Misfit:
    """Trace the port and see where its dtypes differ from NumPy's, or why it cannot be traced."""
    found = Misfit()

    def look(key: tuple[str, int], value: Any, dtype: str) -> Any:
        if isinstance(value, jax.Array | np.ndarray) and _misfits(value, dtype):
            found.casts.setdefault(key, dtype)
        return value

    def choose(place: tuple[str, int], function: Callable[..., Any], *args: Any) -> Any:
        if np.shape(args[-2]) != np.shape(args[-1]):
            found.shapes.add(place)
        found.mixed.add((*place, "", _numbers(args[-2]), _numbers(args[-1])))
        return function(*args)

    looks: Looks = {"__look__": look, "__choose__": choose, **_edges_into(found)}
    function = bind(program, _built(program, lowered.trees, module, looks, facts))
    own = copied_on_jax(inputs)
    try:
        jax.jit(function, static_argnames=static).trace(*own[0], **own[1])
    except Exception as error:  # noqa: BLE001 any failure to trace is a finding
        found.error = error
        found.functions = tuple(
            frame.name for frame in traceback.extract_tb(error.__traceback__) if frame.filename == FILE
        )
    return found


def run_at_the_edge(
    program: Program, trees: Trees, module: Module, bind: Callable[..., Any], inputs: Inputs
) -> Misfit:
    """Run a port operation by operation to see what it casts, and of what it takes extremes."""
    found = Misfit()
    function = bind(program, _built(program, trees, module, _edges_into(found)))
    own = copied_on_jax(inputs)
    try:
        function(*own[0], **own[1])
    except Exception as error:  # noqa: BLE001 the proof says why it cannot run
        found.error = error
    return found


def _edges_into(found: Misfit) -> Looks:
    """The looks that note where reals become whole numbers, and where extremes are of what is left."""

    def cast(place: Place, value: Any, dtype: Any) -> Any:
        if narrows(value, dtype):
            found.whole.add(place)
        return value

    def some(place: Place, condition: Any) -> Any:
        found.some.add(place)
        return condition

    return {"__cast__": cast, "__some__": some}


def _misfits(value: Any, dtype: str) -> bool:
    """Whether a value has another dtype than NumPy's; Python's own numbers only have a kind."""
    if _weak(value):
        return bool(value.dtype.kind != np.dtype(dtype).kind)
    return str(value.dtype) != dtype


def _numbers(value: Any) -> str:
    """A value's dtype; of Python's own number, as of what JAX made of one, the one that NumPy gives it."""
    weak = _weak(value) or not hasattr(value, "dtype")
    kind = np.zeros((), getattr(value, "dtype", type(value))).item()
    return NUMBERS[type(kind).__name__] if weak else str(value.dtype)


def _weak(value: Any) -> bool:
    return bool(
        getattr(value, "weak_type", False) or getattr(getattr(value, "aval", None), "weak_type", False)
    )


def looking(program: Program, trees: Trees, module: Module) -> Callable[..., Any]:
    """The port with a look at every cast and extreme, for `checkify`."""
    return _built(program, trees, module, {"__cast__": looked_at, "__some__": some_looked_at})


def _built(
    program: Program, trees: Trees, module: Module, looks: Looks, facts: Facts | None = None
) -> Callable[..., Any]:
    """The port's function with looks at its casts, and (given facts) at its expressions."""
    body: list[ast.stmt] = []
    for unit in program.units:
        tree = copy.deepcopy(trees[unit])
        tree.decorator_list = []
        tree = tree if facts is None else _Look(unit, facts).visit(tree)
        body.append(Edges(unit).visit(Rename(unit).visit(tree)))
    names = namespace(module) | looks
    exec(compile(ast.fix_missing_locations(ast.Module(body, [])), FILE, "exec"), names)
    function: Callable[..., Any] = names[program.main.name]
    return function
