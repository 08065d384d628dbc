"""Finding the target: which function is looked at, and with which inputs.

An expression `f(a, b=c)` with a function of the user's is that function with these inputs. Any other
expression becomes a function of the arrays that it names. See `expression.py` for the text side.
"""

from __future__ import annotations

import ast
import functools
import inspect
import sysconfig
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jaxmagic.errors import BadTarget
from jaxmagic.magics.annotations import annotated_type
from jaxmagic.magics.expression import Expression, free_names, fresh, read, register
from jaxmagic.target import Target

Scope = dict[str, Any]
# Their functions have no source of the user's: a call of one is looked at as an expression.
ARRAY_LIBRARIES = {"numpy", "scipy", "jax", "jaxlib", "builtins", "functools", "operator", "_operator"}
_SCOPED = (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.IfExp, ast.BoolOp)


def scope_of(user_ns: Scope, local_ns: Mapping[str, Any] | None) -> Scope:
    """The names that an expression sees, those of the function that the magic stands in included."""
    return user_ns if local_ns is None or local_ns is user_ns else {**user_ns, **local_ns}


# -- from a line ----------------------------------------------------------------------------------


def from_text(text: str, magic: str, scope: Scope, *, bare: bool = False) -> Target:
    """The target that an expression on a magic line names.

    Args:
        text: the expression.
        magic: for whom.
        scope: the names that it sees.
        bare: whether a function that is named alone may go without inputs.

    Raises:
        BadLine: it is not an expression.
        BadTarget: it is nothing that can be looked at, or its inputs do not fit.
    """
    expression = read(text, magic, scope)
    root = peeled(expression.tree)
    if isinstance(root, ast.Call) and names_callee(root):
        function = expression.value_of(root.func, scope)
        if users_own(function):
            args, kwargs = arguments(root, lambda node: expression.value_of(node, scope))
            return call_target(expression, root, function, args, kwargs)
    elif is_chain(root):
        return _from_value(expression, root, magic, scope, bare=bare)
    return expression_target(expression, root, magic, scope)


def _from_value(expression: Expression, node: ast.expr, magic: str, scope: Scope, *, bare: bool) -> Target:
    value = expression.value_of(node, scope)
    name = expression.text_of(node)
    if users_own(value):
        return from_function(value, name, bare=bare)
    raise BadTarget(
        f"`{name}` is a value: there is nothing to compute.",
        fix=f"Write what is computed from it, such as `%{magic} f({name})`.",
    )


def arguments(call: ast.Call, value_of: Callable[[ast.expr], Any]) -> tuple[list[Any], dict[str, Any]]:
    """The inputs of a call, stars opened."""
    args: list[Any] = []
    for node in call.args:
        if isinstance(node, ast.Starred):
            args.extend(value_of(node.value))
        else:
            args.append(value_of(node))
    kwargs: dict[str, Any] = {}
    for keyword in call.keywords:
        value = value_of(keyword.value)
        kwargs |= {keyword.arg: value} if keyword.arg else value
    return args, kwargs


