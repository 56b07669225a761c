"""Crystals to learn from in standard cells: MP-20's val untouched, the order kept, and the cache."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from pymatgen.core import Lattice, Structure

from gflownet_crystal.structures.convert import from_pymatgen
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.training.energies.labelled import LabelledStructures
from gflownet_crystal.workflows.data import standard_cells


def labelled(*splits: str) -> LabelledStructures:
    copper = [
        Structure.from_spacegroup(225, Lattice.cubic(4.0 + row), ["Cu"], [[0, 0, 0]])
        for row in range(len(splits))
    ]
    energy = torch.arange(len(splits), dtype=torch.float64)
    names = np.array([""] * len(splits))
    return LabelledStructures(from_pymatgen(copper), energy, names, names, np.array(splits))


@pytest.fixture
def computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Lengths of the cells that were computed, in Å; the cache is a folder of the test."""
    lengths: list[float] = []
    real: Callable[..., StructureBatch] = standard_cells.standard_primitive_cells

    def counted(structures: StructureBatch) -> StructureBatch:
        lengths.extend(structures.cell[:, 0, 0].tolist())
        return real(structures)

    monkeypatch.setattr(standard_cells, "standard_primitive_cells", counted)
    monkeypatch.setattr(standard_cells, "user_cache", lambda: tmp_path / "cache")
    return lengths


@pytest.mark.usefixtures("computed")
def test_val_stays_as_it_is_published() -> None:
    data = labelled("train", "val", "none", "train", "val")
    made = standard_cells.in_standard_cells(data, 1, quiet=True)
    assert made.structures.n_atoms.tolist() == [1, 4, 1, 1, 4]
    edges = made.structures.cell.norm(dim=2).mean(1)
    expected = torch.arange(4.0, 9.0, dtype=torch.float64) / torch.tensor([2, 1, 2, 2, 1]).double().sqrt()
    assert torch.allclose(edges, expected)
    assert torch.equal(made.energy, data.energy) and made.split.tolist() == data.split.tolist()


def test_cells_are_computed_once(computed: list[float]) -> None:
    first = standard_cells.in_standard_cells(labelled("train", "train"), 1, quiet=True)
    again = standard_cells.in_standard_cells(labelled("train", "train"), 1, quiet=True)
    assert computed == [4.0, 5.0]
    assert torch.equal(first.structures.cell, again.structures.cell)
    assert torch.equal(first.structures.fractional, again.structures.fractional)
    standard_cells.in_standard_cells(labelled("train", "none", "train"), 1, quiet=True)
    assert computed == [4.0, 5.0, 4.0, 5.0, 6.0]


def test_other_processes_compute_the_same(computed: list[float]) -> None:
    data = labelled("train", "val", "train", "train")
    alone = standard_cells.in_standard_cells(data, 1, quiet=True).structures
    files = standard_cells.user_cache() / "standard_cells"
    for file in files.iterdir():
        file.unlink()
    shared = standard_cells.in_standard_cells(data, 2, quiet=True).structures
    assert computed == [4.0, 6.0, 7.0]
    assert torch.equal(alone.cell, shared.cell) and torch.equal(alone.fractional, shared.fractional)


def test_val_alone_is_given_back(computed: list[float]) -> None:
    data = labelled("val", "val")
    assert standard_cells.in_standard_cells(data, 1, quiet=True) is data and computed == []


def test_a_damaged_cache_is_computed_again(
    computed: list[float], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = standard_cells.in_standard_cells(labelled("train"), 1, quiet=True)
    (file,) = (tmp_path / "cache" / "standard_cells").iterdir()
    file.write_bytes(b"PAR1 cut")
    again = standard_cells.in_standard_cells(labelled("train"), 1, quiet=True)
    assert computed == [4.0, 4.0] and torch.equal(first.structures.cell, again.structures.cell)
    assert "damaged" in capsys.readouterr().err


def test_without_a_place_for_the_cache_they_are_computed_each_time(
    computed: list[float], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cache").write_text("a file in the way")
    for _ in range(2):
        standard_cells.in_standard_cells(labelled("train"), 1, quiet=True)
    assert computed == [4.0, 4.0] and capsys.readouterr().err.count("are not kept for the next training") == 2
