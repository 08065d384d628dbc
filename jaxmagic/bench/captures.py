"""Arrays that a function uses without being given them, found and made exchangeable.

A captured array (a global, a default, a closure's, a partial's, an object's attribute) would be
folded into the compiled program, and a function that changes one in place would change the
user's. So a copy of the function is made, of its helpers too, whose captured arrays sit in slots.
"""

from __future__ import annotations

import copy
import dis
import functools
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmagic.target import name_of

_LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A place where the copied function finds a captured value: an array, or a pytree with arrays."""

    name: str
    value: Any
    put: Callable[[Any], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifted:
    """A function and the slots of what it captures; without any, the function is the user's own."""

    function: Callable[..., Any]
    slots: tuple[Slot, ...] = ()

    @property
    def values(self) -> tuple[Any, ...]:
        """What the user's function captures, in the order of the slots."""
        return tuple(slot.value for slot in self.slots)

    def put(self, values: Sequence[Any]) -> None:
        """Let the function find these values from now on."""
        for slot, value in zip(self.slots, values, strict=True):
            slot.put(value)

    @contextmanager
    def holding(self, values: Sequence[Any], after: Sequence[Any]) -> Iterator[None]:
        """Let the function find `values` inside, and `after` afterwards."""
        self.put(values)
        try:
            yield
        finally:
            self.put(after)


def lift(function: Callable[..., Any]) -> Lifted:
    """A copy of `function` with its captured arrays in slots; itself when it captures none."""
    copier = _Copier()
    lifted = copier.copy("", function, _nowhere)
    return Lifted(function=lifted, slots=tuple(copier.slots)) if copier.slots else Lifted(function=function)


def on_numpy(function: Callable[..., Any]) -> Callable[..., Any]:
    """A copy of a jax.numpy function, helpers included, that calls NumPy instead, without jit."""
    copier = _Copier(swaps=_to_numpy_names(), jits=False)
    return copier.copy("", function, _nowhere)  # type: ignore[no-any-return]  # a function stays one


def uses_jax(function: Callable[..., Any]) -> bool:
    """Whether a function, or a helper of the user's that it calls, mentions JAX."""
    copier = _Copier()
    copier.copy("", function, _nowhere)
    return any(_is_jax(value) for value in copier.originals)


def _nowhere(_: Any) -> None:
    """For a value that stays where it is."""


def _is_jax(value: Any) -> bool:
    module = value.__name__ if isinstance(value, ModuleType) else getattr(type(value), "__module__", "")
    own = getattr(value, "__module__", None) or ""
    return any(name.split(".")[0] in ("jax", "jaxlib") for name in (module, own) if isinstance(name, str))


def _to_numpy_names() -> dict[int, Any]:
    """What stands for jax.numpy and each of its functions."""
    same = {id(value): getattr(np, name) for name, value in vars(jnp).items() if hasattr(np, name)}
    return same | {id(jnp): np, id(jnp.linalg): np.linalg, id(jnp.fft): np.fft}


def is_array(value: Any) -> bool:
    """A NumPy array of numbers or a JAX array that exists."""
    if isinstance(value, np.ndarray):
        return not value.dtype.hasobject
    return isinstance(value, jax.Array) and not isinstance(value, jax.core.Tracer)


def globals_used(code: CodeType) -> Iterator[str]:
    """The global names that a code object and those inside it read."""
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield instruction.argval
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from globals_used(constant)


def is_users(thing: Any) -> bool:
    """Whether a function or class is the user's: not of an installed package or of Python itself."""
    code = getattr(thing, "__code__", None)
    file = code.co_filename if code else getattr(sys.modules.get(thing.__module__), "__file__", None)
    return not (file or "").startswith(_LIBRARIES) and getattr(thing, "__module__", "") != "builtins"


