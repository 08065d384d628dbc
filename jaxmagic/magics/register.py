"""Giving the magics to a shell, and taking them back without a trace.

Everything is found again by what it is; only live views have to be remembered (onshow.py). What carries
the magics out is imported when the first of them runs: loading costs little.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from IPython.core.magic import needs_local_scope, no_var_expand

from jaxmagic.magics import completion, onshow
from jaxmagic.magics.commands import COMMANDS, Command, help_text
from jaxmagic.magics.transform import CellMagics

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from jaxmagic.magics.carry import Carrier

_RESULTS = "jaxmagic.results"


def load(shell: InteractiveShell) -> None:
    """Register every magic, its completion, and the display of results."""
    unload(shell)

    @cache
    def carrier() -> Carrier:
        from jaxmagic.magics.carry import Carrier
        from jaxmagic.magics.display import Screen

        return Carrier(shell, Screen(shell))

    for command in COMMANDS.values():
        shell.magics_manager.register_function(_magic(carrier, command), "line_cell", command.name)
    shell.input_transformers_post.append(CellMagics(shell))
    _add_completion(shell)
    _add_formatters(shell, carrier)


def unload(shell: InteractiveShell) -> None:
    """Remove all of it, live views included; what was never there is no error."""
    onshow.close(shell)
    _give_back_the_device()
    for magics in shell.magics_manager.magics.values():
        for name in [name for name, function in magics.items() if _is_ours(function)]:
            del magics[name]
    transformers = shell.input_transformers_post
    transformers[:] = [item for item in transformers if not isinstance(item, CellMagics)]
    for matchers in _matchers(shell):
        matchers[:] = [item for item in matchers if not _is_ours(item)]
    for formatter in _formatters(shell):
        for result in _results():
            formatter.pop(f"{_RESULTS}.{result}", None)


def _give_back_the_device() -> None:
    """Undo `%jaxdevice NAME`, which cannot have run where its analysis was never imported."""
    devices = sys.modules.get("jaxmagic.analysis.devices")
    if devices is not None:
        devices.reset()


def _magic(carrier: Callable[[], Carrier], command: Command) -> Callable[..., Any]:
    """The function that IPython calls; its docstring is what `%magic?` shows."""

    @no_var_expand
    @needs_local_scope
    def magic(line: str, cell: str | None = None, local_ns: dict[str, Any] | None = None) -> Any:
        if cell is None:
            return carrier().line(command, line, local_ns)
        return carrier().cell(command, line, cell)

    magic.__name__ = magic.__qualname__ = command.name
    magic.__doc__ = help_text(command)
    return magic


def _is_ours(item: Any) -> bool:
    return getattr(item, "__module__", None) in (__name__, completion.__name__)


def _formatters(shell: InteractiveShell) -> tuple[Any, Any]:
    """What shows a value as text, and what shows it as outputs of its own."""
    formatter: Any = shell.display_formatter
    return formatter.formatters["text/plain"], formatter.ipython_display_formatter


def _add_formatters(shell: InteractiveShell, carrier: Callable[[], Carrier]) -> None:
    """Show results that are values: in a terminal as text, else as the outputs that their magic shows."""

    def as_text(result: object, printer: Any, cycle: bool) -> None:
        carrier().screen.print_value(result, printer, cycle)

    def as_outputs(result: object) -> None:
        carrier().screen.display_value(result)

    text, outputs = _formatters(shell)
    active: Any = shell.display_formatter
    for result in _results():
        text.for_type_by_name(_RESULTS, result, as_text)
        if "text/html" in active.active_types:
            outputs.for_type_by_name(_RESULTS, result, as_outputs)


def _results() -> list[str]:
    return [result for command in COMMANDS.values() for result in command.results]


# -- completion -----------------------------------------------------------------------------------


def _matchers(shell: InteractiveShell) -> list[list[Any]]:
    """The lists of the completer that a matcher of ours can be in."""
    completer = getattr(shell, "Completer", None)
    found = (getattr(completer, name, None) for name in ("custom_matchers", "magic_arg_matchers"))
    return [matchers for matchers in found if isinstance(matchers, list)]


def _add_completion(shell: InteractiveShell) -> None:
    completer: Any = getattr(shell, "Completer", None)
    if hasattr(completer, "magic_arg_matchers") and not _has_contexts():
        completer.magic_arg_matchers.append(completion.line_matcher(shell))
    elif completer is not None:
        completer.custom_matchers.append(completion.context_matcher(shell))


def _has_contexts() -> bool:
    from IPython.core import completer

    return hasattr(completer, "context_matcher")
