"""Checks for classes of your own: faults of an environment, a policy, a proxy or a generator, in words."""

from __future__ import annotations

from gflownet_crystal.testing.env import check_env
from gflownet_crystal.testing.generator import check_generator
from gflownet_crystal.testing.policy import check_policy
from gflownet_crystal.testing.proxy import check_proxy

__all__ = ["check_env", "check_generator", "check_policy", "check_proxy"]
