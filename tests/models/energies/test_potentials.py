"""Formation energies by potentials: with ASE's cheap ones as an oracle, with the real ones where they are installed."""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, make_supercell
from ase.calculators.emt import EMT
from pymatgen.core import Lattice, Structure

from gflownet_crystal.common.errors import ConfigError, WeightsError
from gflownet_crystal.common.files import read_json
from gflownet_crystal.models.energies.choice import recommended
from gflownet_crystal.models.energies.corrections import materials_project_corrections
from gflownet_crystal.models.energies.potential_energies import PotentialEnergies
from gflownet_crystal.models.energies.potentials import REFERENCES, load_energies, read_references
from gflownet_crystal.structures.convert import from_arrays, from_ase, from_pymatgen
from gflownet_crystal.structures.periodic_pairs import connected
from gflownet_crystal.structures.structure import StructureBatch

METALS = {"Cu": -0.007, "Au": 0.002}
SALT = Structure.from_spacegroup(225, Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])


def alloy() -> Atoms:
    """Cu3Au."""
    return Atoms(
        "AuCu3",
        scaled_positions=[[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]],
        cell=[3.75] * 3,
        pbc=True,
    )


def bad_ones() -> list[Atoms]:
    """Overlapping, isolated, of an unknown element, and flat."""
    overlapping, isolated = alloy(), bulk("Cu", "fcc", 30.0)
    overlapping.positions[1] = overlapping.positions[0] + 0.1
    flat = alloy()
    flat.cell[2] = [0.0, 0.0, 1e-4]
    return [overlapping, isolated, bulk("Fe", "bcc", 2.87), flat]


def metals(reach: float | None = 6.0) -> PotentialEnergies:
    return PotentialEnergies(EMT(), METALS, reach)


def test_the_elements_are_taken_off_and_cells_do_not_matter() -> None:
    crystal = alloy()
    crystal.calc = EMT()
    total = crystal.get_potential_energy()
    large = make_supercell(alloy(), [[1, 1, 0], [0, 1, 0], [0, 0, 2]])
    energy, std = metals().predict(from_ase([alloy(), large]))
    assert energy[0].item() == pytest.approx((total - METALS["Au"] - 3 * METALS["Cu"]) / 4, abs=1e-12)
    assert energy[1].item() == pytest.approx(energy[0].item(), abs=1e-9)
    assert energy.dtype == torch.float64 and (std == 0).all()


def test_bad_structures_are_nan_and_touch_no_other() -> None:
    batch = from_ase([alloy(), *bad_ones(), bulk("Cu", "fcc", 3.7)])
    energy, std = metals().predict(batch)
    assert energy.isfinite().tolist() == [True, False, False, False, False, True]
    assert torch.equal(energy.isnan(), std.isnan())
    for row in (0, 5):
        assert metals().predict(batch[row : row + 1])[0] == energy[row]
    assert metals().predict(batch[1:3])[0].isnan().all()


def test_what_the_calculator_refuses_is_nan() -> None:
    # without the look at neighbours and references, EMT itself refuses iron
    energies = PotentialEnergies(EMT(), METALS | {"Fe": 0.0})
    energy, _ = energies.predict(from_ase([bulk("Fe", "bcc", 2.87), alloy()]))
    assert energy.isnan().tolist() == [True, False]


def test_neighbours_within_reach_by_brute_force() -> None:
    rng = np.random.default_rng(0)
    cells = [np.diag(rng.uniform(3, 9, 3)) + rng.normal(size=(3, 3)) for _ in range(40)]
    points = [rng.random((int(rng.integers(1, 4)), 3)) for _ in cells]
    batch = from_arrays(cells, [np.full(len(p), 29) for p in points], points)
    images = np.stack(np.meshgrid(*[np.arange(-3, 4)] * 3, indexing="ij"), -1).reshape(-1, 3)
    expected = []
    for cell, own in zip(cells, points, strict=True):
        difference = (own[None] - own[:, None])[:, :, None] + images
        distance = np.linalg.norm(difference @ cell, axis=3).reshape(len(own), -1)
        expected.append(bool((np.where(distance > 0, distance, np.inf).min(1) <= 4.0).all()))
    assert connected(batch, 4.0).tolist() == expected
    assert 5 < sum(expected) < 35


@pytest.mark.parametrize(
    ("structure", "expected"),
    [
        # coefficients of Wang et al. 2021, table 1: Cl, oxide O, O and Fe of an oxide, none for an alloy
        (SALT, -0.614 / 2),
        (Structure.from_spacegroup(225, Lattice.cubic(4.21), ["Mg", "O"], [[0] * 3, [0.5] * 3]), -0.687 / 2),
        (Structure.from_spacegroup(225, Lattice.cubic(4.31), ["Fe", "O"], [[0] * 3, [0.5] * 3]), (-0.687 - 2.256) / 2),
        (Structure.from_spacegroup(221, Lattice.cubic(2.9), ["Fe", "Al"], [[0] * 3, [0.5] * 3]), 0.0),
        (Structure.from_spacegroup(225, Lattice.cubic(3.6), ["Cu"], [[0] * 3]), 0.0),
    ],
    ids=lambda value: value.reduced_formula if isinstance(value, Structure) else "",
)  # fmt: skip
def test_corrections_of_the_materials_project(structure: Structure, expected: float) -> None:
    assert materials_project_corrections(from_pymatgen([structure]))[0].item() == pytest.approx(expected)


