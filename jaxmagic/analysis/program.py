"""The one seam over JAX's internals: fresh programs, their equations, and where each came from.

Everything private to JAX, and everything that differs between its versions, is in this module. What
JAX does not say comes out as `None`: a span that is unknown, a count that is unknown.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import inspect
import itertools
import keyword
import math
import os
import re
import sysconfig
import types
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np

from jaxmagic.analysis import sources
from jaxmagic.results import Memory, Phase, Span

try:  # which byte of a code object stands for which columns: private, and all that spans hang on
    from jaxlib import _jax

    _position: Callable[[types.CodeType, int], tuple[int, int, int, int]] | None
    _position = _jax.Traceback.code_addr2location
except (ImportError, AttributeError):  # a JAX that moved it: programs without links
    _jax = _position = None

try:
    from jaxlib import _hlo  # type: ignore[attr-defined]  # jaxlib has no types for it
except ImportError:  # then XLA's own default text
    _hlo = None

# Constants longer than this are cut in every text.
LONG_CONSTANT = 16


# -- tracing ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Traced:
    """A program that was traced just now.

    Args:
        stage: JAX's `Traced`.
        mark: the code object below which everything is the user's, in every traceback of this look.
        out_tree: the structure of what the function returned.
    """

    stage: Any
    mark: types.CodeType


def trace_fresh(function: Callable[..., Any], name: str, values: Mapping[str, Any]) -> Traced:
    """The program of a function at these inputs as it is now, whatever JAX's caches hold.

    `values` are the inputs by the names that they get in errors and texts.

    JAX keeps what it traced by the function's identity, and so shows the old value of a global that
    has changed since. The outermost function is a new one here; where an inner one (jitted, a scan's
    body) turns out to be from an earlier trace, all is traced once more under a cache key of its own.
    The user's caches are neither read then nor emptied.
    """
    traced = _trace(function, name, values)
    if not _all_from(traced):
        with afresh():
            traced = _trace(function, name, values)
    return traced


def is_current(function: Callable[..., Any], name: str, values: Mapping[str, Any]) -> bool:
    """Whether what JAX's caches hold of a function (and of those inside it) is what it says now.

    Raises:
        Exception: whatever tracing it raises.
    """
    held = _trace(function, name, values)
    if _all_from(held):
        return True
    with afresh():
        new = _trace(function, name, values)
    pairs = zip(constants(held.stage.jaxpr), constants(new.stage.jaxpr), strict=False)
    return str(held.stage.jaxpr) == str(new.stage.jaxpr) and all(a is b for a, b in pairs)


def afresh() -> contextlib.AbstractContextManager[Any]:
    """Inside, JAX traces and compiles everything anew; its caches are neither read nor emptied.

    The cache for compiled calls that JAX lets one exchange is part of every cache's key: with a new
    one in its place nothing is found. `jax.make_user_context` is the public way, but making one
    throws away all that the user compiled.
    """
    try:
        from jax._src import config  # private: only where it is needed

        scope = config.jax_jit_cpp_cache_obj(_jax.PjitFunctionCache())
    except (ImportError, AttributeError, TypeError):
        scope = jax.make_user_context(None)(object())
    return cast("contextlib.AbstractContextManager[Any]", scope)


class CallKey(NamedTuple):
    """What JAX keeps a trace of a jitted function by.

    Args:
        context: the settings and contexts that count, by name.
        call: the positional and the keyword arguments, with JAX's types in the places of arrays; what
            stays as it is was static.
    """

    context: Mapping[str, Any]
    call: Any


def keys_of_call(
    function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> list[tuple[CallKey, CallKey]] | None:
    """The key of a call of a jitted function beside that of each trace of it that JAX holds.

    None where JAX does not say: in another version, or for a function of an installed library.
    Nothing is traced, and the user's traces are neither used nor added to: the call is looked up as
    one that no cache knows, and refused before its function runs.

    Raises:
        Exception: whatever JAX says of arguments that it cannot take.
    """
    try:
        from jax._src import config  # private: only where it is needed
        from jax._src.interpreters import partial_eval

        silent = _swapped(partial_eval, logger=(log := _Log()), diff_tracing_cache_keys=log.compare)
        asked = config.explain_cache_misses(new_val=True)
        refused = config.no_tracing(new_val=True)
        names, context = config.trace_context_names(), config.trace_context()
    except (ImportError, AttributeError):
        return None
    with silent, afresh(), asked, refused, contextlib.suppress(RuntimeError):
        function.trace(*args, **kwargs)  # type: ignore[attr-defined]  # a jitted function has it
    if not log.heard:
        return None
    try:
        return [
            (_call_key(names, context, new[1]), _call_key(names, old[0], old[1]))
            for new, old in log.pairs
            if not any(_is_cache(value) for value in old[0])
        ]
    except (AttributeError, TypeError, ValueError, IndexError):
        return None


class _Log:
    """Takes the place of the log that JAX explains its cache misses in."""

    def __init__(self) -> None:
        self.heard = False
        self.pairs: list[tuple[Any, Any]] = []

    def log(self, *_: object) -> None:
        self.heard = True

    def compare(self, new: Any, old: Any) -> tuple[int, int, str]:
        self.pairs.append((new, old))
        return 0, 0, ""


@contextlib.contextmanager
def _swapped(module: Any, **values: Any) -> Iterator[None]:
    before = {name: getattr(module, name) for name in values}
    vars(module).update(values)
    try:
        yield
    finally:
        vars(module).update(before)


def _is_cache(value: Any) -> bool:
    """Whether a part of a context is the cache that `afresh` put there: no trace of the user's."""
    return type(value).__name__ == "PjitFunctionCache"


