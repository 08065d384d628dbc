"""The widest grammar of random programs: what the wide one cannot write.

Arrays aliased through helpers and conditions, helpers of random statements with early returns, views
of views, masks written through views, small integers that wrap, booleans and 32 bits, loops over rows and
over data, empty slices and loops without a turn, closures, `out=` of views, and more of NumPy's functions.
"""

from __future__ import annotations

from tests.port_programs import N
from tests.port_programs_wide import HEAD, Wide

MORE = """\
def same(x):
    return x


def tail(x):
    return x[1:]


def larger(x, y):
    return x if x.sum() > y.sum() else y


def into(x, y):
    x[:] = y
    return x


def shifted(x):
    x[1:] = x[:-1].copy()
    x[0] = 0


def both(x, y):
    x[0] += 1
    y[-1] *= 2
    return y, x


def first_above(x, t):
    for v in x:
        if v > t:
            return v
    return t


def leading(x):
    n = 0
    while n < len(x) and x[n] > 0:
        n += 1
    return n


def positive(x):
    x[x < 0] = 0
    return (x > 0).sum()


def closed(x, s):
    def inner(y):
        return y * s + x[0]

    return inner(x) - inner(s)


def clipped(x, low=-1.0, high=1.0):
    return np.clip(x, low, high, out=x)


def row_sums(z):
    total = np.zeros(z.shape[0])
    for i, row in enumerate(z):
        row[0] += 1
        total[i] = row.sum()
    return total


"""


BLOCKS = ("[1:4]", "[:, 1:4]", ".T", "[::-1]", "[1:4, 1:4].T", "[::2, ::2]")


