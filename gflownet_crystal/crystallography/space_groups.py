"""The 230 space groups: symbols, crystal-lattice systems, point symmetries and lattice systems.

The crystal-lattice system and the point symmetry are the categories of Crystal-GFN (Mila AI4Science et al., 2023,
appendix C): the former combines crystal and lattice system, the latter partitions the 32 crystal classes.
All arrays are indexed by the group's ITA number 1..230; entry 0 stands for "not chosen".
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gflownet_crystal.common.errors import ConfigError

N_SPACE_GROUPS = 230

CRYSTAL_LATTICE_SYSTEMS = (
    "triclinic",
    "monoclinic",
    "orthorhombic",
    "tetragonal",
    "trigonal-rhombohedral",
    "trigonal-hexagonal",
    "hexagonal-hexagonal",
    "cubic",
)

POINT_SYMMETRIES = (
    "centrosymmetric",
    "non-centrosymmetric",
    "enantiomorphic",
    "polar",
    "enantiomorphic-polar",
)

LATTICE_SYSTEMS = ("triclinic", "monoclinic", "orthorhombic", "tetragonal", "hexagonal", "cubic")
"""Shapes of the conventional cell; rhombohedral groups are described in hexagonal axes."""


class CrystalClass(NamedTuple):
    """One of the 32 geometric crystal classes: its groups are consecutive in ITA order.

    Attributes:
        last: number of its last space group.
        symbol: Hermann-Mauguin symbol of the point group.
        system: crystal system.
        point_symmetry: one of POINT_SYMMETRIES.
    """

    last: int
    symbol: str
    system: str
    point_symmetry: str


CRYSTAL_CLASSES = (
    CrystalClass(1, "1", "triclinic", "enantiomorphic-polar"),
    CrystalClass(2, "-1", "triclinic", "centrosymmetric"),
    CrystalClass(5, "2", "monoclinic", "enantiomorphic-polar"),
    CrystalClass(9, "m", "monoclinic", "polar"),
    CrystalClass(15, "2/m", "monoclinic", "centrosymmetric"),
    CrystalClass(24, "222", "orthorhombic", "enantiomorphic"),
    CrystalClass(46, "mm2", "orthorhombic", "polar"),
    CrystalClass(74, "mmm", "orthorhombic", "centrosymmetric"),
    CrystalClass(80, "4", "tetragonal", "enantiomorphic-polar"),
    CrystalClass(82, "-4", "tetragonal", "non-centrosymmetric"),
    CrystalClass(88, "4/m", "tetragonal", "centrosymmetric"),
    CrystalClass(98, "422", "tetragonal", "enantiomorphic"),
    CrystalClass(110, "4mm", "tetragonal", "polar"),
    CrystalClass(122, "-42m", "tetragonal", "non-centrosymmetric"),
    CrystalClass(142, "4/mmm", "tetragonal", "centrosymmetric"),
    CrystalClass(146, "3", "trigonal", "enantiomorphic-polar"),
    CrystalClass(148, "-3", "trigonal", "centrosymmetric"),
    CrystalClass(155, "32", "trigonal", "enantiomorphic"),
    CrystalClass(161, "3m", "trigonal", "polar"),
    CrystalClass(167, "-3m", "trigonal", "centrosymmetric"),
    CrystalClass(173, "6", "hexagonal", "enantiomorphic-polar"),
    CrystalClass(174, "-6", "hexagonal", "non-centrosymmetric"),
    CrystalClass(176, "6/m", "hexagonal", "centrosymmetric"),
    CrystalClass(182, "622", "hexagonal", "enantiomorphic"),
    CrystalClass(186, "6mm", "hexagonal", "polar"),
    CrystalClass(190, "-6m2", "hexagonal", "non-centrosymmetric"),
    CrystalClass(194, "6/mmm", "hexagonal", "centrosymmetric"),
    CrystalClass(199, "23", "cubic", "enantiomorphic"),
    CrystalClass(206, "m-3", "cubic", "centrosymmetric"),
    CrystalClass(214, "432", "cubic", "enantiomorphic"),
    CrystalClass(220, "-43m", "cubic", "non-centrosymmetric"),
    CrystalClass(230, "m-3m", "cubic", "centrosymmetric"),
)

_SYMBOLS = tuple(
    """
    P1 P-1 P2 P21 C2 Pm Pc Cm Cc P2/m P21/m C2/m P2/c P21/c C2/c P222 P2221 P21212 P212121 C2221 C222 F222
    I222 I212121 Pmm2 Pmc21 Pcc2 Pma2 Pca21 Pnc2 Pmn21 Pba2 Pna21 Pnn2 Cmm2 Cmc21 Ccc2 Amm2 Aem2 Ama2 Aea2
    Fmm2 Fdd2 Imm2 Iba2 Ima2 Pmmm Pnnn Pccm Pban Pmma Pnna Pmna Pcca Pbam Pccn Pbcm Pnnm Pmmn Pbcn Pbca Pnma
    Cmcm Cmce Cmmm Cccm Cmme Ccce Fmmm Fddd Immm Ibam Ibca Imma P4 P41 P42 P43 I4 I41 P-4 I-4 P4/m P42/m
    P4/n P42/n I4/m I41/a P422 P4212 P4122 P41212 P4222 P42212 P4322 P43212 I422 I4122 P4mm P4bm P42cm P42nm
    P4cc P4nc P42mc P42bc I4mm I4cm I41md I41cd P-42m P-42c P-421m P-421c P-4m2 P-4c2 P-4b2 P-4n2 I-4m2
    I-4c2 I-42m I-42d P4/mmm P4/mcc P4/nbm P4/nnc P4/mbm P4/mnc P4/nmm P4/ncc P42/mmc P42/mcm P42/nbc
    P42/nnm P42/mbc P42/mnm P42/nmc P42/ncm I4/mmm I4/mcm I41/amd I41/acd P3 P31 P32 R3 P-3 R-3 P312 P321
    P3112 P3121 P3212 P3221 R32 P3m1 P31m P3c1 P31c R3m R3c P-31m P-31c P-3m1 P-3c1 R-3m R-3c P6 P61 P65 P62
    P64 P63 P-6 P6/m P63/m P622 P6122 P6522 P6222 P6422 P6322 P6mm P6cc P63cm P63mc P-6m2 P-6c2 P-62m P-62c
    P6/mmm P6/mcc P63/mcm P63/mmc P23 F23 I23 P213 I213 Pm-3 Pn-3 Fm-3 Fd-3 Im-3 Pa-3 Ia-3 P432 P4232 F432
    F4132 I432 P4332 P4132 I4132 P-43m F-43m I-43m P-43n F-43c I-43d Pm-3m Pn-3n Pm-3n Pn-3m Fm-3m Fm-3c
    Fd-3m Fd-3c Im-3m Ia-3d
    """.split()
)


_SYMBOLS_BEFORE_1992 = {
    "Abm2": 39, "Aba2": 41, "Cmca": 64, "Cmma": 67, "Ccca": 68
}  # fmt: skip
"""Groups whose symbols now have an e for a double glide plane."""

ENANTIOMORPHIC_PAIRS = (
    (76, 78), (91, 95), (92, 96), (144, 145), (151, 153), (152, 154), (169, 170), (171, 172), (178, 179), (180, 181),
    (212, 213),
)  # fmt: skip
"""The 11 pairs of groups that are each other's mirror image: a crystal of one is the other hand of one of the other."""


