"""Training of a sampler: sample, score, evaluate, update."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor

from gflownet_crystal.common.checkpoint import Checkpoint
from gflownet_crystal.envs.base import Context
from gflownet_crystal.gflownet.batch import Batch, Source, draw_batch
from gflownet_crystal.gflownet.evaluated import Evaluated, Target
from gflownet_crystal.gflownet.local_search import LocalSearch
from gflownet_crystal.gflownet.log_probs import sum_by_row
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.gflownet.objectives import Objective
from gflownet_crystal.gflownet.prior import Prior, PriorTerms, check_prior
from gflownet_crystal.gflownet.replay import Replay, Terminals
from gflownet_crystal.gflownet.rollout import sample_forward
from gflownet_crystal.gflownet.steps import in_order, partial_reward
from gflownet_crystal.proxies.reward import Reward
from gflownet_crystal.training.base import Training
from gflownet_crystal.training.distributed import World
from gflownet_crystal.training.optimizer import Optimizer
from gflownet_crystal.training.random_states import stream
from gflownet_crystal.training.samplers.checks import check_objective
from gflownet_crystal.training.samplers.settings import TrainerSettings


class SamplerTraining(Training):
    """Training of a GFlowNet against a reward.

    Args:
        model: environment, policies and log Z, on its device.
        reward: scores objects.
        objective: the loss.
        settings: settings of the training.
        seed: random seed of sampling.
        dataset: objects for backward-sampled trajectories; needed where ``dataset_fraction`` is above 0.
        world: the processes that train together; this one alone if None.
        prior: takes part in the target, and is neither trained nor saved; put in the model's environment, so that
            both have the same masks.

    Raises:
        ConfigError: the objective does not go with the model, the settings, the prior or with the lack of one, or the
            prior is of another layout or the model itself.
    """

    model: GFlowNet
    generator: torch.Generator
    items: ClassVar[str] = "trajectories"
    advice: ClassVar[str] = "lower trainer.learning_rate or set objective.huber"

    def __init__(
        self,
        model: GFlowNet,
        reward: Reward,
        objective: Objective,
        settings: TrainerSettings,
        seed: int = 0,
        dataset: Terminals | None = None,
        world: World | None = None,
        prior: Prior | None = None,
    ) -> None:
        check_prior(model, objective, prior)
        check_objective(objective, model, settings)
        self.world, self.prior = world or World(), prior
        self.model, self.reward, self.objective, self.settings = model, reward, objective, settings
        self.dataset = dataset
        self.partial = partial_reward(model, self._log_reward) if objective.forward_looking else None
        self.steps, self.n_items = settings.iterations, settings.batch_size
        self.generator = stream(seed, self.world.rank, model.device)
        named = list(model.named_parameters())
        policies = [value for name, value in named if not name.startswith("log_z_")]
        groups = [
            {"params": policies, "lr": settings.learning_rate},
            {"params": [model.log_z_weights], "lr": settings.learning_rate_log_z},
        ]
        if model.log_z_network is not None:
            groups.append({"params": list(model.log_z_network.parameters()), "lr": settings.learning_rate})
        adam = torch.optim.Adam(groups, fused=True)
        self.optimizer = Optimizer(model, adam, settings.clip_norm, policies, settings.ema)
        self.replay = self._empty_replay() if settings.n_replay or settings.n_local else None
        self.search = self._local_search() if settings.n_local else None

    def rate_factor(self) -> float:
        return self.settings.schedule.factor(self.done, self.steps)

    def words(self, record: Mapping[str, float]) -> str:
        return f"loss {record['loss']:.4g}, log Z {record['log_z']:.4g}"

    def advance(self) -> dict[str, float]:
        batch = self._draw()
        found = batch.log_probs
        log_pf, log_pb = (sum_by_row(batch.trajectories, terms) for terms in (found.forward, found.backward))
        target, terms = self._target(batch, log_pb, found.backward)
        log_target = target.log_density
        if self.done == 0 and self.settings.init_log_z:
            self._initialise_log_z(batch.trajectories.terminal, (log_target - log_pf).detach())
        steps = None
        if self.objective.needs_flows:
            steps = in_order(self.model, batch.trajectories, found.forward, target, self.partial)
        log_z = self.model.log_z_of(batch.trajectories.terminal)
        evaluated = Evaluated(log_z, log_pf, log_target, batch.new.n, batch.n_data, steps)
        loss = self.objective(evaluated)
        figures = {"loss": loss, "log_z": log_z.mean(), **self._figures(batch)}
        figures |= _prior_figures(batch, log_pf, terms)
        record = self.update(loss + self._backward_loss(log_pb[: batch.new.n]), figures)
        self._remember(batch)
        return record | self._counts(batch)

    def _target(
        self, batch: Batch, log_pb: Tensor, transitions: tuple[Tensor, ...]
    ) -> tuple[Target, PriorTerms | None]:
        """Density that the trajectories are to have, and the part of the prior in it."""
        # the reward is with respect to the reference measure, the policies' densities to the stages' coordinates
        log_reference = self.model.env.log_reference(batch.trajectories.terminal)
        if self.prior is None:
            return Target(batch.log_reward + log_reference, log_pb, transitions), None
        terms = self.prior.terms(batch.trajectories, self.generator)
        return self.prior.target(terms, log_pb, batch.log_reward, log_reference, transitions), terms

    def _log_reward(self, objects: object) -> Tensor:
        return self.reward(objects).log_reward

    def _backward_loss(self, log_pb: Tensor) -> Tensor | float:
        """Fits a learned backward policy to the policy's own trajectories where the loss leaves it free."""
        is_free = self.objective.fits_backward or (self.prior is not None and self.prior.by_trajectory)
        return -log_pb.mean() if is_free and log_pb.requires_grad else 0.0

    def _remember(self, batch: Batch) -> None:
        """Record this iteration's objects, of all processes, for later iterations."""
        history = self.reward.history
        if self.replay is None and history is None:
            return
        found = self.world.gather_context(batch.new)
        if self.replay is not None:
            self.replay.add(found, self.world.gather(batch.scored.log_reward))
            if self.search is not None and self.search.found is not None:
                near, log_reward = self.search.found
                self.replay.add(self.world.gather_context(near), self.world.gather(log_reward))
        if history is not None:
            history.remember(self.model.env.objects(found))

    def _draw(self) -> Batch:
        chosen = self.settings
        sources: list[tuple[Source, int]] = []
        if self.replay is not None and len(self.replay):
            if chosen.n_replay:
                sources.append((self.replay, chosen.n_replay))
            if self.search is not None:
                sources.append((self.search, chosen.n_local))
        if self.dataset is not None and chosen.n_dataset:
            sources.append((self.dataset, chosen.n_dataset))
        n_policy = chosen.batch_size - sum(count for _, count in sources)
        behaviour = chosen.behaviour(self.done)
        batch = draw_batch(self.model, self.reward, n_policy, sources, behaviour, self.generator)
        # the data set is the last source
        return batch if self.dataset is None else replace(batch, n_data=chosen.n_dataset)

    @torch.no_grad()
    def _initialise_log_z(self, terminal: Context, residual: Tensor) -> None:
        """Start log Z at the mean of ``log target - log P_F``, and its network at the change with the conditions."""
        found, weights, network = (
            self.world.gather(residual),
            self.model.log_z_weights,
            self.model.log_z_network,
        )
        weights.fill_(1.0).mul_(found.mean() / len(weights))
        condition = self.world.gather_context(terminal).condition
        if network is not None and condition is not None:
            network.fit(condition, found - found.mean())

    def _figures(self, batch: Batch) -> dict[str, Tensor]:
        scored = batch.scored
        energy, valid = scored.prediction.value, scored.prediction.valid
        return {
            "mean_log_reward": scored.log_reward.mean(),
            "max_log_reward": self.world.gather(scored.log_reward).max(),
            "mean_energy": energy.where(valid, 0.0).sum() / valid.sum(),
        }

    def _counts(self, batch: Batch) -> dict[str, int]:
        """Sums over the processes."""
        counts = [batch.trajectories.n_transitions, batch.scored.n_invalid]
        total = self.world.total(counts, self.device)
        return dict(zip(("n_transitions", "n_invalid"), total, strict=True))

    def state(self) -> tuple[dict[str, dict[str, Tensor]], dict[str, object]]:
        parts, values = super().state()
        if self.replay is not None:
            parts["replay"] = self.replay.state_dict()
        if self.reward.history is not None:
            parts["history"] = self.reward.history.state_dict()
        return parts, values

    def restore(self, checkpoint: Checkpoint) -> str | None:
        note = super().restore(checkpoint)
        if self.replay is not None:
            self.replay.load_state_dict(checkpoint.part("replay"))
        load_history(self.reward, checkpoint)
        return note

    def _empty_replay(self) -> Replay:
        # one trajectory from a generator of its own shows the form of terminal states
        example = sample_forward(self.model, 1, torch.Generator(self.model.device).manual_seed(0))
        chosen = self.settings.replay
        return Replay(example.terminal, chosen.capacity, chosen.keep, chosen.draw, chosen.most_per_kind)

    def _local_search(self) -> LocalSearch:
        assert self.replay is not None
        chosen = self.settings.local_search
        return LocalSearch(self.replay, self.model, self.reward, chosen.back, chosen.rounds, chosen.accept)


def _prior_figures(batch: Batch, log_pf: Tensor, terms: PriorTerms | None) -> dict[str, Tensor]:
    """Means over the trajectories that the policy sampled: divergence from the prior, and the prior's log-density."""
    if terms is None:
        return {}
    n = batch.new.n
    return {
        "kl_from_prior": (log_pf.detach() - terms.log_pf)[:n].mean(),
        "mean_log_prior": terms.log_prior[:n].mean(),
    }


def load_history(reward: Reward, checkpoint: Checkpoint) -> None:
    """Give a reward the history that the training of a checkpoint kept, where it kept one.

    Raises:
        CheckpointError: the checkpoint's part is damaged.
    """
    if reward.history is not None:
        reward.history.load_state_dict(checkpoint.part("history"))
