"""Costs are XLA's own, instruction by instruction; loops, LAPACK and custom calls are ours."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

from jaxmagic.analysis import costs, hlo, program, texts
from jaxmagic.analysis.costs import Cost
from jaxmagic.analysis.lapack import textbook


def f32(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def i32(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.int32)


def measure(function, *avals):
    lowered = jax.jit(lambda *values: function(*values)).trace(*avals).lower()
    module = hlo.read(program.print_unoptimised(lowered))
    return costs.measure(module, texts.frames_from(module, {}), ()), lowered.cost_analysis() or {}


def conv(x, w, strides=(1, 1), padding="SAME", **options):
    return lax.conv_general_dilated(
        x, w, strides, padding, dimension_numbers=("NHWC", "HWIO", "NHWC"), **options
    )


def pool(x, init, combine, size, stride):
    return lax.reduce_window(x, init, combine, (1, size, size, 1), (1, stride, stride, 1), "VALID")


A, V, SQUARE = f32(6, 7), f32(50), f32(8, 8)
IMAGE, KERNEL = f32(2, 16, 16, 3), f32(3, 3, 3, 4)
BOOLS, INTS, COMPLEX = (
    jax.ShapeDtypeStruct(A.shape, bool),
    i32(5),
    jax.ShapeDtypeStruct(A.shape, jnp.complex64),
)

UNARY = (
    jnp.sin, jnp.cos, jnp.tan, jnp.tanh, jnp.exp, jnp.log, jnp.sqrt, lax.rsqrt, jnp.log1p, jnp.expm1, jnp.abs,
    jnp.negative, jnp.sign, jnp.floor, jnp.ceil, jnp.round, jnp.cbrt, jnp.square, jnp.isfinite, jnp.arctan,
    jnp.sinc, lax.erf, lax.erfc, lax.lgamma, lax.digamma, lax.logistic, lax.erf_inv, lax.bessel_i0e,
    jnp.mean, jnp.var, jnp.prod, jnp.argmax, jnp.sort, jnp.argsort, jax.nn.softmax, jax.nn.logsumexp,
    jax.nn.gelu, jnp.linalg.norm,
)  # fmt: skip
BINARY = (
    jnp.add, jnp.multiply, jnp.divide, jnp.power, jnp.arctan2, jnp.maximum, jnp.mod, jnp.equal, jnp.less,
    jnp.logical_and,
)  # fmt: skip

PROGRAMS = {
    **{f"unary {one.__name__}": (one, A) for one in UNARY},
    **{f"binary {one.__name__}": (one, A, A) for one in BINARY},
    "clip": (lambda a: jnp.clip(a, 0, 1), A),
    "complex": (lambda c: jnp.conj(c) * c + c.real + c.imag, COMPLEX),
    "where": (jnp.where, BOOLS, A, A),
    "matmul": (lambda a: a @ a.T, A),
    "batched": (lambda x: jnp.einsum("bij,bjk->bik", x, x), f32(4, 5, 5)),
    "vmapped": (jax.vmap(lambda x, y: x @ y, in_axes=(0, None)), f32(3, 4, 5), f32(5, 2)),
    "sum": (lambda a: a.sum(0), A),
    "cumsum": (jnp.cumsum, V),
    "cumprod": (jnp.cumprod, V),
    "cummax": (lax.cummax, V),
    "top_k": (lambda a: lax.top_k(a, 3), A),
    "gather": (lambda a, i: a[i], A, INTS),
    "scatter add": (lambda a, i: a.at[i].add(1.0), A, INTS),
    "scatter set": (lambda a, i: a.at[i].set(2.0), A, INTS),
    "dynamic slice": (lambda a, i: lax.dynamic_slice(a, (i[0], 0), (2, 3)), A, INTS),
    "dynamic update": (
        lambda a, i: lax.dynamic_update_slice(a, jnp.ones((2, 3)), (i[0], 0)),
        A,
        INTS,
    ),
    "slice": (lambda a: a[1:3, ::2], A),
    "reverse": (lambda a: a[::-1], A),
    "pad": (lambda a: jnp.pad(a, 2), A),
    "concatenate": (lambda a: jnp.concatenate([a, a]), A),
    "transpose": (lambda a: a.T + 1, A),
    "transpose twice": (
        lambda x: jnp.transpose(jnp.transpose(x, (1, 0, 2)) * 2, (2, 1, 0)),
        f32(3, 4, 5),
    ),
    "reshape": (lambda a: a.reshape(-1) * 2, A),
    "iota": (lambda: jnp.arange(10) * 2,),
    "convolution": (conv, IMAGE, KERNEL),
    "strided": (lambda x, w: conv(x, w, (2, 2)), IMAGE, KERNEL),
    "dilated": (lambda x, w: conv(x, w, rhs_dilation=(2, 2)), IMAGE, KERNEL),
    "transposed": (lambda x, w: conv(x, w, padding=((1, 2), (0, 1)), lhs_dilation=(2, 2)), IMAGE, KERNEL),
    "grouped": (lambda x, w: conv(x, w, feature_group_count=3), IMAGE, f32(3, 3, 1, 6)),
    "convolution gradient": (jax.grad(lambda x, w: (conv(x, w, (2, 2)) ** 2).sum(), (0, 1)), IMAGE, KERNEL),
    "convolve": (jnp.convolve, V, f32(5)),
    "max pool": (lambda x: pool(x, -jnp.inf, lax.max, 2, 2), IMAGE),
    "max pool gradient": (jax.grad(lambda x: pool(x, -jnp.inf, lax.max, 2, 2).sum()), IMAGE),
    "average pool": (lambda x: pool(x, 0.0, lax.add, 3, 1), IMAGE),
    "fft": (jnp.fft.fft, V),
    "rfft": (jnp.fft.rfft, V),
    "fft2": (jnp.fft.fft2, SQUARE),
    "cond": (lambda a: lax.cond(a[0, 0] > 0, lambda a: jnp.sin(a) @ a.T, lambda a: (a + 1) @ a.T + 1, a), A),
    "switch": (lambda i, a: lax.switch(i[0], [jnp.sin, jnp.tanh, lambda a: a * 2 + 1], a), INTS, A),
    "bits": (lambda i: lax.population_count(i) + lax.clz(i) + (i << 2), INTS),
    "casts": (lambda a: a.astype(jnp.bfloat16).astype(jnp.int32), A),
    "bitcast": (lambda a: lax.bitcast_convert_type(a, jnp.int32), A),
    "remat": (jax.grad(lambda a: jax.checkpoint(lambda a: jnp.sin(jnp.sin(a)))(a).sum()), A),
    "attention": (jax.grad(lambda q: jax.nn.dot_product_attention(q, q, q).sum()), f32(2, 8, 2, 4)),
    "segment sum": (lambda v: jax.ops.segment_sum(v, jnp.zeros(50, jnp.int32), 4), V),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_without_loops_costs_are_xlas(name):
    function, *avals = PROGRAMS[name]
    found, xla = measure(function, *avals)
    assert found.total.flops == xla.get("flops", 0.0)
    assert found.total.transcendentals == xla.get("transcendentals", 0.0)
    # a tuple's table of pointers counts 8 bytes an entry in one version of XLA and 4 in another
    assert found.total.bytes == pytest.approx(xla.get("bytes accessed", 0.0), rel=0.01, abs=16)
    assert not found.unknown
    assert not found.endless


@given(
    st.lists(st.integers(1, 6), min_size=2, max_size=4),
    st.sampled_from(["sum", "sin", "matmul", "transpose", "where", "cumsum", "sort"]),
    st.integers(1, 4),
)
@settings(max_examples=25, deadline=None)
def test_a_scan_costs_its_length_times_its_body(shape, what, length):
    steps = {
        "sum": lambda x: x + x.sum(),
        "sin": jnp.sin,
        "matmul": lambda x: jnp.einsum("...i,...j->...i", x, x),
        "transpose": lambda x: x.T.T * 2,
        "where": lambda x: jnp.where(x > 0, x, 1.0),
        "cumsum": lambda x: jnp.cumsum(x, axis=0),
        "sort": lambda x: jnp.sort(x, axis=0),
    }
    step = steps[what]

    def body(x, _):
        return step(x), None

    aval = f32(*shape)
    looped, _ = measure(lambda x: lax.scan(body, x, None, length=length)[0], aval)
    once, _ = measure(lambda x: step(x), aval)
    counter = 1 + 1  # a turn adds to the counter and compares it
    assert looped.total.transcendentals == once.total.transcendentals * length
    assert looped.total.flops == (once.total.flops + counter) * length


def test_costs_of_lines_inside_loops_are_multiplied():
    def body(c, x):
        return c + jnp.sin(x), None

    found, _ = measure(lambda xs: lax.scan(body, 0.0, xs)[0], V)
    by_line = {}
    for span, cost in found.by_span.items():
        if span is not None:
            by_line[span.line] = by_line.get(span.line, costs.FREE) + cost
    line = body.__code__.co_firstlineno + 1
    assert by_line[line].flops == 50
    assert by_line[line].transcendentals == 50


def test_the_sum_over_places_is_the_total_without_conditions():
    found, _ = measure(lambda a: jnp.sort(jnp.tanh(a @ a.T)).sum() + jnp.where(a > 0, a, 0.0).sum(), A)
    assert sum(cost.flops for cost in found.by_span.values()) == found.total.flops
    assert sum(cost.bytes for cost in found.by_span.values()) == found.total.bytes


def test_unknown_costs_stay_unknown_but_nothing_times_unknown_is_nothing():
    assert Cost(2.0, None, 0.0) + Cost(1.0, 1.0, 1.0) == Cost(3.0, None, 1.0)
    assert Cost(2.0, 1.0, 0.0).times(None) == Cost(None, None, 0.0)
    assert Cost(2.0, None, 0.0).times(3) == Cost(6.0, None, 0.0)
    assert Cost(2.0, 1.0, 5.0).larger(Cost(1.0, 4.0, None)) == Cost(2.0, 4.0, None)


def test_a_callback_is_an_unknown_cost():
    found, _ = measure(lambda a: jax.pure_callback(np.sin, a, a) * 2, A)
    assert found.total.flops is None
    assert list(found.unknown) == ["xla_ffi_python_cpu_callback"]


@pytest.mark.parametrize(
    ("target", "shapes", "flops"),
    [
        ("lapack_spotrf_ffi", [(30, 30)], 9000),
        ("lapack_sgetrf_ffi", [(30, 30)], 2 / 3 * 30**3),
        ("lapack_sgeqrf_ffi", [(30, 10)], 2 * 100 * (30 - 10 / 3)),
        ("lapack_sgeqrf_ffi", [(10, 10)], 4 / 3 * 1000),
        ("lapack_strsm_ffi", [(8, 8), (8, 3)], 8 * 8 * 3),
        ("lapack_ssyevd_ffi", [(4, 10, 10)], 4 * 9 * 1000),
        ("cusolver_getrf_ffi", [(30, 30)], 2 / 3 * 30**3),
    ],
)
def test_lapack_costs_the_textbooks_count(target, shapes, flops):
    assert textbook(target, shapes, is_complex=False) == pytest.approx(flops)
    assert textbook(target, shapes, is_complex=True) == pytest.approx(4 * flops)


def test_an_unknown_solver_has_no_textbook():
    assert textbook("lapack_sfoo_ffi", [(3, 3)], is_complex=False) is None
    assert textbook("my_lapack_spotrf", [(3, 3)], is_complex=False) is None


# -- reading ---------------------------------------------------------------------------------------

TEXT = """HloModule jit_f, entry_computation_layout={(f32[8]{0})->f32[8]{0}}

