"""Settings of the verb that predicts structures of formulas or varies a given one, checked when they are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from gflownet_crystal.common.annotations import CheckedFields
from gflownet_crystal.common.bounds import Count, NonNegative, Share, Whole
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.executors import Executor, LocalProcesses
from gflownet_crystal.common.values import one_of, path_setting
from gflownet_crystal.crystallography.space_groups import N_SPACE_GROUPS, check_space_group
from gflownet_crystal.relaxation.settings import RelaxationSettings
from gflownet_crystal.workflows.settings.common import Checks, DeviceSettings
from gflownet_crystal.workflows.settings.verbs import EnergyModel, with_cifs

PROTOTYPE, ELEMENTS = "prototype", "elements"
_OF_PREDICTION = (
    "n", "templates", "cells", "most_atoms", "by_prototypes", "temperature", "lattice", "seed", "relax", "relax_steps",
)  # fmt: skip


@dataclass(frozen=True)
class PredictionSettings(CheckedFields):
    """Settings of a structure prediction.

    Attributes:
        n: largest number of structures.
        templates: number of prototypes of known crystals that are tried.
        cells: number of cells of the prior that get atoms.
        space_groups: the only groups that are tried, numbers or symbols; None for all.
        lattice: a, b, c in Å and alpha, beta, gamma in degrees of the conventional cell; None to have them drawn.
        most_atoms: largest number of atoms in the primitive cell.
        by_prototypes: share of known prototypes, beside the prior, in the probability of a group and a composition.
        temperature: eV/atom; structures are ranked by ``energy - temperature * log(probability)``, which makes up for
            errors of the energies; 0 for the energy alone.
        seed: random seed of the cells.
        relax: number of the best structures that are relaxed before the final ranking.
        relax_steps: number of steps of a relaxation at most.
    """

    n: Count = 20
    templates: Whole = 40
    cells: Count = 64
    space_groups: Sequence[int | str] | None = None
    lattice: Sequence[float] | None = None
    most_atoms: Count = 30
    by_prototypes: Share = 0.5
    temperature: NonNegative = 0.04
    seed: int = 0
    relax: Whole = 0
    relax_steps: Whole = 40

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.lattice is not None and len(self.lattice) != 6:
            raise ConfigError(
                f"lattice={list(self.lattice)} must be six numbers: a, b, c in A, alpha, beta, gamma"
            )
        if self.space_groups is not None and not len(self.space_groups):
            raise ConfigError("space_groups is empty; give at least one, as [225], or null for all")

    @property
    def groups(self) -> list[int]:
        """ITA numbers of the groups that are tried."""
        given = range(1, N_SPACE_GROUPS + 1) if self.space_groups is None else self.space_groups
        return list(dict.fromkeys(map(check_space_group, given)))


@dataclass(frozen=True)
class PredictSettings(DeviceSettings):
    """Settings of ``predict``, without the generator.

    Attributes:
        out: folder for tables and structures.
        formula: formula, counts of the conventional cell, or family; None where ``formulas`` are given.
        sites: elements of each letter of a family; None for none.
        formulas: formulas, or a text file with one a line; None where ``formula`` is given.
        start: file of a crystal to vary; None where a formula is given.
        keep: ``prototype`` keeps its group, Wyckoff positions and ratio of sites, ``elements`` its formula.
        supercell: repetitions of its conventional cell in which atoms are replaced; None for none.
        dope: number of atoms of each new element in place of each own one, in the whole supercell.
        n: largest number of structures.
        space_group: the only group, or groups, numbers or symbols; None for all.
        lattice: a, b, c in Å and angles in degrees of the conventional cell; None to have cells drawn.
        prior: prior, or run folder, that says which groups and cells are likely.
        prototypes: prototypes of known crystals, by name or file.
        by_prototypes: share of known prototypes in the probability of a group and a composition.
        templates: number of prototypes of known crystals that are tried.
        cells: number of cells of the prior that get atoms.
        most_atoms: largest number of atoms in the primitive cell.
        energies: energy model that ranks; None for none.
        temperature: eV/atom; see :class:`~gflownet_crystal.workflows.settings.predict.PredictionSettings`.
        relax: number of the best structures that are relaxed before the final ranking.
        relax_model: model that relaxes them; None for ``energies``.
        relax_steps: number of steps of a relaxation at most.
        contacts: table of the least distances in known crystals, by name or file.
        hull: reference hull by name or file.
        format: file formats of structures, CIF among them.
        seed: random seed.
        executor: place of the separate pieces of work.
        trust: whether classes from outside this package are built that ``prior`` names.
        resume: whether to continue an earlier run in ``out``.
    """

    out: Path
    formula: str | Mapping[str, int] | None = None
    sites: Mapping[str, str | list[str]] | None = None
    formulas: str | list[str] | None = None
    start: Path | None = None
    keep: str = PROTOTYPE
    supercell: list[int] | None = None
    dope: Mapping[str, Mapping[str, int]] | None = None
    n: int = 20
    space_group: int | str | list[int | str] | None = None
    lattice: list[float] | None = None
    prior: str = "prior"
    prototypes: str = "prototypes"
    by_prototypes: float = 0.5
    templates: int = 40
    cells: int = 64
    most_atoms: int = 30
    energies: EnergyModel | None = "alignn"
    temperature: float = 0.04
    relax: int = 0
    relax_model: EnergyModel | None = None
    relax_steps: int = 40
    contacts: str = "contacts"
    hull: str = "reference"
    format: tuple[str, ...] = ("cif",)
    seed: int = 0
    executor: Executor = field(default_factory=LocalProcesses)
    trust: bool = False
    resume: bool = False

    checks: ClassVar[Checks] = {
        "format": with_cifs,
        "keep": one_of((PROTOTYPE, ELEMENTS)),
    }

    def __post_init__(self) -> None:
        if sum(given is not None for given in (self.formula, self.formulas, self.start)) != 1:
            raise ConfigError("give either formula=NaCl, formulas=FILE or a list, or start=FILE of a crystal")
        if self.sites is not None and self.formulas is not None:
            raise ConfigError(
                "sites goes with formula or start; leave it out, or give formula in place of formulas"
            )
        super().__post_init__()
        self._check_start()
        if self.relax and self.energies is None:
            raise ConfigError(
                f"relax={self.relax} needs energies that rank the relaxed structures; give energies=alignn"
            )

    def _check_start(self) -> None:
        """Check the keys that go with ``start``, and those that a prototype fixes."""
        if (self.supercell is None) != (self.dope is None):
            raise ConfigError(
                "supercell and dope go together, as supercell=[2,1,1] dope={Li:{Na:1}}; give both"
            )
        varied = self.start is not None and self.keep == PROTOTYPE
        if self.dope is not None and (not varied or self.sites is not None):
            raise ConfigError("dope goes with start=FILE keep=prototype, without sites")
        if varied and (self.space_group is not None or self.lattice is not None):
            raise ConfigError(
                "keep=prototype keeps group and cell of start; leave out space_group and lattice"
            )
        if self.start is not None and not varied and self.sites is not None:
            raise ConfigError("sites goes with keep=prototype; keep=elements has the elements of start")

    @property
    def relaxation(self) -> RelaxationSettings:
        """Settings of the relaxations; a given lattice stays."""
        return RelaxationSettings(steps=self.relax_steps, cell=self.lattice is None)

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
