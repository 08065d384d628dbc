"""Why: what makes JAX trace a jitted function once more, as held against the traces that it has."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
from jax.core import ShapedArray

from jaxmagic.analysis import inputs, program
from jaxmagic.analysis.explain import explained
from jaxmagic.analysis.program import CallKey
from jaxmagic.errors import BadTarget
from jaxmagic.results import Cause, Difference, Note, Retrace
from jaxmagic.target import ArrayType, Target

LONGEST = 60  # characters of a static value


def why(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Retrace:
    """Whether `function(*args, **kwargs)` would be traced once more, and which argument makes it so.

    Args:
        function: a jitted function.
        args: positional inputs: arrays, numbers, pytrees; `jax.ShapeDtypeStruct`s need no memory.
        kwargs: inputs by keyword.

    Raises:
        BadTarget: when it is not jitted.
    """
    return look(Target(function=function, args=args, kwargs=kwargs))


def look(target: Target) -> Retrace:
    """The same for a target. Nothing is compiled, and the user's caches are not added to.

    Where JAX holds a trace, the function is traced apart from the caches, to see whether it is current.

    Raises:
        BadTarget: when its function is not jitted.
    """
    jitted, args, kwargs = _call(target)
    with explained(target):
        pairs = program.keys_of_call(jitted, args, kwargs)
    if pairs is None:
        return Retrace(name=target.name, verdict="unknown", notes=(_UNKNOWN,))
    if not pairs:
        return Retrace(name=target.name, verdict="first", notes=(_FIRST,))
    name = functools.partial(_named, _parameters(jitted))
    differences = min((_differences(now, before, name) for now, before in pairs), key=_distance)
    if differences:
        notes = tuple(_ADVICE[cause] for cause in dict.fromkeys(each.cause for each in differences))
        return Retrace(
            name=target.name, verdict="anew", traces=len(pairs), differences=differences, notes=notes
        )
    stale = () if _is_current(jitted, args, kwargs, target.name) else (_STALE,)
    return Retrace(name=target.name, verdict="held", traces=len(pairs), notes=stale)


# -- the call --------------------------------------------------------------------------------------


def _call(target: Target) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
    """The jitted function itself, and all that it is called with."""
    function: Any = target.function
    args, kwargs = target.args, dict(target.kwargs)
    while isinstance(function, functools.partial | types.MethodType):
        if isinstance(function, functools.partial):
            args, kwargs = (*function.args, *args), {**function.keywords, **kwargs}
            function = function.func
        else:
            function, args = function.__func__, (function.__self__, *args)
    if not inputs.is_jitted(function):
        raise BadTarget(
            f"`{target.name}` is not jitted: JAX keeps no traces of it.",
            fix="Call what `jax.jit` made: `jitted = jax.jit(f)`, then `%jaxpr --why jitted(x)`.",
        )
    args, kwargs = jax.tree.map(_given, (args, kwargs), is_leaf=_is_type)
    return function, args, kwargs


def _is_type(value: Any) -> bool:
    return isinstance(value, ArrayType)


def _given(value: Any) -> Any:
    return inputs.struct(value) if _is_type(value) else value


def _is_current(
    jitted: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], name: str
) -> bool:
    """Whether the trace that JAX holds says what the function says now."""
    leaves, tree = jax.tree.flatten((args, kwargs))
    types_only = {
        f"input {i}": leaf for i, leaf in enumerate(leaves) if isinstance(leaf, jax.ShapeDtypeStruct)
    }

    def call(*values: Any) -> Any:
        supply = iter(values)
        handed = [next(supply) if isinstance(leaf, jax.ShapeDtypeStruct) else leaf for leaf in leaves]
        args, kwargs = jax.tree.unflatten(tree, handed)
        return jitted(*args, **kwargs)

    return program.is_current(call, name, types_only)


# -- what differs ----------------------------------------------------------------------------------


def _differences(now: CallKey, before: CallKey, name: Callable[[Any], str]) -> tuple[Difference, ...]:
    """All that tells two calls apart, arguments first."""
    new, old = _leaves(now.call), _leaves(before.call)
    found = [
        _difference(name(path), new.get(path, _ABSENT), old.get(path, _ABSENT))
        for path in dict.fromkeys([*new, *old])
        if not _same(new.get(path, _ABSENT), old.get(path, _ABSENT))
    ]
    found += [
        Difference(what=setting, now=repr(value), before=repr(before.context.get(setting)), cause="setting")
        for setting, value in now.context.items()
        if value != before.context.get(setting)
    ]
    return tuple(found)


_APART: Mapping[Cause, int] = {"weak type": 1, "sharding": 1, "setting": 2, "dtype": 2, "static value": 2}


def _distance(differences: Sequence[Difference]) -> int:
    """How far apart two calls are: most where arguments are missing, less where they have other shapes."""
    return sum(_APART.get(each.cause, 9 if each.cause == "structure" else 3) for each in differences)


_ABSENT = object()


def _leaves(call: Any) -> dict[Any, Any]:
    flat, _ = jax.tree_util.tree_flatten_with_path(call, is_leaf=lambda value: value is None)
    return dict(flat)


def _same(now: Any, before: Any) -> bool:
    return type(now) is type(before) and bool(now == before)


def _difference(what: str, now: Any, before: Any) -> Difference:
    cause = _cause(now, before)
    return Difference(what=what, now=_text(now, cause), before=_text(before, cause), cause=cause)


def _cause(now: Any, before: Any) -> Cause:
    if now is _ABSENT or before is _ABSENT:
        return "structure"
    if not (isinstance(now, ShapedArray) and isinstance(before, ShapedArray)):
        return "static value"
    causes: tuple[tuple[Cause, bool], ...] = (
        ("shape", now.shape != before.shape),
        ("dtype", now.dtype != before.dtype),
        ("weak type", now.weak_type != before.weak_type),
    )
    return next((cause for cause, differs in causes if differs), "sharding")


def _text(value: Any, cause: Cause) -> str:
    """A type as JAX prints it, with what the cause is about; a static value as Python does."""
    if value is _ABSENT:
        return "not given"
    if not isinstance(value, ShapedArray):
        text = repr(value)
        return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
    if cause == "sharding":
        return str(value.str_short(short_dtypes=True, mesh_axis_types=True))
    weak = "weak " if cause == "weak type" and value.weak_type else ""
    return weak + str(value.str_short(short_dtypes=True))


# -- names -----------------------------------------------------------------------------------------


def _parameters(jitted: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(jitted).parameters.values())
    except (TypeError, ValueError):
        return []


def _named(parameters: Sequence[inspect.Parameter], path: Any) -> str:
    """An argument as one would write it: `params['w']`, whether it was given by position or by name."""
    (side, place, *inside) = path
    rest = inputs.way(tuple(inside))
    if side.idx == 1:
        return f"{place.key}{rest}"
    positional = [each.name for each in parameters if each.kind is not each.KEYWORD_ONLY]
    name = positional[place.idx] if place.idx < len(positional) else f"argument {place.idx + 1}"
    return f"{name}{rest}"


# -- what to do about it ---------------------------------------------------------------------------

_UNKNOWN = Note(
    kind="unknown",
    text="This JAX does not say what it holds of this function (it is one of an installed library's, "
    "or JAX is of a version that jaxmagic does not know).",
)
_FIRST = Note(
    kind="first",
    text="Traces belong to the function object. Running its cell again, or `jax.jit(lambda …)` inside a "
    "loop, makes a new object that starts with none.",
)
_STALE = Note(
    kind="stale",
    text="The trace that JAX holds is not what the function says now: something that it reads besides its "
    "arguments (a global, say) has changed since. Calling it runs the old program. Pass the value as an "
    "argument, or define the function again.",
)
_ADVICE: Mapping[Cause, Note] = {
    "shape": Note(
        kind="shape",
        text="Every new shape is a new program. Where sizes vary, pad to a few fixed ones and mask.",
    ),
    "dtype": Note(
        kind="dtype",
        text="Every element type is a program of its own: convert once, at the door (`x.astype`).",
    ),
    "weak type": Note(
        kind="weak type",
        text="A Python number (or what was computed from one) is weakly typed, an array is not: pass the "
        "same kind each time, such as `jnp.float32(x)`.",
    ),
    "sharding": Note(
        kind="sharding",
        text="The array is laid out over devices in another way: `jax.device_put` it as before.",
    ),
    "static value": Note(
        kind="static value",
        text="Every value of a static argument is a program of its own. What only enters the arithmetic need "
        "not be static.",
    ),
    "structure": Note(
        kind="structure",
        text="The arguments have another structure: given by position or by name, left at a default or "
        "spelt out, and every key of a pytree count.",
    ),
    "setting": Note(
        kind="setting", text="A setting or context that JAX's programs depend on is another one now."
    ),
}
