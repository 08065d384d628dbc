"""A city's counts: from a CSV file, or from two rows of numbers."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from jaxmagic.errors import JaxmagicError

FIX = "Give a year and a count in each row, the years in order: 1990,7322564"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Census:
    """Counts of the people of a city.

    Args:
        years: calendar years, rising.
        counts: people in each of them, all above 0.
        source: where the counts come from, as the file's own first lines say; "" for bare numbers.
    """

    years: npt.NDArray[np.float64]
    counts: npt.NDArray[np.float64]
    source: str = ""

    def until(self, year: float) -> Census:
        """The counts up to a year, that year's too."""
        return self._where(self.years <= year)

    def after(self, year: float) -> Census:
        """The counts later than a year."""
        return self._where(self.years > year)

    def _where(self, kept: npt.NDArray[np.bool_]) -> Census:
        return Census(years=self.years[kept], counts=self.counts[kept], source=self.source)


def census(years: npt.ArrayLike, counts: npt.ArrayLike, source: str = "") -> Census:
    """Counts from numbers.

    Raises:
        JaxmagicError: they are no counts over the years, with the reason.
    """
    try:
        when, people = np.asarray(years, np.float64), np.asarray(counts, np.float64)
    except (TypeError, ValueError) as wrong:
        raise JaxmagicError("A census holds numbers only.", fix=FIX) from wrong
    if when.ndim != 1 or when.shape != people.shape:
        shapes = f"{when.shape} and {people.shape}"
        raise JaxmagicError(f"Years and counts are two rows of one length, not {shapes}.", fix=FIX)
    if not (np.isfinite(when).all() and np.isfinite(people).all()):
        raise JaxmagicError("A year or a count of the census is not finite.", fix=FIX)
    if (np.diff(when) <= 0).any():
        late = when[1:][np.diff(when) <= 0][0]
        said = f"The years of a census rise; {late:g} stands after a later or equal one."
        raise JaxmagicError(said, fix=FIX)
    if (people <= 0).any():
        year, count = when[people <= 0][0], people[people <= 0][0]
        raise JaxmagicError(f"A count is above 0; in {year:g} it is {count:g}.", fix=FIX)
    return Census(years=when, counts=people, source=source)


def read(path: str | Path) -> Census:
    """Counts from a CSV file: two columns, perhaps under titles; lines that start with # say the source.

    Raises:
        JaxmagicError: there is no such file, or it holds no counts over the years, with the reason.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as wrong:
        raise JaxmagicError(f"The census {str(path)!r} cannot be read: {wrong}.", fix=FIX) from wrong
    source = " ".join(line.lstrip("# ").rstrip() for line in lines if line.startswith("#"))
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip() and line[0] != "#"]
    if numbered and not any(character.isdigit() for character in numbered[0][1]):
        numbered = numbered[1:]  # the titles
    if not numbered:
        raise JaxmagicError(f"The census {str(path)!r} holds no counts.", fix=FIX)
    rows = [_row(number, line) for number, line in numbered]
    return census([year for year, _ in rows], [count for _, count in rows], source)


def _row(number: int, line: str) -> tuple[float, float]:
    try:
        year, count = map(float, next(csv.reader([line])))
    except ValueError as wrong:
        said = f"Line {number} of the census is not a year and a count: {line.strip()!r}."
        raise JaxmagicError(said, fix=FIX) from wrong
    return year, count
