"""Untrained weights of all generators' networks, small enough for tests, with cards that verbs can read."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import torch

from gflownet_crystal.generators.assignments.ranked import RankedAssignments
from gflownet_crystal.generators.assignments.table import AssignmentTable
from gflownet_crystal.models.gemsdiff import model as gemsdiff
from gflownet_crystal.models.langevin import model as langevin
from gflownet_crystal.models.langevin.dimenet_settings import DimeNetSettings
from gflownet_crystal.models.sites import parameter_flow
from gflownet_crystal.models.sites.assignment_ranker import AssignmentRanker
from gflownet_crystal.weights import save_weights
from tests.models.small_gemsdiff import small_model
from tests.models.small_sites import SMALL

_DIMENET = DimeNetSettings(
    width=16, output=8, interaction=8, n_radial=6, n_orders=3, neighbours=16, n_blocks=1, cutoff=5.0
)
SETTINGS = {
    "quick": ("generator.tries=4",),
    "placement": ("generator.tries=300", "generator.keep=20"),
    "wyckoff": ("generator.steps=3",),
    "gemsdiff": ("generator.steps=3", "generator.tries=1"),
    "gemsdiff_paper": ("generator.steps=3",),
    "langevin": ("generator.steps=2", "generator.tries=1"),
    "langevin_paper": ("generator.steps=2",),
}
"""Settings that make the generators of these names quick."""

EXACT = ("quick", "placement", "wyckoff", "gemsdiff", "langevin")
"""Those that keep composition, lattice and group of a spec."""


def generator_words(name: str, folder: Path) -> list[str]:
    """Settings that choose a generator, with weights written to a folder."""
    words = [f"generator={name}", *SETTINGS[name]]
    network = name.removesuffix("_paper")
    if network in ("quick", "placement"):
        return words
    path = folder / f"{name}.safetensors"
    {"wyckoff": _sites, "gemsdiff": _gemsdiff, "langevin": _langevin}[network](path)
    return [*words, f"generator.weights={path}"]


def _sites(path: Path) -> None:
    card = {"kind": parameter_flow.KIND, "network": {"settings": asdict(SMALL)}}
    save_weights(path, parameter_flow.ParameterFlow.new(SMALL, seed=1).state_dict(), card)


def ranking_word(folder: Path) -> str:
    """The setting of an untrained ranking of assignments that has counted no crystal, written into a folder."""
    path, settings = folder / "ranking.safetensors", {"width": 8, "embedding": 4}
    torch.manual_seed(1)
    ranked = RankedAssignments(AssignmentTable(), AssignmentRanker(**settings), listed=20)
    ranked.save(path, {"settings": settings, "network": {"settings": settings}})
    return f"generator.ranking={path}"


def _gemsdiff(path: Path) -> None:
    model = small_model("paper" if "paper" in path.stem else "corrected")
    card = {"kind": gemsdiff.KIND, "network": {"settings": asdict(model.settings)}}
    save_weights(path, model.state_dict(), card)


def _langevin(path: Path) -> None:
    levels = langevin.NoiseLevels(number=3)
    model = langevin.ScoreModel(_DIMENET, levels, seed=1)
    mode = "paper" if "paper" in path.stem else "spec"
    network = {"settings": asdict(_DIMENET)}
    card = {"kind": langevin.KIND, "mode": mode, "network": network, "levels": asdict(levels)}
    save_weights(path, model.state_dict(), card)


def loose_contacts(folder: Path) -> str:
    """The setting of a table of contacts that lets hasty structures pass, written into a folder."""
    path = folder / "loose.safetensors"
    save_weights(path, {"least": torch.full((119, 119), 0.5)}, {"kind": "contacts"})
    return f"screening.contacts={path}"
