"""The user's function as a flat function of what it is differentiated by, and its derivatives."""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from jaxmagic.analysis import program
from jaxmagic.analysis.explain import explained
from jaxmagic.analysis.leaves import (
    KINDS,
    Group,
    Inputs,
    Leaf,
    Rebuild,
    group,
    input_names,
    is_array,
    take_apart,
)
from jaxmagic.analysis.repeat import CannotRepeatError, is_slip, repeating
from jaxmagic.errors import CannotDifferentiate
from jaxmagic.results import Note
from jaxmagic.target import Target

Mode: TypeAlias = Literal["reverse", "forward"]
# From the values of the differentiated inputs to the outputs (or derivatives), both in lists.
Flat: TypeAlias = Callable[[Sequence[Any]], list[Any]]

LARGE = 100_000  # numbers, all inputs together, above which every pass over them is dear
MOST_NUMBERS = 16_000_000  # numbers in one derivative


# -- which inputs ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What to differentiate by.

    Args:
        groups: one for each name of `wrt`, or for each input with a derivative.
        sure: the leaves to differentiate by.
        casts: whole numbers that are differentiated by as floats, if the function takes floats there.
        asked: whether the user named them.
        first: the mode of the first derivative, where one was asked for.
    """

    groups: tuple[Group, ...]
    sure: tuple[int, ...]
    casts: tuple[int, ...]
    asked: bool
    first: Mode | None = None

    def only(self, casts: tuple[int, ...]) -> Choice:
        """The same with some of the casts."""
        return replace(self, casts=casts)

    @property
    def active(self) -> tuple[int, ...]:
        """The leaves in the order of the inputs."""
        return tuple(sorted({*self.sure, *self.casts}))


def choose(inputs: Inputs, target: Target, wrt: str | Sequence[str] | None) -> Choice:
    """What to differentiate by.

    Raises:
        CannotDifferentiate: when nothing of it has a derivative.
        BadTarget: when `wrt` names no input.
    """
    names = _names(wrt)
    groups = tuple(group(inputs, target, name) for name in names or input_names(target))
    wanted = {i for one in groups for i in one.indices}
    castable = ("count", "whole") if names else ("count",)
    sure = tuple(i for i in inputs.indices("real") if i in wanted)
    casts = tuple(i for i in inputs.indices(*castable) if i in wanted)
    if not sure and not casts:
        raise _nothing(inputs, target, wanted, asked=bool(names))
    return Choice(groups=groups, sure=sure, casts=casts, asked=bool(names))


def _names(wrt: str | Sequence[str] | None) -> tuple[str, ...]:
    parts = wrt.split(",") if isinstance(wrt, str) else list(wrt or ())
    return tuple(dict.fromkeys(part.strip() for part in parts if part.strip()))


def _nothing(inputs: Inputs, target: Target, wanted: set[int], *, asked: bool) -> CannotDifferentiate:
    leaves = [leaf for i, leaf in enumerate(inputs.leaves) if i in wanted]
    if not leaves:
        return CannotDifferentiate(
            f"`{target.name}` has no inputs, so there is nothing to differentiate by.",
            fix="Give what varies a name, `x = 2.0` and `jnp.sin(x)`, or make it an argument: `def f(x): …`.",
        )
    shown = ", ".join(f"`{leaf.path}` is {KINDS[leaf.role]}" for leaf in leaves[:4])
    which = (
        "Those inputs have" if asked and len(leaves) > 1 else "That input has" if asked else "No input has"
    )
    return CannotDifferentiate(
        f"{which} {'no' if asked else 'a'} derivative: {shown}.",
        fix="Give floating-point numbers, such as `1.0` instead of `1` or `x.astype(float)`.",
    )


# -- differentiating ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """What the function returned, taken apart.

    Args:
        leaves: every output (tracers, where it was traced: of use for names and shapes only).
        rebuild: from one value per leaf to the function's own structure.
        real: the places of the floating-point ones.
    """

    leaves: tuple[Leaf, ...]
    rebuild: Rebuild
    real: tuple[int, ...]

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Of the floating-point outputs."""
        return [np.shape(self.leaves[i].value) for i in self.real]

    @property
    def size(self) -> int:
        """How many numbers have a derivative."""
        return sum(math.prod(shape) for shape in self.shapes)


