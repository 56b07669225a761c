"""CIF texts of crystals made by gemmi's own operations, for tests of the reader."""

from __future__ import annotations

from dataclasses import dataclass

import gemmi
import numpy as np

_CELLS = {
    "triclinic": (6.1, 7.3, 8.9, 81.0, 77.0, 69.0),
    "orthorhombic": (6.1, 7.3, 8.9, 90.0, 90.0, 90.0),
    "tetragonal": (6.1, 6.1, 8.9, 90.0, 90.0, 90.0),
    "trigonal": (6.1, 6.1, 9.7, 90.0, 90.0, 120.0),
    "hexagonal": (6.1, 6.1, 9.7, 90.0, 90.0, 120.0),
    "cubic": (13.3, 13.3, 13.3, 90.0, 90.0, 90.0),
}
CARTESIAN_TAGS = ("_atom_site_Cartn_x", "_atom_site_Cartn_y", "_atom_site_Cartn_z")
FRACTIONAL_TAGS = ("_atom_site_fract_x", "_atom_site_fract_y", "_atom_site_fract_z")


def cell_of(setting: gemmi.SpaceGroup) -> tuple[float, ...]:
    """A cell that fits a setting and no group above it."""
    if setting.ext == "R":
        return (7.3, 7.3, 7.3, 71.0, 71.0, 71.0)
    if setting.crystal_system_str() == "monoclinic":
        angles = [90.0, 90.0, 90.0]
        angles["abc".index(setting.monoclinic_unique_axis())] = 103.0
        return (6.1, 7.3, 8.9, *angles)
    return _CELLS[setting.crystal_system_str()]


def rows_of(cell: tuple[float, ...]) -> np.ndarray:
    """Lattice vectors as rows."""
    return np.array(gemmi.UnitCell(*cell).orth.mat.tolist()).T


def orbit(setting: gemmi.SpaceGroup, point) -> np.ndarray:
    """All images of a point in the cell, found by brute force."""
    operations = list(setting.operations())
    rotations = np.array([operation.rot for operation in operations]) / gemmi.Op.DEN
    shifts = np.array([operation.tran for operation in operations]) / gemmi.Op.DEN
    images = (rotations @ np.asarray(point, dtype=float) + shifts) % 1.0
    _, first = np.unique(np.round(images, 6) % 1.0, axis=0, return_index=True)
    return images[first]


def shortest(orbits: list[np.ndarray], cell: tuple[float, ...]) -> float:
    """Shortest distance between points of orbits, and to their own images, by brute force."""
    shifts = np.array(np.meshgrid(*[[-1, 0, 1]] * 3)).reshape(3, -1).T
    firsts, points = np.array([points[0] for points in orbits]), np.concatenate(orbits)
    vectors = (firsts[:, None, None] - points[None, :, None] + shifts) @ rows_of(cell)
    lengths = np.linalg.norm(vectors, axis=-1)
    return float(lengths[lengths > 1e-9].min())


@dataclass(frozen=True)
class Made:
    """A crystal of one setting: its sites, and all atoms of its cell."""

    setting: gemmi.SpaceGroup
    cell: tuple[float, ...]
    sites: list[tuple[str, np.ndarray]]

    def atoms(self) -> dict[str, np.ndarray]:
        """Positions of all atoms by element."""
        return {element: orbit(self.setting, point) for element, point in self.sites}


def made(setting: gemmi.SpaceGroup, seed: int) -> Made:
    """Two general positions of a setting, with all atoms apart."""
    random = np.random.default_rng(seed)
    cell = cell_of(setting)
    while True:
        points = random.uniform(0.0, 1.0, (2, 3)).round(5)
        if shortest([orbit(setting, point) for point in points], cell) > 0.6:
            return Made(setting, cell, [("Ca", points[0]), ("O", points[1])])


def cif(
    cell: tuple[float, ...],
    sites,
    *lines: str,
    operations: tuple[str, ...] = (),
    tag: str = "_space_group_symop_operation_xyz",
    columns: str = "",
    tags: tuple[str, ...] = FRACTIONAL_TAGS,
) -> str:
    """A CIF of sites (type, position) or (label, type, position, values of ``columns``); a type may be None."""
    names = [
        f"_cell_{kind}"
        for kind in ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
    ]
    text = ["data_crystal", *(f"{name} {value}" for name, value in zip(names, cell, strict=True)), *lines]
    if operations:
        text += ["loop_", tag, *(f"'{operation}'" for operation in operations)]
    rows = [(f"{site[0]}{row}", *site) if len(site) == 2 else site for row, site in enumerate(sites, 1)]
    typed = all(row[1] is not None for row in rows)
    text += [
        "loop_",
        "_atom_site_label",
        *(["_atom_site_type_symbol"] if typed else []),
        *tags,
        *columns.split(),
    ]
    for label, type_, position, *more in rows:
        numbers = (
            position.split() if isinstance(position, str) else [repr(float(value)) for value in position]
        )
        text.append(" ".join([label, *([type_] if typed else []), *numbers, *more]))
    return "\n".join(text) + "\n"


def same_atoms(read, atoms: dict[str, np.ndarray], tolerance: float = 1e-6) -> bool:
    """Whether a crystal has exactly these atoms, in any order."""
    numbers = {element: gemmi.Element(element).atomic_number for element in atoms}
    if sorted(read.atomic_numbers.tolist()) != sorted(
        number for element, number in numbers.items() for _ in atoms[element]
    ):
        return False
    for element, points in atoms.items():
        mine = read.frac_coords[read.atomic_numbers == numbers[element]]
        offsets = points[:, None] - mine[None]
        distances = np.abs(offsets - np.round(offsets)).max(axis=-1)
        if distances.min(axis=1).max() > tolerance or distances.min(axis=0).max() > tolerance:
            return False
    return True