FileNames
1 "/a \\"b\\".py"

FunctionNames
1 "f"
2 "g.<locals>.<lambda>"

FileLocations
1 {file_name_id=1 function_name_id=1 line=10 end_line=11 column=4 end_column=9}
2 {file_name_id=1 function_name_id=2 line=3 end_line=3 column=0 end_column=5}

StackFrames
1 {file_location_id=1 parent_frame_id=1}
2 {file_location_id=2 parent_frame_id=2}


region_0.1 {
  a.1 = f32[] parameter(0)
  ROOT r.1 = (f32[], /*index=1*/(s32[], pred[2]{0})) custom-call(a.1), custom_call_target="x, y"
}

ENTRY main.2 {
  %x.1 = f32[8,3]{0,1} parameter(0), metadata={op_name="x[\\"a}\\"]"}
  c.1 = f32[2]{0} constant({1, 2})
  ROOT %s.1 = f32[8,3]{1,0:T(8,128)} sine(f32[8,3] %x.1), metadata={op_name="jit(f)/sin" stack_frame_id=2}
}
"""


def test_a_module_is_read_from_its_text():
    module = hlo.read(TEXT)
    assert module.entry == "main.2"
    assert list(module.computations) == ["region_0.1", "main.2"]
    sine = module.root("main.2")
    assert (sine.name, sine.opcode, sine.operands, sine.frame, sine.scope) == (
        "s.1",
        "sine",
        ("x.1",),
        2,
        "jit(f)/sin",
    )
    assert (sine.type.shape, sine.type.bytes, sine.type.layout) == ((8, 3), 96, (1, 0))
    assert module.computations["main.2"]["x.1"].type.layout == (0, 1)
    call = module.root("region_0.1")
    assert [array.element for array in call.type.arrays] == ["f32", "s32", "pred"]
    assert call.type.is_tuple
    assert call.type.bytes == 4 + 4 + 2
    assert module.frames[1].parent == 0
    assert module.frames[2].parent == 1
    assert module.frames[2].function == "g.<locals>.<lambda>"
    assert (module.frames[1].line, module.frames[1].end_column) == (10, 9)


@given(st.text())
def test_any_text_is_read_without_an_error(text):
    hlo.read(text)
