"""Does the race read what is known? Ratios within one run each; prints a Markdown table.

    python tests/benchmarks/race_truth.py [races] [seconds]

- Three times the work reads 3.00, and one function on both sides reads 1.00, on the machine as it is
  and beside a process that is alternately busy and idle: the largest error, and how often the
  interval holds the truth.
- Ten functions from 1 µs to 1 s against a hand-made interleaved measurement (single samples in random
  order, low quantile) under the same conditions.
- What the race reports for a function of 1 µs against the best that timeit reports.

The bars are 2 % and 18 of 20, 5 %, and 10 %, with 20 races of 1 s.
"""

from __future__ import annotations

import contextlib
import random
import subprocess
import sys
import time
import timeit

import numpy as np

from jaxmagic.bench.race import race

BUSY = (
    "import time\n"
    "while True:\n"
    "    until = time.perf_counter() + 0.3\n"
    "    while time.perf_counter() < until: pass\n"
    "    time.sleep(0.3)\n"
)


def work(times):
    """The same array operation, so many times."""
    x = np.random.rand(1000)

    def run():
        for _ in range(times):
            np.sin(x)

    return run


@contextlib.contextmanager
def neighbour(busy):
    """A process that is busy for 0.3 s and idle for 0.3 s, in turns."""
    process = subprocess.Popen([sys.executable, "-c", BUSY]) if busy else None
    try:
        yield
    finally:
        if process is not None:
            process.kill()
            process.wait()


def known_ratio(truth, races, seconds):
    """Of so many races: the relative errors, how many intervals hold the truth, the cores of others."""
    errors, others, held = [], [], 0
    for _ in range(races):
        functions = {"long": work(100 * truth), "short": work(100)}
        result = race(functions, budget=seconds)
        times = result.speedup("short", over="long")
        errors.append(abs(times.estimate / truth - 1))
        others.append(result.conditions["busy cores of others"] or 0.0)
        held += (times.low or 0) <= truth <= (times.high or np.inf)
    return errors, held, float(np.mean(others))


def by_hand(call, seconds):
    """Seconds a call: samples of at least 0.2 ms, the first tenth dropped, their lowest tenth."""
    start = time.perf_counter()
    call()
    once = time.perf_counter() - start
    repeats = max(1, round(0.0002 / once))
    samples = []
    until = time.perf_counter() + seconds
    while time.perf_counter() < until or len(samples) < 3:
        start = time.perf_counter()
        for _ in range(repeats):
            call()
        samples.append((time.perf_counter() - start) / repeats)
    return float(np.quantile(samples[len(samples) // 10 :], 0.1))


def scale(seconds):
    """A function of about so many seconds."""
    x = np.random.rand(64)
    once = min(timeit.repeat(lambda: np.sin(x), number=1000, repeat=5)) / 1000
    repeats = max(1, round(seconds / once))

    def run():
        for _ in range(repeats):
            np.sin(x)

    return run


def against_hand_made(seconds):
    """(length, race over hand) for ten functions; both take turns in random order, three times each."""
    for length in np.geomspace(1e-6, 1.0, 10):
        call, ratios = scale(length), []
        budget = max(seconds, 4 * length)
        for _ in range(1 if length > 0.5 else 3):
            ways = [("race", lambda c=call, b=budget: race({"it": c}, budget=b).contenders["it"].typical)]
            ways += [("hand", lambda c=call, b=budget: by_hand(c, b))]
            random.shuffle(ways)
            found = {name: way() for name, way in ways}
            if found["race"] is not None:  # where the machine is so busy that one call was cut off
                ratios.append(found["race"] / found["hand"])
        yield length, float(np.median(ratios)) if ratios else float("nan")


def against_timeit(seconds):
    """What the race reports for a function of about 1 µs over timeit's best."""
    x = np.random.rand(64)

    def small(x):
        return np.sin(x)

    best = min(timeit.repeat(lambda: small(x), number=10_000, repeat=20)) / 10_000
    direct = (
        min(timeit.repeat("small(x)", globals={"small": small, "x": x}, number=10_000, repeat=20)) / 10_000
    )
    reported = race({"small": small}, x, budget=seconds).contenders["small"].typical
    return reported / direct, direct, best


def main(races=5, seconds=1.0):
    print(f"{races} races of {seconds:g} s each\n")
    print("| known truth | neighbour | cores of others | largest error | within 2 % | interval holds it |")
    print("|---|---|---:|---:|---:|---:|")
    for busy in (False, True):
        for truth in (3, 1):
            with neighbour(busy):
                errors, held, others = known_ratio(truth, races, seconds)
            name, near = "busy and idle" if busy else "none", sum(error <= 0.02 for error in errors)
            print(
                f"| {truth}.00 | {name} | {others:.1f} | {max(errors):.2%} "
                f"| {near} of {races} | {held} of {races} |",
                flush=True,
            )
    print("\n| one call takes | race over hand-made |\n|---:|---:|")
    for length, ratio in against_hand_made(seconds / 2):
        print(f"| {length * 1e6:,.3g} µs | {ratio:.3f} |", flush=True)
    ratio, direct, _ = against_timeit(seconds)
    print(f"\nA function of {direct * 1e6:.2f} µs by timeit's best reads {ratio:.3f} times that.")


if __name__ == "__main__":
    main(*(kind(text) for kind, text in zip((int, float), sys.argv[1:], strict=False)))
