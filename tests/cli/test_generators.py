"""Every generator where a verb or a proxy can take one: exports, files of generate, builders of structure proxies."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch
from pymatgen.core import Composition, Structure

from gflownet_crystal.cli.main import main
from gflownet_crystal.config.build import build
from gflownet_crystal.config.compose import compose_config, resolved
from gflownet_crystal.generators.base import Generator
from gflownet_crystal.models.energies.trained import TrainedEnergies
from gflownet_crystal.proxies.base import Proxy
from gflownet_crystal.proxies.structure_proxy import PLAUSIBLE
from gflownet_crystal.structures.convert import from_pymatgen
from gflownet_crystal.structures.spec_io import frame_to_specs, read_specs
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.structures.symmetry import symmetry_error
from tests.cli.test_export import CRYSTALS, write_run
from tests.cli.tiny_weights import EXACT, SETTINGS, generator_words, loose_contacts

FEW = [CRYSTALS[row] for row in (0, 3, 5, 8, 9)]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("generators") / "run", crystals=FEW)


@pytest.mark.parametrize("name", EXACT)
def test_export_takes_it(name: str, run: Path, tmp_path: Path) -> None:
    words = [*generator_words(name, tmp_path), loose_contacts(tmp_path)]
    assert main(["export", f"run={run}", f"out={tmp_path / 'out'}", "k=5", "quiet=true", *words]) == 0
    table = read_specs(tmp_path / "out" / "candidates.csv")
    assert len(table) == len(FEW)
    for _, row in table.iterrows():
        crystal = Structure.from_file(tmp_path / "out" / row["cif"])
        assert crystal.composition == Composition(row["formula"])
        cell = row[["a", "b", "c", "alpha", "beta", "gamma"]].tolist()
        assert crystal.lattice.parameters == pytest.approx(cell, abs=1e-6)
        one = from_pymatgen([crystal])
        group = torch.tensor([row["space_group"]])
        claimed = StructureBatch(one.cell, one.atomic_numbers, one.fractional, one.structure_index, group)
        assert symmetry_error(claimed).item() < 0.01


@pytest.mark.parametrize("name", EXACT)
def test_proxies_build_with_it(name: str, run: Path, tmp_path: Path) -> None:
    words = [
        f"proxy.{word}".replace("proxy.generator", "proxy.builder")
        for word in generator_words(name, tmp_path)
    ]
    config = resolved(compose_config("train_gfn", ["proxy=gemsnet", "proxy.seed=3", *words]))
    proxy = build(config.proxy, Proxy, "proxy")
    specs = frame_to_specs(pd.read_parquet(run / "samples.parquet"))
    prediction = proxy(specs)
    made = build(config.proxy.builder, Generator, "builder").generate(specs, 3)
    energy = TrainedEnergies("gemsnet").predict(made.structures)[0]
    expected = torch.full((len(specs),), config.proxy.unusable, dtype=torch.float64)
    believed = (energy > PLAUSIBLE[0]) & (energy < PLAUSIBLE[1])
    expected[made.rows[believed]] = energy[believed]
    torch.testing.assert_close(prediction.value, expected, rtol=0, atol=1e-4)
    assert bool(believed.any())


@pytest.mark.parametrize("name", [name for name in SETTINGS if name not in EXACT])
def test_structures_of_papers_have_files_too(name: str, run: Path, tmp_path: Path) -> None:
    words = [f"out={tmp_path / 'out'}", "threads=1", "quiet=true", *generator_words(name, tmp_path)]
    assert main(["generate", f"specs={run / 'samples.parquet'}", *words]) == 0
    table = pd.read_parquet(tmp_path / "out" / "structures.parquet")
    assert len(table)
    for row in table.itertuples():
        crystal = Structure.from_file(tmp_path / "out" / "cif" / f"{row.material_id}.cif")
        assert crystal.lattice.parameters == pytest.approx(tuple(row.lattice), abs=1e-4)
        assert sorted(crystal.atomic_numbers) == sorted(row.atomic_numbers)


def test_the_experiment_of_a_paper_chooses_its_generator() -> None:
    for verb in ("generate", "pipeline"):
        config = compose_config(verb, ["experiment=gemsdiff_paper"])
        plain = compose_config(verb, ["generator=gemsdiff_paper"])
        assert config.generator == plain.generator and config.generator.mode == "paper"


def test_experiments_of_other_verbs_are_refused(capsys) -> None:
    assert main(["generate", "experiment=box", "out=nowhere", "specs=nowhere"]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
