"""Samples of a sampler: specs of crystals (space group, composition, cell) without atoms, placed and screened."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, overload

import numpy as np
import pandas as pd

from gflownet_crystal.api.table import Chosen, Rows, Table
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.outputs import check_new
from gflownet_crystal.common.run_schema import ENERGY_STD, LOG_REWARD, LOG_WEIGHT, SPACE_GROUP
from gflownet_crystal.generators.base import Generator
from gflownet_crystal.models.energies.structure_energies import StructureEnergies
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.structures.spec_io import check_columns, frame_to_specs
from gflownet_crystal.workflows.candidates.shortlist import distinct_rows
from gflownet_crystal.workflows.sampling.samples import check_suffix, write_samples

if TYPE_CHECKING:
    from gflownet_crystal.api.crystals import Crystals
    from gflownet_crystal.api.run import Run

_SHOWN = (
    "formula", "space_group", "a", "b", "c", "volume_per_atom", "energy", ENERGY_STD, LOG_REWARD, LOG_WEIGHT,
)  # fmt: skip


class Samples(Table):
    """Sampled specs: space group, composition and cell, with the proxy's property as ``energy``.

    ``samples[0]`` is a row, ``samples["energy"]`` a column, ``samples[:10]`` the first ten samples.

    Args:
        frame: n rows with the columns of a spec file (docs/spec_files.md); a copy is kept.
        run: sampler they were drawn from, which draws more of them where a screening needs some; or None.
        restrict: restriction they were drawn under, as keyword arguments of the environment's ``restrict``.
        condition: values of the run's conditions that they were drawn for, by name.

    Example:
        >>> samples = gfc.load("prior").sample(1000, elements=["Li", "O"])
        >>> samples.filter("energy < -1").sort("log_reward", ascending=False).head(20)
    """

    _shown = _SHOWN

    def __init__(
        self,
        frame: pd.DataFrame,
        run: Run | None = None,
        restrict: Mapping[str, object] | None = None,
        condition: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(frame.copy())
        self.run, self.restrict, self.condition = run, dict(restrict or {}), dict(condition or {})

    def _take(self, rows: Rows) -> Samples:
        return Samples(self._frame.iloc[rows], self.run, self.restrict, self.condition)

    def _one(self, row: int) -> pd.Series:
        return self._frame.iloc[row].copy()

    @overload
    def __getitem__(self, key: str) -> pd.Series: ...
    @overload
    def __getitem__(self, key: int) -> pd.Series: ...
    @overload
    def __getitem__(self, key: Chosen) -> Samples: ...
    def __getitem__(self, key: str | int | Chosen) -> pd.Series | Samples:
        return self._get(key)

    def __iter__(self) -> Iterator[pd.Series]:
        return (self._one(row) for row in range(len(self)))

    def _title(self) -> str:
        words = f"{len(self)} samples"
        if self.run is None:
            return words
        return f"{words} of {self.run.name}; energy: {self.run.property_name} ({self.run.unit})"

    @property
    def is_crystals(self) -> bool:
        """Whether the rows are specs of crystals, not objects of another environment."""
        return SPACE_GROUP in self._frame.columns

    def specs(self) -> CrystalSpec:
        """The specs as a batch of tensors.

        Raises:
            ConfigError: the rows are no specs of crystals.
        """
        self._check_crystals("specs")
        return frame_to_specs(self._frame)

    def distinct(self, volume_tolerance: float = 0.03) -> Samples:
        """The samples without duplicates: of one reduced formula, space group and about one volume the first is kept.

        Args:
            volume_tolerance: relative difference of volumes per atom up to which samples are duplicates.

        Example:
            >>> samples.sort("log_reward", ascending=False).distinct().head(20)
        """
        self._check_crystals("distinct")
        return self._take(np.array(distinct_rows(self._frame, volume_tolerance), dtype=np.int64))

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the samples as a spec file, which :func:`gflownet_crystal.read_samples` and every verb read.

        Args:
            path: file that ends in ``.parquet`` or ``.csv``.
            overwrite: whether to replace an earlier file.

        Returns:
            The path.

        Raises:
            ConfigError: another suffix, or the file exists.
            DataError: it cannot be written.
        """
        path = Path(path)
        check_suffix(path)
        check_new(path, "path", overwrite)
        write_samples(path, self._frame)
        return path

    def place(
        self,
        generator: str | Generator = "wyckoff",
        *,
        tries: int = 1,
        energy_model: str | Mapping[str, object] | StructureEnergies | None = None,
        seed: int = 0,
        batch_size: int = 64,
        device: str = "auto",
        settings: Mapping[str, object] | None = None,
        quiet: bool = False,
    ) -> Crystals:
        """Place atoms in the specs: crystals with exactly their space group, composition and cell.

        Args:
            generator: name of a generator (``wyckoff``, ``wyckoff_fast``, ``gemsdiff``, ...), or an object of a class
                of your own.
            tries: number of structures made of each spec, of which the best is kept.
            energy_model: model whose lowest energy is the best try (``alignn``, ``chgnet``, ...); None for the largest
                distances between atoms.
            seed: random seed of the first try.
            batch_size: number of specs at a time.
            device: name of the device, ``cpu``, ``cuda``, ...; ``auto`` for a GPU if there is one.
            settings: further settings of a named generator, such as ``{"tries": 8}``.
            quiet: whether to show no progress.

        Returns:
            A crystal for each spec that could be placed; ``left_out`` has the others.

        Raises:
            ConfigError: an unknown generator or setting, or samples that are no crystals.

        Example:
            >>> crystals = samples.place("wyckoff", tries=4, energy_model="alignn")
        """
        from gflownet_crystal.api.placing import place

        self._check_crystals("place")
        return place(self._frame, generator, settings, tries, energy_model, seed, batch_size, device, quiet)

    def screen(
        self,
        k: int = 100,
        *,
        generator: str | Generator = "wyckoff",
        energy_model: str | Mapping[str, object] | StructureEnergies | None = "alignn",
        hull: str | Path | None = None,
        tries: int = 1,
        further: bool = True,
        seed: int = 0,
        batch_size: int = 32,
        device: str = "auto",
        settings: Mapping[str, object] | None = None,
        quiet: bool = False,
    ) -> Crystals:
        """Choose the k best samples with atoms, as the verb ``export`` does.

        Duplicates and the worse half by the proxy get no atoms; of the others those with impossible contacts or far
        from the convex hull are replaced by the next.

        Args:
            k: number of crystals.
            generator: generator, as of :meth:`place`.
            energy_model: model that rates the atoms; None to go by the proxy alone.
            hull: convex hull that energies are measured from: ``reference``, ``learned`` or a file; None for that of
                the proxy or reward, else ``reference``.
            tries: number of times that the generator makes a promising spec.
            further: whether to draw more samples of the run where these do not suffice.
            seed: random seed of placement and of further samples.
            batch_size: number of specs that get atoms at a time.
            device: device, as of :meth:`place`.
            settings: further settings of :class:`~gflownet_crystal.workflows.settings.screening.Screening`, such as
                ``{"known": "formula", "within": 0.1, "max_per_system": 3}``.
            quiet: whether to show no progress.

        Returns:
            At most k crystals, the nearest to the hull first. ``funnel`` counts the specs after each step, ``left_out``
            has those that were tried.

        Raises:
            ConfigError: an unknown name or setting, or samples that are no crystals.
            DataError: no sample could be placed.

        Example:
            >>> best = samples.screen(20, settings={"known": "formula"})
        """
        from gflownet_crystal.api.screening import Search, screen_samples

        self._check_crystals("screen")
        search = Search(k, tries, further, seed, batch_size, settings or {})
        return screen_samples(self, search, generator, energy_model, hull, device, quiet)

    def _check_crystals(self, verb: str) -> None:
        if not self.is_crystals:
            raise ConfigError(
                f"{verb} is for samples of crystals; these have the columns {', '.join(self._frame)}"
            )
        check_columns(self._frame)
