"""The two laws of the house, read off the imports."""

from __future__ import annotations

import ast
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent / "jaxmagic"
BASE = {"errors", "results", "target"}

# Which rooms a room may import from (besides the base and itself). "" is the front door.
FLOORS = {
    "errors": {"results"},
    "results": set(),
    "target": set(),
    "analysis": BASE,
    "port": BASE | {"analysis"},
    "bench": BASE | {"analysis", "port"},
    "pages": BASE,
    "views": BASE | {"pages"},
    "demo": BASE | {"analysis", "pages", "views", "magics"},
    "magics": BASE | {"analysis", "bench", "port", "pages", "views"},
}

# Where foreign libraries may be imported.
HOMES = {
    "jax": ("analysis/", "bench/", "port/", "demo/population.py", "demo/fit.py"),
    "optax": ("demo/fit.py",),
    "jaxlib": ("analysis/",),
    "IPython": ("magics/",),
    "anywidget": ("views/live.py", "demo/app.py"),
    "ipywidgets": ("views/live.py", "demo/app.py"),
    "traitlets": ("views/live.py", "demo/app.py", "magics/"),
    "matplotlib": ("views/",),
}
# Private parts of JAX stay behind the one seam.
PRIVATE = ("jax._src", "jaxlib")
SEAM = "analysis/program/"


def modules():
    return sorted(ROOT.rglob("*.py"))


def typing_only(tree):
    """Nodes under `if TYPE_CHECKING:`, which import nothing at run time."""
    blocks = [n for n in ast.walk(tree) if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING"]
    return {id(inner) for block in blocks for statement in block.body for inner in ast.walk(statement)}


def by_name(node):
    """Whether a node is `import_module("…")`, however it is reached, or `__import__("…")`."""
    if not (isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant)):
        return False
    called = ast.unparse(node.func)
    return called.rpartition(".")[2] in ("import_module", "__import__")


def imports(path, top_level_only=False):
    """(module, at run time) of every import statement in a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = typing_only(tree)
    nodes = tree.body if top_level_only else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif by_name(node):
            names = [node.args[0].value]
        else:
            continue
        yield from ((name, id(node) not in skipped) for name in names)


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_one_way_and_foreign_libraries_stay_home(path):
    here = path.relative_to(ROOT).as_posix()
    room = here.split("/")[0].removesuffix(".py")
    for name, at_run_time in imports(path):
        parts = name.split(".")
        if parts[0] == "jaxmagic" and room != "__init__" and at_run_time:
            other = parts[1]
            assert other == room or other in FLOORS[room] or other == "__version__", f"{here} imports {name}"
        if parts[0] in HOMES and (at_run_time or parts[0] == "jax"):
            homes = HOMES[parts[0]]
            allowed = any(here == home or (home.endswith("/") and here.startswith(home)) for home in homes)
            assert allowed or not at_run_time, f"{here} imports {name}"
        if name.startswith(PRIVATE):
            assert here.startswith(SEAM), f"{here} imports {name}: only {SEAM} may"


def test_an_import_by_name_is_one_too():
    assert ("optax", True) in imports(ROOT / "demo" / "fit.py")


def test_no_import_cycles():
    graph = {}
    for path in modules():
        module = "jaxmagic." + path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
        graph[module.removesuffix(".__init__")] = path
    edges = {
        module: {
            target
            for name, at_run_time in imports(path, top_level_only=True)
            if at_run_time
            for target in (name, name.rpartition(".")[0])
            if target in graph and target != module
        }
        for module, path in graph.items()
    }
    done, under_way = set(), []

    def visit(module):
        assert module not in under_way, f"cycle: {' -> '.join([*under_way, module])}"
        if module in done:
            return
        under_way.append(module)
        for other in sorted(edges[module]):
            visit(other)
        under_way.pop()
        done.add(module)

    for module in sorted(graph):
        visit(module)


def test_loading_the_extension_imports_nothing_heavy():
    script = (
        "import sys; from IPython.core.interactiveshell import InteractiveShell as S;"
        "s = S.instance(); s.run_line_magic('load_ext', 'jaxmagic');"
        "heavy = {'jax', 'jaxlib', 'matplotlib', 'anywidget', 'ipywidgets', 'numpy'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
