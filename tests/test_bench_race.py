"""The race as a whole: the traps that make other benchmarks lie, each with its figure.

Times are those of a clock that the contenders move, or are not looked at.
"""

import _thread
import functools
import json
import os
import random
import subprocess
import sys
import threading
import types
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmagic
from jaxmagic.bench import race as bench
from jaxmagic.bench.course import Course
from jaxmagic.errors import BadTarget
from jaxmagic.target import ArrayType, Target

from .bench_tools import Clock, labelled


def quick(function, *args, **kwargs):
    return bench.run(Target(function=function, args=args, kwargs=kwargs), tools=ticking())


def ticking():
    """A clock on which every reading takes 5 ms, however busy the machine is."""
    return Clock(tick=0.005).tools(cuts=False)


class Tensor:
    """What PyTorch's tensors have of what matters here; the real ones are tried by hand."""

    requires_grad = False

    def __init__(self, values):
        self.values = np.array(values)
        self.dtype, self.shape = f"torch.{self.values.dtype}", self.values.shape

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype)

    def detach(self):
        return self

    def cpu(self):
        return self

    def clone(self):
        return Tensor(self.values)

    def requires_grad_(self, _):
        return self

    def add_(self, value):
        self.values += value
        return self


def test_trap_in_place_changes_of_another_librarys_arrays():
    """A tensor that `t.add_(1)` changes is the user's own no more than an array is."""
    t = Tensor([1.0, 2.0])
    result = bench.run_labelled(
        {"a": lambda t: t.add_(1), "b": lambda t: Tensor(t.values + 1)}, (t,), tools=ticking()
    )
    assert t.values.tolist() == [1.0, 2.0]
    captured = bench.run_labelled({"a": lambda: t.add_(1), "b": lambda: t}, tools=ticking())
    assert t.values.tolist() == [1.0, 2.0]
    assert [note for note in captured.notes if note.kind == "captured array"] == []
    assert captured.agreement.ok is False
    assert result.agreement.where == "a against b: `t` is changed in place by one side only"
    assert result.agreement.dtypes == {"a": "float64", "b": "float64"}


HALVED = functools.partial(np.multiply, 0.5)


def test_what_numpy_computes_from_jax_arrays_is_no_contender():
    result = quick(lambda x: HALVED(x), np.ones(3))
    told = "It does not run on JAX: given JAX arrays, it returns a NumPy array."
    assert result.contenders["jax"].obstacle == told
    assert result.contenders["jax"].typical is None


def test_a_function_that_returns_nothing_and_changes_nothing_has_nothing_to_time():
    assert "constant result" in {note.kind for note in quick(lambda x: None, np.ones(3)).notes}


def _generator(x):
    yield x


async def _coroutine(x):
    return x


@pytest.mark.parametrize(
    ("function", "kind"),
    [(_generator, "generator"), (_coroutine, "coroutine"), (lambda x: lambda: x, "function")],
)
def test_the_promise_of_a_result_is_refused(function, kind):
    with pytest.raises(BadTarget, match=f"returns a {kind}, which has computed nothing yet"):
        quick(function, np.ones(3))


def test_what_contenders_print_is_shown_for_their_first_calls_only(capsys):
    result = bench.run_labelled({"loud": lambda: print("hello"), "quiet": lambda: None}, tools=ticking())
    assert len(result.contenders["loud"].seconds) == 8
    assert capsys.readouterr().out.count("hello") == 2
    assert [note.text for note in result.notes if note.kind == "prints"] == [
        "Printing is in the time of `loud`, but shown for the first calls only."
    ]


def test_trap_a_data_frame_is_the_users_own():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1.0, 2.0]})

    def change(frame):
        frame["a"] += 1
        return frame

    result = bench.run_labelled({"change": change, "new": lambda frame: frame + 1}, (frame,), tools=ticking())
    assert frame["a"].tolist() == [1.0, 2.0]
    assert result.agreement.where == "change against new: `frame` is changed in place by one side only"
    assert len(result.to_dataframe()) == sum(len(b) for c in result.contenders.values() for b in c.seconds)


# -- devices ---------------------------------------------------------------------------------------

