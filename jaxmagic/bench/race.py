"""NumPy against JAX, or anything against anything: compare first, then time, then say how much."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import jax

from jaxmagic.analysis import devices
from jaxmagic.bench import inputs, lineup
from jaxmagic.bench.course import Course, Watch
from jaxmagic.bench.instruments import Instruments
from jaxmagic.errors import BadTarget
from jaxmagic.results import EAGER, GRADIENT, JIT, NUMPY, Benchmark
from jaxmagic.target import Target


def benchmark(fn: Callable[..., Any], *args: Any, budget: float = 2.0, **kwargs: Any) -> Benchmark:
    """Race a NumPy (or jax.numpy) function on NumPy, on JAX eagerly and under jit.

    Args:
        fn: the function; it is called on copies of its inputs only.
        *args: its inputs: arrays, pytrees, numbers, or `ArrayType`s for random ones.
        budget: seconds that the whole may take.
        **kwargs: its inputs by keyword.

    Raises:
        BadTarget: when an input cannot be given twice, such as a generator.
    """
    return run(Target(function=fn, args=args, kwargs=kwargs), budget=budget)


def race(
    functions: Mapping[str, Callable[..., Any]], *args: Any, budget: float = 2.0, **kwargs: Any
) -> Benchmark:
    """Race any callables on the same inputs, each as it is.

    Args:
        functions: the contenders by their labels; the others are compared with the first.
        *args: inputs, copied for each contender, and for each call that changes them.
        budget: seconds that the whole may take.
        **kwargs: inputs by keyword.

    Raises:
        BadTarget: when there is no contender, or an input cannot be given twice.
    """
    return run_labelled(functions, args, kwargs, budget=budget)


def run(
    target: Target,
    *,
    budget: float = 2.0,
    grad: bool = False,
    watch: Watch | None = None,
    tools: Instruments | None = None,
) -> Benchmark:
    """What `%jaxbench` does; see `benchmark`.

    Args:
        target: the function and its inputs.
        budget: seconds that the whole may take.
        grad: race jit of the function with its gradient (by every real input) against jit of the
            function alone, in place of JAX op by op.
        watch: gets the result so far and the share of the budget used (0 to 1), now and then.
        tools: clock, dice and stop-watch.
    """
    target = usable(target)
    order, others = _WITH_GRADIENT if grad else _PLAIN
    line_up = lineup.jax_code if lineup.is_jax(target) else lineup.numpy_code
    course = Course(target=target, budget=budget, watch=watch, tools=tools or Instruments(), order=order)
    return course.run(lambda course: line_up(course, others))


_PLAIN = ((NUMPY, EAGER, JIT), lineup.op_by_op_and_jit)
_WITH_GRADIENT = ((NUMPY, JIT, GRADIENT), lineup.jit_and_gradient)


def run_devices(
    target: Target,
    names: Sequence[str],
    *,
    budget: float = 2.0,
    watch: Watch | None = None,
    tools: Instruments | None = None,
) -> Benchmark:
    """Race NumPy against JAX on several devices; the contenders are "jax.jit cpu:0", "jax cuda:0", ….

    What moving the inputs to a device takes is no part of its times: it is each contender's `transfer`.

    Args:
        target: the function and its inputs.
        names: the devices, as `%jaxdevice` calls them: "cpu", "cuda:1".
        budget: seconds that the whole may take.
        watch: as for `run`.
        tools: as for `run`.

    Raises:
        UnknownDevice: no device answers to a name.
    """
    target = usable(target)
    found = tuple(dict.fromkeys(devices.name_of(devices.resolve(name)) for name in names))
    order = (NUMPY, *(side for name in found for side in reversed(lineup.device_sides(name))))
    line_up = lineup.jax_code if lineup.is_jax(target) else lineup.numpy_code
    course = Course(
        target=target,
        budget=budget,
        watch=watch,
        tools=tools or Instruments(),
        order=order,
        devices=found,
    )
    return course.run(lambda course: line_up(course, lineup.on_devices(found)))


def run_precisions(
    target: Target,
    dtypes: Sequence[str],
    *,
    budget: float = 2.0,
    watch: Watch | None = None,
    tools: Instruments | None = None,
) -> Benchmark:
    """Race NumPy and jit in several precisions; the contenders are "numpy float32", "jax.jit float32", ….

    Args:
        target: the function and its inputs; its floating-point arrays are cast.
        dtypes: as NumPy and JAX call them: "float16", "bfloat16", "float32", "float64".
        budget: seconds that the whole may take.
        watch: as for `run`.
        tools: as for `run`.

    Raises:
        BadTarget: for a dtype that there is not.
    """
    unknown = next((dtype for dtype in dtypes if dtype not in inputs.FLOATS), None)
    if unknown is not None:
        raise BadTarget(f"`{unknown}` is no precision.", fix=f"There are {', '.join(inputs.FLOATS)}.")
    course = Course(target=usable(target), budget=budget, watch=watch, tools=tools or Instruments())
    return course.run(lambda course: lineup.precisions(course, dtypes))


def run_labelled(
    functions: Mapping[str, Callable[..., Any]],
    args: tuple[Any, ...] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    budget: float = 2.0,
    watch: Watch | None = None,
    tools: Instruments | None = None,
) -> Benchmark:
    """What `%%jaxbench` with labelled contenders does; see `race`."""
    if not functions:
        raise BadTarget("there is no contender", fix="Give at least two, by their names.")
    first = next(iter(functions.values()))
    target = usable(Target(function=first, args=args, kwargs=kwargs or {}, name=" against ".join(functions)))
    course = Course(target=target, budget=budget, watch=watch, tools=tools or Instruments(), labelled=True)
    return course.run(lambda course: lineup.labelled(course, functions))


def usable(target: Target) -> Target:
    """The target with arrays for its array types.

    Raises:
        BadTarget: when an input is used up by the first call.
    """
    for name, value in target.named_inputs().items():
        leaves = jax.tree_util.tree_leaves(value, is_leaf=_is_used_up)
        used_up = next((leaf for leaf in leaves if _is_used_up(leaf)), None)
        if used_up is not None:
            kind = type(used_up).__name__
            raise BadTarget(
                f"`{name}` is a {kind}: the first call uses it up, and a race calls many times.",
                fix=f"Pass a list instead: `list({name})`.",
            )
    args, kwargs = inputs.materialised((target.args, dict(target.kwargs)))
    return replace(target, args=args, kwargs=kwargs)


def _is_used_up(value: Any) -> bool:
    return isinstance(value, Iterator)
