"""Write the best candidates of a run as a table and one CIF each, with atoms placed on Wyckoff positions.

Specs of known formulas, duplicates and the worse half by the run's proxy are left out; the others get atoms until k of
them hold: possible contacts, near the hull by an energy model, distinct. Each stage is counted in summary.json, and
left_out.csv says why the others failed. Without energies, or where the proxy predicts something else, the best-ranked
samples are taken. hull=FILE takes another reference hull.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import DictConfig

from gflownet_crystal.cli.sample import sample_run
from gflownet_crystal.cli.screened import further_samples, make_engine
from gflownet_crystal.common.errors import CheckpointError, ConfigError
from gflownet_crystal.common.files import read_json, write_json
from gflownet_crystal.common.locks import lock_folder
from gflownet_crystal.common.progress import Progress
from gflownet_crystal.config.build import build, plain
from gflownet_crystal.config.compose import TARGET, resolved
from gflownet_crystal.config.parts import find_device
from gflownet_crystal.config.run_folder import CONFIG, read_config
from gflownet_crystal.config.values import (
    check_whole,
    flag,
    formats_setting,
    path_setting,
    seed_number,
    whole_number,
)
from gflownet_crystal.data.schema import HULL_COLUMN, JUDGED_HULL
from gflownet_crystal.generators.base import Generator
from gflownet_crystal.models.energies.choice import read_choice
from gflownet_crystal.proxies.discovery import Discovery
from gflownet_crystal.proxies.e_above_hull import REFERENCE, EnergyAboveHull, load_hull
from gflownet_crystal.proxies.hull import NEAR_HULL, Hull
from gflownet_crystal.proxies.known_compounds import KnownCompounds
from gflownet_crystal.structures.formulas import text_to_composition
from gflownet_crystal.structures.spec_io import read_specs
from gflownet_crystal.structures.writing import CIF
from gflownet_crystal.workflows.candidates import Candidates, candidates_of, with_results, write_candidates
from gflownet_crystal.workflows.further import tables, with_entries
from gflownet_crystal.workflows.hulls import ENERGIES, hull_with_atoms, predicted_above_hull, predicted_hulls
from gflownet_crystal.workflows.screening import screen
from gflownet_crystal.workflows.screening_batches import UNPLACED

SUMMARY = "summary.json"
FIGURES = ("candidates", "chemical_systems", "elements", "median_e_above_hull_judged")
SHORTAGE = "draw more with n=, or loosen screening.within or its limits"


def run(config: DictConfig) -> None:
    """The verb ``export``."""
    print(export_candidates(resolved(config))[0])


def export_candidates(config: DictConfig) -> tuple[str, dict[str, Any]]:
    """Make candidates of a run and write them.

    Args:
        config: configuration of ``export``, resolved.

    Returns:
        What was made in a line, and the summary that was written.
    """
    folder, out = path_setting(config.run, "run"), path_setting(config.out, "out")
    k = whole_number(config.k, "k", 1)
    seed = seed_number(config.seed, "seed")
    for key in ("batch_size", "tries"):
        check_whole(config, key, 1)
    quiet, formats = flag(config.quiet, "quiet"), formats_setting(config.format, always=[CIF])
    generator = build(config.generator, Generator, "generator")
    device = find_device(config.device)
    summary = summary_of_run(folder)
    known = summary.get("property"), summary.get("unit")
    hull = judged_hull(config.hull, known, folder)
    settings, placer = make_engine(
        config, generator, hull, device, seeks_discoveries(folder), known in ENERGIES, k, config.choose_from
    )
    with lock_folder(out):
        _check_free(out, flag(config.overwrite, "overwrite"))
        predicted = hulls_of_run(config.hull, known, folder)

        def prepare(frame: pd.DataFrame) -> pd.DataFrame:
            frame = with_results(frame)
            frame[HULL_COLUMN] = predicted_above_hull(frame, known, *predicted)
            return with_entries(frame, hull)

        start = time.process_time()
        compounds = KnownCompounds.from_weights()
        with Progress(settings.target, 0, "placing atoms", quiet) as progress:
            samples = tables(*_samples(config, folder, seed), prepare)
            outcome = screen(samples, settings, placer, compounds, tell=progress.advance)
        candidates = candidates_of(outcome, compounds)
        write_candidates(out, candidates, formats, energy_source(config.energies))
        about = {
            "run": str(folder),
            "k": k,
            "energies": config.energies,
            "screening": asdict(settings),
            "funnel": outcome.funnel,
            **figures(candidates.frame),
            "processor_seconds": round(time.process_time() - start, 1),
        }
        write_json(out / SUMMARY, about)
    return _report(candidates, k, out, outcome.funnel), about


def energy_source(energies: Any) -> str | None:
    """Name of an energy model as it is given; None for none."""
    return None if energies is None else read_choice(plain(energies)).described


def figures(frame: pd.DataFrame) -> dict[str, Any]:
    """Figures of a table of candidates, as JSON has them."""
    above = frame[JUDGED_HULL].dropna()
    present = text_to_composition(frame["formula"].tolist()) > 0
    median = round(float(above.median()), 4) if len(above) else None
    values = (len(frame), len(present.unique(dim=0)), int(present.any(dim=0).sum()), median)
    return dict(zip(FIGURES, values, strict=True))


def _check_free(out: Path, overwrite: bool) -> None:
    """See that a folder holds nothing, or may be written over.

    Raises:
        ConfigError: it does not.
    """
    # names with a dot are the halves of files that a killed run was about to write
    if not overwrite and any(not path.name.startswith(".") for path in out.iterdir()):
        raise ConfigError(
            f"out={out} is not empty; add overwrite=true to replace the candidates in it (other files stay), "
            "or give another out=..."
        )


def hulls_of_run(path: Any, known: tuple[Any, Any], folder: Path) -> tuple[Hull | None, Hull | None]:
    """See :func:`~gflownet_crystal.workflows.hulls.predicted_hulls`; the run's hulls by its configuration."""
    path = None if path is None else str(path_setting(path, "hull"))
    return predicted_hulls(path, known, partial(own_hull, folder), partial(reward_hull, folder))


