"""Port NPBench's kernels, compare and time them: `python npbench.py FOLDER [kernel …] [--preset S]`.

FOLDER is a checkout of github.com/spcl/npbench; nothing of it is kept here. Times of NumPy, of the
port and (where the suite has one that runs) of the hand-written JAX version are interleaved.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import functools
import importlib.util
import json
import math
import pathlib
import pickle
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import traceback

import jax
import numpy as np

from jaxmagic.port import port

# Seconds for a race and for a block of it, and the least number of samples.
SECONDS, BLOCK, ROUNDS = 1.5, 0.03, 7
# Why there is no figure against the hand-written version.
BY_HAND = {
    "none": "the suite has no JAX version",
    "does not run": "the suite's JAX version does not run",
    "wrong": "the suite's JAX version gives another result",
    "not jitted": "the suite's JAX version is not jitted",
}
# Why a port is slower than 0.8 of the hand-written version.
WHY = {
    "mandel2": "all points in every iteration, stored by index; by hand a point's place is known",
    "azimnaiv": "the same loop as by hand over 1,000 masks of 400,000 elements",
}
ALONE = """
import pickle, sys
import jax, numpy as np
jax.config.update("jax_enable_x64", True)
from ported import {name} as function
given = pickle.load(open("inputs.pickle", "rb"))
result = jax.jit(function, static_argnames={static})(*given)
pickle.dump([np.asarray(leaf) for leaf in jax.tree.leaves(result)], open("result.pickle", "wb"))
assert not any(name.startswith("jaxmagic") for name in sys.modules)
"""


def load(path, name):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def kernels(folder, wanted):
    for path in sorted((folder / "bench_info").glob("*.json")):
        info = json.loads(path.read_text())["benchmark"]
        if not wanted or info["short_name"] in wanted:
            yield info


def inputs_of(folder, info, preset):
    """The arguments of a kernel, in order."""
    values = dict(info["parameters"][preset])
    here = folder / "npbench" / "benchmarks" / info["relative_path"]
    init = info.get("init")
    if init:
        module = load(here / f"{info['module_name']}.py", f"init_{info['short_name']}")
        made = getattr(module, init["func_name"])(*(values[name] for name in init["input_args"]))
        made = made if isinstance(made, tuple) else (made,)
        values |= dict(zip(init["output_args"], made, strict=True))
    return [values[name] for name in info["input_args"]]


def numpy_kernel(folder, info):
    here = folder / "npbench" / "benchmarks" / info["relative_path"]
    module = load(here / f"{info['module_name']}_numpy.py", f"numpy_{info['short_name']}")
    return getattr(module, info["func_name"])


def numpy_results(kernel, info, args):
    """What NumPy gives: its results, and the arguments that the suite counts as results."""
    own = copy.deepcopy(args)
    result = kernel(*own)
    changed = [
        own[info["input_args"].index(name)] for name in info["output_args"] if name in info["input_args"]
    ]
    returned = [np.asarray(leaf) for leaf in jax.tree.leaves(result)]
    return returned + changed


def hand_written(folder, info, given, expected):
    """The suite's own JAX version, and what is wrong with it, if anything is."""
    here = folder / "npbench" / "benchmarks" / info["relative_path"]
    path = here / f"{info['module_name']}_jax.py"
    if not path.exists():
        return None, "none"
    try:
        function = getattr(load(path, f"jax_{info['short_name']}"), info["func_name"])
        result = jax.block_until_ready(function(*given))
    except Exception:  # noqa: BLE001 theirs may fail in any way
        return None, "does not run"
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(result)]
    if not all(any(is_close(ours, theirs) for theirs in leaves) for ours in expected):
        return None, "wrong"
    if not hasattr(function, "lower"):
        return None, "not jitted"
    return lambda: jax.block_until_ready(function(*given)), ""


def is_close(a, b):
    """Equal as the suite has it: the relative error of the whole is small."""
    if a.shape != b.shape or a.dtype.kind in "bOSU":
        return a.shape == b.shape and bool(np.array_equal(a, b))
    error, size = np.linalg.norm((a - b).ravel()), np.linalg.norm(a.ravel())
    return bool(error <= 1e-5 * size) or bool(np.array_equal(a, b, equal_nan=True))


