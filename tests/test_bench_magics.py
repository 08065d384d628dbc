"""`%jaxbench` as one types it: what it shows while it runs, its options, what it keeps."""

import pytest

from jaxmagic.magics.display import Screen, text_of

from .test_bench_page import result


@pytest.fixture
def seen(shell, monkeypatch):
    """Every text that was ever on show, replaced or not."""
    texts, publish = [], shell.display_pub.publish

    def publishing(data, *args, **options):
        texts.append(data.get("text/plain", ""))
        publish(data, *args, **options)

    monkeypatch.setattr(shell.display_pub, "publish", publishing)
    return texts


def test_progress_claims_nothing_and_ends_as_the_result(shell, seen):
    with Screen(shell, iter(range(9)).__next__).progress("%jaxbench") as progress:
        progress(result(), 0.25)
        progress(result(), 0.75)
        progress.finish(result())
    assert ["Racing heat" in text for text in seen] == [True, True, False]
    assert ["times as fast" in text for text in seen] == [False, False, True]
    assert shell.published.texts == [text_of(result())]
