"""Metropolis moves over crystal specs, for chains that find R/Z without the sampler's stages.

Moves work on specs and on the coordinates of the default reference measure: log volume, logs of the free axial ratios,
free angles in radians. A change of composition keeps the cell's volume over its reference volume, so its Jacobian is 1.
Membership of the space is asked of the environment, object by object; nothing of its actions or densities is used.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.crystallography.lattice import FREE_PARAMETERS, closure, complete_parameters
from gflownet_crystal.crystallography.space_groups import lattice_system_of_group
from gflownet_crystal.envs.base import Context
from gflownet_crystal.envs.composition.stage import CompositionState
from gflownet_crystal.envs.crystal import Crystal
from gflownet_crystal.envs.lattice.reference_volume import reference_volume
from gflownet_crystal.envs.lattice.shape import ShapeBox
from gflownet_crystal.evaluation.annealing import Move, Proposal
from gflownet_crystal.structures.spec import CrystalSpec

CELL_FACTORS = (1, 2, 3, 4)
"""Counts are multiplied or divided by these where a group of another centring is proposed."""

REDRAW_SPREADS = ((0.3, 0.1), (2.0, 0.4))
"""Standard deviations of redrawn log ratios and angles (radians): near a cube where the target is, and all over."""


@dataclass(frozen=True)
class Shape:
    """Lattices of n cells in reference coordinates, with the log volume kept apart.

    Attributes:
        system: (n,) int64 index into LATTICE_SYSTEMS.
        log_volume: (n,) float64, log of the cell's volume over its reference volume.
        coordinates: (n, 5) float64: log(b / a), log(c / a), then the angles in radians; only free ones count.
    """

    system: Tensor
    log_volume: Tensor
    coordinates: Tensor

    @property
    def free(self) -> Tensor:
        """(n, 5) bool: coordinates that the lattice system leaves free."""
        return FREE_PARAMETERS.to(self.system.device)[self.system][:, 1:]


class CrystalMoves:
    """Moves of crystal specs in the space of a crystal environment.

    Args:
        env: says which specs are inside, and which groups, elements and counts are worth proposing.

    Raises:
        ConfigError: the environment's reference measure is another.
    """

    def __init__(self, env: Crystal) -> None:
        if not isinstance(env, Crystal) or not isinstance(env.lattice.box, ShapeBox):
            raise ConfigError("crystal moves need a crystal environment with coordinates=shape")
        self.env, self.atomic_numbers, self.max_count = env, env.atomic_numbers, env.rules.max_count
        self.groups = env.space_group.allowed.nonzero().squeeze(1)
        self.system_of = torch.from_numpy(lattice_system_of_group).to(self.groups.device)

    def all(self) -> list[Move]:
        """Every move; small lattice steps of several sizes, as shapes and volumes differ in stiffness."""
        steps: list[Move] = [self.lattice_step(size) for size in (0.3, 0.1, 0.03)]
        single, double = self.redraw_counts(1), self.redraw_counts(2)
        regroup = self.redraw_group
        compositions = [single, double, self.exchange_element, double, self.exchange_counts]
        return [*steps, regroup, *compositions, regroup]

    def lattice_step(self, size: float) -> Move:
        """A Gaussian step of log volume, log ratios (std ``size``) and angles (std ``size / 3`` radians)."""

        def move(specs: CrystalSpec, generator: torch.Generator) -> Proposal:
            shape = self.shape_of(specs)
            scale = torch.tensor([size, size, *[size / 3.0] * 3], dtype=torch.float64, device=specs.device)
            noise = _normal(shape.coordinates.shape, generator)
            stretch = size * _normal(shape.log_volume.shape, generator)
            # half of the particles change their volume only, half their shape too
            with_shape = (_uniform(stretch.shape, generator) < 0.5)[:, None] & shape.free
            coordinates = shape.coordinates + torch.where(with_shape, scale * noise, 0.0)
            moved = replace(shape, log_volume=shape.log_volume + stretch, coordinates=coordinates)
            proposed = self._spec(specs.space_group, specs.composition, moved)
            return Proposal(proposed, inside_box(self.env, proposed), torch.zeros_like(stretch))

        return move

    def redraw_counts(self, n_elements: int) -> Move:
        """Counts of so many random elements set uniformly to 0..max_count."""

        def move(specs: CrystalSpec, generator: torch.Generator) -> Proposal:
            n = len(specs)
            order = _uniform((n, len(self.atomic_numbers)), generator).argsort(dim=1)[:, :n_elements]
            counts = torch.randint(self.max_count + 1, order.shape, generator=generator, device=specs.device)
            return self._with_composition(
                specs, specs.composition.scatter(1, self.atomic_numbers[order], counts)
            )

        return move

    def exchange_element(self, specs: CrystalSpec, generator: torch.Generator) -> Proposal:
        """Two random elements exchange their counts; mostly an element of the crystal for one that is not in it."""
        pair = self.atomic_numbers[
            _uniform((len(specs), len(self.atomic_numbers)), generator).argsort(dim=1)[:, :2]
        ]
        present = (specs.composition[:, self.atomic_numbers] > 0).double()
        chosen = torch.multinomial(present, 1, generator=generator)
        # the first is an element of the crystal; as many are present afterwards, so the way back is as likely
        first = self.atomic_numbers[chosen]
        second = torch.where(pair[:, :1] == first, pair[:, 1:], pair[:, :1])
        places = torch.cat([first, second], dim=1)
        counts = specs.composition.gather(1, places).flip(1)
        return self._with_composition(specs, specs.composition.scatter(1, places, counts))

    def exchange_counts(self, specs: CrystalSpec, generator: torch.Generator) -> Proposal:
        """Two elements of the crystal exchange their counts."""
        present = (specs.composition[:, self.atomic_numbers] > 0).double()
        keys = _uniform(present.shape, generator) + 2.0 * present
        places = self.atomic_numbers[keys.argsort(dim=1, descending=True)[:, :2]]
        counts = specs.composition.gather(1, places).flip(1)
        proposal = self._with_composition(specs, specs.composition.scatter(1, places, counts))
        return replace(proposal, inside=proposal.inside & (present.sum(dim=1) > 1))

    def redraw_group(self, specs: CrystalSpec, generator: torch.Generator) -> Proposal:
        """Another group, often with counts multiplied or divided, and a new shape if the lattice system changes."""
        n, device = len(specs), specs.device
        group = self.groups[torch.randint(len(self.groups), (n,), generator=generator, device=device)]
        factors = torch.tensor(CELL_FACTORS, device=device)
        factor = factors[torch.randint(len(factors), (n,), generator=generator, device=device)][:, None]
        divides = (_uniform((n, 1), generator) < 0.5).expand_as(specs.composition)
        whole = (specs.composition % factor == 0).all(dim=1) | ~divides[:, 0]
        composition = torch.where(divides, specs.composition // factor, specs.composition * factor)
        before = self.shape_of(specs)
        system = self.system_of[group]
        drawn = self._draw_shape(replace(before, system=system), generator)
        same = system == before.system
        after = replace(drawn, coordinates=torch.where(same[:, None], before.coordinates, drawn.coordinates))
        log_ratio = (_redraw_log_density(before) - _redraw_log_density(after)).masked_fill(same, 0.0)
        proposal = self._proposal(self._spec(group, composition, after))
        return Proposal(proposal.objects, proposal.inside & whole, log_ratio)

    def shape_of(self, specs: CrystalSpec) -> Shape:
        """Reference coordinates of specs."""
        relative = specs.volume / reference_volume(specs.composition)
        ratios = (specs.lengths[:, 1:] / specs.lengths[:, :1]).log()
        coordinates = torch.cat([ratios, torch.deg2rad(specs.angles)], dim=1)
        return Shape(self.system_of[specs.space_group], relative.log(), coordinates)

    def _draw_shape(self, shape: Shape, generator: torch.Generator) -> Shape:
        spread = _spreads(shape.coordinates)
        chosen = torch.randint(
            len(spread), shape.log_volume.shape, generator=generator, device=generator.device
        )
        noise = _normal(shape.coordinates.shape, generator)
        return replace(shape, coordinates=_cube(shape.coordinates) + spread[chosen] * noise)

    def _spec(self, group: Tensor, composition: Tensor, shape: Shape) -> CrystalSpec:
        """Specs from reference coordinates; coordinates that are not free are completed by the lattice system."""
        ratios = torch.cat(
            [torch.zeros_like(shape.log_volume)[:, None], shape.coordinates[:, :2]], dim=1
        ).exp()
        unit = complete_parameters(
            shape.system, torch.cat([ratios, torch.rad2deg(shape.coordinates[:, 2:])], dim=1)
        )
        lengths, angles = unit[:, :3], unit[:, 3:]
        volume = shape.log_volume.exp() * reference_volume(composition)
        unit_volume = lengths.prod(dim=1) * closure(angles).clamp(min=1e-12).sqrt()
        return CrystalSpec(
            group, composition, lengths * ((volume / unit_volume) ** (1.0 / 3.0))[:, None], angles
        )

    def _with_composition(self, specs: CrystalSpec, composition: Tensor) -> Proposal:
        return self._proposal(self._spec(specs.space_group, composition, self.shape_of(specs)))

    def _proposal(self, specs: CrystalSpec) -> Proposal:
        return Proposal(specs, inside_space(self.env, specs), torch.zeros(len(specs), dtype=torch.float64))


def inside_box(env: Crystal, specs: CrystalSpec) -> Tensor:
    """(n,) bool: specs whose lattice is an object of the space as it stands, not only in another setting."""
    closed = (closure(specs.angles) > 0.0) & ((specs.angles > 0.0) & (specs.angles < 180.0)).all(dim=1)
    counts = specs.composition[:, env.atomic_numbers]
    states = (env.space_group.terminal(specs.space_group), CompositionState(counts, closed))
    _, inside = env.lattice.from_parameters(
        specs.lengths, specs.angles, Context(len(specs), specs.device, states)
    )
    return inside & closed


def inside_space(env: Crystal, specs: CrystalSpec) -> Tensor:
    """(n,) bool: specs that are objects of the space: group, composition and lattice."""
    counts = specs.composition[:, env.atomic_numbers]
    possible = (
        inside_box(env, specs)
        & env.space_group.allowed[specs.space_group]
        & (counts.sum(dim=1) == specs.n_atoms)
    )
    rows = possible.nonzero().squeeze(1)
    return torch.zeros_like(possible).index_put(
        (rows,), env.composition.reached(counts[rows], specs.space_group[rows])
    )


def _cube(like: Tensor) -> Tensor:
    """(n, 5) coordinates of cubes."""
    centre = torch.zeros_like(like)
    centre[:, 2:] = 0.5 * math.pi
    return centre


def _spreads(like: Tensor) -> Tensor:
    """(m, 5) standard deviations of the components from which shapes are redrawn."""
    rows = [[ratio, ratio, angle, angle, angle] for ratio, angle in REDRAW_SPREADS]
    return torch.tensor(rows, dtype=torch.float64, device=like.device)


def _redraw_log_density(shape: Shape) -> Tensor:
    """(n,) log-density of the redraw over the free coordinates, less the log of the number of components."""
    centre = _cube(shape.coordinates)[:, None]
    normal = torch.distributions.Normal(centre, _spreads(shape.coordinates), validate_args=False)
    log_density = normal.log_prob(shape.coordinates[:, None]).masked_fill(~shape.free[:, None], 0.0)
    return torch.logsumexp(log_density.sum(dim=2), dim=1)


def _uniform(shape: tuple[int, ...] | torch.Size, generator: torch.Generator) -> Tensor:
    return torch.rand(shape, generator=generator, device=generator.device, dtype=torch.float64)


def _normal(shape: tuple[int, ...] | torch.Size, generator: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=generator, device=generator.device, dtype=torch.float64)
