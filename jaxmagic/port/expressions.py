# ruff: noqa: ARG002 the handlers of one table share one signature
"""Expressions with their JAX meaning: conditions, builtins, moving windows and masks."""

from __future__ import annotations

import ast
import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from jaxmagic.errors import CannotPort
from jaxmagic.port.collect import MISSING, Unit, dotted, is_constant_module, local_names, object_of
from jaxmagic.port.desugar import load
from jaxmagic.port.flow import read
from jaxmagic.port.linear import written
from jaxmagic.port.names import numpy_name
from jaxmagic.port.observe import Fact, Facts
from jaxmagic.port.windows import Value, Window, bounds, call, compare, extent

REDUCTIONS = ("sum", "mean", "prod", "any", "all", "std", "var", "max", "min", "amax", "amin")
EXTREMES = {"max": "min", "min": "max", "amax": "min", "amin": "max"}
CONTRACTIONS = ("numpy.dot", "numpy.matmul", "numpy.inner", "numpy.vdot")
ELEMENTWISE = (
    "numpy.where",
    "numpy.clip",
    "numpy.real",
    "numpy.imag",
    "numpy.round",
    "numpy.cumsum",
    "numpy.nan_to_num",
)
# Functions whose later arguments are arrays too, and may be written as lists in NumPy.
TAKE_ARRAYS = tuple(
    f"numpy.{name}"
    for name in (
        *("percentile", "quantile", "nanpercentile", "interp", "searchsorted", "digitize", "convolve"),
        *(
            "correlate",
            "dot",
            "matmul",
            "inner",
            "outer",
            "cross",
            "kron",
            "isin",
            "take",
            "append",
            "polyval",
        ),
        *("where", "maximum", "minimum", "add", "subtract", "multiply", "divide", "power", "array_equal"),
    )
)
STATIC_ATTRIBUTES = ("shape", "ndim", "size", "dtype", "itemsize", "nbytes")
STATIC_CALLS = (
    "len",
    "range",
    "int",
    "float",
    "bool",
    "abs",
    "min",
    "max",
    "round",
    "sum",
    "str",
    "tuple",
    "list",
    "enumerate",
    "zip",
    "reversed",
    "divmod",
    "pow",
    "isinstance",
    "sorted",
    "slice",
    "type",
    "complex",
)
OPERATORS = {ast.And: ast.BitAnd, ast.Or: ast.BitOr}
MATH = {
    "pow": "power",
    "fabs": "abs",
    "asin": "arcsin",
    "acos": "arccos",
    "atan": "arctan",
    "atan2": "arctan2",
    "gamma": "scipy.special.gamma",
}


@dataclass(frozen=True, slots=True)
class Held:
    """What is known of a name at a place: Python's own value under jit, and which elements count."""

    static: bool
    value: Value | None = None


Env = dict[str, Held]
# Which elements of a name count can no longer be said: what the condition was made of has changed.
LOST = Value(node=ast.Constant(None), mask=ast.Constant(None))


@dataclass(slots=True)
class Decisions:
    """What trying has shown so far.

    Args:
        unroll: loops that stay Python loops.
        static: parameters of the main function that have to be Python values.
        casts: dtypes that expressions have to be given, by unit and number.
    """

    unroll: set[tuple[str, int]] = field(default_factory=set)
    static: set[str] = field(default_factory=set)
    casts: dict[tuple[str, int], str] = field(default_factory=dict)


