"""A dtype that data decide in NumPy: the port has one, and says so."""

import numpy as np
import pytest

from jaxmagic.errors import CannotPort
from jaxmagic.port import port

UP, WHOLE = np.array([1.5, 2.0, -0.5]), np.array([1, 2, 3])


def by_expression(a, k):
    s = a[0] if a[1] > 0 else k[1]
    return s, a


def by_branch(a, k):
    s = 0
    if a[0] > 0:
        s = a.sum()
    return s


def by_return(a, k):
    if a[0] > 0:
        return a[1]
    return k[0]


def by_maximum(a, k):
    s = max(a[0], k[0])
    return s, a


def by_while(a, k):
    s, n = 0, 0
    while n < a[0]:
        s, n = s + a[n], n + 1
    return s


def by_exit(a, k):
    s = 0
    for x in a:
        if x < 0:
            break
        s += x
    return s


PLACES = {
    "by_expression": "`s = a[0] if a[1] > 0 else k[1]`",
    "by_branch": "`s = a.sum()`",
    "by_maximum": "`s = max(a[0], k[0])`",
    "by_while": "`s` from `while n < a[0]:` on",
    "by_exit": "`s` from `for x in a:` on",
}


@pytest.mark.parametrize("function", [by_expression, by_branch, by_maximum, by_while, by_exit])
def test_a_dtype_that_data_decide_is_said(function):
    (text,) = [note.text for note in port(function, UP, WHOLE).notes if note.kind == "mixed"]
    assert "float64" in text
    assert "int" in text
    assert PLACES[function.__name__] in text


def test_a_dtype_that_depends_on_where_the_function_returns_is_refused():
    with pytest.raises(CannotPort, match="one dtype and shape on every way"):
        port(by_return, UP, WHOLE)


def one_dtype(a, k):
    s = a[0] if a[1] > 0 else 2.5
    t = 0.0
    for i in range(len(a)):
        t += a[i] if k[i] > 1 else -a[i]
    return s, t, k[0] if a[0] > 0 else 7


def by_a_loop_of_known_length(a, k):
    s = 0
    for i in range(len(a)):
        s = s + a[i]
    return s


@pytest.mark.parametrize("function", [one_dtype, by_a_loop_of_known_length])
def test_what_always_has_one_dtype_is_not_said_to_be_mixed(function):
    assert not [note for note in port(function, UP, WHOLE).notes if note.kind == "mixed"]
