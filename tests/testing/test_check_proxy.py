"""check_proxy passes sound proxies and names each planted fault."""

from __future__ import annotations

import math

import pytest
import torch
from pymatgen.core import Composition, Element, Lattice
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError, ContractError
from gflownet_crystal.proxies import Proxy
from gflownet_crystal.proxies.toy import BoxCorners, GridCorners
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.testing import check_proxy
from gflownet_crystal.testing.references import KJ_PER_MOL_PER_EV, REFERENCES, reference_specs

G_PER_CM3 = 1.66053906660
MASSES = torch.tensor(
    [0.0] + [float(Element.from_Z(z).atomic_mass) for z in range(1, 119)], dtype=torch.float64
)


class Density(Proxy):
    """A sound proxy."""

    property_name = "density"
    unit = "g/cm3"

    def predict(self, batch: CrystalSpec) -> Tensor | tuple[Tensor, Tensor]:
        return batch.composition.double() @ MASSES / batch.volume * G_PER_CM3


class WithSpread(Density):
    def predict(self, batch):
        value = super().predict(batch)
        return value, 0.1 * value


class WrongShape(Density):
    def predict(self, batch):
        return super().predict(batch)[:, None]


class Squeezed(Density):
    """Right but for a batch of one, where the batch dimension goes too."""

    def predict(self, batch):
        return super().predict(batch)[:, None].squeeze()


class NotATensor(Density):
    def predict(self, batch):
        return super().predict(batch).tolist()


class NotFinite(Density):
    def predict(self, batch):
        return super().predict(batch).masked_fill(batch.space_group == 227, math.nan)


class NegativeSpread(Density):
    def predict(self, batch):
        value = super().predict(batch)
        return value, value - 3.0


class Centred(Density):
    def predict(self, batch):
        value = super().predict(batch)
        return value - 0.1 * value.mean()


class ByPosition(Density):
    def predict(self, batch):
        return super().predict(batch) + 1e-3 * torch.arange(len(batch))


class Mutating(Density):
    def predict(self, batch):
        value = super().predict(batch)
        batch.lengths.mul_(1.01)
        return value


class Replacing(Density):
    """Puts another tensor into the frozen batch."""

    def predict(self, batch):
        object.__setattr__(batch, "space_group", torch.ones_like(batch.space_group))
        return super().predict(batch)


class KilogramsDeclared(Density):
    unit = "kg/m3"


class ForeignUnit(Density):
    unit = "eV/atom"


class NoUnit(Density):
    unit = ""


class Noisy(Density):
    def predict(self, batch):
        return super().predict(batch) + 1e-3 * torch.rand(len(batch))


class Counting(Density):
    """Not deterministic without a random number."""

    calls = 0

    def predict(self, batch):
        self.calls += 1
        return super().predict(batch) + 1e-3 * self.calls


class DrawsButForgets(Density):
    def predict(self, batch):
        torch.rand(1)
        return super().predict(batch)


class Raising(Density):
    def predict(self, batch):
        raise RuntimeError("out of order")


PLANTED = {
    WrongShape: "wrong shape",
    Squeezed: "wrong shape",
    NotATensor: "neither a tensor",
    NotFinite: "not finite: 2 of 16 rows, first row 13",
    NegativeSpread: "standard deviation is negative",
    Centred: "depend on the rest of the batch",
    ByPosition: "depend on the rest of the batch",
    Mutating: "changes its input",
    Replacing: "changes its input",
    KilogramsDeclared: "wrong unit is declared.*as if in g/cm3",
    ForeignUnit: "wrong unit is declared: density is in g/cm3",
    NoUnit: "unit is missing",
    Noisy: "not deterministic",
    Counting: "not deterministic",
    DrawsButForgets: "global random state",
    Raising: "RuntimeError: out of order",
}


@pytest.mark.parametrize("sound", [Density(), WithSpread()])
def test_sound_proxies_pass(sound):
    assert check_proxy(sound) == []


def test_shipped_toy_proxies_pass_on_their_own_kind_of_object():
    assert check_proxy(GridCorners(4), torch.cartesian_prod(torch.arange(4), torch.arange(4))) == []
    assert check_proxy(BoxCorners(2), torch.rand(9, 2, generator=torch.Generator().manual_seed(0))) == []


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.__name__)
def test_each_planted_fault_is_named(planted):
    with pytest.raises(ContractError, match=PLANTED[planted]):
        check_proxy(planted())


