"""Derivatives by complex numbers: one where the Cauchy-Riemann equations hold, else a pair of real ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmagic.analysis.leaves import Pair
from jaxmagic.results import Note

CLOSE = 1e-3  # of the derivative's size: rounding in float32 is below, a wrong equation far above


def holomorphic(partial: Any) -> Any:
    """A derivative with the one complex number in place of each pair that obeys Cauchy and Riemann."""
    return jax.tree_util.tree_map(lambda one: one.real if _obeys(one) else one, partial, is_leaf=_is_pair)


def complex_notes(name: str, partials: Mapping[str, Any]) -> Iterator[Note]:
    """What a derivative by a complex number means here, by input."""
    for path, partial in partials.items():
        found = [one for one in jax.tree_util.tree_leaves(partial, is_leaf=_is_pair) if _is_pair(one)]
        if found:
            yield Note(kind="complex", text=_told(name, path, whole=all(map(_obeys, found))))


def _told(name: str, path: str, *, whole: bool) -> str:
    if whole:
        return (
            f"`{name}` is holomorphic here (the Cauchy-Riemann equations hold): by `{path}` it has one "
            "complex derivative, in `partials`; the rows are its real and imaginary parts."
        )
    return (
        f"`{path}` is complex and `{name}` is not holomorphic here, so there is no one derivative by it: its "
        "rows are the derivatives by the real and by the imaginary part."
    )


def _is_pair(value: Any) -> bool:
    return isinstance(value, Pair)


def _obeys(one: Any) -> bool:
    """Whether the derivative by the imaginary part is i times the one by the real part, as numbers."""
    if not _is_pair(one) or any(part is None or isinstance(part, Pair | dict) for part in one):
        return False
    if not jnp.iscomplexobj(one.real):
        return False
    real, imag = np.asarray(one.real), np.asarray(one.imag)
    size = max(float(np.abs(real).max(initial=0.0)), float(np.abs(imag).max(initial=0.0)))
    return bool(np.abs(imag - 1j * real).max(initial=0.0) <= CLOSE * size)
