"""What has no faithful JAX form, and what to write instead: one row for each construct."""

from __future__ import annotations

import ast
import builtins
import types
from collections.abc import Iterator

from jaxmagic.port.collect import MISSING, Unit, object_of
from jaxmagic.port.names import jax_name, numpy_name

Words = tuple[str, str]

STATEMENTS: dict[type[ast.AST], Words] = {
    ast.Yield: ("A generator has no JAX form", "Return an array instead of yielding its parts."),
    ast.YieldFrom: ("A generator has no JAX form", "Return an array instead of yielding its parts."),
    ast.Await: ("A coroutine has no JAX form", "Write it as a plain function."),
    ast.Global: ("A global variable is changed here", "Take it as a parameter and return its new value."),
    ast.Nonlocal: ("A variable of the outer function is changed here", "Return its new value."),
    ast.Try: ("`try` has no JAX form: compiled code raises nothing", "Test the condition with `np.where`."),
    ast.With: ("`with` has no JAX form", "Move it outside the function."),
    ast.Delete: ("`del` has no JAX form", "Leave it out: names end with the function."),
    ast.ClassDef: ("A class is defined here", "Define it outside the function."),
    ast.Match: ("`match` has no JAX form", "Write `if` and `elif`."),
    ast.NamedExpr: ("`:=` has no JAX form here", "Write the assignment on its own line."),
}
BUILTINS: dict[str, Words] = {
    "print": ("Printing happens once, while JAX traces, not at each call", "Print the result outside."),
    "input": ("Input cannot be read in compiled code", "Take it as a parameter."),
    "open": ("Files cannot be read or written in compiled code", "Read the file outside and pass its array."),
    "exec": ("`exec` hides the code from the port", "Write the code out."),
    "eval": ("`eval` hides the code from the port", "Write the expression out."),
    "globals": ("The global names are read here", "Take what is needed as a parameter."),
    "locals": ("The local names are read here", "Use the names themselves."),
    "setattr": ("An object is changed here", "Return the new value."),
}
LIBRARIES = {
    "pandas": "Pass the columns as arrays: `frame['x'].to_numpy()`.",
    "random": "Draw the numbers outside and pass them as an array.",
    "time": "Take the time outside.",
    "os": "Do it outside the function.",
    "sys": "Do it outside the function.",
    "torch": "Pass NumPy arrays.",
    "logging": "Log outside the function.",
    **dict.fromkeys(("matplotlib", "seaborn", "plotly", "mpl_toolkits"), "Draw outside the function."),
    **dict.fromkeys(("PIL", "cv2", "imageio", "skimage", "sklearn"), "Do it outside and pass its arrays."),
    **dict.fromkeys(("requests", "urllib", "socket", "subprocess"), "Do it outside the function."),
    **dict.fromkeys(("tqdm", "IPython", "warnings"), "Leave it out, or do it outside the function."),
}
NUMPY: dict[str, Words] = {
    "numpy.random": (
        "Random numbers come from a hidden state, which compiled code does not have",
        "Draw them outside and pass the array, or use jax.random with a key.",
    ),
    "numpy.save": ("Files cannot be written in compiled code", "Save the result outside."),
    "numpy.load": ("Files cannot be read in compiled code", "Load the array outside and pass it."),
    "numpy.loadtxt": ("Files cannot be read in compiled code", "Load the array outside and pass it."),
    "numpy.savetxt": ("Files cannot be written in compiled code", "Save the result outside."),
    "numpy.genfromtxt": ("Files cannot be read in compiled code", "Load the array outside and pass it."),
    "numpy.fromfile": ("Files cannot be read in compiled code", "Load the array outside and pass it."),
    "numpy.memmap": ("Files cannot be read in compiled code", "Load the array outside and pass it."),
    "numpy.nditer": ("`np.nditer` has no JAX form", "Write the operation on whole arrays."),
    "numpy.vectorize": ("`np.vectorize` has no JAX form here", "Write the operation on whole arrays."),
}


