"""Cards of candidates: nearest known crystals, densities, distances and judged energies by other means."""

from __future__ import annotations

import base64
import io
import zipfile
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from ase.build import bulk
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core import Composition, Lattice, Structure

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.files import write_text
from gflownet_crystal.common.run_summary import Quantity, RunSummary
from gflownet_crystal.report.cards import make_cards, shown
from gflownet_crystal.report.cells import Cell, element_styles
from gflownet_crystal.report.details import all_cifs
from gflownet_crystal.report.findings import candidate_findings
from gflownet_crystal.report.population import Population
from gflownet_crystal.report.run_files import RunFiles, read_run
from gflownet_crystal.structures.cif import structures_to_cif
from gflownet_crystal.structures.convert import from_ase, from_pymatgen
from gflownet_crystal.structures.symmetry import conventional_structures
from tests.report.runs import candidate_frame, write_relaxed, write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> RunFiles:
    folder = write_run(tmp_path_factory.mktemp("made") / "run")
    return read_run(folder, {"env": {}})


@pytest.fixture(scope="module")
def cards(run) -> list[dict]:
    return make_cards(run, Population.of("candidates", "candidates", run.candidates), None)


def test_facts_of_cards_are_those_of_pymatgen(run, cards):
    for card, name in zip(cards, run.candidates["cif"], strict=True):
        structure = Structure.from_file(run.candidates_folder / name)
        assert card.density == pytest.approx(structure.density, rel=1e-3)
        assert card.n_atoms == len(structure)
        assert Composition(card.name) == structure.composition.reduced_composition
        assert Composition(card.cell_formula.replace(" ", "")) == structure.composition


def test_shortest_distances_are_those_of_pymatgen(tmp_path):
    lattice = Lattice.from_parameters(3.1, 4.0, 9.0, 62, 75, 118)
    skewed = Structure(lattice, ["Na", "Cl", "Cl"], [[0, 0, 0], [0.52, 0.1, 0.3], [0.9, 0.8, 0.6]])
    structures = from_pymatgen([skewed])
    path = tmp_path / "skewed.cif"
    write_text(path, structures_to_cif(conventional_structures(structures))[0])
    cell = Cell.read(path)
    expected = min(neighbour.nn_distance for sites in skewed.get_all_neighbors(4.0) for neighbour in sites)
    assert cell is not None and cell.shortest == pytest.approx(expected, abs=1e-6)
    assert cell.space_group == 1


def test_the_drawing_is_the_crystal_of_the_file(run, cards):
    for card in cards:
        drawn = card.placed.cell.drawing()
        symbols = [drawn["elements"][index] for index in drawn["atoms"]]
        again = Structure(drawn["cell"], symbols, drawn["points"])
        assert again.matches(Structure.from_file(run.candidates_folder / card.placed.file))
        assert set(drawn["cations"]) < set(drawn["elements"])
    assert {"Na", "Mg", "Ca", "Al", "Cs"} <= {e for c in cards for e in c.placed.cell.drawing()["cations"]}
    styles = element_styles({"Na", "Og"})
    assert set(styles) == {"Na", "Og"} and all(len(style["colour"]) == 7 for style in styles.values())


def test_judged_energies_are_measured_from_the_hull_of_the_prediction(tmp_path):
    """The hull distance that the judged energy would have had in pymatgen's phase diagram."""
    formula, predicted, judged = "NaCl", -2.0, -1.8
    elements = [PDEntry(Composition(symbol), 0.0) for symbol in ("Na", "Cl")]
    diagram = PhaseDiagram([*elements, PDEntry(Composition("NaCl3"), 4 * -1.2)])
    above, expected = (
        diagram.get_e_above_hull(PDEntry(Composition(formula), 2 * energy), allow_negative=True)
        for energy in (predicted, judged)
    )
    frame = candidate_frame(1).assign(
        energy=predicted, e_above_hull=above, energy_after=judged, status="converged"
    )
    summary = RunSummary(Quantity("formation_energy_per_atom", "eV/atom"))
    files = RunFiles(tmp_path, {}, summary, [], None, frame, tmp_path, None, "judge")
    (card,) = make_cards(files, Population.of("candidates", "", frame), None)
    assert card.judged_above_hull == pytest.approx(expected)
    other = RunFiles(
        tmp_path, {}, RunSummary(Quantity("band_gap", None)), [], None, frame, tmp_path, None, "judge"
    )
    assert make_cards(other, Population.of("candidates", "", frame), None)[0].judged_above_hull is None


def test_relaxed_candidates_are_found_by_name(run, cards):
    relaxed = pd.read_csv(run.relaxed_folder / "relaxed.csv")
    assert [card.status for card in cards] == relaxed["status"].tolist()
    assert [card.judged for card in cards[:-1]] == pytest.approx(relaxed["energy_after"][:-1])
    assert cards[-1].judged is None and cards[-1].relaxed is None and cards[0].relaxed is not None
    assert run.judge == "chgnet"


