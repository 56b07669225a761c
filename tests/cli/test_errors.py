"""Bad input: one clear line, exit status 2, and nothing lost or left behind."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from tests.cli.commands import SMALL_GRID, run_command

CRYSTAL = (
    "env=crystal",
    "trainer.iterations=1",
    "trainer.batch_size=4",
    "samples.n=4",
    "export.k=0",
    "threads=1",
)
TINY_SPACE = ("env.space_groups=[221,225]", "env.n_elements=[2,2]", "env.n_atoms=[2,8]")


def refused(folder: Path, verb: str, *settings: str) -> str:
    """The one line of a refused command."""
    before = contents(folder)
    result = run_command(folder, verb, *settings)
    assert result.returncode == 2, result.stdout + result.stderr
    assert result.stderr.count("\n") == 1, result.stderr
    assert result.stderr.startswith("error: ")
    assert contents(folder) == before
    return result.stderr


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"
    }


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (["env=hypergird"], ["hypergrid", "crystal"]),
        (["proxy=mpl"], ["mlp", "grid_corners"]),
        (["env=hypergrid", "env.lenght=3"], ["env.length"]),
        (["env=hypergrid", "trainer.iterations=many"], ["trainer.iterations", "int"]),
        (["env=hypergrid", "trainer.schedule.kind=linear"], ["constant or cosine or step"]),
        (["env=hypergrid", "policy.forward.activation=tanhh"], ["leaky_relu"]),
        (["env=hypergrid", "env.length=one"], ["env.length", "int"]),
        (["env=hypergrid", "env.length=1"], ["length"]),
        (["env=hypergrid", "seed=-1"], ["seed"]),
        (["env=hypergrid", f"seed={10**20}"], ["seed", "4294967295"]),
        (["env=hypergrid", "seed=null"], ["seed must be a whole number"]),
        (["env=hypergrid", "samples=true"], ["samples"]),
        (["env=hypergrid", f"policy.forward.seed={10**20}"], ["policy.forward.seed", "at most"]),
        (["env=hypergrid", "reward=boltzmann", "reward.beta=nan"], ["reward.beta", "finite"]),
        (["env=hypergrid", "trainer.iterations=1.5e0"], ["trainer.iterations", "int"]),
        (["env=hypergrid", "device=gpu"], ["device must be auto, cpu, cuda or cuda:N", "'gpu'"]),
        (["env=hypergrid", "device=mps"], ["device must be auto, cpu, cuda or cuda:N", "'mps'"]),
        (["env=hypergrid", "device=[cpu]"], ["device must be auto, cpu, cuda or cuda:N"]),
        (["env=hypergrid", "device=0"], ["device must be auto, cpu, cuda or cuda:N"]),
        (["env=null"], ["unknown env 'null'", "crystal", "hypergrid"]),
        (["env=[crystal,box]"], ["unknown env", "crystal_paper"]),
        (["proxy@env=mlp"], ["proxy=mlp"]),
        (["experiment=mine"], ["unknown experiment 'mine'", "hypergrid"]),
        (["env=hypergrid", "run.dir=metrics.csv"], ["metrics.csv is named like a file"]),
        (["env=hypergrid", "threads=0"], ["threads"]),
        (["env=hypergrid", "quiet=maybe"], ["quiet", "true or false"]),
        (["env=hypergrid", "reward.invalid=ignore"], ["raise, penalise"]),
        (["env=hypergrid", "proxy=box_corners"], ["expects box", "produces grid", "grid_corners"]),
        (["env=box", "proxy=grid_corners"], ["expects grid", "produces box", "box_corners"]),
        (["env=hypergrid", "proxy._target_=nowhere.Proxy"], ["nowhere"]),
        (["env=hypergrid", "proxy._target_=os.getcwd"], ["subclass"]),
        (["env=hypergrid", "proxy.depth=3"], ["proxy.depth", "proxy.length"]),
        (["env=hypergrid", "+proxy.depth=3"], ["takes no depth", "length"]),
        (["env=hypergrid", "trainer.dataset_fraction=0.5"], ["dataset.path"]),
        (["env=hypergrid", "trainer.dataset_fraction=0.5", "dataset.path=none.csv"], ["none.csv"]),
        (["env=hypergrid", "run.dir=/dev/null/run"], ["/dev/null"]),
        (["env=hypergrid", "run.dir=/proc/run"], ["/proc/run"]),
    ],
)
def test_configurations_are_refused_before_anything_is_written(
    tmp_path: Path, settings: list[str], says: list[str]
) -> None:
    line = refused(tmp_path, "train_gfn", *settings)
    assert all(word in line for word in says), line


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (["env.elements=[Li,Xx]"], ["Xx"]),
        (["env.elements=Li"], ["env.elements", "list"]),
        (["env.elements=[Li,Mg]", "env.metallic=false"], ["no composition"]),
        (["env.space_groups=[231]"], ["231", "230"]),
        (["env.n_elements=3"], ["env.n_elements", "list"]),
        (["env.coordinates=polar"], ["shape", "raw"]),
        (["env.oxidation_table=mine"], ["mine", "icsd"]),
        (["proxy=grid_corners"], ["expects grid", "produces specs", "mlp"]),
        (["proxy.weights=none.safetensors"], ["none.safetensors"]),
    ],
)
def test_crystal_spaces_that_make_no_sense_are_refused(
    tmp_path: Path, settings: list[str], says: list[str]
) -> None:
    line = refused(tmp_path, "train_gfn", *CRYSTAL, *settings)
    assert all(word in line for word in says), line


BROKEN_PROXY = """
from gflownet_crystal.proxies.base import Proxy


