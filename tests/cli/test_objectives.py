"""Each objective by its name on the command line: trained and sampled from, or refused in one line."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from gflownet_crystal.cli.main import main
from gflownet_crystal.common.checkpoint import newest_checkpoint
from gflownet_crystal.config.groups import PACKAGE_CONFIG

TINY = (
    "env=hypergrid", "env.length=4", "trainer.iterations=2", "trainer.batch_size=8", "policy=mlp", "samples.n=8",
    "policy.forward.n_hidden=8", "policy.backward.n_hidden=8", "threads=1", "quiet=true",
)  # fmt: skip
NEEDED = {
    "policy_gradient": ["trainer.exploration=0"],
    "maximum_likelihood": ["trainer.dataset_fraction=0.5", "dataset.path=data.csv"],
}
NAMES = sorted(path.stem for path in (PACKAGE_CONFIG / "objective").glob("*.yaml"))


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("relative")])
def test_a_grid_is_trained_and_sampled(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pd.DataFrame({"x0": [0, 3, 3], "x1": [1, 3, 3]}).to_csv("data.csv", index=False)
    words = [*TINY, f"objective={name}", *NEEDED.get(name, []), "run.dir=run"]
    assert main(["train_gfn", *words]) == 0
    assert main(["sample", "run=run", "n=5", "out=drawn.csv", "threads=1"]) == 0
    assert len(pd.read_csv("drawn.csv")) == 5
    checkpoint, _ = newest_checkpoint(Path("run"))
    assert checkpoint is not None
    has_flows = any(key.startswith("model/flow.") for key in checkpoint.tensors)
    assert has_flows == (
        name in ("detailed_balance", "subtrajectory_balance", "forward_looking", "policy_gradient")
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["objective=policy_gradient", "trainer.exploration=0.1"], "trainer.exploration 0.1"),
        (["objective=maximum_likelihood"], "dataset.path=FILE"),
        (["objective=subtrajectory_balance", "objective.subtb_lambda=0"], "subtb_lambda"),
        (["objective=policy_gradient", "objective.gae_lambda=2"], "gae_lambda"),
    ],
)
def test_settings_that_do_not_fit_are_told_in_one_line(
    words: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train_gfn", *TINY, *words, f"run.dir={tmp_path}/run"]) == 2
    line = capsys.readouterr().err.strip()
    assert told in line and "\n" not in line


def test_flows_are_new_where_the_policies_come_from_a_prior(tmp_path: Path) -> None:
    words = [
        "env=crystal",
        "env.elements=[Li,O]",
        "env.space_groups=[225]",
        "proxy=density",
        "reward=boltzmann",
    ]
    small = ["reward.beta=0.1", "trainer.iterations=1", "trainer.batch_size=4", "samples.n=4", "export.k=0"]
    words += [*small, "objective=subtrajectory_balance", "threads=1", "quiet=true"]
    assert main(["train_gfn", *words, f"run.dir={tmp_path}/first"]) == 0
    # and a run with flows is a place to start from for one without
    words[words.index("objective=subtrajectory_balance")] = "objective=relative_trajectory_balance"
    assert main(["train_gfn", *words, f"start={tmp_path}/first", f"run.dir={tmp_path}/second"]) == 0
