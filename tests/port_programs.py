"""Random small NumPy programs: assignments, loops, masks, views, augmented and chained assignment.

`program(choose)` writes one from a source of choices (`choose(n)` gives a number below n), so that
hypothesis and a plain random generator use the same grammar. A program is run on two sets of inputs;
one that NumPy itself cannot run is skipped.
"""

from __future__ import annotations

import ast
import copy
import dataclasses
import functools
import inspect
import linecache
import operator
import os

import jax
import jax.numpy as jnp
import numpy as np

from jaxmagic.errors import CannotPort
from jaxmagic.port import port
from jaxmagic.port.prove import Run, compare, is_chaotic

# The length of every array. Loops over more than a few elements are compiled otherwise than short ones.
N = int(os.environ.get("PROGRAM_SIZE", "5"))
HEAD = "def program(a, b, m, k):\n"
ARRAYS = ("a", "b", "c")


class Writer:
    """Writes a program line by line."""

    def __init__(self, choose):
        self.choose = choose
        self.lines = []
        self.vectors = ["a", "b"]
        self.matrices = ["m"]
        self.integers = ["k"]
        self.scalars = []
        self.loops = []
        self.count = 0

    def pick(self, options):
        return options[self.choose(len(options))]

    def fresh(self, stem):
        self.count += 1
        return f"{stem}{self.count}"

    def index(self):
        options = ["0", "1", "-1", "2", *self.loops, *(f"{i} - 1" for i in self.loops)]
        return self.pick(options)

    def scalar(self, depth=0):
        options = [
            lambda: self.pick(["1.5", "2", "-0.5", "0.25"]),
            lambda: f"{self.pick(self.vectors)}[{self.index()}]",
            lambda: f"{self.pick(self.matrices)}[{self.index()}, {self.index()}]",
            lambda: f"{self.pick(self.vectors)}.{self.pick(['sum', 'max', 'mean', 'min'])}()",
            lambda: f"k[{self.index()}]",
        ]
        if self.scalars:
            options.append(lambda: self.pick(self.scalars))
        if self.loops:
            options.append(lambda: self.pick(self.loops))
            options.append(lambda: f"{self.pick(self.vectors)}[:{self.pick(self.loops)} + 1].sum()")
        if depth < 2:
            options.append(lambda: f"({self.scalar(depth + 1)} {self.pick('+-*')} {self.scalar(depth + 1)})")
        return self.pick(options)()

    def vector(self, depth=0):
        options = [
            lambda: self.pick(self.vectors),
            lambda: f"{self.pick(self.matrices)}[{self.index()}]",
            lambda: f"{self.pick(self.matrices)}[:, {self.index()}]",
            lambda: f"{self.pick(self.matrices)}.T[{self.index()}]",
            lambda: f"np.{self.pick(['sin', 'abs', 'cumsum', 'sort'])}({self.pick(self.vectors)})",
            lambda: f"{self.pick(self.vectors)}[::-1]",
            lambda: f"{self.pick(self.vectors)}[k]",
            lambda: f"np.where({self.mask()}, {self.pick(self.vectors)}, {self.scalar(2)})",
        ]
        if depth < 2:
            options.append(lambda: f"({self.vector(depth + 1)} {self.pick('+-*')} {self.vector(depth + 1)})")
            options.append(lambda: f"({self.vector(depth + 1)} {self.pick('+-*')} {self.scalar(depth + 1)})")
        return self.pick(options)()

    def mask(self):
        return (
            f"{self.pick(self.vectors)} {self.pick('<>')} {self.pick(['0', '0.5', self.pick(self.vectors)])}"
        )

    def place(self):
        """Something to store a vector or a number into."""
        v, m = self.pick(self.vectors), self.pick(self.matrices)
        whole = [
            f"{v}[:]",
            f"{m}[{self.index()}]",
            f"{m}[:, {self.index()}]",
            f"{v}[::-1]",
            f"{m}.T[{self.index()}]",
            f"{v}[k]",
        ]
        return self.pick(whole)

    def point(self):
        v, m = self.pick(self.vectors), self.pick(self.matrices)
        points = [
            f"{v}[{self.index()}]",
            f"{m}[{self.index()}, {self.index()}]",
            f"{v}[{self.mask()}]",
            f"{v}[1:3]",
            f"{m}[1:3, :2]",
            f"{v}[k]",
        ]
        points += (
            [f"{v}[:{i}]" for i in self.loops]
            + [f"{v}[{i}:]" for i in self.loops]
            + [f"{m}[{i}, :{i} + 1]" for i in self.loops]
        )
        points += [f"{v}[{i}:{i} + 1]" for i in self.loops]
        return self.pick(points)

    def statement(self, depth, pad):
        options = [
            self.bind_vector,
            self.bind_scalar,
            self.store_vector,
            self.store_scalar,
            self.augment_name,
            self.augment_place,
            self.augment_point,
            self.view,
            self.chain,
            self.swap,
            self.mask_update,
        ]
        if depth < 2:
            options += [self.loop, self.loop, self.condition]
        self.pick(options)(depth, pad)

    def write(self, pad, text):
        self.lines.append(f"{pad}{text}")

    def bind_vector(self, depth, pad):
        value = self.vector()
        if depth == 0:
            name = self.fresh("v")
            self.write(pad, f"{name} = {value} + 0")
            self.vectors.append(name)
        else:
            self.write(pad, f"{self.pick(self.vectors)} = {value} * 0.5")

    def bind_scalar(self, depth, pad):
        value = self.scalar()
        if depth == 0 or not self.scalars:
            name = self.fresh("s")
            self.write(pad, f"{name} = {value}")
            if depth == 0:
                self.scalars.append(name)
        else:
            self.write(pad, f"{self.pick(self.scalars)} {self.pick(['=', '+=', '*='])} {value}")

    def store_vector(self, depth, pad):
        self.write(pad, f"{self.place()} = {self.vector()}")

    def store_scalar(self, depth, pad):
        self.write(pad, f"{self.point()} = {self.scalar()}")

    def augment_name(self, depth, pad):
        value = self.pick([self.vector(), self.scalar()])
        self.write(pad, f"{self.pick(self.vectors)} {self.pick(['+=', '-=', '*='])} {value}")

    def augment_place(self, depth, pad):
        self.write(pad, f"{self.place()} {self.pick(['+=', '*='])} {self.vector()}")

    def augment_point(self, depth, pad):
        self.write(pad, f"{self.point()} {self.pick(['+=', '-='])} {self.scalar()}")

    def view(self, depth, pad):
        if depth:
            return self.augment_place(depth, pad)
        name = self.fresh("w")
        source = self.pick(
            [
                f"{self.pick(self.matrices)}[{self.index()}]",
                f"{self.pick(self.matrices)}[:, {self.index()}]",
                f"{self.pick(self.vectors)}[::-1]",
                self.pick(self.vectors),
                f"{self.pick(self.vectors)}[:]",
            ]
        )
        self.write(pad, f"{name} = {source}")
        self.vectors.append(name)
        return None

    def chain(self, depth, pad):
        self.write(pad, f"{self.place()} = {self.place()} = {self.scalar()}")

    def swap(self, depth, pad):
        v = self.pick(self.vectors)
        i, j = self.index(), self.index()
        self.write(pad, f"{v}[{i}], {v}[{j}] = {v}[{j}], {v}[{i}]")

    def mask_update(self, depth, pad):
        v = self.pick(self.vectors)
        self.write(pad, f"{v}[{v} > 0] = {v}[{v} > 0] * {self.scalar(2)}")

    def loop(self, depth, pad):
        i = self.pick(["i", "j"]) if not self.loops else "j" if self.loops[0] == "i" else "i"
        header = self.pick(
            [f"for {i} in range({N})", f"for {i} in range(1, {N})", f"for {i} in range({N} - 1, -1, -1)"]
        )
        self.write(pad, f"{header}:")
        self.loops.append(i)
        self.block(depth + 1, pad + "    ", 1 + self.choose(3))
        self.loops.pop()

    def condition(self, depth, pad):
        self.write(pad, f"if {self.scalar()} > {self.scalar(2)}:")
        self.block(depth + 1, pad + "    ", 1 + self.choose(2))
        if self.choose(2):
            self.write(pad, "else:")
            self.block(depth + 1, pad + "    ", 1)

    def block(self, depth, pad, count):
        for _ in range(count):
            self.statement(depth, pad)

    def source(self):
        self.block(0, "    ", 2 + self.choose(5))
        results = ", ".join([*self.vectors, *self.matrices, *self.scalars])
        return HEAD + "\n".join(self.lines) + f"\n    return {results}\n"


