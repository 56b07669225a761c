"""Write the best candidates of a run as a table and one CIF each, with atoms placed on Wyckoff positions.

Candidates are ranked by their estimated energy above the convex hull where the run's proxy predicts formation
energies, else by reward. Duplicates by reduced formula, space group and volume are left out, and specs whose atoms
cannot be placed give their rank to the next.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from omegaconf import DictConfig, OmegaConf

from gflownet_crystal.cli.build import build, to_settings
from gflownet_crystal.cli.candidates import (
    TABLE,
    Candidates,
    choose_candidates,
    with_results,
    write_candidates,
)
from gflownet_crystal.cli.compose import resolved
from gflownet_crystal.cli.parts import find_device
from gflownet_crystal.cli.sample import sample_run
from gflownet_crystal.cli.values import check_writable, flag, whole_number
from gflownet_crystal.common.errors import CheckpointError, ConfigError
from gflownet_crystal.common.files import read_json
from gflownet_crystal.evaluation.ranking import HULL_COLUMN, Selection
from gflownet_crystal.generators.base import Generator
from gflownet_crystal.structures.spec_io import frame_to_specs, read_specs


def run(config: DictConfig) -> None:
    """The verb ``export``."""
    config = resolved(config)
    folder, out = Path(str(config.run)), Path(str(config.out))
    k = whole_number(config.k, "k", 1)
    seed = whole_number(config.seed, "seed", 0)
    quiet = flag(config.quiet, "quiet")
    chosen = OmegaConf.masked_copy(config, ["volume_tolerance", "max_per_formula"])
    selection = to_settings(Selection, chosen, "export")
    generator = build(config.generator, Generator, "generator")
    device = find_device(config.device)
    summary = _summary(folder)
    check_writable(out / TABLE)
    frame = with_results(_samples(config, folder, seed))
    match summary.get("property"), summary.get("unit"):
        case "formation_energy_per_atom", "eV/atom":
            frame[HULL_COLUMN] = energies_above_hull(frame)
        case "e_above_hull", "eV/atom":
            frame[HULL_COLUMN] = frame["energy"]
        case _:
            frame[HULL_COLUMN] = np.nan
    candidates = choose_candidates(frame, k, generator, selection, seed=seed, device=device, quiet=quiet)
    write_candidates(out, candidates)
    print(_report(candidates, k, out))


def energies_above_hull(frame: pd.DataFrame) -> NDArray[np.float64]:
    """Estimated energies above the convex hull.

    Args:
        frame: specs whose column ``energy`` is a formation energy, eV/atom.

    Returns:
        (n,) eV/atom.
    """
    from gflownet_crystal.proxies.hull import LearnedHull

    energy = torch.from_numpy(frame["energy"].to_numpy(dtype=np.float64).copy())
    above: NDArray[np.float64] = (
        LearnedHull.from_weights().e_above_hull(frame_to_specs(frame), energy).numpy()
    )
    return above


def _samples(config: DictConfig, folder: Path, seed: int) -> pd.DataFrame:
    if config.samples is not None and config.n is not None:
        raise ConfigError("samples and n are both given: choose from a file, or sample anew")
    if config.samples is not None:
        return read_specs(str(config.samples))
    stored = folder / "samples.parquet"
    if config.n is None and stored.is_file():
        return read_specs(stored)
    n = 10_000 if config.n is None else whole_number(config.n, "n", 1)
    return sample_run(folder, n, seed, config.device, trust=flag(config.trust, "trust"))


def _summary(folder: Path) -> dict[str, Any]:
    path = folder / "summary.json"
    if not path.is_file():
        raise CheckpointError(
            f"{folder} is not the folder of a finished run (no {path.name}); train it, or go on with resume=true"
        )
    summary = read_json(path)
    return summary if isinstance(summary, dict) else {}


def _report(candidates: Candidates, k: int, out: Path) -> str:
    frame = candidates.frame
    parts = [f"{len(frame)} candidates in {out}"]
    if frame[HULL_COLUMN].notna().any():
        near = int((frame[HULL_COLUMN] <= 0.1).sum())
        parts.append(f"{near} of them within 0.1 eV/atom of the estimated hull")
    if candidates.n_unplaced:
        parts.append(
            f"{candidates.n_unplaced} better-ranked samples left out as their atoms could not be placed"
        )
    if len(frame) < k:
        parts.append(f"fewer than the {k} asked for, as the samples ran out: draw more with n=")
    return "; ".join(parts)
