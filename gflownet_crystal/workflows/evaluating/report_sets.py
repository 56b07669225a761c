"""Reference sets of a report: the untrained sampler, the prior, and known crystals."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from gflownet_crystal.common.errors import DataError, GFlowNetCrystalError
from gflownet_crystal.common.run_schema import ENERGY, FORMULA, SPACE_GROUP, VOLUME
from gflownet_crystal.data.left_out import LeftOut
from gflownet_crystal.data.prepare import load_prepared
from gflownet_crystal.data.schema import ENERGY_COLUMN, LATTICE_COLUMNS
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.report.page import Material
from gflownet_crystal.report.population import Population
from gflownet_crystal.report.run_files import RunFiles, read_table_file
from gflownet_crystal.structures.elements import ATOMIC_NUMBERS
from gflownet_crystal.structures.spec_io import frame_to_specs
from gflownet_crystal.workflows.data.tables import tell
from gflownet_crystal.workflows.sampling.samples import draw_untrained, write_samples
from gflownet_crystal.workflows.sampling.sampling import Parts

UNTRAINED, OF_THE_PRIOR = "untrained.parquet", "prior.parquet"
_BATCH = 2048


@dataclass(frozen=True)
class Comparison:
    """Values of the run's property to compare its samples with.

    Attributes:
        untrained: crystals of the untrained sampler, None if there are none.
        prior: crystals of the run's prior in the run's space, None if there are none.
        learned: distributions of the crystals that the prior learned from, as its card has them, or None.
        energies: energies by kind of population.
        labels: labels of these.
        notes: missing sets, with the reason.
    """

    untrained: Population | None = None
    prior: Population | None = None
    learned: Mapping[str, object] | None = None
    energies: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Compared(Protocol):
    """A run whose report compares its samples with others."""

    @property
    def seed(self) -> int:
        """Random seed of the run."""

    @property
    def parts(self) -> Parts:
        """The parts of the run, untrained; made where they are asked for first."""

    @property
    def has_prior(self) -> bool:
        """Whether the run has a prior."""

    def learned(self) -> Mapping[str, object] | None:
        """Distributions of the crystals that the prior learned from; None for none."""

    def prior(self) -> GFlowNet:
        """Prior of the run, under the masks of the run's space."""


def compare(run: Compared, files: RunFiles, known: Population | None, n: int) -> Comparison:
    """Draw from the untrained sampler and from the prior, and let the proxy score known crystals.

    Args:
        run: the run.
        files: files of the run; the draws are kept in its folder, so that a second report has them already.
        known: crystals, or None.
        n: draws of each, and known crystals scored, at most; 0 for none.
    """
    if n == 0:
        return Comparison()
    energies: dict[str, NDArray[np.float64]] = {}
    labels: dict[str, str] = {}
    drawn: dict[str, pd.DataFrame] = {}
    learned: Mapping[str, object] | None = None
    notes: tuple[str, ...] = ()
    try:
        drawn["untrained"] = _drawn(files.folder / UNTRAINED, n, run, lambda: run.parts.model)
        if run.has_prior:
            learned = run.learned()
            drawn["prior"] = _drawn(files.folder / OF_THE_PRIOR, n, run, run.prior)
        if known is not None:
            energies["reference"] = _scored(run.parts, of_the_space(known, files).frame, n)
            labels["reference"] = f"{len(energies['reference']):,} known crystals"
    except GFlowNetCrystalError as error:
        notes = (f"no comparison: {error}",)
    names = {"untrained": "untrained", "prior": "of the prior"}
    energies = {kind: frame[ENERGY].to_numpy(dtype=float) for kind, frame in drawn.items()} | energies
    labels = {kind: f"{len(frame):,} {names[kind]}" for kind, frame in drawn.items()} | labels
    crystals = {
        kind: Population.of(kind, names[kind], frame)
        for kind, frame in drawn.items()
        if FORMULA in frame.columns
    }
    return Comparison(crystals.get("untrained"), crystals.get("prior"), learned, energies, labels, notes)


