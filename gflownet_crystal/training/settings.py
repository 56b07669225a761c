"""Settings of a training of networks on atoms, checked when they are read."""

from __future__ import annotations

from dataclasses import dataclass

from gflownet_crystal.common.annotations import fit_fields
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.training.schedule import cosine


@dataclass(frozen=True)
class LoopSettings:
    """Settings of the training loop.

    Attributes:
        epochs: passes over the data; none leaves the weights as they are.
        atoms: approximate maximum number of atoms of a batch.
        learning_rate: peak learning rate of AdamW.
        weight_decay: weight decay of matrices.
        warm_up: share of the training over which the rate first rises linearly.
        final_factor: final learning rate of the cosine schedule, as a fraction of the peak.
        clip_norm: largest gradient norm.
        ema: decay of the averaged weights that are validated and written.
        half: bfloat16 for matrix products in training.
        compile: compile the hot parts of a network that names some (ALIGNN), in seconds, else the whole of it, which
            takes minutes and is for a GPU.
        checkpoint_every: steps.
        validate_every: epochs.

    Raises:
        ConfigError: a number is out of range.
    """

    epochs: int = 20
    atoms: int = 512
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    warm_up: float = 0.05
    final_factor: float = 1e-3
    clip_norm: float = 1.0
    ema: float = 0.998
    half: bool = True
    compile: bool = False
    checkpoint_every: int = 500
    validate_every: int = 1

    def __post_init__(self) -> None:
        """Check ranges."""
        fit_fields(self, "loop")
        whole = {"epochs": self.epochs, "atoms": self.atoms, "checkpoint_every": self.checkpoint_every,
                 "validate_every": self.validate_every}  # fmt: skip
        for name, value in whole.items():
            least = 0 if name == "epochs" else 1
            if value < least:
                raise ConfigError(f"loop.{name} must be at least {least}, not {value}")
        for name, share in {"warm_up": self.warm_up, "ema": self.ema}.items():
            if not 0.0 <= share < 1.0:
                raise ConfigError(f"loop.{name} must be at least 0 and below 1, not {share}")
        if min(self.weight_decay, self.final_factor) < 0.0:
            raise ConfigError(
                f"loop.weight_decay and loop.final_factor must be 0 or more, not {self.weight_decay} and "
                f"{self.final_factor}"
            )
        if not (self.learning_rate > 0.0 and self.clip_norm > 0.0):
            raise ConfigError(
                f"loop.learning_rate and loop.clip_norm must be positive, not {self.learning_rate} and {self.clip_norm}"
            )

    def rate_factor(self, progress: float) -> float:
        """Factor on the learning rate after a share ``progress`` of the training, 0 to 1."""
        if progress < self.warm_up:
            return progress / self.warm_up
        return cosine((progress - self.warm_up) / (1.0 - self.warm_up), self.final_factor)