def test_names_options_and_packages_are_checked(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    with pytest.raises(ConfigError, match="choose one of chgnet, sevenn"):
        load_energies("emt")
    with pytest.raises(WeightsError, match=r"nowhere\.safetensors"):
        load_energies(str(tmp_path / "nowhere.safetensors"))
    with pytest.raises(ConfigError, match=r"0\.3\.0"):
        load_energies("chgnet", version="9")
    with pytest.raises(ConfigError, match="batch_atoms"):
        load_energies("chgnet", batch_atoms=3)
    monkeypatch.setitem(sys.modules, "chgnet.model.dynamics", None)
    monkeypatch.setitem(sys.modules, "sevenn.calculator", None)
    for name in ("chgnet", "sevenn"):
        with pytest.raises(ConfigError, match="potentials"):
            load_energies(name)


def test_references_cover_the_elements_of_the_data_and_are_bound() -> None:
    tables = read_json(REFERENCES)
    assert {"chgnet 0.3.0", "sevenn 7net-0"} <= set(tables)
    for name, table in tables.items():
        energies = read_references(name)
        assert set(table["crystal"]) == set(energies) and len(energies) >= 85
        assert all(energy < 0 for energy in energies.values())


# formation energies of mp-22862, mp-1265 and mp-10695 in the Materials Project, eV/atom
KNOWN = {"NaCl": -2.110, "MgO": -3.053, "ZnS": -1.063}


def known() -> StructureBatch:
    cubic = Structure.from_spacegroup
    return from_pymatgen(
        [
            cubic(225, Lattice.cubic(5.69), ["Na", "Cl"], [[0] * 3, [0.5] * 3]).get_primitive_structure(),
            cubic(225, Lattice.cubic(4.24), ["Mg", "O"], [[0] * 3, [0.5] * 3]).get_primitive_structure(),
            cubic(216, Lattice.cubic(5.45), ["Zn", "S"], [[0] * 3, [0.25] * 3]).get_primitive_structure(),
        ]
    )


@pytest.mark.parametrize("name", ["chgnet", "sevenn"])
def test_real_potentials_agree_with_density_functional_theory(
    name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip(
        f"{name}.model.dynamics" if name == "chgnet" else "sevenn.calculator", exc_type=ImportError
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        energies = load_energies(name)
        batch = StructureBatch.cat([known(), from_ase(bad_ones()[:2])])
        energy, std = energies.predict(batch)
        crystal = Atoms(
            "MgO", scaled_positions=[[0] * 3, [0.52, 0.5, 0.5]], cell=batch.cell[1].numpy(), pbc=True
        )
        crystal.calc = energies.calculator()
        total, forces, stress = crystal.get_potential_energy(), crystal.get_forces(), crystal.get_stress()
    assert capfd.readouterr() == ("", "")
    assert energy[3:].isnan().all() and (std[:3] == 0).all()
    np.testing.assert_allclose(energy[:3], list(KNOWN.values()), atol=0.08)
    alone = energies.predict(batch[1:2])[0]
    assert abs(float(alone - energy[1])) < 1e-6
    # the calculator's energies are those of predict, and its forces and stress are their derivatives
    references = energies.references[[12, 8]].sum().item()
    moved = from_ase([crystal])
    correction = materials_project_corrections(moved)[0].item() if name == "sevenn" else 0.0
    assert total - references + 2 * correction == pytest.approx(
        2 * energies.predict(moved)[0].item(), abs=1e-4
    )
    step = 0.02
    shifted = [crystal.copy() for _ in range(4)]
    shifted[0].positions[0, 0] += step
    shifted[1].positions[0, 0] -= step
    shifted[2].set_cell(crystal.cell * (1 + step / 10), scale_atoms=True)
    shifted[3].set_cell(crystal.cell * (1 - step / 10), scale_atoms=True)
    up, down, larger, smaller = (2 * energies.predict(from_ase(shifted))[0]).tolist()
    assert forces[0, 0] == pytest.approx(-(up - down) / (2 * step), rel=0.03)
    slope = (larger - smaller) / (shifted[2].get_volume() - shifted[3].get_volume())
    assert stress[:3].mean() == pytest.approx(slope, rel=0.05)


@pytest.mark.parametrize(
    ("missing", "name"),
    [
        ((), "sevenn:7net-l3i5"),
        (("sevenn",), "chgnet:0.3.0"),
        (("chgnet",), "sevenn:7net-l3i5"),
        (("sevenn", "chgnet"), "alignn"),
    ],
)
def test_the_best_that_is_installed_is_recommended(
    missing: tuple[str, ...], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "gflownet_crystal.models.energies.choice.find_spec",
        lambda package: None if package in missing else object(),
    )
    assert recommended() == name
