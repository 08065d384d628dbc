"""What a race is run with: the clock, the dice, the stop-watch that cuts calls off."""

from __future__ import annotations

import ctypes
import gc
import random
import threading
import time
from collections.abc import Callable, Iterator, MutableSequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any


class TimeIsUp(BaseException):
    """A call was cut off because it took longer than it was given; nobody's `except Exception` eats it."""


@contextmanager
def cut_off(seconds: float) -> Iterator[None]:
    """Raise TimeIsUp in the body once `seconds` have passed, at its next Python instruction.

    Through CPython's asynchronous exceptions: works in any thread, stops Python loops (such as
    an eager port's), but not a single long call into compiled code.
    """
    thread, lock, over = threading.get_ident(), threading.Lock(), False

    def strike() -> None:
        with lock:
            if not over:
                _raise_in(thread, TimeIsUp)

    timer = threading.Timer(seconds, strike)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        with lock:
            over = True
            _raise_in(thread, None)
        timer.cancel()


def _raise_in(thread: int, kind: type[BaseException] | None) -> None:
    """Leave an exception with a thread; None takes one back that was not raised yet."""
    argument = ctypes.py_object(kind) if kind is not None else ctypes.c_void_p(None)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), argument)


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
    """

    now: Callable[[], float] = time.perf_counter
    shuffle: Callable[[MutableSequence[Any]], None] = random.shuffle
    cut_off: Callable[[float], AbstractContextManager[None]] = cut_off
    own_work: Callable[[], float] = own_work
