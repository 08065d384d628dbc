"""A target's inputs: which of them JAX traces, which stay Python, and what each is called."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import jax
import numpy as np

from jaxmagic.analysis.state import Change, Outcome, Part, Parts, is_object, is_reference
from jaxmagic.errors import BadTarget
from jaxmagic.target import ArrayType, Target

# JAX's short names of element types, as it prints them.
DTYPES = {
    "bool": "bool", "f16": "float16", "f32": "float32", "f64": "float64", "bf16": "bfloat16",
    "c64": "complex64", "c128": "complex128", "i2": "int2", "i4": "int4", "i8": "int8", "i16": "int16",
    "i32": "int32", "i64": "int64", "u2": "uint2", "u4": "uint4", "u8": "uint8", "u16": "uint16",
    "u32": "uint32", "u64": "uint64", "f8_e4m3fn": "float8_e4m3fn", "f8_e5m2": "float8_e5m2",
}  # fmt: skip
Path: TypeAlias = tuple[Any, ...]
NARROW = {"float64": "float32", "int64": "int32", "uint64": "uint32", "complex128": "complex64"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """One leaf of the inputs.

    Args:
        path: its name: "x", "params['dense'].kernel".
        value: what is handed to JAX: the user's array or number, or a `jax.ShapeDtypeStruct`.
        traced: whether JAX sees a tracer in its place; else it stays the Python value it is.
        bound: whether it came with the callable (a module's weights, a partial's arguments).
        asked: the element type that was asked for ("float64"), "" for what is no array.
    """

    path: str
    value: Any
    traced: bool
    bound: bool = False
    asked: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """A target, taken apart into leaves that can be replaced.

    Args:
        leaves: every leaf, in order.
        rebuild: from the values of all leaves to the outcome of calling the user's function.
    """

    leaves: tuple[Leaf, ...]
    rebuild: Callable[[Sequence[Any]], Outcome]

    @property
    def traced(self) -> tuple[Leaf, ...]:
        """The leaves that JAX traces, in order."""
        return tuple(leaf for leaf in self.leaves if leaf.traced)

    @property
    def static(self) -> tuple[Leaf, ...]:
        """The leaves that stay Python values."""
        return tuple(leaf for leaf in self.leaves if not leaf.traced)

    def call(self, *values: Any) -> Outcome:
        """The outcome of the user's function at these values of the traced leaves."""
        supply = iter(values)
        return self.rebuild([next(supply) if leaf.traced else leaf.value for leaf in self.leaves])

    def with_static(self, paths: Iterable[str]) -> Inputs:
        """The same, with the leaves of these names left as Python values."""
        names = set(paths)
        leaves = tuple(replace(leaf, traced=leaf.traced and leaf.path not in names) for leaf in self.leaves)
        return Inputs(leaves=leaves, rebuild=self.rebuild)


def take_apart(target: Target) -> Inputs:
    """The leaves of a target: its arguments, and the arrays that its callable carries.

    Arrays and numbers are traced; strings, functions and other objects stay static. A callable that
    is a pytree (a Flax or Equinox module, or a method of one) gives its arrays too, so that weights
    show up as inputs rather than as captured constants; likewise the arrays bound by a partial.

    Raises:
        BadTarget: for an `ArrayType` whose element type JAX does not have.
    """
    function, bound_args, bound_kwargs = _unwrap_partial(target.function)
    owner, call = _owner(function)
    bound = {
        target.name.removesuffix(".__call__"): owner,
        **{f"bound {i}": value for i, value in enumerate(bound_args)},
        **bound_kwargs,
    }
    names = [*bound, *_names(target)]
    parts = Parts((*bound.values(), *target.args, *target.kwargs.values()))
    static = _declared_static(target)
    last_bound, last_positional = 1 + len(bound_args), len(bound) + len(target.args)

    def named(part: Part | Change) -> str:
        return f"{names[part.path[0].idx]}{way(part.path[1:])}{part.way}"

    def leaf(part: Part) -> Leaf:
        is_bound = part.path[0].idx < len(bound)
        if is_bound:
            return _bound_leaf(named(part), part.value)
        return _given_leaf(named(part), part.value, declared=names[part.path[0].idx] in static)

    def rebuild(values: Sequence[Any]) -> Outcome:
        (inner, *handed), objects = parts.join(values)
        args = (*handed[: last_bound - 1], *handed[len(bound) - 1 : last_positional - 1])
        kwargs = dict(zip(bound_kwargs, handed[last_bound - 1 :], strict=False))
        kwargs |= zip(target.kwargs, handed[last_positional - 1 :], strict=True)
        result = call(inner, *args, **kwargs)
        changes = parts.changes(objects, values)
        return Outcome(result, {f"{named(one)} ({one.what})": one.value for one in changes})

    return Inputs(leaves=tuple(map(leaf, parts.leaves)), rebuild=rebuild)


