"""Crystals of CIF texts, exactly as the file has them, or a refusal with the reason.

gemmi reads the grammar and knows the space groups. Operations are those listed, or those of the named group, and all
symmetry data of the file must agree. Where the name leaves the origin open, both are tried; the file's
formula, the multiplicities of its sites and the distances of its atoms decide, or the file is refused.
"""

from __future__ import annotations

from dataclasses import dataclass

import gemmi
import numpy as np
from numpy.typing import NDArray

from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.crystallography.space_groups import space_group_symbol
from gflownet_crystal.structures.checks import CLOSEST, LONGEST
from gflownet_crystal.structures.cif_expansion import is_invariant, neighbours_within
from gflownet_crystal.structures.cif_formula import read_formula
from gflownet_crystal.structures.cif_origins import Reading, choose_reading
from gflownet_crystal.structures.cif_sites import CifSites, has_sites, read_sites
from gflownet_crystal.structures.cif_symmetry import CifSymmetry, read_symmetry
from gflownet_crystal.structures.cif_text import CifBlock, decode, number, quoted, read_blocks
from gflownet_crystal.structures.convert import from_arrays
from gflownet_crystal.structures.symmetry import SYMPREC, find_space_groups

FORMULA_CHECKS = ("refuse", "warn")
"""Treatments of crystals that are not of their file's own formula."""

_LENGTHS = ("_cell_length_a", "_cell_length_b", "_cell_length_c")
_ANGLES = ("_cell_angle_alpha", "_cell_angle_beta", "_cell_angle_gamma")
_RIGHT_ANGLE = 90.0
_FLAT = 1e-9
_OXYGEN, _BOND_TO_OXYGEN = 8, 2.0


@dataclass(frozen=True)
class CifCrystal:
    """The one crystal of a CIF, with all atoms of its cell.

    Attributes:
        cell: (3, 3) float64, lattice vectors as rows, Å.
        atomic_numbers: (n,) int64.
        frac_coords: (n, 3) float64, fractional coordinates in [0, 1).
        space_group: ITA number of the group that the file names; 0 if it names none.
        notes: remarks on the reading, one text each; empty where nothing is to be said.
    """

    cell: NDArray[np.float64]
    atomic_numbers: NDArray[np.int64]
    frac_coords: NDArray[np.float64]
    space_group: int
    notes: tuple[str, ...] = ()


def read_cif(
    content: str | bytes, origin: str, formula_check: str = "refuse", closest: float = CLOSEST
) -> CifCrystal:
    """Read the one crystal of a CIF.

    Args:
        content: text of the CIF, or the bytes of its file in UTF-8, UTF-16 or Latin-1.
        origin: name of the source in errors.
        formula_check: ``refuse`` crystals that differ from the file's own formula, or ``warn`` of them in the notes.
        closest: least distance of two atoms, Å; less where crystals are read to be judged.

    Raises:
        DataError: the file does not say which crystal it holds, or holds none or several; one line.
        ConfigError: ``formula_check`` is neither.
    """
    if formula_check not in FORMULA_CHECKS:
        raise ConfigError(
            f"unknown formula_check {formula_check!r}; choose one of {', '.join(FORMULA_CHECKS)}"
        )
    try:
        return _read_block(_one_block(decode(content)), formula_check == "refuse", closest)
    except DataError as error:
        raise DataError(f"{origin}: {error}") from error


def _one_block(text: str) -> CifBlock:
    blocks = read_blocks(text)
    crystals = [block for block in blocks if has_sites(block)]
    if not crystals:
        raise DataError("no crystal: none of its blocks has positions of atoms")
    if len(crystals) > 1:
        raise DataError(f"{len(crystals)} crystals in one CIF; give each a CIF of its own")
    return crystals[0]


