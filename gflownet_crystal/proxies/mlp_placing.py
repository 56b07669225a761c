"""Energies to expect of atoms placed in a cell: a correction of the energy ensemble.

The ensemble knows known crystals, and a sampler finds the specs for which it is too low: cells that no atoms fit in,
compounds that nobody made. Heads on the frozen ensemble's last layers learn from specs of samplers and the energies of
the best atoms found for them how much is to be added, and how uncertain the sum is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from torch import Tensor

from gflownet_crystal.common.errors import WeightsError
from gflownet_crystal.common.moving import MovedToDevice
from gflownet_crystal.models.spec_energy.heads import EnsembleHeads
from gflownet_crystal.weights import fitting_card, load_weights, tensors_under

KIND = "placing"


class Placing(MovedToDevice):
    """Trained heads with the calibration of their deviations.

    Args:
        heads: trained.
        calibration: (2,) float64 factors of the members' spread and of their own error estimates.
        card: card of the weights.
    """

    def __init__(self, heads: EnsembleHeads, calibration: Tensor, card: dict[str, Any]) -> None:
        self.heads, self.calibration, self.card = heads.eval(), calibration, card

    @classmethod
    def from_weights(cls, weights: str | Path, ensemble: str) -> Self:
        """Shipped ones by name, or from a ``.safetensors`` file.

        Args:
            weights: name or path.
            ensemble: sha256 of the weights of the ensemble that they are to correct.

        Raises:
            WeightsError: missing, corrupt, of another kind, or trained for another ensemble.
        """
        tensors, card = load_weights(weights, KIND)
        if card.get("ensemble") != ensemble:
            raise WeightsError(
                f"placing={weights} was trained for another ensemble; train it again with training.ensemble=FILE"
            )
        with fitting_card(weights):
            return cls.of(tensors, card)

    @classmethod
    def of(cls, tensors: dict[str, Tensor], card: dict[str, Any]) -> Self:
        """From tensors in memory.

        Raises:
            KeyError, RuntimeError, TypeError: they do not fit the card.
        """
        heads = EnsembleHeads(**card["heads"])
        heads.load_state_dict(tensors_under(tensors, "heads."))
        return cls(heads, tensors["calibration"].double(), card)
