"""What `%jaxbench --compare` says: what became faster or slower since the kept race."""

from __future__ import annotations

from jaxmagic.pages import benchmark, units
from jaxmagic.pages.blocks import Aside, Cell, Column, Page, Tab, Table, Text, Tone, Words, strong, tab, words
from jaxmagic.results import Benchmark, Comparison, Interval


def page(result: Comparison) -> Page:
    """The page of a `Comparison`."""
    return Page(
        say=_say(result),
        conditions=words("the two races did not take turns, so what changed on the machine counts too"),
        tabs=(
            tab("before and after", _table(result)),
            _race("before", result.before),
            _race("after", result.after),
        ),
        notes=_notes(result),
    )


def _say(result: Comparison) -> Words:
    parts = [_became(result.after.called(name), times) for name, times in result.speedups.items()]
    sentence: Words = ()
    for part in parts[:-1]:
        sentence += (*part, Text("; "))
    return (*sentence, *parts[-1], Text("."))


def _became(name: str, times: Interval) -> Words:
    if times.low is None or times.high is None:
        return words(f"{name}: ", strong(f"{units.ratio(times.estimate)} times as fast"), " on too few calls")
    if benchmark.is_about_one(times) and times.high > benchmark.UNSTEADY * times.low:
        range_ = units.ratio_within(times.low, times.estimate, times.high)[1]
        return words(f"{name}: ", strong("too unsteady to tell"), f" ({range_} times as fast)")
    if benchmark.is_about_one(times):
        range_ = units.ratio_within(times.low, times.estimate, times.high)[1]
        return words(f"{name}: ", strong("no change"), f" ({range_} times)")
    if times.estimate > 1:
        number, range_ = units.ratio_within(times.low, times.estimate, times.high)
        return words(f"{name}: ", strong(f"{number} times as fast"), f" as before ({range_})")
    number, range_ = units.ratio_within(1 / times.high, 1 / times.estimate, 1 / times.low)
    return words(f"{name}: ", strong(f"{number} times slower"), f" than before ({range_})")


def _table(result: Comparison) -> Table:
    columns = (
        Column(title="", align="left"),
        Column(title="before"),
        Column(title="after"),
        Column(title="change"),
    )
    return Table(columns=columns, rows=tuple(_row(result, name) for name in result.speedups))


def _row(result: Comparison, name: str) -> tuple[Cell, ...]:
    sides = (result.before.contenders[name], result.after.contenders[name])
    times = result.speedups[name]
    tone: Tone = "good" if (times.low or 0) > 1 else "bad" if (times.high or 1) < 1 else "plain"
    seconds = (words(units.seconds(side.typical)) for side in sides)
    return (
        words(result.after.called(name)),
        *seconds,
        (Text(f"× {units.ratio(times.estimate)}", tone=tone),),
    )


def _race(title: str, result: Benchmark) -> Tab:
    return tab(title, *benchmark.page(result).tabs[0].blocks.get())


def _notes(result: Comparison) -> tuple[Aside, ...]:
    return tuple(Aside(words=words(f"{name}: {old} before, {new} now.")) for name, old, new in result.changes)
