"""What is repeated in a sequence: the turns of an unrolled loop."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

# The distances that are tried at each place, and how many comparisons an item may take on the whole.
TRIED = 4
PATIENCE = 40


def repetitions(items: Sequence[Hashable], fewest: int) -> list[tuple[int, int, int]]:
    """The stretches of a sequence that are one turn over and over, from left to right.

    Args:
        items: what is compared.
        fewest: how many turns make a repetition.

    Returns:
        (start, length of a turn, turns) of each; they do not overlap. Takes time in proportion to the
        sequence's length.
    """
    numbers = _numbered(items)
    following = _following(numbers)
    search = _Search(numbers, PATIENCE * len(numbers))
    found = []
    at = 0
    while at < len(numbers):
        best = max(
            ((search.turns(at, period) * period, -period) for period in _periods(at, following)),
            default=(0, 0),
        )
        period = -best[1]
        if period and best[0] >= fewest * period:
            found.append((at, period, best[0] // period))
            at += best[0]
        else:
            at += 1
    return found


def _numbered(items: Sequence[Hashable]) -> list[int]:
    seen: dict[Hashable, int] = {}
    return [seen.setdefault(item, len(seen)) for item in items]


def _following(numbers: Sequence[int]) -> list[int]:
    """Where each number stands next, the end where it does not."""
    after = [len(numbers)] * len(numbers)
    last: dict[int, int] = {}
    for i in range(len(numbers) - 1, -1, -1):
        after[i] = last.get(numbers[i], len(numbers))
        last[numbers[i]] = i
    return after


def _periods(at: int, following: Sequence[int]) -> list[int]:
    """The nearest distances at which a number stands again."""
    found: list[int] = []
    there = following[at]
    while there < len(following) and len(found) < TRIED:
        found.append(there - at)
        there = following[there]
    return found


class _Search:
    """Remembers, by period, how far a sequence was seen to repeat itself."""

    def __init__(self, numbers: Sequence[int], patience: int) -> None:
        self._numbers = numbers
        self._patience = patience
        self._ends: dict[int, int] = {}

    def turns(self, at: int, period: int) -> int:
        """How many turns of this length stand from here on; 1 once patience is spent."""
        end = self._ends.get(period, -1)
        if end < at:
            end = self._ends[period] = self._end(at, period)
        return (end - at) // period + 1

    def _end(self, at: int, period: int) -> int:
        numbers, most = self._numbers, len(self._numbers) - period
        end = at
        while end < most and self._patience and numbers[end] == numbers[end + period]:
            end += 1
            self._patience -= 1
        return end
