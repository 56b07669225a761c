"""Means of energy models: values, deviations and derivatives against the members', taken one by one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pymatgen.core import Lattice, Structure

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.config.build import build
from gflownet_crystal.config.compose import compose_config
from gflownet_crystal.models.energies.choice import read_choice
from gflownet_crystal.models.energies.derivatives import by_calculator
from gflownet_crystal.models.energies.mean_energies import MeanEnergies
from gflownet_crystal.models.energies.potentials import load_energies
from gflownet_crystal.models.energies.structure_energies import StructureEnergies
from gflownet_crystal.proxies.structure_proxy import StructureProxy
from gflownet_crystal.structures.convert import from_pymatgen
from gflownet_crystal.structures.structure import StructureBatch

BOTH = "alignn+gemsnet"


@pytest.fixture(scope="module")
def members() -> list[StructureEnergies]:
    return [load_energies("alignn"), load_energies("gemsnet")]


@pytest.fixture(scope="module")
def mean() -> StructureEnergies:
    return load_energies(BOTH)


@pytest.fixture(scope="module")
def structures() -> StructureBatch:
    salt = Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.6), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    rutile = Structure.from_spacegroup(
        "P4_2/mnm", Lattice.tetragonal(4.6, 2.96), ["Ti", "O"], [[0, 0, 0], [0.305, 0.305, 0]]
    )
    lone = Structure(Lattice.cubic(30.0), ["Na"], [[0, 0, 0]])
    return from_pymatgen([salt, lone, rutile.perturb(0.05, seed=0)])


def test_energies_are_means_and_disagreement_counts(
    mean: StructureEnergies, members: list[StructureEnergies], structures: StructureBatch
) -> None:
    energy, deviation = mean.predict(structures)
    (a, s), (b, t) = (member.predict(structures) for member in members)
    torch.testing.assert_close(energy, (a + b) / 2.0, equal_nan=True)
    # of two values, the variance about their mean is a quarter of the squared difference
    variance = (s.square() + t.square()) / 2.0 + (a - b).square() / 4.0
    torch.testing.assert_close(deviation.square(), variance, equal_nan=True)
    assert energy.isnan().tolist() == deviation.isnan().tolist() == [False, True, False]


def test_derivatives_are_means_by_both_ways(
    mean: StructureEnergies, members: list[StructureEnergies], structures: StructureBatch
) -> None:
    some = structures[torch.tensor([0, 2])]
    found, one_by_one = mean.derivatives(some), by_calculator(mean.calculator(), some)
    each = [member.derivatives(some) for member in members]
    for name in ("energy", "forces", "stress"):
        own = getattr(found, name)
        torch.testing.assert_close(own, sum(getattr(part, name) for part in each) / 2.0)
        torch.testing.assert_close(own, getattr(one_by_one, name), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.energy / some.n_atoms, mean.predict(some)[0], rtol=1e-5, atol=1e-5)
    assert list(mean.derivatives(structures).reasons) == [1]


def test_forces_are_slopes_of_the_mean(mean: StructureEnergies, structures: StructureBatch) -> None:
    rutile, step = structures[2:3], 2e-3
    ways = []
    for sign in (1.0, -1.0):
        fractional = rutile.fractional.clone()
        fractional[3, 0] += sign * step / float(rutile.cell[0, 0].norm())
        ways.append(float(mean.predict(replace(rutile, fractional=fractional))[0]) * int(rutile.n_atoms))
    direction = rutile.cell[0, 0] / rutile.cell[0, 0].norm()
    slope = float(mean.derivatives(rutile).forces[3] @ direction)
    assert slope == pytest.approx((ways[1] - ways[0]) / (2.0 * step), abs=0.02)


def test_a_text_names_a_mean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    choice = read_choice("runs/a.safetensors+sevenn:7net-l3i5")
    assert choice.label == "a+sevenn:7net-l3i5" and choice.file_name == "a+sevenn-7net-l3i5"
    assert [member.version for member in choice.members] == [None, "7net-l3i5"]
    assert choice.described == choice.name
    monkeypatch.chdir(tmp_path)
    Path("one+two.safetensors").touch()
    assert read_choice("one+two.safetensors").members == ()
    assert read_choice("runs/a+b/mine.safetensors").members == ()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("alignn+alignn", "names a model twice"),
        ("alignn+", "must be NAME"),
        ("alignn+sevenn:", "lacks a name or a version"),
        ("alignn+nothing", "unknown energies 'nothing'"),
    ],
)
def test_faults_are_told(given: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_energies(given)


def test_a_proxy_takes_a_mean(structures: StructureBatch, mean: StructureEnergies) -> None:
    words = ["env=crystal", "proxy=alignn", f"proxy.weights={BOTH}", "proxy.builder=quick"]
    proxy = build(compose_config("train_gfn", words).proxy, StructureProxy, "proxy")
    assert isinstance(proxy.energies, MeanEnergies)
    judged = proxy.judge(structures)
    torch.testing.assert_close(judged.value[[0, 2]], mean.predict(structures)[0][[0, 2]])
    assert judged.penalised.tolist() == [False, True, False]
