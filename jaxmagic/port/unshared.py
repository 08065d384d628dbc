"""Which values share no memory with what they were made from, and which arrays have one name only."""

from __future__ import annotations

import ast

import numpy as np

from jaxmagic.port.collect import Unit, object_of
from jaxmagic.port.flow import assigned, read
from jaxmagic.port.names import numpy_name
from jaxmagic.port.observe import Facts

# Functions whose results share no memory with their arguments.
NEW = (
    *("sum", "mean", "prod", "std", "var", "min", "max", "amin", "amax", "any", "all", "argmin", "argmax"),
    *("cumsum", "cumprod", "sort", "argsort", "unique", "concatenate", "stack", "where", "array", "copy"),
    *("nonzero", "flatnonzero", "bincount", "histogram", "count_nonzero", "outer", "dot", "median", "clip"),
    *("zeros", "ones", "empty", "full", "zeros_like", "ones_like", "empty_like", "full_like", "arange"),
    *("linspace", "isclose", "searchsorted", "interp", "digitize", "percentile", "ptp", "size", "ndim"),
)
NEW_METHODS = ("copy", "astype", "sum", "mean", "min", "max", "any", "all", "prod", "std", "var", "cumsum")


def is_new(unit: Unit, facts: Facts, value: ast.expr) -> bool:
    """Whether an expression shares no memory with what it reads."""
    if isinstance(value, ast.BinOp | ast.UnaryOp | ast.Compare | ast.Constant):
        return True
    if isinstance(value, ast.Subscript):
        index = facts.of(unit, value.slice)
        return facts.of(unit, value).is_scalar or (index.is_array and bool(index.ndim))
    if not isinstance(value, ast.Call) or any(k.arg in (None, "out", "copy") for k in value.keywords):
        return False
    name = numpy_name(unit, value.func)
    if name is None and isinstance(value.func, ast.Attribute):
        return value.func.attr in NEW_METHODS
    known = name is not None and name.removeprefix("numpy.") in NEW
    ufunc = object_of(unit, value.func)
    return known or isinstance(ufunc, np.ufunc) or facts.of(unit, value).is_scalar


def is_alone(unit: Unit, facts: Facts, name: str) -> bool:
    """Whether a name's arrays are new wherever it is bound, and never get another name."""
    for node in ast.walk(unit.node):
        for target, value in pairs_of(node) if isinstance(node, ast.Assign) else []:
            own = name in assigned([node]) and not isinstance(target, ast.Subscript)  # type: ignore[list-item]
            if (own or name in read(value)) and not is_new(unit, facts, value):
                return False
    return True


def pairs_of(node: ast.Assign) -> list[tuple[ast.expr, ast.expr]]:
    """Each target of an assignment with its value."""
    target, value = node.targets[-1], node.value
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
        return list(zip(target.elts, value.elts, strict=True))
    return [(target, value)]
