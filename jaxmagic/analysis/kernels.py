"""What a compiled program runs, kernel by kernel: its kind, its expressions, the bytes in and out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal

from jaxmagic.analysis.compiled import IDLE, Compiled, Unit, phase
from jaxmagic.analysis.hlo import Instruction, Module
from jaxmagic.analysis.memory import Origins
from jaxmagic.analysis.prices import FREE, Cost, price
from jaxmagic.results import Kernel, Span

# Only where elements stand, or how they are laid out: no arithmetic.
_MOVES = frozenset({"copy", "transpose", "reshape", "copy-start", "copy-done"})
_SLICES = frozenset({"slice", "dynamic-slice", "gather"})
_LIBRARY_CALLS = frozenset({"dot", "convolution", "fft", "triangular-solve", "cholesky"})

_FUSIONS = {
    "kLoop": "loop fusion",
    "kInput": "reduction fusion",
    "kOutput": "output fusion",
}
# Whose code a call runs, by how its target starts.
_LIBRARIES = (
    ("lapack_", "LAPACK"),
    ("blas_", "BLAS"),
    ("__onednn$", "oneDNN"),
    ("__ynn", "YNNPACK"),
    ("__xnn", "XNNPACK"),
    ("__cublas$lt$", "cuBLASLt"),
    ("__cublas$", "cuBLAS"),
    ("__cudnn$", "cuDNN"),
    ("__triton", "Triton"),
    ("cusolver_", "cuSOLVER"),
    ("cu_", "CUDA"),
    ("hipsolver_", "hipSOLVER"),
    ("xla_ffi_python", "Python"),
    ("xla_python", "Python"),
)
_CONFIGURED = re.compile(r'"kind":"(__\w+|triton\w*)"')


def kernels(program: Compiled) -> tuple[Kernel, ...]:
    """All that a compiled program runs, in order; a loop's body once."""
    meter, origins = ModuleMeter(program.module), Origins(program)
    return tuple(_kernel(program, unit, meter, origins) for unit in program.units())


def _kernel(program: Compiled, unit: Unit, meter: ModuleMeter, origins: Origins) -> Kernel:
    one = unit.instruction
    library = library_of(unit)
    copies = is_copy(unit)
    scopes = dict.fromkeys(phase(member.scope) for member in unit.working if member.scope)
    return Kernel(
        name=one.name,
        kind="library" if library else "copy" if copies else _kind(unit),
        what=library or ("copy" if copies else _what(unit)),
        spans=_spans(program, unit, origins),
        phases=tuple(scopes),
        reads=sum(_reads(program, unit)),
        writes=_writes(program, unit),
        flops=meter.flops(unit),
        turns=unit.turns,
        looped=bool(unit.loops),
    )


def _spans(program: Compiled, unit: Unit, origins: Origins) -> tuple[Span, ...]:
    """The expressions in a unit; of a copy that XLA added, what it copies."""
    own = program.spans(unit)
    source = copied(program, unit, origins.of) if not own and is_copy(unit) else None
    return (source,) if source is not None else own


def _kind(unit: Unit) -> Literal["fusion", "operation"]:
    return "fusion" if len(unit.working) > 1 else "operation"


def _what(unit: Unit) -> str:
    if len(unit.working) > 1:
        return _FUSIONS.get(unit.instruction.attribute("kind"), "fusion")
    return (unit.working or (unit.instruction,))[0].opcode


def library_of(unit: Unit) -> str:
    """The library that a unit calls and its function there ("LAPACK spotrf"); "" where it calls none."""
    one = unit.instruction
    if one.opcode == "custom-call":
        target = one.attribute("custom_call_target").strip('"')
        start, library = _library(target)
        return f"{library} {target[len(start) :].removesuffix('_ffi')}".strip() if library else target
    configured = _CONFIGURED.search(one.attributes)
    if one.opcode == "fusion" and configured:
        library = _library(configured[1])[1] or configured[1]
        return f"{library} {_main(unit)}"
    return ""


def _library(target: str) -> tuple[str, str]:
    return next(((start, name) for start, name in _LIBRARIES if target.startswith(start)), ("", ""))


def _main(unit: Unit) -> str:
    """What a library is asked for, mostly: the product of matrices, if there is one."""
    opcodes = [member.opcode for member in unit.working]
    return next((opcode for opcode in opcodes if opcode in _LIBRARY_CALLS), opcodes[-1] if opcodes else "")


