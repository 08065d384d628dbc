"""Printing a changed tree in the user's own layout.

`mark` notes on every node where it stands in its source. After the passes have replaced some nodes,
`Printer` copies the text of those that are as they were, comments and line breaks included, and
writes only the new ones. It is a printer for any rewriter that works on `ast`.
"""

from __future__ import annotations

import ast
import copy
import io
import itertools
import tokenize
from dataclasses import dataclass
from typing import Any

TIGHT = (
    ast.BinOp,
    ast.UnaryOp,
    ast.Compare,
    ast.BoolOp,
    ast.Attribute,
    ast.Subscript,
    ast.Call,
    ast.Starred,
    ast.IfExp,
    ast.Await,
)
OPERATORS = (
    ast.BinOp,
    ast.UnaryOp,
    ast.Compare,
    ast.BoolOp,
    ast.IfExp,
    ast.Lambda,
    ast.NamedExpr,
    ast.Await,
    ast.Yield,
)
# What Python 3.11 does not place in f-strings, and what no Python places in comprehensions.
WHOLE = (ast.JoinedStr, ast.ListComp, ast.GeneratorExp, ast.SetComp, ast.DictComp)
INDENT = "    "


@dataclass(frozen=True, slots=True)
class Place:
    """Where an unchanged node stands.

    Args:
        text: the whole source that it is from.
        start, end: its characters there.
        slots: (field, index, start, end) of its direct expression children, in order.
        shape: its fields that are not nodes, and the lengths of its lists.
    """

    text: str
    start: int
    end: int
    slots: tuple[tuple[str, int | None, int, int], ...]
    shape: tuple[Any, ...]


def mark(tree: ast.AST, text: str) -> None:
    """Note on every node of `tree` its place in `text`, and a number of its own as `key`."""
    starts = list(
        itertools.accumulate((len(line.encode()) for line in text.splitlines(keepends=True)), initial=0)
    )
    data = text.encode()
    ascii_only = len(data) == len(text)

    def offset(line: int, column: int) -> int:
        at = starts[line - 1] + column
        return at if ascii_only else len(data[:at].decode())

    for number, node in enumerate(ast.walk(tree)):
        if not isinstance(node, ast.DictComp):  # which has a `key` of its own
            node.key = number  # type: ignore[attr-defined]
        if hasattr(node, "lineno"):
            node._span = (offset(node.lineno, node.col_offset), offset(node.end_lineno, node.end_col_offset))  # type: ignore[attr-defined]
    for node in ast.walk(tree):
        if hasattr(node, "_span"):
            start, end = node._span
            node.place = Place(text, start, end, _slots(node), shape(node))  # type: ignore[attr-defined]


def _slots(node: ast.AST) -> tuple[tuple[str, int | None, int, int], ...]:
    found = []
    for name, index, child in children(node):
        found.extend(_inner_slots(name, index, child))
    return tuple(sorted(found, key=lambda slot: slot[2]))


def _inner_slots(name: str, index: int | None, child: ast.AST) -> list[tuple[str, int | None, int, int]]:
    if isinstance(child, ast.expr | ast.keyword) and hasattr(child, "_span"):
        return [(name, index, *child._span)]
    return []


def children(node: ast.AST) -> list[tuple[str, int | None, ast.AST]]:
    """Direct children with their field and index."""
    found: list[tuple[str, int | None, ast.AST]] = []
    for name, value in ast.iter_fields(node):
        if isinstance(value, ast.AST):
            found.append((name, None, value))
        elif isinstance(value, list):
            found.extend((name, i, item) for i, item in enumerate(value) if isinstance(item, ast.AST))
    return found


def shape(node: ast.AST) -> tuple[Any, ...]:
    """What must be as it was for a node's own text to be copied."""
    described: list[Any] = [type(node)]
    for name, value in ast.iter_fields(node):
        if isinstance(value, list):
            described.append(
                (name, [None if item is None else isinstance(item, ast.AST) or item for item in value])
            )
        elif isinstance(value, ast.expr_context):
            continue
        elif isinstance(value, ast.operator | ast.unaryop | ast.boolop):
            described.append((name, type(value)))
        elif isinstance(value, ast.AST):
            described.append((name, type(value) if isinstance(value, ast.arguments) else True))
        else:
            described.append((name, value))
    if isinstance(node, ast.Compare):
        described.append([type(op) for op in node.ops])
    return tuple(described)


