"""Independent iterations as one function of an iteration's own parts, mapped over them by `jax.vmap`.

`for j in range(n): C[j] = A[:, j] @ x` becomes `def step_j(A_j): return A_j @ x` and
`C = jax.vmap(step_j, in_axes=1)(A)`: the body stays as the user wrote it, `A[:, j]` being `A_j`. Where
the bounds are only known while the program runs, all places are computed and those outside kept.
"""

from __future__ import annotations

import ast
import copy
from dataclasses import dataclass, field

from jaxmagic.port.collect import Unit
from jaxmagic.port.flow import Liveness, assigned
from jaxmagic.port.fresh import Names
from jaxmagic.port.independent import Independent, Share, independent
from jaxmagic.port.index import as_slice
from jaxmagic.port.iteration import Iteration
from jaxmagic.port.known import Env, Held
from jaxmagic.port.linear import linear
from jaxmagic.port.nodes import at_set, bind, load, made, seen_as, tuple_of
from jaxmagic.port.observe import Fact, Facts, Form
from jaxmagic.port.ranges import Ranges, elements_of, is_full_slice
from jaxmagic.port.windows import Window, call


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """What an iteration has of an array: `array[…, v, …]`, or the one element of a share."""

    name: str
    array: str
    axis: int
    share: Share | None = None

    @property
    def out_axis(self) -> int:
        """Where the iterations lie in what is mapped over, and in what comes out."""
        return 0 if self.share is not None and self.share.index is not None else self.axis


@dataclass(slots=True)
class _ToParts(ast.NodeTransformer):
    """A body in terms of an iteration's own parts.

    Args:
        size: how many places the loop's variable may pick, in the watched run.
        sliced: whether parts are cut to the loop's bounds, so that longer axes will do.
        fixed: names that may be mapped over.
    """

    unit: Unit
    facts: Facts
    names: Names
    plan: Independent
    size: int
    sliced: bool
    fixed: frozenset[str]
    parts: dict[tuple[str, int, bool], Part] = field(default_factory=dict)

    def part(self, array: str, axis: int, share: Share | None) -> Part:
        """The part of an array, under one name."""
        key = (array, axis, share is not None)
        if key not in self.parts:
            known = (
                [share.index[i] for i in range(len(share.index))] if share is not None and share.index else []
            )
            tail = "".join(p.id for p in known if isinstance(p, ast.Name)) or self.plan.index
            self.parts[key] = Part(self.names.new(f"{array}_{tail.strip('_')}"), array, axis, share)
        return self.parts[key]

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        """`A[i, j]`, read or stored, as `A_j[i]`."""
        if isinstance(node.value, ast.Attribute) and node.value.attr == "shape":
            return node
        self.generic_visit(node)
        if not isinstance(node.value, ast.Name):
            return node
        index = elements_of(node.slice)
        share = self.plan.shares.get(node.value.id)
        if share is not None and share.is_at(index):
            return self._element(node, share)
        if share is not None and share.index is None and self._picks(index, share.axis):
            return self._slice(node, index, self.part(node.value.id, share.axis, share))
        axis = next((i for i in range(len(index)) if self._picks(index, i)), None)
        if axis is None or not isinstance(node.ctx, ast.Load) or not self._is_mapped(node.value, index, axis):
            return node
        return self._slice(node, index, self.part(node.value.id, axis, None))

    def _picks(self, index: list[ast.expr], axis: int) -> bool:
        return len(index) > axis and isinstance(index[axis], ast.Name) and index[axis].id == self.plan.index  # type: ignore[attr-defined]

    def _is_mapped(self, base: ast.Name, index: list[ast.expr], axis: int) -> bool:
        """Whether an array that does not change can be handed to each iteration in parts."""
        shape = self.facts.of(self.unit, base).shape
        plain = all(not isinstance(part, ast.Constant) or type(part.value) is int for part in index)
        own = base.id in self.fixed and plain and shape is not None and len(index) <= len(shape)
        return own and (self.sliced or shape[axis] == self.size)  # type: ignore[index] # own says that it is known

    def _element(self, node: ast.Subscript, share: Share) -> ast.AST:
        name = self.part(share.array, share.axis, share).name
        new = ast.copy_location(ast.Name(name, node.ctx), node)
        form = Form("array", share.fact.dtype or "")
        return seen_as(new, Fact(frozenset({form})))

    def _slice(self, node: ast.Subscript, index: list[ast.expr], part: Part) -> ast.AST:
        whole = self.facts.of(self.unit, node.value)
        shape = whole.shape or ()
        form = Form("array", whole.dtype or "", shape[: part.axis] + shape[part.axis + 1 :])
        base = seen_as(load(part.name), Fact(frozenset({form})))
        rest = index[: part.axis] + index[part.axis + 1 :]
        if all(map(is_full_slice, rest)):
            if isinstance(node.ctx, ast.Load):
                return base
            rest = []
        node.value, node.slice = base, as_slice(rest) if rest else ast.Constant(Ellipsis)
        return node


