"""Fingerprints against matminer, and coverage against a double loop."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.files import write_json
from gflownet_crystal.evaluation.coverage import Scaler, coverage, nearest_distances
from gflownet_crystal.evaluation.features import Features
from gflownet_crystal.evaluation.fingerprints import FingerprintMaker
from gflownet_crystal.structures.convert import from_arrays, from_pymatgen, to_pymatgen
from tests.evaluation.crystals import arrays, rattled, some_crystals


# CrystalNN warns of every crystal without charges
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_fingerprints_are_matminers_and_failures_are_counted():
    pytest.importorskip("matminer")
    from matminer.featurizers.composition.composite import ElementProperty
    from matminer.featurizers.site.fingerprint import CrystalNNFingerprint

    crystals = rattled(some_crystals()[1:4], 0.1)
    crushed = from_arrays(0.3 * np.eye(3)[None], [[6]], [[0.0] * 3])
    found = FingerprintMaker()([*arrays(crystals), *arrays(crushed)])
    sites = CrystalNNFingerprint.from_preset("ops")
    magpie = ElementProperty.from_preset("magpie", impute_nan=False)
    for row, structure in enumerate(to_pymatgen(crystals)):
        mean = np.mean([sites.featurize(structure, site) for site in range(len(structure))], axis=0)
        np.testing.assert_allclose(found.tensors["sites"][row], mean, atol=1e-12)
        np.testing.assert_allclose(found.tensors["composition"][row], magpie.featurize(structure.composition))
    assert found.done.tolist() == [True, True, True, False]
    assert "Å^3" in found.reasons[3] and bool(found.tensors["sites"][3].isnan().all())


# CrystalNN warns of every crystal without charges
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_one_of_equivalent_atoms_stands_for_all(monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("matminer")
    from matminer.featurizers.site.fingerprint import CrystalNNFingerprint
    from pymatgen.core import Lattice, Structure

    # rutile in a doubled cell: two kinds of sites among twelve
    lattice = Lattice.tetragonal(4.594, 2.959)
    rutile = Structure.from_spacegroup(136, lattice, ["Ti", "O"], [[0, 0, 0], [0.305, 0.305, 0]])
    rutile.make_supercell([1, 1, 2])
    sites, looked_at = CrystalNNFingerprint.from_preset("ops"), []
    every = np.mean([sites.featurize(rutile, site) for site in range(12)], axis=0)
    featurize = CrystalNNFingerprint.featurize
    monkeypatch.setattr(
        CrystalNNFingerprint, "featurize", lambda own, *site: looked_at.append(site) or featurize(own, *site)
    )
    found = FingerprintMaker()(arrays(from_pymatgen([rutile]))).tensors["sites"][0]
    np.testing.assert_allclose(found, every, atol=1e-6)
    assert len(looked_at) == 2


def test_a_fingerprint_does_not_know_how_far_off_the_atoms_are_written():
    pytest.importorskip("matminer")
    (cell, numbers, points), *_ = arrays(rattled(some_crystals()[:1], 0.1))
    far = points + np.array([[2.0**20, 0.0, 0.0], [0.0, -(2.0**24), 0.0]])
    found = FingerprintMaker()([(cell, numbers, points), (cell, numbers, far)]).tensors["sites"]
    np.testing.assert_allclose(found[1], found[0], atol=1e-6)


def test_thin_cells_have_no_fingerprint():
    pytest.importorskip("matminer")
    thin = from_arrays(np.diag([400.0, 3.0, 0.7])[None], [[6]], [[0.0] * 3])
    found = FingerprintMaker()(arrays(thin))
    assert not found.done.any() and "thin cell" in found.reasons[0]


def made_up(n: int, seed: int, failed: int) -> Features:
    generator = torch.Generator().manual_seed(seed)
    sites = 0.2 * torch.rand(n, 6, generator=generator, dtype=torch.float64)
    composition = 5.0 * torch.randn(n, 9, generator=generator, dtype=torch.float64)
    composition[1, 2] = torch.nan
    sites[:failed], composition[:failed] = torch.nan, torch.nan
    return Features({"sites": sites, "composition": composition}, ["lost"] * failed + [""] * (n - failed))


def test_coverage_is_a_double_loop():
    made, reference = made_up(40, 0, 3), made_up(30, 1, 0)
    scaler = Scaler.of(reference.tensors["composition"], "the reference")
    site_cutoff, composition_cutoff = 0.12, 2.2
    found = coverage(made, reference, scaler, 50, site_cutoff, composition_cutoff)

    values = reference.tensors["composition"].numpy()
    scaled = [
        np.nan_to_num((f.tensors["composition"].numpy() - np.nanmean(values, 0)) / np.nanstd(values, 0))
        for f in (made, reference)
    ]
    sites = [f.tensors["sites"].numpy() for f in (made, reference)]

    def is_covered(own: int, row: int, others: range) -> bool:
        near_site = min(np.linalg.norm(sites[own][row] - sites[1 - own][other]) for other in others)
        near = min(np.linalg.norm(scaled[own][row] - scaled[1 - own][other]) for other in others)
        return bool(near_site <= site_cutoff and near <= composition_cutoff)

    precision = sum(is_covered(0, row, range(30)) for row in range(3, 40)) / 50
    recall = sum(is_covered(1, row, range(3, 40)) for row in range(30)) / 30
    assert 0.0 < precision < 0.7 and 0.0 < recall < 1.0
    assert (found.precision, found.recall) == (pytest.approx(precision), pytest.approx(recall))
    assert (found.n_generated, found.n_without_fingerprint) == (50, 13)


def test_a_set_covers_itself_and_nothing_far_away():
    made = made_up(20, 0, 0)
    scaler = Scaler.of(made.tensors["composition"], "itself")
    same = coverage(made, made, scaler)
    assert (same.recall, same.precision, same.site_recall, same.composition_precision) == (1.0, 1.0, 0.0, 0.0)
    far = Features({**made.tensors, "sites": made.tensors["sites"] + 9.0}, made.reasons)
    apart = coverage(far, made, scaler)
    assert (apart.recall, apart.precision) == (0.0, 0.0)
    with pytest.raises(DataError, match="all failed"):
        coverage(made_up(4, 0, 4), made, scaler)


def test_nearest_distances_in_blocks():
    first, second = np.random.default_rng(0).random((1100, 3)), np.random.default_rng(1).random((70, 3))
    whole = np.linalg.norm(first[:, None] - second, axis=2)
    of_first, of_second = nearest_distances(first, second)
    np.testing.assert_allclose(of_first, whole.min(1))
    np.testing.assert_allclose(of_second, whole.min(0))


def test_scalers_ignore_what_is_constant_and_are_read_from_files(tmp_path):
    scaler = Scaler.of(torch.tensor([[1.0, 0.1], [3.0, 0.1], [torch.nan, 0.1]], dtype=torch.float64), "three")
    assert scaler.mean.tolist() == pytest.approx([2.0, 0.1]) and scaler.deviation.tolist() == [1.0, 1.0]
    write_json(tmp_path / "s.json", {"means": [2.0, 0.0], "stds": [0.5, 1.0]})
    read = Scaler.read(tmp_path / "s.json")
    assert read(torch.tensor([[3.0, torch.nan]], dtype=torch.float64)).tolist() == [[2.0, 0.0]]
    write_json(tmp_path / "s.json", {"means": [2.0], "stds": [0.0]})
    with pytest.raises(DataError, match="stds above 0"):
        Scaler.read(tmp_path / "s.json")
    with pytest.raises(DataError, match="2 features"):
        read(torch.zeros(1, 3, dtype=torch.float64))


def test_the_shipped_scaler_fits_magpie():
    pytest.importorskip("matminer")
    scaler = Scaler.read()
    features = FingerprintMaker()(arrays(some_crystals()[:2])).tensors["composition"]
    assert "MP-20" in scaler.origin and scaler(features).shape == (2, 132)
    # common crystals lie within the bulk of the training data
    assert float(scaler(features).abs().median()) < 2.0
