"""Other people's NumPy functions, ported and compared: `python foreign.py FOLDER [FOLDER …]`.

Each Python file of a folder is run as its author meant it (its doctests, Pythran's `#runas` lines,
functions `test_…` and `main()`), and the first calls of its functions and methods that are given or
give arrays are kept. Each is then ported with the arguments of its first call, run under jit, and
held against NumPy on these and on those of another call of its. A file runs in a process of its own,
in an empty folder.

What is counted: "equal"; "refused" with the words; "WRONG", a silent difference; "CRASH", an error
that is no refusal; "NumPy fails", where the function itself does not run twice on its own arguments.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import copy
import doctest
import functools
import importlib.util
import inspect
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import types
import warnings

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))
# Calls of one function that are kept, and seconds for the author's examples, a port and a file.
KEPT, EXAMPLES, PATIENCE, FILE = 4, 6, 30, 150


class OutOfTimeError(BaseException):
    """Not an Exception: the code that is tried must not catch it."""


def within(seconds, function, *args):
    """What a function gives, if it is done in time."""

    def ring(*_):
        raise OutOfTimeError

    signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        return function(*args)
    finally:
        signal.alarm(0)


# -- the author's own calls --


class Recorder:
    """Keeps the first calls of a module's functions and methods."""

    def __init__(self, module):
        self.calls = {}
        self.restored = []
        for owner in (module, *classes(module)):
            for name, value in list(vars(owner).items()):
                if isinstance(value, types.FunctionType) and value.__module__ == module.__name__:
                    self.watch(owner, name, value)

    def watch(self, owner, name, function):
        @functools.wraps(function)
        def watched(*args, **kwargs):
            kept = self.calls.setdefault(function, [])
            if len(kept) < KEPT:
                try:
                    given = copy.deepcopy((args, kwargs))
                except Exception:  # noqa: BLE001 what cannot be copied is not tried
                    return function(*args, **kwargs)
                result = function(*args, **kwargs)
                if has_array((args, kwargs)) or has_array(result):
                    kept.append(given)
                return result
            return function(*args, **kwargs)

        self.restored.append((owner, name, function))
        setattr(owner, name, watched)

    def restore(self):
        for owner, name, function in self.restored:
            setattr(owner, name, function)


def classes(module):
    return [v for v in vars(module).values() if isinstance(v, type) and v.__module__ == module.__name__]


def has_array(value):
    import numpy as np

    if isinstance(value, list | tuple):
        return any(map(has_array, value))
    if isinstance(value, dict):
        return any(map(has_array, value.values()))
    return isinstance(value, np.ndarray | np.generic)


def examples(module, text):
    """Run what the author gives as examples, whatever becomes of each."""
    for line in re.findall(r"^#\s*runas\s+(.*)$", text, re.MULTILINE):
        attempt(lambda line=line: exec(line, vars(module)))
    for test in doctest.DocTestFinder(exclude_empty=True).find(module, module.__name__):
        for example in test.examples:
            attempt(
                lambda example=example, test=test: exec(
                    compile(example.source, "<doctest>", "single"), test.globs
                )
            )
    for name, value in list(vars(module).items()):
        if inspect.isfunction(value) and (name.startswith("test_") or name in ("main", "example")):
            attempt(value)


def attempt(action):
    """Examples fail in every way."""
    with contextlib.suppress(Exception, OutOfTimeError, SystemExit):
        within(EXAMPLES, action)


def loaded(path):
    """The file as a module; a relative import is left to fail."""
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


# -- the verdict --


def verdict(function, calls):
    """What becomes of one function."""
    from jaxmagic.errors import CannotPort, JaxmagicError
    from jaxmagic.port import port

    (args, kwargs), *others = calls
    try:
        wanted = within(PATIENCE, on_numpy, function, args, kwargs)
    except (Exception, OutOfTimeError) as error:  # noqa: BLE001 whatever it raises
        return f"NumPy fails: {type(error).__name__}"
    before = repr((args, kwargs))
    try:
        made = within(PATIENCE, lambda: port(function, *args, **kwargs))
    except CannotPort as refusal:
        where = "" if refusal.span is None else f" (line {refusal.span.line}: {refusal.excerpt.strip()})"
        return f"refused: {refusal.message}{where} -> {refusal.fix}"
    except JaxmagicError as error:
        return f"refused: {error}"
    except OutOfTimeError:
        return "out of time"
    except Exception as error:  # noqa: BLE001 that is what is counted
        return f"CRASH: {type(error).__name__}: {error}"
    if repr((args, kwargs)) != before:
        return "WRONG: the arguments were changed"
    found = held_against(made, function, wanted, args, kwargs)
    for other_args, other_kwargs in others:
        found = found or on_others(made, function, other_args, other_kwargs)
    chaotic = any(note.kind == "chaotic" for note in made.notes)
    eager = any(note.kind == "eager" for note in made.notes)
    return found or ("equal, chaotic" if chaotic else "equal, not under jit" if eager else "equal")


