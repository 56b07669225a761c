"""docs/models.md is what the cards of the shipped weights say now."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
WEIGHTS = REPOSITORY / "gflownet_crystal" / "weights"
PAGE = REPOSITORY / "docs" / "models.md"
NAMES = sorted(path.stem for path in WEIGHTS.glob("*.safetensors"))


@pytest.fixture(scope="module")
def program() -> dict:
    """The names of the program that makes the page."""
    return runpy.run_path(str(REPOSITORY / "docs" / "build_models.py"))


def test_the_page_is_what_the_cards_say(program):
    assert PAGE.read_text(encoding="utf-8") == program["page"](), f"run: {program['COMMAND']}"


@pytest.mark.parametrize("name", NAMES)
def test_the_page_says_of_every_weight_what_its_card_says(name):
    card = json.loads((WEIGHTS / f"{name}.json").read_text())
    page = PAGE.read_text(encoding="utf-8")
    (row,) = [line for line in page.splitlines() if line.startswith(f"| [`{name}`](#{name})")]
    cells = row.strip("| ").split(" | ")
    assert len(cells) == 3 and all(cells)
    section = page.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    assert f"- Samples seen: {card['samples_seen']:,}" in section
    assert all(f"`{data}`" in section for data in card["data"])


def test_every_kind_that_can_be_trained_has_words(program):
    sources = "".join(path.read_text() for path in (REPOSITORY / "gflownet_crystal").rglob("*.py"))
    assert all(f'KIND = "{kind}"' in sources for kind in program["KINDS"])
    for name in NAMES:
        assert json.loads((WEIGHTS / f"{name}.json").read_text())["kind"] in program["KINDS"]


def test_the_card_of_a_prior_says_what_it_learned_from_and_not_every_element(program):
    card = {
        "kind": "prior",
        "data": ["one.parquet"],
        "crystals": {"train": 23456, "validation": 789},
        "validation": {"n": 789.0, "val_nll": 9.25, "standard_error": 0.08},
        "env": {"elements": ["H", "He"]},
        "distributions": {"train": {"elements": {"H": 0.5}}},
    }
    cells = program["_row"]("new", card).strip("| ").split(" | ")
    assert "9.25" in cells[2] and "0.08" in cells[2]
    section = program["_section"]("new", card)
    assert "`one.parquet`: 23,456 crystals" in section
    assert "He`" not in section and "distributions" not in section


def test_a_card_of_few_words_is_a_row_too(program):
    row = program["_row"](
        "new", {"kind": "of tomorrow", "validation": {"n": 3, "loss": 0.25}, "data": "one.parquet"}
    )
    cells = row.strip("| ").split(" | ")
    assert len(cells) == 3
    assert cells[2] == "loss 0.25"
    assert "# new" in program["_section"]("new", {})
