"""The convex hull of known compounds: formation energy of their best mixture at any composition, looked up in batches.

The compounds are sorted by chemical system (their set of elements). For a composition, the systems within its elements
are found by binary search, one search for each subset of the elements and all compositions at once; the lowest mixture
of their compounds and of the elements, at zero, is a linear program, solved for many compositions together.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Self

import pandas as pd
import torch
from torch import Tensor

from gflownet_crystal.common.errors import DataError, ProxyError
from gflownet_crystal.common.run_schema import FORMULA
from gflownet_crystal.common.tables import read_parquet, write_parquet
from gflownet_crystal.data.schema import ENERGY_COLUMN, require_columns
from gflownet_crystal.proxies.chemical_systems import SystemEntries, by_system, places_within
from gflownet_crystal.proxies.hull import MAX_ELEMENTS, Hull, by_number_of_elements, checked_composition
from gflownet_crystal.proxies.hull_program import lowest_mixture
from gflownet_crystal.structures.formulas import composition_to_text, reduce_composition, text_to_composition
from gflownet_crystal.structures.packed_compositions import pack_compositions, unpack_compositions
from gflownet_crystal.weights import fitting_card, load_weights

STABLE = 1e-6
"""eV/atom above the hull up to which a compound counts as one of its phases; hull energies are not rounded by it."""

KIND = "reference_hull"

_SYSTEMS = "system_"
_ROWS_AT_A_TIME = 512
_STABILITY_ROWS = 4096


class ReferenceHull(Hull):
    """The hull of given compounds; compounds that are not stable change nothing but the time a look-up takes.

    Args:
        composition: (m, 119) int64 counts of the compounds.
        energy: (m,) formation energies, eV/atom. Pure elements, and compounds at 0 or above, play no part.

    Attributes:
        entries: numbers of known crystals in chemical systems, unstable ones too; None where they are not known.

    Raises:
        ProxyError: an energy is not finite, or a composition is empty or has an unknown element.
    """

    def __init__(self, composition: Tensor, energy: Tensor) -> None:
        self.entries: SystemEntries | None = None
        if not bool(torch.isfinite(energy).all()):
            row = int((~torch.isfinite(energy)).nonzero()[0, 0])
            raise ProxyError(f"compound {row} of the hull has the energy {energy[row]}; leave it out")
        n_elements = (composition > 0).sum(1)
        # a compound of more elements than a composition can have is in no mixture
        taking_part = (n_elements != 1) & (n_elements <= MAX_ELEMENTS) & (energy < 0.0)
        composition = reduce_composition(checked_composition(composition[taking_part]))
        order, self._keys, self._starts, self._counts = by_system(composition)
        self.composition, self.energy = composition[order], energy[taking_part][order].double()
        self._fractions = self.composition / self.composition.sum(1, keepdim=True).double()

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """The hull of a Parquet file with the columns ``formula`` and ``formation_energy_per_atom`` (eV/atom).

        Args:
            path: file as written by ``prepare_data hull=FILE``.

        Raises:
            DataError: the file is missing or not Parquet, lacks a column, or holds a malformed formula or no energy.
        """
        frame = read_parquet(Path(path))
        require_columns(frame, (FORMULA, ENERGY_COLUMN), path)
        energy = torch.tensor(pd.to_numeric(frame[ENERGY_COLUMN], errors="coerce").to_numpy(dtype="float64"))
        try:
            return cls(text_to_composition(frame[FORMULA].tolist()), energy)
        except ProxyError as error:
            raise DataError(f"{path} is no reference hull: {error}; make one with prepare_data") from error

    @classmethod
    def from_weights(cls, weights: str | Path = "reference_hull") -> Self:
        """The shipped hull of the Materials Project's public labels, or one from a ``.safetensors`` file with its card.

        Raises:
            WeightsError: missing, corrupt, or of another kind.
        """
        tensors, _ = load_weights(weights, KIND)
        with fitting_card(weights):
            hull = cls(unpack_compositions(tensors), tensors["energy"])
            systems = {
                name.removeprefix(_SYSTEMS): tensors[name] for name in tensors if name.startswith(_SYSTEMS)
            }
            hull.entries = SystemEntries.of(systems)
        return hull

    def with_compounds(self, composition: Tensor, energy: Tensor) -> Self:
        """The hull of these compounds and further ones; the known entries of chemical systems stay.

        Args:
            composition: (m, 119) int64 counts.
            energy: (m,) formation energies, eV/atom.

        Raises:
            ProxyError: see the class.
        """
        joined = type(self)(
            torch.cat([self.composition, composition]), torch.cat([self.energy, energy.double()])
        )
        joined.entries = self.entries
        return joined

    def tensors(self) -> dict[str, Tensor]:
        """Compounds and entries in few bytes, for a file that :meth:`from_weights` reads.

        Raises:
            DataError: a count is above 32767.
        """
        entries = self.entries or SystemEntries.count(self.composition)
        systems = {f"{_SYSTEMS}{name}": tensor for name, tensor in entries.tensors().items()}
        return {**pack_compositions(self.composition), "energy": self.energy.float(), **systems}

    def write(self, path: str | Path) -> None:
        """Write the compounds to a Parquet file; see :meth:`read`.

        Raises:
            DataError: the file cannot be written.
        """
        frame = pd.DataFrame(
            {FORMULA: composition_to_text(self.composition), ENERGY_COLUMN: self.energy.numpy()}
        )
        write_parquet(Path(path), frame)

    def __len__(self) -> int:
        return len(self.energy)

    def hull_energy(self, composition: Tensor) -> Tensor:
        """Energy (n,) float64 of the hull at ``composition`` (n, 119) int64, eV/atom, at most 0, exact to 1e-9.

        Raises:
            ProxyError: a composition is empty, has an unknown element or more than 8 elements.
        """
        composition = checked_composition(composition)
        result = torch.zeros(len(composition), dtype=torch.float64)
        for rows, elements, fractions in by_number_of_elements(composition):
            result[rows] = self._lowest(elements, fractions)
        return result

    def stable(self, report: Callable[[int], object] | None = None) -> ReferenceHull:
        """The same hull from the compounds that are on it, or at most 1e-6 eV/atom above it.

        Systems of few elements come first, as only their stable compounds count in larger ones.

        Args:
            report: called with the number of compounds judged since the last call; they sum to ``len(hull)``.
        """
        n_elements = (self.composition > 0).sum(1)
        stable = torch.zeros(len(self), dtype=torch.bool)
        for k in torch.unique(n_elements).tolist():
            candidates = n_elements == k
            kept = stable | candidates
            hull = ReferenceHull(self.composition[kept], self.energy[kept])
            for rows in candidates.nonzero()[:, 0].split(_STABILITY_ROWS):
                above = self.energy[rows] - hull.hull_energy(self.composition[rows])
                stable[rows] = above <= STABLE
                if report is not None:
                    report(len(rows))
        return ReferenceHull(self.composition[stable], self.energy[stable])

    def _lowest(self, elements: Tensor, fractions: Tensor) -> Tensor:
        """Hull energies (n,) at fractions (n, k) of ``elements`` (n, k), ascending atomic numbers."""
        starts, counts = self._systems_within(elements)
        n_phases = counts.sum(1)
        result = torch.zeros(len(elements), dtype=torch.float64)
        # rows of similar numbers of phases together, as all are padded to the largest
        for rows in torch.argsort(n_phases).split(_ROWS_AT_A_TIME):
            if int(n_phases[rows].max()) > 0:
                points, energies = self._phases(elements[rows], starts[rows], counts[rows])
                result[rows] = lowest_mixture(fractions[rows], points, energies)
        return result

    def _systems_within(self, elements: Tensor) -> tuple[Tensor, Tensor]:
        """First compound and number of compounds, both (n, subsets), of each chemical system within ``elements``."""
        place, known = places_within(elements, self._keys, 2)
        if len(self._keys) == 0:
            return place, place
        return self._starts[place], torch.where(known, self._counts[place], 0)

    def _phases(self, elements: Tensor, starts: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
        """Fractions (n, m, k) and energies (n, m) of the compounds of chemical systems, padded with an element."""
        n, k = elements.shape
        n_phases = counts.sum(1)
        row = torch.repeat_interleave(torch.arange(n), n_phases)
        slot = torch.arange(len(row)) - (n_phases.cumsum(0) - n_phases)[row]
        counts = counts.flatten()
        within = torch.arange(len(row)) - torch.repeat_interleave(counts.cumsum(0) - counts, counts)
        compound = torch.repeat_interleave(starts.flatten(), counts) + within
        points = torch.zeros(n, int(n_phases.max()), k, dtype=torch.float64)
        points[:, :, 0] = 1.0
        energies = torch.zeros(points.shape[:2], dtype=torch.float64)
        points[row, slot] = self._fractions[compound[:, None], elements[row]]
        energies[row, slot] = self.energy[compound]
        return points, energies
