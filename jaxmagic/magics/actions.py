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
from jaxmagic.results import Benchmark, Devices
from jaxmagic.target import Target

Watch = Callable[[Any, float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A magic that is being carried out.

    Args:
        command: its row.
        request: its line, understood.
        scope: the names that its expression sees.
        target: finds what is looked at, from the line or from the body that ran; values by keyword
            stand for the names of that kind in the line's expression.
        keep: gives the user a result under a name.
        next_cell: puts a text into a new cell below, or on the terminal's next line.
        watch: takes a result that is not finished, and the share that is done; None for nobody.
        contenders: the labelled lines of a race.
        cell: whether it has a body.
        races: the last race of this shell, as "last".
        compared: takes a trace and gives it back with what changed against the last run of its cell.
    """

    command: Command
    request: Request
    scope: dict[str, Any]
    target: Callable[..., Target]
    keep: Callable[[str, Any], None] = lambda _, __: None
    next_cell: Callable[[str], None] = lambda _: None
    watch: Watch | None = None
    contenders: Contenders = field(default_factory=Contenders)
    cell: bool = False
    races: dict[str, Any] = field(default_factory=dict)
    compared: Callable[[Any], Any] = lambda trace: trace

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
    result = imported(call.command.analysis)(call.target(), **call.passed(), **hess, **given)
    if options["costs"]:
        if result.expenses is None:
            raise BadLine("`--costs` is about first derivatives.", fix="Leave out `--order`.")
        result.expenses.get()
    return result


def _evaluated(call: Call, text: str) -> Any:
    expression = read(text, call.command.name, call.scope)
    return expression.value_of(expression.tree, call.scope)


def look_at_stage(call: Call) -> Any:
    """The same, and the asked-for stage made now; with `--why`, what makes JAX trace once more."""
    if call.request.options["why"]:
        if also := next((name for name in ("grad", *_TITLES) if call.request.options.get(name)), ""):
            raise BadLine(f"`--why` and `--{also}` do not go together.", fix="Ask one after the other.")
        return imported("jaxmagic.analysis.retraces:look")(call.target())
    patience = None if call.request.options["costs"] else imported("jaxmagic.analysis.trace:PATIENCE")
    trace = imported(call.command.analysis)(call.target(), **call.passed(), patience=patience)
    if (stage := call.request.options["stage"]) != "jaxpr":  # which is printed as far as it is shown
        trace.program(stage)
    if call.request.options["graph"]:
        trace.graph.get()
    if call.request.options["costs"]:
        trace.peaks.get()
    return call.compared(trace)


def opening(call: Call) -> str:
    """The title of the tab to show first, "" for the page's own choice."""
    asked = (title for option, title in _TITLES.items() if call.request.options.get(option))
    if title := next(asked, ""):
        return str(imported(title))
    stage = call.request.options.get("stage", "jaxpr")
    return "" if stage == "jaxpr" else str(imported("jaxmagic.pages.trace:TABS")[stage][0])


_TITLES = {
    "time": "jaxmagic.pages.hotlines:TITLE",
    "costs": "jaxmagic.pages.costs:TITLE",
    "graph": "jaxmagic.pages.trace:GRAPH",
    "along": "jaxmagic.pages.gradient:CURVE",
}


def race(call: Call) -> Any:
    """A race, kept and set beside an earlier one as its line says."""
    options = call.request.options
    way = _way(call)
    before = None if options["compare"] is None else _kept(options["compare"], call)
    result = _WAYS[way](call, {"budget": options["budget"] or _SECONDS.get(way, 2.0), "watch": call.watch})
    if options["result"]:
        call.keep(options["result"], result)
    if way != "sweep":
        call.races["last"] = result
    return imported("jaxmagic.bench.comparison:compare")(before, result) if before else result


def _way(call: Call) -> str:
    """What kind of race it is: "" for the plain one."""
    given = call.request.options
    ways = [f"`--{way}`" for way in ("grad", "dtype", "sweep") if given[way]]
    ways += ["`--device` with several"] * (len(given["device"] or ()) > 1)
    ways += ["labelled contenders"] * bool(call.contenders.functions)
    ways += ["`--compare`"] * (given["sweep"] is not None and given["compare"] is not None)
    if len(ways) > 1:
        raise BadLine(f"{ways[0]} and {ways[1]} do not go together.", fix="Race them one after the other.")
    return ways[0].strip("`-").replace("`", "") if ways else ""


def _kept(name: str, call: Call) -> Benchmark:
    """The race that was kept under a name; "" is the last one."""
    found = call.scope.get(name) if name else call.races.get("last")
    if isinstance(found, Benchmark):
        return found
    if not name:
        raise BadTarget("There was no race before this one.", fix="Race once without `--compare`.")
    last = f"`--compare -- {name} …` compares with the last race."
    raise BadTarget(f"`{name}` is no race.", fix=f"Keep one first: `%jaxbench -r {name} f(x)`. {last}")


def _race_devices(call: Call, given: dict[str, Any]) -> Any:
    names = call.request.options["device"]
    return imported("jaxmagic.bench.race:run_devices")(call.target(), names, **given)


def _race_plain(call: Call, given: dict[str, Any]) -> Any:
    return imported(call.command.analysis)(call.target(), **given)


def _race_gradient(call: Call, given: dict[str, Any]) -> Any:
    return imported(call.command.analysis)(call.target(), grad=True, **given)


def _race_labelled(call: Call, given: dict[str, Any]) -> Any:
    functions, inputs = call.contenders.functions, tuple(call.contenders.inputs.values())
    return imported("jaxmagic.bench.race:run_labelled")(functions, inputs, **given)


def _race_precisions(call: Call, given: dict[str, Any]) -> Any:
    dtypes = call.request.options["dtype"]
    return imported("jaxmagic.bench.race:run_precisions")(call.target(), dtypes, **given)


def _race_sizes(call: Call, given: dict[str, Any]) -> Any:
    name, low, high = call.request.options["sweep"]
    if not call.request.expr:
        raise BadLine("`--sweep` needs an expression on its line.", fix="Write `--sweep n=100..1e6 f(n)`.")
    sizes = imported("jaxmagic.bench.sweep:sizes")(low, high)
    return imported("jaxmagic.bench.sweep:run")(lambda n: call.target(**{name: n}), name, sizes, **given)


_WAYS: dict[str, Callable[[Call, dict[str, Any]], Any]] = {
    "": _race_plain,
    "grad": _race_gradient,
    "dtype": _race_precisions,
    "sweep": _race_sizes,
    "labelled contenders": _race_labelled,
    "device with several": _race_devices,
}
# Seconds that a kind of race takes unless its line says otherwise; 2 where it is not listed.
_SECONDS = {"sweep": 10.0}


def port(call: Call) -> Any:
    """The port of the function; the inputs, where there are some, say what it has to hold for."""
    target = call.target()
    result = imported(call.command.analysis)(target.function, *target.args, **target.kwargs)
    if call.request.options["function"]:
        call.keep(call.request.options["function"], result.function)
    if call.request.options["cell"]:
        call.next_cell(result.source)
    return result


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
