"""Which cell a piece of source is from: said in a page and in an error, where it is not the cell itself."""

import jax.numpy as jnp
import pytest

from jaxmagic.errors import CannotTrace

INNER = "def inner(x):\n    return jnp.sin(x)\n"
OUTER = "def outer(x):\n    return inner(x) * 2\n"
WRONG = "def wrong(x):\n    return 1 if x > 0 else 2\n"


@pytest.fixture
def said(shell, run):
    """Run cells; the labels of the last one's sources, and the headings of its page's listing."""
    shell.user_ns["jnp"] = jnp

    def said(*cells):
        for cell in cells:
            result = run(cell).result
        text = shell.published.texts[-1]
        rows = (line.strip() for line in text.split("\n"))
        heads = [row for row in rows if row.startswith(("In [", "this "))]
        return [source.label for source in result.sources], heads

    return said


def test_a_function_of_the_cell_itself_needs_no_heading(said):
    assert said(f"%%jaxpr -o inner(1.0)\n{INNER}") == (["this cell"], [])


def test_a_function_of_another_cell_is_headed_by_it(said):
    assert said("1", INNER, "%jaxpr -o inner(1.0)") == (["In [2]"], ["In [2]"])


def test_several_sources_are_headed_each(said):
    labels = ["this cell", "In [1]"]
    assert said(INNER, f"%%jaxpr -o outer(1.0)\n{OUTER}") == (labels, labels)


def test_an_expression_on_the_line_needs_no_heading(said):
    assert said("x = jnp.ones(3)", "%jaxpr -o jnp.sin(x)") == (["this line"], [])
    labels = ["this line", "In [3]"]
    assert said(INNER, "%jaxpr -o inner(x) + 1") == (labels, labels)


def test_an_error_names_the_other_cell(shell, run):
    run(f"import jax.numpy as jnp\n{WRONG}")
    with pytest.raises(CannotTrace, match=r"\n  In \[1\], line 3: return 1 if x > 0 else 2\n"):
        run("%jaxpr wrong(jnp.ones(()))")


def test_an_error_in_the_cell_itself_names_the_line_alone(run):
    with pytest.raises(CannotTrace, match=r"\n  line 4: return 1 if x > 0 else 2\n"):
        run(f"%%jaxpr wrong(jnp.ones(()))\nimport jax.numpy as jnp\n{WRONG}")