def call_target(
    expression: Expression, call: ast.Call, function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Target:
    """The target of `f(a, b=c)`.

    Raises:
        BadTarget: the function does not take these inputs.
    """
    name = _name(expression.text_of(call.func), function)
    signature = _signature(function)
    if signature is not None:
        try:
            signature.bind(*args, **kwargs)
        except TypeError as error:
            raise BadTarget(
                f"`{name}` does not take these inputs: {error}.", fix=f"It is `{name}{signature}`."
            ) from None
    return Target(function=function, args=tuple(args), kwargs=dict(kwargs), name=name)


def _name(text: str, function: Any) -> str:
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= 60 else getattr(function, "__name__", type(function).__name__)


def _signature(function: Any) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        return None


# -- whose function it is -------------------------------------------------------------------------


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


# -- what stands around a call --------------------------------------------------------------------

_WRAPPERS = {"print", "display", "block_until_ready", "jax.block_until_ready"}


def peeled(tree: ast.expr) -> ast.expr:
    """The expression without what only waits for it or shows it: `f(x).block_until_ready()`."""
    while isinstance(tree, ast.Call) and not tree.keywords:
        if isinstance(tree.func, ast.Attribute) and tree.func.attr == "block_until_ready" and not tree.args:
            tree = tree.func.value
        elif len(tree.args) == 1 and ast.unparse(tree.func) in _WRAPPERS:
            tree = tree.args[0]
        else:
            break
    return tree


def is_chain(node: ast.AST) -> bool:
    """Whether a node is a name, or attributes and constant items of one."""
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        if isinstance(node, ast.Subscript) and not isinstance(node.slice, ast.Constant):
            return False
        node = node.value
    return isinstance(node, (ast.Name, ast.Constant))


# -- any other expression -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Input:
    """A part of an expression that becomes a parameter: its value and every place of it."""

    name: str
    value: Any
    places: tuple[ast.expr, ...]


def expression_target(
    expression: Expression,
    root: ast.expr,
    magic: str,
    scope: Scope,
    made: Mapping[int, Any] | None = None,
) -> Target:
    """The target of an expression that is no call of the user's: a function of its arrays.

    Args:
        expression: where the root stands.
        root: the expression itself.
        magic: for whom.
        scope: the names that it sees.
        made: values of calls inside it that ran already, by `id` of their nodes.
    """
    inputs = inputs_of(expression, root, scope, made or {})
    text = expression.text_of(root)
    function = as_function(expression, root, inputs, magic, scope)
    return Target(
        function=function,
        args=tuple(item.value for item in inputs),
        name=" ".join(text.split()) or "expression",
    )


def inputs_of(
    expression: Expression, root: ast.expr, scope: Scope, made: Mapping[int, Any]
) -> tuple[Input, ...]:
    """The arrays that an expression names or makes, in the order in which they stand."""
    from jaxmagic.analysis.arrays import is_input

    free = free_names(root)
    found = _named(expression, free, scope, is_input) + _reached(expression, root, free, scope)
    places = (place for item in found for place in item.places)
    inside = {id(node) for place in places for node in ast.walk(place) if isinstance(node, ast.expr)}
    found += _made(expression, root, free, inside, scope, made)
    return tuple(sorted(_named_apart(expression, found), key=lambda item: _start(item.places[0])))


def _start(node: ast.expr) -> tuple[int, int]:
    return node.lineno, node.col_offset


def _named(
    expression: Expression, free: Sequence[ast.Name], scope: Scope, is_input: Callable[[Any], bool]
) -> list[Input]:
    """Names whose values are inputs; a name that there is not raises its NameError here."""
    values: dict[str, Any] = {}
    places: dict[str, list[ast.expr]] = {}
    for node in free:
        values.setdefault(node.id, expression.value_of(node, scope))
        places.setdefault(node.id, []).append(node)
    return [
        Input("" if name in expression.types else name, value, tuple(places[name]))
        for name, value in values.items()
        if is_input(value)
    ]


def _reached(expression: Expression, root: ast.expr, free: Sequence[ast.Name], scope: Scope) -> list[Input]:
    """Arrays that an expression reaches through a name: `self.weight`, `config["w"]`, `module.TABLE`."""
    from jaxmagic.analysis.arrays import is_array, is_input

    outside = {id(node) for node in free if not is_input(expression.value_of(node, scope))}
    parents = {id(child): node for node in ast.walk(root) for child in ast.iter_child_nodes(node)}
    found: dict[str, Input] = {}
    for name in free:
        if id(name) not in outside:
            continue
        for node in _chain_above(name, parents):
            value = expression.value_of(node, scope)
            if is_array(value) or (is_input(value) and not inspect.ismodule(scope.get(name.id))):
                key = ast.unparse(node)
                before = found[key].places if key in found else ()
                found[key] = Input(key, value, (*before, node))
                break
    return list(found.values())


def _chain_above(name: ast.expr, parents: Mapping[int, ast.AST]) -> list[ast.expr]:
    """`a.b`, `a.b[0]`, …, as far as the steps are constant, short of a callee."""
    steps: list[ast.expr] = []
    node: ast.AST = name
    while (parent := parents.get(id(node))) is not None and getattr(parent, "value", None) is node:
        above = parents.get(id(parent))
        if not isinstance(parent, (ast.Attribute, ast.Subscript)) or not is_chain(parent):
            break
        if isinstance(above, ast.Call) and above.func is parent:
            break
        steps.append(parent)
        node = parent
    return steps


def _made(
    expression: Expression,
    root: ast.expr,
    free: Sequence[ast.Name],
    inputs: set[int],
    scope: Scope,
    made: Mapping[int, Any],
) -> list[Input]:
    """Arrays that calls inside the expression make from no array: `np.random.rand(1000)`, once."""
    from jaxmagic.analysis.arrays import is_input

    found = []
    for call in independent_calls(root, free, inputs):
        value = made[id(call)] if id(call) in made else expression.value_of(call, scope)
        if is_input(value):
            found.append(Input(ast.unparse(call.func).rpartition(".")[2], value, (call,)))
    return found


def independent_calls(root: ast.expr, free: Sequence[ast.Name], inputs: set[int]) -> list[ast.Call]:
    """The outermost calls inside an expression that run exactly once and use none of its inputs."""
    outside = {id(node) for node in free}
    found: list[ast.Call] = []
    within: set[int] = set()
    for call in calls_run_once(root):
        if id(call) not in within and _independent(call, outside, inputs):
            found.append(call)
            within |= {id(node) for node in ast.walk(call)}
    return found


def calls_run_once(root: ast.expr) -> list[ast.Call]:
    """The calls inside an expression that run exactly once when it does, outer ones first."""
    found: list[ast.Call] = []

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.Call) and node is not root:
            found.append(node)
        if not isinstance(node, _SCOPED):
            for child in ast.iter_child_nodes(node):
                if child is not getattr(node, "func", None):
                    visit(child)

    visit(root)
    return found


