"""Sizes of a prior's samples, matched to those of known crystals.

Maximum likelihood learns each choice from the states of known crystals. A sampler also comes to other states, as four
elements that do not balance, and adds a fifth one more often than known crystals have one. The sizes of its samples are
matched by a short training towards ``prior(x) r(x) / Z`` by relative trajectory balance (Venkatraman et al. 2024);
r is the share of known crystals of the size of x over that of the prior's own samples. Only the choice of compositions
learns, so that groups and cells stay as they are.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from gflownet_crystal.common.progress import Progress
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.gflownet.objectives import RelativeTrajectoryBalance
from gflownet_crystal.gflownet.prior import Prior
from gflownet_crystal.gflownet.rollout import sample_terminal
from gflownet_crystal.proxies.base import Proxy
from gflownet_crystal.proxies.reward import LogValue, Reward
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.training.samplers.settings import TrainerSettings
from gflownet_crystal.training.samplers.training import SamplerTraining

_ATOMS, _MOST_ATOMS, _MOST_ELEMENTS = 4, 400, 9
_LEAST, _LARGEST = 0.05, 20.0
_DRAWN, _BATCH = 20_000, 2_000
_LEARNING_RATE = 2e-4


class SizeRatio(Proxy):
    """Share of known crystals of the size of a spec over that of drawn ones; sizes are numbers of elements and atoms.

    Atoms in the conventional cell are counted in fours, and each share has one crystal more, so that no ratio is 0 or
    infinite; ratios lie between 0.05 and 20.

    Args:
        known: known crystals.
        drawn: samples.
    """

    property_name = "share_of_known_over_share_of_drawn"
    unit = ""

    def __init__(self, known: CrystalSpec, drawn: CrystalSpec) -> None:
        shares = [self._counts(specs) / len(specs) for specs in (known, drawn)]
        self.ratio = (shares[0] / shares[1]).clamp(_LEAST, _LARGEST)

    def predict(self, batch: CrystalSpec) -> Tensor:
        return self.ratio.to(batch.space_group.device)[_sizes(batch)]

    def _counts(self, specs: CrystalSpec) -> Tensor:
        n = _MOST_ELEMENTS * (_MOST_ATOMS // _ATOMS)
        return 1.0 + torch.bincount(_sizes(specs).cpu(), minlength=n).double()


def _sizes(specs: CrystalSpec) -> Tensor:
    """(n,) int64 number of the size of each spec."""
    elements = (specs.composition > 0).sum(dim=1).clamp(max=_MOST_ELEMENTS - 1)
    atoms = ((specs.n_atoms - 1) // _ATOMS).clamp(max=_MOST_ATOMS // _ATOMS - 1)
    return elements * (_MOST_ATOMS // _ATOMS) + atoms


def match_sizes(
    model: GFlowNet, known: CrystalSpec, iterations: int, seed: int = 0, quiet: bool = False
) -> None:
    """Train a prior towards the sizes of known crystals.

    Args:
        model: the prior, of an environment with compositions; its weights change.
        known: known crystals.
        iterations: number of updates, of 384 trajectories each.
        seed: random seed of all draws.
        quiet: show no progress.
    """
    generator = torch.Generator(model.device).manual_seed(seed)
    with torch.no_grad():
        parts = [
            model.env.objects(sample_terminal(model, _BATCH, generator)) for _ in range(_DRAWN // _BATCH)
        ]
    reward = Reward(SizeRatio(known, CrystalSpec.cat(parts)), LogValue())
    prior = Prior(copy.deepcopy(model))
    training = SamplerTraining(
        model, reward, RelativeTrajectoryBalance(), _settings(iterations), seed, prior=prior
    )
    with _only_compositions_learn(model), Progress(training.steps, quiet=quiet) as progress:
        while not training.is_finished:
            progress.advance(training.words(training.take_step()))
    training.optimizer.swap()


def _settings(iterations: int) -> TrainerSettings:
    return TrainerSettings(
        iterations=iterations,
        batch_size=384,
        learning_rate=_LEARNING_RATE,
        clip_norm=5.0,
        ema=0.99,
        exploration=0.0,
    )


@contextmanager
def _only_compositions_learn(model: GFlowNet) -> Iterator[None]:
    """Keep the weights of the other stages as they are."""
    index = next(number for number, stage in enumerate(model.env.stages) if stage.name == "composition")
    policy = model.forward_policy
    others = set(policy.parameters()) - set(policy.parameters_of(index))
    for parameter in others:
        parameter.requires_grad_(False)
    yield
    for parameter in others:
        parameter.requires_grad_(True)
