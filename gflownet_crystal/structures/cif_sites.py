"""Sites of a CIF as listed: labels, elements and coordinates of ordered crystals; all else is refused by name."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.structures.cif_elements import SiteElement, site_elements
from gflownet_crystal.structures.cif_text import NULLS, CifBlock, number, quoted

MOST_ATOMS = 20_000
"""Most atoms of a cell that are read."""

_FRACTIONAL = tuple(f"_atom_site_fract_{axis}" for axis in "xyz")
_CARTESIAN = tuple(f"_atom_site_cartn_{axis}" for axis in "xyz")
_LABELS = ("_atom_site_label", "_atom_site_label_atom_id", "_atom_site_id")
_LARGEST_COORDINATE = 1e4
_FULL = 1e-3


@dataclass(frozen=True)
class CifSites:
    """Sites of the asymmetric unit.

    Attributes:
        labels: n names.
        elements: n elements.
        points: (n, 3) float64, fractional.
        multiplicities: (n,) int64, positions of each site in the cell as the file says; 0 where it does not.
        notes: remarks, one text each.
    """

    labels: list[str]
    elements: list[SiteElement]
    points: NDArray[np.float64]
    multiplicities: NDArray[np.int64]
    notes: tuple[str, ...]

    @property
    def atomic_numbers(self) -> NDArray[np.int64]:
        """(n,) int64."""
        return np.array([element.number for element in self.elements], dtype=np.int64)


def has_sites(block: CifBlock) -> bool:
    """Whether a block lists sites of atoms."""
    return any(block.columns.get(tag) for tag in (*_FRACTIONAL, *_CARTESIAN))


def read_sites(block: CifBlock, cell: NDArray[np.float64], in_formula: Collection[int]) -> CifSites:
    """The sites of a block.

    Args:
        block: block with sites.
        cell: (3, 3) rows, Å.
        in_formula: atomic numbers of the file's formula; empty if it has none.

    Raises:
        DataError: a site is no atom, not wholly occupied, or has no position.
    """
    count = _count(block)
    types = _texts(block, ("_atom_site_type_symbol",), count)
    labels = _texts(block, _LABELS, count)
    names = [label if label not in NULLS else type_ for label, type_ in zip(labels, types, strict=True)]
    points = _points(block, cell, names)
    _check_atoms(block, names)
    unknown = _check_occupancies(block, names)
    _check_disorder(block, names)
    elements = site_elements(types, labels, in_formula)
    notes = (f"occupancy of {', '.join(unknown[:5])} not known: 1 is taken",) if unknown else ()
    return CifSites(names, elements, points, _multiplicities(block, count), notes)


def _count(block: CifBlock) -> int:
    """Number of sites."""
    columns = (block.column(tag) for tag in (*_FRACTIONAL, *_CARTESIAN))
    count = max(len(column) for column in columns if column is not None)
    if count == 0:
        raise DataError("its list of atoms is empty")
    if count > MOST_ATOMS:
        raise DataError(f"{count} sites; cells of at most {MOST_ATOMS} atoms are read")
    return count


def _points(block: CifBlock, cell: NDArray[np.float64], names: list[str]) -> NDArray[np.float64]:
    """(n, 3) fractional coordinates."""
    cartesian = not any(block.columns.get(tag) for tag in _FRACTIONAL)
    values = np.zeros((len(names), 3))
    for axis, tag in enumerate(_CARTESIAN if cartesian else _FRACTIONAL):
        for row, text in enumerate(_texts(block, (tag,), len(names))):
            what = f"coordinate {'xyz'[axis]} of site {quoted(names[row])}"
            if text in NULLS:
                raise DataError(f"{what} is not given: every atom needs a position")
            values[row, axis] = number(text, what)
    if cartesian:
        values = _to_fractional(block, cell, values)
    largest = np.abs(values).max()
    if largest > _LARGEST_COORDINATE:
        raise DataError(f"a fractional coordinate of {largest:.3g}; they are about 0 to 1")
    return values


def _to_fractional(
    block: CifBlock, cell: NDArray[np.float64], points: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Fractional coordinates of Cartesian ones, by the matrix of the file."""
    for kind, inverse in (
        ("fract_transf", False),
        ("fract_tran", False),
        ("cartn_transf", True),
        ("cartn_tran", True),
    ):
        names = [f"_atom_sites_{kind}_matrix_{row}{column}" for row in "123" for column in "123"]
        given = [block.known(name) for name in names]
        if all(given):
            matrix = np.array(
                [number(values[0], name) for values, name in zip(given, names, strict=True)]
            ).reshape(3, 3)
            shift = [block.known(f"_atom_sites_{kind}_vector_{row}") for row in "123"]
            vector = np.array([number(values[0], "a shift") if values else 0.0 for values in shift])
            if abs(np.linalg.det(matrix)) < 1e-12:
                raise DataError(
                    f"the matrix _atom_sites_{kind}_matrix of its Cartesian coordinates is singular"
                )
            moved = np.linalg.solve(matrix, (points - vector).T).T if inverse else points @ matrix.T + vector
            metric = np.linalg.inv(matrix if not inverse else np.linalg.inv(matrix))
            if not np.allclose(metric.T @ metric, cell @ cell.T, rtol=0.01, atol=0.01):
                raise DataError(f"the matrix _atom_sites_{kind}_matrix is not one of its cell")
            return np.asarray(moved, dtype=np.float64)
    raise DataError(
        "Cartesian coordinates without the matrix to the cell's axes; give fractional coordinates"
    )


