"""Make the oxidation-state tables from pymatgen: ``python -m gflownet_crystal.crystallography.build_oxidation [PATH]``.

Tables of positive and negative states (zero is no oxidation state here) for H to Pu:

- ``common``, ``icsd``, ``all``: pymatgen's ``common_oxidation_states``, ``icsd_oxidation_states`` and
  ``oxidation_states``.
- ``default``: ours, the union of common and icsd with three changes. Metals and boron lose their negative states
  (borides, and Sn -4 of ``common``, belong to metallic compositions). Metals with open d or f shells gain the positive
  states of ``all``, as their compounds have nearly any mean state; +1 only from group 9 on. Oxygen gains the -1 of
  peroxides, which with mixed valence gives superstoichiometric oxides too.
- ``plausible``: ours, everyday states chosen by hand, see EVERYDAY.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from gflownet_crystal.common.files import write_text
from gflownet_crystal.crystallography.oxidation import TABLE_NAME

LAST_ATOMIC_NUMBER = 94
METALLOIDS_COUNTED_AS_METALS = ("Ge", "Sb")
FIRST_GROUP_WITH_PLUS_ONE = 9
GROUP_OF_CLOSED_D_SHELL = 12

EVERYDAY = """
H -1 1
Li 1; Be 2; B 3; C -4 -1 2 3 4; N -3 3 5; O -2; F -1
Na 1; Mg 2; Al 3; Si 4; P -3 -2 -1 3 4 5; S -2 -1 4 6; Cl -1
K 1; Ca 2; Sc 2 3; Ti 2 3 4; V 2 3 4 5; Cr 2 3 4 5 6; Mn 2 3 4 7; Fe 2 3 4; Co 2 3 4; Ni 2 3 4; Cu 1 2 3; Zn 2
Ga 3; Ge 2 4; As -3 -2 -1 3 5; Se -2 -1 4 6; Br -1
Rb 1; Sr 2; Y 2 3; Zr 2 3 4; Nb 2 3 4 5; Mo 2 3 4 5 6; Tc 4 7; Ru 2 3 4 5; Rh 3 4; Pd 2 3 4; Ag 1 2; Cd 2
In 1 2 3; Sn 2 4; Sb -3 -2 -1 3 4 5; Te -2 -1 4 6; I -1; Xe 2 4 6
Cs 1; Ba 2; La 2 3; Ce 2 3 4; Pr 2 3 4; Nd 2 3; Pm 3; Sm 2 3; Eu 2 3; Gd 2 3; Tb 3 4; Dy 2 3; Ho 3; Er 3; Tm 2 3
Yb 2 3; Lu 3; Hf 2 3 4; Ta 2 3 4 5; W 4 5 6; Re 3 4 5 6 7; Os 2 4 5 6 8; Ir 3 4 5; Pt 2 3 4; Au 1 2 3; Hg 1 2
Tl 1 2 3; Pb 2 4; Bi 3 4 5; Po -2 2 4; At -1
Fr 1; Ra 2; Ac 3; Th 2 3 4; Pa 4 5; U 3 4 5 6; Np 3 4 5 6; Pu 3 4 5 6
"""
"""States that a chemist would write without comment; all but those of Po, At and Fr are on record in the ICSD.

- One anion, one state: O 2-, halides 1-. Peroxides and oxoanions of halogens are asked for by name.
- Non-metals in oxoanions (N 3+ 5+, P 3+ 4+ 5+, S 4+ 6+, ...), cyanide, acetylide and oxalate (C 2+, 1-, 3+), and pairs
  and rings of S, Se, Te (1-) and P, As, Sb (2-, 1-) as in pyrite, PtP2 and skutterudites. Silicides and germanides by
  name.
- 4+ of Fe, Co and Ni and Cu 3+ as in perovskites, charged cathodes and cuprates; 2+ of lanthanoids with a known
  diiodide; Sc, Y, Zr, Hf, Nb, Ta and Th with bonds between the metals, in monochalcogenides and lower halides.
- Means of two states where a formula has one such atom: In 2+ (InS), Tl 2+ (TlS), Sb 4+ (Sb2O4), Bi 4+ (BaBiO3),
  Au 2+ (CsAuCl3).
"""


def build_tables() -> dict[str, dict[str, object]]:
    """Element symbol -> its states by table, and whether it counts as a metal."""
    # imported here: only those who rebuild the tables need pymatgen
    from pymatgen.core import Element

    everyday = everyday_states()
    tables = {}
    for element in map(Element.from_Z, range(1, LAST_ATOMIC_NUMBER + 1)):
        states = {
            "common": _sorted_states(element.common_oxidation_states),
            "icsd": _sorted_states(element.icsd_oxidation_states),
            "all": _sorted_states(element.oxidation_states),
        }
        states["default"] = _default_states(element, states)
        states["plausible"] = everyday.get(element.symbol, [])
        is_metal = element.is_metal or element.symbol in METALLOIDS_COUNTED_AS_METALS
        tables[element.symbol] = {**states, "is_metal": is_metal}
    return tables


def everyday_states() -> dict[str, list[int]]:
    """EVERYDAY by symbol."""
    entries = (entry.split() for line in EVERYDAY.strip().splitlines() for entry in line.split(";"))
    return {symbol: [int(state) for state in states] for symbol, *states in entries}


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
