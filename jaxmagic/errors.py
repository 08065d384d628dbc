"""What users are told when something cannot be done: what, where, and the fix."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxmagic.results import Span


class JaxmagicError(Exception):
    """One thing that jaxmagic cannot do, in words for its user.

    Args:
        message: one sentence that says what is wrong, without a final newline.
        fix: what to write instead, or "" when there is nothing to do.
        span: where in the user's own source, when that is known.
        excerpt: the user's source line at `span`, verbatim.
        place: the file of `span` in words ("In [3]", "model.py"); "" where the user sees it anyway.
    """

    def __init__(
        self,
        message: str,
        *,
        fix: str = "",
        span: Span | None = None,
        excerpt: str = "",
        place: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix
        self.span = span
        self.excerpt = excerpt
        self.place = place

    def __str__(self) -> str:
        lines = [self.message]
        if self.span is not None:
            excerpt = self.excerpt.strip()
            place = f"{self.place}, " if self.place else ""
            lines.append(f"  {place}line {self.span.line}{f': {excerpt}' if excerpt else ''}")
        if self.fix:
            lines.append(f"  {self.fix}")
        return "\n".join(lines)

    def _render_traceback_(self) -> list[str]:
        """What IPython shows in place of a traceback through our own frames."""
        return [f"{type(self).__name__}: {self}"]


class BadLine(JaxmagicError):
    """A magic line that the grammar refuses."""


class BadTarget(JaxmagicError):
    """There is no function to look at, or its inputs do not fit."""


class CannotTrace(JaxmagicError):
    """JAX cannot turn the function into a program."""


class CannotDifferentiate(JaxmagicError):
    """The function, or one of its inputs, has no derivative that JAX can take."""


class CannotPort(JaxmagicError):
    """The NumPy code holds a construct that has no faithful JAX form."""


class UnknownDevice(JaxmagicError):
    """A device name that no device here answers to."""
