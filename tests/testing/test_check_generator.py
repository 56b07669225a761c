"""check_generator passes sound generators and names each planted fault."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
import torch

from gflownet_crystal.common.errors import ConfigError, ContractError
from gflownet_crystal.generators.base import Generation, Generator
from gflownet_crystal.generators.quick_placement import QuickPlacement
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.testing import check_generator
from gflownet_crystal.testing.references import reference_specs

PLACEMENT = QuickPlacement(assignments=2, tries=2, keep=1, steps=0, min_ratio=0.3)


@cache
def few_specs() -> CrystalSpec:
    """Cubic, tetragonal and hexagonal crystals, one with free parameters among them."""
    return reference_specs()[torch.tensor([0, 5, 10, 15])]


class Sound(Generator):
    """The quick placement; faulty ones spoil what it makes."""

    def generate(self, specs: CrystalSpec, seed: int = 0) -> Generation:
        made = PLACEMENT.generate(specs, seed)
        return Generation(self.spoil(made.structures), made.rows)

    def spoil(self, structures: StructureBatch) -> StructureBatch:
        return structures


class OtherElement(Sound):
    def spoil(self, structures):
        return replace(structures, atomic_numbers=structures.atomic_numbers % 80 + 1)


class AtomTooFew(Sound):
    def spoil(self, structures):
        fields = (structures.atomic_numbers, structures.fractional, structures.structure_index)
        return StructureBatch(structures.cell, *(field[1:] for field in fields), structures.space_group)


class Swollen(Sound):
    def spoil(self, structures):
        return replace(structures, cell=structures.cell * 1.001)


class Sheared(Sound):
    """Lengths stay, an angle does not."""

    def spoil(self, structures):
        a, b, c = structures.cell.unbind(1)
        tilted = b + 0.01 * a
        tilted = tilted * (b.norm(dim=1) / tilted.norm(dim=1))[:, None]
        return replace(structures, cell=torch.stack([a, tilted, c], dim=1))


class NoCell(Sound):
    def spoil(self, structures):
        return replace(structures, cell=structures.cell * torch.nan)


class OtherGroup(Sound):
    def spoil(self, structures):
        return replace(structures, space_group=torch.ones_like(structures.space_group))


class Displaced(Sound):
    """One atom of each structure is 0.05 off, the group is claimed all the same."""

    def spoil(self, structures):
        first = torch.cat([torch.ones(1, dtype=torch.long), structures.structure_index.diff()]) > 0
        moved = structures.fractional + 0.05 * first[:, None] * torch.tensor([1.0, 0.3, 0.1])
        return replace(structures, fractional=moved)


class Shifted(Sound):
    """A good crystal whose origin is not that of the setting."""

    def spoil(self, structures):
        return replace(structures, fractional=structures.fractional + torch.tensor([0.11, 0.07, 0.03]))


class OnTop(Sound):
    def spoil(self, structures):
        return replace(structures, fractional=torch.zeros_like(structures.fractional))


class Lost(Sound):
    def spoil(self, structures):
        return replace(structures, fractional=structures.fractional * torch.nan)


class ByBatch(Sound):
    """Draws with a seed that the size of the batch changes."""

    def generate(self, specs, seed=0):
        return super().generate(specs, seed + 100 * len(specs))


class ByPosition(Sound):
    """The second spec of a batch is never placed."""

    def generate(self, specs, seed=0):
        made = super().generate(specs, seed)
        kept = (made.rows != 1).nonzero()[:, 0]
        return Generation(made.structures[kept], made.rows[kept])


class Counting(Sound):
    """Not deterministic without a random number."""

    calls = 0

    def generate(self, specs, seed=0):
        self.calls += 1
        return super().generate(specs, seed + self.calls)


class GlobalSeed(Sound):
    def generate(self, specs, seed=0):
        torch.manual_seed(seed)
        return super().generate(specs, seed)


class Deaf(Sound):
    def generate(self, specs, seed=0):
        return super().generate(specs, 7)


class Mutating(Sound):
    def generate(self, specs, seed=0):
        made = super().generate(specs, seed)
        specs.lengths.mul_(1.01)
        return made


class Backward(Sound):
    def generate(self, specs, seed=0):
        made = super().generate(specs, seed)
        order = torch.arange(len(made.rows) - 1, -1, -1)
        return Generation(made.structures[order], made.rows[order])


class Numbers(Sound):
    """Structures without the rows they belong to."""

    def generate(self, specs, seed=0):
        return super().generate(specs, seed).structures


class Idle(Sound):
    def generate(self, specs, seed=0):
        made = super().generate(specs, seed)
        return Generation(made.structures[:0], made.rows[:0])


class Raising(Sound):
    def generate(self, specs, seed=0):
        raise RuntimeError("out of order")


PLANTED = {
    OtherElement: "composition is not the spec",
    AtomTooFew: "composition is not the spec",
    Swollen: "lattice is not the spec",
    Sheared: "lattice is not the spec",
    NoCell: "lattice is not the spec",
    OtherGroup: "space group is not the spec",
    Displaced: "does not map the structure onto itself",
    Shifted: "does not map the structure onto itself",
    OnTop: "on top of each other",
    Lost: "coordinate is not finite",
    ByBatch: "depend on the rest of the batch",
    ByPosition: "depend on the rest of the batch",
    Counting: "not deterministic",
    GlobalSeed: "global random state",
    Mutating: "changes its input",
    Backward: "rows do not rise",
    Numbers: "does not return a Generation",
    Idle: "no spec was placed",
    Raising: "RuntimeError: out of order",
}


def test_a_sound_generator_passes_on_specs_given_and_on_well_known_crystals():
    assert check_generator(Sound(), few_specs()) == []
    assert check_generator(Sound()) == []


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.__name__)
def test_each_planted_fault_is_named(planted):
    with pytest.raises(ContractError, match=PLANTED[planted]):
        check_generator(planted(), few_specs())


@pytest.mark.parametrize("planted", [Swollen, OtherGroup, ByBatch, ByPosition, Mutating, GlobalSeed, Lost])
def test_nothing_else_is_reported(planted):
    (found,) = check_generator(planted(), few_specs(), raise_faults=False)
    assert PLANTED[planted] in found


def test_a_seed_that_changes_nothing_is_a_fault_where_atoms_have_a_choice():
    assert check_generator(Deaf(), raise_faults=False) == ["another seed gives the same structures"]
    rock_salts = reference_specs()[:4]
    assert check_generator(Deaf(), rock_salts) == []


def test_what_cannot_be_checked_is_refused():
    with pytest.raises(ConfigError, match="at least two"):
        check_generator(Sound(), reference_specs()[:1])
    with pytest.raises(ContractError, match="does not derive"):
        check_generator(object())
