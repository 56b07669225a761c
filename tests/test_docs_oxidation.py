"""docs/oxidation_states.md is the table of everyday states as the package has it."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

from gflownet_crystal.crystallography.oxidation import OxidationTable, oxidation_table

REPOSITORY = Path(__file__).parents[1]
PAGE = REPOSITORY / "docs" / "oxidation_states.md"


def test_the_page_is_what_the_program_writes() -> None:
    program = runpy.run_path(str(REPOSITORY / "docs" / "build_oxidation.py"))
    assert PAGE.read_text(encoding="utf-8") == program["page"](), f"run: {program['COMMAND']}"


def test_the_page_lists_every_element_with_its_states() -> None:
    rows = re.findall(r"^\| ([A-Z][a-z]?) \| ([^|]*) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    listed = {
        symbol: tuple(int(sign + size) for size, sign in re.findall(r"(\d)([+-])", states))
        for symbol, states in rows
    }
    assert listed == oxidation_table("plausible")


def test_the_mappings_of_the_page_are_tables() -> None:
    mappings = re.findall(r"`\{base:(\w+),(.*?)\}`", PAGE.read_text(encoding="utf-8"))
    assert len(mappings) >= 5
    for base, rest in mappings:
        own = {
            symbol: [int(n) for n in states.split(",")]
            for symbol, states in re.findall(r"(\w+):\[([^]]*)\]", rest)
        }
        table = OxidationTable.of({"base": base, **own})
        assert all(table.of_element(symbol) == tuple(states) for symbol, states in own.items())
