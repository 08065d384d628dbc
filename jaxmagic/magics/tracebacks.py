"""What users see of an error of their own: their frames, not the machinery between them.

An exception that passes through a magic gets a `_render_traceback_`, which IPython asks for what to
show; the exception, its traceback and `%debug` are untouched.
"""

from __future__ import annotations

import inspect
import os
import types
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from typing import TYPE_CHECKING, Any

from jaxmagic.magics.callee import installed

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_MACHINERY = tuple(
    os.path.join("IPython", "core", name)
    for name in (
        "interactiveshell.py",
        "async_helpers.py",
        "magic.py",
        os.path.join("magics", "execution.py"),
    )
)


@contextmanager
def users_frames_only(shell: InteractiveShell) -> Iterator[None]:
    """Let an exception of the user's show as if the magic were not there."""
    try:
        yield
    except BaseException as error:
        if not hasattr(error, "_render_traceback_"):
            _mark(error, shell)
        raise


def _mark(error: BaseException, shell: InteractiveShell) -> None:
    def render() -> list[str]:
        interrupted = isinstance(error, KeyboardInterrupt)
        frames = without_machinery(error.__traceback__, mistakes=not interrupted) or error.__traceback__
        lines: list[str] = shell.InteractiveTB.structured_traceback(type(error), error, frames, tb_offset=0)
        return lines

    try:
        error._render_traceback_ = render  # type: ignore[attr-defined] # IPython's protocol
    except Exception:  # noqa: BLE001 # an exception class may refuse attributes: then all frames show
        return


def without_machinery(
    traceback: types.TracebackType | None, *, mistakes: bool = True
) -> types.TracebackType | None:
    """A traceback as it would be without the magic.

    Our frames go, with the libraries' around them as far as the user's next ones, and so does the line
    that is the magic's own call. What the user's code calls stays as it is.

    Args:
        traceback: of an exception that passed through a magic.
        mistakes: whether an error that was raised in our own code shows its frames.
    """
    entries = list(_entries(traceback))
    mine = [not _is_library(_file(entry)) for entry in entries]
    kept: list[types.TracebackType] = []
    for users, run in groupby(range(len(entries)), key=mine.__getitem__):
        places = list(run)
        if users:
            kept += [entries[i] for i in places if not _is_cell_magics_call(entries, i)]
        elif not any(_is_machinery(_file(entries[i])) for i in places) or (
            mistakes and _is_mistake(entries, places)
        ):
            kept += [entries[i] for i in places]
    chain: types.TracebackType | None = None
    for entry in reversed(kept):
        chain = types.TracebackType(chain, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return chain


def _is_machinery(file: str) -> bool:
    return file.startswith(_OURS) or file.endswith(_MACHINERY)


def _is_library(file: str) -> bool:
    return _is_machinery(file) or installed(file)


def _is_mistake(entries: list[types.TracebackType], places: list[int]) -> bool:
    """Whether an error was raised in our own code or below, with nothing of the user's after it."""
    return places[-1] == len(entries) - 1 and any(_file(entries[i]).startswith(_OURS) for i in places)


def _is_cell_magics_call(entries: list[types.TracebackType], i: int) -> bool:
    """Whether an entry is the call that a cell became: of `run_cell_magic`, or awaiting what it returned."""
    if i + 1 == len(entries):
        return False
    follows = entries[i + 1]
    return follows.tb_frame.f_code.co_name == "run_cell_magic" or (
        _file(follows).startswith(_OURS) and _awaited(follows.tb_frame.f_code)
    )


def _awaited(code: types.CodeType) -> bool:
    return bool(code.co_flags & inspect.CO_COROUTINE)


def _entries(traceback: types.TracebackType | None) -> Iterator[types.TracebackType]:
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next


def _file(entry: types.TracebackType) -> Any:
    return entry.tb_frame.f_code.co_filename
