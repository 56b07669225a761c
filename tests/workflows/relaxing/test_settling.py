"""A few steps of relaxation: in the given order, in conventional cells; what fails stays as it is."""

from __future__ import annotations

import pytest
import torch

from gflownet_crystal.relaxation.settings import RelaxationSettings
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.workflows.relaxing.settling import Settler
from tests.relaxation.metals import copper, emt_energies, overlapping, scanned_constant


def test_each_crystal_is_relaxed_in_its_place_and_a_failure_stays() -> None:
    given = StructureBatch.cat([copper(3.8), overlapping(), copper(3.5)])
    found = Settler(emt_energies(), 3, RelaxationSettings(fmax=1e-3)).settled(given)
    assert found.n_atoms.tolist() == [4, 2, 4]
    assert found.space_group.tolist()[::2] == [225, 225]
    for row in (0, 2):
        assert float(found.volume[row]) ** (1 / 3) == pytest.approx(scanned_constant(), abs=0.005)
    torch.testing.assert_close(found[1:2].cell, overlapping().cell)
    torch.testing.assert_close(found[1:2].fractional, overlapping().fractional)
