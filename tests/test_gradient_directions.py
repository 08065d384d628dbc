"""Along one direction, against one cotangent, and the Hessian by its own name."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmagic import differentiate
from jaxmagic.errors import BadTarget, CannotDifferentiate


def f(params, x):
    return jnp.tanh(x @ params["w"]) * params["b"]


PARAMS = {"w": jnp.arange(6.0).reshape(2, 3) / 5, "b": jnp.array([1.0, -2.0, 0.5])}
X = jnp.array([0.3, -0.4])
STEP = {"w": jnp.ones((2, 3)), "b": jnp.array([1.0, 0.0, 2.0])}


def test_a_jvp_is_as_jax_gives_it():
    found = differentiate(f, PARAMS, X, jvp={"params": STEP})
    _, expected = jax.jvp(lambda params: f(params, X), (PARAMS,), (STEP,))
    np.testing.assert_allclose(found.partials["step"], expected, rtol=1e-6)
    assert (found.mode, found.check.ok) == ("forward", True)
    np.testing.assert_array_equal(found.value, f(PARAMS, X))


def test_a_direction_without_a_name_is_for_the_first_input():
    found = differentiate(lambda x: jnp.sum(x**2), X, jvp=jnp.array([1.0, 2.0]))
    assert float(found.partials["step"]) == pytest.approx(2 * (0.3 - 0.8))
    assert found.mode == "forward"
    assert found.curve is not None


def test_a_vjp_is_as_jax_gives_it():
    cotangent = jnp.array([1.0, 0.0, -3.0])
    found = differentiate(f, PARAMS, X, vjp=cotangent)
    _, pull = jax.vjp(f, PARAMS, X)
    params, x = pull(cotangent)
    np.testing.assert_allclose(found.partials["x"], x, rtol=1e-6)
    np.testing.assert_allclose(found.partials["params"]["w"], params["w"], rtol=1e-6)
    assert (found.mode, found.check.ok) == ("reverse", True)


def test_the_hessian_is_the_second_order():
    found = differentiate(lambda x: jnp.sum(x**3), X, hess=True)
    np.testing.assert_allclose(found.partials["x"], jnp.diag(6 * X), rtol=1e-6)
    assert found.order == 2


BAD = {
    "shape": ({"jvp": jnp.ones(3)}, "The direction for `x` has the shape (3,), and `x` has (2,)."),
    "name": ({"jvp": {"y": 1.0}}, "has no input `y`"),
    "output": ({"vjp": jnp.ones(2)}, "The cotangent has the shapes (2,), and `square` returns ()."),
}


@pytest.mark.parametrize("case", BAD)
def test_a_direction_that_does_not_fit(case):
    options, words = BAD[case]

    def square(x):
        return jnp.sum(x**2)

    with pytest.raises(BadTarget) as caught:
        differentiate(square, X, **options)
    assert words in caught.value.message
    assert caught.value.fix


def test_one_way_at_a_time():
    with pytest.raises(CannotDifferentiate, match="one of"):
        differentiate(lambda x: x, 1.0, jvp=1.0, vjp=1.0)