def quarter(samples):
    return sorted(samples)[len(samples) // 4]


def race(runs, fresh, seconds):
    """The lower quartile of each: blocks in random order, the first call of a block dropped.

    What NumPy may change is copied before the clock starts. (In a fixed order whoever follows NumPy
    pays for its threads, which spin for a while after a product of matrices.)
    """
    samples = {name: [] for name in runs}
    order, shuffle = list(runs), random.Random(0).shuffle
    ends = time.perf_counter() + seconds
    while min(map(len, samples.values())) < ROUNDS or time.perf_counter() < ends:
        shuffle(order)
        for name in order:
            samples[name] += block(runs[name], fresh if name == "numpy" else tuple)
    return {name: quarter(values) for name, values in samples.items()}


def block(run, fresh):
    """The times of the calls of one block."""
    run(*fresh())
    times, ends = [], time.perf_counter() + BLOCK
    while not times or time.perf_counter() < ends:
        given = fresh()
        started = time.perf_counter()
        run(*given)
        times.append(time.perf_counter() - started)
    return times


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """A kernel's figures, times in seconds; `by_hand` says why there is no figure for that."""

    name: str
    numpy: float
    port: float
    hand: float | None
    by_hand: str
    making: float
    compiling: float
    alone: str
    notes: str

    @property
    def over_numpy(self):
        return self.numpy / self.port

    @property
    def over_hand(self):
        return None if self.hand is None else self.hand / self.port


def measure(info, options):
    folder, preset, alone, show = options.folder, options.preset, options.alone, options.show
    args = inputs_of(folder, info, preset)
    kernel = numpy_kernel(folder, info)
    started = time.perf_counter()
    made = port(kernel, *args)
    making = time.perf_counter() - started
    if show:
        print(made.source)
    with jax.enable_x64(new_val=True):
        given = [jax.numpy.array(a) if isinstance(a, np.ndarray) else a for a in args]
        fresh = functools.wraps(made.function)(lambda *args: made.function(*args))
        jitted = jax.jit(fresh, static_argnames=made.static)
        started = time.perf_counter()
        jitted.lower(*given).compile()
        compiling = time.perf_counter() - started
        hand, why = hand_written(folder, info, given, numpy_results(kernel, info, args))
        runs = {"numpy": kernel, "port": lambda: jax.block_until_ready(jitted(*given))}
        if hand is not None:
            runs["hand"] = hand
        times = race(runs, lambda: copy.deepcopy(args), options.seconds)
        return Row(
            name=info["short_name"],
            numpy=times["numpy"],
            port=times["port"],
            hand=times.get("hand"),
            by_hand=why,
            making=making,
            compiling=compiling,
            alone=str(runs_alone(made, given)) if alone else "",
            notes=",".join(note.kind for note in made.notes),
        )


def agrees(folder, info, preset, alone):
    """Port a kernel, which compares the port's results with NumPy's and raises where they differ.

    Returns:
        what became of its source alone, where that was asked for.
    """
    started = time.perf_counter()
    args = inputs_of(folder, info, preset)
    made = port(numpy_kernel(folder, info), *args)
    took, found = time.perf_counter() - started, ""
    if alone:
        with jax.enable_x64(new_val=True):
            given = [jax.numpy.array(a) if isinstance(a, np.ndarray) else a for a in args]
            found = str(runs_alone(made, given))
    notes = ",".join(note.kind for note in made.notes)
    print(
        f"{info['short_name']:12} equal, in {took:6.2f} s  {notes}  {found and f'alone: {found}'}", flush=True
    )
    return found


def runs_alone(made, given):
    """Whether the port's source, executed without jaxmagic in a process of its own, gives the same."""
    with tempfile.TemporaryDirectory() as folder:
        here = pathlib.Path(folder)
        (here / "ported.py").write_text(made.source)
        (here / "inputs.pickle").write_bytes(
            pickle.dumps([np.asarray(v) if isinstance(v, jax.Array) else v for v in given])
        )
        script = ALONE.format(name=made.name, static=made.static)
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=here, capture_output=True, text=True, check=False
        )
        if done.returncode:
            return done.stderr.splitlines()[-1]
        ours = jax.tree.leaves(jax.jit(made.function, static_argnames=made.static)(*given))
        theirs = pickle.loads((here / "result.pickle").read_bytes())
        return all(np.array_equal(a, b, equal_nan=True) for a, b in zip(ours, theirs, strict=True))


