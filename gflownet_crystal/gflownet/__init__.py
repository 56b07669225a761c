"""GFlowNets: rollouts, objectives, replay and training over any environment; nothing here knows a crystal."""

from __future__ import annotations
