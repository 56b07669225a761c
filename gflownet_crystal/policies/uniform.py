"""The uniform policy: all allowed actions have equal probability; no parameters to learn."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gflownet_crystal.policies.base import Columns, Policy, StageShape


class UniformPolicy(Policy):
    """Equal probabilities for allowed actions; in continuous stages, uniform jumps.

    Flags of continuous stages keep the probability that the mixture settings give them before training. Backward, a
    forward policy must make every chain of jumps that these flags allow, most of which it never meets in training:
    an ``initial_back_to_source`` near 1 leaves it only those that it does meet.
    """

    is_constant = True

    def __init__(self, shapes: Sequence[StageShape]) -> None:
        super().__init__(shapes)
        for stage, shape in enumerate(self.shapes):
            # a jump's first parameter is the logit of its flag; categorical heads start at zero
            bias = torch.zeros_like(shape.initial_bias)
            bias[0] = shape.initial_bias[0]
            self.register_buffer(f"bias_{stage}", bias, persistent=False)

    def forward(self, stage: int, features: Tensor) -> Tensor:
        return self.some(stage, features, Columns())

    def some(self, stage: int, features: Tensor, columns: Columns) -> Tensor:
        bias: Tensor = self.get_buffer(f"bias_{stage}")
        chosen = bias if columns.outputs is None else bias[columns.outputs]
        return chosen.expand(len(features), -1)
