"""Formation energies of specs by models that see atoms: a builder places the atoms, a model judges them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.run_schema import ENERGY_COLUMN
from gflownet_crystal.generators.base import Generator
from gflownet_crystal.models.energies.potentials import load_energies
from gflownet_crystal.models.energies.structure_energies import StructureEnergies
from gflownet_crystal.proxies.base import Prediction, Proxy, naming_the_object
from gflownet_crystal.structures.primitive import to_primitive
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.structures.spec_checks import spec_faults
from gflownet_crystal.structures.structure import StructureBatch

PLAUSIBLE = (-6.0, 6.0)
"""Formation energies of anything like a crystal, eV/atom."""


class StructureProxy(Proxy):
    """Formation energy per atom of the structure that a builder makes of a spec.

    A spec outside its contract or whose atoms cannot be placed, and a structure that the model cannot judge or gives an
    implausible energy, gets the value ``unusable`` with standard deviation 0, and is marked as penalised. Those that
    keep their contract but got no structure are marked as unplaced too: the builder failed, the cell may be good.

    Args:
        energies: the model.
        builder: generator of atoms; its structure of a spec has to depend on that spec and the seed alone.
        unusable: penalty value, eV/atom.
        plausible: least and greatest energy that is believed, eV/atom.
        seed: random seed of the builder.
        draws: structures of a spec, each with a seed of its own; the one of lowest energy counts.
        primitive: hand primitive cells to the model: the same crystals with fewer atoms.

    Raises:
        ConfigError: a part is of another kind, or a number is out of range.
    """

    input_kind: ClassVar[str] = "specs"
    property_name: ClassVar[str] = ENERGY_COLUMN
    unit: ClassVar[str] = "eV/atom"

    def __init__(
        self,
        energies: StructureEnergies,
        builder: Generator,
        unusable: float = 5.0,
        plausible: Sequence[float] = PLAUSIBLE,
        seed: int = 0,
        draws: int = 1,
        primitive: bool = True,
    ) -> None:
        for part, contract, key in (
            (energies, StructureEnergies, "energies"),
            (builder, Generator, "builder"),
        ):
            if not isinstance(part, contract):
                raise ConfigError(f"proxy.{key} must be a {contract.__name__}, not a {type(part).__name__}")
        if len(plausible) != 2 or not plausible[0] < plausible[1]:
            raise ConfigError(f"proxy.plausible must be two rising energies (eV/atom), not {list(plausible)}")
        if not plausible[0] <= unusable < float("inf"):
            raise ConfigError(
                f"proxy.unusable must be finite and not below the least plausible energy, not {unusable} eV/atom"
            )
        if draws < 1:
            raise ConfigError(f"proxy.draws must be at least 1, not {draws}")
        self.energies, self.builder, self.unusable = energies, builder, unusable
        self.plausible, self.seed, self.draws = (plausible[0], plausible[1]), seed, draws
        self.primitive = primitive

    def __call__(self, batch: CrystalSpec) -> Prediction:
        """Predict and check; see :class:`gflownet_crystal.proxies.base.Proxy`.

        Raises:
            ProxyError: the model breaks its contract.
        """
        with torch.no_grad(), naming_the_object(f"proxy {type(self).__name__}", self._judge, batch):
            value, std, penalised, unplaced = self._judge(batch)
        return replace(self._prediction((value, std), batch, penalised), unplaced=unplaced)

    @torch.no_grad()
    def predict(self, batch: CrystalSpec) -> tuple[Tensor, Tensor]:
        """Formation energies and standard deviations, both (n,) float64, eV/atom."""
        value, std, _, _ = self._judge(batch)
        return value, std

    @torch.no_grad()
    def judge(self, structures: StructureBatch) -> Prediction:
        """Energies of structures with the atoms that they have; nothing is placed.

        Args:
            structures: n structures on the proxy's device.

        Raises:
            ProxyError: the model breaks its contract.
        """
        energy, deviation, believed = self._of_atoms(structures)
        value = torch.where(believed, energy, self.unusable)
        return self._prediction((value, deviation * believed), structures, ~believed)

    def _judge(self, specs: CrystalSpec) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Values and standard deviations, (n,) float64 each, which are penalties, and which lack atoms, (n,) bool."""
        value = specs.lengths.new_full((len(specs),), torch.inf)
        std = torch.zeros_like(value)
        unplaced = spec_faults(specs) == 0
        sound = unplaced.nonzero().squeeze(1)
        for draw in range(self.draws):
            rows, energy, deviation = self._energies(specs[sound], self.seed + draw)
            rows = sound[rows]
            unplaced[rows] = False
            better = energy < value[rows]
            rows = rows[better]
            value[rows], std[rows] = energy[better], deviation[better]
        penalised = ~value.isfinite()
        return value.masked_fill(penalised, self.unusable), std, penalised, unplaced

    def _energies(self, specs: CrystalSpec, seed: int) -> tuple[Tensor, Tensor, Tensor]:
        """Specs with a structure, (m,) int64, energies, infinite where implausible, and deviations, (m,) float64."""
        made = self.builder.generate(specs, seed)
        structures = to_primitive(made.structures) if self.primitive else made.structures
        energy, deviation, believed = self._of_atoms(structures)
        return made.rows, torch.where(believed, energy, torch.inf), deviation

    def _of_atoms(self, structures: StructureBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Energies and standard deviations, (n,) float64 each, finite where they are believed, (n,) bool."""
        energy, deviation = self.energies.predict(structures)
        # no comparison with NaN is true
        believed = (energy >= self.plausible[0]) & (energy <= self.plausible[1]) & deviation.isfinite()
        return energy, deviation.nan_to_num(), believed


class TrainedStructureProxy(StructureProxy):
    """A :class:`StructureProxy` of a network of this package.

    Args:
        weights: shipped weights by name, or a ``.safetensors`` file with its card beside it; several joined by ``+``
            for the mean of their energies.
        builder: puts atoms into specs.
        batch_atoms: atoms that the network sees at a time; bounds the memory.
        half: bfloat16 for matrix products.
        unusable: penalty value, eV/atom.
        plausible: least and greatest energy that is believed, eV/atom.
        seed: random seed of the builder.
        draws: structures of a spec, each with a seed of its own; the one of lowest energy counts.
        primitive: hand primitive cells to the network.

    Raises:
        ConfigError: a part is of another kind, or a number is out of range.
        WeightsError: the weights are missing, corrupt or of another kind.
    """

    def __init__(
        self,
        weights: str | Path,
        builder: Generator,
        batch_atoms: int = 1024,
        half: bool = False,
        unusable: float = 5.0,
        plausible: Sequence[float] = PLAUSIBLE,
        seed: int = 0,
        draws: int = 1,
        primitive: bool = True,
    ) -> None:
        energies = load_energies(str(weights), batch_atoms=batch_atoms, half=half)
        super().__init__(energies, builder, unusable, plausible, seed, draws, primitive)
