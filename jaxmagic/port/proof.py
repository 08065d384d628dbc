"""A port that could be traced, run and held against NumPy's run of the same function."""

from __future__ import annotations

import ast
import functools
import inspect
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmagic.errors import CannotPort
from jaxmagic.port.collect import Program
from jaxmagic.port.emit import Module
from jaxmagic.port.explore import ends
from jaxmagic.port.observe import Facts, taking
from jaxmagic.port.prove import Difference, Run, compare, copied, copied_on_jax, is_chaotic, on_jax, varied
from jaxmagic.port.specialise import Lowered
from jaxmagic.results import Note

Inputs = tuple[tuple[Any, ...], dict[str, Any]]
# NumPy's run on some inputs, which ends: see `called_again`.
Again = Callable[[Inputs], Run]


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A port that could be traced.

    Args:
        refusal: why there is none under jit, where there is not.
        mixed: lines whose dtype data decide.
        whole: lines on which real numbers become whole ones.
        some: lines with an extreme of the elements that are left.
        proof: what was said when it was proved, where it has been.
    """

    module: Module
    lowered: Lowered
    function: Callable[..., Any]
    static: tuple[str, ...]
    jitted: bool
    refusal: CannotPort | None = None
    mixed: tuple[str, ...] = ()
    whole: tuple[str, ...] = ()
    some: tuple[str, ...] = ()
    proof: list[Note] | None = None


def named(function: Callable[..., Any], inputs: Inputs) -> dict[str, Any]:
    """The arguments by the names of the parameters, defaults included."""
    bound = inspect.signature(function).bind(*inputs[0], **inputs[1])
    bound.apply_defaults()
    return dict(bound.arguments)


def call_on_copies(function: Callable[..., Any], main: Callable[..., Any], inputs: Inputs) -> Run:
    """One call on copies of the inputs."""
    own = copied(inputs)
    result = function(*own[0], **own[1])
    return Run(result=copied(result), after=named(main, own))


def bind(program: Program, function: Callable[..., Any]) -> Callable[..., Any]:
    """The port, which takes its own functions for the user's, with what a partial or a method supplies."""
    names = function.__globals__
    own = {
        given: getattr(jnp, given.__name__, given) if unit is None else names[unit.name]
        for given, unit in program.given.items()
    }
    function = taking(function, own)
    if not program.bound_args and not program.bound_kwargs:
        return function
    return functools.partial(function, *map(on_jax, program.bound_args), **on_jax(dict(program.bound_kwargs)))


def proved(
    program: Program, facts: Facts, made: Made, inputs: Inputs, numpy: Run, whole: Inputs, again: Again
) -> list[Note]:
    """The proof; a port that was only a way out says why there is none under jit when it fails."""
    try:
        notes = proof(program, made, inputs, numpy, again, whole)
    except CannotPort:
        if made.refusal is not None:
            raise made.refusal from None
        raise
    return [*notes, *(trials(program, made, inputs, facts, again) if facts.tried else [])]


def proof(
    program: Program, made: Made, inputs: Inputs, numpy: Run, again: Again, whole: Inputs
) -> list[Note]:
    """Run the port and compare it with NumPy's run.

    Raises:
        CannotPort: they differ, or the port cannot run.
    """
    own = copied_on_jax(inputs)
    given = on_jax(own)  # other lists and dicts of the same arrays: a port changes none that it is given
    function = jax.jit(made.function, static_argnames=made.static) if made.jitted else made.function
    try:
        result = function(*own[0], **own[1])
    except CannotPort:
        raise
    except Exception as error:
        raise cannot_run(program, error) from error
    port = outcome(program, made, result, given)
    found = compare(numpy, port)
    if not found:
        return []
    if is_chaotic(again, whole, numpy, found):
        text = "Rounding alone moves this function's result as far as the port's differs from NumPy's."
        return [Note(kind="chaotic", text=text)]
    raise differs(found)