def own_hull(folder: Path) -> Hull | None:
    """The hull from which a run's proxy measures energies; None where it has none that is known."""
    proxy = read_config(folder, ["proxy"]).proxy
    if proxy.get(TARGET) != f"{EnergyAboveHull.__module__}.{EnergyAboveHull.__name__}":
        return None
    return load_hull(proxy.hull, proxy.hull_weights)


def seeks_discoveries(folder: Path) -> bool:
    """Whether a run's reward is the one for discovery."""
    return _discovery(folder) is not None


def reward_hull(folder: Path) -> Hull | None:
    """The hull that a run's reward subtracts from formation energies; None where it subtracts none."""
    reward = _discovery(folder)
    return None if reward is None else load_hull(str(reward.get("hull", REFERENCE)))


def _discovery(folder: Path) -> DictConfig | None:
    """The section of a run's reward for discovery; None where its reward is another."""
    if not (folder / CONFIG).is_file():
        return None
    reward = read_config(folder, ["proxy"]).get("reward")
    target = f"{Discovery.__module__}.{Discovery.__name__}"
    return reward if isinstance(reward, DictConfig) and reward.get(TARGET) == target else None


def judged_hull(path: Any, known: tuple[Any, Any], folder: Path) -> Hull:
    """See :func:`~gflownet_crystal.workflows.hulls.hull_with_atoms`; the run's hulls by its configuration."""
    path = None if path is None else str(path_setting(path, "hull"))
    return hull_with_atoms(path, known, partial(own_hull, folder), partial(reward_hull, folder))


def _samples(
    config: DictConfig, folder: Path, seed: int
) -> tuple[pd.DataFrame, Callable[[int], pd.DataFrame] | None]:
    """The samples at hand, and what draws further ones."""
    if config.samples is not None and config.n is not None:
        raise ConfigError("samples and n are both given: choose from a file, or sample again")
    if config.samples is not None:
        return read_specs(path_setting(config.samples, "samples")), None
    trust = flag(config.trust, "trust")
    stored = folder / "samples.parquet"
    draw = further_samples(folder, seed, config.device, trust)
    if config.n is None and stored.is_file():
        return read_specs(stored), draw
    n = 10_000 if config.n is None else whole_number(config.n, "n", 1)
    return sample_run(folder, n, seed, config.device, trust=trust), draw


def summary_of_run(folder: Path) -> dict[str, Any]:
    """The summary that a finished run has left; empty if it says nothing.

    Raises:
        CheckpointError: the folder is not that of a finished run.
    """
    path = folder / "summary.json"
    if not path.is_file():
        raise CheckpointError(
            f"{folder} is not the folder of a finished run (no {path.name}); train it, or go on with resume=true"
        )
    summary = read_json(path)
    return summary if isinstance(summary, dict) else {}


def _report(candidates: Candidates, k: int, out: Path, funnel: list[dict[str, Any]]) -> str:
    frame = candidates.frame
    parts = [f"{len(frame)} candidates in {out}"]
    for column, words in ((HULL_COLUMN, "estimated hull"), (JUDGED_HULL, "hull with atoms")):
        if frame[column].notna().any():
            near = int((frame[column] <= NEAR_HULL).sum())
            parts.append(f"{near} of them within {NEAR_HULL} eV/atom of the {words}")
    if n_unplaced := int((candidates.left_out["status"] == UNPLACED).sum()):
        parts.append(f"{n_unplaced} samples left out as their atoms could not be placed")
    if len(frame) < k:
        parts.append(f"fewer than the {k} asked for: {SHORTAGE}")
    stages = "\n".join(f"{row['n']:8d}  {row['stage']}" for row in funnel)
    return f"{stages}\n{'; '.join(parts)}"
