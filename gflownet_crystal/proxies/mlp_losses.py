"""What the energy ensemble is trained for: errors at true cells, of strained cells, of volumes and shapes."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gflownet_crystal.proxies.mlp_data import TrainingData, join
from gflownet_crystal.proxies.mlp_network import CellEnergy, Encoding, EnergyEnsemble
from gflownet_crystal.proxies.mlp_wells import mode_distance


class Losses(NamedTuple):
    """Mean absolute errors of a batch.

    True cells and composition only (eV/atom), strained cells (relative), equilibrium volumes (log); then negative
    log-likelihoods of the true shapes and of the errors.
    """

    true: Tensor
    composition: Tensor
    strained: Tensor
    volume: Tensor
    shape: Tensor
    scale: Tensor


class Batch(NamedTuple):
    """Crystals (b,), composition rows (c,), and (3, b) cells: the true one, a random one, a measured or random one."""

    crystals: Tensor
    compositions: Tensor
    log_volume: Tensor
    shape: Tensor
    energy: Tensor
    generator: torch.Generator


def batch_losses(
    network: EnergyEnsemble, data: TrainingData, batch: Batch, strain_scale: float, prototype_dropout: float
) -> Losses:
    """Losses of one batch, averaged over members.

    A member's composition layers learn from all formulas but its own fold, and its lattice layers from that fold
    only. What the composition layers say of equilibrium volume and shape is then as uncertain in training as it is
    for a new compound; otherwise the lattice layers learn to call every surprising true cell a strained one.

    Args:
        network: the ensemble.
        data: what the batch was drawn from.
        batch: crystals in blocks of equal size by fold (the formula's key modulo the number of members).
        strain_scale: eV/atom; errors of strained energies count relative to this plus the energy.
        prototype_dropout: share of rows whose prototype is treated as never seen.
    """
    members, n, cells = network.members, len(batch.crystals), len(batch.log_volume)
    composition = data.crystals.take(batch.crystals)
    key = data.formula_key[batch.crystals]
    if len(batch.compositions):
        composition = join(composition, data.compositions.take(batch.compositions))
        key = torch.cat([key, data.composition_formula_key[batch.compositions]])
    forget = torch.rand(len(composition), generator=batch.generator) < prototype_dropout
    encoding = network.encode(composition, forget=forget)
    learns = (key[None] % members != torch.arange(members)[:, None]).float()
    detached = Encoding(*(_own_fold(part, n).detach() for part in encoding))
    own = detached._replace(stiffness=_own_fold(encoding.stiffness, n))

    target, weight = data.energy[batch.crystals], data.weight[batch.crystals]
    label = torch.cat([target, data.composition_energy[batch.compositions]])
    loose_weight = torch.full((len(batch.compositions),), float(data.weight.max()))
    true_volume, true_shape = data.true.log_volume[batch.crystals], data.true.shape[batch.crystals]
    surprise = mode_distance(encoding.modes[:, :n], true_shape)[2]
    volume_error = (encoding.log_volume[:, :n] - true_volume).abs()

    result = _strained_energies(network, own, batch)
    energy, volume = (part.view(members, 1, -1) for part in (target, true_volume))
    rise_label = batch.energy.view(cells, members, -1).transpose(0, 1)
    error = result.energy - energy - rise_label
    # strained cells are compared with the network's own true cell, so that its error there does not count again
    rise = (result.energy - result.energy[:, :1] - rise_label)[:, 1:]
    relative = strain_scale / (strain_scale + rise_label[:, 1:].abs())
    log_scale = result.log_scale.clamp(-6, 2)
    return Losses(
        true=(error[:, 0].abs() * weight.view(members, -1)).mean(),
        composition=_mean((encoding.energy - label).abs() * torch.cat([weight, loose_weight]), learns),
        strained=(rise.abs() * relative).mean(),
        volume=0.6 * _mean(volume_error, learns[:, :n]) + (result.log_volume - volume).abs().mean(),
        shape=_mean(surprise, learns[:, :n]),
        scale=(error.detach().abs() * torch.exp(-log_scale) + log_scale).mean(),
    )


def _own_fold(part: Tensor, n: int) -> Tensor:
    """Of (members, >= n, ...) values for n crystals in blocks by fold, those of each member's fold."""
    member = torch.arange(len(part))
    return part[:, :n].unflatten(1, (len(part), -1))[member, member]


def _strained_energies(network: EnergyEnsemble, own: Encoding, batch: Batch) -> CellEnergy:
    """Energies (members, cells, n / members) of all cells of each member's fold."""
    members, cells = network.members, len(batch.log_volume)
    repeated = Encoding(*(part.repeat(1, cells, *[1] * (part.dim() - 2)) for part in own))

    def by_member(values: Tensor) -> Tensor:
        return values.unflatten(1, (members, -1)).transpose(0, 1).flatten(1, 2)

    result = network.energy(repeated, by_member(batch.log_volume), by_member(batch.shape))
    return CellEnergy(*(part.view(members, cells, -1) for part in result))


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    return (values * weight).sum() / weight.sum().clamp(min=1.0)
