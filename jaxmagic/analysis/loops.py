"""How often a loop turns, read from its HLO: what counts from one constant to another is known."""

from __future__ import annotations

import re
from typing import TypeAlias

from jaxmagic.analysis.hlo import Instruction, Module

Body: TypeAlias = dict[str, Instruction]


def trips(module: Module, loop: Instruction, body: Body) -> int | None:
    """How often a loop turns, when it counts from one constant to another; else None."""
    condition, step = loop.attribute("condition"), loop.attribute("body")
    test = module.root(condition)
    if test.opcode != "compare" or len(test.operands) != 2:
        return None
    left, right = (_carried(module.computations[condition], name) for name in test.operands)
    direction = test.attribute("direction")
    if left is None:
        left, right, direction = right, left, _MIRROR.get(direction, "")
        limit = _constant(module.computations[condition], test.operands[0])
    else:
        limit = _constant(module.computations[condition], test.operands[1])
    init = body.get(loop.operands[0])
    if left is None or init is None or init.opcode != "tuple":
        return None
    if limit is None and right is not None and _unchanged(module, step, right):
        limit = _constant(body, init.operands[right])
    start, stride = _constant(body, init.operands[left]), _stride(module, step, left)
    return _turns(start, limit, stride, direction)


_MIRROR = {"LT": "GT", "GT": "LT", "LE": "GE", "GE": "LE", "NE": "NE"}


def _turns(start: int | None, limit: int | None, stride: int | None, direction: str) -> int | None:
    if start is None or limit is None or not stride:
        return None
    distance = (limit - start) * (1 if stride > 0 else -1)
    if direction in ("LE", "GE"):
        distance += 1
    if direction == "NE" and distance % abs(stride):
        return None
    forward = {"LT": stride > 0, "LE": stride > 0, "GT": stride < 0, "GE": stride < 0, "NE": True}
    return max(0, -(-distance // abs(stride))) if forward.get(direction) else None


def _carried(body: Body, name: str) -> int | None:
    """Which part of the carried tuple a value is."""
    one = body.get(name)
    while one is not None and one.opcode in ("convert", "copy", "bitcast") and one.operands:
        one = body.get(one.operands[0])
    if one is None or one.opcode != "get-tuple-element":
        return None
    source = body.get(one.operands[0])
    return int(one.attribute("index")) if source is not None and source.opcode == "parameter" else None


def _constant(body: Body, name: str) -> int | None:
    one = body.get(name)
    while one is not None and one.opcode in ("convert", "copy") and one.operands:
        one = body.get(one.operands[0])
    if one is None or one.opcode != "constant" or not one.operands:
        return None
    return int(one.operands[0]) if re.fullmatch(r"-?\d+", one.operands[0]) else None


def _unchanged(module: Module, step: str, part: int) -> bool:
    root = module.root(step)
    return root.opcode == "tuple" and _carried(module.computations[step], root.operands[part]) == part


def _stride(module: Module, step: str, part: int) -> int | None:
    root, body = module.root(step), module.computations[step]
    if root.opcode != "tuple":
        return None
    update = body.get(root.operands[part])
    if update is None or update.opcode not in ("add", "subtract"):
        return None
    a, b = update.operands
    if _carried(body, a) == part:
        by = _constant(body, b)
    elif _carried(body, b) == part and update.opcode == "add":
        by = _constant(body, a)
    else:
        return None
    return -by if by is not None and update.opcode == "subtract" else by
