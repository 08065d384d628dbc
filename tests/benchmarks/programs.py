"""Random NumPy programs, ported and compared: `python programs.py [--count 10000] [--seed 0]`."""

from __future__ import annotations

import argparse
import collections
import random
import sys
import warnings

import pathlib

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

from tests.port_programs import judged, program


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    verdicts = collections.Counter()
    for number in range(options.seed, options.seed + options.count):
        source = program(random.Random(number).randrange)
        try:
            verdict = judged(source, number)
        except Exception as error:
            verdict = f"ERROR {type(error).__name__}: {error}"
        if verdict.startswith(("DIFFERENT", "ERROR")):
            print(f"--- program {number}\n{source}\n{verdict[:3000]}\n", flush=True)
        words = verdict.splitlines()[0].split(":")[0]
        if words == "refused":
            words = "refused: " + " ".join(verdict.split(": ", 1)[1].replace("`", " ").split()[:60])[:60]
        verdicts[words] += 1
    for words, count in verdicts.most_common():
        print(f"{count:6} {words}")
    sys.exit(any(words.startswith(("DIFFERENT", "ERROR")) for words in verdicts))


if __name__ == "__main__":
    main()
