"""Long trainings that bring shipped weights nearer to published figures, one after the other, each in a run folder.

    OMP_NUM_THREADS=1 nice -n 19 python -m benchmarks.campaign out=DIR tables=DIR [show=none] [only=NAME,NAME]

Trains the items of a list in their order, from the first one whose weights are not in ``out``; a training that was
stopped goes on with its newest checkpoint. ``out`` has a run folder an item and stands outside the repository;
``tables`` is the folder of the crystals, mp20.parquet, mp_other.parquet, strained_chgnet.parquet and, for one item,
substituted_l3i5.parquet. ``only`` leaves the other items out. ``show=plan`` prints the commands of unfinished items,
and ``show=status`` the progress and the figures of all; neither trains. Weights are copied into the package by hand,
where they are better on validation.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.options import names, read_options, run
from gflownet_crystal.cli.main import main as run_verb
from gflownet_crystal.common.checkpoint import newest_checkpoint
from gflownet_crystal.common.errors import DataError, unknown
from gflownet_crystal.common.files import read_json
from gflownet_crystal.common.metrics import read_metrics

_MP20 = "data={tables}/mp20.parquet"
_KNOWN = "{tables}/mp20.parquet,{tables}/mp_other.parquet"
_BOTH = f"data=[{_KNOWN}]"
_DENOISER = ("train_denoiser", "loop.atoms=256", "threads=1", "quiet=true")
_WITH_STRAINED = f"{_KNOWN},{{tables}}/strained_chgnet.parquet"
_STRAINED = (f"data=[{_WITH_STRAINED}]", "strained=0.3")
_SUBSTITUTED = (f"data=[{_WITH_STRAINED},{{tables}}/substituted_l3i5.parquet]", "strained=0.3")
_ENERGY = ("train_energy", "loop.learning_rate=5e-4", "threads=1", "quiet=true")
_GENERATOR = ("train_generator", _MP20, "threads=1", "quiet=true")
_THREE_PASSES = (*_DENOISER, "model=gemsnet", "model.settings.graph.neighbours=12", "model.passes=3",
                 "loop.checkpoint_every=100")  # fmt: skip
_GEMSNET = (*_THREE_PASSES, "denoising.position_weight=3")
_LATTICE = (*_THREE_PASSES, "task=lattice")
_NEW_FORMULAS = "validation_formulas_not_in_mp20_train.mae"


@dataclass(frozen=True)
class Item:
    """A training of the list.

    Attributes:
        name: name of the item and of its folder.
        words: verb and settings, with {tables} and {out} for folders.
        goals: figures of the card's validation, by their keys with dots, that are to be reached from above.
    """

    name: str
    words: tuple[str, ...]
    goals: Mapping[str, float] = field(default_factory=dict)

    def command(self, out: Path, tables: Path) -> list[str]:
        """The verb and its settings, which go on with a checkpoint if there is one."""
        folder = out / self.name
        words = [word.format(tables=tables, out=out) for word in (*self.words, "run.dir={out}/" + self.name)]
        return [*words, "resume=true"] if newest_checkpoint(folder)[0] is not None else words

    def weights(self, out: Path) -> Path:
        """The weights, once the training has ended."""
        return out / self.name / "weights.safetensors"


# the authors' code draws noise that moves no crystal as a whole, which pos_centred leaves out
_PAPER_GEMSNET = {"lengths": 0.206, "angles": 3.966, "pos_centred": 0.034}
_PAPER_LATTICE = {"lengths": 0.130, "angles": 3.082}
_PAPER_EGNN = {"lengths": 0.345, "angles": 4.394, "pos_centred": 0.039}
ITEMS = (
    # more crystals first, then those of the validation's kind at a lower rate, with more weight on lengths
    Item("denoiser_gemsnet",
         (*_GEMSNET, _BOTH, "start=denoiser_gemsnet", "denoising.clean_share=0.2", "denoising.length_weight=3",
          "loop.learning_rate=1e-3", "loop.epochs=12"), _PAPER_GEMSNET),
    Item("denoiser_gemsnet_mp20",
         (*_GEMSNET, _MP20, "start={out}/denoiser_gemsnet/weights.safetensors", "denoising.clean_share=0.1",
          "denoising.length_weight=6", "loop.learning_rate=7e-4", "loop.epochs=12", "seed=1"), _PAPER_GEMSNET),
    Item("lattice_first",
         (*_LATTICE, _MP20, "start=denoiser_gemsnet", "denoising.length_weight=10", "loop.learning_rate=1e-3",
          "loop.epochs=8"), _PAPER_LATTICE),
    Item("lattice_both",
         (*_LATTICE, _BOTH, "start={out}/lattice_first/weights.safetensors", "denoising.length_weight=20",
          "loop.learning_rate=1e-3", "loop.epochs=6", "seed=1"), _PAPER_LATTICE),
    Item("lattice_mp20",
         (*_LATTICE, _MP20, "start={out}/lattice_both/weights.safetensors", "denoising.length_weight=20",
          "loop.learning_rate=5e-4", "loop.epochs=9", "seed=2"), _PAPER_LATTICE),
    Item("lattice_last",
         (*_LATTICE, _MP20, "start={out}/lattice_mp20/weights.safetensors", "denoising.length_weight=20",
          "loop.learning_rate=8e-4", "loop.epochs=8", "seed=3"), _PAPER_LATTICE),
    Item("alignn", (*_ENERGY, *_STRAINED, "start=alignn", "max_atoms=36", "loop.epochs=8"), {_NEW_FORMULAS: 0.030}),
    Item("gemsnet", (*_ENERGY, *_STRAINED, "model=gemsnet", "start=gemsnet", "max_atoms=20", "loop.epochs=8"),
         {_NEW_FORMULAS: 0.030}),
    Item("gemsnet_mp20",
         (*_ENERGY, _MP20, "model=gemsnet", "start={out}/gemsnet/weights.safetensors", "max_atoms=32",
          "loop.epochs=4"), {_NEW_FORMULAS: 0.030}),
    # labelled by a potential, for crystals that are not stable; docs/atoms.md has the commands that make the file
    Item("gemsnet_substituted",
         (*_ENERGY, *_SUBSTITUTED, "model=gemsnet", "start={out}/gemsnet_mp20/weights.safetensors", "max_atoms=20",
          "loop.epochs=6"), {_NEW_FORMULAS: 0.030}),
    Item("gemsdiff_paper", (*_GENERATOR, "generator=gemsdiff_paper", "loop.epochs=60")),
    Item("langevin_paper", (*_GENERATOR, "generator=langevin_paper", "loop.epochs=200")),
    Item("denoiser_egnn",
         (*_DENOISER, _MP20, "model=egnn", "start=denoiser_egnn", "loop.learning_rate=5e-4", "loop.epochs=60"),
         _PAPER_EGNN),
)  # fmt: skip
"""Trainings in their order; the figures of generators are measured by ``benchmarks.structure_prediction``."""


def progress(item: Item, out: Path) -> str:
    """State of an item and its last figures beside the goals."""
    weights = item.weights(out)
    if weights.is_file():
        card = read_json(weights.with_suffix(".json"))
        hours, found = card["training_seconds"] / 3600, card["validation"]
        state = f"finished: {card['samples_seen']} crystals seen in {hours:.2f} h"
    elif newest_checkpoint(out / item.name)[0] is None:
        return "not begun"
    else:
        records = read_metrics(out / item.name / "metrics.jsonl")
        found = next((one["validation"] for one in reversed(records) if "validation" in one), {})
        state = f"at step {records[-1]['step']}" if records else "begun"
    figures = [f"{key} {_entry(found, key)} (goal {goal:g})" for key, goal in item.goals.items()]
    return "; ".join([state, *figures])


def _entry(found: Any, key: str) -> str:
    for part in key.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return f"{found:.4g}" if isinstance(found, float) else "unknown yet"


def main(arguments: list[str]) -> None:
    """Show, or train the next items."""
    options = read_options(__doc__, {"show": "none", "only": ""}, arguments, required=["out", "tables"])
    out, tables = Path(options["out"]).absolute(), Path(options["tables"]).absolute()
    if options["show"] not in ("none", "plan", "status"):
        raise unknown("show", options["show"], ("none", "plan", "status"))
    only = names(options, "only", [item.name for item in ITEMS])
    items = [item for item in ITEMS if not only or item.name in only]
    if options["show"] == "status":
        for item in items:
            print(f"{item.name}: {progress(item, out)}")
        return
    for item in items:
        if item.weights(out).is_file():
            continue
        words = item.command(out, tables)
        print(f"gflownet-crystal {shlex.join(words)}", flush=True)
        if options["show"] == "none" and run_verb(words):
            raise DataError(
                f"{item.name} has not ended; the line above says why, and the same command goes on"
            )


if __name__ == "__main__":
    run(main)
