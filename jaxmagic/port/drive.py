"""The passes in order: see the NumPy run, lower, print, try, learn, prove."""

from __future__ import annotations

import ast
import functools
import inspect
import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from jaxmagic.errors import CannotPort
from jaxmagic.port import obstacles
from jaxmagic.port.assumed import assumptions, captures, has_indices, lines_at, mixed
from jaxmagic.port.bounds import Bounds
from jaxmagic.port.branches import UNSEEN
from jaxmagic.port.check import Misfit, looking, misfits, run_at_the_edge
from jaxmagic.port.collect import Program, Unit, collect
from jaxmagic.port.contexts import opened
from jaxmagic.port.decide import Eager
from jaxmagic.port.emit import execute, module_of
from jaxmagic.port.explore import observe
from jaxmagic.port.guard import guarded, is_function
from jaxmagic.port.known import Decisions
from jaxmagic.port.observe import Facts
from jaxmagic.port.proof import (
    Inputs,
    Made,
    ask,
    bind,
    call_on_copies,
    called_again,
    named,
    others,
    outcome,
    proved,
)
from jaxmagic.port.prove import Run, compare, needs_x64
from jaxmagic.port.shrinking import full_width
from jaxmagic.port.specialise import Lowered, is_static_value, lower, plain_units
from jaxmagic.port.views import all_stores
from jaxmagic.results import Note, Port

_numbers = itertools.count(1)
# How often what trying taught may change the port.
TRIES = 12
# An eager port pays tens of microseconds for each operation: longer runs are refused.
EAGER = 3000
# Each operation on each new size is compiled anew, which takes tens of milliseconds.
RESIZES = 200
FULL_WIDTH = (
    "Arrays that get shorter in a loop keep their size here, with a mask of what is left: the port computes "
    "for all of them in every iteration, and is slower than NumPy where most are left out early."
)


def drive(
    fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], *, prove: bool = True
) -> Port:
    """Collect, observe, rewrite, print, run and compare; a race does the last two itself."""
    program = collect(fn, (args, kwargs))
    silenced = opened(program)
    for unit in program.units:
        obstacles.check(unit)
    inputs = (args, dict(kwargs))
    if not can_run(fn, inputs):
        return without_inputs(program)
    with np.errstate(all="ignore") if silenced else nullcontext():
        return with_inputs(program, inputs, prove=prove)


def without_inputs(program: Program) -> Port:
    """Names rewritten, nothing proved."""
    for unit in program.units:
        obstacles.check_mutation(unit)
    module = module_of(program, {unit: unit.node for unit in program.units})
    note = Note(kind="unproved", text="Nothing was compared: the port was made without inputs.")
    function = bind(program, execute(module, next(_numbers)))
    return Port(
        name=program.main.name,
        original=module.original,
        source=module.source,
        diff=module.diff,
        function=function,
        notes=(*captures(module), note),
    )


def with_inputs(program: Program, inputs: Inputs, *, prove: bool) -> Port:
    """The port for these inputs, proved on them or left for the caller to prove."""
    main = program.main.function
    refuse_objects(program, inputs)
    whole = (program.bound_args + inputs[0], {**program.bound_kwargs, **inputs[1]})
    with precision(needs_x64(whole)):
        numpy, facts = observe(program, lambda watched: call_on_copies(watched, main, whole))
    refuse_random(program, facts)
    refuse_foreign(program, facts)
    wide = needs_x64(whole) or facts.is_wide
    with precision(wide):
        program, facts, made = settled_or_eager(program, facts, inputs, numpy, whole)
        if made.lowered.mutated:
            refuse_overlap(program, named(main, whole))
        notes = [*captures(made.module), *assumptions(made)]
        if made.proof is not None:
            notes += made.proof
        elif prove or made.refusal is not None or facts.tried:
            made, shown = proved_or_looped(program, facts, made, inputs, numpy, whole)
            notes = [*captures(made.module), *assumptions(made), *shown]
    return finished(program, made, tuple(notes), wide, inputs)


