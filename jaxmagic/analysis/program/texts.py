"""Programs as text: the jaxpr, StableHLO and HLO, long constants cut."""

from __future__ import annotations

import itertools
import keyword
import re
import types
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, cast

from jaxmagic.analysis.program.equations import Walked
from jaxmagic.analysis.program.places import function_of, opened

try:
    from jaxlib import _hlo  # type: ignore[attr-defined]  # jaxlib has no types for it
except ImportError:  # then XLA's own default text
    _hlo = None

# Constants longer than this are cut in every text.
LONG_CONSTANT = 16


def identifiers(names: Iterable[str]) -> list[str]:
    """A Python identifier for each name, no two alike: JAX prints them, and asks for such."""
    taken: dict[str, None] = {}
    for name in names:
        stem = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_") or "input"
        stem = f"_{stem}" if stem[0].isdigit() or keyword.iskeyword(stem) else stem
        numbered = (f"{stem}_{i}" for i in itertools.count(1))
        taken[stem if stem not in taken else next(one for one in numbered if one not in taken)] = None
    return list(taken)


class Segment(NamedTuple):
    """A stretch of a printed line, and the traceback of the equation that it belongs to."""

    row: int
    start: int
    end: int
    traceback: Any


def print_jaxpr(jaxpr: Any, walked: Walked) -> tuple[str, list[Segment]]:
    """The program as JAX prints it, and which equation each stretch belongs to."""
    document = jaxpr.pretty_print
    if walked.visits > MANY_VISITS and len(walked.programs) * SHARED < walked.visits:
        document = _document(walked.programs) or document
    return _written(document)


def _written(document: Callable[..., str]) -> tuple[str, list[Segment]]:
    map_: list[list[tuple[int, int, Any]]] = []
    text = document(source_map=map_, use_color=False)
    return text, [Segment(row, *segment) for row, segments in enumerate(map_) for segment in segments]


# JAX's printer follows every use of a shared program, which is 2^depth where sharing is nested.
MANY_VISITS, SHARED = 10_000, 4


def print_opening(jaxpr: Any, walked: Walked, equations: int) -> tuple[str, list[Segment]] | None:
    """How the text of `print_jaxpr` begins, up to so many equations and their last row.

    None where that is all of it, and where JAX prints in another way than is known here.
    """
    if walked.visits > MANY_VISITS:
        return None
    try:
        text, segments = _written(_abridged(opened(jaxpr), equations))
    except (ImportError, AttributeError, TypeError, KeyError):
        return None
    rows = segments[-1].row + 1 if segments else 0
    return ("\n".join(text.split("\n")[:rows]), segments) if rows else None


def _abridged(jaxpr: Any, left: int) -> Callable[..., str]:
    """JAX's own printer, that writes so many equations of the programs that it prints, one by one.

    A program that it prints inside an equation is written in full.
    """
    from jax._src import core, pretty_printer  # private: only where it is needed

    # A program of few equations would be written on one line, which its beginning is not.
    wide = (pretty_printer.brk(), pretty_printer.text("." * 100))

    def some(equations: Any, *rest: Any) -> Any:
        nonlocal left
        taken = equations[:left]
        left -= len(taken)
        written = core.pp_eqns(taken, *rest)
        return written if len(taken) == len(equations) else pretty_printer.concat([written, *wide])

    known = {**vars(core), "pp_eqns": some}
    for name in ("pp_shared_jaxpr", "pp_jaxpr", "pp_toplevel_jaxpr"):
        plain = known[name]
        known[name] = types.FunctionType(plain.__code__, known, name, plain.__defaults__, plain.__closure__)
        known[name].__kwdefaults__ = plain.__kwdefaults__
    return cast("Callable[..., str]", known["pp_toplevel_jaxpr"](jaxpr).format)


def _document(programs: list[Any]) -> Callable[..., str] | None:
    """The printer for programs that share programs that share …: each is printed once, by name."""
    try:
        from jax._src import core, pretty_printer  # private: only where it is needed

        context, settings = core.JaxprPpContext(), core.JaxprPpSettings()
        *inner, top = programs
        names = identifiers(function_of(program)[0] for program in inner)
        context.shared_jaxprs.update(zip(inner, names, strict=True))
        for name in names:
            context.shared_jaxpr_names.add(name)
        named = zip(names, inner, strict=True)
        parts = [core.pp_shared_jaxpr(name, program, context, settings) for name, program in named]
        document = pretty_printer.concat([*parts, core.pp_jaxpr(top, context, settings)])
    except (ImportError, AttributeError, TypeError):
        return None
    return cast("Callable[..., str]", document.format)


def print_stablehlo(lowered: Any) -> str:
    """The StableHLO text with locations, long constants cut."""
    operation = lowered.compiler_ir("stablehlo").operation
    return str(
        operation.get_asm(large_elements_limit=LONG_CONSTANT, enable_debug_info=True, pretty_debug_info=False)
    )


def print_unoptimised(lowered: Any) -> str:
    """The HLO text before any optimisation, with metadata, long constants cut."""
    return _print_hlo(lowered.compiler_ir("hlo").as_hlo_module())


def print_optimised(compiled: Any) -> str:
    """The HLO text after optimisation, with metadata, long constants cut."""
    modules = compiled.runtime_executable().hlo_modules()
    return "\n\n".join(_print_hlo(module) for module in modules)


def _print_hlo(module: Any, *, notes: bool = False) -> str:
    if _hlo is None:
        return str(module.to_string())
    options = _hlo.HloPrintOptions.short_parsable()
    options.print_metadata = True
    options.print_large_constants = False
    options.print_backend_config = notes
    return str(module.to_string(options))


def print_compiled(compiled: Any) -> str:
    """The optimised HLO text with what the backend noted: turns of loops, libraries called."""
    module = compiled.runtime_executable().hlo_modules()[0]
    return _print_hlo(module, notes=True)
