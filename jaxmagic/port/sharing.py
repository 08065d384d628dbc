"""Which names look at which arrays at a place of a program: surely, or depending on the way there."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """How a name looks at another array: `base[index]`, `base.T`, `base.reshape(…)` or `base`."""

    base: str
    value: ast.expr
    kind: str


class Sharing(dict[str, View]):
    """The views that hold at a place, by name.

    Args:
        views: those.
        maybe: names that look at one of some arrays there or at none, as data had it before.
        own: names that surely mean something else than what the caller handed over.
    """

    def __init__(
        self,
        views: Mapping[str, View] = {},
        maybe: Mapping[str, frozenset[str]] = {},
        own: Iterable[str] = (),
    ) -> None:
        super().__init__(views)
        self.maybe = dict(maybe)
        self.own = frozenset(own)

    def copy(self) -> Sharing:
        """The same, to go its own way."""
        return Sharing(self, self.maybe, self.own)

    def merge(self, other: Sharing) -> None:
        """What holds where two ways meet."""
        for name in {*self, *other}:
            if self.get(name) is not other.get(name):
                self.may_be(name, (views[name].base for views in (self, other) if name in views))
                self.pop(name, None)
        for name, bases in other.maybe.items():
            self.may_be(name, bases)
        self.own &= other.own

    def may_be(self, name: str, bases: Iterable[str]) -> None:
        """A name may look at one of these arrays."""
        every = self.maybe.get(name, frozenset()).union(bases) - {name}
        if every:
            self.maybe[name] = every

    def bases(self, name: str) -> frozenset[str]:
        """The arrays that a name looks at, surely or perhaps."""
        surely = {self[name].base} if name in self else set()
        return self.maybe.get(name, frozenset()) | surely

    def bind(self, names: frozenset[str]) -> None:
        """Names that mean something new; two that perhaps look at what one meant perhaps share it still."""
        for name in names:
            perhaps = {other for other, bases in self.maybe.items() if name in bases} - names
            surely = {other for other, view in self.items() if view.base == name} - names
            seen = perhaps | surely | (self.bases(name) - names)
            for other in perhaps:
                self.maybe[other] = self.maybe[other] - {name} | (seen - {other})
        self.maybe = {name: bases for name, bases in self.maybe.items() if bases and name not in names}
        self.own |= names

    def root(self, name: str) -> str:
        """The array that a name looks at in the end."""
        while name in self:
            name = self[name].base
        return name

    def family(self, root: str) -> list[str]:
        """Names that look at an array, nearest first."""
        depth = {name: len(self.chain(name)) for name in self if self.root(name) == root}
        return sorted(depth, key=lambda name: (depth[name], name))

    def chain(self, name: str) -> set[str]:
        """A name and all that it looks at."""
        found = {name}
        while name in self:
            name = self[name].base
            found.add(name)
        return found

    def doubtful(self, name: str) -> Iterable[tuple[str, str]]:
        """Names that see a change of this one or not, each with the name that makes it so."""
        root = self.root(name)
        for other, bases in self.maybe.items():
            mine, roots = self.root(other), {self.root(base) for base in bases}
            seeing = {mine} if root in roots else roots if root == mine else set()
            for end in sorted(seeing - {root}):
                yield from ((victim, other) for victim in (end, *self.family(end)))
