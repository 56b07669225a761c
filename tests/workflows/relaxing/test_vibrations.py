"""Vibrations of judged crystals: kept one by one, failures told, and figures of all."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

pytest.importorskip("phonopy")

from ase.build import bulk
from ase.calculators.emt import EMT
from torch import Tensor

from gflownet_crystal.evaluation.phonons import PhononSettings
from gflownet_crystal.models.energies.structure_energies import StructureEnergies
from gflownet_crystal.relaxation.inputs import Item
from gflownet_crystal.relaxation.settings import RelaxationSettings
from gflownet_crystal.structures.convert import from_ase, to_ase
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.workflows.relaxing.vibrations import Vibrations, vibration_figures


class Metals(StructureEnergies):
    """Energies by effective medium theory, which knows copper; counts the calculators that it makes."""

    def __init__(self) -> None:
        self.made = 0

    def predict(self, structures: StructureBatch) -> tuple[Tensor, Tensor]:
        energies = [EMT().get_potential_energy(atoms) / len(atoms) for atoms in to_ase(structures)]
        return torch.tensor(energies, dtype=torch.float64), torch.zeros(len(energies), dtype=torch.float64)

    def calculator(self) -> EMT:
        self.made += 1
        return EMT()


def item(name: str, shape: str, length: float) -> Item:
    return Item(name, from_ase([bulk("Cu", shape, a=length)]))


ITEMS = [item("fcc", "fcc", 3.6), item("simple", "sc", 2.4), Item("none", None, "no crystal")]
ROWS = [4, 2, 9]
VIBRATIONS = Vibrations(PhononSettings(n=3, length=6.0), RelaxationSettings(steps=50), quiet=True)


def test_minima_are_told_from_others_and_failures_have_their_reason(tmp_path: Path) -> None:
    found = VIBRATIONS.of(tmp_path, ITEMS, ROWS, Metals())
    assert list(found) == ROWS
    assert found[4]["imaginary"] == 0.0 and found[2]["imaginary"] > 0.0 > found[2]["lowest"]
    assert found[9] == {"reason": "no crystal"}
    figures = vibration_figures(list(found.values()))
    assert figures["n"] == 3 and figures["n_failed"] == 1
    assert figures["dynamically_stable"] == pytest.approx(1 / 3)
    assert figures["median_lowest_frequency"] == pytest.approx((found[4]["lowest"] + found[2]["lowest"]) / 2)


def test_what_is_done_is_not_done_again_and_a_line_cut_off_by_a_kill_is(tmp_path: Path) -> None:
    first = Metals()
    whole = VIBRATIONS.of(tmp_path, ITEMS, ROWS, first)
    path = tmp_path / "vibrations.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1][:20])
    energies = Metals()
    assert VIBRATIONS.of(tmp_path, ITEMS, ROWS, energies) == whole
    # the second crystal alone is relaxed and displaced again
    assert 0 < energies.made < first.made
    assert path.read_bytes().count(b"\n") == 3
