"""Maximum likelihood of known crystals: trajectories to them are sampled backward, and made likely forward."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import torch
from torch import Tensor

from gflownet_crystal.common.annotations import CheckedFields
from gflownet_crystal.common.bounds import Bounds, Count, NonNegative, Several, Share
from gflownet_crystal.envs.base import Context
from gflownet_crystal.gflownet.likelihood import log_prob, negative_elbo
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.gflownet.rollout import sample_backward
from gflownet_crystal.training.energies.substitution import Substitution
from gflownet_crystal.training.networks import Task
from gflownet_crystal.training.priors.data import PriorSplits

_SEED = 3


@dataclass(frozen=True)
class PriorSettings(CheckedFields):
    """Settings of the task.

    Attributes:
        limit: largest distance of training crystals above the hull of the data's labels, eV/atom; None for all.
        further_until: share of the training after which further crystals play no part; they are taken with a
            probability that falls linearly to zero until then.
        substituted, substituted_final: share of training crystals in which elements are exchanged for similar ones, at
            the start and at the end; see :class:`gflownet_crystal.training.energies.substitution.Substitution`.
        watched: validation crystals of the bound that is watched in training.
        judged: validation crystals of the bound on the card.
        samples: K, backward trajectories a crystal of the bound on the card.
        matching: iterations of each round after the training that matches the sizes of samples to those of the
            crystals; see :mod:`gflownet_crystal.training.priors.matching`.
    """

    place = "task"

    limit: NonNegative | None = 0.1
    further_until: Annotated[float, Bounds(above=0, most=1)] = 0.85
    substituted: Share = 0.45
    substituted_final: Share = 0.15
    watched: Count = 1024
    judged: Count = 2048
    samples: Several = 64
    matching: list[Count] = field(default_factory=lambda: [300, 200])


class PriorTask(Task):
    """Negative log-likelihood of known crystals, nats, by the bound ``E[log P_B(tau | x) - log P_F(tau)]``.

    Densities are with respect to the environment's reference measure. The bound is tight where the backward policy is
    the posterior of the forward policy; the backward policy stays as it is.

    Args:
        model: environment and policies, on its device.
        splits: crystals.
        settings: settings of the task.
    """

    def __init__(self, model: GFlowNet, splits: PriorSplits, settings: PriorSettings) -> None:
        self.model: GFlowNet = model
        self.settings = settings
        self.train = splits.train.terminal
        self.further = splits.train.further
        self.sizes = torch.ones(self.train.n, dtype=torch.int64)
        self.validation = _shuffled(splits.validation.terminal)
        self.substitution = Substitution(model.env.objects(self.train).to("cpu"))

    def losses(self, rows: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """The bound of a batch; further crystals are thinned out as the training goes on."""
        share = 1.0 - self.progress / self.settings.further_until
        kept = ~self.further[rows] | (torch.rand(len(rows), generator=generator) < share)
        # a batch of further crystals only, late in the training, keeps one
        rows = rows[kept] if bool(kept.any()) else rows[:1]
        seed = int(torch.randint(2**62, (1,), generator=generator))
        for policy in (self.model.forward_policy, self.model.backward_policy):
            policy.reseed(seed)
        return {"nll": self._bound(self._with_exchanges(rows, generator), seed)}

    def _with_exchanges(self, rows: Tensor, generator: torch.Generator) -> Context:
        """Crystals of a batch, elements exchanged in some; where that leaves the space, the crystal stays as it is."""
        first, last = self.settings.substituted, self.settings.substituted_final
        chosen = torch.rand(len(rows), generator=generator) < first + (last - first) * self.progress
        device, env = self.model.device, self.model.env
        if not bool(chosen.any()):
            return self.train[rows.to(device)]
        with torch.autocast(device.type, enabled=False):
            specs = env.objects(self.train[rows[chosen].to(device)]).to("cpu")
            exchanged, inside = env.encode(self.substitution(specs, generator).to(device))
        kept = torch.cat([rows[~chosen], rows[chosen][~inside.cpu()]])
        unchanged = self.train[kept.to(device)]
        states = tuple(
            type(one).cat([one, other]) for one, other in zip(unchanged.states, exchanged.states, strict=True)
        )
        return Context(unchanged.n + exchanged.n, device, states)

    def _bound(self, terminal: Context, seed: int) -> Tensor:
        generator = torch.Generator(self.model.device).manual_seed(seed)
        # masks and densities need float32, whatever the products of the network are made in
        with torch.autocast(self.model.device.type, enabled=False):
            trajectories = sample_backward(self.model, terminal, generator)
        return negative_elbo(self.model, trajectories).mean()

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """The bound on some validation crystals and on as many to learn from, one trajectory each."""
        rows = torch.arange(min(self.settings.watched, self.validation.n), device=self.model.device)
        own = (~self.further).nonzero().squeeze(1)[: len(rows)].to(self.model.device)
        pairs = {"val_nll": self.validation[rows], "train_nll": self.train[own]}
        return {name: float(self._bound(terminal, _SEED)) for name, terminal in pairs.items()}

    def figures(self) -> dict[str, float]:
        """The importance-sampled bound with K trajectories on the card's validation crystals, with its error."""
        settings, device = self.settings, self.model.device
        rows = torch.arange(min(settings.judged, self.validation.n), device=device)
        generator = torch.Generator(device).manual_seed(_SEED)
        found = log_prob(self.model, self.validation[rows], settings.samples, generator)
        nll = -found.log_prob
        return {
            "n": float(len(rows)),
            "k": float(settings.samples),
            "val_nll": float(nll.mean()),
            "standard_error": float(nll.std() / len(rows) ** 0.5),
            "of_the_estimate": float(found.std_error.square().mean().sqrt() / len(rows) ** 0.5),
        }


def _shuffled(terminal: Context) -> Context:
    order = torch.randperm(terminal.n, generator=torch.Generator().manual_seed(1))
    return terminal[order.to(terminal.device)]
