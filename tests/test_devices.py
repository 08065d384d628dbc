"""Devices on this machine: listing, choosing one, and where arrays live."""

import os
import subprocess
import sys
import textwrap
import threading
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmagic.analysis import devices as room
from jaxmagic.analysis.hardware import ACCELERATORS, Found, obstacle, present
from jaxmagic.errors import UnknownDevice

NVIDIA, AMD, TPU = ACCELERATORS
H100 = Found(accelerator=NVIDIA, model="NVIDIA H100 80GB HBM3")


def nothing():
    return ()


def on_four_cpus(script):
    """What a script prints in a process with four virtual CPU devices, line by line."""
    head = (
        "import jax; jax.config.update('jax_num_cpu_devices', 4)\n"
        "from jaxmagic.analysis import devices as room\n"
    )
    environ = os.environ | {"JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", head + textwrap.dedent(script)],
        capture_output=True,
        text=True,
        check=False,
        env=environ,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture(autouse=True)
def default_as_before():
    before = jax.config.jax_default_device
    yield
    room.reset()
    assert jax.config.jax_default_device is before
    jax.config.update("jax_default_device", before)


# -- listing --------------------------------------------------------------------------------------


def test_the_cpu_is_listed_with_what_is_known_of_it():
    result = room.devices(probe=nothing)
    assert result.default == "cpu:0"
    (cpu,) = [device for device in result.devices if device.name == "cpu:0"]
    threads = len(os.sched_getaffinity(0))
    assert cpu.kind == f"cpu, {threads} threads"
    assert (cpu.platform, cpu.default) == ("cpu", True)
    assert cpu.memory_used is None
    assert cpu.memory_total is None


def test_four_cpus_are_listed_by_name_with_the_default_marked():
    lines = on_four_cpus("""
        with room.on("cpu:2"):
            result = room.devices(probe=tuple)
        print(result.default, [d.name for d in result.devices], [d.name for d in result.devices if d.default])
        print(result.devices[0].kind.endswith(" shared by 4 devices"))
        print(room.device_names())
    """)
    assert lines == [
        "cpu:2 ['cpu:0', 'cpu:1', 'cpu:2', 'cpu:3'] ['cpu:2']",
        "True",
        "('cpu:0', 'cpu:1', 'cpu:2', 'cpu:3')",
    ]


def test_names_for_completion_import_no_jax_and_start_nothing():
    script = """if True:
        import sys
        from jaxmagic.analysis.devices import device_names
        print(device_names(), 'jax' in sys.modules)
        import jax
        print(device_names())
        jax.config.update('jax_num_cpu_devices', 3)  # refused once a backend has started
        print(len(jax.devices()), device_names())
    """
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["('cpu',) False", "('cpu',)", "3 ('cpu:0', 'cpu:1', 'cpu:2')"]


def fake_gpu(memory):
    def memory_stats():
        if isinstance(memory, Exception):
            raise memory
        return memory

    return SimpleNamespace(platform="gpu", device_kind="NVIDIA H200", memory_stats=memory_stats)


@pytest.mark.parametrize(
    ("memory", "used", "total"),
    [
        ({"bytes_in_use": 31_000, "bytes_limit": 139_000}, 31_000, 139_000),
        ({"bytes_in_use": 31_000}, 31_000, None),
        (None, None, None),
        (RuntimeError("not supported"), None, None),
    ],
)
def test_memory_is_what_the_allocator_says_and_none_otherwise(memory, used, total):
    device = room._describe("cuda:0", fake_gpu(memory), "cpu:0")
    assert (device.memory_used, device.memory_total) == (used, total)
    assert (device.name, device.kind, device.default) == ("cuda:0", "NVIDIA H200", False)


# -- accelerators that JAX does not use -----------------------------------------------------------


def machine(tmp_path, *files):
    for name, text in files:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


CARD = ("proc/driver/nvidia/gpus/0000:01:00.0/information", "Model: \t\t NVIDIA H100 80GB HBM3\nIRQ: 5\n")


@pytest.mark.parametrize(
    ("files", "names"),
    [
        ([], []),
        ([("dev/null", "")], []),
        ([("dev/nvidiactl", "")], []),
        ([("dev/nvidia0", "")], ["an NVIDIA GPU"]),
        ([("dev/nvidia0", ""), CARD], ["an NVIDIA H100 80GB HBM3"]),
        ([("usr/lib/wsl/lib/libcuda.so.1", "")], ["an NVIDIA GPU"]),
        ([("dev/kfd", "")], ["an AMD GPU"]),
        ([("dev/accel0", "")], []),
        ([("dev/accel0", ""), ("sys/bus/pci/devices/0/vendor", "0x1ae0\n")], ["a Google TPU"]),
        ([("dev/accel0", ""), ("sys/bus/pci/devices/0/vendor", "0x10de\n")], []),
    ],
)
def test_accelerators_are_read_off_the_files_of_their_drivers(tmp_path, files, names):
    assert [found.name for found in present(machine(tmp_path, *files))] == names


