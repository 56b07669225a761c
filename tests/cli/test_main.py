"""The command-line entry point: verbs, scripts, options, help."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from gflownet_crystal.cli.first_keys import FIRST
from gflownet_crystal.cli.main import VERBS, main, split_options
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.openmp import WAITING
from tests.cli.commands import REPOSITORY, run_words

SCRIPTS = REPOSITORY / "scripts"
_RUN_WITHOUT_PACKAGES = """
import runpy, sys
folder, first, *words = sys.argv[1:]
sys.path.insert(0, folder)
if first == "-m":
    sys.argv = words
    runpy.run_module(words[0], run_name="__main__", alter_sys=True)
else:
    sys.argv = [f"{folder}/{first}", *words]
    sys.path.insert(0, f"{folder}/scripts")
    runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_verbs_scripts_configs_and_readme_are_the_same_list() -> None:
    assert sorted(VERBS) == sorted(path.stem for path in SCRIPTS.glob("[!_]*.py"))
    for verb in VERBS:
        assert (REPOSITORY / "gflownet_crystal" / "cli" / f"{verb}.py").is_file()
        assert (REPOSITORY / "gflownet_crystal" / "config" / f"{verb}.yaml").is_file()
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"gflownet-crystal (\w+)", readme)) | set(re.findall(r"scripts/(\w+)\.py", readme))
    listed = set(re.findall(r"^\| `(\w+)", readme, flags=re.MULTILINE))
    assert named <= {*VERBS, "VERB"}
    assert set(VERBS) <= named | listed


@pytest.mark.parametrize("verb", VERBS)
def test_help_tells_every_key_with_a_comment(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "--help"]) == 0
    # a comment that has no room beside its key stands below it
    page = re.sub(r"\n {10,}", "  ", capsys.readouterr().out)
    keys = re.findall(r"^  ([\w.]+)=(.*)$", page, flags=re.MULTILINE)
    assert keys
    uncommented = [key for key, rest in keys if "  " not in rest.strip() and not key.endswith("_target_")]
    assert uncommented == []


@pytest.mark.parametrize("width", [80, 100, 200])
def test_help_fits_the_terminal_and_says_the_same_at_any_width(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def page(verb: str, columns: int) -> str:
        monkeypatch.setenv("COLUMNS", str(columns))
        assert main([verb, "--help"] if verb else ["--help"]) == 0
        return capsys.readouterr().out

    for verb in ("", "train_gfn", "pipeline", "evaluate"):
        narrow, wide = page(verb, width), page(verb, 500)
        assert max(map(len, narrow.splitlines())) <= width
        comments = [word for word in wide.split() if word.isalpha()]
        assert [word for word in narrow.split() if word.isalpha()] == comments


def test_comments_of_an_experiment_are_shown_only_where_it_is_chosen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "hot.yaml").write_text(
        "# @package _global_\nreward:\n  beta: 1.0  # hardly any\n"
    )
    for words, said in (([], False), (["experiment=hot"], True)):
        assert main(["train_gfn", *words, "--config-dir", str(tmp_path), "--help"]) == 0
        assert ("hardly any" in capsys.readouterr().out) == said


