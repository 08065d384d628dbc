"""One grammar for every magic: known options, `--`, then a Python expression to the letter.

Pure text: no IPython here. What the grammar refuses is a `BadLine` that names the fix.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from keyword import iskeyword
from typing import Any

from jaxmagic.errors import BadLine


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What an option's value may be.

    Args:
        says: in words, to complete "… takes".
        read: from text to the value; ValueError when the text is no such value.
        show: from the value back to text, such that `read(show(value)) == value`.
        choices: every text there is, where they can be listed.
    """

    says: str
    read: Callable[[str], Any]
    show: Callable[[Any], str] = str
    choices: tuple[str, ...] = ()


def integer(low: int, high: int) -> Kind:
    """A whole number within bounds, both included."""
    return Kind(says=f"a whole number from {low} to {high}", read=lambda text: _within(int(text), low, high))


def number(low: float, high: float) -> Kind:
    """A number within bounds, both included."""
    return Kind(
        says=f"a number from {low:g} to {high:g}",
        read=lambda text: _within(float(text), low, high),
        show=repr,
    )


def choice(*texts: str) -> Kind:
    """One of a few words."""
    return Kind(says=" or ".join(texts), read=lambda text: texts[texts.index(text)], choices=texts)


def names() -> Kind:
    """Names with commas between them: `birth,death`; a name may go into a pytree: `params['w']`."""
    return Kind(says="names with commas and no blanks between them (a,b)", read=_names, show=",".join)


def name() -> Kind:
    """A name as Python has them."""
    return Kind(says="a Python name", read=_name)


def span() -> Kind:
    """Sizes of something, from one to another: `n=100..1e6` is ("n", 100.0, 1e6)."""
    return Kind(
        says="a name and growing sizes from 1 on (n=100..1e6)",
        read=_span,
        show=lambda value: f"{value[0]}={value[1]!r}..{value[2]!r}",
    )


def stretch() -> Kind:
    """A number and a range for it: `t=0..10` is ("t", 0.0, 10.0); the name may be a path."""
    return Kind(
        says="an input and a range (t=0..10)",
        read=_stretch,
        show=lambda value: f"{value[0]}={value[1]!r}..{value[2]!r}",
    )


def word(says: str = "a name") -> Kind:
    """Any one word."""
    return Kind(says=says, read=_word)


def _within(value: Any, low: float, high: float) -> Any:
    if not math.isfinite(value) or not low <= value <= high:
        raise ValueError(value)
    return value


def _names(text: str) -> tuple[str, ...]:
    found = tuple(text.split(","))
    if not all(found):
        raise ValueError(text)
    return found


def _name(text: str) -> str:
    if not text.isidentifier() or iskeyword(text):
        raise ValueError(text)
    return text


def _span(text: str) -> tuple[str, float, float]:
    called, _, ends = text.partition("=")
    low, _, high = ends.partition("..")
    start, end = float(low), float(high)
    if not 1 <= start < end < math.inf:
        raise ValueError(text)
    return _name(called), start, end


def _stretch(text: str) -> tuple[str, float, float]:
    called, _, ends = text.partition("=")
    low, _, high = ends.partition("..")
    start, end = float(low), float(high)
    if not called or not -math.inf < start < end < math.inf:
        raise ValueError(text)
    return _word(called), start, end


def _word(text: str) -> str:
    if not text or text.startswith("-"):
        raise ValueError(text)
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option.

    Args:
        name: the long form without dashes; its key in `Request.options`.
        short: the one-letter form, "" for none.
        metavar: what stands for its value in the help; "" for a flag.
        kind: what the value may be; None for a flag.
        default: its value when it is not given.
        help: what it does, in one line.
        alone: its value where the option stands without one; None where it needs one.
        source: "module:function" that lists values to complete, where `kind` has no choices.
    """

    name: str
    help: str
    short: str = ""
    metavar: str = ""
    kind: Kind | None = None
    default: Any = None
    alone: Any = None
    source: str = ""

    @property
    def spellings(self) -> tuple[str, ...]:
        """How it can be written: ("-o", "--output")."""
        return (f"-{self.short}",) * bool(self.short) + (f"--{self.name}",)


HELP = Option(name="help", short="h", help="show this help", default=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A magic line, understood.

    Args:
        options: every option of the magic by its name, defaults filled in.
        expr: what stands after the options, verbatim; "" for nothing.
        silent: whether a trailing `;` silences the display.
    """

    options: Mapping[str, Any]
    expr: str = ""
    silent: bool = False


