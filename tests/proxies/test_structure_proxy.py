"""Energies of placed atoms: penalties given and counted, equal in any batch, primitive cells that change nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor

from gflownet_crystal.cli.main import main
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.metrics import read_metrics
from gflownet_crystal.config.build import build
from gflownet_crystal.config.compose import compose_config, resolved
from gflownet_crystal.data.prepare import load_prepared
from gflownet_crystal.generators.base import Generation, Generator
from gflownet_crystal.generators.placement import WyckoffPlacement
from gflownet_crystal.generators.quick_placement import QuickPlacement
from gflownet_crystal.generators.wyckoff_sampler import WyckoffSampler
from gflownet_crystal.models.energies.energy import EnergyModel
from gflownet_crystal.models.energies.structure_energies import StructureEnergies
from gflownet_crystal.models.energies.trained import KIND, TrainedEnergies
from gflownet_crystal.models.registry import build_network
from gflownet_crystal.proxies.base import Proxy
from gflownet_crystal.proxies.reward import Boltzmann, Reward
from gflownet_crystal.proxies.structure_proxy import StructureProxy, TrainedStructureProxy
from gflownet_crystal.structures.frames import frame_to_structures
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.structures.spec_checks import spec_faults
from gflownet_crystal.structures.spec_io import frame_to_specs
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.testing import check_proxy
from gflownet_crystal.testing.references import known_properties, reference_specs
from gflownet_crystal.training.proxies.mlp_validation import prediction_figures
from gflownet_crystal.weights import save_weights
from gflownet_crystal.workflows.sampling.samples import scored_frame
from gflownet_crystal.workflows.sampling.summary import summarise_samples
from tests.data.crystals import stored_frame
from tests.generators.test_placement import random_specs

SETTINGS: dict[str, dict[str, Any]] = {
    "alignn": {"width": 16, "embedding": 8, "alignn_layers": 1, "gcn_layers": 1},
    "gemsnet": {"n_blocks": 1, "n_radial": 16, "lattice": False, "displacement": False,
                "graph": {"cutoff": None, "neighbours": 12, "fade": 0.5}},
}  # fmt: skip
QUICK = QuickPlacement(assignments=4, tries=4, steps=6)


class MeanNumber(StructureEnergies):
    """A tenth of the mean atomic number, and NaN where the first atom is lithium."""

    def __init__(self) -> None:
        self.seen: list[StructureBatch] = []

    def predict(self, structures: StructureBatch) -> tuple[Tensor, Tensor]:
        self.seen.append(structures)
        composition = structures.composition.double()
        numbers = torch.arange(119, dtype=torch.float64)
        energy = 0.1 * (composition @ numbers) / composition.sum(1)
        energy = energy.masked_fill(composition[:, 3] > 0, torch.nan)
        return energy, torch.full_like(energy, 0.25)

    def calculator(self) -> Any:
        raise NotImplementedError


@pytest.fixture(scope="module", params=sorted(SETTINGS))
def weights(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network whose elements' energies fit well-known crystals."""
    specs = reference_specs()
    measured = torch.tensor(known_properties()["formation_energy_per_atom"].values, dtype=torch.float64)
    made = QUICK.generate(specs)
    kept = measured[made.rows].isfinite()
    model = EnergyModel(build_network(request.param, SETTINGS[request.param], seed=1))
    model.fit_elements(made.structures[kept], measured[made.rows][kept])
    model.scale.fill_(0.1)
    path = tmp_path_factory.mktemp("weights") / f"{request.param}.safetensors"
    card = {"kind": KIND, "network": {"name": request.param, "settings": SETTINGS[request.param]}}
    save_weights(path, dict(model.state_dict()), card)
    return path


def test_the_proxy_keeps_its_contract(weights: Path) -> None:
    proxy = TrainedStructureProxy(str(weights), QUICK)
    assert check_proxy(proxy) == []
    assert check_proxy(proxy, random_specs(20, seed=0)) == []
    assert not bool(proxy(reference_specs()).penalised.any())


def test_the_proxy_of_the_configuration_keeps_its_contract() -> None:
    config = resolved(compose_config("train_gfn", ["proxy=alignn"]))
    proxy = build(config.proxy, Proxy, "proxy")
    # a network in single precision places the atoms: some processors round larger batches otherwise, by 2e-6 Å
    assert check_proxy(proxy, tolerance=1e-5) == []
    assert check_proxy(proxy, random_specs(12, seed=0), tolerance=1e-5) == []


