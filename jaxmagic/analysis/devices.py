"""Devices: which there are, which one is the default, and where arrays live.

JAX is imported inside the functions: completion asks for device names in sessions that may never
use JAX.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from math import prod
from typing import TYPE_CHECKING, Any

from jaxmagic.analysis.hardware import Found, obstacle, present
from jaxmagic.errors import UnknownDevice
from jaxmagic.results import Device, Devices, Note, Placement

if TYPE_CHECKING:
    import jax

Probe = Callable[[], tuple[Found, ...]]
_SETTING = "jax_default_device"


# -- which there are ------------------------------------------------------------------------------


def devices(*, probe: Probe = present) -> Devices:
    """Every device of every platform that JAX could start, the CPU too when it is not the default.

    Args:
        probe: which accelerators the machine shows, used or not; one that JAX does not use gets a
            note with the reason and the fix.
    """
    default = current()
    listed = tuple(_describe(name, device, default) for name, device in _by_name().items())
    return Devices(devices=listed, default=default, notes=_obstacles(probe()))


def current() -> str:
    """The name of the device that new arrays go to: "cpu:0"."""
    from jax.extend.backend import get_default_device

    return name_of(get_default_device())


def products() -> str:
    """What the default device multiplies float32 matrices in, unless told otherwise; "" where in float32."""
    from jax.extend.backend import get_default_device

    device = get_default_device()
    if device.platform == "tpu":
        return "bfloat16 (8 bits of 24, about two digits)"
    ampere = float(getattr(device, "compute_capability", 0) or 0) >= 8.0
    return "TF32 (11 bits of 24, about three digits)" if ampere else ""


def name_of(device: jax.Device) -> str:
    """What a device is called here: its platform as JAX registers it, and its id ("cuda:1")."""
    from jax.extend.backend import backends

    platform = next((key for key, client in backends().items() if client == device.client), device.platform)
    return f"{platform}:{device.id}"


def device_names() -> tuple[str, ...]:
    """The names for completion; imports nothing and starts nothing to find them."""
    return tuple(_by_name()) if _started() else ("cpu",)


def _started() -> bool:
    if "jax" not in sys.modules:
        return False
    from jaxmagic.analysis.program import backends_started

    return backends_started()


def _by_name() -> dict[str, jax.Device]:
    """The devices of this process, the default platform first."""
    import jax
    from jax.extend.backend import backends

    first = jax.default_backend()
    clients = sorted(backends().items(), key=lambda item: item[1].platform != first)
    return {
        f"{platform}:{device.id}": device for platform, client in clients for device in client.local_devices()
    }


def _describe(name: str, device: jax.Device, default: str) -> Device:
    memory = _memory(device)
    return Device(
        name=name,
        platform=device.platform,
        kind=_kind(device),
        memory_used=memory.get("bytes_in_use"),
        memory_total=memory.get("bytes_limit"),
        default=name == default,
    )


def _memory(device: jax.Device) -> Mapping[str, int]:
    """What the allocator says; nothing on platforms that keep no count (the CPU) or refuse."""
    try:
        return device.memory_stats() or {}
    except RuntimeError:
        return {}


def _kind(device: jax.Device) -> str:
    if device.platform != "cpu":
        return str(device.device_kind)
    threads, sharers = _threads(), len(device.client.local_devices())
    shared = f" shared by {sharers} devices" if sharers > 1 else ""
    return f"cpu, {threads} thread{'s' * (threads != 1)}{shared}"


def _threads() -> int:
    """The hardware threads that this process may run on, which is what XLA sizes its pool by."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _obstacles(found: tuple[Found, ...]) -> tuple[Note, ...]:
    return tuple(Note(kind="unused accelerator", text=_why(item)) for item in found if not _runs(item))


def _runs(found: Found) -> bool:
    from jax.extend.backend import backends

    return found.accelerator.platform in backends()


def _why(found: Found) -> str:
    import jax

    try:
        jax.devices(found.accelerator.platform)
    except RuntimeError as error:
        return obstacle(found, os.environ, str(error).splitlines()[0])
    return ""


# -- choosing one ---------------------------------------------------------------------------------


def resolve(name: str, *, probe: Probe = present) -> jax.Device:
    """The device that a name means: "cpu:1", "cuda:0", or the first of a platform ("gpu").

    Raises:
        UnknownDevice: no device answers to the name; the message lists those that exist, and names
            what is in the way when the machine has an accelerator of that platform.
    """
    known = _by_name()
    for full, device in known.items():
        platform, _, number = full.partition(":")
        if name.strip().lower() in {full, platform, device.platform, f"{device.platform}:{number}"}:
            return device
    raise UnknownDevice(
        f"There is no device `{name}` here; there is {', '.join(known)}.", fix=_fix(name, probe())
    )


def _fix(name: str, found: tuple[Found, ...]) -> str:
    """How to get the device, where the machine has it and JAX does not."""
    wanted = name.strip().lower().partition(":")[0]
    names = {"cuda": {"cuda", "gpu"}, "rocm": {"rocm", "gpu"}, "tpu": {"tpu"}}
    missing = [item for item in found if wanted in names[item.accelerator.platform] and not _runs(item)]
    return " ".join(_why(item) for item in missing)


@contextmanager
def on(name: str | None) -> Iterator[None]:
    """Make a device the default inside a `with` block, in this thread; None changes nothing.

    Raises:
        UnknownDevice: before anything has changed.
    """
    if name is None:
        yield
        return
    import jax

    with jax.default_device(resolve(name)):
        yield


