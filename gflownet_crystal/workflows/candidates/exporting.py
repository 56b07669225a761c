"""Candidates of a run, written: the best of its samples that hold with their atoms."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import torch

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.files import write_json
from gflownet_crystal.common.locks import lock_folder
from gflownet_crystal.common.run_schema import FORMULA, SAMPLES, SUMMARY
from gflownet_crystal.common.run_summary import FunnelStage
from gflownet_crystal.data.schema import JUDGED_HULL
from gflownet_crystal.generators.base import Generator
from gflownet_crystal.models.energies.choice import read_choice
from gflownet_crystal.structures.formulas import text_to_composition
from gflownet_crystal.structures.spec_io import read_specs
from gflownet_crystal.workflows.candidates.engine import engine_of, preparation, screen_samples
from gflownet_crystal.workflows.candidates.files import Candidates, with_properties, write_candidates
from gflownet_crystal.workflows.candidates.source import CandidateSource
from gflownet_crystal.workflows.placing.property_columns import PropertyColumns
from gflownet_crystal.workflows.sampling.sampling import sample_model
from gflownet_crystal.workflows.settings.candidates import ExportSettings
from gflownet_crystal.workflows.settings.verbs import EnergyModel

FIGURES = ("candidates", "chemical_systems", "elements", "median_e_above_hull_judged")
_N_SAMPLES = 10_000


def export_candidates(
    settings: ExportSettings, source: CandidateSource, generator: Generator, device: torch.device
) -> tuple[Candidates, list[FunnelStage], dict[str, object]]:
    """Make candidates of a run and write them.

    Args:
        settings: settings of ``export``.
        source: run that is sampled.
        generator: puts atoms into specs.
        device: device of the computation.

    Returns:
        The candidates, the stages that left them, and the summary that was written.
    """
    out = settings.out
    rules, placer = engine_of(settings, generator, source, device)
    prepare = preparation(source, settings.hull, placer.hull)
    properties = PropertyColumns.of(settings.properties, device)
    with lock_folder(out):
        _check_free(out, settings.overwrite)
        start = time.process_time()
        candidates, funnel = screen_samples(
            *_samples(settings, source), rules, placer, prepare, settings.quiet
        )
        candidates = with_properties(candidates, properties)
        write_candidates(out, candidates, settings.format, energy_source(settings.energies))
        about: dict[str, object] = {
            "run": str(source.folder),
            "k": settings.k,
            "energies": settings.energies,
            "screening": asdict(rules),
            "funnel": funnel,
            **figures(candidates.frame),
            "processor_seconds": round(time.process_time() - start, 1),
        }
        write_json(out / SUMMARY, about)
    return candidates, funnel, about


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
    """See that a folder holds nothing, or may be written over."""
    # names with a dot are the halves of files that a killed run was about to write
    if not overwrite and any(not path.name.startswith(".") for path in out.iterdir()):
        raise ConfigError(
            f"out={out} is not empty; add overwrite=true to replace the candidates in it (other files stay), "
            "or give another out=..."
        )


def _samples(
    settings: ExportSettings, source: CandidateSource
) -> tuple[pd.DataFrame, Callable[[int], pd.DataFrame] | None]:
    """The samples at hand, and the function that draws further ones."""
    if settings.samples is not None:
        return read_specs(settings.samples), None
    stored, draw = source.folder / SAMPLES, source.draw_further()
    if settings.n is None and stored.is_file():
        return read_specs(stored), draw
    parts, n = source.parts(), _N_SAMPLES if settings.n is None else settings.n
    return sample_model(parts.model, parts.reward, n, settings.seed), draw