def struct(kind: ArrayType) -> jax.ShapeDtypeStruct:
    """What JAX takes in place of an array that need not exist; 64 bits only where JAX has them.

    Raises:
        BadTarget: for an element type that JAX does not have.
    """
    if kind.dtype == "key" or kind.dtype.startswith("key<"):
        key = jax.eval_shape(jax.random.key, 0)
        return jax.ShapeDtypeStruct(kind.shape, key.dtype)
    try:
        name = DTYPES[kind.dtype]
    except KeyError:
        known = ", ".join(DTYPES)
        raise BadTarget(
            f"JAX has no element type `{kind.dtype}`.", fix=f"There are {known} and key."
        ) from None
    if not jax.config.read("jax_enable_x64"):
        name = NARROW.get(name, name)
    return jax.ShapeDtypeStruct(kind.shape, jax.numpy.dtype(name))


def is_traceable(value: Any) -> bool:
    """Whether JAX can trace a value in place of this one."""
    if isinstance(value, ArrayType | jax.ShapeDtypeStruct | jax.Array | bool | int | float | complex):
        return True
    if is_reference(value):
        return True
    return isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biufcV"


def is_number(value: Any) -> bool:
    """Whether a value is a plain Python number."""
    return isinstance(value, bool | int | float | complex)


def is_jitted(function: Any) -> bool:
    """Whether a callable came from `jax.jit`."""
    return all(hasattr(function, name) for name in ("__wrapped__", "lower", "trace"))


def plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """The Python function below any `jax.jit`."""
    while is_jitted(function):
        function = function.__wrapped__  # type: ignore[attr-defined]  # is_jitted has looked
    return function


def _given_leaf(path: str, value: Any, *, declared: bool) -> Leaf:
    traced = not declared and is_traceable(value)
    asked = DTYPES.get(value.dtype, "") if isinstance(value, ArrayType) else str(getattr(value, "dtype", ""))
    value = struct(value) if isinstance(value, ArrayType) else value
    return Leaf(path=path, value=value, traced=traced, asked=asked)


def _bound_leaf(path: str, value: Any) -> Leaf:
    """A number that came with the callable is its configuration: it stays as it is."""
    return Leaf(path=path, value=value, traced=is_traceable(value) and not is_number(value), bound=True)


def _unwrap_partial(function: Any) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}
    while isinstance(function, functools.partial):
        args, kwargs = (*function.args, *args), {**function.keywords, **kwargs}
        function = function.func
    return plain(function), args, kwargs


def _owner(function: Any) -> tuple[Any, Callable[..., Any]]:
    """What holds the callable's arrays (None for a plain function), and how to call it with them."""
    if isinstance(function, types.MethodType) and _is_tree(function.__self__):
        method = plain(function.__func__)
        return function.__self__, method
    if not isinstance(function, types.FunctionType) and _is_tree(function):
        return function, lambda owner, *args, **kwargs: owner(*args, **kwargs)
    return None, lambda _, *args, **kwargs: function(*args, **kwargs)


def _is_tree(value: Any) -> bool:
    return is_object(value) or not jax.tree_util.all_leaves([value])


def _declared_static(target: Target) -> frozenset[str]:
    """The names of the parameters that the user's own `jax.jit` declared static."""
    jitted = getattr(target.function, "jitted_fn", target.function)  # where Flax's own `jit` keeps JAX's
    info = getattr(jitted, "_jit_info", None)
    names = set(getattr(info, "static_argnames", None) or ())
    named = _names(target)
    numbers = getattr(info, "static_argnums", None) or ()
    return frozenset(names | {named[i] for i in numbers if -len(named) <= i < len(named)})


def _names(target: Target) -> list[str]:
    """What the arguments are called, positional ones first, then keywords, as they were handed over."""
    return [*list(target.named_inputs())[: len(target.args)], *target.kwargs]


def way(path: Path) -> str:
    """The way into a pytree as one would write it: `['dense'].kernel[0]`."""
    return jax.tree_util.keystr(path)
