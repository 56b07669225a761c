"""Stored configurations are data: nothing of the reader's comes in, and nothing small becomes large."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.yaml_files import MAX_BYTES, MAX_DEPTH, check_yaml, read_yaml

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (BOMB, "alias"),
        ("a: " + "[" * 20_000, "deep"),
        ("a: " + "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "deep"),
        ("a: " + "{b: " * 3_000, "deep"),
        ("a: ${oc.env:HOME}", "oc.env"),
        ("a: 'x ${oc.decode:1} y'", "oc.decode"),
        ("a:\n  - b: ${c}\nc: 1", "refers"),
        ("${oc.env:HOME}: 1", "oc.env"),
        ("a: !!python/object/apply:os.system [ls]", "python"),
        ("a: 1\n" + "#" * MAX_BYTES, "bytes"),
        ("just a text", "damaged"),
        ("[1, 2]", "damaged"),
        ("", "damaged"),
        ("a: [", "cannot read"),
        ("a: 1\na: 2", "duplicate"),
        ("a: " + "9" * 5_000, "cannot read"),
    ],
)
def test_what_a_training_does_not_write_is_refused_at_once(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    start = time.process_time()
    with pytest.raises(DataError) as refused:
        read_yaml(path)
    assert time.process_time() - start < 5.0
    assert told in str(refused.value) and str(path) in str(refused.value) and "\n" not in str(refused.value)


def test_values_come_back_as_they_were_stored(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    values = {
        "seed": 3,
        "rate": 1e-3,
        "names": ["N", "Y", "true"],
        "none": None,
        "text": "a: b #c",
        "deep": {"a": [1.5]},
    }
    OmegaConf.save(OmegaConf.create(values), path)
    assert OmegaConf.to_container(read_yaml(path)) == values


@pytest.mark.parametrize("data", [b"\xff\xfe", b"a: \x00"])
def test_bytes_that_are_no_text_are_told(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(data)
    with pytest.raises(DataError, match="cannot read"):
        read_yaml(path)


@pytest.mark.parametrize("text", ["just a text", "[1, 2]", "3.5"])
def test_own_configs_are_mappings(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(DataError, match=r"mine\.yaml: it is not a mapping"):
        check_yaml(path)


@pytest.mark.parametrize("text", ["", "# a comment", "a: 1"])
def test_own_configs_may_be_empty(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    check_yaml(path)