class Expressions:
    """Lowers the expressions of one unit."""

    def __init__(
        self, unit: Unit, facts: Facts, decisions: Decisions, calls: Mapping[Unit, dict[str, bool]]
    ) -> None:
        self.unit = unit
        self.facts = facts
        self.decisions = decisions
        self.calls = calls
        self.locals = local_names(unit.function)

    # -- what is known under jit --

    def is_static(self, node: ast.expr, env: Env) -> bool:
        """Whether an expression is a Python value while JAX traces."""
        if isinstance(node, ast.Constant):
            return True
        if isinstance(node, ast.Name):
            return self._static_name(node, env)
        if isinstance(node, ast.Attribute):
            return self._static_attribute(node, env)
        if isinstance(node, ast.Call):
            return self._static_call(node, env)
        if isinstance(node, ast.Subscript):
            return self.is_static(node.value, env) and self.is_static(node.slice, env)
        if isinstance(node, ast.ListComp | ast.GeneratorExp | ast.Lambda | ast.SetComp | ast.DictComp):
            return all(self._static_name(load(name), env) for name in read(node) if name in env)
        return all(
            self.is_static(child, env) for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)
        )

    def _static_name(self, node: ast.Name, env: Env) -> bool:
        if node.id in env:
            return env[node.id].static
        value = MISSING if node.id in self.locals else self.unit.value_of(node.id)
        return not isinstance(value, np.ndarray) and value is not MISSING

    def _static_attribute(self, node: ast.Attribute, env: Env) -> bool:
        if is_constant_module(self.unit, node) or numpy_name(self.unit, node) is not None:
            return True
        if node.attr in STATIC_ATTRIBUTES:
            base = self.lower(node.value, env)
            return base.is_plain
        return self.is_static(node.value, env)

    def _static_call(self, node: ast.Call, env: Env) -> bool:
        arguments = [*node.args, *(k.value for k in node.keywords)]
        if isinstance(node.func, ast.Name) and node.func.id in STATIC_CALLS and node.func.id not in env:
            if node.func.id in ("len", "type", "isinstance"):
                return self.lower(node.args[0], env).is_plain
            return all(self.is_static(a, env) for a in arguments)
        name = numpy_name(self.unit, node.func)
        if name is not None:
            return name in ("numpy.ndim", "numpy.shape", "numpy.size") or (
                name.startswith(("numpy.finfo", "numpy.iinfo", "numpy.dtype", "numpy.result_type"))
            )
        value = object_of(self.unit, node.func)
        callee = self.unit.helpers.get(".".join(dotted(node.func) or ()))
        if callee is not None:
            return all(self.is_static(a, env) for a in arguments) and self.facts.of(self.unit, node).is_python
        own = value is not MISSING and not isinstance(node.func, ast.Attribute)
        module = getattr(value, "__module__", "") == "math" or getattr(value, "__name__", "") in STATIC_CALLS
        if value is not MISSING and (own or module):
            return all(self.is_static(a, env) for a in arguments)
        return (
            isinstance(node.func, ast.Attribute)
            and self.is_static(node.func.value, env)
            and all(self.is_static(a, env) for a in arguments)
        )

    def fact(self, node: ast.AST) -> Fact:
        """What the watched run showed of an expression."""
        return self.facts.of(self.unit, node)

    # -- lowering --

    def plain(self, node: ast.expr, env: Env) -> ast.expr:
        """An expression of which every element counts."""
        value = self.lower(node, env)
        if not value.is_plain:
            raise self.varying(node)
        return value.node

    def varying(self, node: ast.expr) -> CannotPort:
        """The refusal of a size that changes."""
        return self.unit.refuse(
            node,
            f"The size of `{ast.unparse(node)}` changes from one iteration or one input to the next, "
            "and compiled code needs fixed sizes.",
            "Use the whole array and set what does not count to zero with `np.where`.",
        )

    def lower(self, node: ast.expr, env: Env) -> Value:
        """An expression in JAX terms."""
        handler = getattr(self, f"_{type(node).__name__.lower()}", None)
        value = self._generic(node, env) if handler is None else handler(node, env)
        dtype = self.decisions.casts.get((self.unit.name, getattr(node, "key", -1)))
        return replace(value, node=self._cast(node, value.node, dtype)) if dtype else value

    def _cast(self, old: ast.expr, new: ast.expr, dtype: str) -> ast.expr:
        """An expression whose result has the dtype that NumPy gives it."""
        written_dtype = call(
            "jnp",
        ).func
        written_dtype = ast.Attribute(written_dtype, "bool_" if dtype == "bool" else dtype, ast.Load())
        written_dtype.done = True  # type: ignore[attr-defined]
        if isinstance(new, ast.BinOp) and not isinstance(new.op, ast.MatMult):
            cast = copy.copy(new)
            cast.left = call("jnp.asarray", new.left, written_dtype)
            del cast.place  # type: ignore[attr-defined]
            return cast
        if isinstance(new, ast.Call) and self._casts_arguments(old, dtype):
            cast_call = copy.copy(new)
            cast_call.args = [call("jnp.asarray", new.args[0], written_dtype), *new.args[1:]]
            return cast_call
        return call("jnp.asarray", new, written_dtype)

    def _casts_arguments(self, old: ast.expr, dtype: str) -> bool:
        """Whether a function of whole numbers computes with real ones in NumPy."""
        if not isinstance(old, ast.Call) or not old.args or np.dtype(dtype).kind not in "fc":
            return False
        return self.fact(old.args[0]).kind in ("i", "u", "b") and numpy_name(self.unit, old.func) is not None

    def _generic(self, node: ast.expr, env: Env) -> Value:
        """Any other expression: its parts have to be plain."""
        new = copy.copy(node)
        for name, value in ast.iter_fields(node):
            if isinstance(value, ast.expr):
                setattr(new, name, self.plain(value, env))
            elif isinstance(value, list):
                setattr(new, name, [self._item(item, env) for item in value])
        return Value(node=new, ndim=self.fact(node).ndim)

    def _item(self, item: Any, env: Env) -> Any:
        if isinstance(item, ast.expr):
            return self.plain(item, env)
        if isinstance(item, ast.keyword):
            new = copy.copy(item)
            new.value = self.plain(item.value, env)
            return new
        return item

    def _listcomp(self, node: ast.ListComp, env: Env) -> Value:
        return Value(node=copy.deepcopy(node))

    _generatorexp = _dictcomp = _setcomp = _lambda = _listcomp

    def _constant(self, node: ast.Constant, env: Env) -> Value:
        return Value(node=node, ndim=0)

    def _name(self, node: ast.Name, env: Env) -> Value:
        held = env.get(node.id)
        if held is not None and held.value is LOST:
            raise self.varying(node)
        if held is not None and held.value is not None:
            return replace(held.value, node=node)
        return Value(node=node, ndim=self.fact(node).ndim)

    def _attribute(self, node: ast.Attribute, env: Env) -> Value:
        if is_constant_module(self.unit, node) or numpy_name(self.unit, node) is not None:
            return Value(node=node)
        base = self.lower(node.value, env)
        if base.is_plain or node.attr in ("real", "imag", "dtype"):
            new = copy.copy(node)
            new.value = base.node
            return replace(base, node=new, ndim=self.fact(node).ndim)
        if node.attr == "size":
            return Value(node=call("jnp.sum", base.condition()), ndim=0)
        if node.attr == "T" and base.ndim == 1:
            return base
        raise self.varying(node)

    # -- conditions --

    def _boolop(self, node: ast.BoolOp, env: Env) -> Value:
        if self.is_static(node, env):
            return self._generic(node, env)
        op = OPERATORS[type(node.op)]()
        total = self.truth(node.values[0], env)
        for value in node.values[1:]:
            total = ast.BinOp(total, op, self.truth(value, env))
        return Value(node=total, ndim=0)

    def truth(self, node: ast.expr, env: Env) -> ast.expr:
        """An expression as a condition: a boolean, or "is not zero"."""
        new = self.plain(node, env)
        if isinstance(node, ast.BoolOp | ast.Compare) or self.fact(node).kind == "b":
            return new
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return new
        return compare(new, ast.NotEq(), ast.Constant(0))

    def _unaryop(self, node: ast.UnaryOp, env: Env) -> Value:
        if isinstance(node.op, ast.Not) and not self.is_static(node, env):
            return Value(node=ast.UnaryOp(ast.Invert(), self.truth(node.operand, env)), ndim=0)
        inner = self.lower(node.operand, env)
        new = copy.copy(node)
        new.operand = inner.node
        if (
            isinstance(node.op, ast.Invert)
            and self.fact(node.operand).is_python
            and self.fact(node.operand).kind == "b"
        ):
            raise self.unit.refuse(node, "`~` of a Python bool is a number.", "Write `not`.")
        return replace(inner, node=new)

    def _compare(self, node: ast.Compare, env: Env) -> Value:
        if self.is_static(node, env):
            return self._generic(node, env)
        if any(isinstance(op, ast.Is | ast.IsNot) for op in node.ops):
            return self._generic(node, env)
        if any(isinstance(op, ast.In | ast.NotIn) for op in node.ops):
            raise self.unit.refuse(
                node, "`in` is not known while JAX traces.", "Write `(array == value).any()`."
            )
        values = [self.lower(part, env) for part in (node.left, *node.comparators)]
        if len(node.ops) == 1:
            new = copy.copy(node)
            new.left, new.comparators = values[0].node, [values[1].node]
            return self.together(node, new, values)
        pairs = [compare(a.node, op, b.node) for a, op, b in zip(values, node.ops, values[1:], strict=False)]
        total: ast.expr = pairs[0]
        for pair in pairs[1:]:
            total = ast.BinOp(total, ast.BitAnd(), pair)
        return self.together(node, total, values)

    def _ifexp(self, node: ast.IfExp, env: Env) -> Value:
        if self.is_static(node.test, env):
            return self._generic(node, env)
        return Value(
            node=call(
                "jnp.where",
                self.truth(node.test, env),
                self.plain(node.body, env),
                self.plain(node.orelse, env),
            ),
            ndim=self.fact(node).ndim,
        )

    # -- elementwise --

    def _binop(self, node: ast.BinOp, env: Env) -> Value:
        left, right = self.lower(node.left, env), self.lower(node.right, env)
        new = copy.copy(node)
        if isinstance(node.op, ast.MatMult):
            return self.contraction(node, new, left, right)
        if isinstance(node.op, ast.Add | ast.Mult) and any(
            form.kind in ("list", "tuple", "str") for form in self.fact(node).forms
        ):
            return self._generic(node, env)
        new.left, new.right = left.node, right.node
        return self.together(node, new, [left, right])

    def together(self, node: ast.expr, new: ast.expr, values: list[Value]) -> Value:
        """An elementwise result: the operands' masked elements have to be the same ones."""
        masked = [value for value in values if not value.is_plain]
        if not masked:
            return Value(node=new, ndim=self.fact(node).ndim)
        axes: dict[int, Window] = {}
        masks = {ast.unparse(v.mask) for v in masked if v.mask is not None}
        if len(masks) > 1 or (masks and any(v.axes for v in masked)):
            raise self.varying(node)
        for value in masked:
            for axis, window in value.axes.items():
                if axis in axes and axes[axis].key != window.key:
                    raise self.varying(node)
                axes[axis] = window
        if any(self._misfits(value, axes, bool(masks)) for value in values if value.is_plain):
            raise self.varying(node)
        mask = next((v.mask for v in masked if v.mask is not None), None)
        ndim = max((v.ndim or 0 for v in values), default=0)
        return Value(node=new, axes=axes, mask=mask, ndim=ndim)

    def _misfits(self, value: Value, axes: Mapping[int, Window], masked: bool) -> bool:
        """Whether an unmasked operand has elements along a masked axis."""
        fact = self.fact(value.node)
        if fact.is_scalar or isinstance(value.node, ast.Constant) or value.ndim == 0:
            return False
        if masked or not fact.forms:
            return True
        shapes = {form.shape for form in fact.forms}
        return any(len(shape) >= -axis and shape[axis] != 1 for shape in shapes for axis in axes)

    # -- contractions and reductions --

    def contraction(self, node: ast.expr, new: Any, left: Value, right: Value) -> Value:
        """`left @ right`, the elements that do not count set to zero."""
        if left.is_plain and right.is_plain:
            self._operands(new, left.node, right.node)
            return Value(node=new, ndim=self.fact(node).ndim)
        if left.mask is not None or right.mask is not None:
            return self._packed_dot(node, new, left, right)
        inner = -1 if right.ndim == 1 else -2
        if left.ndim is None or right.ndim is None or max(left.ndim, right.ndim) > 2:
            raise self.varying(node)
        a, b = left.axes.get(-1), right.axes.get(inner)
        if (a is None) != (b is None) or (a is not None and b is not None and a.key != b.key):
            raise self.varying(node)
        zero = ast.Constant(0)
        contracted = a is not None
        lhs = Value(node=left.node, axes={-1: a}).filled(zero) if a is not None else left.node
        rhs = (
            Value(node=right.node, axes={inner: b}).filled(zero)
            if contracted and b is not None
            else right.node
        )
        self._operands(new, lhs, rhs)
        axes = {}
        if left.ndim == 2 and -2 in left.axes:
            axes[-2 if right.ndim == 2 else -1] = left.axes[-2]
        if right.ndim == 2 and -1 in right.axes:
            axes[-1] = right.axes[-1]
        return Value(node=new, axes=axes, ndim=left.ndim + right.ndim - 2)

    def _packed_dot(self, node: ast.expr, new: Any, left: Value, right: Value) -> Value:
        if left.key() != right.key() or left.ndim != 1 or right.ndim != 1:
            raise self.varying(node)
        self._operands(new, left.filled(ast.Constant(0)), right.filled(ast.Constant(0)))
        return Value(node=new, ndim=0)

    def _operands(self, new: Any, left: ast.expr, right: ast.expr) -> None:
        if isinstance(new, ast.BinOp):
            new.left, new.right = left, right
        else:
            new.args = [left, right]

    def _call(self, node: ast.Call, env: Env) -> Value:
        name = numpy_name(self.unit, node.func)
        if name is not None:
            return self._numpy_call(node, name, env)
        if (
            isinstance(node.func, ast.Name)
            and node.func.id not in env
            and node.func.id not in self.unit.helpers
        ):
            special = getattr(self, f"_builtin_{node.func.id}", None)
            if special is not None and not self.is_static(node, env):
                result: Value = special(node, env)
                return result
        value = object_of(self.unit, node.func)
        if getattr(value, "__module__", None) == "math" and not self.is_static(node, env):
            written_name = MATH.get(value.__name__, value.__name__)
            return Value(node=call(f"jnp.{written_name}", *(self.plain(a, env) for a in node.args)), ndim=0)
        if (
            isinstance(node.func, ast.Attribute)
            and ".".join(dotted(node.func) or ()) not in self.unit.helpers
        ):
            return self._method(node, node.func, env)
        self._note_call(node, env)
        return self._generic_call(node, env)

    def _generic_call(self, node: ast.Call, env: Env) -> Value:
        new = copy.copy(node)
        new.args = [self._item(a, env) for a in node.args]
        new.keywords = [self._item(k, env) for k in node.keywords]
        return Value(node=new, ndim=self.fact(node).ndim)

    def _note_call(self, node: ast.Call, env: Env) -> None:
        """Which arguments of a helper stay Python values."""
        callee = self.unit.helpers.get(".".join(dotted(node.func) or ()))
        if callee is None:
            return
        names = [a.arg for a in [*callee.node.args.posonlyargs, *callee.node.args.args]]
        table = self.calls[callee]
        given = [*zip(names, node.args, strict=False), *((k.arg, k.value) for k in node.keywords)]
        for name, argument in given:
            if name is not None:
                table[name] = table.get(name, True) and self.is_static(argument, env)

    def _numpy_call(self, node: ast.Call, name: str, env: Env) -> Value:
        if name == "numpy.ndarray":
            fresh = copy.copy(node)
            fresh.func = call("jnp.empty").func
            return self._generic_call(fresh, env)
        short = name.rpartition(".")[2]
        args = [self.lower(a, env) for a in node.args]
        if all(value.is_plain for value in args):
            return self._plain_numpy_call(node, name, env)
        new = copy.copy(node)
        new.keywords = [self._item(k, env) for k in node.keywords]
        if name in CONTRACTIONS and len(args) == 2:
            return self.contraction(node, new, args[0], args[1])
        if name in ELEMENTWISE or isinstance(object_of(self.unit, node.func), np.ufunc):
            new.args = [value.node for value in args]
            return self.together(node, new, args)
        if short in REDUCTIONS:
            return self._reduction(node, short, args[0], env)
        if name == "numpy.flip" and len(args) == 1:
            return self._flipped(node, args[0])
        if name == "numpy.linalg.norm" and len(node.args) == 1 and not node.keywords:
            return Value(node=call("jnp.linalg.norm", args[0].filled(ast.Constant(0))), ndim=0)
        raise self.varying(next(a for a, v in zip(node.args, args, strict=True) if not v.is_plain))

    def _plain_numpy_call(self, node: ast.Call, name: str, env: Env) -> Value:
        value = self._generic_call(node, env)
        new = value.node
        assert isinstance(new, ast.Call)
        if name in ("numpy.copy",) or name.startswith("numpy.linalg.solve"):
            return value
        if name in TAKE_ARRAYS:
            new.args = [call("jnp.array", a) if isinstance(a, ast.List) else a for a in new.args]
        lists = isinstance(node.args[0], ast.List | ast.ListComp) if node.args else False
        if lists and name not in (
            "numpy.array",
            "numpy.asarray",
            "numpy.stack",
            "numpy.concatenate",
            "numpy.zeros",
            "numpy.ones",
            "numpy.empty",
            "numpy.full",
            "numpy.vstack",
            "numpy.hstack",
            "numpy.column_stack",
            "numpy.block",
            "numpy.meshgrid",
            "numpy.reshape",
            "numpy.select",
        ):
            new.args = [call("jnp.array", new.args[0]), *new.args[1:]]
        return value

    def _method(self, node: ast.Call, func: ast.Attribute, env: Env) -> Value:
        base = self.lower(func.value, env)
        new = copy.copy(node)
        new.func = copy.copy(func)
        new.func.value = base.node
        if base.is_plain:
            new.args = [self._item(a, env) for a in node.args]
            new.keywords = [self._item(k, env) for k in node.keywords]
            return Value(node=self._python_value(node, func, new), ndim=self.fact(node).ndim)
        if func.attr in REDUCTIONS:
            return self._reduction(node, func.attr, base, env)
        if func.attr in ("copy", "astype", "conj", "conjugate"):
            return replace(base, node=new)
        if func.attr == "dot" and len(node.args) == 1:
            return self.contraction(
                node, ast.BinOp(base.node, ast.MatMult(), base.node), base, self.lower(node.args[0], env)
            )
        raise self.varying(func.value)

    def _python_value(self, node: ast.Call, func: ast.Attribute, new: ast.Call) -> ast.expr:
        """`x.item()` of a traced array is the array without axes."""
        if func.attr == "item" and not node.args and self.fact(func.value).is_array:
            assert isinstance(new.func, ast.Attribute)
            reshape = ast.Attribute(new.func.value, "reshape", ast.Load())
            return ast.Call(reshape, [ast.Tuple([], ast.Load())], [])
        return new

    def _reduction(self, node: ast.Call, short: str, value: Value, env: Env) -> Value:
        """A sum, mean or extreme over the elements that count."""
        rest = node.args[1:] if numpy_name(self.unit, node.func) else node.args
        if rest or any(
            k.arg != "axis" or not isinstance(k.value, ast.Constant) or k.value.value is not None
            for k in node.keywords
        ):
            axis = [ast.unparse(a) for a in [*rest, *(k.value for k in node.keywords)]]
            if value.ndim != 1 and not (value.mask is not None and axis == ["0"]):
                raise self.varying(node)
        keywords: dict[str, ast.expr] = {"where": value.condition()}
        if value.ndim != 1 and (rest or node.keywords):
            keywords = {"axis": ast.Constant(0), **keywords}
        if short in EXTREMES:
            kind = self.fact(node).kind
            limit = (
                call("jnp.iinfo", ast.Attribute(value.node, "dtype", ast.Load())) if kind in "iu" else None
            )
            word = EXTREMES[short]
            infinite: ast.expr = ast.Attribute(load("jnp"), "inf", ast.Load())
            infinite.done = True  # type: ignore[attr-defined]
            keywords["initial"] = (
                ast.Attribute(limit, word, ast.Load())
                if limit
                else (ast.UnaryOp(ast.USub(), infinite) if word == "min" else infinite)
            )
        return Value(
            node=call(
                f"jnp.{short.removeprefix('a') if short in ('amax', 'amin') else short}",
                value.node,
                **keywords,
            ),
            ndim=self.fact(node).ndim,
        )

    def _flipped(self, node: ast.Call, value: Value) -> Value:
        """`np.flip(x[:k])`: the whole flipped, and moved so that it starts where it did."""
        window = value.axes.get(-1)
        if value.ndim != 1 or window is None or window.start or window.stop is None:
            raise self.varying(node)
        flipped = call("jnp.roll", call("jnp.flip", value.node), written(window.stop))
        return replace(value, node=flipped)

    # -- builtins on values that are not known while JAX traces --

    def _builtin_len(self, node: ast.Call, env: Env) -> Value:
        return Value(node=call("jnp.sum", self.lower(node.args[0], env).condition()), ndim=0)

    def _builtin_int(self, node: ast.Call, env: Env) -> Value:
        return self._converted(node, "int64", env)

    def _builtin_float(self, node: ast.Call, env: Env) -> Value:
        return self._converted(node, "float64", env)

    def _builtin_bool(self, node: ast.Call, env: Env) -> Value:
        return Value(node=self.truth(node.args[0], env), ndim=0)

    def _converted(self, node: ast.Call, dtype: str, env: Env) -> Value:
        typed = ast.Attribute(call("jnp").func, dtype, ast.Load())
        typed.done = True  # type: ignore[attr-defined]
        return Value(node=call("jnp.asarray", self.plain(node.args[0], env), typed), ndim=0)

    def _builtin_max(self, node: ast.Call, env: Env) -> Value:
        return self._extreme(node, ast.Gt(), "jnp.maximum", env)

    def _builtin_min(self, node: ast.Call, env: Env) -> Value:
        return self._extreme(node, ast.Lt(), "jnp.minimum", env)

    def _extreme(self, node: ast.Call, op: ast.cmpop, function: str, env: Env) -> Value:
        """`max(a, b)`; for real numbers Python keeps the first unless the next is larger."""
        if len(node.args) < 2 or node.keywords:
            inner = node.args[0]
            if not self.fact(inner).is_array:
                raise self.unit.refuse(
                    node,
                    f"`{ast.unparse(node)}` goes through values one by one.",
                    "Use `np.max` on an array.",
                )
            return Value(
                node=call("jnp.max" if isinstance(op, ast.Gt) else "jnp.min", self.plain(inner, env)), ndim=0
            )
        parts = [self.plain(a, env) for a in node.args]
        whole = all(self.fact(a).kind in ("i", "u", "b") or isinstance(a, ast.Constant) for a in node.args)
        total = parts[0]
        for part in parts[1:]:
            total = (
                call(function, total, part)
                if whole
                else call("jnp.where", compare(part, op, total), copy.deepcopy(part), copy.deepcopy(total))
            )
        return Value(node=total, ndim=0)

    def _builtin_sum(self, node: ast.Call, env: Env) -> Value:
        if len(node.args) == 1 and self.fact(node.args[0]).is_array:
            return Value(node=call("jnp.sum", self.plain(node.args[0], env), axis=ast.Constant(0)))
        return self._generic_call(node, env)

    def _builtin_abs(self, node: ast.Call, env: Env) -> Value:
        value = self.lower(node.args[0], env)
        new = copy.copy(node)
        new.args = [value.node]
        return replace(value, node=new)

    # -- subscripts --

    def _subscript(self, node: ast.Subscript, env: Env) -> Value:
        base = self.lower(node.value, env)
        index = self.index(node, env)
        new = copy.copy(node)
        if not base.is_plain:
            raise self.varying(node.value)
        new.value = base.node
        if index.mask is not None:
            return self._masked(node, base, index)
        if index.moving:
            moved = self.moved(base.node, index)
            rest = index.rest()
            if all(is_full(part) for part in rest):
                return Value(node=moved, ndim=self.fact(node).ndim, axes=index.axes)
            new.value, new.slice = moved, as_slice(rest)
        elif index.changed and all(is_full(part) for part in index.rest()):
            return Value(node=base.node, axes=index.axes, ndim=self._ndim(node, index))
        elif index.changed:
            new.slice = as_slice(index.rest())
        gathered = next((v for v in index.values if not v.is_plain), None)
        if gathered is not None:
            return self._gathered(node, new, index, gathered)
        return Value(node=new, axes=index.axes, ndim=self._ndim(node, index))

    def _ndim(self, node: ast.Subscript, index: Index) -> int | None:
        known = self.fact(node).ndim
        return known if known is not None else index.result_ndim

    def _gathered(self, node: ast.Subscript, new: ast.Subscript, index: Index, gathered: Value) -> Value:
        """`x[columns]` where only some of the columns count."""
        if len(index.values) != 1 or gathered.ndim != 1 or len(index.parts) != 1:
            raise self.varying(node)
        new.slice = gathered.node
        return replace(gathered, node=new)

    def _masked(self, node: ast.Subscript, base: Value, index: Index) -> Value:
        """`x[mask]`: the whole of `x`, of which the masked elements count."""
        fact = self.fact(node.value)
        if len(index.parts) != 1 or fact.ndim is None or index.mask is None or index.mask_ndim is None:
            raise self.varying(node)
        extra = fact.ndim - index.mask_ndim
        return Value(node=base.node, mask=beside(index.mask, extra), ndim=1 + extra)

    def index(self, node: ast.Subscript, env: Env) -> Index:
        """What an index selects."""
        parts = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
        fact = self.fact(node.value)
        base = self.lower(node.value, env)
        ndim = fact.ndim if fact.ndim is not None else base.ndim
        found = Index(parts=parts, ndim=ndim)
        for i, part in enumerate(parts):
            if isinstance(part, ast.Slice):
                self._slice(node, found, i, part, env)
            else:
                self._point(found, i, part, env)
        return found

    def _point(self, found: Index, i: int, part: ast.expr, env: Env) -> None:
        value = self.lower(part, env)
        fact = self.fact(part)
        if isinstance(part, ast.List):
            value = replace(value, node=call("jnp.array", value.node), ndim=fact.ndim)
        if fact.kind == "b" and not isinstance(part, ast.Constant) and (fact.ndim or value.ndim or 0) > 0:
            if not value.is_plain:
                raise self.varying(part)
            found.mask, found.mask_ndim = value.node, fact.ndim
        found.values.append(value)
        found.new[i] = value.node
        if value.node is not part:
            found.changed = True

    def _slice(self, node: ast.Subscript, found: Index, i: int, part: ast.Slice, env: Env) -> None:
        if all(b is None or self.is_static(b, env) for b in (part.lower, part.upper, part.step)):
            found.new[i] = part
            return
        if part.step is not None or found.ndim is None:
            raise self.varying(node)
        axis = found.axis(i)
        length, size = self._length(node.value, axis)
        for bound in (part.lower, part.upper):
            low = self.fact(bound).low if bound is not None else None
            if bound is not None and low is not None and low < 0 and not self.is_static(bound, env):
                raise self.unit.refuse(
                    node,
                    f"`{ast.unparse(bound)}` is negative at times, and then counts from the end.",
                    "Keep the bounds of slices at zero or more.",
                )
        start, stop = bounds(self._plain_slice(part, env), length)
        span = extent(start, stop, length)
        if self._is_fixed(span, env):
            found.moving[axis] = (written(start), written(span))
            found.new[i] = ast.Slice()
        else:
            if size is None:
                raise self.varying(node)
            found.new[i] = ast.Slice()
            found.windows[i] = Window(start=start, stop=stop, length=length, size=size)
            found.changed = True

    def _plain_slice(self, part: ast.Slice, env: Env) -> ast.Slice:
        lower = None if part.lower is None else self.plain(part.lower, env)
        upper = None if part.upper is None else self.plain(part.upper, env)
        return ast.Slice(lower, upper, None)

    def _is_fixed(self, span: Mapping[str, int], env: Env) -> bool:
        return all(term == "" or self.is_static(ast.parse(term, mode="eval").body, env) for term in span)

    def _length(self, base: ast.expr, axis: int) -> tuple[ast.expr, int | None]:
        """The length of an axis, as an expression and in the watched run."""
        shape = self.fact(base).shape
        size = shape[axis] if shape is not None and axis < len(shape) else None
        if isinstance(base, ast.Name):
            dims = ast.Attribute(load(base.id), "shape", ast.Load())
            return ast.Subscript(dims, ast.Constant(axis), ast.Load()), size
        return ast.Constant(size), size

    def moved(self, base: ast.expr, index: Index) -> ast.expr:
        """The block that moves, with its other axes whole."""
        moving = index.moving
        if len(moving) == 1:
            ((axis, (start, span)),) = moving.items()
            if axis == 0:
                return call("lax.dynamic_slice_in_dim", base, start, span)
            return call("lax.dynamic_slice_in_dim", base, start, span, axis=ast.Constant(axis))
        for axis, (start, span) in moving.items():
            base = call("lax.dynamic_slice_in_dim", base, start, span, axis=ast.Constant(axis))
        return base