def _call_key(names: Sequence[str], context: Sequence[Any], call: Sequence[Any]) -> CallKey:
    """Where JAX 0.10 wraps what is static, 0.12 has it bare."""
    given = jax.tree.map(lambda leaf: getattr(leaf, "val", leaf), call[0].unflatten(), is_leaf=_is_static)
    return CallKey(context=dict(zip(names, context, strict=True)), call=given)


def _is_static(value: Any) -> bool:
    return type(value).__name__ == "Static"


def _trace(function: Callable[..., Any], name: str, values: Mapping[str, Any]) -> Traced:
    def look(*leaves: Any) -> Any:
        return function(*leaves)

    mark = look.__code__.replace()  # equal, but no other look's
    fresh = types.FunctionType(mark, look.__globals__, name, None, look.__closure__)
    fresh.__qualname__ = name
    fresh.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # functions have it when set
        [inspect.Parameter(one, inspect.Parameter.POSITIONAL_ONLY) for one in identifiers(values)]
    )
    return Traced(jax.jit(fresh, keep_unused=True).trace(*values.values()), mark)


def leaked(traced: Traced) -> Any:
    """The first equation that uses a value kept from another trace; None where none does.

    JAX makes such a value an input like any other, and notices only when it is called.
    """
    held = getattr(traced.stage, "_consts", ())
    strays = sum(isinstance(one, jax.core.Tracer) for one in held)
    jaxpr = opened(traced.stage.jaxpr)
    own = {id(variable) for variable in jaxpr.invars[:strays]}
    uses = (one for one in jaxpr.eqns if any(id(variable) in own for variable in one.invars))
    return next(uses, None)


def identifiers(names: Iterable[str]) -> list[str]:
    """A Python identifier for each name, no two alike: JAX prints them, and asks for such."""
    taken: dict[str, None] = {}
    for name in names:
        stem = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_") or "input"
        stem = f"_{stem}" if stem[0].isdigit() or keyword.iskeyword(stem) else stem
        numbered = (f"{stem}_{i}" for i in itertools.count(1))
        taken[stem if stem not in taken else next(one for one in numbered if one not in taken)] = None
    return list(taken)


