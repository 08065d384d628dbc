"""Accelerators that the machine shows, whether or not the installed JAX can drive them.

Reads files only: nothing is started, and no program is run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_CUDA_13 = 580  # the first NVIDIA driver that CUDA 13 runs on; CUDA 12 runs on it too
_GOOGLE = "0x1ae0"  # the PCI vendor whose processing accelerators are TPUs


@dataclass(frozen=True, slots=True, kw_only=True)
class Accelerator:
    """A kind of accelerator.

    Args:
        label: what to call it when its model is not known.
        platform: JAX's name for what drives it.
        traces: file patterns, from the root of the file system, that only its driver makes.
        install: the command that makes JAX able to use it.
        plugins: the distributions that do, any one of them.
        hidden_by: environment variables that hide it when empty or -1.
    """

    label: str
    platform: str
    traces: tuple[str, ...]
    install: str
    plugins: tuple[str, ...]
    hidden_by: tuple[str, ...] = ()


ACCELERATORS = (
    Accelerator(
        label="an NVIDIA GPU",
        platform="cuda",
        traces=("dev/nvidia[0-9]*", "proc/driver/nvidia/gpus/*", "usr/lib/wsl/lib/libcuda.so*"),
        install='pip install "jax[cuda12]"',
        plugins=("jax-cuda12-plugin", "jax-cuda13-plugin"),
        hidden_by=("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES"),
    ),
    Accelerator(
        label="an AMD GPU",
        platform="rocm",
        traces=("dev/kfd",),
        install='pip install "jax[rocm7-local]"',
        plugins=("jax-rocm7-plugin", "jax-rocm60-plugin"),
        hidden_by=("ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES"),
    ),
    Accelerator(
        label="a Google TPU",
        platform="tpu",
        traces=("dev/accel[0-9]*", "dev/vfio/[0-9]*"),
        install='pip install "jax[tpu]"',
        plugins=("libtpu",),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An accelerator that is there, by its model and its driver's first number where those are told."""

    accelerator: Accelerator
    model: str = ""
    driver: int | None = None

    @property
    def name(self) -> str:
        """What to call it in a sentence."""
        return f"an {self.model}" if self.model.startswith("NVIDIA") else self.model or self.accelerator.label

    @property
    def install(self) -> str:
        """The command that makes JAX able to use it."""
        command = self.accelerator.install
        return command.replace("cuda12", "cuda13") if (self.driver or 0) >= _CUDA_13 else command


def present(root: Path = Path("/")) -> tuple[Found, ...]:
    """The accelerators that the file system under `root` shows."""
    kinds = (kind for kind in ACCELERATORS if _shows(root, kind))
    return tuple(
        Found(accelerator=kind, model=_model(root, kind), driver=_driver(root, kind)) for kind in kinds
    )


def _shows(root: Path, kind: Accelerator) -> bool:
    if kind.platform == "tpu" and not _google_chip(root):
        return False  # other chips make the same device files
    return any(True for trace in kind.traces for _ in root.glob(trace))


def _google_chip(root: Path) -> bool:
    vendors = root.glob("sys/bus/pci/devices/*/vendor")
    return any(_read(vendor).strip() == _GOOGLE for vendor in vendors)


def _model(root: Path, kind: Accelerator) -> str:
    if kind.platform != "cuda":
        return ""
    texts = (_read(path) for path in sorted(root.glob("proc/driver/nvidia/gpus/*/information")))
    return next((m[1].strip() for text in texts if (m := re.search(r"^Model:(.*)$", text, re.M))), "")


def _driver(root: Path, kind: Accelerator) -> int | None:
    if kind.platform != "cuda":
        return None
    found = re.search(r"\s(\d{3,})\.\d", _read(root / "proc/driver/nvidia/version"))
    return int(found[1]) if found else None


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def obstacle(found: Found, environ: Mapping[str, str], failure: str) -> str:
    """Why JAX does not use an accelerator that is there, and the fix, in a sentence or two.

    Args:
        found: the accelerator.
        environ: the environment that JAX started in.
        failure: what JAX says when asked for its platform.
    """
    kind = found.accelerator
    if (platforms := environ.get("JAX_PLATFORMS", "")) and kind.platform not in platforms:
        return _hidden(found, f"JAX_PLATFORMS={platforms}")
    for variable in kind.hidden_by:
        if environ.get(variable) in ("", "-1", "void", "none"):
            return _hidden(found, f"{variable}={environ[variable]}")
    if plugin := _installed(kind.plugins):
        return f"This machine has {found.name} and {plugin} is installed, but JAX cannot start it: {failure}"
    return (
        f"This machine has {found.name} that the installed JAX cannot use. "
        f"Install `{found.install}` and restart the kernel."
    )


def _hidden(found: Found, setting: str) -> str:
    return (
        f"This machine has {found.name}, but `{setting}` hides it from JAX. "
        "Unset that and restart the kernel to use it."
    )


def _installed(distributions: tuple[str, ...]) -> str:
    """The first of them that is installed, with its version; "" for none."""
    for name in distributions:
        try:
            return f"{name} {version(name)}"
        except PackageNotFoundError:
            continue
    return ""
