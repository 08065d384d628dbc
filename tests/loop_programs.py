"""Random loop nests over vectors and matrices: what `jax.vmap`, rows and sums have to keep apart.

`program(choose)` writes one from a source of choices (`choose(n)` gives a number below n). With
`eager_passes` even short loops are tried, so that small inputs, which NumPy runs at once, will do.
"""

from __future__ import annotations

import contextlib
from unittest import mock

import numpy as np

from jaxmagic.port import drive, independent, loops, rows, sums
from tests import port_programs

N = 6
HEAD = "def program(a, b, m, k):\n    n = m.shape[0]\n"


class Writer:
    """Writes a nest of loops line by line."""

    def __init__(self, choose):
        self.choose = choose
        self.lines = []
        self.loops = []

    def pick(self, *options):
        return options[self.choose(len(options))]

    def index(self):
        """A place along an axis, mostly a loop's own."""
        if not self.loops:
            return self.pick("0", "1")
        i, j = self.loops[0], self.loops[-1]
        return self.pick(i, j, j, i, f"{j} - 1", f"{i} + 1", f"{i} - 1", "0", "2", f"k[{i}]")

    def window(self):
        i = self.pick(*self.loops) if self.loops else "3"
        return self.pick(":", ":", f":{i}", f"{i}:", f"{i} + 1:", f":{i} + 1", "1:4")

    def vector(self):
        """Something with one axis, windows apart of the same length."""
        w, v = self.window(), self.pick("a", "b")
        return self.pick(f"{v}[{w}]", f"m[{self.index()}, {w}]", f"m[{w}, {self.index()}]"), w

    def scalar(self, depth=0):
        kinds = [
            lambda: self.pick("0.5", "2.0", "-0.25"),
            lambda: f"{self.pick('a', 'b')}[{self.index()}]",
            lambda: f"m[{self.index()}, {self.index()}]",
            lambda: f"m[{self.index()}, {self.index()}]",
            self.product,
        ]
        if depth < 2:
            kinds += [lambda: self.both(depth), lambda: self.both(depth)]
        return self.pick(*kinds)()

    def both(self, depth):
        left = self.scalar(depth + 1)
        op = self.pick("*", "*", "+", "-")
        return f"{left} {op} {self.scalar(depth + 1)}"

    def product(self):
        first, w = self.vector()
        second = self.pick(f"a[{w}]", f"b[{w}]", f"m[{self.index()}, {w}]", f"m[{w}, {self.index()}]")
        return f"({first} @ {second})" if self.choose(2) else f"np.dot({first}, {second})"

    def statement(self):
        op = self.pick("=", "+=", "+=", "-=", "*=")
        kind = self.choose(8)
        if kind < 2:
            return f"{self.pick('a', 'b')}[{self.index()}] {op} {self.scalar()}"
        if kind < 5:
            return f"m[{self.index()}, {self.index()}] {op} {self.scalar()}"
        if kind == 5:
            w = self.window()
            row = self.pick(f"m[{self.index()}, {w}]", f"m[{w}, {self.index()}]")
            value = self.pick(f"a[{w}]", f"b[{w}] * {self.scalar(2)}", f"m[{self.index()}, {w}] * 0.5")
            return f"{row} {op} {value}"
        if kind == 6:
            return f"t {self.pick('+=', '-=', '=')} {self.scalar()}"
        return f"s = {self.scalar()}\n{'    ' * (len(self.loops) + 1)}b[{self.index()}] += s"

    def loop(self):
        v = "ij"[len(self.loops)]
        lower = self.pick("", "", "1, ", *(f"{i}, " for i in self.loops), *(f"{i} + 1, " for i in self.loops))
        upper = self.pick("n", "n", "n - 1", *self.loops, "m.shape[1]")
        backwards = not self.choose(8)
        head = "range(n - 1, -1, -1)" if backwards else f"range({lower}{upper})"
        self.lines.append(f"{'    ' * (len(self.loops) + 1)}for {v} in {head}:")
        self.loops.append(v)
        for _ in range(1 + self.choose(3)):
            if len(self.loops) < 2 and self.choose(2):
                self.loop()
            else:
                self.lines.append("    " * (len(self.loops) + 1) + self.statement())
        self.loops.pop()

    def source(self):
        self.lines.append("    t = 0.0")
        for _ in range(1 + self.choose(2)):
            self.loop()
        return HEAD + "\n".join(self.lines) + "\n    return t\n"


def program(choose):
    """A program's source."""
    return Writer(choose).source()


@contextlib.contextmanager
def eager_passes(failed=None):
    """Passes that take every loop, however short; `failed` collects ports that had to be made again."""

    def noted(program, facts, made, *rest):
        again, notes = proved(program, facts, made, *rest)
        if again is not made and failed is not None:
            failed.append(made.module.source)
        return again, notes

    proved = drive.proved_or_looped
    with (
        mock.patch.object(independent, "LEAST", 2),
        mock.patch.object(sums, "LEAST", 2),
        mock.patch.object(loops, "SHORT", 0),
        mock.patch.object(rows, "SHARE", 0.0),
        mock.patch.object(port_programs, "N", N),
        mock.patch.object(drive, "proved_or_looped", noted),
    ):
        yield


def judged(source, number):
    """As `port_programs.judged`; a difference that the proof found counts as one."""
    failed = []
    with eager_passes(failed), np.errstate(all="ignore"):
        verdict = port_programs.judged(source, number)
    return f"DIFFERENT at first\n{failed[0]}" if failed else verdict
