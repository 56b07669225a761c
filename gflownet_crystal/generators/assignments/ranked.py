"""The likeliest Wyckoff assignments of specs, by a table and a network that sees elements and lattice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor

from gflownet_crystal.common.devices import on_device
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.crystallography.lattice import parameters_to_matrix
from gflownet_crystal.generators.assignments.assigned_specs import AssignedSpecs
from gflownet_crystal.generators.assignments.inputs import ranker_inputs
from gflownet_crystal.generators.assignments.listing import AssignmentLister, Listing
from gflownet_crystal.generators.assignments.table import AssignmentTable, keys_of
from gflownet_crystal.generators.draws import keys_of_compounds
from gflownet_crystal.generators.placing.candidates import mean_electronegativity
from gflownet_crystal.generators.placing.orbit_spacing import Lattices, Orbits
from gflownet_crystal.generators.placing.orbit_tables import orbit_tables
from gflownet_crystal.models.sites.assignment_ranker import KIND, AssignmentRanker, log_probabilities
from gflownet_crystal.structures.batching import cut_by_atoms
from gflownet_crystal.structures.periodic_pairs import expand
from gflownet_crystal.structures.site_letters import prescribed
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.weights import fitting_card, load_weights, save_weights, tensors_under

LISTED = 200
"""Assignments of a spec that are scored, at most."""

_BATCH = 20_000
# scores are compared without rounding errors, so that their order is the same in every batch
_DIGITS = 9


@dataclass(frozen=True)
class RankedSpecs:
    """The best assignments of n specs.

    Attributes:
        assigned: the specs with A assignments in all; those of a spec stand together, the best first (``place`` 0).
        log_probability: (A,) float64, of each among all that were scored for its spec.
    """

    assigned: AssignedSpecs
    log_probability: Tensor


class RankedAssignments:
    """Ranks the assignments of specs; those that differ by a motion of the normaliser only are one.

    The result of a spec does not depend on its batch. Listings are remembered.

    Args:
        table: table of known crystals.
        ranker: trained beside a table of the same kind.
        listed: assignments of a spec that are scored, at most.
    """

    def __init__(self, table: AssignmentTable, ranker: AssignmentRanker, listed: int = LISTED) -> None:
        if listed < 1:
            raise ConfigError(f"listed={listed} has to be above zero")
        self.lister = AssignmentLister(table, listed)
        # rounding in float64 is too small to change an order
        self.ranker = ranker.double().eval()

    @classmethod
    def load(cls, weights: str | Path = "assignments", listed: int = LISTED) -> Self:
        """Read a table and a ranker from a weights file.

        Args:
            weights: shipped name or path.
            listed: assignments of a spec that are scored, at most.

        Raises:
            WeightsError: there is no such file, or it is damaged.
        """
        tensors, card = load_weights(weights, KIND)
        with fitting_card(weights):
            ranker = AssignmentRanker(**card["settings"])
            ranker.load_state_dict(tensors_under(tensors, "ranker/"))
            table = AssignmentTable.from_tensors(tensors_under(tensors, "table/"))
        return cls(table, ranker, listed)

    def save(self, path: Path, card: Mapping[str, object]) -> None:
        """Write table and ranker, in float16.

        Args:
            path: the ``.safetensors`` file.
            card: further entries of the card, with the ranker's ``settings``.
        """
        parts = {"table": self.lister.table.tensors(), "ranker": self.ranker.state_dict()}
        tensors = {f"{part}/{name}": value for part, own in parts.items() for name, value in own.items()}
        save_weights(path, tensors, {"kind": KIND, **card}, half=True)

    @torch.no_grad()
    def best(self, specs: CrystalSpec, k: int, seed: int = 0) -> RankedSpecs:
        """The k best assignments of each of n specs, or as many as there are.

        Args:
            specs: n specs; those without an assignment are left out of the result, those that prescribe one have it.
            k: largest number of assignments a spec.
            seed: random seed of the keys with which free parameters are drawn.
        """
        device = specs.device
        keys, elements = keys_of(specs.space_group, specs.composition)
        listings = [
            self.lister.of(key) if own is None else self.lister.only(key, own)
            for key, own in zip(keys, prescribed(specs, elements), strict=True)
        ]
        log_probability, spec, offset, flat = self._scored(specs, elements, listings)
        order = _by_spec(spec, log_probability)
        sizes = torch.bincount(spec, minlength=len(specs))
        place = torch.arange(len(spec), device=device) - (sizes.cumsum(0) - sizes)[spec[order]]
        chosen, place = order[place < k], place[place < k]
        orbit, row = expand(offset[chosen], flat["n_orbits"][chosen])
        owner = spec[chosen][orbit]
        position = flat["position"][row]
        cell = parameters_to_matrix(specs.lengths, specs.angles)
        tables = on_device(orbit_tables(), device)
        free = tables.rotation[tables.start[position]].flatten(1).any(1)
        is_free = (
            torch.zeros(len(chosen), dtype=torch.int64, device=device).index_add(0, orbit, free.long()) > 0
        )
        assigned = AssignedSpecs(
            cell,
            keys_of_compounds(specs.space_group, specs.composition, seed),
            Lattices.of(cell, specs.space_group),
            spec[chosen],
            place,
            is_free,
            Orbits(
                orbit, owner, position, elements[owner, flat["element"][row]], cell.new_zeros(len(row), 3)
            ),
            mean_electronegativity(specs),
        )
        return RankedSpecs(assigned, log_probability[chosen])

    def _scored(
        self, specs: CrystalSpec, elements: Tensor, listings: list[Listing]
    ) -> tuple[Tensor, Tensor, Tensor, dict[str, Tensor]]:
        """Log-probability, spec and first orbit of each listed assignment, and the columns of all listings."""
        device = specs.device
        sizes = torch.tensor([len(listing) for listing in listings], dtype=torch.int64)
        parts = []
        for rows in cut_by_atoms(torch.arange(len(listings)), sizes.clamp(min=1), _BATCH):
            chosen = [listings[row] for row in rows.tolist()]
            inputs = ranker_inputs(specs[rows.to(device)], elements[rows.to(device)], chosen)
            parts.append(log_probabilities(self.ranker.to(device)(inputs), inputs.spec, len(rows)))
        flat = {
            name: torch.from_numpy(
                np.concatenate([getattr(one, name) for one in listings] or [np.zeros(0, dtype=np.int64)])
            ).to(device)
            for name in ("n_orbits", "element", "position")
        }
        spec = torch.repeat_interleave(sizes).to(device)
        offset = flat["n_orbits"].cumsum(0) - flat["n_orbits"]
        scored = torch.cat(parts) if parts else torch.zeros(0, dtype=torch.float64, device=device)
        return scored, spec, offset, flat


def _by_spec(spec: Tensor, score: Tensor) -> Tensor:
    """Assignments by spec, the best first."""
    falling = score.mul(10.0**_DIGITS).round().argsort(descending=True, stable=True)
    order: Tensor = falling[spec[falling].argsort(stable=True)]
    return order
