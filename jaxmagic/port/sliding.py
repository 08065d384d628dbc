"""`sliding_window_view`, which JAX lacks, as one index: where each window starts, plus where in it."""

from __future__ import annotations

import ast
import copy

from jaxmagic.port.windows import call

NAME = "numpy.lib.stride_tricks.sliding_window_view"


def windows(array: ast.expr, sizes: list[ast.expr]) -> ast.expr:
    """`array[starts + offsets, …]` over every axis of the array, as many as there are sizes."""
    index = [_places(array, axis, size, len(sizes)) for axis, size in enumerate(sizes)]
    return ast.Subscript(array, index[0] if len(index) == 1 else ast.Tuple(index, ast.Load()), ast.Load())


def _places(array: ast.expr, axis: int, size: ast.expr, axes: int) -> ast.expr:
    """For each window along an axis the places of its elements, in the shape of all windows."""
    shape = ast.Attribute(copy.deepcopy(array), "shape", ast.Load())
    length = ast.Subscript(shape, ast.Constant(axis), ast.Load())
    count = ast.BinOp(ast.BinOp(length, ast.Sub(), copy.deepcopy(size)), ast.Add(), ast.Constant(1))
    starts = _spread(call("jnp.arange", count), 2 * axes - 1 - axis)
    return ast.BinOp(starts, ast.Add(), _spread(call("jnp.arange", copy.deepcopy(size)), axes - 1 - axis))


def _spread(places: ast.expr, after: int) -> ast.expr:
    """Places along one axis, with more axes after it."""
    if not after:
        return places
    index = ast.Tuple([ast.Slice(), *(ast.Constant(None) for _ in range(after))], ast.Load())
    return ast.Subscript(places, index, ast.Load())
