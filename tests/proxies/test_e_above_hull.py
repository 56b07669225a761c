"""Energy above the hull over any energy proxy: its value, what passes through it, and how a command line makes it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError, DataError, WeightsError
from gflownet_crystal.config.build import build
from gflownet_crystal.config.compose import compose_config, resolved
from gflownet_crystal.proxies.base import Prediction, Proxy
from gflownet_crystal.proxies.e_above_hull import EnergyAboveHull
from gflownet_crystal.proxies.learned_hull import LearnedHull
from gflownet_crystal.proxies.mlp import MLPProxy
from gflownet_crystal.proxies.mlp_paper import PaperMLPProxy
from gflownet_crystal.proxies.reference_hull import ReferenceHull
from gflownet_crystal.structures.formulas import text_to_composition
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.testing import check_proxy
from tests.proxies.test_mlp import random_specs

HERE = f"{__name__}."


class VolumeEnergy(Proxy):
    """A made-up energy: -1 eV/atom and a hundredth of the volume per atom; where that is large, it cannot judge."""

    property_name = "formation_energy_per_atom"
    unit = "eV/atom"

    def __init__(self, penalty: float = 10.0, doubtful: float = 40.0) -> None:
        self.penalty, self.doubtful = penalty, doubtful
        self.device: torch.device | str = "cpu"

    def predict(self, batch: CrystalSpec) -> tuple[Tensor, Tensor]:
        return 0.01 * batch.volume_per_atom - 1.0, 0.001 * batch.volume_per_atom

    def __call__(self, batch: CrystalSpec) -> Prediction:
        prediction = super().__call__(batch)
        penalised = batch.volume_per_atom > self.doubtful
        value = torch.where(penalised, self.penalty, prediction.value)
        value = torch.where(batch.space_group == 1, torch.nan, value)
        return replace(prediction, value=value, valid=torch.isfinite(value), penalised=penalised)

    def to(self, device: torch.device | str) -> VolumeEnergy:
        self.device = device
        return self


class Volume(Proxy):
    """Not an energy."""

    property_name = "volume_per_atom"
    unit = "Å^3/atom"

    def predict(self, batch: CrystalSpec) -> Tensor:
        return batch.volume_per_atom


@pytest.fixture(scope="module")
def hull_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hull") / "hull.parquet"
    composition = random_specs(40).composition
    ReferenceHull(composition, -torch.linspace(0.1, 2.0, 40).double()).stable().write(path)
    return path


def test_value_is_the_energy_minus_either_hull_and_the_std_is_the_energys(hull_file: Path) -> None:
    specs, energy = random_specs(40), MLPProxy()
    expected = energy(specs)
    for proxy, hull in (
        (EnergyAboveHull(energy), LearnedHull.from_weights()),
        (EnergyAboveHull(energy, str(hull_file)), ReferenceHull.read(hull_file)),
    ):
        above = proxy(specs)
        torch.testing.assert_close(above.value, expected.value - hull.hull_energy(specs.composition))
        assert above.std.equal(expected.std)
        assert bool(above.valid.all())
        value, std = proxy.predict(specs)
        assert value.equal(above.value) and std.equal(above.std)
        assert proxy.property_name == "e_above_hull" and proxy.unit == "eV/atom"


def test_the_contract_of_proxies_is_kept(hull_file: Path) -> None:
    check_proxy(EnergyAboveHull(MLPProxy(), str(hull_file)))
    check_proxy(EnergyAboveHull(MLPProxy()), random_specs(20))


def test_marks_of_the_energy_pass_through_and_a_penalty_is_not_shifted() -> None:
    specs, energy = random_specs(200), VolumeEnergy()
    hull = ReferenceHull(specs.composition, torch.full((200,), -1.5))
    given, above = energy(specs), EnergyAboveHull.of(energy, hull)(specs)
    assert 0 < int(given.penalised.sum()) < 200
    assert above.penalised.equal(given.penalised) and above.valid.equal(given.valid)
    marked = given.penalised & given.valid
    assert bool((above.value[marked] == 10.0).all())
    plain = given.valid & ~given.penalised
    shift = hull.hull_energy(specs.composition)[plain]
    torch.testing.assert_close(above.value[plain], given.value[plain] - shift)


@pytest.mark.parametrize("energy", [Volume(), EnergyAboveHull.of(VolumeEnergy(), LearnedHull.from_weights())])
def test_only_formation_energies_are_measured_from_a_hull(energy: Proxy) -> None:
    with pytest.raises(ConfigError, match=rf"{energy.property_name}.*formation_energy_per_atom"):
        EnergyAboveHull(energy)


def test_what_is_no_proxy_or_no_hull_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="must be a proxy"):
        EnergyAboveHull("mlp")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="no data at"):
        EnergyAboveHull(VolumeEnergy(), str(tmp_path / "none.parquet"))
    with pytest.raises(WeightsError, match="no weights"):
        EnergyAboveHull(VolumeEnergy(), hull_weights="none")


def test_the_energy_proxy_moves() -> None:
    energy = VolumeEnergy()
    proxy = EnergyAboveHull.of(energy, ReferenceHull(text_to_composition(["Na1 Cl1"]), torch.tensor([-2.0])))
    assert proxy.to("meta") is proxy
    assert energy.device == "meta"


def made(*settings: str) -> EnergyAboveHull:
    """The proxy that a command line makes."""
    config = resolved(compose_config("train_gfn", ["proxy=e_above_hull", *settings]))
    proxy = build(config.proxy, Proxy, "proxy")
    assert isinstance(proxy, EnergyAboveHull)
    return proxy


def test_a_command_line_chooses_the_energy_and_the_hull(hull_file: Path) -> None:
    assert isinstance(made().energy, MLPProxy) and isinstance(made().hull, LearnedHull)
    chosen = made("proxy/energy=mlp_paper", "proxy.energy.batch_size=7", f"proxy.hull={hull_file}")
    assert isinstance(chosen.energy, PaperMLPProxy) and chosen.energy.batch_size == 7
    assert isinstance(chosen.hull, ReferenceHull)
    own = made("proxy.energy.penalty=3.0", f"proxy.energy._target_={HERE}VolumeEnergy").energy
    assert isinstance(own, VolumeEnergy) and own.penalty == 3.0


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("proxy.energy=mlp_papre", r"unknown proxy\.energy 'mlp_papre' \(did you mean mlp_paper\?\)"),
        ("proxy.energy.width=3", r"did you mean proxy\.energy\.weights"),
        ("proxy.energy=e_above_hull", "e_above_hull needs formation_energy_per_atom"),
        (f"proxy.energy._target_={HERE}Volume", "volume_per_atom"),
        ("proxy.hull=nowhere.parquet", r"nowhere\.parquet"),
        ("proxy.hull=3", r"proxy\.hull must be str or null"),
    ],
)
def test_mistakes_are_told_in_one_line(given: str, told: str) -> None:
    with pytest.raises((ConfigError, DataError), match=told) as caught:
        made(given)
    assert "\n" not in str(caught.value)
