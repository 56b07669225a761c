"""Formation energy of a spec by an ensemble of networks with equilibrium cells and the energy of straining them."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from gflownet_crystal.models.spec_energy.features import check_specs, composition_features, shape_features
from gflownet_crystal.models.spec_energy.heads import head_inputs
from gflownet_crystal.models.spec_energy.network import CellEnergy, Encoding, EnergyEnsemble
from gflownet_crystal.proxies.mlp_placing import Placing
from gflownet_crystal.proxies.stored import StoredProxy, repeated
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.weights import fitting_tensors, tensors_under

KIND = "energy_ensemble"

STRAIN_RANGE = (-0.9, 1.2)
"""Log volume per atom against the predicted equilibrium that training covers; the energy only rises beyond."""
COMPRESSION_SLOPE, EXPANSION_SLOPE, SHAPE_SLOPE = 6.0, 1.0, 9.0
"""eV/atom added for each unit of log volume, and of each lattice descriptor, outside the training range."""


class MLPProxy(StoredProxy):
    """Formation energy per atom, trained on Materials Project crystals and their strained cells.

    The value is the ensemble's mean. The standard deviation joins the members' spread with their own error estimates,
    scaled on validation data. The value is the same for equivalent settings of a crystal. Outside the range of cells
    seen in training, the networks are evaluated at the edge of it and the energy rises linearly with the distance.

    Args:
        weights: name of shipped weights or path of a ``.safetensors`` file with its card beside it.
        batch_size: specs evaluated at a time; bounds the memory, not the result. None for all of a batch on a GPU,
            ``cpu_batch_size`` on a CPU.
        placing: weights of :class:`~gflownet_crystal.proxies.mlp_placing.Placing` (name or file), by which energies are
            those to expect of atoms placed in the cell as it is, not of the known crystal that it might be; None for
            the latter.

    Raises:
        WeightsError: the weights are missing, corrupt or of another network.
    """

    kind: ClassVar[str] = KIND
    placing: Placing | None = None

    def __init__(
        self, weights: str | Path = "mlp", batch_size: int | None = None, placing: str | Path | None = None
    ) -> None:
        super().__init__(weights, batch_size)
        if placing is not None:
            self.placing = Placing.from_weights(placing, self.card["sha256"])

    def with_placing(self, placing: Placing) -> Self:
        """The same networks with another correction for placed atoms."""
        proxy = copy.copy(self)
        proxy.placing = placing
        return proxy

    def _build(self, tensors: dict[str, Tensor], card: dict[str, Any]) -> None:
        self.network, self.shape_range, self.calibration = build(tensors, card)

    @torch.no_grad()
    def predict(self, batch: CrystalSpec) -> tuple[Tensor, Tensor]:
        """Formation energies and their standard deviations.

        Args:
            batch: n specs on the proxy's device.

        Returns:
            (n,) float64 values and (n,) float64 standard deviations, eV/atom.

        Raises:
            ProxyError: a spec has no atoms, an unknown element or group, an open cell, a cell of another lattice
                system, or counts that the group's positions cannot hold.
        """
        check_specs(batch)
        energy, spread, noise, rise = self._in_batches(batch)
        calibration = self.calibration if self.placing is None else self.placing.calibration
        return energy + rise, deviation_of(calibration, spread, noise) + 0.5 * rise

    @torch.no_grad()
    def layers(self, specs: CrystalSpec) -> tuple[Tensor, Tensor]:
        """Last layers of the networks, as heads for other quantities read them.

        Args:
            specs: n specs.

        Returns:
            (members, n, f) float32 inputs of :class:`~gflownet_crystal.models.spec_energy.heads.EnsembleHeads`, and
            (n,) float64 eV/atom by which energies of cells outside the range of training are raised.
        """
        parts = []
        for batch in self.batches(specs):
            encoding, cells, rise = self._networks(batch)
            parts.append((self._features(batch, encoding, cells), rise))
        features, rises = zip(*parts, strict=True)
        return torch.cat(features, dim=1), torch.cat(rises)

    @torch.no_grad()
    def components(self, specs: CrystalSpec) -> tuple[Tensor, Tensor, Tensor]:
        """Mean energy (n,), variance among members (n,) and mean variance that members expect (n,), uncalibrated."""
        energy, spread, noise, rise = self._in_batches(specs)
        return energy + rise, spread, noise

    def _in_batches(self, specs: CrystalSpec) -> list[Tensor]:
        parts = [self._padded(batch) for batch in self.batches(specs)]
        return [torch.cat(column) for column in zip(*parts, strict=True)]

    def _padded(self, specs: CrystalSpec) -> list[Tensor]:
        return [column[: len(specs)] for column in self._evaluate(repeated(specs))]

    def _evaluate(self, specs: CrystalSpec) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        encoding, cells, rise = self._networks(specs)
        if self.placing is None:
            return *joined(cells.energy, cells.log_scale), rise
        cost, log_scale = self.placing.heads(self._features(specs, encoding, cells)).unbind(2)
        return *joined(cells.energy + cost, log_scale), rise

    def _networks(self, specs: CrystalSpec) -> tuple[Encoding, CellEnergy, Tensor]:
        """Encodings, energies of cells within the range of training, and the rise (n,) float64 beyond it."""
        encoding = self.network.encode(composition_features(specs.composition, specs.space_group))
        log_volume, shape = shape_features(specs)
        equilibrium = encoding.log_volume.median(0).values.double()
        inside = log_volume.clamp(equilibrium + STRAIN_RANGE[0], equilibrium + STRAIN_RANGE[1])
        shape_inside = shape.clamp(self.shape_range[0], self.shape_range[1])
        rise = COMPRESSION_SLOPE * (inside - log_volume).clamp(min=0)
        rise = rise + EXPANSION_SLOPE * (log_volume - inside).clamp(min=0)
        rise = rise + SHAPE_SLOPE * (shape - shape_inside).abs().sum(1)
        return encoding, self.network.energy(encoding, inside.float(), shape_inside.float()), rise

    def _features(self, specs: CrystalSpec, encoding: Encoding, cells: CellEnergy) -> Tensor:
        _, spread, noise = joined(cells.energy, cells.log_scale)
        return head_inputs(specs, encoding, cells, deviation_of(self.calibration, spread, noise))


def joined(energy: Tensor, log_scale: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean over members, variance among them, and mean variance that they expect, (n,) float64 each.

    Args:
        energy: (members, n).
        log_scale: (members, n) of the Laplace laws of their errors.
    """
    energy = energy.double()
    spread = (energy - energy.mean(0)).square().sum(0) / max(len(energy) - 1, 1)
    return energy.mean(0), spread, (2 * torch.exp(2 * log_scale.double().clamp(-6, 2))).mean(0)


def deviation_of(calibration: Tensor, spread: Tensor, noise: Tensor) -> Tensor:
    """Calibrated standard deviations (n,) float64.

    Args:
        calibration: (2,) factors of the members' spread and of their own error estimates.
        spread: (n,) variance among members.
        noise: (n,) variance that the members expect.
    """
    return torch.sqrt(calibration[0] ** 2 * spread + calibration[1] ** 2 * noise)


def build(tensors: dict[str, Tensor], card: dict[str, Any]) -> tuple[EnergyEnsemble, Tensor, Tensor]:
    """Network, training range of the lattice descriptors (2, 15) and calibration (2,) from stored tensors.

    Raises:
        WeightsError: tensors are missing or of another shape.
    """
    with fitting_tensors(tensors, "the energy ensemble"):
        network = EnergyEnsemble(**card["network"])
        network.load_state_dict(tensors_under(tensors, "network."))
        return network.eval(), tensors["shape_range"].double(), tensors["calibration"].double()
