"""The space-group stage: crystal-lattice system, point symmetry and group, in any order that ends with the group."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from gflownet_crystal.common.batch import TensorBatch
from gflownet_crystal.common.errors import EmptySpaceError
from gflownet_crystal.common.moving import MovedToDevice
from gflownet_crystal.crystallography.space_groups import (
    CRYSTAL_LATTICE_SYSTEMS,
    N_SPACE_GROUPS,
    POINT_SYMMETRIES,
    check_space_group,
    crystal_lattice_system_of_group,
    point_symmetry_of_group,
)
from gflownet_crystal.envs.base import Context, DiscreteActions, Stage
from gflownet_crystal.envs.group_descriptors import group_descriptors

_N_SYSTEMS = len(CRYSTAL_LATTICE_SYSTEMS)
_N_SYMMETRIES = len(POINT_SYMMETRIES)
_FIRST_GROUP = _N_SYSTEMS + _N_SYMMETRIES


@dataclass(frozen=True)
class SpaceGroupState(TensorBatch):
    """Partial choice of each row's space group; 0 is "not chosen".

    Attributes:
        system: (n,) int64, 1..8 into CRYSTAL_LATTICE_SYSTEMS.
        symmetry: (n,) int64, 1..5 into POINT_SYMMETRIES.
        group: (n,) int64, 1..230.
    """

    system: Tensor
    symmetry: Tensor
    group: Tensor


class SpaceGroupStage(MovedToDevice, Stage[SpaceGroupState, Tensor, Tensor]):
    """Chooses the two properties and the group (Crystal-GFN, section 3.1); a property narrows the later choices.

    Forward actions: 0..7 set the system, 8..12 the point symmetry, 13.. the group, which sets both properties and ends
    the stage. Backward actions name the remaining part: ``keep_system + 2 * keep_symmetry``.

    Args:
        groups: allowed ITA numbers.

    Raises:
        EmptySpaceError: no group is allowed.
    """

    name = "space_group"

    def __init__(self, groups: Iterable[int]) -> None:
        self.allowed = torch.zeros(N_SPACE_GROUPS + 1, dtype=torch.bool)
        self.allowed[[check_space_group(group) for group in groups]] = True
        if not bool(self.allowed.any()):
            raise EmptySpaceError(
                "no space group is allowed; give at least one, as [225] or [Fm-3m], or null for all"
            )
        self.system_of = torch.from_numpy(crystal_lattice_system_of_group)
        self.symmetry_of = torch.from_numpy(point_symmetry_of_group)
        self._mask = self._forward_masks()
        self.forward_actions = DiscreteActions(_FIRST_GROUP + N_SPACE_GROUPS)
        self.backward_actions = DiscreteActions(4)
        self.max_transitions = 3
        self.n_features = _N_SYSTEMS + _N_SYMMETRIES + N_SPACE_GROUPS + 3
        self.n_summary = self.n_features - 3

    def _forward_masks(self) -> Tensor:
        """(9, 6, 243) bool masks by system and symmetry chosen."""
        systems, symmetries = torch.arange(_N_SYSTEMS + 1), torch.arange(_N_SYMMETRIES + 1)
        fits_system = (systems[:, None] == 0) | (systems[:, None] == self.system_of)
        fits_symmetry = (symmetries[:, None] == 0) | (symmetries[:, None] == self.symmetry_of)
        groups = fits_system[:, None] & fits_symmetry & self.allowed
        has_system = groups.float() @ one_hot(self.system_of, _N_SYSTEMS + 1).float()[:, 1:] > 0
        has_symmetry = groups.float() @ one_hot(self.symmetry_of, _N_SYMMETRIES + 1).float()[:, 1:] > 0
        has_system[1:] = False
        has_symmetry[:, 1:] = False
        return torch.cat([has_system, has_symmetry, groups[..., 1:]], dim=-1)

    def summary_descriptors(self) -> Tensor:
        described = group_descriptors()
        return torch.cat([described.new_zeros(_FIRST_GROUP, described.shape[1]), described])

    def same_rules(self, other: Stage) -> bool:
        return isinstance(other, SpaceGroupStage) and torch.equal(self.allowed, other.allowed)

    def source(self, context: Context) -> SpaceGroupState:
        zero = torch.zeros(context.n, dtype=torch.int64, device=context.device)
        return SpaceGroupState(zero, zero, zero)

    def terminal(self, group: Tensor) -> SpaceGroupState:
        """The finished state of each group (n,)."""
        return SpaceGroupState(self.system_of[group], self.symmetry_of[group], group)

    def finished(self, state: SpaceGroupState) -> Tensor:
        return state.group > 0

    def at_source(self, state: SpaceGroupState) -> Tensor:
        return (state.system == 0) & (state.symmetry == 0)

    def forward_support(self, state: SpaceGroupState, context: Context) -> Tensor:
        return self._mask[state.system, state.symmetry]

    def backward_support(self, state: SpaceGroupState, context: Context) -> Tensor:
        complete = state.group > 0
        # from a group, any set of the properties may have come first; else only the last property goes
        both = complete | ((state.system > 0) & (state.symmetry > 0))
        single = ~complete & ~both
        return torch.stack([complete | single, both, both, complete], dim=1)

    def step(self, state: SpaceGroupState, action: Tensor, context: Context) -> SpaceGroupState:
        group = (action - _FIRST_GROUP + 1).clamp(min=0)
        system = torch.where(action < _N_SYSTEMS, action + 1, state.system)
        sets_symmetry = (action >= _N_SYSTEMS) & (action < _FIRST_GROUP)
        symmetry = torch.where(sets_symmetry, action - _N_SYSTEMS + 1, state.symmetry)
        done = group > 0
        return SpaceGroupState(
            torch.where(done, self.system_of[group], system),
            torch.where(done, self.symmetry_of[group], symmetry),
            group,
        )

    def step_back(self, state: SpaceGroupState, action: Tensor, context: Context) -> SpaceGroupState:
        return SpaceGroupState(
            state.system * (action & 1), state.symmetry * (action >> 1), torch.zeros_like(state.group)
        )

    def backward_action(self, parent: SpaceGroupState, child: SpaceGroupState, context: Context) -> Tensor:
        return (parent.system > 0).long() + 2 * (parent.symmetry > 0).long()

    def forward_action(self, parent: SpaceGroupState, child: SpaceGroupState, context: Context) -> Tensor:
        sets_system = (child.system > 0) & (parent.system == 0)
        change = torch.where(sets_system, child.system - 1, _N_SYSTEMS + child.symmetry - 1)
        return torch.where(child.group > 0, _FIRST_GROUP + child.group - 1, change)

    def features(self, state: SpaceGroupState) -> Tensor:
        """One-hot lattice system, point symmetry and group, with a flag for each of the three that is chosen."""
        chosen = torch.stack([state.system > 0, state.symmetry > 0, state.group > 0], dim=1)
        return torch.cat([self.summary(state), chosen.float()], dim=1)

    def summary(self, state: SpaceGroupState) -> Tensor:
        """One-hot lattice system, point symmetry and group."""
        sizes = (_N_SYSTEMS, _N_SYMMETRIES, N_SPACE_GROUPS)
        parts = [
            value[:, None] == torch.arange(1, size + 1, device=value.device)
            for value, size in zip((state.system, state.symmetry, state.group), sizes, strict=True)
        ]
        return torch.cat(parts, dim=1).float()
