"""The passes in order."""

from __future__ import annotations

import functools
import inspect
import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np

from jaxmagic.errors import CannotPort
from jaxmagic.port import obstacles
from jaxmagic.port.collect import Program, collect
from jaxmagic.port.emit import Module, execute, module_of
from jaxmagic.port.prove import Difference, Run, compare, copied, is_chaotic, needs_x64, on_jax
from jaxmagic.results import Note, Port

_numbers = itertools.count(1)


def drive(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Port:
    """Collect, rewrite, print, run and compare."""
    program = collect(fn)
    for unit in program.units:
        obstacles.check(unit)
        obstacles.check_mutation(unit)
    module = module_of(program, {unit: unit.node for unit in program.units})
    function = bind(program, execute(module, next(_numbers)))
    notes = captures(module)
    if can_run(fn, args, kwargs):
        notes += proof(program, fn, function, args, kwargs)
    else:
        notes.append(Note(kind="unproved", text="Nothing was compared: the port was made without inputs."))
    return Port(
        name=program.main.name,
        original=module.original,
        source=module.source,
        diff=module.diff,
        function=function,
        static=static_parameters(function, args, kwargs),
        notes=tuple(notes),
    )


def bind(program: Program, function: Callable[..., Any]) -> Callable[..., Any]:
    """The port with what a partial or a bound method of the user's supplies."""
    if not program.bound_args and not program.bound_kwargs:
        return function
    return functools.partial(function, *map(on_jax, program.bound_args), **on_jax(dict(program.bound_kwargs)))


def captures(module: Module) -> list[Note]:
    """What the port takes from the user's namespace, as it was then."""
    names = ", ".join(f"`{name}`" for name in module.taken)
    text = f"The port keeps {names} as it was when the port was made."
    return [Note(kind="captured", text=text)] if names else []


def can_run(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Whether the inputs given are all that the function needs."""
    try:
        inspect.signature(fn).bind(*args, **kwargs)
    except (TypeError, ValueError):
        return False
    return True


def static_parameters(
    fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[str, ...]:
    """Parameters whose values are Python's own, such as sizes: they stay Python values under jit."""
    try:
        bound = inspect.signature(fn).bind(*args, **kwargs)
    except (TypeError, ValueError):
        return ()
    bound.apply_defaults()
    return tuple(
        name for name, value in bound.arguments.items() if isinstance(value, bool | int | str | None)
    )


def named(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments by the names of the parameters."""
    return dict(inspect.signature(fn).bind(*args, **kwargs).arguments)


def proof(
    program: Program,
    fn: Callable[..., Any],
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> list[Note]:
    """Run both on copies and compare.

    Raises:
        CannotPort: they differ, or the port cannot run.
    """
    del program

    def on_numpy(inputs: tuple[tuple[Any, ...], dict[str, Any]]) -> Run:
        own = copied(inputs)
        result = fn(*own[0], **own[1])
        return Run(result=result, after=named(fn, *own))

    with precision((args, kwargs)):
        numpy = on_numpy((args, dict(kwargs)))
        inputs = on_jax(copied((args, dict(kwargs))))
        result = function(*inputs[0], **inputs[1])
        port = Run(result=jax.tree.map(as_numpy, result), after=jax.tree.map(as_numpy, named(fn, *inputs)))
    found = compare(numpy, port)
    if found and is_chaotic(on_numpy, (args, dict(kwargs)), numpy, found):
        text = "Rounding alone moves this function's result as far as the port's differs from NumPy's."
        return [Note(kind="chaotic", text=text)]
    if found:
        raise differs(found)
    return []


def as_numpy(value: Any) -> Any:
    """A JAX array as NumPy's."""
    return np.asarray(value) if isinstance(value, jax.Array) else value


def differs(found: tuple[Difference, ...]) -> CannotPort:
    """The refusal of a port that is not equal."""
    first = found[0]
    return CannotPort(
        f"The port gives another result than NumPy: {first.where} {first.how}.",
        fix="It is not used. Copy arrays before you change them in place, and say which array is changed.",
    )


@contextmanager
def precision(values: Any) -> Iterator[None]:
    """64-bit numbers where NumPy computed with them, for this thread and this block only."""
    with jax.enable_x64(needs_x64(values) or bool(jax.config.read("jax_enable_x64"))):
        yield
