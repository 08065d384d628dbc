"""What a race is run with: the clock, the dice, the stop-watch that cuts calls off."""

from __future__ import annotations

import _thread
import contextlib
import gc
import random
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator, MutableSequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any, TypeVar

from jaxmagic.bench.conditions import Load

T = TypeVar("T")


class TimeIsUp(BaseException):
    """A call was cut off because it took longer than it was given; nobody's `except Exception` eats it.

    `during` says in words what was cut off.
    """

    during = "in its first call"


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


# Seconds between two tries to stop a call, and code where none is made: an exception would be lost
# there, or leave something undone.
AGAIN = 0.05
_SPARED_FILES = (__file__, contextlib.__file__, weakref.__file__)
_SPARED_NAMES = frozenset({"__exit__", "__del__", "_xla_gc_callback"})


@contextmanager
def cut_off(seconds: float) -> Iterator[None]:
    """Raise TimeIsUp in the body once `seconds` have passed, at one of its next Python instructions.

    By the alarm of the operating system: it stops Python loops (such as an eager port's), but not a
    single long call into compiled code. Where Python takes no alarms (outside the main thread, on
    Windows) nothing is cut off.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return
    armed = [True]

    def strike(_: int, frame: FrameType | None) -> None:
        if armed[0] and frame is not None and not _is_spared(frame.f_code):
            raise TimeIsUp

    handler = signal.signal(signal.SIGALRM, strike)
    alarm = signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN)
    try:
        yield
    finally:
        armed[0] = False
        signal.setitimer(signal.ITIMER_REAL, *alarm)
        signal.signal(signal.SIGALRM, handler)


def _is_spared(code: CodeType) -> bool:
    return code.co_filename in _SPARED_FILES or code.co_name in _SPARED_NAMES


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


def in_background(work: Callable[[], T]) -> T:
    """What `work` returns, done by a thread, so that Ctrl-C and the stop-watch need not wait for it.

    Where one of them strikes the thread goes on to its end, and nobody sees its result.
    """
    thread = ThreadPoolExecutor(1)
    try:
        task = thread.submit(work)
        while not task.done():  # in short waits, for a long one hears nothing on some systems
            wait([task], timeout=AGAIN)
        return task.result()
    finally:
        thread.shutdown(wait=False)


def own_work(seconds: float = 0.02) -> float:
    """Cores that this process keeps busy while its own code sleeps (XLA's abandoned work, say)."""
    start, used = time.perf_counter(), time.process_time()
    time.sleep(seconds)
    return (time.process_time() - used) / (time.perf_counter() - start)


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruments:
    """What measures and disturbs, so that a test can bring its own.

    Args:
        now: the clock, in seconds.
        shuffle: the dice that order the contenders of a batch.
        cut_off: stops what runs longer than some seconds.
        own_work: cores that this process keeps busy by itself just now.
        worked: seconds that the cores have worked for this process, threads added up.
        load: what all processes have worked.
    """

    now: Callable[[], float] = time.perf_counter
    shuffle: Callable[[MutableSequence[Any]], None] = random.shuffle
    cut_off: Callable[[float], AbstractContextManager[None]] = cut_off
    own_work: Callable[[], float] = own_work
    worked: Callable[[], float] = time.process_time
    load: Callable[[], Load] = Load.now
