"""Where equations come from: from JAX's tracebacks to the user's expressions."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import pathlib
import sysconfig
import types
from collections.abc import Callable
from typing import Any

import jax

from jaxmagic.analysis import sources
from jaxmagic.results import Span

try:  # which byte of a code object stands for which columns: private, and all that spans hang on
    from jaxlib import _jax

    _position: Callable[[types.CodeType, int], tuple[int, int, int, int]] | None
    _position = _jax.Traceback.code_addr2location
except (ImportError, AttributeError):  # a JAX that moved it: programs without links
    _position = None

Boundary = tuple[str, int] | None


class Places:
    """From JAX's tracebacks to the user's expressions, remembered by traceback.

    Tracebacks are equal when their frames are: the turns of an unrolled loop are looked up once.
    """

    def __init__(self, mark: types.CodeType | None = None) -> None:
        self._mark = mark
        self._spans: dict[tuple[Any, Boundary], Span | None] = {}
        self._news: dict[tuple[Any, Boundary], bool] = {}
        self._frames: dict[tuple[int, int], Span] = {}
        self.codes: dict[int, types.CodeType] = {}

    def span(self, traceback: Any, boundary: Boundary = None) -> Span | None:
        """The user's expression that made an equation.

        Args:
            traceback: an equation's.
            boundary: the file and line of a library function inside which the expression must lie.
        """
        if traceback is None or _position is None:
            return None
        key = (traceback, boundary)
        if key not in self._spans:
            self._spans[key] = self._find(traceback, boundary)
        return self._spans[key]

    def is_new(self, traceback: Any, boundary: Boundary) -> bool:
        """Whether an equation was made under this look (or is none of the user's)."""
        key = (traceback, boundary)
        if key not in self._news:
            self._news[key] = self._is_new(traceback, boundary)
        return self._news[key]

    def _is_new(self, traceback: Any, boundary: Boundary) -> bool:
        codes, _ = self._raw(traceback)
        for code in itertools.islice(codes, _end(codes, boundary)):
            if code is self._mark:
                return True
            if is_users(code.co_filename):
                return any(code is self._mark for code in codes)
        return True

    def _raw(self, traceback: Any) -> tuple[list[types.CodeType], list[int]]:
        return traceback.raw_frames() if traceback is not None else ([], [])

    def _find(self, traceback: Any, boundary: Boundary) -> Span | None:
        codes, at = self._raw(traceback)
        self._note(codes)
        library: Span | None = None
        for i in range(_end(codes, boundary)):
            file = codes[i].co_filename
            if codes[i] is self._mark or is_ours(file):
                break
            if is_users(file):
                return self._frame(codes[i], at[i])
            if library is None and boundary is None and not _is_machinery(file):
                library = self._frame(codes[i], at[i])
        return library

    def _note(self, codes: list[types.CodeType]) -> None:
        """Remember the user's functions on the way here, for their listings."""
        for code in codes:
            if code is self._mark or is_ours(code.co_filename):
                return
            if id(code) not in self.codes and is_users(code.co_filename):
                self.codes[id(code)] = code

    def _frame(self, code: types.CodeType, at: int) -> Span:
        key = (id(code), at)
        if key not in self._frames:
            assert _position is not None
            self._frames[key] = sources.span(code.co_filename, _position(code, at), code.co_qualname)
        return self._frames[key]


def _end(codes: list[types.CodeType], boundary: Boundary) -> int:
    """How many of the inner frames lie within a boundary; none where it is not among them."""
    if boundary is None:
        return len(codes)
    frames = ((code.co_filename, code.co_firstlineno) for code in codes)
    return next((i for i, frame in enumerate(frames) if frame == boundary), 0)


@functools.cache
def is_users(file: str) -> bool:
    """Whether code of this file is the user's: not JAX's, Python's, an installed package's or ours."""
    return not (is_ours(file) or _is_machinery(file) or _is_installed(file))


@functools.cache
def is_ours(file: str) -> bool:
    """Whether a file is jaxmagic's; the demo's model reads as the user's code, for users read it."""
    home = str(pathlib.Path(__file__).parents[2]) + os.sep
    return file.startswith(home) and not file.endswith(os.path.join("demo", "population.py"))


@functools.cache
def _is_machinery(file: str) -> bool:
    """JAX and Python themselves: no line of theirs explains a program to its user."""
    homes = (
        os.path.dirname(jax.__file__),
        sysconfig.get_path("stdlib"),
        os.path.dirname(contextlib.__file__),
    )
    inside = any(file.startswith(home + os.sep) for home in homes)
    return file.startswith("<frozen") or (inside and not _is_installed(file, but=homes[0]))


def _is_installed(file: str, but: str = "\0") -> bool:
    folders = (os.sep + "site-packages" + os.sep, os.sep + "dist-packages" + os.sep)
    return any(folder in file for folder in folders) and not file.startswith(but)


# -- programs ---------------------------------------------------------------------------------------


def opened(jaxpr: Any) -> Any:
    """The program without its constants; from JAX 0.11 on they are one class."""
    return getattr(jaxpr, "jaxpr", jaxpr)


def function_of(jaxpr: Any) -> tuple[str, str, int]:
    """The name, file and first line of the function that a program was traced from ("" unknown)."""
    info = getattr(opened(jaxpr), "debug_info", None)
    name, file = getattr(info, "func_name", None), getattr(info, "func_filename", None)
    return name or "", file or "", getattr(info, "func_lineno", None) or 0


def boundary_of(jaxpr: Any) -> Boundary:
    """Where a library's function begins that a program was traced from; None where it is the user's."""
    _, file, line = function_of(jaxpr)
    return (file, line) if file and not (is_users(file) or is_ours(file)) else None
