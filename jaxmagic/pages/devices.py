"""What `%jaxdevice` says: the devices and the default, or where the arrays of a value live."""

from __future__ import annotations

from jaxmagic.pages import units
from jaxmagic.pages.blocks import (
    Aside,
    Bar,
    Block,
    Cell,
    Column,
    Page,
    Table,
    Words,
    code,
    spell,
    strong,
    tab,
    words,
)
from jaxmagic.results import Device, Devices, Placement

MOST = 100  # rows of a table, so that a model of thousands of arrays stays readable


def page(result: Devices) -> Page:
    """The page of a `Devices`: placements when something was placed, else the list of devices."""
    blocks = _placed(result.placements) if result.placements else (_device_table(result.devices),)
    return Page(
        say=_say_placed(result.placements) if result.placements else _say_devices(result),
        conditions=_conditions(result),
        tabs=(tab("arrays" if result.placements else "devices", *blocks),),
        notes=tuple(Aside(words=spell(note.text)) for note in result.notes),
    )


# -- the devices ----------------------------------------------------------------------------------


def _say_devices(result: Devices) -> Words:
    return words(
        "New arrays go to ", strong(result.default), f". {units.counted(len(result.devices), 'device')}."
    )


def _device_table(devices: tuple[Device, ...]) -> Table:
    measured = any(_share(device) is not None for device in devices)
    columns = (
        Column(title="device", align="left"),
        Column(title="kind", align="left"),
        Column(title="memory"),
    )
    bars = (Column(title="", align="left"),) if measured else ()
    return Table(
        columns=columns + bars,
        rows=tuple(_device_row(device)[: len(columns + bars)] for device in devices),
        caption="● is the default",
    )


def _device_row(device: Device) -> tuple[Cell, ...]:
    name = words("● ", strong(device.name)) if device.default else words(f"○ {device.name}")
    share = _share(device)
    return name, words(device.kind), words(_memory(device)), () if share is None else Bar(share=share)


def _share(device: Device) -> float | None:
    if device.memory_used is None or not device.memory_total:
        return None
    return device.memory_used / device.memory_total


def _memory(device: Device) -> str:
    """What is used of what there is, or as much of that as is known."""
    if device.memory_total is None:
        return units.size(device.memory_used)
    return f"{units.size(device.memory_used)} of {units.size(device.memory_total)}"


# -- the arrays -----------------------------------------------------------------------------------


def _say_placed(placements: tuple[Placement, ...]) -> Words:
    if len(placements) == 1:
        return _say_one(placements[0])
    places = sorted({device for item in placements for device in item.devices})
    off = sum(not item.devices for item in placements)
    on = units.counted(len(placements) - off, "array")
    rest = f"; {off} not on a device" if off else ""
    return (
        words(strong(on), " on ", strong(units.listed(places)), rest, ".")
        if places
        else words("No array is on a device.")
    )


def _say_one(item: Placement) -> Words:
    what = (code(item.name), f" {item.type} ")
    if not item.devices:
        return words(*what, f"is {item.sharding}.")
    if len(item.devices) == 1:
        return words(*what, "lives on ", strong(item.devices[0]), ".")
    return words(*what, "lives on ", strong(f"{len(item.devices)} devices"), f": {item.sharding}.")


def _conditions(result: Devices) -> Words:
    """What placement means for the next computation, where there is an array it holds for."""
    known = frozenset(item.committed for item in result.placements if item.committed is not None)
    return words(_MEANING[known]) if known else ()


_MEANING = {
    frozenset({True}): "committed: computations with it run there, whatever the default device is",
    frozenset({False}): "not committed: computations with it run on the default device, which may move it",
    frozenset({True, False}): "computations run where the committed ones are; the others may be moved there",
}


def _placed(placements: tuple[Placement, ...]) -> tuple[Block, ...]:
    shards = tuple(_shard_table(item) for item in placements if item.shards)
    return (_placement_table(placements), *shards[:MOST])


def _placement_table(placements: tuple[Placement, ...]) -> Table:
    rows = tuple(_placement_row(item) for item in placements[:MOST])
    left = len(placements) - len(rows)
    return Table(
        columns=tuple(
            Column(title=title, align="left") for title in ("array", "type", "on", "how", "committed")
        ),
        rows=rows,
        caption=f"and {units.counted(left, 'more array', 'more arrays')}" if left else "",
    )


def _placement_row(item: Placement) -> tuple[Cell, ...]:
    spelled = {True: "yes", False: "no", None: ""}[item.committed]
    return (
        words(code(item.name)),
        words(code(item.type)),
        words(_where(item)),
        words(item.sharding),
        words(spelled),
    )


def _where(item: Placement) -> str:
    return ", ".join(item.devices) if len(item.devices) <= 2 else f"{len(item.devices)} devices"


def _shard_table(item: Placement) -> Table:
    return Table(
        columns=(
            Column(title="device", align="left"),
            Column(title=f"its part of {item.name}", align="left"),
        ),
        rows=tuple((words(device), words(code(part))) for device, part in item.shards),
    )
