"""Properties of specs by small networks on the last layers of the energy ensemble."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from gflownet_crystal.models.spec_energy.features import check_specs
from gflownet_crystal.proxies.learned_property import Components, LearnedProperty
from gflownet_crystal.proxies.mlp import MLPProxy
from gflownet_crystal.proxies.stored import repeated
from gflownet_crystal.structures.spec import CrystalSpec

KIND = "spec_property"


class PropertyProxy(LearnedProperty):
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
    base: MLPProxy

    def __init__(
        self, weights: str | Path, batch_size: int | None = None, ensemble: str | Path = "mlp"
    ) -> None:
        self.base = MLPProxy(ensemble, batch_size)
        super().__init__(weights, batch_size)

    def components(self, batch: CrystalSpec) -> Components:
        """Outputs of the heads for n specs.

        Raises:
            ProxyError: a spec is outside the ensemble's contract, see
                :class:`~gflownet_crystal.proxies.mlp.MLPProxy`.
        """
        check_specs(batch)
        parts = [self._components(specs) for specs in self.batches(batch)]
        mean, spread, noise, beyond = (torch.cat(column) for column in zip(*parts, strict=True))
        return mean, spread, noise, beyond

    @torch.no_grad()
    def _components(self, specs: CrystalSpec) -> list[Tensor]:
        features, beyond = self.base.layers(repeated(specs))
        return [column[: len(specs)] for column in (*self.read(features), beyond)]