@dataclass(slots=True)
class _Copier:
    """Copies what leads to captured arrays, each thing once."""

    swaps: Mapping[int, Any] = field(default_factory=dict)
    jits: bool = True
    slots: list[Slot] = field(default_factory=list)
    copies: dict[int, Any] = field(default_factory=dict)
    spaces: dict[int, dict[str, Any]] = field(default_factory=dict)
    originals: list[Any] = field(default_factory=list)

    def copy(self, name: str, value: Any, put: Callable[[Any], None]) -> Any:
        """The copy of a value that `put` places where it is found; what holds arrays becomes a slot."""
        if id(value) in self.swaps:
            return self.swaps[id(value)]
        if id(value) in self.copies:
            return self.copies[id(value)]
        self.originals.append(value)
        if _holds_arrays(value):
            self.slots.append(Slot(name=name, value=value, put=put))
            return value
        way = next((way for fits, way in _WAYS if fits(value)), None)
        return way(self, name, value) if way else value

    def remember(self, original: Any, made: Any) -> Any:
        """Note a copy (the original is kept, so that its id stays its own)."""
        self.copies[id(original)] = made
        return made

    def function(self, name: str, function: FunctionType) -> FunctionType:
        """A copy with its own globals, cells and defaults."""
        cells = tuple(CellType() for _ in function.__closure__ or ())
        space = self.spaces.setdefault(id(function.__globals__), dict(function.__globals__))
        made = FunctionType(function.__code__, space, function.__name__, None, cells or None)
        self.remember(function, made)
        made.__dict__.update(function.__dict__)
        made.__qualname__ = function.__qualname__
        for used in set(globals_used(function.__code__)) & set(function.__globals__):
            if space[used] is function.__globals__[used]:
                space[used] = self.copy(used, space[used], functools.partial(space.__setitem__, used))
        for cell, old, free in zip(
            cells, function.__closure__ or (), function.__code__.co_freevars, strict=True
        ):
            self._cell(free, cell, old)
        self._defaults(function, made)
        return made

    def _cell(self, name: str, cell: CellType, old: CellType) -> None:
        try:
            content = old.cell_contents
        except ValueError:  # not filled yet
            return
        cell.cell_contents = self.copy(name, content, lambda value: setattr(cell, "cell_contents", value))

    def _defaults(self, function: FunctionType, made: FunctionType) -> None:
        positional = list(function.__defaults__ or ())
        keywords = dict(function.__kwdefaults__ or {})
        names = function.__code__.co_varnames[: function.__code__.co_argcount]
        first = len(names) - len(positional)

        def put(place: Any, value: Any) -> None:
            (keywords if isinstance(place, str) else positional)[place] = value
            made.__defaults__ = tuple(positional) or None
            made.__kwdefaults__ = keywords or None

        for place, value in [*enumerate(positional), *keywords.items()]:
            label = place if isinstance(place, str) else names[first + place]
            put(place, self.copy(label, value, functools.partial(put, place)))

    def partial(self, name: str, value: functools.partial[Any]) -> functools.partial[Any]:
        """A copy with its own function, arguments and keywords."""
        parts = [self.copy(name, value.func, _nowhere), *value.args]
        keywords = dict(value.keywords)
        made = self.remember(value, functools.partial(parts[0]))

        def put(place: Any, item: Any) -> None:
            (keywords if isinstance(place, str) else parts)[place] = item
            made.__setstate__((parts[0], tuple(parts[1:]), keywords, {}))

        put(0, parts[0])
        for place, item in [*enumerate(value.args, 1), *keywords.items()]:
            label = place if isinstance(place, str) else f"{name_of(value)} argument {place}"
            put(place, self.copy(label, item, functools.partial(put, place)))
        return made  # type: ignore[no-any-return]  # a partial, as made above

    def method(self, name: str, value: MethodType) -> MethodType:
        """A copy bound to a copy of its object."""
        owner = self.copy("self", value.__self__, _nowhere)
        return MethodType(self.copy(name, value.__func__, _nowhere), owner)

    def instance(self, name: str, value: Any) -> Any:
        """A shallow copy whose attributes are copies; calling it runs its class's own methods."""
        made = self.remember(value, copy.copy(value))
        for attribute, content in vars(value).items():
            put = functools.partial(object.__setattr__, made, attribute)
            put(self.copy(f"{name or type(value).__name__}.{attribute}", content, put))
        return made

    def jitted(self, name: str, value: Any) -> Any:
        """A jitted function that captures is jitted anew around its copy; one that does not, stays."""
        before = len(self.slots)
        inner = self.copy(name, value.__wrapped__, _nowhere)
        if not self.jits:
            return self.remember(value, inner)
        return self.remember(value, jit_by_leaves(inner) if len(self.slots) > before else value)


def jit_by_leaves(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function under jit whose arrays and floats are traced and whose other inputs are static."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        program, traced = split(function, (args, kwargs))
        return jax.jit(program)(*traced)

    return call


def split(function: Callable[..., Any], inputs: Any) -> tuple[Callable[..., Any], list[Any]]:
    """A function of the traced leaves of `inputs` = (args, kwargs) alone, and those leaves."""
    leaves, tree = jax.tree_util.tree_flatten(inputs)
    places = [i for i, leaf in enumerate(leaves) if is_traced(leaf)]

    def program(*traced: Any) -> Any:
        filled = list(leaves)
        for place, value in zip(places, traced, strict=True):
            filled[place] = value
        args, kwargs = jax.tree_util.tree_unflatten(tree, filled)
        return function(*args, **kwargs)

    return program, [leaves[place] for place in places]


def is_traced(leaf: Any) -> bool:
    """Whether jit should see a leaf as an input: arrays and non-integer numbers."""
    return isinstance(leaf, np.ndarray | np.generic | jax.Array | float | complex) and not isinstance(
        leaf, np.str_
    )


def _holds_arrays(value: Any) -> bool:
    """An array, or a pytree that has arrays among its leaves."""
    if is_array(value):
        return True
    leaves = jax.tree_util.tree_leaves(value)
    return not (len(leaves) == 1 and leaves[0] is value) and any(map(is_array, leaves))


def is_jitted(value: Any) -> bool:
    """Whether a callable is what `jax.jit` returns."""
    return hasattr(value, "lower") and hasattr(value, "trace") and hasattr(value, "__wrapped__")


_WAYS: tuple[tuple[Callable[[Any], bool], Callable[[_Copier, str, Any], Any]], ...] = (
    (lambda value: isinstance(value, FunctionType) and is_users(value), _Copier.function),
    (lambda value: isinstance(value, functools.partial), _Copier.partial),
    (lambda value: isinstance(value, MethodType), _Copier.method),
    (lambda value: is_jitted(value) and is_users(value.__wrapped__), _Copier.jitted),
    (lambda value: hasattr(value, "__dict__") and is_users_object(value), _Copier.instance),
)


def is_users_object(value: Any) -> bool:
    """Whether a value is an instance of a class of the user's."""
    return not isinstance(value, type | FunctionType | MethodType) and is_users(type(value))
