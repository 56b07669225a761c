"""Properties read by small networks from the layers of an energy network, with calibrated standard deviations.

The energy network has learned from many formation energies which crystals resemble each other. Heads on its frozen
layers learn a property for which there are fewer labels: band gaps, moduli, refractive indices, a column of the user's.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any, Literal, Self

import torch
from torch import Tensor

from gflownet_crystal.common.errors import WeightsError
from gflownet_crystal.models.energies.trained import TrainedEnergies
from gflownet_crystal.models.spec_energy.heads import EnsembleHeads
from gflownet_crystal.proxies.mlp import MLPProxy, deviation_of, joined
from gflownet_crystal.proxies.stored import StoredProxy
from gflownet_crystal.weights import fitting_tensors, tensors_under

Transform = Literal["none", "log10"]
"""Function of the property that the heads learn: itself, or its decadic logarithm."""

Components = tuple[Tensor, Tensor, Tensor, Tensor]
"""Outputs of the heads, before calibration and in the transformed property, (n,) float64 each: mean over the members,
variance among them, mean variance that they expect, and eV/atom by which the ensemble raises energies of cells outside
its training."""


class LearnedProperty(StoredProxy):
    """A property whose name and unit stand on the card of its weights; a subclass gives the layers.

    Attributes:
        base: energy network whose layers the heads read.
    """

    base: MLPProxy | TrainedEnergies

    @classmethod
    def from_heads(
        cls, base: MLPProxy | TrainedEnergies, tensors: dict[str, Tensor], card: dict[str, Any]
    ) -> Self:
        """A proxy from heads in memory, such as a training just left.

        Args:
            base: energy network that the heads read.
            tensors: tensors as of a weights file.
            card: card of the weights.

        Raises:
            WeightsError: the tensors do not fit the card.
        """
        proxy = cls.__new__(cls)
        proxy.base = base
        proxy._set(tensors, card, None)
        return proxy

    def _build(self, tensors: dict[str, Tensor], card: dict[str, Any]) -> None:
        if card.get("ensemble") != self.base.card["sha256"]:
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

    @torch.no_grad()
    def predict(self, batch: Any) -> tuple[Tensor, Tensor]:
        """Values and standard deviations (n,) float64 in the property's unit.

        Args:
            batch: n objects of the kind ``input_kind`` on the proxy's device.

        Raises:
            ProxyError: an object is outside the contract of the energy network.
        """
        return self.calibrated(self.components(batch))

    @abstractmethod
    def components(self, batch: Any) -> Components:
        """Outputs of the heads for n objects."""

    def calibrated(self, components: Components) -> tuple[Tensor, Tensor]:
        """Values and standard deviations (n,) float64 in the property's unit, from outputs of the heads."""
        learned, spread, noise, beyond = components
        deviation = deviation_of(self.calibration, spread, noise) + beyond * self.deviation
        if self.transform == "log10":
            # to first order, as the deviation of a logarithm is a relative one
            value = 10.0**learned
            deviation = math.log(10.0) * value * deviation
        else:
            value = learned
        return value if self.minimum is None else value.clamp(min=self.minimum), deviation

    def read(self, features: Tensor) -> list[Tensor]:
        """Mean, variance among members and variance that they expect, (n,) float64 each.

        Args:
            features: (members, n, f) inputs of the heads.
        """
        value, log_scale = self.heads(features).unbind(2)
        mean, spread, noise = joined(value.double() * self.deviation + self.mean, log_scale)
        return [mean, spread, noise * self.deviation**2]
