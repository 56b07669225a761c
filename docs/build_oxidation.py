"""The page of everyday oxidation states: ``python docs/build_oxidation.py`` writes ``docs/oxidation_states.md``."""

from __future__ import annotations

from pathlib import Path

from gflownet_crystal.crystallography.oxidation import OxidationTable

PAGE = Path(__file__).parent / "oxidation_states.md"
COMMAND = "python docs/build_oxidation.py"

TEXT = """# Everyday oxidation states

<!-- made by `{command}` -->

`env.oxidation_table=plausible` balances compositions with the states below: those that a chemist writes without
comment. All but those of Po, At and Fr have at least three reports in the ICSD, and together they are {share} of its
reports of non-zero states from H to Pu.

- **One anion has one state.** Oxygen is 2-, halides are 1-. Sulphur, selenium and tellurium are all 2- or, in pairs as
  in pyrite, all 1-; likewise P, As and Sb 3-, 2- or 1-.
- **Metals mix** neighbouring positive states at most 2 apart (Fe 2+ with 3+ in Fe3O4, Pb 2+ with 4+ in Pb3O4), unless
  `env.mixed_valence=false`. Nothing else mixes.
- **The rest is asked for by name**, on top of the table:

| wanted | `env.oxidation_table=` |
|---|---|
| peroxides (all of the oxygen 1-, or all 2-) | `{{base:plausible,O:[-2,-1]}}` |
| perchlorates and chlorates | `{{base:plausible,Cl:[-1,5,7]}}` |
| bromates, iodates | `{{base:plausible,Br:[-1,5],I:[-1,5,7]}}` |
| silicides, germanides | `{{base:plausible,Si:[-4,4],Ge:[-4,2,4]}}` |
| any mixture of 2- and 1- | `{{base:default,O:[-2,-1]}}` |

On a command line the mapping is quoted: `'env.oxidation_table={{base:plausible,O:[-2,-1]}}'`. Its elements have exactly
the states given, the others those of `base`, which also lists the states that mix. It is kept in the run
folder as given. Without `base`, elements left out have no states.

Charges cannot tell all. States do not depend on their partners, so sulphur 6+ balances fluorine as well as oxygen;
Al3FeCo2F17 balances with Fe 2+ and Co 3+. Superoxides, azides and most borides have no whole states, and metal-rich
phosphides no everyday ones.

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
