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

import pandas as pd
from omegaconf import DictConfig

from gflownet_crystal.cli.sample import sample_run
from gflownet_crystal.cli.screened import further_samples, make_engine
from gflownet_crystal.common.errors import CheckpointError, ConfigError
from gflownet_crystal.common.files import write_json
from gflownet_crystal.common.locks import lock_folder
from gflownet_crystal.common.progress import Progress
from gflownet_crystal.common.run_schema import CONFIG, FORMULA, SAMPLES, SUMMARY
from gflownet_crystal.common.run_summary import FunnelStage, Quantity, RunSummary, read_summary
from gflownet_crystal.config.build import build, plain_section, verb_settings
from gflownet_crystal.config.compose import TARGET, resolved
from gflownet_crystal.config.parts import find_device
from gflownet_crystal.config.run_folder import read_config
from gflownet_crystal.data.schema import HULL_COLUMN, JUDGED_HULL
from gflownet_crystal.generators.base import Generator
from gflownet_crystal.models.energies.choice import read_choice
from gflownet_crystal.proxies.discovery import Discovery
from gflownet_crystal.proxies.e_above_hull import REFERENCE, EnergyAboveHull, load_hull
from gflownet_crystal.proxies.hull import NEAR_HULL, Hull
from gflownet_crystal.proxies.known_compounds import KnownCompounds
from gflownet_crystal.proxies.product import STABILITY, Product
from gflownet_crystal.proxies.several import SeveralProxies
from gflownet_crystal.structures.formulas import text_to_composition
from gflownet_crystal.structures.spec_io import read_specs
from gflownet_crystal.workflows.candidate_settings import ExportSettings
from gflownet_crystal.workflows.candidates import Candidates, candidates_of, with_results, write_candidates
from gflownet_crystal.workflows.further import tables, with_entries
from gflownet_crystal.workflows.hulls import ENERGIES, hull_with_atoms, predicted_above_hull, predicted_hulls
from gflownet_crystal.workflows.screening import screen
from gflownet_crystal.workflows.screening_batches import UNPLACED
from gflownet_crystal.workflows.verb_settings import EnergyModel

FIGURES = ("candidates", "chemical_systems", "elements", "median_e_above_hull_judged")
_N_SAMPLES = 10_000
SHORTAGE = "draw more with n=, or loosen screening.within or its limits"


def run(config: DictConfig) -> None:
    """The verb ``export``."""
    print(export_candidates(resolved(config))[0])


def export_candidates(config: DictConfig) -> tuple[str, dict[str, object]]:
    """Make candidates of a run and write them.

    Args:
        config: configuration of ``export``, resolved.

    Returns:
        What was made in a line, and the summary that was written.
    """
    settings = settings_of(config)
    folder, out = settings.run, settings.out
    generator = build(config.generator, Generator, "generator")
    device, known = find_device(settings.device), quantity_of_run(folder)
    hull = judged_hull(settings.hull, known, folder)
    rules, placer = make_engine(
        settings, generator, hull, device, seeks_discoveries(folder), known in ENERGIES
    )
    with lock_folder(out):
        _check_free(out, settings.overwrite)
        predicted = hulls_of_run(settings.hull, known, folder)

        def prepare(frame: pd.DataFrame) -> pd.DataFrame:
            frame = with_results(frame)
            frame[HULL_COLUMN] = predicted_above_hull(frame, known, *predicted)
            return with_entries(frame, hull)

        start = time.process_time()
        compounds = KnownCompounds.from_weights()
        with Progress(rules.target, 0, "placing atoms", settings.quiet) as progress:
            samples = tables(*_samples(settings), prepare)
            outcome = screen(samples, rules, placer, compounds, tell=progress.advance)
        candidates = candidates_of(outcome, compounds)
        write_candidates(out, candidates, settings.format, energy_source(settings.energies))
        about: dict[str, object] = {
            "run": str(folder),
            "k": settings.k,
            "energies": settings.energies,
            "screening": asdict(rules),
            "funnel": outcome.funnel,
            **figures(candidates.frame),
            "processor_seconds": round(time.process_time() - start, 1),
        }
        write_json(out / SUMMARY, about)
    return _report(candidates, settings.k, out, outcome.funnel), about


