"""Crystals: relaxed, judged, converted, saved and shown; energies and files against other programs."""

from __future__ import annotations

import html
import json
import re

import ase.io
import numpy as np
import pandas as pd
import pytest
import torch
from ase.build import bulk
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Composition, Structure
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

import gflownet_crystal as gfc
from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.structures.convert import from_pymatgen
from tests.cli.commands import run_command
from tests.relaxation.metals import emt_energies

SAME = StructureMatcher(primitive_cell=False, scale=False, ltol=1e-4, stol=1e-4, angle_tol=1e-2)


@pytest.fixture
def metals() -> gfc.Crystals:
    """Copper and gold, off their equilibrium."""
    return gfc.Crystals.from_ase([bulk("Cu", "fcc", 3.7), bulk("Au", "fcc", 4.0)], ["copper", "gold"])


def same_crystals(mine: list[Structure], others: list[Structure]) -> bool:
    return len(mine) == len(others) and all(SAME.fit(a, b) for a, b in zip(mine, others, strict=True))


def test_relaxing_is_that_of_the_verb(metals, tmp_path, monkeypatch):
    metals.save(tmp_path / "in.extxyz")
    monkeypatch.setattr(
        "gflownet_crystal.workflows.relaxing.relaxing.load_energies", lambda name: emt_energies()
    )
    words = ["structures=in.extxyz", "model=emt", "out=out", "quiet=true", "steps=40", "threads=1"]
    assert run_command(tmp_path, "relax", *words).returncode == 0
    table = pd.read_csv(tmp_path / "out" / "relaxed.csv")
    before = metals.copy()
    assert metals.relax(emt_energies(), steps=40, quiet=True) is metals
    for column in ("energy_before", "energy_after", "steps", "volume_change", "rms_displacement"):
        np.testing.assert_allclose(metals[column], table[column], rtol=1e-5, atol=1e-6)
    assert metals["status"].tolist() == table["status"].tolist() == ["converged"] * 2
    assert metals["formation_energy_per_atom"].tolist() == metals["energy_after"].tolist()
    # EMT's lattice constants of the two
    lengths = [one.lattice.a * 2**0.5 for one in metals.to_pymatgen()]
    np.testing.assert_allclose(lengths, [3.59, 4.06], atol=0.02)
    assert same_crystals(before.to_pymatgen(), gfc.read(tmp_path / "in.extxyz").to_pymatgen())


def test_a_crystal_that_fails_stays_as_it_is():
    crystals = gfc.Crystals.from_ase([bulk("Cu", "fcc", 3.7), bulk("Fe", "bcc", 2.87)])
    before = crystals.to_pymatgen()[1]
    crystals.relax(emt_energies(), quiet=True)
    assert crystals["status"].tolist() == ["converged", "failed"]
    assert crystals["reason"][1]
    assert crystals.to_pymatgen()[1] == before
    assert np.isnan(crystals["energy_after"][1])


def test_energies_above_hull_are_those_of_pymatgen(placed, tmp_path):
    known = {"Li2O": -2.0, "MgO": -3.0, "LiF": -3.1, "MgF2": -3.8, "Li2O2": -1.6}
    hull = pd.DataFrame({"formula": list(known), "formation_energy_per_atom": list(known.values())})
    hull.to_parquet(tmp_path / "hull.parquet")
    judged = placed.head(12).copy().judge("alignn", hull=tmp_path / "hull.parquet", device="cpu", quiet=True)
    entries = [PDEntry(Composition(f), e * Composition(f).num_atoms) for f, e in known.items()]
    entries += [PDEntry(Composition(symbol), 0.0) for symbol in ("Li", "Mg", "O", "F")]
    diagram = PhaseDiagram(entries)
    rows = zip(judged.to_pymatgen(), judged["formation_energy_per_atom"], judged["e_above_hull"], strict=True)
    for structure, energy, above in rows:
        if np.isnan(energy):
            assert np.isnan(above)
            continue
        composition = structure.composition
        expected = energy - diagram.get_hull_energy_per_atom(composition)
        assert above == pytest.approx(expected, abs=1e-6)
    assert judged["e_above_hull"].notna().sum() > 3


def test_judging_takes_one_crystal_at_a_time_or_many(placed):
    few = placed.head(5).copy().judge("alignn", device="cpu", quiet=True)
    alone = [placed[row : row + 1].judge("alignn", device="cpu", quiet=True) for row in range(5)]
    singles = [one["formation_energy_per_atom"][0] for one in alone]
    np.testing.assert_allclose(few["formation_energy_per_atom"], singles, atol=1e-5)


@pytest.mark.parametrize("name", ["c.extxyz", "c.json", "c.db", "c.parquet", "folder"])
def test_crystals_are_saved_and_read_again(placed, tmp_path, name):
    few = placed.head(8)
    assert few.save(tmp_path / name) == tmp_path / name
    again = gfc.read(tmp_path / name)
    assert same_crystals(again.to_pymatgen(), few.to_pymatgen())
    found = [SpacegroupAnalyzer(one, symprec=0.05).get_space_group_number() for one in few.to_pymatgen()]
    assert again["space_group"].tolist() == found
    if name == "c.parquet":
        assert again["energy"].tolist() == few["energy"].tolist()
        assert again["name"].tolist() == few["name"].tolist()
    with pytest.raises(ConfigError, match=r"not empty|exists"):
        few.save(tmp_path / name)
    few.save(tmp_path / name, overwrite=True)
    assert same_crystals(gfc.read(tmp_path / name).to_pymatgen(), few.to_pymatgen())


