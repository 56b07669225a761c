"""Policies: from the features of a state to a distribution over its allowed actions."""

from __future__ import annotations

from gflownet_crystal.common.imports import refuse_bare_import
from gflownet_crystal.policies.base import MixtureSettings, Policy, StageShape
from gflownet_crystal.policies.distributions import Behaviour
from gflownet_crystal.policies.mlp import MLPPolicy
from gflownet_crystal.policies.residual import ResidualPolicy
from gflownet_crystal.policies.uniform import UniformPolicy

__all__ = [
    "Behaviour",
    "MLPPolicy",
    "MixtureSettings",
    "Policy",
    "ResidualPolicy",
    "StageShape",
    "UniformPolicy",
]

refuse_bare_import(__name__)
