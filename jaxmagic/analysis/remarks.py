"""What surprises people about a derivative: zeros everywhere, nan, infinity, what was left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from jaxmagic.analysis import origins, program
from jaxmagic.analysis.derivatives import Function, Run, levels, point, quiet
from jaxmagic.analysis.leaves import KINDS, Role
from jaxmagic.analysis.origins import Culprit, Event, Recording
from jaxmagic.analysis.repeat import CannotRepeatError
from jaxmagic.results import Note


def remarks(run: Run) -> tuple[Note, ...]:
    """Every remark about a run."""
    return (*_casts(run), *_left_out(run), *_outputs_left_out(run), *_not_finite(run), *_zeros(run))


# -- inputs and outputs ---------------------------------------------------------------------------


def _casts(run: Run) -> Iterator[Note]:
    for i in run.choice.casts:
        leaf = run.inputs.leaves[i]
        shown = f" ({leaf.value} became {float(leaf.value)})" if leaf.role == "count" else ""
        yield Note(kind="cast", text=f"`{leaf.path}` was a whole number; it was cast to a float{shown}.")


def _left_out(run: Run) -> Iterator[Note]:
    """Inputs without a derivative, unless the user chose by name."""
    roles: tuple[Role, ...] = () if run.choice.asked else ("whole", "truth", "key")
    for role in roles:
        paths = [f"`{leaf.path}`" for leaf in run.inputs.leaves if leaf.role == role]
        if paths:
            verb = (
                f"is {KINDS[role]}"
                if len(paths) == 1
                else f"are no floating-point numbers ({KINDS[role]} each)"
            )
            yield Note(kind="left out", text=f"{_listed(paths)} {verb}{': left out' * (len(paths) == 1)}.")


def _outputs_left_out(run: Run) -> Iterator[Note]:
    lost = [
        leaf
        for i, leaf in enumerate(run.outputs.leaves)
        if i not in run.outputs.real and leaf.value is not None
    ]
    if lost:
        names = _listed([f"`{leaf.path}`" for leaf in lost])
        yield Note(
            kind="left out",
            text=f"Of the outputs, {names} has no derivative ({KINDS[lost[0].role]}): left out.",
        )


def _listed(names: Sequence[str], most: int = 4) -> str:
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


# -- nan and infinity -----------------------------------------------------------------------------


def _not_finite(run: Run) -> Iterator[Note]:
    blocks = [*run.plain, *run.derivatives]
    broken = [np.asarray(block, np.float64) for block in blocks if not _finite(block)]
    if not broken:
        return
    what = "nan" if any(np.isnan(block).any() for block in broken) else "infinite"
    who = (
        f"`{run.target.name}`"
        if not all(map(_finite, run.plain))
        else f"The derivative of `{run.target.name}`"
    )
    found = _recorded(run, _with_derivatives(run))
    culprit = origins.culprit(found, len(run.plain)) if found else None
    why = _told(culprit, run) if culprit else ""
    span = culprit.event.span if culprit and culprit.event else None
    yield Note(kind="not finite", text=f"{who} is {what} here. {why}".rstrip(), span=span)


def _finite(block: Any) -> bool:
    return bool(np.isfinite(np.asarray(block, np.float64)).all())


def _with_derivatives(run: Run) -> Callable[..., list[Any]]:
    function = Function(run.target, run.inputs, run.choice.active)
    every = levels(function, run.modes)
    return lambda *points: [*function(points), *every[-1](points)]


def _recorded(run: Run, function: Callable[..., list[Any]]) -> Recording | None:
    """The run equation by equation; None where it cannot be traced."""
    try:
        with quiet(), program.afresh():
            return origins.record(function, [point(leaf) for leaf in run.active])
    except CannotRepeatError:  # a remark without its place is better than none
        return None


def _told(culprit: Culprit, run: Run) -> str:
    if culprit.event is None:
        bad = run.active[culprit.leaf].path if culprit.leaf is not None else "a constant"
        return f"So is its input `{bad}`." if culprit.leaf is not None else "So is a number in the code."
    where = _where(culprit.event)
    if culprit.trap:
        return f"{where} {TRAP}"
    key = "norm" if "norm(" in culprit.event.expression else culprit.primitive
    table = CAUSES if culprit.backward else CAUSES | VALUES
    problem, fix = table.get(key, OTHER)
    return f"{where} {problem} {fix}".rstrip()


def _where(event: Event) -> str:
    """The expression and its line, as much of it as is known."""
    known = event.expression and "`" not in event.expression
    code = f"`{event.expression}`" if known else event.primitive
    return f"{code} in line {event.span.line}:" if event.span else f"{code}:"


TRAP = (
    "a choice (`jnp.where`, `relu`) does not take this value, but the gradient passes through it all the "
    "same, and 0 × inf is nan. Choose inside as well: `jnp.where(ok, f(jnp.where(ok, x, 1.0)), 0.0)`, with a "
    "number in place of `1.0` at which `f` is smooth."
)
OTHER = ("this is where finite numbers become infinite or nan.", "")

# What happens to the derivative, by the operation, and what to write.
CAUSES: dict[str, tuple[str, str]] = {
    "norm": (
        "a norm has no slope at 0.",
        "Choose before the root: `s = jnp.sum(x**2)`, then "
        "`jnp.where(s > 0, jnp.sqrt(jnp.where(s > 0, s, 1.0)), 0.0)`.",
    ),
    "sqrt": ("the slope of a square root is infinite at 0.", "Keep away from 0: `jnp.sqrt(x + 1e-12)`."),
    "rsqrt": ("1 over a square root is infinite at 0.", "Keep away from 0: `jax.lax.rsqrt(x + 1e-12)`."),
    "cbrt": ("the slope of a cube root is infinite at 0.", "Keep away from 0."),
    "log": (
        "the slope of a logarithm is infinite at 0.",
        "Keep away from 0: `jnp.log(jnp.maximum(x, 1e-12))`.",
    ),
    "log1p": ("the slope of `log1p` is infinite at −1.", "Keep away from −1."),
    "pow": (
        "a power has an infinite slope at 0 (exponents below 1), and none by its exponent below 0.",
        "Keep the base above 0, or leave the exponent out with `--wrt`.",
    ),
    "div": (
        "a division by 0.",
        "Divide by `jnp.where(y == 0, 1.0, y)` and choose the result with another `jnp.where`.",
    ),
    "asin": (
        "the slope of an arcsine is infinite at ±1.",
        "Keep inside: `jnp.arcsin(jnp.clip(x, -0.999999, 0.999999))`.",
    ),
    "acos": (
        "the slope of an arccosine is infinite at ±1.",
        "Keep inside: `jnp.arccos(jnp.clip(x, -0.999999, 0.999999))`.",
    ),
    "atanh": ("the slope of `arctanh` is infinite at ±1.", "Keep inside −1 and 1."),
    "acosh": ("the slope of `arccosh` is infinite at 1.", "Keep above 1."),
    "exp": (
        "the exponential overflows.",
        "Work with logarithms: `jax.nn.logsumexp`, `jax.nn.softmax`, `jax.nn.softplus`.",
    ),
    "integer_pow": ("a negative power of 0 is infinite.", "Keep away from 0."),
}
# Where the value itself is bad.
VALUES: dict[str, tuple[str, str]] = {
    "norm": ("the norm is not finite.", ""),
    "sqrt": (
        "the square root of a negative number.",
        "Keep it at 0 or above: `jnp.sqrt(jnp.maximum(x, 0.0))`.",
    ),
    "log": (
        "the logarithm of 0 or of a negative number.",
        "Keep it above 0: `jnp.log(jnp.maximum(x, 1e-12))`.",
    ),
    "pow": ("a broken power of a negative number, or an overflow.", "Keep the base at 0 or above."),
    "asin": ("an arcsine outside of −1 to 1.", "Keep inside: `jnp.arcsin(jnp.clip(x, -1.0, 1.0))`."),
    "acos": ("an arccosine outside of −1 to 1.", "Keep inside: `jnp.arccos(jnp.clip(x, -1.0, 1.0))`."),
}


# -- zeros ----------------------------------------------------------------------------------------


def _zeros(run: Run) -> Iterator[Note]:
    """Inputs by which every derivative is zero, and what is flat between them and the output."""
    zero = [i for i in range(len(run.active)) if _all_zero(run, i)]
    if not zero or len(run.modes) > 1:
        return
    found = _recorded(run, lambda *points: Function(run.target, run.inputs, run.choice.active)(points))
    texts: dict[tuple[str, str], list[str]] = {}
    for i in zero:
        texts.setdefault(_why_zero(found, i, run), []).append(f"`{run.active[i].path}`")
    for (kind, why), paths in texts.items():
        yield Note(kind=kind, text=f"The derivative by {_listed(paths)} is zero: {why}")


def _all_zero(run: Run, place: int) -> bool:
    inputs = len(run.active)
    return not any(np.asarray(block).any() for i, block in enumerate(run.derivatives) if i % inputs == place)


def _why_zero(found: Recording | None, leaf: int, run: Run) -> tuple[str, str]:
    """The kind of the note and the reason."""
    why = origins.block(found, leaf) if found else None
    if why is None or (why.uses and not why.events):
        return "all zero", "the function is flat at this point."
    if not why.uses:
        return "unused input", f"`{run.target.name}` does not depend on it."
    reasons = [f"{_where(event)} {origins.FLAT[event.primitive]}" for event in why.events[:3]]
    return "all zero", "; ".join(reasons) + "."
