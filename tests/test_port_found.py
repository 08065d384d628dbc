"""What generated programs found, one each: ports that agreed on their own inputs and not on others."""

import pytest

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


@pytest.mark.parametrize("body", REFUSED.split("---\n"))
def test_refused_on_every_input(body):
    assert all(verdict.startswith("refused") for verdict in verdicts(body))
