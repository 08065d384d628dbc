"""Protocol Buffers' wire format, as far as reading takes it: numbered fields of numbers and bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

Field: TypeAlias = int | bytes

_NUMBER, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5
_WIDTHS = {_EIGHT: 8, _FOUR: 4}


def fields(message: bytes) -> Iterator[tuple[int, Field]]:
    """The fields of a message in order: their numbers, and an integer or the bytes.

    Raises:
        ValueError: when it is no message in this format.
    """
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, kind = key >> 3, key & 7
        if kind == _NUMBER:
            value, at = _varint(message, at)
            yield number, value
            continue
        width, at = _varint(message, at) if kind == _BYTES else (_WIDTHS.get(kind, -1), at)
        if not 0 <= width <= len(message) - at:
            raise ValueError(f"a field of wire type {kind} at byte {at} of {len(message)}")
        yield number, message[at : at + width]
        at += width


def numbers(packed: Field) -> tuple[int, ...]:
    """The integers of a repeated field, packed or single."""
    if isinstance(packed, int):
        return (packed,)
    found = []
    at = 0
    while at < len(packed):
        value, at = _varint(packed, at)
        found.append(value)
    return tuple(found)


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, least first, and where the next field starts."""
    value = shift = 0
    while True:
        if at >= len(message):
            raise ValueError("the message ends inside a number")
        byte = message[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at
