"""Small denoisers and crystals for them."""

from __future__ import annotations

from dataclasses import replace

import torch

from gflownet_crystal.models.denoiser import Denoiser, DenoiserSettings
from gflownet_crystal.models.egnn.layers import EGNNSettings
from gflownet_crystal.models.egnn.network import EGNN
from gflownet_crystal.models.gemsnet.network import GemsNet
from gflownet_crystal.models.gemsnet.settings import GemsNetSettings, Widths
from gflownet_crystal.structures.convert import from_pymatgen
from gflownet_crystal.structures.structure import StructureBatch
from tests.data.crystals import conventional_structures

WIDTHS = Widths(atom=32, edge=32, triplet=8, radial=8, circular=6, bilinear=16, after_skip=1, atom_residuals=1,
                edge_head=1, lattice_head=16, atom_scale=0.05)  # fmt: skip
GEMSNET = GemsNetSettings.denoising(widths=WIDTHS, n_blocks=2, n_radial=32)
EGNN_SMALL = EGNNSettings.denoising(features=24, hidden=16, n_layers=2, n_message_layers=1)


def denoiser(
    name: str, dtype: torch.dtype = torch.float32, volumes: bool = True, axes: bool = True, passes: int = 1
) -> Denoiser:
    """A small denoiser of a network, with the volumes of the elements in :func:`crystals`."""
    network = (
        GemsNet(replace(GEMSNET, axes=axes), seed=1)
        if name == "gemsnet"
        else EGNN(replace(EGNN_SMALL, axes=axes), seed=1)
    )
    model = Denoiser(network, DenoiserSettings(volumes, passes))
    model.fit_volumes(crystals())
    return model.to(dtype)


def crystals() -> StructureBatch:
    """Eight known crystals in primitive cells, from rock salt to monoclinic zirconia."""
    return from_pymatgen([structure.get_primitive_structure() for structure in conventional_structures()])
