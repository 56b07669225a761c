"""The verbs on data end to end on a few crystals: prepare, train, evaluate; and their errors of one line."""

from __future__ import annotations

import json
from pathlib import Path

import gemmi
import numpy as np
import pandas as pd
import pytest

from gflownet_crystal.cli.main import main
from gflownet_crystal.data.label_schemes import to_one_scheme
from gflownet_crystal.proxies.learned_hull import LearnedHull
from gflownet_crystal.proxies.mlp import MLPProxy
from gflownet_crystal.structures.formulas import text_to_composition
from gflownet_crystal.structures.spec_io import frame_to_specs
from tests.data.crystals import ENERGIES, KNOWN, conventional_structures, stored_frame


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copies of the known crystals with slightly different cells, some of them MP-20's val."""
    frames = []
    for copy in range(8):
        frame = stored_frame().assign(e_above_hull=0.01 * copy)
        frame["material_id"] = [f"{copy}-{row}" for row in range(len(frame))]
        scale = np.array([1 + 0.003 * copy] * 3 + [1.0] * 3)
        frame["lattice"] = [lattice * scale for lattice in frame["lattice"]]
        frames.append(frame)
    frame = pd.concat(frames, ignore_index=True)
    frame.loc[frame["material_id"].str.endswith(("-1", "-4")), "mp20_split"] = "val"
    strained = [
        pd.DataFrame(
            {
                "material_id": frame["material_id"],
                "strain": "reference" if factor == 1 else "scale",
                "lattice": [lattice * np.array([factor] * 3 + [1.0] * 3) for lattice in frame["lattice"]],
                "delta_energy_per_atom": 4.0 * (factor - 1) ** 2,
            }
        )
        for factor in (0.9, 0.95, 1.0, 1.07, 1.15)
    ]
    folder = tmp_path_factory.mktemp("data")
    frame.to_parquet(folder / "crystals.parquet")
    pd.concat(strained, ignore_index=True).to_parquet(folder / "strained.parquet")
    return folder