def program(choose):
    """A program's source."""
    return Writer(choose).source()


def compiled(source, number, **more):
    """The function, with its source where `inspect` finds it."""
    file = f"<program {number}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    names = {"np": np, **more}
    exec(compile(source, file, "exec"), names)
    return names["program"]


class _Copying(ast.NodeTransformer):
    """`x[i] = np.array(value)`: a store whose value is no view of what it is stored into."""

    def visit_Assign(self, node):
        if isinstance(node.targets[0], ast.Subscript) and not isinstance(node.value, ast.Tuple):
            node.value = ast.Call(ast.parse("np.array", mode="eval").body, [node.value], [])
        return node


class _Edges(ast.NodeTransformer):
    """`__edge__(x, "<", y)` for `x < y`."""

    def visit_Compare(self, node):
        self.generic_visit(node)
        sides = [node.left, *node.comparators]
        parts = [
            ast.Call(ast.Name("__edge__", ast.Load()), [left, ast.Constant(type(op).__name__), right], [])
            for left, op, right in zip(sides, node.ops, sides[1:], strict=False)
        ]
        return parts[0] if len(parts) == 1 else ast.BoolOp(ast.And(), parts)


def changed(source, change, **names):
    """A program after a change."""
    tree = ast.fix_missing_locations(change.visit(ast.parse(source)))
    return compiled(ast.unparse(tree), type(change).__name__, **names)


