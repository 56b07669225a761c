"""Strained-energies files with a potential of known form, and without the package of the real one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.data.prepare import prepare, prepare_strained
from gflownet_crystal.data.strain_energies import load_potential, strained_energies
from tests.data.crystals import stored_frame


class Spring(Calculator):
    """Energy (V / n - 15)^2 an atom; refuses cells of less than 8 Å^3 an atom."""

    implemented_properties = ["energy"]  # noqa: RUF012

    def calculate(
        self, atoms: Atoms | None = None, properties: Any = None, system_changes: Any = all_changes
    ) -> None:
        assert atoms is not None
        volume = atoms.get_volume() / len(atoms)
        if volume < 8:
            raise ValueError("too dense")
        self.results = {"energy": len(atoms) * (volume - 15) ** 2}


def test_energies_are_the_potentials_and_shears_keep_volume_and_group() -> None:
    frame = stored_frame()
    strained = strained_energies(frame, Spring(), scales=4, seed=1)
    np.testing.assert_allclose(strained["chgnet_energy_per_atom"], (strained["volume_per_atom"] - 15) ** 2)
    reference = strained[strained["strain"] == "reference"].set_index("material_id")["chgnet_energy_per_atom"]
    np.testing.assert_allclose(
        strained["delta_energy_per_atom"],
        strained["chgnet_energy_per_atom"] - reference.loc[strained["material_id"]].to_numpy(),
    )
    assert strained["volume_per_atom"].min() >= 8
    sheared = strained[strained["strain"] == "shape"]
    assert set(sheared["material_id"]) <= {f"test-{row}" for row in (3, 4, 5, 7)}
    np.testing.assert_allclose(sheared["delta_energy_per_atom"], 0, atol=1e-6)
    table = prepare(frame)
    specs = prepare_strained(strained, table, "the test")
    uniaxial = specs[(specs["space_group"] >= 75) & (specs["space_group"] <= 194)]
    np.testing.assert_allclose(uniaxial["a"], uniaxial["b"])


def test_unknown_or_missing_potential_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="choose chgnet"):
        load_potential("emt")
    monkeypatch.setitem(__import__("sys").modules, "chgnet.model.dynamics", None)
    with pytest.raises(ConfigError, match="install"):
        load_potential("chgnet")


def test_no_small_crystal_is_refused() -> None:
    frame = stored_frame(primitive=False)
    with pytest.raises(DataError, match="12 atoms"):
        strained_energies(frame[frame["material_id"] == "test-5"], Spring())
