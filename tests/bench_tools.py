"""A clock that a contender moves (or that moves by itself when it is read), and contenders that do."""

from contextlib import contextmanager, nullcontext

from jaxmagic.bench import race as bench
from jaxmagic.bench.conditions import Load
from jaxmagic.bench.instruments import Instruments
from jaxmagic.bench.sampling import Entrant, Record
from jaxmagic.bench.stopwatch import TimeIsUp


class Clock:
    """Seconds that pass only when somebody says so; it strikes when a call runs over its time.

    With a tick it moves on at every reading, for contenders that know nothing of it.
    """

    def __init__(self, tick=0.0):
        self.seconds = 0.0
        self.tick = tick
        self.alarm = None

    def __call__(self):
        self.seconds += self.tick
        return self.seconds

    def pass_(self, seconds):
        if self.alarm is not None and self.seconds + seconds > self.alarm:
            self.seconds = self.alarm
            raise TimeIsUp
        self.seconds += seconds

    @contextmanager
    def cut_off(self, seconds):
        self.alarm = self.seconds + seconds
        try:
            yield
        finally:
            self.alarm = None

    def within(self, work, seconds, meanwhile):
        with self.cut_off(seconds):
            return work()

    def tools(self, shuffle=lambda order: None, cuts=True, cores=1.0, others=0.0):
        """Instruments by this clock, on a machine that gives so many cores to us and to others."""
        return Instruments(
            now=self,
            shuffle=shuffle,
            cut_off=self.cut_off if cuts else lambda seconds: nullcontext(),
            within=self.within if cuts else lambda work, seconds, meanwhile: work(),
            own_work=lambda: 0.0,
            interruptions=lambda: 0,
            worked=lambda: cores * self.seconds,
            load=lambda: Load(
                at=self.seconds, everyone=(cores + others) * self.seconds, ours=cores * self.seconds
            ),
        )

    def worker(self, seconds, result=1.0, log=None):
        """A function that takes `seconds`: a number, or a function of how often it was called."""
        calls = []

        def work(*args):
            calls.append(1)
            if log is not None:
                log.append(work)
            self.pass_(seconds(len(calls)) if callable(seconds) else seconds)
            return result

        work.calls = calls
        return work


def record(work, expected, **options):
    return Record(entrant=Entrant(name="a", prepare=lambda: work, **options), expected=expected)


def labelled(clock, budget=2.0, **functions):
    return bench.run_labelled(functions, budget=budget, tools=clock.tools())