def on_the_edge(source):
    """A program whose comparisons of reals that are equal but for rounding go one way, or the other."""

    def edge(way, left, name, right):
        apart = np.subtract(left, right, dtype=np.float64)
        real = any(np.asarray(side).dtype.kind == "f" for side in (left, right))
        near = real & (np.abs(apart) <= 1e-14 * np.maximum(np.abs(left), np.abs(right)))
        return getattr(operator, name.lower().replace("noteq", "ne").replace("te", "e"))(
            np.where(near, way, apart), 0.0
        )

    for way in (-1.0, 0.0, 1.0):
        yield changed(source, _Edges(), __edge__=functools.partial(edge, way))


def inputs(seed):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=N), rng.normal(size=N), rng.normal(size=(N, N)), rng.integers(0, N, N)]


def others(seed):
    """Inputs of the same kinds that a port was not made on: fresh ones, one sign, ties, and repeated indices.

    Yields:
        what they are, and the inputs.
    """
    fresh = inputs(seed)
    yield "fresh", fresh
    yield "positive", [*(np.abs(value) for value in fresh[:3]), np.arange(N)[::-1].copy()]
    yield "negative", [*(-np.abs(value) for value in fresh[:3]), np.full(N, fresh[3][0])]
    ties = [
        np.random.default_rng(seed).choice([-1.0, 0.0, 0.5, 1.0, 2.0], value.shape) for value in fresh[:3]
    ]
    yield "ties", [*ties, np.array([0, N - 1, N - 1, 0, 1])]


def run_numpy(function, args):
    own = copy.deepcopy(args)
    with np.errstate(all="ignore"):
        result = function(*own)
    names = inspect.signature(function).parameters
    return Run(result=copy.deepcopy(result), after=dict(zip(names, own, strict=True)))


def underflows(function, args, wanted):
    """Whether NumPy's run comes by numbers below the least normal one, on its way or at the end."""
    reals = [
        np.abs(x) for x in jax.tree.leaves((wanted.result, wanted.after)) if np.asarray(x).dtype.kind == "f"
    ]
    if any(((x > 0) & (x < np.finfo(x.dtype).tiny)).any() for x in reals):
        return True
    try:
        with np.errstate(all="ignore", under="raise"):
            function(*copy.deepcopy(args))
    except FloatingPointError:
        return True
    return False


def is_eager(made):
    return any(note.kind == "eager" for note in made.notes)


def run_port(made, args):
    """The port's run; the function that the proof has compiled already is not compiled once more."""
    plain = inspect.unwrap(made.function)
    with jax.enable_x64(new_val=made.x64):
        given = [jnp.array(value) for value in args]
        function = plain if is_eager(made) else jax.jit(plain, static_argnames=made.static)
        result = jax.tree.map(np.asarray, function(*given))
    after = dict(zip(("a", "b", "m", "k"), args, strict=True))
    if made.mutated:
        result, *changed = (
            result if made.returns else (None, *([result] if len(made.mutated) == 1 else result))
        )
        after |= dict(zip(made.mutated, changed, strict=True))
    return Run(result=result, after=after)


