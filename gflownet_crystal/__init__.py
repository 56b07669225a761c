"""gflownet_crystal samples crystals in proportion to a reward, with GFlowNets."""

from __future__ import annotations

__version__ = "0.1.0"
