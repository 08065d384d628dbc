"""What `%load_ext jaxmagic` costs in a fresh IPython: `python tests/benchmarks/load_time.py`."""

from __future__ import annotations

import statistics
import subprocess
import sys

SCRIPT = """
import time
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
start = time.perf_counter()
shell.run_line_magic("load_ext", "jaxmagic")
print(time.perf_counter() - start)
"""


def load_seconds() -> float:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    return float(done.stdout)


def main(rounds: int = 15) -> None:
    load_seconds()  # writes the byte code, as an installation does
    seconds = sorted(load_seconds() for _ in range(rounds))
    print("| `%load_ext jaxmagic` | median | slowest |")
    print("|---|---:|---:|")
    median, slowest = statistics.median(seconds) * 1e3, seconds[-1] * 1e3
    print(f"| {rounds} fresh processes | {median:.0f} ms | {slowest:.0f} ms |")


if __name__ == "__main__":
    main()
