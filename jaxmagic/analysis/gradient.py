"""Derivatives by name, each held against finite differences before it is shown."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from jaxmagic.analysis import layers
from jaxmagic.analysis.analytic import complex_notes, holomorphic
from jaxmagic.analysis.curves import Range, curve, field
from jaxmagic.analysis.derivatives import Mode, Run, choose, run
from jaxmagic.analysis.devices import name_of as device_name
from jaxmagic.analysis.digests import digests
from jaxmagic.analysis.directions import along as directed
from jaxmagic.analysis.directions import weighed
from jaxmagic.analysis.expenses import expenses
from jaxmagic.analysis.leaves import read, refuse_types, typed
from jaxmagic.analysis.remarks import remarks
from jaxmagic.analysis.trust import Report, check
from jaxmagic.errors import CannotDifferentiate
from jaxmagic.results import Check, Gradient, Note, Partial, Value
from jaxmagic.target import Target


def differentiate(
    fn: Callable[..., Any],
    *args: Any,
    wrt: str | Sequence[str] | None = None,
    order: int = 1,
    hess: bool = False,
    jvp: Any = None,
    vjp: Any = None,
    along: Range | None = None,
    **kwargs: Any,
) -> Gradient:
    """The value of `fn(*args, **kwargs)` and its derivatives by each input, checked.

    Args:
        fn: any function that JAX can differentiate.
        *args: its inputs: numbers, arrays, pytrees, dataclasses.
        wrt: which inputs, by name ("birth, death") or by a path into one ("params.dense.kernel");
            all that have a derivative when not given.
        order: 1 for the gradient (the Jacobian if `fn` returns an array), 2 for the Hessian, ….
        hess: the Hessian: the second order.
        jvp: a direction through the inputs, by name (or added to the first input): the derivative along it.
        vjp: a number for each output: the derivative of the outputs' sum, weighed by them.
        along: a number among the inputs and a range, `("t", 0.0, 10.0)`, to picture the function over.
        **kwargs: its inputs by keyword.

    Raises:
        CannotDifferentiate: when there is nothing to differentiate, or JAX cannot.
        BadTarget: when `wrt` names no input.
    """
    target = Target(function=fn, args=args, kwargs=kwargs)
    return derive(target, wrt=wrt, order=order, hess=hess, jvp=jvp, vjp=vjp, along=along)


def derive(
    target: Target,
    *,
    wrt: str | Sequence[str] | None = None,
    order: int = 1,
    hess: bool = False,
    jvp: Any = None,
    vjp: Any = None,
    along: Range | None = None,
) -> Gradient:
    """As `differentiate`, for a target."""
    if jvp is not None and (vjp is not None or wrt):
        raise CannotDifferentiate(
            "A derivative is taken in one of these ways: `jvp`, `vjp`, `wrt`.",
            fix="`jvp` moves the inputs that its direction names; leave the others out.",
        )
    order = 2 if hess and order == 1 else order
    target = target if jvp is None else directed(target, jvp)
    if order < 1:
        raise CannotDifferentiate(
            f"The order of a derivative is 1 or more, not {order}.", fix="Leave out `--order`."
        )
    inputs = read(target)
    refuse_types(inputs, target.name)
    inputs = inputs if vjp is None else replace(inputs, then=weighed(target, vjp))
    first: Mode | None = None if jvp is None else "forward"
    done = run(target, inputs, replace(choose(inputs, target, wrt), first=first), order)
    report = check(done)
    partials = _partials(done)
    leaves = tuple(_leaves(done, report))
    marks = _marks(done, leaves)
    drawn = curve(done, along)
    return Gradient(
        name=target.name,
        value=done.value,
        output=_output(done),
        partials={name: holomorphic(partial) for name, partial in partials.items()},
        leaves=tuple(replace(leaf, mark=marks.get(leaf.path, "")) for leaf in leaves),
        check=worst(report.checks),
        order=order,
        mode=done.modes[0],
        device=_device(done),
        notes=(
            *done.notes,
            *complex_notes(target.name, partials),
            *report.notes,
            *remarks(done),
            *layers.notes(marks),
            *(_undrawn(along[0]) if along and drawn is None else ()),
        ),
        curve=drawn,
        field=field(done),
        expenses=expenses(done) if order == 1 else None,
    )


# -- the result -----------------------------------------------------------------------------------


def worst(checks: Sequence[Check]) -> Check:
    """The check that decides: a wrong one, else one that is open, else the largest difference."""
    rank = {False: 2, None: 1, True: 0}
    return max(checks, key=lambda one: (rank[one.ok], one.error or 0.0))


def _marks(done: Run, leaves: Sequence[Partial]) -> dict[str, str]:
    """The layers that stand out, in the gradient of one number."""
    if len(done.modes) > 1 or [np.shape(one) for one in done.plain] != [()]:
        return {}
    return layers.marks(leaves)


def _undrawn(name: str) -> tuple[Note, ...]:
    """Why a picture that was asked for is not there."""
    text = f"No picture along `{name}`: away from this point the function might never end (a `while` in it)."
    return (Note(kind="no picture", text=text),)


def _output(done: Run) -> Value:
    found = [done.outputs.leaves[i] for i in done.outputs.real]
    kinds = ", ".join(typed(block) for block in done.plain)
    return Value(
        name=found[0].path if len(found) == 1 else done.target.name,
        type=kinds,
        bytes=sum(block.nbytes for block in done.plain),
    )


def _device(done: Run) -> str:
    return ", ".join(sorted(device_name(device) for device in done.plain[0].devices()))


def _partials(done: Run) -> Mapping[str, Any]:
    """By name, each in the structure that `jax.grad`, `jax.jacobian` or `jax.hessian` would give."""
    places = {leaf: place for place, leaf in enumerate(done.choice.active)}
    blocks = _blocks(done)

    def nested(output: int, so_far: tuple[int, ...], by: Sequence[int | None]) -> Any:
        if None in by:
            return None
        return blocks[output, *so_far] if len(so_far) == len(done.modes) else inner(output, so_far)

    def inner(output: int, so_far: tuple[int, ...]) -> Any:
        named = {one.name: by_group(output, so_far, one) for one in groups}
        return named if len(groups) > 1 else next(iter(named.values()))

    def by_group(output: int, so_far: tuple[int, ...], one: Any) -> Any:
        return one.rebuild(
            [nested(output, (*so_far, places.get(i, -1)), (places.get(i),)) for i in one.indices]
        )

    def of_outputs(one: Any) -> Any:
        found = {leaf: by_group(place, (), one) for place, leaf in enumerate(done.outputs.real)}
        return done.outputs.rebuild([found.get(i) for i in range(len(done.outputs.leaves))])

    groups = [one for one in done.choice.groups if any(i in places for i in one.indices)]
    return {one.name: of_outputs(one) for one in groups}


def _blocks(done: Run) -> dict[tuple[int, ...], Any]:
    """Each derivative by the place of its output and of its inputs."""
    inputs = range(len(done.choice.active))
    keys = itertools.product(range(len(done.outputs.real)), *[inputs] * len(done.modes))
    return dict(zip(keys, done.derivatives, strict=True))


def _leaves(done: Run, report: Report) -> list[Partial]:
    several = len(done.outputs.real) > 1
    blocks = _blocks(done)
    read = digests(list(blocks.values()), [_moved(done, by) for _, *by in blocks])
    return [
        Partial(
            path=", ".join(done.active[i].path for i in by),
            type=typed(block),
            point=np.asarray(done.active[by[0]].value),
            value=np.asarray(block),
            check=worst([report.checks[i] for i in by]),
            by=tuple(done.active[i].path for i in by),
            output=done.outputs.leaves[done.outputs.real[output]].path if several else "",
            rows=done.plain[output].ndim,
            way=done.active[by[0]].way,
            digest=digest,
        )
        for ((output, *by), block), digest in zip(blocks.items(), read, strict=True)
    ]


def _moved(done: Run, by: Sequence[int]) -> Any:
    """The input that 1 % more of has an effect to first order."""
    return done.active[by[0]].value if len(by) == 1 else 0.0