def is_tame(run):
    """Whether a result is finite and small, so that rounding stays what it is."""
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(run.result)]
    return all(np.all(np.isfinite(leaf)) and np.all(np.abs(leaf) < 1e6) for leaf in leaves)


def wanted_of(function, args):
    """NumPy's run, or None where it raises or its result is not tame."""
    try:
        run = run_numpy(function, args)
    except Exception:  # noqa: BLE001 random programs fail in every way
        return None
    return run if is_tame(run) else None


def as_said(made, wanted, got):
    """NumPy's run, in the port's dtypes where the port says that data decide NumPy's."""
    if not any(note.kind == "mixed" for note in made.notes):
        return wanted
    leaves, tree = jax.tree.flatten(wanted.result)
    ours = jax.tree.leaves(got.result)
    cast = [
        np.asarray(a).astype(b.dtype) if np.ndim(a) == 0 else a for a, b in zip(leaves, ours, strict=True)
    ]
    return dataclasses.replace(wanted, result=jax.tree.unflatten(tree, cast))


def is_told(made, args):
    """Whether the port says that data move its slices or are cast, and a call of it refuses these inputs."""
    if not any(note.kind in ("slices", "casts") for note in made.notes):
        return False
    try:
        with jax.enable_x64(new_val=made.x64):
            made.function(*(jnp.array(value) for value in args))
    except (CannotPort, IndexError):
        return True
    return False


def without_rests(run, args):
    """A run whose numbers that are nothing beside the inputs are zero."""
    least = 1e-13 * max(1.0, *(np.abs(value).max(initial=0.0) for value in args))

    def rounded(value):
        value = np.asarray(value)
        return np.where(np.abs(value) < least, 0, value) if value.dtype.kind == "f" else value

    return Run(result=jax.tree.map(rounded, run.result), after=jax.tree.map(rounded, run.after))


def agrees(function, made, args, got):
    return not compare(as_said(made, run_numpy(function, args), got), got)


def excused(function, source, made, args, wanted, got):
    """Why a port may differ there, if it may."""
    if is_told(made, args):
        return "told: a slice leaves its array or a number its dtype, which a call refuses"
    if underflows(function, args, wanted):
        return "underflow: NumPy computes with numbers so small that XLA takes them for 0"
    if not compare(without_rests(wanted, args), without_rests(got, args)):
        return "cancelled: what is left of numbers that cancel out is rounding"
    if any(agrees(edge, made, args, got) for edge in on_the_edge(source)):
        return "tie: rounding decides a comparison"
    if agrees(changed(source, _Copying()), made, args, got):
        return "overlap: NumPy reads what it has just written, as m[1] = m[:, 4] makes it"
    return ""


def judged(source, number):
    """What becomes of a program: ported on one set of inputs, held against NumPy on these and others.

    Returns:
        "equal", "equal, op by op", "chaotic", "underflow", "tie", "overlap", "told", "refused",
        "cannot run" or, for what must not happen, how the port differs silently.
    """
    function = compiled(source, number)
    first = inputs(2 * number)
    if wanted_of(function, first) is None:
        return "cannot run"
    try:
        made = port(function, *first)
    except CannotPort as refusal:
        return f"refused: {refusal.message}"
    compared, chaotic = 0, any(note.kind == "chaotic" for note in made.notes)
    for what, args in others(2 * number + 1):
        wanted = wanted_of(function, args)
        if wanted is None:
            continue
        try:
            got = run_port(made, args)
        except NotImplementedError:
            return "refused: not seen"
        compared += 1
        found = compare(as_said(made, wanted, got), got)
        if found and not is_chaotic(functools.partial(run_numpy, function), args, wanted, found):
            excuse = excused(function, source, made, args, wanted, got)
            if excuse:
                return excuse
            return f"DIFFERENT on {what}: {found[0].where} {found[0].how}\n{made.source}"
        chaotic |= bool(found)
    if not compared:
        return "cannot run on other inputs"
    return "chaotic" if chaotic else "equal, op by op" if is_eager(made) else "equal"
