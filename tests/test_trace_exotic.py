"""Programs that do more than compute, or that JAX itself cannot lower: shown, and their cost unknown."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest
from jax.extend.core import Primitive

from jaxmagic.analysis import trace
from jaxmagic.analysis.trace import look
from jaxmagic.errors import CannotTrace
from jaxmagic.magics.display import text_of
from jaxmagic.pages.trace import page
from jaxmagic.target import ArrayType, Target

SQUARE = ArrayType("f32", (8, 8))


def looked(function, *args, **options):
    return look(Target(function=function, args=args or (SQUARE,)), **options)


mine = Primitive("mine")
mine.def_abstract_eval(lambda a: a)


def test_a_primitive_without_a_lowering_is_shown_with_an_unknown_cost():
    found = looked(lambda x: mine.bind(x) + 1)
    assert [one.primitive for one in found.equations] == ["mine", "add"]
    assert all(one.span is not None for one in found.equations)
    assert (found.flops, found.bytes) == (None, None)
    told = text_of(found)
    assert "JAX cannot lower this program, so its cost is unknown" in told
    assert "mine" in found.stage("jaxpr")
    with pytest.raises(CannotTrace, match="mine"):
        found.stage("hlo")
    with pytest.raises(CannotTrace, match="mine"):
        looked(lambda x: mine.bind(x) + 1, time=True)


def test_a_kernel_for_another_device_is_shown():
    from jax.experimental import pallas as pl

    def kernel(x_ref, o_ref):
        o_ref[...] = x_ref[...] * 2

    def doubled(x):
        block = pl.BlockSpec((4, 8), lambda i: (i, 0))
        shape = jax.ShapeDtypeStruct(x.shape, x.dtype)
        return pl.pallas_call(kernel, out_shape=shape, grid=(2,), in_specs=[block], out_specs=block)(x)

    found = looked(doubled)
    inside = next(one for one in found.equations if one.primitive == "mul")
    assert inside.count == 2, "once a turn of the grid"
    assert "pallas_call" in found.stage("jaxpr")


def test_code_that_nobody_registered_is_refused_where_it_would_be_compiled():
    def call(x):
        return jax.ffi.ffi_call("nobody_has_this", jax.ShapeDtypeStruct((8, 8), jnp.float32))(x)

    found = looked(call)
    assert found.flops is None
    assert "custom_call" in found.stage("stablehlo")
    with pytest.raises(CannotTrace, match="nobody_has_this"):
        found.stage("hlo")


kept = []


def keeping(x):
    kept.append(x)
    return x


def test_a_value_kept_from_another_trace_is_found_before_it_is_called():
    jax.jit(keeping)(1.0)

    def using(x):
        y = x * 2
        return y + kept[0]

    with pytest.raises(CannotTrace, match="was kept outside of it") as caught:
        looked(using)
    assert caught.value.excerpt.strip() == "return y + kept[0]"
    with pytest.raises(CannotTrace, match="was kept outside of it"):
        looked(lambda x: jax.jit(using)(x))


def sharded(x):
    mesh = jax.make_mesh((1,), ("d",), axis_types=(jax.sharding.AxisType.Auto,))
    place = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("d"))
    return jax.lax.with_sharding_constraint(x, place) * 2


def mapped(x):
    mesh = jax.make_mesh((1,), ("d",), axis_types=(jax.sharding.AxisType.Auto,))
    spec = jax.sharding.PartitionSpec("d")
    return jax.shard_map(lambda a: jax.lax.psum(a.sum(), "d") + a, mesh=mesh, in_specs=spec, out_specs=spec)(
        x
    )


def donating(x):
    return jax.jit(lambda a: a + 1, donate_argnums=0)(x * 2)


def calling_back(x):
    jax.debug.print("{x} {{}} <b>", x=x.sum())
    return jax.pure_callback(lambda a: a, jax.ShapeDtypeStruct(x.shape, x.dtype), x)


def exported(x):
    return jax.export.export(jax.jit(jnp.sin))(jax.ShapeDtypeStruct(x.shape, x.dtype)).call(x)


def referring(x):
    r = jax.new_ref(x)
    r[...] = r[...] * 2
    return r[...]


def hostile(x):
    with jax.named_scope("transpose(<script>)"):
        return jnp.sin(x)


def nothing(x):
    return None


@pytest.mark.parametrize(
    "function", [sharded, mapped, donating, calling_back, exported, referring, hostile, nothing]
)
def test_every_tab_of_an_exotic_program(function):
    found = looked(function)
    assert all(one.span is not None for one in found.equations)
    for tab in page(found).tabs:
        assert tab.blocks.get(), tab.title


# -- large programs --------------------------------------------------------------------------------


def unrolled(x):
    for _ in range(30):
        x = jnp.sin(x) * 2
    return x


def test_the_costs_of_a_large_program_wait_until_they_are_asked_for(monkeypatch):
    asked = []
    count = trace._costs
    monkeypatch.setattr(trace, "_costs", lambda *of: asked.append(of) or count(*of))
    found = looked(unrolled, patience=50)
    told = text_of(found)
    assert "60 equations · costs not counted yet" in told
    assert "unknown" not in told
    assert not asked
    costs = next(tab for tab in page(found).tabs if tab.title == "Costs")
    assert "counts them" in costs.hint
    assert "x = jnp.sin(x) * 2" in str(costs.blocks.get())
    assert len(asked) == 1
    assert found.counted.get().flops == looked(unrolled).flops == 30 * 64
    assert found.graph.get() == found.counted.get().graph.get()
    assert len(asked) == 2, "once for each look"


def test_the_costs_of_a_small_program_do_not_wait():
    assert looked(unrolled, patience=60).counted is None


# -- transformed from outside ----------------------------------------------------------------------


def test_what_a_transformation_around_the_function_adds_is_at_its_first_line():
    def one(x):
        return jnp.sin(x)

    found = looked(jax.vmap(one, out_axes=1), ArrayType("f32", (4, 3)))
    moved = next(step for step in found.equations if step.primitive == "transpose")
    assert moved.span.line == one.__code__.co_firstlineno
