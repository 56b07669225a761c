"""Primitive cells in the standard of the Materials Project, in which MP-20 describes its crystals; by pymatgen.

W. Setyawan and S. Curtarolo, Comput. Mater. Sci. 49, 299 (2010). A crystal has endlessly many primitive cells, and the
databases of different years store different ones: a network that learns lattices needs one of them for all.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import spglib
import torch

from gflownet_crystal.structures.convert import from_pymatgen, to_pymatgen
from gflownet_crystal.structures.structure import StructureBatch

if TYPE_CHECKING:
    from pymatgen.core.structure import Structure

SYMPREC = 0.1
"""Distance tolerance in Å with which the Materials Project finds the symmetry of its crystals."""

_SAME_VOLUME = 0.01
"""Largest change of the volume of an atom, as a share: idealised cells differ a little from those given."""

# pymatgen meets a failed search as None or as an error, by the version of spglib
_SPGLIB_ERROR: type[Exception] = getattr(spglib, "SpglibError", ValueError)


def standard_primitive_cells(structures: StructureBatch, symprec: float = SYMPREC) -> StructureBatch:
    """Describe crystals in standard primitive cells; about 15 ms each.

    Args:
        structures: n structures, in any cell.
        symprec: distance tolerance, Å. Within it, cells and positions are idealised to the symmetry.

    Returns:
        n structures on the CPU that claim no space group; a crystal whose symmetry is not found stays as it is.
    """
    given = structures.to("cpu")
    made = []
    with _quiet_spglib():
        for row in range(len(given)):
            one = given[row : row + 1]
            found = _standard(to_pymatgen(one)[0], symprec)
            made.append(one if found is None else from_pymatgen([found]))
    joined = StructureBatch.cat(made)
    return replace(joined, space_group=torch.zeros_like(joined.space_group))


def _standard(crystal: Structure, symprec: float) -> Structure | None:
    """A crystal in its standard primitive cell; None if none is found, or one of another crystal."""
    from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

    try:
        # the option would turn the monoclinic cells of the Materials Project
        found = SpacegroupAnalyzer(crystal, symprec).get_primitive_standard_structure(
            international_monoclinic=False
        )
    except (TypeError, ValueError, _SPGLIB_ERROR):
        return None
    volumes = crystal.volume / len(crystal), found.volume / len(found)
    same = found.composition.reduced_formula == crystal.composition.reduced_formula
    same &= bool(np.isclose(*volumes, rtol=_SAME_VOLUME))
    return found if same and len(crystal) % len(found) == 0 else None


@contextmanager
def _quiet_spglib() -> Iterator[None]:
    """Without the lines that spglib's C code writes when it tries a tolerance in vain."""
    before = os.environ.get("SPGLIB_WARNING")
    os.environ["SPGLIB_WARNING"] = "OFF"
    try:
        yield
    finally:
        if before is None:
            del os.environ["SPGLIB_WARNING"]
        else:
            os.environ["SPGLIB_WARNING"] = before
