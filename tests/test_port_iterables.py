"""A loop over what it changes reads each element when its turn comes, as NumPy does."""

import pytest

from tests.port_programs import judged

EQUAL = """\
for x in a:
    a[1] = x * 2
    a[3] += x
---
for x in a:
    a = a * 2
    b[0] += x
---
w = a[::-1]
for x in w:
    a[1] += x
---
for x in a[::-1]:
    a[1] += x
    if x > 0.5:
        break
---
for i, x in enumerate(a, 1):
    a[5 - i] = x * i
---
for x, y in zip(a, b):
    b[2] = x
    a[3] = y
---
for x, i in zip(a, range(4)):
    a[4 - i] = x
---
for x in a * 2:
    a[1] = x
    b[0] += x
---
for x in m.flat:
    m[2, 0] = x * 3
---
for row in m:
    m[1] = 0.5
    a += row
---
for row in m:
    row += 1
    b += row
---
for i, row in enumerate(m):
    row[:] = row[::-1] * i
---
for r, s in zip(m, m.T):
    r[0] = s[1]
---
for i in k:
    k[2] = i
    a[i] += 1
---
n = 3
for i in range(n):
    n -= 1
    a[i] = n
    if b[i] > 0.5:
        break
---
n = 3
for x in a[:n]:
    n -= 1
    b[n] += x
---
for i, x in enumerate(a):
    if k[i] < 9 and m[i, 2] > 9:
        continue
    a[a > 0] = a[a > 0] * x
"""


@pytest.mark.parametrize("body", EQUAL.split("---\n"))
def test_a_loop_over_what_it_changes(body):
    source = "def program(a, b, m, k):\n" + "".join(f"    {line}\n" for line in body.splitlines())
    verdict = judged(source + "    return a, b, m, k\n", len(body))
    assert verdict in ("equal", "equal, op by op", "chaotic"), verdict
