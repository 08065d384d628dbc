"""Who races: from a target to the sides of a race."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmagic.analysis import devices
from jaxmagic.analysis.inputs import plain
from jaxmagic.bench import agreement, contenders, inputs, programs
from jaxmagic.bench.agreement import Outcome
from jaxmagic.bench.captures import on_numpy, uses_jax
from jaxmagic.bench.course import Course, cut_off, obstacle, scope_for
from jaxmagic.bench.instruments import Instruments
from jaxmagic.bench.stopwatch import TimeIsUp
from jaxmagic.errors import BadTarget, CannotPort
from jaxmagic.port import guard
from jaxmagic.port.drive import drive
from jaxmagic.port.prove import NUDGES, nudged
from jaxmagic.results import EAGER, GRADIENT, JIT, NUMPY, Note, Port
from jaxmagic.target import Target

Others = Callable[[Course, Target], None]

# The shares of the budget that the port, and the first calls of the eager side, may take, and what jit
# leaves to them; what a contender leaves to each later one, and to all of them at most; and what
# jit gets when one call of NumPy has used it all up, for then one really wants to know. A port looks at
# about so many calls.
PORT_SHARE = 0.5
PORT_CALLS = 4
EAGER_SHARE = 0.2
EAGER_SPARED = 0.25
LATER_SPARED = 0.1
MOST_SPARED = 0.25
JIT_GRACE = 1.0


def is_jax(target: Target) -> bool:
    """Whether a target is JAX code already: by its inputs, or by what it and its helpers mention."""
    leaves = jax.tree_util.tree_leaves((target.args, dict(target.kwargs)))
    return any(isinstance(leaf, jax.Array) for leaf in leaves) or uses_jax(target.function)


def numpy_code(course: Course, others: Others) -> None:
    """NumPy code: the function as it is, and the others on its port."""
    try:
        numpy = contenders.by_numpy(
            NUMPY, course.target, course.tools, lambda: course.tools.cut_off(course.left)
        )
    except TimeIsUp:
        course.out[NUMPY] = cut_off(NUMPY, course.budget, course.budget, contenders.COPYING)
        return
    course.sides[NUMPY] = numpy
    announce(course, numpy.first_call)
    course.again(NUMPY)
    course.wide = course.wide or inputs.is_64_bit(numpy.outcome and numpy.outcome.result)
    target, tools = course.target, course.tools
    course.nudged = lambda: (_nudged(target, by, tools) for by in (NUDGES[-1], -NUDGES[-1]))
    try:
        with course.scope():
            course.port = ported(course)
    except Exception as error:  # noqa: BLE001 - whatever stops the port is the obstacle of both sides
        course.out |= {name: obstacle(name, error, course.target) for name in course.order[1:]}
        return
    others(course, replace(course.target, function=_unguarded(course.port)))


def jax_code(course: Course, others: Others) -> None:
    """JAX code: the same on NumPy where that runs, and the others on the code itself."""
    target = course.target

    def swapped() -> contenders.Side:
        return contenders.by_numpy(NUMPY, replace(target, function=on_numpy(target.function)), course.tools)

    course.add(NUMPY, swapped)
    others(course, target)


def labelled(course: Course, functions: Mapping[str, Callable[..., Any]]) -> None:
    """Callables by their labels, each as it is."""
    course.order = tuple(functions)
    for later, (name, function) in zip(reversed(range(len(functions))), functions.items(), strict=True):
        spared = min(MOST_SPARED, LATER_SPARED * later)
        course.add(name, _as_is(course, name, function), spared=spared)


def _as_is(course: Course, name: str, function: Callable[..., Any]) -> Callable[[], contenders.Side]:
    target = replace(course.target, function=function, name=name)
    return lambda: contenders.as_is(name, target, course.tools, course.scope)


def op_by_op_and_jit(course: Course, target: Target) -> None:
    """The function on JAX, without and with jit."""
    read, tools, scope = _reader(course), course.tools, course.scope
    course.add(
        JIT, lambda: contenders.by_jit(JIT, target, read, tools, scope), grace=JIT_GRACE, spared=EAGER_SPARED
    )
    course.add(EAGER, lambda: _eagerly(course, EAGER, target, scope), share=EAGER_SHARE)


def _eagerly(course: Course, name: str, target: Target, scope: contenders.Scope) -> contenders.Side:
    """The function on JAX arrays, operation by operation, unless its port is no JAX code after all.

    Raises:
        BadTarget: what NumPy computes from JAX arrays is no contender of NumPy's.
    """
    side = contenders.eagerly(name, target, _reader(course), course.tools, scope)
    leaves = jax.tree_util.tree_leaves(side.outcome.result if side.outcome else None)
    other = next((leaf for leaf in leaves if isinstance(leaf, np.ndarray | np.generic | str | bytes)), None)
    if course.port is not None and other is not None:
        kind = "NumPy array" if isinstance(other, np.ndarray | np.generic) else type(other).__name__
        raise BadTarget(f"It does not run on JAX: given JAX arrays, it returns a {kind}.")
    return side


def on_devices(names: Sequence[str]) -> Others:
    """Jit of the function, and the function op by op, on each device."""

    def others(course: Course, target: Target) -> None:
        for name in names:
            _on_one_device(course, target, name)

    return others


def _on_one_device(course: Course, target: Target, name: str) -> None:
    read, tools, device = _reader(course), course.tools, devices.resolve(name)

    @contextmanager
    def scope() -> Iterator[None]:
        with jax.default_device(device), course.scope():
            yield

    jit, eager = device_sides(name)
    course.add(
        jit, lambda: contenders.by_jit(jit, target, read, tools, scope), grace=JIT_GRACE, spared=EAGER_SPARED
    )
    course.add(eager, lambda: _eagerly(course, eager, target, scope), share=EAGER_SHARE)


def device_sides(name: str) -> tuple[str, str]:
    """What the sides on a device are called, jit first."""
    return f"{JIT} {name}", f"{EAGER} {name}"


def jit_and_gradient(course: Course, target: Target) -> None:
    """Jit of the function, and of the function with its gradient."""
    read, tools, scope = _reader(course), course.tools, course.scope
    course.add(JIT, lambda: contenders.by_jit(JIT, target, read, tools, scope), grace=JIT_GRACE)
    takes = operator.itemgetter(0) if course.port and course.port.mutated and course.port.returns else _itself
    both = replace(target, function=programs.with_gradient(plain(target.function), takes))
    course.add(GRADIENT, lambda: contenders.by_jit(GRADIENT, both, contenders.of_value(read), tools, scope))


def precisions(course: Course, dtypes: Sequence[str]) -> None:
    """NumPy and jit in each precision; the sides of one precision are compared with each other."""
    course.wide = False  # each precision has a scope of its own
    names = {dtype: (f"{NUMPY} {dtype}", f"{JIT} {dtype}") for dtype in dtypes}
    course.order = tuple(name for pair in names.values() for name in pair)
    course.references = {name: pair[0] for pair in names.values() for name in pair}
    for dtype, pair in names.items():
        args, kwargs = inputs.cast((course.target.args, dict(course.target.kwargs)), dtype)
        _one_precision(course, replace(course.target, args=args, kwargs=kwargs), *pair)
    _say_lost(course, {dtype: names[dtype][0] for dtype in dtypes})


def _one_precision(course: Course, target: Target, numpy: str, jit: str) -> None:
    tools, already = course.tools, is_jax(target)

    def plain_side() -> contenders.Side:
        function = on_numpy(target.function) if already else target.function
        return contenders.by_numpy(numpy, replace(target, function=function), tools)

    def jit_side() -> contenders.Side:
        if already:
            return contenders.by_jit(jit, target, contenders.as_returned, tools, scope)
        with scope():
            found = drive(target.function, target.args, target.kwargs, prove=False)
        course.port = course.port or found
        ported = replace(target, function=_unguarded(found))
        return contenders.by_jit(jit, ported, contenders.as_ported(found), tools, scope)

    course.add(numpy, plain_side)
    side = course.sides.get(numpy)
    result = side.outcome.result if side and side.outcome else None
    scope = scope_for(inputs.is_64_bit((target.args, dict(target.kwargs), result)))
    course.add(jit, jit_side, grace=JIT_GRACE)


def _say_lost(course: Course, names: Mapping[str, str]) -> None:
    """By how much each precision's result differs from that of the last one."""
    outcomes = {dtype: course.sides[name].outcome for dtype, name in names.items() if name in course.sides}
    *others, last = outcomes.items() or [("", None)]
    for dtype, outcome in others:
        if outcome is not None and last[1] is not None:
            apart = agreement.compare(last[1], outcome).relative
            text = (
                f"On NumPy the result in {dtype} differs from that in {last[0]} by {apart:.1e} of its size."
            )
            course.said.append(Note(kind="lost precision", text=text))


