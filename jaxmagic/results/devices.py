"""Place: what `%jaxdevice` gives."""

from __future__ import annotations

from dataclasses import dataclass

from jaxmagic.results.common import Note


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One device, as `jax.devices()` lists it; memory in bytes, None where unknown."""

    name: str
    platform: str
    kind: str
    memory_used: int | None = None
    memory_total: int | None = None
    default: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where one array lives and how it is cut up over the devices."""

    name: str
    type: str
    devices: tuple[str, ...]
    sharding: str
    shards: tuple[tuple[str, str], ...] = ()
    committed: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Devices:
    """The devices, which of them new arrays go to, and what stands in the way of others."""

    devices: tuple[Device, ...]
    default: str
    placements: tuple[Placement, ...] = ()
    notes: tuple[Note, ...] = ()
