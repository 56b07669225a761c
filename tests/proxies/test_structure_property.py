"""Properties of crystals with their atoms, learned by heads on the energy network's states."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from gflownet_crystal.common.errors import ConfigError, DataError, WeightsError
from gflownet_crystal.data.schema import STRUCTURE_COLUMNS
from gflownet_crystal.models.energies.trained import TrainedEnergies
from gflownet_crystal.proxies.spec_property import PropertyProxy
from gflownet_crystal.proxies.structure_property import StructureProperty
from gflownet_crystal.structures.convert import from_arrays
from gflownet_crystal.structures.frames import frame_to_structures
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.training.proxies.structure_property_recipe import StructurePropertyRecipe

SMALL: dict[str, Any] = {"width": 16, "steps": 300, "passes": 1000, "batch_size": 32, "holdout": 0.3}
ALKALI, HALIDES = (
    ((3, "Li"), (11, "Na"), (19, "K"), (37, "Rb"), (55, "Cs")),
    ((9, "F"), (17, "Cl"), (35, "Br")),
)
SIDES = (4.8, 5.2, 5.6, 6.0)


def salts() -> pd.DataFrame:
    """Salts as rock salt and as caesium chloride, the label of the second ten times that of the first."""
    rows = [
        {
            "lattice": [side * scale] * 3 + angles,
            "atomic_numbers": [metal, halide],
            "frac_coords": [0.0, 0.0, 0.0, 0.5, 0.5, 0.5],
            "space_group": group,
            "formula": f"{m}{points} {h}{points}",
            "a": side, "b": side, "c": side, "alpha": 90.0, "beta": 90.0, "gamma": 90.0,
            "hardness": 10.0**order,
        }
        for metal, m in ALKALI
        for halide, h in HALIDES
        for side in SIDES
        for group, scale, angles, points, order in (
            (225, 0.5**0.5, [60.0] * 3, 4, 1.0), (221, 0.5 ** (2 / 3), [90.0] * 3, 1, 2.0),
        )
    ]  # fmt: skip
    frame = pd.DataFrame(rows)
    return frame.assign(
        material_id=[f"s{row}" for row in range(len(frame))], energy_source="made", strain="",
        formation_energy_per_atom=np.nan,
    )  # fmt: skip


def atoms(table: pd.DataFrame) -> StructureBatch:
    return frame_to_structures(table[list(STRUCTURE_COLUMNS[1:])])


@pytest.fixture(scope="module")
def trained() -> tuple[StructurePropertyRecipe, Any]:
    recipe = StructurePropertyRecipe("hardness", "GPa", transform="log10", **SMALL)
    return recipe, recipe.fit(salts())


def test_the_places_of_atoms_are_told_apart(trained: Any) -> None:
    _, found = trained
    figures = found.card["validation"]["not_calibrated_on"]
    # half of the labels are 10, half are 100: the median errs by 0.5
    assert figures["mae_log10"] < 0.1
    assert found.card["kind"] == "structure_property"
    assert found.card["ensemble"] == TrainedEnergies("alignn").card["sha256"]


def test_features_are_those_that_the_energies_are_read_from() -> None:
    model = TrainedEnergies("alignn").model
    structures = atoms(salts()[:6])
    with torch.no_grad():
        graph = model.graph(structures)
        energy, states = model.energies_and_features(graph)
        features = model.layer_features(graph)
    width = states.shape[1]
    torch.testing.assert_close(features[:, width : 2 * width], states)
    network: Any = model.network
    read = network.readout(states) + network.bond_readout(features[:, 2 * width : 3 * width])
    elements = model.element_energy[structures.atomic_numbers].view(6, 2).mean(1)
    torch.testing.assert_close(elements + model.scale * read[:, 0], energy, rtol=0, atol=1e-5)
    # two atoms a cell: their deviation is half of the difference, and the larger one is that above the mean
    with torch.no_grad():
        both = network.layer_states(graph).view(6, 2, -1)
    mean, deviation, most = features.split(3 * width, dim=1)
    torch.testing.assert_close(deviation, (both[:, 0] - both[:, 1]).abs() / 2)
    torch.testing.assert_close(most, mean + deviation)


def test_weights_are_read_back_and_belong_to_one_network(trained: Any, tmp_path: Path) -> None:
    recipe, found = trained
    path = tmp_path / "hardness.safetensors"
    found.save(path, {})
    structures = atoms(salts())
    rounded = {name: tensor.half().to(tensor.dtype) for name, tensor in found.tensors.items()}
    again = StructureProperty(path)(structures)
    direct = StructureProperty.from_heads(recipe.base, rounded, found.card)(structures)
    assert again.value.equal(direct.value) and again.std.equal(direct.std)
    assert (StructureProperty(path).property_name, StructureProperty(path).unit) == ("hardness", "GPa")
    with pytest.raises(WeightsError, match="'structure_property', but 'spec_property' is needed"):
        PropertyProxy(path)
    found.save(path, {"ensemble": "0" * 64})
    with pytest.raises(WeightsError, match="another energy"):
        StructureProperty(path)


def test_a_value_depends_on_its_own_structure_alone(trained: Any) -> None:
    recipe, found = trained
    proxy, structures = recipe.proxy(found), atoms(salts()[:5])
    together = proxy(structures)
    alone = torch.cat([proxy(structures[row : row + 1]).value for row in range(5)])
    torch.testing.assert_close(alone, together.value, rtol=1e-5, atol=0)


def test_structures_that_the_network_cannot_judge_have_no_value(trained: Any) -> None:
    recipe, found = trained
    overlap = from_arrays([4.0 * np.eye(3)], [[11, 17]], [[[0.0, 0.0, 0.0], [0.01, 0.0, 0.0]]])
    mixed = StructureBatch.cat([atoms(salts()[:1]), overlap, atoms(salts()[1:2])])
    prediction = recipe.proxy(found)(mixed)
    assert prediction.valid.tolist() == [True, False, True]


def test_crystals_that_cannot_be_judged_are_not_trained_on() -> None:
    recipe, table = StructurePropertyRecipe("hardness", "GPa", **SMALL), salts()
    table.at[3, "frac_coords"] = [0.0, 0.0, 0.0, 0.001, 0.0, 0.0]
    assert recipe.rows(table)["material_id"].tolist() == [f"s{row}" for row in range(len(table)) if row != 3]


def test_specs_alone_are_refused() -> None:
    recipe = StructurePropertyRecipe("hardness", "GPa", **SMALL)
    with pytest.raises(DataError, match="has atoms, only specs"):
        recipe.fit(salts().drop(columns=list(STRUCTURE_COLUMNS[1:])))


@pytest.mark.parametrize("wrong", [{"members": 1}, {"transform": "cube"}, {"no_such": 1}])
def test_wrong_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        StructurePropertyRecipe("hardness", "GPa", **wrong)