def finished(program: Program, made: Made, notes: tuple[Note, ...], wide: bool, inputs: Inputs) -> Port:
    """The result."""
    bounds = None
    if has_indices(made) or made.whole or made.some:
        asked, told = functools.partial(ask, program), functools.partial(outcome, program, made)
        looking_at = made.function
        if made.whole or made.some:
            looking_at = bind(program, looking(program, made.lowered.trees, made.module))
        bounds = Bounds(made.function, looking_at, asked, told, made.static, jitted=made.jitted, wide=wide)
    return Port(
        name=program.main.name,
        original=made.module.original,
        source=made.module.source,
        diff=made.module.diff,
        function=guarded(made.function, named(made.function, inputs), bounds),
        mutated=made.lowered.mutated,
        static=made.static,
        x64=wide,
        returns=made.lowered.returns,
        notes=notes,
    )


# -- running the user's function --


def can_run(fn: Callable[..., Any], inputs: Inputs) -> bool:
    """Whether the inputs given are all that the function needs."""
    try:
        inspect.signature(fn).bind(*inputs[0], **inputs[1])
    except (TypeError, ValueError):
        return False
    return True


def _leaves(program: Program, name: str, value: Any) -> list[Any]:
    """What an input holds; JAX takes a dict's values by its keys in order."""
    try:
        return jax.tree.leaves(value)
    except (TypeError, ValueError):
        text = f"`{name}` has a dict whose keys have no order, such as numbers beside text."
        raise program.main.refuse(program.main.node, text, "Use keys of one kind.") from None


def refuse_objects(program: Program, inputs: Inputs) -> None:
    """Arrays of objects and text have no JAX form, nor have dicts whose keys have no order.

    Raises:
        CannotPort: an input holds such an array or dict.
    """
    for name, value in named(
        program.main.function, (program.bound_args + inputs[0], {**program.bound_kwargs, **inputs[1]})
    ).items():
        for leaf in _leaves(program, name, value):
            if isinstance(leaf, np.ndarray) and leaf.dtype.kind not in "biufc":
                raise program.main.refuse(
                    program.main.node,
                    f"`{name}` is an array of {leaf.dtype}, and JAX holds numbers only.",
                    "Pass numbers: codes for text, several arrays for records.",
                )
            if type(leaf).__module__.split(".")[0] == "pandas":
                raise program.main.refuse(
                    program.main.node,
                    f"`{name}` is a pandas {type(leaf).__name__}, which JAX does not know.",
                    "Pass its columns as arrays: `frame['x'].to_numpy()`.",
                )


@contextmanager
def precision(wide: bool) -> Iterator[None]:
    """64-bit numbers where NumPy computes with them, for this thread and this block only."""
    with jax.enable_x64(wide or bool(jax.config.read("jax_enable_x64"))):
        yield


def refuse_random(program: Program, facts: Facts) -> None:
    """A generator of random numbers, wherever the function got it from.

    Raises:
        CannotPort: the watched run read one.
    """
    for unit, node in _seen(program, facts, "random"):
        raise unit.refuse(
            node,
            f"`{ast.unparse(node)}` draws from a hidden state, which compiled code lacks.",
            "Draw the numbers outside and pass the array, or use jax.random with a key.",
        )


def refuse_foreign(program: Program, facts: Facts) -> None:
    """Arrays of records, text, dates or objects, matrices and masked arrays.

    Raises:
        CannotPort: the watched run made one.
    """
    for unit, node in _seen(program, facts, "foreign"):
        raise unit.refuse(
            node,
            f"`{ast.unparse(node)}` is no plain array of numbers: it holds text, dates, records or "
            "objects, or is a matrix or a masked array.",
            "Use `np.array` of numbers: codes for text, one array for each field of a record.",
        )


def _seen(program: Program, facts: Facts, kind: str) -> Iterator[tuple[Unit, ast.AST]]:
    """The expressions that were watched giving a kind of value, with the function that each stands in."""
    for unit in program.units:
        for node in ast.walk(unit.node):
            if any(form.kind == kind for form in facts.of(unit, node).forms):
                yield unit, node


