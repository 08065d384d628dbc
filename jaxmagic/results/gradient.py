"""Differentiate: what `%jaxgrad` gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from jaxmagic.results.common import Lazy, Note, Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A derivative held against finite differences.

    Args:
        ok: whether they agree; None where no check was possible.
        error: the worst relative difference, None where not checked.
        tolerance: what was allowed.
        how: the conditions in words ("central differences in float64").
        finding: "ok", "kink", "jump", "wrong", "unsure", "not finite", or "stopped" where a
            `stop_gradient` keeps the two from being compared; "" where not checked.
    """

    ok: bool | None
    error: float | None
    tolerance: float | None
    how: str
    finding: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """What a derivative's many numbers come to.

    Args:
        effect: the change of the output for 1 % more of the input (of all its elements); 0 for
            derivatives of a higher order.
        norm: the root of the sum of the squares.
        low, high: the range of what is finite; None where nothing is.
        zeros, broken: the share of zeros, and of what is nan or infinite; None for no elements.
        strip: of each stretch of the array the number farthest from zero, nan where one is not finite.
    """

    effect: float
    norm: float
    low: float | None
    high: float | None
    zeros: float | None
    broken: float | None
    strip: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Partial:
    """The derivative by one input, leaf by leaf.

    Args:
        path: the input's name, with the way into a pytree: "params['dense'].kernel".
        type: the type of the derivative, as JAX prints it.
        point: the input's value (a NumPy array or scalar), for "per 1 % more".
        value: the derivative as a NumPy array: the output's axes first, then the input's.
        check: its own finite-difference check.
        by: the paths of all inputs that it is taken by, one for each order ("birth", "death").
        output: the name of the output that it is of, "" when there is one.
        rows: how many of the axes are the output's.
        way: the path in pieces, for a tree: ("params", "dense", "kernel").
        mark: "vanishing" or "exploding" beside the other layers; "" for neither.
        digest: of a large array; a small one is quickly read.
    """

    path: str
    type: str
    point: Any
    value: Any
    check: Check
    by: tuple[str, ...] = ()
    output: str = ""
    rows: int = 0
    way: tuple[str, ...] = ()
    mark: str = ""
    digest: Digest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A function of one number and its derivatives over a range: `ys[0]` is the function.

    Args:
        by: the name of that number.
        shown: the part to show first, None for all of it.
    """

    x: tuple[float, ...]
    ys: tuple[tuple[float, ...], ...]
    at: float
    by: str = ""
    shown: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A function of two numbers on a grid with its gradient: `values[j][i]` is at `x[i]`, `y[j]`.

    Args:
        names: of the two numbers.
        at: the user's point.
        slopes: the derivatives by each of them, on the same grid.
    """

    names: tuple[str, str]
    at: tuple[float, float]
    x: tuple[float, ...]
    y: tuple[float, ...]
    values: tuple[tuple[float, ...], ...]
    slopes: tuple[tuple[tuple[float, ...], ...], tuple[tuple[float, ...], ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expense:
    """What one way to compute costs, compiled; None where unknown or not tried.

    Args:
        way: "function", "reverse" or "forward".
        seconds: a call.
        bytes: at the fullest: arguments, outputs and temporaries.
        passes: how many passes through the function it takes at once or in turn.
        estimated: whether `seconds` is one measured pass times the passes.
    """

    way: Literal["function", "reverse", "forward"]
    seconds: float | None
    bytes: int | None
    flops: float | None = None
    passes: int = 1
    estimated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Gradient:
    """The value of a function and its derivatives at a point.

    Args:
        name: the function's name.
        value: what the function returns there.
        output: its name and type.
        partials: the derivative by each input's name, in the shape that `jax.grad` or
            `jax.jacobian` would give (a pytree for a pytree).
        leaves: the same, leaf by leaf with its check, for display.
        check: the worst of the checks.
        order: 1 for the gradient or Jacobian, 2 for the Hessian, ….
        mode: "reverse" or "forward".
        curve: when the input is one number, or one was asked for.
        field: when the inputs are two numbers.
        expenses: what the function and its derivative cost in each mode, measured when asked for.
    """

    name: str
    value: Any
    output: Value
    partials: Mapping[str, Any]
    leaves: tuple[Partial, ...]
    check: Check
    order: int
    mode: Literal["reverse", "forward"]
    device: str
    notes: tuple[Note, ...] = ()
    curve: Curve | None = None
    field: Field | None = None
    expenses: Lazy[tuple[Expense, ...]] | None = None
