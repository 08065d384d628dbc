"""The sides of a race, made ready: inputs of their own, called once, known in what they do."""

from __future__ import annotations

import dis
import functools
import itertools
import operator
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from types import FunctionType
from typing import Any

import jax
import numpy as np

from jaxmagic.analysis import devices
from jaxmagic.analysis.inputs import is_jitted, plain
from jaxmagic.bench import inputs, programs
from jaxmagic.bench.agreement import Outcome
from jaxmagic.bench.background import doing
from jaxmagic.bench.captures import Lifted, lift
from jaxmagic.bench.instruments import Instruments
from jaxmagic.bench.sampling import Entrant
from jaxmagic.errors import BadTarget
from jaxmagic.results import Memory, Port
from jaxmagic.target import Target

Scope = Callable[[], AbstractContextManager[Any]]
Reader = Callable[[Any, Mapping[str, Any]], Outcome]
# Below this many seconds a call it matters what calling any compiled function costs.
SHORT = 200e-6
# What a side is doing that is cut off there.
COPYING = "while its inputs were copied"
# The share of a first call that the next one takes at least, as far as we know before it.
WARM = 1e-3
# What JAX tells of making a program: lowering it, and compiling it.
_MAKING = ("/jax/core/compile/jaxpr_to_mlir_module_duration", "/jax/core/compile/backend_compile_duration")
# Seconds between two looks whether a first result is there.
NAP = 20e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What is known of a contender's compiled program.

    Args:
        seconds: (trace, lower, compile).
        memory: what it holds.
        device: where it runs.
        constant: whether its results do not depend on its inputs.
        folded: bytes of constants inside it.
        transfer: seconds to copy its inputs to the device; None where they are there already.
        floor: seconds that calling any compiled function takes; None where that does not matter.
        products: the shorter numbers that its float32 matrices are multiplied in; "" where in float32.
    """

    seconds: tuple[float, float, float]
    memory: Memory | None
    device: str
    constant: bool
    folded: int
    transfer: float | None
    floor: float | None
    products: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A contender after its first call.

    Args:
        entrant: how to call it again.
        outcome: what its first call did; None once it was compared.
        first_call: seconds of that call, compiling included.
        expected: seconds that the next call will take, as far as known.
        program: of a contender under jit.
        captured: names of what was captured and became an input.
        moves: whether each call takes NumPy arrays to JAX.
    """

    entrant: Entrant
    outcome: Outcome | None
    first_call: float
    expected: float
    program: Program | None = None
    captured: tuple[str, ...] = ()
    moves: bool = False


def as_returned(result: Any, changed: Mapping[str, Any]) -> Outcome:
    """The outcome of a function that returns its result, whatever it changes."""
    return Outcome(result=result, changed=changed)


def as_ported(port: Port) -> Reader:
    """The outcome of a port: besides its result, where it has one, it returns its changed inputs' values."""
    if not port.mutated:
        return as_returned

    def read(result: Any, _: Mapping[str, Any]) -> Outcome:
        first, values = (result[0], result[1:]) if port.returns else (None, result)
        values = (values,) if not port.returns and len(port.mutated) == 1 else values
        return Outcome(result=first, changed=dict(zip(port.mutated, values, strict=True)))

    return read


def of_value(read: Reader) -> Reader:
    """The outcome of a function with its gradient: that of the function."""
    return lambda result, changed: read(result[0], changed)


def by_numpy(name: str, target: Target, tools: Instruments, limited: Scope = nullcontext) -> Side:
    """The function as it is, on NumPy copies of its inputs; the first are made in `limited`."""
    return _by_call(name, target, inputs.for_numpy, tools, nullcontext, limited=limited)


def eagerly(name: str, target: Target, read: Reader, tools: Instruments, scope: Scope) -> Side:
    """The function on JAX arrays, operation by operation; `read` makes an outcome of its result."""
    target = replace(target, function=plain(target.function))
    return _by_call(name, target, inputs.for_jax, tools, scope, read)


def as_is(name: str, target: Target, tools: Instruments, scope: Scope) -> Side:
    """Whatever it is, on copies of its inputs as they are."""
    return _by_call(name, target, inputs.as_they_are, tools, scope)


def by_jit(name: str, target: Target, read: Reader, tools: Instruments, scope: Scope) -> Side:
    """The function under jit, all arrays as arguments; tracing, lowering and compiling timed apart."""
    with scope():
        try:
            return _by_jit(name, target, read, tools, scope, programs.is_traced)
        except jax.errors.ConcretizationTypeError:
            if not programs.has_numbers((target.args, dict(target.kwargs))):
                raise
            return _by_jit(name, target, read, tools, scope, programs.is_traced_array)


