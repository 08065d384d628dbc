"""What would surprise the user about a program: a table of questions, each answered by notes."""

from __future__ import annotations

import ast
import functools
import linecache
import statistics
import textwrap
import types
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from jaxmagic.analysis import program, sources
from jaxmagic.analysis.costs import Costs
from jaxmagic.analysis.inputs import NARROW, Inputs
from jaxmagic.analysis.program import Step
from jaxmagic.results import Note, Span

# A constant below this is no surprise, in bytes; nor is a loop of fewer turns.
SMALL_CONSTANT = 1024
FEW_TURNS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that notes are made from.

    Args:
        jaxpr: the program.
        constants: the arrays that it holds.
        given: the inputs.
        steps: the program's equations.
        codes: the user's functions involved.
        function: the user's function.
        made_static: inputs that had to become Python values.
        caught: Python warnings of the trace.
    """

    jaxpr: Any
    constants: Sequence[Any]
    given: Inputs
    steps: Sequence[Step]
    codes: Sequence[types.CodeType]
    function: Any
    made_static: Sequence[str]
    caught: Sequence[warnings.WarningMessage]


def of_program(evidence: Evidence) -> tuple[Note, ...]:
    """Every note but those on costs, each once."""
    found = (note for ask in QUESTIONS for note in ask(evidence))
    return tuple(dict.fromkeys(found))


def of_costs(costs: Costs) -> tuple[Note, ...]:
    """What is to be said of the costs."""
    found = (note for ask in ABOUT_COSTS for note in ask(costs))
    return tuple(dict.fromkeys(found))


# -- constants and inputs --------------------------------------------------------------------------


def captured_constants(evidence: Evidence) -> Iterator[Note]:
    """Arrays that the function closes over, and the program therefore holds."""
    variables = list(_variables(evidence))
    for array in evidence.constants:
        size = getattr(array, "nbytes", 0)
        if size < SMALL_CONSTANT:
            continue
        name = next((name for name, value in variables if _same(value, array)), "")
        what = f"`{name}`" if name else "An array"
        kind = program.type_of(jax.typeof(array))
        yield Note(
            kind="captured constant",
            text=f"{what} `{kind}` ({told_bytes(size)}) is captured: the program holds it as a constant, and "
            "changing it has no effect on what was compiled. Pass it as an argument.",
        )


def _variables(evidence: Evidence) -> Iterator[tuple[str, Any]]:
    """The globals and closure variables that the user's functions name."""
    for function in _functions(evidence.function):
        names = function.__code__.co_names
        yield from ((name, function.__globals__[name]) for name in names if name in function.__globals__)
        cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=False)
        yield from ((name, cell.cell_contents) for name, cell in cells if _filled(cell))


def _functions(start: Any) -> Iterator[types.FunctionType]:
    """The user's function and those that it names, and so on."""
    seen: set[int] = set()
    waiting = [start]
    while waiting:
        function = _python_function(waiting.pop())
        if function is None or id(function) in seen or not program.is_users(function.__code__.co_filename):
            continue
        seen.add(id(function))
        yield function
        values = [function.__globals__.get(name) for name in function.__code__.co_names]
        values += [cell.cell_contents for cell in function.__closure__ or () if _filled(cell)]
        waiting += [value for value in values if callable(value)]


def _python_function(value: Any) -> types.FunctionType | None:
    value = getattr(value, "func", value) if isinstance(value, functools.partial) else value
    value = getattr(value, "__wrapped__", value)
    value = getattr(value, "__func__", value)
    return value if isinstance(value, types.FunctionType) else None


def _filled(cell: types.CellType) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:
        return False
    return True


def _same(value: Any, array: Any) -> bool:
    """Whether a variable's value is this constant; JAX wraps NumPy's arrays without copying them."""
    if value is array:
        return True
    if not isinstance(value, np.ndarray) or value.shape != array.shape or isinstance(array, jax.Array):
        return False
    return np.shares_memory(value, np.asarray(array))


def narrowed(evidence: Evidence) -> Iterator[Note]:
    """Inputs of 64 bits that JAX cut to 32."""
    for leaf, aval in zip(evidence.given.traced, evidence.jaxpr.in_avals, strict=False):
        got = str(getattr(aval, "dtype", ""))
        if got == NARROW.get(leaf.asked):
            yield Note(
                kind=f"{leaf.asked} became {got}",
                text=f"`{leaf.path}` is {leaf.asked} and becomes {got}: JAX computes in 32 bits unless "
                "`jax.enable_x64(True)` is on.",
            )


def unused_inputs(evidence: Evidence) -> Iterator[Note]:
    """Inputs that no equation and no output needs."""
    jaxpr = program.opened(evidence.jaxpr)
    used = {id(atom) for equation in jaxpr.eqns for atom in equation.invars} | set(map(id, jaxpr.outvars))
    pairs = zip(evidence.given.traced, jaxpr.invars, strict=False)
    idle = [leaf.path for leaf, variable in pairs if id(variable) not in used]
    if idle:
        named = ", ".join(f"`{path}`" for path in idle[:MANY]) + (", …" if len(idle) > MANY else "")
        verb = "is" if len(idle) == 1 else "are"
        yield Note(kind="unused input", text=f"{named} {verb} not used: the result does not depend on it.")


MANY = 5


