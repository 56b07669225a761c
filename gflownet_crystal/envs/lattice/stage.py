"""The lattice stage: jumps in a unit box that a :class:`LatticeBox` maps to lattice parameters."""

from __future__ import annotations

from torch import Tensor

from gflownet_crystal.common.moving import MovedToDevice
from gflownet_crystal.envs.base import Context, Stage
from gflownet_crystal.envs.composition.stage import CompositionState
from gflownet_crystal.envs.lattice.box import N_COORDINATES, LatticeBox
from gflownet_crystal.envs.lattice.jumps import JumpStage, JumpState
from gflownet_crystal.envs.lattice.reference_volume import elemental_volumes
from gflownet_crystal.envs.space_group import SpaceGroupState


class LatticeStage(MovedToDevice, JumpStage):
    """Six coordinates, those that the lattice system fixes standing still.

    The context's states are the space group and the composition.

    Args:
        box: the map to lattice parameters.
        atomic_numbers: (E,) int64 of the vocabulary.
        minimum_increment: smallest jump after the first, as a fraction of the box.
    """

    def __init__(self, box: LatticeBox, atomic_numbers: Tensor, minimum_increment: float = 0.1) -> None:
        super().__init__("lattice", N_COORDINATES, minimum_increment)
        self.box = box
        self.atom_volumes = elemental_volumes()[atomic_numbers]

    def same_rules(self, other: Stage) -> bool:
        return (
            isinstance(other, LatticeStage)
            and self.box is other.box
            and self.minimum_increment == other.minimum_increment
        )

    def free_dimensions(self, context: Context) -> Tensor:
        return self.box.is_free(_group(context))

    def reference_volume(self, context: Context) -> Tensor:
        """(n,) float64 Å^3, from the composition."""
        return context.of(CompositionState).counts.double() @ self.atom_volumes

    def parameters(self, state: JumpState, context: Context) -> tuple[Tensor, Tensor]:
        """Lengths in Å and angles in degrees, (n, 3) float64 each, of finished states."""
        reference = self.reference_volume(context)
        natural, _ = self.box.decode(state.position, _group(context), reference)
        return self.box.to_parameters(natural, reference)

    def log_jacobian(self, state: JumpState, context: Context) -> Tensor:
        """(n,) float64 log |dx / du| of the box map at finished states."""
        return self.box.decode(state.position, _group(context), self.reference_volume(context))[1]

    def from_parameters(self, lengths: Tensor, angles: Tensor, context: Context) -> tuple[JumpState, Tensor]:
        """Finished states at given lattices, and (n,) bool whether they lie in the box."""
        reference = self.reference_volume(context)
        natural = self.box.from_parameters(lengths, angles, reference)
        unit, inside = self.box.encode(natural, _group(context), reference)
        return self.terminal(unit.nan_to_num(), context), inside


def _group(context: Context) -> Tensor:
    return context.of(SpaceGroupState).group