def test_no_property_passes_for_a_total_energy(placed, tmp_path):
    placed.head(3).save(tmp_path / "c.extxyz")
    for row, atoms in enumerate(ase.io.read(tmp_path / "c.extxyz", ":")):
        assert atoms.calc is None
        assert atoms.info["name"] == placed["name"][row]
        assert atoms.info["proxy_energy"] == pytest.approx(placed["energy"][row])


def test_one_crystal_is_converted_saved_and_shown(placed, tmp_path):
    crystal = placed[2]
    assert crystal.to_pymatgen() == placed.to_pymatgen()[2]
    assert crystal.to_ase().get_chemical_formula() == placed.to_ase()[2].get_chemical_formula()
    assert Composition(crystal.formula) == crystal.to_pymatgen().composition.reduced_composition
    crystal.save(tmp_path / "one.cif")
    assert same_crystals([Structure.from_file(tmp_path / "one.cif")], [crystal.to_pymatgen()])
    assert f"({crystal.space_group})" in repr(crystal)
    shown = crystal._repr_html_()
    assert crystal.formula in shown
    page = html.unescape(re.search(r'srcdoc="([^"]*)"', shown)[1])
    drawn = json.loads(re.search(r'querySelector\("canvas"\), (\{.*?\}), \{', page)[1])
    numbers = [drawn["elements"][kind] for kind in drawn["atoms"]]
    assert numbers == [site.specie.symbol for site in crystal.to_pymatgen()]
    np.testing.assert_allclose(drawn["cell"], crystal.to_pymatgen().lattice.matrix, atol=1e-5)
    assert "http" not in page


def test_pymatgen_and_ase_lead_there_and_back(placed):
    structures = placed.head(5).to_pymatgen()
    assert gfc.Crystals.from_pymatgen(structures).to_pymatgen() == structures
    atoms = placed.head(5).to_ase()
    for mine, other in zip(gfc.Crystals.from_ase(atoms).to_ase(), atoms, strict=True):
        np.testing.assert_allclose(mine.get_positions(), other.get_positions(), atol=1e-9)
    assert torch.equal(from_pymatgen(structures).atomic_numbers, placed.head(5).structures.atomic_numbers)


def test_the_table_is_that_of_pymatgen(placed):
    frame = placed.to_frame()
    for row, structure in enumerate(placed.to_pymatgen()):
        lattice = structure.lattice
        np.testing.assert_allclose(frame.loc[row, ["a", "b", "c"]].astype(float), lattice.abc)
        np.testing.assert_allclose(
            frame.loc[row, ["alpha", "beta", "gamma"]].astype(float), lattice.angles, atol=1e-6
        )
        assert frame["n_atoms"][row] == len(structure)
        assert frame["volume_per_atom"][row] == pytest.approx(structure.volume / len(structure))
        assert Composition(frame["formula"][row].replace(" ", "")) == structure.composition


def test_slices_keep_atoms_and_rows_together(placed):
    chosen = placed.filter(n_atoms=(3, 8)).sort("volume_per_atom")[1:4]
    for crystal in chosen:
        row = placed["name"].tolist().index(crystal.name)
        assert crystal.to_pymatgen() == placed[row].to_pymatgen()
    assert len(placed[:0]) == 0
    assert repr(placed[:0]).startswith("0 crystals")
    assert placed[:0].to_pymatgen() == []
    assert len(placed[:0].judge("alignn", device="cpu", quiet=True)) == 0


def test_crystals_are_shown_as_text_and_html(placed):
    text, shown = repr(placed), placed._repr_html_()
    assert text.startswith(f"{len(placed)} crystals")
    for crystal in placed.head(10):
        assert crystal.formula in text
        assert crystal.formula in shown


def test_files_that_cannot_be_read_are_told_and_left_out(placed, tmp_path):
    placed.head(2).save(tmp_path / "cifs")
    (tmp_path / "cifs" / "zz.cif").write_text("data_nothing\n")
    with pytest.warns(UserWarning, match="1 of 3 crystals could not be read"):
        crystals = gfc.read(tmp_path / "cifs")
    assert len(crystals) == 2
    assert crystals.left_out["name"].tolist() == ["zz"]


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (lambda c, path: c.save(path / "c.pdb"), "extxyz"),
        (lambda c, path: c.save(path / "c.cif"), "a .cif file holds one"),
        (lambda c, path: c[:0].save(path / "c.extxyz"), "no crystals to save"),
        (lambda c, path: c.relax("chgnett"), "unknown energies"),
        (lambda c, path: c.relax("alignn", fmax=-1.0), "fmax"),
        (lambda c, path: c.relax("alignn", symprec=1.0), "symprec"),
        (lambda c, path: c.relax(emt_energies(), processes=2), "one process"),
        (lambda c, path: c.judge("alignn", hull="nowhere.parquet"), "nowhere"),
        (lambda c, path: gfc.Crystals.from_ase([bulk("Cu")], ["a", "b"]), "2 names"),
    ],
)
def test_faults_are_told_in_one_line(placed, tmp_path, act, said):
    with pytest.raises((ConfigError, DataError), match=said) as caught:
        act(placed.copy(), tmp_path)
    assert "\n" not in str(caught.value)


def test_an_interrupt_keeps_the_crystals_that_are_relaxed(metals, monkeypatch):
    asked = iter([False, True])
    from gflownet_crystal.api import relaxing

    relax_items = relaxing.relax_items
    monkeypatch.setattr(relaxing, "relax_items", lambda *given: relax_items(*given[:-1], lambda: next(asked)))
    with pytest.raises(KeyboardInterrupt, match="1 of 2 crystals are relaxed"):
        metals.relax(emt_energies(), quiet=True)
    assert metals["status"].tolist() == ["converged", None]
