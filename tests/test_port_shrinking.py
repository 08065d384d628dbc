"""Arrays that shrink in a loop: full arrays with a mask under jit, operation by operation where not."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from jaxmagic.errors import CannotPort
from jaxmagic.port import port
from jaxmagic.port.prove import compare
from tests.port_shrinking import NOT_UNDER_JIT, UNDER_JIT, escape_times, sieve_by_the_first
from tests.test_port_kernels import run_numpy, run_port


def _named(rows):
    return [row[0].__name__ for row in rows]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("function", "first", "second"), UNDER_JIT, ids=_named(UNDER_JIT))
def test_under_jit_and_equal_on_its_inputs_and_on_others(function, first, second):
    made = port(function, *copy.deepcopy(first))
    assert "eager" not in [note.kind for note in made.notes]
    assert "full width" in [note.kind for note in made.notes]
    for args in (first, second):
        assert compare(run_numpy(function, args), run_port(made, args)) == ()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("function", "first", "second"), NOT_UNDER_JIT, ids=_named(NOT_UNDER_JIT))
def test_operation_by_operation_or_refused(function, first, second):
    try:
        made = port(function, *copy.deepcopy(first))
    except CannotPort:
        return
    assert "eager" in [note.kind for note in made.notes]
    for args in (first, second):
        assert compare(run_numpy(function, args), run_port(made, args)) == ()


def test_the_port_is_the_users_code_with_a_mask():
    source = port(escape_times, *UNDER_JIT[0][1]).source
    assert "alive = alive & left" in source
    assert "# only those that are left" in source
    assert "# the others go on" in source
    assert 'mode="drop"' in source or "mode='drop'" in source


def test_no_other_inputs_are_claimed_where_there_are_none():
    def first_above(n, limit):
        for i in range(n):
            if i * 0.25 > limit:
                return i
        return -1

    notes = {note.kind: note.text for note in port(first_above, 5, 9.0).notes}
    assert "other sets" not in notes["tried"]


def stored_where(x, at, chosen):
    x[at[chosen]] = 1
    x[at[~chosen]] += 2


def test_masked_places_are_masked_on_other_inputs_too():
    x, at = np.zeros(6), np.array([0, 2, 4])
    made = port(stored_where, x, at, np.array([True, True, True]))
    args = [x, at, np.array([True, False, True])]
    assert "eager" not in [note.kind for note in made.notes]
    assert compare(run_numpy(stored_where, args), run_port(made, args)) == ()


def test_a_port_that_would_be_compiled_for_hundreds_of_sizes_is_refused():
    with pytest.raises(CannotPort, match=r"size|depend"):
        port(sieve_by_the_first, np.arange(2, 2000))


def first_elements(x, n):
    for _ in range(n):
        x = x[x > 0]
    return x[0]


def branch_that_drops(x, drop):
    if drop.sum() > 0:
        x = x[x > drop[0]]
    return x.sum()


@pytest.mark.parametrize("function", [first_elements, branch_that_drops])
def test_masks_that_leave_nothing_out_at_first_are_not_lost(function):
    """A port made on inputs of which every element counts has to be right on others, or not be."""
    first = [np.ones(4), 2] if function is first_elements else [np.ones(4), np.zeros(2)]
    second = [np.array([-1.0, 2.0, 3.0, -4.0]), first[1]]
    if function is branch_that_drops:
        second[1] = np.array([0.5, 1.0])
    try:
        made = port(function, *copy.deepcopy(first))
    except CannotPort:
        return
    assert compare(run_numpy(function, second), run_port(made, second)) == ()
