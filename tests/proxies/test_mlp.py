"""The shipped MLP proxy: its contract, its invariances, its limits and its weights' integrity."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from gflownet_crystal.common.errors import ConfigError, ProxyError, WeightsError
from gflownet_crystal.crystallography.lattice import complete_parameters
from gflownet_crystal.crystallography.space_groups import ENANTIOMORPHIC_PAIRS, lattice_system_of_group
from gflownet_crystal.crystallography.wyckoff import wyckoff_positions
from gflownet_crystal.data.prepare import prepare
from gflownet_crystal.data.schema import ENERGY_COLUMN
from gflownet_crystal.proxies.mlp import MLPProxy
from gflownet_crystal.proxies.mlp_paper import PaperMLPProxy
from gflownet_crystal.structures.formulas import text_to_composition
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.structures.spec_io import frame_to_specs
from gflownet_crystal.training.proxies.mlp_validation import (
    error_figures,
    minimum_along_scaling,
    scaled,
    with_axial_ratio,
    with_beta_shift,
)
from gflownet_crystal.training.proxies.placing_labels import KIND as LABELS
from gflownet_crystal.weights import FOLDER, weights_path
from tests.data.crystals import ENERGIES, stored_frame


@pytest.fixture(scope="module")
def proxy() -> MLPProxy:
    return MLPProxy()


@pytest.fixture(scope="module")
def crystals() -> CrystalSpec:
    return frame_to_specs(prepare(stored_frame()))


def random_specs(n: int, seed: int = 0) -> CrystalSpec:
    """Random groups, three elements on one to eight general positions each, cells of the lattice system."""
    generator = torch.Generator().manual_seed(seed)
    group = torch.randint(1, 231, (n,), generator=generator)
    orbit = torch.tensor([wyckoff_positions(number)[0].multiplicity for number in group.tolist()])
    composition = torch.zeros(n, 119, dtype=torch.int64)
    elements = torch.randint(1, 84, (n, 3), generator=generator)
    composition.scatter_(1, elements, torch.randint(1, 9, (n, 3), generator=generator) * orbit[:, None])
    lengths = (3 + 6 * torch.rand(n, 3, generator=generator, dtype=torch.float64)) * orbit[:, None] ** (1 / 3)
    angles = 80 + 20 * torch.rand(n, 3, generator=generator, dtype=torch.float64)
    system = torch.from_numpy(lattice_system_of_group)[group]
    cell = complete_parameters(system, torch.cat([lengths, angles], dim=1))
    return CrystalSpec(group, composition, cell[:, :3].contiguous(), cell[:, 3:].contiguous())


@pytest.mark.parametrize("kind", [MLPProxy, PaperMLPProxy])
def test_value_does_not_depend_on_batch_order_or_size(kind: type[MLPProxy] | type[PaperMLPProxy]) -> None:
    specs, proxy = random_specs(700), kind()
    whole = proxy(specs)
    order = torch.randperm(700, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(proxy(specs[order]).value, whole.value[order], rtol=0, atol=1e-6)
    single = torch.cat([proxy(specs[row : row + 1]).value for row in range(0, 700, 70)])
    torch.testing.assert_close(single, whole.value[::70], rtol=0, atol=1e-6)
    small = kind(batch_size=13)
    torch.testing.assert_close(small(specs).value, whole.value, rtol=0, atol=1e-6)
    assert whole.value.dtype == torch.float64 and bool(whole.valid.all())


def test_energies_of_known_crystals_are_near_their_literature_values(
    proxy: MLPProxy, crystals: CrystalSpec
) -> None:
    error = (proxy(crystals).value - torch.tensor(ENERGIES)).abs()
    assert float(error.max()) < 0.35


def test_equivalent_settings_have_one_energy(proxy: MLPProxy) -> None:
    specs = random_specs(20)
    group = torch.full((20,), 19)
    counts = 4 * (specs.composition > 0)
    specs = CrystalSpec(group, counts, specs.lengths, torch.full_like(specs.angles, 90.0))
    turned = CrystalSpec(group, counts, specs.lengths[:, [2, 0, 1]], specs.angles)
    torch.testing.assert_close(proxy(specs).value, proxy(turned).value, rtol=0, atol=1e-5)


def test_known_crystals_are_near_their_energy_minimum(proxy: MLPProxy, crystals: CrystalSpec) -> None:
    minimum = minimum_along_scaling(proxy, crystals)
    assert (abs(minimum - 1) <= 0.05).mean() >= 0.75


def test_energy_rises_far_from_any_real_cell(proxy: MLPProxy, crystals: CrystalSpec) -> None:
    truth = proxy(crystals).value
    previous = truth
    for factor in (1.4, 1.8, 2.5, 4.0):
        energy = proxy(scaled(crystals, factor)).value
        assert bool((energy > truth + 0.3).all())
        assert bool((energy >= previous - 0.35).all())
        previous = energy
    for factor in (0.72, 0.6, 0.4):
        assert bool((proxy(scaled(crystals, factor)).value > truth + 1.0).all())
    axial = (crystals.space_group >= 16) & (crystals.space_group <= 194)
    needle = with_axial_ratio(crystals[axial], 30.0)
    assert bool((proxy(needle).value > truth[axial] + 1.0).all()) and bool(axial.any())


def test_strained_cells_keep_their_volume(crystals: CrystalSpec) -> None:
    torch.testing.assert_close(with_axial_ratio(crystals, 0.8).volume, crystals.volume)
    monoclinic = crystals[crystals.space_group == 14]
    torch.testing.assert_close(with_beta_shift(monoclinic, 12.0).volume, monoclinic.volume)


@pytest.mark.parametrize(
    ("number", "count", "text"), [(11, 0, "no atoms"), (110, 2, "element"), (0, 1, "element")]
)
@pytest.mark.parametrize("kind", [MLPProxy, PaperMLPProxy])
def test_specs_out_of_range_are_named(
    kind: type[MLPProxy] | type[PaperMLPProxy], number: int, count: int, text: str
) -> None:
    specs = random_specs(5)
    composition = specs.composition.clone()
    composition[3] = 0
    composition[3, number] = count
    broken = CrystalSpec(specs.space_group, composition, specs.lengths, specs.angles)
    with pytest.raises(ProxyError, match=rf"spec 3 has .*{text}"):
        kind()(broken)


def test_open_cells_are_named(proxy: MLPProxy) -> None:
    specs = random_specs(5)
    angles = specs.angles.clone()
    angles[2] = 150.0
    with pytest.raises(ProxyError, match=r"spec 2.*angles must close a cell"):
        proxy(CrystalSpec(specs.space_group, specs.composition, specs.lengths, angles))


def test_empty_batch_gives_no_values(proxy: MLPProxy) -> None:
    assert len(proxy(random_specs(4)[:0]).value) == 0


def test_corrupt_missing_and_foreign_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="mlp"):
        MLPProxy("no_such_weights")
    for suffix in (".safetensors", ".json"):
        shutil.copy(weights_path("mlp").with_suffix(suffix), tmp_path / f"copy{suffix}")
    path = tmp_path / "copy.safetensors"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="sha256"):
        MLPProxy(path)
    with pytest.raises(WeightsError, match="needed"):
        MLPProxy("hull")
    with pytest.raises(ConfigError, match="batch_size"):
        MLPProxy(batch_size=0)


def test_every_card_states_what_its_weights_are() -> None:
    for path in FOLDER.glob("*.safetensors"):
        card = json.loads(path.with_suffix(".json").read_text())
        stated = {"kind", "unit", "data", "command", "sha256", "samples_seen"}
        if card["kind"] != LABELS:
            # labels are as they were made: nothing was fitted
            stated |= {"validation", "settings"}
        assert stated <= set(card), path
    assert sum(path.stat().st_size for path in FOLDER.glob("*.safetensors")) < 40e6


def test_mirror_images_have_one_energy(proxy: MLPProxy) -> None:
    specs = random_specs(300)
    for pair in ENANTIOMORPHIC_PAIRS:
        system = torch.from_numpy(lattice_system_of_group)[pair[0]].expand(len(specs))
        cell = complete_parameters(system, torch.cat([specs.lengths, specs.angles], dim=1))
        counts = (specs.composition > 0) * wyckoff_positions(pair[0])[0].multiplicity
        left, right = (
            proxy(CrystalSpec(torch.full_like(specs.space_group, group), counts, cell[:, :3], cell[:, 3:]))
            for group in pair
        )
        torch.testing.assert_close(left.value, right.value, rtol=0, atol=0)
        torch.testing.assert_close(left.std, right.std, rtol=0, atol=0)


@pytest.mark.parametrize("kind", [MLPProxy, PaperMLPProxy])
@pytest.mark.parametrize(
    ("formula", "group", "cell", "text"),
    [
        ("Na4 Cl4", 225, (5.6, 5.7, 5.6, 90, 90, 90), "lattice system"),
        ("Na4 Cl4", 225, (5.6, 5.6, 5.6, 90, 90, 91), "lattice system"),
        ("Na1 Cl1", 225, (5.6, 5.6, 5.6, 90, 90, 90), "Wyckoff"),
        ("Si3 O6", 152, (4.9, 4.9, 5.4, 90, 90, 90), "lattice system"),
        ("Na4 Cl4", 1, (5.6, 5.6, 5.6, 60, 60, 150), "close a cell"),
    ],
)
def test_specs_outside_their_contract_are_refused_by_row_and_reason(
    kind: type[MLPProxy] | type[PaperMLPProxy],
    formula: str,
    group: int,
    cell: tuple[float, ...],
    text: str,
) -> None:
    parameters = torch.tensor([cell], dtype=torch.float64)
    bad = CrystalSpec(
        torch.tensor([group]), text_to_composition([formula]), parameters[:, :3], parameters[:, 3:]
    )
    with pytest.raises(ProxyError, match=rf"spec 4, {formula} in group {group} .*{text}"):
        kind()(CrystalSpec.cat([random_specs(4), bad]))


def test_root_mean_squares_of_errors_too_large_to_square() -> None:
    table = prepare(stored_frame()).assign(**{ENERGY_COLUMN: 1e200})
    figures = error_figures(MLPProxy(), table)
    assert figures["rmse"] == pytest.approx(1e200, rel=1e-6)
    labels = table.assign(**{ENERGY_COLUMN: np.linspace(-1.0, 1.0, len(table))})
    error = MLPProxy()(frame_to_specs(labels)).value.numpy() - labels[ENERGY_COLUMN].to_numpy()
    assert error_figures(MLPProxy(), labels)["rmse"] == pytest.approx(np.sqrt((error**2).mean()), rel=1e-12)
