"""Hydra configuration groups, one folder each: YAML files beside this one."""

from __future__ import annotations

from gflownet_crystal.common.imports import refuse_bare_import

refuse_bare_import(__name__)
