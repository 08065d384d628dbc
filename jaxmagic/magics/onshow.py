"""What is on show in a shell, by cell: a cell that runs again leaves no live view of its last run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


class Showing(Protocol):
    """What can be taken off show."""

    def close(self) -> None:
        """Let go of the live view."""


class OnShow:
    """Live views by the cell that they stand in."""

    def __init__(self) -> None:
        self._cells: dict[str, tuple[str, list[Showing]]] = {}

    def add(self, parent: Mapping[str, Any], showing: Showing) -> None:
        """Keep a view; those of an earlier run of its cell are closed.

        Args:
            parent: the kernel's message that asked for the run. Where the front end names no cell, the
                run has a place of its own: nobody can tell what it replaces.
            showing: the view.
        """
        run = str(parent.get("header", {}).get("msg_id", ""))
        cell = str(parent.get("metadata", {}).get("cellId") or run)
        last, kept = self._cells.get(cell, (run, []))
        if last != run:
            _close(kept)
            kept = []
        self._cells[cell] = (run, [*kept, showing])

    def close(self) -> None:
        """Close all of them."""
        for _, kept in self._cells.values():
            _close(kept)
        self._cells.clear()


_SHELLS: WeakKeyDictionary[InteractiveShell, OnShow] = WeakKeyDictionary()


def on_show(shell: InteractiveShell) -> OnShow:
    """What is on show in a shell, whether the magics are loaded or `jaxmagic.show` was called alone."""
    return _SHELLS.setdefault(shell, OnShow())


def close(shell: InteractiveShell) -> None:
    """Take everything off show in a shell."""
    if shell in _SHELLS:
        _SHELLS.pop(shell).close()


def _close(kept: list[Showing]) -> None:
    for showing in kept:
        showing.close()
