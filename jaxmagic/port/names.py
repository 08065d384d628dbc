"""Which JAX name stands for which NumPy (or SciPy) object."""

from __future__ import annotations

import ast
import functools
import importlib
import types
from typing import Any

import numpy as np

from jaxmagic.port.collect import MISSING, Unit, dotted, object_of

# NumPy's and SciPy's public modules, by the JAX module that answers to each.
MODULES = {
    "numpy": "jnp",
    "numpy.linalg": "jnp.linalg",
    "numpy.fft": "jnp.fft",
    "scipy.special": "jax.scipy.special",
    "scipy.linalg": "jax.scipy.linalg",
    "scipy.signal": "jax.scipy.signal",
    "scipy.stats": "jax.scipy.stats",
    "scipy.fft": "jax.scipy.fft",
    "scipy.fftpack": "jnp.fft",
}
ROOTS = {"jnp": "jax.numpy", "lax": "jax.lax", "jax": "jax"}


def is_numpy(value: Any) -> bool:
    """Whether an object is NumPy's or SciPy's own: a module, a function, a type or a ufunc."""
    if isinstance(value, types.ModuleType):
        return value.__name__.split(".")[0] in ("numpy", "scipy")
    if isinstance(value, np.ufunc):
        return True
    home = getattr(value, "__module__", None)
    return callable(value) and isinstance(home, str) and home.split(".")[0] in ("numpy", "scipy")


def numpy_name(unit: Unit, node: ast.AST) -> str | None:
    """The canonical NumPy name of `np.linalg.inv`, `inv` or `np.pi` in a unit: "numpy.linalg.inv"."""
    path = dotted(node)
    value = object_of(unit, node)
    if path is None or value is MISSING:
        return None
    for cut in range(len(path) - 1, 0, -1):
        owner = _owner(unit, node, len(path) - cut)
        if isinstance(owner, types.ModuleType) and owner.__name__ in MODULES:
            return ".".join((owner.__name__, *path[cut:]))
        if isinstance(owner, types.ModuleType) and is_numpy(owner):
            return ".".join((owner.__name__, *path[cut:]))
    if isinstance(value, types.ModuleType):
        return value.__name__ if is_numpy(value) else None
    return _index().get(id(value)) if is_numpy(value) else None


def _owner(unit: Unit, node: ast.AST, up: int) -> Any:
    for _ in range(up):
        assert isinstance(node, ast.Attribute)
        node = node.value
    return object_of(unit, node)


@functools.cache
def _index() -> dict[int, str]:
    """Public NumPy functions, types and ufuncs by identity."""
    found: dict[int, str] = {}
    for name in MODULES:
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        for key in dir(module):
            value = getattr(module, key, None)
            if not key.startswith("_") and callable(value):
                found.setdefault(id(value), f"{name}.{key}")
    return found


def jax_name(name: str) -> str | None:
    """The JAX name for a NumPy one, as it is written in a port; None where JAX has none."""
    owner, _, rest = name.rpartition(".")
    for module, written in MODULES.items():
        if name == module:
            return written
    tail = [rest]
    while owner and owner not in MODULES:
        owner, _, more = owner.rpartition(".")
        tail.insert(0, more)
    if not owner:
        return None
    written = ".".join([MODULES[owner], *tail])
    return written if lookup(written) is not MISSING else None


def lookup(written: str) -> Any:
    """The object behind "jnp.linalg.inv" or "lax.scan"; `MISSING` where there is none."""
    root, *path = written.split(".")
    value: Any = importlib.import_module(ROOTS[root])
    for i, name in enumerate(path):
        inner = getattr(value, name, MISSING)
        if inner is MISSING and isinstance(value, types.ModuleType):
            try:
                inner = importlib.import_module(".".join([ROOTS[root], *path[: i + 1]]))
            except ImportError:
                return MISSING
        value = inner
        if value is MISSING:
            return MISSING
    return value


def written_as(name: str) -> ast.expr:
    """A dotted name as an expression."""
    root, *path = name.split(".")
    node: ast.expr = ast.Name(root, ast.Load())
    for part in path:
        node = ast.Attribute(node, part, ast.Load())
    return node
