"""Whether an objective goes with the other parts of a training."""

from __future__ import annotations

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.gflownet.objectives import Objective
from gflownet_crystal.training.samplers.settings import TrainerSettings


def check_objective(objective: Objective, model: GFlowNet, settings: TrainerSettings) -> None:
    """Check that an objective fits the model and the settings.

    Raises:
        ConfigError: flows, data or on-policy trajectories are missing, or the objective does not support conditions.
    """
    name = type(objective).__name__
    if objective.needs_flows and model.flow is None:
        raise ConfigError(
            f"objective {name} needs flows through states: make the model with flow=, such as the factory of its "
            "forward policy, or choose objective=trajectory_balance"
        )
    if objective.needs_data and not settings.n_dataset:
        raise ConfigError(
            f"objective {name} learns from objects of a data set: give dataset.path=FILE and a "
            "trainer.dataset_fraction above 0"
        )
    if model.conditions is not None and (not objective.takes_conditions or objective.forward_looking):
        raise ConfigError(
            f"objective {name} knows no conditions: leave out condition.{next(iter(model.conditions.ranges))}, or "
            "choose objective=trajectory_balance"
        )
    ranked = [
        key for key, value in (("keep", "best"), ("draw", "rank")) if getattr(settings.replay, key) == value
    ]
    if model.conditions is not None and (settings.n_replay or settings.n_local) and ranked:
        raise ConfigError(
            f"trainer.replay.{ranked[0]} compares rewards, which are those of different conditions here: give "
            "trainer.replay.keep=recent trainer.replay.draw=uniform"
        )
    if not objective.on_policy:
        return
    given = {
        "exploration": max(settings.exploration, settings.exploration_final),
        "replay_fraction": settings.replay_fraction,
        "dataset_fraction": settings.dataset_fraction,
        "local_search.fraction": settings.local_search.fraction,
    }
    wrong = {key: value for key, value in given.items() if value > 0.0}
    if {settings.temperature, settings.temperature_final} != {1.0}:
        wrong["temperature"] = settings.temperature
    if wrong:
        found = ", ".join(f"trainer.{key} {value}" for key, value in wrong.items())
        raise ConfigError(
            f"objective {name} learns from trajectories of the policy as it is, not with {found}: set exploration, "
            "replay_fraction and dataset_fraction to 0 and temperatures to 1, or choose objective=trajectory_balance"
        )