def test_findings_count_what_is_in_the_files(run, cards):
    found = {finding.title: finding for finding in candidate_findings(cards, run)}
    assert "chgnet relaxed 6 of 6: 4 converged, 4 of them" in found["Judged energies"].text
    assert "lie 0.30 eV/atom above the predicted ones" in found["Judged energies"].text
    near = (run.candidates["e_above_hull"] <= 0.1).sum()
    assert f"{near} of 6 are predicted at most 0.1 eV/atom" in found["Predicted stability"].text
    assert found["Symmetry"].verdict == "good" and "6 of 6" in found["Symmetry"].text
    assert found["Atoms"].verdict == "good"
    assert "6 formulas, 6 sets of elements" in found["Diversity"].text


def test_atoms_on_top_of_each_other_are_bad(tmp_path):
    frame = candidate_frame(1)
    crushed = conventional_structures(from_ase([bulk("NaCl", "rocksalt", 0.9)]))
    write_text(tmp_path / frame["cif"][0], structures_to_cif(crushed)[0])
    files = RunFiles(tmp_path, {}, RunSummary(), [], None, frame, tmp_path, None, "")
    cards = make_cards(files, Population.of("candidates", "", frame), None)
    (atoms,) = [one for one in candidate_findings(cards, files) if one.title == "Atoms"]
    assert atoms.verdict == "bad" and "0.45 Å" in atoms.text


def test_all_cifs_are_in_the_archive(run, cards):
    content = all_cifs(cards)
    assert content == all_cifs(cards)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert len(archive.namelist()) == 6 + 5
        for card in cards:
            text = archive.read(f"placed/{card.placed.file}")
            assert text == (run.candidates_folder / card.placed.file).read_bytes()
            assert base64.b64decode(card.placed.link.partition(",")[2]) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (8472, "8472"),
        (12.0, "12"),
        (0.0727472, "0.07275"),
        (-1.42109e-14, "-1.421e-14"),
        ("a", "a"),
        (True, "True"),
    ],
)
def test_numbers_have_four_digits(value, text):
    assert shown(value) == text


def test_names_that_lead_out_of_the_folder_are_refused(tmp_path):
    write_text(tmp_path / "secret.cif", "secret")
    frame = candidate_frame(1).assign(cif="../secret.cif")
    files = RunFiles(tmp_path, {}, RunSummary(), [], None, frame, tmp_path / "candidates", None, "")
    with pytest.raises(DataError, match="leads out"):
        make_cards(files, Population.of("candidates", "", frame), None)


@pytest.mark.parametrize("content", [None, "not a crystal"])
def test_a_lost_cif_is_counted_and_no_error(tmp_path: Path, content: str | None):
    frame = candidate_frame(1)
    if content is not None:
        write_text(tmp_path / frame["cif"][0], content)
    files = RunFiles(tmp_path, {}, RunSummary(), [], None, frame, tmp_path, None, "")
    cards = make_cards(files, Population.of("candidates", "", frame), None)
    assert cards[0].placed is None
    assert candidate_findings(cards, files)[0].verdict == "bad"


def test_a_table_of_candidates_can_bring_its_own_judgement(tmp_path):
    """Columns of a relaxation in candidates.csv, CIFs in folders beside it."""
    folder = write_run(tmp_path / "run", finished=False, relaxed=False)
    made = folder / "candidates"
    table = pd.read_csv(made / "candidates.csv")
    for kind in ("placed", "after"):
        (made / kind).mkdir()
    for name in table["cif"]:
        (made / "after" / name).write_text((made / name).read_text())
        (made / name).rename(made / "placed" / name)
    table["relaxed_cif"], table["cif"] = "after/" + table["cif"], "placed/" + table["cif"]
    table["judge"], table["status"], table["energy_after"] = "sevenn", "converged", table["energy"] + 0.1
    table.to_csv(made / "candidates.csv", index=False)
    files = read_run(folder, {"env": {}})
    cards = make_cards(files, Population.of("candidates", "", files.candidates), None)
    assert files.judge == "sevenn"
    assert all(card.placed and card.relaxed and card.other == {} for card in cards)
    # a folder of relaxed crystals finds them by the name of their file alone, and counts more
    relaxed = write_relaxed(folder / "relaxed", candidate_frame())
    again = read_run(folder, {"env": {}})
    assert again.judge == "chgnet" and again.candidates.columns.is_unique
    assert again.candidates["status"].tolist() == relaxed["status"].tolist()
    assert again.candidates["relaxed_cif"].tolist()[:5] == relaxed["cif"].tolist()[:5]


def test_judged_energies_are_not_compared_with_another_property(run):
    other = replace(run, summary=RunSummary(Quantity("band_gap", "eV")))
    cards = make_cards(other, Population.of("candidates", "", run.candidates), None)
    texts = [
        finding.text for finding in candidate_findings(cards, other) if finding.title == "Judged energies"
    ]
    assert "converged" in texts[0] and "eV/atom" not in texts[0]
