"""Random NumPy programs, ported and compared: `python programs.py [--count 10000] [--seed 0] [--first]`.

`--first` takes the first, narrower grammar.

Each is ported for one set of inputs and compared on another, so that a port that is right by luck
shows. The programs run in child processes: XLA can abort on one, which is counted and reported.
"""

from __future__ import annotations

import argparse
import collections
import json
import pathlib
import random
import subprocess
import sys
import warnings

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

from tests.port_programs import judged, program
from tests.port_programs_wide import wide_program

WRONG = ("DIFFERENT", "ERROR")


def source_of(number, write):
    return write(random.Random(number).randrange)


def child(first, count, write):
    """One line of JSON for each program."""
    warnings.simplefilter("ignore")
    for number in range(first, first + count):
        try:
            verdict = judged(source_of(number, write), number)
        except Exception as error:  # noqa: BLE001 whatever it is, it is reported
            verdict = f"ERROR {type(error).__name__}: {error}"
        print(json.dumps([number, verdict]), flush=True)


def verdicts(first, count, flags):
    """Number and verdict of each program, a fresh process after each crash or 500 programs."""
    at, end = first, first + count
    while at < end:
        command = [
            sys.executable,
            __file__,
            "--child",
            "--seed",
            str(at),
            "--count",
            str(min(500, end - at)),
            *flags,
        ]
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False
        )
        for line in done.stdout.splitlines():
            at, verdict = json.loads(line)
            yield at, verdict
            at += 1
        if done.returncode:
            yield at, "XLA aborted the process"
            at += 1


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", action="store_true")
    parser.add_argument("--child", action="store_true")
    options = parser.parse_args()
    write, flags = (program, ["--first"]) if options.first else (wide_program, [])
    if options.child:
        child(options.seed, options.count, write)
        return
    totals = collections.Counter()
    for number, verdict in verdicts(options.seed, options.count, flags):
        if verdict.startswith((*WRONG, "XLA")):
            print(f"--- program {number}\n{source_of(number, write)}\n{verdict[:3000]}\n", flush=True)
        totals[" ".join(verdict.splitlines()[0].split()[:6])] += 1
    for words, count in totals.most_common():
        print(f"{count:6} {words}")
    sys.exit(any(words.startswith(WRONG) for words in totals))


if __name__ == "__main__":
    main()