# -- reading --------------------------------------------------------------------------------------


def parse(magic: str, options: Sequence[Option], line: str) -> Request:
    """Understand a magic line.

    Args:
        magic: its name, for the messages: "jaxpr".
        options: what it knows besides `--help`.
        line: what stands after the name.

    Raises:
        BadLine: names what is wrong and what to write instead.
    """
    known = {spelling: option for option in (*options, HELP) for spelling in option.spellings}
    values = {option.name: option.default for option in (*options, HELP)}
    rest = line.strip()
    while rest.startswith("-"):
        first, after = _split(rest)
        if first == "--":
            rest = after
            break
        spelling, equals, text = first.partition("=")
        option = known.get(spelling)
        if option is None:
            _refuse_misspelt(magic, spelling, known)
            break
        values[option.name], rest = _value(option, spelling, text if equals else None, after)
    expr, silent = _unsilenced(rest)
    return Request(options=values, expr=expr, silent=silent)


def _split(text: str) -> tuple[str, str]:
    """The first word, and what follows it."""
    first, *after = text.split(None, 1)
    return first, after[0] if after else ""


def _unsilenced(text: str) -> tuple[str, bool]:
    bare = text.rstrip().removesuffix(";").rstrip()
    return bare, bare != text.rstrip()


def _value(option: Option, spelling: str, text: str | None, after: str) -> tuple[Any, str]:
    """An option's value, and the rest of the line after it."""
    if option.kind is None:
        if text is not None:
            raise BadLine(f"`{spelling}` takes no value.", fix=f"Write `{spelling}` alone.")
        return True, after
    rest = after
    if text is None:
        text, rest = _split(after) if after else ("", "")
    try:
        return option.kind.read(_unquoted(text)), rest
    except (ValueError, OverflowError):
        if option.alone is not None and text in ("", *after.split(None, 1)[:1]):
            return option.alone, after
        given = f"not `{text}`" if text and not text.startswith("--") else "and none is given"
        raise BadLine(
            f"`{spelling}` takes {option.kind.says}, {given}.",
            fix=_suggestion(text, option.kind.choices) or f"Write `{spelling} {option.metavar}`.",
        ) from None


def _unquoted(text: str) -> str:
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
    return text[1:-1] if quoted else text


def _refuse_misspelt(magic: str, spelling: str, known: Mapping[str, Option]) -> None:
    """Let `-x @ w` pass for an expression, but nothing that must be meant for an option."""
    if not spelling.startswith("--") and f"-{spelling}" not in known:
        return
    wanted = re.match(r"-*[\w-]*", spelling)
    near = _suggestion(f"--{(wanted[0] if wanted else spelling).lstrip('-')}", tuple(known))
    raise BadLine(
        f"`%{magic}` has no option `{spelling}`.",
        fix=near or f"It has {', '.join(known)}; `--` before an expression that starts with a dash.",
    )


def _suggestion(text: str, choices: Sequence[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(text, choices, n=1, cutoff=0.5)
    return f"Did you mean `{near[0]}`?" if near else ""


# -- writing --------------------------------------------------------------------------------------


def render(options: Sequence[Option], values: Mapping[str, Any]) -> str:
    """The options part of a line that `parse` reads back to `values`; defaults are left out."""
    known = {option.name: option for option in (*options, HELP)}
    given = [(known[name], value) for name, value in values.items() if value != known[name].default]
    return " ".join(
        f"--{option.name}" + (f"={option.kind.show(value)}" if option.kind and value != option.alone else "")
        for option, value in given
    )
