"""A JAX or NumPy exception in the user's function, as one clear error with the line and the fix."""

from __future__ import annotations

import dis
import os
import re
import types
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np

from jaxmagic.analysis import program, sources
from jaxmagic.analysis.lessons import BAD_CALL, LESSONS, Lesson
from jaxmagic.errors import CannotTrace, JaxmagicError
from jaxmagic.results import Span
from jaxmagic.target import Target

_LONGEST = 300  # characters of JAX's own words
_FOREIGN = tuple(os.path.dirname(module.__file__ or "") + os.sep for module in (jax, np))
# What JAX appends once it has removed its own frames from a traceback.
_REMOVED = "JAX has removed its internal frames"
# Then an error of Python itself looks like one of JAX's, except for its class and words.
_RAISED_BY_JAX = (TypeError, ValueError, IndexError, NotImplementedError)
_PYTHONS_WORDS = re.compile(
    r"^(list|tuple|string|range|bytes|bytearray|deque|pop) .*index out of range|^can only concatenate"
    r"|^can't multiply|^unsupported operand type|^bad operand type|not supported between instances of"
    r"|^invalid literal for|^could not convert string|values to unpack|^cannot unpack"
    r"|object (is|has|does|cannot)|indices must be integers|^must be (str|real)|is not in list"
    r"|^substring not found|^unhashable|required positional argument|unexpected keyword"
    r"|positional arguments? but|multiple values for"
)


def explain(error: Exception, target: Target) -> JaxmagicError | None:
    """The lesson in an exception that the user's function met.

    Args:
        error: as it was caught, with its traceback.
        target: what was called.

    Returns:
        One clear error with the user's line and the fix; `error` itself if it is one already; None
        for the user's own error (raised by their code, not by JAX), which the caller raises again
        as it is.
    """
    if isinstance(error, JaxmagicError):
        return error
    span = where(error)
    return explain_at(error, target, span) if find(error, span) or _from_jax(error) else None


def explain_at(error: Exception, target: Target, span: Span | None) -> JaxmagicError:
    """The lesson in an exception of JAX's, at a place that is known; JAX's own words where there is none."""
    lesson = find(error, span)
    if lesson is not None:
        return _told(lesson, error, target, span)
    message = f"JAX cannot run `{target.name}`: {shorten(str(error))}"
    return CannotTrace(message, **_place(span, target))


@contextmanager
def explained(target: Target) -> Iterator[None]:
    """Run the user's function inside.

    What JAX raises comes out explained, the user's own errors as they are.
    """
    try:
        yield
    except Exception as error:
        lesson = explain(error, target)
        if lesson is None or lesson is error:
            raise
        raise lesson from error


def find(error: Exception, span: Span | None) -> Lesson | None:
    """The row of the table that is about an error, met at a place of the user's."""
    line = sources.excerpt(span)
    if span is None and BAD_CALL.fits(error, line):
        return BAD_CALL
    return next((lesson for lesson in LESSONS if lesson.fits(error, line)), None)


def _told(lesson: Lesson, error: Exception, target: Target, span: Span | None) -> JaxmagicError:
    match = lesson.fits(error, sources.excerpt(span))
    groups = {key: value or "" for key, value in match.groupdict().items()} if match else {}
    code = " ".join(sources.expression(span).split()) if span else ""
    filled = defaultdict(str, groups | {"code": code, "name": target.name, "jax": shorten(str(error))})
    say = lesson.say if code else _without_code(lesson.say)
    return lesson.error(say.format_map(filled), fix=lesson.fix, **_place(span, target))


def _place(span: Span | None, target: Target) -> dict[str, Any]:
    """Where, as an error is told."""
    called = sources.elsewhere(span, target.labels)
    return {"span": span, "excerpt": sources.excerpt(span), "place": called}


def _without_code(say: str) -> str:
    """The sentence where the user's expression is not known."""
    say = re.sub(r" \(`\{code\}`\)|,? (at|by) `\{code\}`", "", say)
    return say.replace("`{code}`", "it")


def shorten(text: str) -> str:
    """JAX's own words: the first paragraph, without addresses, links and advice about jit."""
    text = re.sub(r"<function ([^ >]+) at 0x[0-9a-f]+>", r"\1", text)
    first = re.split(r"\n\s*\n|\nThe error occurred|\nSee https|\nThis typically means|\n-{4,}", text.strip())
    shown = " ".join(" ".join(part for part in first[:2] if part and "https://" not in part).split())
    shown = shown or " ".join(text.split())
    if len(shown) <= _LONGEST:
        return shown
    return shown[:_LONGEST].rsplit(" ", 1)[0] + " …"


# -- where ----------------------------------------------------------------------------------------


def where(error: BaseException) -> Span | None:
    """The innermost expression of the user's that an exception passed through."""
    steps = [step for step in _steps(error.__traceback__) if program.is_users(_file(step))]
    return _span(steps[-1]) if steps else None


def users_part(error: BaseException) -> types.TracebackType | None:
    """The traceback from the user's first frame on, for showing an error of the user's own."""
    return next((step for step in _steps(error.__traceback__) if program.is_users(_file(step))), None)


def _steps(step: types.TracebackType | None) -> Iterator[types.TracebackType]:
    while step is not None:
        yield step
        step = step.tb_next


def _file(step: types.TracebackType) -> str:
    return step.tb_frame.f_code.co_filename


def _span(step: types.TracebackType) -> Span:
    code = step.tb_frame.f_code
    places = list(code.co_positions())
    at = step.tb_lasti // 2
    line, end_line, column, end_column = places[at] if at < len(places) else (None,) * 4
    line = line or step.tb_lineno
    place = (line, column or 0, end_line or line, end_column or 0)
    return sources.span(code.co_filename, place, code.co_qualname)


# -- whose ----------------------------------------------------------------------------------------


def _from_jax(error: Exception) -> bool:
    """Whether JAX or NumPy raised it, rather than the user's own code or a library of theirs."""
    if type(error).__module__.split(".")[0] in ("jax", "jaxlib"):
        return True
    steps = list(_steps(error.__traceback__))
    if not steps:
        return False
    if _file(steps[-1]).startswith(_FOREIGN):
        return True
    removed = any(_REMOVED in note for note in getattr(error, "__notes__", ()))
    doubtful = removed and program.is_users(_file(steps[-1])) and not _raises(steps[-1])
    return doubtful and isinstance(error, _RAISED_BY_JAX) and not _PYTHONS_WORDS.search(str(error))


def _raises(step: types.TracebackType) -> bool:
    """Whether what stands there is a `raise`."""
    code, at = step.tb_frame.f_code, step.tb_lasti
    return any(
        op.offset == at and op.opname in ("RAISE_VARARGS", "RERAISE") for op in dis.get_instructions(code)
    )
