"""The campaign of long trainings: its commands are ones of the verbs, it goes on, and it tells how far it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import campaign
from benchmarks.campaign import ITEMS, Item, main
from gflownet_crystal.config.compose import compose_config
from tests.data.crystals import stored_frame

TINY = ("train_denoiser", "data={tables}/known.parquet", "model=egnn", "model.settings.features=8",
        "model.settings.hidden=8", "model.settings.n_layers=1", "model.settings.n_message_layers=1",
        "loop.atoms=60", "loop.checkpoint_every=1", "threads=1", "quiet=true")  # fmt: skip


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.name)
def test_commands_are_ones_of_the_verbs(item: Item, tmp_path: Path) -> None:
    verb, *words = item.command(tmp_path, tmp_path)
    config = compose_config(verb, words)
    assert config.run.dir == str(tmp_path / item.name) and config.threads == 1 and not config.resume


def test_a_stopped_campaign_goes_on_with_the_unfinished_item_and_its_successors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stored_frame().assign(mp20_split=["val", *["train"] * (len(stored_frame()) - 1)]).to_parquet(
        tmp_path / "known.parquet"
    )
    first = Item("first", (*TINY, "loop.epochs=2"), {"lengths": 0.2})
    second = Item("second", (*TINY, "loop.epochs=1", "start={out}/first/weights.safetensors"))
    monkeypatch.setattr(campaign, "ITEMS", (first, second))
    out = tmp_path / "out"
    where = [f"out={out}", f"tables={tmp_path}"]
    main([*where, "only=first"])
    (out / "first" / "weights.safetensors").unlink()
    max((out / "first" / "checkpoints").glob("*.safetensors")).unlink()
    capsys.readouterr()
    main([*where, "show=status"])
    assert capsys.readouterr().out.splitlines()[0].startswith("first: at step 2; lengths ")
    main([*where, "show=plan"])
    unfinished, following = capsys.readouterr().out.splitlines()
    assert unfinished.endswith("resume=true") and "start=" in following and "resume" not in following
    main(where)
    main(where)
    # the second call had nothing left to train
    assert capsys.readouterr().out.count("gflownet-crystal train_denoiser") == 2
    main([*where, "show=status"])
    told = capsys.readouterr().out.splitlines()
    assert all(" finished: " in line for line in told) and "(goal 0.2)" in told[0]
