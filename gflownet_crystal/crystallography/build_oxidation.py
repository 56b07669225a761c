"""Make the oxidation-state tables from pymatgen: ``python -m gflownet_crystal.crystallography.build_oxidation [PATH]``.

Tables of positive and negative states (zero is no oxidation state here) for H to Pu:

- ``common``, ``icsd``, ``all``: pymatgen's ``common_oxidation_states``, ``icsd_oxidation_states`` and
  ``oxidation_states``.
- ``default``: ours. The union of common and icsd; without the negative states of metals (``common`` has Sn -4); with
  every positive state of the d-block metals (groups 3 to 11), the lanthanides and the actinides, whose compounds have
  nearly any; and with the anions of borides, silicides, germanides, antimonides and peroxides (``ANIONS``).
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
ANIONS = {"B": (-3, -1), "O": (-1,), "Si": (-4, -1), "Ge": (-4, -1), "Sb": (-3, -2, -1)}
"""Added to ``default``; with mixed valence the states between the two named ones are reached too."""


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
    if element.is_metal:
        chosen = [state for state in chosen if state > 0]
    # pymatgen counts zinc, cadmium and mercury among the transition metals; their d shell is closed
    has_open_shell = (element.is_transition_metal and element.group != 12) or element.is_lanthanoid
    if has_open_shell or element.is_actinoid:
        chosen = _sorted_states(chosen, (state for state in states["all"] if state > 0))
    return _sorted_states(chosen, ANIONS.get(element.symbol, ()))


def main(arguments: list[str]) -> None:
    """Write the tables, one element a line, to the path given, by default into the package."""
    path = Path(arguments[0]) if arguments else Path(__file__).with_name(TABLE_NAME)
    lines = [f"  {json.dumps(symbol)}: {json.dumps(entry)}" for symbol, entry in build_tables().items()]
    write_text(path, "{\n" + ",\n".join(lines) + "\n}\n")
    print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
