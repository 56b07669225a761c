"""Contacts of atoms against pymatgen's neighbours, and the shipped table against crystals that everybody knows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pymatgen.core import Element, Lattice, Structure

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.files import read_json
from gflownet_crystal.evaluation.build_contacts import least_distances, main
from gflownet_crystal.evaluation.contacts import Contacts, Nearest, nearest_distances
from gflownet_crystal.structures.convert import from_pymatgen
from gflownet_crystal.structures.elements import COVALENT_RADII
from gflownet_crystal.structures.frames import structures_to_frame
from gflownet_crystal.weights import weights_path


def cubic(group: str, edge: float, species: list[str], points: list) -> Structure:
    return Structure.from_spacegroup(group, Lattice.cubic(edge), species, points)


SALT = cubic("Fm-3m", 5.64, ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
PEROVSKITE = cubic("Pm-3m", 3.905, ["Sr", "Ti", "O"], [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0]])
IRON = cubic("Im-3m", 2.87, ["Fe"], [[0, 0, 0]]).get_primitive_structure()
SKEWED = Structure(
    Lattice.from_parameters(3.1, 4.0, 9.0, 62, 75, 118),
    ["Na", "Cl", "Cl", "H"],
    [[0, 0, 0], [0.52, 0.1, 0.3], [0.9, 0.8, 0.6], [0.1, 0.4, 0.7]],
)
CRYSTALS = [SALT, PEROVSKITE, IRON, SKEWED]


def by_pymatgen(crystal: Structure, radius: float) -> dict[tuple[int, int], float]:
    found: dict[tuple[int, int], float] = {}
    for site, neighbours in zip(crystal, crystal.get_all_neighbors(radius), strict=True):
        for neighbour in neighbours:
            pair = tuple(sorted((site.specie.Z, neighbour.specie.Z)))
            found[pair] = min(found.get(pair, np.inf), neighbour.nn_distance)
    return found


@pytest.mark.parametrize("radius", [2.5, 4.0, 6.0])
def test_nearest_distances_are_those_of_pymatgen(radius: float) -> None:
    found = nearest_distances(from_pymatgen(CRYSTALS), radius)
    assert found.structure.tolist() == sorted(found.structure.tolist())
    for number, crystal in enumerate(CRYSTALS):
        mine = (found.structure == number).nonzero()[:, 0]
        pairs = [tuple(pair) for pair in found.pair[mine].tolist()]
        expected = by_pymatgen(crystal, radius)
        assert dict(zip(pairs, found.distance[mine].tolist(), strict=True)) == pytest.approx(expected)


def test_the_tightest_contact_is_the_smallest_in_units_of_its_pair() -> None:
    table = torch.rand(119, 119, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    contacts = Contacts(2.5 + 0.15 * (table + table.T))
    found = contacts.tightest(from_pymatgen(CRYSTALS))
    for number, crystal in enumerate(CRYSTALS):
        ratios = {pair: d / contacts.least[pair].item() for pair, d in by_pymatgen(crystal, 4.0).items()}
        pair = min(ratios, key=ratios.__getitem__)
        assert tuple(found.pair[number].tolist()) == pair
        assert found.ratio[number].item() == pytest.approx(ratios[pair])
        first, second, distance = found.words()[number].replace("-", " ").split()
        assert sorted((Element(first).Z, Element(second).Z)) == list(pair)
        assert Element(first).X <= Element(second).X
        assert float(distance) == pytest.approx(by_pymatgen(crystal, 4.0)[pair], abs=0.006)


def test_atoms_that_are_far_from_all_others_have_no_contact() -> None:
    isolated = Structure(Lattice.cubic(30), ["Na"], [[0, 0, 0]])
    found = Contacts.from_weights().tightest(from_pymatgen([SALT, isolated]))
    assert found.ratio.isinf().tolist() == [False, True] and found.words()[1] == ""


def test_known_crystals_pass_and_absurd_ones_are_named() -> None:
    contacts = Contacts.from_weights()
    known = [
        SALT, PEROVSKITE, IRON,
        cubic("Fm-3m", 5.46, ["Ca", "F"], [[0, 0, 0], [0.25, 0.25, 0.25]]),
        cubic("Fd-3m", 3.567, ["C"], [[0, 0, 0]]),
        cubic("F-43m", 5.41, ["Zn", "S"], [[0, 0, 0], [0.25, 0.25, 0.25]]),
        cubic("Pa-3", 5.42, ["Fe", "S"], [[0, 0, 0], [0.385, 0.385, 0.385]]),
        cubic("Pm-3m", 4.12, ["Cs", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]),
        Structure(Lattice.tetragonal(4.594, 2.959), ["Ti"] * 2 + ["O"] * 4, [
            [0, 0, 0], [0.5, 0.5, 0.5], [0.305, 0.305, 0], [0.695, 0.695, 0], [0.195, 0.805, 0.5], [0.805, 0.195, 0.5],
        ]),
    ]  # fmt: skip
    assert (contacts.tightest(from_pymatgen(known)).ratio >= 1).all()
    crushed = cubic("Fm-3m", 2.9, ["Ca", "F"], [[0, 0, 0], [0.25, 0.25, 0.25]])
    molecule = Structure(
        Lattice.cubic(5.0), ["Na", "F", "F"], [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0.752]]
    )
    found = contacts.tightest(from_pymatgen([crushed, molecule]))
    assert (found.ratio < 1).all() and found.words()[1] == "F-F 1.26"


def test_the_shipped_table_lets_nearly_all_crystals_of_the_validation_pass() -> None:
    card = read_json(weights_path("contacts").with_suffix(".json"))
    assert card["validation"]["mp20_val"]["share_passing"] >= 0.99


def test_least_distances_are_low_quantiles_and_rare_pairs_go_by_radii() -> None:
    generator = np.random.default_rng(0)
    common, rare = generator.uniform(1.8, 3.0, 1000), np.array([2.9, 2.5])
    pairs = [(8, 22)] * len(common) + [(11, 17)] * len(rare)
    structure = torch.arange(len(pairs))
    found = Nearest(structure, torch.tensor(pairs), torch.from_numpy(np.concatenate([common, rare])))
    least = least_distances(found, quantile=0.01, enough=100, slack=0.9)
    assert least[8, 22].item() == pytest.approx(0.9 * np.sort(common)[10], abs=5e-4)
    assert least.equal(least.T)
    radii = lambda a, b: COVALENT_RADII[a] + COVALENT_RADII[b]  # noqa: E731
    ratios = np.sort([*(common / radii(8, 22)), *(rare / radii(11, 17))])
    assert least[11, 17].item() == pytest.approx(0.9 * min(2.5, ratios[10] * radii(11, 17)), abs=5e-4)
    assert least[26, 92].item() == pytest.approx(0.9 * ratios[10] * radii(26, 92), abs=5e-4)


def test_the_builder_keeps_validation_crystals_apart(tmp_path, capsys) -> None:
    structures = from_pymatgen([SALT] * 60 + [SALT.copy().apply_strain(-0.2)])
    frame = structures_to_frame(structures, mp20_split=["train"] * 60 + ["val"])
    frame.to_parquet(tmp_path / "data.parquet")
    main([f"data={tmp_path / 'data.parquet'}", f"out={tmp_path}"])
    made = Contacts.from_weights(tmp_path / "contacts.safetensors")
    assert made.least[11, 17].item() == pytest.approx(0.97 * 2.82, abs=1e-3)
    assert read_json(tmp_path / "contacts.json")["validation"]["mp20_val"] == {"n": 1, "share_passing": 0.0}


@pytest.mark.parametrize("change", [lambda t: t[:50], lambda t: -t, lambda t: t + torch.arange(119.0)])
def test_a_table_that_is_none_is_refused(change) -> None:
    with pytest.raises(DataError, match="smallest distances"):
        Contacts(change(torch.ones(119, 119)))
