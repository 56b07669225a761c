"""The programs of benchmarks/ say what they take, and name what they cannot read."""

import ast
import json
import os
import runpy
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from benchmarks import everyday, hypergrid, judged_sets, placement, trajectories
from benchmarks.options import names, read_options
from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.common.programs import READER_GONE

REPOSITORY = Path(__file__).resolve().parents[1]
TREES = {
    path.stem: ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted((REPOSITORY / "benchmarks").glob("*.py"))
}
PROGRAMS = [
    name
    for name, tree in TREES.items()
    if any(isinstance(part, ast.FunctionDef) and part.name == "main" for part in tree.body)
]


@pytest.fixture
def called(monkeypatch, capsys):
    """Outcome of ``python -m benchmarks.NAME WORD ...`` in this process: status, standard output, standard error."""

    def call(name: str, *words: str) -> tuple[object, str, str]:
        monkeypatch.setattr(sys, "argv", [name, *words])
        with warnings.catch_warnings():
            # of a program that another one has imported
            warnings.filterwarnings("ignore", message=".*found in sys.modules", category=RuntimeWarning)
            with pytest.raises(SystemExit) as ended:
                runpy.run_module(f"benchmarks.{name}", run_name="__main__", alter_sys=True)
        return (ended.value.code, *capsys.readouterr())

    return call


def test_every_program_is_looked_at():
    assert len(PROGRAMS) > 20
    assert {"graphs", "masks", "exactness"} <= set(PROGRAMS)


@pytest.mark.parametrize("name", PROGRAMS)
def test_help_is_the_docstring_with_the_command(name, called):
    document = ast.get_docstring(TREES[name])
    for word in ("--help", "-h"):
        assert called(name, word, "nonsense=1") == (0, f"{document}\n", "")
    assert f"python -m benchmarks.{name} " in document


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("word", ["nonsense=1", "nonsense"])
def test_what_cannot_be_read_is_one_line(name, word, called):
    status, out, error = called(name, word)
    assert (status, out) == (2, "")
    assert error.startswith(f"{name}: ") and "nonsense" in error
    assert error.count("\n") == 1 and error.endswith("\n")


@pytest.mark.parametrize("name", PROGRAMS)
def test_documented_keys_are_the_keys(name, called):
    said = ast.get_docstring(TREES[name]).split(f"benchmarks.{name} ", 1)[1].split("\n\n")[0]
    documented = {
        word.partition("=")[0] for part in said.split() for word in part.strip("[]").split("|") if "=" in word
    }
    _, _, error = called(name, "nonsense=1")
    assert set(error.rpartition("choose one of ")[2].split()) == {
        f"{key}," for key in sorted(documented)[:-1]
    } | {sorted(documented)[-1]}


def test_a_program_of_its_own_process(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.placement", f"data={tmp_path / 'none.parquet'}", "n=3"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("placement: ") and done.stderr.count("\n") == 1
    assert "none.parquet" in done.stderr


@pytest.mark.parametrize("words", ["'--help'", ""])
def test_a_reader_that_leaves_early_is_no_error(words):
    """Of help, and of what a program prints at its end; as with ``| head``."""
    reading, writing = os.pipe()
    os.close(reading)
    program = f"""
import sys
from benchmarks.options import read_options, run
def main(words):
    read_options("help", {{}}, words)
    print("figures")
sys.argv = ["program", {words}]
run(main)
"""
    command = [sys.executable, "-c", program]
    with os.fdopen(writing, "wb") as pipe:
        done = subprocess.run(command, cwd=REPOSITORY, stdout=pipe, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (READER_GONE, b"")


DEFAULTS = {"n": "8", "sizes": "2,3", "rate": "0.5", "name": "", "rule": "all"}


def test_values_over_defaults():
    read = read_options("", DEFAULTS, ["data=a=b.parquet", "sizes=7", "rate=2", "rule=none"], ["data"])
    assert read == {"data": "a=b.parquet", "n": "8", "sizes": "7", "rate": "2", "name": "", "rule": "none"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "data"),
        (["data="], "data"),
        (["data=x", "n=many"], "n must be a whole number, not 'many'"),
        (["data=x", "n="], "n must be a whole number"),
        (["data=x", "n=1.5"], "n must be a whole number"),
        (["data=x", "n=-1"], "n must be a whole number"),
        (["data=x", "sizes=1,,2"], "sizes must be whole numbers"),
        (["data=x", "rate=fast"], "rate must be a number"),
        (["data=x", "data=y"], "data is given twice"),
        (["data=x", "nam=y"], "did you mean name"),
        (["x"], "key=value, with keys data, n, name"),
    ],
)
def test_errors_name_what_is_wrong(words, said):
    with pytest.raises(ConfigError, match=said) as caught:
        read_options("", DEFAULTS, words, ["data"])
    assert "\n" not in str(caught.value)


