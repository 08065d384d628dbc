"""The wider grammar of random programs: helpers, `while`, views of views, small integers, exits from loops.

It adds to `port_programs.Writer`; the programs of that grammar stay what they were, seed by seed.
"""

from __future__ import annotations

from tests.port_programs import N, Writer

HEAD = """\
def bump(x, s):
    x += s


def halve(x, i):
    x[i] *= 0.5
    return x[i] + 1


def mixed(x, y, t):
    z = x * t
    z[0] = y[-1]
    return z - y


def chosen(x, t):
    if t > 0:
        return x.sum()
    return x[0] * t


def program(a, b, m, k):
"""


class Wide(Writer):
    """Writes a program of the wider grammar."""

    def __init__(self, choose):
        super().__init__(choose)
        self.whole = []
        self.shorts = []
        self.breakable = 0

    def statement(self, depth, pad):
        if self.choose(2):
            super().statement(depth, pad)
            return
        options = [
            self.call_helper,
            self.conditional,
            self.in_place,
            self.mask_more,
            self.whole_numbers,
            self.short_views,
            self.flat_view,
            self.powers,
            self.rows,
        ]
        if depth < 2:
            options += [self.while_loop, self.element_loop, self.chain_of_conditions]
        if self.breakable:
            options += [self.leave, self.leave]
        self.pick(options)(depth, pad)

    def test(self):
        left, right = self.scalar(1), self.scalar(2)
        simple = f"{left} {self.pick(['<', '>', '>=', '!='])} {right}"
        return self.pick(
            [simple, f"{simple} and {self.scalar(2)} > 0", f"not {simple}", f"0 < {left} <= {right}"]
        )

    def call_helper(self, depth, pad):
        v, w = self.pick(self.vectors), self.pick(self.vectors)
        calls = [
            f"bump({v}, {self.scalar(2)})",
            f"bump({v}[1:4], 0.5)",
            f"bump({self.pick(self.matrices)}[0], {w})",
        ]
        calls += [
            f"{v}[{self.index()}] = halve({w}, {self.index()})",
            f"{v}[:] = mixed({v}, {w}, {self.scalar(2)})",
        ]
        if depth == 0:
            name = self.fresh("h")
            calls.append(f"{name} = {self.pick(['halve', 'chosen'])}({v}, 1)")
            text = self.pick(calls)
            self.scalars += [name] if text.startswith(f"{name} ") else []
            self.write(pad, text)
        else:
            self.write(pad, self.pick(calls))

    def conditional(self, depth, pad):
        value = f"{self.scalar(1)} if {self.test()} else {self.scalar(2)}"
        if depth == 0:
            name = self.fresh("s")
            self.write(pad, f"{name} = {value}")
            self.scalars.append(name)
        else:
            self.write(pad, f"{self.pick(self.vectors)}[{self.index()}] = {value}")

    def in_place(self, depth, pad):
        v, w, s = self.pick(self.vectors), self.pick(self.vectors), self.scalar(2)
        options = [
            f"np.add({v}, {w}, out={v})",
            f"np.minimum({v}, {s}, out={v})",
            f"{v}.sort()",
            f"{v}.fill({s})",
            f"np.add.at({v}, k, {s})",
            f"np.copyto({v}, {w})",
            f"np.multiply({v}, {s}, {v})",
            f"np.fill_diagonal({self.pick(self.matrices)}, {s})",
            f"{v}.flat[{self.index()}] = {s}",
            f"np.maximum.at({v}, k, 0.5)",
        ]
        self.write(pad, self.pick(options))

    def mask_more(self, depth, pad):
        v, w, m = self.pick(self.vectors), self.pick(self.vectors), self.pick(self.matrices)
        options = [
            f"{v}[({self.mask()}) & ({self.mask()})] = {self.scalar(2)}",
            f"{v}[{w} > 0] += {self.scalar(2)}",
            f"{v}[{w} < 0.5] = {w}[{w} < 0.5] * 2",
            f"{m}[{m} > {self.scalar(2)}] = {self.scalar(2)}",
            f"{m}[{v} > 0] *= 0.5",
            f"{v}[~({self.mask()})] *= -1",
        ]
        self.write(pad, self.pick(options))

    def whole_numbers(self, depth, pad):
        if depth == 0 and (not self.whole or self.choose(2)):
            name = self.fresh("n")
            value = self.pick(
                [
                    "k * 3 - 4",
                    "k.copy()",
                    "k.astype(np.int8) * 50",
                    "(a * 3).astype(int)",
                    "k.astype(np.uint8) - 2",
                ]
            )
            self.write(pad, f"{name} = {value}")
            self.whole.append(name)
            return None
        if not self.whole:
            return self.in_place(depth, pad)
        n, other = self.pick(self.whole), self.pick([*self.whole, "k"])
        options = [
            f"{n}[{self.index()}] += 3",
            f"{n} //= 2",
            f"{n} %= 3",
            f"{n}[k] -= 1",
            f"{n}[{n} < 0] = 0",
            f"{n}[:] = {n} // ({other} - 1)",
            f"{n}[{self.index()}] = {self.scalar(2)}",
            f"{self.pick(self.vectors)}[:] += {n}",
            f"{n} *= {self.pick(['2', '7', '-1'])}",
        ]
        self.write(pad, self.pick(options))
        return None

    def short_views(self, depth, pad):
        if depth == 0 and (not self.shorts or self.choose(2)):
            name, v = self.fresh("u"), self.pick(self.vectors)
            sources = [f"{v}[1:4]", f"{v}[::2]", f"{v}[2:][::-1]", f"{self.pick(self.matrices)}[1:4, 0]"]
            sources += [f"{s}[::-1]" for s in self.shorts]
            self.write(pad, f"{name} = {self.pick(sources)}")
            self.shorts.append(name)
            return None
        if not self.shorts:
            return self.in_place(depth, pad)
        u = self.pick(self.shorts)
        options = [
            f"{u}[0] = {self.scalar(2)}",
            f"{u} *= 0.5",
            f"{u}[1:] += {self.scalar(2)}",
            f"{u}[-1] -= {u}[0]",
        ]
        options += [f"{self.pick(self.vectors)}[{self.index()}] = {u}.sum()", f"{u}[:] = {u}[::-1]"]
        self.write(pad, self.pick(options))
        return None

    def flat_view(self, depth, pad):
        if depth:
            return self.mask_more(depth, pad)
        name, m = self.fresh("f"), self.pick(self.matrices)
        self.write(
            pad, f"{name} = {m}.{self.pick(['reshape(-1)', 'ravel()', 'T.reshape(-1)', 'T.copy().ravel()'])}"
        )
        self.write(pad, f"{name}[{self.index()}] = {self.scalar(2)}")
        self.write(pad, f"{name}[3:7] += {self.scalar(2)}")
        self.shorts.append(name)
        return None

    def powers(self, depth, pad):
        v = self.pick(self.vectors)
        options = [
            f"{v} /= 2",
            f"{v} **= 2",
            f"{v}[{self.index()}] /= 4",
            f"{v}[1:] -= {v}[:-1]",
            f"{v}[:-1] = {v}[1:]",
        ]
        options += [f"{self.pick(self.matrices)}[1:] += {self.pick(self.matrices)}[:-1]", f"{v}[k] *= {v}[k]"]
        self.write(pad, self.pick(options))

    def rows(self, depth, pad):
        m = self.pick(self.matrices)
        i, j = self.index(), self.index()
        options = [
            f"{m}[{i}], {m}[{j}] = {m}[{j}].copy(), {m}[{i}].copy()",
            f"{m}[[0, 1]] = {m}[[1, 0]]",
            f"{m}[:, k] = {m}[:, {i}][:, None]",
            f"{m}[k, k] += 1",
            f"{m} -= {m}.mean(axis={self.pick('01')}, keepdims=True)",
            f"{m} = {m} @ {m}.T * 0.1",
        ]
        self.write(pad, self.pick(options))

    def while_loop(self, depth, pad):
        name = self.fresh("w")
        more = self.pick(["", f" and {self.test()}"])
        self.write(pad, f"{name} = 0")
        self.write(pad, f"while {name} < {self.pick('234')}{more}:")
        self.write(pad + "    ", f"{name} += 1")
        self.inside(depth, pad, name)

    def element_loop(self, depth, pad):
        x, i, v = self.fresh("x"), self.fresh("i"), self.pick(self.vectors)
        header = self.pick(
            [
                f"for {x} in {v}",
                f"for {i}, {x} in enumerate({v})",
                f"for {x}, {i} in zip({v}, range({N}))",
                f"for {x}, {i} in zip({v}, k)",
                f"for {i} in k",
                f"for {i} in range({N - 1}, 0, -2)",
            ]
        )
        self.write(pad, f"{header}:")
        scalars = list(self.scalars)
        self.scalars += [x] if f" {x} " in header or f"{x}," in header else []
        self.inside(depth, pad, i if i in header else None)
        self.scalars = scalars

    def inside(self, depth, pad, index):
        self.loops += [index] if index is not None else []
        self.breakable += 1
        self.block(depth + 1, pad + "    ", 1 + self.choose(3))
        self.breakable -= 1
        if index is not None:
            self.loops.pop()

    def loop(self, depth, pad):
        if len(self.loops) > 1:
            return self.element_loop(depth, pad)
        self.breakable += 1
        super().loop(depth, pad)
        self.breakable -= 1
        return None

    def leave(self, depth, pad):
        self.write(pad, f"if {self.test()}:")
        self.write(pad + "    ", self.pick(["break", "continue"]))
        self.store_scalar(depth, pad)

    def chain_of_conditions(self, depth, pad):
        held, self.breakable = self.breakable, 0
        self.write(pad, f"if {self.test()}:")
        self.block(depth + 1, pad + "    ", 1)
        self.write(pad, f"elif {self.test()}:")
        self.block(depth + 1, pad + "    ", 1 + self.choose(2))
        if self.choose(2):
            self.write(pad, "else:")
            self.block(depth + 1, pad + "    ", 1)
        self.breakable = held

    def source(self):
        self.block(0, "    ", 3 + self.choose(5))
        results = ", ".join([*self.vectors, *self.matrices, *self.scalars, *self.whole, *self.shorts])
        return HEAD + "\n".join(self.lines) + f"\n    return {results}\n"


def wide_program(choose):
    """A program's source in the wider grammar."""
    return Wide(choose).source()