@pytest.mark.parametrize("planted", [Centred, Mutating, NotFinite, Noisy, WrongShape])
def test_nothing_else_is_reported(planted):
    found = check_proxy(planted(), raise_faults=False)
    allowed = {Noisy: ("not deterministic", "global random state")}.get(
        planted, (PLANTED[planted].split(":")[0],)
    )
    assert [fault for fault in found if not any(words in fault for words in allowed)] == []


def test_all_faults_are_listed_at_once():
    class Everything(Mutating):
        unit = "eV"

        def predict(self, batch):
            return super().predict(batch).masked_fill(batch.space_group == 229, math.inf) + torch.rand(
                len(batch)
            )

    found = check_proxy(Everything(), raise_faults=False)
    for words in ("changes its input", "wrong unit", "not finite", "not deterministic"):
        assert any(words in fault for fault in found), words


@pytest.mark.parametrize("unit", ["g/cm^3", "g/cm³", " g / cm3"])
def test_spellings_of_a_unit_are_understood(unit):
    assert check_proxy(type("Spelled", (Density,), {"unit": unit})()) == []


@pytest.mark.parametrize(
    ("unit", "factor", "sound"),
    [
        ("eV/atom", 1.0, True),
        ("eV/atom", 1.15, True),
        ("meV/atom", 1e3, True),
        ("kJ/mol", KJ_PER_MOL_PER_EV, True),
        ("eV/atom", -1.0, False),
        ("eV/atom", KJ_PER_MOL_PER_EV, False),
        ("eV/atom", 1 / 27.2114, False),
        ("eV/atom", 23.06, False),
        ("kJ/mol", 1.0, False),
        ("eV", 1.0, False),
    ],
)
def test_formation_energies_must_be_in_the_declared_unit(unit, factor, sound):
    energy = torch.tensor(
        [c.formation_enthalpy / c.atoms_per_formula for c in REFERENCES], dtype=torch.float64
    )
    by_volume = dict(
        zip(reference_specs().volume_per_atom.tolist(), (energy / KJ_PER_MOL_PER_EV).tolist(), strict=True)
    )

    class Lookup(Proxy):
        property_name = "formation_energy_per_atom"

        def predict(self, batch):
            return factor * torch.tensor(
                [by_volume[v] for v in batch.volume_per_atom.tolist()], dtype=torch.float64
            )

    Lookup.unit = unit
    assert (check_proxy(Lookup(), raise_faults=False) == []) is sound


def test_a_proxy_may_refuse_the_well_known_crystals_if_another_batch_is_given():
    class Narrow(Density):
        def predict(self, batch):
            if bool((batch.composition[:, 26] == 0).any()):
                raise ValueError("iron only")
            return super().predict(batch)

    specs = reference_specs()
    assert check_proxy(Narrow(), specs[specs.composition[:, 26] > 0]) == []


def test_what_cannot_be_checked_is_refused():
    with pytest.raises(ConfigError, match="no default batch of 'grid'"):
        check_proxy(GridCorners(4))
    with pytest.raises(ConfigError, match="at least two"):
        check_proxy(Density(), reference_specs()[:1])
    with pytest.raises(ContractError, match="does not derive"):
        check_proxy(object())


def test_the_global_random_state_is_left_as_it_was():
    before = torch.get_rng_state()
    check_proxy(Noisy(), raise_faults=False)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("crystal", REFERENCES, ids=lambda crystal: crystal.formula)
def test_reference_cells_have_the_handbook_density_and_the_formula_of_their_enthalpy(crystal):
    composition = Composition(crystal.formula.replace(" ", ""))
    cell = Lattice.from_parameters(*crystal.lengths, 90.0, 90.0, crystal.gamma)
    assert composition.weight / cell.volume * G_PER_CM3 == pytest.approx(crystal.density, rel=0.03)
    reduced = composition.reduced_composition
    assert crystal.atoms_per_formula == (1 if len(reduced) == 1 else reduced.num_atoms)
