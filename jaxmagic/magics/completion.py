"""Completion of options, choices and device names on a magic's line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from jaxmagic.magics.commands import COMMANDS, Command, imported
from jaxmagic.magics.grammar import HELP, Option

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

_LINE = re.compile(rf"(?:^|=)\s*%%?(?P<name>{'|'.join(COMMANDS)})\s(?P<rest>.*)$")
_DEVICES = "jaxmagic.analysis.devices:device_names"


def completions(line: str) -> tuple[str, list[str]] | None:
    """What may follow a line that ends at the cursor.

    Returns:
        The piece that is being typed and the texts that may stand in its place; None where the
        grammar has nothing to offer, because a Python expression has begun.
    """
    found = _LINE.search(line)
    if found is None:
        return None
    *before, piece = re.split(r"\s+", found["rest"])
    offered = _offered(COMMANDS[found["name"]], [word for word in before if word], piece)
    return None if offered is None else (piece, [text for text in offered if text.startswith(piece)])


def _offered(command: Command, before: list[str], piece: str) -> list[str] | None:
    known = {spelling: option for option in (*command.options, HELP) for spelling in option.spellings}
    pending: Option | None = None
    for word in before:
        if pending is not None:
            pending = None
        elif word.partition("=")[0] in known:
            option = known[word.partition("=")[0]]
            pending = option if option.kind and "=" not in word else None
        else:
            return None
    if pending is not None:
        return _values(pending)
    spelling, equals, _ = piece.partition("=")
    if equals and spelling in known:
        return [f"{spelling}={value}" for value in _values(known[spelling])]
    if piece.startswith("-"):
        return list(known)
    return None if command.expression else list(imported(_DEVICES)())


def _values(option: Option) -> list[str]:
    if option.kind is None:
        return []
    return list(option.kind.choices or (imported(option.source)() if option.source else ()))


def names(shell: InteractiveShell, line: str) -> tuple[str, list[str]]:
    """The user's names that may stand at the end of an expression on a magic's line.

    IPython completes them after a bracket only, because a line with a percent sign is no Python.
    """
    piece = re.search(r"[^\W\d][\w.]*$", line)
    if piece is None or _LINE.search(line) is None:
        return "", []
    completer: Any = shell.Completer
    found = completer.attr_matches(piece[0]) if "." in piece[0] else completer.global_matches(piece[0])
    return piece[0], list(found)


# -- IPython 8 and 9 ------------------------------------------------------------------------------


def context_matcher(shell: InteractiveShell) -> Any:
    """A matcher for `IPCompleter.custom_matchers`."""
    from IPython.core.completer import SimpleCompletion
    from IPython.core.completer import context_matcher as matches_context

    @matches_context(priority=100, identifier="jaxmagic")  # type: ignore[untyped-decorator,unused-ignore] # IPython's
    def jaxmagic(context: Any) -> dict[str, Any]:
        found = completions(context.text_until_cursor)
        piece, texts = found or names(shell, context.text_until_cursor)
        offered = [SimpleCompletion(text=text, type="magic" if found else "instance") for text in texts]
        return {"completions": offered, "suppress": bool(found and offered), "matched_fragment": piece}

    return jaxmagic


# -- IPython 7 ------------------------------------------------------------------------------------


def line_matcher(shell: InteractiveShell) -> Any:
    """A matcher for `IPCompleter.magic_arg_matchers`, which replaces the last piece as IPython splits it."""

    def jaxmagic(line: str) -> list[str]:  # noqa: ARG001 # what is behind the cursor is in it too
        completer: Any = shell.Completer
        before = completer.text_until_cursor
        piece, texts = completions(before) or names(shell, before)
        kept = len(piece) - len(completer.splitter.split_line(before))  # it splits `--stage=hl` and `cuda:1`
        return [text[max(kept, 0) :] for text in texts]

    return jaxmagic
