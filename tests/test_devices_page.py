"""What the page of devices says, from results made by hand."""

from jaxmagic.pages.blocks import Bar
from jaxmagic.pages.devices import MOST, page
from jaxmagic.results import Device, Devices, Note, Placement

CUDA = Device(
    name="cuda:0",
    platform="gpu",
    kind="NVIDIA H200",
    memory_used=31 * 10**9,
    memory_total=139 * 10**9,
    default=True,
)
CPU = Device(name="cpu:0", platform="cpu", kind="cpu, 16 threads")


def plain(words):
    return "".join(run.text for run in words)


def rows(table):
    return [[cell if isinstance(cell, Bar) else plain(cell) for cell in row] for row in table.rows]


def tables(result):
    return page(result).tabs[0].blocks.get()


def placed(*placements):
    return Devices(devices=(CPU,), default="cpu:0", placements=placements)


def array(name="x", devices=("cpu:0",), committed=False, sharding="whole, on one device", shards=()):
    return Placement(
        name=name, type="f32[8,4]", devices=devices, sharding=sharding, shards=shards, committed=committed
    )


def test_the_default_is_said_and_marked():
    result = Devices(devices=(CUDA, CPU), default="cuda:0")
    assert plain(page(result).say) == "New arrays go to cuda:0. 2 devices."
    (table,) = tables(result)
    assert rows(table) == [
        ["● cuda:0", "NVIDIA H200", "31 GB of 139 GB", Bar(share=31 / 139)],
        ["○ cpu:0", "cpu, 16 threads", "unknown", ""],
    ]


def test_without_a_known_memory_there_is_no_column_of_bars():
    (table,) = tables(Devices(devices=(CPU,), default="cpu:0"))
    assert [column.title for column in table.columns] == ["device", "kind", "memory"]
    assert rows(table) == [["○ cpu:0", "cpu, 16 threads", "unknown"]]


def test_notes_keep_their_code():
    result = Devices(devices=(CPU,), default="cpu:0", notes=(Note(kind="k", text="Install `pip x` now."),))
    (aside,) = page(result).notes
    assert [(run.text, run.code) for run in aside.words] == [
        ("Install ", False),
        ("pip x", True),
        (" now.", False),
    ]


def test_one_array_in_a_sentence():
    result = placed(array())
    assert plain(page(result).say) == "x f32[8,4] lives on cpu:0."
    assert plain(page(result).conditions).startswith("not committed: ")
    assert plain(page(placed(array(committed=True))).conditions).startswith("committed: ")


def test_a_sharded_array_shows_the_part_on_each_device():
    shards = (("cpu:0", "[0:4, :]"), ("cpu:1", "[4:8, :]"))
    result = placed(
        array(devices=("cpu:0", "cpu:1"), sharding="axis 0 in 2 pieces", shards=shards, committed=True)
    )
    assert plain(page(result).say) == "x f32[8,4] lives on 2 devices: axis 0 in 2 pieces."
    overview, parts = tables(result)
    assert rows(overview) == [["x", "f32[8,4]", "cpu:0, cpu:1", "axis 0 in 2 pieces", "yes"]]
    assert rows(parts) == [["cpu:0", "[0:4, :]"], ["cpu:1", "[4:8, :]"]]


def test_a_host_array_has_no_device_and_no_condition():
    result = placed(array(devices=(), committed=None, sharding="in host memory, not on a device"))
    assert plain(page(result).say) == "x f32[8,4] is in host memory, not on a device."
    assert page(result).conditions == ()


def test_many_arrays_are_counted_and_the_table_is_cut():
    result = placed(
        *(array(name=f"x[{i}]") for i in range(MOST + 5)), array(name="y", devices=(), committed=None)
    )
    assert plain(page(result).say) == "105 arrays on cpu:0; 1 not on a device."
    (table,) = tables(result)
    assert len(table.rows) == MOST
    assert table.caption == "and 6 more arrays"


def test_arrays_of_both_kinds_say_so():
    result = placed(array(), array(name="y", committed=True))
    assert plain(page(result).conditions) == (
        "computations run where the committed ones are; the others may be moved there"
    )


def test_no_array_on_any_device():
    result = placed(*(array(name=n, devices=(), committed=None) for n in "ab"))
    assert plain(page(result).say) == "No array is on a device."
