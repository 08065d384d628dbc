"""The sides of a race, made ready: inputs of their own, called once, known in what they do."""

from __future__ import annotations

import functools
import operator
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import jax

from jaxmagic.bench import inputs
from jaxmagic.bench.agreement import Outcome
from jaxmagic.bench.captures import Lifted, is_jitted, lift, split
from jaxmagic.bench.instruments import Instruments
from jaxmagic.bench.sampling import Entrant
from jaxmagic.results import Memory, Port
from jaxmagic.target import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A contender after its first calls.

    Args:
        entrant: how to call it again.
        outcome: what its first call did.
        first_call: seconds of the first call, compiling included.
        expected: seconds that the next call will take, as far as known.
        compile_seconds: (trace, lower, compile).
        memory: of the compiled program.
        traced: the program, as `jax.stages.Traced`.
        captured: names of what was captured and became an input.
    """

    entrant: Entrant
    outcome: Outcome
    first_call: float
    expected: float
    compile_seconds: tuple[float, float, float] | None = None
    memory: Memory | None = None
    traced: Any = None
    captured: tuple[str, ...] = ()


def by_numpy(name: str, target: Target, tools: Instruments) -> Side:
    """The function as it is, on NumPy copies of its inputs."""
    return _by_call(name, target, inputs.for_numpy, tools)


def eagerly(name: str, target: Target, port: Port | None, tools: Instruments) -> Side:
    """The function on JAX arrays, operation by operation."""
    return _by_call(name, target, inputs.for_jax, tools, port)


def as_is(name: str, target: Target, tools: Instruments) -> Side:
    """A labelled contender: whatever it is, on copies of its inputs as they are."""
    return _by_call(name, target, inputs.as_they_are, tools)


def _by_call(
    name: str, target: Target, convert: Callable[[Any], Any], tools: Instruments, port: Port | None = None
) -> Side:
    lifted = lift(target.function)
    given = (target.args, dict(target.kwargs), lifted.values)
    before, own = convert(given), convert(given)
    call = _call(lifted, own)
    start = tools.now()
    result = jax.block_until_ready(call())
    synchronise(result)
    seconds = tools.now() - start
    changed = _changed(target, lifted, before, own)
    spoils = bool(changed) or _used_up(own)
    entrant = Entrant(
        name=name,
        prepare=lambda: _call(lifted, convert(given)),
        finish=finish_for(result),
        spoils=spoils,
        input_bytes=sys.maxsize if changed.keys() & _slot_names(lifted) else inputs.size(given),
    )
    return Side(
        entrant=entrant,
        outcome=_with_port(result, changed, port),
        first_call=seconds,
        expected=seconds,
        captured=tuple(_slot_names(lifted)),
    )


def by_jit(name: str, target: Target, port: Port | None, tools: Instruments) -> Side:
    """The function under jit, all arrays as arguments; tracing, lowering and compiling timed apart."""
    lifted = lift(target.function)
    jitted, traced_inputs, keywords = _jitted(target, lifted)
    now = tools.now
    start = now()
    traced = jitted.trace(*traced_inputs, **keywords)
    at_trace = now()
    lowered = traced.lower()
    at_lower = now()
    compiled = lowered.compile()
    at_compile = now()
    own = inputs.for_jax((traced_inputs, keywords))
    start_run = now()
    result = jax.block_until_ready(jitted(*own[0], **own[1]))
    run = now() - start_run
    donated = _used_up(own)
    given = (traced_inputs, keywords)
    entrant = Entrant(
        name=name,
        prepare=lambda: functools.partial(jitted, *(copy := inputs.for_jax(given))[0], **copy[1]),
        finish=finish_for(result),
        spoils=donated,
        input_bytes=inputs.size(given),
    )
    return Side(
        entrant=entrant,
        outcome=_with_port(result, {}, port),
        first_call=at_compile - start + run,
        expected=run,
        compile_seconds=(at_trace - start, at_lower - at_trace, at_compile - at_lower),
        memory=_memory(compiled),
        traced=traced,
        captured=tuple(_slot_names(lifted)),
    )


def _jitted(target: Target, lifted: Lifted) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    """A jitted function and its inputs: the user's own, or one of the traced leaves alone."""
    if is_jitted(target.function) and not lifted.slots:
        args, kwargs = inputs.for_jax((target.args, dict(target.kwargs)))
        return target.function, args, kwargs
    args, kwargs, captured = inputs.for_jax((target.args, dict(target.kwargs), lifted.values))
    function = (
        getattr(lifted.function, "__wrapped__", lifted.function)
        if is_jitted(lifted.function)
        else lifted.function
    )

    def with_captured(values: Any, /, *args: Any, **kwargs: Any) -> Any:
        with lifted.holding(values, captured):
            return function(*args, **kwargs)

    program, traced = split(with_captured, ((captured, *args), kwargs))
    program.__name__ = target.name if target.name.isidentifier() else "expression"
    return jax.jit(program), tuple(traced), {}


def _call(lifted: Lifted, own: tuple[Any, Any, Any]) -> Callable[[], Any]:
    args, kwargs, captured = own
    lifted.put(captured)
    return functools.partial(lifted.function, *args, **kwargs)


def _slot_names(lifted: Lifted) -> list[str]:
    return [slot.name for slot in lifted.slots]


def _named(target: Target, lifted: Lifted, own: tuple[Any, Any, Any]) -> dict[str, Any]:
    """Inputs and captured values by name."""
    args, kwargs, captured = own
    given = Target(function=target.function, args=args, kwargs=kwargs, name=target.name).named_inputs()
    return given | dict(zip(_slot_names(lifted), captured, strict=True))


def _changed(target: Target, lifted: Lifted, before: Any, after: Any) -> dict[str, Any]:
    """The inputs that a call changed in place, by name, with their new values."""
    old, new = _named(target, lifted, before), _named(target, lifted, after)
    return {name: new[name] for name in new if not inputs.same_bytes(old[name], new[name])}


def _used_up(tree: Any) -> bool:
    """Whether a call donated a buffer of its inputs, or moved a random generator on."""
    leaves = jax.tree_util.tree_leaves(tree)
    return any(isinstance(leaf, jax.Array) and leaf.is_deleted() or inputs.has_state(leaf) for leaf in leaves)


def _with_port(result: Any, changed: Mapping[str, Any], port: Port | None) -> Outcome:
    """An outcome; what a port returns besides the result are its changed inputs' new values."""
    if port is None or not port.mutated:
        return Outcome(result=result, changed=changed)
    first, *rest = result
    return Outcome(result=first, changed=dict(zip(port.mutated, rest, strict=True)))


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


def finish_for(result: Any) -> Callable[[Any], Any] | None:
    """The cheapest way to wait for results like this one; None where a result is there on return."""
    if hasattr(result, "block_until_ready"):
        return operator.methodcaller("block_until_ready")
    leaves = jax.tree_util.tree_leaves(result)
    if any(hasattr(leaf, "block_until_ready") for leaf in leaves):
        return jax.block_until_ready
    return synchronise if any(_torch_waits(leaves)) else None


def synchronise(result: Any) -> None:
    """Wait for the devices that hold PyTorch results, when PyTorch is loaded."""
    for wait in _torch_waits(jax.tree_util.tree_leaves(result)):
        wait()


def _torch_waits(leaves: Iterable[Any]) -> Iterable[Callable[[], Any]]:
    torch = sys.modules.get("torch")
    tensor = getattr(torch, "Tensor", ())
    places = {leaf.device.type for leaf in leaves if isinstance(leaf, tensor)} - {"cpu"}
    return [getattr(torch, place).synchronize for place in sorted(places)]
