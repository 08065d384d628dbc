"""What is looked at: a function and the inputs it is looked at with."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class ArrayType:
    """An array that need not exist, as JAX prints its type: `f32[8,128]`.

    Args:
        dtype: JAX's short name: "f32", "bf16", "i32", "bool", "c64", "key".
        shape: the sizes of its axes.
    """

    dtype: str
    shape: tuple[int, ...]

    def __repr__(self) -> str:
        return f"{self.dtype}[{','.join(map(str, self.shape))}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A function and its inputs, as the user named them.

    Args:
        function: what is called; the user's own object, never a copy.
        args: positional inputs: arrays, pytrees, scalars or `ArrayType`s.
        kwargs: inputs by keyword.
        name: what to call it in sentences ("layer", or the expression itself).
        labels: what to call the files of spans, where their names do not say it: "In [3]", or one of
            `results.HERE` for what the user looks at anyway.
    """

    function: Callable[..., Any]
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", name_of(self.function))

    def named_inputs(self) -> dict[str, Any]:
        """The inputs in order, by the names that the function's signature gives them.

        A variadic parameter's values are called `args[0]`, `args[1]`, …; where no signature is to
        be had, positional inputs are `arg0`, `arg1`, ….
        """
        try:
            bound = inspect.signature(self.function).bind(*self.args, **self.kwargs)
        except (TypeError, ValueError):
            return {f"arg{i}": value for i, value in enumerate(self.args)} | dict(self.kwargs)
        named: dict[str, Any] = {}
        for name, value in bound.arguments.items():
            kind = bound.signature.parameters[name].kind
            if kind is inspect.Parameter.VAR_POSITIONAL:
                named |= {f"{name}[{i}]": item for i, item in enumerate(value)}
            elif kind is inspect.Parameter.VAR_KEYWORD:
                named |= value
            else:
                named[name] = value
        return named


def name_of(function: Callable[..., Any]) -> str:
    """What a callable is called: a partial by what it wraps, an object by its class."""
    inner = getattr(function, "func", function)
    return getattr(inner, "__name__", None) or type(inner).__name__
