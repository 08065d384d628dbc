"""`with np.errstate(…):` only silences warnings, which compiled code never gives: its body stands alone."""

from __future__ import annotations

import ast

from jaxmagic.port.collect import Program, Unit
from jaxmagic.port.names import numpy_name

SILENT = ("numpy.errstate", "numpy.printoptions")
HARMLESS = ("ignore", "warn", "print", "log")


def opened(program: Program) -> bool:
    """Take such blocks apart in every unit; whether there were any."""
    return sum(_opened_in(unit, unit.node) for unit in program.units) > 0


def _opened_in(unit: Unit, node: ast.AST) -> bool:
    found = False
    for name in ("body", "orelse", "finalbody"):
        body = getattr(node, name, None)
        if isinstance(body, list):
            inner = [part for statement in body for part in _parts(unit, statement)]
            found |= len(inner) != len(body) or any(a is not b for a, b in zip(inner, body, strict=True))
            setattr(node, name, inner)
            found |= sum(_opened_in(unit, statement) for statement in inner) > 0
    return found


def _parts(unit: Unit, node: ast.stmt) -> list[ast.stmt]:
    if isinstance(node, ast.With) and all(_is_silent(unit, item) for item in node.items):
        return [part for statement in node.body for part in _parts(unit, statement)]
    return [node]


def _is_silent(unit: Unit, item: ast.withitem) -> bool:
    """Whether a context changes nothing but what is said of a calculation."""
    call = item.context_expr
    if not isinstance(call, ast.Call) or item.optional_vars is not None or call.args:
        return False
    values = [k.value for k in call.keywords]
    harmless = all(isinstance(v, ast.Constant) and v.value in HARMLESS for v in values)
    return numpy_name(unit, call.func) in SILENT and (harmless or "printoptions" in ast.unparse(call.func))
