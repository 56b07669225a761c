"""Cards of candidates: nearest known crystals, densities, distances and judged energies by other means."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ase.build import bulk
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core import Composition, Lattice, Structure

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.files import write_text
from gflownet_crystal.report.cards import all_cifs, make_cards, shown
from gflownet_crystal.report.cells import Cell, element_styles
from gflownet_crystal.report.drawings import Studio
from gflownet_crystal.report.findings import candidate_findings
from gflownet_crystal.report.page import Material, render, values_of
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
        assert card["density"] == pytest.approx(structure.density, rel=1e-3)
        assert card["n_atoms"] == len(structure)
        assert Composition(card["name"]) == structure.composition.reduced_composition
        assert Composition(card["cell_formula"].replace(" ", "")) == structure.composition


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
        drawn = card["placed"]["cell"].drawing()
        symbols = [drawn["elements"][index] for index in drawn["atoms"]]
        again = Structure(drawn["cell"], symbols, drawn["points"])
        assert again.matches(Structure.from_file(run.candidates_folder / card["placed"]["file"]))
        assert set(drawn["cations"]) < set(drawn["elements"])
    assert {"Na", "Mg", "Ca", "Al", "Cs"} <= {
        e for c in cards for e in c["placed"]["cell"].drawing()["cations"]
    }
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
    summary = {"property": "formation_energy_per_atom", "unit": "eV/atom"}
    files = RunFiles(tmp_path, {}, summary, [], None, frame, tmp_path, None, "judge")
    (card,) = make_cards(files, Population.of("candidates", "", frame), None)
    assert card["judged_above_hull"] == pytest.approx(expected)
    other = RunFiles(tmp_path, {}, {"property": "band_gap"}, [], None, frame, tmp_path, None, "judge")
    assert make_cards(other, Population.of("candidates", "", frame), None)[0]["judged_above_hull"] is None


def test_relaxed_candidates_are_found_by_name(run, cards):
    relaxed = pd.read_csv(run.relaxed_folder / "relaxed.csv")
    assert [card["status"] for card in cards] == relaxed["status"].tolist()
    assert [card["judged"] for card in cards[:-1]] == pytest.approx(relaxed["energy_after"][:-1])
    assert cards[-1]["judged"] is None and cards[-1]["relaxed"] is None and cards[0]["relaxed"] is not None
    assert run.judge == "chgnet"


def test_findings_count_what_is_in_the_files(run, cards):
    found = {finding.title: finding for finding in candidate_findings(cards, run)}
    assert "chgnet relaxed 6 of 6: 4 came to rest, 4 of them" in found["Judged energies"].text
    assert "lie 0.30 eV/atom above the predicted ones" in found["Judged energies"].text
    near = (run.candidates["e_above_hull"] <= 0.1).sum()
    assert f"{near} of 6 are predicted within 0.1 eV/atom" in found["Predicted stability"].text
    assert found["Symmetry"].verdict == "good" and "6 of 6" in found["Symmetry"].text
    assert found["Atoms"].verdict == "good"
    assert "6 formulas, 6 sets of elements" in found["Diversity"].text


def test_atoms_on_top_of_each_other_are_bad(tmp_path):
    frame = candidate_frame(1)
    crushed = conventional_structures(from_ase([bulk("NaCl", "rocksalt", 0.9)]))
    write_text(tmp_path / frame["cif"][0], structures_to_cif(crushed)[0])
    files = RunFiles(tmp_path, {}, {}, [], None, frame, tmp_path, None, "")
    cards = make_cards(files, Population.of("candidates", "", frame), None)
    (atoms,) = [one for one in candidate_findings(cards, files) if one.title == "Atoms"]
    assert atoms.verdict == "bad" and "0.45 Å" in atoms.text


def test_all_cifs_are_in_the_archive(run, cards):
    content = all_cifs(cards)
    assert content == all_cifs(cards)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert len(archive.namelist()) == 6 + 5
        for card in cards:
            text = archive.read(f"placed/{card['placed']['file']}")
            assert text == (run.candidates_folder / card["placed"]["file"]).read_bytes()
            assert base64.b64decode(card["placed"]["link"].partition(",")[2]) == text


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
    files = RunFiles(tmp_path, {}, {}, [], None, frame, tmp_path / "candidates", None, "")
    with pytest.raises(DataError, match="leads out"):
        make_cards(files, Population.of("candidates", "", frame), None)


@pytest.mark.parametrize("content", [None, "not a crystal"])
def test_a_lost_cif_is_counted_and_no_error(tmp_path: Path, content: str | None):
    frame = candidate_frame(1)
    if content is not None:
        write_text(tmp_path / frame["cif"][0], content)
    files = RunFiles(tmp_path, {}, {}, [], None, frame, tmp_path, None, "")
    cards = make_cards(files, Population.of("candidates", "", frame), None)
    assert cards[0]["placed"] is None
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
    assert all(card["placed"] and card["relaxed"] and card["other"] == {} for card in cards)
    # a folder of relaxed crystals finds them by the name of their file alone, and counts more
    relaxed = write_relaxed(folder / "relaxed", candidate_frame())
    again = read_run(folder, {"env": {}})
    assert again.judge == "chgnet" and again.candidates.columns.is_unique
    assert again.candidates["status"].tolist() == relaxed["status"].tolist()
    assert again.candidates["relaxed_cif"].tolist()[:5] == relaxed["cif"].tolist()[:5]


def test_judged_energies_are_not_compared_with_another_property(run):
    other = replace(run, summary={"property": "band_gap", "unit": "eV"})
    cards = make_cards(other, Population.of("candidates", "", run.candidates), None)
    texts = [
        finding.text for finding in candidate_findings(cards, other) if finding.title == "Judged energies"
    ]
    assert "came to rest" in texts[0] and "eV/atom" not in texts[0]


def test_the_table_of_a_pipeline_is_read(tmp_path):
    folder = write_run(tmp_path / "run")
    own = pd.read_csv(folder / "candidates" / "candidates.csv")
    table = own.assign(
        status=["relaxed", "relaxation_failed"] + ["generated"] * (len(own) - 3) + ["unplaced"],
        reason=None,
        energy_before=-1.0,
        energy_after=[-1.5] + [np.nan] * (len(own) - 1),
        e_above_hull_judged=[0.3, 0.4, 1.5, np.nan] + [0.05] * (len(own) - 4),
        space_group_found=own["space_group"],
        same_as=[np.nan, np.nan, 1.0] + [np.nan] * (len(own) - 3),
        relax_steps=[12.0] + [np.nan] * (len(own) - 1),
        relaxer_after=[-1.75] + [np.nan] * (len(own) - 1),
    )
    table.loc[len(own) - 1, ["rank", "cif"]] = np.nan
    write_text(folder / "candidates" / "candidates.csv", table.to_csv(index=False))
    write_text(folder / "candidates" / "summary.json", '{"energies": "gemsnet", "relax_model": "chgnet"}')
    run = read_run(folder, {"env": {}})
    assert run.judge == "gemsnet" and run.relaxer == "chgnet"
    cards = make_cards(run, Population.of("candidates", "candidates", run.candidates), None)
    assert [card["rank"] for card in cards] == own["rank"].tolist()[:-1]
    assert [card["status"] for card in cards[:3]] == ["converged", "failed", None]
    assert cards[0]["judged"] == -1.5 and cards[0]["group_after"] == own["space_group"][0]
    assert cards[2]["judged"] is None and cards[2]["group_after"] is None
    # the table's own distances, which may be from another hull than the proxy's; what it does not know is not shown
    assert [card["judged_above_hull"] for card in cards[:3]] == [0.3, None, None]
    assert [card["placed_above_hull"] for card in cards] == [None, 0.4, 1.5, None, 0.05]
    assert [card["other"] for card in cards[:3]] == [{}, {}, {"same_as": "1"}]
    assert cards[0]["relax_steps"] == 12
    # the files of a pipeline are the relaxed crystals: their cells, not those of the specs, are told as such
    assert [card["is_relaxed"] for card in cards[:3]] == [True, False, False]
    end = Structure.from_file(run.candidates_folder / own["cif"][0]).lattice
    assert cards[0]["end"]["lengths"] == pytest.approx(end.abc)
    assert cards[0]["end"]["angles"] == pytest.approx(end.angles)
    assert cards[0]["end"]["volume_per_atom"] == pytest.approx(end.volume / cards[0]["n_atoms"])
    assert cards[1]["end"] is None
    names = zipfile.ZipFile(io.BytesIO(all_cifs(cards))).namelist()
    assert [name.partition("/")[0] for name in names[:2]] == ["relaxed", "placed"]
    text = {one.title: one.text for one in candidate_findings(cards, run)}
    assert text["Symmetry"].endswith("1 of these cells are as relaxed.")
    assert text["Diversity"].endswith(f"a better one, {len(cards) - 1} are left.")
    # 0.3 eV/atom above the hull by the judge, and by chgnet a quarter less
    (told,) = [one.text for one in candidate_findings(cards, run) if one.title == "Judged energies"]
    assert (
        told.startswith("chgnet relaxed 2 of")
        and "By chgnet's own energies it is 1 of 1 (median +0.05)" in told
    )
    # a folder of relax that is named takes the place of the table's own relaxations
    write_relaxed(tmp_path / "relaxed", own)
    again = read_run(folder, {"env": {}}, relaxed=tmp_path / "relaxed")
    assert not again.is_pipeline and "e_above_hull_judged" not in again.candidates


def test_the_table_of_an_export_is_read_with_its_funnel(tmp_path):
    folder = write_run(tmp_path / "run", relaxed=False)
    made = folder / "candidates"
    table = pd.read_csv(made / "candidates.csv").assign(
        status="generated", reason=None, energy_before=-1.25, energy_before_std=0.05, e_above_hull_judged=0.02,
        contact="Na-Cl 2.82", contact_ratio=1.2, relative="KCl (Na for K)",
    )  # fmt: skip
    write_text(made / "candidates.csv", table.to_csv(index=False))
    stages = [{"stage": "sampled", "n": 1234}, {"stage": "candidates", "n": len(table)}]
    write_text(made / "summary.json", json.dumps({"energies": "alignn", "funnel": stages}))
    run = read_run(folder, {"env": {}})
    cards = make_cards(run, Population.of("candidates", "candidates", run.candidates), None)
    assert run.judge == "alignn" and not run.is_pipeline
    assert [card["status"] for card in cards] == [None] * len(table)
    assert [card["placed_above_hull"] for card in cards] == [0.02] * len(table)
    assert cards[0]["other"]["relative"] == "KCl (Na for K)"
    text = {one.title: one.text for one in candidate_findings(cards, run)}
    assert text["Screening"] == f"Specs left after each stage: sampled 1,234; candidates {len(table)}."
    assert f"alignn puts {len(table)} of {len(table)}" in text["Judged energies"]
    # a summary of another making is no error
    write_text(made / "summary.json", '{"funnel": [3]}')
    assert read_run(folder, {"env": {}}).funnel == ()


def test_a_pipeline_that_relaxed_nothing_is_judged_as_generated(tmp_path):
    folder = write_run(tmp_path / "run", relaxed=False)
    table = pd.read_csv(folder / "candidates" / "candidates.csv")
    judged = np.linspace(0.02, 1.02, len(table))
    table = table.assign(status="generated", reason=None, energy_before=-1.25, energy_after=np.nan,
                         e_above_hull_judged=judged, space_group_found=table["space_group"])  # fmt: skip
    write_text(folder / "candidates" / "candidates.csv", table.to_csv(index=False))
    write_text(
        folder / "candidates" / "summary.json", '{"energies": "sevenn", "relax": 0, "relax_model": null}'
    )
    run = read_run(folder, {"env": {}})
    population = Population.of("candidates", "candidates", run.candidates)
    cards = make_cards(run, population, None)
    (found,) = [one for one in candidate_findings(cards, run) if one.title == "Judged energies"]
    assert found.verdict == "caution"
    assert (
        f"sevenn puts 1 of 6 within 0.1 eV/atom of the hull (median {np.median(judged):+.2f})" in found.text
    )
    values = values_of(Material(run, candidates=population), Studio(tmp_path / "figures"))
    text = render(values)
    assert text.count("<dt>as generated</dt>") == text.count("eV/atom (sevenn); +") == 6
    assert not values["is_judged"] and "pipeline run=" in text and "relax=20 resume=true" in text
