"""On a busy machine the samples count during which nobody else had the core."""

import dataclasses

import pytest

from jaxmagic.bench import race as bench
from jaxmagic.bench.instruments import interruptions
from jaxmagic.bench.sampling import Mark
from jaxmagic.bench.undisturbed import chosen

from .bench_tools import Clock, record


class Busy:
    """A machine that takes the core away in most samples, for five times as long as a call."""

    def __init__(self, every=1, free=4):
        self.clock = Clock()
        self.every, self.free, self.calls, self.taken = every, free, 0, 0

    def worker(self, seconds):
        """Calls of so many seconds; after `free` calls of each ten the core is taken away."""

        def work():
            self.calls += 1
            self.clock.pass_(seconds)
            if self.calls % 10 >= self.free:
                self.taken += self.every
                self.clock.pass_(5 * seconds)
            return 1.0

        return work

    def race(self, **functions):
        tools = dataclasses.replace(self.clock.tools(cores=0.5, others=1.5), interruptions=lambda: self.taken)
        return bench.run_labelled(functions, budget=2.0, tools=tools)


def test_the_true_ratio_is_read_although_most_samples_are_disturbed():
    machine = Busy(free=2)
    result = machine.race(three=machine.worker(0.003), one=machine.worker(0.001))
    assert result.speedup("one", over="three").estimate == pytest.approx(3.0)
    assert {round(s, 9) for batch in result.contenders["one"].seconds for s in batch} == {0.001}


def test_what_does_not_count_is_kept_apart_and_said():
    machine = Busy(free=5)
    result = machine.race(three=machine.worker(0.003), one=machine.worker(0.003))
    told = next(note.text for note in result.notes if note.kind == "disturbed samples")
    assert told.startswith("Samples during which the system gave the core to others do not count: ")
    assert any(result.contenders["three"].left_out)


def test_where_the_core_is_always_taken_all_samples_count():
    machine = Busy(free=0)
    result = machine.race(three=machine.worker(0.003), one=machine.worker(0.001))
    assert not any(side.left_out for side in result.contenders.values())
    assert result.contenders["one"].typical == pytest.approx(0.006)


def marked(*marks):
    """A record of five batches of the same samples: the cores that each had, negative where disturbed."""
    made = record(lambda: None, 0.001)
    for _ in range(5):
        made.batches.append([float(place) for place in range(len(marks))])
        made.marks.append([Mark(took=1.0, worked=abs(cores), disturbed=cores < 0) for cores in marks])
    return made


def counted(*marks):
    return chosen([marked(*marks)])["a"].batches[0]


def test_a_sample_that_waited_for_a_core_does_not_count():
    assert counted(1.9, 1.2, 1.9, -1.9) == (0.0, 2.0)


def test_where_nobody_took_a_core_none_waited_for_one():
    assert counted(1.9, 1.2, 1.9) == (0.0, 1.0, 2.0)


def test_who_sleeps_waits_for_no_core():
    assert counted(0.3, 0.01, 0.2, -0.1) == (0.0, 1.0, 2.0)


def test_where_the_system_does_not_tell_all_samples_count():
    machine = Busy(every=0)
    result = machine.race(three=machine.worker(0.003), one=machine.worker(0.001))
    assert not any(side.left_out for side in result.contenders.values())


def test_the_system_counts_upwards():
    before = interruptions()
    sum(range(100_000))
    assert interruptions() >= before >= 0