def refuse_overlap(program: Program, arguments: Mapping[str, Any]) -> None:
    """Inputs that share memory change together, which copies of them do not show.

    Raises:
        CannotPort: two arguments share memory.
    """
    arrays = [
        (name, leaf)
        for name, value in arguments.items()
        for leaf in jax.tree.leaves(value)
        if isinstance(leaf, np.ndarray)
    ]
    for (a, first), (b, second) in itertools.combinations(arrays, 2):
        if np.may_share_memory(first, second):
            raise program.main.refuse(
                program.main.node,
                f"`{a}` and `{b}` share memory, and the function changes one of its arguments.",
                f"Pass a copy: `{b}.copy()`.",
            )


# -- making the port --


def settle(
    program: Program, facts: Facts, inputs: Inputs, arguments: Mapping[str, Any], *, maps: bool = True
) -> Made:
    """Lower and trace until nothing is left to learn."""
    plain = plain_units(program, facts)
    decisions = Decisions(maps=maps, finite=are_finite(arguments))
    for _ in range(TRIES):
        lowered = lower(program, plain, facts, decisions, arguments)
        module = module_of(program, lowered.trees)
        function = bind(program, execute(module, next(_numbers)))
        static = static_parameters(function, inputs, decisions)
        found = misfits(program, lowered, facts, module, bind, inputs, static)
        refuse_shapes(program, found)
        if not _learn(found, decisions, lowered, named(function, inputs)):
            return Made(
                module=module,
                lowered=lowered,
                function=function,
                static=static,
                jitted=found.error is None,
                mixed=mixed(program, lowered, found),
                whole=lines_at(program, found.whole),
                some=lines_at(program, found.some),
            )
    raise CannotPort(f"The port of `{program.main.name}` does not settle.", fix="Simplify the function.")


def settled_or_eager(
    program: Program, facts: Facts, inputs: Inputs, numpy: Run, whole: Inputs
) -> tuple[Program, Facts, Made]:
    """The port under jit; where sizes depend on data, one of full sizes, or one that runs eagerly."""
    arguments = named(program.main.function, whole)
    refusal = None
    try:
        made = settle(program, facts, inputs, arguments)
        if made.jitted:
            return program, facts, made
    except CannotPort as found:
        refusal = found
    wide = at_full_width(program, facts, inputs, numpy, whole)
    if wide is not None:
        return wide
    if refusal is not None:
        made = run_eagerly(program, facts, inputs, arguments, refusal)
    return program, facts, made


def run_eagerly(
    program: Program, facts: Facts, inputs: Inputs, arguments: Mapping[str, Any], refusal: CannotPort
) -> Made:
    """A port that runs operation by operation, where there is one and it takes seconds at most.

    Raises:
        CannotPort: why there is none under jit.
    """
    lowered = None
    if facts.statements <= EAGER and facts.resizes <= RESIZES and not refusal.message.startswith(UNSEEN):
        lowered = eager(program, facts, arguments)
    if lowered is None:
        raise refusal
    module = module_of(program, lowered.trees)
    function = bind(program, execute(module, next(_numbers)))
    found = run_at_the_edge(program, lowered.trees, module, bind, inputs)
    return Made(
        module=module,
        lowered=lowered,
        function=function,
        static=(),
        jitted=False,
        refusal=refusal,
        whole=lines_at(program, found.whole),
        some=lines_at(program, found.some),
    )


def at_full_width(
    program: Program, facts: Facts, inputs: Inputs, numpy: Run, whole: Inputs
) -> tuple[Program, Facts, Made] | None:
    """The program with arrays that shrink kept whole, watched, ported and proved; None where that fails."""
    wide = full_width(program, facts)
    if wide is None:
        return None
    main = program.main.function
    try:
        with np.errstate(all="ignore"):
            run, seen = observe(wide, lambda watched: call_on_copies(watched, main, whole))
    except Exception:  # noqa: BLE001 elements that NumPy had dropped may do anything
        return None
    if compare(numpy, run):
        return None
    try:
        made = settle(wide, seen, inputs, named(main, whole))
        again = called_again(program, facts)
        notes = proved(wide, seen, made, inputs, numpy, whole, again)
        if not seen.tried:
            others(wide, made, inputs, again)
    except CannotPort:
        return None
    note = Note(kind="full width", text=FULL_WIDTH)
    return (wide, seen, replace(made, proof=[note, *notes])) if made.jitted else None


