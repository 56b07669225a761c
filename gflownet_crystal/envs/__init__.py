"""Environments: the spaces that are sampled, built step by step."""

from __future__ import annotations

from gflownet_crystal.common.imports import refuse_bare_import
from gflownet_crystal.envs.base import Env, Stage

__all__ = ["Env", "Stage"]

refuse_bare_import(__name__)
