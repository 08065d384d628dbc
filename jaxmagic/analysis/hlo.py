"""HLO text, read once: computations, instructions, types, and the tables of source places."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

BYTES = {
    "pred": 1, "s2": 1, "s4": 1, "u2": 1, "u4": 1, "s8": 1, "u8": 1, "s16": 2, "u16": 2, "s32": 4, "u32": 4,
    "s64": 8, "u64": 8, "bf16": 2, "f16": 2, "f32": 4, "f64": 8, "c64": 8, "c128": 16, "token": 0,
}  # fmt: skip

_LINE = re.compile(
    r"^[ ]+(?P<root>ROOT )?%?(?P<name>[^\s=]+) = (?P<type>\(.*?\)|\S+) (?P<opcode>[a-z][\w\-]*)\("
    r"(?P<operands>[^)]*)\)(?P<attributes>.*)$"
    r"|^(?P<entry>ENTRY )?%?(?P<computation>[^\s=]+) (?:\(.*\) -> .* )?\{$"
    r"|^(?P<id>\d+) (?:\"(?P<string>.*)\"|\{(?P<fields>.*)\})$"
    r"|^(?P<table>FileNames|FunctionNames|FileLocations|StackFrames)$",
    re.MULTILINE,
)
_ARRAY = re.compile(r"token\[\]|([a-z]\w*)\[([\d,<=\s]*)\](?:\{([\d,]+)[^}]*\})?")
FRAME = re.compile(r"stack_frame_id=(\d+)")
OP_NAME = re.compile(r'op_name="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class Array:
    """An array type: element type, sizes, element count, bytes, and its axes from minor to major."""

    element: str
    shape: tuple[int, ...]
    count: int
    bytes: int
    layout: tuple[int, ...]


_NOTHING = Array("token", (), 0, 0, ())


@dataclass(frozen=True, slots=True)
class Type:
    """An HLO type: an array, or a tuple of them (inner tuples laid flat)."""

    arrays: tuple[Array, ...]
    is_tuple: bool
    bytes: int

    @property
    def first(self) -> Array:
        """The array (of a tuple, the first)."""
        return self.arrays[0] if self.arrays else _NOTHING

    @property
    def element(self) -> str:
        """The element type."""
        return self.first.element

    @property
    def elements(self) -> int:
        """How many elements."""
        return self.first.count

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of the axes."""
        return self.first.shape

    @property
    def layout(self) -> tuple[int, ...]:
        """The axes from minor to major."""
        return self.first.layout


class Instruction(NamedTuple):
    """One instruction.

    Args:
        operands: names of instructions of the same computation (a constant's: its literal).
        attributes: what stands behind the operands, verbatim.
        frame: the id of its stack frame, 0 for none.
        at: where its line starts in the text.
    """

    name: str
    type: Type
    opcode: str
    operands: tuple[str, ...]
    attributes: str
    frame: int
    root: bool
    at: int

    def attribute(self, name: str) -> str:
        """An attribute's text up to the next comma outside braces; "" where it is not given."""
        return _attribute(self.attributes, name)

    @property
    def scope(self) -> str:
        """The name that JAX gave the operation: `jit(f)/while/body/add`."""
        return _scope(self.attributes)


@dataclass(slots=True)
class Frame:
    """A frame of the program's source: innermost call first when followed through `parent`."""

    file: str
    function: str
    line: int
    column: int
    end_line: int
    end_column: int
    parent: int


@dataclass(slots=True)
class Module:
    """A program: its computations by name, the entry's name, and the frames by id."""

    computations: dict[str, dict[str, Instruction]] = field(default_factory=dict)
    entry: str = ""
    frames: dict[int, Frame] = field(default_factory=dict)

    def root(self, computation: str) -> Instruction:
        """The instruction whose value a computation returns."""
        instructions = self.computations[computation].values()
        return next((one for one in instructions if one.root), next(reversed(instructions)))


def read(text: str) -> Module:
    """A module from its text, in one pass."""
    module = Module()
    tables: dict[str, dict[int, str]] = {}
    rows: dict[int, str] = {}
    body: dict[str, Instruction] = {}
    for match in _LINE.finditer(text):
        if match["opcode"]:
            body[match["name"]] = _instruction(match)
        elif match["computation"]:
            body = module.computations[match["computation"]] = {}
            module.entry = match["computation"] if match["entry"] else module.entry
        elif match["table"]:
            rows = tables.setdefault(match["table"], {})
        else:
            rows[int(match["id"])] = match["string"] or match["fields"] or ""
    module.frames = _frames(tables)
    return module


def _instruction(match: re.Match[str]) -> Instruction:
    attributes = match["attributes"]
    return Instruction(
        name=match["name"],
        type=read_type(match["type"]),
        opcode=match["opcode"],
        operands=_operands(match["operands"]),
        attributes=attributes,
        frame=_frame(attributes),
        root=match["root"] is not None,
        at=match.start(),
    )


# The turns of an unrolled loop have the same attributes, place and name included.
@lru_cache(maxsize=1024)
def _frame(attributes: str) -> int:
    found = FRAME.search(attributes)
    return int(found[1]) if found else 0


@lru_cache(maxsize=1024)
def _scope(attributes: str) -> str:
    found = OP_NAME.search(attributes)
    return found[1] if found else ""


@lru_cache(maxsize=4096)
def read_type(text: str) -> Type:
    """A type as HLO prints it: `f32[8,3]{1,0}`, `(f32[], s32[2]{0})`."""
    arrays = tuple(map(_array, _ARRAY.finditer(text)))
    return Type(arrays, text.startswith("("), sum(array.bytes for array in arrays))


def _array(match: re.Match[str]) -> Array:
    if match[1] is None:
        return _NOTHING
    shape = tuple(int(size.strip("<= ")) for size in match[2].split(",") if size)
    layout = tuple(map(int, match[3].split(","))) if match[3] else tuple(range(len(shape)))[::-1]
    count = math.prod(shape)
    return Array(match[1], shape, count, count * BYTES.get(match[1], 1), layout)


def _operands(text: str) -> tuple[str, ...]:
    if not text:
        return ()
    return tuple(part.rpartition(" ")[2].lstrip("%") for part in text.split(", "))


def _attribute(text: str, name: str) -> str:
    found = re.search(rf"[ ,]{name}=(\{{[^}}]*\}}|[^,\s]+)", text)
    return found[1].lstrip("%") if found else ""


_FIELDS = re.compile(r"(\w+)=(\d+)")


def _frames(tables: dict[str, dict[int, str]]) -> dict[int, Frame]:
    files, functions = tables.get("FileNames", {}), tables.get("FunctionNames", {})
    places = {key: _fields(row) for key, row in tables.get("FileLocations", {}).items()}
    frames = {}
    for key, row in tables.get("StackFrames", {}).items():
        ids = _fields(row)
        place = places.get(ids.get("file_location_id", 0), {})
        frames[key] = Frame(
            file=files.get(place.get("file_name_id", 0), ""),
            function=functions.get(place.get("function_name_id", 0), ""),
            line=place.get("line", 0),
            column=place.get("column", 0),
            end_line=place.get("end_line", 0),
            end_column=place.get("end_column", 0),
            parent=ids.get("parent_frame_id", 1) - 1,  # XLA prints it one too high
        )
    return frames


def _fields(row: str) -> dict[str, int]:
    return {name: int(value) for name, value in _FIELDS.findall(row)}
