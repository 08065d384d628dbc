"""State that a call changes in place: the arrays of Flax's graph objects, and JAX's references.

Graph objects (modules, optimizers, random streams) are split into arrays and put together anew for
each trace: the user's own are never touched, what they share is one input, and what a call changed is
what differs afterwards.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import jax

Path: TypeAlias = tuple[Any, ...]


# Flax calls its graph objects "pytrees" since 0.12, and "objects" before.
_KINDS = ("Pytree", "Object", "Variable")


def is_object(value: Any) -> bool:
    """Whether a value is one of Flax's graph objects; where Flax is not in use, none is."""
    nnx = _nnx()
    return any(isinstance(value, getattr(nnx, kind, ())) for kind in _KINDS)


@dataclass(frozen=True, slots=True)
class Part:
    """A leaf: the path to it, or to the object that holds it, and from there the way in words."""

    path: Path
    way: str
    value: Any


@dataclass(frozen=True, slots=True)
class Change:
    """An array that a call put into an object: "updated", or "new" where none of that name was."""

    path: Path
    way: str
    value: Any
    what: Literal["updated", "new"]


@jax.tree_util.register_dataclass
@dataclass(frozen=True, slots=True)
class Outcome:
    """What a call returned, and the state that it changed, by name ("net.bias (updated)")."""

    result: Any
    changes: dict[str, Any]

    @property
    def plain(self) -> Any:
        """What was returned, alone, when nothing changed: a program's text names its outputs by it."""
        return self if self.changes else self.result

    @classmethod
    def of(cls, plain: Any) -> Outcome:
        """The outcome from `plain`."""
        return plain if isinstance(plain, Outcome) else cls(plain, {})


class Parts:
    """A tuple of pytrees in leaves, the arrays of the graph objects among them in these objects' places."""

    def __init__(self, values: tuple[Any, ...]) -> None:
        found, self._tree = jax.tree_util.tree_flatten_with_path(values, is_leaf=is_object)
        self._is_object = [is_object(value) for _, value in found]
        self._roots = [path for path, value in found if is_object(value)]
        self._graph, state = _split(tuple(value for _, value in found if is_object(value)))
        held = list(_arrays(state))
        self._count, self._held_tree = len(held), jax.tree_util.tree_structure(state)
        self._order = list(_order(self._is_object, [number for number, _, _ in held]))
        parts = [Part(self._roots[number], way, value) for number, way, value in held]
        parts += [Part(path, "", value) for path, value in found if not is_object(value)]
        self.leaves = [parts[i] for i in self._order]

    def join(self, values: Sequence[Any]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """The tuple with these leaves, and the new graph objects in it."""
        sorted_ = [
            value for _, value in sorted(zip(self._order, values, strict=True), key=lambda one: one[0])
        ]
        held, rest = sorted_[: self._count], sorted_[self._count :]
        objects = _merge(self._graph, jax.tree_util.tree_unflatten(self._held_tree, held))
        supply = {True: iter(objects), False: iter(rest)}
        joined = jax.tree_util.tree_unflatten(self._tree, [next(supply[kind]) for kind in self._is_object])
        return joined, objects

    def changes(self, objects: tuple[Any, ...], values: Sequence[Any]) -> Iterator[Change]:
        """What differs in objects from the leaves that they were joined from."""
        before = {(id(part.path), part.way): value for part, value in zip(self.leaves, values, strict=True)}
        for number, way, value in _arrays(_split(objects)[1]):
            key = (id(self._roots[number]), way)
            if before.get(key) is not value and isinstance(value, jax.Array):
                yield Change(self._roots[number], way, value, "updated" if key in before else "new")


def _order(is_object_: Sequence[bool], owners: Sequence[int]) -> Iterator[int]:
    """The leaves' numbers in the order of the tuple, where those of the objects are counted first."""
    number, other = 0, len(owners)
    for kind in is_object_:
        if kind:
            yield from (i for i, owner in enumerate(owners) if owner == number)
            number += 1
        else:
            yield other
            other += 1


def _arrays(state: Any) -> Iterator[tuple[int, str, Any]]:
    """Each array of a state: the number of the object that holds it, the way to it, and the array."""
    for path, value in jax.tree_util.tree_flatten_with_path(state)[0]:
        yield path[0].key, "".join(map(_step, path[1:])), value


def _step(entry: Any) -> str:
    """A step as one would write it; none for the variable's own `.value`."""
    if isinstance(entry, jax.tree_util.DictKey) and isinstance(entry.key, str) and entry.key.isidentifier():
        return f".{entry.key}"
    return "" if isinstance(entry, jax.tree_util.GetAttrKey) else str(entry)


def _nnx() -> Any:
    return sys.modules.get("flax.nnx")


def _split(objects: tuple[Any, ...]) -> tuple[Any, Any]:
    nnx = _nnx()
    return nnx.split(objects) if objects else (None, ())


def _merge(graph: Any, state: Any) -> tuple[Any, ...]:
    nnx = _nnx()
    return tuple(nnx.merge(graph, state)) if graph is not None else ()


# -- references ------------------------------------------------------------------------------------


def is_reference(value: Any) -> bool:
    """Whether a value is a mutable array."""
    return isinstance(value, jax.Ref)


def written(jaxpr: Any) -> list[int]:
    """The numbers of the inputs that are references and that a program writes to."""
    places = {id(variable): i for i, variable in enumerate(getattr(jaxpr, "jaxpr", jaxpr).invars)}
    effects = [effect for effect in jaxpr.effects if type(effect).__name__ in ("WriteEffect", "AccumEffect")]
    return sorted({places[id(effect.input)] for effect in effects if id(effect.input) in places})
