"""What is known of names and expressions while JAX traces."""

from __future__ import annotations

import abc
import ast
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from jaxmagic.errors import CannotPort
from jaxmagic.port.collect import MISSING, Unit, dotted, is_constant_module, object_of
from jaxmagic.port.flow import read
from jaxmagic.port.names import numpy_name
from jaxmagic.port.nodes import load
from jaxmagic.port.observe import Fact, Facts
from jaxmagic.port.ranges import Ranges
from jaxmagic.port.windows import Value

STATIC_ATTRIBUTES = ("shape", "ndim", "size", "dtype", "itemsize", "nbytes")
STATIC_CALLS = (
    "len",
    "range",
    "int",
    "float",
    "bool",
    "abs",
    "min",
    "max",
    "round",
    "sum",
    "str",
    "tuple",
    "list",
    "enumerate",
    "zip",
    "reversed",
    "divmod",
    "pow",
    "isinstance",
    "sorted",
    "slice",
    "type",
    "complex",
)

# NumPy functions of numbers that are often sizes.
COUNTS = (
    *(
        "ceil",
        "floor",
        "round",
        "rint",
        "trunc",
        "fix",
        "sqrt",
        "cbrt",
        "log",
        "log2",
        "log10",
        "exp",
        "exp2",
    ),
    *("abs", "absolute", "prod", "sum", "max", "min", "amax", "amin", "maximum", "minimum", "power", "mod"),
    *("remainder", "floor_divide", "int64", "int32", "float64", "float32", "sin", "cos", "tan", "isscalar"),
)


@dataclass(frozen=True, slots=True)
class Held:
    """What is known of a name at a place: Python's own value under jit, and which elements count."""

    static: bool
    value: Value | None = None


Env = dict[str, Held]
# Which elements of a name count can no longer be said: what the condition was made of has changed.
LOST = Value(node=ast.Constant(None), mask=ast.Constant(None))


@dataclass(slots=True)
class Decisions:
    """What trying has shown so far.

    Args:
        unroll: loops that stay Python loops.
        static: parameters of the main function that have to be Python values.
        casts: dtypes that expressions have to be given, by unit and number.
        rolled: loops that are not mapped over.
        maps: whether loops whose iterations are independent are mapped over.
        finite: whether every number in the inputs is finite.
        counts: whether NumPy's own functions of sizes, such as `np.ceil(n / 2)`, stay NumPy's.
    """

    unroll: set[tuple[str, int]] = field(default_factory=set)
    static: set[str] = field(default_factory=set)
    casts: dict[tuple[str, int], str] = field(default_factory=dict)
    rolled: set[tuple[str, int]] = field(default_factory=set)
    maps: bool = True
    finite: bool = False
    counts: bool = False


