"""What a derivative costs beside its function, in forward and in reverse mode."""

from __future__ import annotations

from collections.abc import Sequence

from jaxmagic.pages import units
from jaxmagic.pages.blocks import Block, Cell, Column, Prose, Table, Text, strong, words
from jaxmagic.results import Expense, Lazy

TITLE = "costs"
HINT = "compiles the function and its derivative in both modes and times them: about a second (--costs)"
RULE = 5.0  # a gradient in reverse mode takes at most so many times the function's arithmetic
WAYS = {"function": "the function", "reverse": "reverse mode", "forward": "forward mode"}


def blocks(expenses: Lazy[tuple[Expense, ...]], mode: str) -> Lazy[tuple[Block, ...]]:
    """Made when first looked at, unless it was asked for."""
    made = Lazy(lambda: _blocks(expenses.get(), mode))
    if expenses.ready:
        made.get()
    return made


def _blocks(expenses: Sequence[Expense], mode: str) -> tuple[Block, ...]:
    plain = next(one for one in expenses if one.way == "function")
    titles = ("", "a call", "times the function", "memory", "passes", "flop")
    table = Table(
        columns=tuple(Column(title=title, align="right" if title else "left") for title in titles),
        rows=tuple(_row(one, plain, mode) for one in expenses),
    )
    return table, *_verdicts(expenses, plain, mode)


def _row(one: Expense, plain: Expense, mode: str) -> tuple[Cell, ...]:
    about = "about " if one.estimated else ""
    name = strong(WAYS[one.way]) if one.way == mode else Text(WAYS[one.way])
    return (
        words(name, " ← chosen" if one.way == mode else ""),
        words(about + units.seconds(one.seconds)),
        words(about + units.ratio(_times(one, plain)) if one is not plain else ""),
        words(units.size(one.bytes)),
        words("" if one is plain else units.count(one.passes)),
        words(units.flop(one.flops)),
    )


def _times(one: Expense, plain: Expense) -> float | None:
    return one.seconds / plain.seconds if one.seconds and plain.seconds else None


def _verdicts(expenses: Sequence[Expense], plain: Expense, mode: str) -> list[Block]:
    """The rule of five, and which mode is the cheaper one here."""
    by_way = {one.way: one for one in expenses}
    told: list[Block] = []
    reverse = by_way.get("reverse")
    if reverse is not None and reverse.passes == 1 and (times := _times(reverse, plain)):
        told.append(_rule(times, reverse, plain))
    other = by_way.get("forward" if mode == "reverse" else "reverse")
    chosen = by_way.get(mode)  # type: ignore[call-overload]
    if chosen and other and chosen.seconds and other.seconds:
        told.append(Prose(words=words(_choice(chosen, other))))
    return told


def _rule(times: float, reverse: Expense, plain: Expense) -> Prose:
    """Counted in operations where both are known, as the rule is; the time beside it."""
    fewer = reverse.flops / plain.flops if reverse.flops and plain.flops else None
    counted = f" and {units.ratio(fewer)} times its arithmetic" if fewer else ""
    holds = (fewer or times) <= RULE
    mark = Text("✓ holds", tone="good") if holds else Text("does not hold", tone="warn")
    return Prose(
        words=words(
            "A gradient should cost at most 5 times its function: ",
            mark,
            f", {units.ratio(times)} times its time{counted}.",
        )
    )


def _choice(chosen: Expense, other: Expense) -> str:
    assert chosen.seconds
    assert other.seconds
    ratio = other.seconds / chosen.seconds
    if 1 / 1.1 < ratio < 1.1:
        return f"{WAYS[chosen.way].capitalize()} was chosen; both take about as long here."
    if ratio >= 1:
        return f"{WAYS[chosen.way].capitalize()} was chosen, and is {units.ratio(ratio)} times as fast here."
    return (
        f"{WAYS[chosen.way].capitalize()} was chosen by the numbers of inputs and outputs; "
        f"{WAYS[other.way]} is {units.ratio(1 / ratio)} times as fast here."
    )