def test_values_are_those_of_the_structures_of_the_builder(weights: Path) -> None:
    specs = random_specs(25, seed=2)
    made = QUICK.generate(specs, seed=3)
    energy, _ = TrainedEnergies(weights).predict(made.structures)
    for primitive in (False, True):
        found = TrainedStructureProxy(str(weights), QUICK, seed=3, primitive=primitive)(specs)
        torch.testing.assert_close(found.value[made.rows], energy, rtol=0, atol=1e-5)
        assert (~found.penalised).nonzero()[:, 0].equal(made.rows)


def test_what_cannot_be_placed_or_judged_gets_the_penalty_and_is_counted() -> None:
    specs = random_specs(40, seed=1)
    crowded = CrystalSpec(specs.space_group, specs.composition, specs.lengths / 4, specs.angles)[:3]
    specs = CrystalSpec.cat([crowded, specs])
    energies = MeanNumber()
    proxy = StructureProxy(energies, QUICK, unusable=7.5, plausible=(-6.0, 2.5))
    found = proxy(specs)
    placed = torch.zeros(len(specs), dtype=torch.bool)
    placed[QUICK.generate(specs).rows] = True
    lithium = specs.composition[:, 3] > 0
    wanted = 0.1 * specs.fractions @ torch.arange(119, dtype=torch.float64)
    implausible = wanted > 2.5
    bad = ~placed | lithium | implausible
    assert bool(bad[:3].all()) and bool((placed & lithium).any()) and bool((placed & implausible).any())
    assert found.penalised.equal(bad) and bool((~bad).any())
    # for want of atoms, and not for what a model says of them
    assert found.unplaced is not None and found.unplaced.equal(~placed & (spec_faults(specs) == 0))
    assert bool(found.unplaced.any()) and not bool((found.unplaced & placed).any())
    frame = scored_frame(specs, Reward(proxy, Boltzmann(beta=2.0)))
    assert frame["unplaced"].tolist() == found.unplaced.tolist()
    assert summarise_samples(frame)["unplaced"] == int(found.unplaced.sum())
    table = pd.DataFrame({"formation_energy_per_atom": wanted.numpy(), "energy_source": "mean"})
    figures = prediction_figures(found, table, specs)
    assert (figures["n_unusable"], figures["n_unplaced"]) == (int(bad.sum()), int(found.unplaced.sum()))
    assert bool((found.value[bad] == 7.5).all()) and bool((found.std[bad] == 0.0).all())
    torch.testing.assert_close(found.value[~bad], wanted[~bad])
    assert bool((found.std[~bad] == 0.25).all()) and bool(found.valid.all())
    scored = Reward(proxy, Boltzmann(beta=2.0))(specs)
    assert scored.n_invalid == int(bad.sum())
    assert bool((scored.log_reward[bad] == -15.0).all())
    assert len(proxy(specs[:0]).value) == 0
    assert bool(proxy(crowded).penalised.all())


def test_of_several_draws_the_lowest_energy_counts(weights: Path) -> None:
    specs = random_specs(25, seed=2)
    values = [TrainedStructureProxy(str(weights), QUICK, seed=seed)(specs).value for seed in (4, 5, 6)]
    found = TrainedStructureProxy(str(weights), QUICK, seed=4, draws=3)(specs)
    assert found.value.equal(torch.stack(values).amin(0))
    assert not found.value.equal(values[0])


def test_the_model_sees_primitive_cells() -> None:
    energies = MeanNumber()
    specs = reference_specs()
    StructureProxy(energies, QUICK)(specs)
    StructureProxy(energies, QUICK, primitive=False)(specs)
    small, large = energies.seen
    assert int(small.n_atoms.sum()) < int(large.n_atoms.sum()) == int(specs.n_atoms.sum())
    torch.testing.assert_close(small.volume / small.n_atoms, large.volume / large.n_atoms)


class OwnBuilder(Generator):
    """A builder of the user's own."""

    def generate(self, specs: CrystalSpec, seed: int = 0) -> Generation:
        return QUICK.generate(specs, seed)


def test_any_builder_comes_from_the_configuration(weights: Path) -> None:
    def proxy_of(*words: str) -> Proxy:
        config = resolved(compose_config("train_gfn", [*words, f"proxy.weights={weights}"]))
        return build(config.proxy, Proxy, "proxy")

    name = f"proxy={weights.stem}"
    fast = proxy_of(name)
    assert isinstance(fast, TrainedStructureProxy) and isinstance(fast.builder, WyckoffSampler)
    assert (fast.builder.steps, fast.builder.tries, fast.builder.energies) == (8, 2, None)
    quick = proxy_of(name, "proxy.builder=quick", "proxy.builder.tries=3", "proxy.unusable=4")
    assert isinstance(quick, TrainedStructureProxy) and quick.builder == QuickPlacement(tries=3)
    assert quick.unusable == 4
    thorough = proxy_of(name, "proxy.builder=placement")
    assert isinstance(thorough, StructureProxy) and thorough.builder == WyckoffPlacement()
    own = proxy_of(name, f"proxy.builder._target_={__name__}.OwnBuilder")
    assert isinstance(own, StructureProxy) and isinstance(own.builder, OwnBuilder)
    with pytest.raises(ConfigError, match=r"proxy\.builder.*not a subclass of .*Generator"):
        proxy_of(name, "proxy.builder._target_=gflownet_crystal.proxies.toy.BoxCorners")


