"""Whose function it is: the user's own, or a library's."""

from __future__ import annotations

import ast
import functools
import inspect
import sysconfig
import types
from typing import Any

# Their functions have no source of the user's: a call of one is looked at as an expression.
ARRAY_LIBRARIES = {"numpy", "scipy", "jax", "jaxlib", "builtins", "functools", "operator", "_operator"}


def names_callee(call: ast.Call) -> bool:
    """Whether the callee is named, not spelt out: a lambda may capture arrays, so its call is looked into."""
    return not any(isinstance(node, ast.Lambda) for node in ast.walk(call.func))


def users_own(value: Any) -> bool:
    """Whether a value is a Python-level callable of the user's, wrapped or not."""
    if isinstance(value, type) or not callable(value):
        return False
    inner = unwrapped(value)
    if isinstance(inner, types.FunctionType):
        return not installed(inner.__code__.co_filename)
    python_level = isinstance(inspect.getattr_static(type(inner), "__call__", None), types.FunctionType)
    return python_level and type(inner).__module__.split(".")[0] not in ARRAY_LIBRARIES


def unwrapped(function: Any) -> Any:
    """What a partial, a method, a jitted or otherwise wrapped function is made from."""
    for _ in range(100):  # a wrapper may wrap itself
        if isinstance(function, functools.partial):
            function = function.func
        elif isinstance(function, types.MethodType):
            function = function.__func__
        elif "__wrapped__" in getattr(function, "__dict__", ()) or hasattr(type(function), "__wrapped__"):
            function = function.__wrapped__
        else:
            break
    return function


@functools.cache
def installed(file: str) -> bool:
    """Whether a file belongs to Python or an installed library, not to the user."""
    packages = ("/site-packages/", "/dist-packages/")
    path = file.replace("\\", "/")
    return path.startswith("<frozen") or any(p in path for p in packages) or _in_stdlib(path)


def _in_stdlib(path: str) -> bool:
    return path.startswith(sysconfig.get_path("stdlib").replace("\\", "/") + "/")
