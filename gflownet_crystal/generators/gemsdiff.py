"""Structures by GemsDiff's diffusion: in the lattice and on the Wyckoff positions of a spec, or free as in the paper.

Klipfel et al., "Vector field oriented diffusion model for crystal material generation", AAAI 2024.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from gflownet_crystal.common.devices import on_device
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.crystallography.cells import lattice_points
from gflownet_crystal.generators.assignments.drawing import draw_tries
from gflownet_crystal.generators.assignments.ranked import RankedAssignments
from gflownet_crystal.generators.base import Generation, Generator, check_options, in_batches
from gflownet_crystal.generators.draws import keys_of_compounds
from gflownet_crystal.generators.placing.best_tries import best_of_each
from gflownet_crystal.generators.placing.counter_noise import CounterNoise, member_keys
from gflownet_crystal.generators.placing.denoised import denoised
from gflownet_crystal.generators.placing.diffused_sites import diffused
from gflownet_crystal.generators.placing.orbit_tables import orbit_tables
from gflownet_crystal.generators.selection import apart, make_room
from gflownet_crystal.models.denoiser import Denoiser
from gflownet_crystal.models.gemsdiff.graph import AtomTable
from gflownet_crystal.models.gemsdiff.model import GemsDiffModel
from gflownet_crystal.models.gemsdiff.sampling import free_crystals
from gflownet_crystal.structures.periodic_pairs import expand
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.structures.structure import StructureBatch


def primitive_counts(specs: CrystalSpec) -> Tensor:
    """Atoms in the primitive cells by atomic number, (n, 119) int64; counts that do not divide stay as they are."""
    points = lattice_points(specs.space_group)[:, None]
    divides = (specs.composition % points == 0).all(1, keepdim=True)
    return torch.where(divides, specs.composition // points, specs.composition)


@dataclass
class GemsDiff(Generator):
    """Diffuses atoms into crystals with trained weights.

    In mode ``spec`` composition, lattice and symmetry are those of the spec by construction: Wyckoff assignments are
    drawn, and only the free parameters of their positions diffuse. Of the tries the one whose atoms have most room is
    kept; where all are crowded, :func:`~gflownet_crystal.generators.selection.make_room` places atoms once more.

    In mode ``paper`` lattices diffuse as well, and no space group is claimed. Of a spec only the composition counts,
    that of the primitive cell, as in training. Denoisers can then make the crystals again: they move atoms to distances
    that known crystals have.

    Attributes:
        weights: a model, name of shipped weights, or path of a ``.safetensors`` file with its card beside it.
        mode: ``spec`` or ``paper``.
        steps: number of steps of the diffusion that are taken; None for all.
        ranking: weights that rank assignments; None takes those with the fewest orbits.
        assignments: number of assignments of a spec that may be drawn, the best-ranked ones.
        tries: draws of a spec, an assignment and its free parameters each.
        min_distance: Å; structures of mode ``spec`` with atoms closer than this are not given, nor are denoised ones of
            mode ``paper`` taken.
        min_ratio: ratio of distance to summed covalent radii below which they are crowded.
        denoise: weights of denoisers that make the crystals of mode ``paper`` again, one after the other; a name, a
            list of names, or None for none, as published.
        atoms: number of atoms of specs that are sampled together, about; bounds the memory.
    """

    weights: str | Path | GemsDiffModel = field(default="gemsdiff", repr=False)
    mode: Literal["spec", "paper"] = "spec"
    steps: int | None = None
    ranking: str | None = "assignments"
    assignments: int = 20
    tries: int = 2
    min_distance: float = 0.5
    min_ratio: float = 0.4
    denoise: str | Sequence[str] | None = None
    atoms: int = 1024
    _model: GemsDiffModel = field(init=False, repr=False)
    _ranking: RankedAssignments | None = field(default=None, init=False, repr=False)
    _denoisers: list[Denoiser] = field(default_factory=list, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.mode not in ("spec", "paper"):
            raise ConfigError(f"unknown generator.mode {self.mode!r}: choose spec or paper")
        check_options(vars(self), ("assignments", "tries", "atoms"), ("min_distance", "min_ratio"))
        if self.steps is not None and self.steps < 1:
            raise ConfigError(f"generator.steps={self.steps} has to be at least 1, or null for all")
        given = self.weights
        self._model = (
            given if isinstance(given, GemsDiffModel) else GemsDiffModel.from_weights(given)
        ).eval()
        if self.mode == "spec" and self.ranking is not None:
            self._ranking = RankedAssignments.load(self.ranking)
        asked = [self.denoise] if isinstance(self.denoise, str) else list(self.denoise or ())
        if asked and self.mode == "spec":
            raise ConfigError(
                f"generator.denoise={','.join(asked)} changes lattices: take mode=paper, or denoise=null"
            )
        loaded = {weights: Denoiser.from_weights(weights) for weights in dict.fromkeys(asked)}
        self._denoisers = [loaded[weights] for weights in asked]

    @torch.no_grad()
    def generate(self, specs: CrystalSpec, seed: int = 0) -> Generation:
        # like sizes together: pairs of atoms are listed for the largest
        if self.mode == "paper":
            cells = replace(specs, composition=primitive_counts(specs))
            return in_batches(cells, cells.n_atoms, self.atoms, lambda part: self._sample_free(part, seed))
        sizes = specs.n_atoms * self.tries
        found = in_batches(specs, sizes, self.atoms, lambda part: self._sample_sites(part, seed))
        return make_room(found, specs, seed, self.min_distance, self.min_ratio, self.atoms)

    def _sample_free(self, specs: CrystalSpec, seed: int) -> Generation:
        model = self._model.to(specs.device)
        entry, number = specs.composition.nonzero().unbind(1)
        repeated, _ = expand(torch.zeros_like(entry), specs.composition[entry, number])
        index, numbers = entry[repeated], number[repeated]
        table = AtomTable.of(numbers, index, len(specs), model.settings.neighbours)
        keys = keys_of_compounds(torch.zeros_like(specs.space_group), specs.composition, seed)
        noise = CounterNoise(keys, member_keys(keys, index, table.sizes))
        cell, fractional = free_crystals(model, table, noise.start(), noise, self.steps)
        group = torch.zeros_like(specs.space_group)
        structures = StructureBatch(cell, numbers, fractional, index, group)
        for denoiser in self._denoisers:
            structures = denoised(structures, denoiser.to(specs.device), self.min_distance)
        return Generation(structures, torch.arange(len(specs), device=specs.device))

    def _sample_sites(self, specs: CrystalSpec, seed: int) -> Generation:
        """The try of largest distances of each spec that has an assignment."""
        tables = on_device(orbit_tables(), specs.device)
        assigned, drawn = draw_tries(specs, self._ranking, self.assignments, self.tries, seed)
        model = self._model.to(specs.device)
        orbits = diffused(model, assigned.cell, specs.space_group, drawn, tables, self.steps)
        if not len(orbits.candidate):
            nothing = orbits.structures(assigned.cell, specs.space_group, tables)
            return Generation(nothing, orbits.candidate)
        distance, ratio = assigned.pairs(orbits, tables, 0.0).closest()
        ratio = ratio.where(distance >= self.min_distance, -1.0)
        best = orbits.select(best_of_each(orbits.spec_of_candidate, ratio))
        structures = best.structures(assigned.cell, specs.space_group, tables)
        return apart(Generation(structures, best.spec_of_candidate), self.min_distance)
