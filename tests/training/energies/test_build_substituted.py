"""Crystals with exchanged elements: new formulas, starts outside of MP-20's val, cells made again by a denoiser."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch
from pymatgen.core import Composition

from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.models.denoiser import Denoiser
from gflownet_crystal.structures.frames import frame_to_structures
from gflownet_crystal.training.energies.build_substituted import main, substituted


def cubic(formula: str, group: int, numbers: list[int], length: float, split: str) -> dict[str, object]:
    places = [0.0, 0.0, 0.0, 0.5, 0.5, 0.5]
    lattice = [length] * 3 + [90.0] * 3
    return {
        "formula": formula, "space_group": group, "lattice": lattice, "atomic_numbers": numbers,
        "frac_coords": places, "mp20_split": split, "n_atoms": 2,
    }  # fmt: skip


ROCK_SALT = [0, 0, 0, 0, 0.5, 0.5, 0.5, 0, 0.5, 0.5, 0.5, 0, 0.5, 0.5, 0.5, 0.5, 0, 0, 0, 0.5, 0, 0, 0, 0.5]
KNOWN = pd.DataFrame(
    [
        cubic("Cs1 Cl1", 221, [55, 17], 4.1, "train"),
        cubic("Rb1 Cl1", 221, [37, 17], 3.8, "train"),
        cubic("Cs1 Br1", 221, [55, 35], 4.3, "train"),
        cubic("Tl1 Br1", 221, [81, 35], 4.0, "train"),
        cubic("Ni1 Al1", 221, [28, 13], 2.9, "val"),
        cubic("Ni1 Ti1", 221, [28, 22], 3.0, "val"),
    ]
)


def test_made_crystals_are_new_and_start_outside_of_the_validation() -> None:
    made = substituted(KNOWN, 400, 12, seed=0)
    composition = made.composition
    # of {Cs, Rb, Tl} with {Cl, Br} four are known: two are left, and no cation has taken an anion's place
    left = {(37, 35), (81, 17)}
    assert {tuple(sorted(row.nonzero()[:, 0].tolist())) for row in composition} == {
        tuple(sorted(pair)) for pair in left
    }
    assert len(made) == 2
    # positions stay, and the volume relative to the volumes of the elements does
    assert torch.equal(made.fractional, frame_to_structures(KNOWN[:2]).fractional)
    again = substituted(KNOWN, 400, 12, seed=0)
    assert torch.equal(made.cell, again.cell) and torch.equal(made.atomic_numbers, again.atomic_numbers)


def test_every_atom_of_the_element_is_exchanged() -> None:
    rows = pd.DataFrame(
        [
            {
                "space_group": 225, "lattice": [5.6, 5.6, 5.6, 90.0, 90.0, 90.0], "mp20_split": "train",
                "atomic_numbers": [number] * 4 + [17] * 4, "n_atoms": 8,
                "frac_coords": ROCK_SALT,
            }
            for number in (11, 19)
        ]
        + [cubic("K1 Br1", 221, [19, 35], 3.9, "train"), cubic("K1 Cl1", 221, [19, 17], 3.7, "train")]
    )  # fmt: skip
    made = substituted(rows, 200, 2, seed=1)
    # rock salt is written in its primitive cell, of which each element has one atom
    assert (made.n_atoms == 2).all() and (made.composition.amax(dim=1) == 1).all()
    assert {tuple(row.nonzero()[:, 0].tolist()) for row in made.composition} == {(11, 35)}


def test_too_large_crystals_and_those_of_the_validation_are_no_start() -> None:
    with pytest.raises(DataError, match="no crystal of at most 1 atoms"):
        substituted(KNOWN, 10, 1, seed=0)
    with pytest.raises(DataError, match="outside of MP-20's val"):
        substituted(KNOWN[KNOWN["mp20_split"] == "val"], 10, 12, seed=0)


def test_the_command_writes_crystals_made_again_by_passes_of_the_denoiser(tmp_path: Path) -> None:
    KNOWN.to_parquet(tmp_path / "known.parquet")
    out = tmp_path / "made.parquet"
    main([f"data={tmp_path / 'known.parquet'}", f"out={out}", "n=50", "seed=3"])
    frame = pd.read_parquet(out)
    assert {Composition(text).reduced_formula for text in frame["formula"]} == {"RbBr", "TlCl"}
    assert (frame["structure_source"] == "substituted").all()
    denoiser = Denoiser.from_weights("denoiser_gemsnet")
    begun = substituted(KNOWN, 50, 12, seed=3)
    expected = denoiser.denoised(denoiser.denoised(begun))
    written = frame_to_structures(frame)
    assert torch.equal(written.atomic_numbers, begun.atomic_numbers)
    torch.testing.assert_close(written.volume, expected.volume, rtol=1e-5, atol=0.0)
    assert (written.volume / begun.volume - 1.0).abs().amin() > 1e-3
    KNOWN.iloc[:1].assign(formula="Rb2 Br2").to_parquet(tmp_path / "test.parquet")
    main([f"data={tmp_path / 'known.parquet'}", f"out={out}", "n=50", f"without={tmp_path / 'test.parquet'}"])
    assert pd.read_parquet(out)["formula"].tolist() == ["Tl1 Cl1"]


def test_unknown_options_are_refused_with_the_list_of_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown key .steps.; choose one of data, denoise, max_atoms"):
        main([f"data={tmp_path}", f"out={tmp_path}", "steps=3"])
