"""Fingerprints of programs, and of the arrays that they hold: equal where these are equal."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmagic.analysis.program.equations import every_program, type_of
from jaxmagic.analysis.program.places import opened
from jaxmagic.results import Fingerprint


def constants(jaxpr: Any) -> list[Any]:
    """The arrays that a program holds, those of the programs inside it included, each once."""
    found = {id(array): array for array in getattr(jaxpr, "consts", ())}
    for program in every_program(jaxpr):
        for equation in program.eqns:
            for part in _parts(equation.params):
                found.update((id(array), array) for array in getattr(part, "consts", ()))
    return list(found.values())


def _parts(params: Mapping[str, Any]) -> Iterator[Any]:
    for value in params.values():
        yield from value if isinstance(value, tuple | list) else (value,)


def of_arrays(arrays: Iterable[Any]) -> Fingerprint:
    """Equal for arrays of equal types and elements; what has no elements to read counts as itself."""
    digest = hashlib.blake2b(digest_size=16)
    for array in arrays:
        try:
            is_key = jnp.issubdtype(array.dtype, jax.dtypes.prng_key)
            elements = np.ascontiguousarray(jax.random.key_data(array) if is_key else array)
            digest.update(f"{elements.dtype}{elements.shape}".encode())
            digest.update(elements.reshape(-1).view(np.uint8).data)
        except (AttributeError, TypeError, ValueError, RuntimeError):
            digest.update(str(id(array)).encode())
    return digest.digest()


def of_program(jaxpr: Any) -> Fingerprint:
    """Equal for programs of the same equations on the same types; the arrays that they hold do not count.

    Printing them would say the same in four times the time.
    """
    teller = _Teller()
    digest = hashlib.blake2b(digest_size=16)
    for program in teller.programs(opened(jaxpr)):
        digest.update("\n".join(teller.told(program)).encode("utf-8", "replace"))
    return digest.digest()


class _Teller:
    """Tells programs line by line; variables and inner programs have numbers, in the order of mention."""

    def __init__(self) -> None:
        self._numbers: defaultdict[int, int] = defaultdict(itertools.count().__next__)
        self._types: dict[int, tuple[Any, str]] = {}  # with the type itself, which keeps its id its own
        self._inner: list[Any] = []

    def programs(self, jaxpr: Any) -> Iterator[Any]:
        """A program and those that were met in telling it, each once."""
        self._inner = [jaxpr]
        seen: set[int] = set()
        for program in self._inner:
            if id(program) not in seen:
                seen.add(id(program))
                yield program

    def told(self, program: Any) -> Iterator[str]:
        given = [*getattr(program, "constvars", ()), *program.invars]
        yield f"{self._numbers[id(program)]}: {self._made(given)}"
        for equation in program.eqns:
            params = [f"{name}={self._value(value)}" for name, value in equation.params.items()]
            yield (
                f"{self._made(equation.outvars)}={equation.primitive.name}{params}{self._read(equation.invars)}"
            )
        yield self._read(program.outvars)

    def _made(self, variables: Iterable[Any]) -> str:
        return " ".join([f"{self._numbers[id(one)]}:{self._type(one.aval)}" for one in variables])

    def _read(self, atoms: Iterable[Any]) -> str:
        return " ".join([self._atom(one) for one in atoms])

    def _atom(self, atom: Any) -> str:
        if not hasattr(atom, "val"):
            return str(self._numbers[id(atom)])
        value = atom.val
        if getattr(value, "shape", None) == ():
            value = value.item()  # which is told ten times as fast
        return f"{self._value(value)}:{self._type(atom.aval)}"

    def _type(self, aval: Any) -> str:
        if id(aval) not in self._types:
            self._types[id(aval)] = (aval, type_of(aval))
        return self._types[id(aval)][1]

    def _value(self, value: Any) -> str:
        """A parameter; a program is told apart, and where a thing lies in memory is not told."""
        if type(value) in _PLAIN:
            return repr(value)
        if isinstance(value, tuple | list):
            return f"({','.join(map(self._value, value))})"
        if hasattr(value, "eqns") or hasattr(value, "jaxpr"):
            self._inner.append(opened(value))
            return f"program {self._numbers[id(opened(value))]}"
        if isinstance(value, np.ndarray | jax.Array):
            return of_arrays([value]).hex()
        return _ADDRESS.sub("", str(value))


_PLAIN = frozenset((bool, int, float, complex, str, bytes, type(None)))
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
