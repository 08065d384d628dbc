"""Finding the target: which function is looked at, and with which inputs.

An expression `f(a, b=c)` with a function of the user's is that function with these inputs. Any other
expression becomes a function of the arrays that it names. See `expression.py` for the text side.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jaxmagic.errors import BadTarget
from jaxmagic.magics.annotations import annotated_type
from jaxmagic.magics.callee import names_callee, unwrapped, users_own
from jaxmagic.magics.expression import Expression, read, register
from jaxmagic.magics.parts import Input, Scope, inputs_of, is_chain
from jaxmagic.target import Target


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


# -- any other expression -------------------------------------------------------------------------


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
