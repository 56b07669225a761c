"""Energy above the convex hull: any proxy of the formation energy, minus a hull at the composition."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import ClassVar, Self

import torch
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.run_schema import ENERGY_COLUMN, HULL_COLUMN
from gflownet_crystal.proxies.base import Prediction, Proxy
from gflownet_crystal.proxies.hull import Hull
from gflownet_crystal.proxies.learned_hull import LearnedHull
from gflownet_crystal.proxies.reference_hull import ReferenceHull
from gflownet_crystal.structures.spec import CrystalSpec

REFERENCE, LEARNED = "reference", "learned"
"""Names of the shipped hulls, where a file of a hull can stand too."""

_ENERGY = ("specs", ENERGY_COLUMN, "eV/atom")


class EnergyAboveHull(Proxy):
    """Formation energy minus the hull's; the standard deviation is the energy's own, as if the hull were exact.

    Marks of the energy proxy pass through: invalid predictions, and penalised ones, whose value is kept.

    Args:
        energy: proxy of the formation energy per atom (eV/atom) of specs.
        hull: ``reference`` for the shipped reference hull, Parquet file of one, as ``prepare_data hull=FILE`` writes;
            None or ``learned`` for the learned hull.
        hull_weights: weights of the learned hull: shipped weights by name, or a ``.safetensors`` file with its card.

    Raises:
        ConfigError: ``energy`` predicts something else.
        DataError: ``hull`` is no reference hull.
        WeightsError: the weights are missing, corrupt or of another kind.
    """

    input_kind: ClassVar[str] = "specs"
    property_name: ClassVar[str] = HULL_COLUMN
    unit: ClassVar[str] = "eV/atom"

    def __init__(self, energy: Proxy, hull: str | None = None, hull_weights: str = "hull") -> None:
        self._set(energy, load_hull(hull, hull_weights))

    @classmethod
    def of(cls, energy: Proxy, hull: Hull) -> Self:
        """The proxy of a hull in memory.

        Raises:
            ConfigError: ``energy`` predicts something else than a formation energy per atom.
        """
        proxy = cls.__new__(cls)
        proxy._set(energy, hull)
        return proxy

    def _set(self, energy: Proxy, hull: Hull) -> None:
        name = type(energy).__name__
        if not isinstance(energy, Proxy):
            raise ConfigError(f"the energy of e_above_hull must be a proxy, not {name}; give one, as mlp")
        if (energy.input_kind, energy.property_name, energy.unit) != _ENERGY:
            raise ConfigError(
                f"proxy {name} predicts {energy.property_name} ({energy.unit}) of {energy.input_kind}; "
                "e_above_hull needs formation_energy_per_atom (eV/atom) of specs: choose such a proxy"
            )
        self.energy, self.hull = energy, hull

    def __call__(self, batch: CrystalSpec) -> Prediction:
        """Predict and check; see :class:`gflownet_crystal.proxies.base.Proxy`.

        Raises:
            ProxyError: the energy proxy breaks its contract, or a spec has more than 8 elements.
        """
        energy = self.energy(batch)
        above = self.hull.e_above_hull(batch, energy.value)
        return replace(energy, value=torch.where(energy.penalised, energy.value, above))

    def predict(self, batch: CrystalSpec) -> tuple[Tensor, Tensor]:
        """Energies above the hull and standard deviations, both (n,) float64, eV/atom."""
        prediction = self(batch)
        return prediction.value, prediction.std


def load_hull(hull: str | Path | None = None, hull_weights: str | Path = "hull") -> Hull:
    """A hull by name or by its file.

    Args:
        hull: ``reference`` for the shipped hull of public labels, a Parquet file of a reference hull, a
            ``.safetensors`` file of one with its card, or ``learned`` or None for the learned one.
        hull_weights: weights of the learned hull.

    Raises:
        DataError: ``hull`` is no reference hull.
        WeightsError: the weights are missing, corrupt or of another kind.
    """
    if hull is None or hull == LEARNED:
        return LearnedHull.from_weights(hull_weights)
    if hull == REFERENCE:
        return _shipped()
    return (
        ReferenceHull.from_weights(hull) if Path(hull).suffix == ".safetensors" else ReferenceHull.read(hull)
    )


@cache
def _shipped() -> ReferenceHull:
    """The shipped reference hull, read once: look-ups change nothing in it."""
    return ReferenceHull.from_weights()
