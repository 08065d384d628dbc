"""What every result is made of: places in the user's source, notes, values made when asked for."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Generic, Literal, NamedTuple, TypeVar, overload

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Phase = Literal["forward", "backward", "recomputed"]
Fingerprint = bytes  # equal for equal arrays


class Lazy(Generic[T]):
    """A value that is dear to make: made when first asked for, once; then its maker is let go."""

    __slots__ = ("_load", "_lock", "_value")

    def __init__(self, load: Callable[[], T]) -> None:
        self._load: Callable[[], T] | None = load
        self._lock = threading.RLock()

    @classmethod
    def of(cls, value: T) -> Lazy[T]:
        """A value that is already there."""
        lazy = cls(lambda: value)
        lazy.get()
        return lazy

    @property
    def ready(self) -> bool:
        """Whether `get` costs nothing."""
        return self._load is None

    def get(self) -> T:
        """The value. An error of the maker is raised, and the next call tries again."""
        with self._lock:
            if self._load is not None:
                self._value = self._load()
                self._load = None
            return self._value


class Many(Sequence[T_co]):
    """A sequence of known length, made when one first looks into it; equal to the tuple of its items."""

    __slots__ = ("_items", "_length")

    def __init__(self, length: int, load: Callable[[], Sequence[T_co]]) -> None:
        self._length = length
        self._items = Lazy(lambda: tuple(load()))

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, at: int) -> T_co: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[T_co, ...]: ...
    def __getitem__(self, at: int | slice) -> T_co | tuple[T_co, ...]:
        return self._items.get()[at]

    def __iter__(self) -> Iterator[T_co]:
        return iter(self._items.get())

    def __eq__(self, other: object) -> bool:
        return tuple(self) == tuple(other) if isinstance(other, Many | tuple) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._items.get())

    def __repr__(self) -> str:
        return repr(self._items.get())


# Labels of sources that the user has before their eyes: they need no saying.
HERE = ("this cell", "this line", "cell")


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A range of the user's source. Lines count from 1, columns are characters from 0."""

    file: str
    line: int
    column: int
    end_line: int
    end_column: int
    function: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A stretch of source that a program came from, such as one function.

    Args:
        file: the file name that spans carry (a cell's is its compile name).
        label: what to call it: "In [3]", "model.py", or one of `HERE`.
        first_line: the number of `lines[0]` in the file.
        lines: the text, without line ends.
    """

    file: str
    label: str
    first_line: int
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something that would surprise the user, in one or two sentences.

    Args:
        kind: which note it is, for tests and filters ("captured constant", "unused input").
        text: the words; `code` in backticks.
        span: where, when it is about a place.
    """

    kind: str
    text: str
    span: Span | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """An input or output of a function: its name, its type as JAX prints it, its size."""

    name: str
    type: str
    bytes: int | None = None


class Link(NamedTuple):
    """A piece of a program's text and the source that it came from (one of very many: cheap to make).

    Args:
        row: the line of the text, from 0.
        start, end: columns in that line.
        span: the user's expression.
    """

    row: int
    start: int
    end: int
    span: Span


def plain(value: Any) -> Any:
    """A result as JSON knows it: numbers that are not finite become their names, functions None."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | Many):
        return [plain(item) for item in value]
    if is_dataclass(value):
        return {entry.name: plain(getattr(value, entry.name)) for entry in fields(value)}
    return None if callable(value) else str(value)
