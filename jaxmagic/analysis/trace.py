"""See: what JAX makes of a function, stage by stage, and what each line of the source costs."""

from __future__ import annotations

import linecache
import time
import types
from collections.abc import Callable
from typing import Any

import jax

from jaxmagic.analysis import inputs, program, sources, texts
from jaxmagic.results import Equation, Lazy, Line, Stage, Trace, Value
from jaxmagic.target import Target


def trace(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Trace:
    """What JAX makes of `function(*args, **kwargs)`.

    Args:
        function: a function of arrays, jitted or not, or a callable object such as a Flax module.
        args: positional inputs: arrays, numbers, pytrees; `jax.ShapeDtypeStruct`s need no memory.
        kwargs: inputs by keyword.

    Raises:
        JaxmagicError: when JAX cannot trace it, with the line of the source and the way out.
    """
    return look(Target(function=function, args=args, kwargs=kwargs))


def look(target: Target, *, grad: bool = False) -> Trace:
    """What JAX makes of a target; with `grad`, of its value and gradient by every float input.

    Raises:
        JaxmagicError: when JAX cannot trace it, with the line of the source and the way out.
    """
    linecache.checkcache()
    given = inputs.take_apart(target)
    started = time.perf_counter()
    traced = program.trace_fresh(given.call, target.name, [leaf.value for leaf in given.traced])
    seconds = time.perf_counter() - started
    jaxpr = traced.stage.jaxpr
    lowered = traced.stage.lower()
    places = program.Places(traced.mark)
    steps = program.walk(jaxpr, places)
    started = time.perf_counter()
    text, segments = program.print_jaxpr(jaxpr)
    links = texts.link_jaxpr(segments, steps)
    jaxpr_stage = Stage(name="jaxpr", text=text, links=links, seconds=time.perf_counter() - started)
    described = texts.equation_texts(text, segments, steps)
    equations = tuple(
        Equation(
            primitive=step.equation.primitive.name,
            text=told,
            span=step.span,
            count=step.count,
            phase=step.phase,
        )
        for step, told in zip(steps, described, strict=True)
    )
    codes = [code for code in places.codes.values() if program.is_users(code.co_filename)]
    listing = sources.listings([*_own_code(target), *codes], ())
    lines = tuple(
        Line(file=source.file, line=source.first_line + i, source=text)
        for source in listing
        for i, text in enumerate(source.lines)
    )
    return Trace(
        name=target.name,
        inputs=tuple(
            Value(name=leaf.path, type=program.type_of(aval), bytes=program.bytes_of(aval))
            for leaf, aval in zip(given.traced, jaxpr.in_avals, strict=True)
        ),
        outputs=_outputs(traced),
        equations=equations,
        lines=lines,
        sources=listing,
        flops=None,
        bytes=None,
        transcendentals=None,
        trace_seconds=seconds,
        device=_device(),
        gradient=grad,
        stages={
            "jaxpr": Lazy.of(jaxpr_stage),
            "stablehlo": Lazy(lambda: _stablehlo(lowered)),
            "hlo": Lazy(lambda: _hlo(lowered)),
        },
    )


def _stablehlo(lowered: Any) -> Stage:
    started = time.perf_counter()
    text, links = texts.link_stablehlo(program.print_stablehlo(lowered))
    return Stage(name="stablehlo", text=text, links=links, seconds=time.perf_counter() - started)


def _hlo(lowered: Any) -> Stage:
    started = time.perf_counter()
    compiled = lowered.compile()
    seconds = time.perf_counter() - started
    text, links = texts.link_hlo(program.print_optimised(compiled))
    return Stage(name="hlo", text=text, links=links, seconds=seconds, memory=program.memory(compiled))


def _outputs(traced: program.Traced) -> tuple[Value, ...]:
    avals = traced.stage.jaxpr.out_avals
    tree = jax.tree_util.tree_unflatten(traced.stage.out_tree, avals)
    named = jax.tree_util.tree_flatten_with_path(tree)[0]
    return tuple(
        Value(name=inputs.way(path), type=program.type_of(aval), bytes=program.bytes_of(aval))
        for path, aval in named
    )


def _own_code(target: Target) -> list[types.CodeType]:
    function = inputs.plain(target.function)
    function = getattr(function, "__func__", function)
    code = getattr(function, "__code__", None)
    return [code] if code is not None and program.is_users(code.co_filename) else []


def _device() -> str:
    device = jax.config.jax_default_device or jax.devices()[0]
    return f"{device.platform}:{device.id}" if hasattr(device, "platform") else str(device)
