"""Running the body of a cell magic as a plain cell would, and what it leaves to look at.

The body is compiled under the name of the cell that it stands in, with an empty line in the place of
the magic's, so that line numbers, tracebacks and `inspect.getsource` are those of the cell. It is
run statement by statement, as IPython runs a cell, in a coroutine that only awaits when the body does.

The body's last expression runs once, like the rest. Where it is a call, the values of its function
and its arguments are kept as they pass by, so that looking at it evaluates nothing a second time.
"""

from __future__ import annotations

import ast
import copy
import inspect
import io
import tokenize
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from jaxmagic.errors import BadTarget
from jaxmagic.magics import find
from jaxmagic.magics.callee import names_callee, users_own
from jaxmagic.magics.expression import Expression
from jaxmagic.magics.makers import calls_run_once
from jaxmagic.magics.parts import is_chain
from jaxmagic.magics.reporting import KEEP, reporting
from jaxmagic.target import Target

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

T = TypeVar("T")
_MAY_AWAIT: int = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """A cell magic's body, ready to run.

    Args:
        source: its Python, an empty line for the magic's first.
        file: the name it is compiled under.
        nodes: its statements.
        silent: whether it ends with `;`, which shows nothing, as in a plain cell.
    """

    source: str
    file: str
    nodes: list[ast.stmt]
    silent: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A body that has run.

    Args:
        body: what ran.
        last: its last expression, None when it ends with another statement.
        kept: values that passed by while the last expression ran, by `id` of its nodes.
    """

    body: Body
    last: Expression | None = None
    kept: Mapping[int, Any] = field(default_factory=dict)


# -- compiling ------------------------------------------------------------------------------------


def source_of(shell: InteractiveShell, text: str) -> str:
    """The body as Python: magics and shell commands in it translated, the magic's own line empty."""
    transformed: str = shell.transform_cell(text)
    dropped = next((i for i, line in enumerate(text.splitlines()) if line.strip()), 0)  # leading empty lines
    return "\n" * (1 + dropped) + transformed


def compiled(shell: InteractiveShell, text: str, number: int) -> Body:
    """Parse a body under the name of its cell.

    Raises:
        SyntaxError: as a plain cell would; here it is found before the first statement has run, also
            where it shows only on compiling (`return` outside a function).
    """
    source = source_of(shell, text)
    file: str = shell.compile.cache(source, number, raw_code="\n" + text)
    tree = shell.transform_ast(shell.compile.ast_parse(source, filename=file))
    flags = shell.compile.flags | (_MAY_AWAIT if shell.autoawait else 0)
    compile(tree, file, "exec", flags, dont_inherit=True)
    return Body(source=source, file=file, nodes=tree.body, silent=_ends_with_semicolon(source))


def cell_number(shell: InteractiveShell) -> int:
    """The number of the cell that runs now."""
    running = getattr(shell.displayhook, "exec_result", None)
    number: int | None = getattr(running, "execution_count", None)
    return shell.execution_count if number is None else number


def labels(shell: InteractiveShell, body: Body | None) -> dict[str, str]:
    """What to call the files that cells are compiled under: "In [3]", and the one that runs "this cell".

    IPython 7 keeps no list of its cells: there only the body's own is known.
    """
    numbers: Mapping[str, int] = getattr(shell.compile, "_filename_map", {})
    named = {file: f"In [{number}]" for file, number in numbers.items()}
    running = cell_number(shell)
    here = [file for file, number in numbers.items() if number == running]
    return named | dict.fromkeys([*here, body.file] if body else here, "this cell")


def _ends_with_semicolon(source: str) -> bool:
    """Whether the last token is `;`, as IPython's display hook asks of a plain cell."""
    if ";" not in source:
        return False
    blank = (tokenize.ENDMARKER, tokenize.NL, tokenize.NEWLINE, tokenize.COMMENT)
    tokens = [t for t in tokenize.generate_tokens(io.StringIO(source).readline) if t.type not in blank]
    return bool(tokens) and tokens[-1].string == ";"


# -- running --------------------------------------------------------------------------------------


async def run(shell: InteractiveShell, body: Body, keep: bool = True) -> Ran:
    """Run a body in the user's namespace, displaying what a plain cell would display.

    Args:
        shell: whose namespace and display hook are used.
        body: what to run.
        keep: whether the values of the last expression's call are wanted.
    """
    last = _last_expression(body) if keep else None
    for node, interactive in _steps(shell, body):
        if last is not None and isinstance(node, ast.Expr) and node is body.nodes[-1]:
            with _keeping(shell, last, node) as (instrumented, kept):
                await _execute(shell, instrumented, body.file, interactive)
            return Ran(body=body, last=last, kept=kept)
        await _execute(shell, node, body.file, interactive)
    return Ran(body=body)


def _steps(shell: InteractiveShell, body: Body) -> Iterator[tuple[ast.stmt, bool]]:
    """Each statement, and whether its value is displayed."""
    nodes = list(body.nodes)
    interactivity = "none" if body.silent else shell.ast_node_interactivity
    if interactivity == "last_expr_or_assign" and nodes:
        nodes += _name_of_last_assignment(nodes[-1])
    for i, node in enumerate(nodes):
        last = i == len(nodes) - 1
        shown = interactivity == "all" or (last and interactivity == "last")
        yield node, shown or (last and interactivity.startswith("last_expr") and isinstance(node, ast.Expr))


def _name_of_last_assignment(node: ast.stmt) -> list[ast.stmt]:
    target: ast.expr | None = None
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        target = node.targets[0]
    elif isinstance(node, (ast.AugAssign, ast.AnnAssign)):
        target = node.target
    if not isinstance(target, ast.Name):
        return []
    shown = ast.Expr(value=ast.Name(id=target.id, ctx=ast.Load()))
    return [ast.fix_missing_locations(ast.copy_location(shown, node))]


