"""Making the weights of a property of structures: heads on the last states of an energy network that sees atoms."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.data.schema import STRUCTURE_COLUMNS
from gflownet_crystal.models.energies.trained import TrainedEnergies
from gflownet_crystal.proxies.learned_property import Components, LearnedProperty
from gflownet_crystal.proxies.structure_property import KIND, StructureProperty
from gflownet_crystal.structures.frames import frame_to_structures
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.training.proxies.property_recipe import PropertyRecipe

_ATOMS = STRUCTURE_COLUMNS[1:]
_FEATURES = "_features"


class StructurePropertyRecipe(PropertyRecipe):
    """Trains a property of crystals with their atoms on a column of labels.

    Args:
        column: column of the labels in the table.
        unit: unit of the labels.
        energies: weights (name or ``.safetensors`` file) of the energy network, which stays as it is.
        members: number of networks whose spread tells the error.
        settings: other arguments of :class:`~gflownet_crystal.training.proxies.property_recipe.PropertyRecipe`.
    """

    kind: ClassVar[str] = KIND
    proxy_class = StructureProperty
    atoms: ClassVar[bool] = True

    def __init__(
        self, column: str, unit: str, *, energies: str | Path = "alignn", members: int = 5, **settings: Any
    ) -> None:
        if members < 2:
            raise ConfigError(f"training.members must be at least 2, not {members}")
        super().__init__(column, unit, ensemble=energies, **settings)
        self.members = members

    def network(self, weights: str | Path) -> TrainedEnergies:
        return TrainedEnergies(weights)

    def rows(self, table: pd.DataFrame) -> pd.DataFrame:
        """Known crystals with a label and atoms that the network can judge, their features in a column of their own.

        Raises:
            DataError: no such column, or too few such rows.
        """
        stored = table.reindex(columns=list(_ATOMS)).notna().all(axis=1)
        if not stored.any():
            raise DataError(f"none of {len(table)} crystals has atoms, only specs: give crystals with atoms")
        labelled = super().rows(table[stored])
        features = self._features(frame_to_structures(labelled[list(_ATOMS)]))
        return self.enough(
            pd.DataFrame(labelled.assign(**{_FEATURES: features}).dropna(subset=[_FEATURES])),
            "atoms to judge",
        )

    def layers(self, rows: pd.DataFrame) -> Tensor:
        features = torch.from_numpy(np.stack(list(rows[_FEATURES])))
        return features.expand(self.members, -1, -1)

    def components(self, proxy: LearnedProperty, rows: pd.DataFrame) -> Components:
        with torch.no_grad():
            mean, spread, noise = proxy.read(self.layers(rows))
        return mean, spread, noise, torch.zeros_like(mean)

    @torch.no_grad()
    def _features(self, structures: StructureBatch) -> list[NDArray[np.float32] | None]:
        """Inputs of the heads for each structure; None where the network cannot judge it."""
        base = cast(TrainedEnergies, self.base)
        found: list[NDArray[np.float32] | None] = [None] * len(structures)
        for rows, graph in base.graphs(structures):
            states = base.model.layer_features(graph).float().numpy()
            for row, state in zip(rows.tolist(), states, strict=True):
                found[row] = state
        return found