class Printer:
    """Writes a tree whose nodes may be marked, each in the layout that it came with."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.lines = text.splitlines()
        self.comments = _comments(text)
        self.printed_trivia: set[int] = set()

    # -- expressions --

    def expression(self, node: ast.AST) -> str:
        """The text of an expression."""
        place = getattr(node, "place", None)
        if isinstance(node, WHOLE):
            return self._as_a_whole(node, place)
        if place is not None and place.text == self.text and place.shape == shape(node):
            return self._spliced(node, place)
        return self._written(node)

    def _as_a_whole(self, node: ast.expr, place: Place | None) -> str:
        """An expression whose parts do not all have places: in its layout where that means the same."""
        words = ast.unparse(ast.fix_missing_locations(node))
        if place is None or place.text != self.text:
            return words
        own = self.text[place.start : place.end]
        tried = [own] if isinstance(node, ast.JoinedStr) else [own, self._spliced(node, place)]
        return next((text for text in tried if _means(text, words)), words)

    def _spliced(self, node: ast.AST, place: Place) -> str:
        pieces, at = [], place.start
        for name, index, start, end in place.slots:
            value = getattr(node, name)
            child = value if index is None else value[index]
            pieces += [self.text[at:start], self._child(node, name, child, (start, end))]
            at = end
        return "".join([*pieces, self.text[at : place.end]])

    def _child(self, parent: ast.AST, name: str, child: ast.AST, slot: tuple[int, int]) -> str:
        if name == "slice" and isinstance(child, ast.Tuple) and not hasattr(child, "place"):
            return self._elements(child)
        words = self.expression(child)
        place = getattr(child, "place", None)
        if place is not None and place.text == self.text and (place.start, place.end) == slot:
            return words
        return self._guarded(parent, name, child, words, slot)

    def _elements(self, index: ast.Tuple) -> str:
        """A new tuple as an index, without brackets."""
        words = [self.expression(part) for part in index.elts]
        return ", ".join(words) + ("," if len(words) == 1 else "")

    def _guarded(
        self, parent: ast.AST, name: str, child: ast.AST, words: str, slot: tuple[int, int] | None
    ) -> str:
        bracketed = (
            slot is not None
            and self.text[: slot[0]].rstrip().endswith("(")
            and self.text[slot[1] :].lstrip().startswith(")")
        )
        return words if bracketed or not needs_brackets(parent, name, child, words) else f"({words})"

    def _written(self, node: ast.AST) -> str:
        """A new node: its marked descendants keep their text."""
        held: dict[str, tuple[ast.AST, str, ast.AST]] = {}
        skeleton = self._skeleton(node, held)
        words = ast.unparse(ast.fix_missing_locations(skeleton))
        for key, (parent, name, child) in held.items():
            words = words.replace(key, self._guarded(parent, name, child, self.expression(child), None))
        return words

    def _skeleton(self, node: ast.AST, held: dict[str, tuple[ast.AST, str, ast.AST]]) -> Any:
        fields: dict[str, Any] = {}
        for name, value in ast.iter_fields(node):
            if isinstance(value, list):
                fields[name] = [self._held(node, name, item, held) for item in value]
            else:
                fields[name] = self._held(node, name, value, held)
        return type(node)(**fields)

    def _held(
        self, parent: ast.AST, name: str, value: Any, held: dict[str, tuple[ast.AST, str, ast.AST]]
    ) -> Any:
        if not isinstance(value, ast.AST):
            return value
        unchanged = (
            hasattr(value, "place")
            and isinstance(value, ast.expr)
            and not isinstance(value, ast.Slice | ast.Starred | ast.Tuple | ast.Constant)
        )
        if not unchanged:
            return self._skeleton(value, held)
        key = f"held_{len(held)}_here"
        held[key] = (parent, name, value)
        return ast.Name(key, ast.Load())

    # -- statements --

    def statements(self, body: list[ast.stmt], level: int) -> list[str]:
        """The lines of a block."""
        return [line for statement in body for line in self.statement(statement, level)]

    def statement(self, node: ast.stmt, level: int) -> list[str]:
        """The lines of a statement with the comments above it."""
        origin = getattr(node, "origin", node)
        pad = INDENT * level
        above = [f"{pad}{line}" if line else "" for line in self._above(origin)]
        return [*above, *self._lines(node, origin, level)]

    def _lines(self, node: ast.stmt, origin: ast.stmt, level: int) -> list[str]:
        if isinstance(node, ast.If | ast.For | ast.While | ast.FunctionDef | ast.With):
            return self._compound(node, level)
        words = self.expression(node)
        comment = self._beside(origin)
        lines = self._moved(words, node, level)
        lines[-1] += comment
        return lines

    def _moved(self, words: str, node: ast.stmt, level: int) -> list[str]:
        """The lines of a statement, continuation lines shifted with its first."""
        lines = words.split("\n")
        origin = getattr(node, "origin", node)
        shift = len(INDENT) * level - getattr(origin, "col_offset", len(INDENT) * level)
        if '"""' not in words and "'''" not in words and shift:
            lines = [lines[0], *(_shifted(line, shift) for line in lines[1:])]
        return [INDENT * level + lines[0], *lines[1:]]

    def _compound(
        self, node: ast.If | ast.For | ast.While | ast.FunctionDef | ast.With, level: int
    ) -> list[str]:
        pad = INDENT * level
        head = self._moved(self._header(node), node, level)
        lines = [*head, *self.statements(node.body, level + 1)]
        otherwise = getattr(node, "orelse", [])
        if len(otherwise) == 1 and isinstance(otherwise[0], ast.If) and isinstance(node, ast.If):
            inner = self.statement(otherwise[0], level)
            first = next(
                i
                for i, line in enumerate(inner)
                if line.startswith(pad) and not line.lstrip().startswith("#") and line.strip()
            )
            words = inner[first].strip()
            inner[first] = pad + (words if words.startswith("elif") else f"el{words}")
            return lines + inner
        return lines + ([f"{pad}else:", *self.statements(otherwise, level + 1)] if otherwise else [])

    def _header(self, node: ast.If | ast.For | ast.While | ast.FunctionDef | ast.With) -> str:
        bare = copy.copy(node)
        bare.body = [ast.Pass()]
        if not isinstance(bare, ast.FunctionDef | ast.With):
            bare.orelse = []
        if isinstance(bare, ast.FunctionDef):
            bare.decorator_list = []
        words = self._written(bare).rsplit("\n", 1)[0].rstrip()
        own = self._own_header(node) if isinstance(node, ast.FunctionDef) else ""
        words = own if own and _heads(own) == _heads(words) else words
        return words if "\n" in own else words + self._beside_header(node)

    def _own_header(self, node: ast.FunctionDef) -> str:
        """The user's own `def name(parameters):`, to the letter."""
        place = getattr(node, "place", None)
        return head_of(place.text[place.start : place.end]) if place and place.text == self.text else ""

    # -- comments --

    def _above(self, origin: ast.stmt) -> list[str]:
        """Comments and blank lines between the code before and a statement, once."""
        place = getattr(origin, "place", None)
        if place is None or place.text != self.text or origin.lineno in self.printed_trivia:
            return []
        self.printed_trivia.add(origin.lineno)
        first = origin.lineno - 1
        start = first
        while start > 0 and (
            not self.lines[start - 1].strip() or self.lines[start - 1].lstrip().startswith("#")
        ):
            start -= 1
        return [line.strip() for line in self.lines[start:first]] if start > 0 else []

    def _beside(self, origin: ast.stmt) -> str:
        place = getattr(origin, "place", None)
        if place is None or place.text != self.text or origin.end_lineno is None:
            return ""
        return self.comments.pop(origin.end_lineno, "")

    def _beside_header(self, node: ast.stmt) -> str:
        origin = getattr(node, "origin", node)  # of a loop's step, the loop
        body, place = getattr(origin, "body", None), getattr(origin, "place", None)
        if place is None or place.text != self.text or not body or not hasattr(body[0], "lineno"):
            return ""
        return self.comments.pop(origin.lineno, "") if body[0].lineno > origin.lineno else ""