class More(Wide):
    """Writes a program of the widest grammar."""

    def __init__(self, choose):
        super().__init__(choose)
        self.flags = []
        self.floats = []
        self.small = []
        self.blocks = []
        self.made = []

    def statement(self, depth, pad):
        if self.choose(3) == 0:
            super().statement(depth, pad)
            return
        options = [
            self.alias,
            self.helper,
            self.made_helper,
            self.view_of_view,
            self.mask_through_view,
            self.narrow_integers,
            self.booleans,
            self.short_floats,
            self.empty,
            self.targets,
            self.out_of_view,
            self.functions,
            self.at_times,
            self.closure,
            self.block_views,
            self.conversions,
        ]
        if depth < 2:
            options += [self.row_loop, self.data_loop, self.no_turn, self.while_on_data]
        self.pick(options)(depth, pad)

    def name(self):
        return self.pick(self.vectors)

    def alias(self, depth, pad):
        v, w = self.name(), self.name()
        sources = [f"same({v})", f"larger({v}, {w})", f"{v} if {self.test()} else {w}", f"into({v}, {w})"]
        sources += [
            f"np.asarray({v})",
            f"{v}.view()",
            f"{v}[...]",
            f"{v}.reshape(-1)",
            f"{v}.copy()",
            f"+{v}",
        ]
        if depth == 0:
            name = self.fresh("w")
            self.write(pad, f"{name} = {self.pick(sources)}")
            self.vectors.append(name)
        else:
            self.write(pad, f"{self.name()} = {self.pick(sources)}")

    def helper(self, depth, pad):
        v, w, s = self.name(), self.name(), self.scalar(2)
        calls = [
            f"shifted({v})",
            f"shifted({self.pick(self.matrices)}[:, {self.index()}])",
            f"{v}, {w} = both({v}, {w})",
            f"{v}[{self.index()}] = first_above({w}, {s})",
            f"{v}[0] = positive({w})",
            f"{v}[:leading({w})] = {s}",
            f"{v} = closed({w}, {s})",
            f"clipped({v}, high={s})",
            f"{v}[:] = row_sums({self.pick(self.matrices)})",
            f"tail({v})[0] = {s}",
            f"same({v})[{self.index()}] += {s}",
            f"into({v}[1:4], {w}[:3])",
            f"into({self.pick(self.matrices)}[0], {w})[1] = {s}",
            f"bump(x={v}, s={w}[0])",
        ]
        self.write(pad, self.pick(calls))

    def made_helper(self, depth, pad):
        if not self.made:
            self.helper(depth, pad)
            return
        called, kind = self.pick(self.made)
        first = self.pick(
            [self.name(), f"{self.pick(self.matrices)}[{self.index()}]", f"{self.name()}[::-1]"]
        )
        call = f"{called}({first}, {self.name()}, {self.pick(self.matrices)}, k)"
        if kind == "nothing":
            self.write(pad, call)
        elif depth:
            self.write(
                pad, f"{self.name()}[:] = {call}" if kind == "vector" else f"{self.name()}[0] = {call}"
            )
        else:
            name = self.fresh("r")
            self.write(pad, f"{name} = {call}")
            (self.vectors if kind == "vector" else self.scalars).append(name)

    def view_of_view(self, depth, pad):
        m, v, s = self.pick(self.matrices), self.name(), self.scalar(2)
        stores = [
            f"{m}[1:][{self.pick('0123')}][::-1][1:3]",
            f"{m}.T[1:4].T[{self.index()}]",
            f"{m}[::-1, 1:][{self.pick('01')}, :2]",
            f"{v}[1:][::2]",
            f"{v}[::-1][1:][:2]",
            f"{m}.T.reshape(-1)[::6]",
            f"{m}.reshape(-1)[::6]",
            f"{v}[None, :][0, 1:]",
            f"{m}[..., 0][1:]",
            f"{m}[1:4, 1:4].T[0]",
        ]
        self.write(pad, f"{self.pick(stores)} {self.pick(['=', '+=', '*='])} {s}")

    def mask_through_view(self, depth, pad):
        m, v, w, s = self.pick(self.matrices), self.name(), self.name(), self.scalar(2)
        i = self.index()
        options = [
            f"{m}[{i}][{v} > 0] = {s}",
            f"{m}.T[{i}][{v} < {w}] += {s}",
            f"{v}[::-1][{w} > 0] = {s}",
            f"{m}[1:3][{m}[1:3] > {s}] = 0",
            f"{v}[1:][{v}[1:] < {v}[:-1]] *= 0.5",
            f"{m}[:, {i}][{m}[{i}] > 0] -= {s}",
            f"{m}[{v} > 0, {i}] = {s}",
            f"{m}[{v} > 0] = {w}",
            f"{m}[:, {v} > 0] *= 0.5",
            f"{v}[np.where({w} > 0)] = {s}",
            f"{v}[{w} > 0] = {v}[{w} > 0][::-1]",
            f"{v}[({w} > 0) | ({v} < {s})] = {w}[0]",
            f"{v}[k][{w} > 0] = 1",
            f"np.putmask({v}, {w} > 0, {s})",
            f"{m}[{m} < 0] = {m}[{m} < 0] ** 2",
        ]
        self.write(pad, self.pick(options))

    def narrow_integers(self, depth, pad):
        if depth == 0 and (not self.small or self.choose(2)):
            name = self.fresh("n")
            kind = self.pick(["int8", "uint8", "int16", "int32", "uint16"])
            value = self.pick(["k * 50", "k * -30", "k + 120", "k ** 4", f"np.arange({N}) * 60 - 100"])
            self.write(pad, f"{name} = ({value}).astype(np.{kind})")
            self.small.append(name)
            return
        if not self.small:
            self.booleans(depth, pad)
            return
        n, other, i = self.pick(self.small), self.pick(self.small), self.index()
        options = [
            f"{n} += 100",
            f"{n} *= 3",
            f"{n}[{i}] += 77",
            f"{n}[:] = {other}[::-1] * 2",
            f"{n}[{i}] = {other}[{self.index()}] - k[{self.index()}]",
            f"{n} >>= 1",
            f"{n} ^= 5",
            f"{n}[{n} > 50] -= 60",
            f"{self.name()}[:] = {n} * 1.5",
            f"{self.name()}[{i}] = {n}.sum()",
            f"{self.name()}[{i}] = {n}[{i}] // 3 + {n}[{i}] % 7",
            f"np.add.at({n}, k, 90)",
            f"{n} = {n} + {other}",
            f"{n}[:] = -{n}",
            f"{n}[:] = abs({n})",
            f"{n}[:] = np.cumsum({n})",
            f"{n}[:] = ({self.name()} * 10).astype(int)",
            f"{n} //= 7",
            f"{n} %= 13",
        ]
        self.write(pad, self.pick(options))

    def booleans(self, depth, pad):
        v, s = self.name(), self.scalar(2)
        if depth == 0 and (not self.flags or self.choose(2)):
            name = self.fresh("p")
            self.write(
                pad, f"{name} = {self.pick([self.mask(), f'{v} > {s}', 'k > 2', f'np.zeros({N}, bool)'])}"
            )
            self.flags.append(name)
            return
        if not self.flags:
            self.functions(depth, pad)
            return
        p, i = self.pick(self.flags), self.index()
        options = [
            f"{p}[{i}] = {s}",
            f"{p}[{i}] = {v}[0] > {s}",
            f"{p} &= {v} > {s}",
            f"{p} |= {self.pick(self.flags)}[::-1]",
            f"{p}[:] = ~{p}",
            f"{v}[{p}] = {s}",
            f"{v}[~{p}] += 1",
            f"{v}[:] = {v} * {p}",
            f"{v}[{i}] = {p}.sum() + {p}.mean()",
            f"{v}[{i}] = {p}[0] + {p}[1]",
            f"{p}[k] = {s} > 0",
            f"{p} = {p} ^ ({v} > 0)",
        ]
        self.write(pad, self.pick(options))

    def short_floats(self, depth, pad):
        v, s = self.name(), self.scalar(2)
        if depth == 0 and (not self.floats or self.choose(2)):
            name = self.fresh("g")
            self.write(pad, f"{name} = {v}.astype(np.float32)")
            self.floats.append(name)
            return
        if not self.floats:
            self.out_of_view(depth, pad)
            return
        g, i = self.pick(self.floats), self.index()
        options = [
            f"{g} *= 2",
            f"{g}[{i}] = {s}",
            f"{g} += {v}",
            f"{g} = {g} * 0.5",
            f"{v}[:] = {g} * {v}",
            f"{v}[{i}] = {g}[{i}]",
            f"{g}[{v} > 0] = {v}[0]",
            f"{g}[{i}] = {g}.sum()",
        ]
        self.write(pad, self.pick(options))

    def empty(self, depth, pad):
        v, m, s = self.name(), self.pick(self.matrices), self.scalar(2)
        parts = ["3:1", "5:", ":0", "2:2", "-2:", "-9:3", "1:99", "3:0:-1", "::-2", "-1:-4:-1", "4:1:-2"]
        parts += [p for i in self.loops for p in (f"{i}:{i}", f"{i}:{i} + 2", f":{i}", f"{i}::-1")]
        part = self.pick(parts)
        options = [
            f"{v}[{part}] += 1",
            f"{v}[{part}] = {s}",
            f"{v}[0] = {v}[{part}].sum()",
            f"{m}[{part}, 1] *= 0.5",
            f"{m}[{part}] = {v}",
            f"{v}[{part}] = {v}[{part}] * 2",
            f"{v}[{part}] = {v}[{part}][::-1]",
        ]
        self.write(pad, self.pick(options))

    def targets(self, depth, pad):
        v, w, m, s = self.name(), self.name(), self.pick(self.matrices), self.scalar(2)
        i, j = self.index(), self.index()
        options = [
            f"{v}[{i}] = {w}[{j}] = {s}",
            f"{v}[:], {w}[:] = {w}, {v}",
            f"{v}[{i}], {m}[{i}, {j}] = {s}, {v}[{j}]",
            f"{v}[{i}], {v}[{j}], {w}[0] = {w}[0], {v}[{i}], {v}[{j}]",
            f"{v}, {w} = {w}, {v}",
            f"{m}[{i}], {v}[:] = {v}, {m}[{j}]",
            f"{v}[:] = {w}[:] = {v}[::-1]",
            f"{m}[{i}] = {m}[:, {j}] = {v}",
            f"{v}[1:], {w}[:-1] = {w}[:-1], {v}[1:]",
        ]
        if depth == 0:
            x = self.fresh("x")
            options.append(f"{x} = {v}[{i}] = {s}")
            text = self.pick(options)
            self.scalars += [x] if text.startswith(x) else []
            self.write(pad, text)
        else:
            self.write(pad, self.pick(options))

    def out_of_view(self, depth, pad):
        v, w, m = self.name(), self.name(), self.pick(self.matrices)
        i = self.index()
        options = [
            f"np.add({v}, {w}, out={m}[{i}])",
            f"np.multiply({v}, 2, out={m}[:, {i}])",
            f"np.cumsum({v}, out={w})",
            f"np.dot({m}, {v}.copy(), out={w})",
            f"np.clip({v}, -0.5, 0.5, out={v})",
            f"{m}.sum(axis=0, out={v})",
            f"np.subtract.at({v}, k, {w})",
            f"np.minimum.at({v}, k[:3], {w}[:3])",
            f"np.add.at({m}, (k, k), 1)",
            f"np.add.at({m}[{i}], k, {v})",
            f"np.negative({v}[1:], out={v}[:-1])",
            f"np.where({v} > 0, {v}, 0).sum(out=None)",
            f"np.maximum({v}, {w}, out={v}, where={w} > 0)",
            f"{m}.sort(axis={self.pick('01')})",
            f"{m}[{i}].sort()",
            f"{m}[:, {i}].fill({self.scalar(2)})",
        ]
        self.write(pad, self.pick(options))

    def functions(self, depth, pad):
        v, w, m, s = self.name(), self.name(), self.pick(self.matrices), self.scalar(2)
        axis = self.pick("01")
        values = [
            f"np.roll({v}, {self.pick(['1', '-2', 'k[0]'])})",
            f"np.diff({v}, append={s})",
            f"np.concatenate([{v}[2:], {w}[:2]])",
            f"np.stack([{v}, {w}]).max(axis=0)",
            f"np.sign({v})",
            f"np.round({v}, 2)",
            f"np.flip({v})",
            f"np.repeat({v}[:1], {N})",
            f"np.tile({v}[0], {N})",
            f"np.outer({v}, {w})[{self.index()}]",
            f"{m} @ {v}",
            f"{m}.T.dot({v})",
            f"np.einsum('ij,j->i', {m}, {v})",
            f"np.diag({m})",
            f"np.tril({m}).sum(axis={axis})",
            f"np.cumprod({v})",
            f"np.take({v}, k)",
            f"np.bincount(k, minlength={N})[:{N}] * 1.0",
            f"np.searchsorted(np.sort({v}), {w}) * 1.0",
            f"np.maximum({v}, {w})",
            f"np.full({N}, {s})",
            f"np.zeros({N}) + {s}",
            f"np.linspace(0, 1, {N}) * {s}",
            f"np.pad({v}[1:-1], 1)",
            f"np.array([{s}, {self.scalar(2)}, {v}[0]])[k % 3]",
            f"np.array([x * 2 for x in {v}])",
            f"{m}.{self.pick(['sum', 'max', 'mean', 'prod'])}(axis={axis})",
            f"np.mod({v}, 0.7)",
            f"{v} // 0.3",
            f"np.isfinite({v}) * 1.0",
            f"np.zeros_like({v}) + {w}",
            f"np.select([{v} > 0, {w} > 0], [{v}, {w}], {s})",
            f"np.broadcast_to({s}, ({N},))",
            f"{v} ** 3",
            f"np.interp({v}, np.arange({N}.0), {w})",
        ]
        numbers = [
            f"np.argmax({v})",
            f"{v}.argmin()",
            f"np.count_nonzero({v} > {s})",
            f"np.any({v} > {s})",
            f"np.median({v})",
            f"{v}.std()",
            f"np.dot({v}, {w})",
            f"int({v}[0])",
            f"round({v}[0], 1)",
            f"max({v}[0], {s})",
            f"min({v}[0], {w}[1], {s})",
            f"abs({s})",
            f"len({v}[{self.pick(['1:', '::2', ':3'])}])",
            f"sum({v})",
            f"{v}[0] and {s}",
            f"k[{self.index()}] or {s}",
            f"{v}[1] > 0 and {w}[2]",
            f"np.ptp({v})",
            f"k[{self.index()}] // 2",
            f"k[{self.index()}] % 3 - 1",
            f"-k[{self.index()}] // 2",
            f"{v}[{self.index()}] // 0.5",
            f"{v}[{self.index()}] % 0.7",
        ]
        if self.choose(2):
            self.write(pad, f"{self.name()}[:] = {self.pick(values)}")
        else:
            self.write(pad, f"{self.name()}[{self.index()}] = {self.pick(numbers)}")

    def at_times(self, depth, pad):
        """A name that is one array or another."""
        v, w = self.name(), self.name()
        name = self.fresh("w") if depth == 0 else self.name()
        if depth == 0:
            self.write(pad, f"{name} = {v}")
        self.write(pad, f"if {self.test()}:")
        self.write(pad + "    ", f"{name} = {self.pick([w, f'{w} * 2', f'{w}[::-1]'])}")
        if depth == 0:
            self.vectors.append(name)

    def closure(self, depth, pad):
        if depth:
            self.functions(depth, pad)
            return
        name, v = self.fresh("f"), self.name()
        body = self.pick([f"y * {self.scalar(2)}", f"y + {v}[0]", f"np.where(y > 0, y, {v})", f"{v}[1] - y"])
        self.write(pad, f"{name} = lambda y: {body}")
        self.statement(1, pad)
        self.write(pad, f"{self.name()}[:] = {name}({self.name()})")

    def block_views(self, depth, pad):
        m, s = self.pick(self.matrices), self.scalar(2)
        if depth == 0 and (not self.blocks or self.choose(2)):
            name = self.fresh("q")
            self.write(
                pad,
                f"{name} = {m}{self.pick(BLOCKS)}",
            )
            self.blocks.append(name)
            return
        if not self.blocks:
            self.view_of_view(depth, pad)
            return
        q = self.pick(self.blocks)
        options = [
            f"{q}[0] = {s}",
            f"{q}[1, 1:] += {s}",
            f"{q}[:, 0] *= 0.5",
            f"{q} -= {q}.mean()",
            f"{q}[{q} > 0] = {s}",
            f"{q}[0, 0], {q}[1, 1] = {q}[1, 1], {q}[0, 0]",
            f"{m}[1, 1] = {q}.sum()",
            f"{q}[1] = {q}[0]",
        ]
        self.write(pad, self.pick(options))

    def conversions(self, depth, pad):
        v, s = self.name(), self.scalar(2)
        options = [
            f"{v}[:] = k",
            f"k[{self.index()}] = {v}[0] % 4",
            "k[:] = k[::-1]",
            "k[k > 3] = 0",
            "k %= 4",
            f"{v}[:] = k / 2",
            f"{v}[:] = (k > 2) + k",
            f"{v}[k % 2 == 0] = {s}",
            f"{v}[k.astype(np.int8)] = {s}",
            f"{v}[:] = ({v} * 4).astype(np.int16) / 4",
            f"{v}[{self.index()}] = int({v}[1] * 3) // 2",
            f"{v}[{self.index()}] = float(k[0]) / (k[1] + 1)",
        ]
        self.write(pad, self.pick(options))

    def row_loop(self, depth, pad):
        m, r, i = self.pick(self.matrices), self.fresh("r"), self.fresh("i")
        header = self.pick(
            [
                f"for {r} in {m}",
                f"for {i}, {r} in enumerate({m})",
                f"for {r} in {m}.T",
                f"for {r} in {m}[1:4]",
            ]
        )
        self.write(pad, f"{header}:")
        vectors = list(self.vectors)
        self.vectors += [r, r]
        self.inside(depth, pad, i if i in header else None)
        self.vectors = vectors

    def data_loop(self, depth, pad):
        i, v = self.fresh("i"), self.name()
        header = self.pick(
            [
                f"for {i} in range(k[0])",
                f"for {i} in range(int(k.max()))",
                f"for {i} in range(k[1], {N})",
                f"for {i} in range(len({v}[1:]))",
                f"for {i} in k[::-1]",
                f"for {i} in np.arange({N})[::2]",
                f"for {i} in range({N - 1}, k[2], -1)",
                f"for {i} in (0, 2, 1)",
                f"for {i} in reversed(range({N}))",
            ]
        )
        self.write(pad, f"{header}:")
        self.inside(depth, pad, i)

    def no_turn(self, depth, pad):
        i = self.fresh("i")
        header = self.pick(
            [
                f"for {i} in range(0)",
                f"for {i} in range(3, 1)",
                f"for {i} in range({N}, {N})",
                f"for {i} in k[:0]",
            ]
        )
        self.write(pad, f"{header}:")
        self.inside(depth, pad, i)

    def while_on_data(self, depth, pad):
        v, n = self.name(), self.fresh("n")
        self.write(pad, f"{n} = 0")
        test = self.pick([f"{v}[0] < {self.scalar(2)}", f"abs({v}).max() > 0.5", "k.sum() > 3"])
        self.write(
            pad,
            f"while {test} and {n} < 4:",
        )
        self.write(pad + "    ", f"{n} += 1")
        change = self.pick([f"{v}[0] += 0.7", f"{v} *= 0.5", f"k[{n} - 1] = 0", f"{v}[k] *= 0.9"])
        self.write(pad + "    ", change)
        self.inside(depth, pad, n)

    def definition(self, name):
        """A helper of random statements, and the kind of what it returns."""
        inner = type(self)(self.choose)
        inner.vectors, inner.matrices = ["x", "y"], ["z"]
        kind = self.pick(["vector", "number", "nothing"])
        inner.count = 100 * (1 + len(self.made))

        def result():
            value = {"vector": inner.name, "number": lambda: inner.scalar(1), "nothing": lambda: ""}[kind]()
            return f"return {value}".rstrip()

        inner.block(1, "    ", 1 + self.choose(3))
        if self.choose(2):
            inner.write("    ", f"if {inner.test()}:")
            inner.write("        ", result())
            inner.block(1, "    ", 1)
        inner.write("    ", result())
        return f"def {name}(x, y, z, k):\n" + "\n".join(inner.lines) + "\n\n\n", kind

    def source(self):
        definitions = ""
        for i in range(self.choose(3)):
            text, kind = self.definition(f"made{i}")
            definitions += text
            self.made.append((f"made{i}", kind))
        self.block(0, "    ", 2 + self.choose(5))
        results = [*self.vectors, *self.matrices, *self.scalars, *self.whole, *self.shorts]
        results += [*self.small, *self.flags, *self.floats, *self.blocks, "k"]
        helpers, main = HEAD.split("def program")
        text = helpers + MORE + definitions + "def program" + main + "\n".join(self.lines)
        return f"{text}\n    return {', '.join(results)}\n"


def more_program(choose):
    """A program's source in the widest grammar."""
    return More(choose).source()
