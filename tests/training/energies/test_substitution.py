"""Exchanges of elements: counted by hand, and what stays of a crystal."""

from __future__ import annotations

import torch

from gflownet_crystal.envs.lattice.reference_volume import elemental_volumes
from gflownet_crystal.structures.formulas import text_to_composition
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.training.energies.substitution import Substitution


def specs(formulas: list[str], groups: list[int]) -> CrystalSpec:
    n = len(formulas)
    lengths = torch.linspace(4.0, 7.0, n, dtype=torch.float64)[:, None].expand(n, 3).clone()
    return CrystalSpec(
        torch.tensor(groups),
        text_to_composition(formulas),
        lengths,
        torch.full((n, 3), 90.0, dtype=torch.float64),
    )


KNOWN = specs(
    ["Na4 Cl4", "K4 Cl4", "Rb4 Cl4", "Na4 Br4", "Na1 Cl1", "Mg4 O4", "Fe2"],
    [225, 225, 225, 225, 221, 225, 229],
)


def test_elements_that_fill_one_slot_are_exchanged_and_no_others() -> None:
    table = Substitution(KNOWN).probability
    # of sodium: potassium and rubidium in the chlorides of 225; the cell of 221 and the oxide are other slots
    assert table[11].nonzero().squeeze(1).tolist() == [19, 37]
    torch.testing.assert_close(table[11, [19, 37]], torch.tensor([0.5, 0.5], dtype=torch.float64))
    assert table[17].nonzero().squeeze(1).tolist() == [35]
    assert not table[[12, 8, 26]].any()


def test_crystals_keep_counts_group_and_volume_relative_to_their_elements() -> None:
    made = Substitution(KNOWN)(KNOWN, torch.Generator().manual_seed(0))
    volumes = elemental_volumes()
    relative = [one.lengths.prod(1) / (one.composition.double() @ volumes) for one in (made, KNOWN)]
    torch.testing.assert_close(*relative)
    assert torch.equal(made.space_group, KNOWN.space_group)
    assert torch.equal(made.composition.sort(dim=1).values, KNOWN.composition.sort(dim=1).values)
    # elements without a known exchange stay
    assert torch.equal(made.composition[5:], KNOWN.composition[5:])
    assert not torch.equal(made.composition[:4], KNOWN.composition[:4])
