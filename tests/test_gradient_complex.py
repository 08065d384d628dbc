"""Complex numbers: one derivative where the function is holomorphic, else two real partials, said so."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmagic import differentiate
from jaxmagic.analysis.leaves import Pair

Z = np.complex64(0.6 - 0.8j)
HOLOMORPHIC = {
    "square": lambda z: z**2,
    "exponential": jnp.exp,
    "quotient": lambda z: (z + 1) / (z - 2j),
    "sine of a logarithm": lambda z: jnp.sin(jnp.log(z)),
}


def said(found):
    return [note.text for note in found.notes if note.kind == "complex"]


@pytest.mark.parametrize("name", HOLOMORPHIC)
def test_a_holomorphic_function_has_one_complex_derivative(name):
    f = HOLOMORPHIC[name]
    found = differentiate(lambda z: f(z), Z)
    expected = jax.grad(f, holomorphic=True)(jnp.asarray(Z))
    np.testing.assert_allclose(found.partials["z"], expected, rtol=2e-6)
    assert found.check.ok is True
    assert found.value.dtype == jnp.complex64
    assert said(found)[0].startswith("`<lambda>` is holomorphic here")


def test_a_real_function_of_a_complex_number_has_a_pair():
    found = differentiate(lambda z: jnp.abs(z) ** 2, 3.0 + 4.0j)
    assert isinstance(found.partials["z"], Pair)
    assert [float(part) for part in found.partials["z"]] == pytest.approx([6.0, 8.0])
    assert [leaf.path for leaf in found.leaves] == ["z.real", "z.imag"]
    assert said(found)[0].startswith("`z` is complex and `<lambda>` is not holomorphic here")


def test_a_conjugate_is_not_holomorphic():
    found = differentiate(jnp.conj, jnp.asarray(Z))
    [pair] = found.partials.values()
    assert [complex(part) for part in pair] == [1 + 0j, -1j]


def test_a_complex_function_of_a_real_number():
    found = differentiate(lambda x: jnp.exp(1j * x), 0.5)
    np.testing.assert_allclose(found.partials["x"], 1j * np.exp(0.5j), rtol=1e-6)
    assert found.check.ok is True
    assert said(found) == []


def test_arrays_and_parts():
    z = jnp.array([1 + 2j, 3 - 1j])
    found = differentiate(lambda z, x: jnp.sum(z**2) * x, z, 2.0, wrt="z")
    np.testing.assert_allclose(found.partials["z"], 4 * z, rtol=1e-6)
    part = differentiate(lambda z: jnp.abs(z), 3.0 + 4.0j, wrt="z.real")
    assert float(part.partials["z.real"]) == pytest.approx(0.6)


def test_inside_of_a_pytree():
    found = differentiate(lambda p: (p["a"] * p["b"]) ** 2, {"a": 2.0, "b": Z})
    np.testing.assert_allclose(found.partials["p"]["b"], 8 * Z, rtol=1e-6)
    np.testing.assert_allclose(found.partials["p"]["a"], 4 * Z**2, rtol=1e-6)