def _texts(block: CifBlock, tags: tuple[str, ...], count: int) -> list[str]:
    for tag in tags:
        column = block.column(tag)
        if column is not None:
            if len(column) != count:
                raise DataError(f"{tag} has {len(column)} values for {count} sites")
            return column
    return ["."] * count


def _check_atoms(block: CifBlock, names: list[str]) -> None:
    flags = _texts(block, ("_atom_site_calc_flag",), len(names))
    attached = _texts(block, ("_atom_site_attached_hydrogens",), len(names))
    models = set(_texts(block, ("_atom_site_pdbx_pdb_model_num",), len(names)))
    for name, flag, hydrogens in zip(names, flags, attached, strict=True):
        if flag.lower() in ("dum", "dummy"):
            raise DataError(f"site {quoted(name)} is a dummy atom (calc_flag {flag})")
        if hydrogens not in NULLS and number(hydrogens, f"attached hydrogens of site {quoted(name)}") != 0:
            raise DataError(f"site {quoted(name)} has {hydrogens} attached hydrogen atoms without positions")
    if len(models) > 1:
        raise DataError(f"{len(models)} models of one crystal; give one")


def _check_occupancies(block: CifBlock, names: list[str]) -> list[str]:
    """Refuse partial occupancies; the sites whose occupancy is said to be unknown."""
    unknown = []
    for name, text in zip(names, _texts(block, ("_atom_site_occupancy",), len(names)), strict=True):
        if text in NULLS:
            unknown += [name] if text == "?" else []
        elif abs(number(text, f"occupancy of site {quoted(name)}") - 1.0) > _FULL:
            raise DataError(f"occupancy of site {quoted(name)} is {text}; only ordered crystals can be used")
    return unknown


def _check_disorder(block: CifBlock, names: list[str]) -> None:
    groups = _texts(block, ("_atom_site_disorder_group", "_atom_site_label_alt_id"), len(names))
    assemblies = _texts(block, ("_atom_site_disorder_assembly",), len(names))
    seen: dict[str, str] = {}
    for name, group, assembly in zip(names, groups, assemblies, strict=True):
        if group in (*NULLS, "0"):
            continue
        if group.startswith("-") or seen.setdefault(assembly, group) != group:
            raise DataError(
                f"site {quoted(name)} is one of several of a disorder; only ordered crystals can be used"
            )


def _multiplicities(block: CifBlock, count: int) -> NDArray[np.int64]:
    tags = ("_atom_site_site_symmetry_multiplicity", "_atom_site_symmetry_multiplicity")
    texts = _texts(block, tags, count)
    return np.array(
        [int(text) if text.isdecimal() and len(text) < 6 else 0 for text in texts], dtype=np.int64
    )