def _itself(value: Any) -> Any:
    return value


def _reader(course: Course) -> contenders.Reader:
    return contenders.as_ported(course.port) if course.port else contenders.as_returned


def announce(course: Course, seconds: float) -> None:
    """Say that a call is long as soon as that is known."""
    if seconds > course.budget / 2:
        text = f"One call on NumPy takes {seconds:.3g} s, so it was not repeated."
        course.said.append(Note(kind="long call", text=text))
    course.report(NUMPY)


def _nudged(target: Target, by: float, tools: Instruments) -> Outcome:
    """What NumPy does with inputs that are changed by a rounding error."""
    args, kwargs = nudged((target.args, dict(target.kwargs)), by)
    outcome = contenders.by_numpy(NUMPY, replace(target, args=args, kwargs=kwargs), tools).outcome
    return outcome or Outcome(result=None)


def ported(course: Course) -> Port:
    """The port, made on the inputs (the race proves it); by its names alone where that takes too long."""
    target, seconds = course.target, min(PORT_SHARE * course.budget, course.left)
    own = _numpys_own(target.function)
    if own is not None:
        return own
    side = course.sides[NUMPY]
    if PORT_CALLS * (side.expected + side.entrant.copying) > seconds:
        return _by_names(course, _too_long(side))
    try:
        with course.tools.cut_off(seconds):
            return drive(target.function, target.args, target.kwargs, prove=False)
    except TimeIsUp:
        return _by_names(course, f"the port was cut off after {seconds:.2g} s")


