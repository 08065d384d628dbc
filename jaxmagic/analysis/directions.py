"""One direction instead of all: a function along a line through its inputs, or its outputs weighed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmagic.analysis.leaves import Inputs, group, input_names, read, take_apart
from jaxmagic.errors import BadTarget
from jaxmagic.target import Target


def along(target: Target, direction: Any) -> Target:
    """The function of one number, `step`, that moves its inputs along a direction; 0 is where they are.

    Args:
        target: the function and its inputs.
        direction: by input name; or what is added to the first input. What it leaves out stands still.

    Raises:
        BadTarget: when it does not fit the inputs.
    """
    inputs = read(target)
    named = isinstance(direction, Mapping) and not _fits_first(target, direction)
    by_name = direction if named else {input_names(target)[0]: direction}
    moves = {
        i: jnp.asarray(move)
        for name, part in by_name.items()
        for i, move in _moves(inputs, target, name, part)
    }

    def moved(step: Any) -> Any:
        values = {i: inputs.leaves[i].value + step * move for i, move in moves.items()}
        return inputs.call(target.function, values)

    return replace(target, function=moved, args=(0.0,), kwargs={})


def _fits_first(target: Target, direction: Any) -> bool:
    """Whether a dict is a direction for a first input that is one of that structure."""
    first = [*target.args, *target.kwargs.values()][:1]
    shapes = [str(jax.tree_util.tree_structure(one)) for one in (*first, direction)]
    return bool(first) and shapes[0] == shapes[1]


def _moves(inputs: Inputs, target: Target, name: str, part: Any) -> list[tuple[int, Any]]:
    places = group(inputs, target, name).indices
    leaves, _ = take_apart(part, name)
    have, given = [_shape(inputs.leaves[i].value) for i in places], [_shape(leaf.value) for leaf in leaves]
    if have != given:
        raise BadTarget(
            f"The direction for `{name}` has the shape {_listed(given)}, and `{name}` has {_listed(have)}.",
            fix="Give one number for each number of the input, in the same structure; by name, "
            f"`{{'{name}': …}}`, for one input of several.",
        )
    return list(zip(places, (leaf.value for leaf in leaves), strict=True))


def weighed(target: Target, cotangent: Any) -> Callable[[Any], Any]:
    """From the function's outputs to their sum, weighed by a cotangent of the same structure."""
    weights = [jnp.asarray(weight) for weight in jax.tree_util.tree_leaves(cotangent)]

    def total(value: Any) -> Any:
        outputs = jax.tree_util.tree_leaves(value)
        have, given = [_shape(one) for one in outputs], [_shape(one) for one in weights]
        if have != given:
            raise BadTarget(
                f"The cotangent has the shapes {_listed(given)}, "
                f"and `{target.name}` returns {_listed(have)}.",
                fix="Give one number for each number that the function returns, in the same structure.",
            )
        return sum(jnp.sum(one * weight) for one, weight in zip(outputs, weights, strict=True))

    return total


def _shape(value: Any) -> tuple[int, ...]:
    return tuple(np.shape(value))


def _listed(shapes: list[tuple[int, ...]]) -> str:
    return ", ".join(map(str, shapes)) or "nothing"
