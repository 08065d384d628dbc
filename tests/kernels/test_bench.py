"""`%jaxbench` in a real kernel: progress in place, options, what is kept and what is let go."""

import pytest

from tests.kernels.notebook import kernel

pytestmark = pytest.mark.kernel
START = "import jax, jax.numpy as jnp, numpy as np\n%load_ext jaxmagic\nx = np.random.rand(20_000)"


@pytest.fixture(scope="module")
def running():
    with kernel() as started:
        assert started.run(START).status == "ok"
        yield started


def the_page(reply):
    """The text of the only page that a cell shows, beside its live twin."""
    assert reply.status == "ok", reply
    assert [output["output_type"] for output in reply.outputs] == ["display_data", "display_data"]
    return reply.outputs[0]["data"]["text/plain"]


def test_progress_ends_as_the_result_and_nothing_is_shown_twice(running):
    reply = running.run("%jaxbench --budget 3 np.sort(x)")
    assert reply.outputs[0]["updates"] >= 2
    assert the_page(reply).count("np.sort") >= 1
    assert "Racing" not in the_page(reply)
    assert the_page(reply).count("results agree") == 1


def test_a_sweep_shows_its_progress_and_ends_as_curves(running):
    reply = running.run("%jaxbench --sweep n=10..1000 --budget 4 np.sort(np.random.rand(n))", timeout=120)
    assert reply.outputs[0]["updates"] >= 2
    assert "n from 10 to 1,000" in the_page(reply)
    assert "growing sizes" not in the_page(reply)
    assert running.value("'n' in globals()") is False


def test_precisions_and_gradients(running):
    assert "NumPy float32" in the_page(running.run("%jaxbench --dtype float32,float64 np.sin(x)"))
    assert "jit with gradient" in the_page(running.run("%jaxbench --grad np.sum(np.sin(x))"))


def test_a_kept_race_is_compared(running):
    the_page(running.run("%jaxbench -r before np.sin(x)"))
    assert running.value("type(before).__name__") == "Benchmark"
    assert "before and after" in the_page(running.run("%jaxbench --compare before np.sin(x)"))
