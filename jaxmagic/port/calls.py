"""Calls: of NumPy, of methods, of helpers, of Python's own functions."""

from __future__ import annotations

import ast
import copy
from dataclasses import replace

import numpy as np

from jaxmagic.port import sliding
from jaxmagic.port.collect import dotted, object_of
from jaxmagic.port.contractions import REDUCTIONS, Contractions
from jaxmagic.port.known import Env
from jaxmagic.port.names import numpy_name
from jaxmagic.port.nodes import chosen
from jaxmagic.port.nodes import dtype as dtype_node
from jaxmagic.port.windows import Value, call, compare, final

CONTRACTIONS = ("numpy.dot", "numpy.matmul", "numpy.inner", "numpy.vdot")
ELEMENTWISE = (
    "numpy.where",
    "numpy.clip",
    "numpy.real",
    "numpy.imag",
    "numpy.round",
    "numpy.nan_to_num",
)
# Functions whose new arrays may lie in memory in any order.
IN_ANY_ORDER = tuple(
    f"numpy.{name}{like}" for name in ("zeros", "ones", "empty", "full") for like in ("", "_like")
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
            "ix_",
            "bincount",
            "average",
            "gradient",
            "histogram",
        ),
        *("where", "maximum", "minimum", "add", "subtract", "multiply", "divide", "power", "array_equal"),
    )
)
# Functions of several arrays, which may be lists in NumPy.
JOIN = tuple(
    f"numpy.{name}" for name in ("concatenate", "stack", "vstack", "hstack", "column_stack", "dstack")
)
# Functions that take a list in JAX as well.
TAKE_LISTS = tuple(
    f"numpy.{name}"
    for name in (
        *("array", "asarray", "stack", "concatenate", "zeros", "ones", "empty", "full", "vstack", "hstack"),
        *("column_stack", "block", "meshgrid", "reshape", "select", "dstack", "row_stack", "piecewise"),
        *("linalg.multi_dot", "broadcast_arrays", "lexsort", "ravel_multi_index", "array_equal"),
    )
)
MATH = {
    "pow": "power",
    "fabs": "abs",
    "asin": "arcsin",
    "acos": "arccos",
    "atan": "arctan",
    "atan2": "arctan2",
    "gamma": "scipy.special.gamma",
}