def _by_call(
    name: str,
    target: Target,
    convert: Callable[[Any], Any],
    tools: Instruments,
    scope: Scope,
    read: Reader = as_returned,
    limited: Scope = nullcontext,
) -> Side:
    lifted = lift(target.function)
    given = (target.args, dict(target.kwargs), lifted.values)
    with scope():
        start = tools.now()
        with doing(COPYING), limited():
            own = convert(given)
        call = _call(lifted, own)
        called = tools.now()
        with compiling() as compiled:
            result = wait(_computed(call(), target.name))
        seconds = tools.now() - called
    with doing("while its inputs were looked at for changes"):
        changed = _changed(target, lifted, given, own)
    spoils = bool(changed) or _used_up(own)
    entrant = Entrant(
        name=name,
        prepare=lambda: _call(lifted, convert(given)),
        finish=finish_for(result),
        call=None if spoils else call,
        spoils=spoils,
        copying=called - start,
        # Only one call at a time finds its own captured arrays in the slots.
        input_bytes=sys.maxsize if changed.keys() & {*lifted.names} else inputs.size(given),
        scope=scope,
    )
    return Side(
        entrant=entrant,
        outcome=read(result, changed),
        first_call=seconds,
        expected=max(seconds - sum(compiled), WARM * seconds),
        captured=lifted.folded,
        moves=_has(np.ndarray, _read(target, own)) and _has(jax.Array, result),
    )


@contextmanager
def compiling() -> Iterator[list[float]]:
    """Collects the seconds that JAX compiles meanwhile: operation by operation, a first call does."""
    found: list[float] = []

    def listen(event: str, duration_secs: float, **_: str | int) -> None:
        if event in _MAKING:
            found.append(duration_secs)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield found
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


def _computed(result: Any, name: str) -> Any:
    """The result, when it is there and no promise of one.

    Raises:
        BadTarget: a coroutine, generator or function, whose making is all that a race would time.
    """
    if not isinstance(result, Iterator | Awaitable | FunctionType | functools.partial):
        return result
    getattr(result, "close", lambda: None)()
    raise BadTarget(
        f"`{name}` returns a {type(result).__name__}, which has computed nothing yet.",
        fix="Race a function that returns the values themselves.",
    )


def _by_jit(
    name: str,
    target: Target,
    read: Reader,
    tools: Instruments,
    scope: Scope,
    traces: Callable[[Any], bool],
) -> Side:
    lifted = lift(target.function)
    with doing(COPYING):
        jitted, given = _jitted(target, lifted, traces)
    stages, traced, compiled = _compile(jitted, given, tools.now)
    # A program that uses its inputs up gets copies of these, which are copies already.
    fresh = inputs.for_jax if _donates(traced) else _itself
    start = tools.now()
    with doing(COPYING):
        own = wait(fresh(given))
    copied = tools.now()
    result = wait(jitted(*own[0], **own[1]))
    run = tools.now() - copied

    def prepare() -> Callable[[], Any]:
        args, kwargs = fresh(given)
        return functools.partial(jitted, *args, **kwargs)

    entrant = Entrant(
        name=name,
        prepare=prepare,
        finish=finish_for(result),
        spoils=_used_up(own),
        copying=copied - start,
        input_bytes=inputs.size(given),
        scope=scope,
    )
    program = Program(
        seconds=stages,
        memory=_memory(compiled),
        device=devices.current(),
        constant=programs.is_constant(traced.jaxpr),
        folded=programs.folded_bytes(traced.jaxpr),
        transfer=_transfer((target.args, dict(target.kwargs)), tools.now),
        floor=call_floor(tools.now) if run < SHORT else None,
        products=devices.products() if programs.multiplies_float32(traced.jaxpr) else "",
    )
    return Side(
        entrant=entrant,
        outcome=read(result, {}),
        first_call=sum(stages) + run,
        expected=run,
        program=program,
        captured=lifted.folded,
    )


def _donates(traced: Any) -> bool:
    """Whether a program uses any of its inputs up."""
    return any(leaf.donated for leaf in jax.tree_util.tree_leaves(traced.args_info))


def _itself(given: Any) -> Any:
    return given


def _jitted(target: Target, lifted: Lifted, traces: Callable[[Any], bool]) -> tuple[Any, Any]:
    """A jitted function and its inputs: the user's own as it is, or one of the traced leaves alone."""
    given = (target.args, dict(target.kwargs))
    if is_jitted(target.function) and not lifted.slots:
        return target.function, inputs.for_jax(given)
    args, kwargs, captured = inputs.for_jax((*given, lifted.values))
    function = plain(lifted.function)

    def with_captured(values: Any, /, *args: Any, **kwargs: Any) -> Any:
        with lifted.holding(values, captured):
            return function(*args, **kwargs)

    inner, traced = programs.split(with_captured, ((captured, *args), kwargs), traces)
    inner.__name__ = target.name if target.name.isidentifier() else "expression"
    return jax.jit(inner), (traced, {})


def _compile(
    jitted: Any, given: Any, now: Callable[[], float]
) -> tuple[tuple[float, float, float], Any, Any]:
    """Trace, lower and compile: the seconds of each, the traced and the compiled program."""
    times = [now()]
    with doing("while JAX traced it"):
        traced = jitted.trace(*given[0], **given[1])
        times.append(now())
        lowered = traced.lower()
        times.append(now())
    with doing("while XLA compiled it"):
        compiled = lowered.compile()
        times.append(now())
    trace, lower, compiling = (after - before for before, after in itertools.pairwise(times))
    return (trace, lower, compiling), traced, compiled