@dataclass(slots=True, eq=False)
class Index:
    """What an index selects.

    Args:
        parts: its elements as written.
        ndim: number of axes of the array.
        new: the lowered elements, windows opened to the whole axis.
        moving: by axis: start and length of a window that keeps its length.
        windows: by element: a window that does not.
        mask: the boolean mask among the elements.
        values: the lowered elements that are not slices.
    """

    parts: list[ast.expr]
    ndim: int | None
    new: dict[int, ast.expr] = field(default_factory=dict)
    moving: dict[int, tuple[ast.expr, ast.expr]] = field(default_factory=dict)
    windows: dict[int, Window] = field(default_factory=dict)
    mask: ast.expr | None = None
    mask_ndim: int | None = None
    values: list[Value] = field(default_factory=list)
    changed: bool = False

    def axis(self, i: int) -> int:
        """Which axis of the array an element is about."""
        before = [part for part in self.parts[:i] if not _is_new(part)]
        if any(_is_dots(part) for part in before):
            after = [part for part in self.parts[i:] if not _is_new(part)]
            return (self.ndim or 0) - len(after)
        return len(before)

    def rest(self) -> list[ast.expr]:
        """The lowered elements."""
        return [self.new[i] for i in range(len(self.parts))]

    @property
    def axes(self) -> dict[int, Window]:
        """Windows by axis of the result, counted from the end."""
        found = {}
        for i, window in self.windows.items():
            tail = self.parts[i + 1 :]
            if any(_is_dots(part) for part in tail):
                raise IndexError
            unnamed = (self.ndim or 0) - len([p for p in self.parts if not _is_new(p) and not _is_dots(p)])
            unnamed = 0 if any(_is_dots(p) for p in self.parts) else unnamed
            found[-1 - unnamed - sum(isinstance(p, ast.Slice) or _is_new(p) for p in tail)] = window
        return found

    @property
    def result_ndim(self) -> int | None:
        """Axes of the result, when no element is an array."""
        if self.ndim is None or any((value.ndim or 0) > 0 for value in self.values):
            return None
        points = sum(not isinstance(p, ast.Slice) and not _is_new(p) and not _is_dots(p) for p in self.parts)
        return self.ndim - points + sum(_is_new(p) for p in self.parts)


def beside(mask: ast.expr, extra: int) -> ast.expr:
    """A mask over the first axes, with more axes after them."""
    if not extra:
        return mask
    index = ast.Tuple([ast.Constant(Ellipsis), *(ast.Constant(None) for _ in range(extra))], ast.Load())
    return ast.Subscript(copy.deepcopy(mask), index, ast.Load())


def _is_new(part: ast.expr) -> bool:
    constant = isinstance(part, ast.Constant) and part.value is None
    return constant or (isinstance(part, ast.Attribute) and part.attr == "newaxis")


def _is_dots(part: ast.expr) -> bool:
    return isinstance(part, ast.Constant) and part.value is Ellipsis


def is_full(part: ast.expr) -> bool:
    """Whether an element of an index is `:`."""
    return isinstance(part, ast.Slice) and part.lower is None and part.upper is None and part.step is None


def as_slice(parts: list[ast.expr]) -> ast.expr:
    """Elements as the index of a subscript."""
    return parts[0] if len(parts) == 1 else ast.Tuple(parts, ast.Load())