def test_a_gpu_that_the_installed_jax_cannot_use_gets_the_install_line(monkeypatch):
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("NVIDIA_VISIBLE_DEVICES", raising=False)
    (note,) = room.devices(probe=lambda: (H100,)).notes
    assert note.kind == "unused accelerator"
    assert note.text == (
        "This machine has an NVIDIA H100 80GB HBM3 that the installed JAX cannot use. "
        'Install `pip install "jax[cuda12]"` and restart the kernel.'
    )


@pytest.mark.parametrize(
    ("found", "environ", "text"),
    [
        (Found(accelerator=AMD), {}, 'pip install "jax[rocm7-local]"'),
        (Found(accelerator=TPU), {}, 'pip install "jax[tpu]"'),
        (H100, {"JAX_PLATFORMS": "cpu"}, "`JAX_PLATFORMS=cpu` hides it"),
        (H100, {"CUDA_VISIBLE_DEVICES": ""}, "`CUDA_VISIBLE_DEVICES=` hides it"),
        (H100, {"CUDA_VISIBLE_DEVICES": "0"}, 'pip install "jax[cuda12]"'),
        (H100, {"JAX_PLATFORMS": "cuda,cpu"}, 'pip install "jax[cuda12]"'),
    ],
)
def test_the_reason_why_an_accelerator_is_not_used(found, environ, text):
    assert text in obstacle(found, environ, "no reason")


@pytest.mark.parametrize(
    ("version", "extra"),
    [
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.159.04  Tue Sep 30 2025", "cuda13"),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  590.44.01  Release Build", "cuda13"),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build", "cuda12"),
        ("", "cuda12"),
    ],
)
def test_the_install_line_is_one_that_the_driver_runs(tmp_path, version, extra):
    (found,) = present(machine(tmp_path, CARD, ("proc/driver/nvidia/version", version)))
    assert f'pip install "jax[{extra}]"' in obstacle(found, {}, "no reason")


def test_an_installed_plugin_that_fails_is_told_with_its_failure(monkeypatch):
    monkeypatch.setattr("jaxmagic.analysis.hardware.version", lambda name: "0.10.2")
    assert obstacle(H100, {}, "driver too old") == (
        "This machine has an NVIDIA H100 80GB HBM3 and jax-cuda12-plugin 0.10.2 is installed, "
        "but JAX cannot start it: driver too old"
    )


# -- choosing one ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cpu", "cpu:0", "CPU:0", " cpu:0 "])
def test_a_device_answers_to_its_platform_and_its_number(name):
    assert room.resolve(name, probe=nothing) == jax.devices("cpu")[0]


@pytest.mark.parametrize("name", ["gpu", "cuda:1", "cpu:99", "cpu:", "cpu:x", "", ":0", "cpu:00", "<b>"])
def test_an_unknown_device_gets_the_list_and_changes_nothing(name):
    before = jax.config.jax_default_device
    for attempt in (room.resolve, room.set_default, lambda n: room.on(n).__enter__()):
        with pytest.raises(UnknownDevice, match="there is cpu:0"):
            attempt(name)
    assert jax.config.jax_default_device is before


def test_an_unknown_gpu_that_the_machine_has_is_told_how_to_get_it(monkeypatch):
    for variable in ("JAX_PLATFORMS", *NVIDIA.hidden_by):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(UnknownDevice) as caught:
        room.resolve("gpu", probe=lambda: (H100,))
    assert 'pip install "jax[cuda12]"' in caught.value.fix
    with pytest.raises(UnknownDevice) as caught:
        room.resolve("tpu", probe=lambda: (H100,))
    assert caught.value.fix == ""


def test_set_and_reset_go_back_to_what_was_there_first():
    lines = on_four_cpus("""
        jax.config.update("jax_default_device", jax.devices()[3])
        room.set_default("cpu:1"); print(room.current(), jax.numpy.ones(2).devices())
        room.set_default("cpu:2"); print(room.current())
        room.reset(); print(room.current())
        room.reset(); print(room.current())
    """)
    assert lines == ["cpu:1 {CpuDevice(id=1)}", "cpu:2", "cpu:3", "cpu:3"]


def test_reset_forgets_a_scope_that_was_open_when_the_default_was_set():
    lines = on_four_cpus("""
        with room.on("cpu:3"):
            room.set_default("cpu:1")
            print(room.current())
        print(room.current())
        room.reset(); print(room.current(), jax.config.jax_default_device)
    """)
    assert lines == ["cpu:3", "cpu:1", "cpu:0 None"]