class Calls(Contractions):
    """Lowers calls."""

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
        if self.is_count(node, name) and self.is_static(node, env):
            kept = copy.copy(node)
            kept.func = final(name.replace("numpy.", "np."))
            return self._generic_call(kept, env)
        if name == sliding.NAME:
            return self._sliding(node, env)
        args = [self.lower(a, env) for a in node.args]
        if all(value.is_plain for value in args):
            return self._plain_numpy_call(node, name, env)
        return self._masked_numpy_call(node, name, args, env)

    def _masked_numpy_call(self, node: ast.Call, name: str, args: list[Value], env: Env) -> Value:
        """A call with an argument of which not every element counts."""
        short = name.rpartition(".")[2]
        new = copy.copy(node)
        new.keywords = [self._item(k, env) for k in node.keywords]
        if name in CONTRACTIONS and len(args) == 2:
            return self.contraction(node, new, args[0], args[1])
        if name in ELEMENTWISE or isinstance(object_of(self.unit, node.func), np.ufunc):
            new.args = [value.node for value in args]
            return self.together(node, new, args)
        if short in REDUCTIONS:
            return self._reduction(node, short, args[0], env)
        if short in ("argmax", "argmin"):
            return self._place(node, node.args[0], short, args[0])
        if name == "numpy.count_nonzero" and len(node.args) == 1 and not node.keywords:
            nothing = ast.Constant(value=False) if self.fact(node.args[0]).kind == "b" else ast.Constant(0)
            return Value(node=call("jnp.count_nonzero", args[0].filled(nothing)), ndim=0)
        if name == "numpy.cumsum" and len(node.args) == 1 and not node.keywords and args[0].ndim == 1:
            new.args = [args[0].filled(ast.Constant(0))]
            return replace(args[0], node=new)
        if name == "numpy.outer" and len(args) == 2 and not node.keywords:
            return self.outer(node, *args)
        if name == "numpy.flip" and len(args) == 1:
            return self._flipped(node, args[0])
        if name == "numpy.linalg.norm" and len(node.args) == 1 and not node.keywords:
            return Value(node=call("jnp.linalg.norm", args[0].filled(ast.Constant(0))), ndim=0)
        raise self.varying(next(a for a, v in zip(node.args, args, strict=True) if not v.is_plain))

    def _sliding(self, node: ast.Call, env: Env) -> Value:
        """`sliding_window_view(x, sizes)` with a size for each axis."""
        sizes = (
            node.args[1].elts
            if len(node.args) == 2 and isinstance(node.args[1], ast.Tuple)
            else node.args[1:]
        )
        if node.keywords or not sizes or len(sizes) != self.fact(node.args[0]).ndim:
            text = "This `sliding_window_view` does not give a size for each axis."
            raise self.unit.refuse(node, text, "Give them all: `sliding_window_view(x, (3, 3))`.")
        made = sliding.windows(self.plain(node.args[0], env), [self.plain(size, env) for size in sizes])
        return Value(node=made, ndim=self.fact(node).ndim)

    def _plain_numpy_call(self, node: ast.Call, name: str, env: Env) -> Value:
        value = self._generic_call(node, env)
        new = value.node
        assert isinstance(new, ast.Call)
        if name in IN_ANY_ORDER:  # of memory, which JAX does not offer
            new.keywords = [keyword for keyword in new.keywords if keyword.arg != "order"]
        if name in ("numpy.copy",) or name.startswith("numpy.linalg.solve"):
            return value
        every = name in TAKE_ARRAYS or _is_ufunc(name)
        if name in JOIN and node.args and isinstance(node.args[0], ast.Tuple | ast.List):
            joined = new.args[0]
            assert isinstance(joined, ast.Tuple | ast.List)
            parts = zip(node.args[0].elts, joined.elts, strict=True)
            new.args[0] = like_display(joined, [self.as_array(old, part) for old, part in parts])
        if name not in TAKE_LISTS:
            new.args = [
                self.as_array(old, arg) if i == 0 or every else arg
                for i, (old, arg) in enumerate(zip(node.args, new.args, strict=True))
            ]
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
        if func.attr in ("argmax", "argmin"):
            return self._place(node, func.value, func.attr, base)
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

    # -- builtins on values that are not known while JAX traces --

    def _builtin_len(self, node: ast.Call, env: Env) -> Value:
        return Value(node=call("jnp.sum", self.lower(node.args[0], env).condition()), ndim=0)

    def _builtin_int(self, node: ast.Call, env: Env) -> Value:
        return self._converted(node, "int64", env)

    def _builtin_float(self, node: ast.Call, env: Env) -> Value:
        return self._converted(node, "float64", env)

    def _builtin_complex(self, node: ast.Call, env: Env) -> Value:
        if len(node.args) != 2:
            return self._converted(node, "complex128", env)
        real, imaginary = (
            call("jnp.asarray", self.plain(part, env), dtype_node("float64")) for part in node.args
        )
        return Value(node=call("lax.complex", real, imaginary), ndim=0)

    def _builtin_bool(self, node: ast.Call, env: Env) -> Value:
        return Value(node=self.truth(node.args[0], env), ndim=0)

    def _converted(self, node: ast.Call, dtype: str, env: Env) -> Value:
        return Value(node=call("jnp.asarray", self.plain(node.args[0], env), dtype_node(dtype)), ndim=0)

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
            test = compare(part, op, total)
            either = call("jnp.where", test, copy.deepcopy(part), copy.deepcopy(total))
            total = chosen(node, call(function, total, part) if whole else either)
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


def like_display(old: ast.Tuple | ast.List, parts: list[ast.expr]) -> ast.expr:
    """A tuple or list as it was, but of these parts."""
    if all(a is b for a, b in zip(old.elts, parts, strict=True)):
        return old
    new = copy.copy(old)
    new.elts = parts
    return new


def _is_ufunc(name: str) -> bool:
    """Whether a name is that of a ufunc, or of a method of one such as `numpy.add.reduceat`."""
    return isinstance(getattr(np, name.split(".")[1], None), np.ufunc)