def _independent(call: ast.Call, outside: set[int], inputs: set[int]) -> bool:
    nodes = list(ast.walk(call))
    bound = (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.NamedExpr)
    names = (node for node in nodes if isinstance(node, ast.Name))
    return (
        not any(id(node) in inputs for node in nodes)
        and not any(isinstance(node, bound) for node in nodes)
        and all(id(node) in outside for node in names)
    )


def _named_apart(expression: Expression, inputs: Sequence[Input]) -> list[Input]:
    """A name of its own for each input; one that is a name already keeps it."""
    taken = {node.id for node in ast.walk(expression.tree) if isinstance(node, ast.Name)}
    letters = iter("abcdefghijklmnopqrstuvwxyz")
    return [
        item
        if item.name and isinstance(item.places[0], ast.Name)
        else Input(fresh(item.name or _letter(letters, taken), taken), item.value, item.places)
        for item in sorted(inputs, key=lambda item: _start(item.places[0]))
    ]


def _letter(letters: Iterator[str], taken: set[str]) -> str:
    return next((letter for letter in letters if letter not in taken), "input")


# -- a function from an expression ----------------------------------------------------------------


def as_function(
    expression: Expression,
    root: ast.expr,
    inputs: Sequence[Input],
    magic: str,
    scope: Scope,
    parameters: Sequence[str] = (),
) -> Callable[..., Any]:
    """A real function of the inputs whose body is the user's text, with source that `inspect` finds.

    Args:
        expression: where the root stands.
        root: what the function returns.
        inputs: the parts that are parameters.
        magic: for whom.
        scope: the function's globals.
        parameters: the names in its signature, when they are more than its inputs'.
    """
    text = _with_names(expression, root, inputs)
    body = f"return {text}" if _stands_alone(text) else f"return (\n{text}\n    )"
    source = f"def expression({', '.join(parameters or [item.name for item in inputs])}):\n    {body}\n"
    made: dict[str, Any] = {}
    exec(compile(source, register(magic, source), "exec", dont_inherit=True), scope, made)
    function: Callable[..., Any] = made["expression"]
    return function


def _stands_alone(text: str) -> bool:
    """Whether an expression needs no brackets around it, as one of several lines or with `:=` does."""
    try:
        ast.parse(text, mode="eval")
    except SyntaxError:
        return False
    return "\n" not in text


def _with_names(expression: Expression, root: ast.expr, inputs: Sequence[Input]) -> str:
    """The text of the root with the inputs' names in the places of what they stand for."""
    first, last = expression.range_of(root)
    text = expression.text
    places = [(*expression.range_of(place), item.name) for item in inputs for place in item.places]
    for start, end, name in sorted(places, reverse=True):
        if text[start:end] != name:
            text = text[:start] + name + text[end:]
            last += len(name) - (end - start)
    return text[first:last]


# -- from a function alone ------------------------------------------------------------------------


def from_function(function: Any, name: str, *, bare: bool = False) -> Target:
    """The target of a function that is named without inputs: its defaults, or its annotated types.

    Args:
        function: the user's.
        name: what to call it.
        bare: whether it may go without inputs when a parameter has neither.

    Raises:
        BadTarget: a parameter has neither.
    """
    try:
        return _at_defaults(function, name)
    except BadTarget:
        if not bare:
            raise
        return Target(function=function, name=name)


def _at_defaults(function: Any, name: str) -> Target:
    signature = _signature(function)
    if signature is None:
        raise BadTarget(f"`{name}` does not say what its inputs are.", fix=f"Write a call: `{name}(…)`.")
    args, kwargs = [], {}
    for parameter in signature.parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        value = _stand_in(function, parameter, name, signature)
        if parameter.kind is parameter.KEYWORD_ONLY:
            kwargs[parameter.name] = value
        else:
            args.append(value)
    return Target(function=function, args=tuple(args), kwargs=kwargs, name=name)


def _stand_in(function: Any, parameter: inspect.Parameter, name: str, signature: inspect.Signature) -> Any:
    if parameter.default is not parameter.empty and parameter.default is not None:
        return parameter.default
    namespace = getattr(unwrapped(function), "__globals__", {})
    annotated = annotated_type(parameter.annotation, namespace)
    if annotated is not None:
        return annotated
    if parameter.default is None:
        return None
    raise BadTarget(
        f"`{name}` needs an input for `{parameter.name}`.",
        fix=f"Write a call of `{name}{signature}`, with values or with types (`f32[8,128]`, `i32[]`); or "
        f'give the parameter a default, or a type: `{parameter.name}: "f32[8,128]"`.',
    )
