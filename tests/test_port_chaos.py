"""Where rounding alone carries a result: a difference that NumPy itself makes of its inputs' last digits."""

import jax
import numpy as np
import pytest

import jaxmagic
from jaxmagic.port.prove import Difference, Run, is_chaotic, nudged


def lorenz(sigma, rho, beta, dt, steps):
    x, y, z = 1.0, 1.0, 1.05
    path = np.zeros((steps, 3))
    for i in range(steps):
        dx, dy, dz = sigma * (y - x), x * (rho - z) - y, x * y - beta * z
        x, y, z = x + dt * dx, y + dt * dy, z + dt * dz
        path[i, 0], path[i, 1], path[i, 2] = x, y, z
    return path


def test_a_chaotic_function_of_plain_numbers_is_ported_and_said_to_be_one():
    with jax.enable_x64():
        port = jaxmagic.port(lorenz, 10.0, 28.0, 2.667, 0.01, 4000)
    assert "chaotic" in [note.kind for note in port.notes]


def test_whole_numbers_are_not_nudged():
    assert nudged((3.0, 7, True, "x", 2.5), 2.0**-50) == (3.0, 7, True, "x", 2.5 * (1 + 2.0**-50))


@pytest.mark.parametrize(
    ("function", "chaotic"),
    [
        (lambda x: np.floor(10 * x), False),  # 0.3 stands at an edge: one nudge alone is over it
        (lambda x: np.zeros(int(np.floor(10 * x))), False),
        (lambda x: np.sin(1e14 * x), True),
        (lambda x: np.sin(x), False),
    ],
)
def test_what_one_nudge_alone_does_is_no_excuse(function, chaotic):
    def run(inputs):
        return Run(result=np.asarray(function(*inputs[0])), after={})

    inputs = ((0.3,), {})
    found = [Difference(where="the result", how="", error=0.01)]
    assert is_chaotic(run, inputs, run(inputs), found) is chaotic
