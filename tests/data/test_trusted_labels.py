"""One energy a formula from labels that disagree: which one is taken, case by case."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from gflownet_crystal.data.trusted_labels import trusted_energies

TRUSTED, LESS, LEAST, OTHER = "mp20_val", "roost_mp2020", "megnet_2018", "matbench_mp_e_form"


@pytest.mark.parametrize(
    ("labels", "energy", "disagree"),
    [
        ([(TRUSTED, -1.0)], -1.0, False),
        # a polymorph that the trusted source lacks, and a label that is wrong
        ([(TRUSTED, -1.0), (LESS, -1.05)], -1.05, False),
        ([(TRUSTED, -1.0), (LESS, -1.3)], -1.0, True),
        ([(TRUSTED, -1.0), (LESS, -0.5), (LEAST, -2.0)], -1.0, True),
        # the lowest polymorph of a source counts
        ([(TRUSTED, -1.0), (TRUSTED, -1.25), (LESS, -1.3)], -1.3, False),
        ([(LESS, -1.0), (LEAST, -1.08)], -1.08, False),
        ([(LEAST, -1.0)], -1.0, False),
        # of sources of no known kind, only formulas that no other has
        ([(OTHER, -1.0)], -1.0, False),
        ([(LEAST, -1.0), (OTHER, -1.05)], -1.0, False),
        ([(LEAST, -1.0), (OTHER, -3.0)], -1.0, True),
        ([(TRUSTED, np.nan), (OTHER, -1.0)], -1.0, False),
    ],
)
def test_the_energy_of_a_formula(labels: list[tuple[str, float]], energy: float, disagree: bool) -> None:
    table = pd.DataFrame(labels, columns=["energy_source", "formation_energy_per_atom"])
    for order in (slice(None), slice(None, None, -1)):
        found = trusted_energies(table[order].assign(formula="Na2 Cl2"))
        assert found["formula"].tolist() == ["Na1 Cl1"]
        assert found["formation_energy_per_atom"].tolist() == [energy]
        assert found["disagree"].tolist() == [disagree]


def test_formulas_do_not_touch_each_other() -> None:
    table = pd.DataFrame(
        {
            "formula": ["NaCl", "Na2Cl2", "CaF2", "Mg1 O1"],
            "energy_source": [TRUSTED, LESS, LEAST, OTHER],
            "formation_energy_per_atom": [-2.0, -2.5, -3.0, np.nan],
        }
    )
    found = trusted_energies(table).set_index("formula")
    assert found["formation_energy_per_atom"].to_dict() == {"Na1 Cl1": -2.0, "Ca1 F2": -3.0}
    assert found["sources"].to_dict() == {"Na1 Cl1": 2, "Ca1 F2": 1}
