"""The contract of a convex hull: formation energy of the most stable mixture of phases at a composition."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

import torch
from torch import Tensor

from gflownet_crystal.common.errors import ProxyError
from gflownet_crystal.structures.elements import N_ATOMIC_NUMBERS
from gflownet_crystal.structures.spec import CrystalSpec

NEAR_HULL = 0.1
"""eV/atom above the hull up to which a crystal counts as stable (C. Zeni et al., Nature 639, 624, 2025)."""

FAR_BELOW = -0.1
"""eV/atom above the hull; a lower energy is more often an error, of itself or of the hull, than a find."""

MAX_ELEMENTS = 8
"""Most different elements of a composition that a hull is asked for."""


class Hull(ABC):
    """Base of hulls: elements stand at 0, so that no hull energy is above 0; computed on the CPU."""

    @abstractmethod
    def hull_energy(self, composition: Tensor) -> Tensor:
        """Energy of the hull, (n,) float64 on the CPU, eV/atom, at most 0.

        Args:
            composition: (n, 119) int64 counts by atomic number; multiples of a formula count as equal.

        Raises:
            ProxyError: a composition is empty, has an unknown element or more than 8 elements.
        """

    def e_above_hull(self, specs: CrystalSpec, energy: Tensor) -> Tensor:
        """Energy above the hull (n,) float64, eV/atom, on the device of ``energy``.

        Args:
            specs: n specs.
            energy: (n,) formation energies, eV/atom.
        """
        return energy.double() - self.hull_energy(specs.composition).to(energy.device)


def by_number_of_elements(composition: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Compositions in batches with equally many elements, whose linear programs have the same shape.

    Args:
        composition: (n, 119) int64 counts, none empty.

    Yields:
        Rows (m,), elements (m, k) in ascending order, and their fractions (m, k) float64.
    """
    present = composition > 0
    n_elements = present.sum(1)
    for k in torch.unique(n_elements).tolist():
        rows = (n_elements == k).nonzero()[:, 0]
        elements = present[rows].nonzero()[:, 1].view(len(rows), k)
        fractions = composition[rows].gather(1, elements).double()
        yield rows, elements, fractions / fractions.sum(1, keepdim=True)


def checked_composition(composition: Tensor) -> Tensor:
    """The compositions (n, 119) on the CPU.

    Raises:
        ProxyError: one is empty, has an unknown element or more than 8 elements.
    """
    composition = composition.cpu()
    if composition.dim() != 2 or composition.shape[1] != N_ATOMIC_NUMBERS:
        raise ProxyError(f"compositions have shape {tuple(composition.shape)}; give (n, {N_ATOMIC_NUMBERS})")
    n_elements = (composition > 0).sum(1)
    unknown = (composition[:, 0] != 0) | (composition < 0).any(1)
    wrong = (n_elements < 1) | (n_elements > MAX_ELEMENTS) | unknown
    if bool(wrong.any()):
        row = int(wrong.nonzero()[0, 0])
        what = "unknown or negative counts" if bool(unknown[row]) else f"{n_elements[row]} elements"
        raise ProxyError(f"spec {row} has {what}; a hull takes 1 to {MAX_ELEMENTS} known elements")
    return composition
