"""What `%jaxpr --why` says: whether a jitted function is traced once more, and what makes it so."""

from __future__ import annotations

from jaxmagic.pages import units
from jaxmagic.pages.blocks import Aside, Column, Page, Table, Tone, Words, code, spell, strong, tab, words
from jaxmagic.results import Difference, Retrace


def page(result: Retrace) -> Page:
    """The page of a `Retrace`."""
    return Page(
        say=_say(result),
        conditions=_conditions(result),
        tabs=(tab("differences", _table(result.differences)),) if result.differences else (),
        notes=tuple(Aside(words=spell(note.text), tone=_tone(note.kind)) for note in result.notes),
    )


def _tone(kind: str) -> Tone:
    return "bad" if kind == "stale" else "muted"


def _say(result: Retrace) -> Words:
    name = strong(result.name)
    match result.verdict:
        case "held":
            return words(name, " would not be traced again: JAX holds a trace for this call.")
        case "first":
            return words(name, " would be traced for the first time.")
        case "anew":
            return words(
                name, " would be traced ", strong("once more"), ": ", *_reasons(result.differences), "."
            )
        case "unknown":
            return words("Whether ", name, " would be traced once more is unknown.")


def _reasons(differences: tuple[Difference, ...]) -> Words:
    first, *rest = differences
    more = f", and {units.counted(len(rest), 'more difference')}" if rest else ""
    return words(code(first.what), f" {_is(first.now)} now, {_was(first.before)} before{more}")


def _is(text: str) -> str:
    return text if text == "not given" else f"is {text}"


def _was(text: str) -> str:
    return text if text == "not given" else f"was {text}"


def _conditions(result: Retrace) -> Words:
    if not result.traces:
        return ()
    held = units.counted(result.traces, "trace")
    return words(
        f"against the closest of {held} that JAX holds · nothing was run, traced or compiled"
        if result.differences
        else f"{held} held · traced apart from JAX's caches, to see whether that is still what it says",
    )


def _table(differences: tuple[Difference, ...]) -> Table:
    columns = (
        Column(title="what", align="left"),
        Column(title="now", align="left"),
        Column(title="before", align="left"),
        Column(title="another", align="left"),
    )
    rows = [
        (words(code(each.what)), words(code(each.now)), words(code(each.before)), words(each.cause))
        for each in differences
    ]
    return Table(columns=columns, rows=tuple(rows))
