from __future__ import annotations

import gemmi
import numpy as np
import pytest
import spglib
from pymatgen.symmetry.groups import SpaceGroup

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.crystallography.space_groups import (
    CRYSTAL_CLASSES,
    CRYSTAL_LATTICE_SYSTEMS,
    ENANTIOMORPHIC_PAIRS,
    LATTICE_SYSTEMS,
    POINT_SYMMETRIES,
    check_space_group,
    crystal_lattice_system_of_group,
    first_hand_of_group,
    lattice_system_of_group,
    point_symmetry_of_group,
    space_group_symbol,
)
from tests.crystallography.spglib_groups import hall_numbers, rotations_and_translations

GROUPS = range(1, 231)


def _point_symmetry_by_definition(group: int) -> str:
    rotations, _ = rotations_and_translations(group)
    centrosymmetric = bool((rotations == -np.eye(3, dtype=np.int64)).all(axis=(1, 2)).any())
    enantiomorphic = bool((np.linalg.det(rotations) > 0).all())
    # the mean of a group's matrices projects on the vectors that all of them keep
    polar = bool(np.abs(rotations.mean(axis=0)).max() > 1e-9)
    if centrosymmetric:
        return "centrosymmetric"
    names = [name for name, holds in (("enantiomorphic", enantiomorphic), ("polar", polar)) if holds]
    return "-".join(names) or "non-centrosymmetric"


def test_point_symmetries_follow_from_the_operations() -> None:
    found = [POINT_SYMMETRIES[point_symmetry_of_group[group] - 1] for group in GROUPS]
    assert found == [_point_symmetry_by_definition(group) for group in GROUPS]


def test_symbols_are_those_of_spglib() -> None:
    types = [spglib.get_spacegroup_type(hall_numbers()[group]) for group in GROUPS]
    expected = [kind.international_short.replace("_", "") for kind in types]
    assert [space_group_symbol(group) for group in GROUPS] == expected


def test_symbols_lead_to_the_numbers_that_gemmi_gives() -> None:
    for group in GROUPS:
        symbol = space_group_symbol(group)
        assert check_space_group(symbol) == group
        assert check_space_group(f" {symbol.lower()} ") == group
        # blanks and the screw axes' underscores, as other programs write them
        assert check_space_group(SpaceGroup.from_int_number(group).symbol) == group
        found = gemmi.find_spacegroup_by_number(group)
        for written in (found.hm, found.short_name()):
            # the full symbols of monoclinic groups and of other settings are no standard symbols
            if written.replace(" ", "") in {space_group_symbol(one) for one in GROUPS}:
                assert check_space_group(written) == group


@pytest.mark.parametrize(
    "symbol", ["Abm2", "Aba2", "Cmca", "Cmma", "Ccca", "Fm3m", "Fd3m", "Pm3n", "Ia3", "Im3m"]
)
def test_older_symbols_lead_to_the_numbers_that_gemmi_gives(symbol: str) -> None:
    assert check_space_group(symbol) == gemmi.find_spacegroup_by_name(symbol).number


@pytest.mark.parametrize("symbol", ["P21/n", "Fmmmm", "I4/mmmm"])
def test_an_unknown_symbol_is_refused_with_near_ones(symbol: str) -> None:
    with pytest.raises(ConfigError, match="near ones are"):
        check_space_group(symbol)


def test_crystal_classes_are_those_of_spglib() -> None:
    last = [crystal_class.last for crystal_class in CRYSTAL_CLASSES]
    for group in GROUPS:
        crystal_class = CRYSTAL_CLASSES[np.searchsorted(last, group)]
        kind = spglib.get_spacegroup_type(hall_numbers()[group])
        assert crystal_class.symbol == kind.pointgroup_international


def test_systems_are_those_of_pymatgen() -> None:
    for group in GROUPS:
        crystal_system = SpaceGroup.from_int_number(group).crystal_system
        if crystal_system == "trigonal":
            centring = "rhombohedral" if space_group_symbol(group)[0] == "R" else "hexagonal"
            crystal_system, lattice_system = f"trigonal-{centring}", "hexagonal"
        elif crystal_system == "hexagonal":
            crystal_system, lattice_system = "hexagonal-hexagonal", "hexagonal"
        else:
            lattice_system = crystal_system
        assert CRYSTAL_LATTICE_SYSTEMS[crystal_lattice_system_of_group[group] - 1] == crystal_system
        assert LATTICE_SYSTEMS[lattice_system_of_group[group]] == lattice_system


def test_rhombohedral_groups() -> None:
    rhombohedral = 1 + CRYSTAL_LATTICE_SYSTEMS.index("trigonal-rhombohedral")
    found = np.flatnonzero(crystal_lattice_system_of_group == rhombohedral)
    assert found.tolist() == [146, 148, 155, 160, 161, 166, 167]


def test_non_centrosymmetric_leaves_what_the_paper_says() -> None:
    chosen = point_symmetry_of_group == 1 + POINT_SYMMETRIES.index("non-centrosymmetric")
    assert chosen.sum() == 25
    assert len(np.unique(crystal_lattice_system_of_group[chosen])) == 3


def test_entry_zero_means_not_chosen() -> None:
    assert crystal_lattice_system_of_group[0] == 0
    assert point_symmetry_of_group[0] == 0
    assert lattice_system_of_group[0] == -1


@pytest.mark.parametrize("group", [0, -1, 231])
def test_unknown_group_is_refused(group: int) -> None:
    with pytest.raises(ConfigError, match="1 to 230"):
        space_group_symbol(group)


def test_mirror_images_of_groups_are_those_that_spglib_finds() -> None:
    for group in GROUPS:
        rotations, translations = rotations_and_translations(group)
        # inversion turns (R, t) into (R, -t)
        mirrored = spglib.get_spacegroup_type_from_symmetry(rotations, -translations)
        hands = {first_hand_of_group[group], first_hand_of_group[mirrored.number]}
        assert hands == {min(group, mirrored.number)}
        assert (tuple(sorted((group, mirrored.number))) in ENANTIOMORPHIC_PAIRS) == (group != mirrored.number)
