"""What is remembered of each cell's last run, to tell what changed: little, of few cells, until unloading."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Mapping
from dataclasses import replace
from importlib import import_module
from typing import Any

from jaxmagic.results import Trace

MOST = 32


class Editions:
    """The last run of each cell, the least recent forgotten first."""

    def __init__(self) -> None:
        self._last: OrderedDict[Hashable, Any] = OrderedDict()

    def compared(self, trace: Trace, parent: Mapping[str, Any], *, cell: bool) -> Trace:
        """The trace with what changed against the last run of its cell, which it takes the place of.

        Args:
            trace: what was made now.
            parent: the kernel's message that asked for the run.
            cell: whether the whole cell is looked at, so that its function may have another name now.
        """
        changes = import_module("jaxmagic.analysis.changes")
        key = _key(trace, parent, cell=cell)
        before = self._last.pop(key, None)
        self._last[key] = changes.edition(trace)
        while len(self._last) > MOST:
            self._last.popitem(last=False)
        return replace(trace, changes=changes.against(before, trace)) if before is not None else trace

    def __len__(self) -> int:
        return len(self._last)


def _key(trace: Trace, parent: Mapping[str, Any], *, cell: bool) -> Hashable:
    """The cell where the front end names it, else the function."""
    place = str(parent.get("metadata", {}).get("cellId") or "")
    return (place, "" if place and cell else trace.name, trace.gradient)
