"""State that a call changes in place: it is among the outputs, and the user's own stays as it was."""

from __future__ import annotations

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxmagic import trace
from jaxmagic.analysis import sources
from jaxmagic.analysis.trace import look
from jaxmagic.errors import JaxmagicError
from jaxmagic.pages.trace import page
from jaxmagic.target import Target
from jaxmagic.views import text


class Net(nnx.Module):
    def __init__(self, rngs):
        self.hidden = nnx.Linear(2, 16, rngs=rngs)
        self.out = nnx.Linear(16, 1, rngs=rngs)

    def __call__(self, x):
        return self.out(nnx.tanh(self.hidden(x)))


def error(net, x, y):
    return ((net(x) - y) ** 2).mean()


@nnx.jit
def train_step(net, optimizer, x, y):
    loss, grads = nnx.value_and_grad(error)(net, x, y)
    optimizer.update(net, grads)
    return loss


WEIGHTS = ["hidden.bias", "hidden.kernel", "out.bias", "out.kernel"]


@pytest.fixture
def training():
    net = Net(nnx.Rngs(0))
    return net, nnx.Optimizer(net, optax.adam(0.02), wrt=nnx.Param), jnp.ones((32, 2)), jnp.ones((32, 1))


def arrays(*objects):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(nnx.state(objects))]


def by_hand(net, optimizer, x, y):
    """The same step as a function of arrays alone."""
    graph, state = nnx.split((net, optimizer))

    def step(state, x, y):
        net, optimizer = nnx.merge(graph, state)
        loss, grads = nnx.value_and_grad(error)(net, x, y)
        optimizer.update(net, grads)
        return loss, nnx.state((net, optimizer))

    return step, (state, x, y)


def updated(result):
    return [value.name for value in result.outputs if value.name.endswith(" (updated)")]


def test_what_a_train_step_updates_is_an_output_by_its_inputs_name(training):
    result = trace(train_step, *training)
    moments = [f"optimizer.opt_state[0].{moment}.{name}" for moment in ("mu", "nu") for name in WEIGHTS]
    held = [*(f"net.{name}" for name in WEIGHTS), "optimizer.opt_state[0].count", *moments, "optimizer.step"]
    assert [value.name for value in result.inputs] == [*held, "x", "y"]
    assert [value.name for value in result.outputs] == ["", *(f"{name} (updated)" for name in held)]
    types = {value.name: (value.type, value.bytes) for value in result.outputs}
    assert types["net.hidden.kernel (updated)"] == ("f32[2,16]", 128)
    assert types[""] == ("f32[]", 4)


def test_a_train_step_costs_what_the_functional_one_costs(training):
    result = trace(train_step, *training)
    step, inputs = by_hand(*training)
    xla = jax.jit(step).lower(*inputs).cost_analysis()
    assert result.flops == pytest.approx(xla["flops"], rel=0.01)
    assert result.flops > 2.5 * trace(error, training[0], *training[2:]).flops


def test_the_backward_pass_is_at_the_forward_lines_and_the_update_at_its_own(training):
    result = trace(train_step, *training)
    backward = [e for e in result.equations if e.phase == "backward" and e.primitive == "dot_general"]
    assert len(backward) == 3  # the first layer's input needs no cotangent
    assert {sources.expression(e.span) for e in backward} == {
        "self.hidden(x)",
        "self.out(nnx.tanh(self.hidden(x)))",
    }
    spent = {line.source.strip(): line.flops for line in result.lines}
    assert spent["optimizer.update(net, grads)"] > 0
    assert spent["return self.out(nnx.tanh(self.hidden(x)))"] > spent["optimizer.update(net, grads)"]


def test_the_users_objects_stay_as_they_were(training):
    before = arrays(*training[:2])
    trace(train_step, *training)
    after = arrays(*training[:2])
    assert len(before) == len(after) == 14
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_the_users_objects_stay_as_they_were_on_error_too(training):
    def broken(net, optimizer, x, y):
        train_step(net, optimizer, x, y)
        if net.hidden.bias[...].sum() > 0:
            net.hidden.bias[...] = 0.0

    before = arrays(*training[:2])
    with pytest.raises(JaxmagicError):
        trace(broken, *training)
    after = arrays(*training[:2])
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_what_is_only_read_is_no_output(training):
    net, _, x, y = training
    assert [value.name for value in trace(error, net, x, y).outputs] == [""]


def test_only_what_changed_is_an_output():
    net = Net(nnx.Rngs(0))

    def nudge(net, x):
        net.hidden.bias[...] += x

    result = trace(nudge, net, jnp.ones(16))
    assert [value.name for value in result.outputs] == ["net.hidden.bias (updated)"]
    assert result.flops == 16


def test_a_jitted_helper_changes_what_it_changes_and_no_more():
    @nnx.jit
    def nudge(net):
        net.hidden.bias[...] += 1.0

    def outer(net):
        nudge(net)
        return net.out.bias[...] * 2

    assert updated(trace(outer, Net(nnx.Rngs(0)))) == ["net.hidden.bias (updated)"]


