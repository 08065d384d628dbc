"""The one seam over JAX's internals: fresh programs, their equations, and where each came from.

Everything private to JAX, and everything that differs between its versions, is in this package. What
JAX does not say comes out as `None`: a span that is unknown, a count that is unknown.
"""

from jaxmagic.analysis.program.equations import (
    Output,
    Step,
    Walked,
    bytes_of,
    every_program,
    inner_programs,
    outputs,
    plus,
    product,
    scopes,
    sources_and_sinks,
    type_of,
    walk,
)
from jaxmagic.analysis.program.fingerprints import constants, of_arrays, of_program
from jaxmagic.analysis.program.places import Places, function_of, is_ours, is_users, opened
from jaxmagic.analysis.program.storage import assignment, backends_started, memory
from jaxmagic.analysis.program.texts import (
    Segment,
    identifiers,
    print_compiled,
    print_jaxpr,
    print_opening,
    print_optimised,
    print_stablehlo,
    print_unoptimised,
)
from jaxmagic.analysis.program.tracing import (
    CallKey,
    Traced,
    afresh,
    is_current,
    keys_of_call,
    leaked,
    trace_fresh,
)

__all__ = [
    "CallKey", "Output", "Places", "Segment", "Step", "Traced", "Walked", "afresh", "assignment",
    "backends_started", "bytes_of", "constants", "every_program", "function_of", "identifiers",
    "inner_programs", "is_current", "is_ours", "is_users", "keys_of_call", "leaked", "memory", "of_arrays",
    "of_program", "opened", "outputs", "plus", "print_compiled", "print_jaxpr", "print_opening",
    "print_optimised", "print_stablehlo", "print_unoptimised", "product", "scopes", "sources_and_sinks",
    "trace_fresh", "type_of", "walk",
]  # fmt: skip
