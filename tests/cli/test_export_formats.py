"""Structures that ``export`` writes: asymmetric units in CIFs, and the same candidates in other formats."""

from __future__ import annotations

from pathlib import Path

import ase.io
import gemmi
import pandas as pd
import torch
from pymatgen.core import Composition

from gflownet_crystal.cli.main import main
from gflownet_crystal.data.readers import read_source
from gflownet_crystal.structures.frames import frame_to_structures
from gflownet_crystal.structures.spec_io import frame_to_specs
from tests.cli.test_export import command, write_run
from tests.cli.tiny_weights import loose_contacts


def test_each_cif_has_the_group_and_the_sites_that_make_its_atoms(tmp_path: Path) -> None:
    run, out, sites = write_run(tmp_path / "run"), tmp_path / "best", []
    assert main([*command(run, out, loose_contacts(tmp_path), "energies=null"), "k=8"]) == 0
    for row in pd.read_csv(out / "candidates.csv").itertuples():
        small = gemmi.read_small_structure(str(out / row.cif))
        assert small.spacegroup.number == row.space_group and small.spacegroup.is_reference_setting()
        assert len(small.get_all_unit_cell_sites()) == int(Composition(row.formula).num_atoms)
        sites.append(len(small.sites))
    # rock salt, CsCl, perovskite and zinc blende come first
    assert sites[:4] == [2, 2, 3, 2]


def test_other_formats_hold_the_candidates_and_go_when_they_are_not_asked_for(tmp_path: Path) -> None:
    run, out = write_run(tmp_path / "run"), tmp_path / "best"
    words = command(run, out, loose_contacts(tmp_path), "energies=null")
    assert main([*words, "k=4", "format=[extxyz,poscar,db,json]"]) == 0
    table = pd.read_csv(out / "candidates.csv")
    stems = [Path(name).stem for name in table["cif"]]
    for name in ("structures.json", "structures.extxyz", "structures.db"):
        frame = read_source(out / name)
        assert frame["material_id"].tolist() == stems
        found = frame_to_structures(frame).specs()
        assert found.composition.equal(frame_to_specs(table).composition)
        torch.testing.assert_close(found.volume, frame_to_specs(table).volume, rtol=1e-8, atol=0)
    assert sorted(path.stem for path in (out / "poscar").iterdir()) == stems
    frames = ase.io.read(out / "structures.extxyz", index=":")
    assert [atoms.info["rank"] for atoms in frames] == [1, 2, 3, 4]
    assert [atoms.info["space_group"] for atoms in frames] == table["space_group"].tolist()
    # of a folder of candidates the CIFs alone count
    assert sorted(read_source(out)["material_id"]) == stems
    (out / "mine.txt").write_text("mine")
    assert main([*words, "k=2", "overwrite=true", "format=json"]) == 0
    assert read_source(out / "structures.json")["material_id"].tolist() == stems[:2]
    left = {path.name for path in out.rglob("*") if path.is_file() and not path.name.startswith(".")}
    tables = {"candidates.csv", "left_out.csv", "summary.json", "structures.json", "mine.txt"}
    assert left == {*tables, *table["cif"][:2]}
