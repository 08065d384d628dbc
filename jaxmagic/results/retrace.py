"""Why a function is traced once more: what `%jaxpr --why` gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jaxmagic.results.common import Note

Verdict = Literal["held", "anew", "first", "unknown"]
Cause = Literal["shape", "dtype", "weak type", "sharding", "static value", "structure", "setting"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What tells a call from an earlier one: an argument (`params['w']`) or a setting.

    Args:
        what: its name.
        now, before: its type, static value or setting in the two calls.
        cause: in which way they differ.
    """

    what: str
    now: str
    before: str
    cause: Cause


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrace:
    """Whether JAX would trace a jitted function once more for a call, and why.

    Args:
        name: the function's.
        verdict: a trace is "held", it would be made "anew", it is the "first", or it is "unknown".
        traces: how many JAX holds of this function.
        differences: from the closest of them.
    """

    name: str
    verdict: Verdict
    traces: int = 0
    differences: tuple[Difference, ...] = ()
    notes: tuple[Note, ...] = ()
