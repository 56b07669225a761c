"""The Python interface: train or load a sampler, sample, place atoms, relax, judge, save.

Its names are those of ``import gflownet_crystal``; see docs/python.md.
"""

from __future__ import annotations

from gflownet_crystal.api.crystal import Crystal
from gflownet_crystal.api.crystals import Crystals
from gflownet_crystal.api.predicting import predict
from gflownet_crystal.api.reading import read, read_samples
from gflownet_crystal.api.run import Run, load
from gflownet_crystal.api.samples import Samples
from gflownet_crystal.api.training import train
from gflownet_crystal.common.errors import GFlowNetCrystalError
from gflownet_crystal.proxies.base import Proxy

__all__ = [
    "Crystal",
    "Crystals",
    "GFlowNetCrystalError",
    "Proxy",
    "Run",
    "Samples",
    "load",
    "predict",
    "read",
    "read_samples",
    "train",
]
