"""No random program's port may differ from NumPy without a word (a long run: benchmarks/programs.py)."""

from __future__ import annotations

import random
import warnings

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.port_programs import judged, program
from tests.port_programs_more import more_program
from tests.port_programs_wide import wide_program


@given(st.data(), st.integers(0, 2**20))
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_no_silent_difference(data, number):
    source = program(lambda n: data.draw(st.integers(0, n - 1)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        verdict = judged(source, number)
    assert not verdict.startswith("DIFFERENT"), f"{source}\n{verdict}"


@pytest.mark.parametrize("number", [3, 17, 62, *range(300, 312)])
def test_programs_that_once_differed_and_a_few_more(number):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert not judged(program(random.Random(number).randrange), number).startswith("DIFFERENT")


def test_most_programs_are_ported():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        verdicts = [judged(program(random.Random(number).randrange), number) for number in range(12)]
    assert verdicts.count("equal") >= 6


@pytest.mark.parametrize("number", range(8))
def test_the_wider_grammar(number):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        source = wide_program(random.Random(number).randrange)
        assert not judged(source, number).startswith("DIFFERENT"), source


@pytest.mark.parametrize("number", range(8))
def test_the_widest_grammar(number):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        source = more_program(random.Random(number).randrange)
        assert not judged(source, number).startswith("DIFFERENT"), source