TWO_DEVICES = """
import json
import jax
import jax.numpy as jnp
import numpy as np
from jaxmagic.bench.race import run_devices
from jaxmagic.target import Target

x = jax.device_put(jnp.ones(2_000_000), jax.devices()[0])
result = run_devices(Target(function=lambda x: jnp.sin(x), args=(x,)), ["cpu", "cpu:1", "cpu:0"], budget=5.0)
sides = {name: (side.device, side.transfer is not None) for name, side in result.contenders.items()}
here = str(next(iter(x.devices())))
print(json.dumps([result.device, sides, [n.kind for n in result.notes], result.agreement.ok, here]))
"""


def test_devices_race_each_other_and_moving_the_inputs_is_costed():
    """Two devices, which a process has from its start only."""
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    found = subprocess.run(
        [sys.executable, "-c", TWO_DEVICES],
        env=os.environ | flags,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    device, sides, _, ok, here = json.loads(found.stdout.splitlines()[-1])
    assert device == "cpu:0 against cpu:1"
    assert sides == {
        "numpy": ["", False],
        "jax cpu:0": ["cpu:0", False],
        "jax.jit cpu:0": ["cpu:0", False],
        "jax cpu:1": ["cpu:1", False],
        "jax.jit cpu:1": ["cpu:1", True],
    }
    assert ok is True
    assert here in ("cpu:0", "TFRT_CPU_0")


def test_one_device_by_two_names_is_one():
    result = bench.run_devices(
        Target(function=np.sort, args=(np.ones(3),)), ["cpu", "cpu:0"], tools=ticking()
    )
    assert list(result.contenders) == ["numpy", "jax cpu:0", "jax.jit cpu:0"]
    assert result.contenders["jax.jit cpu:0"].transfer is None


# -- compiling can be stopped ----------------------------------------------------------------------


def test_an_interrupt_stops_compiling(monkeypatch):
    go_on = threading.Event()

    def endless(self):
        _thread.interrupt_main()
        go_on.wait(60)

    monkeypatch.setattr(jax.stages.Lowered, "compile", endless)
    try:
        result = bench.run(Target(function=lambda x: jnp.sin(x), args=(jnp.ones(3),)), budget=50)
    finally:
        go_on.set()
    assert result.interrupted
    assert result.contenders["numpy"].typical is not None


# -- the figures ----------------------------------------------------------------------------------


def test_three_times_the_work_reads_three():
    clock = Clock()
    result = labelled(clock, three=clock.worker(0.003), one=clock.worker(0.001))
    assert result.speedup("one", over="three").estimate == pytest.approx(3.0)
    assert result.speedup("three", over="one").estimate == pytest.approx(1 / 3)
    assert result.contenders["three"].typical == pytest.approx(0.003)
    assert result.contenders["three"].interval.low < 0.003 < result.contenders["three"].interval.high
    assert len(result.contenders["three"].seconds) == 8
    assert result.agreement.ok


def test_the_first_call_is_kept_apart():
    clock = Clock()
    result = labelled(clock, a=clock.worker(lambda n: 0.5 if n == 1 else 0.001), b=clock.worker(0.001))
    assert result.contenders["a"].first_call == pytest.approx(0.5)
    assert result.contenders["a"].typical == pytest.approx(0.001)


def test_what_a_first_call_compiles_is_no_reason_to_call_but_once():
    clock = Clock()
    slow_at_first = clock.worker(lambda n: 0.9 if n == 1 else 0.001)

    def operation_by_operation():
        if not slow_at_first.calls:
            jax.monitoring.record_event_duration_secs("/jax/core/compile/backend_compile_duration", 0.85)
        return slow_at_first()

    result = labelled(clock, a=operation_by_operation, b=clock.worker(0.001))
    assert result.contenders["a"].first_call == pytest.approx(0.9)
    assert result.contenders["a"].typical == pytest.approx(0.001)


def test_an_unknown_pair_is_refused_in_words():
    clock = Clock()
    result = labelled(clock, a=clock.worker(0.001), b=clock.worker(0.001))
    with pytest.raises(ValueError, match=r"no speedup of 'c' over 'a'; timed were: a, b"):
        result.speedup("c", over="a")


@pytest.mark.parametrize(
    ("cores", "others", "jitter", "kind"),
    [
        (1.0, 0.0, 1.0, None),
        (1.0, 0.9, 1.0, None),  # busy, but on other cores: low quantiles hold
        (0.3, 0.0, 1.0, None),  # it waits for something, and not for a core
        (0.3, 1.7, 1.0, "`a` had 30 % of a core while it ran: others took the rest."),
        (1.0, 0.9, 3.0, "The batches of `b` differ by 59 % meanwhile."),
    ],
)
def test_too_busy_a_machine_is_told_from_what_it_measured(cores, others, jitter, kind):
    clock = Clock()
    work = {"a": clock.worker(0.001), "b": clock.worker(lambda n: 0.001 * jitter ** (n // 350 % 2))}
    result = bench.run_labelled(work, tools=clock.tools(cores=cores, others=others))
    assert {note.kind: note.text for note in result.notes}.get("too busy") == kind


def test_the_race_itself_proves_the_port(monkeypatch):
    monkeypatch.setattr("jaxmagic.port.drive.proved", lambda *_: pytest.fail("proved twice"))
    assert quick(lambda x: np.sort(x)[::2], np.arange(10.0)[::-1]).agreement.ok


# -- interrupts and errors ------------------------------------------------------------------------


def interrupting(clock, after):
    def seconds(n):
        if n > after:
            raise KeyboardInterrupt
        return 0.001

    return clock.worker(seconds)


def test_an_interrupt_ends_it_with_what_was_measured():
    clock = Clock()
    result = labelled(clock, a=clock.worker(0.001), b=interrupting(clock, 200))
    assert result.interrupted
    assert result.speedup("a", over="b").estimate == pytest.approx(1.0)
    assert next(note.kind for note in result.notes) == "interrupted"


def test_an_interrupt_in_the_first_call_leaves_an_empty_result():
    clock = Clock()
    result = labelled(clock, a=interrupting(clock, 0), b=clock.worker(0.001))
    assert result.interrupted
    assert result.contenders == {}
    assert result.agreement.ok is None


def test_a_contender_that_raises_in_the_middle_keeps_what_it_has():
    clock = Clock()

    def seconds(n):
        if n == 100:
            raise ValueError("the 100th is too much\nsecond line")
        return 0.001

    result = labelled(clock, good=clock.worker(0.001), bad=clock.worker(seconds))
    assert result.contenders["bad"].obstacle == "ValueError: the 100th is too much"
    assert result.contenders["bad"].typical == pytest.approx(0.001)
    assert sum(map(len, result.contenders["good"].seconds)) > 100


def test_a_contender_that_cannot_run_does_not_stop_the_others():
    clock = Clock()

    def broken():
        raise RuntimeError("no")

    result = labelled(clock, broken=broken, a=clock.worker(0.002), b=clock.worker(0.001))
    assert result.contenders["broken"].obstacle == "RuntimeError: no"
    assert result.contenders["broken"].typical is None
    assert result.speedup("b", over="a").estimate == pytest.approx(2.0)


def test_an_error_of_the_users_own_numpy_code_is_raised():
    with pytest.raises(ZeroDivisionError):
        quick(lambda x: np.sum(x) / (1 // 0), np.ones(3))


def test_everything_is_as_before_whatever_happens():
    x = np.arange(4.0)
    np.random.seed(5)
    random.seed(5)
    before = (x.tobytes(), str(np.random.get_state()), random.getstate(), jax.config.read("jax_enable_x64"))

    def spoil(x):
        x += 1
        np.random.rand(3)
        random.random()
        return x

    def spoil_and_fail(x):
        spoil(x)
        raise KeyboardInterrupt

    quick(spoil, x)
    quick(spoil_and_fail, x)
    after = (x.tobytes(), str(np.random.get_state()), random.getstate(), jax.config.read("jax_enable_x64"))
    assert after == before


# -- traps ----------------------------------------------------------------------------------------


class Promise:
    def __init__(self, clock):
        self.clock = clock

    def block_until_ready(self):
        self.clock.pass_(0.040)
        return self


def test_trap_unblocked():
    """Dispatch takes 12 µs and the work 40 ms: the call takes 40.012 ms."""
    clock = Clock()

    def dispatch():
        clock.pass_(12e-6)
        return Promise(clock)

    result = bench.run_labelled({"a": dispatch, "b": clock.worker(0.080)}, budget=4.0, tools=clock.tools())
    assert result.contenders["a"].typical == pytest.approx(0.040012)


def test_trap_results_of_pytorch_are_waited_for(monkeypatch):
    clock = Clock()

    class Tensor:
        device = types.SimpleNamespace(type="cuda")

    torch = types.SimpleNamespace(
        Tensor=Tensor, cuda=types.SimpleNamespace(synchronize=lambda: clock.pass_(0.040))
    )
    monkeypatch.setitem(__import__("sys").modules, "torch", torch)
    result = bench.run_labelled({"a": lambda: Tensor()}, budget=2.0, tools=clock.tools())
    assert result.contenders["a"].typical == pytest.approx(0.040)


W = np.linspace(0, 1, 400 * 400).reshape(400, 400)


def by_global(x):
    return np.sin(W) @ x


def by_default(x, w=W):
    return np.sin(w) @ x


class Model:
    def __init__(self, w):
        self.w = w

    def __call__(self, x):
        return np.sin(self.w) @ x

    def method(self, x):
        return np.sin(self.w) @ x


def by_closure():
    w = W

    def inner(x):
        return np.sin(w) @ x

    return inner


JW = jnp.asarray(np.float32(W))


@jax.jit
def jitted_by_global(x):
    return jnp.sin(JW) @ x


CAPTURES = {
    "global": (lambda: by_global, "W"),
    "default": (lambda: by_default, "w"),
    "closure": (by_closure, "w"),
    "partial": (lambda: functools.partial(by_default, w=W), "w"),
    "object": (lambda: Model(W), "Model.w"),
    "method": (lambda: Model(W).method, "Model.w"),
    "jitted": (lambda: jitted_by_global, "JW"),
}


@pytest.mark.parametrize("way", CAPTURES)
def test_trap_captured_array(way, monkeypatch):
    """sin(W) could be folded into the program: it has to be computed from an argument."""
    make, name = CAPTURES[way]
    texts = compiled_texts(monkeypatch)
    result = quick(make(), np.ones(400, np.float32 if way == "jitted" else np.float64))
    jit = result.contenders["jax.jit"]
    assert jit.obstacle == ""
    assert result.agreement.ok
    assert any("sine" in text for text in texts)
    assert jit.memory.arguments >= W.size * 4
    notes = {note.kind: note.text for note in result.notes}
    assert name in notes["captured array"]
    assert "folded constants" not in notes


def compiled_texts(monkeypatch):
    """The StableHLO of every program that the race compiles."""
    from jaxmagic.bench import contenders

    texts, compile_ = [], contenders._compile

    def spy(jitted, given, now):
        texts.append(jitted.lower(*given[0], **given[1]).as_text())
        return compile_(jitted, given, now)

    monkeypatch.setattr(contenders, "_compile", spy)
    return texts


@pytest.mark.parametrize(
    ("function", "dtype", "said"),
    [
        (lambda x: jnp.sum(x @ x), np.float32, True),
        (lambda x: jnp.where(x.sum() > 0, jax.jit(jnp.dot)(x, x), x), np.float32, True),
        (lambda x: jnp.dot(x, x, precision="highest"), np.float32, False),
        (lambda x: x @ x, np.float64, False),
        (lambda x: jnp.sin(x), np.float32, False),
    ],
)
def test_products_in_shorter_numbers_than_those_asked_for_are_told(monkeypatch, function, dtype, said):
    monkeypatch.setattr("jaxmagic.analysis.devices.products", lambda: "TF32 (three digits)")
    result = quick(function, np.eye(8, dtype=dtype))
    told = [note.text for note in result.notes if note.kind == "short products"]
    assert bool(told) is said
    if said:
        assert "float32 matrices as TF32 (three digits) unless" in told[0]


def test_trap_a_constant_inside_is_named():
    big = jnp.ones((600, 600))
    hidden = types.SimpleNamespace(f=jax.jit(lambda x: x @ big))  # no slot can reach into a library object
    result = quick(lambda x: jnp.asarray(hidden.f(x)), jnp.ones((2, 600)))
    notes = {note.kind: note.text for note in result.notes}
    assert "captured array" in notes or "1.44 MB of constants" in notes["folded constants"]


def test_trap_a_result_that_does_not_depend_on_the_inputs():
    result = quick(lambda x: jnp.sum(jnp.ones((50, 50)) @ jnp.ones((50, 50))), jnp.ones(3))
    assert "constant result" in {note.kind for note in result.notes}


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "complex128"])
def test_trap_precision_is_matched(dtype):
    result = quick(lambda x: x * x + x, np.arange(10).astype(dtype))
    assert result.agreement.ok
    assert set(result.agreement.dtypes.values()) == {dtype}
    assert len(result.agreement.dtypes) == 3
    assert result.conditions["64 bits"] is (dtype in ("float64", "int64", "complex128"))
    assert not jax.config.read("jax_enable_x64")


def test_trap_a_64_bit_result_of_32_bit_inputs_is_matched_too():
    def widen(x):
        return x * np.linspace(0, 1, 3)

    result = quick(widen, np.float32([1, 2, 3]))
    assert set(result.agreement.dtypes.values()) == {"float64"}
    assert result.agreement.ok


def test_trap_inputs_are_copies_for_either_side():
    """device_put aliases NumPy's buffer now and then: what JAX gets has to be its own."""
    x = np.arange(1024.0)
    seen = []

    def look(y):
        seen.append(y)
        return y * 1

    bench.run_labelled({"a": look, "b": look}, (x,), tools=ticking())
    assert not any(np.shares_memory(x, y) for y in seen)
    given = bench.inputs.for_jax([x] * 20)
    address = x.__array_interface__["data"][0]
    with jax.enable_x64(True):  # noqa: FBT003 - JAX's own signature
        made = [bench.inputs.for_jax(x) for _ in range(20)]
    assert not [y for y in [*given, *made] if y.unsafe_buffer_pointer() == address]


def test_trap_in_place_numpy_functions_get_fresh_inputs_and_leave_the_users_alone():
    x = np.arange(5.0)
    before = x.tobytes()
    sums = []

    def add_one(y):
        y += 1
        sums.append(float(y.sum()))
        return y.sum()

    bench.run_labelled({"a": add_one, "b": add_one}, (x,), tools=ticking())
    assert x.tobytes() == before
    assert set(sums) == {15.0}


def test_trap_an_in_place_change_of_a_global():
    table = np.zeros(3)
    seen = []

    def count(x):
        table[0] += 1
        seen.append(float(table[0]))
        return x + table[0]

    bench.run_labelled({"a": count}, (np.ones(3),), tools=ticking())
    assert table[0] == 0
    assert set(seen) == {1.0}


def test_trap_an_array_given_twice_stays_one_array():
    def aliased(x, y):
        x += 1
        return y.sum()

    x = np.zeros(3)
    result = bench.run_labelled({"a": aliased, "b": lambda x, y: 3.0}, (x, x), tools=ticking())
    assert result.agreement.where == "a against b: `x` is changed in place by one side only"
    assert x.sum() == 0


def test_trap_different_results():
    result = bench.run_labelled({"a": lambda x: x + 1, "b": lambda x: x + 2}, (np.ones(3),), tools=ticking())
    assert result.agreement.ok is False
    assert result.agreement.max_abs_error == 1.0
    assert result.agreement.where == "a against b: result[0]: 2 against 3, 3 of 3 values differ"


def chaotic(x):
    for _ in range(30):
        x = np.exp(np.sin(20 * x))
    return x


def test_trap_chaotic_code_is_no_difference():
    """Rounding grows 20-fold a step: after 30 steps nothing of the 16 digits is left."""
    result = quick(chaotic, np.linspace(0.1, 0.4, 5))
    assert result.contenders["jax.jit"].obstacle == ""
    assert result.agreement.ok
    assert result.agreement.max_rel_error > 1e-3
    assert "chaotic" in {note.kind for note in result.notes}


def test_trap_random_results():
    result = bench.run_labelled(
        {"a": lambda: np.random.rand(3), "b": lambda: np.random.rand(3)}, tools=ticking()
    )
    assert result.agreement.ok is None
    assert result.agreement.where == "the results are random: two runs of the same code differ"


def test_trap_a_random_generator_is_an_input_that_changes():
    generator = np.random.default_rng(1)
    before = str(generator.bit_generator.state)
    drawn = []

    def draw(rng):
        drawn.append(float(rng.random()))
        return drawn[-1]

    result = bench.run_labelled({"a": draw}, (generator,), tools=ticking())
    assert str(generator.bit_generator.state) == before
    assert len(set(drawn)) == 1
    assert result.agreement.where == ""


@pytest.mark.parametrize("value", [(i for i in range(3)), [iter([1, 2])], {"a": map(str, [1])}])
def test_trap_a_generator_is_refused(value):
    with pytest.raises(BadTarget) as caught:
        quick(lambda items: sum(items), value)
    assert "the first call uses it up" in caught.value.message
    assert caught.value.fix == "Pass a list instead: `list(items)`."


def test_trap_arrays_that_start_on_the_other_side():
    functions = {"numpy": lambda x: x * 2, "mine": jax.jit(lambda x: x * 2)}
    kinds = {}
    for kind, x in (("numpy", np.ones(3, np.float32)), ("jax", jnp.ones(3))):
        result = bench.run_labelled(functions, (x,), tools=ticking())
        kinds[kind] = {note.kind: note.text for note in result.notes}
    assert kinds["numpy"]["moves inputs"].startswith("`mine` takes NumPy arrays to JAX in each call")
    assert "moves inputs" not in kinds["jax"]
    both = {"numpy": lambda n, j: np.sum(n), "mine": lambda n, j: jnp.sum(j)}
    result = bench.run_labelled(both, (np.ones(3, np.float32), jnp.ones(3)), tools=ticking())
    assert "moves inputs" not in {note.kind for note in result.notes}


def test_trap_nan_and_infinity_are_values():
    x = np.array([1.0, np.nan, np.inf, -np.inf, -1.0])
    result = quick(lambda x: np.sqrt(x) * 2, x)
    assert result.agreement.ok
    assert result.agreement.max_abs_error == 0.0


@pytest.mark.parametrize("shape", [(0,), (3, 0)])
def test_trap_empty_arrays(shape):
    result = quick(lambda x: np.sin(x) + 1, np.zeros(shape))
    assert result.agreement.ok
    assert result.agreement.max_abs_error == 0.0
    assert result.speedup("jax.jit", over="numpy").estimate > 0


def test_trap_a_donated_buffer():
    x = jnp.arange(1000.0)
    donating = jax.jit(lambda x: x + 1, donate_argnums=0)
    result = quick(donating, x)
    assert result.contenders["jax.jit"].obstacle == ""
    assert result.agreement.ok
    assert not x.is_deleted()


# -- who races ------------------------------------------------------------------------------------


def test_numpy_code_races_its_port():
    result = quick(lambda x: np.sort(x)[::2], np.arange(10.0)[::-1])
    assert list(result.contenders) == ["numpy", "jax", "jax.jit"]
    assert result.agreement.ok
    assert result.port is not None
    assert all(side >= 0 for side in result.contenders["jax.jit"].compile_seconds)
    assert result.contenders["jax.jit"].first_call >= sum(result.contenders["jax.jit"].compile_seconds)
    assert result.contenders["jax.jit"].memory.arguments == 80
    assert result.inputs[0].type == "f64[10]"
    assert result.inputs[0].bytes == 80


def test_numpy_code_that_returns_nothing_races_what_it_changes():
    def smooth(u, v):
        u[1:-1] = 0.5 * (u[:-2] + u[2:])
        v += u

    def smooth_one(u):
        u[1:-1] = 0.5 * (u[:-2] + u[2:])

    for result in (quick(smooth, np.arange(9.0) ** 2, np.ones(9)), quick(smooth_one, np.arange(9.0) ** 2)):
        assert [side.obstacle for side in result.contenders.values()] == ["", "", ""]
        assert result.agreement.ok
        assert result.agreement.dtypes["jax.jit"] == "NoneType"


def test_sizes_stay_python_values_under_jit():
    def pad(x, n, scale):
        return np.concatenate([x, np.zeros(n)]) * scale

    result = quick(pad, np.ones(3), 4, 0.5)
    assert result.contenders["jax.jit"].obstacle == ""
    assert result.agreement.ok


def test_a_float_that_is_needed_as_a_size_stays_one_too():
    def pad(x, n):
        return np.concatenate([x, np.zeros(int(n))])

    result = quick(pad, np.ones(3), 4.0)
    assert result.contenders["jax.jit"].obstacle == ""
    assert result.agreement.ok


def test_when_jax_cannot_run_it_numpys_time_stands():
    def collatz(x):
        while x.sum() > 1:
            x = np.where(x % 2 == 0, x // 2, 3 * x + 1)
        return eval("x")

    result = quick(collatz, np.array([7]))
    assert result.contenders["numpy"].typical > 0
    assert result.contenders["jax.jit"].typical is None
    assert result.contenders["jax.jit"].obstacle
    assert result.agreement.ok is not True or result.contenders["jax"].typical


def test_a_jax_function_races_itself_on_numpy():
    result = quick(lambda x: jnp.sort(x) * 2, jnp.arange(5.0))
    assert result.agreement.ok
    assert [side.obstacle for side in result.contenders.values()] == ["", "", ""]
    assert result.port is None


def test_a_jax_function_that_numpy_cannot_run_says_so():
    result = quick(lambda x: jax.nn.relu(x).at[0].set(1), jnp.arange(5.0))
    assert result.contenders["numpy"].obstacle == "NumPy has nothing like `jax.nn`"
    assert result.speedup("jax.jit", over="jax").estimate > 0


def test_a_jitted_function_races_as_it_is_and_unwrapped():
    calls = []

    @jax.jit
    def f(x):
        calls.append(type(x).__name__)
        return x * 2

    result = quick(f, jnp.arange(5.0))
    assert list(result.contenders) == ["numpy", "jax", "jax.jit"]
    assert result.agreement.ok
    assert "ArrayImpl" in calls  # unwrapped, with real arrays


def test_types_stand_for_random_arrays():
    result = quick(lambda x, i: x * i, ArrayType("f32", (5,)), ArrayType("i32", ()))
    assert [value.type for value in result.inputs] == ["f32[5]", "i32[]"]
    assert result.agreement.ok


@pytest.mark.parametrize(
    ("function", "diff"),
    [
        (np.sort, "-np.sort\n+jnp.sort"),
        (np.linalg.norm, "-np.linalg.norm\n+jnp.linalg.norm"),
        (np.sin, "-np.sin\n+jnp.sin"),
    ],
)
def test_numpys_own_functions_race_their_namesakes(function, diff):
    result = quick(function, np.arange(4.0))
    assert [side.obstacle for side in result.contenders.values()] == ["", "", ""]
    assert result.agreement.ok
    assert result.port.diff == diff


def test_the_plain_functions_are_the_same():
    assert jaxmagic.benchmark is bench.benchmark
    result = jaxmagic.benchmark(np.sum, np.ones(3), budget=0.3)
    assert result.contenders["numpy"].typical > 0
    result = jaxmagic.race({"a": np.sort, "b": np.sort}, np.ones(3), budget=0.3)
    assert list(result.contenders) == ["a", "b"]
    with pytest.raises(BadTarget):
        jaxmagic.race({})


def gradient(function, *args, **kwargs):
    target = Target(function=function, args=args, kwargs=kwargs)
    return bench.run(target, grad=True, tools=ticking())


@pytest.mark.parametrize(
    ("function", "inputs"),
    [
        (lambda x: jnp.sum(jnp.sin(x) ** 2), (jnp.arange(5.0),)),
        (lambda x: np.sum(np.sin(x) ** 2), (np.arange(5.0),)),
        (jax.jit(lambda x, n: x.sum() * n), (jnp.arange(5.0), 3)),
        (lambda p: jnp.sum(p["w"] * p["b"]), ({"w": jnp.ones(3), "b": 2.0},)),
    ],
)
def test_a_function_races_its_gradient(function, inputs):
    result = gradient(function, *inputs)
    assert [side.obstacle for side in result.contenders.values()] == ["", "", ""]
    assert list(result.contenders) == ["numpy", "jax.jit", "jax.grad"]
    assert result.agreement.ok
    assert result.speedup("jax.jit", over="jax.grad").estimate > 0


def test_what_has_no_gradient_says_so():
    result = gradient(lambda x: jnp.sin(x), jnp.arange(5.0))
    assert result.contenders["jax.jit"].typical > 0
    assert result.contenders["jax.grad"].typical is None
    assert result.contenders["jax.grad"].obstacle.startswith("A gradient needs one number")


@pytest.mark.parametrize(
    ("function", "x"),
    [(lambda x: np.sin(x).sum() * 2.0, np.arange(5.0)), (lambda x: jnp.sin(x).sum() * 2.0, jnp.arange(5.0))],
)
def test_precisions_race_each_other(function, x):
    result = bench.run_precisions(
        Target(function=function, args=(x,)), ["float32", "float64"], tools=ticking()
    )
    assert [side.obstacle for side in result.contenders.values()] == [""] * 4
    assert result.agreement.dtypes == {
        "numpy float32": "float32",
        "jax.jit float32": "float32",
        "numpy float64": "float64",
        "jax.jit float64": "float64",
    }
    assert result.agreement.ok
    assert result.speedup("jax.jit float32", over="jax.jit float64").estimate > 0
    assert "precision" not in {note.kind for note in result.notes}
    lost = next(note.text for note in result.notes if note.kind == "lost precision")
    assert lost.startswith("On NumPy the result in float32 differs from that in float64 by ")


def test_an_unknown_precision_is_refused():
    with pytest.raises(BadTarget, match="`float65` is no precision"):
        bench.run_precisions(Target(function=np.sin, args=(1.0,)), ["float65"])


# -- numbers for machines -------------------------------------------------------------------------


def test_the_result_is_json():
    result = quick(lambda x: np.sin(x), np.ones(3))
    read = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert read["contenders"]["numpy"]["typical"] == result.contenders["numpy"].typical
    assert read["speedups"]["jax.jit"]["numpy"]["estimate"] == result.speedup("jax.jit", "numpy").estimate
    assert read["conditions"]["cores"] >= 1
    assert read["port"]["function"] is None


def test_a_data_frame_has_one_row_a_sample(monkeypatch):
    clock = Clock()
    result = labelled(clock, a=clock.worker(0.1), b=clock.worker(0.1))
    pandas = types.SimpleNamespace(DataFrame=lambda rows, columns: (rows, columns))
    monkeypatch.setitem(__import__("sys").modules, "pandas", pandas)
    rows, columns = result.to_dataframe()
    assert columns == ["contender", "batch", "seconds", "counts"]
    assert len(rows) == sum(len(batch) for side in result.contenders.values() for batch in side.seconds)
    assert rows[0] == {"contender": "a", "batch": 0, "seconds": pytest.approx(0.1), "counts": True}


def test_without_pandas_the_data_frame_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    clock = Clock()
    with pytest.raises(ImportError, match="pip install pandas"):
        labelled(clock, a=clock.worker(0.1)).to_dataframe()


def test_memory_is_freed_afterwards():
    class Big(np.ndarray):
        pass

    alive = []

    def f(x):
        alive.append(weakref.ref(x))
        return 1.0

    result = bench.run_labelled({"a": f}, (np.ones(1000).view(Big),), tools=ticking())
    assert result.contenders["a"].typical > 0
    assert not [1 for ref in alive if ref() is not None]


def test_outcomes_are_let_go_before_the_race():
    kept = []
    take_turns = Course.take_turns

    def spy(course):
        kept.extend(side.outcome for side in course.sides.values())
        take_turns(course)

    Course.take_turns = spy
    try:
        quick(lambda x: x + 1, np.ones(3))
    finally:
        Course.take_turns = take_turns
    assert kept == [None, None, None]
