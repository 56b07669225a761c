"""Results of the relaxation of a crystal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from gflownet_crystal.structures.structure import StructureBatch

Status = Literal["converged", "not_converged", "failed"]
Key = TypeVar("Key")


@dataclass(frozen=True)
class State:
    """A crystal at one end of a relaxation.

    Attributes:
        energy: formation energy, eV/atom.
        max_force: largest force on an atom, eV/Å, symmetrised if the symmetry is kept.
        pressure: GPa, positive if the cell wants to grow.
        space_group: space group by moyo, 0 where the search fails.
    """

    energy: float
    max_force: float
    pressure: float
    space_group: int


@dataclass(frozen=True)
class Relaxation:
    """Result of the relaxation of a crystal.

    Attributes:
        status: ``converged``, ``not_converged`` after all steps, or ``failed``.
        reason: why it failed, else empty.
        steps: number of steps taken.
        structure: one structure, relaxed, in the cell that was given; None if it failed.
        before: None if it failed at once.
        after: None if it failed.
        denoised: whether it started from the pass of a denoiser.
    """

    status: Status
    reason: str
    steps: int
    structure: StructureBatch | None = None
    before: State | None = None
    after: State | None = None
    denoised: bool = False


@dataclass(frozen=True)
class Done(Generic[Key]):
    """A relaxation that is over.

    Attributes:
        key: name of the crystal.
        result: result of its relaxation.
        seconds: its share of the time.
    """

    key: Key
    result: Relaxation
    seconds: float