class _Setting:
    """JAX's default device for the whole process, and what it was before we first set it."""

    def __init__(self) -> None:
        self._before: tuple[Any] | None = None

    def set(self, device: jax.Device) -> None:
        import jax

        if self._before is None:
            self._before = (_process_wide(),)
        jax.config.update(_SETTING, device)

    def reset(self) -> None:
        import jax

        if self._before is not None:
            jax.config.update(_SETTING, self._before[0])
            self._before = None


def _process_wide() -> Any:
    """The default device without what a `with` block of this thread lays over it."""
    import jax

    with ThreadPoolExecutor(1) as fresh:
        return fresh.submit(getattr, jax.config, _SETTING).result()


_setting = _Setting()  # jax.config is one per process, and so is the memory of what it held


def set_default(name: str) -> None:
    """Make a device the one that new arrays go to, until `reset`.

    Raises:
        UnknownDevice: and nothing is changed.
    """
    _setting.set(resolve(name))


def reset() -> None:
    """Give JAX back the default device that it had before the first `set_default`."""
    _setting.reset()


# -- where arrays live ----------------------------------------------------------------------------


def place(name: str, value: Any, *, probe: Probe = present) -> Devices:
    """The devices, and where every array of a value lives (its leaves, when it is a pytree).

    Args:
        name: what to call the value; leaves are called "params['w']".
        value: any object.
        probe: as in `devices`.
    """
    import jax

    here = devices(probe=probe)
    leaves = jax.tree_util.tree_flatten_with_path(value)[0]
    placements = tuple(_placement(name + jax.tree_util.keystr(path), leaf) for path, leaf in leaves)
    return Devices(devices=here.devices, default=here.default, placements=placements, notes=here.notes)


def _placement(name: str, leaf: Any) -> Placement:
    import jax

    if isinstance(leaf, jax.core.Tracer):
        return Placement(name=name, type=_type(leaf), devices=(), sharding="a tracer: it has no data")
    if not isinstance(leaf, jax.Array):
        return Placement(name=name, type=_type(leaf), devices=(), sharding=_off_device(leaf))
    if leaf.is_deleted():
        return Placement(
            name=name, type=_type(leaf), devices=(), sharding="deleted or donated: its memory is gone"
        )
    return _array_placement(name, leaf)


def _off_device(leaf: Any) -> str:
    import jax

    if isinstance(leaf, jax.ShapeDtypeStruct):
        return "a type: it has no data"
    return "in host memory, not on a device" if hasattr(leaf, "dtype") else "a Python object, not an array"


def _array_placement(name: str, array: jax.Array) -> Placement:
    pieces = array.sharding.devices_indices_map(array.shape)
    shards = tuple((name_of(device), _ranges(array.shape, index)) for device, index in pieces.items())
    return Placement(
        name=name,
        type=_type(array),
        devices=tuple(device for device, _ in shards),
        sharding=_in_words(array, list(pieces.values())) + _memory_kind(array),
        shards=shards if len(shards) > 1 else (),
        committed=array.committed,
    )


def _type(value: Any) -> str:
    """The type as JAX prints it; of a Python object its class."""
    import jax

    if not hasattr(value, "dtype") or not hasattr(value, "shape"):
        return type(value).__name__
    if getattr(value.dtype, "kind", "") in "OSUTMm" or getattr(value.dtype, "names", None):
        # NumPy's own: strings, objects, times, records.
        return f"{value.dtype}[{','.join(map(str, value.shape))}]"
    return str(jax.core.ShapedArray(value.shape, value.dtype).str_short(short_dtypes=True))


def _ranges(shape: tuple[int, ...], index: tuple[slice, ...]) -> str:
    """Which part of an array, as one would slice it: "[0:4, :]"."""
    bounds = (part.indices(size)[:2] for part, size in zip(index, shape, strict=True))
    spelled = (":" if (a, b) == (0, size) else f"{a}:{b}" for (a, b), size in zip(bounds, shape, strict=True))
    return f"[{', '.join(spelled)}]"


def _in_words(array: jax.Array, pieces: list[tuple[slice, ...]]) -> str:
    """How an array is cut up, read off the pieces, whatever class of sharding made them."""
    if len(pieces) == 1:
        return "whole, on one device"
    cuts = [len({(part[axis].start, part[axis].stop) for part in pieces}) for axis in range(array.ndim)]
    along = _mesh_axes(array)
    cut = [f"axis {i} in {n} pieces{along.get(i, '')}" for i, n in enumerate(cuts) if n > 1]
    copies = len(pieces) // prod(cuts)
    if not cut:
        return f"a whole copy on each of {copies} devices"
    return ", ".join(cut) + (f", each piece on {copies} devices" if copies > 1 else "")


def _mesh_axes(array: jax.Array) -> dict[int, str]:
    """For each axis of the array that a mesh axis cuts, which it is, in words."""
    import jax

    if not isinstance(array.sharding, jax.sharding.NamedSharding):
        return {}
    named = {
        i: axes if isinstance(axes, tuple) else (axes,) for i, axes in enumerate(array.sharding.spec) if axes
    }
    return {
        i: f" along mesh {'axis' if len(axes) == 1 else 'axes'} {', '.join(map(str, axes))}"
        for i, axes in named.items()
    }


def _memory_kind(array: jax.Array) -> str:
    """The kind of memory, when it is not the device's usual one ("pinned_host")."""
    kind = array.sharding.memory_kind
    device: Any = next(iter(array.sharding.device_set))
    usual = device.default_memory().kind
    return f", in {kind} memory" if kind not in (None, usual) else ""