class Function:
    """The user's function of some of its inputs, with its floating-point outputs in a list."""

    def __init__(self, target: Target, inputs: Inputs, active: Sequence[int]) -> None:
        self.target, self.inputs, self.active = target, inputs, tuple(active)
        self.fixed = tuple(
            i for i, leaf in enumerate(inputs.leaves) if i not in active and is_array(leaf.value)
        )
        self.outputs: Outputs | None = None

    def __call__(self, points: Sequence[Any], fixed: Sequence[Any] = ()) -> list[jax.Array]:
        """The floating-point outputs at these values of the differentiated inputs.

        Args:
            points: one value for each differentiated leaf.
            fixed: other values for the arrays that are not differentiated by.
        """
        replaced = dict(zip(self.active, points, strict=True)) | dict(
            zip(self.fixed, fixed, strict=bool(fixed))
        )
        with explained(self.target):
            value = self.inputs.call(self.target.function, replaced)
        leaves, rebuild = take_apart(value, self.target.name)
        real = tuple(i for i, leaf in enumerate(leaves) if leaf.role == "real")
        self.outputs = Outputs(leaves=tuple(leaves), rebuild=rebuild, real=real)
        if not real:
            raise _nothing_out(self.target.name, leaves)
        return [jnp.asarray(leaves[i].value) for i in real]


def _nothing_out(name: str, leaves: Sequence[Leaf]) -> CannotDifferentiate:
    if all(leaf.value is None for leaf in leaves):
        return CannotDifferentiate(
            f"`{name}` returns nothing.", fix="Add a `return` with what to differentiate."
        )
    shown = ", ".join(dict.fromkeys(KINDS[leaf.role] for leaf in leaves))
    return CannotDifferentiate(
        f"`{name}` returns no floating-point number: its output is {shown}.",
        fix="Return what was computed before it was rounded or compared.",
    )


def derivative(function: Flat, mode: Mode) -> Flat:
    """The derivative of a flat function: each output by each input, outputs outermost."""

    def by_all(points: Sequence[Any]) -> list[Any]:
        rows = _reverse(function, points) if mode == "reverse" else jax.jacfwd(function)(list(points))
        return [block for row in rows for block in row]

    return by_all


def _reverse(function: Flat, points: Sequence[Any]) -> list[list[Any]]:
    """As `jax.grad` for one number, as `jax.jacrev` otherwise."""
    outputs, pull = jax.vjp(function, list(points))
    if len(outputs) == 1 and outputs[0].shape == ():
        return [pull([jnp.ones_like(outputs[0])])[0]]
    return list(jax.jacrev(function)(list(points)))


