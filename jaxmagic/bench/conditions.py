"""What a timing depends on besides the code: versions, devices, threads, and what else the machine does."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np


def conditions() -> dict[str, Any]:
    """Versions and threads, by name."""
    return {
        "python": platform.python_version(),
        "jax": jax.__version__,
        "jaxlib": version("jaxlib"),
        "numpy": np.__version__,
        "machine": platform.machine(),
        "cores": cores(),
        "numpy threads": numpy_threads(),
        "jax threads": jax_threads(),
    }


def cores() -> int:
    """Cores that this process may use."""
    affinity: Callable[[int], set[int]] | None = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def numpy_threads() -> int:
    """Threads of NumPy's linear algebra (its other loops use one)."""
    try:
        pools = import_module("threadpoolctl").threadpool_info()
    except ImportError:
        pools = []
    found = [pool["num_threads"] for pool in pools if pool.get("user_api") == "blas"]
    wanted = (
        os.environ.get(name, "") for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")
    )
    return max(found, default=0) or next((int(text) for text in wanted if text.isdigit()), cores())


def jax_threads() -> int:
    """Threads of XLA's CPU client; one when its flag says so."""
    return 1 if "xla_cpu_multi_thread_eigen=false" in os.environ.get("XLA_FLAGS", "") else cores()


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How busy the machine is at an instant: seconds of work done so far, by all and by this process."""

    at: float
    everyone: float | None
    ours: float

    @classmethod
    def now(cls) -> Load:
        """Read the counters."""
        return cls(at=time.perf_counter(), everyone=_everyones_seconds(), ours=time.process_time())

    def others_since(self, before: Load) -> float | None:
        """Cores that others kept busy meanwhile; None where the system does not tell."""
        if self.everyone is None or before.everyone is None or self.at <= before.at:
            return None
        busy = (self.everyone - before.everyone) - (self.ours - before.ours)
        return max(0.0, busy / (self.at - before.at))


def _everyones_seconds() -> float | None:
    """Busy seconds of all cores since the machine started (Linux: /proc/stat), waiting not counted."""
    try:
        user, nice, system, _, _, irq, soft, *_ = map(
            int, Path("/proc/stat").read_text().split("\n")[0].split()[1:]
        )
        return (user + nice + system + irq + soft) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError):
        return None
