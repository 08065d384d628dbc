"""What a race is run with: the clock, the dice, the stop-watch; and Ctrl-C heard where it must be."""

from __future__ import annotations

import _thread
import gc
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, MutableSequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from jaxmagic.bench.background import in_background
from jaxmagic.bench.conditions import Load
from jaxmagic.bench.stopwatch import AGAIN, cut_off

resource: Any
try:
    import resource
except ImportError:  # on Windows
    resource = None


@contextmanager
def garbage_held() -> Iterator[None]:
    """No garbage collection inside, and afterwards as before."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class Sink:
    """Takes what contenders print while they are timed, thousands of times; `wrote` tells whether any did."""

    def __init__(self) -> None:
        self.wrote = False

    def write(self, text: str) -> int:
        """Let go of it."""
        self.wrote = True
        return len(text)

    def flush(self) -> None:
        """Nothing is held."""


@contextmanager
def interrupts_heard() -> Iterator[None]:
    """Ctrl-C that came where Python drops exceptions (a weak reference's callback) comes again."""
    dropped = sys.unraisablehook
    again: list[threading.Timer] = []

    def heard(what: sys.UnraisableHookArgs) -> None:
        if what.exc_type is None or not issubclass(what.exc_type, KeyboardInterrupt):
            dropped(what)
            return
        again.append(threading.Timer(AGAIN, _thread.interrupt_main))
        again[-1].start()

    if getattr(dropped, "__qualname__", "") == heard.__qualname__:  # a sweep hears for its races
        yield
        return
    sys.unraisablehook = heard
    try:
        yield
    finally:
        sys.unraisablehook = dropped
        for timer in again:
            timer.cancel()


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Ctrl-C waits inside, and is forgotten afterwards: for what ends a race that is over anyway."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler or signal.SIG_DFL)


def own_work(seconds: float = 0.02) -> float:
    """Cores that this process keeps busy while its own code sleeps (XLA's abandoned work, say)."""
    start, used = time.perf_counter(), time.process_time()
    time.sleep(seconds)
    return (time.process_time() - used) / (time.perf_counter() - start)


def interruptions() -> int:
    """How often the system took a core from this process for others; 0 where it does not tell."""
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw) if resource else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruments:
    """What measures and disturbs, so that a test can bring its own.

    Args:
        now: the clock, in seconds.
        shuffle: the dice that order the contenders of a batch.
        cut_off: stops what runs longer than some seconds.
        within: what a piece of work returns, unless it takes longer than some seconds; and something that
            is called meanwhile.
        own_work: cores that this process keeps busy by itself just now.
        worked: seconds that the cores have worked for this process, threads added up.
        interruptions: how often this process was taken off a core so far, where the system tells.
        load: what all processes have worked.
    """

    now: Callable[[], float] = time.perf_counter
    shuffle: Callable[[MutableSequence[Any]], None] = random.shuffle
    cut_off: Callable[[float], AbstractContextManager[None]] = cut_off
    within: Callable[[Callable[[], Any], float, Callable[[], None]], Any] = in_background
    own_work: Callable[[], float] = own_work
    worked: Callable[[], float] = time.process_time
    interruptions: Callable[[], int] = interruptions
    load: Callable[[], Load] = Load.now
