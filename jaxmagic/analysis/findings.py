"""What the check of a derivative found, in words."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from jaxmagic.analysis.checks import Measured, gravest
from jaxmagic.analysis.derivatives import Run
from jaxmagic.results import Check, Note


def summary(measured: Sequence[Measured], how: str) -> Check:
    """The gravest of the directions."""
    if not measured:
        return Check(ok=None, error=None, tolerance=None, how="not checked: the function takes too long")
    worst = gravest(measured)
    verdicts = {"ok": True, "wrong": False}
    return Check(
        ok=verdicts.get(worst.finding),
        error=worst.error,
        tolerance=worst.tolerance,
        how=how,
        finding=worst.finding,
    )


def notes(run: Run, found: Sequence[Sequence[Measured]]) -> list[Note]:
    """One note for each leaf that needs one; leaves that were checked together share theirs."""
    texts: dict[tuple[str, str], list[str]] = {}
    for leaf, measured in zip(run.active, found, strict=True):
        worst = gravest(measured) if measured else None
        if worst is not None and worst.finding in _SAID:
            texts.setdefault((worst.finding, _SAID[worst.finding](worst)), []).append(f"`{leaf.path}`")
    return [
        Note(kind=_NOTE_KINDS[key], text=f"{listed(paths)}: {text}") for (key, text), paths in texts.items()
    ]


def listed(paths: Sequence[str], most: int = 4) -> str:
    """The first ones by name, the others counted."""
    shown = ", ".join(paths[:most])
    return f"{shown} and {len(paths) - most} more" if len(paths) > most else shown


def _along(measured: Measured) -> str:
    return f" along {measured.along}" if measured.along else ""


_SAID: dict[str, Callable[[Measured], str]] = {
    "wrong": lambda m: (
        f"JAX says {m.claim:.6g}{_along(m)}, finite differences say {m.estimate:.6g}. Look for a wrong "
        "`custom_jvp` or `custom_vjp` rule; kinks that cancel each other, such as "
        "`relu(x) - relu(-x)` at 0, do this too."
    ),
    "kink": lambda m: (
        f"the function has a kink here: its slope{_along(m)} is {m.left:.4g} on one side and {m.right:.4g} "
        f"on the other, and JAX answers {m.claim:.4g}. That is a choice, not an error."
    ),
    "jump": lambda m: (
        "the function jumps here, so it has no derivative at this point; JAX answers "
        f"{m.claim:.4g}{_along(m)}, the slope beside the jump."
    ),
    "unsure": lambda _: (
        "finite differences could not settle on a value here, so this derivative is not checked."
    ),
}
_NOTE_KINDS = {"wrong": "wrong derivative", "kink": "kink", "jump": "jump", "unsure": "unchecked"}
