"""The counts that the demo fits: read as they stand, or refused with the reason."""

from pathlib import Path

import pytest

from jaxmagic.demo.census import census, read
from jaxmagic.errors import JaxmagicError

EXAMPLE = Path(__file__).parent.parent / "examples" / "new_york_city.csv"


def test_the_example_holds_the_published_counts_and_their_source():
    city = read(EXAMPLE)
    assert dict(zip(city.years, city.counts, strict=True)).items() >= {1790: 49_401, 2020: 8_804_190}.items()
    assert len(city.years) == 24
    assert "Census Bureau" in city.source


def test_the_last_counts_can_be_held_out():
    city = census([1990, 2000, 2010], [1, 2, 3])
    assert list(city.until(2000).counts) == [1, 2]
    assert list(city.after(2000).counts) == [3]


@pytest.mark.parametrize(
    ("years", "counts", "reason"),
    [
        ([1990], [1, 2], "one length"),
        ([1990, 1980], [1, 2], "1980 stands after"),
        ([1990, 1990], [1, 2], "1990 stands after"),
        ([1990, 2000], [1, 0], "in 2000 it is 0"),
        ([1990, 2000], [1, float("nan")], "not finite"),
        (["a"], [1], "numbers only"),
    ],
)
def test_what_is_no_census_is_refused(years, counts, reason):
    with pytest.raises(JaxmagicError, match=reason):
        census(years, counts)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("year,count\n1990,many\n", "Line 2 .*'1990,many'"),
        ("1990,1,2\n", "Line 1"),
        ("# nothing\n", "holds no counts"),
    ],
)
def test_a_bad_file_is_refused_with_its_line(tmp_path, text, reason):
    path = tmp_path / "city.csv"
    path.write_text(text)
    with pytest.raises(JaxmagicError, match=reason):
        read(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(JaxmagicError, match="cannot be read"):
        read(tmp_path / "none.csv")
