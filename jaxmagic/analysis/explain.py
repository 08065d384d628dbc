"""A JAX or NumPy exception in the user's function, as one clear error with the line and the fix."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from jaxmagic.errors import JaxmagicError
from jaxmagic.target import Target


def explain(error: Exception, target: Target) -> JaxmagicError | None:
    """The lesson in an exception, or None when it is the user's own and has to stay as it is."""
    return None


@contextmanager
def explained(target: Target) -> Iterator[None]:
    """Run the user's function inside: what JAX raises comes out explained, the user's own errors as they are."""
    try:
        yield
    except JaxmagicError:
        raise
    except Exception as error:
        lesson = explain(error, target)
        if lesson is None:
            raise
        raise lesson from error