def _transfer(given: Any, now: Callable[[], float]) -> float | None:
    homes = {devices.name_of(home) for leaf in _jax_arrays(given) for home in leaf.devices()}
    here = devices.current()
    if here in homes or (not homes and here.startswith("cpu")):
        return None
    start = now()
    wait(inputs.for_jax(given))
    return now() - start


def _jax_arrays(given: Any) -> list[jax.Array]:
    return [leaf for leaf in jax.tree_util.tree_leaves(given) if isinstance(leaf, jax.Array)]


def call_floor(now: Callable[[], float], calls: int = 100) -> float:
    """Seconds that calling a compiled function takes at least: the quickest of one that does nothing."""
    nothing, scalar = jax.jit(lambda x: x), jax.numpy.zeros(())
    nothing(scalar)

    def once() -> float:
        start = now()
        nothing(scalar).block_until_ready()
        return now() - start

    return min(once() for _ in range(calls))


def _has(kind: type, tree: Any) -> bool:
    return any(isinstance(leaf, kind) for leaf in jax.tree_util.tree_leaves(tree))


def _call(lifted: Lifted, own: tuple[Any, Any, Any]) -> Callable[[], Any]:
    args, kwargs, captured = own
    lifted.put(captured)
    return functools.partial(lifted.function, *args, **kwargs)


def _changed(target: Target, lifted: Lifted, before: Any, after: Any) -> dict[str, Any]:
    """The inputs that a call changed in place, by name, with their new values."""
    old, new = _named(target, lifted, before), _named(target, lifted, after)
    return {name: new[name] for name in new if not inputs.same_bytes(old[name], new[name])}


def _named(target: Target, lifted: Lifted, own: tuple[Any, Any, Any]) -> dict[str, Any]:
    """Inputs and captured values by name."""
    args, kwargs, captured = own
    given = Target(function=target.function, args=args, kwargs=kwargs).named_inputs()
    return given | dict(zip(lifted.names, captured, strict=True))


def _read(target: Target, own: tuple[Any, Any, Any]) -> list[Any]:
    """The inputs that the code of a function names (labelled contenders are all given those of all)."""
    named = Target(function=target.function, args=own[0], kwargs=own[1]).named_inputs()
    code = getattr(target.function, "__code__", None)
    if code is None:
        return list(named.values())
    words = {str(word) for step in dis.get_instructions(code) for word in _words(step.argval)}
    return [value for name, value in named.items() if name in words]


def _words(argument: Any) -> Iterable[Any]:
    return argument if isinstance(argument, tuple) else (argument,)


def _used_up(tree: Any) -> bool:
    """Whether a call donated a buffer of its inputs, or moved a random generator on."""
    leaves = jax.tree_util.tree_leaves(tree)
    deleted = any(isinstance(leaf, jax.Array) and leaf.is_deleted() for leaf in leaves)
    return deleted or any(map(inputs.has_state, leaves))


def _memory(compiled: Any) -> Memory | None:
    stats = compiled.memory_analysis()
    if stats is None:
        return None
    return Memory(
        arguments=stats.argument_size_in_bytes,
        outputs=stats.output_size_in_bytes,
        temporaries=stats.temp_size_in_bytes,
        peak=getattr(stats, "peak_memory_in_bytes", None) or None,
    )


# -- waiting --------------------------------------------------------------------------------------


def wait(result: Any) -> Any:
    """The result, once it is really there; Ctrl-C and the stop-watch are heard meanwhile."""
    for leaf in _jax_arrays(result):
        while not (isinstance(leaf, jax.core.Tracer) or leaf.is_ready()):  # type: ignore[attr-defined]  # of every concrete array
            time.sleep(NAP)
    jax.block_until_ready(result)
    synchronise(result)
    return result


def finish_for(result: Any) -> Callable[[Any], Any] | None:
    """The cheapest way to wait for results like this one; None where a result is there on return."""
    if hasattr(result, "block_until_ready"):
        return operator.methodcaller("block_until_ready")
    leaves = jax.tree_util.tree_leaves(result)
    if any(hasattr(leaf, "block_until_ready") for leaf in leaves):
        return jax.block_until_ready
    return synchronise if _torch_waits(leaves) else None


def synchronise(result: Any) -> None:
    """Wait for the devices that hold PyTorch results, when PyTorch is loaded."""
    for device_is_done in _torch_waits(jax.tree_util.tree_leaves(result)):
        device_is_done()


def _torch_waits(leaves: Iterable[Any]) -> list[Callable[[], Any]]:
    torch = sys.modules.get("torch")
    tensor = getattr(torch, "Tensor", ())
    places = {leaf.device.type for leaf in leaves if isinstance(leaf, tensor)} - {"cpu"}
    return [getattr(torch, place).synchronize for place in sorted(places)]