def test_a_public_data_set_goes_by_its_name_once_it_was_fetched(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GFLOWNET_CRYSTAL_DATA", str(tmp_path / "data"))
    with pytest.raises(DataError, match="run fetch_data name=mp20"):
        read_options("", DEFAULTS, ["data=own.parquet,mp20_val"], ["data"])
    table = tmp_path / "data" / "mp20" / "mp20_val.parquet"
    table.parent.mkdir(parents=True)
    table.touch()
    read = read_options("", DEFAULTS, ["data=own.parquet,mp20_val", "name=mp20"], ["data"])
    assert read["data"] == f"own.parquet,{table}"
    # no file of crystals
    assert read["name"] == "mp20"


def test_lists_of_values():
    options = {"precision": "float32,float64", "others": ""}
    assert names(options, "precision", ("float64", "float32")) == ["float32", "float64"]
    assert names(options, "others") == []
    with pytest.raises(ConfigError, match=r"unknown precision 'float64'.*choose one of float32"):
        names(options, "precision", ("float32",))


def test_everyday_says_which_specs_do_not_balance(tmp_path, called, capsys):
    cell = "225,5.6,5.6,5.6,90,90,90"
    formulas = ("Na4 Cl4", "Mg4 O4", "Na1 Ca3 S2 F17", "Cu4", "Na4 O4")
    header = "space_group,a,b,c,alpha,beta,gamma,formula"
    path = tmp_path / "specs.csv"
    path.write_text("\n".join([header, *(f"{cell},{formula}" for formula in formulas)]) + "\n")
    everyday.main([f"specs={path}"])
    found = json.loads(capsys.readouterr().out)
    assert found["specs"] == 5
    assert [found[key] for key in ("balanced", "metallic", "unbalanced")] == [0.4, 0.2, 0.4]
    assert len(found["unbalanced_formulas"]) == 2
    assert found["unbalanced_with"]["F"] == 1.0
    assert found["unbalanced_with"]["Na"] == pytest.approx(2 / 3, abs=1e-3)
    assert "unknown table" in called("everyday", f"specs={path}", "table=a,b")[2]


def test_judged_sets_are_shares_of_all_crystals(capsys, tmp_path):
    for name, energies in {"few": "0.2,,-0.1,0.04", "all": "0,0"}.items():
        (tmp_path / name).mkdir()
        rows = "".join(f"{number},{energy}\n" for number, energy in enumerate(energies.split(",")))
        (tmp_path / name / "stability_chgnet.csv").write_text(f"row,e_above_hull\n{rows}")
    words = (
        "names=few,all",
        f"evaluations={tmp_path}/few,{tmp_path}/all",
        f"figure={tmp_path}/out.png",
        "judge=chgnet",
    )
    judged_sets.main([*words])
    printed = capsys.readouterr().out
    found = json.loads(printed.splitlines()[-1])
    assert found["few"] == {
        "n": 4, "failed": 1, "median": 0.12, "within_0.1": 0.5, "within_0.05": 0.5, "within_0": 0.25
    }  # fmt: skip
    assert found["all"]["within_0"] == 1.0
    assert (tmp_path / "out.png").read_bytes()[:4] == b"\x89PNG"
    with pytest.raises(DataError, match=r"evaluate metrics=\[stability\]"):
        judged_sets.main([*words[:3], "judge=sevenn"])


def test_rates_on_a_hypergrid_stand_beside_those_of_other_libraries(capsys, tmp_path, called):
    # stands for an interpreter whose library trains two trajectories a second
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho some words\necho 2.0\n")
    python.chmod(0o755)
    hypergrid.main([f"torchgfn={python}", "batch=8", "iterations=2", "rounds=1"])
    found = json.loads(capsys.readouterr().out)
    assert found["torchgfn"] == 2
    assert found["times_torchgfn"] == pytest.approx(found["gflownet_crystal"] / 2, rel=0.01, abs=0.5)
    python.write_text("#!/bin/sh\necho nothing here >&2\nexit 1\n")
    status, _, error = called("hypergrid", f"gfnx={python}", "batch=8", "iterations=1", "rounds=1")
    assert status == 2
    assert error.endswith("has failed: nothing here\n")
    assert error.count("\n") == 1


def test_rates_of_training_stand_beside_those_of_the_networks_alone(capsys):
    trajectories.main(["batch=8", "iterations=1"])
    found = json.loads(capsys.readouterr().out)
    for backward in ("learned_backward", "uniform_backward"):
        rates = found[backward]
        share = rates["training_per_s"] / rates["bare_networks_per_s"]
        assert rates["share_of_bare"] == pytest.approx(share) and share > 0.0


def test_stages_of_placing_are_functions_of_the_package():
    found = {
        (path.name, function.name)
        for path in (REPOSITORY / "gflownet_crystal").rglob("*.py")
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(function, ast.FunctionDef)
    }
    assert set(placement.STAGES.values()) <= found
