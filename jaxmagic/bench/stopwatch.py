"""What stops a call that takes too long."""

from __future__ import annotations

import contextlib
import signal
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType, FrameType


class TimeIsUp(BaseException):
    """A call was cut off because it took longer than it was given; nobody's `except Exception` eats it.

    `during` says in words what was cut off.
    """

    during = "in its first call"


# Seconds between two tries to stop a call, and code where none is made: an exception would be lost
# there, or leave something undone.
AGAIN = 0.05
_SPARED_FILES = (__file__, contextlib.__file__, weakref.__file__)
_SPARED_NAMES = frozenset({"__exit__", "__del__", "_xla_gc_callback", "end_thread"})


@contextmanager
def cut_off(seconds: float) -> Iterator[None]:
    """Raise TimeIsUp in the body once `seconds` have passed, at one of its next Python instructions.

    By the alarm of the operating system: it stops Python loops, but not a single long call into
    compiled code. Where Python takes no alarms (outside the main thread, on Windows) nothing is cut off.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return
    armed = [True]

    def strike(_: int, frame: FrameType | None) -> None:
        if armed[0] and frame is not None and not is_spared(frame.f_code):
            raise TimeIsUp

    handler = signal.signal(signal.SIGALRM, strike)
    alarm = signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN)
    try:
        yield
    finally:
        armed[0] = False
        signal.setitimer(signal.ITIMER_REAL, *alarm)
        signal.signal(signal.SIGALRM, handler)


def is_spared(code: CodeType) -> bool:
    """Whether an exception would be lost in some code, or leave something undone."""
    return code.co_filename in _SPARED_FILES or code.co_name in _SPARED_NAMES
