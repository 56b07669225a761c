"""Run folders made by hand, small enough that all of what a report shows can be checked."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
from ase.build import bulk
from omegaconf import OmegaConf

from gflownet_crystal.common.files import write_json, write_text
from gflownet_crystal.config.compose import compose_config
from gflownet_crystal.structures.cif import structures_to_cif
from gflownet_crystal.structures.convert import from_ase
from gflownet_crystal.structures.spec_io import specs_to_frame
from gflownet_crystal.structures.symmetry import conventional_structures

CRYSTALS = (
    bulk("NaCl", "rocksalt", 5.64), bulk("MgO", "rocksalt", 4.21), bulk("ZnS", "zincblende", 5.41),
    bulk("CaF2", "fluorite", 5.46), bulk("CsCl", "cesiumchloride", 4.12), bulk("AlN", "wurtzite", 3.11, 4.98),
)  # fmt: skip
"""Candidates, best first."""


def candidate_frame(n: int = len(CRYSTALS)) -> pd.DataFrame:
    """The first crystals as ``export`` writes them."""
    specs = conventional_structures(from_ase(list(CRYSTALS[:n]))).specs()
    frame = specs_to_frame(
        specs, energy=np.linspace(-2.1, -1.9, n), energy_std=np.full(n, 0.05), log_reward=np.linspace(9, 8, n)
    )
    frame.insert(0, "rank", range(1, n + 1))
    frame["e_above_hull"] = np.linspace(-0.02, 0.2, n)
    frame["cif"] = [f"{rank:03d}_{name}.cif" for rank, name in enumerate(specs.reduced_formulas(), start=1)]
    return frame


def write_candidates(folder: Path, n: int = len(CRYSTALS)) -> pd.DataFrame:
    """Write the first crystals as a table and one CIF each."""
    frame = candidate_frame(n)
    structures = conventional_structures(from_ase(list(CRYSTALS[:n])))
    for name, text in zip(frame["cif"], structures_to_cif(structures), strict=True):
        write_text(folder / name, text)
    frame.to_csv(folder / "candidates.csv", index=False)
    return frame


def write_relaxed(folder: Path, candidates: pd.DataFrame) -> pd.DataFrame:
    """Write what ``relax`` would: all but the last two relaxed, of these one without rest and one failed."""
    names = candidates["cif"].str.removesuffix(".cif")
    frame = pd.DataFrame({"name": names, "formula": candidates["formula"], "status": "converged"})
    frame["energy_before"], frame["energy_after"] = candidates["energy"] + 0.5, candidates["energy"] + 0.3
    frame["volume_change"], frame["rms_displacement"] = 0.1, 0.2
    frame["space_group_after"] = candidates["space_group"]
    frame["cif"] = [f"cif/{name}" for name in candidates["cif"]]
    frame.loc[len(frame) - 2, "status"] = "not_converged"
    frame.loc[len(frame) - 1, ["status", "energy_after", "cif", "space_group_after"]] = [
        "failed",
        None,
        None,
        None,
    ]
    structures = conventional_structures(from_ase(list(CRYSTALS[: len(frame)])))
    for name, text in zip(candidates["cif"], structures_to_cif(structures), strict=True):
        write_text(folder / "cif" / name, text)
    frame.to_csv(folder / "relaxed.csv", index=False)
    write_json(folder / "settings.json", {"model": "chgnet"})
    return frame


def sample_frame(n: int = 60, seed: int = 0) -> pd.DataFrame:
    """Repeats of the crystals with energies of their own."""
    generator = np.random.default_rng(seed)
    frame = candidate_frame().iloc[generator.integers(0, len(CRYSTALS), n)].reset_index(drop=True)
    frame = frame.drop(columns=["rank", "cif", "e_above_hull"])
    return frame.assign(energy=generator.normal(-1.5, 0.4, n))


def write_run(folder: Path, *, finished: bool = True, candidates: bool = True, relaxed: bool = True) -> Path:
    """A run folder of ``train_gfn`` without checkpoints.

    Args:
        folder: to make.
        finished: write samples and a summary.
        candidates: write candidates.
        relaxed: write them relaxed, too.
    """
    config = compose_config(
        "train_gfn", ["env=crystal", "proxy=mlp", "env.elements=[Na,Cl,Mg,O,Zn,S,Ca,F,Al,N]"]
    )
    write_text(folder / "config.yaml", OmegaConf.to_yaml(config, resolve=True))
    metrics = [
        {"step": k, "loss": 50 / k, "log_z": 10 + k / 9, "mean_log_reward": k / 3, "mean_energy": -k / 30}
        for k in range(1, 41)
    ]
    write_text(folder / "metrics.jsonl", "".join(json.dumps(record) + "\n" for record in metrics))
    if finished:
        sample_frame().to_parquet(folder / "samples.parquet", index=False)
        summary = {"property": "formation_energy_per_atom", "unit": "eV/atom", "proxy": "MLPProxy", "env": "Crystal",
                   "iterations": 40, "training_seconds": 1.5}  # fmt: skip
        write_json(folder / "summary.json", summary)
    if candidates:
        table = write_candidates(folder / "candidates")
        if relaxed:
            write_relaxed(folder / "relaxed", table)
    return folder
