"""Former place of :mod:`gflownet_crystal.workflows.sampling.samples`; imports from here keep working."""

from __future__ import annotations

from gflownet_crystal.workflows.sampling.samples import draw_samples, write_samples

__all__ = ["draw_samples", "write_samples"]