def levels(function: Flat, modes: Sequence[Mode]) -> list[Flat]:
    """The function, its derivative, the derivative of that, …: one more than there are modes."""
    found = [function]
    for mode in modes:
        found.append(derivative(found[-1], mode))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A function that was differentiated.

    Args:
        value: what it returned.
        plain: its floating-point outputs as arrays.
        derivatives: of the last order, flat: outputs outermost, then the inputs of each order.
        modes: the mode of each order, the first derivative first.
    """

    target: Target
    inputs: Inputs
    choice: Choice
    outputs: Outputs
    value: Any
    plain: tuple[Any, ...]
    derivatives: tuple[Any, ...]
    modes: tuple[Mode, ...]
    notes: tuple[Note, ...] = ()

    @property
    def active(self) -> tuple[Leaf, ...]:
        """The leaves differentiated by."""
        return tuple(self.inputs.leaves[i] for i in self.choice.active)


def run(target: Target, inputs: Inputs, choice: Choice, order: int) -> Run:
    """Differentiate by all that was chosen; a number that has to stay whole is left out."""
    if not choice.casts:
        return _attempt(target, inputs, choice, order)
    try:
        done = _attempt(target, inputs, choice, order)
        kept = choice.casts if choice.asked else _smooth(done)
    except Exception as error:
        if is_slip(error):
            raise
        kept = tuple(i for i in choice.casts if _works(target, inputs, replace(choice, casts=(i,))))
        kept = () if kept == choice.casts else kept
        if not kept and not choice.sure:
            raise
    if kept == choice.casts or not (kept or choice.sure):
        return done
    return _left_out(_attempt(target, inputs, replace(choice, casts=kept), order), choice)


def _smooth(run: Run) -> tuple[int, ...]:
    """The casts by which the derivative is a number (`x ** n` is no power of a negative x)."""
    inputs = len(run.active)
    broken = {
        leaf
        for place, block in enumerate(run.derivatives)
        for leaf in _places(place, inputs, len(run.modes))
        if not np.isfinite(np.asarray(block, np.float64)).all()
    }
    return tuple(i for i in run.choice.casts if run.choice.active.index(i) not in broken)


def _places(place: int, inputs: int, order: int) -> list[int]:
    """Which inputs the block at a place of the flat derivatives is by."""
    return [place // inputs**k % inputs for k in range(order)]


def _works(target: Target, inputs: Inputs, choice: Choice) -> bool:
    try:
        with repeating():
            _attempt(target, inputs, choice, 1)
    except CannotRepeatError:
        return False
    return True


def _left_out(run: Run, choice: Choice) -> Run:
    lost = [f"`{run.inputs.leaves[i].path}`" for i in choice.casts if i not in run.choice.casts]
    verb, noun = ("is", "a whole number") if len(lost) == 1 else ("are", "whole numbers")
    text = f"{' and '.join(lost)} {verb} left out: used as {noun} (a size, a count, an index)."
    return replace(run, notes=(*run.notes, Note(kind="left out", text=text)))


def _attempt(target: Target, inputs: Inputs, choice: Choice, order: int) -> Run:
    function = Function(target, inputs, choice.active)
    points = [point(inputs.leaves[i]) for i in choice.active]
    with explained(target):
        plain, outputs = _seen(function, points)  # first of all: what it prints is heard while it runs
        with quiet(), _as_it_is_now(function, points) as current:
            plain, outputs = (plain, outputs) if current else _seen(function, points)
            _affordable(points, outputs, order, target.name)
            preferred = _preferred(points, outputs, order, choice.first)
            modes, found = _first_that_works(function, points, preferred)
            value = _value(target, outputs, plain, inputs.then, cast=bool(choice.casts))
    return Run(
        target=target,
        inputs=inputs,
        choice=choice,
        outputs=outputs,
        value=value,
        plain=tuple(plain),
        derivatives=tuple(found),
        modes=modes,
        notes=_mode_notes(modes, preferred[0]),
    )


@contextlib.contextmanager
def _as_it_is_now(function: Function, points: Sequence[Any]) -> Iterator[bool]:
    """Where JAX's caches hold an older program of a function (a global has changed), look past them.

    Yields:
        Whether the caches are current.
    """
    names = {function.inputs.leaves[i].path: value for i, value in zip(function.active, points, strict=True)}
    try:
        with repeating():
            current = program.is_current(lambda *values: function(values), function.target.name, names)
    except CannotRepeatError:  # what cannot be traced (an `if` on a value) cannot be compared
        current = False
    with contextlib.nullcontext() if current else program.afresh():
        yield current


def quiet() -> contextlib.AbstractContextManager[Any]:
    """The user's function prints once, not each time that it is repeated."""
    return contextlib.redirect_stdout(io.StringIO())


