"""Prescribed Wyckoff positions as text: against pymatgen's letters, round trips, and what does not fit refused."""

from __future__ import annotations

import pandas as pd
import pytest
import torch
from pymatgen.core import Lattice, Structure
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.crystallography.wyckoff import wyckoff_positions
from gflownet_crystal.structures.convert import from_pymatgen
from gflownet_crystal.structures.occupied_positions import occupied_positions
from gflownet_crystal.structures.site_letters import sites_of, sites_to_text, text_to_sites
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.structures.spec_io import frame_to_specs, read_specs, specs_to_frame, write_specs
from gflownet_crystal.structures.symmetry import conventional_structures

CRYSTALS = {
    "rutile": Structure.from_spacegroup(
        136, Lattice.tetragonal(4.59, 2.96), ["Ti", "O"], [[0, 0, 0], [0.305, 0.305, 0]]
    ),
    "pyrite": Structure.from_spacegroup(205, Lattice.cubic(5.42), ["Fe", "S"], [[0, 0, 0], [0.385] * 3]),
    "olivine": Structure.from_spacegroup(
        62,
        Lattice.orthorhombic(10.33, 6.01, 4.69),
        ["Li", "Fe", "P", "O", "O", "O"],
        [[0, 0, 0], [0.282, 0.25, 0.975], [0.095, 0.25, 0.418], [0.097, 0.25, 0.743], [0.457, 0.25, 0.206],
         [0.166, 0.046, 0.285]],
    ),
}  # fmt: skip


def split(part: str) -> list[str]:
    return part.split(":")


def specs_of(crystal: Structure) -> CrystalSpec:
    conventional = conventional_structures(from_pymatgen([crystal]))
    specs = conventional.specs()
    sites = sites_of(occupied_positions(conventional), specs.space_group)
    return CrystalSpec(specs.space_group, specs.composition, specs.lengths, specs.angles, sites)


@pytest.mark.parametrize("name", CRYSTALS)
def test_letters_of_a_crystal_have_the_multiplicities_that_spglib_finds(name: str) -> None:
    specs = specs_of(CRYSTALS[name])
    (text,) = sites_to_text(specs)
    symmetrized = SpacegroupAnalyzer(CRYSTALS[name]).get_symmetrized_structure()
    # letters depend on the choice of origin, elements and multiplicities do not
    expected = sorted(
        (sites[0].specie.symbol, int(symbol[:-1]))
        for sites, symbol in zip(symmetrized.equivalent_sites, symmetrized.wyckoff_symbols, strict=True)
    )
    held = {position.letter: position.multiplicity for position in wyckoff_positions(int(specs.space_group))}
    found = [(element, held[letter]) for element, letters in map(split, text.split()) for letter in letters]
    assert sorted(found) == expected
    again = text_to_sites([text], specs.space_group, specs.composition)
    assert again.equal(specs.sites)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_letters_stay_in_spec_files_and_may_be_missing_in_a_row(tmp_path, suffix: str) -> None:
    specs = CrystalSpec.cat([specs_of(CRYSTALS["rutile"]), specs_of(CRYSTALS["olivine"])])
    frame = specs_to_frame(specs)
    frame.loc[0, "wyckoff"] = None
    write_specs(tmp_path / f"specs{suffix}", frame)
    again = frame_to_specs(read_specs(tmp_path / f"specs{suffix}"))
    assert not again.sites[0].any()
    assert again.sites[1].equal(specs.sites[1])
    plain = frame_to_specs(frame.drop(columns="wyckoff"))
    assert plain.sites.shape == (2, 119, 0)
    assert "wyckoff" not in specs_to_frame(plain).columns


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Ti:a", "hold 0 atoms of O, but the formula has 4"),
        ("Ti:a O:k", "hold 16 atoms of O, but the formula has 4"),
        ("Ti:a O:fa", "position a has no free coordinate and holds one orbit only"),
        ("Ti:4a O:f", "position a holds 2 atoms, not 4"),
        ("Ti:a O:z", "the group has no position z; it has abcdefghijk"),
        ("Ti:a O:f N:b", "hold 2 atoms of N, but the formula has 0"),
        ("Ti=a", "cannot read 'Ti=a'"),
        ("Xx:a O:f", "cannot read 'Xx:a'"),
    ],
)
def test_letters_that_do_not_hold_the_formula_are_refused_with_their_row(text: str, says: str) -> None:
    specs = specs_of(CRYSTALS["rutile"])
    frame = pd.concat([specs_to_frame(specs)] * 2, ignore_index=True)
    frame.loc[1, "wyckoff"] = text
    with pytest.raises(DataError, match=r"column wyckoff, row 1") as caught:
        frame_to_specs(frame)
    assert says in str(caught.value)


def test_multiplicities_may_be_written() -> None:
    specs = specs_of(CRYSTALS["rutile"])
    plain, numbered = (
        text_to_sites([t], specs.space_group, specs.composition) for t in ("Ti:a O:f", "Ti:2a O:4f")
    )
    assert plain.equal(numbered) and int(plain.sum()) == 2
    assert torch.equal(plain.nonzero()[:, 1], torch.tensor([8, 22]))
