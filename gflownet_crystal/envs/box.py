"""A continuous box: the jump machinery on its own, whose density can be integrated (Lahlou et al. 2023)."""

from __future__ import annotations

import torch
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.envs.base import Context, Env
from gflownet_crystal.envs.lattice.jumps import JumpStage, JumpState


class BoxStage(JumpStage):
    """All dimensions free."""

    def free_dimensions(self, context: Context) -> Tensor:
        return torch.ones(context.n, self.dimensions, dtype=torch.bool, device=context.device)


class Box(Env[Tensor]):
    """The unit box; objects are (n, d) float64 points. Reference measure: Lebesgue.

    Args:
        n_dimensions: d, at least 1.
        minimum_increment: minimum increment of the jumps after the first.

    Raises:
        ConfigError: sizes out of range.
    """

    produces = "box"

    def __init__(self, n_dimensions: int = 2, minimum_increment: float = 0.1) -> None:
        if n_dimensions < 1:
            raise ConfigError(f"a box needs n_dimensions >= 1, not {n_dimensions}")
        self.box = BoxStage("box", n_dimensions, minimum_increment)
        self.stages = (self.box,)

    def objects(self, terminal: Context) -> Tensor:
        return terminal.of(JumpState).position

    def encode(self, objects: Tensor) -> tuple[Context, Tensor]:
        inside = ((objects > 0.0) & (objects < 1.0)).all(dim=1)
        points = objects[inside].double()
        empty = Context(len(points), points.device)
        return empty.extended(self.box.terminal(points, empty)), inside
