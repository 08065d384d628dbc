"""How the checks of derivatives read: a mark beside each, a sentence for all, a table."""

from __future__ import annotations

from collections.abc import Sequence

from jaxmagic.pages import units
from jaxmagic.pages.blocks import Cell, Column, Table, Text, Tone, Words, code, words
from jaxmagic.pages.figures import Figured
from jaxmagic.results import Check

MOST_ROWS = 60  # derivatives in a table
APART = 12  # checks that are listed one by one, even if they are the same one

# How a check reads in a cell, by what it found.
MARKS: dict[str, tuple[str, Tone]] = {
    "ok": ("✓", "good"),
    "wrong": ("✗", "bad"),
    "kink": ("kink", "warn"),
    "jump": ("jump", "warn"),
    "not finite": ("not finite", "bad"),
    "unsure": ("not settled", "muted"),
    "stopped": ("not comparable", "muted"),
    "": ("not checked", "muted"),
}


def checked(check: Check) -> tuple[str | Text, ...]:
    """The verdict on all derivatives together."""
    how = check.how.replace("central differences", "by finite differences")
    if check.ok:
        worst = units.scientific(check.error or 0.0)
        return Text("✓ checked", tone="good"), f" {how}, worst relative difference {worst}"
    if check.ok is False:
        return Text("✗ wrong", tone="bad"), f" {how}"
    if check.finding in ("kink", "jump"):
        return Text("checked", tone="warn"), f" {how}: a {check.finding} at this point"
    if check.finding == "not finite":
        return Text("not finite", tone="bad"), ": nothing to check against"
    if check.finding == "unsure":
        return Text("not settled", tone="muted"), f" {how}"
    return (Text(check.how, tone="muted"),)


def mark(check: Check) -> Words:
    """The verdict on one, for a cell."""
    sign, tone = MARKS.get(check.finding, MARKS[""])
    error = f" {units.scientific(check.error)}" if check.ok is not None and check.error is not None else ""
    return (Text(sign + error, tone=tone),)


def check_table(leaves: Sequence[Figured]) -> Table:
    """What was found of each, and how; those that were checked together share a row."""
    titles = ("by", "found", "relative difference", "allowed", "how")
    groups = _together(leaves)
    return Table(
        columns=tuple(
            Column(title=t, align="left" if t in ("by", "found", "how") else "right") for t in titles
        ),
        rows=tuple(_check_row(names, check) for names, check in groups[:MOST_ROWS]),
        caption=f"and {units.count(len(groups) - MOST_ROWS)} more" if len(groups) > MOST_ROWS else "",
    )


def _together(leaves: Sequence[Figured]) -> list[tuple[list[str], Check]]:
    """The names of those that share a check, where there are many."""
    groups: dict[tuple[Check, str], list[str]] = {}
    for leaf in leaves:
        name = of(leaf.output, leaf.path)
        groups.setdefault((leaf.check, name if len(leaves) <= APART else ""), []).append(name)
    return [(names, check) for (check, _), names in groups.items()]


def _check_row(names: Sequence[str], check: Check) -> tuple[Cell, ...]:
    sign, tone = MARKS.get(check.finding, MARKS[""])
    error = "" if check.error is None else units.scientific(check.error)
    allowed = "" if check.tolerance is None else units.scientific(check.tolerance)
    more = f" and {units.count(len(names) - 1)} more, together" if len(names) > 1 else ""
    found = (Text(sign, tone=tone),)
    return words(code(names[0]), more), found, words(error), words(allowed), words(check.how)


def of(output: str, path: str) -> str:
    """A derivative by its output, where there are several, and its input."""
    return f"{output} by {path}" if output else path
