"""What the analyses hand over: frozen plain data that scripts, pages and tests read alike.

Standard library only. Nothing here draws, rounds or knows a medium. Sizes are in bytes, times in
seconds, and `None` means unknown: never zero, never a guess.
"""

from jaxmagic.results.common import (
    HERE,
    Fingerprint,
    Lazy,
    Link,
    Many,
    Note,
    Phase,
    Source,
    Span,
    Value,
    plain,
)
from jaxmagic.results.compiled import Buffer, Fate, FateKind, Kernel, Made, Memory
from jaxmagic.results.devices import Device, Devices, Placement
from jaxmagic.results.gradient import Check, Curve, Digest, Expense, Field, Gradient, Partial
from jaxmagic.results.graph import Edge, Graph, Node, NodeKind
from jaxmagic.results.port import Port
from jaxmagic.results.race import (
    EAGER,
    GRADIENT,
    JIT,
    NUMPY,
    Agreement,
    Benchmark,
    Comparison,
    Contender,
    Interval,
    Point,
    Sweep,
    called,
)
from jaxmagic.results.retrace import Cause, Difference, Retrace, Verdict
from jaxmagic.results.trace import (
    Change,
    Changes,
    Equation,
    Figure,
    Line,
    Peaks,
    Spot,
    Stage,
    StageName,
    Timing,
    Trace,
    Work,
)

__all__ = [
    "EAGER",
    "GRADIENT",
    "HERE",
    "JIT",
    "NUMPY",
    "Agreement",
    "Benchmark",
    "Buffer",
    "Cause",
    "Change",
    "Changes",
    "Check",
    "Comparison",
    "Contender",
    "Curve",
    "Device",
    "Devices",
    "Difference",
    "Digest",
    "Edge",
    "Equation",
    "Expense",
    "Fate",
    "FateKind",
    "Field",
    "Figure",
    "Fingerprint",
    "Gradient",
    "Graph",
    "Interval",
    "Kernel",
    "Lazy",
    "Line",
    "Link",
    "Made",
    "Many",
    "Memory",
    "Node",
    "NodeKind",
    "Note",
    "Partial",
    "Peaks",
    "Phase",
    "Placement",
    "Point",
    "Port",
    "Retrace",
    "Source",
    "Span",
    "Spot",
    "Stage",
    "StageName",
    "Sweep",
    "Timing",
    "Trace",
    "Value",
    "Verdict",
    "Work",
    "called",
    "plain",
]

# IPython's formatters and pickles know a result by its public home, whatever room it stands in.
for _result in map(globals().get, __all__):
    if isinstance(_result, type) and _result.__module__.startswith(f"{__name__}."):
        _result.__module__ = __name__