def test_help_follows_the_choices(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train_gfn", "env=hypergrid", "--help"]) == 0
    page = capsys.readouterr().out
    assert re.search(r"^  env\.length=8 +cells in each dimension$", page, flags=re.MULTILINE)
    # the choice that holds, and all
    assert re.search(r"^  logger=none +none, wandb$", page, flags=re.MULTILINE)
    assert re.search(r"^  env=hypergrid +box, .*hypergrid$", page, flags=re.MULTILINE)


def test_help_cuts_long_lists_between_entries_and_counts_them(capsys: pytest.CaptureFixture[str]) -> None:
    numbers = [str(number) for number in range(1, 101)]
    for given in (numbers[:3], numbers):
        assert main(["train_gfn", f"env.space_groups=[{','.join(given)}]", "--help"]) == 0
        (shown,) = re.findall(r"^  env\.space_groups=\[(.*)\]", capsys.readouterr().out, flags=re.MULTILINE)
        kept, _, end = shown.partition(", ... ")
        assert kept.split(", ") == given[: len(kept.split(", "))]
        assert end == ("" if len(given) == 3 else "(100 in all)")


def test_the_overview_lists_all_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([], ["--help"]):
        assert main(words) == 0
        page = capsys.readouterr().out
        assert all(re.search(rf"^  {verb} +\w", page, flags=re.MULTILINE) for verb in VERBS)


@pytest.mark.parametrize("word", ["--version", "-V"])
def test_the_version_is_that_of_the_package(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([word]) == 0
    assert capsys.readouterr().out == f"gflownet-crystal {version('gflownet_crystal')}\n"


def test_help_of_a_verb_is_its_help_option(capsys: pytest.CaptureFixture[str]) -> None:
    pages = []
    for words in (["help", "relax"], ["relax", "--help"]):
        assert main(words) == 0
        pages.append(capsys.readouterr().out)
    assert pages[0] == pages[1] and "usage: gflownet-crystal relax" in pages[0]
    assert main(["help"]) == 0 and main(["help", "relay"]) == 2
    assert "relax" in capsys.readouterr().err


@pytest.mark.parametrize("verb", VERBS)
def test_help_begins_with_at_most_ten_keys_that_matter_most(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([verb, "--help"]) == 0
    page = capsys.readouterr().out
    assert page.count("keys that matter most") == (verb in FIRST)
    keys = re.findall(r"^  ([\w.]+)=", page[page.index("\nkeys ") :], flags=re.MULTILINE)
    assert len(keys) == len(set(keys))
    first = FIRST.get(verb, ())
    assert len(first) <= 10 and keys[: len(first)] == list(first)
    assert verb in FIRST or len(keys) <= 10


@pytest.mark.parametrize("word", ["-m", "--multirun"])
def test_sweeps_are_told_not_to_exist(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train_gfn", word, "seed=0,1"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "there are no sweeps: start one command a run" in error


def test_options_are_told_from_settings(tmp_path: Path) -> None:
    settings, own, wants_help = split_options(["a=1", "--config-dir", "x", "b=2", "--config-dir=y", "-h"])
    assert (settings, own, wants_help) == (["a=1", "b=2"], [Path("x"), Path("y")], True)
    for wrong in (["--config-dir"], ["--confg", "x"], ["-v"], ["--config-dirs=x"]):
        with pytest.raises(ConfigError):
            split_options(wrong)


def test_an_unknown_verb_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trian_gfn"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1 and "train_gfn" in err


def test_a_script_runs_from_any_folder_without_installation(tmp_path: Path) -> None:
    result = run_words(tmp_path, [sys.executable, "-E", str(SCRIPTS / "sample.py"), "--help"])
    assert result.returncode == 0, result.stderr
    assert "restrict.elements" in result.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [["scripts/train_gfn.py", "--help"], ["-m", "gflownet_crystal", "sample"]])
def test_a_python_without_the_requirements_is_told_in_one_line(words: list[str], tmp_path: Path) -> None:
    # -S and -I leave the standard library alone
    run = [sys.executable, "-S", "-I", "-c", _RUN_WITHOUT_PACKAGES, str(REPOSITORY), *words]
    done = subprocess.run(run, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert re.match(r"error: the package (omegaconf|yaml) is not installed", line)


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, str(SCRIPTS / "sample.py"), "--help"]
    result = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, cwd=tmp_path, check=False)
    os.close(writing)
    assert (result.returncode, result.stderr) == (141, b"")


def test_a_terminal_without_angstroms_is_no_error(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPTS / "relax.py"), "--help"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    result = subprocess.run(command, capture_output=True, cwd=tmp_path, env=environment, check=False)
    assert (result.returncode, result.stderr) == (0, b"") and rb"eV/\xc5" in result.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="OpenMP of GNU says what it read")
@pytest.mark.parametrize(
    ("own", "policy"),
    [({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE"), ({"GOMP_SPINCOUNT": "77"}, "77")],
)
@pytest.mark.parametrize("door", [["-m", "gflownet_crystal"], ["scripts/sample.py"]])
def test_threads_sleep_where_they_wait_unless_the_user_says_otherwise(
    tmp_path: Path, own: dict[str, str], policy: str, door: list[str]
) -> None:
    kept = {name: value for name, value in os.environ.items() if name not in WAITING}
    settings = {"OMP_DISPLAY_ENV": "VERBOSE", "PYTHONPATH": str(REPOSITORY), **own}
    verb = ["sample"] if door[0] == "-m" else []
    # it fails for want of a run, after PyTorch was loaded
    words = [sys.executable, *door, *verb, f"run={tmp_path}", "out=none.csv"]
    done = subprocess.run(
        words, cwd=REPOSITORY, env=kept | settings, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and "is not a run folder" in done.stderr
    said = [line for line in done.stderr.splitlines() if "WAIT_POLICY" in line or "SPINCOUNT" in line]
    assert said and any(f"'{policy}'" in line for line in said), done.stderr
