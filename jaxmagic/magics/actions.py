"""What the magics do once their line is understood and their body has run: from a `Call` to a result."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from jaxmagic.errors import BadLine, BadTarget
from jaxmagic.magics.commands import Command, imported
from jaxmagic.magics.contenders import Contenders
from jaxmagic.magics.expression import read
from jaxmagic.magics.grammar import Request
from jaxmagic.results import Devices
from jaxmagic.target import Target

Watch = Callable[[Any, float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A magic that is being carried out.

    Args:
        command: its row.
        request: its line, understood.
        scope: the names that its expression sees.
        target: finds what is looked at, from the line or from the body that ran.
        watch: takes a result that is not finished, and the share that is done; None for nobody.
        contenders: the labelled lines of a race.
        cell: whether it has a body.
    """

    command: Command
    request: Request
    scope: dict[str, Any]
    target: Callable[[], Target]
    watch: Watch | None = None
    contenders: Contenders = field(default_factory=Contenders)
    cell: bool = False

    def passed(self) -> dict[str, Any]:
        """The options that the analysis takes."""
        return {name: self.request.options[name] for name in self.command.passes}


def look(call: Call) -> Any:
    """Hand the target to the analysis."""
    return imported(call.command.analysis)(call.target(), **call.passed())


def differentiate(call: Call) -> Any:
    """The same; directions and weights are expressions of the user's."""
    options = call.request.options
    given = {name: _evaluated(call, options[name]) for name in ("jvp", "vjp") if options[name] is not None}
    hess = {"hess": True} if options["hess"] else {}
    return imported(call.command.analysis)(call.target(), **call.passed(), **hess, **given)


def _evaluated(call: Call, text: str) -> Any:
    expression = read(text, call.command.name, call.scope)
    return expression.value_of(expression.tree, call.scope)


def look_at_stage(call: Call) -> Any:
    """The same, and the asked-for stage made now."""
    trace = look(call)
    trace.program(call.request.options["stage"])
    return trace


def opening(call: Call) -> str:
    """The title of the tab to show first, "" for the page's own choice."""
    stage = call.request.options.get("stage", "jaxpr")
    return "" if stage == "jaxpr" else str(imported("jaxmagic.pages.trace:TABS")[stage][0])


def race(call: Call) -> Any:
    """A race of NumPy against JAX, or of the labelled contenders of a cell."""
    if not call.contenders.functions:
        return imported(call.command.analysis)(call.target(), watch=call.watch, **call.passed())
    run = imported("jaxmagic.bench.race:run_labelled")
    functions, inputs = call.contenders.functions, tuple(call.contenders.inputs.values())
    return run(functions, inputs, watch=call.watch, **call.passed())


def port(call: Call) -> Any:
    """The port of the function; the inputs, where there are some, say what it has to hold for."""
    target = call.target()
    return imported(call.command.analysis)(target.function, *target.args, **target.kwargs)


# -- devices --------------------------------------------------------------------------------------

_DEVICE = re.compile(r"[A-Za-z_]\w*(:\d+)?")


def place(call: Call) -> Devices | None:
    """List, choose, reset, or say where an array lives; after a cell only when asked for."""
    devices = import_module("jaxmagic.analysis.devices")
    options, text = call.request.options, call.request.expr
    if call.cell:
        return devices.devices() if options["output"] else None
    if options["reset"]:
        if text:
            raise BadLine(f"`--reset` stands alone, not with `{text}`.", fix="Write `%jaxdevice --reset`.")
        devices.reset()
    elif text and is_device_name(text, call.scope):
        devices.set_default(text)
    elif text:
        return _where(devices, text, call.scope)
    result: Devices = devices.devices()
    return result


def is_device_name(text: str, scope: dict[str, Any]) -> bool:
    """Whether a text is meant for a device; a user's own variable of that name wins."""
    return _DEVICE.fullmatch(text) is not None and text not in scope


def device_of_cell(request: Request) -> str:
    """The device that `%%jaxdevice NAME` names.

    Raises:
        BadLine: it names none.
    """
    if request.options["reset"] or not _DEVICE.fullmatch(request.expr):
        given = f", not `{request.expr}`" if request.expr else ""
        raise BadLine(
            f"`%%jaxdevice` takes the name of a device{given}.",
            fix="Write `%%jaxdevice cpu` or `%%jaxdevice gpu`.",
        )
    return request.expr


def _where(devices: Any, text: str, scope: dict[str, Any]) -> Devices:
    from jaxmagic.magics.expression import read

    expression = read(text, "jaxdevice", scope)
    value = expression.value_of(expression.tree, scope)
    result: Devices = devices.place(" ".join(text.split()), value)
    if not result.placements:
        raise BadTarget(
            f"`{text}` holds no array, and it is no device.", fix="`%jaxdevice` alone lists the devices."
        )
    return result