def _too_long(side: contenders.Side) -> str:
    """Why there is no port from runs of the code."""
    copying, call = side.entrant.copying, side.expected
    what = f"copying the inputs takes {copying:.2g} s," if copying > call else f"a call of {call:.2g} s is"
    return f"{what} too long to port the code from runs of it"


def _by_names(course: Course, why: str) -> Port:
    """The port of code in which only the names have to change.

    Raises:
        CannotPort: more has to, for which there was no time.
    """
    try:
        with course.tools.cut_off(PORT_SHARE * course.budget):
            return drive(course.target.function, (), {}, prove=False)
    except (CannotPort, TimeIsUp):
        raise CannotPort(why, fix=f"give it more time: --budget {4 * course.budget:.3g}") from None


def _unguarded(port: Port) -> Callable[..., Any]:
    """A port without the check of its inputs, which are those that it was made on."""
    code = getattr(port.function, "__code__", None)
    is_guard = code is not None and code.co_filename == guard.__file__
    return port.function.__wrapped__ if is_guard else port.function  # type: ignore[attr-defined]  # functools.wraps set it


def _numpys_own(function: Callable[..., Any]) -> Port | None:
    """The port of one of NumPy's functions: jax.numpy's of the same name."""
    name = getattr(function, "__name__", "")
    for path, here, there in (("", np, jnp), ("linalg.", np.linalg, jnp.linalg), ("fft.", np.fft, jnp.fft)):
        if getattr(here, name, None) is function and hasattr(there, name):
            before, after = f"np.{path}{name}", f"jnp.{path}{name}"
            diff = f"-{before}\n+{after}"
            return Port(name=name, original=before, source=after, diff=diff, function=getattr(there, name))
    return None
