"""`%jaxgrad` through the shell: directions, weights, the Hessian."""

from __future__ import annotations

import pytest

from jaxmagic.errors import JaxmagicError

SETTING = """
import jax
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


@pytest.mark.parametrize(
    ("line", "line_of_fix", "said"),
    [
        ("jax.grad(f)(jnp.arange(3)).sum()", "jax.grad(f)(3.0)", "no derivative by whole numbers"),
        ("jax.hessian(f)(jnp.arange(3)).sum()", "jax.grad(f)(3.0)", "no derivative by whole numbers"),
        ("jax.grad(jnp.sin)(x).sum()", "jax.jacobian(f)(x)", "needs one number"),
        ("jnp.dot(x, jnp.ones(4)).sum()", "x @ y.T", "inner sizes that agree"),
        ("jax.vmap(f)(1.0).sum()", "", "vmap was requested"),
    ],
)
def test_what_jax_refuses_inside_the_expression_is_one_lesson(grad, line, line_of_fix, said):
    with pytest.raises(JaxmagicError, match=said) as caught:
        grad(line)
    assert line in str(caught.value)
    assert line_of_fix in str(caught.value)


@pytest.mark.parametrize("line", ["undefined(x)", "own(x).sum()", "(x / None).sum()"])
def test_errors_of_the_user_s_own_inside_the_expression_stay_as_they_are(grad, shell, line):
    shell.run_cell("def own(x):\n    raise ZeroDivisionError('mine')")
    with pytest.raises((NameError, ZeroDivisionError, TypeError)) as caught:
        grad(line)
    assert not isinstance(caught.value, JaxmagicError)
