"""Reference sets of a report: the untrained sampler, the prior, and known crystals."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from omegaconf import DictConfig

from gflownet_crystal.cli.data_tables import tell
from gflownet_crystal.common.errors import ConfigError, DataError, GFlowNetCrystalError
from gflownet_crystal.common.run_schema import ENERGY, FORMULA, SPACE_GROUP, VOLUME
from gflownet_crystal.common.values import path_setting, seed_number
from gflownet_crystal.config.build import Trust
from gflownet_crystal.config.parts import Parts, build_parts
from gflownet_crystal.config.priors import stored_policy
from gflownet_crystal.config.starting import build_prior, prior_section
from gflownet_crystal.data.left_out import LeftOut
from gflownet_crystal.data.prepare import load_prepared
from gflownet_crystal.data.schema import ENERGY_COLUMN, LATTICE_COLUMNS
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.gflownet.prior import Prior
from gflownet_crystal.report.population import Population
from gflownet_crystal.report.run_files import RunFiles, read_table_file
from gflownet_crystal.structures.elements import ATOMIC_NUMBERS
from gflownet_crystal.structures.spec_io import frame_to_specs
from gflownet_crystal.workflows.samples import draw_untrained, write_samples

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


def compare(config: DictConfig, files: RunFiles, known: Population | None, n: int, trust: bool) -> Comparison:
    """Draw from the untrained sampler and from the prior, and let the proxy score known crystals.

    Args:
        config: configuration stored with the run.
        files: files of the run; the draws are kept in its folder, so that a second report has them already.
        known: crystals, or None.
        n: draws of each, and known crystals scored, at most; 0 for none.
        trust: build classes from outside this package that the run folder names.
    """
    if n == 0:
        return Comparison()
    energies: dict[str, NDArray[np.float64]] = {}
    labels: dict[str, str] = {}
    trusted, seed = Trust(everything=trust), config.get("seed", 0)
    parts = cache(lambda: build_parts(config, trusted))
    drawn: dict[str, pd.DataFrame] = {}
    learned: Mapping[str, object] | None = None
    notes: tuple[str, ...] = ()
    try:
        drawn["untrained"] = _drawn(files.folder / UNTRAINED, n, seed, parts, lambda: parts().model)
        if (section := prior_section(config)) is not None:
            source = path_setting(section.get("source"), "prior.source")
            distributions = stored_policy(source).card.get("distributions")
            learned = distributions.get("train") if isinstance(distributions, Mapping) else None
            drawn["prior"] = _drawn(
                files.folder / OF_THE_PRIOR,
                n,
                seed,
                parts,
                lambda: _prior(build_prior(config, parts(), trusted)),
            )
        if known is not None:
            energies["reference"] = _scored(parts(), of_the_space(known, files).frame, n)
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


def _prior(prior: Prior | None) -> GFlowNet:
    """The run's prior in the run's space."""
    if prior is None:
        raise ConfigError("the run has no prior")
    return prior.model


def _drawn(
    path: Path, n: int, seed: object, parts: Callable[[], Parts], model: Callable[[], GFlowNet]
) -> pd.DataFrame:
    """``n`` draws: those of the file where it has as many, else new ones, which are kept there."""
    frame = read_table_file(path, must_exist=False)
    if frame is not None and len(frame) == n:
        return frame
    frame = draw_untrained(model(), parts().reward, n, _BATCH, seed_number(seed, "seed"))
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
    """The crystals of the elements that the run may use; all of them where its environment names none."""
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
        formula_check: ``refuse`` CIFs whose own formula differs from what was read, or ``warn``.

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
