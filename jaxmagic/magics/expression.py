"""An expression of the user's: its text, its tree, its array types and the names from outside."""

from __future__ import annotations

import ast
import itertools
import keyword
import linecache
import re
import sys
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from jaxmagic.errors import BadLine, JaxmagicError
from jaxmagic.results import HERE
from jaxmagic.target import ArrayType, Target

# Element types as JAX prints them, then the sizes: `f32[8,128]`, `i32[]`, `key<fry>[2]`.
_TYPE = re.compile(
    r"(?<![\w.\]\)])(?P<dtype>bool|key(?:<\w+>)?|bf16|f16|f32|f64|c64|c128|[iu](?:2|4|8|16|32|64)|f[48]_\w+)"
    r"\[(?P<shape>\s*(?:\d+\s*(?:,\s*\d+\s*)*,?\s*)?)\]"
)
_LITERAL = re.compile(
    r"""(?:[rbfu]|rb|br|fr|rf)?('{3}.*?'{3}|"{3}.*?"{3}|'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")|\#[^\n]*""",
    re.S | re.I,
)
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
    """An expression and where it stands.

    Args:
        text: as the user wrote it.
        tree: the same, an array type being a name of the same length.
        types: what those names stand for.
        line, column: where the text starts in the tree's coordinates; columns in bytes of UTF-8.
        file: the name that the tree is compiled under; it is in `linecache`.
    """

    text: str
    tree: ast.expr
    file: str
    types: Mapping[str, ArrayType] = field(default_factory=dict)
    line: int = 1
    column: int = 0

    def value_of(self, node: ast.expr, scope: Mapping[str, Any]) -> Any:
        """Evaluate a part; what it raises shows the user's own text, what JAX raises is explained."""
        code = compile(ast.Expression(body=node), self.file, "eval")
        try:
            return eval(code, {**scope, **self.types} if self.types else scope)  # type: ignore[arg-type] # a dict
        except Exception as error:
            lesson = self._lesson(error, node)
            if lesson is None or lesson is error:
                raise
            raise lesson from error

    def _lesson(self, error: Exception, node: ast.expr) -> JaxmagicError | None:
        """What an error in a part says, if it is one of JAX's; a race does not need JAX for its NumPy."""
        if "jax" not in sys.modules:
            return None
        from jaxmagic.analysis.explain import explain

        part = Target(function=self.value_of, name=self.text_of(node), labels={self.file: HERE[0]})
        return explain(error, part)

    def text_of(self, node: ast.expr) -> str:
        """The text of a part."""
        start, end = self.range_of(node)
        return self.text[start:end]

    def range_of(self, node: ast.expr) -> tuple[int, int]:
        """Where a part stands in the text, in characters."""
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self._offset(node.lineno, node.col_offset), self._offset(node.end_lineno, node.end_col_offset)

    def _offset(self, line: int, column: int) -> int:
        lines = self.text.splitlines(keepends=True)
        row = line - self.line
        if row < 0 or not lines:
            return 0
        if row >= len(lines):
            return len(self.text)
        before = column - self.column if row == 0 else column
        return sum(map(len, lines[:row])) + len(lines[row].encode()[: max(before, 0)].decode())


def register(magic: str, source: str) -> str:
    """Make a file name for a piece of source, so that tracebacks and `inspect` find its lines."""
    name = f"<%{magic} {next(_numbers)}>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    keep: dict[str, Any] | None = getattr(linecache, "_ipython_cache", None)
    if keep is not None:  # IPython 7 drops what it does not find here
        keep[name] = linecache.cache[name]
    return name


def read(text: str, magic: str, taken: Container[str]) -> Expression:
    """Read an expression.

    Args:
        text: the user's.
        magic: for whom, such as "jaxpr".
        taken: the user's own names; they win over array types.

    Raises:
        BadLine: when it is not one Python expression.
    """
    masked, types = _mask(text, taken)
    try:
        tree = ast.parse(f"(\n{masked}\n)", mode="eval").body
        _stay_inside(masked)
        # What parses may still not compile: `await x`, `yield`, a name bound twice.
        compile(ast.Expression(body=tree), "<expression>", "eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise BadLine(
            f"`{_cut(text)}` is not a Python expression: {_why(_own(error, masked))}",
            fix=f"Write a call, such as `%{magic} f(x)`, or another expression, such as `%{magic} x @ w`.",
        ) from None
    if isinstance(tree, ast.Tuple) and not tree.elts and tree.lineno == 1:
        raise BadLine(f"`{_cut(text)}` holds no expression.", fix=f"Write a call, such as `%{magic} f(x)`.")
    ast.increment_lineno(tree, -1)
    if tree.lineno < 1:  # a bare tuple or generator takes our brackets for its own
        tree.lineno, tree.end_lineno = 1, len(text.splitlines())
        tree.col_offset, tree.end_col_offset = 0, len(text.splitlines()[-1].encode())
    return Expression(text=text, tree=tree, types=types, file=register(magic, text + "\n"))


