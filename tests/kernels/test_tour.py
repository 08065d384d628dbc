"""The tour runs from top to bottom, and what it saved reads without a kernel."""

from __future__ import annotations

import copy
import pathlib

import nbformat
import pytest

from tests.kernels.notebook import execute

TOUR = pathlib.Path(__file__).parents[2] / "examples" / "tour.ipynb"
LOOKS = ("%jaxpr", "%%jaxpr", "%jaxgrad", "%%jaxgrad", "%jaxbench", "%jaxdevice", "jaxmagic.population()")
MOST = 40_000  # characters of static HTML that one result may keep in the notebook

pytestmark = pytest.mark.kernel


@pytest.fixture(scope="module")
def saved():
    return nbformat.read(TOUR, as_version=4)


def looks(notebook):
    """The cells that show a result, told by one of their lines."""
    for cell in notebook.cells:
        lines = cell.source.splitlines()
        if cell.cell_type == "code" and any(line.startswith(LOOKS) for line in lines):
            yield cell


def pages(cell):
    """The static pages among a cell's outputs."""
    bundles = [output.get("data", {}) for output in cell.outputs]
    return [bundle["text/html"] for bundle in bundles if bundle.get("text/html")]


def test_runs_from_top_to_bottom(saved):
    notebook = copy.deepcopy(saved)
    for cell in notebook.cells:
        cell.pop("outputs", None)
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    execute(notebook, folder=TOUR.parent)
    for cell in looks(notebook):
        assert pages(cell), cell.source


def test_saved_outputs_read_without_a_kernel(saved):
    shown = list(looks(saved))
    assert len(shown) >= 15
    for cell in shown:
        (page, *_) = pages(cell)
        assert len(page) < MOST, cell.source
        texts = [output["data"].get("text/plain") for output in cell.outputs if "data" in output]
        assert any(texts), cell.source


def test_saved_without_errors_and_widget_state(saved):
    kinds = [
        output.output_type for cell in saved.cells if cell.cell_type == "code" for output in cell.outputs
    ]
    assert "error" not in kinds
    assert "widgets" not in saved.metadata
