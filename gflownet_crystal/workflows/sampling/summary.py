"""Summary of a table of samples: the figures of summary.json."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import pandas as pd
import torch

from gflownet_crystal.common.objective_columns import property_columns
from gflownet_crystal.common.run_schema import ENERGY, FORMULA, LOG_REWARD, SPACE_GROUP, VOLUME
from gflownet_crystal.common.run_summary import CrystalFigures, SampleFigures
from gflownet_crystal.crystallography.space_groups import (
    CRYSTAL_LATTICE_SYSTEMS,
    POINT_SYMMETRIES,
    crystal_lattice_system_of_group,
    point_symmetry_of_group,
)
from gflownet_crystal.structures.elements import SYMBOLS
from gflownet_crystal.structures.formulas import text_to_composition
from gflownet_crystal.workflows.sampling.objectives import shares
from gflownet_crystal.workflows.sampling.samples import UNPLACED

N_BEST = 100
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_PACKAGES = ("gflownet_crystal", "torch", "numpy", "pandas")


def summarise_samples(frame: pd.DataFrame) -> SampleFigures:
    """Counts and quantiles of a table of samples; for specs also their chemistry and symmetry."""
    energy = frame[ENERGY]
    result: SampleFigures = {
        "n": len(frame),
        "energy_quantiles": {str(level): float(energy.quantile(level)) for level in QUANTILES},
        "energy_minimum": float(energy.min()),
        "mean_log_reward": float(frame[LOG_REWARD].mean()),
    }
    if objectives := property_columns(frame):
        result["property_quantiles"] = {
            name: {str(level): float(frame[name].quantile(level)) for level in QUANTILES}
            for name in objectives
        }
        result["shares"] = shares(frame)
    if UNPLACED in frame.columns:
        result["unplaced"] = int(frame[UNPLACED].sum())
    if SPACE_GROUP in frame.columns:
        result = {**result, **_crystals(frame)}
        result["best"] = _crystals(best_of(frame))
    return result


def best_of(frame: pd.DataFrame, n: int = N_BEST) -> pd.DataFrame:
    """The ``n`` samples of highest reward, best first, without repeats."""
    return frame.drop_duplicates().nlargest(n, LOG_REWARD)


def element_shares(frame: pd.DataFrame) -> dict[str, float]:
    """Share of specs that hold each element that occurs, by symbol."""
    shares = (text_to_composition(frame[FORMULA].tolist()) > 0).double().mean(dim=0).numpy()
    return {SYMBOLS[number]: float(shares[number]) for number in shares.nonzero()[0]}


def _crystals(frame: pd.DataFrame) -> CrystalFigures:
    groups = frame[SPACE_GROUP].to_numpy(dtype=np.int64)
    systems, symmetries = (
        np.unique(crystal_lattice_system_of_group[groups]),
        np.unique(point_symmetry_of_group[groups]),
    )
    return {
        "n_space_groups": len(np.unique(groups)),
        "crystal_lattice_systems": [CRYSTAL_LATTICE_SYSTEMS[index - 1] for index in systems],
        "point_symmetries": [POINT_SYMMETRIES[index - 1] for index in symmetries],
        "elements": sorted(element_shares(frame)),
        "n_formulas": int(frame[FORMULA].nunique()),
        "median_volume_per_atom": float(frame[VOLUME].median()),
    }


def hardware(device: torch.device) -> dict[str, object]:
    """The machine a training ran on, and the versions that matter."""
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {
        "device": str(device),
        "gpu": gpu,
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in _PACKAGES},
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