def space_group_symbol(group: int) -> str:
    """Short Hermann-Mauguin symbol of the standard setting, as ``P21/c`` for group 14.

    Raises:
        ConfigError: ``group`` is not in 1..230.
    """
    return _SYMBOLS[check_space_group(group) - 1]


def check_space_group(group: object) -> int:
    """ITA number of a space group.

    Args:
        group: its number, or its short Hermann-Mauguin symbol with or without blanks and underscores, as ``P2_1/c``;
            ``P 1 21/c 1``, ``Fm3m`` for ``Fm-3m`` and the symbols of before 1992, as ``Cmca`` for ``Cmce``, too.

    Raises:
        ConfigError: there is no such group; similar symbols are named.
    """
    if isinstance(group, str) and not group.strip().isdecimal():
        return _number_of_symbol(group)
    try:
        number = float(group)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = float("nan")
    if isinstance(group, bool) or not (number.is_integer() and 1 <= number <= N_SPACE_GROUPS):
        raise ConfigError(
            f"space group {group} does not exist; give an ITA number from 1 to {N_SPACE_GROUPS}, "
            "or a symbol as Fm-3m"
        )
    return int(number)


def _number_of_symbol(text: str) -> int:
    known = _numbers_by_symbol()
    wanted = re.sub(r"[\s_]", "", text).lower()
    if (number := known.get(wanted)) is not None:
        return number
    near = [_SYMBOLS[known[word] - 1] for word in get_close_matches(wanted, known, n=4)]
    raise ConfigError(
        f"no standard space group symbol {text!r}; "
        + (f"near ones are {', '.join(dict.fromkeys(near))}; " if near else "")
        + f"give an ITA number from 1 to {N_SPACE_GROUPS} or a symbol as P2_1/c"
    )


