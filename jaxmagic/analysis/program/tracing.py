"""Programs that are traced just now, whatever JAX's caches hold, and what those caches hold."""

from __future__ import annotations

import contextlib
import inspect
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import jax
import jax.extend

from jaxmagic.analysis.program.equations import every_program
from jaxmagic.analysis.program.fingerprints import constants
from jaxmagic.analysis.program.places import Places, boundary_of, opened
from jaxmagic.analysis.program.texts import identifiers


@dataclass(frozen=True, slots=True)
class Traced:
    """A program that was traced just now.

    Args:
        stage: JAX's `Traced`.
        mark: the code object below which everything is the user's, in every traceback of this look.
        out_tree: the structure of what the function returned.
    """

    stage: Any
    mark: types.CodeType


def trace_fresh(function: Callable[..., Any], name: str, values: Mapping[str, Any]) -> Traced:
    """The program of a function at these inputs as it is now, whatever JAX's caches hold.

    `values` are the inputs by the names that they get in errors and texts.

    JAX keeps what it traced by the function's identity, and so shows the old value of a global that
    has changed since. The outermost function is a new one here; where an inner one (jitted, a scan's
    body) turns out to be from an earlier trace, all is traced once more under a cache key of its own.
    The user's caches are neither read then nor emptied.
    """
    traced = _trace(function, name, values)
    if not _all_from(traced):
        with afresh():
            traced = _trace(function, name, values)
    return traced


def is_current(function: Callable[..., Any], name: str, values: Mapping[str, Any]) -> bool:
    """Whether what JAX's caches hold of a function (and of those inside it) is what it says now.

    Raises:
        Exception: whatever tracing it raises.
    """
    held = _trace(function, name, values)
    if _all_from(held):
        return True
    with afresh():
        new = _trace(function, name, values)
    pairs = zip(constants(held.stage.jaxpr), constants(new.stage.jaxpr), strict=False)
    return str(held.stage.jaxpr) == str(new.stage.jaxpr) and all(a is b for a, b in pairs)


def afresh() -> contextlib.AbstractContextManager[Any]:
    """Inside, JAX traces and compiles everything anew; its caches are neither read nor emptied.

    The cache for compiled calls that JAX lets one exchange is part of every cache's key: with a new
    one in its place nothing is found. `jax.make_user_context` is the public way, but making one
    throws away all that the user compiled.
    """
    try:
        from jax._src import config  # private: only where it is needed
        from jaxlib import _jax

        scope = config.jax_jit_cpp_cache_obj(_jax.PjitFunctionCache())
    except (ImportError, AttributeError, TypeError):
        scope = jax.make_user_context(None)(object())
    return cast("contextlib.AbstractContextManager[Any]", scope)


class CallKey(NamedTuple):
    """What JAX keeps a trace of a jitted function by.

    Args:
        context: the settings and contexts that count, by name.
        call: the positional and the keyword arguments, with JAX's types in the places of arrays; what
            stays as it is was static.
    """

    context: Mapping[str, Any]
    call: Any


def keys_of_call(
    function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> list[tuple[CallKey, CallKey]] | None:
    """The key of a call of a jitted function beside that of each trace of it that JAX holds.

    None where JAX does not say: in another version, or for a function of an installed library.
    Nothing is traced, and the user's traces are neither used nor added to: the call is looked up as
    one that no cache knows, and refused before its function runs.

    Raises:
        Exception: whatever JAX says of arguments that it cannot take.
    """
    try:
        from jax._src import config  # private: only where it is needed
        from jax._src.interpreters import partial_eval

        silent = _swapped(partial_eval, logger=(log := _Log()), diff_tracing_cache_keys=log.compare)
        asked = config.explain_cache_misses(new_val=True)
        refused = config.no_tracing(new_val=True)
        names, context = config.trace_context_names(), config.trace_context()
    except (ImportError, AttributeError):
        return None
    with silent, afresh(), asked, refused, contextlib.suppress(RuntimeError):
        function.trace(*args, **kwargs)  # type: ignore[attr-defined]  # a jitted function has it
    if not log.heard:
        return None
    try:
        return [
            (_call_key(names, context, new[1]), _call_key(names, old[0], old[1]))
            for new, old in log.pairs
            if not any(_is_cache(value) for value in old[0])
        ]
    except (AttributeError, TypeError, ValueError, IndexError):
        return None


class _Log:
    """Takes the place of the log that JAX explains its cache misses in."""

    def __init__(self) -> None:
        self.heard = False
        self.pairs: list[tuple[Any, Any]] = []

    def log(self, *_: object) -> None:
        self.heard = True

    def compare(self, new: Any, old: Any) -> tuple[int, int, str]:
        self.pairs.append((new, old))
        return 0, 0, ""


@contextlib.contextmanager
def _swapped(module: Any, **values: Any) -> Iterator[None]:
    before = {name: getattr(module, name) for name in values}
    vars(module).update(values)
    try:
        yield
    finally:
        vars(module).update(before)


def _is_cache(value: Any) -> bool:
    """Whether a part of a context is the cache that `afresh` put there: no trace of the user's."""
    return type(value).__name__ == "PjitFunctionCache"


def _call_key(names: Sequence[str], context: Sequence[Any], call: Sequence[Any]) -> CallKey:
    """Where JAX 0.10 wraps what is static, 0.12 has it bare."""
    given = jax.tree.map(lambda leaf: getattr(leaf, "val", leaf), call[0].unflatten(), is_leaf=_is_static)
    return CallKey(context=dict(zip(names, context, strict=True)), call=given)


def _is_static(value: Any) -> bool:
    return type(value).__name__ == "Static"


def _trace(function: Callable[..., Any], name: str, values: Mapping[str, Any]) -> Traced:
    def look(*leaves: Any) -> Any:
        return function(*leaves)

    mark = look.__code__.replace()  # equal, but no other look's
    fresh = types.FunctionType(mark, look.__globals__, name, None, look.__closure__)
    fresh.__qualname__ = name
    fresh.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # functions have it when set
        [inspect.Parameter(one, inspect.Parameter.POSITIONAL_ONLY) for one in identifiers(values)]
    )
    return Traced(jax.jit(fresh, keep_unused=True).trace(*values.values()), mark)


def leaked(traced: Traced) -> Any:
    """The first equation that uses a value kept from another trace; None where none does.

    JAX makes such a value an input like any other, and notices only when it is called.
    """
    held = getattr(traced.stage, "_consts", ())
    strays = sum(isinstance(one, jax.core.Tracer) for one in held)
    jaxpr = opened(traced.stage.jaxpr)
    own = {id(variable) for variable in jaxpr.invars[:strays]}
    uses = (one for one in jaxpr.eqns if any(id(variable) in own for variable in one.invars))
    return next(uses, None)


def _all_from(traced: Traced) -> bool:
    """Whether every equation of the user's was made in this very trace."""
    places = Places(traced.mark)
    return all(_is_new(program, places) for program in every_program(traced.stage.jaxpr))


def _is_new(jaxpr: Any, places: Places) -> bool:
    boundary = boundary_of(jaxpr)
    return all(places.is_new(equation.source_info.traceback, boundary) for equation in jaxpr.eqns)