def point(leaf: Leaf) -> Any:
    """A whole number as a float; everything else as it is."""
    if leaf.role == "count":
        return float(leaf.value)
    return jnp.asarray(leaf.value, float) if leaf.role == "whole" else leaf.value


def _seen(function: Function, points: Sequence[Any]) -> tuple[list[jax.Array], Outputs]:
    """The floating-point outputs, and all outputs: the function keeps only those of its last run."""
    plain = function(points)
    assert function.outputs is not None
    return plain, function.outputs


def _affordable(points: Sequence[Any], outputs: Outputs, order: int, name: str) -> None:
    inputs = sum(np.size(point) for point in points)
    numbers = outputs.size * inputs**order
    if numbers > MOST_NUMBERS:
        raise CannotDifferentiate(
            f"That derivative of `{name}` holds {numbers:,} numbers ({outputs.size:,} outputs by {inputs:,} "
            f"inputs{f' to the power {order}' if order > 1 else ''}); the most is {MOST_NUMBERS:,}.",
            fix="Choose fewer inputs with `--wrt`, or return one number, such as a sum.",
        )


def _preferred(
    points: Sequence[Any], outputs: Outputs, order: int, first: Mode | None
) -> list[tuple[Mode, ...]]:
    """The cheapest modes first: reverse for one output, forward for more outputs than inputs."""
    inputs = sum(np.size(point) for point in points)
    cheap: Mode = first or ("forward" if inputs < outputs.size else "reverse")
    other: Mode = "reverse" if cheap == "forward" else "forward"
    outer: tuple[Mode, ...] = ("forward", "reverse") if order > 1 else ("forward",)
    return [(first, *[later] * (order - 1)) for first in (cheap, other) for later in outer]


def _compiled(function: Function, modes: Sequence[Mode], points: Sequence[Any]) -> list[Any]:
    """Under jit; the other arrays are inputs too, not constants that XLA would work with beforehand."""

    def whole(points: list[Any], fixed: list[Any]) -> list[Any]:
        return levels(lambda inner: function(inner, fixed), modes)[-1](points)

    found: list[Any] = jax.jit(whole)(list(points), [function.inputs.leaves[i].value for i in function.fixed])
    return found


def _first_that_works(
    function: Function, points: Sequence[Any], choices: Sequence[tuple[Mode, ...]]
) -> tuple[tuple[Mode, ...], list[Any]]:
    """Some functions allow one mode only: a `while_loop` forward, a `custom_vjp` reverse."""
    if sum(np.size(point) for point in points) > LARGE:
        with contextlib.suppress(CannotRepeatError), repeating():  # one program is made faster than many
            return choices[0], _compiled(function, choices[0], points)
    try:
        return choices[0], levels(function, choices[0])[-1](points)
    except Exception as error:
        if is_slip(error):
            raise
        for modes in choices[1:]:
            with contextlib.suppress(CannotRepeatError), repeating():
                return modes, levels(function, modes)[-1](points)
        raise


def _mode_notes(modes: tuple[Mode, ...], cheapest: tuple[Mode, ...]) -> tuple[Note, ...]:
    if modes[0] == cheapest[0]:
        return ()
    why = {"forward": "a `while_loop` of unknown length", "reverse": "a `custom_vjp` rule"}[modes[0]]
    text = f"Taken in {modes[0]} mode, the dearer one here: the function allows no other"
    return (Note(kind="mode", text=f"{text} ({why} would be a reason)."),)


def _value(
    target: Target, outputs: Outputs, plain: Sequence[Any], then: Callable[[Any], Any] | None, *, cast: bool
) -> Any:
    """What the user's function returns for the user's own inputs."""
    if cast:
        value = target.function(*target.args, **target.kwargs)
        return value if then is None else then(value)
    found = dict(zip(outputs.real, plain, strict=True))
    return outputs.rebuild([found.get(i, leaf.value) for i, leaf in enumerate(outputs.leaves)])
