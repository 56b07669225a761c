"""Write the report of a run: one HTML file that needs no network, and its figures as PNG.

It says what was asked and found: energies beside those of an untrained sampler, of the prior and of known crystals,
elements, space groups, lattice parameters, training curves, and the best candidates with their cells to turn. What a
run has not made yet is named with the command that makes it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from gflownet_crystal.cli.data_tables import formula_check_of
from gflownet_crystal.cli.report_sets import Comparison, compare, known_crystals, of_the_space
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.locks import lock_folder
from gflownet_crystal.common.run_schema import ENERGY, REPORT
from gflownet_crystal.config.compose import resolved
from gflownet_crystal.config.run_folder import read_config
from gflownet_crystal.config.values import check_writable, flag, path_setting, whole_number
from gflownet_crystal.report.page import Material, figures_folder, write_report
from gflownet_crystal.report.population import Population
from gflownet_crystal.report.run_files import RunFiles, read_run


def run(config: DictConfig) -> None:
    """The verb ``report``."""
    config = resolved(config)
    folder = path_setting(config.run, "run")
    k, n = whole_number(config.k, "k", 1), whole_number(config.compare, "compare", 0)
    trust = flag(config.trust, "trust")
    stored = read_config(folder)
    out = folder / REPORT if config.out is None else path_setting(config.out, "out")
    if out.suffix not in (".html", ".htm"):
        raise ConfigError(f"out={out} must end in .html")
    samples, candidates, relaxed, reference = (
        None if config[key] is None else path_setting(config[key], key)
        for key in ("samples", "candidates", "relaxed", "reference")
    )
    check_writable(out)
    plain: Any = OmegaConf.to_container(stored)
    files = read_run(folder, plain, samples=samples, candidates=candidates, relaxed=relaxed)
    check = formula_check_of(config)
    known = None if reference is None else known_crystals(reference, files, check)
    stored.device, stored.threads = config.device, config.threads
    comparison = compare(stored, files, known, n, trust)
    for note in comparison.notes:
        print(f"warning: {note}", file=sys.stderr)
    material = gather(files, known, comparison, k)
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
