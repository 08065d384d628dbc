"""What a user's text may hold, made visible: no escape, line break or reversal reaches a medium.

One character becomes one character, so that columns in a listing stay what they were.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from jaxmagic.pages.blocks import Block, Tab

_PICTURES = {code: chr(0x2400 + code) for code in range(0x20)} | {0x7F: "␡"}
# Bidirectional controls, invisible marks, line separators, C1 controls, halves of surrogate pairs.
_REFUSED = (
    *range(0x80, 0xA0),
    *(0x00AD, 0x061C, 0x180E, 0x200B, 0x200E, 0x200F, 0xFEFF),
    *range(0x2028, 0x202F),
    *range(0x2060, 0x2070),
    *range(0xD800, 0xE000),
    *range(0xFFF9, 0xFFFC),
    *range(0xE0000, 0xE0080),
)
_TABLE = _PICTURES | dict.fromkeys(_REFUSED, "\N{REPLACEMENT CHARACTER}")


def visible(text: str) -> str:
    """Text for one line."""
    return str(text).translate(_TABLE)


def visible_lines(text: str) -> list[str]:
    """The lines of a listing; a tab at the start of a line is four blanks."""
    return [visible_line(line) for line in str(text).split("\n")]


def visible_line(line: str) -> str:
    """A line of source: tabs become one blank each, so that columns hold."""
    return visible(line.rstrip("\r").replace("\t", " "))


def width(text: str) -> int:
    """How many columns of a terminal a text takes."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def waits(tab: Tab) -> bool:
    """Whether a tab is dear and was not asked for: then its hint stands for it."""
    return bool(tab.hint) and not tab.blocks.ready


def failure(error: BaseException) -> str:
    """One line on something that could not be shown."""
    try:
        return visible(f"{type(error).__name__}: {error}")[:300]
    except Exception:  # noqa: BLE001 - an exception's own text is a user's code, too
        return type(error).__name__


def flat(lines: Iterable[str]) -> str:
    """Lines as one text without blanks at line ends."""
    return "\n".join(line.rstrip() for line in lines)


def shown(block: Block) -> str:
    """The kind of a block, as one calls it in a sentence."""
    return type(block).__name__.lower()
