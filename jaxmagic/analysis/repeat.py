"""Running the user's function once more, in other ways than they did: what may fail, and what must not."""

from __future__ import annotations

import types
from collections.abc import Iterator
from contextlib import contextmanager

from jaxmagic.analysis import program
from jaxmagic.analysis.leaves import Inputs
from jaxmagic.errors import JaxmagicError

# What JAX appends once it has removed its own frames; then ours may stand last for an error of its own.
_REMOVED = "JAX has removed its internal frames"
_SLIPS = (AssertionError, AttributeError, NameError, LookupError)  # nothing that JAX says of a function


class CannotRepeatError(Exception):
    """The user's function does not run this way; the cause is what it met."""


@contextmanager
def repeating() -> Iterator[None]:
    """Run the user's function inside, where it may fail.

    Raises:
        CannotRepeatError: for whatever the user's code, or JAX on its behalf, raises.
        Exception: an error of jaxmagic's own, as it is.
    """
    try:
        yield
    except (CannotRepeatError, TimeoutError):
        raise
    except Exception as error:
        if is_slip(error):
            raise
        raise CannotRepeatError from error


def is_slip(error: Exception) -> bool:
    """Whether jaxmagic's own code raised an error without meaning to."""
    last = _last(error.__traceback__)
    if last is None or isinstance(error, JaxmagicError) or last is Inputs.returned.__code__:
        return False
    if not program.is_ours(last.co_filename) or type(error).__module__.split(".")[0] in ("jax", "jaxlib"):
        return False
    removed = any(_REMOVED in note for note in getattr(error, "__notes__", ()))
    return isinstance(error, _SLIPS) or not removed


def _last(step: types.TracebackType | None) -> types.CodeType | None:
    code = None
    while step is not None:
        code, step = step.tb_frame.f_code, step.tb_next
    return code
