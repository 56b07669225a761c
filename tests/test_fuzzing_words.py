"""Command lines of the fuzzer: where they may write."""

from __future__ import annotations

import pytest

from benchmarks.fuzzing.overrides import _named


@pytest.mark.parametrize(
    ("word", "places"),
    [
        ("out='a b'", ["a b"]), ("+run.dir=1e3", ["1000.0"]), ("hull=x", ["x"]), ("out=${oc.env:HOME}", ["home"]),
        ("cache=${seed}", ["0"]), ("out={a:1}", []), ("out=[a,b]", []), ("out=null", []), ("data=x", []), ("out=[", []),
        ("out=/tmp/x", []), ("out=../x", []),
    ],
)  # fmt: skip
def test_places_that_a_word_may_ask_to_write_to(word: str, places: list[str]) -> None:
    assert _named([word]) == places
