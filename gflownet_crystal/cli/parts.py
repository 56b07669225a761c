"""Former place of :mod:`gflownet_crystal.config.parts`; imports from here keep working."""

from __future__ import annotations

from gflownet_crystal.config.parts import Parts, build_parts

__all__ = ["Parts", "build_parts"]
