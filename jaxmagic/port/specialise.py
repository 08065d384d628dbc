"""The passes between observing and printing, and what trying the result teaches them."""

from __future__ import annotations

import ast
import copy
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jaxmagic.port.chains import Chains
from jaxmagic.port.collect import Program, Unit
from jaxmagic.port.containers import copied_containers, mark_shared
from jaxmagic.port.decide import Decide
from jaxmagic.port.desugar import Desugar
from jaxmagic.port.exits import Exits
from jaxmagic.port.fresh import Names
from jaxmagic.port.iterables import Iterables
from jaxmagic.port.known import Decisions, Env, Held
from jaxmagic.port.loops import Loops
from jaxmagic.port.observe import Facts
from jaxmagic.port.parameters import keep_parameters, returned_with
from jaxmagic.port.promote import Promote
from jaxmagic.port.rows import Rows
from jaxmagic.port.scaled import Scaled
from jaxmagic.port.sums import Sums
from jaxmagic.port.views import Views

STATIC = (bool, int, str, type(None), tuple)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    """A desugared unit.

    Args:
        body: its statements, views kept equal, changed parameters returned.
        names: for more new names.
        mutated: parameters whose arrays it changes, in order.
        returns: whether it returns a value of its own.
        gives: parameters whose memory it may return.
        same: the parameter whose very array it returns, on every way.
    """

    body: list[ast.stmt]
    names: Names
    mutated: tuple[str, ...]
    returns: bool
    gives: frozenset[str]
    same: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lowered:
    """The port's trees.

    Args:
        trees: by unit.
        loops: names of functions in the port that are bodies of loops, by the loop.
        mutated: parameters of the main function that come back as results.
        returns: whether the main function returns a value of its own.
        mapped: loops that became `jax.vmap`.
        takes_finite: whether zeros stand for what NumPy leaves out of a product, on one side of it.
        unchecked: source lines on which NumPy's code raises by data and the port does not.
        sliced: source lines with a slice of fixed size that data move.
        whole: source lines on which Python's own whole numbers may outgrow the port's.
        mixed: unit, line, name or nothing, and two dtypes (or one twice) between which data choose there.
    """

    trees: Mapping[Unit, ast.FunctionDef]
    loops: Mapping[str, tuple[str, int]]
    mutated: tuple[str, ...]
    returns: bool
    mapped: frozenset[tuple[str, int]] = frozenset()
    takes_finite: bool = False
    unchecked: tuple[str, ...] = ()
    sliced: tuple[str, ...] = ()
    whole: tuple[str, ...] = ()
    mixed: tuple[tuple[Unit, int, str, str, str], ...] = ()


def plain_units(program: Program, facts: Facts) -> dict[Unit, Plain]:
    """Every unit desugared, callees first."""
    done: dict[Unit, Plain] = {}
    for unit in program.units:
        mutated = {other: plain.mutated for other, plain in done.items()}
        returning = {other: plain.returns for other, plain in done.items()}
        giving = {other: plain.gives for other, plain in done.items()}
        same = {other: plain.same for other, plain in done.items()}
        done[unit] = _plain(unit, facts, mutated, returning, giving, same)
    return done


def _plain(
    unit: Unit,
    facts: Facts,
    mutated: dict[Unit, tuple[str, ...]],
    returning: dict[Unit, bool],
    giving: dict[Unit, frozenset[str]],
    same: dict[Unit, str | None],
) -> Plain:
    names = Names(unit)
    arguments = unit.node.args
    parameters = [a.arg for a in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]]
    returns = any(isinstance(n, ast.Return) and not _is_none(n.value) for n in ast.walk(unit.node))
    body = Desugar(unit, facts, names, mutated, returning, same).block(copy.deepcopy(unit.node).body)
    body = Iterables(unit, facts, names).block(body)
    body = Chains(unit, facts, names).taken_apart(body)
    body = Exits(unit, names).block(body)
    views = Views(unit, facts, body, frozenset(parameters), names, giving, same)
    body = Sums(unit, facts, views.body).visit(ast.Module(views.body, [])).body
    body = Promote(unit, facts, names).block(body, {})
    body = [Scaled(unit, facts).visit(node) for node in body]
    body = Rows(unit, facts, names, body).block(body, {})
    mark_shared(unit, facts, parameters, body)
    body, held = keep_parameters(unit, body, names)
    body = [*copied_containers(unit, facts, parameters, body), *body]
    changed = tuple(name for name in parameters if name in held)
    return Plain(
        body=returned_with(body, [held[name] for name in changed], returns),
        names=names,
        mutated=changed,
        returns=returns,
        gives=views.given,
        same=_returned_parameter(unit, facts, parameters),
    )