def trials(program: Program, made: Made, inputs: Inputs, facts: Facts, again: Again) -> list[Note]:
    """What the inputs given did not reach is held against NumPy on others, where these run.

    Raises:
        CannotPort: the port differs there.
    """
    places = sorted(
        {
            (i, node.lineno)
            for i, unit in enumerate(program.units)
            for node in ast.walk(unit.node)
            if isinstance(node, ast.stmt) and (unit.name, node.key) in facts.tried  # type: ignore[attr-defined]
        }
    )
    lines = [program.units[i].text.splitlines()[line - 1].strip() for i, line in places]
    held = others(program, made, inputs, again)
    shown = ", ".join(f"`{line}`" for line in lines[:4]) + (" and others" if len(lines) > 4 else "")
    text = f"The inputs did not reach {shown}: the port of that comes from a run that was made to take it."
    if held:
        text += f" It agrees on {held} other sets of inputs, which may not reach it either."
    return [Note(kind="tried", text=text)]


def others(program: Program, made: Made, inputs: Inputs, again: Again) -> int:
    """On how many other sets of inputs, on which NumPy's code runs, the port agrees.

    Raises:
        CannotPort: it differs on one.
    """
    held = 0
    for other in varied(inputs):
        whole = (program.bound_args + other[0], {**program.bound_kwargs, **other[1]})
        try:
            numpy = again(whole)
        except Exception:  # noqa: BLE001 the user's function may raise anything on other inputs
            continue
        proof(program, made, other, numpy, again, whole)
        held += 1
    return held


def called_again(program: Program, facts: Facts) -> Again:
    """NumPy's run of a program on copies of some inputs; it raises where they send it round for ever."""
    main, run = program.main.function, ends(program, facts)
    return lambda inputs: run(lambda watched: call_on_copies(watched, main, inputs))


def ask(program: Program, inputs: Inputs) -> Run:
    """NumPy's run on inputs of the port's, with what a partial or a bound method supplies."""
    args, kwargs = jax.tree.map(as_numpy, inputs)
    whole = (program.bound_args + args, {**program.bound_kwargs, **kwargs})
    return call_on_copies(program.main.function, program.main.function, whole)


def cannot_run(program: Program, error: Exception) -> CannotPort:
    """The refusal of a port that JAX does not run, in JAX's own first words, at the port's line."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith("<port ")]
    line = f" at `{frames[-1].line}`" if frames else ""
    words = str(error).strip().splitlines()
    return program.main.refuse(
        program.main.node,
        f"JAX cannot run the port of `{program.main.name}`{line}: {(words or [type(error).__name__])[0]}",
        "Write that line with fixed sizes and functions that jax.numpy has.",
    )


def outcome(program: Program, made: Made, result: Any, inputs: Inputs) -> Run:
    """The port's result and changed arguments, told apart."""
    mutated = made.lowered.mutated
    whole = (program.bound_args + inputs[0], {**program.bound_kwargs, **inputs[1]})
    after = named(program.main.function, whole)
    if mutated:
        value, *changed = (
            result if made.lowered.returns else (None, *([result] if len(mutated) == 1 else result))
        )
        after |= dict(zip(mutated, changed, strict=True))
        result = value
    return Run(result=jax.tree.map(as_numpy, result), after=jax.tree.map(as_numpy, after))


def as_numpy(value: Any) -> Any:
    """A JAX array as NumPy's."""
    return np.asarray(value) if isinstance(value, jax.Array) else value


def differs(found: tuple[Difference, ...]) -> CannotPort:
    """The refusal of a port that is not equal."""
    first = found[0]
    other_kind = first.how.startswith(("is ", "has ")) and " at " not in first.how
    advice = (
        "Give the value one dtype and shape on every way, for example with `.astype(float)`."
        if other_kind and "keys" not in first.how
        else "Copy arrays before you change them in place, and say which array is changed."
    )
    return CannotPort(
        f"The port gives another result than NumPy: {first.where} {first.how}.",
        fix=f"It is not used. {advice}",
    )
