"""Proxies: predictors of the property that the reward is made of."""

from __future__ import annotations

from gflownet_crystal.common.imports import refuse_bare_import
from gflownet_crystal.proxies.base import Prediction, Proxy
from gflownet_crystal.proxies.reward import Boltzmann, LogValue, Reward, RewardFunction, Target

__all__ = ["Boltzmann", "LogValue", "Prediction", "Proxy", "Reward", "RewardFunction", "Target"]

refuse_bare_import(__name__)
