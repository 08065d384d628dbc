"""The expression that each instruction of a compiled program works for, also where it names none.

XLA adds instructions without a source, or with that of what they copy, and drops the source of some that it
writes anew (a cumulative sum). What it wrote anew is found by elimination, and what it put around that
goes with it; other additions go to the expression that uses them, else to the one that made what they use.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from jaxmagic.analysis.compiled import HOLDERS, Compiled, callees
from jaxmagic.analysis.hlo import Instruction
from jaxmagic.analysis.program import Step
from jaxmagic.results import Span

# An instruction that says where it came from, or the expression itself.
Owner: TypeAlias = Instruction | Span

# What XLA writes anew without its source, by the primitives that it is made of.
_REWRITTEN: Mapping[str, tuple[str, ...]] = {
    "reduce-window": ("cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp", "reduce_window"),
    "convolution": ("conv_general_dilated",),
    "dot": ("dot_general",),
    "sort": ("sort", "top_k"),
    "scatter": ("scatter",),
    "gather": ("gather",),
    "fft": ("fft",),
}
# What library calls compute (of cuBLAS, cuDNN, CUB, oneDNN): a part of their target's name.
_LIBRARIES = {"conv": "convolution", "matmul": "dot", "gemm": "dot", "sort": "sort", "topk": "sort"}
# What a copy is that the user asked for; any other has its source from what it copies.
_COPIES = frozenset({"copy", "copy_p", "transpose", "reshape"})
# Values that many share, or that stand for several: nothing is concluded across them.
_ENDS = HOLDERS | {"constant", "iota", "tuple", "partition-id", "replica-id", "after-all"}
FAR = 1000  # instructions looked through for one that says where it came from


class Owners:
    """Reads one compiled program; what it finds is remembered."""

    def __init__(self, read: Compiled, steps: Sequence[Step]) -> None:
        self._read = read
        self._all = {name: one for body in read.module.computations.values() for name, one in body.items()}
        self._operands = {name: self._read_by(one) for name, one in self._all.items()}
        self._fusions(read)
        self._users: dict[str, list[str]] = {}
        for name, operands in self._operands.items():
            for operand in operands:
                self._users.setdefault(operand, []).append(name)
        self._holders = dict(self._held())
        self._found: dict[str, tuple[Owner, ...]] = {
            name: (one,) for name, one in self._all.items() if self.says(one)
        }
        self._spread(_lost(read, steps))

    def says(self, one: Instruction) -> bool:
        """Whether an instruction says itself where it came from, and is to be believed."""
        added = one.opcode == "copy" and one.scope.rpartition("/")[2] not in _COPIES
        return not added and self._read.span(one) is not None

    def of(self, name: str) -> tuple[Owner, ...]:
        """Those that an instruction works for, in equal parts; none where that is not known."""
        if name not in self._found:
            ways = (self._users, self._operands, self._holders)
            self._found[name] = next(filter(None, (self._nearest(name, way) for way in ways)), ())
        return self._found[name]

    def _nearest(self, name: str, way: Mapping[str, Sequence[str]]) -> tuple[Owner, ...]:
        """The owners of what is nearest to an instruction in one direction."""
        waiting, seen = deque([name]), {name}
        while waiting and len(seen) < FAR:
            for other in way.get(waiting.popleft(), ()):
                if self._found.get(other):
                    return self._found[other]
                if other not in seen and (self._all[other].opcode not in _ENDS or way is self._holders):
                    seen.add(other)
                    waiting.append(other)
        return ()

    # -- the graph, fusions looked into -----------------------------------------------------------

    def _read_by(self, one: Instruction) -> list[str]:
        return [name for name in one.operands if name in self._all] if one.opcode != "parameter" else []

    def _fusions(self, read: Compiled) -> None:
        """A fusion is what its root makes, and its parameters are what it reads."""
        for one in list(self._all.values()):
            body = read.module.computations.get(one.attribute("calls")) if one.opcode == "fusion" else None
            if body:
                for inner in body.values():
                    if inner.opcode == "parameter":
                        self._operands[inner.name] = [one.operands[int(inner.operands[0])]]
                self._operands[one.name] = [read.module.root(one.attribute("calls")).name]

    def _held(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """The loop, condition or call around each instruction of its computation."""
        for holder in [one for one in self._all.values() if one.opcode in HOLDERS]:
            for called in callees(holder):
                for name in self._read.module.computations.get(called, {}):
                    yield name, (holder.name,)

    # -- elimination ------------------------------------------------------------------------------

    def _spread(self, lost: Mapping[str, tuple[Span, ...]]) -> None:
        """From what was written anew to all around it that names none either; a library call is whole."""
        waiting = [
            (name, lost[_computes(one)])
            for name, one in self._all.items()
            if lost.get(_computes(one)) and name not in self._found
        ]
        while waiting:
            name, spans = waiting.pop()
            if name in self._found or self._all[name].opcode in _ENDS:
                continue
            self._found[name] = spans
            if self._all[name].opcode == "custom-call":
                continue
            if self._all[name].opcode != "parameter" or self._operands[name]:
                waiting += [(other, spans) for other in self._operands[name] + self._users.get(name, [])]


def _computes(one: Instruction) -> str:
    """The operation that an instruction stands for: its own, or what the library computes that it calls."""
    if one.opcode != "custom-call":
        return one.opcode
    target = one.attribute("custom_call_target").lower()
    return next((opcode for part, opcode in _LIBRARIES.items() if part in target), one.opcode)


def _lost(read: Compiled, steps: Sequence[Step]) -> dict[str, tuple[Span, ...]]:
    """The expressions behind operations that name none, by elimination.

    An expression that asks for a sort, say, and that no sort of the compiled program names, is where one
    without a name came from.
    """
    named = {
        (_computes(one), read.span(one))
        for body in read.module.computations.values()
        for one in body.values()
    }
    return {
        opcode: tuple(
            dict.fromkeys(
                step.span
                for step in steps
                if step.span is not None
                and step.equation.primitive.name.startswith(primitives)
                and (opcode, step.span) not in named
            )
        )
        for opcode, primitives in _REWRITTEN.items()
    }
