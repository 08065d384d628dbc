"""Bad input: each a clear word, the NumPy side timed all the same, the user's arrays untouched."""

from __future__ import annotations

import sys
import zlib

import numpy as np
import pytest

import jaxmagic
from jaxmagic.errors import BadTarget, CannotPort
from jaxmagic.port import port

KEPT = {"calls": 0}
LOG = []
COUNT = 0


def writes_a_file(x):
    np.savetxt("/dev/null", x)
    return x


def opens_a_file(x):
    with open("/dev/null") as file:
        file.read()
    return x


def prints(x):
    print(x.sum(), file=sys.stderr)
    return x


def changes_a_global(x):
    global COUNT
    COUNT = 1
    return x


def appends_outside(x):
    LOG.append(1)
    return x * 2


def stores_outside(x):
    KEPT["calls"] = 3
    return x


def takes_objects(x):
    return x + 1


def uses_pandas(x):
    import pandas as pd

    return pd.Series(x).mean()


def calls_itself(x, n):
    return x if n == 0 else calls_itself(x * 2, n - 1)


def draws(x):
    return x + np.random.normal(size=x.shape)


def yields(x):
    yield from x * 2


CASES = [
    (writes_a_file, (np.arange(4.0),), "Files cannot be written"),
    (opens_a_file, (np.arange(4.0),), "has no JAX form|Files cannot be read"),
    (prints, (np.arange(4.0),), "Printing happens once"),
    (changes_a_global, (np.arange(4.0),), "global variable is changed"),
    (appends_outside, (np.arange(4.0),), "belongs to the namespace outside"),
    (stores_outside, (np.arange(4.0),), "changes a dict in place|namespace outside"),
    (takes_objects, (np.array([1, 2], dtype=object),), "array of object"),
    (uses_pandas, (np.arange(4.0),), "pandas"),
    (calls_itself, (np.arange(4.0), 2), "calls itself"),
    (draws, (np.arange(4.0),), "hidden state"),
    (zlib.crc32, (b"abc",), "no Python source"),
    (np.linalg.LinAlgError, (), "no Python source"),
]
NAMES = [case[0].__name__ for case in CASES]


@pytest.mark.parametrize(("function", "args", "words"), CASES, ids=NAMES)
def test_a_clear_word(function, args, words):
    before = [np.copy(a) for a in args]
    with pytest.raises(CannotPort, match=words) as caught:
        port(function, *args)
    assert caught.value.fix
    assert all(np.array_equal(a, b) for a, b in zip(args, before, strict=True))


def test_nor_is_what_is_outside_changed_by_a_port_of_the_names_alone():
    with pytest.raises(CannotPort, match="namespace outside"):
        port(appends_outside)


@pytest.mark.parametrize(("function", "args", "words"), CASES[:-1], ids=NAMES[:-1])
def test_numpy_is_timed_all_the_same(function, args, words, capfd):
    if function is uses_pandas:
        pytest.importorskip("pandas")
    before = [np.copy(a) for a in args]
    raced = jaxmagic.benchmark(function, *args, budget=0.5)
    assert raced.contenders["numpy"].typical > 0
    assert raced.port is None
    assert all(np.array_equal(a, b) for a, b in zip(args, before, strict=True))
    capfd.readouterr()


def test_a_generator_is_refused_by_both():
    with pytest.raises(CannotPort, match="generator"):
        port(yields, np.arange(3.0))
    with pytest.raises(BadTarget, match="generator"):
        jaxmagic.benchmark(yields, np.arange(3.0), budget=0.05)
