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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmagic.analysis.inputs import is_jitted
from jaxmagic.analysis.program import is_users
from jaxmagic.bench.inputs import is_foreign
from jaxmagic.bench.programs import jit_by_leaves
from jaxmagic.errors import BadTarget
from jaxmagic.target import name_of

Put = Callable[[Any], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A place where the copied function finds a captured value: an array, or a pytree with arrays."""

    name: str
    value: Any
    put: Put


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifted:
    """A function and the slots of what it captures; without any, the function is the user's own."""

    function: Callable[..., Any]
    slots: tuple[Slot, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """What the user calls the captured values."""
        return tuple(slot.name for slot in self.slots)

    @property
    def folded(self) -> tuple[str, ...]:
        """The names of those that XLA would have folded in."""
        leaves = ((slot.name, jax.tree_util.tree_leaves(slot.value)) for slot in self.slots)
        return tuple(name for name, each in leaves if any(map(is_array, each)))

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
    lifted = copier.held(name_of(function), function)
    return Lifted(function=lifted, slots=tuple(copier.slots)) if copier.slots else Lifted(function=function)


def on_numpy(function: Callable[..., Any]) -> Callable[..., Any]:
    """A copy of a jax.numpy function, helpers included, that calls NumPy instead, without jit.

    Raises:
        BadTarget: when it uses a part of JAX that NumPy does not have.
    """
    copier = _Copier(swaps=_numpy_for_jax(), jits=False)
    copied = copier.held(name_of(function), function)
    left = next((thing for thing in copier.seen if _is_jax(thing) and not is_jitted(thing)), None)
    if left is not None:
        raise BadTarget(f"NumPy has nothing like `{getattr(left, '__name__', type(left).__name__)}` of JAX")
    return copied  # type: ignore[no-any-return]  # a function's copy is a function


def uses_jax(function: Callable[..., Any]) -> bool:
    """Whether a function, or a helper of the user's that it calls, mentions JAX."""
    copier = _Copier()
    copier.held(name_of(function), function)
    return any(map(_is_jax, copier.seen))


def is_array(value: Any) -> bool:
    """A NumPy array of numbers or a JAX array that exists."""
    if isinstance(value, np.ndarray):
        return not value.dtype.hasobject
    return isinstance(value, jax.Array) and not isinstance(value, jax.core.Tracer)


def _is_jax(value: Any) -> bool:
    """JAX itself, a module, class or function of it, or what its transformations return."""
    if isinstance(value, ModuleType):
        return _of_jax(value.__name__)
    return _of_jax(type(value).__module__) or _of_jax(getattr(value, "__module__", None))


def _of_jax(module: object) -> bool:
    return isinstance(module, str) and module.split(".")[0] in ("jax", "jaxlib")


class _Jax:
    """Stands for the module `jax` in code that is to run on NumPy."""

    numpy = np

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise BadTarget(f"NumPy has nothing like `jax.{name}`")


def _numpy_for_jax() -> dict[int, Any]:
    """What stands for jax.numpy and each of its functions, by identity."""
    same = {id(value): getattr(np, name) for name, value in vars(jnp).items() if hasattr(np, name)}
    return same | {id(jax): _Jax(), id(jnp): np, id(jnp.linalg): np.linalg, id(jnp.fft): np.fft}


def _globals_read(code: CodeType) -> Iterator[str]:
    """The global names that a code object and those inside it read."""
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield instruction.argval
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _globals_read(constant)


@dataclass(slots=True, kw_only=True)
class _Copier:
    """Copies what leads to captured arrays, each thing once.

    Args:
        swaps: what stands for a thing instead of its copy, by its identity.
        jits: whether jitted functions stay jitted.
        slots: the captured values found so far.
        seen: everything looked at (kept, so that an identity stays its own).
        copies: by the identity of the original; namespaces likewise.
    """

    swaps: Mapping[int, Any] = field(default_factory=dict)
    jits: bool = True
    slots: list[Slot] = field(default_factory=list)
    seen: list[Any] = field(default_factory=list)
    copies: dict[int, Any] = field(default_factory=dict)
    spaces: dict[int, dict[str, Any]] = field(default_factory=dict)

    def copy(self, name: str, value: Any, put: Put) -> Any:
        """The copy of a value that `put` places where it is found; what holds arrays becomes a slot."""
        for known in (self.swaps, self.copies):
            if id(value) in known:
                return known[id(value)]
        if _holds_arrays(value):
            self.slots.append(Slot(name=name, value=value, put=put))
            return value
        self.seen.append(value)
        way = next((way for fits, way in _WAYS if fits(value)), None)
        return way(self, name, value) if way else value

    def held(self, name: str, value: Any) -> Any:
        """The copy of a callable that nothing holds; one that is a slot itself is called through it."""
        holder = [value]
        holder[0] = self.copy(name, value, functools.partial(holder.__setitem__, 0))
        return _called_through(holder) if _holds_arrays(value) else holder[0]

    def remember(self, original: Any, made: Any) -> Any:
        """Note a copy."""
        self.copies[id(original)] = made
        return made

    def function(self, _: str, function: FunctionType) -> FunctionType:
        """A copy with its own globals, cells and defaults."""
        cells = tuple(CellType() for _ in function.__closure__ or ())
        space = self.spaces.setdefault(id(function.__globals__), dict(function.__globals__))
        made = FunctionType(function.__code__, space, function.__name__, None, cells or None)
        self.remember(function, made)
        made.__dict__.update(function.__dict__)
        made.__qualname__, made.__module__ = function.__qualname__, function.__module__
        for used in sorted({*_globals_read(function.__code__)} & {*function.__globals__}):
            if space[used] is function.__globals__[used]:
                space[used] = self.copy(used, space[used], functools.partial(space.__setitem__, used))
        for name, cell, old in zip(
            function.__code__.co_freevars, cells, function.__closure__ or (), strict=True
        ):
            self._cell(name, cell, old)
        self._defaults(function, made)
        return made

    def _cell(self, name: str, cell: CellType, old: CellType) -> None:
        try:
            content = old.cell_contents
        except ValueError:  # a name that is assigned later, or never
            return
        cell.cell_contents = self.copy(name, content, functools.partial(setattr, cell, "cell_contents"))

    def _defaults(self, function: FunctionType, made: FunctionType) -> None:
        names = function.__code__.co_varnames[: function.__code__.co_argcount]
        positional = function.__defaults__ or ()
        values = dict(zip(names[len(names) - len(positional) :], positional, strict=True))
        keywords = function.__kwdefaults__ or {}
        values |= keywords

        def put(name: str, value: Any) -> None:
            values[name] = value
            made.__defaults__ = tuple(values[name] for name in values if name not in keywords) or None
            made.__kwdefaults__ = {name: values[name] for name in keywords} or None

        for name in tuple(values):
            put(name, self.copy(name, values[name], functools.partial(put, name)))

    def partial(self, name: str, value: functools.partial[Any]) -> functools.partial[Any]:
        """A copy with its own function, arguments and keywords."""
        function = self.held(name, value.func)
        args, keywords = list(value.args), dict(value.keywords)
        made: Any = self.remember(value, functools.partial(function))

        def put(values: Any, place: Any, item: Any) -> None:
            values[place] = item
            made.__setstate__((function, tuple(args), keywords, {}))

        for place, item in enumerate(value.args):
            label = f"argument {place + 1} of {name_of(value)}"
            put(args, place, self.copy(label, item, functools.partial(put, args, place)))
        for key, item in value.keywords.items():
            put(keywords, key, self.copy(key, item, functools.partial(put, keywords, key)))
        return made  # type: ignore[no-any-return]  # the partial made above

    def method(self, name: str, value: MethodType) -> Any:
        """A copy bound to a copy of its object; to a slot where the object is a pytree of arrays."""
        function = self.held(name, value.__func__)
        holder = [value.__self__]
        label = type(value.__self__).__name__
        holder[0] = self.copy(label, value.__self__, functools.partial(holder.__setitem__, 0))
        if _holds_arrays(value.__self__):
            return _called_through([function], holder)
        return MethodType(function, holder[0])

    def instance(self, name: str, value: Any) -> Any:
        """A shallow copy whose attributes are copies."""
        made = self.remember(value, copy.copy(value))
        for attribute, content in vars(value).items():
            put = functools.partial(object.__setattr__, made, attribute)
            put(self.copy(f"{name}.{attribute}", content, put))
        return made

    def jitted(self, name: str, value: Any) -> Any:
        """A jitted function that captures is jitted anew around its copy; one that does not, stays."""
        before = len(self.slots)
        inner = self.held(name, value.__wrapped__)
        if not self.jits:
            return self.remember(value, inner)
        return self.remember(value, jit_by_leaves(inner) if len(self.slots) > before else value)


def _called_through(holder: list[Any], *bound: list[Any]) -> Callable[..., Any]:
    """A call of what a holder holds at that time, on what other holders hold, and the arguments."""

    def call(*args: Any, **kwargs: Any) -> Any:
        return holder[0](*(other[0] for other in bound), *args, **kwargs)

    return call


def _holds_arrays(value: Any) -> bool:
    """An array of any library's, or a pytree that has such among its leaves."""
    if is_array(value) or is_foreign(value):
        return True
    leaves = jax.tree_util.tree_leaves(value)
    inside = (is_array(leaf) or is_foreign(leaf) for leaf in leaves)
    return not (len(leaves) == 1 and leaves[0] is value) and any(inside)


def _is_users_function(value: Any) -> bool:
    return isinstance(value, FunctionType) and is_users(value.__code__.co_filename)


def _is_users_object(value: Any) -> bool:
    """An instance, with attributes, of a class of the user's."""
    if not hasattr(value, "__dict__") or isinstance(value, type | ModuleType):
        return False
    home = type(value).__module__
    file = getattr(sys.modules.get(home), "__file__", None)
    return home not in sys.builtin_module_names and is_users(file or "")


_WAYS: tuple[tuple[Callable[[Any], bool], Callable[[_Copier, str, Any], Any]], ...] = (
    (_is_users_function, _Copier.function),
    (lambda value: isinstance(value, functools.partial), _Copier.partial),
    (lambda value: isinstance(value, MethodType), _Copier.method),
    (is_jitted, _Copier.jitted),
    (_is_users_object, _Copier.instance),
)
