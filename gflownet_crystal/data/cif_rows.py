"""CIFs as rows."""

from __future__ import annotations

import logging

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.data.rows import CLAIMED, Row
from gflownet_crystal.structures.cif_reading import read_cif

_log = logging.getLogger(__name__)


def row_of_cif(content: str | bytes, name: str, formula_check: str = "refuse", origin: str = "") -> Row:
    """The crystal of a CIF.

    Args:
        content: content of the file, or its text.
        name: name of the crystal.
        formula_check: ``refuse`` one whose own formula differs from the structure, or ``warn``.
        origin: the file, for warnings; the name if empty.

    Returns:
        The crystal, or the reason why there is none.
    """
    source = origin or name
    try:
        crystal = read_cif(content, source, formula_check)
    except DataError as error:
        return Row(name, reason=str(error).removeprefix(f"{source}: "))
    except (
        RuntimeError,
        ValueError,
        TypeError,
        IndexError,
        KeyError,
        OverflowError,
        RecursionError,
    ) as error:
        # the libraries below have errors of their own for texts that they cannot parse
        return Row(name, reason=f"not a CIF of a crystal ({type(error).__name__}: {error})")
    for note in crystal.notes:
        # with formula_check=warn these say how the formulas differ
        _log.log(logging.WARNING if formula_check == "warn" else logging.DEBUG, "%s: %s", source, note)
    group = int(crystal.space_group or 0)
    # writers name P1 for want of symmetry: it claims nothing
    claimed = {CLAIMED: group if 1 < group <= 230 else 0}
    return Row(name, crystal.cell, crystal.atomic_numbers, crystal.frac_coords, columns=claimed)