def _read_block(block: CifBlock, refuse: bool, closest: float) -> CifCrystal:
    cell = _read_cell(block, closest)
    formula, remarks = read_formula(block)
    sites = read_sites(block, cell, formula.counts.keys())
    symmetry = read_symmetry(block, cell)
    reading = choose_reading(symmetry.groups, sites, cell, formula, closest)
    notes = [*remarks, *sites.notes, *symmetry.notes]
    if len(symmetry.groups) > 1:
        notes.append(f"the origin is not named: {reading.group.name} is taken")
    if reading.fault:
        if refuse or any(element.by_formula for element in sites.elements):
            raise DataError(f"{reading.fault}; correct the file")
        notes.append(reading.fault)
    if symmetry.unknown and not formula.confirms(reading.numbers):
        raise DataError("its symmetry is not known (?); give the symmetry operations or the space group")
    _check_claim(symmetry, reading, cell)
    _check_tritium(sites, reading, cell)
    return CifCrystal(cell, reading.numbers, reading.points, symmetry.number, tuple(notes))


def _read_cell(block: CifBlock, closest: float) -> NDArray[np.float64]:
    """Lattice vectors as rows, a along x and b in the xy plane."""
    lengths = [_parameter(block, tag) for tag in _LENGTHS]
    angles = [_parameter(block, tag, _RIGHT_ANGLE) for tag in _ANGLES]
    if min(*lengths, *angles) <= 0 or max(angles) >= 180:
        fault = (
            "of 180 or more"
            if min(*lengths, *angles) > 0
            else "below 0"
            if min(*lengths, *angles) < 0
            else "of 0"
        )
        raise DataError(
            f"a cell with a length or an angle {fault}: {_listed(lengths)} Å, {_listed(angles)} degrees"
        )
    if min(lengths) < closest:
        raise DataError(f"a cell only {min(lengths):.3g} Å thick; it must be at least {closest} Å")
    if max(lengths) > LONGEST:
        raise DataError(f"a cell with lengths {_listed(lengths)}; lengths up to {LONGEST:g} Å are read")
    cell = np.array(gemmi.UnitCell(*lengths, *angles).orth.mat.tolist()).T
    # rounding makes vectors of angles near 0 infinitely long
    sound = np.isfinite(cell).all() and np.abs(cell).max() <= 2 * LONGEST
    volume = np.linalg.det(cell) if sound else 0.0
    if volume <= _FLAT * np.prod(lengths):
        raise DataError(f"angles {_listed(angles)} close no cell")
    heights = 1.0 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    if heights.min() < closest:
        raise DataError(f"a cell only {heights.min():.3g} Å thick; it must be at least {closest} Å")
    return cell


def _parameter(block: CifBlock, tag: str, default: float | None = None) -> float:
    texts = block.known(tag)
    values = {number(text, tag) for text in texts}
    if len(values) > 1:
        raise DataError(f"{tag} has the values {' and '.join(map(quoted, texts))}; give one")
    given = [text for column in block.columns.get(tag, []) for text in column]
    if not values and (default is None or "?" in given):
        raise DataError(f"{tag} is not given")
    return values.pop() if values else default  # type: ignore[return-value]


def _check_claim(symmetry: CifSymmetry, reading: Reading, cell: NDArray[np.float64]) -> None:
    """Refuse atoms without the symmetry of the named group, where the file lists fewer operations than it has."""
    arrays = reading.numbers, reading.points
    if not symmetry.claimed or any(is_invariant(*arrays, group, cell, SYMPREC) for group in symmetry.claimed):
        return
    # as after a relaxation, which may move the origin
    found = int(find_space_groups(from_arrays([cell], [arrays[0]], [arrays[1]]))[0])
    if found != symmetry.number or found == 1:
        raise DataError(
            f"it names the space group {space_group_symbol(symmetry.number)}, but lists {len(reading.group)} of its "
            "operations, and its atoms do not have the others"
        )


def _check_tritium(sites: CifSites, reading: Reading, cell: NDArray[np.float64]) -> None:
    """Refuse T for a tetrahedral site: three oxygen atoms are about it."""
    tritium = np.array([element.tritium for element in sites.elements])[reading.owner]
    if neighbours_within(tritium, reading.numbers == _OXYGEN, reading.points, cell, _BOND_TO_OXYGEN) >= 3:
        raise DataError("type symbol 'T' stands for a tetrahedral site, not for tritium; give the element")


def _listed(values: list[float]) -> str:
    return " ".join(f"{value:g}" for value in values)