def settings_of(config: DictConfig) -> ExportSettings:
    """Settings of ``export`` from its resolved configuration.

    Raises:
        ConfigError: a value is wrong.
    """
    screening = plain_section(config.screening, "screening")
    return verb_settings(ExportSettings, config, screening=screening)


def energy_source(energies: EnergyModel | None) -> str | None:
    """Name of an energy model as it is given; None for none."""
    return None if energies is None else read_choice(energies).described


def figures(frame: pd.DataFrame) -> dict[str, float | None]:
    """Figures of a table of candidates, as JSON has them."""
    above = frame[JUDGED_HULL].dropna()
    present = text_to_composition(frame[FORMULA].tolist()) > 0
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


def hulls_of_run(path: str | None, known: Quantity, folder: Path) -> tuple[Hull | None, Hull | None]:
    """See :func:`~gflownet_crystal.workflows.hulls.predicted_hulls`; the run's hulls by its configuration."""
    return predicted_hulls(path, known, partial(own_hull, folder), partial(reward_hull, folder))


def own_hull(folder: Path) -> Hull | None:
    """The hull from which a run's proxy measures energies; None where it has none that is known."""
    proxy = read_config(folder, ["proxy"]).proxy
    several = _is(proxy, SeveralProxies)
    sections = (
        [section for section in proxy.values() if isinstance(section, DictConfig)] if several else [proxy]
    )
    found = next((section for section in sections if _is(section, EnergyAboveHull)), None)
    return None if found is None else load_hull(found.hull, found.hull_weights)


def _is(section: object, kind: type) -> bool:
    """Whether a section of a stored configuration names a class."""
    return isinstance(section, DictConfig) and section.get(TARGET) == f"{kind.__module__}.{kind.__name__}"


def seeks_discoveries(folder: Path) -> bool:
    """Whether a run's reward is the one for discovery."""
    return _discovery(folder) is not None


def reward_hull(folder: Path) -> Hull | None:
    """The hull that a run's reward subtracts from formation energies; None where it subtracts none."""
    reward = _discovery(folder)
    return None if reward is None else load_hull(str(reward.get("hull", REFERENCE)))


def _discovery(folder: Path) -> DictConfig | None:
    """The section of a run's reward for discovery, alone or in a product; None where its reward is another."""
    if not (folder / CONFIG).is_file():
        return None
    reward = read_config(folder, ["proxy"]).get("reward")
    if isinstance(reward, DictConfig) and _is(reward, Product):
        reward = reward.get(STABILITY)
    return reward if isinstance(reward, DictConfig) and _is(reward, Discovery) else None


def judged_hull(path: str | None, known: Quantity, folder: Path) -> Hull:
    """See :func:`~gflownet_crystal.workflows.hulls.hull_with_atoms`; the run's hulls by its configuration."""
    return hull_with_atoms(path, known, partial(own_hull, folder), partial(reward_hull, folder))


def _samples(settings: ExportSettings) -> tuple[pd.DataFrame, Callable[[int], pd.DataFrame] | None]:
    """The samples at hand, and what draws further ones."""
    if settings.samples is not None:
        return read_specs(settings.samples), None
    folder, seed, device, trust = settings.run, settings.seed, settings.device, settings.trust
    stored = folder / SAMPLES
    draw = further_samples(folder, seed, device, trust)
    if settings.n is None and stored.is_file():
        return read_specs(stored), draw
    return sample_run(
        folder, _N_SAMPLES if settings.n is None else settings.n, seed, device, trust=trust
    ), draw


def quantity_of_run(folder: Path) -> Quantity:
    """The property that a finished run's proxy predicts.

    Raises:
        CheckpointError: the folder is not that of a finished run.
    """
    path = folder / SUMMARY
    if not path.is_file():
        raise CheckpointError(
            f"{folder} is not the folder of a finished run (no {path.name}); train it, or go on with resume=true"
        )
    return RunSummary.of(read_summary(folder)).quantity


def _report(candidates: Candidates, k: int, out: Path, funnel: list[FunnelStage]) -> str:
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
