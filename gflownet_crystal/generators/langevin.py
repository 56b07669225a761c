"""Annealed Langevin dynamics from specs: on the sites of Wyckoff assignments, or the paper's with adaptive cells."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from gflownet_crystal.common.devices import on_device
from gflownet_crystal.common.errors import DataError
from gflownet_crystal.crystallography.site_projectors import site_flats
from gflownet_crystal.generators.assignments.assigned_specs import AssignedSpecs
from gflownet_crystal.generators.assignments.drawing import draw_tries
from gflownet_crystal.generators.assignments.ranked import RankedAssignments
from gflownet_crystal.generators.base import Generation, Generator, check_options, in_batches
from gflownet_crystal.generators.draws import joined
from gflownet_crystal.generators.placing.annealing import anneal_crystals, anneal_positions, has_fixed_angles
from gflownet_crystal.generators.placing.best_tries import best_of_each
from gflownet_crystal.generators.placing.merging import merge_and_snap
from gflownet_crystal.generators.placing.orbit_spacing import Orbits
from gflownet_crystal.generators.placing.orbit_tables import OrbitTables, orbit_tables
from gflownet_crystal.generators.selection import apart, drawn_apart, make_room
from gflownet_crystal.models.langevin.model import Schedule, ScoreModel, Sites
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.structures.symmetry_images import group_tables

# assignments of a spec, of which the one with the fewest orbits is taken
_LOOKED_AT = 4


class Langevin(Generator):
    """Spec mode: the lattice is the spec's, and the sites of a Wyckoff assignment move along their free coordinates.

    Noise and score are projected on the free directions of each site, so symmetry and composition hold at each step.
    Of the chains of a spec the one whose atoms are the farthest apart counts. A spec none of whose chains keeps its
    atoms apart is placed by :func:`~gflownet_crystal.generators.selection.make_room`.

    Args:
        weights: a model, shipped weights by name, or a ``.safetensors`` file with its card beside it.
        ranking: weights that rank Wyckoff assignments; None takes those with the fewest orbits.
        assignments: number of assignments of a spec that may be drawn, the best-ranked ones.
        tries: chains of a spec, the first of the best assignment.
        steps: number of steps at each noise level.
        position_rate: gamma_X of the step sizes, Å^2.
        closest: least distance of two atoms of a structure, periodic images included, Å.
        anion_repulsion: fraction of the summed radii by which two anions are further apart, where chains are compared.
        atoms: number of atoms of specs whose chains run together, about; bounds the memory.

    Raises:
        ConfigError: a number is out of range.
        WeightsError: the weights are missing, corrupt or of another kind.
    """

    def __init__(
        self,
        weights: str | Path | ScoreModel,
        ranking: str | Path | None = "assignments",
        assignments: int = 20,
        tries: int = 2,
        steps: int = 80,
        position_rate: float = 1e-3,
        closest: float = 0.5,
        anion_repulsion: float = 0.6,
        atoms: int = 1024,
    ) -> None:
        self.assignments, self.tries, self.atoms = assignments, tries, atoms
        self.closest, self.anion_repulsion = closest, anion_repulsion
        check_options(vars(self), ("assignments", "tries", "atoms"), ("closest", "anion_repulsion"))
        self.schedule = Schedule(steps, position_rate)
        self.model = weights if isinstance(weights, ScoreModel) else ScoreModel.from_weights(weights, "spec")
        self.ranking = None if ranking is None else RankedAssignments.load(ranking)

    @torch.no_grad()
    def generate(self, specs: CrystalSpec, seed: int = 0) -> Generation:
        self.model = self.model.to(specs.device).eval()
        made = in_batches(specs, specs.n_atoms, self.atoms, lambda part: self._place(part, seed))
        return make_room(made, specs, seed, self.closest, atoms=self.atoms)

    def _place(self, specs: CrystalSpec, seed: int) -> Generation:
        tables = on_device(orbit_tables(), specs.device)
        assigned, drawn = draw_tries(specs, self.ranking, self.assignments, self.tries, seed)
        if not len(drawn.candidate):
            return Generation(StructureBatch.none(specs.device), specs.space_group[:0])
        drawn = replace(drawn, parameters=self._moved(specs, assigned, drawn, tables))
        pairs = assigned.pairs(drawn, tables, self.anion_repulsion)
        distances = pairs.distances(drawn.parameters)
        ratio = pairs.smallest(distances / pairs.contact)
        # roomy chains come after all that keep their distance
        ratio = ratio.where(pairs.smallest(distances) >= self.closest, -1.0)
        best = drawn.select(best_of_each(drawn.spec_of_candidate, ratio))
        structures = best.structures(assigned.cell, specs.space_group, tables)
        return apart(Generation(structures, best.spec_of_candidate), self.closest)

    def _moved(
        self, specs: CrystalSpec, assigned: AssignedSpecs, drawn: Orbits, tables: OrbitTables
    ) -> Tensor:
        """Free parameters of the orbits of all candidates after their chains, (O, 3)."""
        operation = tables.start[drawn.position]
        rotation = tables.rotation[operation]
        is_free = torch.zeros(len(drawn.n_orbits), dtype=torch.bool, device=specs.device)
        is_free[drawn.candidate[(rotation != 0).flatten(1).any(1)]] = True
        moving = is_free[drawn.candidate]
        if not bool(moving.any()):
            return drawn.parameters
        chains = drawn.select(is_free.nonzero()[:, 0])
        operation, rotation = operation[moving], rotation[moving]
        start = (rotation @ chains.parameters[:, :, None])[:, :, 0] + tables.translation[operation]
        cell, group = assigned.cell[chains.spec_of_candidate], specs.space_group[chains.spec_of_candidate]
        numbers, owner = chains.atomic_number, chains.candidate
        sites = Sites.on_positions(cell, group, numbers, start, owner, self.model.cutoff)
        # draws of a chain differ in the parameters they start from, so these serve as keys
        keys = (chains.parameters * 2.0**53).long()
        within = torch.arange(len(owner), device=owner.device) - chains.start[owner]
        chain_keys = joined(joined(joined(assigned.key[chains.spec], within), keys[:, 0]), keys[:, 1])
        points = anneal_positions(self.model, sites, start, cell, chain_keys, self.schedule)
        inverse = on_device(site_flats(), points.device).inverse[operation]
        found = (inverse @ (points - tables.translation[operation])[:, :, None])[:, :, 0]
        parameters = drawn.parameters.clone()
        parameters[moving] = found - found.floor()
        return parameters


class PaperLangevin(Generator):
    """Paper mode: positions and lattice are drawn together, for a group and inequivalent sites.

    The numbers of inequivalent sites are those of a spec's simplest Wyckoff assignment; where the sites go, and so the
    composition and the lattice, is up to the dynamics. Specs of triclinic and monoclinic groups are left out.
    Two sites of one structure may end at the same place, which the publication keeps. Such a structure is drawn again
    here; a spec without a structure after all tries is left out.

    Args:
        weights: a model, shipped weights by name, or a ``.safetensors`` file with its card beside it.
        tries: largest number of chains of a spec, of which the first counts that keeps its atoms apart.
        closest: least distance of two atoms of a structure, periodic images included, Å; 0 keeps the first chain of
            each spec, as published.
        steps: number of steps at each noise level.
        position_rate: gamma_X of the step sizes, Å^2.
        lattice_rate: gamma_L of the step sizes, Å^2.
        lattice_noise: factor on the noise of the lattice.
        start_length: mean length of the cells at the start, Å.
        merged: images of a site nearer than this become one atom, Å.
        images: symmetric images of the sites whose chains run together, about; bounds the memory.

    Raises:
        ConfigError: a number is out of range.
        WeightsError: the weights are missing, corrupt or of another kind.
    """

    def __init__(
        self,
        weights: str | Path | ScoreModel,
        tries: int = 4,
        closest: float = 0.5,
        steps: int = 80,
        position_rate: float = 1e-3,
        lattice_rate: float = 1e-2,
        lattice_noise: float = 0.15,
        start_length: float = 7.0,
        merged: float = 0.3,
        images: int = 2048,
    ) -> None:
        self.tries, self.closest = tries, closest
        self.start_length, self.merged, self.images = start_length, merged, images
        check_options(vars(self), ("tries", "start_length", "merged", "images"), ("closest",))
        self.schedule = Schedule(steps, position_rate, lattice_rate, lattice_noise)
        self.model = weights if isinstance(weights, ScoreModel) else ScoreModel.from_weights(weights, "paper")

    @torch.no_grad()
    def generate(self, specs: CrystalSpec, seed: int = 0) -> Generation:
        order = on_device(group_tables(), specs.device).order

        def draw(some: CrystalSpec, number: int) -> Generation:
            images = order[some.space_group] * (some.composition > 0).sum(1)
            own_seed = seed * self.tries + number
            return in_batches(some, images, self.images, lambda part: self._draw(part, own_seed))

        return drawn_apart(specs, self.tries, self.closest, draw)

    def _draw(self, specs: CrystalSpec, seed: int) -> Generation:
        rows = has_fixed_angles(specs.space_group).nonzero()[:, 0]
        assigned = AssignedSpecs.of(specs[rows], _LOOKED_AT, 1, seed)
        orbits = assigned.orbits
        if not len(orbits.candidate):
            return Generation(StructureBatch.none(specs.device), specs.space_group[:0])
        structures = self.sample(
            specs.space_group[rows[orbits.spec_of_candidate]],
            orbits.atomic_number,
            orbits.candidate,
            assigned.key[orbits.spec_of_candidate],
        )
        return Generation(structures, rows[orbits.spec_of_candidate])

    @torch.no_grad()
    def sample(
        self, space_group: Tensor, atomic_numbers: Tensor, structure_index: Tensor, keys: Tensor
    ) -> StructureBatch:
        """Draw crystals.

        Args:
            space_group: (n,) int64, 16 to 230.
            atomic_numbers: (N,) int64, of the inequivalent sites.
            structure_index: (N,) int64, not decreasing; every structure has a site.
            keys: (n,) int64, of the noise.

        Returns:
            n structures, conventional cells.

        Raises:
            DataError: the angles of a group are not fixed.
        """
        if not bool(has_fixed_angles(space_group).all()):
            raise DataError("the lattice score knows no angles: give groups 16 to 230")
        self.model = self.model.to(space_group.device).eval()
        fractional, cell = anneal_crystals(
            self.model, space_group, atomic_numbers, structure_index, keys, self.schedule, self.start_length
        )
        return merge_and_snap(atomic_numbers, fractional, structure_index, cell, space_group, self.merged)