# JAX has none of these, and `desugar` writes them as stores.
REWRITTEN = (
    "numpy.copyto",
    "numpy.put",
    "numpy.place",
    "numpy.putmask",
    "numpy.fill_diagonal",
    "numpy.ndarray",
    "numpy.ndindex",
    "numpy.ndenumerate",
    "numpy.lib",
    "numpy.lib.stride_tricks",
    "numpy.lib.stride_tricks.sliding_window_view",
)
# Methods that change a list, a dict or a set.
CHANGES = frozenset({
    "append", "extend", "insert", "remove", "pop", "clear", "sort", "reverse", "popitem", "setdefault",
    "update", "add", "discard",
})  # fmt: skip


def check(unit: Unit) -> None:
    """Refuse what no later pass can port.

    Raises:
        CannotPort: for the first such construct, with its line.
    """
    for node, (message, fix) in obstacles(unit):
        raise unit.refuse(node, f"{message}.", fix)


def obstacles(unit: Unit) -> Iterator[tuple[ast.AST, Words]]:
    """Every construct of a unit that has no JAX form."""
    for node in ast.walk(unit.node):
        words = STATEMENTS.get(type(node)) or _call(unit, node) or _name(unit, node) or _import(node)
        if words:
            yield node, words


def _call(unit: Unit, node: ast.AST) -> Words | None:
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        return None
    value = object_of(unit, node.func)
    known = BUILTINS.get(node.func.id)
    return known if known and value is getattr(builtins, node.func.id) else None


def _name(unit: Unit, node: ast.AST) -> Words | None:
    if not isinstance(node, ast.Name | ast.Attribute) or not isinstance(node.ctx, ast.Load):
        return None
    name = numpy_name(unit, node)
    if name is not None:
        return _numpy(name)
    value = object_of(unit, node)
    home = "" if value is MISSING else _home(value)
    if home in LIBRARIES:
        return f"`{ast.unparse(node)}` belongs to {home}, which JAX cannot compile", LIBRARIES[home]
    return None


def _import(node: ast.AST) -> Words | None:
    """An import inside the function."""
    modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
    modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
    home = next((m.split(".")[0] for m in modules if m.split(".")[0] in LIBRARIES), None)
    return None if home is None else (f"{home} is imported here, which JAX cannot compile", LIBRARIES[home])


def _home(value: object) -> str:
    name = value.__name__ if isinstance(value, types.ModuleType) else getattr(value, "__module__", None)
    return name.split(".")[0] if isinstance(name, str) else ""


def _numpy(name: str) -> Words | None:
    if name in REWRITTEN:
        return None
    for known, words in NUMPY.items():
        if name == known or name.startswith(f"{known}."):
            return words
    if jax_name(name) is None:
        return f"JAX has no `{name}`", "Write it with functions that jax.numpy has."
    return None


IN_PLACE = ("sort", "fill", "resize", "put", "itemset", "partition", "setfield", "setflags", "byteswap")


def check_mutation(unit: Unit) -> None:
    """Refuse changes in place.

    Raises:
        CannotPort: for the first item assignment or method that changes an array in place.
    """
    for node in ast.walk(unit.node):
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
            text = f"`{ast.unparse(node)} = …` changes an array in place, which JAX arrays do not allow."
            raise unit.refuse(
                node, text, f"Write `{ast.unparse(node.value)} = {ast.unparse(node.value)}.at[…].set(…)`."
            )
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            raise unit.refuse(
                node, f"`{ast.unparse(node)} = …` changes an object in place.", "Return the new value."
            )
        if _changes_in_place(unit, node):
            text = f"`{ast.unparse(node)}` changes an array in place."
            raise unit.refuse(node, text, "Use the function that returns a new array.")
        if isinstance(node, ast.keyword) and node.arg == "out":
            raise unit.refuse(node.value, "`out=` changes an array in place.", "Assign the result instead.")
        if _changes_outside(unit, node):
            text = f"`{ast.unparse(node)}` changes what belongs to the namespace outside."
            raise unit.refuse(node, text, "Take it as a parameter and return its new value.")


def _changes_outside(unit: Unit, node: ast.AST) -> bool:
    """Whether a node calls a method such as `LOG.append(x)` of a container outside."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    return node.func.attr in CHANGES and isinstance(object_of(unit, node.func.value), list | dict | set)


def _changes_in_place(unit: Unit, node: ast.AST) -> bool:
    """Whether a node calls a method such as `x.sort()`."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    return node.func.attr in IN_PLACE and numpy_name(unit, node.func) is None
