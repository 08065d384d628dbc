"""No random loop nest's port may differ from NumPy, with every pass that changes loops taking all it can."""

from __future__ import annotations

import random
import warnings

import pytest

from tests.loop_programs import judged, program


@pytest.mark.parametrize("number", range(20))
def test_no_pass_over_loops_changes_what_they_mean(number):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        source = program(random.Random(number).randrange)
        assert not judged(source, number).startswith("DIFFERENT"), source
