"""Properties of specs by small networks on the last layers of the energy ensemble.

The ensemble has learned from many formation energies which elements, groups and cells resemble each other. Heads on
its frozen layers learn a property for which there are fewer labels: band gaps, moduli, refractive indices, a column of
the user's.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from gflownet_crystal.common.errors import WeightsError
from gflownet_crystal.models.spec_energy.features import check_specs
from gflownet_crystal.models.spec_energy.heads import EnsembleHeads
from gflownet_crystal.proxies.mlp import MLPProxy, deviation_of, joined
from gflownet_crystal.proxies.stored import StoredProxy, repeated
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.weights import fitting_tensors, tensors_under

KIND = "spec_property"

Transform = Literal["none", "log10"]
"""Function of the property that the heads learn: itself, or its decadic logarithm."""


class PropertyProxy(StoredProxy):
    """A property of the crystal that a spec stands for, with a calibrated standard deviation.

    Name and unit of the property stand on the card of the weights. Cells outside the range that the energy ensemble was
    trained on get a deviation that grows by the spread of the property among known crystals for each eV/atom by which
    the ensemble's energy is raised there.

    Args:
        weights: name of shipped weights or path of a ``.safetensors`` file with its card beside it.
        batch_size: number of specs evaluated at a time, as of
            :class:`~gflownet_crystal.proxies.stored.StoredProxy`.
        ensemble: weights of the energy ensemble whose layers the heads read.

    Raises:
        WeightsError: the weights are missing, corrupt, of another network, or were trained on another ensemble.
    """

    kind: ClassVar[str] = KIND

    def __init__(
        self, weights: str | Path, batch_size: int | None = None, ensemble: str | Path = "mlp"
    ) -> None:
        self.ensemble = MLPProxy(ensemble, batch_size)
        super().__init__(weights, batch_size)

    @classmethod
    def from_heads(
        cls, ensemble: MLPProxy, tensors: dict[str, Tensor], card: dict[str, Any]
    ) -> PropertyProxy:
        """A proxy from heads in memory, such as a training just left.

        Args:
            ensemble: energy ensemble that the heads read.
            tensors: tensors as of a weights file.
            card: card of the weights.

        Raises:
            WeightsError: the tensors do not fit the card.
        """
        proxy = cls.__new__(cls)
        proxy.ensemble = ensemble
        proxy._set(tensors, card, ensemble.batch_size)
        return proxy

    def _build(self, tensors: dict[str, Tensor], card: dict[str, Any]) -> None:
        if card.get("ensemble") != self.ensemble.card["sha256"]:
            raise WeightsError(
                "the weights of this property were trained on another energy ensemble; give it as proxy.ensemble=FILE"
            )
        with fitting_tensors(tensors, "a property"):
            self.property_name, self.unit = str(card["property"]), str(card["unit"])  # type: ignore[misc]
            self.transform: Transform = card["transform"]
            self.minimum: float | None = card.get("minimum")
            self.heads = EnsembleHeads(**card["heads"])
            self.heads.load_state_dict(tensors_under(tensors, "heads."))
            self.mean, self.deviation = float(card["scale"][0]), float(card["scale"][1])
            self.calibration = tensors["calibration"].double()
        self.heads.eval()

    def to(self, device: torch.device | str) -> PropertyProxy:
        """Move the networks to ``device``."""
        self.ensemble.to(device)
        self.heads.to(device)
        self.calibration = self.calibration.to(device)
        return self

    @torch.no_grad()
    def predict(self, batch: CrystalSpec) -> tuple[Tensor, Tensor]:
        """Values and standard deviations (n,) float64 in the property's unit.

        Args:
            batch: n specs on the proxy's device.

        Raises:
            ProxyError: a spec is outside the ensemble's contract, see
                :class:`~gflownet_crystal.proxies.mlp.MLPProxy`.
        """
        check_specs(batch)
        learned, spread, noise, beyond = self.components(batch)
        deviation = deviation_of(self.calibration, spread, noise) + beyond * self.deviation
        if self.transform == "log10":
            # to first order, as the deviation of a logarithm is a relative one
            value = 10.0**learned
            deviation = math.log(10.0) * value * deviation
        else:
            value = learned
        return value if self.minimum is None else value.clamp(min=self.minimum), deviation

    @torch.no_grad()
    def components(self, specs: CrystalSpec) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Outputs of the heads, before calibration and in the transformed property.

        Args:
            specs: n specs.

        Returns:
            (n,) float64 each: mean over the members, variance among them, mean variance that they expect, and eV/atom
            by which the ensemble raises energies of cells outside its training.
        """
        parts = [self._components(batch) for batch in self.batches(specs)]
        mean, spread, noise, beyond = (torch.cat(column) for column in zip(*parts, strict=True))
        return mean, spread, noise, beyond

    def _components(self, specs: CrystalSpec) -> list[Tensor]:
        features, beyond = self.ensemble.layers(repeated(specs))
        value, log_scale = self.heads(features).unbind(2)
        mean, spread, noise = joined(value.double() * self.deviation + self.mean, log_scale)
        return [column[: len(specs)] for column in (mean, spread, noise * self.deviation**2, beyond)]
