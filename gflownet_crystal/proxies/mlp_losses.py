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

    True cells, composition only and sampled specs (eV/atom), strained cells (relative), equilibrium volumes (log); then
    negative log-likelihoods of the true shapes and of the errors.
    """

    true: Tensor
    composition: Tensor
    strained: Tensor
    volume: Tensor
    shape: Tensor
    scale: Tensor
    sampled: Tensor


class Batch(NamedTuple):
    """Crystals (b,), composition rows (c,), sampled specs (s,), and (3, b) cells of the crystals.

    The cells are the true one, a random one, and a measured or random one.
    """

    crystals: Tensor
    compositions: Tensor
    sampled: Tensor
    log_volume: Tensor
    shape: Tensor
    energy: Tensor
    generator: torch.Generator


def batch_losses(
    network: EnergyEnsemble, data: TrainingData, batch: Batch, strain_scale: float, prototype_dropout: float
) -> Losses:
    """Losses of one batch, averaged over members.

    A member's composition layers learn from all formulas but its own fold. Its lattice layers learn true cells from
    that fold only, where what the composition layers say of equilibrium volume and shape is as uncertain as it is for
    a new compound; otherwise they learn to call every surprising true cell a strained one. What a strain costs
    against the crystal's own true cell they learn from all folds.

    Args:
        network: the ensemble.
        data: what the batch was drawn from.
        batch: crystals of all folds (a formula's fold is its key modulo the number of members). The cells of sampled
            specs teach energies only: they are no minima of volume or shape.
        strain_scale: eV/atom; errors of strained energies count relative to this plus the energy.
        prototype_dropout: share of rows whose prototype is treated as never seen.
    """
    members, n = network.members, len(batch.crystals)
    composition = data.crystals.take(batch.crystals)
    key = data.formula_key[batch.crystals]
    for features, keys, rows in (
        (data.compositions, data.composition_formula_key, batch.compositions),
        (data.sampled, data.sampled_formula_key, batch.sampled),
    ):
        if len(rows):
            composition, key = join(composition, features.take(rows)), torch.cat([key, keys[rows]])
    forget = torch.rand(len(composition), generator=batch.generator) < prototype_dropout
    encoding = network.encode(composition, forget=forget)
    learns = (key[None] % members != torch.arange(members)[:, None]).float()
    is_own = 1.0 - learns[:, :n]

    target, weight = data.energy[batch.crystals], data.weight[batch.crystals]
    found = data.sampled_cells.energy[batch.sampled]
    label = torch.cat([target, data.composition_energy[batch.compositions], found])
    loose_weight = torch.full((len(label) - n,), float(data.weight.max()))
    true_volume, true_shape = data.true.log_volume[batch.crystals], data.true.shape[batch.crystals]
    surprise = mode_distance(encoding.modes[:, :n], true_shape)[2]
    volume_error = (encoding.log_volume[:, :n] - true_volume).abs()

    result = _cell_energies(network, _part(encoding, slice(n)), batch.log_volume, batch.shape)
    drawn = slice(len(label) - len(found), None)
    cells = data.sampled_cells
    of_drawn = _cell_energies(
        network,
        _part(encoding, drawn),
        cells.log_volume[None, batch.sampled],
        cells.shape[None, batch.sampled],
    )
    is_own_drawn = 1.0 - learns[:, drawn]
    error_drawn = of_drawn.energy[:, 0] - found
    error = result.energy - target - batch.energy
    # strained cells are compared with the network's own true cell, so that its error there does not count again
    rise = (result.energy - result.energy[:, :1] - batch.energy)[:, 1:]
    relative = strain_scale / (strain_scale + batch.energy[1:].abs())
    cell_volume_error = (result.log_volume - true_volume).abs().mean(1)
    return Losses(
        true=_mean(error[:, 0].abs() * weight, is_own),
        composition=_mean((encoding.energy - label).abs() * torch.cat([weight, loose_weight]), learns),
        strained=(rise.abs() * relative).mean(),
        volume=0.6 * _mean(volume_error, learns[:, :n]) + _mean(cell_volume_error, is_own),
        shape=_mean(surprise, learns[:, :n]),
        scale=_mean(
            torch.cat(
                [
                    _log_likelihood(error, result.log_scale).mean(1),
                    _log_likelihood(error_drawn, of_drawn.log_scale[:, 0]),
                ],
                dim=1,
            ),
            torch.cat([is_own, is_own_drawn], dim=1),
        ),
        sampled=_mean(error_drawn.abs(), is_own_drawn),
    )


def _log_likelihood(error: Tensor, log_scale: Tensor) -> Tensor:
    """Negative log-likelihood of errors under Laplace laws, the errors held fixed."""
    log_scale = log_scale.clamp(-6, 2)
    return error.detach().abs() * torch.exp(-log_scale) + log_scale


def _part(encoding: Encoding, rows: slice) -> Encoding:
    return Encoding(*(part[:, rows] for part in encoding))


def _cell_energies(
    network: EnergyEnsemble, encoding: Encoding, log_volume: Tensor, shape: Tensor
) -> CellEnergy:
    """Energies (members, cells, n) of all cells; of the composition layers, only the wells' stiffness learns.

    Args:
        network: the ensemble.
        encoding: of n compositions.
        log_volume: (cells, n).
        shape: (cells, n, 15).
    """
    cells, n = log_volume.shape
    fixed = Encoding(*(part.detach() for part in encoding))._replace(stiffness=encoding.stiffness)
    repeated = Encoding(*(part.repeat(1, cells, *[1] * (part.dim() - 2)) for part in fixed))
    result = network.energy(repeated, log_volume.flatten(), shape.flatten(0, 1))
    return CellEnergy(*(part.view(network.members, cells, n) for part in result))


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    return (values * weight).sum() / weight.sum().clamp(min=1.0)