def _stay_inside(text: str) -> None:
    """Refuse `)(`, which makes an expression with our brackets around it and none without."""
    try:
        ast.parse(f"[\n{text}\n]", mode="eval")
    except SyntaxError:
        raise SyntaxError("unmatched ')'") from None


def _own(error: Exception, text: str) -> Exception:
    """The error without our brackets around the text, where the one with them speaks of their line."""
    if "\n" not in text and " on line " in str(error):
        try:
            ast.parse(text, mode="eval")
        except (SyntaxError, ValueError) as found:
            return found
    return error


def _why(error: BaseException) -> str:
    reason = (error.msg if isinstance(error, SyntaxError) else str(error)) or "invalid syntax"
    return reason if reason.endswith((".", "?")) else f"{reason}."


def _cut(text: str) -> str:
    first = text.splitlines()[0] if text else ""
    return first if first == text and len(first) <= 60 else first[:60] + "…"


# -- array types ----------------------------------------------------------------------------------


def array_type(text: str) -> ArrayType | None:
    """The type that a text such as "f32[8,128]" names, None where it names none."""
    found = _TYPE.fullmatch(text.strip())
    return _type(found) if found else None


def _type(found: re.Match[str]) -> ArrayType:
    sizes = (size.strip() for size in found["shape"].split(","))
    return ArrayType(found["dtype"], tuple(int(size) for size in sizes if size))


def _mask(text: str, taken: Container[str]) -> tuple[str, dict[str, ArrayType]]:
    """Put names of the same length in place of array types, which are not all Python (`i32[]`)."""
    types: dict[str, ArrayType] = {}
    literals = [found.span() for found in _LITERAL.finditer(text)]

    def name(found: re.Match[str]) -> str:
        own = found["dtype"] in taken and found["shape"].strip()  # nobody indexes with nothing
        if own or any(start <= found.start() < end for start, end in literals):
            return found[0]
        placeholder = str(len(types)).rjust(len(found[0]), "_")
        types[placeholder] = _type(found)
        return placeholder

    return _TYPE.sub(name, text), types


# -- names from outside ---------------------------------------------------------------------------


class _Scopes(ast.NodeVisitor):
    """Collects the names that an expression takes from outside, as Python scopes them."""

    def __init__(self) -> None:
        self.free: list[ast.Name] = []
        self._bound: list[set[str]] = [set()]

    def visit_Name(self, node: ast.Name) -> None:  # ast's own naming
        if isinstance(node.ctx, ast.Store):
            self._bound[-1].add(node.id)
        elif not any(node.id in scope for scope in self._bound):
            self.free.append(node)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.visit(node.value)
        self._bound[0].add(node.target.id)  # a walrus binds outside of the comprehension it stands in

    def visit_Lambda(self, node: ast.Lambda) -> None:
        defaults = [default for default in (*node.args.defaults, *node.args.kw_defaults) if default]
        self._visit_all(defaults)
        every = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
        starred = [arg for arg in (node.args.vararg, node.args.kwarg) if arg]
        self._bound.append({arg.arg for arg in (*every, *starred)})
        self.visit(node.body)
        self._bound.pop()

    def _comprehension(self, node: Any) -> None:
        self.visit(node.generators[0].iter)  # in the scope around
        self._bound.append(set())
        for i, generator in enumerate(node.generators):
            if i:
                self.visit(generator.iter)
            self.visit(generator.target)
            self._visit_all(generator.ifs)
        self._visit_all([node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt])
        self._bound.pop()

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension  # noqa: N815

    def _visit_all(self, nodes: Iterable[ast.AST]) -> None:
        for node in nodes:
            self.visit(node)


def free_names(tree: ast.expr) -> list[ast.Name]:
    """The names that an expression takes from outside, in the order in which they stand."""
    scopes = _Scopes()
    scopes.visit(tree)
    return sorted(scopes.free, key=lambda node: (node.lineno, node.col_offset))


def fresh(wanted: str, taken: set[str]) -> str:
    """A name like the wanted one that is not taken; it is, from now on."""
    base = re.sub(r"\W+", "_", wanted).strip("_") or "value"
    base = base if base.isidentifier() and not keyword.iskeyword(base) else f"{base}_"
    tries: Iterator[str] = itertools.chain([base], (f"{base}_{i}" for i in itertools.count(1)))
    name = next(name for name in tries if name not in taken)
    taken.add(name)
    return name
