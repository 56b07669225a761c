"""Wyckoff positions that specs prescribe, as text such as ``Li:a Fe:c P:c O:ccd`` and as counts of orbits."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.crystallography.wyckoff import wyckoff_positions
from gflownet_crystal.structures.elements import ATOMIC_NUMBERS, N_ATOMIC_NUMBERS, SYMBOLS
from gflownet_crystal.structures.occupied_positions import OccupiedPositions, positions_of_groups
from gflownet_crystal.structures.spec import MOST_POSITIONS, CrystalSpec

_ELEMENT = re.compile(r"([A-Z][a-z]?):((?:[0-9]{0,3}[a-zA])+)")
_ORBIT = re.compile(r"([0-9]*)([a-zA])")
_EXAMPLE = "Ti:a O:f"


def text_to_sites(texts: Sequence[str], space_group: Tensor, composition: Tensor) -> Tensor:
    """Orbits that texts prescribe.

    Args:
        texts: n texts, such as ``Ti:a O:f`` or ``Ti:2a O:4f``, one letter an orbit; empty where nothing is prescribed.
        space_group: (n,) int64, 1 to 230.
        composition: (n, 119) int64, atoms in the conventional cell.

    Returns:
        (n, 119, 27) uint8 orbits of each element on each position; (n, 119, 0) if all texts are empty.

    Raises:
        DataError: a text that cannot be read, or positions that do not hold the composition, with its row.
    """
    given = [(row, " ".join(text.split())) for row, text in enumerate(texts) if text.strip()]
    width = MOST_POSITIONS if given else 0
    sites = np.zeros((len(texts), N_ATOMIC_NUMBERS, width), dtype=np.uint8)
    groups = space_group.tolist()
    for row, text in given:
        try:
            _fill(sites[row], text, groups[row], composition[row].tolist())
        except ValueError as error:
            raise DataError(f"row {row}: {text!r} in space group {groups[row]}: {error}") from error
    return torch.from_numpy(sites)


def _fill(orbits: NDArray[np.uint8], text: str, group: int, counts: Sequence[int]) -> None:
    """Count the orbits of one text in (119, 27)."""
    positions = wyckoff_positions(group)
    index = {position.letter: place for place, position in enumerate(positions)}
    for part in text.split():
        match = _ELEMENT.fullmatch(part)
        if match is None or match[1] not in ATOMIC_NUMBERS:
            raise ValueError(f"cannot read {part!r}; write elements with a letter an orbit, as {_EXAMPLE!r}")
        for multiplicity, letter in _ORBIT.findall(match[2]):
            if letter not in index:
                raise ValueError(f"the group has no position {letter}; it has {''.join(reversed(index))}")
            held = positions[index[letter]].multiplicity
            if multiplicity and int(multiplicity) != held:
                raise ValueError(f"position {letter} holds {held} atoms, not {multiplicity}")
            orbits[ATOMIC_NUMBERS[match[1]], index[letter]] += 1
    for place, position in enumerate(positions):
        if not position.degrees_of_freedom and int(orbits[:, place].sum()) > 1:
            raise ValueError(f"position {position.letter} has no free coordinate and holds one orbit only")
    atoms = orbits[:, : len(positions)].astype(np.int64) @ [position.multiplicity for position in positions]
    for number in np.flatnonzero(atoms != np.array(counts)).tolist():
        raise ValueError(
            f"its positions hold {atoms[number]} atoms of {SYMBOLS[number]}, but the formula has {counts[number]}; "
            "correct the letters, or leave them empty"
        )


def sites_to_text(specs: CrystalSpec) -> list[str]:
    """The prescribed positions of each spec in the order of its elements, empty where there are none."""
    if not specs.sites.shape[2]:
        return [""] * len(specs)
    texts = []
    for group, orbits in zip(specs.space_group.tolist(), specs.sites.cpu().numpy(), strict=True):
        letters = [position.letter for position in wyckoff_positions(group)] if orbits.any() else []
        parts = []
        for number in np.flatnonzero(orbits.any(axis=1)).tolist():
            own = [letter * int(n) for letter, n in zip(letters, orbits[number], strict=False)]
            parts.append(f"{SYMBOLS[number]}:{''.join(reversed(own))}")
        texts.append(" ".join(parts))
    return texts


def prescribed(specs: CrystalSpec, elements: Tensor) -> list[tuple[tuple[int, ...], ...] | None]:
    """Positions of the orbits of each element, by index in the group, ascending; None where a spec prescribes none.

    Args:
        specs: n specs.
        elements: (n, 119) int64 atomic numbers, those of each spec first.
    """
    if not specs.sites.shape[2]:
        return [None] * len(specs)
    found: list[tuple[tuple[int, ...], ...] | None] = []
    for orbits, order in zip(specs.sites.cpu().numpy(), elements.tolist(), strict=True):
        own = [tuple(np.repeat(np.arange(MOST_POSITIONS), orbits[number]).tolist()) for number in order]
        found.append(tuple(one for one in own if one) or None)
    return found


def sites_of(occupied: OccupiedPositions, space_group: Tensor) -> Tensor:
    """(n, 119, 27) uint8 orbits on the positions that crystals of groups (n,) occupy."""
    place = occupied.position - positions_of_groups()[0][space_group[occupied.structure]]
    sites = torch.zeros(len(occupied.found), N_ATOMIC_NUMBERS, MOST_POSITIONS, dtype=torch.uint8)
    one = torch.ones(len(place), dtype=torch.uint8)
    return sites.index_put_((occupied.structure, occupied.atomic_number, place), one, accumulate=True)
