"""`%jaxgrad` through the shell: directions, weights, the Hessian."""

from __future__ import annotations

import pytest

SETTING = """
import jax.numpy as jnp
def f(x, k=2.0):
    return jnp.sum(x**2) * k
x, v = jnp.array([1.0, 2.0]), jnp.array([1.0, -1.0])
"""


@pytest.fixture
def grad(shell):
    shell.run_cell(SETTING)
    return lambda line: shell.run_line_magic("jaxgrad", line)


def test_along_a_direction(grad):
    assert float(grad("--jvp v -o f(x)").partials["step"]) == pytest.approx(2 * 2 * (1.0 - 2.0))
    found = grad('--jvp "dict(x=v,k=1.0)" -o f(x, k=2.0)')
    assert float(found.partials["step"]) == pytest.approx(-4.0 + 5.0)


def test_weighed_outputs(grad):
    found = grad("--vjp 3.0 -o f(x)")
    assert [float(part) for part in found.partials["x"]] == [12.0, 24.0]


def test_the_hessian(grad):
    assert grad("--hess -o f(x)").partials["x"].tolist() == [[4.0, 0.0], [0.0, 4.0]]