class Mapped(Iteration):
    """Lowers loops whose iterations are independent."""

    def mapped(self, node: ast.For, env: Env, ranges: Ranges) -> list[ast.stmt] | None:
        """The loop as one call of `jax.vmap`; None where it is not proved to be one."""
        key = (self.unit.name, getattr(node, "key", -1))
        if key in self.decisions.rolled or not self.decisions.maps:
            return None
        plan = independent(self.unit, self.facts, self.live, node, ranges)
        if plan is None or any(env[name].value is not None for name in plan.shares if name in env):
            return None
        static = self.is_static(node.iter, env)
        trips = self.facts.trips[key][1]
        sizes = {(share.fact.shape or ())[share.axis] for share in plan.shares.values()}
        lower_is_zero = isinstance(plan.lower, ast.Constant) and plan.lower.value == 0
        whole = static and lower_is_zero and sizes == {trips}
        if len(sizes) != 1 and not static:
            return None
        self.mapping.add(key)
        return _Mapping(self, node, plan, env, static=static, whole=whole).lowered()


class _Mapping:
    """One loop's way to `jax.vmap`."""

    def __init__(
        self, to: Mapped, node: ast.For, plan: Independent, env: Env, *, static: bool, whole: bool
    ) -> None:
        self.to = to
        self.node = node
        self.plan = plan
        self.env = env
        self.static = static
        self.whole = whole
        self.needed: frozenset[str] = frozenset()
        first = next(iter(plan.shares.values()))
        size = (first.fact.shape or ())[first.axis]
        fixed = {name for name, held in env.items() if held.value is None and not held.static}
        self.parts = _ToParts(
            to.unit,
            to.facts,
            to.names,
            plan,
            size,
            static and not whole,
            frozenset(fixed) - assigned(node.body)
            | {name for name, share in plan.shares.items() if share.index is not None},
        )
        self.lower, self.upper = to.plain(plan.lower, env), to.plain(plan.upper, env)

    def lowered(self) -> list[ast.stmt]:
        """The function of an iteration, the call, and what it changes."""
        body = [self.parts.visit(copy.deepcopy(each)) for each in self.node.body]
        outs = [self.parts.part(share.array, share.axis, share) for share in self.plan.shares.values()]
        names = frozenset(part.name for part in outs)
        self.to.live.block(body, names)
        lowered = self._body(body)
        self.needed = Liveness(lowered, names).before
        step = self._step(lowered, outs)
        return [step, *self._changed(outs, self._call(step.name, outs))]

    def _body(self, body: list[ast.stmt]) -> list[ast.stmt]:
        inner = dict(self.env)
        own = [self.plan.index, *(part.name for part in self.parts.parts.values())]
        for name in own:
            inner[name] = Held(static=False)
        loop = frozenset({id(self.node)})
        for name in [*own, *assigned(body)]:
            self.to.batched[name] = self.to.batched.get(name, frozenset()) | loop
        for part in self.parts.parts.values():
            self.to.batched[part.name] |= self.to.batched.get(part.array, frozenset())
        lowered = self.to.inner(body, inner)
        for part in self.parts.parts.values():
            if inner[part.name].value is not None:
                raise self.to.varying(load(part.array))
        return lowered

    # -- the function and its call --

    def _taken(self) -> list[Part]:
        return [part for part in self.parts.parts.values() if part.name in self.needed]

    def _counts(self) -> bool:
        """Whether an iteration is told its number: it uses it, or nothing else says how many there are."""
        return self.plan.index in self.needed or not any(map(self._is_pinned, self._taken()))

    def _is_pinned(self, part: Part) -> bool:
        """Whether the length of a part's axis is the loop's own, at any size."""
        if not self.static:
            return part.share is not None
        text = ast.unparse(self.plan.upper)
        lengths = [f"{part.array}.shape[{part.axis}]", *([f"len({part.array})"] if part.axis == 0 else [])]
        return self.whole and text in lengths

    def _step(self, body: list[ast.stmt], outs: list[Part]) -> ast.FunctionDef:
        counts = [self.plan.index] if self._counts() else []
        parameters = counts + [part.name for part in self._taken()]
        end = made(ast.Return(tuple_of([part.name for part in outs])))
        name = self.to.names.new(f"step_{self.plan.index.strip('_')}")
        self.to.loops[name] = (self.to.unit.name, self.node.key)  # type: ignore[attr-defined]
        new = self.to.function(name, parameters, [*body, end])
        new.origin = self.node  # type: ignore[attr-defined]
        return new

    def _call(self, name: str, outs: list[Part]) -> ast.expr:
        taken = self._taken()
        given = [self._given(part) for part in taken]
        axes = [part.out_axis for part in taken]
        if self._counts():
            given, axes = [self._numbers(outs), *given], [0, *axes]
        words = {"in_axes": axes, "out_axes": [part.out_axis for part in outs]}
        written = {word: _axes(each) for word, each in words.items() if any(each)}
        return ast.Call(call("jax.vmap", load(name), **written), given, [])

    def _numbers(self, outs: list[Part]) -> ast.expr:
        """The numbers of the iterations."""
        if not self.static:
            return call("jnp.arange", _length(outs[0]))
        zero = isinstance(self.lower, ast.Constant) and self.lower.value == 0
        ends = [self.upper] if zero else [self.lower, self.upper]
        return call("jnp.arange", *map(copy.deepcopy, ends))

    def _cut(self, part: Part) -> ast.Slice:
        """The places of the loop along a part's axis: all of it only where it is surely as long.

        What is mapped over has to be as long as the loop, else `jax.vmap` raises: that is relied on for
        `range(b.shape[0])`, where another length would be a surprise, and not for `range(n)`.
        """
        mapped = part.share is None or part.name in self.needed
        sure = self._is_pinned(part) or (mapped and ".shape[" in ast.unparse(self.plan.upper))
        if not self.static or (self.whole and sure):
            return ast.Slice()
        zero = isinstance(self.lower, ast.Constant) and self.lower.value == 0
        return ast.Slice(None if zero else copy.deepcopy(self.lower), copy.deepcopy(self.upper))

    def _given(self, part: Part) -> ast.expr:
        """What is mapped over for a part."""
        index = self._index(part)
        return load(part.array) if index is None else ast.Subscript(load(part.array), index, ast.Load())

    def _index(self, part: Part) -> ast.expr | None:
        """Where all iterations' parts are in the array; None for all of it."""
        cut = self._cut(part)
        if part.share is not None and part.share.index is not None:
            index: list[ast.expr] = [
                cut if i == part.axis else self.to.plain(copy.deepcopy(p), self.env)
                for i, p in enumerate(part.share.index)
            ]
        else:
            index = [*(ast.Slice() for _ in range(part.axis)), cut]
        full = all(isinstance(p, ast.Slice) and p.lower is p.upper is None for p in index)
        return None if full else as_slice(index)

    # -- what it changes --

    def _changed(self, outs: list[Part], mapped: ast.expr) -> list[ast.stmt]:
        for part in outs:
            self.env[part.array] = Held(static=False)
        if len(outs) == 1:
            return [bind([outs[0].array], self._after(outs[0], mapped))]
        direct = {part.name: self._is_direct(part) for part in outs}
        names = [part.array if direct[part.name] else self.to.names.new(f"{part.array}_new") for part in outs]
        rest = [
            bind([part.array], self._after(part, load(name)))
            for part, name in zip(outs, names, strict=True)
            if not direct[part.name]
        ]
        return [bind(names, mapped), *rest]

    def _is_direct(self, part: Part) -> bool:
        """Whether the mapped function's result is the whole new array."""
        return self._index(part) is None and self._mask(part) is None

    def _after(self, part: Part, new: ast.expr) -> ast.expr:
        """The array after the loop."""
        mask, index = self._mask(part), self._index(part)
        if mask is not None:
            kept = self._given(part)
            spread = (len(part.share.fact.shape or ()) - 1 - part.axis) if index is None else 0  # type: ignore[union-attr]
            if spread:
                tail = [ast.Slice(), *(ast.Constant(None) for _ in range(spread))]
                mask = ast.Subscript(mask, ast.Tuple(tail, ast.Load()), ast.Load())
            new = call("jnp.where", mask, new, kept)
        return new if index is None else at_set(load(part.array), index, new)

    def _mask(self, part: Part) -> ast.expr | None:
        """Which places along the axis the loop reaches; None for all."""
        if self.static:
            return None
        start = linear(self.lower)
        ends = ast.unparse(self.plan.upper) == f"{part.array}.shape[{part.axis}]"
        window = Window(
            start=start or None,
            stop=None if ends else linear(self.upper),
            length=_length(part),
            size=self.parts.size,
        )
        return None if not start and ends else window.mask()


def _length(part: Part) -> ast.expr:
    return ast.Subscript(
        ast.Attribute(load(part.array), "shape", ast.Load()), ast.Constant(part.axis), ast.Load()
    )


def _axes(axes: list[int]) -> ast.expr:
    if len(set(axes)) == 1:
        return ast.Constant(axes[0])
    return ast.Tuple([ast.Constant(axis) for axis in axes], ast.Load())
