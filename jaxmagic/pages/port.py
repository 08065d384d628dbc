"""What a port says: whether it agrees with NumPy, what changed in the source, what was assumed."""

from __future__ import annotations

from jaxmagic.pages.blocks import Aside, Code, Page, Tab, Words, code, spell, strong, tab, words
from jaxmagic.results import Port


def page(result: Port) -> Page:
    """The page of a port."""
    return Page(
        say=_say(result),
        conditions=_conditions(result),
        tabs=_tabs(result),
        notes=tuple(Aside(words=spell(note.text)) for note in result.notes),
    )


def _say(result: Port) -> Words:
    if any(note.kind == "unproved" for note in result.notes):
        return words(code(result.name), " is rewritten for JAX, and ", strong("not compared"), " with NumPy.")
    if any(note.kind == "eager" for note in result.notes):
        return words(
            code(result.name), " runs on JAX, ", strong("but not under jit"), ", and agrees with NumPy."
        )
    if any(note.kind == "chaotic" for note in result.notes):
        return words(
            code(result.name),
            " runs on JAX and agrees with NumPy ",
            strong("as far as rounding lets it"),
            ".",
        )
    return words(code(result.name), " runs on JAX and ", strong("agrees with NumPy"), ".")


def _conditions(result: Port) -> Words:
    parts = []
    if result.mutated:
        parts.append(f"NumPy changes {_names(result.mutated)} in place; JAX returns it after the result")
    if result.static:
        kept = "stays a Python value" if len(result.static) == 1 else "stay Python values"
        parts.append(f"under jit {_names(result.static)} {kept}")
    return spell("; ".join(parts))


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _tabs(result: Port) -> tuple[Tab, ...]:
    changes = Code(text=result.diff, diff=True) if result.diff else Code(text=result.source)
    return tab("Changes", changes), tab("JAX source", Code(text=result.source))