def test_statistics_and_random_streams_are_state_too():
    class Noisy(nnx.Module):
        def __init__(self, rngs):
            self.norm = nnx.BatchNorm(3, rngs=rngs)
            self.drop = nnx.Dropout(0.5, rngs=rngs)

        def __call__(self, x):
            return self.drop(self.norm(x))

    result = trace(Noisy(nnx.Rngs(0)), jnp.ones((4, 3)))
    assert updated(result) == [
        "Noisy.drop.rngs.count (updated)",
        "Noisy.norm.mean (updated)",
        "Noisy.norm.var (updated)",
    ]


def test_what_changed_comes_in_the_order_of_the_inputs():
    def count(zero, one):
        one[...] += 1.0
        zero[...] += 1.0

    result = trace(count, nnx.Param(jnp.ones(2)), nnx.Param(jnp.ones(3)))
    assert [value.name for value in result.inputs] == ["zero", "one"]
    assert [value.name for value in result.outputs] == ["zero (updated)", "one (updated)"]


def test_state_that_a_call_makes_is_an_output():
    class Sown(nnx.Module):
        def __init__(self, rngs):
            self.layer = nnx.Linear(2, 3, rngs=rngs)

        def __call__(self, x):
            y = self.layer(x)
            self.sow(nnx.Intermediate, "seen", y * 2)
            return y

    result = trace(Sown(nnx.Rngs(0)), jnp.ones((4, 2)))
    assert [(value.name, value.type) for value in result.outputs] == [
        ("", "f32[4,3]"),
        ("Sown.seen[0] (new)", "f32[4,3]"),
    ]


def test_shared_state_is_one_input():
    class Tied(nnx.Module):
        def __init__(self, rngs):
            self.first = self.second = nnx.Linear(2, 2, rngs=rngs)

        def __call__(self, x):
            return self.second(self.first(x))

    def nudge(tied):
        tied.first.bias[...] += 1.0
        return tied.second.bias[...]

    tied = Tied(nnx.Rngs(0))
    names = [value.name for value in trace(tied, jnp.ones((4, 2))).inputs]
    assert names == ["Tied.first.bias", "Tied.first.kernel", "x"]
    assert updated(trace(nudge, tied)) == ["tied.first.bias (updated)"]


def test_a_module_inside_a_container_and_a_method(training):
    net, _, x, _ = training

    def nudge(parts, x):
        parts["net"].hidden.bias[...] += 1.0
        return parts["net"](x) * parts["scale"]

    result = trace(nudge, {"net": net, "scale": 2.0, "label": "words"}, x)
    assert "parts['scale']" in [value.name for value in result.inputs]
    assert updated(result) == ["parts['net'].hidden.bias (updated)"]
    method = trace(net.hidden.__call__, x)
    assert [value.name.rpartition(".")[2] for value in method.inputs] == ["bias", "kernel", "inputs"]


def test_modules_of_types_alone_need_no_memory():
    net = nnx.eval_shape(lambda: Net(nnx.Rngs(0)))
    assert trace(net, jax.ShapeDtypeStruct((32, 2), jnp.float32)).flops > 0


def test_the_gradient_of_a_step_that_changes_state(training):
    net, _, x, _ = training

    def loss(net, x):
        net.hidden.bias[...] *= 2.0
        return net(x).sum()

    result = look(Target(function=loss, args=(net, x)), grad=True)
    names = [value.name for value in result.outputs]
    assert names[:2] == ["value", "net.hidden.bias (updated)"]
    assert "∂net.hidden.kernel" in names


def test_static_arguments_of_nnx_jit_stay_static(training):
    net, _, x, _ = training

    @nnx.jit(static_argnames="train")
    def apply(net, x, train):
        return net(x) if train else net(x) * 2

    result = trace(apply, net, x, train=True)
    assert "train" not in [value.name for value in result.inputs]


def test_a_reference_that_is_written_is_an_output():
    def accumulate(total, count, x):
        total[...] += x.sum()
        return x * count[...]

    total, count = jax.new_ref(jnp.zeros(())), jax.new_ref(jnp.ones(()))
    result = trace(accumulate, total, count, jnp.ones(5))
    assert [value.name for value in result.inputs] == ["total", "count", "x"]
    assert [(v.name, v.type) for v in result.outputs] == [("", "f32[5]"), ("total (updated)", "f32[]")]
    assert result.flops == 5 + 5  # four additions of the sum, one to the total, five products
    assert float(total[...]) == 0.0


def test_the_page_folds_what_is_many(training):
    shown = text.render(page(trace(train_step, *training)), columns=400).split("\n")[0]
    assert "net (4 arrays, 260 B)" in shown
    assert "optimizer (10 arrays, 528 B)" in shown
    assert "net (4 arrays updated, 260 B)" in shown


def test_flax_is_not_imported_for_those_who_do_not_use_it():
    code = "import sys, jaxmagic; jaxmagic.trace(lambda x: x * 2, 1.0); print('flax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
