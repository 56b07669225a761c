"""Write the report of a run: one HTML file that needs no network, and its figures as PNG.

It shows settings and findings: energies beside those of an untrained sampler, of the prior and of known crystals,
elements, space groups, lattice parameters, training curves, and the best candidates with interactive 3-D cells. Missing
results are listed with the command that makes them.
"""

from __future__ import annotations

from pathlib import Path

from gflownet_crystal.common.locks import lock_folder
from gflownet_crystal.common.outputs import check_writable
from gflownet_crystal.common.run_schema import CANDIDATES, REPORT
from gflownet_crystal.config.compared_run import ComparedRun
from gflownet_crystal.config.request import Request
from gflownet_crystal.report.page import Material, Page, figures_folder, write_report
from gflownet_crystal.report.run_files import read_run
from gflownet_crystal.workflows.evaluating.report_sets import compare, gather, known_crystals
from gflownet_crystal.workflows.settings.data import ReportSettings
from gflownet_crystal.workflows.training.run_folders import warn


def run(request: Request) -> None:
    """The verb ``report``."""
    settings = request.settings(ReportSettings)
    folder = settings.run
    stored = ComparedRun.read(folder, settings)
    out = folder / REPORT if settings.out is None else settings.out
    check_writable(out)
    given = {name: getattr(settings, name) for name in ("samples", "candidates", "relaxed")}
    files = read_run(folder, stored.values, **given)
    reference = settings.reference
    known = None if reference is None else known_crystals(reference, files, settings.formula_check)
    comparison = compare(stored, files, known, settings.compare)
    material = gather(files, known, comparison, settings.k)
    for note in material.notes:
        warn(note)
    with lock_folder(figures_folder(files, out)):
        page = write_report(material, out)
    print(_said(material, out, page))


def _said(material: Material, out: Path, page: Page) -> str:
    parts = [f"{out} ({page.n_bytes / 1e6:.1f} MB)"]
    if not material.run.may_be_crystals:
        parts.append("no crystals, so no candidates")
    elif material.candidates is None:
        parts.append("no candidates yet: the report says how to make them")
    elif page.n_detailed < len(material.candidates):
        parts += [
            f"details of the best {page.n_detailed:,} of {len(material.candidates):,} candidates",
            f"{material.run.candidates_folder / CANDIDATES} has all",
        ]
    else:
        parts.append(f"{len(material.candidates)} candidates")
    return "; ".join([*parts, f"figures in {figures_folder(material.run, out)}"])