class Broken(Proxy):
    input_kind, property_name, unit = "grid", "nothing", "1"

    def predict(self, batch):
        return batch.double().sum(dim=1) * float("nan")
"""


def test_nan_from_a_proxy_names_the_object(tmp_path: Path) -> None:
    (tmp_path / "broken_module.py").write_text(BROKEN_PROXY)
    result = run_command(
        tmp_path, "train_gfn", *SMALL_GRID, "proxy._target_=broken_module.Broken", "run.dir=run"
    )
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1 and "Broken gave nan" in result.stderr and "row 0" in result.stderr


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("errors")
    assert run_command(folder, "train_gfn", *SMALL_GRID, "run.dir=run").returncode == 0
    return folder


@pytest.fixture
def place(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished / "run", tmp_path / "run")
    return tmp_path


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ([], ["run must be given"]),
        (["run=none", "out=s.csv"], ["none", "run folder"]),
        (["run=run", "out=s.xlsx"], [".parquet", ".csv"]),
        (["run=run", "out=/proc/none/s.csv"], ["/proc/none/s.csv"]),
        (["run=run", "out=s.csv", "n=0"], ["n must be"]),
        (["run=run", "out=s.csv", "n=ten"], ["n must be"]),
        (["run=run", "out=s.csv", "restrict.elements=[Li]"], ["cannot be restricted"]),
        (["run=run", "out=s.csv", "restrict.elements=Li"], ["restrict.elements", "list"]),
        (["run=run", "out=s.csv", "restrict.element=[Li]"], ["restrict.elements"]),
    ],
)
def test_sample_refuses_in_one_line(place: Path, settings: list[str], says: list[str]) -> None:
    line = refused(place, "sample", *settings)
    assert all(word in line for word in says), line


@pytest.mark.parametrize("part", ["env", "proxy", "reward", "objective", "policy.forward", "logger"])
def test_a_foreign_class_in_a_run_folder_is_not_built(place: Path, part: str) -> None:
    (place / "evil.py").write_text("open('stolen', 'w').close()\n")
    config = place / "run" / "config.yaml"
    changed = OmegaConf.load(config)
    OmegaConf.update(changed, f"{part}._target_", "evil.Thing")
    OmegaConf.save(changed, config)
    if part != "logger":
        assert "trust=true" in refused(place, "sample", "run=run", "out=s.csv")
    assert "trust=true" in refused(place, "train_gfn", "run.dir=run", "resume=true")
    assert not (place / "stolen").exists()


@pytest.mark.parametrize(
    ("damage", "says"),
    [("cut", "cannot read"), ("text", "damaged"), ("gone", "not a run folder"), ("lacks", "proxy")],
)
def test_a_damaged_configuration_is_named(place: Path, damage: str, says: str) -> None:
    config = place / "run" / "config.yaml"
    if damage == "cut":
        config.write_text(config.read_text()[:-40] + "\n  [:")
    elif damage == "text":
        config.write_text("hello")
    elif damage == "lacks":
        config.write_text(config.read_text().replace("proxy:", "proxies:", 1))
    else:
        config.unlink()
    assert says in refused(place, "sample", "run=run", "out=s.csv")


@pytest.mark.parametrize("verb", ["sample", "train_gfn", "report"])
def test_a_stored_configuration_fetches_nothing_of_the_reader(
    place: Path, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_READER", "swordfish")
    config = place / "run" / "config.yaml"
    text = config.read_text()
    settings = {"sample": ["run=run", "out=s.csv"], "report": ["run=run"]}
    words = settings.get(verb, ["run.dir=run", "resume=true"])
    for value in ("${oc.env:SECRET_OF_THE_READER}", "'a ${oc.env:SECRET_OF_THE_READER} b'"):
        config.write_text(text.replace("run:\n  dir: run", f"run:\n  dir: {value}"))
        assert "SECRET" in config.read_text()
        line = refused(place, verb, *words)
        assert "swordfish" not in line and "${oc.env" in line
    config.write_text("x: &a [1, 2]\ny: [*a, *a]\n" + text)
    assert "alias" in refused(place, verb, *words)
    config.write_text("deep: " + "[" * 5_000 + "]" * 5_000 + "\n" + text)
    assert "deep" in refused(place, verb, *words)


def test_files_are_replaced_on_request_only(place: Path) -> None:
    path = place / "s.csv"
    path.write_text("mine")
    assert "overwrite=true" in refused(place, "sample", "run=run", "out=s.csv", "n=10")
    assert path.read_text() == "mine"
    assert run_command(place, "sample", "run=run", "out=s.csv", "n=10", "overwrite=true").returncode == 0
    assert path.read_text().startswith("x0,")
    (place / "t.parquet").write_text("mine")
    for key in ("out", "hull"):
        line = refused(place, "prepare_data", f"source={place / 's.csv'}", f"{key}=t.parquet")
        assert f"{key}=t.parquet exists; add overwrite=true" in line


def test_damaged_checkpoints_are_named(place: Path) -> None:
    for path in (place / "run" / "checkpoints").iterdir():
        path.write_bytes(b"nothing")
    assert "no checkpoint" in refused(place, "sample", "run=run", "out=s.csv")
    assert "no checkpoint" in refused(
        place, "train_gfn", "run.dir=run", "resume=true", "trainer.iterations=40"
    )


def test_a_checkpoint_of_another_network_is_named(place: Path) -> None:
    config = place / "run" / "config.yaml"
    config.write_text(config.read_text().replace("n_hidden: 16", "n_hidden: 17"))
    assert "another configuration" in refused(place, "sample", "run=run", "out=s.csv")


@pytest.mark.parametrize(
    ("written", "table"),
    [
        ("{Na:[1],Cl:[-1]}", {"Na": [1], "Cl": [-1]}),
        ("{base:plausible,Cl:[-1,7]}", {"base": "plausible", "Cl": [-1, 7]}),
    ],
)
def test_an_oxidation_table_of_ones_own_reaches_the_end_of_a_run(
    tmp_path: Path, written: str, table: dict[str, object]
) -> None:
    space = ("env.elements=[Na,Cl]", "env.space_groups=[Fm-3m]", "env.n_elements=[2,2]", "env.max_count=4")
    own = f"env.oxidation_table={written}"
    result = run_command(tmp_path, "train_gfn", *CRYSTAL, *space, own, "run.dir=run", "quiet=true")
    assert result.returncode == 0, result.stderr
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["oxidation_table"] == table
    sampled = run_command(tmp_path, "sample", "run=run", "n=4", "out=s.csv")
    assert sampled.returncode == 0, sampled.stderr
