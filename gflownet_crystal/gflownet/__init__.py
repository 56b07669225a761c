"""GFlowNets: rollouts, objectives, replay and training. Knows environments, policies and proxies; nothing of crystals."""

from __future__ import annotations
