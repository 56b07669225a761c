"""Names of energy models: one reader of NAME, NAME:VERSION, files and calculators by dotted path."""

from __future__ import annotations

import shlex
from pathlib import PureWindowsPath

import pytest

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.config.build import plain
from gflownet_crystal.config.compose import compose_config
from gflownet_crystal.models.energies.choice import EnergyChoice, distinct_choices, read_choice

EMT = "ase.calculators.emt.EMT"


@pytest.mark.parametrize(
    ("given", "name", "version", "label"),
    [
        ("chgnet", "chgnet", None, "chgnet"),
        ("sevenn:7net-l3i5", "sevenn", "7net-l3i5", "sevenn:7net-l3i5"),
        ("chgnet:0.3.0", "chgnet", "0.3.0", "chgnet:0.3.0"),
        ("runs/a:b/mine.safetensors", "runs/a:b/mine.safetensors", None, "mine"),
    ],
)
def test_names_versions_and_files(given: str, name: str, version: str | None, label: str) -> None:
    choice = read_choice(given)
    assert (choice.name, choice.version, choice.settings, choice.label) == (name, version, None, label)
    assert read_choice(choice) is choice


def test_a_calculator_is_told_apart_by_its_arguments_alone() -> None:
    first = read_choice({"_target_": EMT, "asap_cutoff": True, "size": 1})
    again = read_choice(
        {"size": 1, "asap_cutoff": True, "_target_": EMT, "corrected": False, "references": "f"}
    )
    other = read_choice({"_target_": EMT, "asap_cutoff": False, "size": 1})
    assert first.label == again.label != other.label and first.label.startswith("EMT-")
    assert first.arguments == again.arguments == {"asap_cutoff": True, "size": 1}
    assert read_choice({"_target_": "own.EMT", "asap_cutoff": True, "size": 1}).label != first.label


@pytest.mark.parametrize("given", ["sevenn:7net-l3i5", "x/a b.safetensors", {"_target_": EMT, "a": "b/c: d"}])
def test_file_names_are_names_everywhere(given: object) -> None:
    name = read_choice(given).file_name  # type: ignore[arg-type]
    assert name and not set(name) & set('<>:"/\\|?* ') and PureWindowsPath(name).name == name


@pytest.mark.parametrize(
    "given",
    [
        {
            "_target_": EMT,
            "text": "small one",
            "number": 3,
            "share": 0.5,
            "yes": True,
            "none": None,
            "list": [1, 2],
        },
        {"_target_": EMT, "number": "3", "word": "true"},
        "sevenn:7net-l3i5",
    ],
)
def test_words_of_a_command_line_name_the_same_choice(given: object) -> None:
    choice = read_choice(given)  # type: ignore[arg-type]
    words = shlex.split(choice.words("model"))
    config = compose_config("relax", words)
    found = plain(config.model)
    assert read_choice(found) == choice and read_choice(found).digest == choice.digest


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("sevenn:", "lacks a name or a version"),
        (":7net-0", "lacks a name or a version"),
        ("", "NAME:VERSION"),
        (3, "NAME:VERSION"),
        ({"a": 1}, "needs _target_"),
        ({"_target_": 3}, "needs _target_"),
        ({"_target_": "EMT"}, "dotted path"),
        ({"_target_": "a..b"}, "needs _target_"),
    ],
)
def test_what_names_no_model_is_refused(given: object, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read_choice(given)  # type: ignore[arg-type]


def test_two_judges_do_not_share_a_folder() -> None:
    choices = [EnergyChoice("sevenn", "7net-0"), EnergyChoice("sevenn"), EnergyChoice("chgnet")]
    assert distinct_choices(choices, "judge") == choices
    for pair in (
        ["chgnet", "chgnet"],
        ["a/x.safetensors", "b/x.safetensors"],
        ["a/X.safetensors", "x.safetensors"],
    ):
        with pytest.raises(ConfigError, match="would fill one folder"):
            distinct_choices([read_choice(one) for one in pair], "judge")
