"""Inputs of the fuzzer: damage that is the same every time, and where its command lines may write."""

from __future__ import annotations

import json
import random

import pandas as pd
import pytest
import torch

from benchmarks.fuzzing.mutations import damage_bytes, damage_frame, damage_text, damage_value
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


def test_damage_is_the_same_for_the_same_stream_and_seldom_none():
    text = "a 1.5 Na\nb 2.5 Cl\n" * 5
    values = {"a": [1, 2, {"b": None}], "c": "x"}
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]})
    changed = 0
    for number in range(200):
        first, again = random.Random(number), random.Random(number)
        assert damage_bytes(text.encode(), first) == damage_bytes(text.encode(), again)
        damaged = damage_text(text, first)
        assert damaged == damage_text(text, again)
        changed += damaged != text.encode()
        copies = [json.loads(json.dumps(values)) for _ in range(2)]
        assert repr(damage_value(copies[0], first)) == repr(damage_value(copies[1], again))
        assert repr(damage_frame(frame, first)) == repr(damage_frame(frame, again))
    assert changed > 190
    assert torch.equal(torch.tensor(frame["a"]), torch.tensor([1.0, 2.0]))
