"""Run folders of trainings: resumable training, and the entries of cards that all networks have."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from torch import nn

from gflownet_crystal.common.arguments import settings_from
from gflownet_crystal.common.checkpoint import TrainingStopped, latest
from gflownet_crystal.common.commands import setting_word
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.files import write_text
from gflownet_crystal.common.interrupt import stop_on_signal
from gflownet_crystal.common.metrics import read_metrics
from gflownet_crystal.common.run_schema import CONFIG
from gflownet_crystal.models.registry import network_entry
from gflownet_crystal.training.distributed import World
from gflownet_crystal.training.engine import METRICS, Engine, SomeTraining
from gflownet_crystal.training.networks import NetworkTraining, Task
from gflownet_crystal.weights import fitting_card, load_weights
from gflownet_crystal.workflows.settings.training import AtomsSettings, NetworkChoice, NetworkSettings

_DISPLACEMENTS = "network.displacements."
"""Beginning of the names of a denoiser's heads for displacements."""


@dataclass(frozen=True)
class TrainingRun:
    """A training in a folder that this process holds.

    Attributes:
        folder: run folder.
        verb: verb of the training.
        config: text of the configuration that is stored there.
        command: command of the training as cards have it, without folders.
        trust_word: further word of the command that goes on with it: `` trust=true``, or nothing.
        quiet: whether to show no progress.
        world: processes that train together.
    """

    folder: Path
    verb: str
    config: str
    command: str
    trust_word: str = ""
    quiet: bool = False
    world: World = field(default_factory=World)

    def write_config(self) -> None:
        """Store the configuration.

        Raises:
            DataError: the folder cannot be written.
        """
        write_text(self.folder / CONFIG, self.config)

    def train(self, training: SomeTraining, checkpoint_every: int | None) -> Engine[SomeTraining]:
        """Take all steps of a training, from the newest checkpoint of the folder if it has one.

        Args:
            training: training before its first step.
            checkpoint_every: steps between checkpoints; None for a hundredth of all steps.

        Raises:
            CheckpointError: the folder's checkpoints are damaged, or of another training.
            TrainingError: the loss or its gradient is not finite.
            TrainingStopped: the user interrupted; the text says how to go on.
        """
        engine = Engine(training, self.folder, checkpoint_every, self.quiet)
        note = engine.restore(latest(self.folder))
        # nothing is written before every process has read the folder
        self.world.wait()
        if self.world.is_main:
            warn(note)
            self.write_config()
        with self.stoppable() as should_stop:
            engine.train(should_stop)
        return engine

    @contextmanager
    def stoppable(self) -> Iterator[Callable[[], bool]]:
        """Let a training ask whether to stop; if it does, say how to go on.

        Raises:
            TrainingStopped: the training stopped.
        """
        try:
            with stop_on_signal() as should_stop:
                yield should_stop
        except TrainingStopped as stop:
            raise TrainingStopped(
                f"{stop}, a checkpoint is in {self.folder}; go on with: gflownet-crystal {self.verb} "
                f"{setting_word('run.dir', self.folder)} resume=true{self.trust_word}"
            ) from stop

    def train_network(self, task: Task, settings: NetworkSettings) -> Engine[NetworkTraining]:
        """Train, or go on training; the task's model then has its averaged weights.

        Raises:
            TrainingStopped: the user interrupted; the text says how to go on.
        """
        training = NetworkTraining(task, settings.loop, settings.seed, self.world)
        engine = self.train(training, settings.loop.checkpoint_every)
        training.finish()
        return engine

    def card(
        self, settings: NetworkSettings, engine: Engine[NetworkTraining], network: Mapping[str, object]
    ) -> dict[str, object]:
        """Entries of the card of any training: network, loop, seed, data, command, and cost.

        Args:
            settings: settings of the training.
            engine: engine of the finished training.
            network: its name and its settings.
        """
        training = engine.training
        return {
            "network": dict(network),
            "parameters": sum(value.numel() for value in training.optimizer.named.values()),
            "settings": asdict(settings.loop),
            "seed": settings.seed,
            **({"max_atoms": settings.max_atoms} if isinstance(settings, AtomsSettings) else {}),
            "structures": len(training.task.sizes),
            "samples_seen": training.samples,
            "training_seconds": round(training.seconds),
            "data": [path.name for path in settings.data],
            "command": self.command,
        }


def begin_with(
    module: nn.Module, start: Path, kind: str, model: NetworkChoice, apart: tuple[str, ...] = ()
) -> Mapping[str, object]:
    """Give a network the weights that a training starts from.

    Heads for displacements that the network does not have are left out: a denoiser of atoms can start one of lattices.

    Args:
        module: network that is to be trained.
        start: name of shipped weights, or a ``.safetensors`` file.
        kind: kind of the weights.
        model: name and settings of the network.
        apart: beginnings of the names of tensors that are not the network's.

    Returns:
        The card of the weights.

    Raises:
        ConfigError: they are of another network.
        WeightsError: they are missing, corrupt or of another kind, or do not fit their card.
    """
    tensors, card = load_weights(start, kind)
    name, stored = card["network"]["name"], card["network"]["settings"]
    entry = network_entry(name).settings
    headless = model.settings.get("displacement") is False
    if headless:
        stored = {**stored, "displacement": False}
    if name != model.name or settings_from(entry, stored) != settings_from(entry, model.settings):
        raise ConfigError(
            f"start={start} holds a network {name} of other settings: give model={name} and the settings of its card"
        )
    left_out = (*apart, _DISPLACEMENTS) if headless else apart
    with fitting_card(start):
        module.load_state_dict({key: value for key, value in tensors.items() if not key.startswith(left_out)})
    return card


def start_entry(card: Mapping[str, object]) -> dict[str, object]:
    """Entries of the card of the weights that a training started from, as the new card repeats them.

    If that training started from weights too, their entry is in ``start``, and so on: the new card has the whole way.
    """
    entry = {key: card.get(key) for key in ("command", "samples_seen", "training_seconds", "sha256")}
    return {**entry, "start": card["start"]} if "start" in card else entry


def warn(note: str | None) -> None:
    """Write a warning to standard error, if there is one."""
    if note is not None:
        sys.stderr.write(f"warning: {note}\n")


def validation_figures(engine: Engine[NetworkTraining], *names: str) -> list[dict[str, float]]:
    """Figures of all validations of a run by name, in order.

    Args:
        engine: engine of the finished training.
        names: names of the figures; none for all.
    """
    records = [
        record["validation"] for record in read_metrics(engine.run_dir / METRICS) if "validation" in record
    ]
    return [{name: record[name] for name in names or record if name in record} for record in records]


def still_falling(curve: Sequence[float]) -> bool:
    """Whether the last figure is the lowest."""
    return len(curve) > 1 and curve[-1] < min(curve[:-1])