def static_inputs(evidence: Evidence) -> Iterator[Note]:
    """Inputs for whose values the program is made."""
    for leaf in evidence.given.static:
        if leaf.path in evidence.made_static:
            yield Note(
                kind="static input",
                text=f"`{leaf.path}` = {leaf.value!r} has to be known while tracing, so it is a Python value "
                "here (under `jax.jit`, list it in `static_argnames`): each other value makes a new program.",
            )


# -- loops and calls -------------------------------------------------------------------------------


def unrolled_loops(evidence: Evidence) -> Iterator[Note]:
    """Python loops that became that many copies of their body."""
    copies = Counter((step.span, step.equation.primitive.name) for step in evidence.steps)
    for code in evidence.codes:
        for first, last in _loops(code):
            counts = [n for (span, _), n in copies.items()
                      if span and span.file == code.co_filename and first <= span.line <= last]  # fmt: skip
            turns = int(statistics.median(counts)) if counts else 0
            if turns >= FEW_TURNS:
                yield _unrolled(code.co_filename, first, turns, sum(counts))


def _unrolled(file: str, line: int, turns: int, equations: int) -> Note:
    text = linecache.getline(file, line)
    start = len(text) - len(text.lstrip())
    place = Span(file=file, line=line, column=start, end_line=line, end_column=len(text.rstrip()))
    return Note(
        kind="unrolled loop",
        text=f"This Python loop was unrolled into {equations:,} equations, about {turns:,} copies of its "
        "body. `jax.lax.fori_loop` or `jax.lax.scan` would keep one.",
        span=place,
    )


def _loops(code: types.CodeType) -> list[tuple[int, int]]:
    """First and last line of each outermost Python loop of a function."""
    listing = sources.listings([code], ())
    try:
        tree = ast.parse(textwrap.dedent("\n".join(listing[0].lines)))
    except (IndexError, SyntaxError, ValueError):
        return []
    return list(_outermost(tree, listing[0].first_line - 1))


def _outermost(node: ast.AST, offset: int) -> Iterator[tuple[int, int]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.For | ast.While | ast.ListComp | ast.GeneratorExp):
            yield child.lineno + offset, (child.end_lineno or child.lineno) + offset
        else:
            yield from _outermost(child, offset)


def callbacks(evidence: Evidence) -> Iterator[Note]:
    """Places where the program calls Python."""
    for step in evidence.steps:
        name = step.equation.primitive.name
        if name in CALLBACKS:
            yield Note(kind="callback", text=f"{CALLBACKS[name]} Its cost is unknown.", span=step.span)


CALLBACKS = {
    "pure_callback": "The compiled program calls back into Python here.",
    "io_callback": "The compiled program calls back into Python here.",
    "debug_callback": "The compiled program calls back into Python here, to print.",
    "debug_print": "The compiled program calls back into Python here, to print.",
}


# -- costs -----------------------------------------------------------------------------------------


def endless_loops(costs: Costs) -> Iterator[Note]:
    """Loops whose number of turns is known only when they run."""
    for span in costs.endless:
        yield Note(
            kind="unknown loop",
            text="How often this loop turns is not known before it runs: its cost is told for one turn.",
            span=span,
        )


def branches(costs: Costs) -> Iterator[Note]:
    """Conditions, of whose branches one runs."""
    for span, ways in costs.branches.items():
        figures = [cost.flops for cost in ways]
        if len(set(figures)) > 1:
            told = ["unknown" if one is None else f"{one:,.0f} flop" for one in figures]
            yield Note(
                kind="branches",
                text=f"One of these branches runs: {' or '.join(told)}. The total counts the dearer one.",
                span=span,
            )


def custom_calls(costs: Costs) -> Iterator[Note]:
    """Calls of code that XLA does not see into."""
    if costs.textbook:
        named = ", ".join(f"`{target}`" for target in costs.textbook)
        yield Note(kind="textbook cost", text=f"The cost of {named} is the textbook's, not XLA's.")
    if costs.refused:
        text = f"JAX cannot lower this program, so its cost is unknown: {costs.refused}"
        yield Note(kind="not lowered", text=text)
    for target, span in costs.unknown.items():
        if "callback" not in target:
            yield Note(kind="unknown cost", text=f"The cost of `{target}` is unknown.", span=span)


def python_warnings(evidence: Evidence) -> Iterator[Note]:
    """What Python warned of while tracing."""
    for caught in evidence.caught:
        if issubclass(caught.category, _FOR_AUTHORS) and not program.is_users(caught.filename):
            continue
        line = linecache.getline(caught.filename, caught.lineno)
        place = None
        if program.is_users(caught.filename) and line:
            start = len(line) - len(line.lstrip())
            place = Span(file=caught.filename, line=caught.lineno, column=start,
                         end_line=caught.lineno, end_column=len(line.rstrip()))  # fmt: skip
        yield Note(kind="warning", text=str(caught.message).strip(), span=place)


_FOR_AUTHORS = (DeprecationWarning, PendingDeprecationWarning, FutureWarning)


def told_bytes(size: int) -> str:
    """A size in words, for notes: `4 MB`."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.3g} {unit}"
    return f"{size} B"


QUESTIONS: tuple[Callable[[Evidence], Iterator[Note]], ...] = (
    captured_constants,
    narrowed,
    static_inputs,
    unused_inputs,
    unrolled_loops,
    callbacks,
    python_warnings,
)
ABOUT_COSTS: tuple[Callable[[Costs], Iterator[Note]], ...] = (endless_loops, branches, custom_calls)