def is_copy(unit: Unit) -> bool:
    """Whether a unit only moves elements from one place to another."""
    return bool(unit.working) and all(member.opcode in _MOVES for member in unit.working)


class ModuleMeter:
    """The arithmetic of units, by XLA's rules for single instructions."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.unknown: dict[str, Span | None] = {}
        self.textbook: dict[str, Span | None] = {}
        self._combiners: dict[str, Cost] = {}

    def flops(self, unit: Unit) -> float | None:
        """The arithmetic of one run; None where a part of it is unknown."""
        return self._total(_bodies(self.module, unit)).flops

    def combiner(self, name: str) -> Cost:
        """One application of a function of two elements."""
        if name not in self._combiners:
            self._combiners[name] = self._total([self.module.computations[name]])
        return self._combiners[name]

    def _total(self, bodies: Sequence[Mapping[str, Instruction]]) -> Cost:
        total = FREE
        for body in bodies:
            for one in body.values():
                if one.opcode not in IDLE and one.opcode != "fusion":
                    operands = [body[name].type for name in one.operands if name in body]
                    total += price(self, one, operands, None)
        return total


def _bodies(module: Module, unit: Unit) -> list[Mapping[str, Instruction]]:
    """The instructions of a unit with their operands: a fusion's computations, or the one with its own."""
    if unit.instruction.opcode == "fusion":
        return list(_fused(module, unit.instruction))
    body = module.computations[unit.computation]
    known = {
        name: body[name]._replace(opcode="parameter") for name in unit.instruction.operands if name in body
    }
    return [known | {unit.instruction.name: unit.instruction}]


def _fused(module: Module, one: Instruction) -> Iterator[dict[str, Instruction]]:
    body = module.computations.get(one.attribute("calls"), {})
    yield body
    for inner in body.values():
        if inner.opcode == "fusion":
            yield from _fused(module, inner)


# -- bytes -----------------------------------------------------------------------------------------


def _reads(program: Compiled, unit: Unit) -> Iterator[int]:
    """The bytes that a unit reads of each operand: of one that it only slices, the slices."""
    one = unit.instruction
    if one.opcode != "fusion":
        body = program.module.computations[unit.computation]
        yield from (body[name].type.bytes for name in _operands(one) if name in body)
        return
    body = program.module.computations.get(one.attribute("calls"), {})
    update = _update(body)
    for member in body.values():
        if member.opcode == "parameter":
            yield _read_of(member, body, update)


def _operands(one: Instruction) -> tuple[str, ...]:
    """What an instruction reads; of an update in place, not what it updates."""
    return one.operands[1:] if one.opcode == "dynamic-update-slice" else one.operands


def _read_of(parameter: Instruction, body: Mapping[str, Instruction], update: Instruction | None) -> int:
    uses = [member for member in body.values() if parameter.name in member.operands]
    if update is not None and uses == [update] and update.operands[0] == parameter.name:
        return 0
    if uses and all(use.opcode in _SLICES and use.operands[0] == parameter.name for use in uses):
        return sum(use.type.bytes for use in uses)
    return parameter.type.bytes


def _update(body: Mapping[str, Instruction]) -> Instruction | None:
    """The update of a slice that a fusion ends in, if it ends in one."""
    root = next((member for member in body.values() if member.root), None)
    while root is not None and root.opcode == "bitcast":
        root = body.get(root.operands[0])
    return root if root is not None and root.opcode == "dynamic-update-slice" else None


def _writes(program: Compiled, unit: Unit) -> int:
    """The bytes that a unit writes: of an update in place, the update."""
    one = unit.instruction
    body = program.module.computations.get(one.attribute("calls") or unit.computation, {})
    update = _update(body) if one.opcode == "fusion" else one
    if update is not None and update.opcode == "dynamic-update-slice" and update.operands[1] in body:
        return body[update.operands[1]].type.bytes
    return one.type.bytes


# -- copies ----------------------------------------------------------------------------------------


def copied(program: Compiled, unit: Unit, origin: Callable[[Instruction], Span | None]) -> Span | None:
    """The expression whose value a copy moves."""
    body = program.module.computations[unit.computation]
    source = body.get(unit.instruction.operands[0]) if unit.instruction.operands else None
    own = next(iter(program.spans(unit)), None)
    return own or (origin(source) if source is not None else None)