def constants(jaxpr: Any) -> list[Any]:
    """The arrays that a program holds, those of the programs inside it included, each once."""
    found: dict[int, Any] = {}
    equations = (equation for program in every_program(jaxpr) for equation in program.eqns)
    for program in [jaxpr, *(part for equation in equations for part in _parts(equation.params))]:
        found |= {id(array): array for array in getattr(program, "consts", ())}
    return list(found.values())


def fingerprint(arrays: Iterable[Any]) -> bytes:
    """Equal for arrays of equal types and elements; what has no elements to read counts as itself."""
    digest = hashlib.blake2b(digest_size=16)
    for array in arrays:
        try:
            is_key = jnp.issubdtype(array.dtype, jax.dtypes.prng_key)
            elements = np.ascontiguousarray(jax.random.key_data(array) if is_key else array)
            digest.update(f"{elements.dtype}{elements.shape}".encode())
            digest.update(elements.reshape(-1).view(np.uint8).data)
        except (AttributeError, TypeError, ValueError, RuntimeError):
            digest.update(str(id(array)).encode())
    return digest.digest()


def _parts(params: Mapping[str, Any]) -> Iterator[Any]:
    for value in params.values():
        yield from value if isinstance(value, tuple | list) else (value,)


def _all_from(traced: Traced) -> bool:
    """Whether every equation of the user's was made in this very trace."""
    places = Places(traced.mark)
    return all(_is_new(program, places) for program in every_program(traced.stage.jaxpr))


def _is_new(jaxpr: Any, places: Places) -> bool:
    boundary = _boundary(jaxpr)
    return all(places.is_new(equation.source_info.traceback, boundary) for equation in jaxpr.eqns)


# -- where equations come from ---------------------------------------------------------------------

Boundary = tuple[str, int] | None


class Places:
    """From JAX's tracebacks to the user's expressions, remembered by traceback.

    Tracebacks are equal when their frames are: the turns of an unrolled loop are looked up once.
    """

    def __init__(self, mark: types.CodeType | None = None) -> None:
        self._mark = mark
        self._spans: dict[tuple[Any, Boundary], Span | None] = {}
        self._news: dict[tuple[Any, Boundary], bool] = {}
        self._frames: dict[tuple[int, int], Span] = {}
        self.codes: dict[int, types.CodeType] = {}

    def span(self, traceback: Any, boundary: Boundary = None) -> Span | None:
        """The user's expression that made an equation.

        Args:
            traceback: an equation's.
            boundary: the file and line of a library function inside which the expression must lie.
        """
        if traceback is None or _position is None:
            return None
        key = (traceback, boundary)
        if key not in self._spans:
            self._spans[key] = self._find(traceback, boundary)
        return self._spans[key]

    def is_new(self, traceback: Any, boundary: Boundary) -> bool:
        """Whether an equation was made under this look (or is none of the user's)."""
        key = (traceback, boundary)
        if key not in self._news:
            self._news[key] = self._is_new(traceback, boundary)
        return self._news[key]

    def _is_new(self, traceback: Any, boundary: Boundary) -> bool:
        codes, _ = self._raw(traceback)
        for code in itertools.islice(codes, _end(codes, boundary)):
            if code is self._mark:
                return True
            if is_users(code.co_filename):
                return any(code is self._mark for code in codes)
        return True

    def _raw(self, traceback: Any) -> tuple[list[types.CodeType], list[int]]:
        return traceback.raw_frames() if traceback is not None else ([], [])

    def _find(self, traceback: Any, boundary: Boundary) -> Span | None:
        codes, at = self._raw(traceback)
        self._note(codes)
        library: Span | None = None
        for i in range(_end(codes, boundary)):
            file = codes[i].co_filename
            if codes[i] is self._mark or is_ours(file):
                break
            if is_users(file):
                return self._frame(codes[i], at[i])
            if library is None and boundary is None and not _is_machinery(file):
                library = self._frame(codes[i], at[i])
        return library

    def _note(self, codes: list[types.CodeType]) -> None:
        """Remember the user's functions on the way here, for their listings."""
        for code in codes:
            if code is self._mark or is_ours(code.co_filename):
                return
            if id(code) not in self.codes and is_users(code.co_filename):
                self.codes[id(code)] = code

    def _frame(self, code: types.CodeType, at: int) -> Span:
        key = (id(code), at)
        if key not in self._frames:
            assert _position is not None
            self._frames[key] = sources.span(code.co_filename, _position(code, at), code.co_qualname)
        return self._frames[key]