def geomean(values):
    values = list(values)
    return math.exp(statistics.fmean(map(math.log, values))) if values else math.nan


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("kernels", nargs="*")
    parser.add_argument("--preset", default="S")
    parser.add_argument("--limit", type=int, default=120, help="seconds for one kernel")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for a kernel's race")
    parser.add_argument("--check", action="store_true", help="port and compare only, time nothing")
    parser.add_argument("--alone", action="store_true", help="run each port's source in a fresh process too")
    parser.add_argument("--show", action="store_true", help="print the ports")
    parser.add_argument("--table", action="store_true", help="print the README's table too")
    parser.add_argument("--trace", action="store_true", help="print tracebacks")
    options = parser.parse_intermixed_args()
    signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(TimeoutError("too long")))
    rows, failed, total, checked = [], [], 0, []
    for info in kernels(options.folder, options.kernels):
        total += 1
        signal.alarm(options.limit)
        try:
            if options.check:
                checked.append(agrees(options.folder, info, options.preset, options.alone))
                signal.alarm(0)
                continue
            rows.append(measure(info, options))
        except Exception as error:  # noqa: BLE001 whatever it is, it is reported
            signal.alarm(0)
            failed.append(info["short_name"])
            print(f"{info['short_name']:12} FAILED {type(error).__name__}: {str(error)[:400]}", flush=True)
            if options.trace:
                traceback.print_exc()
            continue
        signal.alarm(0)
        print(line(rows[-1]), flush=True)
    print(f"\nequal {len(rows) + len(checked)} of {total}; failed: {', '.join(failed) or 'none'}")
    if rows:
        print("\n".join(summary(rows)))
    if options.alone:
        results = [row.alone for row in rows] + checked
        print(f"alone, without jaxmagic: equal {results.count('True')} of {total}")
    if options.table:
        print("\n" + "\n".join(table(rows)))


def line(row):
    hand = f"x{row.over_hand:6.2f}" if row.hand is not None else row.by_hand
    return (
        f"{row.name:12} numpy {row.numpy * 1e3:9.3f} ms  port {row.port * 1e3:9.3f} ms  "
        f"x{row.over_numpy:8.2f}  hand {hand:12}  compile {row.compiling:5.2f} s  "
        f"port made in {row.making:5.2f} s  {row.notes}" + (f"  alone: {row.alone}" if row.alone else "")
    )


def summary(rows):
    hands = [row.over_hand for row in rows if row.hand is not None]
    compiling = [row.compiling for row in rows]
    yield f"geomean over NumPy {geomean(row.over_numpy for row in rows):.2f}"
    yield f"geomean over hand-written JAX {geomean(hands):.2f} ({len(hands)} that are right and jitted)"
    slow = [row.name for row in rows if row.hand is not None and row.over_hand < 0.8]
    yield f"slower than 0.8 of it: {', '.join(slow) or 'none'}"
    yield f"trace and compile: median {statistics.median(compiling):.2f} s, most {max(compiling):.2f} s"


def table(rows):
    """The README's table."""
    yield "| kernel | times NumPy | times by hand | |"
    yield "|---|---:|---:|---|"
    for row in sorted(rows, key=lambda row: -row.over_numpy):
        hand = f"{row.over_hand:.2f}" if row.hand is not None else "–"
        word = WHY.get(row.name, "") if row.hand is not None else BY_HAND[row.by_hand]
        yield f"| {row.name} | {row.over_numpy:.1f} | {hand} | {word} |"


if __name__ == "__main__":
    main()
