"""Former place of :mod:`gflownet_crystal.training.generators.trained`; imports from here keep working."""

from __future__ import annotations

from gflownet_crystal.training.generators.trained import TrainedGenerator
from gflownet_crystal.training.networks import Task

__all__ = ["Task", "TrainedGenerator"]