def eager(program: Program, facts: Facts, arguments: Mapping[str, Any]) -> Lowered | None:
    """The trees of a port that runs operation by operation, if there is one."""
    if only_names_differ(program, facts):
        return Lowered(trees={unit: unit.node for unit in program.units}, loops={}, mutated=(), returns=True)
    try:
        return lower(program, plain_units(program, facts), facts, Decisions(), arguments, Eager)
    except CannotPort:
        return None


def only_names_differ(program: Program, facts: Facts) -> bool:
    """Whether no array changes in place anywhere, so that JAX's names alone make a port."""
    try:
        plain = plain_units(program, facts)
        for unit in program.units:
            obstacles.check_mutation(unit)
    except CannotPort:
        return False
    bound_anew = all(
        _is_bound_anew(unit, node, facts) for unit in program.units for node in ast.walk(unit.node)
    )
    return bound_anew and not any(all_stores(made.body) for made in plain.values())


def _is_bound_anew(unit: Unit, node: ast.AST, facts: Facts) -> bool:
    """Whether a node is no `x += v` on what may be an array: one that never ran may be."""
    if not isinstance(node, ast.AugAssign) or not isinstance(node.target, ast.Name):
        return True
    return facts.touched(unit, node, node.target.id).is_scalar


def _learn(found: Misfit, decisions: Decisions, lowered: Lowered, arguments: Mapping[str, Any]) -> bool:
    """Change the decisions by what a trial showed; False when there is nothing to change."""
    new = {key: dtype for key, dtype in found.casts.items() if key not in decisions.casts}
    if new:
        decisions.casts.update(new)
        return True
    if found.error is None:
        return False
    for name in reversed(found.functions):
        loop = lowered.loops.get(name)
        if loop in lowered.mapped and loop not in decisions.rolled:
            decisions.rolled.add(loop)
            return True
        if loop is not None and loop not in decisions.unroll:
            decisions.unroll.add(loop)
            return True
    if not decisions.counts:
        decisions.counts = True
        return True
    floats = {
        name
        for name, value in arguments.items()
        if isinstance(value, float) and not isinstance(value, np.generic)
    }
    if floats - decisions.static:
        decisions.static |= floats
        return True
    return False


def are_finite(arguments: Mapping[str, Any]) -> bool:
    """Whether every number in the arguments is finite."""
    leaves = [leaf for leaf in jax.tree.leaves(dict(arguments)) if isinstance(leaf, np.ndarray)]
    return all(np.isfinite(leaf).all() for leaf in leaves if leaf.dtype.kind in "fc")


def static_parameters(function: Callable[..., Any], inputs: Inputs, decisions: Decisions) -> tuple[str, ...]:
    """Parameters whose values are Python's own, such as sizes and functions: they stay so under jit."""
    given = named(function, inputs)
    return tuple(
        name
        for name, value in given.items()
        if is_static_value(value) or is_function(value) or name in decisions.static
    )


def refuse_shapes(program: Program, found: Misfit) -> None:
    """Refuse a choice by data between arrays of different shapes.

    Raises:
        CannotPort: there is one.
    """
    for name, line in sorted(found.shapes):
        unit = next(unit for unit in program.units if unit.name == name)
        text = "Data decide the shape here, and compiled code needs one."
        raise unit.refuse(ast.Pass(lineno=line, col_offset=0), text, "Give both ways arrays of one shape.")


# -- proving --


def proved_or_looped(
    program: Program, facts: Facts, made: Made, inputs: Inputs, numpy: Run, whole: Inputs
) -> tuple[Made, list[Note]]:
    """The port with its proof; one that maps over iterations and differs is made again with loops."""
    try:
        return made, proved(program, facts, made, inputs, numpy, whole, called_again(program, facts))
    except CannotPort:
        if not made.lowered.mapped:
            raise
    made = settle(program, facts, inputs, named(program.main.function, whole), maps=False)
    return made, proved(program, facts, made, inputs, numpy, whole, called_again(program, facts))
