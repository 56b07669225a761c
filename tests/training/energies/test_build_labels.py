"""Labels by a judge: of structures, and of copies whose atoms are moved and whose cell is strained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from ase import Atoms
from ase.build import bulk

from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.models.energies.structure_energies import StructureEnergies
from gflownet_crystal.structures.convert import from_ase
from gflownet_crystal.structures.frames import frame_to_structures, structures_to_frame
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.training.energies.build_labels import (
    DISPLACEMENT,
    STRAIN,
    VOLUME_STRAIN,
    displaced_copies,
    labelled,
    main,
)


class Volumes(StructureEnergies):
    """Energy: volume per atom in Å^3 over 10, minus 3; NaN for helium."""

    def predict(self, structures: StructureBatch) -> tuple[torch.Tensor, torch.Tensor]:
        energy = structures.volume / structures.n_atoms / 10.0 - 3.0
        energy[structures.composition[:, 2] > 0] = torch.nan
        return energy, torch.zeros_like(energy)

    def calculator(self) -> None:
        raise NotImplementedError


def crystals(n: int, length: float = 4.0) -> StructureBatch:
    return from_ase(
        [Atoms("Na4", [[0, 0, 0], [0, 2, 2], [2, 0, 2], [2, 2, 0.5]], cell=[length] * 3, pbc=True)] * n
    )


def test_copies_are_strained_and_displaced_as_widely_as_said_and_depend_on_the_seed_alone() -> None:
    structures = crystals(4000)
    copies = displaced_copies(structures, torch.Generator().manual_seed(0))
    again = displaced_copies(structures, torch.Generator().manual_seed(0))
    assert torch.equal(copies.cell, again.cell) and torch.equal(copies.fractional, again.fractional)
    strain = torch.linalg.solve(structures.cell, copies.cell) - torch.eye(3, dtype=torch.float64)
    assert torch.allclose(strain, strain.mT, atol=1e-12)
    # the symmetric part of independent entries: half the variance off the diagonal
    assert float(strain[:, 0, 1].std()) == pytest.approx(STRAIN / 2**0.5, rel=0.05)
    assert float(strain[:, 0, 0].std()) == pytest.approx((STRAIN**2 + VOLUME_STRAIN**2) ** 0.5, rel=0.05)
    moved = ((copies.fractional - structures.fractional)[:, None] @ copies.cell[copies.structure_index])[:, 0]
    low, high = DISPLACEMENT
    # the mean square of a deviation that is uniform in a range
    assert float(moved.square().mean()) == pytest.approx((low**2 + low * high + high**2) / 3, rel=0.05)


def test_labels_are_the_judges_energies_of_primitive_cells_and_copies() -> None:
    given = from_ase([bulk("Cu", "fcc", a=3.6, cubic=True), bulk("He", "fcc", a=4.0)])
    conventional = replace(given, space_group=torch.tensor([225, 0]))
    table = labelled(structures_to_frame(conventional), Volumes(), "volumes", 2, False, 0)
    # helium has no energy
    assert table["energy_source"].tolist() == ["volumes_placed", "volumes_displaced", "volumes_displaced"]
    assert table["n_atoms"].tolist() == [1, 1, 1]
    found = frame_to_structures(table)
    assert table["formation_energy_per_atom"].to_numpy() == pytest.approx((found.volume / 10.0 - 3.0).numpy())
    assert table["material_id"].is_unique and (table["mp20_split"] == "none").all()


def test_substituted_crystals_stay_such_and_the_others_count_as_sampled() -> None:
    frame = structures_to_frame(crystals(2)).assign(structure_source=["substituted", "someone"])
    table = labelled(frame, Volumes(), "volumes", 1, False, 0)
    assert table["structure_source"].tolist() == ["substituted", "sampled", "sampled", "sampled"]


def test_copies_of_known_crystals_get_their_own_energy_plus_the_difference() -> None:
    frame = structures_to_frame(crystals(3)).assign(formation_energy_per_atom=[-1.0, 0.0, 1.0])
    table = labelled(frame, Volumes(), "volumes", 1, True, 3)
    found = frame_to_structures(table)
    difference = (found.volume / found.n_atoms - 4.0**3 / 4) / 10.0
    expected = torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64) + difference
    assert table["formation_energy_per_atom"].to_numpy() == pytest.approx(expected.numpy())


def test_structures_far_above_the_hull_are_left_out() -> None:
    # of pure sodium the hull is at 0
    sizes = pd.concat(
        [structures_to_frame(crystals(1, length)) for length in (4.0, 5.1, 5.4)], ignore_index=True
    )
    energy = [length**3 / 40.0 - 3.0 for length in (4.0, 5.1, 5.4)]
    assert energy[0] < energy[1] < 0.4 < energy[2]
    table = labelled(sizes, Volumes(), "volumes", 0, False, 0, above_hull=0.4)
    assert table["formation_energy_per_atom"].to_numpy() == pytest.approx(energy[:2])


def test_energies_that_nobody_believes_are_left_out_and_bad_options_refused(tmp_path: Path) -> None:
    frame = pd.concat([structures_to_frame(crystals(1, length)) for length in (4.0, 9.0)], ignore_index=True)
    assert len(labelled(frame, Volumes(), "volumes", 0, False, 0)) == 1
    with pytest.raises(DataError, match="none of the 1 structures"):
        labelled(frame.iloc[1:].reset_index(drop=True), Volumes(), "volumes", 0, False, 0)
    path = tmp_path / "data.parquet"
    for options in (
        ["data=x"],
        [f"data={path}", "judge=alignn", "out=y", "known=true"],
        ["data=x", "judge=a", "out=b", "c=d"],
    ):
        frame.to_parquet(path)
        with pytest.raises(ConfigError, match=r"must be given|known=true|unknown key"):
            main(options)
