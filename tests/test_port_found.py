"""What generated programs found, one each: ports that agreed on their own inputs and not on others."""

import jax
import numpy as np
import pytest

from jaxmagic.errors import CannotPort
from jaxmagic.port import port
from tests.port_programs import judged

EQUAL = """\
p = k > 2
b[2] = p.sum() + p.mean()
b[1] = np.mean(p) + k.astype(np.int8).std()
---
x = m[2]
y = x[1:]
z = y[::-1]
if a[0] > 0.5:
    z[0] = 3
    m[2, 2] += y[0]
b[1:] += z
---
b[1] = k[0] or 3
b[2] = a[0] > 0 and b[0]
b[3] = a[0] and b[0] or a[1]
if a[0] and k[1] or not b[2]:
    b[4] = 3
---
w = b[::-1]
w[:] = 2
b += w
---
for i in range(4):
    m[i] = a[None, :] * k[i]
    b[1:4] = m[i, :3][None, None]
m[...] = b[None, None]
---
for i in range(4):
    p = i + np.argmax(np.abs(m[i:, i]))
    m[[i, p]] = m[[p, i]]
    a[[i, k[i]]] = a[[k[i], i]]
"""
BY_OPERATIONS = """\
w = a[:1] if a[0] > 0.3 else a
b[0] = w.sum()
---
w = 2.0 if a[0] > 0.3 else a
b[0] = np.sum(w)
"""
REFUSED = """\
n = 0
while n < 3:
    n += 1
    a *= 0.5
    if b[0] > 0.5:
        b = a[::-1]
---
for i in range(4):
    if a[i] > 0.5:
        b = m[i]
    m[:, i] += 1
"""


def verdicts(body):
    source = "def program(a, b, m, k):\n" + "".join(f"    {line}\n" for line in body.splitlines())
    return [judged(source + "    return a, b, m, k\n", number) for number in (3, 4)]


@pytest.mark.parametrize("body", EQUAL.split("---\n"))
def test_equal_on_every_input(body):
    assert verdicts(body) == ["equal", "equal"]


@pytest.mark.parametrize("body", BY_OPERATIONS.split("---\n"))
def test_a_shape_that_data_decide_is_not_compiled(body):
    assert verdicts(body) == ["equal, op by op"] * 2


def factorial(k):
    n = 1
    for i in range(k[0]):
        n = n * (i + 2)
    return n


def fibonacci(k):
    p, q = 1, 1
    for _ in range(k[0]):
        p, q = q, p + q
    return p


def power(k):
    n = int(k[0])
    return n**30


@pytest.mark.parametrize(
    ("function", "line"),
    [(factorial, "n = n * (i + 2)"), (fibonacci, "p, q = q, p + q"), (power, "return n**30")],
)
def test_whole_numbers_that_may_outgrow_64_bits_are_said(function, line):
    (text,) = [note.text for note in port(function, np.array([2])).notes if note.kind == "64 bits"]
    assert f"`{line}`" in text


def counted(x):
    n, s = 0, 0
    for v in x:
        if v > 0:
            n += 1
    for i in range(20):
        s += i
    return n * 2 + s


def test_counting_needs_no_word():
    assert "64 bits" not in [note.kind for note in port(counted, np.arange(20.0)).notes]


@pytest.mark.parametrize("body", REFUSED.split("---\n"))
def test_refused_on_every_input(body):
    assert all(verdict.startswith("refused") for verdict in verdicts(body))


def test_what_ends_by_return_only_returns_what_it_found():
    def ends(x, tol):
        while True:
            for i in range(3):
                while True:
                    x = x / 2
                    if x[i] < tol:
                        break
                if x.sum() < tol:
                    return x, i

    first, other = np.array([8.0, 2.0, 1.0]), np.array([1.0, 64.0, 3.0])
    made = port(ends, first, 0.5)
    for x in (first, other):
        for got, wanted in zip(made.function(x, 0.5), ends(x, 0.5), strict=True):
            np.testing.assert_array_equal(got, wanted)


def test_a_list_that_grows_where_data_decide_is_not_traced_both_ways():
    def kept(x):
        found = []
        for v in x:
            if v > 0:
                found.append(v)  # noqa: PERF401
        return np.array(found)

    def either(x):
        found = []
        for v in x:
            if v > 0:
                found.append(v)
            else:
                found.append(0.0)
        return np.array(found)

    first, other = np.array([1.0, -2.0, 3.0]), np.array([-1.0, -2.0, 3.0])
    made, whole = port(kept, first), port(either, first)
    assert [[note.kind for note in each.notes if note.kind == "eager"] for each in (made, whole)] == [
        ["eager"],
        [],
    ]
    for x in (first, other):
        np.testing.assert_array_equal(made.function(x), kept(x))
        np.testing.assert_array_equal(whole.function(x), either(x))


def test_zip_ends_with_its_shortest_on_other_lengths_too():
    def weighed(a, b):
        total = 0.0
        for x, y in zip(a, b):  # noqa: B905 as people write it
            total = total + x if x > y else total - x * y
        return total

    made = port(weighed, np.arange(20.0), np.ones(20))
    with jax.enable_x64(True):  # noqa: FBT003
        for n, m in ((20, 12), (9, 20)):
            a, b = np.linspace(-1, 2, n), np.linspace(1, 0, m)
            np.testing.assert_allclose(made.function(a, b), weighed(a, b))


def test_an_axis_of_one_element_is_another_kind_of_input():
    def filled(a, b):
        a[:] = b
        return a + 1

    made = port(filled, np.zeros(4), np.ones(4))
    with jax.enable_x64(True), pytest.raises(CannotPort, match="one element along axis 0"):  # noqa: FBT003
        made.function(np.zeros(4), np.ones(1))


def test_ufunc_at_is_one_scatter():
    def counted(x, i):
        np.add.at(x, i, 1.0)
        return x

    made = port(counted, np.zeros(4), np.array([0, 0, 3]))
    assert "x = x.at[i].add(1.0)\n" in made.source
