"""Stores into views of views reach the array, also where the inputs that a port is made on do not go."""

import pytest

from tests.port_programs import judged

EQUAL = """\
m[1:][1][a > 2.5] = 0
---
m.T[1:].T[0][a[1:] > 2.5] = 0
---
if a[0] > 0.5:
    m[1:][1][2] = 0
---
if a[0] > 0.5:
    m[1:][1][2:][::-1][:2] += b[1]
---
w = m[1:][1]
if a[0] > 0.5:
    w[2] = 0
---
for r in m[1:].T:
    if r[0] > 0.5:
        r[1:][0] = 7
---
x = m[2]
y = x[1:]
z = y[::-1]
if a[0] > 0.5:
    z[0] = 3
    m[2, 2] += y[0]
b[1:] += z
"""
UNKNOWN = """\
if a[0] > 0.5:
    m.T.reshape(-1)[3] = 0
---
if a[0] > 0.5:
    m[1:].flat[3] = 0
---
if a[0] > 0.5:
    m[1:].swapaxes(0, 1)[2] = 0
"""


def verdicts(body):
    source = "def program(a, b, m, k):\n" + "".join(f"    {line}\n" for line in body.splitlines())
    return [judged(source + "    return a, b, m, k\n", number) for number in (3, 4)]


@pytest.mark.parametrize("body", EQUAL.split("---\n"))
def test_a_store_into_a_view_of_a_view(body):
    assert verdicts(body) == ["equal", "equal"]


@pytest.mark.parametrize("body", UNKNOWN.split("---\n"))
def test_a_store_into_what_may_be_a_copy_is_refused(body):
    assert all(verdict.startswith("refused: Which array is changed") for verdict in verdicts(body))
