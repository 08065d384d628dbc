"""Run cells on a real kernel of this very Python: one by one, or as a notebook from top to bottom."""

from __future__ import annotations

import os
import queue
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field

import nbformat
from jupyter_client.manager import AsyncKernelManager, KernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

COMMAND = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]


def manager(kind=KernelManager):
    """A kernel of this Python, whatever kernelspecs the machine has."""
    kernels = kind(kernel_name="python3")
    kernels.kernel_spec.argv = COMMAND
    return kernels


def environment():
    return os.environ | {
        "JAX_PLATFORMS": "cpu",
        "IPYTHONDIR": os.path.join(os.environ.get("TMPDIR", "/tmp"), "ipy"),
    }


@dataclass
class Reply:
    """What came of a cell."""

    status: str
    error: tuple = ()
    outputs: list = field(default_factory=list)

    @property
    def text(self):
        """All plain text, in order: streams and displays."""
        return "".join(
            output.get("text", "") or output.get("data", {}).get("text/plain", "") for output in self.outputs
        )

    def of(self, kind):
        return [output for output in self.outputs if output["output_type"] == kind]


class Kernel:
    """A running kernel; `run` runs a cell as a front end does."""

    def __init__(self, manager):
        self.manager = manager
        self.client = manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)

    def run(self, source, *, interrupt_after=None, timeout=60, cell=""):
        """Run a cell, named or not; with `interrupt_after`, press Ctrl-C once this text (or time) went by."""
        sent = self._send(source, cell)
        outputs, deadline, pressed = [], time.monotonic() + timeout, interrupt_after is None
        started = time.monotonic()
        while True:
            assert time.monotonic() < deadline, f"no end of {source!r}: {outputs}"
            if not pressed and _due(interrupt_after, outputs, started):
                self.manager.interrupt_kernel()
                pressed = True
            try:
                message = self.client.get_iopub_msg(timeout=0.05)
            except queue.Empty:
                continue
            if message["parent_header"].get("msg_id") != sent:
                continue
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                break
            _take(outputs, message)
        content = self._reply(sent, deadline)
        error = (content.get("ename"), content.get("evalue")) if content["status"] == "error" else ()
        return Reply(content["status"], error, outputs)

    def _send(self, source, cell):
        content = {"code": source, "silent": False, "store_history": True, "user_expressions": {}}
        content |= {"allow_stdin": False, "stop_on_error": False}
        named = {"cellId": cell} if cell else {}
        message = self.client.session.msg("execute_request", content, metadata=named)
        self.client.shell_channel.send(message)
        return message["header"]["msg_id"]

    def _reply(self, sent, deadline):
        while True:
            message = self.client.get_shell_msg(timeout=max(deadline - time.monotonic(), 1))
            if message["parent_header"].get("msg_id") == sent:
                return message["content"]

    def value(self, expression):
        """The value of an expression of plain data in the kernel."""
        reply = self.run(f"print(repr({expression}))")
        assert reply.status == "ok", reply
        return eval(reply.text)


def _due(interrupt_after, outputs, started):
    if isinstance(interrupt_after, str):
        return any(interrupt_after in output.get("text", "") for output in outputs)
    return time.monotonic() - started > interrupt_after


def _take(outputs, message):
    """Keep an output as a notebook does: an update replaces what it updates."""
    kind, content = message["msg_type"], message["content"]
    display_id = content.get("transient", {}).get("display_id")
    if kind == "update_display_data":
        for output in outputs:
            if output.get("display_id") == display_id:
                output["data"] = content["data"]
                output["updates"] = output.get("updates", 0) + 1
    elif kind == "stream" and outputs and outputs[-1].get("name") == content["name"]:
        outputs[-1]["text"] += content["text"]
    elif kind in ("stream", "display_data", "execute_result", "error"):
        outputs.append({"output_type": kind, "display_id": display_id, **content})


@contextmanager
def kernel():
    """A kernel that is there for a while."""
    kernels = manager()
    kernels.start_kernel(env=environment())
    try:
        yield Kernel(kernels)
    finally:
        kernels.shutdown_kernel(now=True)


def run_notebook(*sources, allow_errors=False):
    """A notebook of these cells after a run from top to bottom, and the error that stopped it or None."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    try:
        execute(notebook, allow_errors=allow_errors)
    except CellExecutionError as error:
        return notebook, error
    return notebook, None


def execute(notebook, *, allow_errors=False, folder="."):
    """Run a notebook from top to bottom, in place, as one that lies in a folder."""
    at = {"metadata": {"path": str(folder)}}
    kernels = manager(AsyncKernelManager)
    client = NotebookClient(notebook, km=kernels, timeout=120, allow_errors=allow_errors, resources=at)
    client.execute(env=environment())