def head_of(text: str) -> str:
    """A function's source up to the colon before its body."""
    depth, found = 0, []
    for token in tokenize.generate_tokens(io.StringIO(text[text.index("def ") :]).readline):
        found.append(token)
        depth += (token.string in "([{") - (token.string in ")]}") if token.type == tokenize.OP else 0
        if token.string == ":" and depth == 0:
            break
    lines = text[text.index("def ") :].split("\n")
    row, column = found[-1].end
    return "\n".join([*lines[: row - 1], lines[row - 1][:column]])


def _heads(text: str) -> str:
    return ast.unparse(ast.parse(f"{text} pass"))


def _means(text: str, words: str) -> bool:
    """Whether a text is the same expression as another, layout apart."""
    try:
        return ast.unparse(ast.parse(f"({text})", mode="eval").body) == words
    except SyntaxError:
        return False


def needs_brackets(parent: ast.AST, name: str, child: ast.AST, words: str) -> bool:
    """Whether an expression has to be bracketed where it is put."""
    if name in ("args", "keywords", "slice", "elts") and not isinstance(parent, ast.Starred):
        return False
    if isinstance(child, OPERATORS) and isinstance(parent, TIGHT):
        return True
    return (
        "\n" in words
        and isinstance(parent, ast.stmt | ast.BinOp | ast.Compare | ast.BoolOp)
        and not (isinstance(child, ast.Call | ast.List | ast.Dict | ast.Subscript))
    )


def _shifted(line: str, by: int) -> str:
    if by >= 0:
        return " " * by + line if line.strip() else line
    return line[min(-by, len(line) - len(line.lstrip())) :]


def _comments(text: str) -> dict[int, str]:
    """Comments that stand beside code, with the blanks before them, by line."""
    found = {}
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT and token.line[: token.start[1]].strip():
            before = token.line[: token.start[1]]
            found[token.start[0]] = before[len(before.rstrip()) :] + token.string
    return found