def _returned_parameter(unit: Unit, facts: Facts, parameters: list[str]) -> str | None:
    """The parameter whose very array a unit returns, on every way through it."""
    inside = [
        n for n in ast.walk(unit.node) if isinstance(n, ast.FunctionDef | ast.Lambda) and n is not unit.node
    ]
    ends = [n.value for n in ast.walk(unit.node) if isinstance(n, ast.Return)]
    named = {end.id if isinstance(end, ast.Name) else "" for end in ends}
    name = next(iter(named)) if len(named) == 1 else ""
    if inside or name not in parameters or not isinstance(unit.node.body[-1], ast.Return):
        return None
    updates = [n for n in ast.walk(unit.node) if isinstance(n, ast.AugAssign)]
    in_place = [n.target for n in updates if facts.touched(unit, n, name).is_array]
    bound = (n for n in ast.walk(unit.node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))
    return None if any(n.id == name and n not in in_place for n in bound) else name


def _is_none(value: ast.expr | None) -> bool:
    return value is None or (isinstance(value, ast.Constant) and value.value is None)


def lower(
    program: Program,
    plain: Mapping[Unit, Plain],
    facts: Facts,
    decisions: Decisions,
    arguments: Mapping[str, Any],
    way: type[Loops] = Decide,
) -> Lowered:
    """The trees of the port, callers first so that helpers know what is passed to them."""
    calls: dict[Unit, dict[str, bool]] = {unit: {} for unit in program.units}
    for unit in given_units(program):
        if plain[unit].mutated:
            text = f"`{unit.name}`, which is passed as an argument, changes its own arguments in place."
            raise unit.refuse(unit.node, text, "Return the new value.")
        calls[unit] = dict.fromkeys(inspect.signature(unit.function).parameters, False)
    trees: dict[Unit, ast.FunctionDef] = {}
    loops: dict[str, tuple[str, int]] = {}
    mapped: set[tuple[str, int]] = set()
    takes_finite = False
    unchecked: list[str] = []
    sliced: list[str] = []
    whole: list[str] = []
    mixed: list[tuple[Unit, int, str, str, str]] = []
    for unit in reversed(program.units):
        statements = way(unit, facts, decisions, calls, copy.deepcopy(plain[unit].names), plain[unit].body)
        static = static_names(arguments, decisions) if unit is program.main else calls[unit]
        body = statements.block(plain[unit].body, parameters_of(unit, static))
        tree = copy.copy(unit.node)
        tree.body = body or [ast.Pass()]
        trees[unit] = tree
        loops |= statements.loops
        mapped |= statements.mapping
        takes_finite |= statements.takes_finite
        mixed += [(unit, *found) for found in statements.mixed]
        unchecked += lines_of(unit, statements.unchecked)
        sliced += lines_of(unit, statements.sliced)
        whole += lines_of(unit, statements.unlimited)
    main = plain[program.main]
    return Lowered(
        trees=trees,
        loops=loops,
        mutated=main.mutated,
        returns=main.returns,
        mapped=frozenset(mapped),
        takes_finite=takes_finite,
        unchecked=tuple(unchecked),
        sliced=tuple(sliced),
        whole=tuple(whole),
        mixed=tuple(mixed),
    )


def given_units(program: Program) -> list[Unit]:
    """The units of the functions among the arguments, which are called with data."""
    return [unit for unit in program.given.values() if unit is not None]


def lines_of(unit: Unit, numbers: list[int]) -> list[str]:
    """Source lines by their numbers, each once."""
    lines = unit.text.splitlines()
    return [lines[n - 1].strip() for n in sorted(set(numbers))]


def static_names(arguments: Mapping[str, Any], decisions: Decisions) -> dict[str, bool]:
    """Which of the main function's arguments are Python values under jit."""
    return {
        name: is_static_value(value) or is_object(value) or name in decisions.static
        for name, value in arguments.items()
    }


def is_static_value(value: Any) -> bool:
    """Sizes, flags, names, and tuples of them."""
    if isinstance(value, tuple):
        return all(is_static_value(item) for item in value)
    return isinstance(value, STATIC)


def is_object(value: Any) -> bool:
    """An object of the user's, such as the `self` of a method."""
    return type(value).__module__.split(".")[0] not in ("builtins", "numpy", "jax", "jaxlib")


def parameters_of(unit: Unit, static: Mapping[str, bool]) -> Env:
    """What is known of a unit's parameters; a default that is not passed is Python's own."""
    names = inspect.signature(unit.function).parameters
    return {name: Held(static=static.get(name, True)) for name in names}