def _end(codes: list[types.CodeType], boundary: Boundary) -> int:
    """How many of the inner frames lie within a boundary; none where it is not among them."""
    if boundary is None:
        return len(codes)
    frames = ((code.co_filename, code.co_firstlineno) for code in codes)
    return next((i for i, frame in enumerate(frames) if frame == boundary), 0)


@functools.cache
def is_users(file: str) -> bool:
    """Whether code of this file is the user's: not JAX's, Python's, an installed package's or ours."""
    return not (is_ours(file) or _is_machinery(file) or _is_installed(file))


@functools.cache
def is_ours(file: str) -> bool:
    """Whether a file is jaxmagic's; the demo's model reads as the user's code, for users read it."""
    home = os.path.dirname(os.path.dirname(__file__)) + os.sep
    return file.startswith(home) and not file.endswith(os.path.join("demo", "population.py"))


@functools.cache
def _is_machinery(file: str) -> bool:
    """JAX and Python themselves: no line of theirs explains a program to its user."""
    homes = (
        os.path.dirname(jax.__file__),
        sysconfig.get_path("stdlib"),
        os.path.dirname(contextlib.__file__),
    )
    inside = any(file.startswith(home + os.sep) for home in homes)
    return file.startswith("<frozen") or (inside and not _is_installed(file, but=homes[0]))


def _is_installed(file: str, but: str = "\0") -> bool:
    folders = (os.sep + "site-packages" + os.sep, os.sep + "dist-packages" + os.sep)
    return any(folder in file for folder in folders) and not file.startswith(but)


# -- equations -------------------------------------------------------------------------------------

# Their inner programs say how two elements are combined; they are no equations of the program.
_COMBINERS = re.compile(r"reduce|scatter|select_and|argm|cum|sort")


@functools.cache
def _combines(primitive: str) -> bool:
    return _COMBINERS.match(primitive) is not None


@dataclass(frozen=True, slots=True)
class Step:
    """One equation where it stands in the whole program.

    Args:
        equation: JAX's own.
        span: the user's expression that made it.
        count: how often it runs in a call (in a branch: at most); None in a loop of unknown length.
        phase: the pass of a gradient that it belongs to.
        program: which of the walked programs it stands in.
        inner: the programs inside it, and how often each runs when the equation runs once.
    """

    equation: Any
    span: Span | None
    count: int | None
    phase: Phase
    program: Hashable = None
    inner: tuple[tuple[Hashable, int | None], ...] = ()


class _Context(NamedTuple):
    """What an inner program inherits from the equation that holds it."""

    span: Span | None
    phase: Phase


@dataclass(frozen=True, slots=True)
class Walked:
    """Every equation of a program, inner programs' too, in order.

    Args:
        steps: the equations.
        users: the names of the jitted functions that hold code of the user's (the others are a
            library's, through and through).
        programs: the programs, each once, users after what they use.
        visits: how many programs one would meet that does not remember those that are shared.
    """

    steps: list[Step]
    users: frozenset[str]
    programs: list[Any]
    visits: int


def walk(jaxpr: Any, places: Places, home: Span | None = None) -> Walked:
    """Walk a program, and the programs inside it.

    What was made outside of all that the user wrote (by the `vmap` around a function) is put at `home`.

    A program that is used several times from one place is listed once and its count is the sum over
    its uses, so that sharing (of sharing, …) costs nothing.
    """
    tour = _Tour(places)
    top = tour.visit(jaxpr, _Context(home, "forward"))
    counts: dict[Hashable, int | None] = dict.fromkeys(tour.uses, 0)
    visits = dict.fromkeys(tour.uses, 0)
    counts[top] = visits[top] = 1
    for key in reversed(tour.finished):
        for inner, times in tour.uses[key]:
            counts[inner] = plus(counts[inner], product(counts[key], times))
            visits[inner] += visits[key]
    steps = [
        Step(equation, own.span, counts[key], own.phase, key, inner)
        for equation, own, key, inner in tour.steps
    ]
    programs = {id(program): program for program in tour.programs}
    return Walked(steps, frozenset(tour.users), list(programs.values()), sum(visits.values()))


