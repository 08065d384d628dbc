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
from typing import TYPE_CHECKING, Any

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
        frames = without_machinery(error.__traceback__) or error.__traceback__
        lines: list[str] = shell.InteractiveTB.structured_traceback(type(error), error, frames, tb_offset=0)
        return lines

    try:
        error._render_traceback_ = render  # type: ignore[attr-defined] # IPython's protocol
    except Exception:  # noqa: BLE001 # an exception class may refuse attributes: then all frames show
        return


def without_machinery(traceback: types.TracebackType | None) -> types.TracebackType | None:
    """A traceback without our frames, IPython's around them and the line that is the magic's own call."""
    entries = list(_entries(traceback))
    ours = [i for i, entry in enumerate(entries) if _file(entry).startswith(_OURS)]
    last = ours[-1] if ours else -1
    kept = [entry for i, entry in enumerate(entries) if i > last or _is_users(entries, i)]
    chain: types.TracebackType | None = None
    for entry in reversed(kept):
        chain = types.TracebackType(chain, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return chain


def _is_users(entries: list[types.TracebackType], i: int) -> bool:
    file = _file(entries[i])
    return not (file.startswith(_OURS) or file.endswith(_MACHINERY) or _is_cell_magics_call(entries, i))


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
