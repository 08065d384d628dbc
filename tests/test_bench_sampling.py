"""Who runs when, on a clock that only the contenders move."""

import gc
import itertools
import random

import pytest

from jaxmagic.bench.sampling import Entrant, race, time_calls
from jaxmagic.bench.statistics import ratio

from .bench_tools import Clock, record


def shuffled(seed):
    return random.Random(seed).shuffle


def run(clock, records, seconds, **options):
    race(records, until=clock() + seconds, tools=clock.tools(**options))


def test_eight_batches_in_the_time_given():
    clock = Clock()
    both = [record(clock.worker(0.001), 0.001), record(clock.worker(0.003), 0.003)]
    run(clock, both, 1.6)
    assert [len(r.batches) for r in both] == [8, 8]
    assert all(batch for r in both for batch in r.batches)
    assert 1.4 < clock() <= 1.6 * 1.05


@pytest.mark.parametrize("seed", range(5))
def test_known_work_reads_its_ratio_exactly(seed):
    clock = Clock()
    both = [record(clock.worker(0.003), 0.01), record(clock.worker(0.001), 0.01)]
    run(clock, both, 1.0, shuffle=shuffled(seed))
    assert ratio(both[0].batches, both[1].batches).estimate == pytest.approx(3.0, rel=1e-9)


def turns(log):
    """(who, how many calls) block after block; neighbours of the same contender count as one."""
    return [(work, len(list(calls))) for work, calls in itertools.groupby(log, key=id)]


def test_blocks_are_long_enough_for_the_caches_and_short_enough_for_the_noise():
    clock, log = Clock(), []
    run(clock, [record(clock.worker(0.001, log=log), 0.001) for _ in range(2)], 3.0)
    assert {20 <= calls <= 101 for _, calls in turns(log)} == {True}


def test_contenders_take_turns_in_random_order():
    clock, log = Clock(), []
    run(clock, [record(clock.worker(0.001, log=log), 0.001) for _ in range(3)], 3.0, shuffle=shuffled(1))
    order = [who for who, _ in turns(log)]
    assert len({tuple(order[i : i + 3]) for i in range(0, len(order), 3)}) > 2


def test_the_first_calls_of_a_block_are_dropped():
    clock, log = Clock(), []
    other = record(clock.worker(0.002, log=log), 0.002)

    def cold():
        """Ten times as slow for 3 ms after the other ran."""
        work = clock.worker(lambda n: 0.010 if log and log[-1] is not work else 0.001, log=log)
        return work

    sensitive = record(cold(), 0.001)
    run(clock, [other, sensitive], 1.6)
    assert {round(s, 6) for batch in sensitive.batches for s in batch} == {0.001}


def test_short_calls_are_repeated_within_a_sample():
    clock = Clock()
    quick = record(clock.worker(1e-6), 1e-6)
    run(clock, [quick], 0.2)
    samples = [s for batch in quick.batches for s in batch]
    assert samples == pytest.approx([1e-6] * len(samples))
    assert len(quick.entrant.prepare().calls) >= 200 * len(samples)


def test_samples_of_all_sides_last_equally_long():
    clock = Clock()
    quick, slow = clock.worker(0.0001), clock.worker(0.005)
    both = [record(quick, 0.0001), record(slow, 0.005)]
    run(clock, both, 1.0)
    per_sample = len(quick.calls) / sum(map(len, both[0].batches))
    assert per_sample == pytest.approx(50, rel=0.2)


def test_what_does_not_fit_is_not_started():
    clock = Clock()
    slow, quick = record(clock.worker(30.0), 30.0), record(clock.worker(0.001), 0.001)
    run(clock, [slow, quick], 2.0)
    assert not slow.sampled
    assert quick.sampled
    assert clock() <= 2.0 * 1.05


def test_a_slow_contender_gets_its_share_and_the_fast_one_its_blocks():
    clock = Clock()
    slow, quick = record(clock.worker(0.3), 0.3), record(clock.worker(0.001), 0.001)
    run(clock, [slow, quick], 2.0)
    assert 4 <= sum(map(len, slow.batches)) <= 6
    assert all(quick.batches)
    assert clock() <= 2.0 * 1.05