def on_numpy(function, args, kwargs):
    from jaxmagic.port.proof import call_on_copies

    return call_on_copies(function, function, (args, dict(kwargs)))


def on_others(made, function, args, kwargs):
    """A silent difference on other arguments; a refusal is a word."""
    try:
        wanted = within(PATIENCE, on_numpy, function, args, kwargs)
    except (Exception, OutOfTimeError):  # noqa: BLE001
        return ""
    return held_against(made, function, wanted, args, kwargs, strict=False)


def held_against(made, function, wanted, args, kwargs, strict=True):
    import jax
    import numpy as np

    from jaxmagic.port.proof import named
    from jaxmagic.port.prove import Run, compare, on_jax

    def run():
        with jax.enable_x64(made.x64):
            given, more = on_jax(copy.deepcopy((args, dict(kwargs))))
            eager = any(note.kind == "eager" for note in made.notes)
            call = made.function if eager else jax.jit(made.function, static_argnames=made.static)
            as_numpy = lambda leaf: np.asarray(leaf) if isinstance(leaf, jax.Array) else leaf  # noqa: E731
            return jax.tree.map(as_numpy, call(*given, **more))

    try:
        result = within(PATIENCE, run)
    except (Exception, OutOfTimeError) as error:  # noqa: BLE001
        return f"CRASH at running: {type(error).__name__}: {error}" if strict else ""
    after = named(function, (args, dict(kwargs)))
    if made.mutated:
        result, *changed = (
            result if made.returns else (None, *([result] if len(made.mutated) == 1 else result))
        )
        after |= dict(zip(made.mutated, changed, strict=True))
    found = compare(wanted, Run(result=result, after=after))
    if not found or any(note.kind == "chaotic" for note in made.notes):
        return ""
    return f"WRONG: {found[0].where} {found[0].how}"


# -- one file, all files --


def child(path):
    """One line of JSON for each function of a file."""
    warnings.simplefilter("ignore")
    os.environ.setdefault("MPLBACKEND", "agg")
    out = os.fdopen(os.dup(1), "w")
    silent = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(silent, stream)
    try:
        module = within(60, loaded, path)
    except (Exception, OutOfTimeError, SystemExit) as error:  # noqa: BLE001
        print(json.dumps(["(file)", f"cannot be imported: {type(error).__name__}"]), file=out, flush=True)
        return
    recorder = Recorder(module)
    examples(module, path.read_text(encoding="utf-8"))
    recorder.restore()
    for function, calls in recorder.calls.items():
        if (
            calls
            and function.__name__ not in ("main", "__init__")
            and not function.__name__.startswith("test_")
        ):
            print(json.dumps([function.__qualname__, verdict(function, calls)]), file=out, flush=True)


def verdicts(path):
    """Name and verdict of each function of a file."""
    environment = os.environ | {"MPLBACKEND": "agg", "PYTHONHASHSEED": "0"}
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(pathlib.Path(__file__).resolve()), "--child", str(path)]
        try:
            done = subprocess.run(
                command,
                stdout=subprocess.PIPE,
                text=True,
                check=False,
                cwd=folder,
                env=environment,
                timeout=FILE,
            )
            lines, status = done.stdout, done.returncode
        except subprocess.TimeoutExpired as late:
            lines, status = (late.stdout or b"").decode(), 124
    yield from (json.loads(line) for line in lines.splitlines())
    if status:
        yield "(file)", f"the process ended with {status}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=pathlib.Path)
    parser.add_argument("--child", action="store_true")
    parser.add_argument("--quiet", action="store_true", help="the table alone")
    options = parser.parse_args()
    if options.child:
        child(options.folders[0])
        return
    totals = collections.Counter()
    for path in files_of(options.folders):
        for name, word in verdicts(path):
            if not options.quiet:
                print(f"{path.parent.name}/{path.name} {name}: {word[:600]}", flush=True)
            totals[word.split(":")[0]] += 1
    for word, count in totals.most_common():
        print(f"{count:5}  {word}")
    counted = {w: n for w, n in totals.items() if w.startswith(("equal", "refused", "WRONG", "CRASH", "out"))}
    equal = sum(count for word, count in counted.items() if word.startswith("equal"))
    print(f"{sum(counted.values()):5}  functions that NumPy runs, {equal} of them equal")


def files_of(folders):
    """The files that use NumPy."""
    for folder in folders:
        for path in [folder] if folder.is_file() else sorted(folder.rglob("*.py")):
            if "numpy" in path.read_text(encoding="utf-8", errors="ignore"):
                yield path.resolve()


if __name__ == "__main__":
    main()
