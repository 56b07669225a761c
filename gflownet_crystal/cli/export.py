"""Write the best candidates of a run as a table and one CIF each, with atoms on Wyckoff positions.

Duplicates, specs of known formulas and the worse half by the run's proxy are left out. The others get atoms, until k of
them pass: no impossible contacts, near the hull by an energy model, distinct. summary.json counts the specs of each
stage, and left_out.csv gives the reason for each one that failed. With energies=null, or a proxy that predicts no
energy, the best-ranked samples are taken. hull=FILE takes another reference hull.
"""

from __future__ import annotations

from gflownet_crystal.common.devices import find_device
from gflownet_crystal.common.run_summary import FunnelStage
from gflownet_crystal.config.candidate_runs import candidate_source
from gflownet_crystal.config.conditions import condition_values
from gflownet_crystal.config.request import Request
from gflownet_crystal.data.schema import HULL_COLUMN, JUDGED_HULL
from gflownet_crystal.generators.base import Generator
from gflownet_crystal.proxies.hull import NEAR_HULL
from gflownet_crystal.workflows.candidates.exporting import export_candidates
from gflownet_crystal.workflows.candidates.files import Candidates
from gflownet_crystal.workflows.candidates.further import SHORTAGE
from gflownet_crystal.workflows.candidates.screening_batches import UNPLACED
from gflownet_crystal.workflows.settings.candidates import ExportSettings


def run(request: Request) -> None:
    """The verb ``export``."""
    export(request)


def export(request: Request) -> dict[str, object]:
    """Make candidates of a run, write them, and print a report; returns the summary."""
    settings = settings_of(request)
    generator, device = request.build("generator", Generator), find_device(settings.device)
    candidates, funnel, about = export_candidates(settings, candidate_source(settings), generator, device)
    print(_report(candidates, settings, funnel))
    return about


def settings_of(request: Request) -> ExportSettings:
    """Settings of ``export``."""
    screening, condition = request.section("screening"), condition_values(request)
    return request.settings(ExportSettings, screening=screening, condition=condition, threads=None)


def _report(candidates: Candidates, settings: ExportSettings, funnel: list[FunnelStage]) -> str:
    frame = candidates.frame
    parts = [f"{len(frame)} candidates in {settings.out}"]
    for column, words in ((HULL_COLUMN, "estimated hull"), (JUDGED_HULL, "hull with atoms")):
        if frame[column].notna().any():
            near = int((frame[column] <= NEAR_HULL).sum())
            parts.append(f"{near} of them within {NEAR_HULL} eV/atom of the {words}")
    if n_unplaced := int((candidates.left_out["status"] == UNPLACED).sum()):
        parts.append(f"{n_unplaced} samples left out as their atoms could not be placed")
    if len(frame) < settings.k:
        parts.append(f"fewer than the {settings.k} asked for: {SHORTAGE}")
    stages = "\n".join(f"{row['n']:8d}  {row['stage']}" for row in funnel)
    return f"{stages}\n{'; '.join(parts)}"
