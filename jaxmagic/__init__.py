"""See, differentiate, race and place JAX code without leaving the notebook cell.

In a notebook: `%load_ext jaxmagic`, then `%%jaxpr`, `%jaxgrad`, `%jaxbench` and `%jaxdevice`. The
same results come from the plain functions below, imported when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__version__ = "0.1.0"

# Where each public name lives; nothing below is imported before it is asked for.
_HOMES = {
    "trace": "jaxmagic.analysis.trace",
    "why": "jaxmagic.analysis.retraces",
    "differentiate": "jaxmagic.analysis.gradient",
    "devices": "jaxmagic.analysis.devices",
    "benchmark": "jaxmagic.bench.race",
    "race": "jaxmagic.bench.race",
    "port": "jaxmagic.port",
    "population": "jaxmagic.demo.app",
    "show": "jaxmagic.magics.display",
    "JaxmagicError": "jaxmagic.errors",
    "Trace": "jaxmagic.results",
    "Retrace": "jaxmagic.results",
    "Gradient": "jaxmagic.results",
    "Benchmark": "jaxmagic.results",
    "Comparison": "jaxmagic.results",
    "Sweep": "jaxmagic.results",
    "Devices": "jaxmagic.results",
    "Port": "jaxmagic.results",
}

__all__ = [  # noqa: PLE0604 # every key is a string
    *_HOMES,
    "load_ipython_extension",
    "unload_ipython_extension",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'jaxmagic' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})


def load_ipython_extension(shell: InteractiveShell) -> None:
    """`%load_ext jaxmagic`."""
    from jaxmagic.magics.register import load

    load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """`%unload_ext jaxmagic`: nothing of it stays behind."""
    from jaxmagic.magics.register import unload

    unload(shell)
