"""Port NPBench's kernels, compare and time them: `python npbench.py FOLDER [kernel …] [--preset S]`.

FOLDER is a checkout of github.com/spcl/npbench; nothing of it is kept here. Times of NumPy, of the
port and (where the suite has one that runs) of the hand-written JAX version are interleaved.
"""

from __future__ import annotations

import argparse
import copy
import functools
import importlib.util
import json
import math
import pathlib
import pickle
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

ROUNDS = 7
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


def hand_written(folder, info, args):
    """The suite's own JAX version, where it runs."""
    here = folder / "npbench" / "benchmarks" / info["relative_path"]
    path = here / f"{info['module_name']}_jax.py"
    if not path.exists():
        return None
    try:
        function = getattr(load(path, f"jax_{info['short_name']}"), info["func_name"])
        given = [jax.numpy.array(a) if isinstance(a, np.ndarray) else a for a in args]
        jax.block_until_ready(function(*given))
    except Exception:  # noqa: BLE001 theirs may fail in any way
        return None
    return lambda: jax.block_until_ready(function(*given))


def quarter(samples):
    return sorted(samples)[len(samples) // 4]


def race(runs):
    """The lower quartile of each, called in turn."""
    samples = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, run in runs.items():
            started = time.perf_counter()
            run()
            samples[name].append(time.perf_counter() - started)
    return {name: quarter(values) for name, values in samples.items()}


def measure(folder, info, preset, alone):
    args = inputs_of(folder, info, preset)
    kernel = numpy_kernel(folder, info)
    started = time.perf_counter()
    made = port(kernel, *args)
    took = time.perf_counter() - started
    with jax.enable_x64(new_val=True):
        given = [jax.numpy.array(a) if isinstance(a, np.ndarray) else a for a in args]
        fresh = functools.wraps(made.function)(lambda *args: made.function(*args))
        jitted = jax.jit(fresh, static_argnames=made.static)
        started = time.perf_counter()
        compiled = jitted.lower(*given).compile()
        compiling = time.perf_counter() - started
        del compiled
        runs = {
            "numpy": lambda: kernel(*copy.deepcopy(args)),
            "port": lambda: jax.block_until_ready(jitted(*given)),
        }
        hand = hand_written(folder, info, args)
        if hand is not None:
            runs["hand"] = hand
        runs["port"]()
        if alone:
            print(f"{info['short_name']:12} alone: {runs_alone(made, given)}", flush=True)
        return made, took, compiling, race(runs)


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
    parser.add_argument("--alone", action="store_true", help="run each port's source in a fresh process too")
    parser.add_argument("--show", action="store_true", help="print the ports")
    parser.add_argument("--trace", action="store_true", help="print tracebacks")
    options = parser.parse_intermixed_args()
    signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(TimeoutError("too long")))
    rows, failed, total = [], [], 0
    for info in kernels(options.folder, options.kernels):
        total += 1
        signal.alarm(options.limit)
        try:
            made, took, compiling, times = measure(options.folder, info, options.preset, options.alone)
        except Exception as error:  # noqa: BLE001 whatever it is, it is reported
            signal.alarm(0)
            failed.append(info["short_name"])
            print(f"{info['short_name']:12} FAILED {type(error).__name__}: {str(error)[:400]}", flush=True)
            if options.trace:
                traceback.print_exc()
            continue
        signal.alarm(0)
        over = times["numpy"] / times["port"]
        hand = times["hand"] / times["port"] if "hand" in times else math.nan
        notes = ",".join(note.kind for note in made.notes)
        rows.append((over, hand, compiling))
        print(
            f"{info['short_name']:12} numpy {times['numpy'] * 1e3:9.3f} ms  "
            f"port {times['port'] * 1e3:9.3f} ms  x{over:8.2f}  hand x{hand:6.2f}  "
            f"compile {compiling:5.2f} s  port made in {took:5.2f} s  {notes}",
            flush=True,
        )
        if options.show:
            print(made.source)
    print(f"\nequal {len(rows)} of {total}; failed: {', '.join(failed) or 'none'}")
    print(f"geomean over NumPy {geomean(row[0] for row in rows):.2f}")
    hands = [row[1] for row in rows if not math.isnan(row[1])]
    print(f"geomean over hand-written JAX {geomean(hands):.2f} ({len(hands)} that run)")
    if rows:
        compiling = [row[2] for row in rows]
        print(f"trace and compile: median {statistics.median(compiling):.2f} s, most {max(compiling):.2f} s")


if __name__ == "__main__":
    main()
