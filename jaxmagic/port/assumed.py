"""What a port takes for granted beyond the source, in words."""

from __future__ import annotations

import ast
import re

from jaxmagic.port.check import Misfit
from jaxmagic.port.collect import Program, Unit
from jaxmagic.port.emit import Module
from jaxmagic.port.proof import Made
from jaxmagic.port.specialise import Lowered
from jaxmagic.results import Note

# Functions whose results show the order of equal elements, which NumPy does not promise.
UNORDERED = re.compile(r"\b(argsort|argpartition|partition)\(")


def captures(module: Module) -> list[Note]:
    """What the port takes from the user's namespace, as it was then."""
    names = ", ".join(f"`{name}`" for name in module.taken)
    text = f"The port keeps {names} as it was when the port was made."
    return [Note(kind="captured", text=text)] if names else []


def assumptions(made: Made) -> list[Note]:
    """What the port takes for granted beyond the source."""
    lowered = made.lowered
    notes = [
        *where(
            made.whole,
            "casts",
            "Real numbers become whole ones at {}. Of those that do not fit, and of NaN, NumPy makes what "
            "the machine does, JAX perhaps something else: under jit it is taken that all fit.",
        ),
        *where(
            made.some,
            "empty",
            "Where no element is left for the extreme at {}, NumPy raises. So does the port where it is "
            "called as it is; compiled code gives an infinity or the limit of the dtype.",
        ),
        *where(
            lowered.sliced,
            "slices",
            "Data move a slice at {}: it is taken to lie inside its array, where NumPy would cut it.",
        ),
        *where(
            lowered.whole,
            "64 bits",
            "Python's own whole numbers have no limit, and the port's have 64 bits: {}.",
        ),
        *where(
            lowered.unchecked,
            "unchecked",
            "Compiled code raises nothing: what is checked at {} is not checked by the port.",
        ),
    ]
    if has_indices(made):
        text = (
            "Where an index is out of bounds NumPy raises. The port does so too where it is called as it is, "
            "and looks first; compiled code does not: under jit it is taken that none is."
        )
        notes.insert(0, Note(kind="bounds", text=text))
    if lowered.takes_finite:
        text = (
            "What NumPy leaves out of a product of arrays is multiplied by zero: the port takes it that "
            "no infinity or NaN is there."
        )
        notes.append(Note(kind="finite", text=text))
    if UNORDERED.search(made.module.source):
        text = "Where elements are equal, NumPy's order of them is not promised: the port keeps theirs."
        notes.append(Note(kind="order", text=text))
    if made.mixed:
        text = f"Data decide the dtype in NumPy, and the port always has the wider: {', '.join(made.mixed)}."
        notes.append(Note(kind="mixed", text=text))
    if not made.jitted:
        notes.append(
            Note(kind="eager", text="The port runs on JAX, but not under jit: sizes in it depend on data.")
        )
    return notes


def where(lines: tuple[str, ...], kind: str, text: str) -> list[Note]:
    """The note on some lines of the source, where there are any."""
    shown = ", ".join(f"`{line}`" for line in lines)
    return [Note(kind=kind, text=text.replace("{}", shown))] if lines else []


def has_indices(made: Made) -> bool:
    """Whether a port reads or stores single elements."""
    return any(isinstance(node, ast.Subscript) for node in ast.walk(ast.parse(made.module.source)))


def mixed(program: Program, lowered: Lowered, found: Misfit) -> tuple[str, ...]:
    """Lines at which data decide what dtype NumPy gives, with the two."""
    units = {unit.name: unit for unit in program.units}
    places: set[tuple[Unit, int, str, str, str]] = {
        *lowered.mixed,
        *((units[unit], line, name, a, b) for unit, line, name, a, b in found.mixed),
    }
    differing = [place for place in places if place[3] and place[4] and place[3] != place[4]]
    said = []
    for unit, line, name, a, b in sorted(differing, key=lambda place: (place[0].name, *place[1:])):
        text = unit.text.splitlines()[line - 1].strip()
        said.append(f"`{name}` from `{text}` on ({a} or {b})" if name else f"`{text}` ({a} or {b})")
    return tuple(said)


def lines_at(program: Program, places: set[tuple[str, int]]) -> tuple[str, ...]:
    """The source lines at some places."""
    units = {unit.name: unit for unit in program.units}
    return tuple(units[name].text.splitlines()[line - 1].strip() for name, line in sorted(places))
