"""Properties of structures, read from their atoms, as columns of a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.proxies.structure_property import StructureProperty
from gflownet_crystal.structures.primitive import to_primitive
from gflownet_crystal.structures.structure import StructureBatch

_WITH_ATOMS = "_atoms"


@dataclass(frozen=True)
class PropertyColumns:
    """Columns ``NAME`` and ``NAME_std``; beside another column ``NAME``, ``NAME_atoms`` and ``NAME_atoms_std``.

    Attributes:
        properties: predictors of the properties.
    """

    properties: tuple[StructureProperty, ...] = ()

    @classmethod
    def of(cls, weights: Sequence[Path] | None, device: torch.device) -> Self:
        """Columns of the properties of some weights.

        Args:
            weights: names or files of ``train_property training=property_atoms``; None for no columns.
            device: device of the computation.

        Raises:
            ConfigError: two of them have the same name.
            WeightsError: weights are missing, corrupt or of another kind.
        """
        made = tuple(StructureProperty(path).to(device) for path in weights or ())
        counts = Counter(one.property_name for one in made)
        if twice := [name for name, number in counts.items() if number > 1]:
            raise ConfigError(
                f"two columns of the table would be called {twice[0]}: leave out one of properties, or train it again "
                "with another training.name"
            )
        return cls(made)

    def names(self, taken: Collection[str]) -> list[str]:
        """Names of the columns of values beside other columns.

        Args:
            taken: names of the other columns.
        """
        own = [one.property_name for one in self.properties]
        return [name + _WITH_ATOMS if name in taken else name for name in own]

    def columns(self, taken: Collection[str]) -> list[str]:
        """Names of all columns beside others, values and standard deviations."""
        return [column for name in self.names(taken) for column in (name, f"{name}_std")]

    def values(self, structures: StructureBatch, taken: Collection[str]) -> dict[str, NDArray[np.float64]]:
        """Columns (n,) by name, in the units of the properties; NaN for structures that cannot be judged.

        Args:
            structures: n structures.
            taken: names of the table's other columns.
        """
        columns: dict[str, NDArray[np.float64]] = {}
        if self.properties:
            structures = to_primitive(structures.to(self.properties[0].heads.scale.device))
        for name, one in zip(self.names(taken), self.properties, strict=True):
            value, std = one.predict(structures)
            columns |= {name: value.cpu().numpy(), f"{name}_std": std.cpu().numpy()}
        return columns