def test_it_trains_resumes_samples_and_exports(weights: Path, tmp_path: Path) -> None:
    words = ["train_gfn", "env=crystal", f"proxy={weights.stem}", f"proxy.weights={weights}", "samples.n=40",
             "trainer.iterations=3", "trainer.batch_size=6", "trainer.checkpoint_every=2", "export.k=1",
             "threads=1", "quiet=true", "proxy.builder.tries=2", "screening.fill=true", "screening.most_placed=6",
             "env.space_groups=[225,221,216,139,123]", "env.elements=[Li,O,Na,Mg,Al,Cl,Zn]"]  # fmt: skip
    run = tmp_path / "run"
    assert main([*words, f"run.dir={run}"]) == 0
    records = read_metrics(run / "metrics.jsonl")
    samples = pd.read_parquet(run / "samples.parquet")
    assert len(list((run / "candidates").glob("*.cif"))) == 1
    max((run / "checkpoints").glob("*.safetensors")).unlink()
    assert main(["train_gfn", f"run.dir={run}", "resume=true"]) == 0
    again = read_metrics(run / "metrics.jsonl")
    assert [record["loss"] for record in again] == [record["loss"] for record in records]
    assert pd.read_parquet(run / "samples.parquet").equals(samples)


@pytest.mark.parametrize(
    "options",
    [{"builder": MeanNumber()}, {"energies": QUICK}, {"plausible": (1.0, 0.0)}, {"plausible": (1.0,)},
     {"unusable": float("inf")}, {"draws": 0}, {"unusable": -7.0}],
)  # fmt: skip
def test_parts_of_another_kind_and_numbers_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        StructureProxy(**{"energies": MeanNumber(), "builder": QUICK, **options})


def test_evaluate_proxy_judges_the_atoms_of_the_data(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame, data = stored_frame(), tmp_path / "crystals.parquet"
    frame.to_parquet(data)
    command = ["evaluate_proxy", f"proxy={weights.stem}", f"proxy.weights={weights}", "device=cpu"]
    labels = torch.tensor(frame["formation_energy_per_atom"].to_numpy())
    assert main([*command, f"data={data}"]) == 0
    figures = json.loads(capsys.readouterr().out)
    energy, _ = TrainedEnergies(weights).predict(frame_to_structures(frame))
    assert figures["n"] == len(frame)
    assert figures["mae"] == pytest.approx(float((energy - labels).abs().mean()), abs=1e-6)
    assert main([*command, f"data={data}", "atoms=placed", "proxy.builder=quick"]) == 0
    placed = json.loads(capsys.readouterr().out)
    specs = frame_to_specs(load_prepared([data]))
    value = TrainedStructureProxy(str(weights), QuickPlacement())(specs).value
    assert placed["mae"] == pytest.approx(float((value - labels).abs().mean()), abs=1e-6)
    prepared = tmp_path / "prepared.parquet"
    load_prepared([data]).to_parquet(prepared)
    assert main([*command, f"data={prepared}"]) == 2
    assert "no atoms stored" in capsys.readouterr().err
    assert main([*command, f"data={data}", "atoms=both"]) == 2
    assert "own, placed" in capsys.readouterr().err


def test_structures_that_no_model_should_judge_take_the_penalty_and_are_counted() -> None:
    structures = QUICK.generate(reference_specs()).structures
    proxy = StructureProxy(MeanNumber(), QUICK, unusable=7.5)
    found = proxy.judge(structures)
    lithium = structures.composition[:, 3] > 0
    assert found.penalised.equal(lithium) and bool(lithium.any())
    assert bool((found.value[lithium] == 7.5).all()) and bool((found.std[lithium] == 0).all())


def test_specs_outside_their_contract_take_the_penalty() -> None:
    good = reference_specs()
    bad = CrystalSpec(good.space_group, good.composition, good.lengths.clone(), good.angles)
    salt = (good.space_group == 225).nonzero()[0]
    bad.lengths[salt, 2] *= 1.2
    found = StructureProxy(MeanNumber(), QUICK)(bad)
    as_is = StructureProxy(MeanNumber(), QUICK)(good)
    assert bool(found.penalised[salt]) and not bool(as_is.penalised[salt])
    others = good.space_group != 225
    assert found.value[others].equal(as_is.value[others])
