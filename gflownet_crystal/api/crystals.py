"""Crystals with atoms: relaxed, judged, converted and saved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Self, overload

import numpy as np
import pandas as pd
import torch

from gflownet_crystal.api.crystal import Crystal
from gflownet_crystal.api.judging import NEAREST, above_hull, formation_energies
from gflownet_crystal.api.relaxing import Relaxer
from gflownet_crystal.api.saving import cif_of, save_crystals
from gflownet_crystal.api.table import Chosen, Rows, Table
from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.run_schema import FORMULA, REASON, SPACE_GROUP, STATUS
from gflownet_crystal.data.schema import ENERGY_COLUMN, HULL_COLUMN, LATTICE_COLUMNS
from gflownet_crystal.models.energies.structure_energies import StructureEnergies
from gflownet_crystal.relaxation.settings import RelaxationSettings
from gflownet_crystal.structures import convert
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.structures.symmetry import SYMPREC, find_space_groups

if TYPE_CHECKING:
    import ase
    from pymatgen.core.structure import Structure

ENERGY_STD = "formation_energy_std"
_SHOWN = (
    "name", FORMULA, SPACE_GROUP, "n_atoms", "volume_per_atom", "energy", ENERGY_COLUMN, HULL_COLUMN, STATUS,
    "relative",
)  # fmt: skip


class Crystals(Table):
    """A set of crystals with a table of their properties.

    ``crystals[0]`` is a :class:`~gflownet_crystal.Crystal`, ``crystals["e_above_hull"]`` a column, and
    ``crystals[:10]`` are the first ten crystals.

    Args:
        structures: n structures.
        frame: n rows with the columns ``name`` and ``space_group`` (0 for none known) and any others; a copy is kept.
        left_out: table of the samples without a crystal, with a column ``reason``.
        funnel: table of the number of specs after each step of a screening; None without one.

    Raises:
        DataError: the numbers of structures and rows differ.

    Example:
        >>> crystals = gfc.read("candidates/")
        >>> crystals.relax("chgnet").judge("alignn")
        >>> stable = crystals.filter("e_above_hull < 0.05").sort("e_above_hull")
        >>> stable.to_pymatgen()
    """

    _shown = _SHOWN

    def __init__(
        self,
        structures: StructureBatch,
        frame: pd.DataFrame,
        left_out: pd.DataFrame | None = None,
        funnel: pd.DataFrame | None = None,
    ) -> None:
        if len(structures) != len(frame):
            raise DataError(f"{len(structures)} structures have {len(frame)} rows; give a row for each")
        super().__init__(frame.copy())
        self._structures = structures.to("cpu")
        self.left_out = pd.DataFrame({"name": [], REASON: []}) if left_out is None else left_out
        self.funnel = funnel

    @classmethod
    def from_pymatgen(cls, structures: Sequence[Structure], names: Sequence[str] | None = None) -> Self:
        """Crystals of pymatgen structures.

        Args:
            structures: ordered ones, at least one.
            names: names, one each; None to number them.

        Raises:
            DataError: partly occupied sites, or no structures.
        """
        return cls._found(convert.from_pymatgen(structures), names)

    @classmethod
    def from_ase(cls, atoms: Sequence[ase.Atoms], names: Sequence[str] | None = None) -> Self:
        """Crystals of ASE objects.

        Args:
            atoms: objects with a three-dimensional cell, at least one.
            names: names, one each; None to number them.

        Raises:
            DataError: an object without a cell, or no objects.
        """
        return cls._found(convert.from_ase(atoms), names)

    @classmethod
    def _found(cls, structures: StructureBatch, names: Sequence[str] | None) -> Self:
        given = [str(row) for row in range(len(structures))] if names is None else list(map(str, names))
        groups = find_space_groups(structures, SYMPREC).numpy()
        if len(given) != len(structures):
            raise DataError(f"{len(structures)} structures have {len(given)} names; give a name for each")
        return cls(structures, pd.DataFrame({"name": given, SPACE_GROUP: groups}))

    @property
    def structures(self) -> StructureBatch:
        """Cells and atoms as tensors; conventional cells in the ITA setting where ``space_group`` of them is not 0."""
        return self._structures

    def to_frame(self) -> pd.DataFrame:
        """Names, formulas, space groups, cells (Å, degrees) and all properties as a data frame, a row each."""
        specs = self._structures.specs()
        cells = torch.cat([specs.lengths, specs.angles], dim=1).numpy()
        n_atoms = self._structures.n_atoms
        geometry = pd.DataFrame(
            {
                "name": self._frame["name"],
                FORMULA: specs.formulas(),
                SPACE_GROUP: self._frame[SPACE_GROUP],
                "n_atoms": n_atoms.numpy(),
                **dict(zip(LATTICE_COLUMNS, cells.T, strict=True)),
                "volume_per_atom": (self._structures.volume / n_atoms).numpy(),
            }
        )
        return geometry.join(self._frame.drop(columns=["name", SPACE_GROUP]))

    def relax(
        self,
        energy_model: str | Mapping[str, object] | StructureEnergies = "chgnet",
        *,
        cell: bool = True,
        symmetry: bool = True,
        fmax: float = 0.05,
        steps: int = 300,
        primitive: bool = True,
        symprec: float = 0.01,
        max_volume_change: float = 0.5,
        denoise: str | None = None,
        batch: int = 128,
        hull: str | Path = NEAREST,
        processes: int = 1,
        device: str = "auto",
        quiet: bool = False,
    ) -> Self:
        """Relax atoms and cells in place; a crystal that fails stays as it is, and ``status`` and ``reason`` say so.

        Args:
            energy_model: model of the energies: ``chgnet``, ``sevenn:7net-l3i5``, ``alignn``, ``gemsnet``, a
                ``.safetensors`` file, the ``_target_`` and arguments of an ASE calculator, or an object.
            cell: whether to relax the cell too.
            symmetry: whether to keep the space group that a crystal has at the start.
            fmax: largest force of a relaxed crystal, eV/Å.
            steps: largest number of steps.
            primitive: whether to relax the primitive cell, which takes less time.
            symprec: tolerance of the symmetry search, Å.
            max_volume_change: relative change of the volume beyond which a relaxation fails.
            denoise: weights of a denoiser, such as ``denoiser_gemsnet``, tried as a start; None for no such pass.
            batch: number of atoms that are relaxed at once at most, of as many crystals as have them.
            hull: convex hull that ``e_above_hull`` is measured from: ``reference``, ``learned`` or a file.
            processes: number of batches at once.
            device: name of the device, ``cpu``, ``cuda``, ...; ``auto`` for a GPU if there is one.
            quiet: whether to show no progress.

        Returns:
            The crystals themselves, with the columns ``status``, ``reason``, ``steps``, ``energy_before``,
            ``energy_after``, ``volume_change``, ``rms_displacement``, ``formation_energy_per_atom`` and
            ``e_above_hull`` (eV/atom).

        Raises:
            ConfigError: an unknown model or setting.
            KeyboardInterrupt: an interrupt ended it; the crystals that were finished are relaxed.

        Example:
            >>> relaxed = crystals.copy().relax("chgnet", fmax=0.02)
        """
        how = RelaxationSettings(
            cell, symmetry, primitive, symprec, fmax, steps, max_volume_change, denoise, batch
        )
        relaxer = Relaxer.of(energy_model, how, processes, device)
        records = relaxer.relax(self._frame["name"].tolist(), self._structures, quiet)
        self._structures = relaxer.relaxed(self._structures, records)
        self._frame = relaxer.columns(self._frame, records)
        self._frame[HULL_COLUMN] = above_hull(
            self._structures, self._frame[ENERGY_COLUMN].to_numpy(dtype=np.float64), hull
        )
        relaxer.check_finished(len(self), records)
        return self

    def judge(
        self,
        energy_model: str | Mapping[str, object] | StructureEnergies = "alignn",
        *,
        hull: str | Path = NEAREST,
        device: str = "auto",
        quiet: bool = False,
    ) -> Self:
        """Compute energies of the crystals as they are, without relaxing.

        Args:
            energy_model: energy model, as of :meth:`relax`.
            hull: convex hull that energies are measured from: ``reference``, ``learned`` or a file.
            device: name of the device, ``cpu``, ``cuda``, ...; ``auto`` for a GPU if there is one.
            quiet: whether to show no progress.

        Returns:
            The crystals themselves, with the columns ``formation_energy_per_atom``, ``formation_energy_std`` and
            ``e_above_hull`` (eV/atom); NaN where the model knows an element not, or atoms are isolated or overlap.

        Raises:
            ConfigError: an unknown model.
            DataError: ``hull`` is no hull.

        Example:
            >>> crystals.judge("alignn")["e_above_hull"].median()
        """
        energy, std = formation_energies(self._structures, energy_model, device, quiet)
        above = above_hull(self._structures, energy, hull)
        self._frame = self._frame.assign(**{ENERGY_COLUMN: energy, ENERGY_STD: std, HULL_COLUMN: above})
        return self

    def to_pymatgen(self) -> list[Structure]:
        """A pymatgen structure each."""
        return convert.to_pymatgen(self._structures)

    def to_ase(self) -> list[ase.Atoms]:
        """A periodic ASE object each, with its name in ``info``."""
        atoms = convert.to_ase(self._structures)
        for one, name in zip(atoms, self._frame["name"], strict=True):
            one.info["name"] = name
        return atoms

    def to_cif(self) -> list[str]:
        """Texts of CIFs, one for each crystal, in the standard setting of its group."""
        return [cif_of(self._structures[row : row + 1]) for row in range(len(self))]

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the crystals in the format of the name's suffix.

        Args:
            path: file that ends in ``.extxyz``, ``.xyz``, ``.json`` (pymatgen), ``.db`` (ASE), ``.parquet`` (with the
                table), ``.cif`` or ``.vasp`` (one crystal); a name without a suffix is a folder with a CIF each.
            overwrite: whether to replace earlier files.

        Returns:
            The path.

        Raises:
            ConfigError: another suffix, a ``.cif`` or ``.vasp`` of several crystals, or the file exists.
            DataError: it cannot be written, or there are no crystals.

        Example:
            >>> crystals.save("crystals.extxyz")
            >>> gfc.read("crystals.extxyz")
        """
        return save_crystals(self, Path(path), overwrite)

    def copy(self) -> Self:
        """An independent copy: relaxing or judging one set leaves the other unchanged."""
        return self._take(np.arange(len(self)))

    def _take(self, rows: Rows) -> Self:
        chosen = self._structures[torch.from_numpy(np.array(rows, dtype=np.int64))]
        return type(self)(replace(chosen), self._frame.iloc[rows], self.left_out, self.funnel)

    def _one(self, row: int) -> Crystal:
        return Crystal(self._take(np.array([row])))

    @overload
    def __getitem__(self, key: str) -> pd.Series: ...
    @overload
    def __getitem__(self, key: int) -> Crystal: ...
    @overload
    def __getitem__(self, key: Chosen) -> Self: ...
    def __getitem__(self, key: str | int | Chosen) -> pd.Series | Crystal | Self:
        return self._get(key)

    def __iter__(self) -> Iterator[Crystal]:
        return (self._one(row) for row in range(len(self)))

    def _title(self) -> str:
        words = f"{len(self)} crystals"
        if len(self.left_out):
            words += f" ({len(self.left_out)} left out)"
        return f"{words}; energies in eV/atom, volumes in Å³/atom"