def test_prepare_train_and_evaluate(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table, weights = tmp_path / "prepared.parquet", tmp_path / "own.safetensors"
    assert main(["prepare_data", f"source={source}", f"out={table}", "quiet=true"]) == 0
    prepared = pd.read_parquet(table)
    assert len(prepared) == 6 * 64 and set(prepared["strain"]) == {"", "scale", "reference"}
    train = [
        "train_proxy",
        "proxy=mlp",
        f"data={table}",
        f"out={weights}",
        f"run.dir={tmp_path / 'run'}",
        "quiet=true",
        f"test={source}/crystals.parquet",
    ]
    train += ["training.steps=3", "training.batch_size=16", "training.members=2", "training.width=16"]
    assert main(train) == 0
    card = json.loads(weights.with_suffix(".json").read_text())
    assert card["samples_seen"] == 48 and card["unit"] == "eV/atom" and "crystals.parquet" in card["test"]
    capsys.readouterr()
    evaluate = ["evaluate_proxy", "proxy=mlp", f"proxy.weights={weights}"]
    for data in (f"{source}/crystals.parquet", table):
        assert main([*evaluate, f"data={data}"]) == 0
        figures = json.loads(capsys.readouterr().out)
        rows = prepared[prepared["strain"] == ""].reset_index(drop=True)
        error = (
            MLPProxy(weights)(frame_to_specs(rows)).value.numpy()
            - rows["formation_energy_per_atom"].to_numpy()
        )
        assert figures["n"] == 64
        assert figures["mae"] == pytest.approx(np.abs(error).mean(), abs=1e-6)
        assert figures["rmse"] == pytest.approx(np.sqrt((error**2).mean()), abs=1e-6)
        for name, group in rows.assign(error=np.abs(error)).groupby("energy_source"):
            assert figures["mae_by_energy_source"][name] == pytest.approx(group["error"].mean(), abs=1e-6)
        # these crystals are small, and labels of old corrections are converted
        assert figures["mae_by_atoms"] == pytest.approx({"1-20": figures["mae_in_one_scheme"]})


@pytest.mark.parametrize(
    ("proxy", "settings"), [("e_above_hull", ["training.steps=2"]), ("mlp_paper", ["training.epochs=1"])]
)
def test_other_proxies_train(source: Path, tmp_path: Path, proxy: str, settings: list[str]) -> None:
    out = tmp_path / "own.safetensors"
    words = ["train_proxy", f"proxy={proxy}", f"data={source}", f"out={out}", f"run.dir={tmp_path / 'run'}"]
    assert main([*words, "quiet=true", *settings]) == 0
    card = json.loads(out.with_suffix(".json").read_text())
    assert card["command"].startswith("train_proxy") and card["validation"]


def test_a_trained_hull_is_tested_on_energies_above_hull(source: Path, tmp_path: Path) -> None:
    out, crystals = tmp_path / "own.safetensors", source / "crystals.parquet"
    train = ["train_proxy", "proxy=e_above_hull", f"data={source}", f"out={out}", "quiet=true"]
    assert main([*train, f"run.dir={tmp_path / 'run'}", f"test={crystals}", "training.steps=2"]) == 0
    figures = json.loads(out.with_suffix(".json").read_text())["test"]["crystals.parquet"]
    rows = pd.read_parquet(crystals)
    formulas = [structure.composition.reduced_formula for structure in conventional_structures()]
    # one hull energy a formula, the lowest: the source holds each crystal with several energies above hull
    scheme = to_one_scheme(rows.assign(formula=formulas * 8))
    known = (scheme["formation_energy_per_atom"] - rows["e_above_hull"]).to_numpy().reshape(8, -1).min(0)
    hull = LearnedHull.from_weights(out).hull_energy(text_to_composition(formulas)).numpy()
    assert figures["n"] == len(formulas)
    # weights are written in half precision
    assert figures["mae_e_above_hull"] == pytest.approx(np.abs(hull - known).mean(), rel=5e-3)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["prepare_data", "source=nowhere.parquet", "out=x.parquet"], "nowhere.parquet"),
        (["prepare_data", "source=nowhere", "out=x.csv"], "must end in .parquet"),
        (["train_proxy", "data=nowhere.parquet"], "nowhere.parquet"),
        (["train_proxy", "data=nowhere", "out=x.pt"], "safetensors"),
        (["evaluate_proxy", "data=nowhere.parquet"], "nowhere.parquet"),
        (["evaluate_proxy", "data=x.parquet", "proxy.weights=none"], "no weights"),
        (["evaluate_proxy", "data=x.parquet", "proxy=mpl"], "mlp"),
        (["evaluate_proxy", "data=x.parquet", "proxy=e_above_hull"], "labels are formation energies"),
    ],
)
def test_errors_are_one_line_with_status_2(
    arguments: list[str],
    text: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    message = capsys.readouterr().err.strip()
    assert text in message and "\n" not in message


def test_missing_columns_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.parquet"
    stored_frame().drop(columns="frac_coords").to_parquet(path)
    assert main(["evaluate_proxy", f"data={path}"]) == 2
    assert "frac_coords" in capsys.readouterr().err
    stored_frame().drop(columns="formation_energy_per_atom").to_parquet(path)
    assert main(["evaluate_proxy", f"data={path}"]) == 2
    assert "formation_energy_per_atom" in capsys.readouterr().err


def test_what_is_left_out_is_counted_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, out = tmp_path / "mixed", tmp_path / "made" / "prepared.parquet"
    (folder / "a").mkdir(parents=True)
    salt, rutile = conventional_structures()[0], conventional_structures()[3]
    (folder / "salt.CIF").write_text(salt.to(fmt="cif"))
    (folder / "POSCAR").write_text(rutile.to(fmt="poscar"))
    (folder / "a" / "salt.json").write_text(salt.to_json())
    (folder / "broken.cif").write_text("data_x\n")
    frame = stored_frame()[:3]
    frame.at[1, "atomic_numbers"] = 0 * np.asarray(frame.at[1, "atomic_numbers"])
    frame.to_parquet(folder / "rows.parquet")
    assert main(["prepare_data", f"source={folder}", f"out={out}", "quiet=true"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["rows"] == 5 and printed["left_out"]["n"] == 2
    assert sum(printed["left_out"]["reasons"].values()) == 2
    left_out = pd.read_csv(out.with_name("left_out.csv"))
    assert sorted(left_out["name"]) == ["broken", "test-1"] and left_out["reason"].notna().all()
    names = pd.read_parquet(out)["material_id"].tolist()
    assert sorted(names) == ["POSCAR", "a/salt", "salt", "test-0", "test-2"]


def test_a_refused_file_alone_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "broken.cif").write_text("data_x\n")
    for words in (
        ["prepare_data", f"source={tmp_path}/broken.cif", f"out={tmp_path}/p.parquet"],
        ["relax", f"structures={tmp_path}/broken.cif", f"out={tmp_path}/r", "model=alignn"],
        ["evaluate", f"structures={tmp_path}/broken.cif", f"out={tmp_path}/e"],
        ["generate", f"specs={tmp_path}/broken.cif", f"out={tmp_path}/g"],
    ):
        assert main(words) == 2
        message = capsys.readouterr().err.strip()
        assert message.startswith("error: ") and "broken.cif" in message and "\n" not in message


def test_formulas_that_differ_are_refused_or_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = conventional_structures()[0].to(fmt="cif").replace("Na4 Cl4", "Na4 Cl4 H2")
    assert "H2" in text
    (tmp_path / "salt.cif").write_text(text)
    words = ["prepare_data", f"source={tmp_path}/salt.cif", f"out={tmp_path}/p.parquet", "quiet=true"]
    assert main(words) == 2 and "formula" in capsys.readouterr().err
    assert main([*words, "formula_check=warn"]) == 0
    assert pd.read_parquet(tmp_path / "p.parquet")["formula"].tolist() == ["Na4 Cl4"]
    assert (
        main([*words, "overwrite=true", "formula_check=maybe"]) == 2
        and "refuse, warn" in capsys.readouterr().err
    )


@pytest.mark.parametrize("name", ["made.json", "made.extxyz", "made.db", "made"])
def test_structures_are_written_with_their_atoms(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    source, out = stored_frame(), tmp_path / "out" / name
    source.to_parquet(tmp_path / "crystals.parquet")
    words = ["prepare_data", f"source={tmp_path}/crystals.parquet", f"out={out}", "quiet=true"]
    words += [] if out.suffix else ["format=[cif,poscar]"]
    assert main(words) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["structures"] == 8 and printed["left_out"]["n"] == 0
    again = ["prepare_data", f"source={out if out.suffix else out / 'cif'}", f"out={tmp_path}/table.parquet"]
    assert main([*again, "quiet=true"]) == 0
    table = pd.read_parquet(tmp_path / "table.parquet").set_index("material_id").loc[source["material_id"]]
    # the crystals, in primitive cells, are those that pymatgen made in conventional ones
    assert table["space_group"].tolist() == [group for _, group, *_ in KNOWN]
    expected = text_to_composition([str(item.composition.formula) for item in conventional_structures()])
    assert text_to_composition(table["formula"].tolist()).equal(expected)
    if out.suffix:
        np.testing.assert_allclose(table["formation_energy_per_atom"], ENERGIES)
        assert table["energy_source"].tolist() == source["energy_source"].tolist()
        assert table["mp20_split"].tolist() == source["mp20_split"].tolist()
    capsys.readouterr()
    assert main(words) == 2 and "add overwrite=true" in capsys.readouterr().err
    assert main([*words, "overwrite=true"]) == 0


def test_a_file_for_one_structure_takes_one_crystal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "salt.cif").write_text(conventional_structures()[0].get_primitive_structure().to(fmt="cif"))
    words = ["prepare_data", f"source={tmp_path}/salt.cif", f"out={tmp_path}/made.cif", "quiet=true"]
    assert main(words) == 0
    small = gemmi.read_small_structure(str(tmp_path / "made.cif"))
    assert small.spacegroup.number == 225 and len(small.sites) == 2
    assert len(small.get_all_unit_cell_sites()) == 8


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["out=made.json"], "none of 8 rows has atoms, only specs"),
        (["out=made", "format=cif"], "none of 8 rows has atoms, only specs"),
        (["out=made"], "out must end in .parquet, or for structures in .cif, .vasp"),
        (["out=made.parquet", "format=cif"], "give one of the two"),
        (["out=made", "format=xsf"], "unknown format 'xsf'"),
        (["out=made.json", "strain=chgnet"], "let out end in .parquet"),
    ],
)
def test_outputs_that_cannot_be_are_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    stored_frame().to_parquet("crystals.parquet")
    assert main(["prepare_data", "source=crystals.parquet", "out=specs.parquet", "quiet=true"]) == 0
    capsys.readouterr()
    assert main(["prepare_data", "source=specs.parquet", "quiet=true", *words]) == 2
    message = capsys.readouterr().err.strip()
    assert said in message and "\n" not in message
    assert {path.name for path in tmp_path.iterdir()} == {"crystals.parquet", "specs.parquet", "left_out.csv"}


def test_rows_without_atoms_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    stored_frame()[:2].to_parquet(folder / "crystals.parquet")
    specs = pd.DataFrame({"material_id": ["bare"], "composition": ["Na1 Cl1"], "space_group": [225]})
    specs.assign(formation_energy_per_atom=-2.0).to_parquet(folder / "specs.parquet")
    out = tmp_path / "made.extxyz"
    assert main(["prepare_data", f"source={folder}", f"out={out}", "quiet=true"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["structures"] == 2 and printed["left_out"]["reasons"] == {"a spec without atoms": 1}
    assert pd.read_csv(tmp_path / "left_out.csv")["name"].tolist() == ["bare"]