@pytest.mark.parametrize("seconds", [0.0001, 0.01, 0.09, 0.3, 0.5, 0.9, 1.1])
@pytest.mark.parametrize("entrants", [1, 2, 3, 5])
def test_never_more_than_the_time_given_and_one_call(seconds, entrants):
    clock = Clock()
    records = [record(clock.worker(seconds), seconds) for _ in range(entrants)]
    run(clock, records, 2.0)
    assert clock() <= 2.0 * 1.05


def test_a_call_that_grows_longer_overruns_by_itself_only():
    clock = Clock()
    growing = record(clock.worker(lambda n: 0.001 * n), 0.001)
    run(clock, [growing, record(clock.worker(0.001), 0.001)], 1.0)
    assert clock() <= 1.1


def test_each_call_of_a_spoiling_function_gets_fresh_inputs():
    clock, fresh = Clock(), []

    def prepare():
        fresh.append([0])
        mine = fresh[-1]

        def work():
            clock.pass_(0.001)
            mine[0] += 1

        return work

    spoiling = record(None, 0.001)
    spoiling.entrant = Entrant(name="a", prepare=prepare, spoils=True)
    run(clock, [spoiling], 0.2)
    assert len(fresh) > 100
    assert {count for (count,) in fresh} == {1}


def test_copying_is_not_timed():
    clock = Clock()

    def prepare():
        clock.pass_(0.05)
        return clock.worker(0.001)

    spoiling = record(None, 0.001)
    spoiling.entrant = Entrant(name="a", prepare=prepare, spoils=True)
    run(clock, [spoiling], 1.0)
    assert {round(s, 9) for batch in spoiling.batches for s in batch} == {0.001}
    assert clock() <= 1.2


def test_no_more_copies_at_once_than_fit():
    clock, alive = Clock(), []

    def prepare():
        alive.append(clock())
        return clock.worker(1e-4)

    spoiling = record(None, 1e-6)  # expected to be quicker than it is
    spoiling.entrant = Entrant(name="a", prepare=prepare, spoils=True, input_bytes=16_000_000)
    run(clock, [spoiling], 0.01)
    assert max(alive.count(at) for at in alive) <= 4


def test_a_contender_that_raises_is_out_and_the_others_go_on():
    clock = Clock()

    def breaks(n):
        if n > 100:
            raise ValueError("worn out")
        return 0.001

    bad, good = record(clock.worker(breaks), 0.001), record(clock.worker(0.001), 0.001)
    run(clock, [bad, good], 2.0)
    assert str(bad.failure) == "worn out"
    assert bad.sampled
    assert good.failure is None
    assert sum(map(len, good.batches)) > 300


def test_an_interrupt_is_not_swallowed_and_the_samples_stay():
    clock = Clock()

    def interrupted(n):
        if n > 300:
            raise KeyboardInterrupt
        return 0.001

    only = record(clock.worker(interrupted), 0.001)
    with pytest.raises(KeyboardInterrupt):
        run(clock, [only], 2.0)
    assert only.sampled
    assert gc.isenabled()


def test_garbage_is_not_collected_while_the_clock_runs():
    clock, states = Clock(), []

    def work():
        states.append(gc.isenabled())
        clock.pass_(0.001)

    run(clock, [record(work, 0.001)], 0.1)
    assert set(states) == {False}
    assert gc.isenabled()


def test_garbage_collection_stays_off_where_it_was_off():
    clock = Clock()
    gc.disable()
    try:
        run(clock, [record(clock.worker(0.001), 0.001)], 0.1)
        assert not gc.isenabled()
    finally:
        gc.enable()


class Promise:
    """A result that is not there yet, as an asynchronous dispatch returns it."""

    def __init__(self, clock, seconds):
        self.clock, self.seconds = clock, seconds

    def block_until_ready(self):
        self.clock.pass_(self.seconds)
        return self


def test_every_call_is_waited_for():
    clock = Clock()

    def dispatch():
        clock.pass_(12e-6)
        return Promise(clock, 0.652)

    entrant = Entrant(name="a", prepare=lambda: dispatch, finish=lambda result: result.block_until_ready())
    assert time_calls(entrant, [dispatch] * 3, clock) == pytest.approx(3 * 0.652012)


def test_a_clock_that_never_moves_ends_every_block_after_a_sample():
    calls = []
    both = [record(lambda: calls.append(1), 0.0), record(lambda: calls.append(1), 0.001)]
    run(Clock(), both, 1.0)
    assert 0 < len(calls) <= 8 * 2 * 1000
