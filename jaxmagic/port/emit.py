"""The trees with NumPy's names written as JAX's, and the module that they make together."""

from __future__ import annotations

import ast
import copy
import linecache
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import unified_diff
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxmagic.port.collect import MISSING, Program, Unit, dotted, object_of
from jaxmagic.port.layout import Printer
from jaxmagic.port.names import jax_name, numpy_name, written_as

IMPORTS = {
    "jax": "import jax",
    "jnp": "import jax.numpy as jnp",
    "lax": "from jax import lax",
    "np": "import numpy as np",
}
MODULES: dict[str, Any] = {"jax": jax, "jnp": jnp, "lax": lax, "np": np}
# Libraries whose functions a port may import.
LIBRARIES = ("math", "functools", "itertools", "operator", "jax.numpy", "jax", "jax.lax")
CONSTANTS = (bool, int, float, complex, str, type(None), tuple)


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """The port as source.

    Args:
        original: the user's functions and the constants they use, as they stand.
        source: the same in plain JAX.
        taken: names that `source` takes from the user's namespace, by value.
        name: the function in it.
        head: the constants among it.
    """

    original: str
    source: str
    taken: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    head: str = ""

    @property
    def diff(self) -> str:
        """The unified diff from the user's source to the port."""
        before, after = self.original.splitlines(), self.source.splitlines()
        return "\n".join(unified_diff(before, after, "numpy", "jax", lineterm="", n=3))


class Rename(ast.NodeTransformer):
    """NumPy's names as JAX's, helpers under the names that they have in the port."""

    def __init__(self, unit: Unit) -> None:
        self.unit = unit

    def visit_Name(self, node: ast.Name) -> ast.AST:
        """A free name."""
        return self._renamed(node) or node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        """A dotted name, or an attribute of an expression."""
        return self._renamed(node) or self.generic_visit(node)

    def _renamed(self, node: ast.Name | ast.Attribute) -> ast.AST | None:
        if not isinstance(node.ctx, ast.Load) or getattr(node, "done", False):
            return None
        helper = self.unit.helpers.get(".".join(dotted(node) or ()))
        if helper is not None:
            return (
                node
                if isinstance(node, ast.Name) and node.id == helper.name
                else ast.Name(helper.name, ast.Load())
            )
        name = numpy_name(self.unit, node)
        written = jax_name(name) if name else None
        return written_as(written) if written else None


def module_of(program: Program, trees: Mapping[Unit, ast.FunctionDef]) -> Module:
    """The port of a program whose functions have become `trees`."""
    bodies = [print_unit(unit, Rename(unit).visit(copy.deepcopy(trees[unit]))) for unit in program.units]
    constants, taken = free_values(program)
    imported = {name: line for name, value in taken.items() if (line := import_of(name, value)) is not None}
    taken = {
        name: value
        for name, value in taken.items()
        if name not in imported and uses("\n\n".join(bodies), name)
    }
    head = "".join(f"{name} = {value!r}\n" for name, value in constants.items())
    tail = "\n\n".join(bodies)
    imports = sorted(line for name, line in (imported | IMPORTS).items() if uses(tail, name))
    source = "\n\n".join(part for part in ("\n".join(imports) + "\n" if imports else "", head, tail) if part)
    original = "\n\n".join(
        part for part in (_numpy_imports(program), head, "\n\n".join(u.text for u in program.units)) if part
    )
    return Module(original=original, source=source, taken=taken, name=program.main.name, head=head)


def print_unit(unit: Unit, tree: ast.FunctionDef) -> str:
    """One function in the user's layout."""
    return "\n".join(Printer(unit.text).statement(tree, 0)) + "\n"


def import_of(name: str, value: Any) -> str | None:
    """How a library's module or function is imported under a name."""
    if isinstance(value, types.ModuleType):
        return f"import {value.__name__}" + (f" as {name}" if name != value.__name__ else "")
    home = getattr(value, "__module__", None)
    if home in LIBRARIES and callable(value) and hasattr(value, "__name__"):
        return f"from {home} import {value.__name__}" + (f" as {name}" if name != value.__name__ else "")
    return None


def uses(source: str, name: str) -> bool:
    """Whether a name is read in a source."""
    return any(isinstance(node, ast.Name) and node.id == name for node in ast.walk(ast.parse(source)))


def _numpy_imports(program: Program) -> str:
    """How the user's functions may have imported what they use of NumPy."""
    lines = set()
    for unit in program.units:
        for node in ast.walk(unit.node):
            name = numpy_name(unit, node) if isinstance(node, ast.Name) else None
            if name and isinstance(node, ast.Name):
                owner, _, tail = name.rpartition(".")
                lines.add(
                    f"import {name} as {node.id}"
                    if isinstance(object_of(unit, node), types.ModuleType)
                    else f"from {owner} import {tail}" + (f" as {node.id}" if tail != node.id else "")
                )
    return "".join(f"{line}\n" for line in sorted(lines))


def free_values(program: Program) -> tuple[dict[str, Any], dict[str, Any]]:
    """Free names of the program: constants that can be written, and everything else."""
    constants: dict[str, Any] = {}
    taken: dict[str, Any] = {}
    for unit in program.units:
        for name, value in _free(unit):
            home = constants if type(value) in CONSTANTS and repr_is_exact(value) else taken
            if name in home and home[name] is not value and home[name] != value:
                raise unit.refuse(
                    unit.node, f"`{name}` means different things in the helpers.", "Rename one of them."
                )
            home[name] = value
    return constants, taken


def _free(unit: Unit) -> list[tuple[str, Any]]:
    found = {}
    for node in ast.walk(unit.node):
        if isinstance(node, ast.Name) and node.id not in unit.locals and not _is_builtin(unit, node.id):
            value = unit.value_of(node.id)
            if value is not MISSING and node.id not in unit.helpers and numpy_name(unit, node) is None:
                found[node.id] = value
    return sorted(found.items())


def _is_builtin(unit: Unit, name: str) -> bool:
    return (
        unit.value_of(name) is getattr(__import__("builtins"), name, MISSING)
        and name not in unit.function.__globals__
    )


def repr_is_exact(value: Any) -> bool:
    """Whether a constant can be written down and read back."""
    try:
        return bool(ast.literal_eval(repr(value)) == value)
    except (ValueError, SyntaxError):
        return False


def execute(module: Module, number: int) -> Callable[..., Any]:
    """The function that the port's source makes; its source can be inspected."""
    file = f"<port {number} of {module.name}>"
    code = compile(module.source, file, "exec")
    linecache.cache[file] = (len(module.source), None, module.source.splitlines(keepends=True), file)
    names = namespace(module)
    exec(code, names)
    function: Callable[..., Any] = names[module.name]
    return function


def namespace(module: Module) -> dict[str, Any]:
    """What the port's source may refer to: JAX, the user's constants, captured values."""
    constants: dict[str, Any] = {}
    exec(module.head, constants)
    captured = {name: _constant(value) for name, value in module.taken.items()}
    return {"__name__": "jaxmagic_port", **constants, **MODULES, **captured, **imports_of(module)}


def imports_of(module: Module) -> dict[str, Any]:
    """The names that the port's source imports."""
    names: dict[str, Any] = {}
    exec(
        "\n".join(line for line in module.source.splitlines() if line.startswith(("import ", "from "))), names
    )
    return names


def _constant(value: Any) -> Any:
    """A captured array as a JAX array of its own."""
    return jnp.array(value) if isinstance(value, np.ndarray) and value.dtype != object else value
