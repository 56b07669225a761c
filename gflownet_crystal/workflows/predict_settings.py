"""Settings of the verb that predicts structures of formulas, checked when they are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.values import path_setting
from gflownet_crystal.workflows.common_settings import Checks, DeviceSettings
from gflownet_crystal.workflows.predicting import PredictionSettings
from gflownet_crystal.workflows.verb_settings import EnergyModel, with_cifs

_OF_PREDICTION = ("n", "cells", "most_atoms", "by_prototypes", "temperature", "lattice", "seed")


@dataclass(frozen=True)
class PredictSettings(DeviceSettings):
    """Settings of ``predict``, without the generator.

    Attributes:
        out: folder for tables and structures.
        formula: formula, counts of the conventional cell, or family; None where ``formulas`` are given.
        sites: elements of each letter of a family; None for none.
        formulas: formulas, or a text file with one a line; None where ``formula`` is given.
        n: largest number of structures.
        space_group: the only group, or groups, numbers or symbols; None for all.
        lattice: a, b, c in Å and angles in degrees of the conventional cell; None to have cells drawn.
        prior: prior, or run folder, that says which groups and cells are likely.
        prototypes: table of the assignments of known crystals, by name or file.
        by_prototypes: share of known prototypes in the probability of a group and a composition.
        cells: number of cells that get atoms.
        most_atoms: largest number of atoms in the primitive cell.
        energies: energy model that ranks; None for none.
        temperature: eV/atom; see :class:`~gflownet_crystal.workflows.predicting.PredictionSettings`.
        contacts: table of the least distances in known crystals, by name or file.
        hull: reference hull by name or file.
        format: file formats of structures, CIF among them.
        seed: random seed.
        trust: whether classes from outside this package are built that ``prior`` names.
        resume: whether to go on with what ``out`` holds.
    """

    out: Path
    formula: str | Mapping[str, int] | None = None
    sites: Mapping[str, str | list[str]] | None = None
    formulas: str | list[str] | None = None
    n: int = 20
    space_group: int | str | list[int | str] | None = None
    lattice: list[float] | None = None
    prior: str = "prior"
    prototypes: str = "assignments"
    by_prototypes: float = 0.5
    cells: int = 160
    most_atoms: int = 30
    energies: EnergyModel | None = "alignn"
    temperature: float = 0.04
    contacts: str = "contacts"
    hull: str = "reference"
    format: tuple[str, ...] = ("cif",)
    seed: int = 0
    trust: bool = False
    resume: bool = False

    checks: ClassVar[Checks] = {"format": with_cifs}

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ConfigError: one is wrong, or not exactly one of ``formula`` and ``formulas`` is given.
        """
        if (self.formula is None) == (self.formulas is None):
            raise ConfigError("give either formula=NaCl, or formulas=FILE or a list")
        if self.sites is not None and self.formula is None:
            raise ConfigError("sites goes with formula; leave it out, or give formula in place of formulas")
        super().__post_init__()

    @property
    def prior_path(self) -> Path:
        """Name, file or run folder of the prior.

        Raises:
            ConfigError: it is no path.
        """
        return path_setting(self.prior, "prior")

    @property
    def prediction(self) -> PredictionSettings:
        """Settings of each prediction.

        Raises:
            ConfigError: one is out of range.
        """
        groups = self.space_group
        space_groups = groups if groups is None or isinstance(groups, list) else [groups]
        return PredictionSettings(
            space_groups=space_groups, **{name: getattr(self, name) for name in _OF_PREDICTION}
        )
