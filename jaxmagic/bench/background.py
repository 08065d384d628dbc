"""Work in a thread of its own, so that Ctrl-C and the stop-watch need not wait for it."""

from __future__ import annotations

import contextvars
import ctypes
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import jax

from jaxmagic.bench.stopwatch import AGAIN, TimeIsUp, is_spared

T = TypeVar("T")

# How often a thread that nobody waits for is told to end (a destructor may swallow it), and the
# seconds between.
TRIES = 4
PAUSE = 0.005


@dataclass(slots=True)
class _Task:
    """What a thread does: `doing` says it in words, as in "cut off after 2 s, …"."""

    thread: int = 0
    doing: str = TimeIsUp.during


_here = threading.local()


@contextmanager
def doing(words: str) -> Iterator[None]:
    """Say what is done inside, for whoever has to break it off."""
    task = getattr(_here, "task", None) or _Task()
    before, task.doing = task.doing, words
    try:
        yield
    finally:
        task.doing = before


def in_background(
    work: Callable[[], T],
    seconds: float = threading.TIMEOUT_MAX,
    meanwhile: Callable[[], None] = lambda: None,
) -> T:
    """What `work` returns or raises, done by a thread under the settings that hold here.

    `meanwhile` is called now and then. A loop in Python ends when it is broken off; a call into compiled
    code goes on to its end, and nobody sees its result.

    Raises:
        TimeIsUp: it took longer than `seconds`.
    """
    task, until = _Task(), time.perf_counter() + seconds
    settings, context = _settings(), contextvars.copy_context()
    pool = ThreadPoolExecutor(1)
    result = pool.submit(context.run, _work, task, settings, work)
    pool.shutdown(wait=False)
    try:
        while not result.done():  # in short waits, for a long one hears nothing on some systems
            _look_at_the_clock(until)
            wait([result], timeout=min(AGAIN, max(0.0, until - time.perf_counter())))
            meanwhile()
        return result.result()
    except TimeIsUp as up:
        up.during = task.doing
        raise
    finally:
        if not result.done():
            end_thread(task)


def _look_at_the_clock(until: float) -> None:
    if time.perf_counter() >= until:
        raise TimeIsUp


def _work(task: _Task, settings: list[AbstractContextManager[Any]], work: Callable[[], T]) -> T:
    task.thread, _here.task = threading.get_ident(), task
    try:
        with ExitStack() as held:
            for setting in settings:
                held.enter_context(setting)
            return work()
    finally:
        task.thread = 0


def end_thread(task: _Task) -> None:
    """Raise TimeIsUp in a thread, at one of its next Python instructions."""
    for _ in range(TRIES):
        frame = sys._current_frames().get(task.thread)
        if frame is None:
            return
        if not is_spared(frame.f_code):
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(task.thread), ctypes.py_object(TimeIsUp)
            )
        time.sleep(PAUSE)


# JAX's settings that hold for one thread only, and who sets them there.
_SETTERS: dict[str, Callable[[Any], AbstractContextManager[Any]]] = {
    "jax_enable_x64": jax.enable_x64,
    "jax_default_device": jax.default_device,
    "jax_default_matmul_precision": jax.default_matmul_precision,
    "jax_numpy_rank_promotion": jax.numpy_rank_promotion,
    "jax_numpy_dtype_promotion": jax.numpy_dtype_promotion,
    "jax_default_prng_impl": jax.default_prng_impl,
    "jax_debug_nans": jax.debug_nans,
    "jax_debug_infs": jax.debug_infs,
    "jax_disable_jit": jax.disable_jit,
}


def _settings() -> list[AbstractContextManager[Any]]:
    """The caller's own settings, for another thread; PyTorch's wish for gradients among them."""
    found = [setter(getattr(jax.config, name)) for name, setter in _SETTERS.items()]
    torch: Any = sys.modules.get("torch")
    if not hasattr(torch, "is_grad_enabled"):
        return found
    return [*found, torch.set_grad_enabled(torch.is_grad_enabled())]
