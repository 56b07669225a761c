"""Crystals in equivalent descriptions, and what a network has to say of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from pymatgen.core import Lattice, Structure
from torch import Tensor

from gflownet_crystal.models.layers.vector_fields import AtomOutput
from gflownet_crystal.structures.convert import from_pymatgen
from gflownet_crystal.structures.structure import StructureBatch

Description = tuple[StructureBatch, Callable[[AtomOutput], AtomOutput]]
"""Another description of a batch, and what the output for the batch becomes in it."""

# unimodular, so that their rows are another basis of the same lattice; the last makes a very skewed cell
BASES = (
    [[1, 1, 0], [0, 1, 0], [0, 0, 1]],
    [[0, 1, 0], [0, 0, 1], [1, 0, 0]],
    [[1, 3, -2], [0, 1, 4], [0, 0, 1]],
)


def known_crystals() -> StructureBatch:
    """High symmetry, with collinear edges and ties: one-atom, rock salt, perovskite and layered hexagonal cells."""
    copper = Structure(Lattice([[0, 1.8, 1.8], [1.8, 0, 1.8], [1.8, 1.8, 0]]), ["Cu"], [[0, 0, 0]])
    polonium = Structure(Lattice.cubic(3.35), ["Po"], [[0.3, 0.1, 0.7]])
    salt = Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5] * 3])
    cube = [[0.5] * 3, [0, 0, 0], [0.5, 0, 0]]
    perovskite = Structure.from_spacegroup("Pm-3m", Lattice.cubic(3.9), ["Sr", "Ti", "O"], cube)
    thirds = [[1 / 3, 2 / 3, 0.25], [0, 0, 0.25]]
    graphite = Structure.from_spacegroup("P6_3/mmc", Lattice.hexagonal(2.46, 6.7), ["C", "C"], thirds)
    return from_pymatgen([copper, polonium, salt.get_primitive_structure(), perovskite, graphite])


def random_crystals(n: int, seed: int, most_atoms: int = 6) -> StructureBatch:
    """Triclinic cells, some of them skewed, with atoms anywhere that are at least 1 Å apart."""
    random = np.random.default_rng(seed)
    structures: list[Structure] = []
    while len(structures) < n:
        size = int(random.integers(1, most_atoms + 1))
        matrix = np.eye(3) * random.uniform(3, 5) + random.normal(0, 0.6, (3, 3))
        if len(structures) % 2:
            matrix = np.array(BASES[2]) @ matrix
        if np.linalg.det(matrix) < 20:
            continue
        numbers = random.integers(1, 95, size).tolist()
        structure = Structure(Lattice(matrix), numbers, random.uniform(0, 1, (size, 3)))
        if structure.is_valid(tol=1.0):
            structures.append(structure)
    return from_pymatgen(structures)


def orthogonal_matrix(seed: int, reflect: bool) -> Tensor:
    """A random rotation, or a rotation and reflection, (3, 3) float64."""
    matrix, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return torch.from_numpy(matrix * np.sign(np.linalg.det(matrix)) * (-1 if reflect else 1))


def turned(batch: StructureBatch, reflect: bool, seed: int = 0) -> Description:
    """The crystals rotated or reflected: lattice actions turn with them, fractional displacements stay."""
    matrix = orthogonal_matrix(seed, reflect)

    def expected(output: AtomOutput) -> AtomOutput:
        if output.lattice_action is None:
            return output
        turn = matrix.to(output.lattice_action.dtype)
        return output._replace(lattice_action=turn.T @ output.lattice_action @ turn)

    return replace(batch, cell=batch.cell @ matrix), expected


def moved(batch: StructureBatch, seed: int = 0) -> Description:
    """The crystals moved, each by its own vector."""
    shifts = torch.from_numpy(np.random.default_rng(seed).uniform(-1, 1, (len(batch), 3)))
    return replace(batch, fractional=batch.fractional + shifts[batch.structure_index]), lambda output: output


def permuted(batch: StructureBatch, seed: int = 0) -> Description:
    """The atoms of each crystal in another order."""
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(batch.atomic_numbers)))
    order = order[batch.structure_index[order].argsort(stable=True)]
    other = replace(batch, atomic_numbers=batch.atomic_numbers[order], fractional=batch.fractional[order])

    def expected(output: AtomOutput) -> AtomOutput:
        if output.displacement is None:
            return output
        return output._replace(displacement=output.displacement[order])

    return other, expected


def rebased(batch: StructureBatch, basis: list[list[int]]) -> Description:
    """The same lattices in another basis: fractional displacements change with the coordinates."""
    matrix = torch.tensor(basis, dtype=torch.float64)
    inverse = torch.linalg.inv(matrix).round()

    def expected(output: AtomOutput) -> AtomOutput:
        if output.displacement is None:
            return output
        return output._replace(displacement=output.displacement @ inverse.to(output.displacement.dtype))

    return replace(batch, cell=matrix @ batch.cell, fractional=batch.fractional @ inverse), expected


def multiplied(batch: StructureBatch, times: int = 2, axis: int = 0) -> Description:
    """Supercells: each atom has its copies next to it."""
    stretch = torch.ones(3, dtype=torch.float64)
    stretch[axis] = times
    copies = torch.zeros(times, 3, dtype=torch.float64)
    copies[:, axis] = torch.arange(times)
    fractional = ((batch.fractional[:, None] + copies) / stretch).flatten(0, 1)
    other = StructureBatch(
        batch.cell * stretch[:, None],
        batch.atomic_numbers.repeat_interleave(times),
        fractional,
        batch.structure_index.repeat_interleave(times),
        batch.space_group,
    )

    def expected(output: AtomOutput) -> AtomOutput:
        if output.displacement is None:
            return output
        copied = output.displacement.repeat_interleave(times, 0) / stretch.to(output.displacement.dtype)
        return output._replace(displacement=copied)

    return other, expected


IN_THE_SAME_AXES = ("rotation", "reflection", "translation", "permutation")
"""Names of the descriptions that keep the axes of the cell."""


def descriptions(batch: StructureBatch) -> dict[str, Description]:
    """All of the above, by name."""
    return {
        "rotation": turned(batch, reflect=False),
        "reflection": turned(batch, reflect=True),
        "translation": moved(batch),
        "permutation": permuted(batch),
        **{f"basis {number}": rebased(batch, basis) for number, basis in enumerate(BASES)},
        "supercell": multiplied(batch),
    }


def assert_same(output: AtomOutput, expected: AtomOutput, tolerance: float) -> None:
    """Every part agrees, within ``tolerance`` of its largest entry (at least 1)."""
    for name, mine, theirs in zip(AtomOutput._fields, output, expected, strict=True):
        assert (mine is None) == (theirs is None), name
        if mine is not None and theirs is not None:
            scale = max(1.0, theirs.abs().max().item())
            difference = (mine - theirs).abs().max().item()
            assert difference <= tolerance * scale, f"{name}: {difference:.1e} of {scale:.1e}"
