"""A GemsDiff model small enough for tests, and crystals to feed it."""

from __future__ import annotations

import torch

from gflownet_crystal.models.gemsdiff.model import GemsDiffModel
from gflownet_crystal.models.gemsdiff.settings import GemsDiffSettings
from gflownet_crystal.models.gemsnet.settings import GemsNetSettings, Widths
from gflownet_crystal.structures.structure import StructureBatch

WIDTHS = Widths(
    atom=64, edge=64, triplet=8, radial=8, circular=4, bilinear=8, after_skip=1, atom_residuals=1, edge_head=1,
    lattice_head=8,
)  # fmt: skip
NETWORK = GemsNetSettings(widths=WIDTHS, n_blocks=1, n_radial=16, n_orders=3, cutoff=8.0)


def small_settings(recipe: str) -> GemsDiffSettings:
    sizes = {
        "encoder": NETWORK,
        "decoder": NETWORK,
        "neighbours": 8,
        "time_features": 8,
        "global_features": 8,
    }
    return GemsDiffSettings.fast(**sizes) if recipe == "corrected" else GemsDiffSettings.paper(**sizes)


def small_model(recipe: str = "corrected") -> GemsDiffModel:
    model = GemsDiffModel(small_settings(recipe), seed=3)
    model.fit(crystals())
    return model.eval()


def crystals() -> StructureBatch:
    """Cells near rock salt and others, with elements all over the table."""
    generator = torch.Generator().manual_seed(0)
    sizes = torch.tensor([1, 2, 4, 5, 8, 3])
    cell = 4.5 * torch.eye(3).double() + 0.5 * torch.randn(6, 3, 3, generator=generator).double()
    n = int(sizes.sum())
    return StructureBatch(
        cell * (sizes / 4.0).pow(1 / 3)[:, None, None],
        torch.randint(1, 90, (n,), generator=generator),
        torch.rand(n, 3, generator=generator).double(),
        torch.repeat_interleave(sizes),
        torch.zeros(6, dtype=torch.int64),
    )