def test_a_scope_ends_with_its_block_also_after_an_error():
    lines = on_four_cpus("""
        try:
            with room.on("cpu:2"):
                print(room.current()); raise KeyboardInterrupt
        except KeyboardInterrupt:
            print(room.current(), jax.config.jax_default_device)
    """)
    assert lines == ["cpu:2", "cpu:0 None"]


def test_no_name_is_no_change():
    with room.on(None):
        assert jax.config.jax_default_device is None


def test_a_scope_stays_in_its_thread():
    seen = []
    with room.on("cpu:0"):
        thread = threading.Thread(target=lambda: seen.append(jax.config.jax_default_device))
        thread.start()
        thread.join()
    assert seen == [None]


# -- where arrays live ----------------------------------------------------------------------------


def placed(value):
    return room.place("x", value, probe=nothing).placements


def test_an_array_lives_on_a_device():
    (item,) = placed(jnp.zeros((8, 128)))
    assert item == room.Placement(
        name="x",
        type="f32[8,128]",
        devices=("cpu:0",),
        sharding="whole, on one device",
        shards=(),
        committed=False,
    )


def test_an_array_that_was_put_somewhere_is_committed():
    (item,) = placed(jax.device_put(jnp.zeros(3), jax.devices()[0]))
    assert item.committed is True


@pytest.mark.parametrize(
    ("value", "type_", "sharding"),
    [
        (np.zeros((2, 3)), "f64[2,3]", "in host memory, not on a device"),
        (np.float32(1), "f32[]", "in host memory, not on a device"),
        (np.array(["a", "b"]), "<U1[2]", "in host memory, not on a device"),
        (np.array([None]), "object[1]", "in host memory, not on a device"),
        (3.0, "float", "a Python object, not an array"),
        ("word", "str", "a Python object, not an array"),
        (jax.ShapeDtypeStruct((4,), jnp.int32), "i32[4]", "a type: it has no data"),
    ],
)
def test_what_is_on_no_device_says_so(value, type_, sharding):
    (item,) = placed(value)
    assert (item.type, item.sharding, item.devices, item.committed) == (type_, sharding, (), None)


def test_keys_and_deleted_arrays_and_tracers():
    (key,) = placed(jax.random.key(0))
    assert (key.type, key.devices) == ("key<fry>[]", ("cpu:0",))
    gone = jnp.zeros(3)
    gone.delete()
    (item,) = placed(gone)
    assert (item.type, item.sharding) == ("f32[3]", "deleted or donated: its memory is gone")
    seen = []
    jax.jit(lambda x: seen.extend(placed(x)) or x)(1.0)
    assert (seen[0].type, seen[0].sharding) == ("f32[]", "a tracer: it has no data")


def test_the_leaves_of_a_pytree_are_placed_by_name():
    names = [(p.name, p.type) for p in placed({"dense": {"w": jnp.ones((2, 2)), "b": np.ones(2)}, "n": 3})]
    assert names == [("x['dense']['b']", "f64[2]"), ("x['dense']['w']", "f32[2,2]"), ("x['n']", "int")]


def test_shardings_in_words_with_the_part_on_each_device():
    lines = on_four_cpus("""
        import numpy as np
        from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
        mesh = Mesh(np.array(jax.devices()).reshape(2, 2), ("x", "y"))
        for spec in (P("x"), P("x", "y"), P(), P(None, ("x", "y"))):
            array = jax.device_put(jax.numpy.zeros((8, 4)), NamedSharding(mesh, spec))
            (item,) = room.place("a", array, probe=tuple).placements
            print(item.sharding)
            print(item.committed, *item.shards[1], *item.shards[2])
    """)
    assert lines == [
        "axis 0 in 2 pieces along mesh axis x, each piece on 2 devices",
        "True cpu:1 [0:4, :] cpu:2 [4:8, :]",
        "axis 0 in 2 pieces along mesh axis x, axis 1 in 2 pieces along mesh axis y",
        "True cpu:1 [0:4, 2:4] cpu:2 [4:8, 0:2]",
        "a whole copy on each of 4 devices",
        "True cpu:1 [:, :] cpu:2 [:, :]",
        "axis 1 in 4 pieces along mesh axes x, y",
        "True cpu:1 [:, 1:2] cpu:2 [:, 2:3]",
    ]


def test_placing_leaves_the_arrays_alone():
    array = jnp.arange(3.0)
    before = (array.unsafe_buffer_pointer(), array.committed)
    placed({"a": array})
    assert (array.unsafe_buffer_pointer(), array.committed) == before