class _Tour:
    """One pass over a program."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.steps: list[tuple[Any, _Context, Hashable, tuple[tuple[Hashable, int | None], ...]]] = []
        self.uses: dict[Hashable, list[tuple[Hashable, int | None]]] = {}
        self.finished: list[Hashable] = []
        self.users: set[str] = set()
        self._users_inside: dict[Hashable, bool] = {}
        self.programs: list[Any] = []
        self._own_places: dict[int, bool] = {}

    def visit(self, jaxpr: Any, context: _Context) -> Hashable:
        jaxpr = opened(jaxpr)
        if self._knows_its_places(jaxpr):
            context = _Context(None, context.phase)
        key = (id(jaxpr), context)
        if key in self.uses:
            return key
        uses = self.uses[key] = []
        boundary = _boundary(jaxpr)
        users_inside = boundary is None
        for equation in jaxpr.eqns:
            found = self.places.span(equation.source_info.traceback, boundary)
            users_inside = users_inside or found is not None
            own = _Context(found or context.span, _phase(equation.source_info.name_stack, context.phase))
            at = len(self.steps)
            self.steps.append((equation, own, key, ()))
            inner = tuple((self.visit(program, own), times) for program, times in inner_programs(equation))
            uses += inner
            if inner:
                self.steps[at] = (equation, own, key, inner)
            if any(self._users_inside[one] for one, _ in inner):
                self.users.add(str(equation.params.get("name", "")))
                users_inside = True
        self._users_inside[key] = users_inside
        self.programs.append(jaxpr)  # which also keeps its id from being given away
        self.finished.append(key)
        return key

    def _knows_its_places(self, jaxpr: Any) -> bool:
        """Whether a program is the user's and has no equation that needs its caller's place."""
        if id(jaxpr) not in self._own_places:
            spans = (self.places.span(equation.source_info.traceback) for equation in jaxpr.eqns)
            self._own_places[id(jaxpr)] = _boundary(jaxpr) is None and all(spans)
        return self._own_places[id(jaxpr)]


def plus(a: int | None, b: int | None) -> int | None:
    """The sum, unknown where a part is."""
    return None if a is None or b is None else a + b


def product(a: int | None, b: int | None) -> int | None:
    """The product, unknown where a factor is."""
    return None if a is None or b is None else a * b


def every_program(jaxpr: Any) -> Iterator[Any]:
    """A program and the programs inside it, each once."""
    seen: set[int] = set()
    waiting = [opened(jaxpr)]
    while waiting:
        program = waiting.pop()
        if id(program) not in seen:
            seen.add(id(program))
            yield program
            waiting += [opened(inner) for equation in program.eqns for inner, _ in inner_programs(equation)]


def opened(jaxpr: Any) -> Any:
    """The program without its constants; from JAX 0.11 on they are one class."""
    return getattr(jaxpr, "jaxpr", jaxpr)


def inner_programs(equation: Any) -> list[tuple[Any, int | None]]:
    """The programs inside an equation, and how often each runs when the equation runs once."""
    name, params = equation.primitive.name, equation.params
    if not params or _combines(name):
        return []
    inner = list(jax.extend.core.jaxprs_in_params(params))
    times = _TIMES[name](params) if name in _TIMES else 1
    return [(jaxpr, times) for jaxpr in inner]


def _grid(params: dict[str, Any]) -> int | None:
    try:
        return int(math.prod(params["grid_mapping"].grid))
    except (AttributeError, KeyError, TypeError):
        return None


_TIMES: dict[str, Callable[[dict[str, Any]], int | None]] = {
    "scan": lambda params: params["length"],
    "while": lambda _: None,
    "pallas_call": _grid,
}


@dataclass(frozen=True, slots=True)
class Output:
    """What a program returns in one place; `handed_through` when it is an input as it came."""

    aval: Any
    handed_through: bool


def outputs(jaxpr: Any) -> list[Output]:
    """The outputs of a program."""
    pairs = zip(jaxpr.out_avals, _passages(opened(jaxpr), {}), strict=True)
    return [Output(aval, passage is not None) for aval, passage in pairs]


def _passages(jaxpr: Any, known: dict[int, list[int | None]]) -> list[int | None]:
    """For each output, the number of the input that it is, through jitted functions too."""
    if id(jaxpr) in known:
        return known[id(jaxpr)]
    same = {id(variable): i for i, variable in enumerate(jaxpr.invars)}
    for equation in jaxpr.eqns:
        if equation.primitive.name in _JITS:
            inner = _passages(opened(equation.params["jaxpr"]), known)
            for out, i in zip(equation.outvars, inner, strict=True):
                if i is not None and id(equation.invars[i]) in same:
                    same[id(out)] = same[id(equation.invars[i])]
    known[id(jaxpr)] = [same.get(id(variable)) for variable in jaxpr.outvars]
    return known[id(jaxpr)]


_JITS = ("jit", "pjit")


def function_of(jaxpr: Any) -> tuple[str, str, int]:
    """The name, file and first line of the function that a program was traced from ("" unknown)."""
    info = getattr(opened(jaxpr), "debug_info", None)
    name, file = getattr(info, "func_name", None), getattr(info, "func_filename", None)
    return name or "", file or "", getattr(info, "func_lineno", None) or 0


def _boundary(jaxpr: Any) -> Boundary:
    _, file, line = function_of(jaxpr)
    return (file, line) if file and not (is_users(file) or is_ours(file)) else None


def _phase(name_stack: Any, outer: Phase) -> Phase:
    """The pass of a gradient, read from the stacks of names from outer to inner."""
    if outer == "recomputed" or not name_stack.stack:
        return outer
    own = _own_phase(name_stack)
    return own if own != "forward" else outer


@functools.lru_cache(maxsize=4096)
def _own_phase(name_stack: Any) -> Phase:
    scopes = [(type(part).__name__, part.name) for part in name_stack.stack]
    if ("Scope", "rematted_computation") in scopes:
        return "recomputed"
    return "backward" if ("Transform", "transpose") in scopes else "forward"


def scopes(equation: Any) -> tuple[str, ...]:
    """The named scopes that an equation was made in, from outer to inner, within its own program."""
    stack = equation.source_info.name_stack.stack
    return tuple(part.name for part in stack if type(part).__name__ == "Scope") if stack else ()


def sources_and_sinks(equation: Any) -> tuple[list[Any], list[Any]]:
    """The variables that an equation reads and those that it makes; no literals."""
    return [one for one in equation.invars if not hasattr(one, "val")], list(equation.outvars)


# -- types -----------------------------------------------------------------------------------------


def type_of(aval: Any) -> str:
    """A type as JAX prints it: `f32[8,128]`."""
    return str(aval.str_short(short_dtypes=True))


def bytes_of(aval: Any) -> int | None:
    """The size of an array of this type; None where it has none."""
    try:
        return int(math.prod(aval.shape) * aval.dtype.itemsize)
    except (AttributeError, TypeError):
        return None


# -- texts -----------------------------------------------------------------------------------------


class Segment(NamedTuple):
    """A stretch of a printed line, and the traceback of the equation that it belongs to."""

    row: int
    start: int
    end: int
    traceback: Any


def print_jaxpr(jaxpr: Any, walked: Walked) -> tuple[str, list[Segment]]:
    """The program as JAX prints it, and which equation each stretch belongs to."""
    document = jaxpr.pretty_print
    if walked.visits > MANY_VISITS and len(walked.programs) * SHARED < walked.visits:
        document = _document(walked.programs) or document
    map_: list[list[tuple[int, int, Any]]] = []
    text = document(source_map=map_, use_color=False)
    segments = [Segment(row, *segment) for row, segments in enumerate(map_) for segment in segments]
    return text, segments


# JAX's printer follows every use of a shared program, which is 2^depth where sharing is nested.
MANY_VISITS, SHARED = 10_000, 4


def _document(programs: list[Any]) -> Callable[..., str] | None:
    """The printer for programs that share programs that share …: each is printed once, by name."""
    try:
        from jax._src import core, pretty_printer  # private: only where it is needed

        context, settings = core.JaxprPpContext(), core.JaxprPpSettings()
        *inner, top = programs
        names = identifiers(function_of(program)[0] for program in inner)
        context.shared_jaxprs.update(zip(inner, names, strict=True))
        for name in names:
            context.shared_jaxpr_names.add(name)
        named = zip(names, inner, strict=True)
        parts = [core.pp_shared_jaxpr(name, program, context, settings) for name, program in named]
        document = pretty_printer.concat([*parts, core.pp_jaxpr(top, context, settings)])
    except (ImportError, AttributeError, TypeError):
        return None
    return cast("Callable[..., str]", document.format)


def print_stablehlo(lowered: Any) -> str:
    """The StableHLO text with locations, long constants cut."""
    operation = lowered.compiler_ir("stablehlo").operation
    return str(
        operation.get_asm(large_elements_limit=LONG_CONSTANT, enable_debug_info=True, pretty_debug_info=False)
    )


def print_unoptimised(lowered: Any) -> str:
    """The HLO text before any optimisation, with metadata, long constants cut."""
    return _print_hlo(lowered.compiler_ir("hlo").as_hlo_module())


def print_optimised(compiled: Any) -> str:
    """The HLO text after optimisation, with metadata, long constants cut."""
    modules = compiled.runtime_executable().hlo_modules()
    return "\n\n".join(_print_hlo(module) for module in modules)


def _print_hlo(module: Any, *, notes: bool = False) -> str:
    if _hlo is None:
        return str(module.to_string())
    options = _hlo.HloPrintOptions.short_parsable()
    options.print_metadata = True
    options.print_large_constants = False
    options.print_backend_config = notes
    return str(module.to_string(options))


def print_compiled(compiled: Any) -> str:
    """The optimised HLO text with what the backend noted: turns of loops, libraries called."""
    module = compiled.runtime_executable().hlo_modules()[0]
    return _print_hlo(module, notes=True)


def memory(compiled: Any) -> Memory | None:
    """What a compiled program holds; None where the backend does not say.

    The peak is what XLA sets aside: its own `peak_memory_in_bytes` leaves the temporaries out on a CPU.
    """
    try:
        stats = compiled.memory_analysis()
        arguments, outputs, temporaries, aliased = (
            int(getattr(stats, f"{part}_size_in_bytes")) for part in ("argument", "output", "temp", "alias")
        )
    except (AttributeError, NotImplementedError, RuntimeError, TypeError):
        return None
    return Memory(
        arguments=arguments,
        outputs=outputs,
        temporaries=temporaries,
        aliased=aliased,
        peak=arguments + outputs + temporaries - aliased,
    )


def assignment(compiled: Any) -> tuple[bytes, bytes] | None:
    """XLA's assignment of values to memory, and the module that it is about, both serialized."""
    try:
        assigned = bytes(compiled.memory_analysis().serialized_buffer_assignment_proto)
        module = compiled.runtime_executable().hlo_modules()[0].as_serialized_hlo_module_proto()
    except (AttributeError, NotImplementedError, RuntimeError, TypeError, IndexError):
        return None
    return (assigned, bytes(module)) if assigned else None


# -- backends --------------------------------------------------------------------------------------


def backends_started() -> bool:
    """Whether JAX has started a backend already; where it does not say, that it has not."""
    try:
        from jax._src import xla_bridge

        return xla_bridge.backends_are_initialized()
    except (ImportError, AttributeError):
        return False
