"""Old location of :mod:`gflownet_crystal.config.compose`; imports from here keep working."""

from __future__ import annotations

from gflownet_crystal.config.compose import compose_config, resolved

__all__ = ["compose_config", "resolved"]
