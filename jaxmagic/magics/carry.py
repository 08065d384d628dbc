"""Carrying a magic out: its line, its body, its analysis, its display, and whose error is whose."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

from jaxmagic.errors import BadLine, BadTarget
from jaxmagic.magics import actions, contenders, find
from jaxmagic.magics.cell import Body, Ran, awaits, cell_number, compiled, drive, labels, run, target_of
from jaxmagic.magics.commands import Command, help_text, imported
from jaxmagic.magics.display import Screen
from jaxmagic.magics.editions import Editions
from jaxmagic.magics.grammar import Request, parse
from jaxmagic.magics.tracebacks import users_frames_only
from jaxmagic.target import Target

if TYPE_CHECKING:
    from collections.abc import Mapping

    from IPython.core.interactiveshell import InteractiveShell


@contextmanager
def usage_errors() -> Iterator[None]:
    """A line that cannot be carried out is IPython's UsageError, which shows no traceback."""
    try:
        yield
    except (BadLine, BadTarget) as error:
        raise UsageError(str(error)) from None


@dataclass(frozen=True, slots=True)
class Carrier:
    """Carries out the magics of one shell."""

    shell: InteractiveShell
    screen: Screen
    races: dict[str, Any] = field(default_factory=dict)
    editions: Editions = field(default_factory=Editions)

    def line(self, command: Command, line: str, local_ns: Mapping[str, Any] | None) -> Any:
        """`%magic line`: the result with `-o`, else None."""
        with users_frames_only(self.shell), usage_errors():
            request = parse(command.name, command.options, line)
            if request.options["help"]:
                print(help_text(command))
                return None
            _require_expression(command, request)
            scope = find.scope_of(self.shell.user_ns, local_ns)
            return self._result(_call(command, request, scope, self.shell))

    def cell(self, command: Command, line: str, text: str) -> Any:
        """`%%magic line` and a body: as above, or its coroutine when the body awaits in a running loop."""
        with users_frames_only(self.shell):
            with usage_errors():
                request = parse(command.name, command.options, line)
                if request.options["help"]:
                    print(help_text(command))
                    return None
                device = None if command.expression else actions.device_of_cell(request)
            body = compiled(self.shell, text, cell_number(self.shell))
            work = self._body(command, request, body, device)
            return drive(self.shell, work, awaits(self.shell, body.source))

    async def _body(self, command: Command, request: Request, body: Body, device: str | None) -> Any:
        with users_frames_only(self.shell):
            nodes = contenders.labelled(body.nodes) if command.labels and not request.expr else []
            before = replace(body, nodes=body.nodes[: len(body.nodes) - len(nodes)])
            wanted = command.expression and not request.expr and not nodes
            with _on(device):
                ran = await run(self.shell, before, keep=wanted)
            with usage_errors():
                call = _call(command, request, self.shell.user_ns, self.shell, ran)
                race = contenders.line_up(nodes, body, command.name, self.shell.user_ns)
                return self._result(replace(call, contenders=race))

    def _result(self, call: actions.Call) -> Any:
        options = call.request.options
        quiet = call.request.silent or options["output"]
        with _on(options.get("device")), nullcontext() if quiet else self._progress(call) as progress:
            result = imported(call.command.action)(
                replace(call, races=self.races, watch=progress, compared=self._compared(call))
            )
            if progress is not None and result is not None:
                progress.finish(result, actions.opening(call))
        if not options["output"]:
            return None
        if call.request.silent:
            self.screen.silence(result)
        return result

    def _compared(self, call: actions.Call) -> Callable[[Any], Any]:
        """What sets a trace beside that of the last run; for `%%jaxpr` by itself, whatever it is called."""
        parent = getattr(self.shell, "parent_header", None) or {}
        whole = call.cell and not call.request.expr
        return lambda trace: self.editions.compared(trace, parent, cell=whole)

    def _progress(self, call: actions.Call) -> Any:
        return self.screen.progress(f"%{call.command.name}")


def _on(device: str | tuple[str, ...] | None) -> Any:
    """The device for a while; several are the action's own affair.

    Nothing of JAX is imported when none is named.
    """
    from jaxmagic.analysis import devices

    if isinstance(device, tuple):
        return devices.on(device[0] if len(device) == 1 else None)
    return devices.on(device)


def _require_expression(command: Command, request: Request) -> None:
    if command.expression and not request.expr:
        raise BadLine(
            f"`%{command.name}` needs something to look at.",
            fix=f"Write a call, such as `%{command.name} f(x)`, or another expression, such as "
            f"`%{command.name} x @ w`. `%{command.name} --help` shows all.",
        )


def _call(
    command: Command,
    request: Request,
    scope: dict[str, Any],
    shell: InteractiveShell,
    ran: Ran | None = None,
) -> actions.Call:
    def found(names: dict[str, Any]) -> Target:
        if request.expr or ran is None:
            seen = {**scope, **names} if names else scope
            return find.from_text(request.expr, command.name, seen, bare=command.without)
        return target_of(shell, ran, command.name, bare=command.without)

    def target(**names: Any) -> Target:
        return replace(found(names), labels=labels(shell, ran.body if ran else None))

    return actions.Call(
        command=command,
        request=request,
        scope=scope,
        target=target,
        keep=shell.user_ns.__setitem__,
        next_cell=shell.set_next_input,
        cell=ran is not None,
    )