def _drawn(path: Path, n: int, run: Compared, model: Callable[[], GFlowNet]) -> pd.DataFrame:
    """``n`` draws: those of the file where it has as many, else new ones, which are kept there."""
    frame = read_table_file(path, must_exist=False)
    if frame is not None and len(frame) == n:
        return frame
    frame = draw_untrained(model(), run.parts.reward, n, _BATCH, run.seed)
    if os.access(path.parent, os.W_OK):
        write_samples(path, frame)
    return frame


def _scored(parts: Parts, frame: pd.DataFrame, n: int) -> NDArray[np.float64]:
    """The property of at most n crystals with a lattice, drawn at random."""
    rows = frame[frame[LATTICE_COLUMNS[0]].notna()]
    rows = rows.sample(min(n, len(rows)), random_state=0)
    if rows.empty or parts.reward.proxy.input_kind != "specs":
        return np.zeros(0)
    specs = frame_to_specs(rows.reset_index(drop=True), parts.device)
    values = [
        parts.reward.proxy(specs[slice(start, start + _BATCH)]).value
        for start in range(0, len(specs), _BATCH)
    ]
    scored: NDArray[np.float64] = torch.cat(values).cpu().numpy()
    return scored


def of_the_space(known: Population, files: RunFiles) -> Population:
    """Crystals of the elements that the run may use; all crystals if its environment has no elements."""
    env = files.config["env"]
    elements = env.get("elements") if isinstance(env, Mapping) else None
    if not isinstance(elements, list) or not set(elements) <= set(ATOMIC_NUMBERS):
        return known
    return known.made_of(elements, "known crystals of these elements")


def known_crystals(path: Path, files: RunFiles, formula_check: str = "refuse") -> Population:
    """The crystals of a file or folder, with ``energy`` where it is labelled with the run's property.

    Their atoms are kept where it has some.

    Args:
        path: file or folder that ``prepare_data`` reads or writes.
        files: files of the run.
        formula_check: ``refuse`` CIFs whose own formula differs from the structure, or ``warn``.

    Raises:
        DataError: it cannot be read, or holds no crystals.
    """
    left_out = LeftOut()
    table = load_prepared([path], atoms=True, formula_check=formula_check, left_out=left_out)
    tell(left_out)
    table = table[(table["strain"].fillna("") == "") & (table[SPACE_GROUP] > 0)].reset_index(drop=True)
    if table.empty:
        raise DataError(f"{path} holds no crystals; give a file with some")
    table[VOLUME] = np.nan
    whole = table[LATTICE_COLUMNS[0]].notna()
    if whole.any():
        specs = frame_to_specs(table[whole].reset_index(drop=True))
        table.loc[whole, "volume_per_atom"] = specs.volume_per_atom.numpy()
    labelled = files.summary.quantity.name == ENERGY_COLUMN
    table[ENERGY] = table[ENERGY_COLUMN] if labelled else np.nan
    return Population.of("reference", "known crystals", table)


def gather(files: RunFiles, known: Population | None, comparison: Comparison, k: int) -> Material:
    """Content of the report of a run, its best ``k`` candidates included."""
    energies, labels = dict(comparison.energies), dict(comparison.labels)
    samples = best = None
    if files.samples is not None and ENERGY in files.samples:
        energies["samples"] = files.samples[ENERGY].to_numpy(dtype=float)
        labels["samples"] = f"{len(files.samples):,} samples"
    if files.samples is not None and files.is_crystals:
        samples = Population.of("samples", "samples", files.samples)
    if files.candidates is not None and len(files.candidates):
        best = Population.of("candidates", "candidates", files.candidates.head(k))
        energies["candidates"] = best.frame[ENERGY].to_numpy(dtype=float)
        labels["candidates"] = best.label
    reference = None if known is None else of_the_space(known, files)
    return Material(
        files,
        samples,
        best,
        comparison.untrained,
        comparison.prior,
        comparison.learned,
        reference,
        known,
        energies,
        labels,
        (*files.notes, *comparison.notes),
    )