class Known(abc.ABC):
    """Tells what of one unit is Python's own under jit, and what the watched run showed."""

    def __init__(
        self, unit: Unit, facts: Facts, decisions: Decisions, calls: Mapping[Unit, dict[str, bool]]
    ) -> None:
        self.unit = unit
        self.facts = facts
        self.decisions = decisions
        self.calls = calls
        self.locals = unit.locals
        self.batched: dict[str, frozenset[int]] = {}  # the mapped loops that a name differs in
        self.takes_finite = False
        self.ranges: Ranges = {}
        self.unlimited: list[int] = []  # lines on which Python's own whole numbers may outgrow the port's
        self.sliced: list[int] = []  # lines with a slice of fixed size that data move

    def is_static(self, node: ast.expr, env: Env) -> bool:
        """Whether an expression is a Python value while JAX traces."""
        if isinstance(node, ast.Constant):
            return True
        if isinstance(node, ast.Name):
            return self._static_name(node, env)
        if isinstance(node, ast.Attribute):
            return self._static_attribute(node, env)
        if isinstance(node, ast.Call):
            return self._static_call(node, env)
        if isinstance(node, ast.Subscript):
            return self.is_static(node.value, env) and self.is_static(node.slice, env)
        if isinstance(node, ast.ListComp | ast.GeneratorExp | ast.Lambda | ast.SetComp | ast.DictComp):
            return all(self._static_name(load(name), env) for name in read(node) if name in env)
        return all(
            self.is_static(child, env) for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)
        )

    def _static_name(self, node: ast.Name, env: Env) -> bool:
        if node.id in env:
            return env[node.id].static
        value = MISSING if node.id in self.locals else self.unit.value_of(node.id)
        return not isinstance(value, np.ndarray) and value is not MISSING

    def _static_attribute(self, node: ast.Attribute, env: Env) -> bool:
        if is_constant_module(self.unit, node) or numpy_name(self.unit, node) is not None:
            return True
        if node.attr in STATIC_ATTRIBUTES:
            base = self.lower(node.value, env)
            return base.is_plain
        return self.is_static(node.value, env)

    def _static_call(self, node: ast.Call, env: Env) -> bool:
        arguments = [*node.args, *(k.value for k in node.keywords)]
        if isinstance(node.func, ast.Name) and node.func.id in STATIC_CALLS and node.func.id not in env:
            if node.func.id in ("len", "type", "isinstance"):
                return self.lower(node.args[0], env).is_plain
            return all(self.is_static(a, env) for a in arguments)
        name = numpy_name(self.unit, node.func)
        if name is not None:
            return (
                name in ("numpy.ndim", "numpy.shape", "numpy.size")
                or name.startswith(("numpy.finfo", "numpy.iinfo", "numpy.dtype", "numpy.result_type"))
                or (self.is_count(node, name) and all(self.is_static(a, env) for a in arguments))
            )
        value = object_of(self.unit, node.func)
        callee = self.unit.helpers.get(".".join(dotted(node.func) or ()))
        if callee is not None:
            return all(self.is_static(a, env) for a in arguments) and self.facts.of(self.unit, node).is_python
        own = value is not MISSING and not isinstance(node.func, ast.Attribute)
        module = getattr(value, "__module__", "") == "math" or getattr(value, "__name__", "") in STATIC_CALLS
        if value is not MISSING and (own or module):
            return all(self.is_static(a, env) for a in arguments)
        return (
            isinstance(node.func, ast.Attribute)
            and self.is_static(node.func.value, env)
            and all(self.is_static(a, env) for a in arguments)
        )

    def is_count(self, node: ast.Call, name: str) -> bool:
        """Whether a function of NumPy's is left to work out a number from sizes."""
        scalar = name.removeprefix("numpy.") in COUNTS and self.fact(node).is_scalar
        return self.decisions.counts and scalar

    def fact(self, node: ast.AST) -> Fact:
        """What the watched run showed of an expression."""
        return self.facts.of(self.unit, node)

    def varying(self, node: ast.expr) -> CannotPort:
        """The refusal of a size that changes."""
        return self.unit.refuse(
            node,
            f"The size of `{ast.unparse(node)}` changes from one iteration or one input to the next, "
            "and compiled code needs fixed sizes.",
            "Use the whole array and set what does not count to zero with `np.where`.",
        )

    def note_whole(self, node: ast.expr, env: Env) -> None:
        """Python's own whole numbers, which have no limit, in code that is compiled."""
        if {form.kind for form in self.fact(node).forms} == {"int"} and not self.is_static(node, env):
            self.unlimited.append(node.lineno)

    @abc.abstractmethod
    def lower(self, node: ast.expr, env: Env) -> Value:
        """An expression in JAX terms."""


def either(a: Held | None, b: Held | None, *, a_ended: bool = False, b_ended: bool = False) -> Held:
    """What is known after two branches."""
    if a is None or b is None or a_ended or b_ended:
        one = a if b is None or b_ended else b
        return one if one is not None else Held(static=False)
    if a == b:
        return a
    return Held(static=a.static and b.static, value=a.value if a.value is b.value else LOST)
