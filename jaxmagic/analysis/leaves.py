"""The inputs of a function, leaf by leaf: what each is called and whether it has a derivative."""

from __future__ import annotations

import dataclasses
import math
import re
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import keystr

from jaxmagic.errors import BadTarget, CannotDifferentiate
from jaxmagic.target import ArrayType, Target

Role = Literal["real", "complex", "whole", "count", "truth", "type", "key", "static"]
Rebuild: TypeAlias = Callable[[Sequence[Any]], Any]
Tokens: TypeAlias = tuple[str, ...]
Join: TypeAlias = Callable[[Any, Any], Any]

# What an input is called in a sentence, by role.
KINDS: Mapping[Role, str] = {
    "real": "a floating-point number",
    "complex": "complex",
    "whole": "an array of whole numbers",
    "count": "a whole number",
    "truth": "true or false",
    "type": "a type without values",
    "key": "a random key",
    "static": "not a number",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """One array, number or other object among the inputs.

    Args:
        path: how one would write it: "params['dense'].kernel".
        tokens: the same in pieces: ("params", "dense", "kernel").
        value: as the user gave it.
        role: whether and how it can be differentiated by ("count": a Python int that is an
            argument by itself, such as `years=10`).
    """

    path: str
    tokens: Tokens
    value: Any
    role: Role

    @property
    def way(self) -> Tokens:
        """The pieces that its path shows: not what a box around one array adds."""
        last = self.tokens[-1] if self.tokens else ""
        return self.tokens if self.path.rstrip("'\"]").endswith(last) else self.tokens[:-1]

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        return math.prod(np.shape(self.value)) if self.role in ("real", "complex", "whole", "count") else 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """All inputs of a target, flat, and how to call its function with others in their place."""

    leaves: tuple[Leaf, ...]
    rebuild: Rebuild
    then: Callable[[Any], Any] | None = None

    def call(self, function: Callable[..., Any], replaced: Mapping[int, Any]) -> Any:
        """Call with some leaves (by index) replaced; `then` makes something of what is returned."""
        value = self.returned(function, replaced)
        return value if self.then is None else self.then(value)

    def returned(self, function: Callable[..., Any], replaced: Mapping[int, Any]) -> Any:
        """What the user's function itself returns, called here and nowhere else."""
        values = [replaced.get(i, leaf.value) for i, leaf in enumerate(self.leaves)]
        owner, args, kwargs = self.rebuild(values)
        if owner is None:
            return function(*args, **kwargs)
        method = getattr(function, "__func__", None)
        return owner(*args, **kwargs) if method is None else method(owner, *args, **kwargs)

    def indices(self, *roles: Role) -> tuple[int, ...]:
        """The places of the leaves with these roles."""
        return tuple(i for i, leaf in enumerate(self.leaves) if leaf.role in roles)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """What one name or path of `wrt` stands for: some leaves and the pytree that they make up.

    Args:
        name: as the user wrote it, or the argument's name.
        indices: the places of its leaves among all inputs.
        rebuild: from one value per leaf to the pytree.
    """

    name: str
    indices: tuple[int, ...]
    rebuild: Rebuild


class Pair(NamedTuple):
    """What belongs to a complex number's real part and to its imaginary one, such as derivatives by them."""

    real: Any
    imag: Any


# -- taking apart ---------------------------------------------------------------------------------


def read(target: Target) -> Inputs:
    """Every leaf of the inputs, named by the function's signature."""
    names = input_names(target)
    opened = [take_apart(value, name, tokenize(name)) for name, value in _slots(target)]
    leaves = [_marked(leaf, names) for parts, _ in opened for leaf in parts]
    together = _joined([(len(parts), rebuild) for parts, rebuild in opened])
    keywords, owned = tuple(target.kwargs), _owner(target.function) is not None
    first, last = int(owned), int(owned) + len(target.args)

    def rebuild(values: Sequence[Any]) -> Any:
        slots = together(values)
        owner = slots[0] if owned else None
        return owner, slots[first:last], dict(zip(keywords, slots[last:], strict=True))

    return Inputs(leaves=tuple(leaves), rebuild=rebuild)


def _slots(target: Target) -> list[tuple[str, Any]]:
    """Every input with its name: the module that is called, if it is one, first."""
    owner = _owner(target.function)
    values = [*target.args, *target.kwargs.values()]
    return list(zip(input_names(target), values if owner is None else [owner, *values], strict=True))


def _owner(function: Callable[..., Any]) -> Any:
    """The pytree whose weights a callable uses: a module that is called, or whose method is; else None."""
    owner = function.__self__ if isinstance(function, types.MethodType) else function
    plain = isinstance(owner, (types.FunctionType, types.BuiltinFunctionType, type))
    return None if plain or jax.tree_util.all_leaves([owner]) else owner


def _owners_name(target: Target, others: Sequence[str]) -> str:
    """As the user wrote it: `model` of `model(x)` and of `model.loss(x)`."""
    method = isinstance(target.function, types.MethodType)
    name = target.name.rpartition(".")[0] if method else target.name.removesuffix(".__call__")
    return name if name and name not in others else "self"


def input_names(target: Target) -> tuple[str, ...]:
    """A name for each input: the module that is called, the positional ones, then the keywords."""
    names = _argument_names(target)
    return names if _owner(target.function) is None else (_owners_name(target, names), *names)


def _argument_names(target: Target) -> tuple[str, ...]:
    named = tuple(target.named_inputs())[: len(target.args)]
    if len(named) < len(target.args) or set(named) & set(target.kwargs):
        named = tuple(f"arg{i}" for i in range(len(target.args)))
    return (*named, *target.kwargs)


def group(inputs: Inputs, target: Target, name: str) -> Group:
    """The part of the inputs that a name or path means.

    Raises:
        BadTarget: when there is no such input.
    """
    tokens = tokenize(name)
    names = input_names(target)
    slots = {tokenize(known): value for known, value in _slots(target)}
    slot = next((known for known in slots if tokens[: len(known)] == known), None)
    if not tokens or slot is None:
        raise BadTarget(
            f"`{target.name}` has no input `{name}`.",
            fix=f"Its inputs are {', '.join(f'`{known}`' for known in names) or 'none'}.",
        )
    value = slots[slot]
    for depth in range(len(slot), len(tokens)):
        value = _step(value, tokens[depth], ".".join(tokens[:depth]))
    parts, rebuild = take_apart(value, name, tokens, join=Pair)
    return Group(name=name, indices=_places(inputs, tokens, len(parts)), rebuild=rebuild)


def tokenize(path: str) -> Tokens:
    """`params['dense'].kernel`, `params.dense.kernel` and `params/dense/kernel` in the same pieces."""
    return tuple(piece for piece in re.split(r"[.\[\]/'\"\s]+", path) if piece)


def _places(inputs: Inputs, tokens: Tokens, count: int) -> tuple[int, ...]:
    found = tuple(i for i, leaf in enumerate(inputs.leaves) if leaf.tokens[: len(tokens)] == tokens)
    assert len(found) == count, (tokens, found, count)
    return found


def _step(value: Any, token: str, so_far: str) -> Any:
    """One step into a container, by key, index or attribute."""
    children = {_spell(key): child for key, child in _children(value)}
    if token not in children:
        shown = [f"`{known}`" for known in children if not known.startswith("_")]
        raise BadTarget(
            f"`{so_far}` has no part `{token}`.",
            fix=f"Its parts are {', '.join(shown) or 'none'}.",
        )
    return children[token]


def _children(value: Any) -> list[tuple[Any, Any]]:
    """The direct parts of a container, with their keys."""
    if _plain_dataclass(value):
        return [
            (jax.tree_util.GetAttrKey(field.name), getattr(value, field.name))
            for field in dataclasses.fields(value)
        ]
    if role_of(value) == "complex":
        return [(jax.tree_util.GetAttrKey(name), getattr(value, name)) for name in Pair._fields]
    pairs, _ = jax.tree_util.tree_flatten_with_path(value, is_leaf=lambda node: node is not value)
    return [(path[0], child) for path, child in pairs if path]


def joined(real: Any, imag: Any) -> Any:
    """A complex number or array from its parts; None where both are missing; in trees, leaf by leaf."""
    if real is None and imag is None:
        return None
    return jax.tree_util.tree_map(_complex, real, imag)


def _complex(real: Any, imag: Any) -> Any:
    if isinstance(real, float) and isinstance(imag, float):
        return complex(real, imag)
    both = jnp.promote_types(jnp.result_type(real), jnp.result_type(imag))
    return jax.lax.complex(jnp.asarray(real, both), jnp.asarray(imag, both))


def take_apart(
    value: Any, name: str, tokens: Tokens = (), *, join: Join = joined
) -> tuple[list[Leaf], Rebuild]:
    """The leaves of a value and how to put it together again.

    A plain dataclass is opened, and a complex number becomes two real ones, which `join` puts together.
    """
    pairs, tree = jax.tree_util.tree_flatten_with_path(
        value, is_leaf=lambda node: node is None or (node is not value and _boxed(node))
    )
    opened = []
    for path, child in pairs:
        where, pieces = name + keystr(path), (*tokens, *map(_spell, path))
        opened.append(_opener(child)(child, where, pieces, join))
    together = _joined([(len(parts), rebuild) for parts, rebuild in opened])
    return [leaf for parts, _ in opened for leaf in parts], lambda values: jax.tree_util.tree_unflatten(
        tree, together(values)
    )


def _opener(value: Any) -> Callable[[Any, str, Tokens, Join], tuple[list[Leaf], Rebuild]]:
    if _boxed(value):
        return _open_box
    if role_of(value) == "complex":
        return _open_complex
    return _open_dataclass if _plain_dataclass(value) else _leaf


def _open_complex(value: Any, path: str, tokens: Tokens, join: Join) -> tuple[list[Leaf], Rebuild]:
    parts = [
        Leaf(path=f"{path}.{name}", tokens=(*tokens, name), value=getattr(value, name), role="real")
        for name in Pair._fields
    ]
    return parts, lambda values: join(*values)


def _leaf(value: Any, path: str, tokens: Tokens, _: Join) -> tuple[list[Leaf], Rebuild]:
    return [Leaf(path=path, tokens=tokens, value=value, role=role_of(value))], lambda values: values[0]


def _open_dataclass(value: Any, path: str, tokens: Tokens, join: Join) -> tuple[list[Leaf], Rebuild]:
    names = [field.name for field in dataclasses.fields(value)]
    opened = [
        take_apart(getattr(value, name), f"{path}.{name}", (*tokens, name), join=join) for name in names
    ]
    together = _joined([(len(parts), rebuild) for parts, rebuild in opened])

    def rebuild(values: Sequence[Any]) -> Any:
        copy = object.__new__(type(value))
        for name, part in zip(names, together(values), strict=True):
            object.__setattr__(copy, name, part)
        return copy

    return [leaf for parts, _ in opened for leaf in parts], rebuild


def _boxed(value: Any) -> bool:
    """A Flax variable: a box around one array, which goes by the variable's own name."""
    kind = type(value)
    return kind.__module__.startswith("flax.") and any(one.__name__ == "Variable" for one in kind.__mro__)


def _open_box(value: Any, path: str, tokens: Tokens, join: Join) -> tuple[list[Leaf], Rebuild]:
    leaves, rebuild = take_apart(value, path, tokens, join=join)
    single = len(leaves) == 1
    return [dataclasses.replace(leaf, path=path) if single else leaf for leaf in leaves], rebuild


def _joined(parts: Sequence[tuple[int, Rebuild]]) -> Callable[[Sequence[Any]], list[Any]]:
    """Rebuild several things from one flat list."""

    def rebuild(values: Sequence[Any]) -> list[Any]:
        remaining: Iterator[Any] = iter(values)
        return [make([next(remaining) for _ in range(count)]) for count, make in parts]

    return rebuild


def _spell(key: Any) -> str:
    for field in ("key", "name", "idx"):
        if hasattr(key, field):
            return str(getattr(key, field))
    return str(key)


def _plain_dataclass(value: Any) -> bool:
    """A dataclass that JAX takes for a leaf (a registered one is a pytree and already open)."""
    return (
        dataclasses.is_dataclass(value)
        and not isinstance(value, (type, ArrayType))
        and not hasattr(value, "dtype")
        and jax.tree_util.all_leaves([value])
    )


def _marked(leaf: Leaf, names: Sequence[str]) -> Leaf:
    """An int inside a container is configuration, not a number to differentiate by."""
    if leaf.role == "count" and leaf.path not in names:
        return dataclasses.replace(leaf, role="static")
    return leaf


# -- roles ----------------------------------------------------------------------------------------


def role_of(value: Any) -> Role:
    """What an input is, as far as derivatives go."""
    if isinstance(value, (ArrayType, jax.ShapeDtypeStruct)):
        return "type"
    if isinstance(value, (bool, np.bool_)):
        return "truth"
    if isinstance(value, (int, np.integer)):
        return "count"
    if isinstance(value, (float, complex)):
        return "real" if isinstance(value, float) else "complex"
    return _role_of_array(value) if isinstance(value, (jax.Array, np.ndarray, np.generic)) else "static"


def _role_of_array(value: Any) -> Role:
    kinds: tuple[tuple[Any, Role], ...] = (
        (jax.dtypes.prng_key, "key"),
        (jnp.floating, "real"),
        (jnp.complexfloating, "complex"),
        (jnp.bool_, "truth"),
        (jnp.integer, "whole"),
    )
    return next((role for kind, role in kinds if jnp.issubdtype(value.dtype, kind)), "static")


def is_array(value: Any) -> bool:
    """Whether a leaf can be an argument of a compiled function."""
    return isinstance(value, (jax.Array, np.ndarray, np.generic)) and role_of(value) != "static"


def typed(value: Any) -> str:
    """The type of a number or array as JAX prints it: "f32[8,128]"."""
    return str(jax.typeof(value).str_short(short_dtypes=True))


def refuse_types(inputs: Inputs, name: str) -> None:
    """A derivative needs a point.

    Raises:
        CannotDifferentiate: when an input is a type that stands for an array.
    """
    for leaf in inputs.leaves:
        if leaf.role == "type":
            raise CannotDifferentiate(
                f"`{leaf.path}` is a type without values, and the derivative of `{name}` needs a point.",
                fix="Give it an array, such as `jnp.ones((8, 128))`. (To look at the program of the gradient "
                "without values, use `%%jaxpr --grad`.)",
            )
