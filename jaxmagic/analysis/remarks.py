"""What surprises people about a derivative: zeros everywhere, NaN, infinity, what was left out."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from jaxmagic.analysis.derivatives import Run
from jaxmagic.analysis.leaves import KINDS
from jaxmagic.results import Note


def remarks(run: Run) -> tuple[Note, ...]:
    """Every remark about a run."""
    return (*_casts(run), *_left_out(run), *_not_finite(run), *_zeros(run))


def _casts(run: Run) -> Iterator[Note]:
    for i in run.choice.casts:
        leaf = run.inputs.leaves[i]
        shown = f" ({leaf.value} became {float(leaf.value)})" if leaf.role == "count" else ""
        yield Note(
            kind="cast",
            text=f"`{leaf.path}` was a whole number; it was cast to a float{shown} to differentiate.",
        )


def _left_out(run: Run) -> Iterator[Note]:
    """Inputs without a derivative, unless the user chose by name."""
    if run.choice.asked:
        return
    kinds = {"whole": [], "truth": [], "key": []}
    for leaf in run.inputs.leaves:
        if leaf.role in kinds:
            kinds[leaf.role].append(f"`{leaf.path}`")
    for role, paths in kinds.items():
        if paths:
            shown = ", ".join(paths[:4]) + (f" and {len(paths) - 4} more" if len(paths) > 4 else "")
            verb = f"is {KINDS[role]}" if len(paths) == 1 else f"are not floating-point ({KINDS[role]} each)"
            yield Note(kind="left out", text=f"{shown} {verb}: left out.")


def _not_finite(run: Run) -> Iterator[Note]:
    yield from ()


def _zeros(run: Run) -> Iterator[Note]:
    blocks = [np.asarray(block) for block in run.derivatives]
    if all(not block.any() for block in blocks):
        yield Note(kind="all zero", text=f"Every derivative of `{run.target.name}` is zero here.")
