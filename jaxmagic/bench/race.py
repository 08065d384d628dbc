"""NumPy against JAX, or anything against anything: compare first, then time, then say how much."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import jax

from jaxmagic.analysis.inputs import plain
from jaxmagic.bench import contenders, inputs, programs
from jaxmagic.bench.agreement import Outcome
from jaxmagic.bench.captures import on_numpy, uses_jax
from jaxmagic.bench.course import EAGER, GRADIENT, JIT, NUMPY, Course, Watch, obstacle
from jaxmagic.bench.instruments import Instruments, TimeIsUp
from jaxmagic.errors import BadTarget
from jaxmagic.port import port
from jaxmagic.port.prove import NUDGES, nudged
from jaxmagic.results import Benchmark, Note, Port
from jaxmagic.target import Target

# The shares of the budget that the port, and the first calls of the eager side, may take; and what
# jit gets when one call of NumPy has used it all up, for then one really wants to know.
PORT_SHARE = 0.25
EAGER_SHARE = 0.2
JIT_GRACE = 1.0


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
    order, others = ((NUMPY, JIT, GRADIENT), _add_gradient) if grad else ((NUMPY, EAGER, JIT), _add_jax)
    line_up = _line_up_jax if is_jax(target) else _line_up_numpy
    course = Course(target=target, budget=budget, watch=watch, tools=tools or Instruments(), order=order)
    return course.run(lambda course: line_up(course, others))


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
    course = Course(target=target, budget=budget, watch=watch, tools=tools or Instruments())
    return course.run(lambda course: _line_up_labelled(course, functions))


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


def is_jax(target: Target) -> bool:
    """Whether a target is JAX code already: by its inputs, or by what it and its helpers mention."""
    leaves = jax.tree_util.tree_leaves((target.args, dict(target.kwargs)))
    return any(isinstance(leaf, jax.Array) for leaf in leaves) or uses_jax(target.function)


# -- who races ------------------------------------------------------------------------------------


def _line_up_numpy(course: Course, others: Callable[[Course, Target], None]) -> None:
    """NumPy code: the function as it is, and the others on its port."""
    numpy = contenders.by_numpy(NUMPY, course.target, course.tools)
    course.sides[NUMPY] = numpy
    _announce(course, numpy.first_call)
    course.again(NUMPY)
    course.wide = course.wide or inputs.is_64_bit(numpy.outcome and numpy.outcome.result)
    target, tools = course.target, course.tools
    course.nudged = lambda: _nudged(target, tools)
    try:
        with course.scope():
            course.port = _ported(course)
    except Exception as error:  # noqa: BLE001 - whatever stops the port is the obstacle of both sides
        course.out |= {name: obstacle(name, error, course.target) for name in course.order[1:]}
        return
    others(course, replace(course.target, function=course.port.function))


def _line_up_jax(course: Course, others: Callable[[Course, Target], None]) -> None:
    """JAX code: the same on NumPy where that runs, and the others on the code itself."""
    target = course.target

    def swapped() -> contenders.Side:
        return contenders.by_numpy(NUMPY, replace(target, function=on_numpy(target.function)), course.tools)

    course.add(NUMPY, swapped)
    others(course, target)


def _line_up_labelled(course: Course, functions: Mapping[str, Callable[..., Any]]) -> None:
    course.order = tuple(functions)
    for name, function in functions.items():
        course.add(name, _as_is(course, name, function))


def _as_is(course: Course, name: str, function: Callable[..., Any]) -> Callable[[], contenders.Side]:
    target = replace(course.target, function=function, name=name)
    return lambda: contenders.as_is(name, target, course.tools, course.scope)


def _add_jax(course: Course, target: Target) -> None:
    read, tools, scope = _reader(course), course.tools, course.scope
    course.add(JIT, lambda: contenders.by_jit(JIT, target, read, tools, scope), grace=JIT_GRACE)
    course.add(EAGER, lambda: contenders.eagerly(EAGER, target, read, tools, scope), share=EAGER_SHARE)


def _add_gradient(course: Course, target: Target) -> None:
    """Jit of the function, and of the function with its gradient."""
    read, tools, scope = _reader(course), course.tools, course.scope
    course.add(JIT, lambda: contenders.by_jit(JIT, target, read, tools, scope), grace=JIT_GRACE)
    takes = operator.itemgetter(0) if course.port and course.port.mutated else _itself
    both = replace(target, function=programs.with_gradient(plain(target.function), takes))
    course.add(GRADIENT, lambda: contenders.by_jit(GRADIENT, both, contenders.of_value(read), tools, scope))


def _itself(value: Any) -> Any:
    return value


def _reader(course: Course) -> contenders.Reader:
    return contenders.as_ported(course.port) if course.port else contenders.as_returned


def _announce(course: Course, seconds: float) -> None:
    """Say that a call is long as soon as that is known."""
    if seconds > course.budget / 2:
        text = f"One call on NumPy takes {seconds:.3g} s, so it was not repeated."
        course.said.append(Note(kind="long call", text=text))
    course.report(NUMPY)


def _nudged(target: Target, tools: Instruments) -> Outcome:
    """What NumPy does with inputs that are changed by a rounding error."""
    args, kwargs = nudged((target.args, dict(target.kwargs)), NUDGES[-1])
    outcome = contenders.by_numpy(NUMPY, replace(target, args=args, kwargs=kwargs), tools).outcome
    return outcome or Outcome(result=None)


def _ported(course: Course) -> Port:
    """The port, proved on the inputs; by its names alone where that takes too long."""
    target, share = course.target, PORT_SHARE * course.budget
    if course.sides[NUMPY].expected > share / 2:
        return port(target.function)
    try:
        with course.tools.cut_off(share):
            return port(target.function, *target.args, **target.kwargs)
    except TimeIsUp:
        return port(target.function)
