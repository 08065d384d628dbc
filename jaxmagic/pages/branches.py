"""The derivatives by a pytree as a tree: what each part holds, from the whole down to its numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from jaxmagic.pages import units
from jaxmagic.pages.blocks import Branch, Code, Strip, Text, Tree, Words, words
from jaxmagic.pages.figures import Figured
from jaxmagic.pages.verdicts import mark

FULL = 64  # arrays up to this many numbers are printed in full
MOST_PARTS = 40  # of one branch
OPEN = 12  # lines that are open at first, at most
_PAIR = (("real",), ("imag",))
COLUMNS = ("type", "norm", "zeros", "for 1 % more", "check")


@dataclass(slots=True)
class _Part:
    """A part of an input: a leaf, or what holds further parts."""

    leaf: Figured | None = None
    parts: dict[str, _Part] = field(default_factory=dict)

    @property
    def leaves(self) -> list[Figured]:
        if self.leaf is not None:
            return [self.leaf]
        return [leaf for part in self.parts.values() for leaf in part.leaves]


def tree(leaves: Sequence[Figured]) -> Tree | None:
    """None where no input has parts (a complex number's two are in the table)."""
    if not any(len(leaf.way) > 1 and leaf.way[1:] not in _PAIR for leaf in leaves):
        return None
    root = _Part()
    for leaf in leaves:
        part = root
        for piece in leaf.way:
            part = part.parts.setdefault(piece, _Part())
        part.leaf = leaf
    few = sum(1 for _ in _lines(root)) <= OPEN
    return Tree(columns=COLUMNS, branches=_branches(root, few=few, depth=0))


def _lines(part: _Part) -> Sequence[_Part]:
    return [one for inner in part.parts.values() for one in (inner, *_lines(inner))]


def _branches(part: _Part, *, few: bool, depth: int) -> tuple[Branch, ...]:
    parts = list(part.parts.items())
    found = [_branch(name, inner, few=few, depth=depth) for name, inner in parts[:MOST_PARTS]]
    if len(parts) > MOST_PARTS:
        rest = [leaf for _, inner in parts[MOST_PARTS:] for leaf in inner.leaves]
        found.append(
            Branch(words=_muted(f"and {units.count(len(parts) - MOST_PARTS)} more"), cells=_sums(rest))
        )
    return tuple(found)


def _branch(name: str, part: _Part, *, few: bool, depth: int) -> Branch:
    if part.leaf is not None:
        return Branch(words=words(name), cells=_cells(part.leaf), inside=_array(part.leaf))
    inside = _branches(part, few=few, depth=depth + 1)
    return Branch(words=words(name), cells=_sums(part.leaves), inside=inside, open=few or depth == 0)


# -- figures --------------------------------------------------------------------------------------


def _cells(leaf: Figured) -> tuple[Words, ...]:
    size = units.signed(float(leaf.value), 4) if not leaf.value.ndim else units.figure(leaf.norm)
    told = (Text(f"{leaf.mark} · ", tone="bad"), *mark(leaf.check)) if leaf.mark else mark(leaf.check)
    zeros = _zeros(leaf.zeros, leaf.broken, leaf.value.ndim)
    return _muted(leaf.type), words(size), zeros, _effect(leaf.effect), told


def _sums(leaves: Sequence[Figured]) -> tuple[Words, ...]:
    """What a branch holds, all in all."""
    numbers = sum(leaf.value.size for leaf in leaves)
    norm = math.hypot(*(leaf.norm for leaf in leaves))
    share = sum((leaf.zeros or 0.0) * leaf.value.size for leaf in leaves) / (numbers or 1)
    broken = sum((leaf.broken or 0.0) * leaf.value.size for leaf in leaves) / (numbers or 1)
    marks = sorted({leaf.mark for leaf in leaves if leaf.mark})
    holds = f"{units.counted(len(leaves), 'array')}, {units.amount(numbers)}"
    told = words(Text(" and ".join(marks), tone="bad")) if marks else _verdicts(leaves)
    effect = _effect(sum(leaf.effect for leaf in leaves))
    return _muted(holds), words(units.figure(norm)), _zeros(share, broken, 1), effect, told


def _verdicts(leaves: Sequence[Figured]) -> Words:
    good = sum(leaf.check.ok is True for leaf in leaves)
    if good == len(leaves):
        return (Text("✓", tone="good"),)
    wrong = any(leaf.check.ok is False for leaf in leaves)
    return (Text(f"{good} of {len(leaves)} ✓", tone="bad" if wrong else "warn"),)


def _effect(effect: float) -> Words:
    return words(units.signed(effect))


def _zeros(share: float | None, broken: float | None, axes: int) -> Words:
    if not axes or share is None:
        return ()
    if broken:
        return words(units.percent(share), Text(f", {units.percent(broken)} nan", tone="bad"))
    return words(units.percent(share))


def _muted(text: str) -> Words:
    return (Text(text, tone="muted"),)


# -- an array -------------------------------------------------------------------------------------


def _array(leaf: Figured) -> tuple[Code | Strip, ...]:
    """In full, or as a strip."""
    if not leaf.value.ndim or not leaf.value.size:
        return ()
    if leaf.value.size <= FULL:
        return (Code(text=full(leaf)),)
    low, high = units.brief(leaf.low), units.brief(leaf.high)
    told = f"{units.counted(leaf.value.size, 'number')} in order, {low} … {high}"
    stretches = f"; each of {len(leaf.strip)} stretches by its number farthest from zero"
    return (Strip(values=leaf.strip, alt=told + stretches),)


def full(leaf: Figured) -> str:
    """A small array, number by number."""
    return np.array2string(
        np.asarray(leaf.value, np.float64), precision=5, separator=", ", threshold=FULL + 1
    )
