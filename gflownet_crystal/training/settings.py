"""Settings of a training of networks on atoms, checked when they are read."""

from __future__ import annotations

from dataclasses import dataclass

from gflownet_crystal.common.annotations import CheckedFields
from gflownet_crystal.common.bounds import Count, NonNegative, Positive, ShareBelowOne, Whole
from gflownet_crystal.training.schedule import cosine


@dataclass(frozen=True)
class LoopSettings(CheckedFields):
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
    """

    place = "loop"

    epochs: Whole = 20
    atoms: Count = 512
    learning_rate: Positive = 2e-3
    weight_decay: NonNegative = 1e-2
    warm_up: ShareBelowOne = 0.05
    final_factor: NonNegative = 1e-3
    clip_norm: Positive = 1.0
    ema: ShareBelowOne = 0.998
    half: bool = True
    compile: bool = False
    checkpoint_every: Count = 500
    validate_every: Count = 1

    def rate_factor(self, progress: float) -> float:
        """Factor on the learning rate after a share ``progress`` of the training, 0 to 1."""
        return cosine(progress, self.final_factor, self.warm_up)
