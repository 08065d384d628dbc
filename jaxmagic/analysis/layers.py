"""Layers of a deep model whose gradient vanishes or explodes beside the others."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from jaxmagic.results import Note, Partial

FEWEST = 3  # arrays that make a model deep
VANISHING = 1e-5  # of the strength of the strongest
EXPLODING = 1e4  # times its own size: the gradient of a layer

WHY = {
    "vanishing": (
        "hardly move the output beside the others: a step of gradient descent that suits those leaves these "
        "where they are. Look for saturating functions (sigmoid, tanh) or small initial weights; residual "
        "connections and normalisation help."
    ),
    "exploding": (
        "are so steep that a step of gradient descent at a rate of 0.001 would move them by more than ten "
        "times their own size. Smaller initial weights, normalisation or clipping "
        "(`optax.clip_by_global_norm(1.0)`) help."
    ),
}


def marks(leaves: Sequence[Partial]) -> dict[str, str]:
    """By path: "vanishing" or "exploding".

    How strong a layer is: the most that a change of its weights by a share of their own size could do to the
    output, to first order: ‖∂f/∂w‖ ‖w‖. Weights that are all zero have no size of their own, and what is no
    part of a pytree is no layer.
    """
    parts = [leaf for leaf in leaves if len(leaf.way) > 1]
    arrays = [leaf for leaf in parts if np.ndim(leaf.value) and np.size(leaf.value) > 1]
    sizes = {leaf.path: (_strength(leaf), _norm(leaf.point)) for leaf in arrays}
    known = {path: (g, w) for path, (g, w) in sizes.items() if 0 < g < math.inf and 0 < w < math.inf}
    if len(known) < FEWEST:
        return {}
    most = max(g * w for g, w in known.values())
    vanishing = {path: "vanishing" for path, (g, w) in known.items() if g * w < VANISHING * most}
    return vanishing | {path: "exploding" for path, (g, w) in known.items() if g > EXPLODING * w}


def _strength(leaf: Partial) -> float:
    return leaf.digest.norm if leaf.digest else _norm(leaf.value)


def _norm(array: object) -> float:
    flat = np.asarray(array).reshape(-1)
    flat = flat if flat.dtype in (np.float32, np.float64) else flat.astype(np.float64)
    with np.errstate(all="ignore"):
        squares = float(np.dot(flat, flat))
        return math.sqrt(squares) if math.isfinite(squares) else float(np.linalg.norm(flat.astype(float)))


def notes(found: dict[str, str]) -> tuple[Note, ...]:
    """One for each kind."""
    kinds = dict.fromkeys(found.values())
    return tuple(
        Note(kind=kind, text=_told(kind, [p for p, k in found.items() if k == kind])) for kind in kinds
    )


def _told(kind: str, paths: Sequence[str], most: int = 3) -> str:
    shown = ", ".join(f"`{path}`" for path in paths[:most])
    more = f" and {len(paths) - most} more" if len(paths) > most else ""
    return f"The gradient is {kind} in {shown}{more}: they {WHY[kind]}"
