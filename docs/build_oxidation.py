"""The page of everyday oxidation states: ``python docs/build_oxidation.py`` writes ``docs/oxidation_states.md``."""

from __future__ import annotations

from pathlib import Path

from gflownet_crystal.crystallography.oxidation import OxidationTable

PAGE = Path(__file__).parent / "oxidation_states.md"
COMMAND = "python docs/build_oxidation.py"

TEXT = """# Everyday oxidation states

<!-- made by `{command}` -->

`env.oxidation_table=plausible` balances compositions with the states below, the usual ones of a chemistry textbook.
All but those of Po, At and Fr have at least three reports in the ICSD, and together they are {share} of its
reports of non-zero states from H to Pu.

- **An anion has one state in a compound.** Oxygen is 2-, halides are 1-. Sulphur, selenium and tellurium are all 2-
  or, in pairs as in pyrite, all 1-; likewise P, As and Sb 3-, 2- or 1-.
- **Metals mix** neighbouring positive states at most 2 apart (Fe 2+ with 3+ in Fe3O4, Pb 2+ with 4+ in Pb3O4), unless
  `env.mixed_valence=false`. Nothing else mixes.
- **Other states are added by name**:

| compounds | `env.oxidation_table=` |
|---|---|
| peroxides (all of the oxygen 1-, or all 2-) | `{{base:plausible,O:[-2,-1]}}` |
| perchlorates and chlorates | `{{base:plausible,Cl:[-1,5,7]}}` |
| bromates, iodates | `{{base:plausible,Br:[-1,5],I:[-1,5,7]}}` |
| silicides, germanides | `{{base:plausible,Si:[-4,4],Ge:[-4,2,4]}}` |
| any mixture of 2- and 1- | `{{base:default,O:[-2,-1]}}` |

On a command line put the mapping in quotes: `'env.oxidation_table={{base:plausible,O:[-2,-1]}}'`. Its elements have
exactly the states given; all others have those of `base`, which also lists the states that mix. The run folder keeps
the mapping. Without `base`, elements that are not given have no states.

**Limits.** Allowed states do not depend on the other elements: sulphur 6+ balances fluorine as well as oxygen, and
Al3FeCo2F17 balances with Fe 2+ and Co 3+. Superoxides, azides and most borides have fractional states, and metal-rich
phosphides unusual ones: their compositions are not drawn as ionic compounds.

| element | states | mixes |
|---|---|---|
{rows}
"""

SHARE = "98 %"
"""By SMACT's counts of the ICSD of 2024; a test holds it."""


def page() -> str:
    """The text of the page."""
    table = OxidationTable.of("plausible")
    rows = []
    for symbol, states in table.states.items():
        mixing = [some for some in table.together(symbol, mixed_valence=True) if len(some) > 1]
        pairs = ", ".join(" with ".join(map(_state, pair)) for pair in mixing)
        rows.append(f"| {symbol} | {', '.join(map(_state, states)) or 'none'} | {pairs} |")
    return TEXT.format(command=COMMAND, share=SHARE, rows="\n".join(rows))


def _state(state: int) -> str:
    return f"{abs(state)}{'+' if state > 0 else '-'}"


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")
    print(f"{PAGE} has the states of the package")


if __name__ == "__main__":
    main()
