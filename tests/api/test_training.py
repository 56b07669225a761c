"""Training from Python: as the verb trains, with objects of the user's, and without a trace on disk."""

from __future__ import annotations

import gc
import os
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from pymatgen.core import Composition, Element, Structure

import gflownet_crystal as gfc
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.progress import Progress
from gflownet_crystal.envs.hypergrid import Hypergrid
from gflownet_crystal.proxies.base import Proxy
from gflownet_crystal.proxies.reward import Target
from gflownet_crystal.proxies.toy import GridCorners
from tests.api.conftest import SMALL
from tests.cli.commands import run_command

MASSES = torch.tensor([0.0] + [float(Element.from_Z(z).atomic_mass) for z in range(1, 119)])


class Density(Proxy):
    """g/cm3, of the user's own."""

    property_name = "density"
    unit = "g/cm3"

    def predict(self, batch):
        return 1.66053907 * (batch.composition.double() @ MASSES.double()) / batch.volume


def words(seed: int) -> list[str]:
    """The small training as settings of the verb."""
    return [
        "env.elements=[Li,Mg,O,F]", "env.space_groups=[123,139,216,221,225]", "env.n_atoms=[2,12]",
        "trainer.iterations=4", "trainer.batch_size=16", "prior=null", f"seed={seed}", "device=cpu", "quiet=true",
        "policy.forward.n_hidden=8", "trainer.checkpoint_every=2", "samples.n=20", "export.k=0",
    ]  # fmt: skip


def test_five_lines_lead_to_pymatgen_structures_and_write_nothing(tmp_path, monkeypatch):
    pytest.importorskip("chgnet")
    monkeypatch.chdir(tmp_path)
    run = gfc.train(env="crystal", proxy=Density(), **SMALL | {"iterations": 2})
    samples = run.sample(30, elements=["Li", "O"])
    crystals = samples.place(quiet=True)
    few = crystals.head(2).relax("chgnet", steps=1, quiet=True)
    structures = few.to_pymatgen()
    assert structures
    assert all(isinstance(one, Structure) for one in structures)
    assert {str(element) for one in structures for element in one.elements} <= {"Li", "O"}
    assert list(tmp_path.iterdir()) == []


def test_a_run_without_a_folder_leaves_none_behind():
    run = gfc.train(**SMALL | {"iterations": 1})
    place = run._path
    assert place.is_dir()
    assert run.folder is None
    del run
    gc.collect()
    assert not place.exists()


def test_it_trains_and_samples_as_the_verbs_do(tmp_path, run):
    assert run_command(tmp_path, "train_gfn", *words(3), "run.dir=verb").returncode == 0
    assert (
        run_command(
            tmp_path, "sample", "run=verb", "n=25", "seed=7", "out=s.parquet", "device=cpu"
        ).returncode
        == 0
    )
    mine = run.sample(25, seed=7).to_frame()
    pd.testing.assert_frame_equal(mine, pd.read_parquet(tmp_path / "s.parquet"))


def test_a_saved_run_is_one_of_the_verbs(tmp_path):
    run = gfc.train(**SMALL)
    assert run.save(tmp_path / "kept") == tmp_path / "kept"
    assert run_command(tmp_path, "sample", "run=kept", "n=20", "out=s.parquet", "device=cpu").returncode == 0
    stored = pd.read_parquet(tmp_path / "s.parquet")
    pd.testing.assert_frame_equal(run.sample(20).to_frame(), stored)
    pd.testing.assert_frame_equal(gfc.load(tmp_path / "kept", device="cpu").sample(20).to_frame(), stored)
    with pytest.raises(ConfigError, match="not empty"):
        run.save(tmp_path / "kept")


def test_a_training_is_resumed_to_the_same_weights(tmp_path):
    shorter = SMALL | {"iterations": 2, "folder": tmp_path / "run"}
    # the schedule is that of the whole training
    fixed = {**SMALL["settings"], "trainer.schedule.kind": "constant", "trainer.behaviour_iterations": 4}
    gfc.train(**shorter | {"settings": fixed})
    resumed = gfc.train(**shorter | {"settings": fixed, "iterations": 4, "resume": True})
    whole = gfc.train(**SMALL | {"settings": fixed})
    assert len(resumed.history()) == 4
    for mine, other in zip(resumed.model.parameters(), whole.model.parameters(), strict=True):
        assert torch.equal(mine, other)


