"""What has to happen to a cell magic of ours before IPython runs the cell.

A body with a top-level await needs an awaited call (a kernel's event loop is running already), and a
syntax error in a body should look like that of a plain cell, which is known before anything runs.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from jaxmagic.magics.commands import COMMANDS

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

_CALL = "get_ipython().run_cell_magic("


class CellMagics:
    """An input transformer for `shell.input_transformers_post`."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell

    def __call__(self, lines: list[str]) -> list[str]:
        """The lines of a cell, an await before a cell magic of ours whose body needs one.

        Raises:
            SyntaxError: the body is not Python.
        """
        if not lines or not lines[0].startswith(_CALL):
            return lines
        call = _magic_call("".join(lines))
        if call is None or call[0] not in COMMANDS:
            return lines
        name, line, body = call
        if not body.strip():
            return _help(name, line) or lines
        from jaxmagic.magics import cell

        source = cell.source_of(self._shell, body)
        if cell.awaits(self._shell, source):
            return ["await ", *lines]
        cell.compiled(self._shell, body, self._shell.execution_count)
        return lines


def _magic_call(text: str) -> tuple[str, str, str] | None:
    """The name, line and body in what IPython made of a cell magic."""
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None
    arguments = tree.args if isinstance(tree, ast.Call) else []
    values = [
        node.value for node in arguments if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    return (values[0], values[1], values[2]) if len(values) == len(arguments) == 3 else None


def _help(name: str, line: str) -> list[str] | None:
    """`%%magic --help` has no body, which IPython refuses: the line magic shows the same."""
    if line.strip() not in ("--help", "-h"):
        return None
    return [f"get_ipython().run_line_magic({name!r}, {line!r})\n"]