@cache
def _numbers_by_symbol() -> dict[str, int]:
    """ITA numbers by symbols in small letters, which keep all apart."""
    numbers = {symbol.lower(): number for number, symbol in enumerate(_SYMBOLS, start=1)}
    # the symbols of 1952 leave out the bar of 3 in centrosymmetric cubic groups
    first_cubic = 1 + len(_SYMBOLS) - 36
    bars = {symbol.replace("-", ""): number for symbol, number in numbers.items() if "-3" in symbol}
    older = {symbol: number for symbol, number in bars.items() if number >= first_cubic}
    # full symbols of monoclinic groups in the standard setting, unique axis b
    full = {f"{symbol[0]}1{symbol[1:]}1": number for symbol, number in numbers.items() if 3 <= number <= 15}
    return (
        older | full | {symbol.lower(): number for symbol, number in _SYMBOLS_BEFORE_1992.items()} | numbers
    )


def _crystal_lattice_system(crystal_class: CrystalClass, symbol: str) -> str:
    if crystal_class.system == "trigonal":
        return "trigonal-rhombohedral" if symbol.startswith("R") else "trigonal-hexagonal"
    return "hexagonal-hexagonal" if crystal_class.system == "hexagonal" else crystal_class.system


def _lattice_system(crystal_class: CrystalClass) -> str:
    return "hexagonal" if crystal_class.system == "trigonal" else crystal_class.system


crystal_class_of_group = np.searchsorted([one.last for one in CRYSTAL_CLASSES], np.arange(N_SPACE_GROUPS + 1))
"""(231,) int64 index into CRYSTAL_CLASSES by group number; entry 0 means nothing."""


def _tabulate() -> tuple[NDArray[np.int64], ...]:
    crystal_lattice = np.zeros(N_SPACE_GROUPS + 1, dtype=np.int64)
    point_symmetry = np.zeros_like(crystal_lattice)
    lattice = np.full_like(crystal_lattice, -1)
    for group, (index, symbol) in enumerate(zip(crystal_class_of_group[1:], _SYMBOLS, strict=True), start=1):
        crystal_class = CRYSTAL_CLASSES[index]
        crystal_lattice[group] = 1 + CRYSTAL_LATTICE_SYSTEMS.index(
            _crystal_lattice_system(crystal_class, symbol)
        )
        point_symmetry[group] = 1 + POINT_SYMMETRIES.index(crystal_class.point_symmetry)
        lattice[group] = LATTICE_SYSTEMS.index(_lattice_system(crystal_class))
    return crystal_lattice, point_symmetry, lattice


crystal_lattice_system_of_group, point_symmetry_of_group, lattice_system_of_group = _tabulate()
"""Each (231,) int64: 1..8 into CRYSTAL_LATTICE_SYSTEMS, 1..5 into POINT_SYMMETRIES (0 at entry 0), and
0..5 into LATTICE_SYSTEMS (-1 at entry 0)."""


def _first_hands() -> NDArray[np.int64]:
    first = np.arange(N_SPACE_GROUPS + 1)
    first[[pair[1] for pair in ENANTIOMORPHIC_PAIRS]] = [pair[0] for pair in ENANTIOMORPHIC_PAIRS]
    return first


first_hand_of_group = _first_hands()
"""(231,) int64: the lower number of an enantiomorphic pair, else the group itself."""
