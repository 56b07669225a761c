"""Tables of candidates of other verbs, as a report reads them."""

from __future__ import annotations

import io
import json
import zipfile

import numpy as np
import pandas as pd
import pytest
from pymatgen.core import Structure

from gflownet_crystal.common.files import write_text
from gflownet_crystal.report.cards import make_cards
from gflownet_crystal.report.details import all_cifs
from gflownet_crystal.report.drawings import Studio
from gflownet_crystal.report.findings import candidate_findings
from gflownet_crystal.report.page import Material, make_page
from gflownet_crystal.report.population import Population
from gflownet_crystal.report.run_files import read_run
from tests.report.runs import write_relaxed, write_run


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
    assert [card.rank for card in cards] == own["rank"].tolist()[:-1]
    assert [card.status for card in cards[:3]] == ["converged", "failed", None]
    assert cards[0].judged == -1.5 and cards[0].group_after == own["space_group"][0]
    assert cards[2].judged is None and cards[2].group_after is None
    # the table's own distances, which may be from another hull than the proxy's; what it does not know is not shown
    assert [card.judged_above_hull for card in cards[:3]] == [0.3, None, None]
    assert [card.placed_above_hull for card in cards] == [None, 0.4, 1.5, None, 0.05]
    assert [card.other for card in cards[:3]] == [{}, {}, {"same_as": "1"}]
    assert cards[0].relax_steps == 12
    # the files of a pipeline are the relaxed crystals: their cells, not those of the specs, are told as such
    assert [card.is_relaxed for card in cards[:3]] == [True, False, False]
    end = Structure.from_file(run.candidates_folder / own["cif"][0]).lattice
    assert cards[0].end.lengths == pytest.approx(end.abc)
    assert cards[0].end.angles == pytest.approx(end.angles)
    assert cards[0].end.volume_per_atom == pytest.approx(end.volume / cards[0].n_atoms)
    assert cards[1].end is None
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
    assert [card.status for card in cards] == [None] * len(table)
    assert [card.placed_above_hull for card in cards] == [0.02] * len(table)
    assert cards[0].other["relative"] == "KCl (Na for K)"
    text = {one.title: one.text for one in candidate_findings(cards, run)}
    assert text["Screening"] == f"Specs left after each stage: sampled 1,234; candidates {len(table)}."
    assert f"alignn puts {len(table)} of {len(table)}" in text["Judged energies"]
    # a summary of another making is no error
    write_text(made / "summary.json", '{"funnel": [3]}')
    assert not read_run(folder, {"env": {}}).funnel


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
        f"sevenn puts 1 of 6 at most 0.1 eV/atom above the hull (median {np.median(judged):+.2f})"
        in found.text
    )
    text = make_page(Material(run, candidates=population), Studio(tmp_path / "figures")).text
    assert text.count("<dt>as generated</dt>") == text.count("eV/atom (sevenn); +") == 6
    assert "have not been relaxed yet" in text and "pipeline run=" in text and "relax=20 resume=true" in text
