"""What JAX's errors mean and what to write instead: a table that grows by one row.

Each row is matched by the exception's class and words (and, where one error has several causes, by
the user's line), first match first. `wrong` is the smallest code that meets it and `right` the code
that works; the test suite runs both, and what `fix` names in its first backticks stands in `right`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from jaxmagic.errors import BadTarget, CannotDifferentiate, CannotTrace, JaxmagicError


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """One row.

    Args:
        kind: what went wrong, in two or three words.
        raised: the exception's class name, or a base class's.
        words: what its message holds (a regular expression); its named groups may stand in `say`.
        line: what the user's line holds, where that matters.
        error: what it becomes.
        say: one sentence; `{code}` is the user's expression, `{name}` the function's name, `{jax}`
            JAX's own words, shortened.
        fix: one sentence with the code that works.
        wrong, right: runnable code with `jax`, `jnp` and `np` at hand.
    """

    kind: str
    raised: str
    words: str = ""
    line: str = ""
    error: type[JaxmagicError] = CannotTrace
    say: str
    fix: str
    wrong: str
    right: str

    def fits(self, error: BaseException, line: str) -> re.Match[str] | None:
        """The match of its words, if the row is about this error."""
        known = any(base.__name__ == self.raised for base in type(error).__mro__)
        if not known or not re.search(self.line, line):
            return None
        return re.search(self.words, str(error), re.DOTALL)


_UNKNOWN = "its value is not known while JAX traces"

LESSONS: tuple[Lesson, ...] = (
    # -- Python asks a traced value for its truth ---------------------------------------------------
    Lesson(
        kind="while on a traced value",
        raised="TracerBoolConversionError",
        line=r"^\s*while\b",
        say=f"Python's `while` needs to know `{{code}}`, but {_UNKNOWN}.",
        fix="Loop in JAX: `jax.lax.while_loop(lambda x: x < 10, lambda x: x * 2, x)`.",
        wrong="@jax.jit\ndef f(x):\n    while x < 10:\n        x = x * 2\n    return x\nf(1.0)",
        right="@jax.jit\ndef f(x):\n    return jax.lax.while_loop(lambda x: x < 10, lambda x: x * 2, "
        "x)\nf(1.0)",
    ),
    Lesson(
        kind="and, or, not on traced values",
        raised="TracerBoolConversionError",
        line=r"\b(and|or|not)\b",
        say=f"Python's `and`, `or` and `not` need to know a truth value (`{{code}}`), but {_UNKNOWN}.",
        fix="Use `(x > 0) & (x < 1)`, `|` and `~`, with the parentheses.",
        wrong="@jax.jit\ndef f(x):\n    return jnp.where(x > 0 and x < 1, x, 0.0)\nf(0.5)",
        right="@jax.jit\ndef f(x):\n    return jnp.where((x > 0) & (x < 1), x, 0.0)\nf(0.5)",
    ),
    Lesson(
        kind="min or max of traced values",
        raised="TracerBoolConversionError",
        line=r"\b(max|min|sorted)\(",
        say=f"Python's `max`, `min` and `sorted` compare with `if`, but {_UNKNOWN} (`{{code}}`).",
        fix="Use `jnp.maximum(x, 0.0)`, `jnp.minimum` or `jnp.sort`.",
        wrong="@jax.jit\ndef f(x):\n    return max(x, 0.0)\nf(1.0)",
        right="@jax.jit\ndef f(x):\n    return jnp.maximum(x, 0.0)\nf(1.0)",
    ),
    Lesson(
        kind="if on a traced value",
        raised="TracerBoolConversionError",
        say=f"Python has to choose a branch by `{{code}}`, but {_UNKNOWN}.",
        fix="Compute both and choose: `jnp.where(x > 0, x, -x)`; for costly branches use `jax.lax.cond`.",
        wrong="@jax.jit\ndef f(x):\n    if x > 0:\n        return x\n    return -x\nf(1.0)",
        right="@jax.jit\ndef f(x):\n    return jnp.where(x > 0, x, -x)\nf(1.0)",
    ),
    # -- Python asks for a number -------------------------------------------------------------------
    Lesson(
        kind="range over a traced value",
        raised="TracerIntegerConversionError",
        line=r"\brange\(",
        say=f"Python's `range` needs a whole number, but {_UNKNOWN} (`{{code}}`).",
        fix="Loop in JAX: `jax.lax.fori_loop(0, n, lambda i, x: x + i, 0)`; or declare `n` static for jit.",
        wrong="@jax.jit\ndef f(n):\n    x = 0\n    for i in range(n):\n        x = x + i\n    return x\nf(3)",
        right="@jax.jit\ndef f(n):\n    return jax.lax.fori_loop(0, n, lambda i, x: x + i, 0)\nf(3)",
    ),
    Lesson(
        kind="index by a traced value",
        raised="TracerIntegerConversionError",
        say=f"A list, a NumPy array or Python itself needs a whole number at `{{code}}`, but {_UNKNOWN}.",
        fix="Make it a JAX array first: `jnp.asarray(table)[i]`.",
        wrong="table = [1.0, 2.0, 3.0]\n@jax.jit\ndef f(i):\n    return table[i]\nf(1)",
        right="table = [1.0, 2.0, 3.0]\n@jax.jit\ndef f(i):\n    return jnp.asarray(table)[i]\nf(1)",
    ),
    Lesson(
        kind="boolean mask",
        raised="NonConcreteBooleanIndexError",
        say="A mask (`{code}`) picks a number of elements that is not known while JAX traces.",
        fix="Keep the shape and choose: `jnp.where(x > 0, x, 0.0)`; to assign, `x.at[...].set` takes no mask "
        "either, so use `jnp.where` there too.",
        wrong="@jax.jit\ndef f(x):\n    return x[x > 0].sum()\nf(jnp.ones(3))",
        right="@jax.jit\ndef f(x):\n    return jnp.where(x > 0, x, 0.0).sum()\nf(jnp.ones(3))",
    ),
    Lesson(
        kind="slice of unknown length",
        raised="IndexError",
        words=r"Slice entries must be static|slice indices must have static start",
        say="A slice with traced ends (`{code}`) has a length that is not known while JAX traces.",
        fix="With a fixed length use `jax.lax.dynamic_slice_in_dim(x, n, 2)`; otherwise mask with "
        "`jnp.where`.",
        wrong="@jax.jit\ndef f(x, n):\n    return x[n:n + 2]\nf(jnp.arange(5.0), 1)",
        right="@jax.jit\ndef f(x, n):\n    return jax.lax.dynamic_slice_in_dim(x, n, 2)\n"
        "f(jnp.arange(5.0), 1)",
    ),
    Lesson(
        kind="number of results unknown",
        raised="ConcretizationTypeError",
        words=r"[Tt]he size argument|for the size argument|jnp\.(nonzero|unique|where|argwhere)",
        say="How many results `{code}` has depends on the values, and JAX needs the shape beforehand.",
        fix="Say how many: `jnp.nonzero(x, size=3, fill_value=-1)`.",
        wrong="@jax.jit\ndef f(x):\n    return jnp.nonzero(x)\nf(jnp.ones(3))",
        right="@jax.jit\ndef f(x):\n    return jnp.nonzero(x, size=3, fill_value=-1)\nf(jnp.ones(3))",
    ),
    Lesson(
        kind="shape from a traced value",
        raised="Exception",
        words=r"Shapes must be 1D sequences of concrete values|jnp\.arange argument|argument of jnp\."
        r"|number of repeats must be static",
        say="A size (`{code}`) has to be known while JAX traces, and this one is computed from an input.",
        fix="Declare it static: `@partial(jax.jit, static_argnames='n')`; or give a Python number.",
        wrong="@jax.jit\ndef f(n):\n    return jnp.zeros(n)\nf(3)",
        right="from functools import partial\n@partial(jax.jit, static_argnames='n')\n"
        "def f(n):\n    return jnp.zeros(n)\nf(3)",
    ),
    Lesson(
        kind="item or tolist of a traced value",
        raised="ConcretizationTypeError",
        words=r"\b(?P<method>item|tolist)\(\)",
        say=f"`{{method}}()` asks for a Python number, but {_UNKNOWN}.",
        fix="Keep the array: write `x.sum()` without `.item()`, and convert outside of the traced function.",
        wrong="@jax.jit\ndef f(x):\n    return x.sum().item()\nf(jnp.ones(3))",
        right="@jax.jit\ndef f(x):\n    return x.sum()\nf(jnp.ones(3)).item()",
    ),
    Lesson(
        kind="math function on a traced value",
        raised="ConcretizationTypeError",
        line=r"\bmath\.",
        say="Python's `math` works on Python numbers only, and `{code}` gets a value that JAX traces.",
        fix="Use JAX's function: `jnp.sin(x)`.",
        wrong="import math\n@jax.jit\ndef f(x):\n    return math.sin(x)\nf(1.0)",
        right="@jax.jit\ndef f(x):\n    return jnp.sin(x)\nf(1.0)",
    ),
    Lesson(
        kind="float or int of a traced value",
        raised="ConcretizationTypeError",
        words=r"`(?P<type>float|int|complex|bool)` function",
        say=f"`{{type}}()` asks for a Python number at `{{code}}`, but {_UNKNOWN}.",
        fix="Convert the array instead: `x.astype(float)`.",
        wrong="@jax.jit\ndef f(x):\n    return float(x) * 2\nf(1)",
        right="@jax.jit\ndef f(x):\n    return x.astype(float) * 2\nf(1)",
    ),
    Lesson(
        kind="traced value used as a constant",
        raised="ConcretizationTypeError",
        say=f"`{{code}}` needs the value itself, but {_UNKNOWN}.",
        fix="If it never changes, declare it static: `@partial(jax.jit, static_argnames='axis')`.",
        wrong="@jax.jit\ndef f(x, axis):\n    return jnp.sum(x, axis=axis)\nf(jnp.ones(3), 0)",
        right="from functools import partial\n@partial(jax.jit, static_argnames='axis')\n"
        "def f(x, axis):\n    return jnp.sum(x, axis=axis)\nf(jnp.ones(3), axis=0)",
    ),
    # -- NumPy and JAX ------------------------------------------------------------------------------
    Lesson(
        kind="numpy on a traced value",
        raised="TracerArrayConversionError",
        say="NumPy cannot compute with a value that JAX traces, and `{code}` hands it one.",
        fix="Use JAX's function of the same name: `jnp.sin(x)` for `np.sin(x)`.",
        wrong="@jax.jit\ndef f(x):\n    return np.sin(x)\nf(1.0)",
        right="@jax.jit\ndef f(x):\n    return jnp.sin(x)\nf(1.0)",
    ),
    Lesson(
        kind="traced value into a NumPy array",
        raised="Exception",
        words=r"setting an array element with a sequence",
        say="A NumPy array cannot hold a value that JAX traces (`{code}`).",
        fix="Build it in JAX: `jnp.zeros(3).at[0].set(x)`.",
        wrong="@jax.jit\ndef f(x):\n    a = np.zeros(3)\n    a[0] = x\n    return a\nf(1.0)",
        right="@jax.jit\ndef f(x):\n    return jnp.zeros(3).at[0].set(x)\nf(1.0)",
    ),
    Lesson(
        kind="in-place assignment",
        raised="TypeError",
        words=r"immutable and do not support in-place|does not support item (assignment|deletion).*",
        line=r"\[|\bat\b|^$",
        say="JAX arrays cannot be changed in place (`{code}`).",
        fix="Make a new one: `x = x.at[0].set(1.0)`; also `.add`, `.multiply`, `.min`, `.max`.",
        wrong="def f(x):\n    x[0] = 1.0\n    return x\nf(jnp.zeros(3))",
        right="def f(x):\n    x = x.at[0].set(1.0)\n    return x\nf(jnp.zeros(3))",
    ),
    Lesson(
        kind="no such array method",
        raised="AttributeError",
        words=r"(Tracer|ArrayImpl)\b.* (has no attribute|object has no attribute) '?(?P<method>\w+)'?"
        r"|^__delitem__$",
        say="JAX arrays do not have what `{code}` asks for; they cannot be changed in place.",
        fix="Use a function that returns a new array, such as `jnp.full_like(x, 3.0)` for `x.fill(3.0)`.",
        wrong="def f(x):\n    x.fill(3.0)\n    return x\nf(jnp.zeros(3))",
        right="def f(x):\n    return jnp.full_like(x, 3.0)\nf(jnp.zeros(3))",
    ),
    Lesson(
        kind="list instead of array",
        raised="TypeError",
        words=r"(?P<function>\w+) requires ndarray or scalar arguments, got <class '(?P<type>list|tuple)'>",
        say="`{function}` takes arrays, and `{code}` gives it a {type}.",
        fix="Make it an array: `jnp.asarray([1.0, 2.0])`.",
        wrong="def f(x):\n    return jnp.sum([1.0, 2.0]) * x\nf(1.0)",
        right="def f(x):\n    return jnp.sum(jnp.asarray([1.0, 2.0])) * x\nf(1.0)",
    ),
    Lesson(
        kind="not a number",
        raised="TypeError",
        words=r"requires ndarray or scalar arguments, got <class '(?P<type>[\w.]+)'>",
        say="JAX computes with numbers and arrays, and `{code}` gives it a {type}.",
        fix="Give a number; to leave a part out, choose in Python: `x if scale is None else x * scale`.",
        wrong="def f(x, scale=None):\n    return jnp.multiply(x, scale)\nf(1.0)",
        right="def f(x, scale=None):\n    return x if scale is None else x * scale\nf(1.0)",
    ),
    Lesson(
        kind="string input",
        raised="TypeError",
        words=r"of type <class '(?P<type>str|numpy\.str_|bytes)'>|dtype <U\d+|dtype object"
        r"|is not a valid JAX (array )?type",
        say="JAX computes with numbers and arrays only: {jax}",
        fix="Declare such an input static: `@partial(jax.jit, static_argnames='how')`; or choose by "
        "it outside.",
        wrong="@jax.jit\ndef f(x, how):\n    return x.sum() if how == 'sum' else x.mean()\n"
        "f(jnp.ones(3), 'sum')",
        right="from functools import partial\n@partial(jax.jit, static_argnames='how')\n"
        "def f(x, how):\n    return x.sum() if how == 'sum' else x.mean()\nf(jnp.ones(3), 'sum')",
    ),
    Lesson(
        kind="traced value in a format",
        raised="TypeError",
        words=r"unsupported format string passed to \w*Tracer",
        say=f"A format needs the number itself at `{{code}}`, but {_UNKNOWN}.",
        fix="Print when it runs: `jax.debug.print('{y:.2f}', y=x)`.",
        wrong="@jax.jit\ndef f(x):\n    print(f'{x:.2f}')\n    return x\nf(1.0)",
        right="@jax.jit\ndef f(x):\n    jax.debug.print('{y:.2f}', y=x)\n    return x\nf(1.0)",
    ),
    Lesson(
        kind="traced value as a key",
        raised="TypeError",
        words=r"unhashable type: '\w*Tracer'",
        say=f"A dict key or set member has to be known at `{{code}}`, but {_UNKNOWN}.",
        fix="Look it up in an array: `jnp.asarray([10.0, 20.0])[i]`.",
        wrong="@jax.jit\ndef f(i):\n    return {0: 10.0, 1: 20.0}[i]\nf(1)",
        right="@jax.jit\ndef f(i):\n    return jnp.asarray([10.0, 20.0])[i]\nf(1)",
    ),
    Lesson(
        kind="truth of an array",
        raised="ValueError",
        words=r"truth value of an array with more than one element is ambiguous",
        say="Python needs one truth value at `{code}`, and this array holds several.",
        fix="Say which: `jnp.all(x > 0)` or `jnp.any`; element by element, `jnp.where`.",
        wrong="def f(x):\n    if x > 0:\n        return x\n    return -x\nf(jnp.ones(3))",
        right="def f(x):\n    if jnp.all(x > 0):\n        return x\n    return -x\nf(jnp.ones(3))",
    ),
    # -- shapes -------------------------------------------------------------------------------------
    Lesson(
        kind="shapes of a product",
        raised="TypeError",
        words=r"contracting dimensions to have the same shape, got \((?P<a>[\d, ]*?),?\) and "
        r"\((?P<b>[\d, ]*?),?\)",
        say="The matrix product `{code}` needs inner sizes that agree, and they are {a} and {b}.",
        fix="Turn one of them round: `x @ y.T`; `x.shape` and `y.shape` tell which.",
        wrong="def f(x, y):\n    return x @ y\nf(jnp.ones((3, 4)), jnp.ones((3, 4)))",
        right="def f(x, y):\n    return x @ y.T\nf(jnp.ones((3, 4)), jnp.ones((3, 4)))",
    ),
    Lesson(
        kind="shapes that do not broadcast",
        raised="Exception",
        words=r"got incompatible shapes for broadcasting: (?P<shapes>[^.]*)"
        r"|Incompatible shapes for broadcasting: (?:shapes=)?(?P<other>[^.]*)",
        say="The shapes at `{code}` do not fit each other: {jax}",
        fix="Add the missing axis, such as `x[:, None] + y`.",
        wrong="def f(x, y):\n    return x + y\nf(jnp.ones(3), jnp.ones(4))",
        right="def f(x, y):\n    return x[:, None] + y\nf(jnp.ones(3), jnp.ones(4))",
    ),
    Lesson(
        kind="carry changes its type",
        raised="TypeError",
        words=r"(?P<loop>\w+) body function carry input and carry output must have equal types",
        say="What `{loop}` carries has to keep its type from step to step: {jax}",
        fix="Start with the type that comes out: `jax.lax.scan(lambda c, x: (c + x, c), 0.0, xs)` "
        "with `0.0`, not `0`.",
        wrong="def f(xs):\n    return jax.lax.scan(lambda c, x: (c + x, c), jnp.int32(0), xs)\n"
        "f(jnp.ones(3))",
        right="def f(xs):\n    return jax.lax.scan(lambda c, x: (c + x, c), 0.0, xs)\nf(jnp.ones(3))",
    ),
    Lesson(
        kind="branches of different types",
        raised="TypeError",
        words=r"branches must have equal output types|branch outputs must have the same type",
        say="Both branches of a `cond` have to return the same types: {jax}",
        fix="Give both the same shape and dtype: `jax.lax.cond(p, lambda: 1.0, lambda: 2.0)`.",
        wrong="def f(p):\n    return jax.lax.cond(p, lambda: 1.0, lambda: jnp.ones(2))\nf(True)",
        right="def f(p):\n    return jax.lax.cond(p, lambda: 1.0, lambda: 2.0)\nf(True)",
    ),
    # -- derivatives --------------------------------------------------------------------------------
    Lesson(
        kind="gradient of an array",
        raised="TypeError",
        words=r"Gradient only defined for scalar-output functions\. Output had shape: (?P<shape>\([\d, ]*\))",
        error=CannotDifferentiate,
        say="A gradient needs one number, and the function returns an array of shape {shape}.",
        fix="Sum it up, or ask for all derivatives: `jax.jacobian(f)(x)`.",
        wrong="def f(x):\n    return x * 2\njax.grad(f)(jnp.ones(3))",
        right="def f(x):\n    return x * 2\nx = jnp.ones(3)\njax.jacobian(f)(x)",
    ),
    Lesson(
        kind="gradient of nothing",
        raised="TypeError",
        words=r"Gradient only defined for scalar-output functions\. Output was (?P<what>.*?)\.",
        error=CannotDifferentiate,
        say="A gradient needs one number, and the function returns {what}.",
        fix="Return it: `return x * 2`.",
        wrong="def f(x):\n    x * 2\njax.grad(f)(1.0)",
        right="def f(x):\n    return x * 2\njax.grad(f)(1.0)",
    ),
    Lesson(
        kind="gradient by whole numbers",
        raised="TypeError",
        words=r"requires real-( or complex-)?valued inputs .*but got (?P<dtype>u?int\d*|bool)",
        error=CannotDifferentiate,
        say="There is no derivative by whole numbers or truth values, and an input is {dtype}.",
        fix="Give floating-point numbers: `jax.grad(f)(3.0)` instead of `3`; an array `x.astype(float)`.",
        wrong="def f(x):\n    return x ** 2\njax.grad(f)(3)",
        right="def f(x):\n    return x ** 2\njax.grad(f)(3.0)",
    ),
    Lesson(
        kind="gradient of whole numbers or complex ones",
        raised="TypeError",
        words=r"requires real-valued outputs .*but got (?P<dtype>\w+)",
        error=CannotDifferentiate,
        say="A gradient needs a real floating-point result, and the function returns {dtype}.",
        fix="Return a real number: `jnp.abs(z)` of a complex one; for whole ones, do not round "
        "before returning.",
        wrong="def f(x):\n    z = x * 1j\n    return z\njax.grad(f)(1.0)",
        right="def f(x):\n    z = x * 1j\n    return jnp.abs(z)\njax.grad(f)(1.0)",
    ),
    Lesson(
        kind="reverse mode through a while loop",
        raised="ValueError",
        words=r"Reverse-mode differentiation does not work for lax\.(while_loop|fori_loop)",
        error=CannotDifferentiate,
        say="Reverse mode cannot go back through a loop whose length is not known beforehand.",
        fix="Give the number of steps: `jax.lax.fori_loop(0, 4, lambda i, x: x * 2, x)`; or use "
        "`jax.jacfwd`.",
        wrong="def f(x):\n    return jax.lax.while_loop(lambda x: x < 10, lambda x: x * 2, x)\n"
        "jax.grad(f)(1.0)",
        right="def f(x):\n    return jax.lax.fori_loop(0, 4, lambda i, x: x * 2, x)\njax.grad(f)(1.0)",
    ),
    Lesson(
        kind="forward mode through custom_vjp",
        raised="TypeError",
        words=r"can't apply forward-mode autodiff \(jvp\) to a custom_vjp function",
        error=CannotDifferentiate,
        say="A function with a `custom_vjp` rule allows reverse mode only.",
        fix="Use `jax.jacrev(f)(x)`, or give the function a `custom_jvp` rule instead.",
        wrong="@jax.custom_vjp\ndef f(x):\n    return x\nf.defvjp(lambda x: (x, None), lambda _, g: (g,))\n"
        "jax.jacfwd(f)(1.0)",
        right="@jax.custom_vjp\ndef f(x):\n    return x\nf.defvjp(lambda x: (x, None), lambda _, g: (g,))\n"
        "x = 1.0\njax.jacrev(f)(x)",
    ),
    # -- state --------------------------------------------------------------------------------------
    Lesson(
        kind="leaked tracer",
        raised="UnexpectedTracerError",
        say="A value from inside a traced function was kept outside of it (in a global, a list or "
        "an attribute) "
        "and used later.",
        fix="Return it instead: `return y, y ** 2`.",
        wrong="kept = []\n@jax.jit\ndef f(y):\n    kept.append(y ** 2)\n    return y\nf(1.0)\nkept[0] + 1",
        right="@jax.jit\ndef f(y):\n    return y, y ** 2\ny, square = f(1.0)\nsquare + 1",
    ),
    Lesson(
        kind="random key used twice",
        raised="KeyReuseError",
        say="A random key was used twice (`{code}`), which gives the same numbers again.",
        fix="Make new keys: `first, second = jax.random.split(key)`.",
        wrong="with jax.debug_key_reuse(True):\n    key = jax.random.key(0)\n    a = jax.random.normal(key)\n"
        "    b = jax.random.normal(key)",
        right="with jax.debug_key_reuse(True):\n    key = jax.random.key(0)\n"
        "    first, second = jax.random.split(key)\n    a = jax.random.normal(first)\n"
        "    b = jax.random.normal(second)",
    ),
    Lesson(
        kind="static input that cannot be hashed",
        raised="ValueError",
        words=r"Non-hashable static arguments are not supported",
        say="An input that is declared static for jit has to be hashable, and an array is not.",
        fix="Pass arrays as ordinary inputs: `jax.jit(f)(1.0, jnp.ones(3))`.",
        wrong="def f(x, n):\n    return x * n\njax.jit(f, static_argnums=1)(1.0, jnp.ones(3))",
        right="def f(x, n):\n    return x * n\njax.jit(f)(1.0, jnp.ones(3))",
    ),
    Lesson(
        kind="symbolic size that is not known well enough",
        raised="InconclusiveDimensionOperation",
        say="Whether `{code}` holds depends on the sizes that a symbol stands for: {jax}",
        fix="Say what the symbols keep to: `jax.export.symbolic_shape('a, b', constraints=['a >= b'])`.",
        wrong="a, b = jax.export.symbolic_shape('a, b')\nbigger = a >= b",
        right="a, b = jax.export.symbolic_shape('a, b', constraints=['a >= b'])\nbigger = a >= b",
    ),
    Lesson(
        kind="program that does not hold together",
        raised="JaxprTypeError",
        say="A program made by hand, or by a rule of a primitive, does not hold together: {jax}",
        fix="Let JAX make it: `jax.make_jaxpr(lambda x: jnp.sin(x) + 1)(1.0)`; a primitive's abstract "
        "evaluation has to say the type that it returns.",
        wrong="from jax._src import core\njaxpr = jax.make_jaxpr(lambda x: jnp.sin(x) + 1)(1.0).jaxpr\n"
        "core.check_jaxpr(jaxpr.replace(eqns=jaxpr.eqns[::-1]))",
        right="jax.make_jaxpr(lambda x: jnp.sin(x) + 1)(1.0)",
    ),
    Lesson(
        kind="types that are not promoted",
        raised="TypePromotionError",
        say="Under strict promotion JAX mixes no element types, and `{code}` does: {jax}",
        fix="Convert one side: `x + n.astype(x.dtype)`.",
        wrong="x, n = jnp.ones(3), jnp.arange(3)\nwith jax.numpy_dtype_promotion('strict'):\n    x + n",
        right="x, n = jnp.ones(3), jnp.arange(3)\nwith jax.numpy_dtype_promotion('strict'):\n"
        "    x + n.astype(x.dtype)",
    ),
    Lesson(
        kind="array indexed by no whole number",
        raised="TypeError",
        words=r"Indexer must have integer or boolean type, got indexer with type (?P<type>\w+)",
        say="An index has to be a whole number or a mask, and in `{code}` it is {type}.",
        fix="Convert it: `x[i.astype(int)]`.",
        wrong="x, i = jnp.arange(4.0), jnp.array([1.0])\nx[i]",
        right="x, i = jnp.arange(4.0), jnp.array([1.0])\nx[i.astype(int)]",
    ),
    Lesson(
        kind="out of memory",
        raised="JaxRuntimeError",
        words=r"RESOURCE_EXHAUSTED: Out of memory.*?allocating (?P<bytes>[\d.]+\s?\w+)",
        say="The device has no room for {bytes} that `{code}` asks for.",
        fix="Use smaller pieces, such as `jax.lax.map(f, xs, batch_size=10)`, or a smaller dtype.",
        wrong="jnp.ones((10**6, 10**7)).sum()",
        right="f = lambda row: row.sum()\nxs = jnp.ones((100, 10))\njax.lax.map(f, xs, batch_size=10)",
    ),
)

# The call itself does not fit the function: told where no line of the user's is involved.
BAD_CALL = Lesson(
    kind="arguments do not fit",
    raised="TypeError",
    words=r"missing \d+ required|takes \d+ positional|takes from \d+ to|unexpected keyword|multiple "
    r"values for"
    r"|missing a required argument|too many positional arguments",
    error=BadTarget,
    say="The inputs do not fit `{name}`: {jax}",
    fix="Give every input once: `f(1.0, y=2.0)`.",
    wrong="def f(x, y):\n    return x * y\nf(1.0)",
    right="def f(x, y):\n    return x * y\nf(1.0, y=2.0)",
)
