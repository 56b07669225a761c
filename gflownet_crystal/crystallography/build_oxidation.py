"""Make the oxidation-state tables from pymatgen: ``python -m gflownet_crystal.crystallography.build_oxidation [PATH]``.

Tables of positive and negative states (zero is no oxidation state here) for H to Pu:

- ``common``, ``icsd``, ``all``: pymatgen's ``common_oxidation_states``, ``icsd_oxidation_states`` and
  ``oxidation_states``.
- ``default``: ours, the union of common and icsd with three changes. Metals and boron lose their negative states
  (borides, and Sn -4 of ``common``, belong to metallic compositions). Metals with open d or f shells gain the positive
  states of ``all``, as their compounds have nearly any mean state; +1 only from group 9 on. Oxygen gains the -1 of
  peroxides, which with mixed valence gives superstoichiometric oxides too.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from gflownet_crystal.common.files import write_text
from gflownet_crystal.crystallography.charge import TABLE_NAME

LAST_ATOMIC_NUMBER = 94
METALLOIDS_COUNTED_AS_METALS = ("Ge", "Sb")
FIRST_GROUP_WITH_PLUS_ONE = 9
GROUP_OF_CLOSED_D_SHELL = 12


def build_tables() -> dict[str, dict[str, Any]]:
    """Element symbol -> its states by table, and whether it counts as a metal."""
    # imported here: only those who rebuild the tables need pymatgen
    from pymatgen.core import Element

    tables = {}
    for element in map(Element.from_Z, range(1, LAST_ATOMIC_NUMBER + 1)):
        states = {
            "common": _sorted_states(element.common_oxidation_states),
            "icsd": _sorted_states(element.icsd_oxidation_states),
            "all": _sorted_states(element.oxidation_states),
        }
        states["default"] = _default_states(element, states)
        is_metal = element.is_metal or element.symbol in METALLOIDS_COUNTED_AS_METALS
        tables[element.symbol] = {**states, "is_metal": is_metal}
    return tables


def _sorted_states(*sources: Any) -> list[int]:
    return sorted({int(state) for source in sources for state in source if state != 0})


def _default_states(element: Any, states: dict[str, list[int]]) -> list[int]:
    chosen = _sorted_states(states["common"], states["icsd"])
    if element.is_metal or element.symbol == "B":
        chosen = [state for state in chosen if state > 0]
    # pymatgen counts zinc, cadmium and mercury among the transition metals
    has_open_d_shell = element.is_transition_metal and element.group != GROUP_OF_CLOSED_D_SHELL
    if has_open_d_shell or element.is_lanthanoid or element.is_actinoid:
        lowest = 1 if element.group >= FIRST_GROUP_WITH_PLUS_ONE else 2
        chosen = _sorted_states(chosen, (state for state in states["all"] if state >= lowest))
    return _sorted_states(chosen, (-1,) if element.symbol == "O" else ())


def main(arguments: list[str]) -> None:
    """Write the tables, one element a line, to the path given, by default into the package."""
    path = Path(arguments[0]) if arguments else Path(__file__).with_name(TABLE_NAME)
    lines = [f"  {json.dumps(symbol)}: {json.dumps(entry)}" for symbol, entry in build_tables().items()]
    write_text(path, "{\n" + ",\n".join(lines) + "\n}\n")
    print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
