"""Crystals in files of tensors: the shapes and extras of published code, and refusals that say what to do."""

from __future__ import annotations

import warnings
from argparse import Namespace
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.evaluation.structure_sets import read_set
from gflownet_crystal.structures.convert import to_pymatgen
from tests.evaluation.crystals import some_crystals, tensors


@pytest.fixture
def stored() -> dict[str, Tensor]:
    """One try of four crystals."""
    return tensors(some_crystals()[:4])


def saved(folder: Path, stored: Any) -> Path:
    torch.save(stored, folder / "set.pt")
    return folder / "set.pt"


def changed(stored: dict[str, Tensor], name: str, place: tuple[int, ...], value: float) -> dict[str, Tensor]:
    tensor = stored[name].clone().double()
    tensor[place] = value
    return stored | {name: tensor}


def test_every_shape_and_type_gives_the_same_crystals(stored: dict[str, Tensor], tmp_path: Path):
    true = to_pymatgen(some_crystals()[:4])
    for form in (
        stored,
        {name: x[0] for name, x in stored.items()},
        {name: x[None] for name, x in stored.items()},
        {name: x.double() for name, x in stored.items()},
        {name: x.tolist() for name, x in stored.items()},
        stored
        | {"num_atoms": stored["num_atoms"].int(), "lengths": stored["lengths"].clone().requires_grad_()},
        stored | {"eval_setting": Namespace(model_path="runs", n=3), "time": 1.5, "all": [None, "text"]},
    ):
        found = read_set(saved(tmp_path, form))
        assert not found.reasons and found.target is None
        for mine, other in zip(to_pymatgen(found.structures), true, strict=True):
            assert mine.composition == other.composition and mine.volume == pytest.approx(
                other.volume, rel=1e-4
            )


@pytest.mark.parametrize(("protocol", "is_read"), [(3, True), (4, False), (5, False)])
def test_other_protocols_are_read_or_refused_without_a_warning(
    stored: dict[str, Tensor], tmp_path: Path, protocol: int, is_read: bool
):
    path = tmp_path / "set.pt"
    torch.save(stored, path, pickle_protocol=protocol)
    expected = nullcontext() if is_read else pytest.raises(DataError, match=path.name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with expected:
            assert len(read_set(path)) == 4


def test_several_tries_name_their_targets(stored: dict[str, Tensor], tmp_path: Path):
    found = read_set(saved(tmp_path, {name: torch.cat([x, x]) for name, x in stored.items()}))
    assert len(found) == 8 and found.target is not None
    assert found.target.tolist() == [0, 1, 2, 3, 0, 1, 2, 3]


@pytest.mark.parametrize(
    ("name", "place", "value", "said"),
    [
        ("lengths", (0, 3, 1), torch.nan, "lengths"),
        ("lengths", (0, 3, 1), -4.0, "lengths"),
        ("lengths", (0, 3, 1), 0.0, "lengths"),
        ("angles", (0, 3, 1), -60.0, "angles"),
        ("angles", (0, 3, 2), 170.0, "close no cell"),
        ("frac_coords", (0, -1, 0), torch.inf, "finite"),
        ("atom_types", (0, -1), 200, "elements"),
        ("atom_types", (0, -1), 1.5, "elements"),
        ("atom_types", (0, -1), torch.nan, "elements"),
    ],
)
def test_a_crystal_that_is_none_is_counted(
    stored: dict[str, Tensor], tmp_path: Path, name: str, place: tuple[int, ...], value: float, said: str
):
    found = read_set(saved(tmp_path, changed(stored, name, place, value)))
    assert found.rows.tolist() == [0, 1, 2] and said in found.reasons[3]


def test_files_of_something_else_are_refused_in_one_line(stored: dict[str, Tensor], tmp_path: Path):
    for content, said in (
        ({"lengths": tmp_path}, "it holds pathlib"),
        ({"lengths": torch.zeros(1, 3)}, "frac_coords"),
        ({name: x.numpy() for name, x in stored.items()}, "save the tensors alone"),
        (changed(changed(stored, "num_atoms", (0, 0), 5), "num_atoms", (0, 1), -1), "below 0"),
        (stored | {"frac_coords": torch.rand(5, 2)}, "cannot read"),
        (stored | {"lengths": torch.rand(4, 9)}, "cannot read"),
        (stored | {"frac_coords": stored["frac_coords"].to(torch.complex64)}, "complex"),
        (stored | {"angles": stored["angles"].deg2rad()}, "degrees"),
        ({name: x[:, :0] for name, x in stored.items()}, "no crystals"),
        (stored["lengths"], "dictionary"),
    ):
        with pytest.raises(DataError, match=said) as caught:
            read_set(saved(tmp_path, content))
        assert str(caught.value).isprintable()
    for content in (b"", b"text", saved(tmp_path, stored).read_bytes()[:500]):
        (tmp_path / "damaged.pt").write_bytes(content)
        with pytest.raises(DataError, match="no whole file"):
            read_set(tmp_path / "damaged.pt")
