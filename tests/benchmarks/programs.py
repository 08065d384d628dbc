"""Random NumPy programs, ported and compared: `python programs.py [--count 10000] [--seed 0]`.

Each is ported for one set of inputs and compared on others, so that a port that is right by luck shows.
The programs run in child processes: XLA can abort on one, which is counted and reported. XLA optimises
little, for compiling is most of the time that a program takes. With `--log FILE` a line is written for
every 50 programs, and a run that was broken off goes on where it stopped.
"""

from __future__ import annotations

import argparse
import collections
import faulthandler
import json
import os
import pathlib
import random
import subprocess
import sys
import warnings

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))
# Before JAX is imported. It halves the time for a program.
FLAGS = (
    "--xla_backend_optimization_level=0",
    "--xla_cpu_use_fusion_emitters=false",
    "--xla_llvm_disable_expensive_passes=true",
)
os.environ.setdefault("XLA_FLAGS", " ".join(FLAGS))

import jax  # noqa: E402

from tests.port_programs import judged, program  # noqa: E402
from tests.port_programs_more import more_program  # noqa: E402
from tests.port_programs_wide import wide_program  # noqa: E402

GRAMMARS = {"narrow": program, "wide": wide_program, "more": more_program}
WRONG = ("DIFFERENT", "ERROR")
# Programs in one process, programs a line of the log, and the most seconds for a program.
BATCH, LINE, PATIENCE = 200, 50, 120


def child(first, count, write):
    """One line of JSON for each program."""
    warnings.simplefilter("ignore")
    for number in range(first, first + count):
        source = write(random.Random(number).randrange)
        faulthandler.dump_traceback_later(PATIENCE, exit=True)
        try:
            verdict = judged(source, number)
        except Exception as error:  # noqa: BLE001 whatever it is, it is reported
            verdict = f"ERROR {type(error).__name__}: {error}"
        print(json.dumps([number, verdict, source if verdict.startswith(WRONG) else ""]), flush=True)
        if number % LINE == 0:
            jax.clear_caches()


def verdicts(first, count, grammar, size):
    """Number, verdict and source (of wrong ones) of programs, a fresh process after a crash or a batch."""
    at, end, environment = first, first + count, os.environ | {"PROGRAM_SIZE": size}
    while at < end:
        many = min(BATCH - at % BATCH, end - at)
        command = [sys.executable, __file__, "--child", "--grammar", grammar]
        command += ["--seed", str(at), "--count", str(many)]
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            check=False,
            env=environment,
        )
        for line in done.stdout.splitlines():
            at, *found = json.loads(line)
            yield at, *found
            at += 1
        if done.returncode:
            yield at, "ABORTED: the process died, or the program took too long", ""
            at += 1


def words_of(verdict):
    """The first words of a verdict, under which it is counted."""
    return " ".join(verdict.splitlines()[0].split()[:6])


def resumed(log, seed):
    """The totals in a log so far, and the number to go on with."""
    totals, at = collections.Counter(), seed
    if log is not None and log.exists():
        for line in log.read_text().splitlines():
            found = json.loads(line)
            totals.update(found["verdicts"])
            at = found["next"]
    return totals, at


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--grammar", choices=GRAMMARS, default="wide")
    parser.add_argument("--size", default="5", help="the length of the arrays")
    parser.add_argument("--log", type=pathlib.Path, help="written every 50 programs, and read to go on")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.seed, options.count, GRAMMARS[options.grammar])
        return
    totals, at = resumed(options.log, options.seed)
    some = collections.Counter()
    for number, verdict, source in verdicts(
        at, options.seed + options.count - at, options.grammar, options.size
    ):
        if verdict.startswith((*WRONG, "ABORTED")):
            print(f"--- program {number}\n{source}\n{verdict[:3000]}\n", flush=True)
        some[words_of(verdict)] += 1
        if (number + 1) % LINE == 0 or number + 1 == options.seed + options.count:
            totals += some
            if options.log is not None:
                with options.log.open("a") as file:
                    file.write(json.dumps({"next": number + 1, "verdicts": some}) + "\n")
            some = collections.Counter()
    print("\n".join(summary(totals)))
    sys.exit(any(words.startswith(WRONG) for words in totals))


def summary(totals):
    """One line a kind, and each refusal."""
    kinds = collections.Counter()
    for words, count in totals.items():
        kinds[words.split(":")[0]] += count
    yield f"{sum(totals.values())} programs"
    for table in (kinds, totals):
        yield from (f"{count:6} {words}" for words, count in table.most_common())
        yield ""


if __name__ == "__main__":
    main()