def test_a_proxy_object_says_the_energies_of_samples():
    run = gfc.train(proxy=Density(), reward=Target(3.0, 0.2), **SMALL)
    frame = run.sample(30).to_frame()
    assert (run.property_name, run.unit) == ("density", "g/cm3")
    compositions = [Composition(formula.replace(" ", "")) for formula in frame["formula"]]
    volumes = frame["volume_per_atom"] * [one.num_atoms for one in compositions]
    expected = 1.66053907 * np.array([float(one.weight) for one in compositions]) / volumes.to_numpy()
    np.testing.assert_allclose(frame["energy"], expected, rtol=1e-4)
    np.testing.assert_allclose(
        frame["log_reward"], -((expected - 3.0) ** 2) / (2 * 0.2**2), rtol=1e-2, atol=1e-2
    )


def test_without_a_reward_low_values_of_another_property_are_sought(capsys):
    run = gfc.train(proxy=Density(), **SMALL | {"quiet": False, "iterations": 1})
    assert "low values of density are sought" in capsys.readouterr().out
    frame = run.sample(10, quiet=True).to_frame()
    np.testing.assert_allclose(frame["log_reward"], -5.0 * frame["energy"])


def test_a_run_with_a_proxy_object_is_loaded_with_the_object(tmp_path):
    run = gfc.train(proxy=Density(), folder=tmp_path / "run", **SMALL)
    with pytest.raises(ConfigError, match="trust=true"):
        gfc.load(tmp_path / "run")
    loaded = gfc.load(tmp_path / "run", device="cpu", proxy=Density(), reward=Target(3.0, 0.2))
    columns = ["space_group", "formula", "a", "energy"]
    pd.testing.assert_frame_equal(loaded.sample(10).to_frame()[columns], run.sample(10).to_frame()[columns])


def test_other_environments_are_trained_by_name_and_as_objects():
    tiny = {"iterations": 2, "batch_size": 8, "device": "cpu", "quiet": True}
    small = {"policy.forward.n_hidden": 8}
    named = gfc.train("hypergrid", settings={"env.length": 4, **small}, **tiny).sample(12)
    objects = gfc.train(Hypergrid(length=4), GridCorners(4), reward="log_value", settings=small, **tiny)
    made = objects.sample(12)
    for samples in (named, made):
        assert {"x0", "x1", "energy", "log_reward"} <= set(samples.to_frame())
        with pytest.raises(ConfigError, match="place is for samples of crystals"):
            samples.place()


def test_an_interrupt_ends_a_training_early_and_leaves_the_run(monkeypatch):
    advance = Progress.advance

    def interrupted(self, message, steps=1):
        advance(self, message, steps)
        if self.done == 2:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Progress, "advance", interrupted)
    with pytest.warns(UserWarning, match="interrupted after 2 of 4 iterations"):
        run = gfc.train(**SMALL)
    monkeypatch.undo()
    assert len(run.history()) == 2
    assert len(run.sample(5)) == 5


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"env": "crytal"}, "did you mean crystal"),
        ({"proxy": "mpl"}, "unknown proxy 'mpl'"),
        ({"proxy": Density}, r"give an object of it, as Density\(\)"),
        ({"proxy": 3}, "a name or an object of a subclass"),
        ({"settings": {"trainer.learning_rat": 1.0}}, "learning_rat"),
        ({"settings": {"seed": 1}}, "seed is given twice"),
        ({"settings": {"a b": 1}}, "dotted keys"),
        ({"elements": ["Xx"]}, "Xx"),
        ({"iterations": -1}, "iterations"),
        ({"resume": True}, "give folder="),
        ({"reward": "target"}, "reward.target"),
        (
            {"env": "hypergrid", "proxy": "mlp", "elements": None, "space_groups": None, "n_atoms": None},
            "grid_corners",
        ),
    ],
)
def test_faults_are_told_in_one_line(given, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(gfc.GFlowNetCrystalError, match=said) as caught:
        gfc.train(**SMALL | given)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_history_and_repr_tell_the_training(run: gfc.Run, folder: Path):
    assert run.history()["step"].tolist() == [1, 2, 3, 4]
    assert run.folder == folder
    text = repr(run)
    assert "MLPProxy, formation_energy_per_atom (eV/atom)" in text
    assert "4 iterations" in text
    assert "formation_energy_per_atom" in run._repr_html_()
