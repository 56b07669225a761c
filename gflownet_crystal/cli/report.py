"""Write the report of a run: one HTML file that needs no network, and its figures as PNG.

It says what was asked and found: energies beside those of an untrained sampler, of the prior and of known crystals,
elements, space groups, lattice parameters, training curves, and the best candidates with their cells to turn. What a
run has not made yet is named with the command that makes it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from omegaconf import DictConfig

from gflownet_crystal.cli.report_sets import Comparison, compare, known_crystals, of_the_space
from gflownet_crystal.common.locks import lock_folder
from gflownet_crystal.common.run_schema import ENERGY, REPORT
from gflownet_crystal.config.build import plain, verb_settings
from gflownet_crystal.config.compose import resolved
from gflownet_crystal.config.run_folder import read_config
from gflownet_crystal.config.values import check_writable
from gflownet_crystal.report.page import Material, figures_folder, write_report
from gflownet_crystal.report.population import Population
from gflownet_crystal.report.run_files import RunFiles, read_run
from gflownet_crystal.workflows.data_settings import ReportSettings


def run(config: DictConfig) -> None:
    """The verb ``report``."""
    settings = verb_settings(ReportSettings, resolved(config))
    folder = settings.run
    stored = read_config(folder)
    out = folder / REPORT if settings.out is None else settings.out
    check_writable(out)
    given = {name: getattr(settings, name) for name in ("samples", "candidates", "relaxed")}
    files = read_run(folder, plain(stored), **given)
    reference = settings.reference
    known = None if reference is None else known_crystals(reference, files, settings.formula_check)
    stored.device, stored.threads = settings.device, settings.threads
    comparison = compare(stored, files, known, settings.compare, settings.trust)
    for note in comparison.notes:
        print(f"warning: {note}", file=sys.stderr)
    material = gather(files, known, comparison, settings.k)
    with lock_folder(figures_folder(files, out)):
        size = write_report(material, out)
    print(_said(material, out, size))


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
        comparison.notes,
    )


def _said(material: Material, out: Path, size: int) -> str:
    parts = [f"{out} ({size / 1e6:.1f} MB)"]
    if not material.run.may_be_crystals:
        parts.append("no crystals, so no candidates")
    elif material.candidates is None:
        parts.append("no candidates yet: the report says how to make them")
    else:
        parts.append(f"{len(material.candidates)} candidates")
    return "; ".join([*parts, f"figures in {figures_folder(material.run, out)}"])