async def _execute(shell: InteractiveShell, node: ast.stmt, file: str, interactive: bool) -> None:
    mode = "single" if interactive else "exec"
    tree = ast.Interactive(body=[node]) if interactive else ast.Module(body=[node], type_ignores=[])
    with shell.compile.extra_flags(_MAY_AWAIT if shell.autoawait else 0):
        code = shell.compile(tree, file, mode)  # type: ignore[arg-type] # it takes trees, as compile does
    rename = getattr(shell, "_update_code_co_name", None)  # IPython 7 tells cells apart by it
    code = rename(code) if rename else code
    with shell.builtin_trap, shell.display_trap:
        if code.co_flags & inspect.CO_COROUTINE:
            await eval(code, shell.user_global_ns, shell.user_ns)
        else:
            exec(code, shell.user_global_ns, shell.user_ns)


def drive(shell: InteractiveShell, work: Coroutine[Any, Any, T], awaits: bool) -> T | Coroutine[Any, Any, T]:
    """Run a coroutine now; where a body awaits inside a running event loop, hand it over to be awaited."""
    if awaits and _loop_runs():
        return work
    if awaits:
        result: T = shell.loop_runner(work)
        return result
    try:
        work.send(None)
    except StopIteration as done:
        value: T = done.value
        return value
    work.close()
    raise RuntimeError("a body without await waited")


def _loop_runs() -> bool:
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def awaits(shell: InteractiveShell, source: str) -> bool:
    """Whether a body has an await of its own (and the shell lets cells have one)."""
    if not shell.autoawait or not any(word in source for word in ("await", "async")):
        return False
    try:
        code = compile(source, "<body>", "exec", flags=_MAY_AWAIT | shell.compile.flags, dont_inherit=True)
    except (SyntaxError, ValueError):
        return False
    return bool(code.co_flags & inspect.CO_COROUTINE)


# -- the last expression --------------------------------------------------------------------------


def _last_expression(body: Body) -> Expression | None:
    node = body.nodes[-1] if body.nodes else None
    if not isinstance(node, ast.Expr):
        return None
    tree = copy.deepcopy(node.value)
    text = ast.get_source_segment(body.source, tree)
    if text is None or is_chain(find.peeled(tree)):
        return None
    return Expression(text=text, tree=tree, file=body.file, line=tree.lineno, column=tree.col_offset)


@contextmanager
def _keeping(
    shell: InteractiveShell, last: Expression, node: ast.Expr
) -> Iterator[tuple[ast.Expr, dict[int, Any]]]:
    """The last statement with its call's parts reporting their values as they pass by."""
    parts = _parts(last.tree)
    starred = {id(node.value) for node in ast.walk(last.tree) if isinstance(node, ast.Starred)}
    kept: dict[int, Any] = {}

    def keep(i: int, value: Any) -> Any:
        value = list(value) if id(parts[i]) in starred else value  # a generator passes by only once
        kept[id(parts[i])] = value
        return value

    before = shell.user_ns.get(KEEP)
    shell.user_ns[KEEP] = keep
    try:
        yield ast.copy_location(ast.Expr(value=reporting(last.tree, parts)), node), kept
    finally:
        shell.user_ns.pop(KEEP, None)
        if before is not None:
            shell.user_ns[KEEP] = before


def _parts(tree: ast.expr) -> list[ast.expr]:
    """What is kept: the function, the arguments, and the calls inside that run exactly once."""
    root = find.peeled(tree)
    calls = calls_run_once(root)
    if not isinstance(root, ast.Call):
        return list(calls)
    args = [arg.value if isinstance(arg, ast.Starred) else arg for arg in root.args]
    return [root.func, *args, *(keyword.value for keyword in root.keywords), *calls]


# -- what the body leaves to look at --------------------------------------------------------------


def target_of(shell: InteractiveShell, ran: Ran, magic: str, *, bare: bool = False) -> Target:
    """The call in the body's last expression, else the last function that the body defines.

    Args:
        shell: whose namespace the body ran in.
        ran: the body.
        magic: for whom.
        bare: whether a function may go without inputs.

    Raises:
        BadTarget: there is neither; the message shows the three ways.
    """
    if ran.last is not None:
        found = _target_of_last(ran.last, ran.kept, magic, shell.user_ns)
        if found is not None:
            return found
    name = _last_function(ran.body, shell.user_ns)
    if name is not None:
        return find.from_function(shell.user_ns[name], name, bare=bare)
    raise BadTarget(
        f"`%%{magic}` finds nothing to look at in this cell.",
        fix=f"Write the call on the first line, `%%{magic} f(x)`; or end the cell with it, `f(x)`; or define "
        'a function whose inputs have types or defaults, `def f(x: "f32[8,128]", scale=2.0):`.',
    )


def _target_of_last(
    last: Expression, kept: Mapping[int, Any], magic: str, scope: dict[str, Any]
) -> Target | None:
    root = find.peeled(last.tree)
    if isinstance(root, ast.Call) and names_callee(root) and users_own(kept.get(id(root.func))):
        args, kwargs = find.arguments(root, lambda node: kept[id(node)])
        return find.call_target(last, root, kept[id(root.func)], args, kwargs)
    if any(isinstance(node, ast.Await) for node in ast.walk(root)):
        return None
    target = find.expression_target(last, root, magic, scope, kept)
    return target if target.args else None


def _last_function(body: Body, scope: Mapping[str, Any]) -> str | None:
    names = [name for node in body.nodes for name in _defined(node)]
    return next((name for name in reversed(names) if users_own(scope.get(name))), None)


def _defined(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]
