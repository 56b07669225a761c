"""Losses of the energy ensemble: errors at true cells, of strained cells, of volumes and shapes."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gflownet_crystal.models.spec_energy.network import CellEnergy, Encoding, EnergyEnsemble
from gflownet_crystal.models.spec_energy.wells import mode_distance
from gflownet_crystal.training.proxies.mlp_data import TrainingData, join


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

    A member's composition layers learn from all formulas but its own fold. Its lattice layers learn true cells from
    that fold only, where equilibrium volume and shape by the composition layers are as uncertain as for a new compound;
    otherwise they learn to take every surprising true cell for a strained one. The cost of a strain against the
    crystal's own true cell they learn from all folds.

    Args:
        network: the ensemble.
        data: data that the batch was drawn from.
        batch: crystals of all folds (a formula's fold is its key modulo the number of members).
        strain_scale: eV/atom; errors of strained energies count relative to this plus the energy.
        prototype_dropout: share of rows whose prototype is treated as never seen.
    """
    members, n = network.members, len(batch.crystals)
    composition = data.crystals.take(batch.crystals)
    key = data.formula_key[batch.crystals]
    if len(batch.compositions):
        composition = join(composition, data.compositions.take(batch.compositions))
        key = torch.cat([key, data.composition_formula_key[batch.compositions]])
    forget = torch.rand(len(composition), generator=batch.generator) < prototype_dropout
    encoding = network.encode(composition, forget=forget)
    learns = (key[None] % members != torch.arange(members)[:, None]).float()
    is_own = 1.0 - learns[:, :n]

    target, weight = data.energy[batch.crystals], data.weight[batch.crystals]
    label = torch.cat([target, data.composition_energy[batch.compositions]])
    loose_weight = torch.full((len(batch.compositions),), float(data.weight.max()))
    true_volume, true_shape = data.true.log_volume[batch.crystals], data.true.shape[batch.crystals]
    surprise = mode_distance(encoding.modes[:, :n], true_shape)[2]
    volume_error = (encoding.log_volume[:, :n] - true_volume).abs()
    relaxed = data.relaxed[batch.crystals].expand_as(is_own)
    learns_cell = learns[:, :n] * relaxed

    result = _cell_energies(network, encoding, batch)
    error = result.energy - target - batch.energy
    # strained cells are compared with the network's own true cell, so that its error there does not count again
    rise = (result.energy - result.energy[:, :1] - batch.energy)[:, 1:]
    relative = strain_scale / (strain_scale + batch.energy[1:].abs())
    log_scale = result.log_scale.clamp(-6, 2)
    cell_volume_error = (result.log_volume - true_volume).abs().mean(1)
    return Losses(
        true=_mean(error[:, 0].abs() * weight, is_own),
        composition=_mean((encoding.energy - label).abs() * torch.cat([weight, loose_weight]), learns),
        strained=_mean((rise.abs() * relative).mean(1), relaxed),
        volume=0.6 * _mean(volume_error, learns_cell) + _mean(cell_volume_error, is_own * relaxed),
        shape=_mean(surprise, learns_cell),
        scale=_mean((error.detach().abs() * torch.exp(-log_scale) + log_scale).mean(1), is_own),
    )


def _cell_energies(network: EnergyEnsemble, encoding: Encoding, batch: Batch) -> CellEnergy:
    """Energies (members, cells, n) of all cells; of the composition layers, only the wells' stiffness learns."""
    cells, n = batch.log_volume.shape
    fixed = Encoding(*(part[:, :n].detach() for part in encoding))._replace(
        stiffness=encoding.stiffness[:, :n]
    )
    repeated = Encoding(*(part.repeat(1, cells, *[1] * (part.dim() - 2)) for part in fixed))
    result = network.energy(repeated, batch.log_volume.flatten(), batch.shape.flatten(0, 1))
    return CellEnergy(*(part.unflatten(1, (cells, n)) for part in result))


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    return (values * weight).sum() / weight.sum().clamp(min=1.0)
